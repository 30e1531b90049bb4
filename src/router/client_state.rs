//! Client state indication: a client that nobody looks at is left in peace. XEP-0352, and Kontalk's rules for it.
//!
//! While inactive, presence is held (the latest of each address) and chat states are dropped; anything else goes out at once, with
//! what is held before it, so that order stays. Nothing is kept for a session that never says it is inactive. Limit:
//! [`HELD_MAX`]; more goes out.

use std::sync::Arc;

use super::session::{Cargo, SessionId};
use super::{ConnectionId, Router, Storage};

/// What an inactive session will be told later.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The latest presence of each address, oldest first.
    presences: Vec<(String, Arc<str>)>,
}

impl Held {
    fn hold(&mut self, from: String, text: Arc<str>) {
        self.presences.retain(|(known, _)| *known != from);
        self.presences.push((from, text));
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
        for (_, text) in held.into_iter().flat_map(|held| held.presences) {
            self.send_now(id, text, Cargo::Presence);
        }
    }

    /// Is it held back or dropped instead of being sent? What is sent takes the held along.
    pub(super) fn is_held_back(&mut self, id: SessionId, text: &Arc<str>, cargo: Cargo) -> bool {
        let Some(held) = self.sessions.get_mut(&id).and_then(|session| session.held.as_mut()) else { return false };
        match cargo {
            Cargo::Trifle => return true,
            Cargo::Presence if held.presences.len() < HELD_MAX => {
                held.hold(sender(text), text.clone());
                return true;
            }
            _ => {}
        }
        let held = std::mem::take(&mut **held);
        for (_, earlier) in held.presences {
            self.send_now(id, earlier, Cargo::Presence);
        }
        false
    }
}

/// The `from` of a stanza that was serialised here.
fn sender(text: &str) -> String {
    let rest = text.split_once(" from='").map_or("", |(_, rest)| rest);
    rest.split('\'').next().unwrap_or_default().to_owned()
}

/// Presences held for one session.
const HELD_MAX: usize = 50;
