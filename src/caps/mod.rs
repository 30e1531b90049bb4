//! Entity capabilities: what a client can do and wants to hear of, told by a hash in its presence. XEP-0115.
//!
//! [`Caps`] are read from a presence; [`Cache`] remembers what stands behind them, of all features only the `NODE+notify` that
//! personal eventing filters by (XEP-0163 §4.2). What is not known yet is asked once of the client itself. An answer counts for
//! everybody with the same hash only if it has that hash ([`verification`]); else for the one who gave it.
//!
//! States of a hash: unknown -> asked -> known, or refused until the client comes anew. `ver='none'`, as Kontalk's clients have it, is no hash: such a client is not
//! asked. Limits: `CAPS_*` of [`crate::limits`].

mod verification;

pub use verification::{Hash, verification};

use std::sync::Arc;

use crate::jid::{BareJid, FullJid, Jid};
use crate::limits::{self, BoundedMap};
use crate::stanza::{IqType, Kind, Stanza};
use crate::xml::{Element, ns};

/// The capabilities element of a presence. XEP-0115 §4.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caps {
    /// The hash function's name, empty in presence of before 2007.
    hash: String,
    /// The software.
    node: String,
    /// The hash, or a version.
    ver: String,
}

impl Caps {
    /// Reads them. `None` if there are none, or such that say nothing.
    pub fn of(presence: &Element) -> Option<Caps> {
        let caps = presence.child("c", ns::CAPS)?;
        let ver = caps.attribute("ver").filter(|ver| !ver.is_empty() && *ver != "none")?;
        let node = caps.attribute("node")?;
        let hash = caps.attribute("hash").unwrap_or_default();
        let short = [hash, node, ver].iter().all(|text| text.len() <= TEXT_BYTES_MAX);
        short.then(|| Caps { hash: hash.to_owned(), node: node.to_owned(), ver: ver.to_owned() })
    }
}

/// The nodes that a client wants to hear of, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes(Box<[Box<str>]>);

impl Wishes {
    /// Is this one among them?
    pub fn include(&self, node: &str) -> bool {
        self.0.binary_search_by(|wish| (**wish).cmp(node)).is_ok()
    }

    /// All of them.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|wish| &**wish)
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(info: &Element) -> Wishes {
        let mut bytes = 0;
        let mut nodes: Vec<Box<str>> = Vec::new();
        let features = info.children().filter(|child| child.is("feature", ns::DISCO_INFO));
        for node in features.filter_map(|feature| feature.attribute("var")?.strip_suffix("+notify")) {
            bytes += node.len();
            if bytes > limits::CAPS_NOTIFY_BYTES_MAX {
                break;
            }
            nodes.push(node.into());
        }
        nodes.sort_unstable();
        nodes.dedup();
        Wishes(nodes.into())
    }
}

/// Whose answer it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Everybody's with this hash.
    Verified(Hash, String),
    /// This client's alone.
    Own(FullJid, Caps),
}

/// What a client was asked.
#[derive(Debug)]
struct Query {
    number: u64,
    caps: Caps,
}

/// What is known of capabilities, and who was asked.
#[derive(Debug)]
pub struct Cache {
    known: BoundedMap<Key, Arc<Wishes>>,
    asked: BoundedMap<FullJid, Query>,
    refused: BoundedMap<FullJid, Caps>,
    queries: u64,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache {
            known: BoundedMap::new(limits::CAPS_ENTRIES_MAX),
            asked: BoundedMap::new(limits::CAPS_QUERIES_MAX),
            refused: BoundedMap::new(limits::CAPS_QUERIES_MAX),
            queries: 0,
        }
    }
}

impl Cache {
    /// What a client with these capabilities wants to hear of; `None` if that is not known yet.
    pub fn wishes(&self, client: &FullJid, caps: &Caps) -> Option<Arc<Wishes>> {
        let verified = Hash::named(&caps.hash).and_then(|hash| self.known.get(&Key::Verified(hash, caps.ver.clone())));
        verified.or_else(|| self.known.get(&Key::Own(client.clone(), caps.clone()))).cloned()
    }

    /// The same question while the client stays, as for one that was there before the node was started: who refused to answer is
    /// left alone.
    pub fn ask_meanwhile(&mut self, domain: &BareJid, client: &FullJid, caps: Caps) -> Option<Stanza> {
        if self.refused.get(client) == Some(&caps) { None } else { self.ask(domain, client, caps) }
    }

    /// The question to a client that came, from the domain; `None` if it was asked already. XEP-0115 §6.2.
    pub fn ask(&mut self, domain: &BareJid, client: &FullJid, caps: Caps) -> Option<Stanza> {
        if self.asked.get(client).is_some_and(|query| query.caps == caps) {
            return None;
        }
        self.queries = self.queries.wrapping_add(1);
        let node = format!("{}#{}", caps.node, caps.ver);
        let from = Some(Jid::Bare(domain.clone()));
        let query =
            Stanza::build(Kind::Iq(IqType::Get), from, Some(Jid::Full(client.clone())), Some(&id(self.queries)))
                .with_child(Element::new("query", ns::DISCO_INFO).with("node", node));
        self.asked.insert(client.clone(), Query { number: self.queries, caps });
        Some(query)
    }

    /// Takes an answer; gives back whose wishes are known now. What was not asked for is ignored.
    pub fn answered(&mut self, answer: &Stanza) -> Option<(FullJid, Arc<Wishes>)> {
        let client = answer.from().and_then(Jid::full)?;
        let number = self.asked.get(client)?.number;
        if answer.id() != Some(&id(number)) {
            return None;
        }
        let query = self.asked.remove(client)?;
        let info = answer.payload().filter(|payload| payload.is("query", ns::DISCO_INFO) && !answer.is_error());
        let Some(info) = info else {
            self.refused.insert(client.clone(), query.caps);
            return None;
        };
        let wishes = Arc::new(Wishes::of(info));
        // XEP-0115 §5.4: an answer of another hash is not everybody's.
        let verified = Hash::named(&query.caps.hash)
            .filter(|hash| verification(info, *hash).is_some_and(|computed| computed == query.caps.ver));
        let key = match verified {
            Some(hash) => Key::Verified(hash, query.caps.ver),
            None => {
                log::debug!("{} has capabilities of another hash than it says", client.bare().for_log());
                Key::Own(client.clone(), query.caps)
            }
        };
        self.known.insert(key, wishes.clone());
        Some((client.clone(), wishes))
    }
}

fn id(number: u64) -> String {
    format!("caps-{number}")
}

/// Longer ones are no capabilities.
const TEXT_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn parse(text: &str) -> Element {
        parse_document(text, ns::CLIENT, 20).unwrap()
    }

    fn presence(hash: &str, ver: &str) -> Element {
        parse(&format!("<presence><c xmlns='{}' hash='{hash}' node='urn:client' ver='{ver}'/></presence>", ns::CAPS))
    }

    fn info(node: &str) -> Element {
        parse(&format!(
            "<query xmlns='{0}'><identity category='client' type='phone'/>\
             <feature var='{1}'/><feature var='urn:nick'/><feature var='{node}+notify'/></query>",
            ns::DISCO_INFO,
            ns::DISCO_INFO
        ))
    }

    fn jid(text: &str) -> FullJid {
        text.parse().unwrap()
    }

    fn answer(question: &Stanza, payload: Element) -> Stanza {
        question.result().with_child(payload)
    }

    #[test]
    fn a_hash_is_asked_once_and_then_known_for_everybody() {
        let domain = BareJid::domain("a.example").unwrap();
        let info = info("urn:mood");
        let ver = verification(&info, Hash::Sha1).unwrap();
        let caps = Caps::of(&presence("sha-1", &ver)).unwrap();
        let (romeo, juliet) = (jid("romeo@a.example/x"), jid("juliet@a.example/y"));
        let mut cache = Cache::default();
        assert_eq!(cache.wishes(&romeo, &caps), None);
        let question = cache.ask(&domain, &romeo, caps.clone()).unwrap();
        assert_eq!(
            question.to_text(),
            format!(
                "<iq type='get' id='caps-1' from='a.example' to='romeo@a.example/x'>\
                 <query xmlns='http://jabber.org/protocol/disco#info' node='urn:client#{ver}'/></iq>"
            )
        );
        assert_eq!(cache.ask(&domain, &romeo, caps.clone()), None);
        // Somebody else's answer, or one with another id, is none.
        let mut forged = answer(&question, info.clone());
        forged.set_from(Some(juliet.clone().into()));
        assert_eq!(cache.answered(&forged), None);
        let (who, wishes) = cache.answered(&answer(&question, info.clone())).unwrap();
        assert_eq!((who, wishes.include("urn:mood"), wishes.include("urn:nick")), (romeo, true, false));
        assert!(cache.wishes(&juliet, &caps).unwrap().include("urn:mood"));
        assert_eq!(cache.answered(&answer(&question, info)), None);
    }

    #[test]
    fn an_answer_of_another_hash_counts_for_its_giver_alone() {
        let domain = BareJid::domain("a.example").unwrap();
        let (liar, victim) = (jid("liar@a.example/x"), jid("victim@a.example/y"));
        for hash in ["sha-1", "sha-512", ""] {
            let caps = Caps::of(&presence(hash, "bm90IHRoZSBoYXNo")).unwrap();
            let mut cache = Cache::default();
            let question = cache.ask(&domain, &liar, caps.clone()).unwrap();
            cache.answered(&answer(&question, info("urn:secret"))).unwrap();
            assert!(cache.wishes(&liar, &caps).unwrap().include("urn:secret"), "{hash}");
            assert_eq!(cache.wishes(&victim, &caps), None, "{hash}");
            assert!(cache.ask(&domain, &victim, caps).is_some(), "{hash}");
        }
    }

    #[test]
    fn a_client_that_refuses_is_not_asked_in_a_loop() {
        let domain = BareJid::domain("a.example").unwrap();
        let romeo = jid("romeo@a.example/x");
        let caps = Caps::of(&presence("sha-1", "x")).unwrap();
        let mut cache = Cache::default();
        let question = cache.ask(&domain, &romeo, caps.clone()).unwrap();
        let error = crate::stanza::StanzaError::new(crate::stanza::StanzaCondition::ServiceUnavailable);
        assert_eq!(cache.answered(&question.error(&error).unwrap()), None);
        assert_eq!(cache.wishes(&romeo, &caps), None);
        assert_eq!(cache.ask_meanwhile(&domain, &romeo, caps.clone()), None);
        // When it comes anew it may know better.
        assert!(cache.ask(&domain, &romeo, caps).is_some());
        assert_eq!(Caps::of(&presence("sha-1", "none")), None);
        assert_eq!(Caps::of(&parse("<presence/>")), None);
        assert_eq!(Caps::of(&presence("sha-1", &"x".repeat(600))), None);
    }

    #[test]
    fn wishes_are_bounded() {
        let mut info = Element::new("query", ns::DISCO_INFO);
        for number in 0..10_000 {
            info.push(Element::new("feature", ns::DISCO_INFO).with("var", format!("urn:node:{number}+notify")));
        }
        let wishes = Wishes::of(&info);
        assert!(wishes.nodes().map(str::len).sum::<usize>() <= limits::CAPS_NOTIFY_BYTES_MAX);
        assert!(wishes.include("urn:node:7"));
    }
}
