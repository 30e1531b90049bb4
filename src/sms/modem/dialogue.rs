//! Commands and their answers, with what the modem says unasked sifted out wherever it appears.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::answer::{AtError, CallResult, Final, final_of};
use super::board::Board;
use super::inbox::Inbox;
use super::lines::{LineReader, Said};
use super::notice::{CallNotice, Notice, notice_of, registration_answer};
use super::recovery::Ladder;
use super::settings::{Settings, Timing};
use super::status::{Phase, SimState};
use super::world::{Woken, World};
use crate::sms::pdu::Hidden;

/// One modem's dialogue: what is known of the modem, and what it has said. [`Driver::run`] is all there is to do with it.
pub struct Driver<W> {
    pub(super) world: W,
    pub(super) settings: Settings,
    pub(super) timing: Timing,
    pub(super) board: Arc<Board>,
    pub(super) reader: LineReader,
    pub(super) inbox: Inbox,
    pub(super) ladder: Ladder,
    /// The command in flight.
    asked: Option<Asked>,
    /// The next line is the data of a `+CMT`, `+CDS` (with its length) or `+CBM` (dropped).
    follows: Option<Follows>,
    /// Is the port open?
    pub(super) open: bool,
    /// Since when the modem is set up.
    pub(super) ready_since: Option<Instant>,
    /// While it is woken, it may well tell that it has just started.
    pub(super) waking: bool,
    /// Echoes were switched off.
    pub(super) echo_off: bool,
    /// And there was one all the same: it has restarted without a word, and forgotten its settings.
    pub(super) echoed: bool,
    /// The value of the last `^BOOT`.
    boot: Option<Hidden>,
    pub(super) huawei: bool,
    /// A call was begun and not given up yet.
    pub(super) calling: bool,
    /// The country calling code of the SIM.
    pub(super) country: Option<u16>,
    /// Optional commands that were not answered, and how often in a row: at last they are not asked again.
    pub(super) mute: BTreeMap<&'static str, u8>,
    /// Heads of lines that nobody knows, told once each.
    strange: BTreeSet<String>,
    /// The network refused to make reports.
    pub(super) reports_refused: bool,
    /// Binds the parts of the next longer message.
    pub(super) reference: u8,
    /// No message before this.
    pub(super) next_send: Instant,
    /// Since when there is no network.
    pub(super) lost_since: Option<Instant>,
    /// Look at the registration soon.
    pub(super) look_soon: bool,
}

/// Why the dialogue cannot go on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The port has vanished.
    Gone,
    /// No answer in time.
    Mute,
    /// The modem has restarted and forgotten its settings.
    Restarted,
    /// It does not do what it must.
    Faulty(String),
    /// Nothing goes on before a person has done something.
    Blocked(SimState, String),
    /// Nobody can bring work any more.
    Closed,
}

/// The information lines of an answer.
pub(super) type Lines = Vec<Zeroizing<String>>;

/// Which lines belong to the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// None.
    Nothing,
    /// Those that begin so.
    Prefix(&'static str),
    /// Those, and hexadecimal.
    PrefixAndPdu(&'static str),
    /// Any line that is nothing else.
    Bare,
}

struct Asked {
    echo: Zeroizing<String>,
    expect: Expect,
}

#[derive(Clone, Copy)]
enum Follows {
    Pdu(Option<usize>),
    Dropped,
}

impl<W: World> Driver<W> {
    /// A dialogue that has not begun.
    pub fn new(world: W, settings: Settings, board: Arc<Board>) -> Driver<W> {
        let now = world.now();
        let ladder = Ladder::new(&settings.timing);
        Driver {
            timing: settings.timing,
            world,
            settings,
            board,
            reader: LineReader::default(),
            inbox: Inbox::default(),
            ladder,
            asked: None,
            follows: None,
            open: false,
            ready_since: None,
            waking: false,
            echo_off: false,
            echoed: false,
            boot: None,
            huawei: false,
            calling: false,
            country: None,
            mute: BTreeMap::new(),
            strange: BTreeSet::new(),
            reports_refused: false,
            reference: 0,
            next_send: now,
            lost_since: None,
            look_soon: false,
        }
    }

    /// Asks and waits for the end of the answer.
    pub(super) async fn ask(
        &mut self,
        command: &str,
        expect: Expect,
        timeout: Duration,
    ) -> Result<Result<Lines, AtError>, Trouble> {
        self.begin(command, expect).await?;
        let answer = self.answer(timeout).await;
        self.asked = None;
        answer
    }

    /// Asks something that the modem may not know, and can do without.
    pub(super) async fn try_ask(&mut self, command: &'static str, expect: Expect) -> Result<Option<Lines>, Trouble> {
        // Once is chance: the modem may have hung just then.
        if self.mute.get(command).is_some_and(|times| *times >= MUTE_MAX) {
            return Ok(None);
        }
        let timeout = self.timing.answer;
        let answer = self.ask(command, expect, timeout).await;
        if answer == Err(Trouble::Mute) {
            log::debug!("modem: {} is not answered", mask(command));
            *self.mute.entry(command).or_default() += 1;
        } else if answer.is_ok() {
            self.mute.remove(command);
        }
        Ok(answer?.ok())
    }

    /// Tells the modem something, and does not mind if it refuses.
    pub(super) async fn try_tell(&mut self, command: &'static str) -> Result<bool, Trouble> {
        Ok(self.try_ask(command, Expect::Nothing).await?.is_some())
    }

    /// Writes a command. A carriage return ends it; a line feed could become the first character of a message.
    pub(super) async fn begin(&mut self, command: &str, expect: Expect) -> Result<(), Trouble> {
        log::trace!("modem: > {}", mask(command));
        let mut line = Zeroizing::new(Vec::with_capacity(command.len() + 1));
        line.extend_from_slice(command.as_bytes());
        line.push(b'\r');
        self.expect(command, expect);
        self.write(&line).await
    }

    /// From now on `echo` is an echo, and these lines belong to the answer.
    pub(super) fn expect(&mut self, echo: &str, expect: Expect) {
        self.asked = Some(Asked { echo: Zeroizing::new(echo.to_owned()), expect });
    }

    pub(super) fn answered(&mut self) {
        self.asked = None;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.world.write(bytes).await.map_err(|_| Trouble::Gone)
    }

    /// The information lines, when the answer is complete.
    async fn answer(&mut self, timeout: Duration) -> Result<Result<Lines, AtError>, Trouble> {
        let until = self.world.now() + timeout;
        let mut lines = Lines::new();
        loop {
            match self.hear(until).await? {
                None => return Err(Trouble::Mute),
                Some(Said::Prompt) => {}
                Some(Said::Line(line)) => match final_of(&line) {
                    Some(Final::Ok) => return Ok(Ok(lines)),
                    Some(Final::Error(error)) => return Ok(Err(error)),
                    // The end of a call, by chance just now.
                    Some(Final::Call(result)) => self.inbox.call_ended = Some(result),
                    None if lines.len() < ANSWER_LINES_MAX => lines.push(line),
                    None => {}
                },
            }
        }
    }

    /// The next thing that is not a notice or an echo; nothing when time is up.
    pub(super) async fn hear(&mut self, until: Instant) -> Result<Option<Said>, Trouble> {
        loop {
            while let Some(said) = self.reader.next() {
                match said {
                    Said::Prompt => return Ok(Some(Said::Prompt)),
                    Said::Line(line) => {
                        if let Some(line) = self.sift(line)? {
                            return Ok(Some(Said::Line(line)));
                        }
                    }
                }
            }
            match self.world.wait(until, false).await {
                Woken::Bytes(bytes) => self.reader.feed(&bytes),
                Woken::Time => return Ok(None),
                Woken::Gone => return Err(Trouble::Gone),
                Woken::Closed => return Err(Trouble::Closed),
                // Was not asked for: whoever waits for it is told by the ticket.
                Woken::Work(_) => {}
            }
        }
    }

    /// Lets time pass. What the modem says meanwhile is sifted, and answers to nothing are dropped.
    pub(super) async fn rest(&mut self, time: Duration) -> Result<(), Trouble> {
        let until = self.world.now() + time;
        while let Some(said) = self.hear(until).await? {
            if let Said::Line(line) = said
                && let Some(Final::Call(result)) = final_of(&line)
            {
                self.inbox.call_ended = Some(result);
            }
        }
        Ok(())
    }

    /// Takes echoes and notices out; what remains belongs to the command in flight.
    pub(super) fn sift(&mut self, line: Zeroizing<String>) -> Result<Option<Zeroizing<String>>, Trouble> {
        log::trace!("modem: < {}", mask(&line));
        if let Some(follows) = self.follows.take() {
            match follows {
                Follows::Pdu(length) if is_hex(&line) => {
                    self.inbox.came(length, Hidden::new(line.as_str()));
                    return Ok(None);
                }
                Follows::Dropped if final_of(&line).is_none() => return Ok(None),
                // The data was empty, and this is something else.
                _ => {}
            }
        }
        let expect = match &self.asked {
            Some(asked) if *asked.echo == *line => {
                self.echoed = true;
                return Ok(None);
            }
            Some(asked) => asked.expect,
            None => Expect::Nothing,
        };
        if belongs(&line, expect) || final_of(&line).is_some() {
            return Ok(Some(line));
        }
        if let Some(notice) = notice_of(&line) {
            return self.take_notice(notice).map(|()| None);
        }
        if self.inbox.is_rest_of_ussd(&line) {
            return Ok(None);
        }
        if expect == Expect::Bare {
            return Ok(Some(line));
        }
        let head = head_of(&line);
        if self.strange.len() < STRANGE_MAX && self.strange.insert(head.to_owned()) {
            log::debug!("modem: lines that begin with {head:?} are not known and ignored");
        }
        Ok(None)
    }

    fn take_notice(&mut self, notice: Notice) -> Result<(), Trouble> {
        match notice {
            Notice::Stored(place) => self.inbox.stored(place),
            Notice::Follows(length) => self.follows = Some(Follows::Pdu(length)),
            Notice::Broadcast => self.follows = Some(Follows::Dropped),
            Notice::Registration(_) | Notice::Sim => self.look_soon = true,
            Notice::Ring => self.inbox.ring(self.world.now()),
            Notice::Caller(caller) => self.inbox.caller(self.world.now(), caller),
            Notice::Ussd(state, rest) => self.inbox.ussd = Some((state, rest)),
            Notice::MemoryFull => self.inbox.search = true,
            Notice::Call(CallNotice::Ended) => self.inbox.call_ended = Some(CallResult::NoCarrier),
            Notice::Call(state) => self.inbox.call_state = Some(state),
            Notice::Started => return self.restarted(),
            // Said up to half a minute after the start, when the modem is long set up.
            Notice::Ready => {
                let since = self.ready_since.map(|since| self.world.now().saturating_duration_since(since));
                if since.is_some_and(|since| since > self.timing.health) {
                    return self.restarted();
                }
            }
            Notice::Boot(value) => {
                let changed = self.boot.as_ref().is_some_and(|known| *known != value);
                self.boot = Some(value);
                if changed {
                    return self.restarted();
                }
            }
            Notice::PowerLow => self.fail(
                "the modem loses power (remedy: a stronger power supply or a powered hub; modems draw 2 A for moments)",
            ),
            Notice::Noise => {}
        }
        Ok(())
    }

    fn restarted(&mut self) -> Result<(), Trouble> {
        if self.waking { Ok(()) } else { Err(Trouble::Restarted) }
    }

    /// Tells the operator, once if the same happens again and again.
    pub(super) fn fail(&self, text: &str) {
        if self.board.failed(self.world.now(), text) {
            log::warn!("modem: {text}");
        }
    }

    /// What the modem is doing now.
    pub(super) fn enter(&self, phase: Phase) {
        if self.board.enter(phase) && phase != Phase::Sending {
            log::debug!("modem: {phase}");
        }
    }

    /// What was said belongs to the past.
    pub(super) fn forget(&mut self) {
        self.reader.clear();
        self.asked = None;
        self.follows = None;
        self.echoed = false;
    }
}

fn belongs(line: &str, expect: Expect) -> bool {
    match expect {
        Expect::Nothing | Expect::Bare => false,
        Expect::Prefix(prefix @ ("+CREG:" | "+CEREG:" | "+CGREG:")) => {
            line.strip_prefix(prefix).and_then(registration_answer).is_some()
        }
        Expect::Prefix(prefix) => line.starts_with(prefix),
        Expect::PrefixAndPdu(prefix) => line.starts_with(prefix) || is_hex(line),
    }
}

fn is_hex(line: &str) -> bool {
    line.len() >= PDU_DIGITS_MIN && line.len().is_multiple_of(2) && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What may be logged of a line: the name of the command or answer, and nothing that it says. Finals are shown whole.
pub(super) fn mask(line: &str) -> String {
    if let Some(end) = final_of(line) {
        return match end {
            Final::Error(error) => error.to_string(),
            _ => line.chars().take_while(|c| !c.is_ascii_digit()).collect(),
        };
    }
    let head = head_of(line);
    if head.len() == line.len() { head.to_owned() } else { format!("{head}…") }
}

/// The letters at the front with the mark before them: `AT+CPIN` of a command, `+CMTI` of a notice.
fn head_of(line: &str) -> &str {
    // A dialled number stands right behind its command.
    if line.starts_with("ATD") {
        return "ATD";
    }
    // Anything else may be part of a text.
    if !line.starts_with(['+', '^', '*']) && !line.starts_with("AT") {
        return "";
    }
    let end = line.find(|c: char| !(c.is_ascii_alphabetic() || "+^*&".contains(c))).unwrap_or(line.len());
    line.get(..end.min(HEAD_BYTES_MAX)).unwrap_or_default()
}

/// Lines of one answer: two for each of the 255 messages of a full memory.
const ANSWER_LINES_MAX: usize = 600;
/// Shorter hexadecimal is something else.
const PDU_DIGITS_MIN: usize = 16;
/// A command that was not answered so often is one that the modem does not know.
const MUTE_MAX: u8 = 2;
/// Unknown heads that are remembered.
const STRANGE_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left_of_a_masked_line() {
        for (line, masked) in [
            ("AT+CPIN=\"1234\"", "AT+CPIN…"),
            ("AT+CMGS=23", "AT+CMGS…"),
            ("ATD+4915112345678;", "ATD…"),
            ("AT+CUSD=1,\"*100#\",15", "AT+CUSD…"),
            ("0011000B916407281553F80000A70AE8329BFD4697D9EC37", "…"),
            ("+CLIP: \"+4917012345\",145", "+CLIP…"),
            ("490154203237518", "…"),
            ("Dear customer", "…"),
            ("+CMS ERROR: 38", "+CMS ERROR 38"),
            ("+CME ERROR: your PIN 1234", "an error in words"),
            ("CONNECT 9600", "CONNECT "),
            ("OK", "OK"),
            ("ATE0", "ATE…"),
            ("+THISISALONGCOMMANDNAME", "+THISISALONGCOMM…"),
        ] {
            assert_eq!(mask(line), masked, "{line}");
        }
    }
}
