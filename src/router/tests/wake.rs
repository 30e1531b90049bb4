//! When a device may be woken. XEP-0357.

use super::*;

impl Play {
    fn woken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unread)
    }
}

#[test]
fn what_tells_something_wakes_and_the_rest_does_not() {
    let omemo = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/>";
    for (kind, content, wakes) in [
        ("chat", "<body>x</body>".to_owned(), true),
        ("normal", "<body>x</body>".to_owned(), true),
        ("chat", "<body/>".to_owned(), false),
        ("headline", "<body>x</body>".to_owned(), false),
        ("chat", format!("{omemo}<payload>x</payload></encrypted>"), true),
        ("chat", format!("{omemo}</encrypted>"), false),
        ("chat", "<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>x</e2e>".to_owned(), true),
        ("chat", "<openpgp xmlns='urn:xmpp:openpgp:0'>x</openpgp>".to_owned(), true),
        ("chat", "<propose xmlns='urn:xmpp:jingle-message:0' id='c'/>".to_owned(), true),
        ("chat", "<retract xmlns='urn:xmpp:jingle-message:0' id='c'/>".to_owned(), false),
        ("chat", "<received xmlns='urn:xmpp:receipts' id='m'/>".to_owned(), false),
        ("chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='m'/>".to_owned(), false),
        ("chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>".to_owned(), false),
    ] {
        let mut play = Play::new();
        let romeo = play.online(ROMEO);
        play.says(romeo, ROMEO, &format!("<message to='juliet@a.example' type='{kind}'>{content}</message>"));
        assert_eq!(play.woken().len(), usize::from(wakes), "{kind}: {content}");
    }
}

#[test]
fn nobody_is_woken_for_what_all_devices_have() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.says(romeo, ROMEO, &chat("nobody@a.example", "two"));
    assert!(play.woken().is_empty());
    // The archive keeps it for the devices that are not there.
    let mut play = Play::new();
    play.archives("juliet@a.example");
    let romeo = play.online(ROMEO);
    let juliet = play.online(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    assert_eq!(play.woken(), ["juliet "]);
    // What she says herself wakes nobody.
    play.says(juliet, JULIET, &chat("juliet@a.example", "note"));
    play.says(juliet, JULIET, &chat("romeo@a.example", "two"));
    assert!(play.woken().is_empty());
}

#[test]
fn a_session_that_waits_for_its_client_wakes_it_once_for_what_it_holds_and_for_each_that_comes() {
    let mut play = Play::new();
    let romeo = play.online(ROMEO);
    let juliet = play.online_sm(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.says(romeo, ROMEO, &chat("juliet@a.example", "two"));
    assert!(play.woken().is_empty());
    play.tell(Event::Lost(juliet));
    assert_eq!(play.woken(), ["juliet "]);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "three"));
    assert_eq!(play.woken(), ["juliet "]);
    let composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    play.says(romeo, ROMEO, &format!("<message to='juliet@a.example' type='chat'>{composing}</message>"));
    assert!(play.woken().is_empty());
    // The session ends; nothing new waits.
    play.pass(Duration::from_secs(61));
    assert!(play.woken().is_empty());
    assert_eq!(play.stored(), 3);
}

#[test]
fn a_session_without_resumption_that_dies_wakes_for_what_it_did_not_get() {
    let mut play = Play::new();
    play.sockets_drain = false;
    let romeo = play.online(ROMEO);
    let juliet = play.online(JULIET);
    play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
    play.tell(Event::Lost(juliet));
    assert_eq!(play.woken(), ["juliet "]);
}

#[test]
fn an_inactive_client_is_woken_only_when_it_does_not_answer() {
    for (inactive, answers, expected) in
        [(true, false, vec!["juliet balcony".to_owned()]), (true, true, vec![]), (false, false, vec![])]
    {
        let mut play = Play::new();
        let romeo = play.online_sm(ROMEO);
        let juliet = play.online_sm(JULIET);
        if inactive {
            play.tell(Event::ClientState { connection: juliet, active: false });
        }
        play.says(romeo, ROMEO, &chat("juliet@a.example", "one"));
        let h = u32::try_from(play.take(juliet).iter().filter(|t| !t.starts_with("<r ")).count()).unwrap() + 1;
        if answers {
            play.tell(Event::Ack { connection: juliet, h });
        }
        assert!(play.woken().is_empty());
        play.pass(limits::ACK_PATIENCE);
        assert_eq!(play.woken(), expected, "{inactive} {answers}");
    }
}
