//! People of other domains: what leaves for them, what comes from them, and what waits until it has left.

use super::*;
use crate::roster::{Item, Subscription};

const ROSALINE: &str = "rosaline@b.example/window";

impl Play {
    /// A stanza arrives from another domain.
    fn arrives(&mut self, from: &str, text: &str) {
        let mut stanza = Stanza::new(parse_document(text, ns::CLIENT, 20).unwrap()).unwrap();
        stanza.set_from(Some(from.parse().unwrap()));
        self.tell(Event::FromRemote(stanza));
    }

    /// What has left for other domains, as text.
    fn left(&mut self) -> Vec<String> {
        self.remote.drain(..).map(|stanza| stanza.to_text()).collect()
    }

    fn knows(&mut self, account: &str, contact: &str, subscription: Subscription, ask: bool) {
        let item = Item { subscription, ask, ..Item::default() };
        let key = (account.parse().unwrap(), contact.parse().unwrap());
        self.router.storage.entries.insert(key, Entry { item: Some(item), request: None });
    }

    fn knowledge(&self, account: &str, contact: &str) -> Entry {
        self.router.storage.entry(&account.parse().unwrap(), &contact.parse().unwrap()).unwrap()
    }
}

#[test]
fn presence_is_subscribed_to_across_domains_in_both_directions() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    // RFC 6121 §3.1.2: from the bare JID to the bare JID.
    play.says(romeo, ROMEO, "<presence to='rosaline@b.example/any' type='subscribe' id='s'/>");
    assert_eq!(play.left(), ["<presence to='rosaline@b.example' type='subscribe' id='s' from='romeo@a.example'/>"]);
    assert!(play.knowledge("romeo@a.example", "rosaline@b.example").pending_out());
    // §3.1.6: the answer, then her presence.
    play.arrives("rosaline@b.example", "<presence to='romeo@a.example' type='subscribed'/>");
    play.arrives(ROSALINE, "<presence to='romeo@a.example'><show>chat</show></presence>");
    let received = play.take(romeo);
    assert!(received.iter().any(|t| t.contains("type='subscribed'")), "{received:?}");
    assert!(received.iter().any(|t| t.contains("<show>chat</show>")), "{received:?}");
    assert_eq!(play.knowledge("romeo@a.example", "rosaline@b.example").subscription(), Subscription::To);

    // §3.1.3: her request is shown; approved, she sees each of his resources.
    play.arrives("rosaline@b.example", "<presence to='romeo@a.example' type='subscribe' id='r'/>");
    assert!(play.take(romeo)[0].contains("type='subscribe'"));
    play.says(romeo, ROMEO, "<presence to='rosaline@b.example' type='subscribed'/>");
    let left = play.left();
    assert_eq!(left[0], "<presence to='rosaline@b.example' type='subscribed' from='romeo@a.example'/>");
    assert!(left[1].contains("from='romeo@a.example/orchard'") && left[1].contains("to='rosaline@b.example'"));
    assert_eq!(left.len(), 2);
    // From now on she hears of changes, and of the end.
    play.says(romeo, ROMEO, "<presence><show>away</show></presence>");
    assert!(play.left()[0].contains("<show>away</show>"));
    play.tell(Event::Closed(romeo));
    let left = play.left();
    assert!(left.len() == 1 && left[0].contains("type='unavailable'"), "{left:?}");
    // §3.2, §3.3: both end.
    let romeo = play.online(ROMEO);
    play.left();
    play.arrives("rosaline@b.example", "<presence to='romeo@a.example' type='unsubscribe'/>");
    let left = play.left();
    assert!(left.len() == 1 && left[0].contains("type='unavailable'"), "{left:?}");
    play.arrives("rosaline@b.example", "<presence to='romeo@a.example' type='unsubscribed'/>");
    assert_eq!(play.knowledge("romeo@a.example", "rosaline@b.example").subscription(), Subscription::None);
    play.says(romeo, ROMEO, "<presence><show>xa</show></presence>");
    assert!(play.left().is_empty());
}

#[test]
fn who_comes_probes_contacts_of_other_domains_and_asks_again_what_was_not_answered() {
    let mut play = Play::new();
    play.knows("romeo@a.example", "rosaline@b.example", Subscription::Both, false);
    play.knows("romeo@a.example", "mercutio@c.example", Subscription::None, true);
    play.knows("romeo@a.example", "paris@c.example", Subscription::From, false);
    play.online(ROMEO);
    let left = play.left();
    // RFC 6121 §4.2.2 and §4.3.1, §3.1.2.
    for expected in [
        "<presence from='romeo@a.example/orchard' to='rosaline@b.example'/>",
        "<presence from='romeo@a.example/orchard' to='paris@c.example'/>",
        "<presence type='probe' from='romeo@a.example' to='rosaline@b.example'/>",
        "<presence type='subscribe' id='subscribe-again' from='romeo@a.example' to='mercutio@c.example'/>",
    ] {
        assert!(left.iter().any(|t| t == expected), "{expected} is not among {left:#?}");
    }
    assert_eq!(left.len(), 4, "{left:#?}");
    // A second resource probes for itself, but asks nobody again.
    play.online("romeo@a.example/phone");
    assert!(!play.left().iter().any(|t| t.contains("type='subscribe'")));
}

#[test]
fn probes_are_answered_as_the_viewer_may_see() {
    let probe = "<presence to='romeo@a.example' type='probe'/>";
    for (subscription, online, blocked, answers) in [
        (Subscription::Both, true, false, vec!["from='romeo@a.example/orchard' to='rosaline@b.example/window'"]),
        (Subscription::From, false, false, vec!["type='unavailable' from='romeo@a.example'"]),
        (Subscription::To, true, false, vec!["type='unsubscribed' from='romeo@a.example'"]),
        (Subscription::None, false, false, vec!["type='unsubscribed' from='romeo@a.example'"]),
        (Subscription::Both, true, true, vec![]),
    ] {
        let mut play = Play::new();
        play.knows("romeo@a.example", "rosaline@b.example", subscription, false);
        if blocked {
            let list = BlockList { blocked: ["b.example".parse().unwrap()].into() };
            play.router.storage.blocked.insert("romeo@a.example".parse().unwrap(), list);
        }
        if online {
            play.online(ROMEO);
            play.left();
        }
        play.arrives(ROSALINE, probe);
        let left = play.left();
        assert_eq!(left.len(), answers.len(), "{subscription:?} {online} {blocked}: {left:?}");
        for (text, answer) in left.iter().zip(answers) {
            assert!(text.contains(answer), "{subscription:?} {online} {blocked}: {text}");
            // Who is not there is told to be gone since he went, not since now; nothing else has a date.
            let dated =
                text.contains("<delay xmlns='urn:xmpp:delay' from='a.example' stamp='2020-09-13T12:26:40.000Z'/>");
            assert_eq!(dated, answer.contains("unavailable"), "{text}");
        }
    }
    // Nobody looks like somebody who does not share his presence.
    let mut play = Play::new();
    play.arrives(ROSALINE, "<presence to='nobody@a.example' type='probe'/>");
    assert!(play.left()[0].contains("type='unsubscribed' from='nobody@a.example'"));
}

#[test]
fn messages_from_other_domains_follow_the_same_tables() {
    // (to, type, juliet is online, she gets it, what rosaline gets, stored)
    let error = "service-unavailable";
    for (to, kind, online, delivered, answer, stored) in [
        ("juliet@a.example", "chat", true, true, "", 0),
        ("juliet@a.example", "chat", false, false, "", 1),
        ("juliet@a.example", "normal", false, false, "", 1),
        ("juliet@a.example", "headline", false, false, "", 0),
        ("juliet@a.example", "groupchat", true, false, error, 0),
        (JULIET, "chat", true, true, "", 0),
        (JULIET, "groupchat", true, true, "", 0),
        (JULIET, "normal", false, false, error, 0),
        (JULIET, "error", false, false, "", 0),
        ("juliet@a.example", "error", true, false, "", 0),
        ("nobody@a.example", "chat", false, false, "", 0),
        ("a.example", "chat", false, false, error, 0),
        ("a.example", "error", false, false, "", 0),
        ("multicast@a.example", "error", false, false, "", 0),
    ] {
        let mut play = Play::new();
        let juliet = online.then(|| play.online(JULIET));
        play.left();
        play.arrives(ROSALINE, &format!("<message to='{to}' type='{kind}'><body>x</body></message>"));
        let case = format!("{kind} to {to}, {online}");
        assert_eq!(juliet.is_some_and(|j| !play.bodies(j).is_empty()), delivered, "{case}");
        assert_eq!(play.stored(), stored, "{case}");
        let left = play.left();
        match answer {
            "" => assert!(left.is_empty(), "{case}: {left:?}"),
            condition => {
                assert!(left.len() == 1 && left[0].contains(condition), "{case}: {left:?}");
                assert!(left[0].contains("to='rosaline@b.example/window'"), "{case}: {left:?}");
            }
        }
    }
}

#[test]
fn what_comes_from_outside_is_archived_copied_and_stripped_of_forgeries() {
    let mut play = Play::new();
    play.archives("juliet@a.example");
    let balcony = play.online(JULIET);
    let phone = play.online(JULIET_PHONE);
    play.says(phone, JULIET_PHONE, "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    play.take(phone);
    play.take(balcony);
    let forged = "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@a.example' id='1'/>\
                  <delay xmlns='urn:xmpp:delay' from='a.example' stamp='2001-01-01T00:00:00Z'/>\
                  <received xmlns='urn:xmpp:carbons:2'/>";
    play.arrives(ROSALINE, &format!("<message to='{JULIET}' type='chat' id='m'><body>x</body>{forged}</message>"));
    let received = play.take(balcony);
    assert!(received[0].contains("<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@a.example' id='0"), "{received:?}");
    for forgery in ["id='1'", "2001-01-01", "urn:xmpp:carbons:2"] {
        assert!(!received[0].contains(forgery), "{received:?}");
    }
    assert!(play.take(phone)[0].contains("<received xmlns='urn:xmpp:carbons:2'><forwarded"));
    assert_eq!(play.router.storage.archives.len(), 1);
    // What she answers is archived, copied and sent.
    play.says(balcony, JULIET, &chat(ROSALINE, "hello"));
    assert_eq!(play.router.storage.archives.len(), 2);
    assert!(play.take(phone)[0].contains("<sent xmlns='urn:xmpp:carbons:2'>"));
    assert!(play.left()[0].contains("<body>hello</body>"));
}

#[test]
fn iqs_cross_domains_and_every_one_is_answered() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    play.says(romeo, ROMEO, &format!("<iq to='{ROSALINE}' type='get' id='q'><q xmlns='urn:q'/></iq>"));
    assert!(play.left()[0].contains("from='romeo@a.example/orchard'"));
    play.arrives(ROSALINE, &format!("<iq to='{ROMEO}' type='result' id='q'/>"));
    assert!(play.take(romeo)[0].contains("type='result'"));
    play.arrives(ROSALINE, &format!("<iq to='{ROMEO}' type='get' id='w'><q xmlns='urn:q'/></iq>"));
    assert!(play.take(romeo)[0].contains("id='w'"));
    play.arrives(ROSALINE, "<iq to='romeo@a.example/gone' type='get' id='v'><q xmlns='urn:q'/></iq>");
    assert!(play.left()[0].contains("service-unavailable"));
    // Answers to nobody vanish; requests to account and domain are served.
    play.arrives(ROSALINE, "<iq to='romeo@a.example/gone' type='error' id='u'/>");
    play.arrives(ROSALINE, "<iq to='romeo@a.example' type='result' id='u'/>");
    assert!(play.left().is_empty());
    for to in ["romeo@a.example", "a.example", "nobody@a.example"] {
        play.arrives(ROSALINE, &format!("<iq to='{to}' type='get' id='x'><q xmlns='urn:q'/></iq>"));
    }
    assert_eq!(play.served.len(), 3);
    // Nobody outside reads a roster or an archive: these are the client's own.
    play.served.clear();
    play.arrives(ROSALINE, "<iq to='romeo@a.example' type='get' id='x'><query xmlns='jabber:iq:roster'/></iq>");
    assert_eq!(play.served.len(), 1);
    assert!(play.left().is_empty() && play.take(romeo).is_empty());
}

#[test]
fn the_blocked_outside_hear_nothing_by_address_or_domain() {
    for blocked in ["rosaline@b.example", "b.example", ROSALINE] {
        let mut play = Play::new();
        play.knows("juliet@a.example", "rosaline@b.example", Subscription::Both, false);
        let juliet = play.online(JULIET);
        play.says(juliet, JULIET, &format!("<presence to='{ROSALINE}'/>"));
        play.left();
        let block =
            format!("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{blocked}'/></block></iq>");
        play.says(juliet, JULIET, &block);
        play.disk_done();
        play.take(juliet);
        // XEP-0191 §3.3: she sees Juliet go, as a contact and where presence was sent to her directly.
        let left = play.left();
        assert!(left.iter().all(|t| t.contains("type='unavailable'")) && !left.is_empty(), "{blocked}: {left:?}");
        assert!(left.iter().any(|t| t.contains("to='rosaline@b.example/window'")), "{blocked}: {left:?}");
        play.arrives(ROSALINE, &chat("juliet@a.example", "one"));
        play.arrives(ROSALINE, &chat(JULIET, "two"));
        play.arrives(ROSALINE, "<presence to='juliet@a.example'><show>chat</show></presence>");
        play.arrives(ROSALINE, "<presence to='juliet@a.example' type='probe'/>");
        assert!(play.take(juliet).is_empty(), "{blocked}");
        assert!(play.left().is_empty(), "{blocked}");
        assert_eq!(play.stored(), 0, "{blocked}");
        // Going away tells nobody who is blocked.
        play.says(juliet, JULIET, "<presence type='unavailable'/>");
        let left = play.left();
        assert!(!left.iter().any(|t| t.contains("/window")), "{blocked}: {left:?}");
    }
}

#[test]
fn directed_presence_is_taken_back_from_who_took_it() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    for to in [ROSALINE, "room@c.example/romeo", "full@c.example/romeo"] {
        play.says(romeo, ROMEO, &format!("<presence to='{to}'/>"));
    }
    assert_eq!(play.left().len(), 3);
    // One did not take it.
    play.arrives("full@c.example/romeo", &format!("<presence to='{ROMEO}' type='error'/>"));
    play.tell(Event::Lost(romeo));
    let left = play.left();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().all(|t| t.contains("type='unavailable'") && !t.contains("full@c.example")), "{left:?}");
}

#[test]
fn a_message_for_another_domain_is_acknowledged_when_it_has_left() {
    let mut play = Play::new();
    play.remote_slow = true;
    let romeo = play.online_sm(ROMEO);
    play.says(romeo, ROMEO, &chat("rosaline@b.example", "one"));
    play.says(romeo, ROMEO, "<presence to='rosaline@b.example' type='subscribe'/>");
    play.disk_done();
    play.says(romeo, ROMEO, "<iq to='b.example' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    play.says(romeo, ROMEO, "<presence><show>away</show></presence>");
    play.take(romeo);
    play.tell(Event::AckRequest(romeo));
    assert!(play.take(romeo).is_empty(), "nothing is safe yet");
    let receipts = std::mem::take(&mut play.receipts);
    assert_eq!(receipts.len(), 2, "of the message and the request");
    play.tell(Event::RemoteTaken(receipts[0]));
    assert!(play.take(romeo).is_empty());
    play.tell(Event::RemoteTaken(receipts[1]));
    assert_eq!(play.take(romeo), [ack(5)]);
    // Once more is once too many, and does no harm.
    play.tell(Event::RemoteTaken(receipts[1]));
    assert!(play.take(romeo).is_empty());
}

#[test]
fn what_another_domain_has_not_taken_at_the_end_is_sent_again_by_its_client() {
    let mut play = Play::new();
    play.remote_slow = true;
    let romeo = play.online_sm(ROMEO);
    play.says(romeo, ROMEO, &chat("rosaline@b.example", "one"));
    play.restart(Duration::from_secs(1));
    let romeo = play.connect();
    let resume =
        Event::Resume { connection: romeo, account: "romeo@a.example".parse().unwrap(), token: ROMEO.into(), h: 1 };
    play.tell(resume);
    // The presence was handled, the message was not.
    assert!(play.take(romeo).iter().any(|t| t.contains("h='1'")));
}

#[test]
fn a_lost_request_of_another_domain_is_answered() {
    let mut play = Play::new();
    let juliet = play.online_sm(JULIET);
    play.arrives(ROSALINE, &format!("<iq to='{JULIET}' type='get' id='q'><q xmlns='urn:q'/></iq>"));
    play.tell(Event::Lost(juliet));
    assert!(play.left().is_empty());
    play.pass(Duration::from_secs(61));
    let left = play.left();
    assert!(left.iter().any(|t| t.contains("recipient-unavailable") && t.contains("id='q'")), "{left:?}");
}

#[test]
fn messages_of_other_domains_survive_a_receiver_that_is_lost() {
    let mut play = Play::new();
    let juliet = play.online_sm(JULIET);
    play.arrives(ROSALINE, &chat("juliet@a.example", "one"));
    assert_eq!(play.bodies(juliet), ["one"]);
    assert_eq!(play.stored(), 0);
    play.tell(Event::Lost(juliet));
    assert_eq!(play.stored(), 1);
    play.pass(Duration::from_secs(61));
    let juliet = play.bind(JULIET);
    play.says(juliet, JULIET, "<presence/>");
    assert_eq!(play.bodies(juliet), ["one"]);
    assert_eq!(play.stored(), 0);
}

#[test]
fn a_request_carries_the_key_abroad_and_only_a_trusted_node_brings_one() {
    let mut play = Play::new();
    play.router.storage.keys.insert("romeo@a.example".parse().unwrap(), vec![1, 2, 3]);
    let romeo = play.online(ROMEO);
    let forged = "<pubkey xmlns='urn:xmpp:pubkey:2'><key>Zm9yZ2Vk</key><print>0000</print></pubkey>";
    play.says(romeo, ROMEO, &format!("<presence to='rosaline@b.example' type='subscribe'>{forged}</presence>"));
    let left = play.left().join("");
    assert!(left.contains("<key>AQID</key>") && !left.contains("Zm9yZ2Vk"), "{left}");
    for (trusted, node) in [(false, "b.example"), (true, "c.example")] {
        if trusted {
            play.router.storage.nodes.push(node.parse().unwrap());
        }
        let request = format!("<presence to='romeo@a.example' type='subscribe'>{forged}</presence>");
        play.arrives(&format!("nurse@{node}"), &request);
        assert_eq!(play.take(romeo).join("").contains("Zm9yZ2Vk"), trusted, "{node}");
    }
}

#[test]
fn what_other_nodes_answer_the_probe_reaches_the_desk() {
    let mut play = Play::new();
    play.arrives("probe@b.example", "<iq to='probe@a.example' type='result' id='n1'/>");
    play.arrives("probe@b.example", "<iq to='nurse@a.example' type='result' id='n2'/>");
    assert_eq!(play.replies.iter().map(|answer| answer.id().unwrap()).collect::<Vec<_>>(), ["n1"]);
}
