//! Components beside one real node: who may be one, how stanzas pass, and what happens when it is away. XEP-0114; with it, how the
//! node deals with other domains at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use kontalk_node::xml::{Element, ns};
use support::body;
use support::client::{Client, Lost};
use support::component::{Component, SECRET, with_components};
use support::node::{DOMAIN, Node};
use support::stanzas::{body_of, refusal, refused};

const CHAT: &str = "chat.kontalk.test";

fn node() -> Node {
    let node = Node::start(with_components(&[CHAT, "other.example"]));
    node.add_account("romeo");
    node.add_account("juliet");
    node
}

fn is_presence(element: &Element, kind: Option<&str>) -> bool {
    element.is("presence", ns::CLIENT) && element.attribute("type") == kind
}

#[test]
fn only_who_knows_the_secret_of_a_configured_domain_is_a_component_and_only_once() {
    let node = node();
    assert!(matches!(Component::greet(&node, CHAT, "unknown.kontalk.test").map(|mut c| c.expect_end()),
        Ok(Lost::StreamError(condition)) if condition == "host-unknown"));
    let mut wrong = Component::greet(&node, CHAT, CHAT).unwrap();
    assert_eq!(wrong.shake_hands("a guess"), Err(Lost::StreamError("not-authorized".to_owned())));
    let mut early = Component::greet(&node, CHAT, CHAT).unwrap();
    early.send(&format!("<message from='{CHAT}' to='romeo@{DOMAIN}'><body>x</body></message>"));
    assert_eq!(early.expect_end(), Lost::StreamError("not-authorized".to_owned()));

    let mut first = Component::serve(&node, CHAT);
    let mut second = Component::greet(&node, CHAT, CHAT).unwrap();
    assert_eq!(second.shake_hands(SECRET), Err(Lost::StreamError("conflict".to_owned())));
    // The first one is none the worse for it, and another domain is another matter.
    assert!(first.drain().is_empty());
    Component::serve(&node, "other.example");
    // Gone, its place is free.
    first.send("</stream:stream>");
    assert_eq!(first.expect_end(), Lost::Ended);
    node.log_says(&format!("component {CHAT} disconnected"));
    assert!(Component::serve(&node, CHAT).drain().is_empty());
}

#[test]
fn stanzas_pass_both_ways_with_their_addresses() {
    let node = node();
    let mut chat = Component::serve(&node, CHAT);
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let full = romeo.full().to_string();

    let id = romeo.say(&format!("room@{CHAT}"), &body("to the component"));
    let message = chat.expect("the message", |el| body_of(el).is_some());
    assert_eq!(message.attribute("from"), Some(full.as_str()));
    assert_eq!((message.attribute("to"), message.attribute("id")), (Some("room@chat.kontalk.test"), Some(id.as_str())));
    // It has left, so it is safe.
    romeo.wait_acked();

    for (to, words) in [(format!("romeo@{DOMAIN}"), "to the account"), (full.clone(), "to the resource")] {
        chat.send(&format!(
            "<message type='chat' from='room@{CHAT}/a nick' to='{to}'><body>{}</body></message>",
            body(words)
        ));
        let message = romeo.expect_body(&body(words));
        assert_eq!(message.attribute("from"), Some("room@chat.kontalk.test/a nick"));
    }
    // What waits for an absent user of ours.
    chat.send(&format!(
        "<message type='chat' from='{CHAT}' to='juliet@{DOMAIN}'><body>{}</body></message>",
        body("later")
    ));
    assert!(chat.drain().is_empty());
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let waited = juliet.expect_body(&body("later"));
    assert!(waited.child("delay", ns::DELAY).is_some());

    // Requests, to the component and from it: to the node, to an account, to a resource.
    romeo.send(&format!("<iq type='get' id='q1' to='{CHAT}'><query xmlns='{}'/></iq>", ns::DISCO_INFO));
    let request = chat.expect("the request", |el| el.attribute("id") == Some("q1"));
    assert!(request.child("query", ns::DISCO_INFO).is_some());
    chat.send(&format!("<iq type='result' id='q1' from='{CHAT}' to='{full}'><query xmlns='{}'/></iq>", ns::DISCO_INFO));
    romeo.expect("the answer", |el| el.attribute("id") == Some("q1") && el.attribute("type") == Some("result"));
    let mut ask = |to: &str, payload: &str| {
        chat.send(&format!("<iq type='get' id='q2' from='bot@{CHAT}/x' to='{to}'>{payload}</iq>"));
        let answer = chat.expect("an answer", |el| el.attribute("id") == Some("q2"));
        assert_eq!(answer.attribute("to"), Some("bot@chat.kontalk.test/x"));
        (answer.attribute("type").unwrap().to_owned(), refused(&answer))
    };
    assert_eq!(ask(DOMAIN, "<query xmlns='jabber:iq:version'/>").0, "result");
    // A stranger learns nothing, neither of accounts nor who is registered.
    let unavailable = ("error".to_owned(), Some(refusal("service-unavailable", "cancel")));
    assert_eq!(ask(&format!("romeo@{DOMAIN}"), "<query xmlns='jabber:iq:last'/>").0, "error");
    let lookup = format!("<query xmlns='{}'><item jid='romeo@{DOMAIN}'/></query>", ns::KONTALK_ROSTER);
    assert_eq!(ask(&format!("probe@{DOMAIN}"), &lookup), unavailable);
    assert_eq!(ask(&format!("romeo@{DOMAIN}"), "<query xmlns='jabber:iq:roster'/>"), unavailable);
    assert_eq!(ask(&format!("romeo@{DOMAIN}/gone"), "<query xmlns='jabber:iq:version'/>"), unavailable);
}

#[test]
fn a_gateways_contact_is_subscribed_to_and_seen() {
    let node = node();
    let mut chat = Component::serve(&node, CHAT);
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let bot = format!("bot@{CHAT}");
    romeo.send(&format!("<presence type='subscribe' to='{bot}'/>"));
    assert_eq!(romeo.expect_push(&bot).attribute("ask"), Some("subscribe"));
    let request = chat.expect("the request", |el| is_presence(el, Some("subscribe")));
    assert_eq!(request.attribute("from"), Some("romeo@kontalk.test"));
    for presence in ["type='subscribed'", "type='subscribe'"] {
        chat.send(&format!("<presence {presence} from='{bot}' to='romeo@{DOMAIN}'/>"));
    }
    romeo.expect_presence(Some("subscribed"), &bot);
    romeo.expect_presence(Some("subscribe"), &bot);
    romeo.send(&format!("<presence type='subscribed' to='{bot}'/>"));
    chat.expect("the answer", |el| is_presence(el, Some("subscribed")));
    let presence = chat.expect("his presence", |el| is_presence(el, None));
    assert_eq!(presence.attribute("from"), Some(romeo.full().to_string().as_str()));
    chat.send(&format!("<presence from='{bot}/x' to='romeo@{DOMAIN}'><show>chat</show></presence>"));
    romeo.expect_presence(None, &format!("{bot}/x"));
    romeo.close();
    chat.expect("his going", |el| is_presence(el, Some("unavailable")));
    // RFC 6121 §4.3.1: who comes asks.
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let probe = chat.expect("a probe", |el| is_presence(el, Some("probe")));
    assert_eq!((probe.attribute("from"), probe.attribute("to")), (Some("romeo@kontalk.test"), Some(bot.as_str())));
    // §4.3.2: and is asked; a stranger is told nothing.
    for (from, kind, answered_from) in [
        (&bot, None, romeo.full().to_string()),
        (&format!("stranger@{CHAT}"), Some("unsubscribed"), format!("romeo@{DOMAIN}")),
    ] {
        chat.drain();
        chat.send(&format!("<presence type='probe' from='{from}' to='romeo@{DOMAIN}'/>"));
        let answer = chat.expect("an answer", |el| is_presence(el, kind));
        assert_eq!(answer.attribute("from"), Some(answered_from.as_str()));
    }
    // He blocks the gateway, and silence falls.
    let block = format!("<block xmlns='{}'><item jid='{CHAT}'/></block>", ns::BLOCKING);
    romeo.ask("set", None, &block).unwrap();
    chat.expect("his going", |el| is_presence(el, Some("unavailable")));
    chat.send(&format!(
        "<message type='chat' from='{bot}' to='romeo@{DOMAIN}'><body>{}</body></message>",
        body("unheard")
    ));
    chat.send(&format!("<presence type='probe' from='{bot}' to='romeo@{DOMAIN}'/>"));
    assert!(chat.drain().is_empty());
    assert!(romeo.bodies().is_empty());
}

#[test]
fn a_component_speaks_in_no_other_name() {
    let node = node();
    for (from, condition) in [
        (format!("juliet@{DOMAIN}"), "invalid-from"),
        (DOMAIN.to_owned(), "invalid-from"),
        ("bot@other.example".to_owned(), "invalid-from"),
        (format!("deeper.{CHAT}"), "invalid-from"),
    ] {
        let mut romeo = Client::online(&node, "romeo", "orchard");
        let mut chat = Component::greet(&node, CHAT, CHAT).unwrap();
        // The place of the one before is free a moment after its stream has ended.
        while chat.shake_hands(SECRET).is_err() {
            chat = Component::greet(&node, CHAT, CHAT).unwrap();
        }
        chat.send(&format!(
            "<message type='chat' from='{from}' to='romeo@{DOMAIN}'><body>{}</body></message>",
            body("forged")
        ));
        assert_eq!(chat.expect_end(), Lost::StreamError(condition.to_owned()), "{from}");
        assert!(romeo.bodies().is_empty(), "{from}");
        romeo.close();
    }
    let mut chat = Component::greet(&node, CHAT, CHAT).unwrap();
    while chat.shake_hands(SECRET).is_err() {
        chat = Component::greet(&node, CHAT, CHAT).unwrap();
    }
    chat.send("<message id='m'><body>to nobody</body></message>");
    let answer = chat.expect("a refusal", |el| el.attribute("id") == Some("m"));
    assert_eq!(refused(&answer), Some(refusal("bad-request", "modify")));
}

#[test]
fn what_is_for_a_component_that_is_away_comes_back_and_errors_do_not() {
    let node = node();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let away = Some(refusal("remote-server-timeout", "wait"));
    let id = romeo.say(&format!("room@{CHAT}"), &body("anybody there?"));
    let answer = romeo.expect("a refusal", |el| el.attribute("id") == Some(&id));
    assert_eq!((refused(&answer), answer.attribute("from")), (away.clone(), Some("room@chat.kontalk.test")));
    assert_eq!(refused(&romeo.iq("get", Some(CHAT), "<ping xmlns='urn:xmpp:ping'/>")), away);
    romeo.send(&format!("<presence type='subscribe' to='room@{CHAT}' id='s'/>"));
    let answer = romeo.expect("a refusal", |el| is_presence(el, Some("error")));
    assert_eq!(refused(&answer), away);
    // Neither presence that spreads nor an error is answered; all is acknowledged.
    romeo.send(&format!("<presence to='room@{CHAT}/nick'/>"));
    romeo.send(&format!("<message type='error' to='room@{CHAT}'/>"));
    romeo.wait_acked();
    romeo.roundtrip();
    romeo.take_inbox();
    romeo.nothing_waits();
    // A domain that nobody serves at all.
    let nowhere = romeo.iq("get", Some("nowhere.example"), "<ping xmlns='urn:xmpp:ping'/>");
    assert_eq!(refused(&nowhere), Some(refusal("remote-server-not-found", "cancel")));

    // The domain lists those that are there.
    let items = |client: &mut Client| -> Vec<String> {
        let query = client.ask("get", Some(DOMAIN), &format!("<query xmlns='{}'/>", ns::DISCO_ITEMS)).unwrap().unwrap();
        query.children().filter_map(|item| item.attribute("jid").map(str::to_owned)).collect()
    };
    assert!(!items(&mut romeo).iter().any(|jid| jid == CHAT));
    let mut chat = Component::serve(&node, CHAT);
    assert!(items(&mut romeo).iter().any(|jid| jid == CHAT));
    // It comes back: the request that was not answered is made again by the next session, and nothing else.
    assert!(chat.drain().is_empty());
    romeo.close();
    let romeo = Client::online(&node, "romeo", "orchard");
    let again = chat.expect("the request", |el| is_presence(el, Some("subscribe")));
    assert_eq!(again.attribute("from"), Some(romeo.bare().as_str()));
}

#[test]
fn components_talk_to_each_other_and_end_with_the_node() {
    let mut node = node();
    let mut chat = Component::serve(&node, CHAT);
    let mut other = Component::serve(&node, "other.example");
    chat.send(&format!("<message from='{CHAT}' to='x@other.example'><body>{}</body></message>", body("hello")));
    other.expect("the message", |el| body_of(el).is_some());
    other.send(&format!("<iq type='get' id='q' from='other.example' to='{CHAT}'><q xmlns='urn:q'/></iq>"));
    chat.expect("the request", |el| el.attribute("id") == Some("q"));
    node.sigterm();
    for component in [&mut chat, &mut other] {
        assert_eq!(component.expect_end(), Lost::StreamError("system-shutdown".to_owned()));
    }
}

#[test]
fn without_components_there_is_no_port() {
    let node = Node::start(support::node::NodeOptions::default());
    node.log_says("serving kontalk.test");
    assert!(
        std::fs::read_to_string(node.data_dir().with_file_name("node.log"))
            .unwrap()
            .lines()
            .all(|l| !l.contains("components"))
    );
}
