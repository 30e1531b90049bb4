//! Promise one: what is acknowledged, when, and what becomes of sessions whose connection is lost.

use super::*;

#[test]
fn an_online_chat_is_acknowledged_when_its_receiver_has_it_and_writes_nothing() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let juliet = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.tell(Event::AckRequest(romeo));
    assert!(play.take(romeo).is_empty(), "nothing may be promised yet");
    let received = play.take(juliet);
    assert!(received[0].contains("<body>one</body>"));
    assert_eq!(received[1], "<r xmlns='urn:xmpp:sm:3'/>");
    // Her presence was the first stanza she received.
    play.tell(Event::Ack { connection: juliet, h: 2 });
    assert_eq!(play.take(romeo), [ack(2)]);
    assert_eq!(play.router.storage.tickets, 0);
}

#[test]
fn without_stream_management_written_to_the_socket_counts() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let juliet = play.online(JULIET);
    play.sockets_drain = false;
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.tell(Event::AckRequest(romeo));
    assert!(play.take(romeo).is_empty());
    play.tell(Event::Written { connection: juliet, up_to: u64::MAX });
    assert_eq!(play.take(romeo), [ack(2)]);
}

#[test]
fn an_offline_message_is_acknowledged_when_durable_and_delivered_once_with_its_stamp() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.says(romeo, ROMEO, &chat(JULIET, "two"));
    play.tell(Event::AckRequest(romeo));
    assert!(play.take(romeo).is_empty());
    play.disk_done();
    assert_eq!(play.take(romeo), [ack(3)]);
    let juliet = play.bind(JULIET);
    play.says(juliet, JULIET, "<presence/>");
    let received = play.take(juliet);
    assert_eq!(received.len(), 3);
    assert!(received[1].contains("stamp='2023-11-14T22:13:20.000Z'"), "{received:?}");
    assert_eq!(play.stored(), 0);
}

#[test]
fn a_silent_receiver_delays_the_sender_only_until_the_store_has_the_message() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let juliet = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.tell(Event::AckRequest(romeo));
    play.pass(crate::limits::ACK_PATIENCE);
    assert_eq!(play.stored(), 1);
    assert!(play.take(romeo).is_empty());
    play.disk_done();
    assert_eq!(play.take(romeo), [ack(2)]);
    // She acknowledges at last: the copy goes.
    play.tell(Event::Ack { connection: juliet, h: 2 });
    assert_eq!(play.stored(), 0);
}

#[test]
fn a_lost_connection_is_resumed_without_loss_or_repetition() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let juliet = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.says(romeo, ROMEO, &chat("juliet@a.example", "two"));
    play.take(juliet);
    play.tell(Event::Lost(juliet));
    assert_eq!(play.stored(), 2, "what may be lost with us is stored at once");
    play.says(romeo, ROMEO, &chat(JULIET, "three"));
    assert_eq!(play.stored(), 3);
    let again = play.connect();
    // She had received the first.
    let account: BareJid = "juliet@a.example".parse().unwrap();
    play.tell(Event::Resume { connection: again, account: account.clone(), token: JULIET.into(), h: 2 });
    let received = play.take(again);
    assert_eq!(received[0], "resumed");
    assert!(received[1].starts_with("<resumed xmlns='urn:xmpp:sm:3' h='1'"), "{received:?}");
    assert!(received[2].contains("two") && received[3].contains("three") && received.len() == 5, "{received:?}");
    play.tell(Event::Ack { connection: again, h: 4 });
    assert_eq!(play.stored(), 0);
    let other = play.connect();
    play.tell(Event::Resume { connection: other, account, token: "guess".into(), h: 0 });
    assert_eq!(play.take(other), ["not resumed"]);
}

#[test]
fn resuming_tells_h_only_when_all_that_was_received_is_safe() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let _juliet = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.tell(Event::Lost(romeo));
    let again = play.connect();
    let account: BareJid = "romeo@a.example".parse().unwrap();
    play.tell(Event::Resume { connection: again, account, token: ROMEO.into(), h: 1 });
    assert!(play.take(again).is_empty());
    assert_eq!(play.stored(), 1);
    play.disk_done();
    assert!(play.take(again)[1].contains("h='2'"));
}

#[test]
fn when_waiting_for_resumption_ends_messages_go_to_the_other_session_or_stay_stored() {
    for other_online in [false, true] {
        let mut play = Play::new();
        let romeo = play.online_sm(ROMEO);
        let juliet = play.online_sm(JULIET);
        play.says(romeo, ROMEO, &chat(JULIET, "one"));
        play.tell(Event::Lost(juliet));
        let phone = other_online.then(|| play.online(JULIET_PHONE));
        if let Some(phone) = phone {
            assert_eq!(play.bodies(phone).len(), 0, "another session may still acknowledge it");
        }
        play.pass(Duration::from_secs(61));
        assert_eq!(play.router.sessions(), 1 + usize::from(other_online));
        match phone {
            Some(phone) => {
                assert_eq!(play.bodies(phone), ["one"]);
                assert_eq!(play.stored(), 0);
            }
            None => {
                let juliet = play.bind(JULIET);
                play.says(juliet, JULIET, "<presence/>");
                assert_eq!(play.bodies(juliet), ["one"]);
            }
        }
    }
}

#[test]
fn one_session_that_took_a_message_is_enough_when_another_dies() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let juliet = play.online_sm(JULIET);
    let phone = play.online_sm(JULIET_PHONE);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.tell(Event::AckRequest(romeo));
    assert_eq!(play.bodies(juliet), ["one"]);
    // The phone's arrival reached the other session as one more stanza.
    play.tell(Event::Ack { connection: juliet, h: 3 });
    assert!(play.take(romeo).is_empty(), "every receiving session must have it");
    play.tell(Event::Closed(phone));
    assert_eq!(play.take(romeo), [ack(2)]);
    assert_eq!(play.stored(), 0);
}

#[test]
fn the_newest_stream_of_a_resource_wins_and_gets_what_the_old_one_left() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let old = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.take(old);
    let new = play.bind(JULIET);
    assert_eq!(play.take(old), ["closed: conflict"]);
    play.says(new, JULIET, "<presence/>");
    assert_eq!(play.bodies(new), ["one"]);
}

#[test]
fn a_client_that_asks_after_each_stanza_of_a_flood_is_not_kept_waiting_to_the_end() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let juliet = play.online_sm(JULIET);
    for n in 0..4 {
        play.says(romeo, ROMEO, &chat("juliet@a.example", &n.to_string()));
        play.tell(Event::AckRequest(romeo));
    }
    play.tell(Event::Ack { connection: juliet, h: 3 });
    assert_eq!(play.take(romeo), [ack(2)]);
    play.tell(Event::Ack { connection: juliet, h: 5 });
    assert_eq!(play.take(romeo), [ack(5)]);
}

#[test]
fn a_session_that_acknowledges_nothing_is_given_up_and_its_messages_are_stored() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    let juliet = play.online_sm(JULIET);
    for n in 0..=limits::UNACKED_STANZAS_MAX {
        play.says(romeo, ROMEO, &chat("juliet@a.example", &n.to_string()));
    }
    assert!(play.take(juliet).contains(&"closed: resource-constraint".to_owned()));
    assert_eq!(play.stored(), limits::UNACKED_STANZAS_MAX + 1);
}

#[test]
fn shutdown_stores_what_is_under_way() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    let juliet = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.take(juliet);
    play.tell(Event::Shutdown);
    assert_eq!(play.take(juliet), ["closed: system-shutdown"]);
    assert_eq!(play.stored(), 1);
}

#[test]
fn a_session_that_begins_with_stream_management_counts_from_its_first_stanza() {
    let mut play = Play::new();
    let connection = play.connect();
    let resumption = Some(Resumption { token: "t1".into(), patience: Duration::from_secs(60) });
    let start = SessionStart { management: Some(resumption), ..SessionStart::default() };
    let mut actions = Vec::new();
    let jid: FullJid = JULIET.parse().unwrap();
    play.router.handle(play.now, Event::Bind { connection, jid: jid.clone(), start }, &mut actions);
    let [Action::Bound { outcome: Ok(bound), .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(bound.jid, jid);
    let told: Vec<String> = bound.inline.iter().map(|answer| answer.to_text(ns::CLIENT)).collect();
    assert_eq!(told, ["<enabled xmlns='urn:xmpp:sm:3' id='t1' resume='true' max='60'/>"]);
    let romeo = play.online_sm(ROMEO);
    play.says(romeo, ROMEO, &chat(JULIET, "one"));
    let inbox = play.take(connection);
    assert!(inbox.len() == 2 && inbox[0].contains("one") && inbox[1].starts_with("<r "), "{inbox:?}");
    play.tell(Event::Ack { connection, h: 1 });
    play.tell(Event::EnableStreamManagement { connection, resumption: None });
    assert!(play.take(connection).concat().contains("unexpected-request"));
}
