//! Sessions that live on over a restart of the node. XEP-0198 §5.
//!
//! When the node stops in order, each session that its client may resume is written down: what it was sent and has not
//! acknowledged, what was received from it, and what the router knew of it. Started again, the node has these sessions as if their
//! connections had just been lost, for what is left of their time. Whoever is killed writes nothing down: then there is nothing to
//! resume, and messages come from where they are stored.
//!
//! The name for resumption is a secret, so only its hash is written. Limit: `KEPT_SESSION_BYTES_MAX` of unacknowledged stanzas; a
//! session with more ends with the node, and its messages are stored as they are for any that ends.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::carbons::copied_message;
use super::ledger::{Parcel, ParcelId};
use super::session::{Cargo, Draining, Session, SessionId, StreamManagement, Token, Unacknowledged};
use super::{OfflineId, Router, Storage};
use crate::archive::ArchiveId;
use crate::jid::{BareJid, FullJid, Jid};
use crate::limits;
use crate::stanza::{StreamCondition, StreamError, Timestamp};

/// A session without its connection.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptSession {
    /// Its address.
    pub jid: FullJid,
    /// All the rest.
    pub state: KeptState,
}

impl std::fmt::Debug for KeptSession {
    /// Without what it was sent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptSession").field("jid", &self.jid).finish_non_exhaustive()
    }
}

/// What a [`KeptSession`] is besides its address; the store writes it as it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptState {
    /// Of the name that the client resumes it with.
    token_hash: [u8; 32],
    /// When it ends without its client.
    until: Timestamp,
    patience: Duration,
    received: u32,
    acknowledged: u32,
    unacknowledged: Vec<(String, KeptCargo)>,
    presence: Option<String>,
    priority: i8,
    offline_given: bool,
    /// The last stored message that it was given, and what came meanwhile, if it has not taken all of these.
    draining: Option<(OfflineId, Vec<(String, KeptCargo)>)>,
    archive_told: (u64, u64),
    wants_roster: bool,
    wants_block_list: bool,
    wants_carbons: bool,
    directed: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum KeptCargo {
    Parcel { stored: OfflineId, stamp: Timestamp, waited: bool },
    Request,
    Other,
}

/// What is written of a resumption's name.
pub(super) fn token_hash(jid: &FullJid, token: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(jid.to_string());
    hash.update([0]);
    hash.update(token);
    hash.finalize().into()
}

impl<S: Storage> Router<S> {
    /// The node stops: what is under way is stored, sessions that can be resumed are kept, all streams end. From here on only
    /// acknowledgements are heeded.
    pub(super) fn shutdown(&mut self) {
        let mut all: Vec<SessionId> = self.sessions.keys().copied().collect();
        all.sort_unstable();
        for session in &all {
            self.release_held(*session);
            self.store_undelivered(*session);
        }
        let kept = all.iter().filter_map(|id| self.to_kept(*id)).collect();
        if let Err(fault) = self.storage.keep_sessions(kept) {
            log::error!("no session can be resumed after the restart: {fault}");
        }
        for session in all {
            // RFC 6120 §4.9.3.20.
            self.close_connection(session, Some(StreamError::new(StreamCondition::SystemShutdown)));
        }
        self.stopped = true;
    }

    fn to_kept(&self, id: SessionId) -> Option<KeptSession> {
        let session = self.sessions.get(&id)?;
        let sm = session.sm.as_ref().filter(|sm| !sm.patience.is_zero())?;
        let token = sm.token.as_ref()?;
        if sm.unacknowledged_bytes > limits::KEPT_SESSION_BYTES_MAX {
            return None;
        }
        let left = session.resume_until().map(|until| until.saturating_duration_since(self.now.monotonic));
        // A message that could not be stored, or that another domain has not taken, is still owed: the client must send it again.
        let safe = self.ledger.owed_to(id).is_empty() && !self.abroad.is_owed_to(id);
        Some(KeptSession {
            jid: session.jid.clone(),
            state: KeptState {
                token_hash: match token {
                    Token::Name(name) => token_hash(&session.jid, name),
                    Token::Hash(hash) => **hash,
                },
                until: self.now.wall.plus(left.unwrap_or(sm.patience)),
                patience: sm.patience,
                received: if safe { sm.received } else { sm.handled() },
                acknowledged: sm.acknowledged,
                unacknowledged: self.to_kept_stanzas(sm.unacknowledged.iter().map(|u| (&u.text, u.cargo))),
                presence: session.presence.as_deref().map(str::to_owned),
                priority: session.priority,
                offline_given: session.offline_given,
                draining: session.draining.as_ref().map(|draining| {
                    let behind = draining.behind.iter().map(|(text, cargo)| (text, *cargo));
                    (draining.after, self.to_kept_stanzas(behind))
                }),
                archive_told: (session.archive_told.0.0, session.archive_told.1.0),
                wants_roster: session.wants_roster,
                wants_block_list: session.wants_block_list,
                wants_carbons: session.wants_carbons,
                directed: session.directed.iter().map(Jid::to_string).collect(),
            },
        })
    }

    fn to_kept_stanzas<'a>(&self, stanzas: impl Iterator<Item = (&'a Arc<str>, Cargo)>) -> Vec<(String, KeptCargo)> {
        let kept_cargo = |cargo| match cargo {
            Cargo::Request => KeptCargo::Request,
            Cargo::Parcel(id) => match self.ledger.get(id).map(|p| (p.stored, p.stamp, p.waited)) {
                Some((Some(stored), stamp, waited)) => KeptCargo::Parcel { stored, stamp, waited },
                _ => KeptCargo::Other,
            },
            Cargo::Presence | Cargo::Event | Cargo::Copy | Cargo::Trifle | Cargo::Other => KeptCargo::Other,
        };
        stanzas.map(|(text, cargo)| (text.to_string(), kept_cargo(cargo))).collect()
    }

    /// Takes over the sessions that were kept when the node stopped. To be called once, before the first event.
    pub fn restore(&mut self, kept: Vec<KeptSession>) {
        let mut parcels: HashMap<(BareJid, OfflineId), ParcelId> = HashMap::new();
        for KeptSession { jid, state } in kept {
            let account = jid.bare().clone();
            let left = state.until.since(self.now.wall).min(state.patience).min(limits::RESUME_MAX);
            if left.is_zero() || !self.storage.account_exists(&account).unwrap_or(false) {
                continue;
            }
            let Ok(block_list) = self.storage.block_list(&account) else { continue };
            self.next_session += 1;
            let id = SessionId(self.next_session);
            let online = self.accounts.entry(account.clone()).or_default();
            online.block_list = Arc::new(block_list);
            online.sessions.push(id);
            let mut sm = StreamManagement::new(Some(Token::Hash(Box::new(state.token_hash))), state.patience);
            sm.received = state.received;
            sm.acknowledged = state.acknowledged;
            let waited = |cargo: &KeptCargo| matches!(cargo, KeptCargo::Parcel { waited: true, .. });
            let open = state.unacknowledged.iter().filter(|(_, cargo)| waited(cargo)).count();
            for (text, cargo) in self.restore_stanzas(&account, state.unacknowledged, &mut parcels) {
                sm.unacknowledged_bytes += text.len();
                sm.unacknowledged.push_back(Unacknowledged { text, cargo });
            }
            let draining = state.draining.map(|(after, behind)| {
                let behind = self.restore_stanzas(&account, behind, &mut parcels).into();
                Box::new(Draining { open, after, behind })
            });
            let mut session = Session::waiting(jid, self.now.monotonic + left);
            if let Some(until) = session.resume_until() {
                self.waiting.insert((until, id));
            }
            session.sm = Some(Box::new(sm));
            session.presence = state.presence.map(Arc::from);
            session.priority = state.priority;
            session.offline_given = state.offline_given;
            let stuck = draining.as_ref().filter(|draining| draining.open == 0).map(|draining| draining.after);
            session.draining = draining;
            session.archive_told = (ArchiveId(state.archive_told.0), ArchiveId(state.archive_told.1));
            session.wants_roster = state.wants_roster;
            session.wants_block_list = state.wants_block_list;
            session.wants_carbons = state.wants_carbons;
            session.directed = state.directed.iter().filter_map(|jid| jid.parse().ok()).collect::<BTreeSet<Jid>>();
            self.sessions.insert(id, session);
            if let Some(after) = stuck {
                self.give_offline(id, Some(after));
            }
        }
    }

    fn restore_stanzas(
        &mut self,
        account: &BareJid,
        kept: Vec<(String, KeptCargo)>,
        parcels: &mut HashMap<(BareJid, OfflineId), ParcelId>,
    ) -> Vec<(Arc<str>, Cargo)> {
        let restored = kept.into_iter().map(|(text, cargo)| {
            let cargo = match cargo {
                KeptCargo::Request => Cargo::Request,
                KeptCargo::Other => Cargo::Other,
                KeptCargo::Parcel { stored, stamp, waited } => {
                    let id = parcels.entry((account.clone(), stored)).or_insert_with(|| {
                        self.ledger.open(
                            Parcel {
                                account: account.clone(),
                                text: copied_message(&text).unwrap_or_else(|| text.clone()).into(),
                                stamp,
                                debt: None,
                                holders: 0,
                                taken: false,
                                waited,
                                wakes: false,
                                stored: Some(stored),
                            },
                            self.now.monotonic,
                        )
                    });
                    // What several sessions held is one parcel again.
                    if let Some(parcel) = self.ledger.get_mut(*id) {
                        parcel.holders = parcel.holders.saturating_add(1);
                    }
                    if let Some(online) = self.accounts.get_mut(account) {
                        online.in_flight.insert(stored);
                    }
                    Cargo::Parcel(*id)
                }
            };
            (text.into(), cargo)
        });
        restored.collect()
    }
}
