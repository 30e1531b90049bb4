//! One account on several devices of a real node: copies, the archive, ids, and sessions that live over a restart. XEP-0280,
//! XEP-0313, XEP-0359, XEP-0198, XEP-0352.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use kontalk_node::jid::FullJid;
use kontalk_node::stanza::Timestamp;
use kontalk_node::xml::{Element, ns};
use person::Person;
use support::body;
use support::client::{Client, Connect, Sm};
use support::node::{DOMAIN, Node, NodeOptions};
use support::stanzas::{body_of, refusal, refused};

const ROMEO: &str = "romeo@kontalk.test";
const JULIET: &str = "juliet@kontalk.test";

fn verona() -> Node {
    verona_with("")
}

fn verona_with(extra_config: &str) -> Node {
    let node = Node::start(NodeOptions { extra_config: extra_config.to_owned(), ..NodeOptions::default() });
    node.add_account("romeo");
    node.add_account("juliet");
    node
}

fn with_carbons(node: &Node, user: &str, resource: &str) -> Client {
    let mut client = Client::online(node, user, resource);
    client.ask("set", None, &format!("<enable xmlns='{}'/>", ns::CARBONS)).unwrap();
    client
}

/// The results of a query, and `<fin/>`.
fn archive(client: &mut Client, content: &str) -> (Vec<Element>, Element) {
    let fin = client.ask("set", None, &format!("<query xmlns='{}' queryid='q'>{content}</query>", ns::MAM));
    let fin = fin.unwrap().expect("an answer has a payload");
    let is_result = |el: &Element| el.is("message", ns::CLIENT) && el.child("result", ns::MAM).is_some();
    let (results, others) = client.take_inbox().into_iter().partition(is_result);
    let others: Vec<Element> = others;
    others.into_iter().for_each(|el| client.put_back(el));
    let inner = |el: Element| {
        let result = el.child("result", ns::MAM).unwrap();
        assert_eq!(result.attribute("queryid"), Some("q"));
        result.clone()
    };
    let results: Vec<Element> = results;
    (results.into_iter().map(inner).collect(), fin)
}

fn forwarded(result: &Element) -> &Element {
    let forwarded = result.child("forwarded", ns::FORWARD).unwrap();
    let stamp = forwarded.child("delay", ns::DELAY).unwrap().attribute("stamp").unwrap();
    assert!(Timestamp::parse(stamp).is_some());
    forwarded.child("message", ns::CLIENT).unwrap()
}

fn bodies_in(results: &[Element]) -> Vec<String> {
    results.iter().filter_map(|result| body_of(forwarded(result))).collect()
}

fn stanza_id(message: &Element) -> Option<String> {
    let id = message.child("stanza-id", ns::STANZA_ID)?;
    assert_eq!(id.attribute("by"), Some(JULIET));
    id.attribute("id").map(str::to_owned)
}

fn resume(node: &Node, user: &str, full: &FullJid, session: &Sm) -> Client {
    let mut client = Client::authenticated(node, user);
    client.resume(session).unwrap();
    client.jid = Some(full.clone());
    client
}

#[test]
fn each_device_sees_each_message_and_finds_it_in_the_archive_under_the_same_id() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut phone = with_carbons(&node, "juliet", "phone");
    let mut desk = with_carbons(&node, "juliet", "desk");
    let info = phone.ask("get", Some(JULIET), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
    let features: Vec<_> = info.children().filter_map(|child| child.attribute("var")).collect();
    for feature in [ns::MAM, ns::MAM_EXTENDED, ns::STANZA_ID, ns::CARBONS] {
        assert!(features.contains(&feature), "{feature} is not among {features:?}");
    }
    phone.drain();
    desk.drain();

    romeo.say(&format!("{JULIET}/phone"), &body("to the phone"));
    let direct = phone.expect_body(&body("to the phone"));
    let copy = desk.expect("a copy", |el| el.child("received", ns::CARBONS).is_some());
    let copied = copy.child("received", ns::CARBONS).unwrap().child("forwarded", ns::FORWARD).unwrap();
    let copied = copied.child("message", ns::CLIENT).unwrap();
    assert_eq!((body_of(copied), copied.attribute("from")), (body_of(&direct), direct.attribute("from")));
    phone.say(ROMEO, &body("from the phone"));
    let answer = romeo.expect_body(&body("from the phone"));
    assert!(answer.child("stanza-id", ns::STANZA_ID).is_none_or(|id| id.attribute("by") == Some(ROMEO)));
    let copy = desk.expect("a copy", |el| el.child("sent", ns::CARBONS).is_some());
    let sent = copy.child("sent", ns::CARBONS).unwrap().child("forwarded", ns::FORWARD).unwrap();
    let sent = sent.child("message", ns::CLIENT).unwrap().clone();

    // A third device knows nothing yet.
    let mut tablet = Client::bound(&node, "juliet", "tablet");
    let (results, fin) = archive(&mut tablet, "");
    assert_eq!(bodies_in(&results), [body("to the phone"), body("from the phone")]);
    assert_eq!(fin.attribute("complete"), Some("true"));
    let ids: Vec<_> = results.iter().map(|result| result.attribute("id").unwrap().to_owned()).collect();
    assert_eq!([stanza_id(&direct), stanza_id(&sent)], [Some(ids[0].clone()), Some(ids[1].clone())]);
    assert_eq!(stanza_id(copied), Some(ids[0].clone()));
    // Nobody else reads it; to ask is to learn nothing.
    let query = format!("<query xmlns='{}'/>", ns::MAM);
    assert_eq!(romeo.ask("set", Some(JULIET), &query), Err(refusal("service-unavailable", "cancel")));
}

#[test]
fn the_archive_is_paged_filtered_and_survives_a_kill() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    for number in 0..30 {
        romeo.say(JULIET, &body(number));
        if number % 7 == 0 {
            romeo.wait_acked();
        }
    }
    romeo.wait_acked();
    node.kill9();
    node.start_again();
    let mut juliet = Client::bound(&node, "juliet", "balcony");
    let rsm = |content: &str| format!("<set xmlns='{}'>{content}</set>", ns::RSM);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (results, fin) = archive(&mut juliet, &rsm(&format!("<max>9</max><after>{after}</after>")));
        seen.extend(bodies_in(&results));
        let set = fin.child("set", ns::RSM).unwrap();
        assert_eq!(set.child("count", ns::RSM).unwrap().text(), "30");
        after = set.child("last", ns::RSM).unwrap().text();
        if fin.attribute("complete") == Some("true") {
            break;
        }
    }
    assert_eq!(seen, (0..30).map(body).collect::<Vec<_>>());
    let form = |var: &str, value: &str| {
        format!(
            "<x xmlns='{}' type='submit'><field var='FORM_TYPE'><value>{}</value></field>\
             <field var='{var}'><value>{value}</value></field></x>",
            ns::DATA_FORMS,
            ns::MAM
        )
    };
    assert_eq!(archive(&mut juliet, &form("with", "nurse@kontalk.test")).0.len(), 0);
    assert_eq!(archive(&mut juliet, &form("with", ROMEO)).0.len(), 30);
    let (last, _) = archive(&mut juliet, &(rsm("<max>2</max><before/>") + "<flip-page/>"));
    assert_eq!(bodies_in(&last), [body(29), body(28)]);
    let first_of_last = last[1].attribute("id").unwrap();
    assert_eq!(bodies_in(&archive(&mut juliet, &form("ids", first_of_last)).0), [body(28)]);
    assert_eq!(bodies_in(&archive(&mut juliet, &form("after-id", first_of_last)).0), [body(29)]);
    let unknown = juliet.iq("set", None, &format!("<query xmlns='{}'>{}</query>", ns::MAM, form("after-id", "x")));
    assert_eq!(refused(&unknown), Some(refusal("item-not-found", "cancel")));
    // It has all of it from there: nothing is given once more.
    juliet.send("<presence/>");
    assert!(juliet.bodies().is_empty());
}

#[test]
fn who_does_not_read_the_archive_has_messages_as_ever() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("while you were away"));
    romeo.wait_acked();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.expect_body(&body("while you were away"));
}

#[test]
fn users_switch_their_archive_off_and_an_operator_everybodys() {
    for extra_config in ["", "\n[archive]\ndays = 0\n"] {
        let node = verona_with(extra_config);
        let mut romeo = Client::online(&node, "romeo", "orchard");
        let mut juliet = Client::online(&node, "juliet", "balcony");
        let prefs = format!("<prefs xmlns='{}' default='never'><always/><never/></prefs>", ns::MAM);
        let answer = juliet.ask("set", None, &prefs).unwrap().unwrap();
        assert_eq!(answer.attribute("default"), Some("never"));
        romeo.say(JULIET, &body("not for the archive"));
        juliet.expect_body(&body("not for the archive"));
        assert!(archive(&mut juliet, "").0.is_empty());
        let off = extra_config.is_empty();
        assert_eq!(archive(&mut romeo, "").0.len(), usize::from(off));
    }
}

#[test]
fn an_account_with_a_key_alone_leaves_nothing_in_an_archive() {
    let mut node = verona();
    let mut anna = Person::new(0, "+15555215554", Connect::to(&node));
    anna.register(&mut node, false);
    let mut phone = anna.online();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(&phone.bare(), &body("a secret"));
    let message = phone.expect_body(&body("a secret"));
    assert!(message.child("stanza-id", ns::STANZA_ID).is_none());
    phone.say(ROMEO, &body("kept secret"));
    romeo.expect_body(&body("kept secret"));
    assert!(archive(&mut phone, "").0.is_empty());
    // Unless it asks for one.
    phone.ask("set", None, &format!("<prefs xmlns='{}' default='always'/>", ns::MAM)).unwrap();
    romeo.say(&phone.bare(), &body("to be kept"));
    phone.expect_body(&body("to be kept"));
    assert_eq!(bodies_in(&archive(&mut phone, "").0), [body("to be kept")]);
}

#[test]
fn sessions_go_on_over_a_restart() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.befriend(&mut juliet);
    juliet.auto_ack = false;
    romeo.say(JULIET, &body("read"));
    romeo.say(JULIET, &body("not read"));
    juliet.expect_body(&body("read"));
    let handled = juliet.sm.as_ref().unwrap().handled;
    let (romeo_jid, juliet_jid) = (romeo.full().clone(), juliet.full().clone());
    romeo.wait_acked();
    node.sigterm();
    let mut session = juliet.cut().unwrap();
    session.handled = handled;
    let romeos = romeo.cut().unwrap();
    node.start_again();

    let mut juliet = resume(&node, "juliet", &juliet_jid, &session);
    let mut romeo = resume(&node, "romeo", &romeo_jid, &romeos);
    assert_eq!(romeo.sm.as_ref().unwrap().acked, romeos.sent, "all that he sent had arrived");
    juliet.expect_body(&body("not read"));
    // Each is there for the other as before.
    romeo.say(&juliet_jid.to_string(), &body("still there?"));
    juliet.expect_body(&body("still there?"));
    juliet.say(ROMEO, &body("yes"));
    romeo.expect_body(&body("yes"));
    juliet.send("<presence><show>away</show></presence>");
    romeo.expect_presence(None, &juliet_jid.to_string());
    juliet.wait_acked();
    juliet.acknowledge().unwrap();
    juliet.close();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    assert!(juliet.bodies().is_empty(), "nothing was kept besides");
}

#[test]
fn after_a_kill_there_is_nothing_to_resume_and_nothing_lost() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.auto_ack = false;
    romeo.say(JULIET, &body("promised"));
    romeo.wait_acked();
    juliet.expect_body(&body("promised"));
    let session = juliet.cut().unwrap();
    node.kill9();
    node.start_again();
    let mut juliet = Client::authenticated(&node, "juliet");
    assert_eq!(juliet.resume(&session), Err("item-not-found".to_owned()));
    juliet.bind(Some("balcony"));
    juliet.send("<presence/>");
    juliet.expect_body(&body("promised"));
    // A session that was resumed after a restart is not there again after a kill.
    juliet.enable_sm(true);
    let full = juliet.full().clone();
    node.sigterm();
    let session = juliet.cut().unwrap();
    node.start_again();
    let session = resume(&node, "juliet", &full, &session).cut().unwrap();
    node.kill9();
    node.start_again();
    let mut juliet = Client::authenticated(&node, "juliet");
    assert_eq!(juliet.resume(&session), Err("item-not-found".to_owned()));
}

#[test]
fn a_client_in_a_pocket_hears_what_matters_and_presence_later() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.befriend(&mut juliet);
    assert!(juliet.features.child("csi", ns::CSI).is_some());
    juliet.send_raw(&format!("<inactive xmlns='{}'/>", ns::CSI));
    juliet.roundtrip();
    for show in ["away", "xa"] {
        romeo.send(&format!("<presence><show>{show}</show></presence>"));
    }
    romeo.send(&format!("<message to='{JULIET}' type='chat'><composing xmlns='{}'/></message>", ns::CHAT_STATES));
    romeo.roundtrip();
    romeo.say(JULIET, &body("wake up"));
    let heard: Vec<Element> = std::iter::from_fn(|| Some(juliet.next())).take(2).collect();
    let show = heard[0].child("show", ns::CLIENT).map(Element::text);
    assert_eq!((show.as_deref(), body_of(&heard[1])), (Some("xa"), Some(body("wake up"))));
    assert!(heard[0].child("delay", ns::DELAY).is_some_and(|delay| delay.attribute("from") == Some(DOMAIN)));
    romeo.send("<presence/>");
    romeo.roundtrip();
    juliet.send_raw(&format!("<active xmlns='{}'/>", ns::CSI));
    juliet.expect_presence(None, &romeo.full().to_string());
}
