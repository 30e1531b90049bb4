//! Administration in chat on a real node: accounts that are shut, removed, given passwords; announcements. What administrators and
//! users of commands see line by line is in `tests/transcripts/`; here is what goes over restarts and other ways in.
//! XEP-0050, XEP-0133, XEP-0077.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use kontalk_node::stanza::Timestamp;
use kontalk_node::xml::{Element, ns};
use person::Person;
use support::client::{Client, Connect, Lost};
use support::login::Binding;
use support::node::{DOMAIN, Node, NodeOptions, password_of};
use support::sasl2::{BIND, FAST, PHONE, Token, request_token, token_in};
use support::scram::Hash;
use support::stanzas::{Refused, refusal};
use support::{body, secret};

const ROMEO: &str = "romeo@kontalk.test";
const JULIET: &str = "juliet@kontalk.test";
const TOKEN: &str = "HT-SHA-256-NONE";

/// A node with one administrator and two others.
fn verona() -> Node {
    let mut options = NodeOptions::default();
    options.add_config("admins = [\"admin@kontalk.test\"]");
    let node = Node::start(options);
    for user in ["admin", "romeo", "juliet", "nurse"] {
        node.add_account(user);
    }
    node
}

fn command(client: &mut Client, name: &str, rest: &str) -> Result<Element, Refused> {
    let node = format!("http://jabber.org/protocol/admin#{name}");
    let payload = format!("<command xmlns='{}' node='{node}' {rest}</command>", ns::COMMANDS);
    Ok(client.ask("set", Some(DOMAIN), &payload)?.expect("an answer has a payload"))
}

/// Goes through a command to its end.
fn run(client: &mut Client, name: &str, fields: &[(&str, &str)]) -> Result<Element, Refused> {
    let begun = command(client, name, ">")?;
    if begun.attribute("status") == Some("completed") {
        return Ok(begun);
    }
    let session = begun.attribute("sessionid").unwrap();
    let fields: String =
        fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
    let form = format!("sessionid='{session}'><x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    command(client, name, &form)
}

/// The sentence that a command ends with; it must have been done.
fn done(client: &mut Client, name: &str, fields: &[(&str, &str)]) -> String {
    let answer = run(client, name, fields).unwrap();
    assert_eq!(answer.attribute("status"), Some("completed"), "{answer:?}");
    let note = answer.child("note", ns::COMMANDS).unwrap();
    assert_eq!(note.attribute("type"), Some("info"), "{answer:?}");
    note.text()
}

/// The values of a field of what a command found.
fn values(answer: &Element, var: &str) -> Vec<String> {
    let mut fields = answer.child("x", ns::DATA_FORMS).unwrap().children();
    let field = fields.find(|field| field.attribute("var") == Some(var)).unwrap();
    field.children().map(Element::text).collect()
}

fn register(client: &mut Client, content: &str) -> Result<Option<Element>, Refused> {
    client.ask("set", None, &format!("<query xmlns='{}'>{content}</query>", ns::REGISTER))
}

fn set_password(client: &mut Client, user: &str, password: &str) -> Result<Option<Element>, Refused> {
    register(client, &format!("<username>{user}</username><password>{password}</password>"))
}

fn login(node: &Node, user: &str, password: &str) -> Result<(), String> {
    Client::connect(&Connect::to(node)).scram(user, password, Hash::Sha256, Binding::None)
}

fn token_of(node: &Node, user: &str) -> Token {
    let (client, success) = Client::signed_on(node, user, &format!("{PHONE}{}", request_token(TOKEN)));
    client.close();
    token_in(&success, TOKEN).expect("the node gives a token")
}

fn token_login(node: &Node, user: &str, token: &Token) -> Result<(), String> {
    Client::connect(&Connect::to(node)).sign_on_token(user, token, &format!("{PHONE}{FAST}{BIND}")).map(drop)
}

#[test]
fn a_disabled_account_lets_nobody_in_by_any_way_until_it_is_opened_again() {
    let mut node = verona();
    let mut anna = Person::new(0, "+15555215554", Connect::to(&node));
    anna.register(&mut node, false);
    let token = token_of(&node, "romeo");
    let mut app = anna.online();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut waiting = Client::online(&node, "romeo", "phone");
    waiting.roundtrip();
    let session = waiting.cut().unwrap();
    let mut admin = Client::online(&node, "admin", "desk");
    for account in [ROMEO, &anna.number.address()] {
        assert_eq!(done(&mut admin, "disable-user", &[("accountjids", account)]), format!("Disabled: {account}."));
    }
    assert_eq!(app.expect_end(), Lost::StreamError("not-authorized".into()));
    assert_eq!(romeo.expect_end(), Lost::StreamError("not-authorized".into()));
    // What comes for him waits.
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.say(ROMEO, &body("patience"));
    juliet.wait_acked();

    // A power cut opens nothing.
    drop(admin);
    node.kill9();
    node.start_again();
    anna.how = Connect::to(&node);
    let disabled = || Err("account-disabled".to_owned());
    let password = password_of("romeo");
    assert_eq!(login(&node, "romeo", &password), disabled());
    assert_eq!(Client::connect(&Connect::to(&node)).plain("romeo", &password), disabled());
    let mut client = Client::connect(&Connect::to(&node));
    assert_eq!(client.sign_on_scram("romeo", &password, Hash::Sha256, Binding::None, BIND).map(drop), disabled());
    assert_eq!(Client::connect(&Connect::to(&node)).sign_on_plain("romeo", &password, BIND).map(drop), disabled());
    assert_eq!(token_login(&node, "romeo", &token), disabled());
    assert_eq!(anna.with_certificate().external(""), disabled());
    assert_eq!(anna.with_certificate().sign_on_external(BIND).map(drop), disabled());
    // Who does not know the password does not learn it either.
    let wrong = secret("no-such-word");
    assert_eq!(login(&node, "romeo", &wrong), Err("not-authorized".into()));
    assert_eq!(Client::connect(&Connect::to(&node)).plain("romeo", &wrong), Err("not-authorized".into()));
    // A new key does not open what an administrator shut.
    let refused = anna.stranger().request_code(&anna.number, true).map(drop);
    assert_eq!(refused.map_err(|refused| refused.condition), Err("forbidden".into()));

    let mut admin = Client::online(&node, "admin", "desk");
    let found = run(&mut admin, "get-disabled-users-list", &[]).unwrap();
    assert_eq!(values(&found, "disableduserjids").len(), 2);
    for account in [ROMEO, &anna.number.address()] {
        done(&mut admin, "reenable-user", &[("accountjids", account)]);
    }
    assert_eq!(token_login(&node, "romeo", &token), Ok(()));
    let mut romeo = Client::authenticated(&node, "romeo");
    assert_eq!(romeo.resume(&session), Err("item-not-found".into()), "the session was ended");
    romeo.bind(Some("orchard"));
    romeo.send("<presence/>");
    romeo.expect_body(&body("patience"));
    anna.online();
}

#[test]
fn a_user_removes_the_account_and_nothing_of_it_is_left() {
    let mut node = verona();
    let token = token_of(&node, "romeo");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.befriend(&mut juliet);
    let mut nurse = Client::online(&node, "nurse", "kitchen");
    romeo.befriend(&mut nurse);
    nurse.close();
    juliet.say(ROMEO, &body("wherefore"));
    romeo.expect_body(&body("wherefore"));
    juliet.close();
    romeo.ask("set", None, "<query xmlns='jabber:iq:private'><a xmlns='urn:a'/></query>").unwrap();
    romeo.ask("set", None, "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@kontalk.test'/></block>").unwrap();
    let publish = "<publish node='urn:b'><item id='1'><b xmlns='urn:b'/></item></publish>";
    romeo.ask("set", None, &format!("<pubsub xmlns='{}'>{publish}</pubsub>", ns::PUBSUB)).unwrap();
    let answer = romeo.iq("set", None, &format!("<query xmlns='{}'><remove/></query>", ns::REGISTER));
    assert_eq!(answer.attribute("type"), Some("result"));
    assert_eq!(romeo.expect_end(), Lost::StreamError("not-authorized".into()));

    // Who was not there learns of it when she comes.
    Client::online(&node, "nurse", "kitchen").expect_presence(Some("unsubscribed"), ROMEO);

    // What was answered is true after a power cut as well.
    node.kill9();
    node.start_again();
    assert_eq!(login(&node, "romeo", &password_of("romeo")), Err("not-authorized".into()));
    assert_eq!(token_login(&node, "romeo", &token), Err("not-authorized".into()));
    let mut juliet = Client::bound(&node, "juliet", "balcony");
    let (_, items) = juliet.roster();
    assert_eq!(items[0].attribute("subscription"), Some("none"));
    juliet.send("<presence/>");
    juliet.say(ROMEO, &body("to nobody"));
    juliet.roundtrip();

    // The next one of this name begins anew.
    node.add_account("romeo");
    let mut romeo = Client::bound(&node, "romeo", "orchard");
    assert!(romeo.roster().1.is_empty());
    romeo.send("<presence/>");
    romeo.roundtrip();
    romeo.take_own_presence();
    romeo.nothing_waits();
    let fin = romeo.ask("set", None, &format!("<query xmlns='{}'/>", ns::MAM)).unwrap().unwrap();
    assert_eq!(fin.attribute("complete"), Some("true"));
    assert!(romeo.take_inbox().is_empty(), "the archive is empty");
    let nodes = romeo.ask("get", None, &format!("<query xmlns='{}'/>", ns::DISCO_ITEMS)).unwrap().unwrap();
    assert_eq!(nodes.children().count(), 0);
    let blocked = romeo.ask("get", None, "<blocklist xmlns='urn:xmpp:blocking'/>").unwrap().unwrap();
    assert_eq!(blocked.children().count(), 0);
    assert_eq!(token_login(&node, "romeo", &token), Err("not-authorized".into()));
}

#[test]
fn the_owner_of_a_key_gets_a_password_and_can_end_the_account() {
    let mut node = verona();
    let mut anna = Person::new(0, "+15555215554", Connect::to(&node));
    anna.register(&mut node, false);
    let mut app = anna.online();
    let name = anna.number.address().split('@').next().unwrap().to_owned();
    let facts = app.ask("get", Some(DOMAIN), &format!("<query xmlns='{}'/>", ns::REGISTER)).unwrap().unwrap();
    assert!(facts.child("registered", ns::REGISTER).is_some());
    assert_eq!(facts.child("username", ns::REGISTER).unwrap().text(), name);
    let password = secret("any-other-name");
    set_password(&mut app, &name, &password).unwrap();
    assert_eq!(login(&node, &name, &password), Ok(()));
    // The key is as good as before.
    app.close();
    let mut app = anna.online();
    register(&mut app, "<remove/>").unwrap();
    assert_eq!(app.expect_end(), Lost::StreamError("not-authorized".into()));
    assert_eq!(login(&node, &name, &password), Err("not-authorized".into()));
    assert_eq!(anna.with_certificate().external(""), Err("not-authorized".into()));
    // Proving the number again makes a new account.
    anna.register(&mut node, false);
    anna.online();
    assert_eq!(login(&node, &name, &password), Err("not-authorized".into()));
}

#[test]
fn a_changed_password_outlives_a_power_cut_and_ends_the_tokens_of_the_old_one() {
    let mut node = verona();
    let token = token_of(&node, "romeo");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let new = secret("rose-by-itself");
    set_password(&mut romeo, "romeo", &new).unwrap();
    node.kill9();
    node.start_again();
    assert_eq!(login(&node, "romeo", &password_of("romeo")), Err("not-authorized".into()));
    assert_eq!(login(&node, "romeo", &new), Ok(()));
    assert_eq!(token_login(&node, "romeo", &token), Err("not-authorized".into()));
    // An administrator gives another one.
    let mut admin = Client::online(&node, "admin", "desk");
    let other = secret("smelling-sweet");
    done(&mut admin, "change-user-password", &[("accountjid", ROMEO), ("password", &other)]);
    assert_eq!(login(&node, "romeo", &new), Err("not-authorized".into()));
    assert_eq!(login(&node, "romeo", &other), Ok(()));
    // What is mistyped is in no log, nor sent back.
    let (one, two) = (secret("first-of-both"), secret("second-of-both"));
    let again = run(
        &mut admin,
        "add-user",
        &[("accountjid", "tybalt@kontalk.test"), ("password", &one), ("password-verify", &two)],
    );
    let again = again.unwrap();
    assert_eq!(again.attribute("status"), Some("executing"));
    let text = again.to_text(ns::CLIENT);
    assert!(text.contains("tybalt@kontalk.test") && !text.contains(&one) && !text.contains(&two), "{text}");
}

#[test]
fn a_user_who_changes_the_password_all_the_time_is_told_to_wait_and_every_request_is_answered() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let password = secret("over-and-over");
    let many = 12;
    for number in 0..many {
        romeo.send(&format!(
            "<iq type='set' id='p{number}'><query xmlns='{}'><username>romeo</username><password>{password}</password></query></iq>",
            ns::REGISTER
        ));
    }
    let mut outcomes = Vec::new();
    for _ in 0..many {
        let answer = romeo.expect("an answer", |el| {
            el.is("iq", ns::CLIENT) && el.attribute("id").is_some_and(|id| id.starts_with('p'))
        });
        outcomes.push(support::stanzas::refused(&answer));
    }
    assert!(outcomes.contains(&None), "{outcomes:?}");
    assert!(outcomes.contains(&Some(refusal("resource-constraint", "wait"))), "{outcomes:?}");
    assert_eq!(login(&node, "romeo", &password), Ok(()));
}

#[test]
fn an_announcement_to_all_waits_for_those_who_are_away_through_a_power_cut() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut admin = Client::online(&node, "admin", "desk");
    let words = body("the node moves on Sunday");
    assert_eq!(done(&mut admin, "announce-all", &[("announcement", &words)]), "Sent to 4 accounts.");
    let heard = romeo.expect_body(&words);
    assert_eq!(heard.attribute("from"), Some(DOMAIN));
    node.kill9();
    node.start_again();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let heard = juliet.expect_body(&words);
    assert_eq!(heard.attribute("from"), Some(DOMAIN));
    assert!(heard.child("delay", ns::DELAY).is_some());
}

#[test]
fn what_is_told_of_users_outlives_an_orderly_restart() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.befriend(&mut Client::online(&node, "juliet", "balcony"));
    let last = |client: &mut Client, who: &str| {
        let found = run(client, "get-user-lastlogin", &[("accountjids", who)]).unwrap();
        values(&found, "lastlogin")
    };
    let mut admin = Client::online(&node, "admin", "desk");
    let before = last(&mut admin, ROMEO);
    assert!(Timestamp::parse(&before[0]).is_some(), "{before:?}");
    done(
        &mut admin,
        "add-user",
        &[
            ("accountjid", "tybalt@kontalk.test"),
            ("password", &secret("prince-of-cats")),
            ("password-verify", &secret("prince-of-cats")),
        ],
    );
    assert!(last(&mut admin, "tybalt@kontalk.test").is_empty(), "he never came");
    drop((admin, romeo));
    node.sigterm();
    node.start_again();
    let mut admin = Client::online(&node, "admin", "desk");
    assert_eq!(last(&mut admin, ROMEO), before);
    let stats = run(&mut admin, "user-stats", &[("accountjid", JULIET)]).unwrap();
    assert_eq!(values(&stats, "rostersize"), ["1"]);
}

#[test]
fn each_command_is_for_administrators_alone() {
    let node = verona();
    let mut admin = Client::online(&node, "admin", "desk");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let list = format!("<query xmlns='{}' node='{}'/>", ns::DISCO_ITEMS, ns::COMMANDS);
    let commands = admin.ask("get", Some(DOMAIN), &list).unwrap().unwrap();
    assert!(commands.children().count() >= 16);
    for item in commands.children() {
        let (_, name) = item.attribute("node").unwrap().split_once('#').unwrap();
        assert_eq!(run(&mut romeo, name, &[]), Err(refusal("forbidden", "auth")), "{name}");
        assert!(command(&mut admin, name, ">").is_ok(), "{name}");
    }
    // Nor can he go on with what an administrator has begun.
    let begun = command(&mut admin, "delete-user", ">").unwrap();
    let session = begun.attribute("sessionid").unwrap();
    let form = format!("sessionid='{session}'><x xmlns='jabber:x:data' type='submit'/>");
    assert_eq!(command(&mut romeo, "delete-user", &form), Err(refusal("forbidden", "auth")));
    // An administrator's address says what it is, to him alone.
    let info = format!("<query xmlns='{}'/>", ns::DISCO_INFO);
    for (client, own) in [(&mut admin, true), (&mut romeo, false)] {
        let found = client.ask("get", None, &info).unwrap().unwrap();
        assert_eq!(found.children().any(|feature| feature.attribute("var") == Some(ns::COMMANDS)), own);
    }
}
