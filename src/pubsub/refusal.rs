//! Why a request is refused, and how XEP-0060 says so.

use crate::stanza::{ErrorType, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such request is known. XEP-0060 §6, §7, §8.
    BadRequest,
    /// The node is not named. §7.1.3.3, §8.1.2.
    NodeRequired,
    /// The item is not named. §7.2.3.3.
    ItemRequired,
    /// There is no payload. §7.1.3.5.
    PayloadRequired,
    /// There is more than one payload. §7.1.3.5.
    InvalidPayload,
    /// The payload is larger than an item may be. §7.1.3.4.
    PayloadTooBig,
    /// More items at once than one. §7.1.3.7.
    TooManyItems,
    /// The name of a node or an item is longer than names may be.
    NameTooLong,
    /// What stands behind publish-options is no form of them. §7.1.5.
    InvalidOptions,
    /// The node is not as the publisher wants it. §7.1.5.
    PreconditionNotMet,
    /// No such node. §6.5.9.10 and elsewhere.
    NoNode,
    /// No such item. §6.5.9.11, §7.2.3.4.
    NoItem,
    /// There is such a node already. §8.1.1.
    NodeExists,
    /// Only the owner may, or he has shut the asker out. §6.5.9.9, §7.1.3.1.
    Forbidden,
    /// The asker is not on the node's list. §6.5.9.8.
    ClosedNode,
    /// The asker does not see the owner's presence. §6.5.9.5.
    PresenceSubscriptionRequired,
    /// The asker is in none of the groups. §6.5.9.6.
    NotInRosterGroup,
    /// A value of the configuration is none. §8.2.5.
    NotAcceptable,
    /// A part of XEP-0060 that is not offered, by the name of its feature. §6.1.3 and elsewhere.
    Unsupported(&'static str),
    /// The account's share of the store is used up, or it has as many nodes as it may.
    Full,
    /// The store failed.
    Broken,
}

impl Refusal {
    /// As it goes on the wire.
    pub fn to_error(self) -> StanzaError {
        use StanzaCondition as C;
        let plain = StanzaError::new;
        let with = |condition, detail: &'static str| {
            StanzaError::new(condition).application(Element::new(detail, ns::PUBSUB_ERRORS))
        };
        match self {
            Refusal::BadRequest => plain(C::BadRequest),
            Refusal::NodeRequired => with(C::BadRequest, "nodeid-required"),
            Refusal::ItemRequired => with(C::BadRequest, "item-required"),
            Refusal::PayloadRequired => with(C::BadRequest, "payload-required"),
            Refusal::InvalidPayload => with(C::BadRequest, "invalid-payload"),
            Refusal::PayloadTooBig => with(C::NotAcceptable, "payload-too-big"),
            Refusal::TooManyItems => with(C::NotAllowed, "max-items-exceeded"),
            Refusal::NameTooLong => plain(C::NotAcceptable).text("the name is too long"),
            Refusal::InvalidOptions => with(C::BadRequest, "invalid-options"),
            Refusal::PreconditionNotMet => with(C::Conflict, "precondition-not-met"),
            Refusal::NoNode | Refusal::NoItem => plain(C::ItemNotFound),
            Refusal::NodeExists => plain(C::Conflict),
            Refusal::Forbidden => plain(C::Forbidden),
            Refusal::ClosedNode => with(C::NotAllowed, "closed-node"),
            Refusal::PresenceSubscriptionRequired => with(C::NotAuthorized, "presence-subscription-required"),
            Refusal::NotInRosterGroup => with(C::NotAuthorized, "not-in-roster-group"),
            Refusal::NotAcceptable => plain(C::NotAcceptable),
            Refusal::Unsupported(feature) => plain(C::FeatureNotImplemented)
                .application(Element::new("unsupported", ns::PUBSUB_ERRORS).with("feature", feature)),
            // XEP-0060 has no condition for it; RFC 6120 §8.3.3.17 has.
            Refusal::Full => {
                plain(C::ResourceConstraint).of_type(ErrorType::Cancel).text("the account's storage is used up")
            }
            Refusal::Broken => plain(C::InternalServerError),
        }
    }
}
