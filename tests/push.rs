//! Push on one real node, with a push service beside it as a component that answers what the test wants. XEP-0357, and Kontalk's
//! own registration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use kontalk_node::xml::{Element, ns};
use support::client::Client;
use support::component::{Component, with_components};
use support::node::{DOMAIN, Node};
use support::stanzas::{chat, refusal};
use support::{BODY_MARKER, body, secret};

const SERVICE: &str = "push.example";
const JULIET: &str = "juliet@kontalk.test";

fn node() -> Node {
    let node = Node::start(with_components(&[SERVICE]));
    for name in ["romeo", "juliet"] {
        node.add_account(name);
    }
    node
}

/// The form that a client gives with its registration; its secret must not be in any log.
fn options() -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret'><value>{}</value></field></x>",
        secret("eruio234vzxc2kla-91")
    )
}

fn enable(client: &mut Client, node: &str) {
    let enable = format!("<enable xmlns='{}' jid='{SERVICE}' node='{node}'>{}</enable>", ns::PUSH, options());
    assert_eq!(client.ask("set", None, &enable), Ok(None));
}

/// One push, as the service got it.
struct Push {
    id: String,
    node: String,
    count: u32,
    stanza: Element,
}

impl Push {
    fn read(stanza: Element) -> Push {
        let pubsub = stanza.child("pubsub", ns::PUBSUB).expect("a pubsub request");
        let publish = pubsub.child("publish", ns::PUBSUB).expect("something is published");
        let item = publish.child("item", ns::PUBSUB).expect("an item");
        let notification = item.child("notification", ns::PUSH).expect("a notification");
        let form = notification.child("x", ns::DATA_FORMS).expect("a summary");
        Push {
            id: stanza.attribute("id").unwrap().to_owned(),
            node: publish.attribute("node").unwrap_or_default().to_owned(),
            count: value(form, "message-count").expect("a count").parse().expect("a number"),
            stanza,
        }
    }
}

fn value(form: &Element, name: &str) -> Option<String> {
    let field = form.children().find(|field| field.attribute("var") == Some(name))?;
    field.child("value", ns::DATA_FORMS).map(Element::text)
}

fn is_push(element: &Element) -> bool {
    element.is("iq", ns::CLIENT) && element.attribute("type") == Some("set")
}

fn next_push(service: &mut Component) -> Push {
    Push::read(service.expect("a push", is_push))
}

/// All pushes up to now, unanswered.
fn pushes(service: &mut Component) -> Vec<Push> {
    service.drain().into_iter().filter(is_push).map(Push::read).collect()
}

fn answer(service: &mut Component, push: &Push) {
    service.send(&format!("<iq type='result' id='{}' from='{SERVICE}' to='{DOMAIN}'/>", push.id));
    service.drain();
}

fn refuse(service: &mut Component, push: &Push, kind: &str, condition: &str) {
    service.send(&format!(
        "<iq type='error' id='{}' from='{SERVICE}' to='{DOMAIN}'>\
         <error type='{kind}'><{condition} xmlns='{}'/></error></iq>",
        push.id,
        ns::STANZA_ERRORS
    ));
    service.drain();
}

#[test]
fn a_message_for_an_absent_device_wakes_it_and_tells_nothing_but_the_number() {
    let node = node();
    let mut service = Component::serve(&node, SERVICE);
    let mut juliet = Client::online(&node, "juliet", "phone");
    let info = juliet.ask("get", Some(JULIET), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
    assert!(info.children().any(|feature| feature.attribute("var") == Some(ns::PUSH)), "{info:?}");
    enable(&mut juliet, "yxs32uqsflafdk3iuqo");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    // She is there: nobody needs to wake her.
    romeo.say(JULIET, &body("awake"));
    juliet.expect_body(&body("awake"));
    juliet.acknowledge().unwrap();
    juliet.close();
    assert!(pushes(&mut service).is_empty());

    romeo.say(JULIET, &body("one"));
    let push = next_push(&mut service);
    assert_eq!((push.node.as_str(), push.count), ("yxs32uqsflafdk3iuqo", 1));
    assert_eq!(push.stanza.attribute("from"), Some(DOMAIN));
    let pubsub = push.stanza.child("pubsub", ns::PUBSUB).unwrap();
    let form = pubsub.child("publish-options", ns::PUBSUB).and_then(|options| options.child("x", ns::DATA_FORMS));
    assert_eq!(value(form.unwrap(), "secret").as_deref(), Some("eruio234vzxc2kla-91"));
    let text = push.stanza.to_text(ns::CLIENT);
    assert!(!text.contains(BODY_MARKER) && !text.contains("romeo") && !text.contains("juliet"), "{text}");
    answer(&mut service, &push);
    romeo.say(JULIET, &body("two"));
    let push = next_push(&mut service);
    assert_eq!(push.count, 2);
    answer(&mut service, &push);
    // What tells her nothing wakes nobody.
    for payload in
        ["<composing xmlns='http://jabber.org/protocol/chatstates'/>", "<received xmlns='urn:xmpp:receipts' id='x'/>"]
    {
        romeo.send(&format!("<message type='chat' to='{JULIET}'>{payload}</message>"));
    }
    romeo.wait_acked();
    assert!(pushes(&mut service).is_empty());

    // She comes and goes: counting begins anew.
    let mut juliet = Client::online(&node, "juliet", "phone");
    juliet.drain();
    juliet.acknowledge().unwrap();
    juliet.close();
    romeo.say(JULIET, &body("three"));
    assert_eq!(next_push(&mut service).count, 1);
}

#[test]
fn a_registration_outlives_a_restart_and_ends_when_it_is_disabled() {
    let mut node = node();
    let mut juliet = Client::online(&node, "juliet", "phone");
    for name in ["a", "b"] {
        enable(&mut juliet, name);
    }
    juliet.close();
    node.kill9();
    let before = node.lines();
    node.start_again();
    let mut service = Component::serve_since(&node, SERVICE, before);
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("after the crash"));
    let mut woken: Vec<String> = pushes_after(&mut romeo, &mut service).into_iter().map(|push| push.node).collect();
    woken.sort();
    assert_eq!(woken, ["a", "b"]);

    // XEP-0357 §6: one node, then all.
    let mut juliet = Client::online(&node, "juliet", "phone");
    juliet.drain();
    juliet.acknowledge().unwrap();
    let disable = |node: &str| format!("<disable xmlns='{}' jid='{SERVICE}'{node}/>", ns::PUSH);
    assert_eq!(juliet.ask("set", Some(JULIET), &disable(" node='a'")), Ok(None));
    juliet.close();
    romeo.say(JULIET, &body("for one"));
    let woken: Vec<String> = pushes_after(&mut romeo, &mut service).into_iter().map(|push| push.node).collect();
    assert_eq!(woken, ["b"]);
    let mut juliet = Client::online(&node, "juliet", "phone");
    assert_eq!(juliet.ask("set", None, &disable("")), Ok(None));
    juliet.close();
    romeo.say(JULIET, &body("for none"));
    assert!(pushes_after(&mut romeo, &mut service).is_empty());
    // Nobody registers for another.
    let foreign = format!("<enable xmlns='{}' jid='{SERVICE}' node='x'/>", ns::PUSH);
    assert_eq!(romeo.ask("set", Some(JULIET), &foreign), Err(refusal("service-unavailable", "cancel")));
}

/// The barrier of both: all that a client said was handled, and all that this brought to the service is here.
fn pushes_after(client: &mut Client, service: &mut Component) -> Vec<Push> {
    client.wait_acked();
    client.roundtrip();
    pushes(service)
}

#[test]
fn what_the_service_refuses_for_good_is_forgotten_and_what_passes_is_not() {
    let node = node();
    let mut service = Component::serve(&node, SERVICE);
    let mut romeo = Client::online(&node, "romeo", "orchard");
    for (kind, condition, over) in [
        ("wait", "resource-constraint", false),
        ("cancel", "item-not-found", true),
        ("cancel", "gone", true),
        ("auth", "forbidden", true),
        ("cancel", "not-allowed", true),
    ] {
        let mut juliet = Client::online(&node, "juliet", "phone");
        juliet.drain();
        juliet.acknowledge().unwrap();
        enable(&mut juliet, "n");
        juliet.close();
        romeo.say(JULIET, &body("one"));
        let push = next_push(&mut service);
        refuse(&mut service, &push, kind, condition);
        romeo.say(JULIET, &body("two"));
        let more = pushes_after(&mut romeo, &mut service);
        assert_eq!(more.is_empty(), over, "{condition}");
    }
}

#[test]
fn a_session_that_waits_for_its_phone_and_an_archive_that_keeps_for_it_wake_it() {
    let node = node();
    let mut service = Component::serve(&node, SERVICE);
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut phone = Client::bound(&node, "juliet", "phone");
    phone.enable_sm(true);
    phone.send("<presence/>");
    enable(&mut phone, "phone");
    phone.auto_ack = false;
    phone.acknowledge().unwrap();
    // Sent to her, not acknowledged: then the connection breaks.
    romeo.say(JULIET, &body("under way"));
    phone.expect_body(&body("under way"));
    assert!(pushes(&mut service).is_empty());
    phone.cut();
    assert_eq!(next_push(&mut service).count, 1);
    romeo.say(JULIET, &body("while she is away"));
    assert_eq!(next_push(&mut service).count, 2);

    // Another device of hers is there: the archive keeps what the phone misses.
    let mut balcony = Client::online(&node, "juliet", "balcony");
    let disable = format!("<disable xmlns='{}' jid='{SERVICE}' node='none'/>", ns::PUSH);
    assert_eq!(balcony.ask("set", None, &disable), Ok(None));
    romeo.send(&chat(&balcony.full().to_string(), "m", &body("to the balcony")));
    balcony.expect("the message", |el| el.attribute("id") == Some("m"));
    let woken = pushes_after(&mut romeo, &mut service);
    assert_eq!(woken.iter().map(|push| push.node.as_str()).collect::<Vec<_>>(), ["phone"]);
    // The phone is there: it sees for itself.
    let mut phone = Client::online(&node, "juliet", "phone");
    phone.drain();
    romeo.say(JULIET, &body("to both"));
    assert!(pushes_after(&mut romeo, &mut service).is_empty());
}

#[test]
fn a_service_that_is_away_harms_nobody_and_too_many_pushes_are_not_sent() {
    let node = node();
    let mut juliet = Client::online(&node, "juliet", "phone");
    enable(&mut juliet, "n");
    juliet.close();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("nobody hears of it"));
    romeo.wait_acked();
    romeo.nothing_waits();
    let mut service = Component::serve(&node, SERVICE);
    const MANY: u32 = 20;
    for number in 0..MANY {
        romeo.say(JULIET, &body(number));
    }
    let sent = pushes_after(&mut romeo, &mut service);
    // One was spent while the service was away. More may be sent if this takes long, never all of them.
    assert!((7..MANY as usize).contains(&sent.len()), "{} pushes", sent.len());
    assert_eq!(sent[0].count, 2);
}

#[test]
fn an_account_that_is_removed_wakes_nobody_and_registrations_have_a_limit() {
    let node = node();
    let mut service = Component::serve(&node, SERVICE);
    let mut juliet = Client::online(&node, "juliet", "phone");
    for number in 0..16 {
        enable(&mut juliet, &number.to_string());
    }
    let more = format!("<enable xmlns='{}' jid='{SERVICE}' node='more'/>", ns::PUSH);
    assert_eq!(juliet.ask("set", None, &more), Err(refusal("resource-constraint", "wait")));
    let nowhere = format!("<enable xmlns='{}' node='more'/>", ns::PUSH);
    assert_eq!(juliet.ask("set", None, &nowhere), Err(refusal("bad-request", "modify")));
    drop(juliet);
    assert!(node.cli(&["account", "remove", JULIET]).status.success());
    node.add_account("juliet");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("to the new one"));
    assert!(pushes_after(&mut romeo, &mut service).is_empty());
}

#[test]
fn kontalks_clients_register_in_their_own_way() {
    let mut options = with_components(&[SERVICE]);
    options.add_config(&format!("push.gcm_gateway = \"{SERVICE}\""));
    options.add_config("push.gcm_sender_id = \"123456789012\"");
    let node = Node::start(options);
    for name in ["romeo", "juliet"] {
        node.add_account(name);
    }
    let mut service = Component::serve(&node, SERVICE);
    let mut juliet = Client::online(&node, "juliet", "810eb5848f151178");
    // Kontalk, push: the feature, the item, the registration.
    let info = juliet.ask("get", Some(DOMAIN), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
    assert!(info.children().any(|feature| feature.attribute("var") == Some(ns::KONTALK_PUSH)));
    let query = format!("<query xmlns='{}' node='{}'/>", ns::DISCO_ITEMS, ns::KONTALK_PUSH);
    let items = juliet.ask("get", Some(DOMAIN), &query).unwrap().unwrap();
    let item = items.first_child().expect("one item");
    assert_eq!((item.attribute("jid"), item.attribute("node")), (Some("gcm.push.kontalk.test"), Some("123456789012")));
    let there = format!("push@{DOMAIN}");
    let register = |provider: &str, token: &str| {
        format!("<register xmlns='{}' provider='{provider}'>{token}</register>", ns::KONTALK_PUSH)
    };
    let (first, second) = (secret("first-device-token"), secret("second-device-token"));
    let mut ask = |payload: &str| juliet.ask("set", Some(&there), payload);
    assert_eq!(ask(&register("apns", &first)), Err(refusal("item-not-found", "cancel")));
    assert_eq!(ask(&register("gcm", "")), Err(refusal("bad-request", "modify")));
    assert_eq!(ask(&register("gcm", &first)), Ok(None));
    // A new token takes the place of the old one.
    assert_eq!(ask(&register("gcm", &second)), Ok(None));
    juliet.close();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("wake up"));
    let woken: Vec<String> = pushes_after(&mut romeo, &mut service).into_iter().map(|push| push.node).collect();
    assert_eq!(woken, [second]);
    let mut juliet = Client::online(&node, "juliet", "810eb5848f151178");
    let unregister = format!("<unregister xmlns='{}' provider='gcm'/>", ns::KONTALK_PUSH);
    assert_eq!(juliet.ask("set", Some(&there), &unregister), Ok(None));
    juliet.close();
    romeo.say(JULIET, &body("sleep on"));
    assert!(pushes_after(&mut romeo, &mut service).is_empty());
}
