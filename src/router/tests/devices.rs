//! An account with three devices that come and go: each message is on each of them once, by whatever way it came.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// How messages came.
#[derive(Default)]
struct Figures {
    directly: usize,
    by_copy: usize,
    by_archive: usize,
    /// Known already, and known to be by the id.
    again: usize,
    resumed: usize,
    restarts: usize,
    kills: usize,
}

/// A device as a modern client is: stream management, carbons, and the archive whenever a new session begins.
struct Device {
    jid: String,
    connection: Option<ConnectionId>,
    session: u64,
    handled: u32,
    /// What it shows its user: each message's body with its id in the archive, which its own do not have at first.
    shown: BTreeMap<String, Option<String>>,
    ids: BTreeSet<String>,
    /// The last message of the archive that it knows, all before being known too.
    synced: String,
    /// It has read all of the archive in this session, so what comes now follows without a gap.
    caught_up: bool,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

impl Device {
    fn new(name: &str) -> Device {
        Device {
            jid: format!("juliet@a.example/{name}"),
            connection: None,
            session: 0,
            handled: 0,
            shown: BTreeMap::new(),
            ids: BTreeSet::new(),
            synced: String::new(),
            caught_up: false,
        }
    }

    fn token(&self) -> String {
        format!("{}-{}", self.jid, self.session)
    }

    fn come(&mut self, play: &mut Play, figures: &mut Figures) {
        let connection = play.connect();
        self.connection = Some(connection);
        if self.session > 0 {
            let account = "juliet@a.example".parse().unwrap();
            play.tell(Event::Resume { connection, account, token: self.token(), h: self.handled });
            play.disk_done();
            let texts = play.take(connection);
            if texts[0] == "resumed" {
                figures.resumed += 1;
                return self.read(texts, figures);
            }
        }
        self.session += 1;
        (self.handled, self.caught_up) = (0, false);
        let resumption = Resumption { token: self.token(), patience: Duration::from_secs(60) };
        let start = SessionStart { management: Some(Some(resumption)), carbons: true, inactive: false };
        play.tell(Event::Bind { connection, jid: self.jid.parse().unwrap(), start });
        // Some ask first, others are present first.
        if self.session.is_multiple_of(2) {
            play.says(connection, &self.jid, "<presence/>");
            self.sync(play, figures);
        } else {
            self.sync(play, figures);
            play.says(connection, &self.jid, "<presence/>");
        }
    }

    /// Reads its archive from where it was.
    fn sync(&mut self, play: &mut Play, figures: &mut Figures) {
        let Some(connection) = self.connection else { return };
        loop {
            let set =
                format!("<set xmlns='http://jabber.org/protocol/rsm'><max>7</max><after>{}</after></set>", self.synced);
            play.says(
                connection,
                &self.jid,
                &format!("<iq type='set' id='s'><query xmlns='urn:xmpp:mam:2'>{set}</query></iq>"),
            );
            let texts = play.take(connection);
            let answer = texts.iter().find(|t| t.contains("<fin xmlns='urn:xmpp:mam:2'")).expect("an answer").clone();
            self.read(texts, figures);
            if let Some((_, last)) = answer.split_once("<last>") {
                self.synced = last.split('<').next().unwrap().to_owned();
            }
            if answer.contains("complete='true'") {
                self.caught_up = true;
                return;
            }
        }
    }

    fn read(&mut self, texts: Vec<String>, figures: &mut Figures) {
        for text in texts {
            if !["<message", "<presence", "<iq"].iter().any(|name| text.starts_with(name)) {
                continue;
            }
            self.handled += 1;
            let Some((_, rest)) = text.split_once("<body>") else { continue };
            let body = rest.split('<').next().unwrap().to_owned();
            let id = if let Some((_, rest)) = text.split_once("<result xmlns='urn:xmpp:mam:2' id='") {
                figures.by_archive += 1;
                rest.split('\'').next().unwrap().to_owned()
            } else {
                *(if text.contains("urn:xmpp:carbons:2") { &mut figures.by_copy } else { &mut figures.directly }) += 1;
                let (_, rest) =
                    text.split_once("by='juliet@a.example' id='").unwrap_or_else(|| panic!("no id: {text}"));
                rest.split('\'').next().unwrap().to_owned()
            };
            if self.caught_up && id > self.synced {
                self.synced.clone_from(&id);
            }
            match self.shown.insert(body.clone(), Some(id.clone())) {
                // A message of its own has its id from the archive.
                None | Some(None) => assert!(self.ids.insert(id), "{}: two messages with one id", self.jid),
                Some(Some(known)) => {
                    assert_eq!(known, id, "{}: {body} came again under another id", self.jid);
                    figures.again += 1;
                }
            }
        }
    }

    fn listen(&mut self, play: &mut Play, figures: &mut Figures) {
        let Some(connection) = self.connection else { return };
        let texts = play.take(connection);
        self.read(texts, figures);
        play.tell(Event::Ack { connection, h: self.handled });
    }

    fn say(&mut self, play: &mut Play, body: &str) {
        let Some(connection) = self.connection else { return };
        play.says(connection, &self.jid, &chat("romeo@a.example", body));
        self.shown.insert(body.to_owned(), None);
    }
}

fn one_life(seed: u64, rounds: u64, figures: &mut Figures) -> usize {
    let mut random = Random(seed);
    let mut play = Play::new();
    play.archives("juliet@a.example");
    let mut romeo = play.online(ROMEO);
    let mut devices = ["phone", "tablet", "desk"].map(Device::new);
    let mut said = BTreeSet::new();
    for round in 0..rounds {
        let which = random.below(3) as usize;
        let device = &mut devices[which];
        match random.below(40) {
            0..=11 => {
                let body = format!("to{round}");
                let to = if random.below(3) == 0 { device.jid.clone() } else { "juliet@a.example".to_owned() };
                play.says(romeo, ROMEO, &chat(&to, &body));
                said.insert(body);
            }
            12..=17 if device.connection.is_some() => {
                let body = format!("from{round}");
                device.say(&mut play, &body);
                said.insert(body);
            }
            18..=25 => device.listen(&mut play, figures),
            26..=31 if device.connection.is_none() => device.come(&mut play, figures),
            32..=33 => {
                // Gone without a word; what it had not read is lost with the connection.
                if let Some(connection) = device.connection.take() {
                    play.tell(Event::Lost(connection));
                    play.take(connection);
                }
            }
            34 => {
                device.listen(&mut play, figures);
                if let Some(connection) = device.connection.take() {
                    play.tell(Event::Closed(connection));
                    device.session += 1;
                }
            }
            35 => play.pass(Duration::from_secs(random.below(90))),
            36 if random.below(4) == 0 => {
                figures.restarts += 1;
                devices.iter_mut().for_each(|device| device.connection = None);
                play.restart(Duration::from_secs(random.below(70)));
                play.inboxes.clear();
                romeo = play.online(ROMEO);
            }
            37 if random.below(8) == 0 => {
                figures.kills += 1;
                // All that had been acknowledged is on the disk; in this play everything written is.
                devices.iter_mut().for_each(|device| device.connection = None);
                play.crash();
                play.inboxes.clear();
                romeo = play.online(ROMEO);
            }
            _ => play.disk_done(),
        }
    }
    for device in &mut devices {
        device.listen(&mut play, figures);
        if let Some(connection) = device.connection.take() {
            play.tell(Event::Closed(connection));
            play.take(connection);
        }
        device.session += 1;
    }
    play.pass(Duration::from_secs(61));
    for device in &mut devices {
        device.come(&mut play, figures);
        device.listen(&mut play, figures);
        let shown: BTreeSet<String> = device.shown.keys().cloned().collect();
        assert_eq!(shown, said, "{}", device.jid);
    }
    // Several devices at once, so that nothing waits for an acknowledgement any more.
    for device in &mut devices {
        device.listen(&mut play, figures);
    }
    assert_eq!(play.stored(), 0, "nothing that was delivered stays");
    said.len()
}

#[test]
fn each_message_is_on_each_of_three_devices_once() {
    let first = std::env::var("KONTALK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
    });
    println!("KONTALK_SEED={first}");
    let (mut figures, mut messages) = (Figures::default(), 0);
    // A thousand rounds in one life, then many short lives.
    for (life, rounds) in std::iter::once(1000).chain(std::iter::repeat_n(100, 200)).enumerate() {
        let seed = first.wrapping_add(life as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        messages += one_life(seed, rounds, &mut figures);
    }
    println!(
        "{messages} messages on 3 devices each: {} came directly, {} as copies, {} from the archive, {} of all these were known \
         by their id; {} resumptions, {} restarts, {} kills",
        figures.directly,
        figures.by_copy,
        figures.by_archive,
        figures.again,
        figures.resumed,
        figures.restarts,
        figures.kills
    );
}
