//! What a session says and hears: iqs, messages, presence, the roster; and the barrier.

use kontalk_node::jid::FullJid;
use kontalk_node::xml::{Element, escape_attribute, escape_text, ns};

use super::client::Client;

/// Why an iq was refused: the error's condition and type. RFC 6120 §8.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub condition: String,
    pub kind: String,
}

impl Client {
    /// The full JID. The stream must be bound.
    pub fn full(&self) -> &FullJid {
        self.jid.as_ref().expect("a resource is bound")
    }

    /// The bare JID as text.
    pub fn bare(&self) -> String {
        self.full().bare().to_string()
    }

    /// An id that this client has not used.
    pub fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("t{}", self.ids)
    }

    /// Sends an iq get or set and gives its answer, result or error.
    pub fn iq(&mut self, kind: &str, to: Option<&str>, payload: &str) -> Element {
        let id = self.next_id();
        let to = to.map_or_else(String::new, |to| format!(" to='{}'", attribute(to)));
        self.send(&format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>"));
        self.expect(&format!("the answer to {payload}"), |el| {
            el.is("iq", ns::CLIENT)
                && el.attribute("id") == Some(&id)
                && matches!(el.attribute("type"), Some("result" | "error"))
        })
    }

    /// The payload of a result, or why there is none.
    pub fn ask(&mut self, kind: &str, to: Option<&str>, payload: &str) -> Result<Option<Element>, Refused> {
        let answer = self.iq(kind, to, payload);
        match refused(&answer) {
            Some(refused) => Err(refused),
            None => Ok(answer.first_child().cloned()),
        }
    }

    /// The barrier: a ping to the server and back. All that was sent before has been handled, and all that this brought to
    /// this very client is queued. XEP-0199.
    pub fn roundtrip(&mut self) {
        let answer = self.iq("get", Some(self.domain), &format!("<ping xmlns='{}'/>", ns::PING));
        assert_eq!(answer.attribute("type"), Some("result"), "{answer:?}");
    }

    /// All that came up to now, in order: the barrier first.
    pub fn drain(&mut self) -> Vec<Element> {
        self.roundtrip();
        self.take_inbox()
    }

    /// Takes what came up to now and `wanted` says yes to: the barrier first. The rest stays queued in its order.
    pub fn take_waiting(&mut self, wanted: impl Fn(&Element) -> bool) -> Vec<Element> {
        self.roundtrip();
        let (taken, kept) = self.take_inbox().into_iter().partition(wanted);
        self.inbox = Vec::into(kept);
        taken
    }

    /// Fails if anything waits to be read.
    pub fn nothing_waits(&mut self) {
        let waiting = self.drain();
        assert!(waiting.is_empty(), "nothing was expected, but there is: {waiting:#?}");
    }

    /// The presence that comes back to the client itself (RFC 6121 §4.2.2) is dropped.
    pub fn take_own_presence(&mut self) {
        let own = self.full().to_string();
        self.inbox.retain(|el| !(el.is("presence", ns::CLIENT) && el.attribute("from") == Some(&own)));
    }

    /// Sends a chat message; gives its id.
    pub fn say(&mut self, to: &str, body: &str) -> String {
        let id = self.next_id();
        self.send(&chat(to, &id, body));
        id
    }

    /// The next message with a body, which must be this one. Others before it stay queued unless they have a body, too: then
    /// the order is wrong.
    pub fn expect_body(&mut self, wanted: &str) -> Element {
        let message = self.expect(&format!("the message {wanted:?}"), |el| body_of(el).is_some());
        assert_eq!(body_of(&message).as_deref(), Some(wanted));
        message
    }

    /// The bodies of all messages that came up to now, in order.
    pub fn bodies(&mut self) -> Vec<String> {
        self.drain().iter().filter_map(body_of).collect()
    }

    /// The next presence of this type (`None`: available) from this address.
    pub fn expect_presence(&mut self, kind: Option<&str>, from: &str) -> Element {
        let what = format!("presence {kind:?} from {from}");
        self.expect(&what, |el| {
            el.is("presence", ns::CLIENT) && el.attribute("type") == kind && el.attribute("from") == Some(from)
        })
    }

    /// The roster: version and items. RFC 6121 §2.1.3.
    pub fn roster(&mut self) -> (Option<String>, Vec<Element>) {
        let query = self.ask("get", None, &format!("<query xmlns='{}'/>", ns::ROSTER));
        let query = query.expect("the roster can be read").expect("a roster without version is always sent");
        (query.attribute("ver").map(str::to_owned), query.children().cloned().collect())
    }

    /// The next roster push about this contact: the item. It is answered. RFC 6121 §2.1.6.
    pub fn expect_push(&mut self, contact: &str) -> Element {
        let item_of = |el: &Element| {
            let query = el.child("query", ns::ROSTER)?;
            query.first_child().filter(|item| item.attribute("jid") == Some(contact)).cloned()
        };
        let push = self.expect(&format!("a roster push for {contact}"), |el| {
            el.is("iq", ns::CLIENT) && el.attribute("type") == Some("set") && item_of(el).is_some()
        });
        let id = push.attribute("id").expect("an iq has an id").to_owned();
        self.send(&format!("<iq type='result' id='{}'/>", attribute(&id)));
        item_of(&push).expect("just seen")
    }

    /// Makes the two mutual contacts by the ordinary exchange, and leaves nothing of it in either inbox. RFC 6121 §3.1.
    pub fn befriend(&mut self, other: &mut Client) {
        let (me, them) = (self.bare(), other.bare());
        self.send(&format!("<presence type='subscribe' to='{them}'/>"));
        other.expect_presence(Some("subscribe"), &me);
        other.send(&format!("<presence type='subscribed' to='{me}'/><presence type='subscribe' to='{me}'/>"));
        if let Some(sm) = &mut other.sm {
            sm.sent += 1; // The line above is two stanzas.
        }
        self.expect_presence(Some("subscribe"), &them);
        self.send(&format!("<presence type='subscribed' to='{them}'/>"));
        other.expect_presence(Some("subscribed"), &me);
        for client in [&mut *self, &mut *other] {
            client.expect_push_until_both();
        }
        // Each side's presence reached the other before the barrier of both.
        self.roundtrip();
        other.drain();
        self.drain();
    }

    fn expect_push_until_both(&mut self) {
        self.expect("a roster push with subscription both", |el| {
            let item = el.child("query", ns::ROSTER).and_then(Element::first_child);
            item.is_some_and(|item| item.attribute("subscription") == Some("both"))
        });
    }
}

/// A chat message as text.
pub fn chat(to: &str, id: &str, body: &str) -> String {
    format!("<message type='chat' to='{}' id='{}'><body>{}</body></message>", attribute(to), attribute(id), text(body))
}

/// Why an answer is a refusal, if it is one.
pub fn refused(answer: &Element) -> Option<Refused> {
    if answer.attribute("type") != Some("error") {
        return None;
    }
    let error = answer.child("error", ns::CLIENT)?;
    let condition = error.children().find(|child| child.namespace() == ns::STANZA_ERRORS && child.name() != "text")?;
    Some(Refused {
        condition: condition.name().to_owned(),
        kind: error.attribute("type").unwrap_or_default().to_owned(),
    })
}

/// For comparing with [`refused`].
pub fn refusal(condition: &str, kind: &str) -> Refused {
    Refused { condition: condition.to_owned(), kind: kind.to_owned() }
}

/// The body of a message that is no error.
pub fn body_of(element: &Element) -> Option<String> {
    if !element.is("message", ns::CLIENT) || element.attribute("type") == Some("error") {
        return None;
    }
    element.child("body", ns::CLIENT).map(Element::text)
}

/// The ids of these stanzas, in order.
pub fn ids_of(stanzas: &[Element]) -> Vec<&str> {
    stanzas.iter().filter_map(|el| el.attribute("id")).collect()
}

fn attribute(value: &str) -> String {
    let mut out = String::new();
    escape_attribute(value, &mut out);
    out
}

fn text(value: &str) -> String {
    let mut out = String::new();
    escape_text(value, &mut out);
    out
}
