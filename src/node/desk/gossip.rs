//! What other nodes tell of where nodes are. Streams that are no nodes' carry none of this (see `federation`).

use super::{Desk, Handled, Job, Request};
use crate::jid::Jid;
use crate::services::Addressee;
use crate::stanza::{IqType, Kind, Stanza, StanzaCondition, StanzaError};
use crate::xml::ns;

/// `<push/>` and `<sync/>` of `urn:kontalk:net:0`, from another domain to ours.
pub(super) fn gossip(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let payload = request.stanza.payload().filter(|payload| payload.namespace() == ns::KONTALK_NET)?;
    let from_node = matches!(request.stanza.from(), Some(Jid::Bare(from)) if from.localpart().is_none());
    if request.addressee != Addressee::Domain || !matches!(payload.name(), "push" | "sync") {
        return None;
    }
    let Some(trust) = desk.trust.clone().filter(|_| from_node) else {
        return Some(Handled::outcome(request.stanza, Err(StanzaError::new(StanzaCondition::Forbidden))));
    };
    let (answer, told) = (request.stanza.result(), payload.clone());
    match (request.stanza.kind(), payload.name()) {
        (Kind::Iq(IqType::Get), "sync") => {
            let job = Job::answering(request.stanza, move |_| Ok(answer.with_child(trust.newer_than(&told))));
            Some(Handled { job: Some(job), ..Handled::default() })
        }
        (Kind::Iq(IqType::Set), "push") => {
            let store = desk.store.clone();
            let job = Job::answering(request.stanza, move |_| {
                trust.gossiped(&told).map_or(Ok(()), |ticket| super::job::committed(&store, ticket))?;
                Ok(answer)
            });
            Some(Handled { job: Some(job), ..Handled::default() })
        }
        _ => None,
    }
}

impl Desk {
    /// Another node answered what is newer; true if it was that.
    pub(super) fn gossip_answered(&self, answer: &Stanza) -> bool {
        let payload = answer.payload().filter(|payload| payload.is("sync", ns::KONTALK_NET));
        let (Some(told), Some(trust)) = (payload, self.trust.clone()) else { return false };
        // One answer to each question: whoever is asked cannot have us work without end.
        if trust.was_asked(answer) && answer.kind() == Kind::Iq(IqType::Result) {
            let told = told.clone();
            // Ends by itself; what it learns is told to others when it is on the disk.
            smol::unblock(move || trust.gossiped(&told)).detach();
        }
        true
    }
}
