//! Carbons, client state, and Kontalk's additions.

use super::*;

#[test]
fn presence_tells_the_key_and_a_request_brings_it_whatever_the_client_claims() {
    let mut play = Play::new();
    play.router.storage.keys.insert("romeo@a.example".parse().unwrap(), vec![1, 2, 3]);
    let romeo = play.bind(ROMEO);
    let forged = "<pubkey xmlns='urn:xmpp:pubkey:2'><key>Zm9yZ2Vk</key><print>0000</print></pubkey>";
    play.says(romeo, ROMEO, &format!("<presence><status>hi</status>{forged}</presence>"));
    let own = play.take(romeo).join("");
    assert!(own.contains("<print>55E1B93EFE0915BCC9E2205191A508011DCD7816</print>"), "{own}");
    assert!(!own.contains("0000"));
    let juliet = play.online(JULIET);
    play.says(romeo, ROMEO, &format!("<presence to='juliet@a.example' type='subscribe'>{forged}</presence>"));
    let request = play.take(juliet).join("");
    assert!(request.contains("<key>AQID</key><print>55E1B93EFE0915BCC9E2205191A508011DCD7816</print>"), "{request}");
    assert!(!request.contains("Zm9yZ2Vk"));
    // Without a key nothing is claimed.
    play.says(juliet, JULIET, &format!("<presence to='tybalt@a.example' type='subscribe'>{forged}</presence>"));
    let tybalt = play.bind("tybalt@a.example/x");
    play.says(tybalt, "tybalt@a.example/x", "<presence/>");
    assert!(!play.take(tybalt).join("").contains("pubkey"));
}

#[test]
fn a_message_to_a_group_reaches_each_once_with_the_promise_of_any_message() {
    for place in ["multicast@a.example", "a.example"] {
        let mut play = Play::new();
        play.remote_slow = true;
        let romeo = play.online_sm(ROMEO);
        let juliet = play.online_sm(JULIET);
        let group = format!(
            "<message to='{place}' type='chat' id='g1'><addresses xmlns='http://jabber.org/protocol/address'>\
             <address type='to' jid='juliet@a.example'/><address type='to' jid='tybalt@a.example'/>\
             <address type='to' jid='juliet@a.example'/>\
             <address type='to' jid='@'/><address type='to' jid='a.example'/><address type='to' jid='x@b.example'/>\
             </addresses><body>all</body></message>"
        );
        play.says(romeo, ROMEO, &group);
        play.tell(Event::AckRequest(romeo));
        let received = play.take(juliet);
        assert_eq!(received.iter().filter(|t| t.contains("<body>all</body>")).count(), 1, "{received:?}");
        assert!(
            received[0].contains("to='juliet@a.example'") && received[0].contains("from='romeo@a.example/orchard'")
        );
        assert!(!received[0].contains("addresses"));
        assert_eq!(play.stored(), 1, "the absent one");
        assert_eq!(play.remote.len(), 1, "the one elsewhere");
        assert!(play.take(romeo).is_empty());
        play.tell(Event::Ack { connection: juliet, h: 2 });
        assert!(play.take(romeo).is_empty(), "the absent one's copy is not durable yet");
        play.disk_done();
        assert!(play.take(romeo).is_empty(), "the other server has not confirmed yet");
        let receipt = play.receipts.remove(0);
        play.tell(Event::RemoteTaken(receipt));
        assert_eq!(play.take(romeo), [ack(2)]);
    }
}

#[test]
fn copies_show_what_their_sender_says_and_never_the_blind_ones() {
    let address = |kind: &str, jid: &str, more: &str| format!("<address type='{kind}' jid='{jid}'{more}/>");
    let to = address("to", "juliet@a.example", "");
    let copied = |kind: &str| address(kind, "tybalt@a.example", "");
    let marked = |kind: &str, jid: &str| address(kind, jid, " delivered='true'");
    for (list, expected) in [
        // Kontalk's groups.
        (to.clone(), Some(String::new())),
        (to.clone() + &copied("cc"), Some(marked("to", "juliet@a.example") + &marked("cc", "tybalt@a.example"))),
        (to.clone() + &copied("bcc"), Some(marked("to", "juliet@a.example"))),
        (address("bcc", "juliet@a.example", ""), Some(String::new())),
        (address("cc", "juliet@a.example", ""), Some(marked("cc", "juliet@a.example"))),
        (
            to.clone() + &address("replyto", "list@b.example", ""),
            Some(marked("to", "juliet@a.example") + &address("replyto", "list@b.example", "")),
        ),
        (
            to.clone() + "<address type='noreply'/>",
            Some(marked("to", "juliet@a.example") + "<address type='noreply'/>"),
        ),
        // Who has it already, and who is not to have it.
        (marked("to", "juliet@a.example"), None),
        (address("replyto", "juliet@a.example", ""), None),
        (address("", "juliet@a.example", ""), None),
    ] {
        let mut play = Play::new();
        let (romeo, juliet) = (play.online(ROMEO), play.online(JULIET));
        let text = format!(
            "<message to='multicast@a.example' type='chat'><addresses xmlns='http://jabber.org/protocol/address'>{list}</addresses>\
             <body>x</body></message>"
        );
        play.says(romeo, ROMEO, &text);
        let received = play.take(juliet);
        let shown = received.first().map(|text| {
            match text.split_once("<addresses xmlns='http://jabber.org/protocol/address'>") {
                Some((_, rest)) => rest.split_once("</addresses>").unwrap().0.to_owned(),
                None => String::new(),
            }
        });
        assert_eq!(shown, expected, "{list}");
        assert_eq!(play.stored(), usize::from(list.contains("tybalt")), "{list}");
    }
}

#[test]
fn multicast_is_bounded_and_no_relay() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    let many: String = (0..201).map(|n| format!("<address type='to' jid='u{n}@a.example'/>")).collect();
    let addresses = format!("<addresses xmlns='http://jabber.org/protocol/address'>{many}</addresses><body>x</body>");
    play.says(romeo, ROMEO, &format!("<message to='multicast@a.example'>{addresses}</message>"));
    assert!(play.take(romeo)[0].contains("not-acceptable"));
    let text = "<message from='x@b.example/y' to='multicast@a.example'><addresses xmlns='http://jabber.org/protocol/address'>\
                <address type='to' jid='romeo@a.example'/></addresses><body>spam</body></message>";
    let stanza = Stanza::new(parse_document(text, ns::CLIENT, 20).unwrap()).unwrap();
    play.tell(Event::FromServer(stanza));
    assert!(play.take(romeo).is_empty());
    assert!(play.remote[0].to_text().contains("forbidden"));
}

#[test]
fn carbons_show_each_session_what_the_others_send_and_receive() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    let juliet = play.online(JULIET);
    let phone = play.online(JULIET_PHONE);
    let enable = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>";
    for (connection, jid) in [(juliet, JULIET), (phone, JULIET_PHONE)] {
        play.says(connection, jid, enable);
        assert!(play.take(connection).iter().any(|t| t.contains("type='result'")));
    }
    let carbons = |texts: Vec<String>, kind: &str| {
        texts.iter().filter(|t| t.contains(&format!("<{kind} xmlns='urn:xmpp:carbons:2'>"))).count()
    };
    // To one of them: the other gets a copy. To all: nobody does.
    play.says(romeo, ROMEO, &chat(JULIET, "one"));
    let copy = play.take(phone).join("");
    assert!(
        copy.starts_with("<message type='chat' id='one' from='juliet@a.example' to='juliet@a.example/phone'><received"),
        "{copy}"
    );
    assert_eq!(play.bodies(juliet), ["one"]);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "all"));
    assert_eq!(carbons(play.take(phone), "received") + carbons(play.take(juliet), "received"), 0);
    // What one sends the other sees.
    play.says(juliet, JULIET, &chat("romeo@a.example", "two"));
    assert_eq!(carbons(play.take(phone), "sent"), 1);
    // Private, hinted, for rooms, headlines: never. And nobody forges a copy.
    for text in [
        "<message to='romeo@a.example' type='chat'><body>x</body><private xmlns='urn:xmpp:carbons:2'/></message>",
        "<message to='romeo@a.example' type='chat'><body>x</body><no-copy xmlns='urn:xmpp:hints'/></message>",
        "<message to='romeo@a.example' type='headline'><body>x</body></message>",
        "<message to='romeo@a.example' type='normal'><x xmlns='urn:example'/></message>",
    ] {
        play.says(juliet, JULIET, text);
        assert_eq!(carbons(play.take(phone), "sent"), 0, "{text}");
    }
    play.take(romeo);
    let forged =
        "<message to='romeo@a.example' type='chat'><body>f</body><received xmlns='urn:xmpp:carbons:2'/></message>";
    play.says(juliet, JULIET, forged);
    let received = play.take(romeo).join("");
    assert!(received.contains("<body>f</body>") && !received.contains("carbons"), "{received}");
    let disable = "<iq type='set' id='d'><disable xmlns='urn:xmpp:carbons:2'/></iq>";
    play.says(phone, JULIET_PHONE, disable);
    play.take(phone);
    play.says(romeo, ROMEO, &chat(JULIET, "three"));
    assert!(play.take(phone).is_empty());
}

#[test]
fn an_inactive_client_is_told_the_latest_presence_before_what_matters() {
    let mut play = Play::new();
    let juliet = play.online_sm(JULIET);
    let phone = play.online(JULIET_PHONE);
    play.take(juliet);
    play.tell(Event::ClientState { connection: juliet, active: false });
    for show in ["away", "xa", "dnd"] {
        play.says(phone, JULIET_PHONE, &format!("<presence><show>{show}</show></presence>"));
    }
    let state = "<message to='juliet@a.example/balcony' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
    play.says(phone, JULIET_PHONE, state);
    assert!(play.take(juliet).is_empty());
    play.says(phone, JULIET_PHONE, &chat(JULIET, "one"));
    let received = play.take(juliet);
    assert!(received[0].contains("<show>dnd</show>") && received[1].contains("<body>one</body>"), "{received:?}");
    assert_eq!(received.len(), 3, "and a request for an acknowledgement");
    // Still inactive.
    play.says(phone, JULIET_PHONE, "<presence><show>chat</show></presence>");
    assert!(play.take(juliet).is_empty());
    // A lost connection loses nothing of it.
    play.tell(Event::Lost(juliet));
    play.says(phone, JULIET_PHONE, "<presence><status>last</status></presence>");
    let again = play.connect();
    let account = "juliet@a.example".parse().unwrap();
    play.tell(Event::Resume { connection: again, account, token: JULIET.into(), h: 4 });
    let received = play.take(again).join("");
    assert!(received.contains("<status>last</status>") && !received.contains("<show>chat</show>"), "{received}");
}

#[test]
fn a_session_may_begin_with_carbons_and_inactive() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    let juliet = play.online(JULIET);
    let phone = play.connect();
    let start = SessionStart { carbons: true, inactive: true, ..SessionStart::default() };
    play.tell(Event::Bind { connection: phone, jid: JULIET_PHONE.parse().unwrap(), start });
    play.says(phone, JULIET_PHONE, "<presence/>");
    assert_eq!(play.take(phone), ["bound"], "presence waits");
    play.says(romeo, ROMEO, &chat(JULIET, "one"));
    assert!(play.take(phone).concat().contains("<received xmlns='urn:xmpp:carbons:2'>"));
    assert_eq!(play.bodies(juliet), ["one"]);
}

#[test]
fn events_wait_in_order_while_nobody_looks_and_a_ping_wakes_nobody() {
    let mut play = Play::new();
    let juliet = play.online(JULIET);
    let romeo = play.online(ROMEO);
    play.tell(Event::ClientState { connection: juliet, active: false });
    let event = |n: usize| {
        let text = format!(
            "<message from='romeo@a.example' to='{JULIET}' type='headline'>\
             <event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item id='{n}'/></items></event></message>"
        );
        Event::FromServer(Stanza::new(parse_document(&text, ns::CLIENT, 20).unwrap()).unwrap())
    };
    for n in 0..3 {
        play.tell(event(n));
    }
    play.says(romeo, ROMEO, &format!("<iq to='{JULIET}' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"));
    let result = Kind::Iq(crate::stanza::IqType::Result);
    let (node, to) = ("a.example".parse().unwrap(), JULIET.parse().unwrap());
    play.tell(Event::FromServer(Stanza::build(result, Some(node), Some(to), Some("own"))));
    let told = play.take(juliet);
    assert!(told.len() == 2 && told[0].contains("ping") && told[1].contains("id='own'"), "{told:?}");
    play.tell(Event::ClientState { connection: juliet, active: true });
    let told = play.take(juliet);
    assert_eq!(told.len(), 3);
    assert!((0..3).all(|n| told[n].contains(&format!("<item id='{n}'/>"))), "{told:?}");
    play.tell(Event::ClientState { connection: juliet, active: false });
    play.tell(event(9));
    assert!(play.take(juliet).is_empty());
    play.says(romeo, ROMEO, &chat(JULIET, "look"));
    let told = play.take(juliet);
    assert!(told[0].contains("<item id='9'/>") && told[1].contains("look"), "{told:?}");
    // More than is held goes out.
    play.tell(Event::ClientState { connection: juliet, active: false });
    for n in 0..60 {
        play.tell(event(n));
    }
    assert!(play.take(juliet).len() > 50);
}
