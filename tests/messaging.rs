//! Presence, rosters, messages and blocking between password accounts of one real node. RFC 6121, and Kontalk's rules for
//! offline storage, routing and blocking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use kontalk_node::limits;
use kontalk_node::stanza::Timestamp;
use kontalk_node::xml::{Element, ns};
use support::body;
use support::client::Client;
use support::node::{DOMAIN, Node, NodeOptions};
use support::stanzas::{body_of, chat, ids_of, refusal, refused};

const ROMEO: &str = "romeo@kontalk.test";
const JULIET: &str = "juliet@kontalk.test";

/// A node on which Romeo and Juliet have accounts and know nothing of each other.
fn verona() -> Node {
    let node = Node::start(NodeOptions::default());
    node.add_account("romeo");
    node.add_account("juliet");
    node
}

fn item<'a>(items: &'a [Element], contact: &str) -> &'a Element {
    let found = items.iter().find(|item| item.attribute("jid") == Some(contact));
    found.unwrap_or_else(|| panic!("{contact} is not among {items:?}"))
}

#[test]
fn a_subscription_goes_through_request_approval_and_presence() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");

    // RFC 6121 §3.1.2: the sender's roster shows the pending request.
    romeo.send(&format!("<presence type='subscribe' to='{JULIET}' id='s1'/>"));
    let pushed = romeo.expect_push(JULIET);
    assert_eq!((pushed.attribute("subscription"), pushed.attribute("ask")), (Some("none"), Some("subscribe")));
    // §3.1.3: it comes from the bare JID; the receiver's roster does not show it.
    juliet.expect_presence(Some("subscribe"), ROMEO);
    assert!(juliet.roster().1.is_empty());

    // §3.1.5, §3.1.6: approval, then Romeo sees Juliet.
    juliet.send(&format!("<presence type='subscribed' to='{ROMEO}'/>"));
    assert_eq!(juliet.expect_push(ROMEO).attribute("subscription"), Some("from"));
    romeo.expect_presence(Some("subscribed"), JULIET);
    let pushed = romeo.expect_push(JULIET);
    assert_eq!((pushed.attribute("subscription"), pushed.attribute("ask")), (Some("to"), None));
    romeo.expect_presence(None, &juliet.full().to_string());
    // Juliet does not see Romeo.
    juliet.nothing_waits();

    juliet.send(&format!("<presence type='subscribe' to='{ROMEO}'/>"));
    romeo.expect_presence(Some("subscribe"), JULIET);
    romeo.send(&format!("<presence type='subscribed' to='{JULIET}'/>"));
    juliet.expect_presence(None, &romeo.full().to_string());
    assert_eq!(item(&romeo.roster().1, JULIET).attribute("subscription"), Some("both"));
    assert_eq!(item(&juliet.roster().1, ROMEO).attribute("subscription"), Some("both"));
}

#[test]
fn a_cancelled_subscription_ends_presence() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.befriend(&mut juliet);

    // RFC 6121 §3.2: Juliet takes back what Romeo may see.
    juliet.send(&format!("<presence type='unsubscribed' to='{ROMEO}'/>"));
    romeo.expect_presence(Some("unsubscribed"), JULIET);
    romeo.expect_presence(Some("unavailable"), &juliet.full().to_string());
    assert_eq!(romeo.expect_push(JULIET).attribute("subscription"), Some("from"));
    juliet.send("<presence><show>away</show></presence>");
    juliet.roundtrip();
    romeo.nothing_waits();
}

#[test]
fn a_request_waits_for_an_absent_user_and_is_repeated_until_answered() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.send(&format!("<presence type='subscribe' to='{JULIET}'/>"));
    romeo.wait_acked();
    // RFC 6121 §3.1.3: delivered at each login until there is an answer.
    for _ in 0..2 {
        let mut juliet = Client::online(&node, "juliet", "balcony");
        juliet.expect_presence(Some("subscribe"), ROMEO);
        juliet.close();
    }
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.expect_presence(Some("subscribe"), ROMEO);
    juliet.send(&format!("<presence type='unsubscribed' to='{ROMEO}'/>"));
    romeo.expect_presence(Some("unsubscribed"), JULIET);
    juliet.close();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.nothing_waits();
}

#[test]
fn pre_approval_answers_a_later_request_at_once() {
    let node = verona();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    assert!(juliet.features.child("sub", ns::PRE_APPROVAL).is_some());
    // RFC 6121 §3.4.
    juliet.send(&format!("<presence type='subscribed' to='{ROMEO}'/>"));
    assert_eq!(juliet.expect_push(ROMEO).attribute("approved"), Some("true"));
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.send(&format!("<presence type='subscribe' to='{JULIET}'/>"));
    romeo.expect_presence(Some("subscribed"), JULIET);
    romeo.expect_presence(None, &juliet.full().to_string());
}

#[test]
fn presence_follows_sessions_coming_and_going() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.befriend(&mut juliet);
    let balcony = juliet.full().to_string();

    juliet.send("<presence><show>away</show><status>thinking</status></presence>");
    let presence = romeo.expect_presence(None, &balcony);
    assert_eq!(presence.child("show", ns::CLIENT).map(Element::text).as_deref(), Some("away"));
    // RFC 6121 §4.5: leaving is told, whether said or not.
    juliet.send("<presence type='unavailable'/>");
    romeo.expect_presence(Some("unavailable"), &balcony);
    juliet.send("<presence/>");
    romeo.expect_presence(None, &balcony);
    juliet.close();
    romeo.expect_presence(Some("unavailable"), &balcony);
    // §4.3: a newcomer hears of who is there already.
    let mut juliet = Client::online(&node, "juliet", "garden");
    juliet.expect_presence(None, &romeo.full().to_string());
    romeo.expect_presence(None, &juliet.full().to_string());
}

#[test]
fn a_roster_is_sent_again_only_when_its_version_is_old() {
    let node = verona();
    let mut romeo = Client::bound(&node, "romeo", "orchard");
    assert!(romeo.features.child("ver", ns::ROSTER_VERSIONING).is_some());
    let get = |client: &mut Client, ver: &str| {
        client.ask("get", None, &format!("<query xmlns='{}' ver='{ver}'/>", ns::ROSTER)).unwrap()
    };
    let set = |client: &mut Client, item: &str| {
        client.ask("set", None, &format!("<query xmlns='{}'>{item}</query>", ns::ROSTER))
    };
    set(&mut romeo, &format!("<item jid='{JULIET}' name='Juliet'><group>Capulet</group></item>")).unwrap();
    let full = get(&mut romeo, "").expect("an unknown version gets it all");
    let version = full.attribute("ver").expect("a version").to_owned();
    let juliet = full.first_child().expect("one item");
    assert_eq!(juliet.attribute("name"), Some("Juliet"));
    assert_eq!(juliet.child("group", ns::ROSTER).map(Element::text).as_deref(), Some("Capulet"));
    // RFC 6121 §2.6.3: unchanged, so an empty result.
    assert_eq!(get(&mut romeo, &version), None);

    romeo.take_inbox();
    set(&mut romeo, &format!("<item jid='{JULIET}' name='My love'/>")).unwrap();
    let push = romeo.expect("a push", |el| el.child("query", ns::ROSTER).is_some());
    let pushed =
        push.child("query", ns::ROSTER).unwrap().attribute("ver").expect("pushes carry the version").to_owned();
    assert_ne!(pushed, version);
    assert_eq!(get(&mut romeo, &pushed), None);
    romeo.close();
    // It is the same roster in another session.
    let mut romeo = Client::bound(&node, "romeo", "elsewhere");
    assert_eq!(get(&mut romeo, &pushed), None);
    let (ver, items) = romeo.roster();
    assert_eq!(ver.as_deref(), Some(pushed.as_str()));
    assert_eq!(item(&items, JULIET).attribute("name"), Some("My love"));

    // §2.5: removal; a second one finds nothing.
    set(&mut romeo, &format!("<item jid='{JULIET}' subscription='remove'/>")).unwrap();
    assert!(romeo.roster().1.is_empty());
    let again = set(&mut romeo, &format!("<item jid='{JULIET}' subscription='remove'/>"));
    assert_eq!(again, Err(refusal("item-not-found", "cancel")));
}

#[test]
fn removing_a_contact_tells_it_and_ends_both_subscriptions() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.befriend(&mut juliet);
    let remove = format!("<query xmlns='{}'><item jid='{JULIET}' subscription='remove'/></query>", ns::ROSTER);
    romeo.ask("set", None, &remove).unwrap();
    // RFC 6121 §2.5.2.
    juliet.expect_presence(Some("unsubscribe"), ROMEO);
    juliet.expect_presence(Some("unsubscribed"), ROMEO);
    juliet.expect_presence(Some("unavailable"), &romeo.full().to_string());
    assert_eq!(item(&juliet.roster().1, ROMEO).attribute("subscription"), Some("none"));
}

#[test]
fn messages_go_where_the_rfc_sends_them() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut balcony = Client::online(&node, "juliet", "balcony");
    let mut garden = Client::online(&node, "juliet", "garden");
    let mut hidden = Client::bound(&node, "juliet", "hidden");
    hidden.send("<presence><priority>-1</priority></presence>");
    hidden.roundtrip();
    for client in [&mut balcony, &mut garden, &mut hidden] {
        client.drain();
    }

    // RFC 6121 §8.5.3.1: a full JID means that resource, whatever its priority.
    romeo.say(&format!("{JULIET}/garden"), &body("to the garden"));
    romeo.say(&format!("{JULIET}/hidden"), &body("to the hidden"));
    // §8.5.2.1.1, and Kontalk: a bare JID means all resources with non-negative priority.
    romeo.say(JULIET, &body("to all"));
    // Kontalk: a chat to a resource that is gone is treated as one to the bare JID.
    romeo.say(&format!("{JULIET}/gone"), &body("to the gone"));
    romeo.roundtrip();
    assert_eq!(garden.bodies(), [body("to the garden"), body("to all"), body("to the gone")]);
    assert_eq!(balcony.bodies(), [body("to all"), body("to the gone")]);
    assert_eq!(hidden.bodies(), [body("to the hidden")]);
    let message = {
        balcony.say(ROMEO, &body("who is there?"));
        romeo.expect_body(&body("who is there?"))
    };
    // RFC 6120 §8.1.2.1: the server says who sent it.
    assert_eq!(message.attribute("from"), Some(format!("{JULIET}/balcony").as_str()));
    romeo.nothing_waits();
}

#[test]
fn offline_storage_keeps_what_kontalk_keeps() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let words = body("stored");
    let with = |kind: &str, content: &str| format!("<message {kind} to='{JULIET}' id='ID'>{content}</message>");
    let (text, receipt) = (format!("<body>{words}</body>"), "<received xmlns='urn:xmpp:receipts' id='x'/>");
    let active = "<active xmlns='http://jabber.org/protocol/chatstates'/>";
    // Kontalk, offline storage: the table of what is kept.
    let table = [
        (true, with("type='chat'", &text)),
        (true, with("", &text)),
        (true, with("type='normal'", &text)),
        (true, with("type='chat'", receipt)),
        (true, with("type='chat'", "<request xmlns='urn:xmpp:receipts'/>")),
        (true, with("type='chat'", "<x xmlns='jabber:x:signed'>c2ln</x>")),
        (true, with("type='chat'", &format!("{active}{text}"))),
        (false, with("type='chat'", active)),
        (false, with("type='headline'", &text)),
        (false, with("type='groupchat'", &text)),
        (false, with("type='error'", &text)),
        (true, format!("<message type='chat' to='{JULIET}/dead' id='ID'><body>{words}</body></message>")),
        (
            true,
            with(
                "type='chat'",
                &format!("{text}<delay xmlns='urn:xmpp:delay' from='{DOMAIN}' stamp='2021-10-07T12:00:00.000Z'/>"),
            ),
        ),
    ];
    let mut kept = Vec::new();
    for (number, (stored, stanza)) in table.iter().enumerate() {
        let id = format!("offline{number}");
        romeo.send(&stanza.replace("ID", &id));
        if *stored {
            kept.push(id);
        }
    }
    romeo.wait_acked();

    let mut juliet = Client::bound(&node, "juliet", "balcony");
    juliet.enable_sm(false);
    // Nothing before the first presence, nothing for a negative priority.
    juliet.nothing_waits();
    juliet.send("<presence><priority>-1</priority></presence>");
    let with_messages = |client: &mut Client| {
        let mut all = client.drain();
        all.retain(|el| el.is("message", ns::CLIENT));
        all
    };
    assert!(with_messages(&mut juliet).is_empty());
    juliet.send("<presence/>");
    let messages = with_messages(&mut juliet);
    assert_eq!(ids_of(&messages), kept);
    let mut last = None;
    for message in &messages {
        // XEP-0203; exactly one, because clients read the first.
        let delays: Vec<_> = message.children().filter(|child| child.is("delay", ns::DELAY)).collect();
        assert_eq!(delays.len(), 1, "{message:?}");
        let stamp = delays[0].attribute("stamp").unwrap();
        assert_eq!(stamp.len(), "2021-10-07T12:00:00.000Z".len(), "three decimals: {stamp}");
        assert!(Timestamp::parse(stamp).is_some(), "{stamp}");
        if message.attribute("id") != Some("offline12") {
            assert_eq!(delays[0].attribute("from"), Some(DOMAIN));
            assert!(last.as_deref() <= Some(stamp), "stamps go forward");
            last = Some(stamp.to_owned());
        }
    }
    // Once per session.
    juliet.send("<presence/>");
    assert!(with_messages(&mut juliet).is_empty());
    juliet.acknowledge().unwrap();
    juliet.close();
    // And gone once delivered.
    let mut juliet = Client::online(&node, "juliet", "balcony");
    assert!(juliet.bodies().is_empty());
}

#[test]
fn undelivered_messages_come_again_in_the_next_session() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    for number in 0..3 {
        romeo.say(JULIET, &body(number));
    }
    romeo.wait_acked();
    let mut juliet = Client::bound(&node, "juliet", "balcony");
    juliet.enable_sm(false);
    juliet.auto_ack = false;
    juliet.send("<presence/>");
    juliet.expect_body(&body(0));
    // Only what is acknowledged counts as delivered: XEP-0198, and Android holds its acknowledgements back on purpose.
    juliet.acknowledge().unwrap();
    juliet.cut();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let bodies = juliet.bodies();
    assert!(bodies.ends_with(&[body(1), body(2)]), "{bodies:?}");
}

#[test]
fn offline_messages_survive_a_restart() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("before the restart"));
    romeo.wait_acked();
    node.sigterm();
    node.start_again();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.expect_body(&body("before the restart"));
    juliet.nothing_waits();
}

#[test]
fn blocked_traffic_is_dropped_in_both_directions_without_a_word() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut second = Client::online(&node, "romeo", "tomb");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let list = |client: &mut Client| {
        client.ask("get", None, &format!("<blocklist xmlns='{}'/>", ns::BLOCKING)).unwrap().unwrap()
    };
    let set = |client: &mut Client, what: &str| client.ask("set", None, what);
    assert!(list(&mut romeo).children().next().is_none());
    list(&mut second);
    second.drain();

    // XEP-0191 §3.3; an empty block is nonsense.
    let nothing = set(&mut romeo, &format!("<block xmlns='{}'/>", ns::BLOCKING));
    assert_eq!(nothing, Err(refusal("bad-request", "modify")));
    set(&mut romeo, &format!("<block xmlns='{}'><item jid='{JULIET}'/></block>", ns::BLOCKING)).unwrap();
    assert_eq!(list(&mut romeo).first_child().unwrap().attribute("jid"), Some(JULIET));
    second.expect("the block pushed", |el| el.child("block", ns::BLOCKING).is_some());
    romeo.drain();

    // Kontalk, blocking: silence, so that the blocked one does not learn of it.
    juliet.say(ROMEO, &body("can you hear me?"));
    juliet.send(&format!("<presence type='subscribe' to='{ROMEO}'/>"));
    juliet.expect_push(ROMEO);
    juliet.nothing_waits();
    assert!(romeo.bodies().is_empty());
    romeo.say(JULIET, &body("and you me?"));
    romeo.roundtrip();
    assert!(juliet.bodies().is_empty());
    // An iq must have an answer, RFC 6120 §8.2.3, the one that a stranger gets.
    let ping = format!("<ping xmlns='{}'/>", ns::PING);
    let answer = juliet.ask("get", Some(&format!("{ROMEO}/orchard")), &ping);
    assert_eq!(answer, Err(refusal("service-unavailable", "cancel")));

    // XEP-0191 §3.4: an empty unblock clears the list.
    set(&mut romeo, &format!("<unblock xmlns='{}'/>", ns::BLOCKING)).unwrap();
    assert!(list(&mut romeo).children().next().is_none());
    juliet.say(ROMEO, &body("now?"));
    romeo.expect_body(&body("now?"));
}

#[test]
fn blocking_survives_the_session_and_covers_offline_messages() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.ask("set", None, &format!("<block xmlns='{}'><item jid='{JULIET}'/></block>", ns::BLOCKING)).unwrap();
    romeo.close();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.say(ROMEO, &body("you are away"));
    juliet.wait_acked();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    assert!(romeo.bodies().is_empty());
}

#[test]
fn errors_are_never_answered() {
    let node = verona();
    let mut romeo = Client::bound(&node, "romeo", "orchard");
    // RFC 6120 §8.3.1.
    for stanza in [
        format!("<message type='error' to='{DOMAIN}' id='e1'/>"),
        format!("<message type='error' to='{JULIET}' id='e2'/>"),
        format!("<iq type='error' to='{DOMAIN}' id='e3'/>"),
        format!("<iq type='result' to='{JULIET}/nowhere' id='e4'/>"),
        format!("<presence type='error' to='{JULIET}' id='e5'/>"),
    ] {
        romeo.send(&stanza);
    }
    romeo.nothing_waits();
}

#[test]
fn who_has_an_account_is_not_told() {
    let node = verona();
    node.add_account("tybalt");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut tybalt = Client::online(&node, "tybalt", "street");
    tybalt.ask("set", None, &format!("<block xmlns='{}'><item jid='{ROMEO}'/></block>", ns::BLOCKING)).unwrap();
    let answers = |romeo: &mut Client, address: &str, payloads: &[String]| {
        let mut seen = Vec::new();
        for to in [address.to_owned(), format!("{address}/street")] {
            for payload in payloads {
                for kind in ["get", "set"] {
                    let answer = romeo.iq(kind, Some(&to), payload);
                    seen.push((payload.clone(), kind, refused(&answer), answer.children().count()));
                }
            }
            for kind in ["normal", "chat", "headline", "groupchat", "error"] {
                romeo.send(&chat(&to, "m", &body("anybody?")).replace("'chat'", &format!("'{kind}'")));
            }
            for kind in ["unavailable", "subscribe", "unsubscribed", "probe"] {
                romeo.send(&format!("<presence type='{kind}' to='{to}'/>"));
            }
            let is_push = |el: &Element| el.child("query", ns::ROSTER).is_some();
            let told = romeo.drain().into_iter().filter(|el| !is_push(el));
            seen.extend(told.map(|el| (el.name().to_owned(), "told", refused(&el), el.children().count())));
        }
        seen
    };
    let query = |namespace: &str| format!("<query xmlns='{namespace}'/>");
    let mut payloads: Vec<String> = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::VERSION,
        ns::LAST,
        ns::ROSTER,
        ns::REGISTER,
        ns::PRIVATE,
        ns::MAM,
        "urn:example:unknown",
    ]
    .map(query)
    .into();
    payloads.extend([
        format!("<ping xmlns='{}'/>", ns::PING),
        format!("<time xmlns='{}'/>", ns::TIME),
        format!("<vCard xmlns='{}'/>", ns::VCARD),
        format!("<blocklist xmlns='{}'/>", ns::BLOCKING),
        format!("<pubsub xmlns='{}'><items node='urn:x'/></pubsub>", ns::PUBSUB),
        format!("<pubsub xmlns='{}'><publish node='urn:x'/></pubsub>", ns::PUBSUB),
        format!("<query xmlns='{}'><remove/></query>", ns::REGISTER),
        format!("<command xmlns='{}' node='x'/>", ns::COMMANDS),
        format!("<query xmlns='{}' node='{}'/>", ns::DISCO_ITEMS, ns::COMMANDS),
    ]);
    let nobodys = answers(&mut romeo, "nobody@kontalk.test", &payloads);
    // RFC 6121 §8.5.1, §8.5.2.2.3: who is there but nothing to him.
    assert_eq!(answers(&mut romeo, JULIET, &payloads), nobodys);
    assert!(nobodys.iter().any(|(_, _, refused, _)| *refused == Some(refusal("service-unavailable", "cancel"))));
    // XEP-0191 §3: who blocks him, though his key could be had otherwise, and though he is there.
    payloads.push(format!("<pubkey xmlns='{}'/>", ns::KONTALK_PUBKEY));
    let nobodys = answers(&mut romeo, "nobody@kontalk.test", &payloads);
    assert_eq!(answers(&mut romeo, "tybalt@kontalk.test", &payloads), nobodys);
    // Of him he hears at most that he goes.
    let heard = tybalt.drain();
    assert!(heard.iter().all(|el| el.attribute("type") == Some("unavailable")), "{heard:?}");
}

#[test]
fn the_server_answers_every_request() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let info = romeo.ask("get", Some(DOMAIN), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
    let features: Vec<_> = info.children().filter_map(|child| child.attribute("var")).collect();
    for feature in [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, ns::VERSION, ns::TIME, ns::BLOCKING, ns::MSG_OFFLINE] {
        assert!(features.contains(&feature), "{feature} is not among {features:?}");
    }
    let identity = info.child("identity", ns::DISCO_INFO).expect("an identity");
    assert_eq!((identity.attribute("category"), identity.attribute("type")), (Some("server"), Some("im")));
    for payload in [
        format!("<query xmlns='{}'/>", ns::DISCO_ITEMS),
        format!("<query xmlns='{}'/>", ns::VERSION),
        format!("<time xmlns='{}'/>", ns::TIME),
    ] {
        romeo.ask("get", Some(DOMAIN), &payload).unwrap_or_else(|refused| panic!("{payload}: {refused:?}"));
    }
    // RFC 6120 §8.4, and Kontalk: unknown is refused, but silence stalls the clients.
    for to in [Some(DOMAIN), Some("probe@kontalk.test"), Some("push@kontalk.test"), None, Some(ROMEO)] {
        let answer = romeo.ask("get", to, "<query xmlns='urn:example:unknown'/>");
        assert_eq!(answer, Err(refusal("service-unavailable", "cancel")), "{to:?}");
    }
    // The session iq of old clients.
    romeo.ask("set", None, &format!("<session xmlns='{}'/>", ns::SESSION)).unwrap();
    // Android's server list request says xmlns twice, which is not XML. The stream must live.
    let twice = "xmlns='http://jabber.org/protocol/commands'";
    romeo.iq(
        "set",
        Some("network@kontalk.test"),
        &format!("<command {twice} {twice} node='serverlist' action='execute'/>"),
    );
    romeo.roundtrip();
}

#[test]
fn receipts_and_chat_states_pass_between_full_jids() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let words = body("do you read me?");
    romeo.send(&format!(
        "<message type='chat' to='{JULIET}' id='r1'><body>{words}</body><request xmlns='{}'/><active xmlns='{}'/></message>",
        ns::RECEIPTS,
        ns::CHAT_STATES
    ));
    let message = juliet.expect_body(&words);
    assert!(message.child("request", ns::RECEIPTS).is_some() && message.child("active", ns::CHAT_STATES).is_some());
    let sender = message.attribute("from").unwrap();
    juliet.send(&format!("<message type='chat' to='{sender}'><received xmlns='{}' id='r1'/></message>", ns::RECEIPTS));
    let receipt = romeo.expect("a receipt", |el| el.child("received", ns::RECEIPTS).is_some());
    assert_eq!(body_of(&receipt), None);
}

#[test]
fn more_offline_messages_than_a_session_may_have_in_flight_all_arrive() {
    back_from_a_long_journey(|juliet| juliet.enable_sm(false));
}

#[test]
fn more_offline_messages_than_an_outbox_holds_arrive_without_stream_management() {
    back_from_a_long_journey(|_| {});
}

fn back_from_a_long_journey(prepare: impl Fn(&mut Client)) {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    // More than the node queues for one session or leaves unacknowledged, less than an account may store.
    let count = limits::OUTBOX_STANZAS_MAX.max(limits::UNACKED_STANZAS_MAX) + 500;
    assert!(count < limits::OFFLINE_MESSAGES_MAX);
    for first in (0..count).step_by(100) {
        let numbers = first..count.min(first + 100);
        let stanzas = u32::try_from(numbers.len()).unwrap();
        let text: String = numbers.map(|number| chat(JULIET, &number.to_string(), &body(number))).collect();
        romeo.try_send_many(&text, stanzas).unwrap();
        romeo.try_wait_acked(0).unwrap();
    }
    let mut juliet = Client::bound(&node, "juliet", "balcony");
    prepare(&mut juliet);
    juliet.send("<presence/>");
    let mut heard = Vec::new();
    while heard.len() < count {
        let next = juliet.try_next();
        let element = next.unwrap_or_else(|lost| panic!("after {} of {count} messages: {lost}", heard.len()));
        heard.extend(body_of(&element));
    }
    assert_eq!(heard, (0..count).map(body).collect::<Vec<_>>());
}
