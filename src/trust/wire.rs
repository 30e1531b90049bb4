//! Trust on the wire: what nodes show each other before they authenticate, what a visitor's presence says, and why a visitor
//! must go. Our own namespace `urn:kontalk:net:0`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::card::CardId;
use super::domain::NodeDomain;
use super::introduction::INTRODUCTION_BYTES_MAX;
use super::note::NOTE_BYTES_MAX;
use super::peer::End;
use crate::jid::BareJid;
use crate::stanza::{StreamCondition, StreamError};
use crate::xml::{Element, ns};

/// The stream feature of a node: its card, and which number of the other side's reach it has (0: none).
pub fn node_feature(held: u64, own_card: &CardId) -> Element {
    Element::new("node", ns::KONTALK_NET).with("seq", held.to_string()).with("card", own_card.to_string())
}

/// Reads the feature: the number the other side has of ours, and its card.
pub fn read_node_feature(features: &Element) -> Option<(u64, CardId)> {
    let node = features.child("node", ns::KONTALK_NET)?;
    Some((node.attribute("seq")?.parse().ok()?, node.attribute("card")?.parse().ok()?))
}

/// The same with the card that we have of the other side, so that it sees whether it has another one by now.
pub fn node_feature_knowing(held: u64, own_card: &CardId, known: &CardId) -> Element {
    node_feature(held, own_card).with("known", known.to_string())
}

/// Reads which card the other side has of us.
pub fn read_known_card(features: &Element) -> Option<CardId> {
    features.child("node", ns::KONTALK_NET)?.attribute("known")?.parse().ok()
}

/// An introduction, as an initiator shows it whose card is another than the known one. It is answered as a reach is.
pub fn introduction_nonza(introduction: &str) -> Element {
    Element::new("introduction", ns::KONTALK_NET).with_text(&STANDARD.encode(introduction))
}

/// Reads it; what it says is not verified yet.
pub fn read_introduction(element: &Element) -> Option<String> {
    let text = Some(element).filter(|element| element.is("introduction", ns::KONTALK_NET))?.text();
    if text.len() > INTRODUCTION_BYTES_MAX * 3 / 2 {
        return None;
    }
    String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()
}

/// A reach, as the initiator shows it.
pub fn reach_nonza(note: &str) -> Element {
    Element::new("reach", ns::KONTALK_NET).with_text(&STANDARD.encode(note))
}

/// The answer to it: whether it was accepted, and the receiver's own.
pub fn reach_answer(accepted: bool, own: &str) -> Element {
    reach_nonza(own).with("result", if accepted { "ok" } else { "refused" })
}

/// Reads either: the note's bytes, and whether ours was accepted if it is an answer.
pub fn read_reach(element: &Element) -> Option<(Vec<u8>, Option<bool>)> {
    if !element.is("reach", ns::KONTALK_NET) {
        return None;
    }
    let text = element.text();
    if text.len() > NOTE_BYTES_MAX * 3 / 2 {
        return None;
    }
    Some((STANDARD.decode(text.trim()).ok()?, element.attribute("result").map(|result| result == "ok")))
}

/// What a visitor's presence bears.
pub fn visitor_marker(home: &BareJid) -> Element {
    Element::new("visitor", ns::KONTALK_NET).with("home", home.as_str())
}

/// What a visitor is told who must go.
pub fn trust_ended(home: &NodeDomain, end: End) -> StreamError {
    let ended = Element::new("trust-ended", ns::KONTALK_NET).with("home", home.as_str()).with("reason", end.as_str());
    StreamError::new(StreamCondition::PolicyViolation).application(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let id = CardId([7; 32]);
        let features = Element::new("features", ns::STREAM).with_child(node_feature(5, &id));
        assert_eq!(read_node_feature(&features), Some((5, id)));
        assert_eq!(read_known_card(&features), None);
        let known = CardId([8; 32]);
        let features = Element::new("features", ns::STREAM).with_child(node_feature_knowing(5, &id, &known));
        assert_eq!((read_node_feature(&features), read_known_card(&features)), (Some((5, id)), Some(known)));
        assert_eq!(read_introduction(&introduction_nonza("of me\n")).as_deref(), Some("of me\n"));
        assert_eq!(read_introduction(&reach_nonza("of me\n")), None);
        assert_eq!(read_reach(&reach_nonza("a note\n")), Some((b"a note\n".to_vec(), None)));
        assert_eq!(read_reach(&reach_answer(true, "x")), Some((b"x".to_vec(), Some(true))));
        assert_eq!(read_reach(&reach_answer(false, "x")), Some((b"x".to_vec(), Some(false))));
        assert_eq!(read_reach(&Element::new("reach", ns::KONTALK_NET).with_text("!")), None);
        assert_eq!(read_reach(&Element::new("reach", ns::CLIENT).with_text("eA==")), None);
    }

    #[test]
    fn a_visitor_is_told_which_home_and_why() {
        let error = trust_ended(&NodeDomain::parse("a.example").unwrap(), End::Banned).to_element().to_text(ns::CLIENT);
        assert_eq!(
            error,
            "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <trust-ended xmlns='urn:kontalk:net:0' home='a.example' reason='banned'/></stream:error>"
        );
    }
}
