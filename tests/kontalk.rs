//! What Kontalk's apps ask their server after login, against a real node: who is registered, which servers there are, whose key is
//! whose, who was seen when, and messages to groups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::ClientKey;
use kontalk_node::pgp::UserRing;
use kontalk_node::xml::{Element, ns};
use person::Person;
use support::body;
use support::client::{Client, Connect};
use support::node::{DOMAIN, Node, NodeOptions};
use support::registration::field;
use support::stanzas::body_of;

fn pair(node: &mut Node) -> (Person, Person) {
    let mut anna = Person::new(0, "+15555215554", Connect::to(node));
    let mut bruno = Person::new(1, "+393351234567", Connect::to(node));
    anna.register(node, false);
    bruno.register(node, false);
    (anna, bruno)
}

fn node() -> Node {
    Node::start(NodeOptions::default())
}

fn ask(client: &mut Client, to: Option<&str>, payload: &str) -> Result<Element, String> {
    match client.ask("get", to, payload) {
        Ok(payload) => Ok(payload.expect("the answer has a payload")),
        Err(refused) => Err(format!("{refused:?}")),
    }
}

#[test]
fn the_address_book_is_matched_at_probe() {
    let mut node = node();
    let (anna, bruno) = pair(&mut node);
    let mut app = anna.online();
    let unknown = "069e175e2bdfaf2779e43bb10dee192f77a47cc9";
    let items: String = [bruno.number.address(), format!("{unknown}@{DOMAIN}"), "x@elsewhere.example".to_owned()]
        .map(|jid| format!("<item jid='{jid}'/>"))
        .concat();
    let query = format!("<query xmlns='{}'>{items}</query>", ns::KONTALK_ROSTER);
    // The second time as very old clients ask, without an address.
    for to in [Some(format!("probe@{DOMAIN}")), None] {
        let found = ask(&mut app, to.as_deref(), &query).unwrap();
        let jids: Vec<&str> = found.children().filter_map(|item| item.attribute("jid")).collect();
        assert_eq!(jids, [bruno.number.address()]);
    }
    // Whom he blocks does not find him.
    let mut other = bruno.online();
    let block = format!("<block xmlns='{}'><item jid='{}'/></block>", ns::BLOCKING, anna.number.address());
    other.ask("set", None, &block).unwrap();
    assert_eq!(ask(&mut app, Some(&format!("probe@{DOMAIN}")), &query).unwrap().children().count(), 0);
}

#[test]
fn the_server_list_is_told_even_to_a_request_with_two_xmlns() {
    let mut node = node();
    let (anna, _) = pair(&mut node);
    let mut app = anna.online();
    let command = "<command xmlns='http://jabber.org/protocol/commands' xmlns='http://jabber.org/protocol/commands' \
                   node='serverlist' action='execute'/>";
    let done = ask(&mut app, Some(&format!("network@{DOMAIN}")), command).unwrap();
    assert_eq!(done.attribute("status"), Some("completed"));
    let item = done.child("serverlist", ns::KONTALK_SERVER_LIST).and_then(Element::first_child).expect("one server");
    assert_eq!(item.attribute("node"), Some(DOMAIN));
    let fingerprint = String::from_utf8(node.cli(&["key", "fingerprint"]).stdout).unwrap();
    assert_eq!(item.attribute("fingerprint"), Some(fingerprint.trim()));
}

#[test]
fn public_keys_are_those_that_were_certified_and_come_from_who_was_asked() {
    let mut node = node();
    let (anna, bruno) = pair(&mut node);
    let mut app = anna.online();
    let pubkey = format!("<pubkey xmlns='{}'/>", ns::KONTALK_PUBKEY);
    let ring = |answer: Element| STANDARD.decode(answer.text()).expect("base64 on one line");
    let server = node.cli(&["key", "export"]).stdout;
    for (to, expected) in [
        (None, &server),
        (Some(DOMAIN.to_owned()), &server),
        (Some(anna.number.address()), &anna.ring),
        (Some(bruno.number.address()), &bruno.ring),
    ] {
        let answer = ask(&mut app, to.as_deref(), &pubkey).unwrap();
        assert_eq!(&ring(answer), expected, "{to:?}");
    }
    let unknown = format!("069e175e2bdfaf2779e43bb10dee192f77a47cc9@{DOMAIN}");
    assert!(ask(&mut app, Some(&unknown), &pubkey).unwrap_err().contains("item-not-found"));
    // A sync asks for all contacts at once, and waits for every answer.
    for number in 0..300 {
        let to = if number % 2 == 0 { bruno.number.address() } else { unknown.clone() };
        app.send(&format!("<iq type='get' id='burst-{number}' to='{to}'>{pubkey}</iq>"));
    }
    for number in 0..300 {
        let id = format!("burst-{number}");
        let answer = app.expect("an answer", |el| el.attribute("id") == Some(id.as_str()));
        assert_eq!(answer.attribute("type"), Some(if number % 2 == 0 { "result" } else { "error" }));
        assert!(answer.attribute("from").is_some());
    }
}

#[test]
fn a_request_brings_the_key_presence_its_fingerprint_and_contacts_are_never_lost() {
    let mut node = node();
    let (anna, bruno) = pair(&mut node);
    let (mut anna_app, mut bruno_app) = (anna.online(), bruno.online());
    let last = format!("<query xmlns='{}'/>", ns::LAST);
    assert!(ask(&mut anna_app, Some(&bruno.number.address()), &last).unwrap_err().contains("item-not-found"));

    anna_app.send(&format!("<presence to='{}' type='subscribe'/>", bruno.number.address()));
    let request = bruno_app.expect("the request", |el| el.attribute("type") == Some("subscribe"));
    let enclosed = request.child("pubkey", ns::KONTALK_PUBKEY).expect("her key");
    let key = enclosed.child("key", ns::KONTALK_PUBKEY).map(Element::text).unwrap();
    assert_eq!(STANDARD.decode(key).unwrap(), anna.ring);
    bruno_app.send(&format!("<presence to='{}' type='subscribed'/>", anna.number.address()));
    bruno_app.send(&format!("<presence to='{}' type='subscribe'/>", anna.number.address()));
    let address = bruno.number.address();
    let seen = anna_app.expect("his presence", |el| {
        el.name() == "presence"
            && el.attribute("type").is_none()
            && el.attribute("from").is_some_and(|f| f.starts_with(&address))
    });
    let print = seen.child("pubkey", ns::KONTALK_PUBKEY).and_then(|p| p.child("print", ns::KONTALK_PUBKEY));
    assert_eq!(print.map(Element::text), Some(bruno.key.fingerprint_hex()));
    anna_app.send(&format!("<presence to='{}' type='subscribed'/>", bruno.number.address()));
    anna_app.roundtrip();

    let seconds = |answer: Element| answer.attribute("seconds").and_then(|s| s.parse::<u64>().ok()).expect("a number");
    assert_eq!(seconds(ask(&mut anna_app, Some(&address), &last).unwrap()), 0);
    assert!(seconds(ask(&mut anna_app, Some(DOMAIN), &last).unwrap()) < 600);
    bruno_app.close();
    // A living contact is found, online or not: the app would unsubscribe from one that is not.
    assert!(seconds(ask(&mut anna_app, Some(&address), &last).unwrap()) < 600);
}

#[test]
fn groups_are_served_at_multicast_and_at_the_domain() {
    let mut node = node();
    let (anna, bruno) = pair(&mut node);
    let (mut anna_app, mut bruno_app) = (anna.online(), bruno.online());
    for (index, place) in [format!("multicast@{DOMAIN}"), DOMAIN.to_owned()].iter().enumerate() {
        let words = body(format!("group {index}"));
        anna_app.send(&format!(
            "<message to='{place}' type='chat' id='g{index}'><addresses xmlns='{}'><address type='to' jid='{}'/></addresses>\
             <body>{words}</body></message>",
            ns::ADDRESS,
            bruno.number.address()
        ));
        let received = bruno_app.expect_body(&words);
        assert!(received.child("addresses", ns::ADDRESS).is_none());
        assert_eq!(received.attribute("id"), Some(format!("g{index}").as_str()));
    }
    let items = ask(&mut anna_app, Some(DOMAIN), &format!("<query xmlns='{}'/>", ns::DISCO_ITEMS)).unwrap();
    for item in items.children() {
        let jid = item.attribute("jid").expect("items need a JID");
        assert!(ask(&mut anna_app, Some(jid), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).is_ok(), "{jid}");
    }
    assert_eq!(items.children().count(), 3);
}

fn form(fields: &[(&str, &str)]) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    format!("<query xmlns='{}'><x xmlns='{}' type='submit'>{fields}</x></query>", ns::REGISTER, ns::DATA_FORMS)
}

#[test]
fn a_new_key_takes_the_place_of_a_revoked_one_and_everything_else_stays() {
    let mut node = node();
    let (mut anna, bruno) = pair(&mut node);
    let mut app = anna.online();
    let item = format!("<query xmlns='{}'><item jid='{}'/></query>", ns::ROSTER, bruno.number.address());
    app.ask("set", None, &item).unwrap();

    let created = SystemTime::now() - Duration::from_secs(60);
    let new = ClientKey::numbered(2, &format!("Anna <{}>", anna.number.address()), created);
    let (new_ring, revoked) = (STANDARD.encode(new.public_ring()), STANDARD.encode(anna.key.revoked_ring(created)));
    let foreign = STANDARD.encode(bruno.key.revoked_ring(created));
    let unrevoked = STANDARD.encode(anna.key.public_ring());
    for (public, revocation, condition) in [
        (&new_ring, &foreign, "forbidden"),
        (&new_ring, &unrevoked, "forbidden"),
        (&STANDARD.encode(bruno.key.public_ring()), &revoked, "bad-request"),
    ] {
        let refused = app.ask("set", Some(DOMAIN), &form(&[("publickey", public), ("revoked", revocation)]));
        assert!(format!("{:?}", refused.unwrap_err()).contains(condition));
    }
    let request = form(&[("publickey", &new_ring), ("revoked", &revoked)]);
    let answer = app.ask("set", Some(DOMAIN), &request).unwrap().expect("the certified key");
    assert_eq!(field(&answer, "FORM_TYPE").as_deref(), Some(ns::KONTALK_REGISTER_CODE));
    let certified = STANDARD.decode(field(&answer, "publickey").unwrap()).unwrap();
    // The answer can be had again, should it have been lost.
    let again = app.ask("set", Some(DOMAIN), &request).unwrap().expect("the same");
    assert_eq!(again, answer);
    app.close();

    let refused = anna.with_certificate().external("").unwrap_err();
    assert!(matches!(refused.as_str(), "not-authorized" | "invalid-authzid"), "{refused}");
    (anna.key, anna.ring) = (new, certified);
    let mut app = anna.online();
    assert_eq!(app.roster().1.len(), 1, "the roster is kept");
}

#[test]
fn a_private_key_moves_to_another_device_once() {
    let mut node = node();
    let (anna, _) = pair(&mut node);
    let mut app = anna.online();
    // The client's passphrase protects it; to the node it is just text.
    let parked = app.ask("set", Some(DOMAIN), &form(&[("privatekey", "c2VjcmV0IHJpbmc=")])).unwrap().expect("a token");
    let token = field(&parked, "token").expect("a token");
    assert_eq!(token.len(), 40);
    let fetch = |token: &str| {
        let account = "http://kontalk.org/protocol/register#account";
        format!(
            "<query xmlns='{}'><account xmlns='{account}'><privatekey><token>{token}</token></privatekey></account></query>",
            ns::REGISTER
        )
    };
    let wrong = anna.stranger().ask("get", Some(DOMAIN), &fetch("0123456789")).unwrap_err();
    assert!(format!("{wrong:?}").contains("not-authorized"));
    let given = anna.stranger().ask("get", Some(DOMAIN), &fetch(&token)).unwrap().expect("both keys");
    let keys = given.first_child().and_then(Element::first_child).expect("keys");
    let text = |name: &str| keys.children().find(|child| child.name() == name).map(Element::text);
    assert_eq!(text("private").as_deref(), Some("c2VjcmV0IHJpbmc="));
    assert_eq!(STANDARD.decode(text("public").unwrap()).unwrap(), anna.ring);
    assert!(anna.stranger().ask("get", Some(DOMAIN), &fetch(&token)).is_err(), "only once");
}

#[test]
fn a_revocation_that_its_owner_publishes_locks_the_key_out_for_good() {
    let mut node = node();
    let (anna, bruno) = pair(&mut node);
    let (mut app, mut friend) = (anna.online(), bruno.online());
    let publish = |ring: &[u8]| format!("<pubkey xmlns='{}'>{}</pubkey>", ns::KONTALK_PUBKEY, STANDARD.encode(ring));
    let own = anna.number.address();
    for (to, ring) in [
        (own.as_str(), bruno.key.public_ring()),
        (own.as_str(), Vec::new()),
        (own.as_str(), b"no ring".to_vec()),
        (DOMAIN, anna.key.public_ring()),
        (&bruno.number.address(), bruno.key.public_ring()),
    ] {
        let refused = app.ask("set", Some(to), &publish(&ring)).unwrap_err();
        assert!(format!("{refused:?}").contains("bad-request"), "{refused:?}");
    }
    // What adds nothing changes nothing.
    assert_eq!(app.ask("set", Some(&own), &publish(&anna.key.public_ring())).unwrap(), None);
    let pubkey = format!("<pubkey xmlns='{}'/>", ns::KONTALK_PUBKEY);
    let ring = |answer: Element| STANDARD.decode(answer.text()).unwrap();
    assert_eq!(ring(ask(&mut friend, Some(&own), &pubkey).unwrap()), anna.ring);

    let revoked = anna.key.revoked_ring(SystemTime::now() - Duration::from_secs(60));
    assert_eq!(app.ask("set", Some(&own), &publish(&revoked)).unwrap(), None);
    app.expect_end();
    let refused = anna.with_certificate().external("").unwrap_err();
    assert!(matches!(refused.as_str(), "not-authorized" | "invalid-authzid"), "{refused}");
    // Contacts who ask see it.
    let told = UserRing::parse(&ring(ask(&mut friend, Some(&own), &pubkey).unwrap())).unwrap();
    assert!(told.is_revoked());
}

#[test]
fn who_does_not_want_to_be_found_is_found_only_by_those_he_knows() {
    let mut node = node();
    let (anna, bruno) = pair(&mut node);
    let mut carla = Person::new(3, "+5491112345678", Connect::to(&node));
    carla.register(&mut node, false);
    let (mut anna_app, mut bruno_app, mut carla_app) = (anna.online(), bruno.online(), carla.online());
    anna_app.befriend(&mut bruno_app);
    let command = |rest: &str| {
        format!("<command xmlns='{}' node='urn:kontalk:discover:0#discoverable'{rest}</command>", ns::COMMANDS)
    };
    let set = |value: &str| {
        command(&format!(
            " action='complete'><x xmlns='{}' type='submit'><field var='discoverable'><value>{value}</value></field></x>",
            ns::DATA_FORMS
        ))
    };
    let own = anna.number.address();
    let list = format!("<query xmlns='{}' node='{}'/>", ns::DISCO_ITEMS, ns::COMMANDS);
    let listed = anna_app.ask("get", Some(&own), &list).unwrap().expect("the commands");
    assert_eq!(listed.children().count(), 1, "{listed:?}");
    let form = anna_app.ask("set", Some(&own), &command(">")).unwrap().expect("a form");
    assert_eq!(field(&form, "discoverable").as_deref(), Some("1"));
    let found = |app: &mut Client| {
        let query = format!("<query xmlns='{}'><item jid='{own}'/></query>", ns::KONTALK_ROSTER);
        let key = format!("<pubkey xmlns='{}'/>", ns::KONTALK_PUBKEY);
        let matched = ask(app, Some(&format!("probe@{DOMAIN}")), &query).unwrap().children().count() == 1;
        assert_eq!(matched, ask(app, Some(&own), &key).is_ok());
        matched
    };
    assert!(found(&mut bruno_app) && found(&mut carla_app));
    let done = anna_app.ask("set", Some(&own), &set("0")).unwrap().expect("a note");
    assert_eq!(done.attribute("status"), Some("completed"));
    assert!(found(&mut bruno_app) && !found(&mut carla_app));
    anna_app.ask("set", Some(&own), &set("1")).unwrap();
    assert!(found(&mut carla_app));
    // Nobody decides for others.
    assert!(carla_app.ask("set", Some(&own), &set("0")).is_err());
}

#[test]
fn an_announcement_is_signed_for_those_who_have_a_key() {
    let mut options = NodeOptions::default();
    options.add_config("admins = [\"admin@kontalk.test\"]");
    let mut node = Node::start(options);
    for user in ["admin", "romeo"] {
        node.add_account(user);
    }
    let (anna, _) = pair(&mut node);
    let (mut app, mut romeo) = (anna.online(), Client::online(&node, "romeo", "balcony"));
    let mut admin = Client::online(&node, "admin", "desk");
    let words = body("the node is away on Sunday");
    let command = |rest: String| {
        format!("<command xmlns='{}' node='http://jabber.org/protocol/admin#announce'{rest}</command>", ns::COMMANDS)
    };
    let begun = admin.ask("set", Some(DOMAIN), &command(">".to_owned())).unwrap().expect("a form");
    let session = begun.attribute("sessionid").unwrap();
    let form = format!(
        " sessionid='{session}'><x xmlns='{}' type='submit'><field var='announcement'><value>{words}</value></field></x>",
        ns::DATA_FORMS
    );
    admin.ask("set", Some(DOMAIN), &command(form)).unwrap();
    romeo.expect_body(&words);
    let told = app.expect("a signed word", |el| el.child("x", ns::SIGNED).is_some());
    assert_eq!((told.attribute("from"), body_of(&told)), (Some(DOMAIN), None));
    let message = STANDARD.decode(told.child("x", ns::SIGNED).unwrap().text()).unwrap();
    assert!(message.windows(words.len()).any(|part| part == words.as_bytes()), "the text is inside");
    assert!(!app.drain().iter().any(|el| body_of(el).is_some()), "and only there");
}
