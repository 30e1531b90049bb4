//! What an operator asks about other nodes, and what he is told.

use serde::{Deserialize, Serialize};

use crate::node::control::Secret;

/// What an operator asks.
#[derive(Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum TrustRequest {
    /// This node's own card, to hand to others.
    Card {
        /// Make it if there is none.
        make: bool,
    },
    /// What a node's card says, before anything is decided.
    Preview {
        /// Which node.
        node: String,
        /// What its operator handed over; without it what is known.
        introduction: Option<String>,
    },
    /// Trust a node.
    Add {
        /// Which.
        node: String,
        /// The fingerprint of its key as its operator told it.
        fingerprint: String,
        /// What its operator handed over; without it what is known.
        introduction: Option<String>,
        /// Though the network has banned it.
        despite_ban: bool,
        /// Why; may be empty.
        reason: String,
    },
    /// All nodes of which something is known.
    List,
    /// One of them.
    Show {
        /// Which.
        node: String,
    },
    /// End the trust.
    Revoke {
        /// In which.
        node: String,
        /// Why; may be empty.
        reason: String,
    },
    /// Want nothing of a node, whatever others decide.
    Deny {
        /// Of which.
        node: String,
        /// Why; may be empty.
        reason: String,
    },
    /// No longer so.
    Undeny {
        /// Which.
        node: String,
    },
    /// The clock is right, though it was later once.
    Clock,
}

/// What the operator is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum TrustReply {
    /// The own card.
    Card {
        /// What to hand to others.
        introduction: String,
        /// The fingerprint of the own key, to be compared.
        fingerprint: String,
        /// The recovery words, if the card was just made. Nowhere else are they kept.
        words: Option<Secret>,
    },
    /// What a card says.
    Preview {
        /// The node.
        node: String,
        /// The fingerprint of its key.
        fingerprint: String,
        /// How it relates to what is known.
        news: String,
    },
    /// It is done.
    Done {
        /// What was done, in a sentence.
        sentence: String,
    },
    /// Nodes.
    Nodes {
        /// One row each.
        nodes: Vec<NodeFacts>,
        /// What is wrong with the clock, if anything is.
        clock: Option<String>,
    },
    /// One node.
    Node {
        /// Its row.
        facts: Box<NodeFacts>,
        /// Its card, as it signed it.
        card: Option<String>,
        /// Where it is, as it signed it.
        reach: Option<String>,
        /// Its certificate with our signatures, in ASCII armor.
        certificate: Option<String>,
    },
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its domain.
    pub node: String,
    /// SEEN, TRUSTED, GRACE, SUSPENDED, REVOKED or DENIED.
    pub state: String,
    /// Since when.
    pub since: String,
    /// `operator` or `network`, of a trusted one.
    pub why: Option<String>,
    /// What the operator said of it.
    pub reason: String,
    /// The fingerprint of its key.
    pub fingerprint: Option<String>,
    /// When our certification was made, if it holds.
    pub certified: Option<String>,
    /// When it ends.
    pub expires: Option<String>,
    /// Its users who are known here.
    pub visitors: u64,
    /// What the operator should know.
    pub flags: Vec<String>,
}
