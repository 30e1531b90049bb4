//! Roster match in the whole network: who is not here is asked about at the nodes we trust, each at its `probe@NODE`, and the
//! answer waits for theirs. Kontalk's server-to-server probe.
//!
//! Two ask: a client about its address book, and a registration whether its number has an account elsewhere. The latter hears only yes
//! or no, waits [`REGISTRATION_PATIENCE`] at most, and is not worth asking for when too many were: whoever could register numbers to learn
//! who has them would pay for each with what a code costs him (`account`'s throttles come first), and beyond [`REGISTRATIONS_AT_ONCE`],
//! with one more each [`REGISTRATION_REFILL`], learns nothing of other nodes. Only the number's hash leaves the node.
//!
//! An answer counts only from the node that was asked, under the id it was asked with, for addresses of its own domain that were asked
//! about: a node can say nothing about others' users. Errors count as answers. After [`PATIENCE`] the client gets what there is, so any
//! number of nodes that do not answer costs it that time and nothing else.
//!
//! What one node says and when is not told apart for the client: answers from the network come at whole multiples of [`BUCKET`], so
//! their time does not tell which node knows somebody, and questions and answers have padded lengths ([`roster_match::padded`]).
//!
//! Limits: [`LOOKUPS_MAX`] at once, [`REGISTRATIONS_MAX`] of registrations, so that these leave room to clients; [`NODES_MAX`] nodes for
//! each; whoever comes when all are taken gets what is known here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::jid::{BareJid, Jid};
use crate::limits::Buckets;
use crate::stanza::{IqType, Kind, Stanza};
use crate::xml::{Element, ns};

use super::PROBE;
use super::roster_match;

/// Lookups under way. One per node, owned by one task.
#[derive(Debug)]
pub struct Lookups {
    open: BTreeMap<String, Lookup>,
    /// What registrations may ask, all together.
    registrations: Buckets<()>,
}

impl Default for Lookups {
    fn default() -> Lookups {
        let registrations = Buckets::new(1, REGISTRATIONS_AT_ONCE, REGISTRATION_REFILL);
        Lookups { open: BTreeMap::new(), registrations }
    }
}

/// Who wants to know.
#[derive(Clone, Debug)]
pub enum Asker {
    /// A client, by this request.
    Client(Box<Stanza>),
    /// A registration; the number tells it from others.
    Registration(u64),
}

/// What came out.
#[derive(Clone, Debug)]
pub enum Settled {
    /// The answer to a client.
    Answer(Box<Stanza>),
    /// Has the number an account elsewhere?
    Registration {
        /// As the asker said.
        number: u64,
        /// Does a node say so?
        found: bool,
    },
}

#[derive(Debug)]
struct Lookup {
    asker: Asker,
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
        asker: Asker,
        domain: &BareJid,
        (found, missing): (&BTreeSet<BareJid>, &BTreeSet<BareJid>),
        nodes: &[BareJid],
        id: &str,
    ) -> Vec<Stanza> {
        let asked: BTreeSet<String> =
            missing.iter().filter_map(|address| address.localpart().map(str::to_owned)).collect();
        let nodes: Vec<&BareJid> = nodes.iter().filter(|node| *node != domain).take(NODES_MAX).collect();
        if asked.is_empty() || nodes.is_empty() || !self.has_place(now, &asker) {
            return Vec::new();
        }
        let questions = nodes.iter().filter_map(|node| question(domain, node, &asked, id)).collect();
        let waiting = nodes.iter().map(|node| node.domainpart().to_owned()).collect();
        let patience = if asker.is_registration() { REGISTRATION_PATIENCE } else { PATIENCE };
        let lookup = Lookup { asker, found: found.clone(), asked, waiting, begun: now, until: now + patience };
        self.open.insert(id.to_owned(), lookup);
        questions
    }

    /// Is there room for one more of its kind? A registration pays for it.
    fn has_place(&mut self, now: Instant, asker: &Asker) -> bool {
        let registrations = self.open.values().filter(|lookup| lookup.asker.is_registration()).count();
        if asker.is_registration() {
            registrations < REGISTRATIONS_MAX && self.registrations.take(now, &()).is_ok()
        } else {
            self.open.len() - registrations < LOOKUPS_MAX
        }
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
        // A registration need not know who else knows the number.
        if lookup.waiting.is_empty() || (lookup.asker.is_registration() && !lookup.found.is_empty()) {
            lookup.until = lookup.until.min(next_bucket(lookup.begun, now));
        }
        true
    }

    /// Answers whose time has come. `domain`: our own.
    pub fn due(&mut self, now: Instant, domain: &BareJid) -> Vec<Settled> {
        let done: Vec<String> =
            self.open.iter().filter(|(_, lookup)| lookup.until <= now).map(|(id, _)| id.clone()).collect();
        let lookups = done.iter().filter_map(|id| self.open.remove(id));
        let settled = lookups.map(|lookup| match lookup.asker {
            Asker::Registration(number) => Settled::Registration { number, found: !lookup.found.is_empty() },
            Asker::Client(request) => {
                let answer = request.result().with_child(roster_match::result(lookup.found, domain));
                Settled::Answer(Box::new(answer))
            }
        });
        settled.collect()
    }

    /// When [`Lookups::due`] has something to say next.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|lookup| lookup.until).min()
    }
}

impl Asker {
    fn is_registration(&self) -> bool {
        matches!(self, Asker::Registration(_))
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
    Some(
        Stanza::build(Kind::Iq(IqType::Get), Some(from), Some(to), Some(id))
            .with_child(roster_match::padded(query, domain)),
    )
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
/// How long they have for a registration, whose client waits for a code besides.
pub const REGISTRATION_PATIENCE: Duration = Duration::from_secs(4);
/// Lookups of registrations at once, besides those of clients.
pub const REGISTRATIONS_MAX: usize = 32;
/// Registrations that may ask in a row, of all clients together: more than come on any honest day but the first,
pub const REGISTRATIONS_AT_ONCE: u32 = 200;
/// and one more so often. Later ones are not asked about, and their users simply get their code.
pub const REGISTRATION_REFILL: Duration = Duration::from_secs(60);
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
        let questions = lookups.begin(start, client(), &jid("a.example"), known, &nodes, "n1");
        (lookups, questions)
    }

    fn client() -> Asker {
        Asker::Client(Box::new(request()))
    }

    fn due(lookups: &mut Lookups, now: Instant) -> Vec<Settled> {
        lookups.due(now, &jid("a.example"))
    }

    fn found(settled: &[Settled]) -> Vec<String> {
        let [Settled::Answer(answer)] = settled else { panic!("{settled:?}") };
        assert_eq!(answer.id(), Some("m1"));
        let items = answer.payload().unwrap().children();
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
        assert!(due(&mut lookups, soon).is_empty());
        // An error is an answer; then all have answered, and the time does not tell when.
        let error = stanza("<iq type='error' id='n1' from='probe@c.example' to='probe@a.example'/>");
        assert!(lookups.answered(soon, &error));
        assert_eq!(lookups.deadline(), Some(start + BUCKET));
        assert!(due(&mut lookups, soon).is_empty());
        assert_eq!(found(&due(&mut lookups, start + BUCKET)), ["one@a.example", "two@b.example"]);
        assert!(lookups.deadline().is_none() && due(&mut lookups, start + PATIENCE).is_empty());
    }

    #[test]
    fn who_does_not_answer_costs_ten_seconds_and_nothing_else() {
        let start = Instant::now();
        let (mut lookups, _) = begun(start);
        assert!(
            lookups.answered(start + Duration::from_secs(5), &answer("probe@c.example", "n1", &["three@c.example"]))
        );
        assert!(due(&mut lookups, start + Duration::from_secs(9)).is_empty());
        assert_eq!(found(&due(&mut lookups, start + PATIENCE)), ["one@a.example", "three@c.example"]);
        assert!(!lookups.answered(start + PATIENCE, &answer("probe@b.example", "n1", &["two@b.example"])), "too late");
    }

    #[test]
    fn there_are_only_so_many_at_once_and_none_without_anybody_to_ask() {
        let (mut lookups, start) = (Lookups::default(), Instant::now());
        let nodes: Vec<BareJid> = (0..150).map(|n| jid(&format!("n{n}.example"))).collect();
        let mut begin = |nodes: &[BareJid], missing: &[&str], id: &str| {
            lookups.begin(start, client(), &jid("a.example"), (&BTreeSet::new(), &jids(missing)), nodes, id).len()
        };
        assert_eq!(begin(&[jid("a.example")], &["two@a.example"], "x"), 0);
        assert_eq!(begin(&nodes, &[], "x"), 0);
        for number in 0..LOOKUPS_MAX {
            assert_eq!(begin(&nodes, &["two@a.example"], &number.to_string()), NODES_MAX);
        }
        assert_eq!(begin(&nodes, &["two@a.example"], "x"), 0);
    }
    /// A registration asks three nodes about two@a.example.
    fn registers(lookups: &mut Lookups, now: Instant, number: u64, id: &str) -> usize {
        let nodes = [jid("b.example"), jid("c.example"), jid("d.example")];
        let known = (&BTreeSet::new(), &jids(&["two@a.example"]));
        lookups.begin(now, Asker::Registration(number), &jid("a.example"), known, &nodes, id).len()
    }

    #[test]
    fn a_registration_hears_yes_or_no_at_a_whole_bucket_and_waits_four_seconds_at_most() {
        let start = Instant::now();
        let soon = start + Duration::from_millis(300);
        let error = |from: &str| stanza(&format!("<iq type='error' id='n1' from='{from}' to='probe@a.example'/>"));
        let (yes, no) = (answer("probe@b.example", "n1", &["two@b.example"]), answer("probe@b.example", "n1", &[]));
        let forged = answer("probe@b.example", "n1", &["two@a.example", "two@c.example", "three@b.example"]);
        let rest = [answer("probe@c.example", "n1", &[]), error("probe@d.example")];
        for (answers, after, expected) in [
            (vec![], REGISTRATION_PATIENCE, false),
            // One that knows is enough; others may be silent.
            (vec![yes.clone()], BUCKET, true),
            (vec![no.clone()], REGISTRATION_PATIENCE, false),
            (vec![forged], REGISTRATION_PATIENCE, false),
            ([vec![no], rest.to_vec()].concat(), BUCKET, false),
            ([vec![yes], rest.to_vec()].concat(), BUCKET, true),
        ] {
            let mut lookups = Lookups::default();
            assert_eq!(registers(&mut lookups, start, 7, "n1"), 3);
            for answer in &answers {
                assert!(lookups.answered(soon, answer));
            }
            assert_eq!(lookups.deadline(), Some(start + after), "{answers:?}");
            assert!(due(&mut lookups, start + after - Duration::from_millis(1)).is_empty());
            let settled = due(&mut lookups, start + after);
            let [Settled::Registration { number: 7, found }] = settled[..] else { panic!("{settled:?}") };
            assert_eq!(found, expected, "{answers:?}");
        }
    }

    #[test]
    fn registrations_have_places_and_a_budget_of_their_own() {
        let start = Instant::now();
        let mut lookups = Lookups::default();
        for number in 0..REGISTRATIONS_MAX {
            assert_eq!(registers(&mut lookups, start, 0, &format!("r{number}")), 3);
        }
        assert_eq!(registers(&mut lookups, start, 0, "x"), 0);
        // Clients still find their places, and leave theirs to registrations.
        for number in 0..LOOKUPS_MAX {
            let known = (&BTreeSet::new(), &jids(&["two@a.example"]));
            let nodes = [jid("b.example")];
            let asked = lookups.begin(start, client(), &jid("a.example"), known, &nodes, &format!("c{number}"));
            assert_eq!(asked.len(), 1);
        }
        // A crawl by registrations ends when all of them is spent, however many nodes and clients take part.
        let mut lookups = Lookups::default();
        let mut asked = 0;
        for round in 0..600u32 {
            let now = start + REGISTRATION_PATIENCE * round;
            due(&mut lookups, now);
            asked += u32::from(registers(&mut lookups, now, 0, "r") > 0);
        }
        let refilled = REGISTRATION_PATIENCE.as_secs() * 600 / REGISTRATION_REFILL.as_secs();
        assert_eq!(u64::from(asked), u64::from(REGISTRATIONS_AT_ONCE) + refilled - 1);
    }

    #[test]
    fn a_question_does_not_tell_by_its_length_how_many_are_asked_about() {
        let lengths: BTreeSet<usize> = [1, 2, 60]
            .into_iter()
            .map(|count| {
                let missing: BTreeSet<BareJid> = (0..count).map(|n| jid(&format!("{n:040x}@a.example"))).collect();
                let mut lookups = Lookups::default();
                let known = (&BTreeSet::new(), &missing);
                let nodes = [jid("b.example")];
                let asked = lookups.begin(Instant::now(), client(), &jid("a.example"), known, &nodes, "n1");
                asked[0].to_text().len()
            })
            .collect();
        assert_eq!(lengths.len(), 1);
    }
}
