//! What Kontalk's clients ask their server: who is registered, which servers there are, whose key is whose, who was seen when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use smol::channel::Sender;

use super::job::fault;
use super::{Desk, Handled, Request};
use crate::jid::{BareJid, Jid};
use crate::node::random::random_id;
use crate::pgp::Fingerprint;
use crate::router::Storage;
use crate::services::last_activity::{self, Seen};
use crate::services::network_match::{Asker, Settled};
use crate::services::{Addressee, NETWORK, PROBE, roster_match};
use crate::stanza::{IqType, Kind, Stanza, StanzaCondition, StanzaError};
use crate::store::StoreError;
use crate::xml::{Element, ns};

/// Roster match, at `probe@DOMAIN`; old clients ask without an address, which is their own account then.
pub(super) fn roster_match(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let query = request.stanza.payload().filter(|p| p.is("query", ns::KONTALK_ROSTER))?;
    let right_place = request.is_at(PROBE) || matches!(request.addressee, Addressee::Domain | Addressee::OwnAccount);
    if !right_place || !request.is_get() {
        return None;
    }
    let asker = request.stanza.from_bare()?.clone();
    let ours = desk.is_ours(&asker);
    if !ours && !desk.asks_for_node(&asker) {
        // Whoever is registered is not for strangers to find out.
        return None;
    }
    let now = Instant::now();
    let charged = roster_match::read(query, &desk.domain).and_then(|asked| {
        let budget = if ours { &mut desk.lookups } else { &mut desk.node_lookups };
        budget.charge(now, &asker, &asked).map(|()| asked)
    });
    let asked = match charged {
        Ok(asked) => asked,
        Err(error) => return Some(Handled::outcome(request.stanza, Err(error))),
    };
    let is_found = |address: &BareJid| desk.is_found_by(&asker, address) && desk.is_at_home(address);
    let (found, missing): (BTreeSet<BareJid>, BTreeSet<BareJid>) = asked.into_iter().partition(is_found);
    if ours && !missing.is_empty() {
        let nodes: Vec<BareJid> = desk.nodes().into_iter().map(|(node, _)| node).collect();
        let known = (&found, &missing);
        let client = Asker::Client(Box::new(request.stanza.clone()));
        let questions = desk.abroad.begin(now, client, &desk.domain, known, &nodes, &random_id());
        if !questions.is_empty() {
            // The answer comes when theirs have, or after a while.
            return Some(Handled { stanzas: questions, ..Handled::default() });
        }
    }
    Some(Handled::outcome(request.stanza, Ok(roster_match::result(found, &desk.domain))))
}

/// The server list: an ad-hoc command (XEP-0050 §2.2) at `network@DOMAIN`: this node, and those it trusts.
pub(super) fn server_list(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let command = request.stanza.payload().filter(|p| p.is("command", ns::COMMANDS))?;
    if !request.is_at(NETWORK) || request.addressee != Addressee::Component {
        return None;
    }
    if command.attribute("node") != Some("serverlist") {
        return Some(Handled::outcome(request.stanza, Err(StanzaError::new(StanzaCondition::ItemNotFound))));
    }
    let mut list = Element::new("serverlist", ns::KONTALK_SERVER_LIST);
    let own = (desk.domain.clone(), desk.server_key.fingerprint());
    for (node, fingerprint) in std::iter::once(own).chain(desk.nodes()) {
        let item = Element::new("item", ns::KONTALK_SERVER_LIST).with("node", node.as_str());
        list.push(item.with("fingerprint", fingerprint.to_string()));
    }
    let done = Element::new("command", ns::COMMANDS).with("node", "serverlist").with("status", "completed");
    Some(Handled::outcome(request.stanza, Ok(done.with_child(list))))
}

/// Public keys: the node's at the domain, an account's at its address. Clients ask for all of their contacts at each sync.
pub(super) fn public_key(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let pubkey = request.stanza.payload().filter(|p| p.is("pubkey", ns::KONTALK_PUBKEY))?;
    if !request.is_get() {
        return Some(super::keys::publish(desk, request, &pubkey.text()));
    }
    let payload = desk
        .public_key_for(request)
        .map(|ring| Element::new("pubkey", ns::KONTALK_PUBKEY).with_text(&STANDARD.encode(ring)));
    Some(Handled::outcome(request.stanza, payload))
}

/// Last activity of the node and of accounts. XEP-0012.
pub(super) fn last_activity(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    request.stanza.payload().filter(|p| p.is("query", ns::LAST) && request.is_get())?;
    let account = request.stanza.to()?.bare();
    let outcome = desk
        .seen(account, request)
        .and_then(|seen| last_activity::answer(request.addressee, seen, desk.begun.elapsed()));
    Some(Handled::outcome(request.stanza, outcome))
}

impl Request<'_> {
    fn is_at(&self, localpart: &str) -> bool {
        self.stanza.to().and_then(Jid::localpart) == Some(localpart)
    }

    fn is_get(&self) -> bool {
        self.stanza.kind() == Kind::Iq(IqType::Get)
    }
}

impl Desk {
    /// The nodes we trust, with the fingerprints of their keys.
    fn nodes(&self) -> Vec<(BareJid, Fingerprint)> {
        let found = self.trust.as_ref().map_or(Ok(Vec::new()), |trust| trust.nodes());
        found.unwrap_or_else(|fault| {
            log::error!("trust: {fault}");
            Vec::new()
        })
    }

    /// Is it the address from which a node that we trust asks for its users?
    fn asks_for_node(&self, asker: &BareJid) -> bool {
        asker.localpart() == Some(PROBE)
            && BareJid::domain(asker.domainpart()).is_ok_and(|domain| self.store.trusts_node(&domain))
    }

    /// When [`Desk::due`] has something to say next.
    pub(in crate::node) fn deadline(&self) -> Option<Instant> {
        self.abroad.deadline()
    }

    /// Answers whose time has come. Registrations that asked are told here.
    pub(in crate::node) fn due(&mut self, now: Instant) -> Vec<Stanza> {
        let mut answers = Vec::new();
        for settled in self.abroad.due(now, &self.domain) {
            match settled {
                Settled::Answer(answer) => answers.push(*answer),
                Settled::Registration { number, found } => {
                    // A client that has gone does not wait.
                    self.registrations.remove(&number).map(|waiting| waiting.try_send(found).is_ok());
                }
            }
        }
        answers
    }

    /// Has this number's account-to-be an account at a node that we trust? Gives the questions to send; whoever asked hears by the
    /// channel, at once if there is nobody to ask. Kontalk registration, set: telephone number.
    pub(in crate::node) fn ask_network(&mut self, address: BareJid, waiting: Sender<bool>) -> Vec<Stanza> {
        let nodes: Vec<BareJid> = self.nodes().into_iter().map(|(node, _)| node).collect();
        let missing = BTreeSet::from([address]);
        self.next_registration = self.next_registration.wrapping_add(1);
        let (asker, known) = (Asker::Registration(self.next_registration), (&BTreeSet::new(), &missing));
        let questions = self.abroad.begin(Instant::now(), asker, &self.domain, known, &nodes, &random_id());
        if questions.is_empty() {
            let _ = waiting.try_send(false);
        } else {
            self.registrations.insert(self.next_registration, waiting);
        }
        questions
    }

    /// Exists, does not block the asker, and wants to be found, or has dealt with him before. All others look alike.
    fn is_found_by(&self, asker: &BareJid, address: &BareJid) -> bool {
        let blocks = |list: crate::roster::BlockList| list.blocks(&Jid::Bare(asker.clone()));
        let wanted = || {
            let known = self.store.entry(address, asker).is_ok_and(|entry| !entry.is_empty());
            known || address == asker || self.store.is_discoverable(address).unwrap_or(false)
        };
        matches!(self.store.account(address), Ok(Some(_)))
            && !self.store.block_list(address).is_ok_and(blocks)
            && wanted()
    }

    /// A visitor's number was proved elsewhere, and there he is found.
    fn is_at_home(&self, address: &BareJid) -> bool {
        matches!(self.store.visit(address), Ok(None))
    }

    fn public_key_for(&mut self, request: &Request<'_>) -> Result<Vec<u8>, StanzaError> {
        let missing = || StanzaError::new(StanzaCondition::ItemNotFound);
        let (Some(to), Some(asker)) = (request.stanza.to().map(Jid::bare), request.stanza.from_bare()) else {
            return Err(missing());
        };
        match request.addressee {
            Addressee::Domain => return Ok(self.server_key.public_ring().to_vec()),
            Addressee::OwnAccount => {}
            Addressee::Component => return Err(missing()),
            Addressee::Contact | Addressee::Stranger => {
                // Whom the account has dealt with may have its key; others pay as for any lookup.
                let known = self.store.entry(to, asker).is_ok_and(|entry| !entry.is_empty());
                if !known {
                    // Another domain makes up as many addresses as it likes: all of them have one share.
                    let payer = if self.is_ours(asker) { asker.clone() } else { asker.to_domain() };
                    self.lookups.charge(Instant::now(), &payer, [to])?;
                }
                if !self.is_found_by(asker, to) {
                    return Err(missing());
                }
            }
        }
        let ring = || -> Result<Option<Vec<u8>>, StoreError> {
            match self.store.account(to)?.and_then(|account| account.fingerprint) {
                Some(fingerprint) => self.store.ring(&fingerprint),
                None => Ok(None),
            }
        };
        ring().map_err(fault)?.ok_or_else(missing)
    }

    fn seen(&self, account: &BareJid, request: &Request<'_>) -> Result<Seen, StanzaError> {
        if account.localpart().is_none() {
            return Ok(Seen::Never);
        }
        if request.router.is_available(account) && request.addressee != Addressee::OwnAccount {
            return Ok(Seen::Now);
        }
        let record = self.store.account(account).map_err(fault)?;
        Ok(record.map_or(Seen::Never, |account| {
            let since = account.last_logout.unwrap_or(account.created);
            Seen::Ago(Duration::from_secs(request.now.since(since).as_secs()))
        }))
    }
}
