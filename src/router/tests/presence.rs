//! Subscriptions, presence, blocking, and the end of an account.

use super::*;

#[test]
fn two_users_subscribe_to_each_other_and_see_each_other_come_and_go() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    play.says(romeo, ROMEO, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    assert!(play.take(romeo)[0].contains("<query xmlns='jabber:iq:roster' ver='0'/>"));
    play.says(romeo, ROMEO, "<presence to='juliet@a.example/any' type='subscribe'/>");
    assert!(play.take(romeo)[0].contains("ask='subscribe'"));
    // She comes later and finds the request.
    let juliet = play.bind(JULIET);
    play.says(juliet, JULIET, "<presence/>");
    let received = play.take(juliet);
    assert!(
        received.iter().any(|t| t.contains("type='subscribe'") && t.contains("from='romeo@a.example'")),
        "{received:?}"
    );
    play.says(juliet, JULIET, "<presence to='romeo@a.example' type='subscribed'/>");
    play.says(juliet, JULIET, "<presence to='romeo@a.example' type='subscribe'/>");
    let received = play.take(romeo);
    assert!(received.iter().any(|t| t.contains("subscription='to'")));
    assert!(received.iter().any(|t| t.contains("from='juliet@a.example/balcony'") && t.starts_with("<presence")));
    play.says(romeo, ROMEO, "<presence to='juliet@a.example' type='subscribed'/>");
    play.take(romeo);
    assert!(play.take(juliet).iter().any(|t| t.contains("from='romeo@a.example/orchard'")));
    play.tell(Event::Lost(juliet));
    assert!(
        play.take(romeo)
            .iter()
            .any(|t| t.contains("type='unavailable'") && t.contains("from='juliet@a.example/balcony'"))
    );
    // And back: initial presence shows each the other.
    let juliet = play.bind(JULIET);
    play.says(juliet, JULIET, "<presence><status>back</status></presence>");
    assert!(play.take(juliet).iter().any(|t| t.contains("from='romeo@a.example/orchard'")));
    assert!(play.take(romeo).iter().any(|t| t.contains("back")));
    // Removal unsubscribes both ways; the result waits for the disk.
    let remove = "<iq type='set' id='x'><query xmlns='jabber:iq:roster'><item jid='juliet@a.example' subscription='remove'/></query></iq>";
    play.says(romeo, ROMEO, remove);
    assert!(!play.take(romeo).iter().any(|t| t.contains("type='result'")));
    play.disk_done();
    assert!(play.take(romeo).iter().any(|t| t.contains("type='result'") && t.contains("id='x'")));
    assert!(play.take(juliet).iter().any(|t| t.contains("type='unavailable'")));
}

#[test]
fn blocked_users_are_met_with_silence_like_nobody() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    let juliet = play.online(JULIET);
    let block = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@a.example'/></block></iq>";
    play.says(juliet, JULIET, block);
    play.disk_done();
    assert!(play.take(juliet).iter().any(|t| t.contains("type='result'")));
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.says(romeo, ROMEO, &chat(JULIET, "two"));
    play.says(romeo, ROMEO, "<presence to='juliet@a.example' type='subscribe'/>");
    play.says(juliet, JULIET, &chat("romeo@a.example", "three"));
    assert!(play.take(juliet).is_empty());
    assert!(play.take(romeo).is_empty());
    assert_eq!(play.stored(), 0);
    let ping = format!("<iq to='{JULIET}' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    play.says(romeo, ROMEO, &ping);
    assert!(play.take(romeo)[0].contains("service-unavailable"));
}

#[test]
fn an_administrator_ends_one_session_or_all_and_their_messages_find_another_way() {
    let mut play = Play::new();
    let (juliet, phone) = (play.online(JULIET), play.online_sm("juliet@a.example/phone"));
    let romeo = play.online(ROMEO);
    assert_eq!(play.router.online().count(), 2);
    let error = StreamError::new(crate::stanza::StreamCondition::PolicyViolation);
    let end = |jid: &str| Event::EndSessions { jid: jid.parse().unwrap(), error: error.clone() };
    play.tell(end("juliet@a.example/nowhere"));
    play.take(juliet);
    play.take(phone);
    play.says(romeo, ROMEO, &chat("juliet@a.example/phone", "one"));
    play.tell(end("juliet@a.example/phone"));
    assert!(play.take(phone).contains(&"closed: policy-violation".to_owned()));
    // The phone had not acknowledged it.
    assert_eq!(play.bodies(juliet), ["one"]);
    assert_eq!(play.router.sessions_of(&"juliet@a.example".parse().unwrap()).len(), 1);
    play.tell(end("juliet@a.example"));
    assert_eq!(play.take(juliet), ["closed: policy-violation"]);
    assert_eq!(play.router.online().count(), 1);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "two"));
    assert_eq!(play.stored(), 1);
}

#[test]
fn a_removed_account_takes_its_sessions_and_subscriptions_along() {
    let mut play = Play::new();
    let juliet = play.online(JULIET);
    let romeo = play.online(ROMEO);
    let entry = Entry {
        item: Some(crate::roster::Item { subscription: crate::roster::Subscription::Both, ..Default::default() }),
        request: None,
    };
    let (r, j): (BareJid, BareJid) = ("romeo@a.example".parse().unwrap(), "juliet@a.example".parse().unwrap());
    play.router.storage.entries.insert((j.clone(), r.clone()), entry);
    play.tell(Event::AccountEnded {
        account: r.clone(),
        farewells: vec![(j.clone(), Removal { unsubscribe: true, unsubscribed: true })],
    });
    assert_eq!(play.take(romeo), ["closed: not-authorized"]);
    let told = play.take(juliet);
    let place = |what: &str| told.iter().position(|text| text.contains(what)).unwrap();
    assert!(place("type='unavailable'") < place("type='unsubscribed'"), "{told:?}");
    let left = play.router.storage.entry(&j, &r).unwrap();
    assert_eq!(left.subscription(), crate::roster::Subscription::None);
}
