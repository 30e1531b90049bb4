//! From what was decided to what is held: which change of a node's state is due. `trust` knows the states and what each change
//! brings; here is who is heard first: the operator's deny, then evidence, then what else the operator did, then the network.

use super::chain::Standing;
use super::state::BanEffect;
use crate::trust::{CardId, Change, State, Why};

/// All that is known of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What we hold; `None`: nothing.
    pub held: Option<State>,
    /// The pinned card.
    pub card: Option<CardId>,
    /// What the network has decided.
    pub decided: Standing,
    /// Does evidence suspend it that neither the network nor the operator has forgiven?
    pub suspended: bool,
    /// What our operator said of it last.
    pub operator: Word,
}

/// What the operator said of a node last, but for deny, which its state tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Word {
    /// Nothing.
    #[default]
    None,
    /// To trust it.
    Add,
    /// To trust it although the network has banned it.
    AddDespiteBan,
    /// Not to trust it, until it is added again: the network does not bring it back.
    Revoke,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The card that was decided takes the place of the pinned one; then look again.
    TakeCard(CardId),
    /// This change of its state.
    Change(Change),
}

/// The next change that makes what is held agree with what was decided; `None` if it does. After the change, ask again.
pub fn due(known: Known) -> Option<Due> {
    let Known { held, card, decided, suspended, operator } = known;
    let state = held?;
    // What the network decides never moves a denied node.
    if state == State::Denied {
        return None;
    }
    if let Standing::Member { card: decided, .. } = decided
        && card != Some(decided)
    {
        return Some(Due::TakeCard(decided));
    }
    let despite = operator == Word::AddDespiteBan;
    let immediate = |effect| Change::Banned { immediate: effect == BanEffect::Immediate };
    let change = match (state, decided) {
        (State::Denied, _) => return None,
        // Evidence comes before everything but a deny; a ban comes to the same sooner.
        (State::Suspended, Standing::Banned { effect }) if !despite => immediate(effect),
        (State::Suspended, _) if suspended => return None,
        (State::Trusted(_) | State::Grace { .. }, _) if suspended => Change::Evidence,
        (State::Suspended, Standing::Absent) if operator == Word::None => Change::Left,
        (State::Suspended, _) => Change::Pardon,
        (State::Trusted(_), Standing::Banned { effect }) if !despite => immediate(effect),
        (State::Grace { .. }, Standing::Banned { effect: BanEffect::Immediate }) => Change::Banned { immediate: true },
        (State::Trusted(Why::Network), Standing::Absent) | (State::Grace { .. }, Standing::Absent)
            if operator == Word::None =>
        {
            Change::Left
        }
        (State::Grace { .. }, Standing::Member { .. }) => Change::MemberDecided,
        (State::Seen | State::Revoked, Standing::Member { .. }) if operator != Word::Revoke && !suspended => {
            Change::MemberDecided
        }
        _ => return None,
    };
    Some(Due::Change(change))
}

#[cfg(test)]
mod tests {
    use super::super::state::Role;
    use super::*;
    use crate::trust::step;

    const CARD: CardId = CardId([1; 32]);
    const MEMBER: Standing = Standing::Member { role: Role::Associate, card: CARD };
    const AT_ONCE: Standing = Standing::Banned { effect: BanEffect::Immediate };
    const WITH_GRACE: Standing = Standing::Banned { effect: BanEffect::Grace };
    const NETWORK: State = State::Trusted(Why::Network);
    const OPERATOR: State = State::Trusted(Why::Operator);
    const GRACE: State = State::Grace { left_secs: 5 };

    fn known(held: State, decided: Standing, suspended: bool, operator: Word) -> Known {
        Known { held: Some(held), card: Some(CARD), decided, suspended, operator }
    }

    #[test]
    fn deny_then_evidence_then_the_operator_then_the_network() {
        use Change::{Banned, Evidence, Left, MemberDecided, Pardon};
        use Word::{Add, AddDespiteBan, None as Nothing, Revoke};
        let rows = [
            // The network alone.
            (State::Seen, MEMBER, false, Nothing, Some(MemberDecided)),
            (State::Revoked, MEMBER, false, Nothing, Some(MemberDecided)),
            (NETWORK, MEMBER, false, Nothing, None),
            (NETWORK, Standing::Absent, false, Nothing, Some(Left)),
            (NETWORK, AT_ONCE, false, Nothing, Some(Banned { immediate: true })),
            (NETWORK, WITH_GRACE, false, Nothing, Some(Banned { immediate: false })),
            (GRACE, WITH_GRACE, false, Nothing, None),
            (GRACE, AT_ONCE, false, Nothing, Some(Banned { immediate: true })),
            (GRACE, MEMBER, false, Nothing, Some(MemberDecided)),
            (State::Seen, AT_ONCE, false, Nothing, None),
            (State::Seen, Standing::Absent, false, Nothing, None),
            (State::Revoked, Standing::Absent, false, Nothing, None),
            // Evidence before the network.
            (NETWORK, MEMBER, true, Nothing, Some(Evidence)),
            (GRACE, WITH_GRACE, true, Nothing, Some(Evidence)),
            (State::Suspended, MEMBER, true, Nothing, None),
            (State::Suspended, WITH_GRACE, true, Nothing, Some(Banned { immediate: false })),
            (State::Suspended, MEMBER, false, Nothing, Some(Pardon)),
            (State::Suspended, Standing::Absent, false, Nothing, Some(Left)),
            (State::Seen, MEMBER, true, Nothing, None),
            (State::Revoked, MEMBER, true, Nothing, None),
            // Evidence before the operator's add.
            (OPERATOR, MEMBER, true, Add, Some(Evidence)),
            (OPERATOR, AT_ONCE, true, AddDespiteBan, Some(Evidence)),
            (State::Suspended, AT_ONCE, true, AddDespiteBan, None),
            // The operator before the network.
            (OPERATOR, Standing::Absent, false, Add, None),
            (OPERATOR, AT_ONCE, false, AddDespiteBan, None),
            (OPERATOR, AT_ONCE, false, Add, Some(Banned { immediate: true })),
            (NETWORK, Standing::Absent, false, Add, None),
            (State::Revoked, MEMBER, false, Revoke, None),
            // Deny before all.
            (State::Denied, MEMBER, false, Add, None),
            (State::Denied, AT_ONCE, true, Nothing, None),
        ];
        for (held, decided, suspended, operator, expected) in rows {
            let due = due(known(held, decided, suspended, operator));
            assert_eq!(due, expected.map(Due::Change), "{held:?} {decided:?} {suspended} {operator:?}");
        }
        assert_eq!(due(Known { held: None, ..known(NETWORK, MEMBER, true, Nothing) }), None);
    }

    #[test]
    fn a_decided_card_comes_first() {
        let other = Known { card: Some(CardId([2; 32])), ..known(NETWORK, MEMBER, true, Word::None) };
        assert_eq!(due(other), Some(Due::TakeCard(CARD)));
        assert_eq!(due(Known { held: Some(State::Denied), ..other }), None);
    }

    #[test]
    fn whatever_is_known_it_comes_to_rest() {
        let states = [State::Seen, NETWORK, OPERATOR, GRACE, State::Suspended, State::Revoked, State::Denied];
        for held in states {
            for decided in [MEMBER, AT_ONCE, WITH_GRACE, Standing::Absent] {
                for suspended in [false, true] {
                    for operator in [Word::None, Word::Add, Word::AddDespiteBan, Word::Revoke] {
                        let mut now = known(held, decided, suspended, operator);
                        for _ in 0..4 {
                            let Some(Due::Change(change)) = due(now) else { break };
                            now.held = step(now.held, change).unwrap().to;
                        }
                        assert_eq!(due(now), None, "{held:?} {decided:?} {suspended} {operator:?}");
                        let trusted = now.held.is_some_and(State::keeps_visitors);
                        assert!(!(suspended && trusted), "evidence must not be overruled: {now:?}");
                    }
                }
            }
        }
    }
}
