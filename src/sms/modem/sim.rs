//! The SIM and its PIN: 3GPP TS 27.007 §8.3, §8.65. A wrong PIN is never entered twice, and none when fewer than three tries
//! are left; ten wrong PUKs destroy a SIM, so none is ever entered here.

use super::answer::AtError;
use super::dialogue::{Driver, Expect, Lines, Trouble};
use super::notice::fields;
use super::pin::{Pin, PinFate, PinSource};
use super::setup::value;
use super::status::SimState;
use super::world::World;
use zeroize::Zeroizing;

/// What `AT+CPIN?` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimAnswer {
    Ready,
    Pin,
    Puk,
    Locked,
    Busy,
    /// None, or broken; or not yet noticed.
    Missing,
}

impl<W: World> Driver<W> {
    /// Until the SIM is ready, or a person is needed.
    pub(super) async fn unlock(&mut self) -> Result<(), Trouble> {
        let mut until = self.world.now() + self.timing.sim_busy;
        let mut entered = false;
        let mut radio_restarted = false;
        loop {
            match self.look_at_sim().await? {
                SimAnswer::Ready => {
                    self.board.write(|status| status.sim = SimState::Ready);
                    return self.pin_was_right().await;
                }
                SimAnswer::Pin if !entered => {
                    self.board.write(|status| status.sim = SimState::PinWanted);
                    self.enter_pin().await?;
                    entered = true;
                    until = self.world.now() + self.timing.sim_busy;
                }
                SimAnswer::Puk => return Err(blocked(SimState::PukWanted, PUK)),
                SimAnswer::Locked => return Err(blocked(SimState::Locked, LOCKED)),
                SimAnswer::Pin | SimAnswer::Busy | SimAnswer::Missing if self.world.now() < until => {
                    self.rest(self.timing.sim_poll).await?;
                }
                // A SIM that was put in while the modem had power, or lost its contact for a moment.
                SimAnswer::Busy | SimAnswer::Missing if !radio_restarted => {
                    self.restart_radio().await?;
                    radio_restarted = true;
                    until = self.world.now() + self.timing.sim_busy;
                }
                SimAnswer::Pin => return Err(blocked(SimState::PinRefused, NOT_TAKEN)),
                SimAnswer::Busy | SimAnswer::Missing => return Err(blocked(SimState::Missing, MISSING)),
            }
        }
    }

    pub(super) async fn look_at_sim(&mut self) -> Result<SimAnswer, Trouble> {
        let answer = self.ask("AT+CPIN?", Expect::Prefix("+CPIN:"), self.timing.answer).await?;
        Ok(match answer {
            Ok(lines) => match value(&lines) {
                Some("READY") => SimAnswer::Ready,
                Some("SIM PIN") => SimAnswer::Pin,
                Some("SIM PUK" | "SIM PUK2") => SimAnswer::Puk,
                // The second PIN guards a list of numbers, not messages.
                Some("SIM PIN2") => SimAnswer::Ready,
                Some("NOT INSERTED" | "NOT READY") | None => SimAnswer::Busy,
                Some(_) => SimAnswer::Locked,
            },
            Err(AtError::Cme(10 | 13 | 15)) => SimAnswer::Missing,
            Err(AtError::Cme(11)) => SimAnswer::Pin,
            Err(AtError::Cme(12)) => SimAnswer::Puk,
            Err(AtError::Cme(5..=7)) => SimAnswer::Locked,
            Err(_) => SimAnswer::Busy,
        })
    }

    async fn enter_pin(&mut self) -> Result<(), Trouble> {
        let pin = match self.world.pin() {
            PinSource::Pin(pin) => pin,
            PinSource::None => return Err(blocked(SimState::PinWanted, NO_PIN)),
            PinSource::Unusable(reason) => return Err(Trouble::Blocked(SimState::PinWanted, reason)),
        };
        let left = self.tries_left().await?;
        let sim = self.sim_name().await?;
        // Its serial number can be read at one time and not at another.
        let fates = [self.world.pin_fate(&sim, &pin), self.world.pin_fate(NAMELESS, &pin)];
        if fates.contains(&Some(PinFate::Wrong)) {
            return Err(blocked(SimState::PinRefused, WRONG_BEFORE));
        }
        match left {
            Some(left) if left < TRIES_MIN => return Err(blocked(SimState::PinRefused, FEW_TRIES)),
            // The last try went unanswered, but it was not counted: it never reached the SIM.
            Some(_) => {}
            None if fates.contains(&Some(PinFate::Tried)) => return Err(blocked(SimState::PinRefused, TRIED_BEFORE)),
            None => {}
        }
        self.remember(&sim, &pin, Some(PinFate::Tried))?;
        let command = Zeroizing::new(format!("AT+CPIN=\"{}\"", pin.digits()));
        match self.ask(&command, Expect::Nothing, self.timing.slow_answer).await? {
            Ok(_) => self.remember(&sim, &pin, None),
            // 27.007 §9.2: incorrect password.
            Err(AtError::Cme(16)) => {
                self.remember(&sim, &pin, Some(PinFate::Wrong))?;
                Err(blocked(SimState::PinRefused, WRONG))
            }
            // Whatever this means: the next look at the SIM tells, and the PIN is not sent again.
            Err(_) => Ok(()),
        }
    }

    /// The SIM is open: should the PIN be remembered as tried, the answer was lost, and it was right.
    async fn pin_was_right(&mut self) -> Result<(), Trouble> {
        let PinSource::Pin(pin) = self.world.pin() else { return Ok(()) };
        for sim in [self.sim_name().await?, Zeroizing::new(NAMELESS.to_owned())] {
            if self.world.pin_fate(&sim, &pin) == Some(PinFate::Tried) {
                self.remember(&sim, &pin, None)?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, sim: &str, pin: &Pin, fate: Option<PinFate>) -> Result<(), Trouble> {
        self.world.remember_pin(sim, pin, fate).map_err(|error| {
            let reason = format!(
                "the PIN is not used, since it cannot be written down as tried: {error} (remedy: make the data directory writable)"
            );
            Trouble::Blocked(SimState::PinWanted, reason)
        })
    }

    /// How often a PIN may still be entered, if any of the known ways tells.
    async fn tries_left(&mut self) -> Result<Option<u8>, Trouble> {
        for (command, prefix, field) in TRIES {
            let lines = self.try_ask(command, Expect::Prefix(prefix)).await?;
            if let Some(left) = lines.and_then(|lines| read_tries(&lines, field)) {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    /// The SIM's serial number.
    async fn sim_name(&mut self) -> Result<Zeroizing<String>, Trouble> {
        for command in ["AT+CCID", "AT^ICCID?", "AT+ICCID", "AT+QCCID"] {
            let lines = self.try_ask(command, Expect::Bare).await?.unwrap_or_default();
            let digits = |line: &Zeroizing<String>| -> Zeroizing<String> {
                let rest = line.split_once(':').map_or(line.as_str(), |(_, rest)| rest);
                Zeroizing::new(rest.chars().filter(char::is_ascii_digit).collect())
            };
            if let Some(name) = lines.iter().map(digits).find(|digits| digits.len() >= NAME_DIGITS_MIN) {
                return Ok(name);
            }
        }
        Ok(Zeroizing::new(NAMELESS.to_owned()))
    }
}

fn read_tries(lines: &Lines, field: usize) -> Option<u8> {
    // `+CPINR: SIM PIN,3,3` may be one of several lines.
    let line = lines.iter().find(|line| line.contains("SIM PIN,")).or(lines.first())?;
    fields(line.split_once(':')?.1).nth(field)?.parse().ok()
}

fn blocked(state: SimState, reason: &str) -> Trouble {
    Trouble::Blocked(state, reason.to_owned())
}

/// Command, prefix, and the place of the number.
const TRIES: [(&str, &str, usize); 4] = [
    ("AT+CPINR", "+CPINR:", 1),
    ("AT^CPIN?", "^CPIN:", 3),
    ("AT+SPIC", "+SPIC:", 0),
    ("AT+QPINC=\"SC\"", "+QPINC:", 1),
];
/// Tries that a SIM has; one that has fewer left has seen a wrong PIN already.
const TRIES_MIN: u8 = 3;
/// For a SIM whose serial number cannot be read.
const NAMELESS: &str = "sim without a name";
const NAME_DIGITS_MIN: usize = 15;

const PUK: &str = "the SIM wants its PUK, because a wrong PIN was entered three times (remedy: unlock it in a phone)";
const LOCKED: &str =
    "the modem or SIM is locked to another network or device (remedy: another SIM, or have the lock removed)";
const MISSING: &str = "there is no SIM, or it does not work (remedy: put it in again, the modem without power)";
const NO_PIN: &str = "the SIM wants its PIN (remedy: switch the PIN off in a phone, or name a file that holds it)";
const NOT_TAKEN: &str = "the SIM still wants its PIN after it was entered (remedy: switch the PIN off in a phone)";
const WRONG: &str = "the SIM refused the PIN; it is not tried again (remedy: put the right one into the PIN file)";
const WRONG_BEFORE: &str =
    "this PIN was refused by this SIM before and is not tried again (remedy: put the right one into the PIN file)";
const FEW_TRIES: &str = "the SIM has seen a wrong PIN: no other is tried with fewer than three tries left \
                         (remedy: enter the right PIN in a phone, or switch it off there)";
const TRIED_BEFORE: &str = "the PIN was tried and never answered, and how many tries are left cannot be read (remedy: switch the PIN off in a phone)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_read_in_every_vendors_form() {
        for (line, field, left) in [
            ("+CPINR: SIM PIN,3,3", 1, Some(3)),
            ("^CPIN: READY,,10,3,10,3", 3, Some(3)),
            ("^CPIN: SIM PIN,2,10,2,10,3", 3, Some(2)),
            ("+SPIC: 2,10,0,10", 0, Some(2)),
            ("+QPINC: \"SC\",1,10", 1, Some(1)),
            ("+SPIC:", 0, None),
        ] {
            assert_eq!(read_tries(&vec![Zeroizing::new(line.to_owned())], field), left, "{line}");
        }
    }
}
