//! The Kontalk apps' ways through a node, played from end to end in the order in which they really ask: Android from its first launch
//! to a day of use, and the desktop app with the key that Android exported.
//!
//! What an app waits for is waited for here; what it needs in an answer is looked for there. Silence stalls its sync, so each
//! request must have its answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kontalk_node::xml::{Element, ns};
use person::Person;
use support::body;
use support::client::{Client, Connect};
use support::node::{DOMAIN, Node, NodeOptions};
use support::registration::field;

#[test]
fn android_from_its_first_launch_to_a_day_of_use() {
    let mut node = Node::start(NodeOptions::default());
    let mut anna = Person::new(0, "+15555215554", Connect::to(&node));
    let mut bruno = Person::new(1, "+393351234567", Connect::to(&node));
    bruno.register(&mut node, false);

    first_launch(&mut node, &mut anna);

    // A normal session: certificate, EXTERNAL, the device's constant resource, stream management without resumption.
    let mut app = anna.with_certificate();
    app.external("").unwrap();
    app.bind(Some(anna.device));
    app.enable_sm(false);
    let (version, empty) = app.roster();
    assert!(version.is_some() && empty.is_empty());
    app.send(
        "<presence><show>away</show><status>hi</status>\
         <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://www.kontalk.org/' ver='none'/></presence>",
    );
    let offered = discover(&mut app);
    assert!(offered.contains("urn:xmpp:blocking") && offered.contains("msgoffline") && offered.contains(ns::ADDRESS));
    upload_slot(&mut app, &offered);
    app.send_raw("<inactive xmlns='urn:xmpp:csi:0'/>");
    let server_ring = pubkey(&mut app, Some(DOMAIN)).expect("the server's key");
    assert_eq!(server_ring, node.cli(&["key", "export"]).stdout);

    // A contact found, a chat opened: `subscribe`, and the other app accepts by itself.
    let mut friend = bruno.online();
    let friends = bruno.number.address();
    app.send(&format!("<presence type='subscribe' id='s1' to='{friends}'/>"));
    let request = friend.expect("a chat invitation", |el| el.attribute("type") == Some("subscribe"));
    let enclosed = request.child("pubkey", ns::KONTALK_PUBKEY).and_then(|key| key.child("key", ns::KONTALK_PUBKEY));
    assert_eq!(STANDARD.decode(enclosed.expect("her key").text()).unwrap(), anna.ring);
    for kind in ["subscribed", "subscribe"] {
        friend.send(&format!("<presence type='{kind}' to='{}'/>", anna.number.address()));
    }
    app.expect("his request", |el| el.attribute("type") == Some("subscribe"));
    app.send(&format!("<presence type='subscribed' to='{friends}'/>"));

    sync(&mut app, &anna, &bruno);
    talk(&mut app, &anna, &mut friend, &bruno);
    on_user_action(&mut app, &anna, &bruno);

    // A silent loss of the network; the same resource comes back and wins. What was sent meanwhile is there.
    app.cut();
    let words = body("while you were away");
    friend.send(&format!(
        "<message type='chat' id='away-1' to='{}'><body>{words}</body><request xmlns='urn:xmpp:receipts'/></message>",
        anna.number.address()
    ));
    friend.wait_acked();
    let mut app = anna.online();
    assert_eq!(app.expect_body(&words).attribute("id"), Some("away-1"));
    app.close();
}

#[test]
fn the_desktop_app_with_the_key_that_android_exported() {
    let mut node = Node::start(NodeOptions::default());
    let mut anna = Person::new(0, "+15555215554", Connect::to(&node));
    let mut bruno = Person::new(1, "+393351234567", Connect::to(&node));
    anna.register(&mut node, false);
    bruno.register(&mut node, false);
    let mut friend = bruno.online();

    // The key pack brings key and certified ring; there is no registration.
    let mut desktop = anna.with_certificate();
    desktop.external("").unwrap();
    desktop.bind(Some("Kontalk_Desktop"));
    assert_eq!(desktop.full().resource(), "Kontalk_Desktop");
    desktop.enable_sm(false);
    let offered = discover(&mut desktop);
    // Avatars and groups need these on the domain or an item.
    for feature in ["http://jabber.org/protocol/pubsub", "http://jabber.org/protocol/address", "jabber:iq:last"] {
        assert!(offered.contains(feature), "{feature} is not offered: {offered:?}");
    }
    upload_slot(&mut desktop, &offered);
    desktop.roster();
    blocklist(&mut desktop);
    desktop.send("<presence><status>at my desk</status></presence>");
    assert_eq!(pubkey(&mut desktop, Some(&bruno.number.address())), Some(bruno.ring.clone()));
    assert!(pubkey(&mut desktop, Some(DOMAIN)).is_some());

    // Her avatar: data first, then what tells of it.
    for (node, payload) in [
        ("urn:xmpp:avatar:data", "<data xmlns='urn:xmpp:avatar:data'>aGVsbG8=</data>".to_owned()),
        (
            "urn:xmpp:avatar:metadata",
            "<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='5' height='1' width='1' type='image/png' \
             id='aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d'/></metadata>"
                .to_owned(),
        ),
    ] {
        let item = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
        let publish = format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item id='{item}'>{payload}</item>\
             </publish></pubsub>"
        );
        desktop.ask("set", None, &publish).expect("it is published");
    }

    // A group: one stanza to the bare domain.
    let words = body("to the group");
    desktop.send(&format!(
        "<message type='chat' id='g1' to='{DOMAIN}'><addresses xmlns='{}'><address type='to' jid='{}'/></addresses>\
         <body>{words}</body><e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>AAAA</e2e></message>",
        ns::ADDRESS,
        bruno.number.address()
    ));
    let copy = friend.expect_body(&words);
    assert!(copy.child("addresses", ns::ADDRESS).is_none());
    assert_eq!(copy.child("e2e", "urn:ietf:params:xml:ns:xmpp-e2e").map(Element::text).as_deref(), Some("AAAA"));

    // Two desktops of one account evict each other: the newest wins.
    let mut other = anna.with_certificate();
    other.external("").unwrap();
    other.bind(Some("Kontalk_Desktop"));
    desktop.expect_end();
    other.roundtrip();
}

/// Each step is a connection of its own, closed without ceremony.
fn first_launch(node: &mut Node, anna: &mut Person) {
    let mut stranger = anna.stranger();
    let mechanisms = stranger.mechanisms();
    assert!(mechanisms.iter().any(|name| name == "EXTERNAL"), "{mechanisms:?}");
    stranger.registration_form().unwrap();
    let challenge = anna.stranger().request_code(&anna.number, false).unwrap();
    assert!(field(&challenge, "from").is_some_and(|from| !from.is_empty()));
    assert_eq!(field(&challenge, "challenge").as_deref(), Some("pin"));
    let code = node.code_for(&anna.number.e164);
    anna.ring = anna.with_certificate().submit_code(&code).unwrap();
    // The number is in use from now on: the app offers to import the key.
    let again = anna.stranger().request_code(&anna.number, false).unwrap_err();
    assert!(format!("{again:?}").contains("conflict"), "{again:?}");
}

/// Both questions about the domain at once, then one about every item. Gives all features.
fn discover(app: &mut Client) -> BTreeSet<String> {
    app.send(&format!("<iq type='get' id='di' to='{DOMAIN}'><query xmlns='{}'/></iq>", ns::DISCO_INFO));
    app.send(&format!("<iq type='get' id='ds' to='{DOMAIN}'><query xmlns='{}'/></iq>", ns::DISCO_ITEMS));
    let info = app.expect("the domain's features", |el| el.attribute("id") == Some("di"));
    let items = app.expect("the domain's items", |el| el.attribute("id") == Some("ds"));
    let features = |answer: &Element| {
        let query = answer.child("query", ns::DISCO_INFO).expect("a query");
        let found = query.children().filter(|child| child.name() == "feature");
        found.filter_map(|feature| feature.attribute("var").map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut offered: BTreeSet<String> = features(&info).into_iter().collect();
    for item in items.child("query", ns::DISCO_ITEMS).expect("a query").children() {
        let jid = item.attribute("jid").expect("items need a JID");
        let answer = app.iq("get", Some(jid), &format!("<query xmlns='{}'/>", ns::DISCO_INFO));
        offered.extend(features(&answer));
    }
    offered
}

/// The old form of XEP-0363, asked of who offered it: parameters as elements, URLs as text.
fn upload_slot(app: &mut Client, offered: &BTreeSet<String>) {
    assert!(offered.contains("urn:xmpp:http:upload"), "no media can be sent: {offered:?}");
    let slot = app
        .ask(
            "get",
            Some(DOMAIN),
            "<request xmlns='urn:xmpp:http:upload'><filename>a&amp;b &lt;1&gt;.jpg.gpg</filename><size>48213</size>\
             <content-type>image/jpeg</content-type></request>",
        )
        .unwrap()
        .expect("a slot");
    for url in ["put", "get"] {
        let url = slot.child(url, "urn:xmpp:http:upload").map(Element::text).expect("a URL as text");
        // The app writes it into XML as it is.
        assert!(url.starts_with("http") && !url.contains(['&', '<', '\'', '"', '?']), "{url}");
    }
}

/// Roster match in pieces of 500, then a burst of public-key queries, one for each contact and for itself, and the block list.
fn sync(app: &mut Client, anna: &Person, bruno: &Person) {
    let mut contacts = vec![bruno.number.address()];
    contacts.extend((0..299).map(|number| format!("{number:040x}@{DOMAIN}")));
    for (index, chunk) in contacts.chunks(150).enumerate() {
        let items: String = chunk.iter().map(|jid| format!("<item jid='{jid}'/>")).collect();
        app.send(&format!(
            "<iq type='get' id='match-{index}' to='probe@{DOMAIN}'><query xmlns='{}'>{items}</query></iq>",
            ns::KONTALK_ROSTER
        ));
    }
    let mut found = Vec::new();
    for index in 0..2 {
        let id = format!("match-{index}");
        let answer = app.expect("the matches", |el| el.attribute("id") == Some(id.as_str()));
        assert_eq!(answer.attribute("type"), Some("result"));
        assert_eq!(answer.attribute("from"), Some(format!("probe@{DOMAIN}").as_str()));
        let query = answer.child("query", ns::KONTALK_ROSTER).expect("a query").clone();
        found.extend(query.children().filter_map(|item| item.attribute("jid").map(str::to_owned)));
    }
    assert_eq!(found, [bruno.number.address()]);

    let asked = contacts.iter().cloned().chain([anna.number.address()]);
    for (index, jid) in asked.clone().enumerate() {
        app.send(&format!(
            "<iq type='get' id='{index}-pubkey' to='{jid}'><pubkey xmlns='{}'/></iq>",
            ns::KONTALK_PUBKEY
        ));
    }
    for (index, jid) in asked.enumerate() {
        let id = format!("{index}-pubkey");
        let answer = app.expect("an answer to each", |el| el.attribute("id") == Some(id.as_str()));
        assert_eq!(answer.attribute("from"), Some(jid.as_str()), "the app looks at from");
        let ring = answer.child("pubkey", ns::KONTALK_PUBKEY).map(|key| STANDARD.decode(key.text()).unwrap());
        let expected = [(anna.number.address(), &anna.ring), (bruno.number.address(), &bruno.ring)];
        let expected = expected.into_iter().find(|(address, _)| *address == jid).map(|(_, ring)| ring.clone());
        assert!(expected.is_none() || ring == expected, "{jid}");
    }
    blocklist(app);

    // A contact that was not matched: on item-not-found the app would unsubscribe.
    let last = app.ask("get", Some(&bruno.number.address()), "<query xmlns='jabber:iq:last'/>").unwrap();
    assert!(last.expect("seconds").attribute("seconds").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
}

/// A chat with receipts and chat states, an encrypted message with what the apps put beside it, and a group.
fn talk(app: &mut Client, anna: &Person, friend: &mut Client, bruno: &Person) {
    let (hers, his) = (anna.number.address(), bruno.number.address());
    app.send_raw("<active xmlns='urn:xmpp:csi:0'/>");
    app.send("<presence><status>hi</status></presence>");
    let words = body("(encrypted)");
    app.send(&format!(
        "<message type='chat' id='q7Xc2-11' to='{his}'><body>{words}</body>\
         <e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>wcBMA0AAAA==</e2e>\
         <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>\
         <x xmlns='jabber:x:oob'><url type='image/jpeg' length='48213' encrypted='true'>https://example.org/u/9f/a</url></x>\
         <data xmlns='urn:xmpp:bob' cid='sha1+0@bob.xmpp.org' type='image/png'>iVBORw0KGgo=</data></message>"
    ));
    let received = friend.expect_body(&words);
    for (name, namespace) in [
        ("e2e", "urn:ietf:params:xml:ns:xmpp-e2e"),
        ("active", "http://jabber.org/protocol/chatstates"),
        ("request", "urn:xmpp:receipts"),
        ("x", "jabber:x:oob"),
        ("data", "urn:xmpp:bob"),
    ] {
        assert!(received.child(name, namespace).is_some(), "{name} is passed on");
    }
    let from = received.attribute("from").expect("her full JID").to_owned();
    friend.send(&format!(
        "<message type='chat' to='{from}'><received xmlns='urn:xmpp:receipts' id='q7Xc2-11'/></message>"
    ));
    let receipt = app.expect("the receipt", |el| el.child("received", "urn:xmpp:receipts").is_some());
    assert_eq!(receipt.child("received", "urn:xmpp:receipts").and_then(|r| r.attribute("id")), Some("q7Xc2-11"));
    friend.send(&format!(
        "<message type='chat' to='{hers}'><composing xmlns='http://jabber.org/protocol/chatstates'/>\
         <recording xmlns='http://kontalk.org/extensions/message#chatstates'/></message>"
    ));
    app.expect("he records", |el| el.child("recording", "http://kontalk.org/extensions/message#chatstates").is_some());
    let words = body("group");
    app.send(&format!(
        "<message type='chat' id='g1' to='multicast@{DOMAIN}'><addresses xmlns='{}'><address type='to' jid='{his}'/>\
         <address type='cc' jid='{hers}'/><address type='to' jid='@@'/></addresses><body>{words}</body>\
         <group xmlns='http://kontalk.org/extensions/message#group' id='k3Jd8sQp' owner='{hers}' type='create'>\
         <subject>Hiking</subject><member jid='{his}'/></group></message>",
        ns::ADDRESS
    ));
    let group = friend.expect_body(&words);
    let element = group.child("group", "http://kontalk.org/extensions/message#group").expect("the group is passed on");
    assert_eq!(element.children().count(), 2);
    app.wait_acked();
}

/// Blocking, the server list with its doubled namespace, ping, and what the node does not know.
fn on_user_action(app: &mut Client, anna: &Person, bruno: &Person) {
    let item = format!("<item jid='{}'/>", bruno.number.address());
    app.ask("set", None, &format!("<block xmlns='{}'>{item}</block>", ns::BLOCKING)).unwrap();
    app.ask("set", None, &format!("<unblock xmlns='{}'>{item}</unblock>", ns::BLOCKING)).unwrap();
    let command = format!(
        "<command xmlns='{0}' xmlns='{0}' node='serverlist' action='execute'/>",
        "http://jabber.org/protocol/commands"
    );
    let list = app.ask("get", Some(&format!("network@{DOMAIN}")), &command).unwrap().expect("the list");
    assert!(list.child("serverlist", ns::KONTALK_SERVER_LIST).is_some());
    app.roundtrip();
    // Version of a contact's app is asked of the app; of the node it is answered by the node. Unknown things are refused at once.
    app.ask("get", Some(DOMAIN), "<query xmlns='jabber:iq:version'/>").unwrap();
    let unknown = app.ask("get", Some(DOMAIN), "<query xmlns='urn:example:unknown'/>").unwrap_err();
    assert!(format!("{unknown:?}").contains("service-unavailable"), "{unknown:?}");
    let own = pubkey(app, Some(&anna.number.address()));
    assert_eq!(own.as_ref(), Some(&anna.ring), "the app replaces its key by this one");
}

fn blocklist(app: &mut Client) {
    let list = app.ask("get", None, &format!("<blocklist xmlns='{}'/>", ns::BLOCKING)).unwrap();
    assert!(list.is_some_and(|list| list.is("blocklist", ns::BLOCKING)));
}

fn pubkey(app: &mut Client, to: Option<&str>) -> Option<Vec<u8>> {
    let answer = app.iq("get", to, &format!("<pubkey xmlns='{}'/>", ns::KONTALK_PUBKEY));
    assert_eq!(answer.attribute("from"), to);
    let key = answer.child("pubkey", ns::KONTALK_PUBKEY)?;
    Some(STANDARD.decode(key.text()).expect("base64 on one line"))
}
