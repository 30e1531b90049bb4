//! Whole nodes without their sockets, on real stores, with time by hand: a ring of ten for ten days, certifications that end and are
//! renewed, an old backup.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::visits::Visited;
use super::{Renewal, RenewalFault, Renewed, Trust, TrustReply, TrustRequest, renew};
use crate::config;
use crate::jid::BareJid;
use crate::pgp::keys::ClientKey;
use crate::pgp::{ServerKey, UserRing};
use crate::stanza::Timestamp;
use crate::store::Store;
use crate::trust::{Class, End, NodeDomain, VisitRefusal, edge};

const DAY: u64 = 86_400;

fn at(secs: u64) -> Timestamp {
    Timestamp { millis: (1_700_000_000 + secs) * 1000 }
}

/// A node, and one user who is at home there.
struct Node {
    name: String,
    dir: PathBuf,
    trust: Option<Trust>,
    user: UserRing,
    tls: [u8; 32],
    words: String,
}

impl Node {
    fn new(number: u8) -> Node {
        let name = format!("n{number}.example");
        let dir = std::env::temp_dir().join(format!("kontalk-trust-{}-{}", std::process::id(), name));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let key = ServerKey::generate(&name, at(0)).unwrap();
        std::fs::write(dir.join("server-key.pgp"), key.to_secret_bytes()).unwrap();
        let address: BareJid = format!("{:040x}@{name}", u64::from(number) + 1).parse().unwrap();
        let client = ClientKey::numbered(
            0,
            &format!("User <{address}>"),
            UNIX_EPOCH + Duration::from_secs(at(1 + u64::from(number)).secs()),
        );
        let user = key.certify(&UserRing::parse(&client.public_ring()).unwrap(), &address, at(100)).unwrap();
        let mut node = Node { name, dir, trust: None, user, tls: [number; 32], words: String::new() };
        node.start(at(200));
        node.words = node.trust().make_card(at(200)).unwrap().unwrap().to_string();
        let mut account = crate::store::Account::new(at(100));
        account.fingerprint = Some(node.user.fingerprint().0);
        node.trust().store.add_account(&address, &account).unwrap();
        node.trust().store.save_login(&address, node.user.fingerprint().0, &node.user.to_bytes()).unwrap();
        node.trust().round(1, node.tls, at(200));
        node
    }

    fn start(&mut self, now: Timestamp) {
        let key = ServerKey::from_bytes(&std::fs::read(self.dir.join("server-key.pgp")).unwrap()).unwrap();
        let store = Store::open(&self.dir.join("store")).unwrap();
        let domain = BareJid::domain(&self.name).unwrap();
        let settings = config::Trust { visitor_logins_per_hour_max: 100_000, ..config::Trust::default() };
        self.trust = Trust::open(&domain, &self.dir, store, Arc::new(key), settings, now).unwrap();
    }

    fn stop(&mut self) {
        let trust = self.trust.take().unwrap();
        trust.store.close().unwrap();
    }

    /// Stops, renews its keys by the words, and starts again. The user fetches what was certified.
    fn renew(&mut self, what: Renewal, now: Timestamp) -> Renewed {
        self.stop();
        let renewed = renew(&self.dir, what, &self.words, None, now).unwrap();
        self.start(now);
        self.trust().round(0, self.tls, now);
        let ring = self.trust().store.ring(&self.user.fingerprint().0).unwrap().unwrap();
        self.user = UserRing::parse(&ring).unwrap();
        renewed
    }

    fn restart(&mut self, now: Timestamp) {
        self.stop();
        self.start(now);
        self.trust().round(0, self.tls, now);
    }

    fn trust(&self) -> &Trust {
        self.trust.as_ref().unwrap()
    }

    fn domain(&self) -> NodeDomain {
        NodeDomain::parse(&self.name).unwrap()
    }

    fn introduction(&self) -> String {
        self.trust().introduction().unwrap().unwrap()
    }

    fn add(&self, other: &Node, now: Timestamp) {
        let fingerprint = other.trust().own.ring.fingerprint().to_string();
        let (node, introduction) = (other.name.clone(), Some(other.introduction()));
        let add = TrustRequest::Add { node, fingerprint, introduction, despite_ban: false, reason: String::new() };
        self.trust().act(add, now).unwrap();
    }

    fn revoke(&self, other: &Node, now: Timestamp) {
        self.trust().act(TrustRequest::Revoke { node: other.name.clone(), reason: String::new() }, now).unwrap();
    }

    fn admits(&self, other: &Node, now: Timestamp) -> Result<(), VisitRefusal> {
        // He was at home lately, where each login renews what ends.
        let address = other.user.first_address().unwrap();
        let ring = other.trust().server_key.renewed(&other.user, &address, None, now).unwrap();
        match self.trust().visit(&ring, None, now)? {
            Visited::Visitor(..) => Ok(()),
            Visited::Native(address) => panic!("{address} is nobody's here"),
        }
    }

    /// What anybody sees who looks at the signatures alone.
    fn certifies(&self, other: &Node, now: Timestamp) -> bool {
        let Ok(Some(home)) = self.trust().home(&other.domain()) else { return false };
        let published = UserRing::parse_armored(home.certificate.armored().as_bytes()).unwrap();
        edge(&published.node_statements(&other.name, &self.trust().own.ring), now).is_ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.trust.take());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % bound
    }
}

#[test]
fn in_a_ring_of_ten_the_visitors_let_in_are_always_those_that_signatures_allow() {
    let seed = std::env::var("KONTALK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
    });
    println!("KONTALK_SEED={seed}");
    let mut dice = Dice(seed | 1);
    let mut nodes: Vec<Node> = (0..10).map(Node::new).collect();
    // Each trusts the two behind it.
    let mut trusted = [[false; 10]; 10];
    for (place, node) in nodes.iter().enumerate() {
        for step in [1, 2] {
            let other = (place + step) % 10;
            node.add(&nodes[other], at(300));
            trusted[place][other] = true;
        }
    }
    for hour in 1..=240 {
        let now = at(300 + hour * 3600 + dice.below(3600) as u64);
        let (place, mut other) = (dice.below(10), dice.below(9));
        other += usize::from(other >= place);
        match dice.below(5) {
            0 => nodes[place].restart(now),
            1 => {
                // Another address and TLS key; who trusts it is shown the new reach.
                nodes[place].tls = std::array::from_fn(|_| dice.below(256) as u8);
                nodes[place].trust().round(1, nodes[place].tls, now);
                let reach = nodes[place].trust().own_reach().unwrap().unwrap().to_text();
                for (viewer, row) in trusted.iter().enumerate().filter(|(_, row)| row[place]) {
                    assert!(row[place]);
                    let (viewer, name) = (nodes[viewer].trust(), nodes[place].domain());
                    let shown = viewer.peer_shows_reach(&name, reach.as_bytes(), &nodes[place].tls);
                    assert_eq!(shown.map(|(class, _)| class).unwrap(), Class::Node);
                }
            }
            2 | 3 if trusted[place][other] => {
                nodes[place].revoke(&nodes[other], now);
                trusted[place][other] = false;
            }
            _ => {
                nodes[place].add(&nodes[other], now);
                trusted[place][other] = true;
            }
        }
        let whole = hour % 24 == 0;
        let pairs: Vec<(usize, usize)> = match whole {
            true => (0..10).flat_map(|a| (0..10).map(move |b| (a, b))).collect(),
            false => vec![(place, other), (other, place), (dice.below(10), dice.below(10))],
        };
        for (here, home) in pairs.into_iter().filter(|(here, home)| here != home) {
            let admitted = nodes[here].admits(&nodes[home], now);
            assert_eq!(admitted.is_ok(), trusted[here][home], "hour {hour}: {here} of {home}: {admitted:?}");
            if whole {
                assert_eq!(nodes[here].certifies(&nodes[home], now), trusted[here][home]);
            }
        }
        if whole {
            nodes.iter().for_each(|node| drop(node.trust().round(1, node.tls, now)));
        }
    }
}

#[test]
fn trust_by_the_operator_ends_after_400_days_unless_it_is_renewed() {
    let (here, home) = (Node::new(20), Node::new(21));
    let begun = at(1000);
    let day = |day: u64| at(1000 + day * DAY);
    here.add(&home, begun);
    here.admits(&home, day(1)).unwrap();
    let flags = |now| match here.trust().act(TrustRequest::List, now).unwrap().0 {
        TrustReply::Nodes { nodes, .. } => nodes[0].flags.clone(),
        other => panic!("{other:?}"),
    };
    assert!(flags(day(380)).is_empty());
    assert!(flags(day(390))[0].contains("trust ends soon"));
    assert!(here.trust().round(1, here.tls, day(399)).farewells.is_empty());
    here.admits(&home, day(399)).unwrap();
    // It ends by itself: who is here must go, nobody comes in.
    assert_eq!(here.trust().round(1, here.tls, day(401)).farewells, [(home.domain(), End::Expired)]);
    assert_eq!(here.admits(&home, day(401)).unwrap_err().check(), 5);
    let gone = here.trust().round(0, here.tls, day(401)).gone;
    assert_eq!((gone.len(), gone[0].2), (1, End::Expired));
    here.add(&home, day(402));
    here.admits(&home, day(800)).unwrap();
    assert!(here.trust().round(1, here.tls, day(800)).farewells.is_empty());
    // And a clock set back finds no trust that was revoked meanwhile.
    here.revoke(&home, day(801));
    assert!(here.admits(&home, day(700)).is_err());
    assert!(here.trust().round(1, here.tls, day(700)).farewells.is_empty());
}

#[test]
fn what_an_old_backup_forgot_is_learnt_from_what_others_show() {
    let (mut here, home) = (Node::new(22), Node::new(23));
    here.add(&home, at(1000));
    let trust = here.trust.take().unwrap();
    trust.store.close().unwrap();
    drop(trust);
    let copy = here.dir.join("backup");
    std::fs::create_dir_all(&copy).unwrap();
    for file in std::fs::read_dir(here.dir.join("store")).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            std::fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
        }
    }
    here.start(at(1100));
    here.revoke(&home, at(1200));
    here.tls = [99; 32];
    here.trust().round(1, here.tls, at(1200));
    let seq = here.trust().own_reach().unwrap().unwrap().reach().seq;
    let home_seen = here.trust().home(&home.domain()).unwrap().unwrap();
    // The home publishes its key with our revocation on it.
    let mut shown = crate::trust::Introduction::parse(&home.introduction()).unwrap();
    shown.certificate = home_seen.certificate;

    let trust = here.trust.take().unwrap();
    trust.store.close().unwrap();
    drop(trust);
    std::fs::remove_dir_all(here.dir.join("store")).unwrap();
    std::fs::rename(&copy, here.dir.join("store")).unwrap();
    here.start(at(2000));
    assert!(here.admits(&home, at(2000)).is_ok(), "the backup knows no better");
    let outcome = here.trust().introduced(&home.domain(), &shown.to_string(), at(2100)).unwrap();
    assert_eq!(outcome.farewells, [(home.domain(), End::Revoked)]);
    assert_eq!(here.admits(&home, at(2100)).unwrap_err().check(), 4);

    // A peer knows a higher number of our reach than we do: the next is above it.
    here.trust().peer_has_our(seq + 5);
    here.trust().round(1, here.tls, at(2200));
    assert_eq!(here.trust().own_reach().unwrap().unwrap().reach().seq, seq + 6);
    // Once is enough.
    here.trust().round(1, here.tls, at(2300));
    assert_eq!(here.trust().own_reach().unwrap().unwrap().reach().seq, seq + 6);
}

#[test]
fn a_key_that_its_owner_revoked_ends_the_trust_by_itself() {
    let (here, home) = (Node::new(24), Node::new(25));
    here.add(&home, at(1000));
    here.admits(&home, at(1001)).unwrap();
    let pinned = here.trust().store.card(&home.domain()).unwrap().unwrap();
    let key = ServerKey::from_bytes(&std::fs::read(home.dir.join("server-key.pgp")).unwrap()).unwrap();
    let revoked = key.revoked_ring(at(1100)).unwrap();
    let card = crate::store::PinnedCard { certificate: revoked, ..pinned };
    let change = crate::store::PeerChange { card: Some(card), ..Default::default() };
    here.trust().store.decide_peer(&home.domain(), change).unwrap();
    assert_eq!(here.trust().round(1, here.tls, at(1200)).farewells, [(home.domain(), End::KeyRevoked)]);
    assert_eq!(here.admits(&home, at(1200)).unwrap_err().check(), 4);
    assert!(!here.certifies(&home, at(1200)));
}

#[test]
fn visitors_who_were_not_here_for_a_month_are_forgotten() {
    let (here, home) = (Node::new(26), Node::new(27));
    here.add(&home, at(1000));
    here.admits(&home, at(1001)).unwrap();
    assert!(here.trust().round(60, here.tls, at(1001 + 30 * DAY)).long_gone.is_empty());
    assert_eq!(here.trust().round(60, here.tls, at(1002 + 30 * DAY)).long_gone.len(), 1);
}

#[test]
fn a_node_with_rotated_keys_is_trusted_on_without_a_word_of_its_peers_operators() {
    let (here, mut home) = (Node::new(28), Node::new(29));
    here.add(&home, at(1000));
    let before = home.trust().own_card().unwrap();
    let seq = home.trust().own_reach().unwrap().unwrap().reach().seq;
    let renewed = home.renew(Renewal::Rotate, at(2000));
    let after = home.trust().own_card().unwrap();
    assert_eq!(renewed.card, after.card().id().to_string());
    assert_eq!((after.card().kid, after.card().generation()), (before.card().kid, 2));
    assert!(after.card().vote != before.card().vote && after.card().label != before.card().label);
    let reach = home.trust().own_reach().unwrap().unwrap();
    assert_eq!((reach.reach().card, reach.reach().seq), (after.card().id(), seq + 1));
    let outcome = here.trust().introduced(&home.domain(), &home.introduction(), at(2001)).unwrap();
    assert_eq!(outcome.farewells, []);
    here.admits(&home, at(2002)).unwrap();
    // The former card is a step back now.
    let mut old = crate::trust::Introduction::parse(&home.introduction()).unwrap();
    (old.card, old.reach) = (before, None);
    assert!(here.trust().introduced(&home.domain(), &old.to_string(), at(2003)).is_err());
}

#[test]
fn a_node_recovered_by_its_words_is_trusted_on_and_the_thiefs_key_is_not() {
    let (here, mut home) = (Node::new(30), Node::new(31));
    let other = Node::new(32);
    here.add(&home, at(1000));
    home.add(&other, at(1000));
    here.admits(&home, at(1001)).unwrap();
    let stolen_key = ServerKey::from_bytes(&std::fs::read(home.dir.join("server-key.pgp")).unwrap()).unwrap();
    let (old_ring, old_introduction) = (home.user.clone(), home.introduction());

    let renewed = home.renew(Renewal::Recover { stolen: true }, at(2000));
    assert_eq!((renewed.users, renewed.not_certified), (1, 0));
    assert_ne!(renewed.fingerprint, stolen_key.fingerprint().to_string());
    let former = crate::node::identity::former(&home.dir).unwrap();
    assert!(former.is_revoked() && former.fingerprint() == stolen_key.fingerprint());
    // Whom it trusted it trusts, by the new key.
    home.trust().round(1, home.tls, at(2001));
    assert!(home.certifies(&other, at(2001)));

    // Until the new card is seen nothing changes; then the former key's word is worth nothing, the thief's new one neither.
    let outcome = here.trust().introduced(&home.domain(), &home.introduction(), at(2002)).unwrap();
    assert_eq!(outcome.farewells, []);
    assert!(here.certifies(&home, at(2003)));
    here.admits(&home, at(2003)).unwrap();
    let alone = home.user.clone().without_foreign_certifications(&[stolen_key.fingerprint()]);
    let thief = ClientKey::numbered(
        1,
        &format!("Thief <{}>", old_ring.first_address().unwrap()),
        UNIX_EPOCH + Duration::from_secs(at(1500).secs()),
    );
    let thief = UserRing::parse(&thief.public_ring()).unwrap();
    let thief = stolen_key.certify(&thief, &old_ring.first_address().unwrap(), at(2500)).unwrap();
    assert_eq!(here.trust().visit(&thief, None, at(2501)).unwrap_err().check(), 7);
    // What is known of the honest key counts beside what is presented.
    assert!(here.trust().visit(&alone, None, at(2502)).is_ok());
    assert!(here.trust().introduced(&home.domain(), &old_introduction, at(2503)).is_err(), "a step back");
}

#[test]
fn nothing_is_renewed_with_other_words_or_while_the_node_runs() {
    let (mut home, other) = (Node::new(33), Node::new(34));
    let attempt = |words: &str, former: Option<&str>| renew(&home.dir, Renewal::Rotate, words, former, at(2000));
    assert!(matches!(attempt(&home.words, None), Err(RenewalFault::Open(_))));
    assert!(matches!(attempt(&other.words, None), Err(RenewalFault::OtherWords)));
    assert!(matches!(attempt("abandon", None), Err(RenewalFault::Words(_))));
    assert!(matches!(attempt(&home.words, Some("no card")), Err(RenewalFault::Card(_))));
    // With nothing but the words and the card that others have, the node comes back without its users.
    let card = home.introduction();
    home.stop();
    let empty = home.dir.join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let what = Renewal::Recover { stolen: false };
    assert!(matches!(renew(&empty, what, &home.words, None, at(2000)), Err(RenewalFault::NoCard)));
    let renewed = renew(&empty, what, &home.words, Some(&card), at(2000)).unwrap();
    assert_eq!(renewed.users, 0);
    assert!(renew(&empty, Renewal::Rotate, &home.words, None, at(2100)).is_ok());
}

#[test]
fn a_restored_node_says_nothing_that_others_may_have_heard_otherwise() {
    let mut node = Node::new(35);
    let seq = |node: &Node| node.trust().own_reach().unwrap().unwrap().reach().seq;
    let before = seq(&node);
    let mark = node.dir.join("restored.json");
    let text = format!("{{\"made\":\"{}\",\"restored\":\"{}\"}}", at(300), at(900));
    std::fs::write(&mark, text).unwrap();
    node.restart(at(900));
    assert_eq!(seq(&node), before + 1 + 600 / 60 + 1000, "whatever was made in between is below it");
    // Once; and the mark stays until the new number is durable, should the power fail.
    node.trust().round(1, node.tls, at(960));
    assert_eq!(seq(&node), before + 1011);
    assert!(mark.exists());
    node.trust().restored_seen_to();
    assert!(!mark.exists());
    node.restart(at(1000));
    assert_eq!(seq(&node), before + 1011);
}
