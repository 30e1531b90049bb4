//! Who is there to be told of an account's events, and the moments when somebody comes who has not been told yet. XEP-0163 §4;
//! the picture's hash in presence, XEP-0398 §4.
//!
//! The router knows who sees whom. What an account publishes, and what each client wants to hear of, is decided elsewhere: for
//! that it hands out the presence, which holds the client's capabilities (XEP-0115).

use std::sync::Arc;

use super::session::{Session, SessionId};
use super::{Action, Router, Storage};
use crate::jid::{BareJid, FullJid, Jid};
use crate::limits;
use crate::stanza::Stanza;
use crate::xml::{Element, ns, parse_document};

/// An available resource of this domain.
#[derive(Clone, Debug)]
pub struct Watcher {
    /// Its address.
    pub jid: FullJid,
    /// Its last presence, serialised.
    pub presence: Arc<str>,
}

impl Watcher {
    /// The presence as an element.
    pub fn read_presence(&self) -> Option<Element> {
        read(&self.presence)
    }
}

impl<S: Storage> Router<S> {
    /// The available resources of an account of this domain.
    pub fn available(&self, account: &BareJid) -> Vec<Watcher> {
        let Some(online) = self.accounts.get(account) else { return Vec::new() };
        online.sessions.iter().filter_map(|id| self.sessions.get(id).and_then(watcher)).collect()
    }

    /// The available resources of an account and of those who see its presence, as far as they are of this domain.
    pub fn watchers(&self, account: &BareJid) -> Vec<Watcher> {
        let mut watchers = self.available(account);
        let entries = self.storage.roster(account).map(|roster| roster.entries).unwrap_or_else(|fault| {
            log::error!("a roster cannot be read, contacts are not told of an event: {fault}");
            Vec::new()
        });
        for (contact, entry) in entries {
            // The roster last: most contacts of most users are not there.
            if self.accounts.contains_key(&contact)
                && entry.subscription().seen_by_contact()
                && !self.blocks(account, &Jid::Bare(contact.clone()))
            {
                watchers.extend(self.available(&contact));
            }
        }
        watchers
    }

    /// A resource came, or changed what it says of itself: it may want to hear of things it was not told.
    pub(super) fn tell_of_arrival(&mut self, id: SessionId, presence: &Stanza, former: Option<&str>) {
        let Some(caps) = presence.element().child("c", ns::CAPS) else { return };
        let told = former.and_then(read).is_some_and(|former| former.child("c", ns::CAPS) == Some(caps));
        if let Some(watcher) = self.sessions.get(&id).and_then(watcher).filter(|_| !told) {
            self.actions.push(Action::Arrived(watcher));
        }
    }

    /// Presence says which picture the account has, unless the client says by itself that it has none to tell of.
    pub(super) fn stamp_avatar(&mut self, account: &BareJid, presence: &mut Stanza) {
        let Some(hash) = self.avatar_of(account) else { return };
        let update = presence.element().child("x", ns::VCARD_UPDATE);
        // XEP-0398 §4: an empty photo element is left alone, all else is overwritten.
        if update.is_some_and(has_empty_photo) {
            return;
        }
        presence.element_mut().retain_children(|child| !child.is("x", ns::VCARD_UPDATE));
        let photo = Element::new("photo", ns::VCARD_UPDATE).with_text(&hash);
        presence.element_mut().push(Element::new("x", ns::VCARD_UPDATE).with_child(photo));
    }

    /// The picture has changed: whoever sees the account is told by a new presence of each resource. XEP-0153 §3.1.
    pub(super) fn avatar_changed(&mut self, account: &BareJid, hash: Option<Arc<str>>) {
        let Some(online) = self.accounts.get_mut(account) else { return };
        let unchanged = online.avatar.as_ref() == Some(&hash);
        online.avatar = Some(hash);
        for id in online.sessions.clone().into_iter().filter(|_| !unchanged) {
            let presence = self.sessions.get(&id).and_then(|session| read(session.presence.as_deref()?));
            let Some(mut presence) = presence.and_then(|element| Stanza::new(element).ok()) else { continue };
            // If there is no picture any more, nothing overwrites the old hash.
            presence.element_mut().retain_children(|child| !child.is("x", ns::VCARD_UPDATE) || has_empty_photo(child));
            self.comes_or_changes(id, presence);
        }
    }

    /// The picture's hash, read when an account's first presence comes.
    fn avatar_of(&mut self, account: &BareJid) -> Option<Arc<str>> {
        let online = self.accounts.get_mut(account)?;
        if online.avatar.is_none() {
            let stored = self.storage.avatar_hash(account).unwrap_or_else(|fault| {
                log::error!("an account's picture cannot be read: {fault}");
                None
            });
            online.avatar = Some(stored.map(Arc::from));
        }
        online.avatar.clone().flatten()
    }
}

fn has_empty_photo(update: &Element) -> bool {
    update.child("photo", ns::VCARD_UPDATE).is_some_and(|photo| photo.text().trim().is_empty())
}

fn read(presence: &str) -> Option<Element> {
    parse_document(presence, ns::CLIENT, limits::STANZA_DEPTH_MAX).ok()
}

fn watcher(session: &Session) -> Option<Watcher> {
    Some(Watcher { jid: session.jid.clone(), presence: session.presence.clone()? })
}
