//! What a node holds of another one, and what changes it.
//!
//! UNKNOWN (no record) -> SEEN (its card is pinned) -> TRUSTED <-> REVOKED; TRUSTED -> GRACE -> REVOKED; TRUSTED, GRACE -> SUSPENDED ->
//! TRUSTED or REVOKED; any -> DENIED until undenied. What the network decides never moves a denied node, and what cannot be is
//! refused with the reason.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pgp::RevocationReason;

/// What we hold of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Its card is pinned; it is not trusted.
    Seen,
    /// Its users may visit.
    Trusted(Why),
    /// Banned with grace: who is here stays, nobody new comes.
    Grace {
        /// Seconds of running time until it is revoked.
        left_secs: u64,
    },
    /// It was proved to misbehave; people will decide.
    Suspended,
    /// It was trusted once.
    Revoked,
    /// The operator wants nothing of it, whatever the network says.
    Denied,
}

/// Who decided to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The operator, who compared fingerprints.
    Operator,
    /// The network.
    Network,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A card was accepted, the first of this node.
    CardSeen,
    /// The operator trusts it.
    Add {
        /// He knows that the network has banned it.
        despite_ban: bool,
    },
    /// The network counts it as a member.
    MemberDecided,
    /// The operator ends the trust.
    Revoke,
    /// The network banned it, at once or with grace.
    Banned {
        /// At once.
        immediate: bool,
    },
    /// It left the network.
    Left,
    /// Its key was revoked by its owner.
    KeyRevoked,
    /// Valid evidence against it.
    Evidence,
    /// Evidence is forgiven.
    Pardon,
    /// Running time of this node.
    Ran(Duration),
    /// The operator wants nothing of it.
    Deny,
    /// Or no longer.
    Undeny {
        /// Is its card pinned?
        carded: bool,
    },
    /// Another card took the place of the pinned one.
    CardReplaced {
        /// With another OpenPGP key.
        other_key: bool,
    },
}

/// What is to be done besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Certify its key.
    Certify(Why),
    /// Take the certification of its key back.
    Revoke(RevocationReason),
    /// Take the certification of its former key back, as superseded.
    RevokeFormerKey,
    /// End all sessions of its users.
    Kill(End),
}

/// Why visitors must go; what they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The operator ended the trust.
    Revoked,
    /// The network banned the home.
    Banned,
    /// The home left the network.
    Left,
    /// The home's key was revoked.
    KeyRevoked,
    /// The home was proved to misbehave.
    Suspended,
    /// The operator wants nothing of the home.
    Denied,
    /// The certification of the home has ended, or its key has.
    Expired,
    /// The home has taken the certification of this user back, or it has ended.
    UserNotCertified,
}

impl End {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Revoked => "revoked",
            End::Banned => "banned",
            End::Left => "left",
            End::KeyRevoked => "key-revoked",
            End::Suspended => "suspended",
            End::Denied => "denied",
            End::Expired => "expired",
            End::UserNotCertified => "user-not-certified",
        }
    }
}

/// Why a change cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impossible {
    /// Nothing is known of the node: its card comes first.
    NoCard,
    /// The operator denied it, and that comes before all else.
    Denied,
    /// It is not trusted.
    NotTrusted,
    /// It is not denied.
    NotDenied,
    /// The network banned it.
    Banned,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Impossible::NoCard => {
                "nothing is known of it yet (remedy: get its card from its operator, `kontalk-node trust card` there, and name the \
                 file with --card)"
            }
            Impossible::Denied => "it is denied (remedy: kontalk-node trust undeny, if that is no longer meant)",
            Impossible::NotTrusted => "it is not trusted",
            Impossible::NotDenied => "it is not denied",
            Impossible::Banned => "the network has banned it (remedy: --despite-ban, if you know better)",
        })
    }
}

impl std::error::Error for Impossible {}

/// A change and what it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The new state; `None`: nothing is held of it any more.
    pub to: Option<State>,
    /// To be done, in this order.
    pub effects: Vec<Effect>,
}

impl State {
    /// Its name, as the operator reads it.
    pub fn name(self) -> &'static str {
        match self {
            State::Seen => "SEEN",
            State::Trusted(_) => "TRUSTED",
            State::Grace { .. } => "GRACE",
            State::Suspended => "SUSPENDED",
            State::Revoked => "REVOKED",
            State::Denied => "DENIED",
        }
    }

    /// Does our certification of it stand?
    pub fn is_certified(self) -> bool {
        matches!(self, State::Trusted(_) | State::Grace { .. } | State::Suspended)
    }

    /// May sessions of its users that are here go on?
    pub fn keeps_visitors(self) -> bool {
        matches!(self, State::Trusted(_) | State::Grace { .. })
    }
}

/// What becomes of a node when this happens.
pub fn step(from: Option<State>, change: Change) -> Result<Step, Impossible> {
    match change {
        Change::Deny => Ok(deny(from)),
        Change::Undeny { carded } => match from {
            Some(State::Denied) => Ok(to(carded.then_some(State::Revoked), &[])),
            _ => Err(Impossible::NotDenied),
        },
        Change::Add { despite_ban } => add(from, despite_ban),
        Change::Revoke => match from {
            Some(State::Denied) => Err(Impossible::Denied),
            Some(state) if state.is_certified() => Ok(revoked(End::Revoked)),
            _ => Err(Impossible::NotTrusted),
        },
        // The rest is told, not asked for: what does not concern the state leaves it.
        _ => Ok(told(from, change)),
    }
}

fn add(from: Option<State>, despite_ban: bool) -> Result<Step, Impossible> {
    match from {
        None => Err(Impossible::NoCard),
        Some(State::Denied) => Err(Impossible::Denied),
        Some(State::Grace { .. }) if !despite_ban => Err(Impossible::Banned),
        Some(_) => Ok(to(Some(State::Trusted(Why::Operator)), &[Effect::Certify(Why::Operator)])),
    }
}

fn deny(from: Option<State>) -> Step {
    let mut effects = Vec::new();
    if from.is_some_and(State::is_certified) {
        effects.push(Effect::Revoke(RevocationReason::TrustEnded));
    }
    effects.push(Effect::Kill(End::Denied));
    Step { to: Some(State::Denied), effects }
}

fn told(from: Option<State>, change: Change) -> Step {
    let Some(state) = from else {
        return to((change == Change::CardSeen).then_some(State::Seen), &[]);
    };
    let certified = state.is_certified();
    match (state, change) {
        (State::Seen | State::Revoked, Change::MemberDecided) => {
            to(Some(State::Trusted(Why::Network)), &[Effect::Certify(Why::Network)])
        }
        // Reinstated before its time was over; its certification still stands.
        (State::Grace { .. }, Change::MemberDecided) => to(Some(State::Trusted(Why::Network)), &[]),
        (_, Change::Banned { immediate: true }) | (State::Suspended, Change::Banned { .. }) if certified => {
            revoked(End::Banned)
        }
        (State::Trusted(_), Change::Banned { immediate: false }) => {
            to(Some(State::Grace { left_secs: GRACE.as_secs() }), &[])
        }
        (_, Change::Left) if certified => revoked(End::Left),
        (_, Change::KeyRevoked) if certified => revoked(End::KeyRevoked),
        (State::Grace { left_secs }, Change::Ran(time)) => match left_secs.saturating_sub(time.as_secs()) {
            0 => revoked(End::Banned),
            left_secs => to(Some(State::Grace { left_secs }), &[]),
        },
        (State::Trusted(_) | State::Grace { .. }, Change::Evidence) => {
            to(Some(State::Suspended), &[Effect::Kill(End::Suspended)])
        }
        (State::Suspended, Change::Pardon) => to(Some(State::Trusted(Why::Network)), &[]),
        (State::Trusted(why), Change::CardReplaced { other_key: true }) => {
            to(Some(state), &[Effect::RevokeFormerKey, Effect::Certify(why)])
        }
        // The former key must not stay certified, and the new one is not: people decide about such a node anew.
        (State::Grace { .. } | State::Suspended, Change::CardReplaced { other_key: true }) => {
            to(Some(State::Revoked), &[Effect::RevokeFormerKey, Effect::Kill(End::KeyRevoked)])
        }
        _ => to(Some(state), &[]),
    }
}

fn revoked(end: End) -> Step {
    to(Some(State::Revoked), &[Effect::Revoke(RevocationReason::TrustEnded), Effect::Kill(end)])
}

fn to(to: Option<State>, effects: &[Effect]) -> Step {
    Step { to, effects: effects.to_vec() }
}

/// How long visitors of a home that was banned with grace have to find another, in running time of this node.
pub const GRACE: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: State = State::Trusted(Why::Operator);
    const NETWORK: State = State::Trusted(Why::Network);
    const GRACED: State = State::Grace { left_secs: 7 * 24 * 3600 };
    const SOFT: Effect = Effect::Revoke(RevocationReason::TrustEnded);

    /// From, what happens, to, and what it brings.
    type Row = (Option<State>, Change, Option<State>, &'static [Effect]);

    #[test]
    fn each_row_of_the_table() {
        use Effect::{Certify, Kill, RevokeFormerKey};
        let add = Change::Add { despite_ban: false };
        let rows: &[Row] = &[
            (None, Change::CardSeen, Some(State::Seen), &[]),
            (Some(State::Seen), add, Some(OPERATOR), &[Certify(Why::Operator)]),
            (Some(State::Revoked), add, Some(OPERATOR), &[Certify(Why::Operator)]),
            (Some(OPERATOR), add, Some(OPERATOR), &[Certify(Why::Operator)]),
            (Some(State::Seen), Change::MemberDecided, Some(NETWORK), &[Certify(Why::Network)]),
            (Some(State::Revoked), Change::MemberDecided, Some(NETWORK), &[Certify(Why::Network)]),
            (Some(OPERATOR), Change::Revoke, Some(State::Revoked), &[SOFT, Kill(End::Revoked)]),
            (Some(NETWORK), Change::Banned { immediate: true }, Some(State::Revoked), &[SOFT, Kill(End::Banned)]),
            (Some(NETWORK), Change::Left, Some(State::Revoked), &[SOFT, Kill(End::Left)]),
            (Some(OPERATOR), Change::KeyRevoked, Some(State::Revoked), &[SOFT, Kill(End::KeyRevoked)]),
            (Some(NETWORK), Change::Banned { immediate: false }, Some(GRACED), &[]),
            (Some(GRACED), Change::Ran(GRACE), Some(State::Revoked), &[SOFT, Kill(End::Banned)]),
            (Some(OPERATOR), Change::Evidence, Some(State::Suspended), &[Kill(End::Suspended)]),
            (Some(GRACED), Change::Evidence, Some(State::Suspended), &[Kill(End::Suspended)]),
            (Some(State::Suspended), Change::Pardon, Some(NETWORK), &[]),
            (Some(State::Suspended), add, Some(OPERATOR), &[Certify(Why::Operator)]),
            (
                Some(State::Suspended),
                Change::Banned { immediate: false },
                Some(State::Revoked),
                &[SOFT, Kill(End::Banned)],
            ),
            (Some(State::Suspended), Change::Revoke, Some(State::Revoked), &[SOFT, Kill(End::Revoked)]),
            (None, Change::Deny, Some(State::Denied), &[Kill(End::Denied)]),
            (Some(State::Seen), Change::Deny, Some(State::Denied), &[Kill(End::Denied)]),
            (Some(OPERATOR), Change::Deny, Some(State::Denied), &[SOFT, Kill(End::Denied)]),
            (Some(State::Denied), Change::Undeny { carded: true }, Some(State::Revoked), &[]),
            (Some(State::Denied), Change::Undeny { carded: false }, None, &[]),
            (
                Some(OPERATOR),
                Change::CardReplaced { other_key: true },
                Some(OPERATOR),
                &[RevokeFormerKey, Certify(Why::Operator)],
            ),
            (Some(OPERATOR), Change::CardReplaced { other_key: false }, Some(OPERATOR), &[]),
            (Some(State::Seen), Change::CardReplaced { other_key: true }, Some(State::Seen), &[]),
        ];
        for (from, change, expected, effects) in rows {
            let step = step(*from, *change).unwrap();
            assert_eq!((step.to, step.effects.as_slice()), (*expected, *effects), "{from:?} {change:?}");
        }
    }

    #[test]
    fn nothing_the_network_says_moves_a_denied_node() {
        for change in [
            Change::CardSeen,
            Change::MemberDecided,
            Change::Banned { immediate: true },
            Change::Banned { immediate: false },
            Change::Left,
            Change::KeyRevoked,
            Change::Evidence,
            Change::Pardon,
            Change::Ran(GRACE),
            Change::CardReplaced { other_key: true },
        ] {
            assert_eq!(step(Some(State::Denied), change), Ok(to(Some(State::Denied), &[])), "{change:?}");
        }
        assert_eq!(step(Some(State::Denied), Change::Add { despite_ban: true }), Err(Impossible::Denied));
        assert_eq!(step(Some(State::Denied), Change::Revoke), Err(Impossible::Denied));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let add = Change::Add { despite_ban: false };
        assert_eq!(step(None, add), Err(Impossible::NoCard));
        assert_eq!(step(Some(GRACED), add), Err(Impossible::Banned));
        assert!(step(Some(GRACED), Change::Add { despite_ban: true }).is_ok());
        for state in [None, Some(State::Seen), Some(State::Revoked)] {
            assert_eq!(step(state, Change::Revoke), Err(Impossible::NotTrusted));
            assert_eq!(step(state, Change::Undeny { carded: true }), Err(Impossible::NotDenied));
        }
    }

    #[test]
    fn grace_is_running_time() {
        let hour = Duration::from_secs(3600);
        let mut state = Some(GRACED);
        for _ in 0..7 * 24 - 1 {
            state = step(state, Change::Ran(hour)).unwrap().to;
        }
        assert_eq!(state, Some(State::Grace { left_secs: 3600 }));
        assert_eq!(step(state, Change::Ran(hour)).unwrap().to, Some(State::Revoked));
    }
}
