//! Promise one with other servers at either end.

use super::*;

const STREAM: LinkId = LinkId(9);

impl Play {
    fn peer_says(&mut self, text: &str) {
        let stanza = Stanza::new(parse_document(text, ns::CLIENT, 20).unwrap()).unwrap();
        self.tell(Event::FromPeer { link: STREAM, stanza });
    }
}

#[test]
fn a_message_for_another_domain_is_acknowledged_when_the_peer_has_it() {
    let mut play = Play::new();
    play.remote_slow = true;
    let romeo = play.online_sm(ROMEO);
    play.says(romeo, ROMEO, &chat("nurse@b.example", "one"));
    play.tell(Event::AckRequest(romeo));
    assert_eq!((play.remote.len(), play.receipts.len()), (1, 1));
    assert!(play.take(romeo).is_empty(), "nothing may be promised yet");
    let receipt = play.receipts.remove(0);
    play.tell(Event::RemoteTaken(receipt));
    assert_eq!(play.take(romeo), [ack(2)]);
    play.tell(Event::RemoteTaken(receipt));
    assert!(play.take(romeo).is_empty(), "twice is once");
}

#[test]
fn a_message_for_a_slow_domain_is_acknowledged_when_it_is_on_the_disk() {
    let mut play = Play::new();
    play.remote_slow = true;
    let romeo = play.online_sm(ROMEO);
    play.says(romeo, ROMEO, &chat("nurse@b.example", "one"));
    play.says(romeo, ROMEO, "<presence type='subscribe' to='nurse@b.example'/>");
    play.tell(Event::AckRequest(romeo));
    assert_eq!(play.receipts.len(), 2);
    let ticket = play.router.storage.ticket();
    for receipt in std::mem::take(&mut play.receipts) {
        play.tell(Event::RemoteStored(ticket, receipt));
    }
    assert!(play.take(romeo).iter().all(|text| !text.starts_with("<a ")));
    play.disk_done();
    assert!(play.take(romeo).contains(&ack(3)));
}

#[test]
fn what_may_be_lost_is_owed_to_nobody() {
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    for text in [
        "<presence to='nurse@b.example'/>",
        "<iq type='get' id='1' to='b.example'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<message type='chat' to='nurse@b.example'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
    ] {
        play.says(romeo, ROMEO, text);
    }
    play.tell(Event::AckRequest(romeo));
    assert_eq!(play.remote.len(), 3);
    assert_eq!(play.take(romeo), [ack(4)]);
}

#[test]
fn a_peer_is_told_of_its_message_when_the_receiver_or_the_disk_has_it() {
    let mut play = Play::new();
    let juliet = play.online_sm(JULIET);
    play.tell(Event::PeerManaged(STREAM));
    let from_nurse = |to: &str, body: &str| {
        format!("<message from='nurse@b.example/hall' to='{to}' type='chat'><body>{body}</body></message>")
    };
    play.peer_says(&from_nurse("juliet@a.example", "one"));
    play.tell(Event::PeerAckRequest(STREAM));
    assert_eq!(play.peer_acks, [0u32; 0]);
    assert!(play.take(juliet)[0].contains("<body>one</body>"));
    play.tell(Event::Ack { connection: juliet, h: 2 });
    assert_eq!(play.peer_acks, [1]);

    // Nobody is there: the disk.
    play.peer_says(&from_nurse("romeo@a.example", "two"));
    play.tell(Event::PeerAnswered { link: STREAM, reply: None });
    play.tell(Event::PeerAckRequest(STREAM));
    assert_eq!(play.peer_acks, [1]);
    play.disk_done();
    assert_eq!(play.peer_acks, [1, 3]);

    // The stream breaks while a message is under way: nobody can be told, and nothing is lost.
    play.peer_says(&from_nurse("juliet@a.example", "three"));
    play.tell(Event::PeerGone(STREAM));
    play.tell(Event::Ack { connection: juliet, h: 3 });
    play.tell(Event::PeerAckRequest(STREAM));
    assert_eq!(play.peer_acks, [1, 3]);
}

#[test]
fn a_peer_forges_neither_copies_nor_places_in_an_archive() {
    let mut play = Play::new();
    let juliet = play.online(JULIET);
    play.peer_says(
        "<message from='nurse@b.example/hall' to='juliet@a.example' type='chat'><body>x</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='juliet@a.example' id='1'/>\
         <delay xmlns='urn:xmpp:delay' from='a.example' stamp='2000-01-01T00:00:00Z'/>\
         <sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent></message>",
    );
    let received = play.take(juliet).concat();
    assert!(received.contains("<body>x</body>"), "{received}");
    assert!(!["stanza-id", "2000-01-01", "carbons"].iter().any(|forged| received.contains(forged)), "{received}");
}

#[test]
fn a_peer_asks_subscribes_and_is_shown_presence() {
    let mut play = Play::new();
    let juliet = play.online(JULIET);
    play.peer_says("<presence type='subscribe' from='nurse@b.example' to='juliet@a.example'/>");
    assert!(play.take(juliet).concat().contains("type='subscribe'"));
    play.says(juliet, JULIET, "<presence type='subscribed' to='nurse@b.example'/>");
    let told: Vec<String> = play.remote.drain(..).map(|stanza| stanza.to_text()).collect();
    assert!(told[0].contains("type='subscribed'") && told[0].contains("from='juliet@a.example'"), "{told:?}");
    assert!(told[1].starts_with("<presence") && told[1].contains("from='juliet@a.example/balcony'"), "{told:?}");
    play.peer_says("<presence type='probe' from='nurse@b.example' to='juliet@a.example'/>");
    play.peer_says("<presence type='probe' from='stranger@b.example' to='juliet@a.example'/>");
    let told: Vec<String> = play.remote.drain(..).map(|stanza| stanza.to_text()).collect();
    assert!(told[0].contains("from='juliet@a.example/balcony'"), "{told:?}");
    assert!(told[1].contains("type='unsubscribed'"), "{told:?}");
}
