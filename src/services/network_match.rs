//! Roster match in the whole network: who is not here is asked about at the nodes we trust, each at its `probe@NODE`, and the
//! answer waits for theirs. Kontalk's server-to-server probe.
//!
//! An answer counts only from the node that was asked, under the id it was asked with, for addresses of its own domain that were asked
//! about: a node can say nothing about others' users. Errors count as answers. After [`PATIENCE`] the client gets what there is, so any
//! number of nodes that do not answer costs it that time and nothing else.
//!
//! What one node says and when is not told apart for the client: answers from the network come at whole multiples of [`BUCKET`], so
//! their time does not tell which node knows somebody.
//!
//! Limits: [`LOOKUPS_MAX`] at once, [`NODES_MAX`] nodes for each; whoever comes when all are taken gets what is known here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::jid::{BareJid, Jid};
use crate::stanza::{IqType, Kind, Stanza};
use crate::xml::{Element, ns};

use super::PROBE;
use super::roster_match;

/// Lookups under way. One per node, owned by one task.
#[derive(Debug, Default)]
pub struct Lookups {
    open: BTreeMap<String, Lookup>,
}

#[derive(Debug)]
struct Lookup {
    /// The client's request.
    request: Stanza,
    found: BTreeSet<BareJid>,
    /// Localparts that were asked about.
    asked: BTreeSet<String>,
    /// Nodes that have not answered.
    waiting: BTreeSet<String>,
    begun: Instant,
    until: Instant,
}

impl Lookups {
    /// Asks nodes about addresses that are not known here. Gives the questions to send; none of them if there is nobody to ask or too
    /// much under way, and then the caller answers at once. `id` is unguessable and fresh.
    pub fn begin(
        &mut self,
        now: Instant,
        request: &Stanza,
        domain: &BareJid,
        (found, missing): (&BTreeSet<BareJid>, &BTreeSet<BareJid>),
        nodes: &[BareJid],
        id: &str,
    ) -> Vec<Stanza> {
        let asked: BTreeSet<String> =
            missing.iter().filter_map(|address| address.localpart().map(str::to_owned)).collect();
        let nodes: Vec<&BareJid> = nodes.iter().filter(|node| *node != domain).take(NODES_MAX).collect();
        if asked.is_empty() || nodes.is_empty() || self.open.len() >= LOOKUPS_MAX {
            return Vec::new();
        }
        let questions = nodes.iter().filter_map(|node| question(domain, node, &asked, id)).collect();
        let waiting = nodes.iter().map(|node| node.domainpart().to_owned()).collect();
        let (request, found) = (request.clone(), found.clone());
        let lookup = Lookup { request, found, asked, waiting, begun: now, until: now + PATIENCE };
        self.open.insert(id.to_owned(), lookup);
        questions
    }

    /// A node answers. `false` if it was not asked this.
    pub fn answered(&mut self, now: Instant, answer: &Stanza) -> bool {
        let (Some(id), Some(from)) = (answer.id(), answer.from()) else { return false };
        let Some(lookup) = self.open.get_mut(id) else { return false };
        let node = from.domainpart();
        if from.localpart() != Some(PROBE) || !lookup.waiting.remove(node) {
            return false;
        }
        let query = answer.payload().filter(|p| p.is("query", ns::KONTALK_ROSTER));
        if let (Kind::Iq(IqType::Result), Some(query)) = (answer.kind(), query) {
            let items = query.children().filter(|child| child.is("item", ns::KONTALK_ROSTER)).take(lookup.asked.len());
            let addresses = items.filter_map(|item| item.attribute("jid")?.parse::<Jid>().ok());
            let theirs = |jid: &Jid| {
                jid.domainpart() == node && jid.localpart().is_some_and(|localpart| lookup.asked.contains(localpart))
            };
            lookup.found.extend(addresses.filter(theirs).map(|jid| jid.bare().clone()));
        }
        if lookup.waiting.is_empty() {
            lookup.until = lookup.until.min(next_bucket(lookup.begun, now));
        }
        true
    }

    /// Answers to clients whose time has come.
    pub fn due(&mut self, now: Instant) -> Vec<Stanza> {
        let done: Vec<String> =
            self.open.iter().filter(|(_, lookup)| lookup.until <= now).map(|(id, _)| id.clone()).collect();
        let lookups = done.iter().filter_map(|id| self.open.remove(id));
        lookups.map(|lookup| lookup.request.result().with_child(roster_match::result(lookup.found))).collect()
    }

    /// When [`Lookups::due`] has something to say next.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|lookup| lookup.until).min()
    }
}

/// The same localparts at the other node's domain.
fn question(domain: &BareJid, node: &BareJid, asked: &BTreeSet<String>, id: &str) -> Option<Stanza> {
    let at = |domain: &BareJid| BareJid::new(Some(PROBE), domain.domainpart()).ok().map(Jid::Bare);
    let mut query = Element::new("query", ns::KONTALK_ROSTER);
    for localpart in asked {
        if let Ok(address) = BareJid::new(Some(localpart), node.domainpart()) {
            query.push(Element::new("item", ns::KONTALK_ROSTER).with("jid", address.as_str()));
        }
    }
    let (from, to) = (at(domain)?, at(node)?);
    Some(Stanza::build(Kind::Iq(IqType::Get), Some(from), Some(to), Some(id)).with_child(query))
}

fn next_bucket(begun: Instant, now: Instant) -> Instant {
    let whole = now.saturating_duration_since(begun).as_millis() / BUCKET.as_millis();
    let buckets = u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(1);
    begun.checked_add(BUCKET.saturating_mul(buckets)).unwrap_or(now)
}

/// How long the network has to answer: clients wait 15 s.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Answers from the network come at multiples of this.
pub const BUCKET: Duration = Duration::from_secs(2);
/// At once: 64 × at most 1,000 addresses of 60 bytes.
pub const LOOKUPS_MAX: usize = 64;
/// Nodes that one lookup asks.
pub const NODES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn stanza(text: &str) -> Stanza {
        Stanza::new(parse_document(text, ns::CLIENT, 10).unwrap()).unwrap()
    }

    fn jid(text: &str) -> BareJid {
        text.parse().unwrap()
    }

    fn jids(texts: &[&str]) -> BTreeSet<BareJid> {
        texts.iter().map(|text| jid(text)).collect()
    }

    fn request() -> Stanza {
        stanza(
            "<iq type='get' id='m1' from='me@a.example/x' to='probe@a.example'><query xmlns='http://kontalk.org/extensions/roster'/></iq>",
        )
    }

    fn answer(from: &str, id: &str, found: &[&str]) -> Stanza {
        let items: String = found.iter().map(|jid| format!("<item jid='{jid}'/>")).collect();
        stanza(&format!(
            "<iq type='result' id='{id}' from='{from}' to='probe@a.example'>\
             <query xmlns='http://kontalk.org/extensions/roster'>{items}</query></iq>"
        ))
    }

    fn begun(start: Instant) -> (Lookups, Vec<Stanza>) {
        let mut lookups = Lookups::default();
        let nodes = [jid("a.example"), jid("b.example"), jid("c.example")];
        let known = (&jids(&["one@a.example"]), &jids(&["two@a.example", "three@a.example"]));
        let questions = lookups.begin(start, &request(), &jid("a.example"), known, &nodes, "n1");
        (lookups, questions)
    }

    fn found(answers: &[Stanza]) -> Vec<String> {
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0].id(), Some("m1"));
        let items = answers[0].payload().unwrap().children();
        items.map(|item| item.attribute("jid").unwrap().to_owned()).collect()
    }

    #[test]
    fn each_node_is_asked_about_its_own_domain() {
        let (_, questions) = begun(Instant::now());
        let asked: Vec<(String, Vec<String>)> = questions
            .iter()
            .map(|question| {
                assert_eq!(question.from().unwrap().to_string(), "probe@a.example");
                let items = question.payload().unwrap().children();
                (question.to().unwrap().to_string(), items.map(|i| i.attribute("jid").unwrap().to_owned()).collect())
            })
            .collect();
        let expected = |node: &str| (format!("probe@{node}"), vec![format!("three@{node}"), format!("two@{node}")]);
        assert_eq!(asked, [expected("b.example"), expected("c.example")]);
    }

    #[test]
    fn an_answer_counts_from_who_was_asked_for_its_own_users_that_were_asked_about() {
        let start = Instant::now();
        let (mut lookups, _) = begun(start);
        let soon = start + Duration::from_millis(100);
        for (from, id, known) in [
            ("probe@d.example", "n1", false),
            ("evil@b.example", "n1", false),
            ("b.example", "n1", false),
            ("probe@b.example", "n2", false),
            ("probe@b.example", "n1", true),
            ("probe@b.example", "n1", false),
        ] {
            let claim = ["two@b.example", "two@c.example", "two@a.example", "four@b.example", "x", "probe@b.example/y"];
            assert_eq!(lookups.answered(soon, &answer(from, id, &claim)), known, "{from} {id}");
        }
        assert!(lookups.due(soon).is_empty());
        // An error is an answer; then all have answered, and the time does not tell when.
        let error = stanza("<iq type='error' id='n1' from='probe@c.example' to='probe@a.example'/>");
        assert!(lookups.answered(soon, &error));
        assert_eq!(lookups.deadline(), Some(start + BUCKET));
        assert!(lookups.due(soon).is_empty());
        assert_eq!(found(&lookups.due(start + BUCKET)), ["one@a.example", "two@b.example"]);
        assert!(lookups.deadline().is_none() && lookups.due(start + PATIENCE).is_empty());
    }

    #[test]
    fn who_does_not_answer_costs_ten_seconds_and_nothing_else() {
        let start = Instant::now();
        let (mut lookups, _) = begun(start);
        assert!(
            lookups.answered(start + Duration::from_secs(5), &answer("probe@c.example", "n1", &["three@c.example"]))
        );
        assert!(lookups.due(start + Duration::from_secs(9)).is_empty());
        assert_eq!(found(&lookups.due(start + PATIENCE)), ["one@a.example", "three@c.example"]);
        assert!(!lookups.answered(start + PATIENCE, &answer("probe@b.example", "n1", &["two@b.example"])), "too late");
    }

    #[test]
    fn there_are_only_so_many_at_once_and_none_without_anybody_to_ask() {
        let (mut lookups, start) = (Lookups::default(), Instant::now());
        let nodes: Vec<BareJid> = (0..150).map(|n| jid(&format!("n{n}.example"))).collect();
        let mut begin = |nodes: &[BareJid], missing: &[&str], id: &str| {
            lookups.begin(start, &request(), &jid("a.example"), (&BTreeSet::new(), &jids(missing)), nodes, id).len()
        };
        assert_eq!(begin(&[jid("a.example")], &["two@a.example"], "x"), 0);
        assert_eq!(begin(&nodes, &[], "x"), 0);
        for number in 0..LOOKUPS_MAX {
            assert_eq!(begin(&nodes, &["two@a.example"], &number.to_string()), NODES_MAX);
        }
        assert_eq!(begin(&nodes, &["two@a.example"], "x"), 0);
    }
}
