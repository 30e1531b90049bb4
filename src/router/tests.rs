//! The router between clients of paper: what each receives, with time and disk moved by hand.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::*;
use crate::archive::{ArchiveId, Archived, DefaultPreference, Filter, Preferences};
use crate::roster::{BlockList, Entry, Roster};
use crate::xml::{ns, parse_document};

/// A store in memory whose disk is slow: tickets become durable when the test says so.
#[derive(Default)]
struct Paper {
    accounts: Vec<BareJid>,
    entries: BTreeMap<(BareJid, BareJid), Entry>,
    versions: HashMap<BareJid, u64>,
    blocked: HashMap<BareJid, BlockList>,
    offline: BTreeMap<(BareJid, u64), (String, Timestamp)>,
    tickets: u64,
    keys: HashMap<BareJid, Vec<u8>>,
    full: bool,
    archives: BTreeMap<(BareJid, ArchiveId), (String, Archived)>,
    preferences: HashMap<BareJid, Preferences>,
    kept: Vec<KeptSession>,
}

impl Paper {
    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

impl Storage for Paper {
    fn account_exists(&self, account: &BareJid) -> Result<bool, StorageFault> {
        Ok(self.accounts.contains(account))
    }

    fn key_fingerprint(&self, account: &BareJid) -> Result<Option<String>, StorageFault> {
        Ok(self.keys.contains_key(account).then(|| "55E1B93EFE0915BCC9E2205191A508011DCD7816".to_owned()))
    }

    fn key_ring(&self, account: &BareJid) -> Result<Option<Vec<u8>>, StorageFault> {
        Ok(self.keys.get(account).cloned())
    }

    fn roster(&self, account: &BareJid) -> Result<Roster, StorageFault> {
        let own = self.entries.iter().filter(|((owner, _), _)| owner == account);
        let entries = own.map(|((_, contact), entry)| (contact.clone(), entry.clone())).collect();
        Ok(Roster { version: self.versions.get(account).copied().unwrap_or(0), entries })
    }

    fn entry(&self, account: &BareJid, contact: &BareJid) -> Result<Entry, StorageFault> {
        Ok(self.entries.get(&(account.clone(), contact.clone())).cloned().unwrap_or_default())
    }

    fn save_entry(
        &mut self,
        account: &BareJid,
        contact: &BareJid,
        entry: &Entry,
        bump: bool,
    ) -> Result<(u64, Ticket), StorageFault> {
        self.entries.insert((account.clone(), contact.clone()), entry.clone());
        let version = self.versions.entry(account.clone()).or_default();
        *version += u64::from(bump);
        let version = *version;
        Ok((version, self.ticket()))
    }

    fn block_list(&self, account: &BareJid) -> Result<BlockList, StorageFault> {
        Ok(self.blocked.get(account).cloned().unwrap_or_default())
    }

    fn save_block_list(&mut self, account: &BareJid, list: &BlockList) -> Result<Ticket, StorageFault> {
        self.blocked.insert(account.clone(), list.clone());
        Ok(self.ticket())
    }

    fn store_offline(
        &mut self,
        account: &BareJid,
        stanza: &str,
        stamp: Timestamp,
    ) -> Result<(OfflineId, Ticket), StorageFault> {
        if self.full {
            return Err(StorageFault::Full);
        }
        let ticket = self.ticket();
        self.offline.insert((account.clone(), ticket.0), (stanza.to_owned(), stamp));
        Ok((OfflineId { chunk: ticket.0, index: 0 }, ticket))
    }

    fn offline(
        &mut self,
        account: &BareJid,
        _now: Timestamp,
        after: Option<OfflineId>,
        count_max: usize,
    ) -> Result<Vec<OfflineMessage>, StorageFault> {
        let behind = |chunk: u64| after.is_none_or(|after| chunk > after.chunk);
        let own = self.offline.iter().filter(|((owner, chunk), _)| owner == account && behind(*chunk)).take(count_max);
        let message = |((_, chunk), (stanza, stamp)): (&(BareJid, u64), &(String, Timestamp))| OfflineMessage {
            id: OfflineId { chunk: *chunk, index: 0 },
            stanza: stanza.clone(),
            stamp: *stamp,
        };
        Ok(own.map(message).collect())
    }

    fn delete_offline(&mut self, account: &BareJid, ids: &[OfflineId]) -> Result<(), StorageFault> {
        for id in ids {
            self.offline.remove(&(account.clone(), id.chunk));
        }
        Ok(())
    }

    fn archive_preferences(&self, account: &BareJid) -> Result<Preferences, StorageFault> {
        let never = Preferences::of(DefaultPreference::Never);
        Ok(self.preferences.get(account).cloned().unwrap_or(never))
    }

    fn save_archive_preferences(
        &mut self,
        account: &BareJid,
        preferences: &Preferences,
    ) -> Result<Ticket, StorageFault> {
        self.preferences.insert(account.clone(), preferences.clone());
        Ok(self.ticket())
    }

    fn archive(
        &mut self,
        account: &BareJid,
        with: &Jid,
        stanza: &str,
        stamp: Timestamp,
    ) -> Result<(ArchiveId, Ticket), StorageFault> {
        let ticket = self.ticket();
        let id = ArchiveId(ticket.0);
        let archived = Archived { id, stamp, stanza: stanza.to_owned() };
        self.archives.insert((account.clone(), id), (with.to_string(), archived));
        Ok((id, ticket))
    }

    fn archive_scan(&mut self, account: &BareJid, filter: &Filter) -> Result<ArchiveScan, StorageFault> {
        let mut scan = ArchiveScan::default();
        for ((_, id), (with, archived)) in self.archives.iter().filter(|((owner, _), _)| owner == account) {
            scan.all.push(*id);
            if filter.matches(*id, archived.stamp, with) {
                scan.matching.push(*id);
            }
        }
        Ok(scan)
    }

    fn archived(&mut self, account: &BareJid, ids: &[ArchiveId], _: usize) -> Result<Vec<Archived>, StorageFault> {
        Ok(ids.iter().filter_map(|id| Some(self.archives.get(&(account.clone(), *id))?.1.clone())).collect())
    }

    fn keep_sessions(&mut self, sessions: Vec<KeptSession>) -> Result<(), StorageFault> {
        self.kept = sessions;
        Ok(())
    }
}

struct Play {
    router: Router<Paper>,
    now: Now,
    inboxes: HashMap<ConnectionId, Vec<String>>,
    served: Vec<Stanza>,
    remote: Vec<Stanza>,
    /// Report everything as written at once.
    sockets_drain: bool,
    next: u64,
}

impl Play {
    fn new() -> Play {
        let now = Now { monotonic: Instant::now(), wall: Timestamp { millis: 1_700_000_000_000 } };
        let accounts = ["romeo", "juliet", "tybalt"].map(|l| BareJid::new(Some(l), "a.example").unwrap());
        let paper = Paper { accounts: accounts.to_vec(), ..Paper::default() };
        Play {
            router: Router::new(BareJid::domain("a.example").unwrap(), paper, now),
            now,
            inboxes: HashMap::new(),
            served: Vec::new(),
            remote: Vec::new(),
            sockets_drain: true,
            next: 0,
        }
    }

    fn tell(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut actions = Vec::new();
            self.router.handle(self.now, event, &mut actions);
            for action in actions {
                match action {
                    Action::Send { connection, text, number } => {
                        self.inboxes.entry(connection).or_default().push(text.to_string());
                        if let Some(up_to) = number.filter(|_| self.sockets_drain) {
                            events.push(Event::Written { connection, up_to });
                        }
                    }
                    Action::Close { connection, error } => {
                        let condition = error.map_or("end", |e| e.condition.as_str());
                        self.inboxes.entry(connection).or_default().push(format!("closed: {condition}"));
                    }
                    Action::Bound { connection, outcome } => {
                        let text = outcome.map_or_else(|e| e.condition().as_str().to_owned(), |_| "bound".to_owned());
                        self.inboxes.entry(connection).or_default().push(text);
                    }
                    Action::Resumed { connection, outcome } => {
                        let text = if outcome.is_ok() { "resumed" } else { "not resumed" };
                        self.inboxes.entry(connection).or_default().push(text.to_owned());
                    }
                    Action::Serve(stanza) => self.served.push(stanza),
                    Action::Remote(stanza) => self.remote.push(stanza),
                    Action::WentOffline(_) => {}
                }
            }
        }
    }

    fn connect(&mut self) -> ConnectionId {
        self.next += 1;
        ConnectionId(self.next)
    }

    fn bind(&mut self, jid: &str) -> ConnectionId {
        let connection = self.connect();
        self.tell(Event::Bind { connection, jid: jid.parse().unwrap() });
        assert_eq!(self.take(connection), ["bound"]);
        connection
    }

    /// Bound, available, nothing unread.
    fn online(&mut self, jid: &str) -> ConnectionId {
        let connection = self.bind(jid);
        self.says(connection, jid, "<presence/>");
        self.take(connection);
        connection
    }

    /// The same with stream management that can be resumed by the JID as its token.
    fn online_sm(&mut self, jid: &str) -> ConnectionId {
        let connection = self.bind(jid);
        let resumption = Some(Resumption { token: jid.to_owned(), patience: Duration::from_secs(60) });
        self.tell(Event::EnableStreamManagement { connection, resumption });
        self.says(connection, jid, "<presence/>");
        let h = self.take(connection).iter().filter(|t| t.starts_with("<presence")).count() as u32;
        self.tell(Event::Ack { connection, h });
        self.take(connection);
        connection
    }

    fn says(&mut self, connection: ConnectionId, jid: &str, text: &str) {
        let mut stanza = Stanza::new(parse_document(text, ns::CLIENT, 20).unwrap()).unwrap();
        stanza.set_from(Some(jid.parse().unwrap()));
        self.tell(Event::Stanza { connection, stanza });
    }

    fn take(&mut self, connection: ConnectionId) -> Vec<String> {
        self.inboxes.remove(&connection).unwrap_or_default()
    }

    /// The bodies among what was received.
    fn bodies(&mut self, connection: ConnectionId) -> Vec<String> {
        let body = |text: &String| {
            let element = parse_document(text, ns::CLIENT, 20).ok()?;
            element.child("body", ns::CLIENT).map(|body| body.text())
        };
        self.take(connection).iter().filter_map(body).collect()
    }

    fn disk_done(&mut self) {
        let ticket = Ticket(self.router.storage.tickets);
        self.tell(Event::Durable(ticket));
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall = self.now.wall.plus(time);
        self.tell(Event::Tick);
    }

    fn stored(&self) -> usize {
        self.router.storage.offline.len()
    }
}

const ROMEO: &str = "romeo@a.example/orchard";
const JULIET: &str = "juliet@a.example/balcony";
const JULIET_PHONE: &str = "juliet@a.example/phone";

fn chat(to: &str, body: &str) -> String {
    format!("<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>")
}

fn ack(h: u32) -> String {
    format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")
}

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
    assert!(play.take(juliet).iter().any(|t| t.contains("type='unsubscribed'")));
    let left = play.router.storage.entry(&j, &r).unwrap();
    assert_eq!(left.subscription(), crate::roster::Subscription::None);
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
        let romeo = play.online_sm(ROMEO);
        let juliet = play.online_sm(JULIET);
        let group = format!(
            "<message to='{place}' type='chat' id='g1'><addresses xmlns='http://jabber.org/protocol/address'>\
             <address type='to' jid='juliet@a.example'/><address type='to' jid='tybalt@a.example'/>\
             <address type='to' jid='juliet@a.example'/><address type='cc' jid='nurse@a.example'/>\
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
        assert_eq!(play.take(romeo), [ack(2)]);
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
