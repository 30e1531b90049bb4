//! Client state indication: a client that nobody looks at is left in peace. XEP-0352, and Kontalk's rules for it.
//!
//! While inactive, presence is held (the latest of each address, with the moment it came) and so are events of publish-subscribe
//! (XEP-0163); chat states are dropped. Anything else goes out at once, with what is held before it, so that order stays. Nothing
//! is kept for a session that never says it is inactive. Limits: [`HELD_MAX`], [`HELD_BYTES_MAX`]; more goes out.

use std::sync::Arc;

use super::session::{Cargo, SessionId};
use super::stamps::with_delay;
use super::{ConnectionId, Router, Storage};
use crate::xml::ns;

/// What an inactive session will be told later.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Oldest first; with the address, where a newer one from there replaces it.
    stanzas: Vec<(Option<String>, Arc<str>, Cargo)>,
    bytes: usize,
}

impl Held {
    fn hold(&mut self, replaces: Option<String>, text: Arc<str>, cargo: Cargo) {
        if replaces.is_some() {
            self.stanzas.retain(|(known, _, _)| *known != replaces);
        }
        self.stanzas.push((replaces, text, cargo));
        self.bytes = self.stanzas.iter().map(|(_, text, _)| text.len()).sum();
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.stanzas.len() < HELD_MAX && self.bytes.saturating_add(bytes) <= HELD_BYTES_MAX
    }
}

impl<S: Storage> Router<S> {
    /// `<active/>` or `<inactive/>`. XEP-0352 §3.
    pub(super) fn client_state(&mut self, connection: ConnectionId, active: bool) {
        let Some(id) = self.connections.get(&connection).copied() else { return };
        if active {
            return self.release_held(id);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.held.get_or_insert_default();
        }
    }

    /// The session is active, or becomes it by a new connection: it is told what was held.
    pub(super) fn release_held(&mut self, id: SessionId) {
        let held = self.sessions.get_mut(&id).and_then(|session| session.held.take());
        for (_, text, cargo) in held.into_iter().flat_map(|held| held.stanzas) {
            self.send_now(id, text, cargo);
        }
    }

    /// Is it held back or dropped instead of being sent? What is sent takes the held along.
    pub(super) fn is_held_back(&mut self, id: SessionId, text: &Arc<str>, cargo: Cargo) -> bool {
        let Some(held) = self.sessions.get_mut(&id).and_then(|session| session.held.as_mut()) else { return false };
        let room = held.has_room(text.len());
        match cargo {
            Cargo::Trifle => return true,
            Cargo::Presence if room => {
                let stamped = with_delay(text, &self.domain, self.now.wall);
                held.hold(Some(sender(text)), stamped.into(), cargo);
                return true;
            }
            Cargo::Event if room => {
                held.hold(None, text.clone(), cargo);
                return true;
            }
            // Kontalk, client state: a ping, ours or the answer to its own, is no occasion to tell it what it missed.
            Cargo::Request if text.contains(ns::PING) => return false,
            Cargo::Other if text.starts_with("<iq type='result'") && text.ends_with("/>") => return false,
            _ => {}
        }
        let held = std::mem::take(&mut **held);
        for (_, earlier, cargo) in held.stanzas {
            self.send_now(id, earlier, cargo);
        }
        false
    }
}

/// The `from` of a stanza that was serialised here.
fn sender(text: &str) -> String {
    let rest = text.split_once(" from='").map_or("", |(_, rest)| rest);
    rest.split('\'').next().unwrap_or_default().to_owned()
}

/// Stanzas held for one session.
const HELD_MAX: usize = 50;
/// Bytes of the same.
const HELD_BYTES_MAX: usize = 64 * 1024;
