//! How often a device is woken, what waits for it since it was there, and what its service says. XEP-0357 §7.
//!
//! All of this is in memory only: after a restart counting begins anew, and each device may be woken at once.

use std::time::Instant;

use super::Registration;
use crate::jid::{BareJid, Jid};
use crate::limits::{self, BoundedMap, TokenBucket};
use crate::stanza::{ErrorType, Stanza, StanzaCondition};
use crate::xml::ns;

/// What a service's answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on, also if this push failed.
    Goes,
    /// The service wakes this device no more.
    Over {
        /// Whose device.
        account: BareJid,
        /// The service.
        service: Jid,
        /// What the service knew it by.
        node: String,
        /// Why, in the words of stanza errors.
        why: &'static str,
    },
}

/// One device of an account.
#[derive(Debug)]
struct Device {
    service: Jid,
    node: String,
    resource: String,
    bucket: TokenBucket,
    waiting: u32,
    failing_since: Option<Instant>,
}

/// A push that the service has not answered.
#[derive(Debug)]
struct Asked {
    account: BareJid,
    service: Jid,
    node: String,
}

/// The pace of all pushes.
#[derive(Debug)]
pub struct Pace {
    devices: BoundedMap<BareJid, Vec<Device>>,
    asked: BoundedMap<String, Asked>,
    number: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            devices: BoundedMap::new(limits::THROTTLE_ENTRIES_MAX),
            asked: BoundedMap::new(limits::PUSHES_UNANSWERED_MAX),
            number: 0,
        }
    }
}

impl Pace {
    /// One more message waits for a device: the id of the push to send and the number to tell, unless it was woken often enough of
    /// late.
    pub fn unread(&mut self, now: Instant, account: &BareJid, registration: &Registration) -> Option<(String, u32)> {
        let device = self.device(now, account, registration)?;
        device.resource.clone_from(&registration.resource);
        device.waiting = device.waiting.saturating_add(1);
        let waiting = device.waiting;
        device.bucket.take(now).ok()?;
        self.number = self.number.wrapping_add(1);
        let id = format!("push-{}", self.number);
        let asked =
            Asked { account: account.clone(), service: registration.service.clone(), node: registration.node.clone() };
        self.asked.insert(id.clone(), asked);
        Some((id, waiting))
    }

    /// A device connected: nothing waits for it any more, and it may be woken at once when it is gone again.
    pub fn seen(&mut self, now: Instant, account: &BareJid, resource: &str) {
        for device in self.devices.get_mut(account).into_iter().flatten().filter(|d| d.resource == resource) {
            device.waiting = 0;
            device.bucket = full_bucket(now);
        }
    }

    /// A registration is gone or replaced.
    pub fn forget(&mut self, account: &BareJid, service: &Jid, node: Option<&str>) {
        let gone = |device: &Device| device.service == *service && node.is_none_or(|node| device.node == node);
        if let Some(devices) = self.devices.get_mut(account) {
            devices.retain(|device| !gone(device));
            if devices.is_empty() {
                self.devices.remove(account);
            }
        }
    }

    /// An answer came to the node: `None` if it is none to a push. Nobody answers for another service.
    pub fn answered(&mut self, now: Instant, answer: &Stanza) -> Option<Verdict> {
        let id = answer.id()?.to_owned();
        self.asked.get(&id).filter(|asked| Some(&asked.service) == answer.from())?;
        let Asked { account, service, node } = self.asked.remove(&id)?;
        let devices = self.devices.get_mut(&account).into_iter().flatten();
        let device = devices.into_iter().find(|device| device.service == service && device.node == node);
        if !answer.is_error() {
            device.into_iter().for_each(|device| device.failing_since = None);
            return Some(Verdict::Goes);
        }
        let (why, for_now) = reason(answer);
        let long = device.is_some_and(|device| {
            let since = *device.failing_since.get_or_insert(now);
            now.saturating_duration_since(since) >= limits::PUSH_FAILING_MAX
        });
        // XEP-0357 §7: an error ends it, unless it passes.
        Some(if for_now && !long { Verdict::Goes } else { Verdict::Over { account, service, node, why } })
    }

    fn device(&mut self, now: Instant, account: &BareJid, registration: &Registration) -> Option<&mut Device> {
        if self.devices.get(account).is_none() {
            self.devices.insert(account.clone(), Vec::new());
        }
        let devices = self.devices.get_mut(account)?;
        let known = |device: &Device| device.service == registration.service && device.node == registration.node;
        if let Some(at) = devices.iter().position(known) {
            return devices.get_mut(at);
        }
        if devices.len() >= limits::PUSH_SERVICES_MAX {
            devices.remove(0);
        }
        devices.push(Device {
            service: registration.service.clone(),
            node: registration.node.clone(),
            resource: registration.resource.clone(),
            bucket: full_bucket(now),
            waiting: 0,
            failing_since: None,
        });
        devices.last_mut()
    }
}

fn full_bucket(now: Instant) -> TokenBucket {
    TokenBucket::new(now, limits::PUSH_BURST, limits::PUSH_REFILL)
}

/// The condition of an error, and whether it may pass.
fn reason(answer: &Stanza) -> (&'static str, bool) {
    let error = answer.element().child("error", ns::CLIENT);
    let name = error.and_then(|e| e.children().find(|child| child.namespace() == ns::STANZA_ERRORS));
    let condition = StanzaCondition::ALL.iter().find(|condition| name.is_some_and(|n| n.name() == condition.as_str()));
    let condition = condition.copied().unwrap_or(StanzaCondition::UndefinedCondition);
    let waits = error.and_then(|error| error.attribute("type")) == Some(ErrorType::Wait.as_str());
    let passes = matches!(
        condition,
        StanzaCondition::RemoteServerNotFound
            | StanzaCondition::RemoteServerTimeout
            | StanzaCondition::ResourceConstraint
            | StanzaCondition::InternalServerError
    );
    (condition.as_str(), waits || passes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::push::publish;
    use crate::stanza::StanzaError;

    fn juliet() -> BareJid {
        "juliet@a.example".parse().unwrap()
    }

    fn phone() -> Registration {
        Registration {
            service: "push.b.example".parse().unwrap(),
            node: "n".to_owned(),
            resource: "phone".to_owned(),
            options: None,
        }
    }

    fn question(id: &str) -> Stanza {
        publish(&"a.example".parse().unwrap(), &phone(), 1, id)
    }

    #[test]
    fn a_device_is_woken_so_often_and_told_of_all_that_waits() {
        let now = Instant::now();
        let mut pace = Pace::default();
        for number in 1..=limits::PUSH_BURST {
            assert_eq!(pace.unread(now, &juliet(), &phone()).map(|(_, waiting)| waiting), Some(number));
        }
        assert_eq!(pace.unread(now, &juliet(), &phone()), None);
        // Another device has a pace of its own.
        let tablet = Registration { node: "t".to_owned(), resource: "tablet".to_owned(), ..phone() };
        assert_eq!(pace.unread(now, &juliet(), &tablet).map(|(_, waiting)| waiting), Some(1));
        let later = now + limits::PUSH_REFILL;
        let woken = pace.unread(later, &juliet(), &phone()).map(|(_, waiting)| waiting);
        assert_eq!(woken, Some(limits::PUSH_BURST + 2));
        assert_eq!(pace.unread(later, &juliet(), &phone()), None);
        pace.seen(later, &juliet(), "phone");
        assert_eq!(pace.unread(later, &juliet(), &phone()).map(|(_, waiting)| waiting), Some(1));
        pace.forget(&juliet(), &tablet.service, None);
        assert_eq!(pace.unread(later, &juliet(), &tablet).map(|(_, waiting)| waiting), Some(1));
    }

    #[test]
    fn only_the_service_itself_answers_and_lasting_errors_end_it() {
        let over = |condition: StanzaCondition| {
            let why = condition.as_str();
            Verdict::Over { account: juliet(), service: phone().service, node: "n".to_owned(), why }
        };
        for (condition, lasting) in [
            (StanzaCondition::ItemNotFound, true),
            (StanzaCondition::Gone, true),
            (StanzaCondition::Forbidden, true),
            (StanzaCondition::NotAllowed, true),
            (StanzaCondition::NotAuthorized, true),
            (StanzaCondition::ServiceUnavailable, true),
            (StanzaCondition::FeatureNotImplemented, true),
            (StanzaCondition::RemoteServerNotFound, false),
            (StanzaCondition::RemoteServerTimeout, false),
            (StanzaCondition::ResourceConstraint, false),
            (StanzaCondition::InternalServerError, false),
            (StanzaCondition::RecipientUnavailable, false),
        ] {
            let now = Instant::now();
            let mut pace = Pace::default();
            let (id, _) = pace.unread(now, &juliet(), &phone()).unwrap();
            let answer = question(&id).error(&StanzaError::new(condition)).unwrap();
            let mut forged = answer.clone();
            forged.set_from(Some("push.c.example".parse().unwrap()));
            assert_eq!(pace.answered(now, &forged), None);
            let expected = if lasting { over(condition) } else { Verdict::Goes };
            assert_eq!(pace.answered(now, &answer), Some(expected), "{condition:?}");
            assert_eq!(pace.answered(now, &answer), None, "once");
        }
    }

    #[test]
    fn what_fails_for_a_day_is_over_and_one_success_begins_anew() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut fails = |now: Instant, well: bool| {
            pace.seen(now, &juliet(), "phone");
            let (id, _) = pace.unread(now, &juliet(), &phone()).unwrap();
            let error = StanzaError::new(StanzaCondition::RemoteServerTimeout);
            let answer = if well { question(&id).result() } else { question(&id).error(&error).unwrap() };
            pace.answered(now, &answer).unwrap()
        };
        let almost = limits::PUSH_FAILING_MAX - Duration::from_secs(1);
        assert_eq!(fails(start, false), Verdict::Goes);
        assert_eq!(fails(start + almost, false), Verdict::Goes);
        assert_eq!(fails(start + almost, true), Verdict::Goes);
        assert_eq!(fails(start + almost, false), Verdict::Goes);
        assert_eq!(fails(start + limits::PUSH_FAILING_MAX, false), Verdict::Goes);
        assert!(matches!(fails(start + almost + limits::PUSH_FAILING_MAX, false), Verdict::Over { .. }));
    }
}
