//! Sessions over a restart of the node, and what a kill leaves of them.

use super::*;

fn juliet() -> BareJid {
    "juliet@a.example".parse().unwrap()
}

impl Play {
    fn resume(&mut self, jid: &str, h: u32) -> (ConnectionId, Vec<String>) {
        let connection = self.connect();
        let account = jid.parse::<FullJid>().unwrap().bare().clone();
        self.tell(Event::Resume { connection, account, token: jid.into(), h });
        let texts = self.take(connection);
        (connection, texts)
    }
}

#[test]
fn a_session_goes_on_after_a_restart_with_all_that_was_under_way() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let connection = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.says(romeo, ROMEO, &chat(JULIET, "two"));
    play.take(connection);
    play.restart(Duration::from_secs(30));
    assert_eq!(play.stored(), 2, "safe in any case");
    assert_eq!(play.router.sessions(), 2);
    // She had her own presence and the first of them.
    let (again, texts) = play.resume(JULIET, 2);
    assert_eq!(texts[0], "resumed");
    assert!(texts[1].contains("h='1'"), "{texts:?}");
    assert!(texts[2].contains("<body>two</body>") && texts.len() == 4, "{texts:?}");
    assert_eq!(play.stored(), 1);
    play.tell(Event::Ack { connection: again, h: 3 });
    assert_eq!(play.stored(), 0);
    // It is the session that it was: present, and reached by its address.
    let (romeo, texts) = play.resume(ROMEO, 1);
    assert!(texts[1].contains("h='3'"), "all that he said was received: {texts:?}");
    play.says(romeo, ROMEO, &chat("juliet@a.example", "three"));
    assert_eq!(play.bodies(again), ["three"]);
    play.tell(Event::Lost(again));
    let (again, texts) = play.resume(JULIET, 3);
    assert!(texts[0] == "resumed" && texts[2].contains("three"), "and it can be resumed again");
    play.tell(Event::Ack { connection: again, h: 4 });
}

#[test]
fn what_nobody_comes_back_for_goes_the_way_of_offline_messages() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.restart(Duration::from_secs(30));
    // Another device: the first may still come back for it.
    let phone = play.online(JULIET_PHONE);
    assert_eq!(play.bodies(phone).len(), 0);
    play.pass(Duration::from_secs(31));
    assert_eq!(play.bodies(phone), ["one"]);
    assert_eq!(play.stored(), 0);
    let (_, texts) = play.resume(JULIET, 0);
    assert_eq!(texts, ["not resumed"]);
}

#[test]
fn only_its_name_resumes_a_kept_session_and_only_in_time() {
    for (pause, token, account, resumed) in [
        (59, JULIET, "juliet@a.example", true),
        (60, JULIET, "juliet@a.example", false),
        (1, JULIET_PHONE, "juliet@a.example", false),
        (1, JULIET, "romeo@a.example", false),
    ] {
        let mut play = Play::new();
        play.online_sm(JULIET);
        play.restart(Duration::from_secs(pause));
        let connection = play.connect();
        play.tell(Event::Resume { connection, account: account.parse().unwrap(), token: token.into(), h: 1 });
        let texts = play.take(connection);
        assert_eq!(texts[0] == "resumed", resumed, "{pause} {token} {account}");
    }
    // Of the name only a hash is written down.
    let mut play = Play::new();
    play.online_sm(JULIET);
    play.tell(Event::Shutdown);
    let state = postcard::to_stdvec(&play.router.storage.kept[0].state).unwrap();
    assert!(!state.windows(5).any(|bytes| bytes == b"phone" || bytes == b"token"));
    let written = String::from_utf8_lossy(&state).matches(JULIET).count();
    assert_eq!(written, 1, "in its presence alone");
}

#[test]
fn a_kill_leaves_no_session_and_loses_nothing_acknowledged() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let connection = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.tell(Event::AckRequest(romeo));
    play.pass(limits::ACK_PATIENCE);
    play.disk_done();
    assert_eq!(play.take(romeo), [ack(2)]);
    play.take(connection);
    play.crash();
    let (_, texts) = play.resume(JULIET, 1);
    assert_eq!(texts, ["not resumed"]);
    let again = play.bind(JULIET);
    play.says(again, JULIET, "<presence/>");
    assert_eq!(play.bodies(again), ["one"]);
    // What was kept for one restart is not there at the next: it was taken out.
    play.restart(Duration::ZERO);
    play.crash();
    assert_eq!(play.router.sessions(), 0);
}

#[test]
fn acknowledgements_that_come_while_the_node_stops_count() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let connection = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.tell(Event::Shutdown);
    assert_eq!(play.stored(), 1);
    play.tell(Event::Ack { connection, h: 2 });
    assert_eq!(play.stored(), 0);
    // What is said now was said to nobody.
    play.says(romeo, ROMEO, &chat("juliet@a.example", "too late"));
    play.tell(Event::Closed(romeo));
    play.start_again(Duration::ZERO);
    let (_, texts) = play.resume(ROMEO, 1);
    assert!(texts[1].contains("h='2'"), "{texts:?}");
    let (connection, texts) = play.resume(JULIET, 2);
    assert_eq!(texts.len(), 2, "{texts:?}");
    play.says(connection, JULIET, "<presence/>");
    assert!(play.bodies(connection).is_empty());
}

#[test]
fn a_message_that_several_devices_held_is_one_message_after_the_restart() {
    let start = SessionStart { carbons: true, ..SessionStart::default() };
    let sm = |jid: &str| Some(Some(Resumption { token: jid.into(), patience: Duration::from_secs(60) }));
    for (first, second) in [(JULIET, JULIET_PHONE), (JULIET_PHONE, JULIET)] {
        let mut play = Play::new();
        let romeo = play.online_sm(ROMEO);
        for jid in [first, second] {
            let connection = play.connect();
            let start = SessionStart { management: sm(jid), ..start.clone() };
            play.tell(Event::Bind { connection, jid: jid.parse().unwrap(), start });
        }
        // To one of them, so that the other has a copy.
        play.says(romeo, ROMEO, &chat(JULIET, "one"));
        play.restart(Duration::from_secs(1));
        let (phone, texts) = play.resume(JULIET_PHONE, 0);
        assert!(texts.iter().any(|t| t.contains("<received xmlns='urn:xmpp:carbons:2'>")), "{texts:?}");
        assert_eq!(play.stored(), 1);
        // Neither takes it: whoever comes gets the message itself.
        play.tell(Event::Closed(phone));
        play.pass(Duration::from_secs(61));
        let desk = play.bind("juliet@a.example/desk");
        play.says(desk, "juliet@a.example/desk", "<presence/>");
        assert_eq!(play.bodies(desk), ["one"]);
        assert_eq!(play.stored(), 0);
    }
}

#[test]
fn a_long_absence_is_caught_up_with_over_a_restart() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let many = limits::OFFLINE_BATCH_MAX + 50;
    for n in 0..many {
        play.says(romeo, ROMEO, &chat("juliet@a.example", &n.to_string()));
    }
    let connection = play.bind(JULIET);
    let resumption = Some(Resumption { token: JULIET.into(), patience: Duration::from_secs(60) });
    play.tell(Event::EnableStreamManagement { connection, resumption });
    play.says(connection, JULIET, "<presence/>");
    let mut received = play.bodies(connection);
    play.says(romeo, ROMEO, &chat(JULIET, "late"));
    play.restart(Duration::from_secs(1));
    let (mut connection, texts) = play.resume(JULIET, 1 + 10);
    let body = |text: &String| Some(text.split_once("<body>")?.1.split_once('<')?.0.to_owned());
    received.truncate(10);
    received.extend(texts.iter().filter_map(body));
    while received.len() < many + 1 {
        play.tell(Event::Ack { connection, h: received.len() as u32 + 1 });
        let more = play.bodies(connection);
        assert!(!more.is_empty(), "after {}", received.len());
        received.extend(more);
        if received.len() < many {
            play.restart(Duration::ZERO);
            connection = play.resume(JULIET, received.len() as u32 + 1).0;
        }
    }
    let expected: Vec<String> = (0..many).map(|n| n.to_string()).chain(["late".into()]).collect();
    assert_eq!(received, expected);
    play.tell(Event::Ack { connection, h: received.len() as u32 + 1 });
    assert_eq!(play.stored(), 0);
    let account = juliet();
    assert!(play.router.accounts[&account].in_flight.is_empty());
}

#[test]
fn a_client_that_is_left_in_peace_is_told_at_its_resumption_what_was_held() {
    let mut play = Play::new();
    let connection = play.online_sm(JULIET);
    let phone = play.online(JULIET_PHONE);
    play.take(connection);
    play.tell(Event::ClientState { connection, active: false });
    play.says(phone, JULIET_PHONE, "<presence><status>held</status></presence>");
    assert!(play.take(connection).is_empty());
    play.restart(Duration::from_secs(1));
    let (_, texts) = play.resume(JULIET, 2);
    let held = texts.join("");
    assert!(held.contains("<status>held</status>") && held.contains("stamp='2023-11-14T22:13:20.000Z'"), "{texts:?}");
}
