//! The life of a modem: opened, set up, at work, and brought back when something fails.
//!
//! | State | Left when |
//! |---|---|
//! | absent | the port can be opened |
//! | starting, registering | the modem is set up, with or without a network |
//! | ready, sending | trouble |
//! | recovering | a pause is over that doubles each time |
//! | blocked | a person has done something about SIM or PIN |
//!
//! The ladder of recovery, one step more each time until the modem has worked well for a while: wake it and set it up again;
//! close and open the port; restart the radio; restart the modem; switch its power off and on. Unplugging is no step: the
//! port is tried until it is back, by whatever name it has then. Work that comes while there is no modem is refused at once,
//! so that another way can be tried.

use std::time::{Duration, Instant};

use super::ModemError;
use super::dialogue::{Driver, Expect, Trouble};
use super::pin::PinSource;
use super::send::NO_NETWORK;
use super::settings::Timing;
use super::sim::SimAnswer;
use super::status::{Phase, SimState};
use super::world::{Job, Task, Woken, World};
use crate::limits::Backoff;
use crate::sms::pdu::Submit;
use crate::sms::{Accepted, SmsError};

/// How far recovery has come.
pub(super) struct Ladder {
    step: Step,
    backoff: Backoff,
    restarts: u32,
    last_trouble: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Wake,
    Reopen,
    Radio,
    Restart,
    Power,
}

impl Ladder {
    pub(super) fn new(timing: &Timing) -> Ladder {
        let backoff = Backoff::new(timing.backoff_first, timing.backoff_longest);
        Ladder { step: Step::Wake, backoff, restarts: 0, last_trouble: None }
    }

    /// The step to take now; the next trouble takes the one after it.
    fn climb(&mut self) -> Step {
        let step = self.step;
        self.step = match step {
            Step::Wake => Step::Reopen,
            Step::Reopen => Step::Radio,
            Step::Radio => Step::Restart,
            Step::Restart | Step::Power => Step::Power,
        };
        step
    }

    fn reset(&mut self) {
        self.step = Step::Wake;
        self.backoff.succeeded();
        self.restarts = 0;
    }
}

impl<W: World> Driver<W> {
    /// Serves the modem until nobody can bring work any more.
    pub async fn run(mut self) {
        loop {
            let trouble = match self.session().await {
                Ok(()) => continue,
                Err(trouble) => trouble,
            };
            let ended = match trouble {
                Trouble::Closed => Err(Trouble::Closed),
                Trouble::Blocked(state, reason) => self.stay_blocked(state, &reason).await,
                trouble => self.recover(trouble).await,
            };
            match ended {
                Ok(()) => {}
                Err(Trouble::Closed) => break,
                // Found again at the next opening.
                Err(trouble) => log::debug!("modem: {trouble:?} while it was brought back"),
            }
        }
        self.world.close();
    }

    async fn session(&mut self) -> Result<(), Trouble> {
        if !self.open {
            self.connect().await?;
        }
        self.set_up().await?;
        let status = self.board.status(self.world.now());
        log::info!(
            "modem: {} is ready, {}, signal {}",
            status.model.as_deref().unwrap_or("a modem of unknown make"),
            status.registration,
            status.signal
        );
        self.serve().await
    }

    /// Until the port is open.
    async fn connect(&mut self) -> Result<(), Trouble> {
        loop {
            match self.world.open().await {
                Ok(opened) => {
                    log::info!("modem: {} is open", opened.device);
                    if let Some(conflict) = &opened.conflict {
                        self.fail(conflict);
                    }
                    self.open = true;
                    self.forget();
                    self.board.write(|status| {
                        status.device = Some(opened.device);
                        status.conflict = opened.conflict;
                    });
                    return Ok(());
                }
                Err(fault) => {
                    self.enter(Phase::Absent);
                    self.fail(&fault.reason);
                    self.board.write(|status| status.conflict = fault.conflict);
                    let reason = "there is no modem (remedy: see `modem status`)".to_owned();
                    self.refuse_for(self.timing.absent_poll, SmsError::Refused(reason.into())).await?;
                }
            }
        }
    }

    /// Works until there is trouble.
    async fn serve(&mut self) -> Result<(), Trouble> {
        let mut next_check = self.world.now() + self.timing.health;
        loop {
            self.enter(Phase::Ready);
            if self.inbox.is_waiting() {
                self.take_in().await?;
                continue;
            }
            if self.look_soon {
                self.look_at_registration().await?;
            }
            let now = self.world.now();
            if now >= next_check {
                self.check().await?;
                next_check = self.world.now() + self.timing.health;
                continue;
            }
            // While the pause after a message lasts, the next waits in the queue.
            let may_work = now >= self.next_send;
            let until = if may_work { next_check } else { next_check.min(self.next_send) };
            match self.world.wait(until, may_work).await {
                Woken::Work(job) => self.work(job).await?,
                Woken::Bytes(bytes) => {
                    self.reader.feed(&bytes);
                    // Everything that is said now is unasked for.
                    self.rest(Duration::ZERO).await?;
                }
                Woken::Time => {}
                Woken::Gone => return Err(Trouble::Gone),
                Woken::Closed => return Err(Trouble::Closed),
            }
        }
    }

    /// Is it still there, does it have a network, has something come in without a notice?
    async fn check(&mut self) -> Result<(), Trouble> {
        if self.ask("AT", Expect::Nothing, self.timing.answer).await?.is_err() || (self.echo_off && self.echoed) {
            return Err(Trouble::Restarted);
        }
        self.look_at_registration().await?;
        self.look_at_signal().await?;
        self.inbox.search = true;
        let now = self.world.now();
        let well = |since: Instant| now.saturating_duration_since(since) >= self.timing.forgive;
        if self.ready_since.is_some_and(well) {
            self.ladder.reset();
        }
        let lost = |since: Instant| now.saturating_duration_since(since) >= self.timing.network_lost;
        if self.lost_since.is_some_and(lost) {
            self.search_network().await?;
        }
        Ok(())
    }

    /// A search that has gone on for too long is begun anew.
    async fn search_network(&mut self) -> Result<(), Trouble> {
        self.fail(
            "there is no network (remedy: another place or an aerial; 2G and 3G are switched off in many countries)",
        );
        let _ = self.ask("AT+COPS=0", Expect::Nothing, self.timing.slow_answer).await?;
        self.restart_radio().await?;
        // Not again for as long as before.
        self.lost_since = Some(self.world.now());
        Err(Trouble::Restarted)
    }

    async fn work(&mut self, job: Job) -> Result<(), Trouble> {
        match job {
            Job::Send(task) => self.work_on_message(task).await,
            Job::Ussd(task) if task.begin() => {
                let outcome = self.ussd(&task.work).await;
                task.finish(outcome.clone().unwrap_or(Err(ModemError::NoAnswer)));
                outcome.map(|_| ())
            }
            Job::Dial(task) if task.begin() => {
                let outcome = self.dial(&task.work).await;
                task.finish(outcome.clone().unwrap_or(Err(ModemError::NoAnswer)));
                outcome.map(|_| ())
            }
            Job::Ussd(_) | Job::Dial(_) => Ok(()),
        }
    }

    async fn work_on_message(&mut self, task: Task<Submit, Result<Accepted, SmsError>>) -> Result<(), Trouble> {
        if !task.begin() {
            return Ok(());
        }
        let registered = self.board.status(self.world.now()).registration.is_registered();
        let there = if registered { Ok(true) } else { self.wait_for_network().await };
        let (outcome, state) = match there {
            Ok(true) => self.send(&task.work).await,
            Ok(false) => (Err(SmsError::Refused(NO_NETWORK.into())), Ok(())),
            Err(trouble) => {
                (Err(SmsError::Refused("the modem was lost before the message had left".into())), Err(trouble))
            }
        };
        self.board.write(|status| match &outcome {
            Ok(_) => status.sent += 1,
            Err(SmsError::Unknown(_)) => status.unknown += 1,
            Err(_) => status.refused += 1,
        });
        match &outcome {
            Ok(_) => self.ladder.reset(),
            Err(error) => self.fail(&error.to_string()),
        }
        task.finish(outcome);
        state
    }

    /// One step of the ladder, and a pause.
    async fn recover(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        self.ready_since = None;
        match &trouble {
            Trouble::Gone => {
                self.fail(
                    "the modem was unplugged, or its port vanished (remedy: plug it in again; it is found by itself)",
                );
                self.close();
                self.enter(Phase::Absent);
                // A device that can be opened and is gone at once must not keep the processor busy.
                let reason = "the modem was unplugged (remedy: plug it in again)";
                return self.refuse_for(self.timing.absent_poll, SmsError::Refused(reason.into())).await;
            }
            Trouble::Restarted => return self.after_restart().await,
            Trouble::Faulty(reason) => self.fail(reason),
            _ => self.fail("the modem does not answer; it is being brought back (remedy: none yet)"),
        }
        self.enter(Phase::Recovering);
        let step = self.ladder.climb();
        log::debug!("modem: recovery takes the step {step:?}");
        self.take_step(step).await?;
        if step != Step::Wake {
            self.pause_recovery().await?;
        }
        Ok(())
    }

    /// A modem that restarted by itself is only set up again; but one that does so again and again needs pauses too.
    async fn after_restart(&mut self) -> Result<(), Trouble> {
        self.enter(Phase::Recovering);
        let now = self.world.now();
        let calm = |last: Instant| now.saturating_duration_since(last) > self.timing.forgive;
        if self.ladder.last_trouble.is_none_or(calm) {
            self.ladder.restarts = 0;
        }
        self.ladder.last_trouble = Some(now);
        self.ladder.restarts += 1;
        if self.ladder.restarts < RESTARTS_MAX {
            log::info!("modem: it has restarted and is set up again");
            return self.quiet(self.timing.sim_poll).await;
        }
        self.fail("the modem restarts again and again (remedy: a stronger power supply or a powered hub)");
        self.pause_recovery().await
    }

    async fn take_step(&mut self, step: Step) -> Result<(), Trouble> {
        match step {
            Step::Wake => Ok(()),
            Step::Reopen => {
                self.close();
                Ok(())
            }
            Step::Radio => {
                // Of a modem that says nothing at all it cannot be asked.
                let awake = self.wake().await;
                let done = if awake.is_ok() { self.restart_radio().await } else { Ok(()) };
                self.close();
                done
            }
            Step::Restart => {
                // 27.007 §8.2: with a reset. It vanishes for up to 40 seconds.
                let _ = self.ask("AT+CFUN=1,1", Expect::Nothing, self.timing.answer).await;
                if self.huawei {
                    let _ = self.ask("AT^RESET", Expect::Nothing, self.timing.answer).await;
                }
                self.close();
                self.refuse_for(self.timing.restart, recovering()).await
            }
            Step::Power => {
                self.close();
                if self.world.power_cycle().await {
                    log::warn!("modem: its power was switched off and on");
                    self.refuse_for(self.timing.restart, recovering()).await?;
                }
                Ok(())
            }
        }
    }

    pub(super) async fn restart_radio(&mut self) -> Result<(), Trouble> {
        for command in ["AT+CFUN=4", "AT+CFUN=1"] {
            match self.ask(command, Expect::Nothing, self.timing.slow_answer).await {
                Ok(_) | Err(Trouble::Mute | Trouble::Restarted) => {}
                Err(trouble) => return Err(trouble),
            }
            self.quiet(self.timing.radio_off).await?;
        }
        Ok(())
    }

    async fn pause_recovery(&mut self) -> Result<(), Trouble> {
        let random = self.world.random();
        let pause = self.ladder.backoff.failed(random);
        self.refuse_for(pause, recovering()).await
    }

    /// Until a person has done something: another PIN, another SIM, the modem plugged in again.
    async fn stay_blocked(&mut self, state: SimState, reason: &str) -> Result<(), Trouble> {
        self.fail(reason);
        self.board.write(|status| status.sim = state);
        let refusal = SmsError::NotAllowed(reason.to_owned().into());
        let pin = self.world.pin();
        loop {
            self.enter(Phase::Blocked);
            self.look_soon = false;
            match self.refuse_for(self.timing.health, refusal.clone()).await {
                Ok(()) => {}
                Err(Trouble::Gone) => return self.recover(Trouble::Gone).await,
                Err(Trouble::Restarted) => return Ok(()),
                Err(trouble) => return Err(trouble),
            }
            let changed = self.world.pin();
            if matches!(&changed, PinSource::Pin(_)) && changed != pin {
                log::info!("modem: there is another PIN");
                return Ok(());
            }
            // Looking costs no try.
            match self.look_at_sim().await {
                Ok(SimAnswer::Ready) => return Ok(()),
                Ok(SimAnswer::Pin) if !matches!(state, SimState::PinWanted | SimState::PinRefused) => return Ok(()),
                Err(Trouble::Gone) => return self.recover(Trouble::Gone).await,
                Err(Trouble::Closed) => return Err(Trouble::Closed),
                Ok(_) => {}
                Err(trouble) => return self.recover(trouble).await,
            }
        }
    }

    /// Lets time pass and refuses all work. A modem that is open is listened to.
    async fn refuse_for(&mut self, time: Duration, refusal: SmsError) -> Result<(), Trouble> {
        let until = self.world.now() + time;
        loop {
            match self.world.wait(until, true).await {
                Woken::Work(job) => {
                    if refuse(job, &refusal) {
                        self.board.write(|status| status.refused += 1);
                    }
                }
                Woken::Bytes(bytes) => {
                    self.reader.feed(&bytes);
                    self.rest(Duration::ZERO).await?;
                }
                Woken::Time => return Ok(()),
                Woken::Gone => return Err(Trouble::Gone),
                Woken::Closed => return Err(Trouble::Closed),
            }
        }
    }

    /// Lets time pass in which a modem may say that it restarts.
    async fn quiet(&mut self, time: Duration) -> Result<(), Trouble> {
        self.waking = true;
        let rested = self.rest(time).await;
        self.waking = false;
        rested
    }

    fn close(&mut self) {
        self.world.close();
        self.open = false;
        self.ready_since = None;
        self.forget();
    }
}

/// Gives work back undone; true if it was a message.
fn refuse(job: Job, refusal: &SmsError) -> bool {
    match job {
        Job::Send(task) if task.begin() => {
            task.finish(Err(refusal.clone()));
            return true;
        }
        Job::Ussd(task) if task.begin() => task.finish(Err(ModemError::NotReady)),
        Job::Dial(task) if task.begin() => task.finish(Err(ModemError::NotReady)),
        Job::Send(_) | Job::Ussd(_) | Job::Dial(_) => {}
    }
    false
}

fn recovering() -> SmsError {
    SmsError::Refused("the modem is being brought back after a fault (remedy: see `modem status`)".into())
}

/// Restarts within a while that are thought harmless.
const RESTARTS_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_takes_a_harder_step_until_all_is_well() {
        let mut ladder = Ladder::new(&Timing::default());
        let steps: Vec<Step> = (0..6).map(|_| ladder.climb()).collect();
        assert_eq!(steps, [Step::Wake, Step::Reopen, Step::Radio, Step::Restart, Step::Power, Step::Power]);
        ladder.reset();
        assert_eq!(ladder.climb(), Step::Wake);
    }
}
