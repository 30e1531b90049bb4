//! What comes in by itself: messages and reports that the SIM stores, and calls.
//!
//! A message is deleted from the SIM only when it has been handed over, so that one that arrives while nobody can take it is
//! not lost; but then it is deleted without fail, for a full SIM receives nothing. That goes for everything that lies there:
//! the SIM is the node's alone.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::answer::CallResult;
use super::dialogue::{Driver, Expect, Lines, Trouble};
use super::notice::{CallNotice, fields};
use super::world::{Incoming, World};
use crate::sms::pdu::{Address, Deliver, Hidden, Message, Reassembly, StatusReport, read};

/// What waits to be looked at.
#[derive(Default)]
pub(super) struct Inbox {
    /// Places on the SIM where something new lies.
    places: BTreeSet<u16>,
    /// Look at all places.
    pub(super) search: bool,
    /// Messages that came without being stored.
    direct: VecDeque<(Option<usize>, Hidden)>,
    assembly: Reassembly,
    call: Option<Call>,
    /// Who was told as a caller last, and when.
    told: Option<(Address, Instant)>,
    pub(super) ussd: Option<(u8, Hidden)>,
    pub(super) call_state: Option<CallNotice>,
    pub(super) call_ended: Option<CallResult>,
}

/// Somebody is calling.
struct Call {
    rings: u32,
    /// `Some(None)`: the number is withheld.
    caller: Option<Option<Address>>,
    last: Instant,
}

impl Inbox {
    pub(super) fn stored(&mut self, place: u16) {
        if self.places.len() < PLACES_MAX {
            self.places.insert(place);
        } else {
            self.search = true;
        }
    }

    pub(super) fn came(&mut self, length: Option<usize>, pdu: Hidden) {
        if self.direct.len() >= DIRECT_MAX {
            self.direct.pop_front();
        }
        self.direct.push_back((length, pdu));
    }

    pub(super) fn ring(&mut self, now: Instant) {
        let call = self.call(now);
        call.rings += 1;
    }

    pub(super) fn caller(&mut self, now: Instant, caller: Option<Address>) {
        let call = self.call(now);
        // The first notice may lack a number that the second has.
        if !matches!(call.caller, Some(Some(_))) {
            call.caller = Some(caller);
        }
    }

    /// The answer to a USSD code may have several lines, up to the closing quote. True if this is one of them.
    pub(super) fn is_rest_of_ussd(&mut self, line: &str) -> bool {
        match &mut self.ussd {
            Some((_, rest)) if is_open(rest) => {
                *rest = Hidden::new(format!("{}\n{line}", rest.as_str()));
                true
            }
            _ => false,
        }
    }

    /// The answer to a USSD code, once it is complete.
    pub(super) fn take_ussd(&mut self) -> Option<(u8, Hidden)> {
        self.ussd.take_if(|(_, rest)| !is_open(rest))
    }

    /// Is there something to do?
    pub(super) fn is_waiting(&self) -> bool {
        self.search
            || !self.places.is_empty()
            || !self.direct.is_empty()
            || self.call.as_ref().is_some_and(Call::is_known)
    }

    fn call(&mut self, now: Instant) -> &mut Call {
        // It rings every 5 seconds.
        let over = |call: &Call| now.saturating_duration_since(call.last).as_secs() > RINGS_APART_SECS;
        if self.call.as_ref().is_some_and(over) {
            self.call = None;
        }
        let call = self.call.get_or_insert(Call { rings: 0, caller: None, last: now });
        call.last = now;
        call
    }
}

fn is_open(text: &Hidden) -> bool {
    text.as_str().matches('"').count() % 2 == 1 && text.as_str().len() < USSD_BYTES_MAX
}

impl Call {
    /// Is the number known, or will it never be?
    fn is_known(&self) -> bool {
        match &self.caller {
            Some(Some(_)) => true,
            Some(None) => self.rings >= 2,
            None => self.rings >= 3,
        }
    }
}

impl<W: World> Driver<W> {
    /// Deals with everything that has come in.
    pub(super) async fn take_in(&mut self) -> Result<(), Trouble> {
        while let Some((length, pdu)) = self.inbox.direct.pop_front() {
            // Not stored: if there is no room for it, it is lost.
            self.hand_over(&pdu, length);
        }
        if self.inbox.call.as_ref().is_some_and(Call::is_known) {
            self.take_call().await?;
        }
        self.take_stored().await
    }

    /// Reads, hands over and deletes what lies on the SIM: 27.005 §4.1, §4.2, §3.5.4.
    pub(super) async fn take_stored(&mut self) -> Result<(), Trouble> {
        while let Some(place) = self.inbox.places.pop_first() {
            let command = format!("AT+CMGR={place}");
            let answer = self.ask(&command, Expect::PrefixAndPdu("+CMGR:"), self.timing.slow_answer).await?;
            // An empty place is +CMS ERROR 321, or an empty answer.
            let Ok(lines) = answer else { continue };
            let Some((head, pdu)) = pairs(&lines, "+CMGR:").into_iter().next() else { continue };
            if self.hand_over(&pdu, head.last().and_then(|length| length.parse().ok())) {
                self.delete(place).await?;
            }
        }
        if std::mem::take(&mut self.inbox.search) {
            self.search_stored().await?;
        }
        Ok(())
    }

    async fn search_stored(&mut self) -> Result<(), Trouble> {
        // 4: all.
        let answer = self.ask("AT+CMGL=4", Expect::PrefixAndPdu("+CMGL:"), self.timing.slow_answer).await?;
        for (head, pdu) in pairs(&answer.unwrap_or_default(), "+CMGL:") {
            let mut head = head.into_iter();
            let Some(place) = head.next().and_then(|place| place.parse().ok()) else { continue };
            if self.hand_over(&pdu, head.last().and_then(|length| length.parse().ok())) {
                self.delete(place).await?;
            }
        }
        Ok(())
    }

    async fn delete(&mut self, place: u16) -> Result<(), Trouble> {
        self.inbox.places.remove(&place);
        let command = format!("AT+CMGD={place}");
        if let Err(error) = self.ask(&command, Expect::Nothing, self.timing.slow_answer).await? {
            log::debug!("modem: a message that was read cannot be deleted: {error}");
        }
        Ok(())
    }

    /// True if it can be deleted.
    fn hand_over(&mut self, pdu: &Hidden, length: Option<usize>) -> bool {
        match read(pdu.as_str(), length) {
            Ok(Message::Deliver(message)) => self.hand_over_message(&message),
            Ok(Message::Report(report)) => self.hand_over_report(&report),
            // Something that was to be sent once, by somebody else.
            Ok(Message::Submit(_)) => true,
            Err(error) => {
                log::debug!("modem: a message that came in cannot be read: {error}");
                true
            }
        }
    }

    fn hand_over_message(&mut self, message: &Deliver) -> bool {
        let Some(text) = self.inbox.assembly.take(self.world.now(), message) else { return true };
        let Some(from) = message.from.number(self.country) else {
            log::debug!("modem: a message from a name or a short number is ignored");
            return true;
        };
        let centre = message.centre.as_ref().and_then(|centre| centre.number(None));
        self.world.deliver(Incoming::Sms { from, text, centre })
    }

    fn hand_over_report(&mut self, report: &StatusReport) -> bool {
        let to = report.to.number(self.country);
        self.world.deliver(Incoming::Report { reference: report.reference.to_string(), to, state: report.state })
    }

    /// Tells who calls, and hangs up: a call that is not answered costs nobody anything.
    async fn take_call(&mut self) -> Result<(), Trouble> {
        let Some(call) = self.inbox.call.take() else { return Ok(()) };
        if !self.settings.watch_calls {
            return Ok(());
        }
        match call.caller.flatten() {
            Some(caller) => self.tell_call(caller),
            None => log::debug!("modem: a call without a number is rejected"),
        }
        self.hang_up().await
    }

    fn tell_call(&mut self, caller: Address) {
        let now = self.world.now();
        let last = self.inbox.told.replace((caller.clone(), now));
        // What still rang after it was rejected is the same call.
        let same = |(who, at): (Address, Instant)| {
            who == caller && now.saturating_duration_since(at).as_secs() <= RINGS_APART_SECS
        };
        if last.is_some_and(same) {
            return;
        }
        match caller.number(self.country) {
            Some(from) => {
                if !self.world.deliver(Incoming::Call { from }) {
                    log::debug!("modem: nobody has time for a call");
                }
            }
            None => log::debug!("modem: a call from a number that cannot be read is rejected"),
        }
    }

    pub(super) async fn hang_up(&mut self) -> Result<(), Trouble> {
        // 27.007 §6.5; older ones know only V.250's.
        if !self.try_tell("AT+CHUP").await? {
            self.try_tell("ATH").await?;
        }
        self.calling = false;
        Ok(())
    }
}

/// Heads with the PDU that follows each.
fn pairs(lines: &Lines, prefix: &str) -> Vec<(Vec<String>, Hidden)> {
    let mut pairs = Vec::new();
    let mut head = None;
    for line in lines {
        if let Some(rest) = line.strip_prefix(prefix) {
            head = Some(fields(rest).map(str::to_owned).collect());
        } else if let Some(head) = head.take() {
            pairs.push((head, Hidden::new(line.as_str())));
        }
    }
    pairs
}

/// Places that are remembered; with more, all are looked at.
const PLACES_MAX: usize = 64;
const USSD_BYTES_MAX: usize = 2048;
const DIRECT_MAX: usize = 32;
const RINGS_APART_SECS: u64 = 12;
