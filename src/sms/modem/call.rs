//! A call that rings and is given up, so that it is shown as missed: 3GPP TS 27.007 §6.2, §7.18.

use std::time::Instant;

use zeroize::Zeroizing;

use super::ModemError;
use super::answer::{CallResult, Final, final_of};
use super::dialogue::{Driver, Expect, Trouble};
use super::lines::Said;
use super::notice::{CallNotice, fields};
use super::world::{Dial, Dialled, World};

/// Where an outgoing call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Dialling,
    Rings,
    Answered,
    /// It is not in the list of calls.
    Over,
}

impl<W: World> Driver<W> {
    /// Calls, lets it ring, hangs up.
    pub(super) async fn dial(&mut self, call: &Dial) -> Result<Result<Dialled, ModemError>, Trouble> {
        if !self.look_at_registration().await?.is_registered() {
            return Ok(Err(ModemError::NoNetwork));
        }
        self.inbox.call_state = None;
        self.inbox.call_ended = None;
        // With the semicolon it is a voice call.
        let command = Zeroizing::new(format!("ATD{};", call.to.to_text().as_str()));
        self.calling = true;
        self.begin(&command, Expect::Nothing).await?;
        let begun = self.begin_call().await;
        self.answered();
        if let Some(outcome) = begun? {
            return Ok(outcome);
        }
        let outcome = self.let_ring(call).await;
        match outcome {
            // Whatever the modem is doing, it must not go on ringing.
            Ok(_) => self.hang_up().await?,
            Err(_) => return outcome,
        }
        outcome
    }

    /// Until the modem dials. It may say so at once, or only when the other side rings or answers.
    async fn begin_call(&mut self) -> Result<Option<Result<Dialled, ModemError>>, Trouble> {
        let until = self.world.now() + self.timing.dial;
        loop {
            match self.hear(until).await? {
                None => return Err(Trouble::Mute),
                Some(Said::Prompt) => {}
                Some(Said::Line(line)) => match final_of(&line) {
                    Some(Final::Ok) => return Ok(None),
                    Some(Final::Call(CallResult::Connected)) => {
                        self.inbox.call_state = Some(CallNotice::Answered);
                        return Ok(None);
                    }
                    Some(Final::Call(CallResult::Busy)) => return Ok(Some(Ok(Dialled::Rejected))),
                    // Data sticks answer so to every call.
                    Some(Final::Call(_) | Final::Error(_)) => return Ok(Some(Err(ModemError::Refused))),
                    None => {}
                },
            }
        }
    }

    async fn let_ring(&mut self, call: &Dial) -> Result<Result<Dialled, ModemError>, Trouble> {
        let mut give_up: Instant = self.world.now() + self.timing.dial;
        let mut rings = false;
        loop {
            self.rest(self.timing.call_poll).await?;
            let stage = self.stage(rings).await?;
            match stage {
                Stage::Answered => return Ok(Ok(Dialled::Answered)),
                Stage::Over if rings => return Ok(Ok(Dialled::Rejected)),
                Stage::Over => return Ok(Err(ModemError::Refused)),
                Stage::Rings if !rings => {
                    rings = true;
                    give_up = self.world.now() + call.ring;
                }
                Stage::Rings | Stage::Dialling => {}
            }
            if self.world.now() >= give_up {
                return Ok(if rings { Ok(Dialled::Rang) } else { Err(ModemError::Refused) });
            }
        }
    }

    async fn stage(&mut self, rings: bool) -> Result<Stage, Trouble> {
        if let Some(result) = self.inbox.call_ended {
            return Ok(if result == CallResult::Connected { Stage::Answered } else { Stage::Over });
        }
        let told = match self.inbox.call_state {
            Some(CallNotice::Answered) => return Ok(Stage::Answered),
            Some(CallNotice::Rings) => Stage::Rings,
            Some(CallNotice::Ended) => Stage::Over,
            None if rings => Stage::Rings,
            None => Stage::Dialling,
        };
        let Some(lines) = self.try_ask("AT+CLCC", Expect::Prefix("+CLCC:")).await? else {
            // It cannot be asked: then it rings as soon as it is dialled, as far as anybody can tell.
            return Ok(if told == Stage::Dialling { Stage::Rings } else { told });
        };
        // `+CLCC: id,dir,stat,…`; dir 0 is our own call.
        let mut own = lines.iter().filter_map(|line| {
            let mut fields = fields(line.split_once(':')?.1).skip(1);
            (fields.next()? == "0").then(|| fields.next())?
        });
        Ok(match own.next_back() {
            Some("0" | "1") => Stage::Answered,
            Some("3") => Stage::Rings,
            Some(_) => told,
            // Not in the list yet, or not any more.
            None if rings => Stage::Over,
            None => told,
        })
    }
}
