//! Three devices of one user come and go at random while messages arrive: none is lost, none comes twice without need.

use std::collections::BTreeSet;

use super::*;

/// A device with stream management. What it was sent and has not read yet may be lost with its connection.
#[derive(Default)]
struct Device {
    connection: Option<ConnectionId>,
    /// It may resume as long as the node waits for it.
    resumable: bool,
    session: u64,
    /// Stanzas handled in this session.
    handled: u32,
    acknowledged: u32,
    /// Messages read in this session.
    fresh: Vec<String>,
    /// Messages read and acknowledged, ever.
    had: BTreeSet<String>,
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

const DEVICES: [&str; 3] = ["juliet@a.example/phone", "juliet@a.example/tablet", "juliet@a.example/desk"];

impl Device {
    /// Reads some of what was sent; the rest stays. Carbons count as the message they copy.
    fn read(&mut self, play: &mut Play, random: &mut Random) {
        let Some(connection) = self.connection else { return };
        let inbox = play.take(connection);
        let read = random.below(inbox.len() as u64 + 1) as usize;
        let (now, later) = inbox.split_at(read);
        play.inboxes.insert(connection, later.to_vec());
        for text in now {
            self.take(text);
        }
    }

    fn take(&mut self, text: &str) {
        if !["<message", "<presence", "<iq"].iter().any(|name| text.starts_with(name)) {
            return;
        }
        self.handled += 1;
        let Some((_, rest)) = text.split_once("<body>") else { return };
        let body = rest.split('<').next().unwrap().to_owned();
        assert!(!self.had.contains(&body), "{body} came again though it was acknowledged");
        assert!(!self.fresh.contains(&body), "{body} came twice in one session");
        self.fresh.push(body);
    }

    fn acknowledge(&mut self, play: &mut Play) {
        let Some(connection) = self.connection else { return };
        self.acknowledged = self.handled;
        self.had.extend(self.fresh.iter().cloned());
        // Within a session nothing comes twice, acknowledged or not; across sessions what was acknowledged does not.
        play.tell(Event::Ack { connection, h: self.handled });
    }

    fn come(&mut self, play: &mut Play, jid: &str) {
        let connection = play.connect();
        if self.resumable {
            let account = "juliet@a.example".parse().unwrap();
            let token = format!("{jid}-{}", self.session);
            play.tell(Event::Resume { connection, account, token, h: self.handled });
            // What it needs to be safe first is on the disk at once here.
            play.disk_done();
            let inbox = play.take(connection);
            if inbox.first().is_some_and(|text| text == "resumed") {
                self.acknowledged = self.handled;
                self.had.extend(self.fresh.iter().cloned());
                play.inboxes.insert(connection, inbox);
                self.connection = Some(connection);
                return;
            }
        }
        self.session += 1;
        (self.handled, self.acknowledged) = (0, 0);
        self.fresh.clear();
        let resumption = Resumption { token: format!("{jid}-{}", self.session), patience: Duration::from_secs(60) };
        let start = SessionStart { management: Some(Some(resumption)), carbons: true, inactive: false };
        play.tell(Event::Bind { connection, jid: jid.parse().unwrap(), start });
        play.says(connection, jid, "<presence/>");
        self.connection = Some(connection);
        self.resumable = true;
    }

    fn go(&mut self, play: &mut Play, politely: bool) {
        let Some(connection) = self.connection.take() else { return };
        if politely {
            self.connection = Some(connection);
            self.acknowledge(play);
            self.connection = None;
            self.resumable = false;
            play.tell(Event::Closed(connection));
        } else {
            play.tell(Event::Lost(connection));
        }
        play.take(connection);
    }
}

fn one_life(seed: u64) -> usize {
    let mut random = Random(seed);
    let mut play = Play::new();
    let romeo = play.online_sm(ROMEO);
    let mut devices: [Device; 3] = Default::default();
    let mut sent = Vec::new();
    for _ in 0..60 {
        let which = random.below(3) as usize;
        let (device, jid) = (&mut devices[which], DEVICES[which]);
        match random.below(10) {
            0..=2 => {
                let body = format!("m{}", sent.len());
                let to = if random.below(2) == 0 { "juliet@a.example" } else { jid };
                play.says(romeo, ROMEO, &chat(to, &body));
                sent.push(body);
            }
            3 | 4 if device.connection.is_none() => device.come(&mut play, jid),
            5 | 6 => device.read(&mut play, &mut random),
            7 => device.acknowledge(&mut play),
            8 => {
                let politely = random.below(2) == 0;
                device.go(&mut play, politely);
            }
            _ => {
                play.disk_done();
                play.pass(Duration::from_secs(random.below(40)));
            }
        }
    }
    // In the end all come back and read everything.
    play.pass(Duration::from_secs(61));
    for (device, jid) in devices.iter_mut().zip(DEVICES) {
        if device.connection.is_none() {
            device.come(&mut play, jid);
        }
    }
    for _ in 0..3 {
        for device in &mut devices {
            let connection = device.connection.unwrap();
            for text in play.take(connection) {
                device.take(&text);
            }
            device.acknowledge(&mut play);
        }
        play.disk_done();
    }
    for body in &sent {
        assert!(devices.iter().any(|device| device.had.contains(body)), "{body} of {} is lost", sent.len());
    }
    assert_eq!(play.stored(), 0, "nothing that was delivered stays");
    play.tell(Event::AckRequest(romeo));
    assert_eq!(play.take(romeo).pop(), Some(ack(sent.len() as u32 + 1)), "and all of it is acknowledged");
    sent.len()
}

#[test]
fn a_thousand_lives_of_three_devices_lose_nothing_and_repeat_nothing_without_need() {
    let first = std::env::var("KONTALK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
    });
    let mut messages = 0;
    for life in 0..1000 {
        let seed = first.wrapping_add(life).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let outcome = std::panic::catch_unwind(|| one_life(seed));
        match outcome {
            Ok(sent) => messages += sent,
            Err(panic) => {
                eprintln!("life {life} of KONTALK_SEED={first}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("1,000 lives, {messages} messages, KONTALK_SEED={first}");
}
