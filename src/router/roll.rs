//! Who is here: what administrators and services ask of the sessions, and the end that an administrator makes of one.

use super::session::{Session, SessionId};
use super::{Router, Storage};
use crate::jid::{BareJid, FullJid, Jid};
use crate::stanza::StreamError;

impl<S: Storage> Router<S> {
    /// The accounts that have sessions, in no order.
    pub fn online(&self) -> impl Iterator<Item = &BareJid> {
        self.accounts.keys()
    }

    /// The sessions of an account, those that wait for resumption included.
    pub fn sessions_of(&self, account: &BareJid) -> Vec<&FullJid> {
        self.sessions_with(account).map(|session| &session.jid).collect()
    }

    /// Is the client of this session connected, or does the session wait for it?
    pub fn is_connected(&self, jid: &FullJid) -> bool {
        self.sessions_with(jid.bare()).any(|session| session.jid == *jid && session.connection.is_some())
    }

    fn sessions_with(&self, account: &BareJid) -> impl Iterator<Item = &Session> {
        let ids: &[SessionId] = self.accounts.get(account).map_or(&[], |online| &online.sessions);
        ids.iter().filter_map(|id| self.sessions.get(id))
    }

    pub(super) fn end_sessions(&mut self, jid: &Jid, error: &StreamError) {
        let ids = self.accounts.get(jid.bare()).map(|online| online.sessions.clone()).unwrap_or_default();
        for id in ids {
            let meant = |session: &Session| jid.full().is_none_or(|full| session.jid == *full);
            if self.sessions.get(&id).is_some_and(meant) {
                self.close_connection(id, Some(error.clone()));
                self.end_session(id);
            }
        }
    }
}
