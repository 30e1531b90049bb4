//! Sets a modem up, after every opening and every restart: nothing is saved in it, everything is said again.

use std::time::Instant;

use zeroize::Zeroizing;

use super::country::calling_code;
use super::dialogue::{Driver, Expect, Lines, Trouble};
use super::notice::{fields, registration_answer, unquoted};
use super::status::{Phase, Registration, Signal};
use super::world::World;

impl<W: World> Driver<W> {
    /// From an open port to a modem that can work. Without a network within [`Timing::registration`](super::Timing) it
    /// counts as set up all the same.
    pub(super) async fn set_up(&mut self) -> Result<(), Trouble> {
        self.ready_since = None;
        self.enter(Phase::Starting);
        self.wake().await?;
        self.prepare().await?;
        self.identify().await?;
        self.unlock().await?;
        self.find_country().await?;
        self.choose_modes().await?;
        self.find_centre().await?;
        self.register().await?;
        self.ready_since = Some(self.world.now());
        // What came while nobody listened.
        self.inbox.search = true;
        Ok(())
    }

    /// Frees a modem that waits for a text, and finds out whether anybody is there.
    pub(super) async fn wake(&mut self) -> Result<(), Trouble> {
        self.waking = true;
        let awake = self.try_to_wake().await;
        self.waking = false;
        awake
    }

    async fn try_to_wake(&mut self) -> Result<(), Trouble> {
        self.forget();
        self.write(b"\x1b\r").await?;
        self.rest(self.timing.settle).await?;
        for attempt in 0..WAKE_ATTEMPTS {
            // V.250 §6.2: it may have been told to be silent, or to answer in digits.
            let command = if attempt < 2 { "AT" } else { "ATQ0V1" };
            match self.ask(command, Expect::Nothing, self.timing.wake).await {
                Ok(Ok(_)) => {
                    // A late answer to something earlier may be on its way.
                    self.rest(self.timing.settle).await?;
                    self.forget();
                    return Ok(());
                }
                Ok(Err(_)) | Err(Trouble::Mute) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Err(Trouble::Mute)
    }

    async fn prepare(&mut self) -> Result<(), Trouble> {
        self.echo_off = false;
        self.echo_off = self.try_tell("ATE0").await?;
        self.echoed = false;
        for command in ["ATV1", "ATQ0", "AT&D0", "AT+CMEE=1"] {
            self.try_tell(command).await?;
        }
        if self.calling {
            // Trouble came in the middle of a call: it must not ring for ever.
            self.hang_up().await?;
        }
        // 27.007 §8.2: 4 is flight mode.
        let radio = self.try_ask("AT+CFUN?", Expect::Prefix("+CFUN:")).await?;
        if radio.is_some_and(|lines| value(&lines).is_some_and(|mode| !mode.starts_with('1'))) {
            let _ = self.ask("AT+CFUN=1", Expect::Nothing, self.timing.slow_answer).await?;
        }
        Ok(())
    }

    async fn identify(&mut self) -> Result<(), Trouble> {
        let maker = self.try_ask("AT+CGMI", Expect::Bare).await?.and_then(|lines| words(&lines, "+CGMI:"));
        let model = self.try_ask("AT+CGMM", Expect::Bare).await?.and_then(|lines| words(&lines, "+CGMM:"));
        let imei = self.try_ask("AT+CGSN", Expect::Bare).await?.and_then(|lines| shorten(&lines));
        let lower = maker.as_deref().unwrap_or_default().to_ascii_lowercase();
        self.huawei = lower.contains("huawei");
        for (_, command) in QUIRKS.iter().filter(|(maker, _)| lower.contains(maker)) {
            self.try_tell(command).await?;
        }
        let name = match (maker, model) {
            (Some(maker), Some(model)) => Some(format!("{maker} {model}")),
            (maker, model) => maker.or(model),
        };
        if self.board.status(self.world.now()).model != name {
            // Another modem knows other commands.
            self.mute.clear();
        }
        self.board.write(|status| {
            status.model = name;
            status.imei = imei;
        });
        Ok(())
    }

    /// 27.007 §4.6: the SIM's own number begins with its country.
    async fn find_country(&mut self) -> Result<(), Trouble> {
        let lines = self.try_ask("AT+CIMI", Expect::Bare).await?.unwrap_or_default();
        let digits = lines.iter().map(|line| line.trim_start_matches("+CIMI:").trim().trim_matches('"'));
        let found = digits.into_iter().find_map(calling_code);
        self.country = self.settings.country.or(found);
        let country = self.country;
        self.board.write(|status| status.country = country);
        Ok(())
    }

    async fn choose_modes(&mut self) -> Result<(), Trouble> {
        for command in ["AT+CREG=1", "AT+CEREG=1", "AT+CSMS=0"] {
            self.try_tell(command).await?;
        }
        // 27.005 §3.2.3. Text mode differs from firmware to firmware and is not spoken here.
        if self.ask("AT+CMGF=0", Expect::Nothing, self.timing.answer).await?.is_err() {
            let fault = "the modem does not send messages (remedy: another modem, or another firmware)";
            return Err(Trouble::Faulty(fault.to_owned()));
        }
        for memory in ["AT+CPMS=\"SM\",\"SM\",\"SM\"", "AT+CPMS=\"ME\",\"ME\",\"ME\"", "AT+CPMS=\"SM\""] {
            if self.try_tell(memory).await? {
                break;
            }
        }
        // 27.005 §3.4.1: messages are stored and told, reports too; or as much of that as it can. Then what is not told is
        // found by searching.
        for notices in ["AT+CNMI=2,1,0,2,0", "AT+CNMI=2,1,0,1,0", "AT+CNMI=2,1", "AT+CNMI=1,1"] {
            if self.try_tell(notices).await? {
                break;
            }
        }
        if self.settings.watch_calls {
            self.try_tell("AT+CRC=0").await?;
            self.try_tell("AT+CLIP=1").await?;
        }
        Ok(())
    }

    /// The service centre, 27.005 §3.3.1: without one nothing can be sent.
    pub(super) async fn find_centre(&mut self) -> Result<(), Trouble> {
        let known = self.try_ask("AT+CSCA?", Expect::Prefix("+CSCA:")).await?;
        let known = known.and_then(|lines| value(&lines).map(|value| Zeroizing::new(value.to_owned())));
        let known = known.as_ref().and_then(|value| fields(value).next()).map(unquoted).unwrap_or_default();
        match self.settings.centre.clone() {
            Some(centre) if centre != known => {
                let command = format!("AT+CSCA=\"{centre}\",145");
                if self.ask(&command, Expect::Nothing, self.timing.slow_answer).await?.is_err() {
                    self.fail("the SIM does not take the number of the service centre (remedy: check it)");
                }
            }
            None if known.is_empty() => {
                self.fail("the SIM knows no service centre (remedy: configure the number of its operator's)");
            }
            _ => {}
        }
        Ok(())
    }

    async fn register(&mut self) -> Result<(), Trouble> {
        self.enter(Phase::Registering);
        self.look_at_signal().await?;
        let until = self.world.now() + self.timing.registration;
        while !self.look_at_registration().await?.is_registered() && self.world.now() < until {
            self.rest(self.timing.registration_poll).await?;
        }
        if self.board.status(self.world.now()).registration.is_registered() {
            self.look_at_operator().await?;
        }
        Ok(())
    }

    /// 27.007 §7.2, §10.1.22: registered in one kind of network is enough.
    pub(super) async fn look_at_registration(&mut self) -> Result<Registration, Trouble> {
        let mut state = Registration::Unknown;
        for (command, prefix) in [("AT+CREG?", "+CREG:"), ("AT+CEREG?", "+CEREG:"), ("AT+CGREG?", "+CGREG:")] {
            let lines = self.try_ask(command, Expect::Prefix(prefix)).await?;
            let answer = lines.and_then(|lines| value(&lines).and_then(registration_answer));
            state = state.better(answer.map_or(Registration::Unknown, Registration::of));
            if state.is_registered() {
                break;
            }
        }
        self.look_soon = false;
        let now: Instant = self.world.now();
        self.lost_since = if state.is_registered() { None } else { self.lost_since.or(Some(now)) };
        self.board.write(|status| status.registration = state);
        if state == Registration::Denied {
            self.fail(
                "the network refuses the SIM (remedy: check with its operator whether it is active and allowed here)",
            );
        }
        Ok(state)
    }

    pub(super) async fn look_at_signal(&mut self) -> Result<(), Trouble> {
        let lines = self.try_ask("AT+CSQ", Expect::Prefix("+CSQ:")).await?;
        let signal = lines.and_then(|lines| fields(value(&lines)?).next()?.parse().ok());
        self.board.write(|status| status.signal = signal.map_or_else(Signal::default, Signal));
        Ok(())
    }

    /// 27.007 §7.3. A search for networks takes minutes and is never made.
    async fn look_at_operator(&mut self) -> Result<(), Trouble> {
        self.try_tell("AT+COPS=3,0").await?;
        let lines = self.try_ask("AT+COPS?", Expect::Prefix("+COPS:")).await?;
        let name = lines.and_then(|lines| fields(value(&lines)?).nth(2).map(|name| printable(unquoted(name))));
        self.board.write(|status| status.operator = name.filter(|name| !name.is_empty()));
        Ok(())
    }
}

/// What follows the prefix of the first line.
pub(super) fn value(lines: &Lines) -> Option<&str> {
    lines.first().and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
}

/// The first line that is an answer without a prefix, or with this one.
fn words(lines: &Lines, prefix: &str) -> Option<String> {
    let mut answers = lines.iter().filter_map(|line| match line.strip_prefix(prefix) {
        Some(rest) => Some(rest.trim()),
        None => (!line.starts_with(['+', '^', '*', '$'])).then_some(line.as_str()),
    });
    answers.next().map(|answer| printable(unquoted(answer))).filter(|answer| !answer.is_empty())
}

/// `490154203237518` to `49015420…18`.
fn shorten(lines: &Lines) -> Option<String> {
    let digits = lines.iter().map(|line| line.trim_start_matches("+CGSN:").trim().trim_matches('"'));
    let imei = digits.into_iter().find(|line| line.len() >= 14 && line.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(format!("{}…{}", imei.get(..8)?, imei.get(imei.len() - 2..)?))
}

/// A name from the modem, as far as it can be shown.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

/// What certain makers' modems need to be told: a part of the maker's name in lower case, and the command.
const QUIRKS: [(&str, &str); 3] = [
    // Fewer periodic notices.
    ("huawei", "AT^CURC=0"),
    // Notices come at one of its ports only: at that for commands.
    ("quectel", "AT+QURCCFG=\"urcport\",\"usbat\""),
    // No sleep on a serial line.
    ("simcom", "AT+CSCLK=0"),
];
const WAKE_ATTEMPTS: u32 = 5;
const NAME_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(of: &[&str]) -> Lines {
        of.iter().map(|line| Zeroizing::new((*line).to_owned())).collect()
    }

    #[test]
    fn names_are_taken_from_either_form_of_answer() {
        assert_eq!(words(&lines(&["huawei"]), "+CGMI:").unwrap(), "huawei");
        assert_eq!(words(&lines(&["+CGMM: \"E173\""]), "+CGMM:").unwrap(), "E173");
        assert_eq!(words(&lines(&["^NEW: 1", "Quectel"]), "+CGMI:").unwrap(), "Quectel");
        assert_eq!(words(&lines(&[]), "+CGMI:"), None);
    }

    #[test]
    fn the_imei_is_shortened() {
        assert_eq!(shorten(&lines(&["490154203237518"])).unwrap(), "49015420…18");
        assert_eq!(shorten(&lines(&["+CGSN: \"490154203237518\""])).unwrap(), "49015420…18");
        assert_eq!(shorten(&lines(&["ERR"])), None);
    }
}
