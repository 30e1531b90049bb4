//! What goes into archives and what comes out of them.

use super::*;

const ACCOUNTS: [&str; 2] = ["romeo@a.example", "juliet@a.example"];

/// Romeo and Juliet archive.
fn verona() -> Play {
    let mut play = Play::new();
    ACCOUNTS.iter().for_each(|account| play.archives(account));
    play
}

fn archived(play: &Play, account: &str) -> Vec<String> {
    let account: BareJid = account.parse().unwrap();
    let own = play.router.storage.archives.iter().filter(|((owner, _), _)| *owner == account);
    own.map(|(_, (_, archived))| archived.stanza.clone()).collect()
}

fn query(content: &str) -> String {
    format!("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2' queryid='x'>{content}</query></iq>")
}

fn set(content: &str) -> String {
    query(&format!("<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>"))
}

fn parse(text: &str) -> Element {
    parse_document(text, ns::CLIENT, 20).unwrap()
}

/// The bodies of results in order, and the answer behind them.
fn results(texts: &[String]) -> (Vec<String>, Element) {
    let (answer, results) = texts.split_last().unwrap();
    let body = |text: &String| {
        let result = parse(text);
        let forwarded = result.child("result", ns::MAM)?.child("forwarded", ns::FORWARD)?.clone();
        assert!(forwarded.child("delay", ns::DELAY).is_some());
        Some(forwarded.child("message", ns::CLIENT)?.child("body", ns::CLIENT)?.text())
    };
    (results.iter().map(|text| body(text).unwrap_or_else(|| panic!("{text}"))).collect(), parse(answer))
}

#[test]
fn both_sides_archive_a_message_and_know_it_by_its_id_again() {
    let mut play = verona();
    let romeo = play.online_sm(ROMEO);
    let juliet = play.online_sm(JULIET);
    let forged = "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@a.example' id='00000000000000ff'/>\
                  <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@a.example' id='00000000000000ff'/>\
                  <stanza-id xmlns='urn:xmpp:sid:0' by='room@b.example' id='other'/>\
                  <origin-id xmlns='urn:xmpp:sid:0' id='own'/>";
    play.says(
        romeo,
        ROMEO,
        &format!("<message to='juliet@a.example' type='chat' id='m'><body>hi</body>{forged}</message>"),
    );
    play.tell(Event::AckRequest(romeo));
    let message = parse(&play.take(juliet)[0]);
    let ids: Vec<_> = message.children().filter(|child| child.is("stanza-id", ns::STANZA_ID)).collect();
    let found: Vec<_> = ids.iter().map(|id| (id.attribute("by"), id.attribute("id"))).collect();
    let id = play.router.storage.archives.keys().find(|(owner, _)| owner.as_str() == "juliet@a.example").unwrap().1;
    let id = id.to_string();
    assert_eq!(found, [(Some("room@b.example"), Some("other")), (Some("juliet@a.example"), Some(id.as_str()))]);
    assert!(message.child("origin-id", ns::STANZA_ID).is_some());
    for account in ACCOUNTS {
        let archive = archived(&play, account);
        assert!(
            archive.len() == 1 && archive[0].contains("<body>hi</body>") && !archive[0].contains("00ff"),
            "{archive:?}"
        );
    }
    // The acknowledgement is a promise for the archives too.
    play.tell(Event::Ack { connection: juliet, h: 2 });
    assert!(play.take(romeo).is_empty(), "the archives are not on the disk yet");
    play.disk_done();
    assert_eq!(play.take(romeo), [ack(2)]);
    assert_eq!(play.stored(), 0);
}

#[test]
fn messages_pass_are_stored_and_archived_by_the_rules_of_their_specification() {
    let hint = |name: &str| format!("<body>x</body><{name} xmlns='urn:xmpp:hints'/>");
    // (content, archived by each side, stored for the absent, copied to other sessions)
    for (content, in_archive, stored, copied) in [
        ("<body>x</body>".to_owned(), true, true, true),
        // XEP-0085.
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>".to_owned(), false, false, true),
        // XEP-0184.
        ("<received xmlns='urn:xmpp:receipts' id='1'/>".to_owned(), true, true, true),
        ("<body>x</body><request xmlns='urn:xmpp:receipts'/>".to_owned(), true, true, true),
        // XEP-0308.
        ("<body>x</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>".to_owned(), true, true, true),
        // XEP-0333.
        ("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>".to_owned(), true, true, true),
        // XEP-0424.
        ("<retract xmlns='urn:xmpp:message-retract:1' id='1'/>".to_owned(), true, true, true),
        // XEP-0444.
        ("<reactions xmlns='urn:xmpp:reactions:0' id='1'/>".to_owned(), true, true, true),
        // XEP-0334.
        (hint("no-store"), false, false, true),
        (hint("no-permanent-store"), false, false, true),
        (hint("no-copy"), true, true, false),
        (
            "<active xmlns='http://jabber.org/protocol/chatstates'/><store xmlns='urn:xmpp:hints'/>".to_owned(),
            true,
            true,
            true,
        ),
        // XEP-0280.
        ("<body>x</body><private xmlns='urn:xmpp:carbons:2'/>".to_owned(), true, true, false),
    ] {
        let message = |to: &str| format!("<message to='{to}' type='chat' id='m'>{content}</message>");
        let mut play = verona();
        let romeo = play.online(ROMEO);
        play.says(romeo, ROMEO, &message("juliet@a.example"));
        assert_eq!(play.stored(), usize::from(stored), "stored: {content}");
        for account in ACCOUNTS {
            assert_eq!(archived(&play, account).len(), usize::from(in_archive), "archive of {account}: {content}");
        }
        // It reaches a session as it was, without what was for the servers.
        let mut play = verona();
        let start = SessionStart { carbons: true, ..SessionStart::default() };
        let (romeo, tomb, juliet, phone) = (play.connect(), play.connect(), play.connect(), play.connect());
        for (connection, jid) in
            [(romeo, ROMEO), (tomb, "romeo@a.example/tomb"), (juliet, JULIET), (phone, JULIET_PHONE)]
        {
            play.tell(Event::Bind { connection, jid: jid.parse().unwrap(), start: start.clone() });
            play.says(connection, jid, "<presence/>");
        }
        for connection in [romeo, tomb, juliet, phone] {
            play.take(connection);
        }
        play.says(romeo, ROMEO, &message(JULIET));
        let received = play.take(juliet).join("");
        let (payload, _) = content.split_once("<private").unwrap_or((&content, ""));
        assert!(received.contains(payload) && !received.contains("private"), "{received}");
        for connection in [phone, tomb] {
            let copy = play.take(connection).join("");
            assert_eq!(copy.contains("urn:xmpp:carbons:2"), copied, "copied: {content}");
            assert_eq!(copy.contains("stanza-id"), copied && in_archive, "with its id: {content}");
        }
        assert!(play.take(romeo).is_empty());
    }
}

#[test]
fn what_is_not_accepted_is_not_archived() {
    let mut play = verona();
    let romeo = play.online(ROMEO);
    let block = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@a.example'/></block></iq>";
    let juliet = play.online(JULIET);
    play.says(juliet, JULIET, block);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.says(romeo, ROMEO, "<message to='juliet@a.example/gone' type='normal'><body>two</body></message>");
    play.says(romeo, ROMEO, "<message to='juliet@a.example' type='groupchat'><body>three</body></message>");
    play.says(romeo, ROMEO, "<message to='juliet@a.example/balcony' type='error'><body>four</body></message>");
    assert!(archived(&play, "juliet@a.example").is_empty());
    assert_eq!(archived(&play, "romeo@a.example").len(), 2, "he did say one and two");
    // What the blocked is told by an account that blocks him is for nobody.
    play.says(juliet, JULIET, &chat("romeo@a.example", "five"));
    assert!(archived(&play, "juliet@a.example").is_empty());
}

#[test]
fn what_one_says_to_oneself_is_one_message_and_comes_once_to_each() {
    let mut play = verona();
    let start = SessionStart { carbons: true, ..SessionStart::default() };
    let (juliet, phone, desk) = (play.connect(), play.connect(), play.connect());
    let desk_jid = "juliet@a.example/desk";
    for (connection, jid) in [(juliet, JULIET), (phone, JULIET_PHONE), (desk, desk_jid)] {
        play.tell(Event::Bind { connection, jid: jid.parse().unwrap(), start: start.clone() });
        play.says(connection, jid, "<presence/>");
    }
    for (to, mine, theirs) in [("juliet@a.example", 1, 1), (JULIET_PHONE, 0, 1)] {
        for connection in [juliet, phone, desk] {
            play.take(connection);
        }
        play.says(juliet, JULIET, &chat(to, "note"));
        for (connection, times) in [(juliet, mine), (phone, theirs), (desk, theirs)] {
            let got = play.take(connection);
            assert_eq!(got.iter().filter(|t| t.contains("<body>note</body>")).count(), times, "{to}: {got:?}");
        }
    }
    assert_eq!(archived(&play, "juliet@a.example").len(), 2);
    let with = "<x xmlns='jabber:x:data' type='submit'><field var='with'><value>juliet@a.example</value></field></x>";
    play.says(juliet, JULIET, &query(with));
    assert_eq!(results(&play.take(juliet)).0.len(), 2);
}

#[test]
fn a_client_pages_through_its_archive_and_through_no_other() {
    let mut play = verona();
    let romeo = play.online(ROMEO);
    for n in 0..25 {
        play.says(romeo, ROMEO, &chat("juliet@a.example", &n.to_string()));
        play.pass(Duration::from_secs(1));
    }
    let juliet = play.bind(JULIET);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        play.says(juliet, JULIET, &set(&format!("<max>10</max><after>{after}</after>")));
        let (bodies, answer) = results(&play.take(juliet));
        let fin = answer.child("fin", ns::MAM).unwrap();
        let set = fin.child("set", ns::RSM).unwrap();
        assert_eq!(set.child("count", ns::RSM).unwrap().text(), "25");
        assert_eq!(set.child("first", ns::RSM).unwrap().attribute("index"), Some(seen.len().to_string().as_str()));
        after = set.child("last", ns::RSM).unwrap().text();
        seen.extend(bodies);
        if fin.attribute("complete") == Some("true") {
            break;
        }
    }
    let all: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    assert_eq!(seen, all);
    // The last page, flipped.
    play.says(
        juliet,
        JULIET,
        &query("<set xmlns='http://jabber.org/protocol/rsm'><max>2</max><before/></set><flip-page/>"),
    );
    assert_eq!(results(&play.take(juliet)).0, ["24", "23"]);
    for (content, condition) in [
        ("<set xmlns='http://jabber.org/protocol/rsm'><after>ffffffffffffffff</after></set>", "item-not-found"),
        ("<x xmlns='jabber:x:data'><field var='start'><value>x</value></field></x>", "bad-request"),
    ] {
        play.says(juliet, JULIET, &query(content));
        assert!(play.take(juliet)[0].contains(condition), "{content}");
    }
    // Nobody reads another's: that is a question for the node to refuse.
    play.says(romeo, ROMEO, "<iq type='set' id='q' to='juliet@a.example'><query xmlns='urn:xmpp:mam:2'/></iq>");
    assert_eq!(play.served.len(), 1);
    // Its ends.
    play.says(juliet, JULIET, "<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2'/></iq>");
    let metadata = parse(&play.take(juliet)[0]);
    let metadata = metadata.child("metadata", ns::MAM).unwrap();
    assert_eq!(metadata.child("start", ns::MAM).unwrap().attribute("timestamp"), Some("2023-11-14T22:13:20.000Z"));
    assert_eq!(metadata.child("end", ns::MAM).unwrap().attribute("timestamp"), Some("2023-11-14T22:13:44.000Z"));
    play.says(juliet, JULIET, "<iq type='get' id='f'><query xmlns='urn:xmpp:mam:2'/></iq>");
    assert!(play.take(juliet)[0].contains("var='after-id'"));
}

#[test]
fn who_has_read_the_archive_is_not_given_the_same_again() {
    for reads_archive in [true, false] {
        let mut play = verona();
        let romeo = play.online(ROMEO);
        play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
        play.says(romeo, ROMEO, "<message to='juliet@a.example'><body>two</body><x xmlns='urn:x'/></message>");
        // Not archived, so it is in the store alone.
        play.says(romeo, ROMEO, "<message to='juliet@a.example'><x xmlns='urn:x'/><subject>s</subject></message>");
        let juliet = play.bind(JULIET);
        if reads_archive {
            play.says(juliet, JULIET, &query(""));
            assert_eq!(results(&play.take(juliet)).0, ["one", "two"]);
        }
        play.says(juliet, JULIET, "<presence/>");
        let messages = play.take(juliet).into_iter().filter(|t| t.starts_with("<message")).count();
        assert_eq!(messages, if reads_archive { 1 } else { 3 });
        assert_eq!(play.stored(), 0);
    }
}

#[test]
fn users_choose_what_is_archived() {
    let mut play = Play::new();
    let juliet = play.online(JULIET);
    let romeo = play.online(ROMEO);
    play.says(juliet, JULIET, "<iq type='get' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>");
    assert!(play.take(juliet)[0].contains("<prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs>"));
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    let prefs =
        "<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>romeo@a.example</jid></always><never/></prefs>";
    play.take(juliet);
    play.says(juliet, JULIET, &format!("<iq type='set' id='s'>{prefs}</iq>"));
    assert!(play.take(juliet).is_empty(), "the answer is a promise");
    play.disk_done();
    assert!(play.take(juliet)[0].contains(prefs));
    play.says(romeo, ROMEO, &chat("juliet@a.example", "two"));
    play.says(juliet, JULIET, &chat("tybalt@a.example", "three"));
    play.says(juliet, JULIET, &chat(ROMEO, "four"));
    let archive = archived(&play, "juliet@a.example").join("");
    assert!(archive.contains("two") && archive.contains("four"), "{archive}");
    assert!(!archive.contains("one") && !archive.contains("three"), "{archive}");
    // Only those in the roster.
    let prefs = "<prefs xmlns='urn:xmpp:mam:2' default='roster'/>";
    play.says(juliet, JULIET, &format!("<iq type='set' id='s'>{prefs}</iq>"));
    let entry = Entry { item: Some(crate::roster::Item::default()), request: None };
    let key = ("juliet@a.example".parse().unwrap(), "tybalt@a.example".parse().unwrap());
    play.router.storage.entries.insert(key, entry);
    play.says(juliet, JULIET, &chat("tybalt@a.example/x", "five"));
    play.says(juliet, JULIET, &chat("romeo@a.example", "six"));
    let archive = archived(&play, "juliet@a.example").join("");
    assert!(archive.contains("five") && !archive.contains("six"), "{archive}");
}

#[test]
fn strangers_cannot_tell_who_blocks_them_from_who_does_not_exist() {
    let subscription = crate::roster::Subscription::Both;
    let item = crate::roster::Item { subscription, ..crate::roster::Item::default() };
    let mut answers = Vec::new();
    for to in ["juliet@a.example", "nobody@a.example"] {
        let mut play = verona();
        let (romeo, juliet) = (play.online(ROMEO), play.online(JULIET));
        // Even a contact, once blocked, is a stranger.
        let key = ("juliet@a.example".parse().unwrap(), "romeo@a.example".parse().unwrap());
        play.router.storage.entries.insert(key, Entry { item: Some(item.clone()), request: None });
        let block = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@a.example'/></block></iq>";
        play.says(juliet, JULIET, block);
        play.take(romeo);
        let mut seen = Vec::new();
        for address in [to.to_owned(), format!("{to}/balcony")] {
            for payload in ["<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='urn:xmpp:mam:2'/>", "<x xmlns='urn:x'/>"] {
                for kind in ["get", "set"] {
                    play.says(romeo, ROMEO, &format!("<iq to='{address}' type='{kind}' id='q'>{payload}</iq>"));
                }
            }
            for kind in ["normal", "chat", "headline", "groupchat", "error"] {
                play.says(romeo, ROMEO, &format!("<message to='{address}' type='{kind}'><body>x</body></message>"));
            }
            for kind in ["probe", "subscribe", "unsubscribe", "subscribed", "unsubscribed", "unavailable", "error"] {
                play.says(romeo, ROMEO, &format!("<presence to='{address}' type='{kind}'/>"));
            }
        }
        // What is for the node to answer comes to it either way: it knows of the block (see the desk).
        for served in std::mem::take(&mut play.served) {
            seen.push(served.to_text());
        }
        seen.extend(play.take(romeo));
        answers.push(seen.iter().map(|text| text.replace(to, "somebody")).collect::<Vec<_>>());
    }
    assert!(answers[0].len() > 12);
    assert_eq!(answers[0], answers[1]);
}
