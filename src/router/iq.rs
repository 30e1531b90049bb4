//! Iq: to a resource, or answered by the node on its own or an account's behalf. RFC 6120 §10.3.3, RFC 6121 §8.5.

use super::ledger::Debt;
use super::session::{Cargo, SessionId};
use super::{Action, Router, Storage};
use crate::jid::{BareJid, Jid};
use crate::stanza::{IqType, Stanza, StanzaCondition, StanzaError};
use crate::xml::ns;

impl<S: Storage> Router<S> {
    /// The router itself keeps rosters and block lists; the rest is for others.
    pub(super) fn iq_from_client(&mut self, id: SessionId, mut stanza: Stanza, debt: Option<Debt>) {
        let Some(own) = self.sessions.get(&id).map(|s| s.jid.bare().clone()) else { return };
        if stanza.to().is_none() {
            // RFC 6120 §10.3.3: the node answers on behalf of the account. Kontalk's clients mean the node when they ask for
            // a key without saying whose.
            let of_node = stanza.payload().is_some_and(|p| p.is("pubkey", ns::KONTALK_PUBKEY));
            stanza.set_to(Some(Jid::Bare(if of_node { self.domain.clone() } else { own.clone() })));
        }
        let for_own_account = stanza.to() == Some(&Jid::Bare(own));
        let payload = stanza.payload().map(|p| (p.name(), p.namespace()));
        match payload {
            Some(("query", ns::ROSTER)) if stanza.is_request() && for_own_account => self.roster_iq(id, &stanza, debt),
            Some(("blocklist" | "block" | "unblock", ns::BLOCKING)) if stanza.is_request() && for_own_account => {
                self.blocking_iq(id, &stanza, debt);
            }
            Some((_, ns::MAM)) if stanza.is_request() && for_own_account => self.archive_iq(id, &stanza, debt),
            Some((_, ns::CARBONS)) if stanza.is_request() && for_own_account => self.carbons_iq(id, &stanza),
            _ => self.route(stanza, debt),
        }
    }

    /// Kontalk's roster match asks other nodes from this address.
    fn is_probe(&self, address: &BareJid) -> bool {
        address.localpart() == Some("probe") && self.is_local(address)
    }

    /// Iq for an address of this domain.
    pub(super) fn route_iq(&mut self, stanza: Stanza, to: &Jid, kind: IqType) {
        let full = match to {
            Jid::Full(full) if full.bare().localpart().is_some() => full,
            // RFC 6121 §8.5.2.1.3: the node answers for a bare JID; results and errors to it are nobody's,
            _ if matches!(kind, IqType::Get | IqType::Set) => return self.actions.push(Action::Serve(stanza)),
            // but those to the domain may answer what the node itself asked.
            Jid::Bare(asker) if *asker == self.domain || self.is_probe(asker) => {
                return self.actions.push(Action::Reply(stanza));
            }
            _ => return,
        };
        let blocked = stanza.from().is_some_and(|from| self.blocks(full.bare(), from));
        match self.session_of(full).filter(|_| !blocked) {
            Some(session) => {
                let cargo = if stanza.is_request() { Cargo::Request } else { Cargo::Other };
                self.send(session, stanza.to_text().into(), cargo);
            }
            // RFC 6121 §8.5.3.2.3. Nobody there, nobody at all and blocked look alike.
            None => self.bounce(&stanza, StanzaError::new(StanzaCondition::ServiceUnavailable)),
        }
    }
}
