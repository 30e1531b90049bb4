//! Who may read a node. XEP-0060 §4.5, XEP-0163 §4.

use super::{AccessModel, Affiliation, Node, Refusal};

/// Somebody who wants to read, as the owner's roster knows him.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// The bare JID.
    pub jid: String,
    /// It is the owner himself.
    pub owner: bool,
    /// He sees the owner's presence: his subscription is from or both.
    pub sees_presence: bool,
    /// The groups that the owner's roster has him in.
    pub groups: Vec<String>,
}

impl Asker {
    /// Has he any relation to the owner, so that he may know that the account exists?
    pub fn is_stranger(&self) -> bool {
        !self.owner && !self.sees_presence
    }
}

/// May he read the node?
///
/// Errors: the one XEP-0060 §6.5.9 names for the access model.
pub fn check_access(node: &Node, asker: &Asker) -> Result<(), Refusal> {
    if asker.owner {
        return Ok(());
    }
    match (node.affiliations.get(&asker.jid), node.config.access) {
        (Some(Affiliation::Outcast), _) => Err(Refusal::Forbidden),
        (Some(Affiliation::Member), _) | (None, AccessModel::Open) => Ok(()),
        (None, AccessModel::Presence) if asker.sees_presence => Ok(()),
        (None, AccessModel::Presence) => Err(Refusal::PresenceSubscriptionRequired),
        (None, AccessModel::Roster) if asker.groups.iter().any(|group| node.config.roster_groups.contains(group)) => {
            Ok(())
        }
        (None, AccessModel::Roster) => Err(Refusal::NotInRosterGroup),
        (None, AccessModel::Whitelist) => Err(Refusal::ClosedNode),
    }
}

/// What a refused asker is told: a stranger cannot tell a node that is closed to him from none, nor an account from none.
pub fn hide_from(asker: &Asker, refusal: Refusal) -> Refusal {
    if asker.is_stranger() { Refusal::NoNode } else { refusal }
}
