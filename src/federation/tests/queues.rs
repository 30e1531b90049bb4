//! Queues: what is confirmed, sent again, stored, answered, and how much there can be.

use super::*;
use crate::limits;

struct Play {
    queues: Queues,
    now: Now,
}

const LINK: LinkId = LinkId(1);

impl Play {
    fn new() -> Play {
        let now = Now {
            monotonic: Instant::now() + Duration::from_secs(100_000),
            wall: Timestamp { millis: 1_700_000_000_000 },
        };
        Play { queues: Queues::new(limits::S2S_QUEUE_AGE), now }
    }

    /// With a stream that counts.
    fn connected() -> Play {
        let mut play = Play::new();
        play.push(chat("0"), None);
        assert_eq!(play.effects(), [Effect::Dial(pair())]);
        play.queues.attach(&pair(), LINK, Class::Domain, true, true, play.now.monotonic);
        assert_eq!(play.written(LINK), ["0", "ask"]);
        assert!(play.queues.acknowledged(LINK, 1));
        assert_eq!(play.effects(), []);
        play
    }

    fn push(&mut self, stanza: Stanza, receipt: Option<u64>) {
        self.queues.push(self.now, stanza, receipt.map(Receipt)).unwrap();
    }

    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        self.now = Now { monotonic: self.now.monotonic + time, wall: self.now.wall.plus(time) };
        self.queues.tick(self.now.monotonic);
        self.effects()
    }

    fn effects(&mut self) -> Vec<Effect> {
        self.queues.take_effects()
    }

    /// The ids of what is written to a stream until there is nothing more.
    fn written(&mut self, link: LinkId) -> Vec<String> {
        let id = |sent| match sent {
            Sent::Stanza(text) => stanza(&text).id().unwrap_or_default().to_owned(),
            Sent::Ask(_) => "ask".to_owned(),
        };
        std::iter::from_fn(|| self.queues.next(link, self.now.monotonic)).map(id).collect()
    }
}

fn answers(effects: &[Effect]) -> Vec<String> {
    let answer = |effect: &Effect| match effect {
        Effect::Answer(stanza) => Some(stanza.to_text()),
        _ => None,
    };
    effects.iter().filter_map(answer).collect()
}

#[test]
fn what_is_acknowledged_is_taken_in_order() {
    let mut play = Play::connected();
    (1..=3).for_each(|n| play.push(chat(&n.to_string()), Some(n)));
    assert_eq!(play.written(LINK), ["1", "2", "3", "ask"]);
    assert!(play.queues.acknowledged(LINK, 3));
    assert_eq!(play.effects(), [1, 2].map(|n| Effect::Taken(Receipt(n))));
    // The same count again says nothing new.
    assert!(play.queues.acknowledged(LINK, 3));
    assert_eq!(play.written(LINK), [""; 0], "a question is open");
    assert!(play.queues.acknowledged(LINK, 4));
    assert_eq!(play.effects(), [Effect::Taken(Receipt(3))]);
    assert_eq!((play.queues.stanzas(), play.queues.bytes()), (0, 0));
    // More than was ever sent.
    assert!(!play.queues.acknowledged(LINK, 5));
    assert!(!play.queues.acknowledged(LINK, 3), "counts do not go back: that would be nearly all of 2^32");
}

#[test]
fn a_broken_stream_is_sent_again_in_order_and_requests_come_back() {
    let mut play = Play::connected();
    play.push(chat("1"), Some(1));
    play.push(chat("2"), Some(2));
    let request = "<iq type='get' id='3' from='romeo@a.example/x' to='b.example'><q xmlns='x'/></iq>";
    play.push(stanza(request), None);
    assert_eq!(play.written(LINK), ["1", "2", "3", "ask"]);
    play.push(chat("4"), Some(4));
    assert!(play.queues.acknowledged(LINK, 2));
    play.queues.detach(LINK, play.now.monotonic, 0);
    let effects = play.effects();
    assert_eq!(effects[0], Effect::Taken(Receipt(1)));
    let told = answers(&effects);
    assert!(told.len() == 1 && told[0].contains("id='3'") && told[0].contains("remote-server-timeout"), "{told:?}");
    assert_eq!(play.pass(limits::S2S_RETRY_FIRST), [Effect::Dial(pair())]);
    play.queues.attach(&pair(), LinkId(2), Class::Domain, false, true, play.now.monotonic);
    assert_eq!(play.written(LinkId(2)), ["2", "4", "ask"]);
    // Nothing of the old stream counts any more.
    assert!(play.queues.acknowledged(LINK, 4));
    assert_eq!(play.effects(), []);
    play.queues.ponged(PingNumber { link: LinkId(2), sent: 2 }, &domain("c.example"));
    assert_eq!(play.effects(), [], "another domain cannot answer");
    play.queues.ponged(PingNumber { link: LinkId(2), sent: 2 }, &domain("b.example"));
    assert_eq!(play.effects(), [2, 4].map(|n| Effect::Taken(Receipt(n))));
}

#[test]
fn a_stream_that_begins_to_count_late_counts_from_there() {
    let mut play = Play::new();
    play.queues.attach(&pair(), LINK, Class::Domain, false, false, play.now.monotonic);
    play.push(chat("1"), Some(1));
    assert_eq!(play.written(LINK), ["1", "ask"]);
    play.queues.manage(LINK);
    play.push(chat("2"), Some(2));
    assert_eq!(play.written(LINK), ["2", "ask"]);
    assert!(!play.queues.acknowledged(LINK, 2));
    assert!(play.queues.acknowledged(LINK, 1));
    assert_eq!(play.effects(), [1, 2].map(|n| Effect::Taken(Receipt(n))));
}

#[test]
fn counts_go_round_at_two_to_the_thirty_two() {
    let mut play = Play::connected();
    for n in 2..=100u64 {
        play.push(chat("x"), None);
        play.written(LINK);
        assert!(play.queues.acknowledged(LINK, u32::try_from(n).unwrap()));
    }
    assert!(!play.queues.acknowledged(LINK, 0));
}

#[test]
fn what_takes_long_is_stored_and_forgotten_when_it_is_confirmed() {
    let mut play = Play::connected();
    play.push(chat("1"), Some(1));
    play.push(chat("2"), None);
    play.written(LINK);
    assert_eq!(play.pass(limits::ACK_PATIENCE / 2), []);
    let effects = play.pass(limits::ACK_PATIENCE);
    let [Effect::Store(of, number)] = effects.as_slice() else { panic!("{effects:?}") };
    let outgoing = play.queues.to_store(of, *number).unwrap();
    assert_eq!((outgoing.pair, stanza(&outgoing.text).id()), (pair(), Some("1")));
    assert_eq!(play.queues.stored(of, *number, OutgoingId(77)), Some(Receipt(1)));
    assert_eq!(play.pass(limits::ACK_PATIENCE), [], "once");
    assert!(play.queues.acknowledged(LINK, 3));
    assert_eq!(play.effects(), [Effect::Forget(OutgoingId(77))]);
    assert_eq!(play.queues.to_store(of, *number), None);
}

#[test]
fn the_stopping_node_stores_whatever_must_not_be_lost_and_has_it_again() {
    let mut play = Play::connected();
    play.push(chat("1"), Some(1));
    play.written(LINK);
    play.push(chat("2"), None);
    play.push(stanza("<presence from='romeo@a.example/x' to='nurse@b.example'/>"), None);
    play.push(stanza("<presence type='subscribe' from='romeo@a.example' to='nurse@b.example'/>"), None);
    play.queues.stop();
    let mut kept = Vec::new();
    for effect in play.effects() {
        let Effect::Store(of, number) = effect else { panic!("{effect:?}") };
        kept.push(play.queues.to_store(&of, number).unwrap());
    }
    assert_eq!(kept.len(), 3);
    assert!(play.queues.push(play.now, chat("3"), None).is_err());
    let mut play = Play::new();
    play.queues.restore(play.now, kept);
    assert_eq!(play.effects(), [Effect::Dial(pair())]);
    play.queues.attach(&pair(), LINK, Class::Domain, true, true, play.now.monotonic);
    assert_eq!(play.written(LINK), ["1", "2", "", "ask"]);
    assert_eq!(play.pass(limits::ACK_PATIENCE), [], "it is stored already");
    assert!(play.queues.acknowledged(LINK, 3));
    assert_eq!(play.effects().len(), 3);
}

#[test]
fn what_cannot_be_delivered_comes_back_once_and_errors_do_not() {
    let mut play = Play::new();
    play.push(chat("1"), Some(1));
    play.effects();
    let error = "<message type='error' from='romeo@a.example' to='nurse@b.example'><error type='cancel'/></message>";
    play.push(stanza(error), None);
    play.push(stanza("<iq type='result' id='2' from='romeo@a.example/x' to='b.example'/>"), None);
    play.push(stanza("<presence from='romeo@a.example/x' to='nurse@b.example'/>"), None);
    let room = "<message type='groupchat' id='3' from='romeo@a.example/x' to='room@b.example'><body>x</body></message>";
    play.push(stanza(room), None);
    let composing = "<message type='chat' from='romeo@a.example/x' to='nurse@b.example'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
    play.push(stanza(composing), None);
    let mut all = Vec::new();
    let mut dials = 0;
    for _ in 0..4000 {
        let effects = play.pass(Duration::from_secs(1));
        if effects.contains(&Effect::Dial(pair())) {
            dials += 1;
            play.queues.dial_failed(&pair(), &DialFault::Unreachable, play.now.monotonic, u32::MAX);
        }
        all.extend(effects);
    }
    // The first dial is never answered in this play, so there are none before it ends.
    assert_eq!(dials, 0);
    let told = answers(&all);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("id='1'") && told[1].contains("id='3'") && told[1].contains("remote-server-timeout"));
    assert_eq!(all.iter().filter(|effect| **effect == Effect::Taken(Receipt(1))).count(), 1);
    assert_eq!(play.queues.stanzas(), 0);
}

#[test]
fn dialling_waits_longer_each_time_and_gives_up_at_once_where_nobody_is() {
    let mut play = Play::new();
    play.push(chat("1"), Some(1));
    assert_eq!(play.effects(), [Effect::Dial(pair())]);
    let mut waits = Vec::new();
    for _ in 0..4 {
        play.queues.dial_failed(&pair(), &DialFault::Unreachable, play.now.monotonic, u32::MAX);
        let mut waited = Duration::ZERO;
        while !play.pass(limits::S2S_TICK).contains(&Effect::Dial(pair())) {
            waited += limits::S2S_TICK;
        }
        waits.push(waited.as_secs());
    }
    assert_eq!(waits, [0, 1, 3, 7]);
    play.queues.dial_failed(&pair(), &DialFault::NoSuchDomain, play.now.monotonic, u32::MAX);
    let effects = play.effects();
    assert!(answers(&effects)[0].contains("remote-server-not-found"));
    assert!(effects.contains(&Effect::Taken(Receipt(1))));
}

#[test]
fn a_request_does_not_wait_for_a_second_dial() {
    let mut play = Play::new();
    play.push(stanza("<iq type='get' id='3' from='romeo@a.example/x' to='b.example'><q xmlns='x'/></iq>"), None);
    play.push(chat("1"), None);
    play.queues.dial_failed(&pair(), &DialFault::NoNameServer, play.now.monotonic, 0);
    let told = answers(&play.effects());
    assert!(told.len() == 1 && told[0].contains("id='3'"), "{told:?}");
    assert_eq!(play.queues.stanzas(), 1);
}

#[test]
fn a_silent_peer_is_dead_if_it_ever_answered() {
    let mut play = Play::connected();
    play.push(chat("1"), Some(1));
    play.written(LINK);
    assert_eq!(play.queues.look_at(LINK, play.now.monotonic), Confirmation::Fine);
    play.pass(limits::PING_TIMEOUT);
    assert_eq!(play.queues.look_at(LINK, play.now.monotonic), Confirmation::Dead);

    // One that never answers pings keeps its stream; what it took is with it.
    let mut play = Play::new();
    play.queues.attach(&pair(), LINK, Class::Dialback, false, false, play.now.monotonic);
    play.push(chat("1"), Some(1));
    assert_eq!(play.written(LINK), ["1", "ask"]);
    play.pass(limits::PING_TIMEOUT);
    assert_eq!(play.queues.look_at(LINK, play.now.monotonic), Confirmation::Fine);
    assert!(play.effects().contains(&Effect::Taken(Receipt(1))));
    play.pass(limits::S2S_IDLE);
    assert_eq!(play.queues.look_at(LINK, play.now.monotonic), Confirmation::Idle);
}

#[test]
fn the_stream_of_a_node_is_kept_alive() {
    let mut play = Play::new();
    play.queues.attach(&pair(), LINK, Class::Node, true, false, play.now.monotonic);
    assert_eq!(play.written(LINK), [""; 0]);
    play.pass(limits::S2S_NODE_IDLE_BEFORE_PING);
    assert_eq!(play.written(LINK), ["ask"]);
    assert!(play.queues.acknowledged(LINK, 0));
    play.pass(limits::S2S_IDLE);
    assert_eq!(play.queues.look_at(LINK, play.now.monotonic), Confirmation::Fine);
}

#[test]
fn one_stream_is_used_and_the_next_takes_over() {
    let mut play = Play::connected();
    play.queues.attach(&pair(), LinkId(2), Class::Domain, true, false, play.now.monotonic);
    play.push(chat("1"), None);
    assert_eq!(play.written(LinkId(2)), [""; 0]);
    assert_eq!(play.written(LINK), ["1", "ask"]);
    play.queues.detach(LINK, play.now.monotonic, 0);
    assert_eq!(play.written(LinkId(2)), ["1", "ask"]);
    assert_eq!(play.pass(Duration::from_secs(1)), [], "nobody dials while there is a stream");
    play.queues.closed_in_order(LinkId(2));
    assert_eq!(play.queues.stanzas(), 0);
}

#[test]
fn a_message_that_waited_says_since_when() {
    let mut play = Play::new();
    play.push(chat("1"), None);
    let stamp = play.now.wall.to_string();
    play.pass(limits::S2S_DELAY_TOLD_AFTER);
    play.queues.attach(&pair(), LINK, Class::Domain, true, true, play.now.monotonic);
    let Some(Sent::Stanza(text)) = play.queues.next(LINK, play.now.monotonic) else { panic!() };
    assert!(text.contains(&format!("<delay xmlns='urn:xmpp:delay' from='a.example' stamp='{stamp}'/>")), "{text}");
}

#[test]
fn a_thousand_domains_and_a_flood_stay_within_their_limits() {
    let mut play = Play::new();
    let body = "x".repeat(2000);
    let mut refused = 0;
    for n in 0..20_000 {
        let to = format!("d{}.example", n % 3000);
        let text = format!("<message id='{n}' from='romeo@a.example/x' to='{to}'><body>{body}</body></message>");
        if let Err(back) = play.queues.push(play.now, stanza(&text), None) {
            assert_eq!(back.error.condition(), StanzaCondition::ResourceConstraint);
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert!(play.queues.pairs() <= limits::S2S_PAIRS_MAX);
    assert!(play.queues.bytes() <= limits::S2S_QUEUED_BYTES_MAX);
    let dials = play.effects().iter().filter(|effect| matches!(effect, Effect::Dial(_))).count();
    assert_eq!(dials, limits::S2S_DIALS_MAX);
    // All come back in the end.
    let waiting = play.queues.stanzas();
    assert_eq!(waiting + refused, 20_000);
    let effects = play.pass(limits::S2S_QUEUE_AGE);
    assert_eq!(answers(&effects).len(), waiting);
    assert_eq!((play.queues.stanzas(), play.queues.bytes()), (0, 0));
}
