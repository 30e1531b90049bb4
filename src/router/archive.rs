//! Archives of accounts of ours: messages go in as they are sent and received, clients ask for them. XEP-0313, XEP-0441.
//!
//! What goes in is owed to the sender like the delivery itself: an acknowledged message is in every archive it belongs to. A
//! message that its account archives is delivered with its id (XEP-0359), so that a client knows it again.

use std::sync::Arc;

use super::ledger::Debt;
use super::message::{is_kept, is_trifle};
use super::roster_iq::broken;
use super::session::{Cargo, SessionId};
use super::stamps::{forget_stanza_ids_of, with_stanza_id};
use super::wake::is_worth_waking;
use super::{Router, Storage, StorageFault};
use crate::archive::{
    self, ArchiveId, DefaultPreference, Filter, Preferences, Query, fin, metadata, query_form, result_message,
};
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::stanza::{IqType, Kind, MessageType, Stanza, StanzaCondition, StanzaError};
use crate::xml::ns;

use super::carbons::{is_copied, strip_carbons};

/// What an account with sessions wants archived, so that its preferences are not read for each message.
#[derive(Clone, Debug)]
pub(super) enum Archiving {
    Everything,
    Nothing,
    By(Arc<Preferences>),
}

/// A message as an account of ours receives it.
pub(super) struct Incoming {
    pub(super) stanza: Stanza,
    pub(super) text: Arc<str>,
    /// Other sessions than the receiving ones get copies. XEP-0280.
    pub(super) copied: bool,
    /// It must not be lost, and waits where nobody is there.
    pub(super) kept: bool,
    /// Nobody needs to be woken for it.
    pub(super) trifle: bool,
    /// The account's archive has it.
    pub(super) archived: bool,
    /// A device may be woken for it.
    pub(super) wakes: bool,
}

impl<S: Storage> Router<S> {
    /// A message is for an account and will be delivered or stored: makes it ready for that, and archives it.
    pub(super) fn accept(
        &mut self,
        account: &BareJid,
        mut stanza: Stanza,
        kind: MessageType,
        debt: Option<Debt>,
    ) -> Incoming {
        let copied = is_copied(&stanza);
        // XEP-0280 §6.1: the mark has done its work.
        strip_carbons(&mut stanza);
        forget_stanza_ids_of(&mut stanza, account);
        let text = stanza.to_text();
        let with = stanza.from().cloned();
        let id = match with.filter(|_| archive::is_archived(&stanza)) {
            Some(with) => self.archive_text(account, &with, &text, debt),
            None => None,
        };
        let text = match id {
            Some(id) => with_stanza_id(&text, account, id),
            None => text,
        };
        let (kept, trifle) = (is_kept(&stanza, kind), is_trifle(&stanza));
        let wakes = is_worth_waking(&stanza, account);
        Incoming { stanza, text: text.into(), copied, kept, trifle, archived: id.is_some(), wakes }
    }

    /// A message of one of our accounts is on its way: archives it. Gives its text as the account's other sessions see it.
    pub(super) fn archive_sent(&mut self, account: &BareJid, stanza: &Stanza, debt: Option<Debt>) -> Option<String> {
        let to = stanza.to()?;
        let text = stanza.to_text();
        let archived = archive::is_archived(stanza);
        Some(match archived.then(|| self.archive_text(account, to, &text, debt)).flatten() {
            Some(id) => with_stanza_id(&text, account, id),
            None => text,
        })
    }

    /// Must a sent message be serialised for the account's own sake at all?
    pub(super) fn is_archived_or_copied(&mut self, account: &BareJid, stanza: &Stanza) -> bool {
        archive::is_archived(stanza) && !matches!(self.archiving(account), Ok(Archiving::Nothing))
            || self.wants_copies(account)
    }

    fn archive_text(&mut self, account: &BareJid, with: &Jid, text: &str, debt: Option<Debt>) -> Option<ArchiveId> {
        let stored = self.archiving(account).and_then(|archiving| {
            let wanted = match &archiving {
                Archiving::Everything => true,
                Archiving::Nothing => false,
                Archiving::By(preferences) => preferences
                    .want(with, || self.storage.entry(account, with.bare()).is_ok_and(|entry| entry.item.is_some())),
            };
            match wanted {
                true => self.storage.archive(account, with, text, self.now.wall).map(Some),
                false => Ok(None),
            }
        });
        match stored {
            Ok(Some((id, ticket))) => {
                self.owe_until(debt, ticket);
                Some(id)
            }
            Ok(None) => None,
            // Said already, of the disk or of the message; not once for each message.
            Err(StorageFault::Full) => {
                log::debug!("a message is not archived: there is no room for it");
                None
            }
            Err(fault) => {
                log::warn!("a message is not archived: {fault}");
                None
            }
        }
    }

    fn archiving(&mut self, account: &BareJid) -> Result<Archiving, StorageFault> {
        if let Some(known) = self.accounts.get(account).and_then(|online| online.archiving.clone()) {
            return Ok(known);
        }
        let preferences = self.storage.archive_preferences(account)?;
        let simple = preferences.always.is_empty() && preferences.never.is_empty();
        let archiving = match preferences.default {
            DefaultPreference::Always if simple => Archiving::Everything,
            DefaultPreference::Never if simple => Archiving::Nothing,
            _ => Archiving::By(Arc::new(preferences)),
        };
        if let Some(online) = self.accounts.get_mut(account) {
            online.archiving = Some(archiving.clone());
        }
        Ok(archiving)
    }
}

/// What clients ask.
impl<S: Storage> Router<S> {
    pub(super) fn archive_iq(&mut self, id: SessionId, stanza: &Stanza, debt: Option<Debt>) {
        let Some(payload) = stanza.payload() else { return };
        let outcome = match (stanza.kind(), payload.name()) {
            (Kind::Iq(IqType::Set), "query") => self.archive_query(id, stanza),
            (Kind::Iq(IqType::Get), "query") => {
                self.send(id, stanza.result().with_child(query_form()).to_text().into(), Cargo::Other);
                Ok(())
            }
            (Kind::Iq(IqType::Get), "metadata") => self.archive_metadata(id, stanza),
            (Kind::Iq(IqType::Get), "prefs") => self.archive_preferences_get(id, stanza),
            (Kind::Iq(IqType::Set), "prefs") => self.archive_preferences_set(id, stanza, debt),
            _ => Err(StanzaError::new(StanzaCondition::FeatureNotImplemented)),
        };
        if let Err(error) = outcome {
            self.bounce(stanza, error);
        }
    }

    /// XEP-0313 §4: the results in order, then the answer.
    fn archive_query(&mut self, id: SessionId, stanza: &Stanza) -> Result<(), StanzaError> {
        let (Some(jid), Some(payload)) = (self.sessions.get(&id).map(|s| s.jid.clone()), stanza.payload()) else {
            return Ok(());
        };
        let account = jid.bare();
        if payload.attribute("node").is_some_and(|node| !node.is_empty()) {
            // XEP-0313 §6.1.3: nodes are for archives of publish-subscribe.
            return Err(StanzaError::new(StanzaCondition::ItemNotFound));
        }
        let query = Query::read(payload, account)?;
        let scan = self.storage.archive_scan(account, &query.filter).map_err(broken)?;
        let mut page = query.page(&scan.matching, |id| scan.all.binary_search(&id).is_ok())?;
        let mut wanted = page.ids.clone();
        if query.paging.is_backwards() {
            wanted.reverse();
        }
        let found = self.storage.archived(account, &wanted, limits::ARCHIVE_PAGE_BYTES_MAX);
        let mut found = found.map_err(broken)?;
        if query.paging.is_backwards() {
            found.reverse();
        }
        page.only(found.iter().map(|archived| archived.id).collect(), query.paging);
        if query.flipped {
            found.reverse();
        }
        for archived in &found {
            self.send(id, result_message(archived, &query, account, &jid).into(), Cargo::Other);
        }
        let answer = stanza.result().with_child(fin(&query, &page));
        self.send(id, answer.to_text().into(), Cargo::Other);
        if let (Some(session), Some(anchor), Some(last)) =
            (self.sessions.get_mut(&id), query.follows(), page.ids.last())
        {
            let (from, to) = session.archive_told;
            let overlaps = to != ArchiveId::default() && anchor <= to && *last >= from;
            session.archive_told = if overlaps { (from.min(anchor), to.max(*last)) } else { (anchor, *last) };
        }
        Ok(())
    }

    /// XEP-0313 §5.
    fn archive_metadata(&mut self, id: SessionId, stanza: &Stanza) -> Result<(), StanzaError> {
        let Some(account) = self.sessions.get(&id).map(|s| s.jid.bare().clone()) else { return Ok(()) };
        let all = self.storage.archive_scan(&account, &Filter::default()).map_err(broken)?.all;
        let ends: Vec<ArchiveId> = all.first().into_iter().chain(all.last()).copied().collect();
        let found = self.storage.archived(&account, &ends, usize::MAX).map_err(broken)?;
        let answer = stanza.result().with_child(metadata(found.first().zip(found.last())));
        self.send(id, answer.to_text().into(), Cargo::Other);
        Ok(())
    }

    /// XEP-0441 §2.1.
    fn archive_preferences_get(&mut self, id: SessionId, stanza: &Stanza) -> Result<(), StanzaError> {
        let Some(account) = self.sessions.get(&id).map(|s| s.jid.bare().clone()) else { return Ok(()) };
        let preferences = self.storage.archive_preferences(&account).map_err(broken)?;
        self.send(id, stanza.result().with_child(preferences.to_element()).to_text().into(), Cargo::Other);
        Ok(())
    }

    /// XEP-0441 §2.1. The answer is a promise, so it waits for the disk.
    fn archive_preferences_set(
        &mut self,
        id: SessionId,
        stanza: &Stanza,
        debt: Option<Debt>,
    ) -> Result<(), StanzaError> {
        let Some(account) = self.sessions.get(&id).map(|s| s.jid.bare().clone()) else { return Ok(()) };
        let payload = stanza.payload().filter(|p| p.namespace() == ns::MAM);
        let preferences = Preferences::read(payload.ok_or_else(|| StanzaError::new(StanzaCondition::BadRequest))?)?;
        let ticket = self.storage.save_archive_preferences(&account, &preferences).map_err(broken)?;
        if let Some(online) = self.accounts.get_mut(&account) {
            online.archiving = None;
        }
        self.owe_until(debt, ticket);
        let answer = stanza.result().with_child(preferences.to_element());
        self.when_durable(ticket, super::ledger::WhenDurable::Send(id, answer.to_text().into()));
        Ok(())
    }
}
