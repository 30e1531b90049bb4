//! The other side of a stream between servers: is it the node whose card we hold?
//!
//! A domain with a pinned card is authenticated by the TLS keys of its reach and by nothing else: neither an authority's
//! certificate nor dialback helps it, for who took over its name could have both.

use super::card::Card;
use super::reach::{Reach, ReachRefusal, SignedReach};

/// What is known of a node that may be at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedNode {
    /// Its card.
    pub card: Card,
    /// Its newest reach, if it has shown one.
    pub reach: Option<Reach>,
}

/// What a TLS key makes of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// There is no card of its domain: other ways may authenticate it as a foreign server, never as a node.
    NoCard,
    /// It is the node.
    Node,
    /// It is not, unless it shows a reach of a higher number with this key; else the stream is to be refused with
    /// `policy-violation`.
    AwaitReach {
        /// The number of the reach that we have, 0 for none.
        held: u64,
    },
}

/// Judges the TLS key of a peer: SHA-256 of its SubjectPublicKeyInfo.
pub fn classify(pinned: Option<&PinnedNode>, spki_sha256: &[u8; 32]) -> Class {
    match pinned {
        None => Class::NoCard,
        Some(PinnedNode { reach: Some(reach), .. }) if reach.tls.contains(spki_sha256) => Class::Node,
        Some(PinnedNode { reach, .. }) => Class::AwaitReach { held: reach.as_ref().map_or(0, |reach| reach.seq) },
    }
}

/// Judges the reach that a peer showed because it was waited for.
pub fn take_reach(
    pinned: &PinnedNode,
    shown: &[u8],
    spki_sha256: &[u8; 32],
) -> Result<(SignedReach, Class), ReachRefusal> {
    let held = pinned.reach.as_ref().map(|reach| reach.seq);
    let signed = SignedReach::accept(shown, &pinned.card, held)?;
    let node = PinnedNode { card: pinned.card.clone(), reach: Some(signed.reach().clone()) };
    let class = classify(Some(&node), spki_sha256);
    Ok((signed, class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Timestamp;
    use crate::trust::tests::vectors::{card, vote};

    #[test]
    fn a_carded_domain_is_its_pinned_key_or_waits_for_a_newer_reach() {
        let now = Timestamp { millis: 1_700_000_000_000 };
        let reach = |seq, tls: [u8; 32]| {
            let (card, disco) = (card("a.example").id(), None);
            Reach { card, seq, tls: vec![tls], disco, s2s: Vec::new(), http: Vec::new() }
        };
        let pinned = PinnedNode { card: card("a.example"), reach: Some(reach(8, [1; 32])) };
        assert_eq!(classify(None, &[1; 32]), Class::NoCard);
        assert_eq!(classify(Some(&pinned), &[1; 32]), Class::Node);
        assert_eq!(classify(Some(&pinned), &[2; 32]), Class::AwaitReach { held: 8 });
        let fresh = PinnedNode { reach: None, ..pinned.clone() };
        assert_eq!(classify(Some(&fresh), &[1; 32]), Class::AwaitReach { held: 0 });

        let show = |seq, tls| SignedReach::make(reach(seq, tls), &vote("a.example"), now).to_text();
        let class = |shown: String| take_reach(&pinned, shown.as_bytes(), &[2; 32]).map(|(_, class)| class);
        assert_eq!(class(show(9, [2; 32])), Ok(Class::Node));
        assert_eq!(class(show(9, [3; 32])), Ok(Class::AwaitReach { held: 9 }));
        assert_eq!(class(show(8, [2; 32])), Err(ReachRefusal::NotNewer { held: 8 }));
    }
}
