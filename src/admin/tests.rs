use std::time::Duration;

use super::*;
use crate::stanza::Secret;
use crate::xml::parse_document;

fn console() -> Console {
    Console::new("a.example".parse().unwrap(), vec!["admin@a.example".parse().unwrap()])
}

fn admin() -> FullJid {
    "admin@a.example/desk".parse().unwrap()
}

fn command(node: &str, rest: &str) -> Element {
    let text = format!(
        "<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#{node}' {rest}"
    );
    parse_document(&text, ns::CLIENT, 10).unwrap()
}

fn filled(fields: &[(&str, &[&str])]) -> String {
    let mut form = String::from("sessionid='s1'><x xmlns='jabber:x:data' type='submit'>");
    for (var, values) in fields {
        let values: String = values.iter().map(|value| format!("<value>{value}</value>")).collect();
        form += &format!("<field var='{var}'>{values}</field>");
    }
    form + "</x></command>"
}

/// Begins a command and fills its form in.
fn run(node: &str, fields: &[(&str, &[&str])]) -> Result<Operation, StanzaError> {
    let (mut console, now) = (console(), Instant::now());
    let begun = console.step(now, &admin(), &command(node, "/>"), "s1").unwrap();
    match begun {
        Step::Perform(operation, _) => Ok(operation),
        Step::Answer(form) => {
            assert_eq!(form.attribute("status"), Some("executing"));
            match console.step(now, &admin(), &command(node, &filled(fields)), "s2")? {
                Step::Perform(operation, _) => Ok(operation),
                // Once more, with the reason.
                Step::Answer(again) => {
                    assert_eq!(again.attribute("status"), Some("executing"));
                    let note = again.child("note", ns::COMMANDS).unwrap();
                    assert_eq!(note.attribute("type"), Some("error"));
                    assert!(!again.to_text(ns::CLIENT).contains("s3cret"));
                    Err(StanzaError::new(StanzaCondition::NotAcceptable).text(note.text()))
                }
            }
        }
    }
}

#[test]
fn forms_become_operations() {
    let jid = |text: &str| -> BareJid { text.parse().unwrap() };
    let romeo: &[&str] = &["romeo@a.example"];
    let both: &[&str] = &["romeo@a.example", " juliet@a.example ", "", "romeo@a.example"];
    let secret = || Secret::new("s3cret".into());
    for (node, fields, expected) in [
        (
            "add-user",
            vec![("accountjid", romeo), ("password", &["s3cret"][..]), ("password-verify", &["s3cret"])],
            Operation::Add(jid("romeo@a.example"), secret()),
        ),
        // A resource says no more about whose account it is.
        ("disable-user", vec![("accountjids", &["romeo@a.example/x", "romeo@a.example"][..])], {
            Operation::Disable(vec![jid("romeo@a.example")])
        }),
        ("user-stats", vec![("accountjids", romeo)], Operation::Statistics(jid("romeo@a.example"))),
        ("delete-user", vec![("accountjids", both)], {
            Operation::Delete(vec![jid("romeo@a.example"), jid("juliet@a.example")])
        }),
        ("disable-user", vec![("accountjids", romeo)], Operation::Disable(vec![jid("romeo@a.example")])),
        ("reenable-user", vec![("accountjids", romeo)], Operation::Reenable(vec![jid("romeo@a.example")])),
        ("end-user-session", vec![("accountjids", &["romeo@a.example/x"][..])], {
            Operation::EndSessions(vec!["romeo@a.example/x".parse().unwrap()])
        }),
        (
            "change-user-password",
            vec![("accountjid", romeo), ("password", &["s3cret"])],
            Operation::ChangePassword(jid("romeo@a.example"), secret()),
        ),
        ("get-user-lastlogin", vec![("accountjids", romeo)], Operation::LastLogin(jid("romeo@a.example"))),
        ("user-stats", vec![("accountjid", romeo)], Operation::Statistics(jid("romeo@a.example"))),
        ("get-registered-users-num", vec![], Operation::Count(Audience::Registered)),
        ("get-disabled-users-num", vec![], Operation::Count(Audience::Disabled)),
        ("get-online-users-num", vec![], Operation::Count(Audience::Online)),
        ("get-registered-users-list", vec![("max_items", &["25"][..])], Operation::List(Audience::Registered, 25)),
        ("get-disabled-users-list", vec![], Operation::List(Audience::Disabled, limits::ADMIN_ADDRESSES_MAX)),
        ("get-online-users-list", vec![("max_items", &["none"][..])], {
            Operation::List(Audience::Online, limits::ADMIN_ADDRESSES_MAX)
        }),
        ("announce", vec![("announcement", &["Hello,", "all"][..])], {
            Operation::Announce(Audience::Online, "Hello,\nall".into())
        }),
        ("announce-all", vec![("announcement", &["Hello"][..])], {
            Operation::Announce(Audience::Registered, "Hello".into())
        }),
    ] {
        assert_eq!(run(node, &fields), Ok(expected), "{node}");
    }
}

#[test]
fn forms_that_will_not_do_are_refused_with_the_reason() {
    let long = "x".repeat(limits::ANNOUNCEMENT_BYTES_MAX + 1);
    let address = |fields| ("user-stats", fields);
    for ((node, fields), condition) in [
        (address(vec![]), StanzaCondition::NotAcceptable),
        (address(vec![("accountjid", &["@"][..])]), StanzaCondition::NotAcceptable),
        (address(vec![("accountjid", &["romeo@b.example"][..])]), StanzaCondition::NotAcceptable),
        (address(vec![("accountjid", &["a.example"][..])]), StanzaCondition::NotAcceptable),
        (address(vec![("accountjid", &["romeo@a.example", "juliet@a.example"][..])]), StanzaCondition::NotAcceptable),
        (
            ("delete-user", vec![("accountjids", &["romeo@a.example", "admin@a.example"][..])]),
            StanzaCondition::NotAllowed,
        ),
        (("disable-user", vec![("accountjids", &["admin@a.example"][..])]), StanzaCondition::NotAllowed),
        (("disable-user", vec![]), StanzaCondition::NotAcceptable),
        (
            (
                "add-user",
                vec![
                    ("accountjid", &["romeo@a.example"][..]),
                    ("password", &["s3cret"]),
                    ("password-verify", &["s3cret!"]),
                ],
            ),
            StanzaCondition::NotAcceptable,
        ),
        (("change-user-password", vec![("accountjid", &["romeo@a.example"][..])]), StanzaCondition::NotAcceptable),
        (("get-online-users-list", vec![("max_items", &["many"][..])]), StanzaCondition::NotAcceptable),
        (("announce", vec![("announcement", &[" "][..])]), StanzaCondition::NotAcceptable),
        (("announce", vec![("announcement", &[long.as_str()][..])]), StanzaCondition::NotAcceptable),
    ] {
        assert_eq!(run(node, &fields).map_err(|error| error.condition()), Err(condition), "{node} {fields:?}");
    }
}

#[test]
fn a_command_goes_its_way_and_no_other() {
    let now = Instant::now();
    let mut console = console();
    let refused = |outcome: Result<Step, StanzaError>| {
        let error = outcome.unwrap_err().to_element();
        let detail = error.children().find(|child| child.namespace() == ns::COMMANDS).map(|c| c.name().to_owned());
        detail.unwrap_or_else(|| error.first_child().unwrap().name().to_owned())
    };
    let by = admin();
    assert_eq!(refused(console.step(now, &by, &command("get-user-password", "/>"), "s1")), "feature-not-implemented");
    let nobodys = parse_document("<command xmlns='http://jabber.org/protocol/commands' node='x'/>", ns::CLIENT, 10);
    assert_eq!(refused(console.step(now, &by, &nobodys.unwrap(), "s1")), "item-not-found");
    assert_eq!(refused(console.step(now, &by, &command("announce", "action='next'/>"), "s1")), "bad-action");
    assert_eq!(refused(console.step(now, &by, &command("announce", "action='dance'/>"), "s1")), "malformed-action");
    assert_eq!(refused(console.step(now, &by, &command("announce", &filled(&[])), "s1")), "bad-sessionid");
    console.step(now, &by, &command("announce", "action='execute'/>"), "s1").unwrap();
    let form = filled(&[("announcement", &["Hello"])]);
    // Neither another session of his nor another command gets hold of it.
    let elsewhere = "admin@a.example/phone".parse().unwrap();
    assert_eq!(refused(console.step(now, &elsewhere, &command("announce", &form), "s2")), "bad-sessionid");
    assert_eq!(refused(console.step(now, &by, &command("announce-all", &form), "s2")), "bad-sessionid");
    assert_eq!(refused(console.step(now, &by, &command("announce", "sessionid='s1'/>"), "s2")), "bad-payload");
    assert_eq!(
        refused(console.step(now, &by, &command("announce", "sessionid='s1' action='prev'/>"), "s2")),
        "bad-action"
    );
    // A form that will not do can be sent again, and still holds what was filled in.
    let mistyped = filled(&[("max_items", &["many"])]);
    console.step(now, &by, &command("get-online-users-list", "/>"), "s3").unwrap();
    let list = command("get-online-users-list", &mistyped.replace("s1", "s3"));
    let Ok(Step::Answer(again)) = console.step(now, &by, &list, "s2") else { panic!() };
    assert!(again.to_text(ns::CLIENT).contains("<value>many</value>"));
    let Ok(Step::Answer(again)) = console.step(now, &by, &command("announce", &filled(&[])), "s2") else { panic!() };
    assert_eq!(again.attribute("sessionid"), Some("s1"));
    let Ok(Step::Perform(_, pending)) = console.step(now, &by, &command("announce", &form), "s2") else { panic!() };
    let done = pending.done(&Outcome::Done("Sent.".into()));
    assert_eq!(done.attribute("status"), Some("completed"));
    assert_eq!(done.attribute("sessionid"), Some("s1"));
    // Once.
    assert_eq!(refused(console.step(now, &by, &command("announce", &form), "s2")), "bad-sessionid");

    console.step(now, &by, &command("announce", "/>"), "s1").unwrap();
    let Ok(Step::Answer(answer)) =
        console.step(now, &by, &command("announce", "sessionid='s1' action='cancel'/>"), "s2")
    else {
        panic!()
    };
    assert_eq!(answer.attribute("status"), Some("canceled"));

    console.step(now, &by, &command("announce", "/>"), "s1").unwrap();
    let later = now + limits::ADMIN_COMMAND_TTL + Duration::from_secs(1);
    assert_eq!(refused(console.step(later, &by, &command("announce", &form), "s2")), "session-expired");
    assert_eq!(refused(console.step(later, &by, &command("announce", &form), "s2")), "bad-sessionid");
}

#[test]
fn open_commands_are_bounded() {
    let (mut console, now) = (console(), Instant::now());
    for number in 0..limits::ADMIN_COMMANDS_MAX * 2 {
        console.step(now, &admin(), &command("announce", "/>"), &number.to_string()).unwrap();
    }
    assert_eq!(console.open.len(), limits::ADMIN_COMMANDS_MAX);
}

#[test]
fn every_command_has_a_node_of_its_own_and_passwords_do_not_print() {
    for command in Command::ALL {
        assert_eq!(Command::of(&command.node()), Some(command));
    }
    let operation = Operation::Add("romeo@a.example".parse().unwrap(), Secret::new("s3cret".into()));
    assert!(!format!("{operation:?}").contains("s3cret"));
}
