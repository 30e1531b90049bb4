//! Which stanza goes where, and what is kept.

use super::*;

#[test]
fn messages_follow_the_tables_of_rfc_6121_section_8_5() {
    // (to, type, juliet's priority or none, what she gets, what romeo gets, stored)
    let error = "service-unavailable";
    for (to, kind, priority, delivered, answer, stored) in [
        ("juliet@a.example", "chat", Some(0), true, "", 0),
        ("juliet@a.example", "normal", Some(0), true, "", 0),
        ("juliet@a.example", "headline", Some(0), true, "", 0),
        ("juliet@a.example", "groupchat", Some(0), false, error, 0),
        ("juliet@a.example", "error", Some(0), false, "", 0),
        ("juliet@a.example", "chat", Some(-1), false, "", 1),
        ("juliet@a.example", "headline", Some(-1), false, "", 0),
        (JULIET, "chat", Some(-1), true, "", 0),
        (JULIET, "groupchat", Some(0), true, "", 0),
        (JULIET, "error", Some(0), true, "", 0),
        (JULIET, "chat", None, false, "", 1),
        (JULIET, "normal", None, false, error, 0),
        (JULIET, "groupchat", None, false, error, 0),
        (JULIET, "headline", None, false, error, 0),
        (JULIET, "error", None, false, "", 0),
        (JULIET_PHONE, "chat", Some(0), true, "", 0),
        ("juliet@a.example", "chat", None, false, "", 1),
        ("juliet@a.example", "groupchat", None, false, error, 0),
        ("juliet@a.example", "headline", None, false, "", 0),
        ("nobody@a.example", "chat", None, false, "", 0),
        ("nobody@a.example/x", "normal", None, false, error, 0),
        ("a.example", "chat", None, false, error, 0),
    ] {
        let mut play = Play::new();
        let romeo = play.online(ROMEO);
        let juliet = priority.map(|priority| {
            let juliet = play.bind(JULIET);
            play.says(juliet, JULIET, &format!("<presence><priority>{priority}</priority></presence>"));
            play.take(juliet);
            juliet
        });
        play.says(romeo, ROMEO, &format!("<message to='{to}' type='{kind}'><body>x</body></message>"));
        let case = format!("{kind} to {to} at {priority:?}");
        assert_eq!(juliet.is_some_and(|j| !play.bodies(j).is_empty()), delivered, "{case}");
        let answers = play.take(romeo);
        assert_eq!(answers.is_empty(), answer.is_empty(), "{case}: {answers:?}");
        assert!(answers.iter().all(|a| a.contains(answer)), "{case}");
        assert_eq!(play.stored(), stored, "{case}");
    }
}

#[test]
fn what_is_worth_keeping_is_kept() {
    for (content, kept) in [
        ("<body>x</body>", true),
        ("<request xmlns='urn:xmpp:receipts'/>", true),
        ("<received xmlns='urn:xmpp:receipts' id='1'/>", true),
        ("<x xmlns='jabber:x:signed'>s</x>", true),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", false),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>", false),
        ("<body>x</body><no-store xmlns='urn:xmpp:hints'/>", false),
        ("", false),
    ] {
        let mut play = Play::new();
        let romeo = play.online(ROMEO);
        play.says(romeo, ROMEO, &format!("<message to='juliet@a.example' type='chat'>{content}</message>"));
        assert_eq!(play.stored(), usize::from(kept), "{content}");
    }
}

#[test]
fn a_full_store_is_told_to_the_sender() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    play.router.storage.full = true;
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    assert!(play.take(romeo)[0].contains("resource-constraint"));
}

#[test]
fn iq_is_delivered_served_or_refused() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    let juliet = play.online(JULIET);
    let ping = |to: &str| format!("<iq to='{to}' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    play.says(romeo, ROMEO, &ping(JULIET));
    assert!(play.take(juliet)[0].contains("from='romeo@a.example/orchard'"));
    for to in ["a.example", "juliet@a.example", "nobody@a.example"] {
        play.says(romeo, ROMEO, &ping(to));
        assert_eq!(play.served.pop().unwrap().to().unwrap().to_string(), to);
    }
    for to in [JULIET_PHONE, "nobody@a.example/x"] {
        play.says(romeo, ROMEO, &ping(to));
        assert!(play.take(romeo)[0].contains("service-unavailable"), "{to}");
    }
    play.says(romeo, ROMEO, &ping("b.example"));
    assert_eq!(play.remote.len(), 1);
    // A result that nobody waits for is nobody's.
    play.says(romeo, ROMEO, "<iq to='nobody@a.example/x' type='result' id='p'/>");
    assert!(play.take(romeo).is_empty());
}

#[test]
fn more_stored_messages_than_a_session_may_hold_come_in_batches_and_nothing_overtakes_them() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let many = limits::UNACKED_STANZAS_MAX + 500;
    for n in 0..many {
        play.says(romeo, ROMEO, &chat("juliet@a.example", &n.to_string()));
    }
    let juliet = play.bind(JULIET);
    let resumption = Some(Resumption { token: JULIET.into(), patience: Duration::from_secs(60) });
    play.tell(Event::EnableStreamManagement { connection: juliet, resumption });
    play.says(juliet, JULIET, "<presence/>");
    let mut received = play.bodies(juliet);
    assert_eq!(received.len(), limits::OFFLINE_BATCH_MAX);
    play.says(romeo, ROMEO, &chat(JULIET, "late"));
    play.says(romeo, ROMEO, &chat("juliet@a.example", "later"));
    while received.len() < many + 2 {
        // Her own presence was the first stanza.
        play.tell(Event::Ack { connection: juliet, h: received.len() as u32 + 1 });
        let more = play.bodies(juliet);
        assert!(!more.is_empty(), "after {}", received.len());
        received.extend(more);
    }
    let expected: Vec<String> = (0..many).map(|n| n.to_string()).chain(["late".into(), "later".into()]).collect();
    assert_eq!(received, expected);
    play.tell(Event::Ack { connection: juliet, h: many as u32 + 3 });
    assert_eq!(play.stored(), 0);
    play.says(romeo, ROMEO, &chat(JULIET, "direct"));
    assert_eq!(play.bodies(juliet), ["direct"]);
    assert_eq!(play.stored(), 0);
}
