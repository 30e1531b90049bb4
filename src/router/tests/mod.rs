//! The router between clients of paper: what each receives, with time and disk moved by hand.

mod acknowledgement;
mod archive;
mod delivery;
mod devices;
mod extensions;
mod peers;
mod presence;
mod random;
mod remote;
mod restart;
mod wake;

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
    nodes: Vec<BareJid>,
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

    fn last_seen(&self, account: &BareJid) -> Result<Option<Timestamp>, StorageFault> {
        Ok(self.accounts.contains(account).then_some(Timestamp { millis: 1_600_000_000_000 }))
    }

    fn key_fingerprint(&self, account: &BareJid) -> Result<Option<String>, StorageFault> {
        Ok(self.keys.contains_key(account).then(|| "55E1B93EFE0915BCC9E2205191A508011DCD7816".to_owned()))
    }

    fn key_ring(&self, account: &BareJid) -> Result<Option<Vec<u8>>, StorageFault> {
        Ok(self.keys.get(account).cloned())
    }

    fn trusts_node(&self, domain: &BareJid) -> bool {
        self.nodes.contains(domain)
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
    replies: Vec<Stanza>,
    remote: Vec<Stanza>,
    /// What peers were told.
    peer_acks: Vec<u32>,
    /// For whom something waits, and who does not answer.
    unread: Vec<String>,
    /// Other domains take nothing until the test says so.
    remote_slow: bool,
    receipts: Vec<Receipt>,
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
            replies: Vec::new(),
            remote: Vec::new(),
            peer_acks: Vec::new(),
            unread: Vec::new(),
            remote_slow: false,
            receipts: Vec::new(),
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
                        let inbox = self.inboxes.entry(connection).or_default();
                        match outcome {
                            Ok(Resumed { h, .. }) => {
                                // The stream tells the client so.
                                inbox.push("resumed".to_owned());
                                inbox.push(format!("<resumed xmlns='urn:xmpp:sm:3' h='{h}'/>"));
                            }
                            Err(_) => inbox.push("not resumed".to_owned()),
                        }
                    }
                    Action::Serve(stanza) => self.served.push(stanza),
                    Action::PeerAck { h, .. } => self.peer_acks.push(h),
                    Action::Remote(stanza, receipt) => {
                        self.remote.push(stanza);
                        match receipt {
                            Some(receipt) if self.remote_slow => self.receipts.push(receipt),
                            Some(receipt) => events.push(Event::RemoteTaken(receipt)),
                            None => {}
                        }
                    }
                    Action::Unread { account, silent } => {
                        let silent: Vec<String> = silent.iter().map(|jid| jid.resource().to_owned()).collect();
                        self.unread.push(format!("{} {}", account.localpart().unwrap_or_default(), silent.join(",")));
                    }
                    Action::Reply(answer) => self.replies.push(answer),
                    Action::WentOffline(_) | Action::Arrived(_) | Action::NowSees { .. } => {}
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
        self.tell(Event::Bind { connection, jid: jid.parse().unwrap(), start: SessionStart::default() });
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

    /// The account's messages are archived from now on.
    fn archives(&mut self, account: &str) {
        let always = Preferences::of(DefaultPreference::Always);
        self.router.storage.preferences.insert(account.parse().unwrap(), always);
    }

    /// The node stops in order and is started again on the same store after `pause`. The connections are gone.
    fn restart(&mut self, pause: Duration) {
        self.tell(Event::Shutdown);
        self.start_again(pause);
    }

    /// It was killed.
    fn crash(&mut self) {
        self.start_again(Duration::ZERO);
    }

    fn start_again(&mut self, pause: Duration) {
        self.now.monotonic += pause;
        self.now.wall = self.now.wall.plus(pause);
        let mut paper = std::mem::take(&mut self.router.storage);
        let kept = std::mem::take(&mut paper.kept);
        self.router = Router::new(BareJid::domain("a.example").unwrap(), paper, self.now);
        self.router.restore(kept);
        self.disk_done();
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
