//! Other domains: what leaves for them, and what comes from them. RFC 6120 §10.4, RFC 6121 §3, §4 and §8.
//!
//! How another domain is reached is not known here. What is for one goes out as [`Action::Remote`](super::Action::Remote), with a
//! [`Receipt`] where a client of ours waits to hear that its message is safe. Who carries it gives the receipt back
//! ([`Event::RemoteTaken`](super::Event::RemoteTaken)) when the other side has the stanza, or when an error that says it has not
//! is on its way to the sender, whichever comes first; each receipt once.
//!
//! What comes from another domain has its sender checked already: a domain speaks for itself only. Nothing is owed for it, since
//! nobody there asks for acknowledgements; otherwise it is treated as if one of ours had sent it.
//!
//! Limits: a receipt lives as long as what it belongs to waits in the carrier's bounded queue.

use std::collections::HashMap;

use super::ledger::Debt;
use super::session::SessionId;
use super::{Router, Storage};
use crate::jid::{BareJid, Jid};
use crate::stanza::{Kind, PresenceType, Stanza};

/// Names a stanza under way to another domain, that a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub u64);

/// What is owed for stanzas that other domains have not taken yet.
#[derive(Debug, Default)]
pub(super) struct Abroad {
    debts: HashMap<Receipt, Debt>,
    next: u64,
}

impl Abroad {
    fn open(&mut self, debt: Debt) -> Receipt {
        self.next += 1;
        let receipt = Receipt(self.next);
        self.debts.insert(receipt, debt);
        receipt
    }

    /// Does a session wait for anything?
    pub(super) fn is_owed_to(&self, session: SessionId) -> bool {
        self.debts.values().any(|debt| debt.session == session)
    }
}

impl<S: Storage> Router<S> {
    /// Is the address one of this domain's?
    pub(super) fn is_local(&self, jid: &BareJid) -> bool {
        jid.domainpart() == self.domain.domainpart()
    }

    /// A stanza leaves for another domain: what its sender is owed until it has been taken. An iq is answered in any case, and
    /// presence that spreads is told again.
    pub(super) fn receipt_for(&mut self, stanza: &Stanza, debt: Option<Debt>) -> Option<Receipt> {
        let counts = !matches!(
            stanza.kind(),
            Kind::Iq(_) | Kind::Presence(PresenceType::Available | PresenceType::Unavailable | PresenceType::Probe)
        );
        let debt = debt.filter(|_| counts)?;
        self.owe(Some(debt));
        Some(self.abroad.open(debt))
    }

    /// The other domain has a stanza, or its sender has been told that it has not.
    pub(super) fn remote_taken(&mut self, receipt: Receipt) {
        let debt = self.abroad.debts.remove(&receipt);
        self.settle(debt);
    }

    /// A stanza of another domain. It may be for a third one: a gateway on this machine reaches the world through us.
    pub(super) fn remote_stanza(&mut self, mut stanza: Stanza) {
        if stanza.from_bare().is_none_or(|from| self.is_local(from)) {
            // RFC 6120 §8.1.2.2.
            return log::error!("a stanza from outside in our own name passed its edge; it was dropped");
        }
        if stanza.to().is_none() {
            stanza.set_to(Some(Jid::Bare(self.domain.clone())));
        }
        self.forget_own_delay_stamps(&mut stanza);
        self.route(stanza, None);
    }

    /// RFC 6121 §3.1.2: a request that another domain has not answered may have been lost, and is made again when the account's
    /// first resource comes.
    pub(super) fn request_again(&mut self, account: &BareJid, contact: &BareJid) {
        let receives = |id: &SessionId| self.sessions.get(id).is_some_and(|session| session.presence.is_some());
        let available = self.accounts.get(account).map_or(0, |o| o.sessions.iter().filter(|id| receives(id)).count());
        if available == 1 {
            let (from, to) = (Some(Jid::Bare(account.clone())), Some(Jid::Bare(contact.clone())));
            let kind = Kind::Presence(PresenceType::Subscribe);
            let mut request = Stanza::build(kind, from, to, Some("subscribe-again"));
            self.enclose_key(&mut request, account);
            self.route(request, None);
        }
    }
}
