//! Two servers of paper with a cable between them, and queues whose time is moved by hand.

mod queues;
mod random;
mod streams;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::jid::BareJid;
use crate::router::{LinkId, Now, Receipt};
use crate::stanza::{Stanza, StanzaCondition, Timestamp};
use crate::xml::{ns, parse_document};

fn domain(name: &str) -> BareJid {
    name.parse().unwrap()
}

fn pair() -> Pair {
    Pair { own: domain("a.example"), peer: domain("b.example") }
}

fn stanza(text: &str) -> Stanza {
    Stanza::new(parse_document(text, ns::CLIENT, 20).unwrap()).unwrap()
}

fn chat(id: &str) -> Stanza {
    stanza(&format!(
        "<message type='chat' id='{id}' from='romeo@a.example/orchard' to='nurse@b.example'><body>{id}</body></message>"
    ))
}
