//! Each check of a visit with its refusal, real keys and signatures.

use std::time::{Duration, SystemTime};

use super::super::*;
use super::vectors::{card, domain};
use crate::jid::BareJid;
use crate::pgp::keys::{ClientKey, Recipe};
use crate::pgp::{BridgeError, KeyFault, NodeCertification, RevocationReason, ServerKey, Statements, UserRing};
use crate::stanza::Timestamp;

const HASH: &str = "4bdd4f929f3a1062253e4e496bafba0bdfb5db75";
const HOME: &str = "a.example";
const HERE: &str = "b.example";

fn at(day: u64) -> Timestamp {
    Timestamp { millis: (1_700_000_000 + day * 86_400) * 1000 }
}

fn moment(day: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(at(day).secs())
}

fn address(domain: &str) -> BareJid {
    format!("{HASH}@{domain}").parse().unwrap()
}

/// What node B knows, to be changed by each test.
struct World {
    home_key: ServerKey,
    here_key: ServerKey,
    home: Option<Home>,
    denied: bool,
    resident: Option<Resident>,
    usage: Usage,
    floor: Timestamp,
    broken: bool,
    ring: UserRing,
}

impl World {
    fn new() -> World {
        let home_key = ServerKey::generate(HOME, at(0)).unwrap();
        let here_key = ServerKey::generate(HERE, at(0)).unwrap();
        let certificate = home_key.ring().unwrap();
        let own = said(&here_key, &certificate, &[sign(&here_key, &certificate, 2)]);
        let user = ClientKey::numbered(0, &format!("Anna <{}>", address(HOME)), moment(1));
        let ring = home_key.certify(&UserRing::parse(&user.public_ring()).unwrap(), &address(HOME), at(2)).unwrap();
        let state = State::Trusted(Why::Operator);
        World {
            home: Some(Home { card: card(HOME), certificate, former: None, state, own }),
            home_key,
            here_key,
            denied: false,
            resident: None,
            usage: Usage { all: 0, of_home: 0, all_max: 10, of_home_max: 5, login_allowed: true },
            floor: at(0),
            broken: false,
            ring,
        }
    }

    fn judge(&self) -> Result<Admission, VisitRefusal> {
        self.judge_on(5)
    }

    fn judge_on(&self, day: u64) -> Result<Admission, VisitRefusal> {
        let presented = Presented { ring: Ok(&self.ring), authzid: None };
        judge_visit(&presented, &BareJid::domain(HERE).unwrap(), self, at(day))
    }

    fn known(&mut self) -> &mut Home {
        self.home.as_mut().unwrap()
    }

    fn resident(&self, key: u8, home: Option<&str>) -> Option<Resident> {
        let key = if key == 0 { self.ring.fingerprint() } else { crate::pgp::Fingerprint([key; 20]) };
        Some(Resident { key: Some(key), key_created: Some(at(0)), home: home.map(domain) })
    }
}

impl Records for World {
    fn home(&self, domain: &NodeDomain) -> Result<Option<Home>, RecordsFault> {
        assert_eq!(domain.as_str(), HOME);
        if self.broken { Err(RecordsFault) } else { Ok(self.home.clone()) }
    }

    fn is_denied(&self, _: &NodeDomain) -> Result<bool, RecordsFault> {
        Ok(self.denied)
    }

    fn resident(&self, found: &BareJid) -> Result<Option<Resident>, RecordsFault> {
        assert_eq!(*found, address(HERE));
        Ok(self.resident.clone())
    }

    fn usage(&self, _: &NodeDomain) -> Result<Usage, RecordsFault> {
        Ok(self.usage)
    }

    fn clock_floor(&self) -> Result<Timestamp, RecordsFault> {
        Ok(self.floor)
    }
}

fn sign(issuer: &ServerKey, certificate: &UserRing, day: u64) -> Vec<u8> {
    let how = NodeCertification {
        positive: true,
        valid_for: VALID_BY_OPERATOR,
        notation: ("trust@kontalk.net".to_owned(), "manual".to_owned()),
    };
    issuer.certify_node(certificate, HOME, &how, at(day)).unwrap()
}

fn revoke(issuer: &ServerKey, certificate: &UserRing, day: u64) -> Vec<u8> {
    issuer.revoke_node(certificate, HOME, RevocationReason::TrustEnded, at(day)).unwrap()
}

fn said(issuer: &ServerKey, certificate: &UserRing, words: &[Vec<u8>]) -> Statements {
    let ring = certificate.clone().with_words(HOME, &words.concat());
    ring.node_statements(HOME, &issuer.ring().unwrap())
}

fn check_of(outcome: Result<Admission, VisitRefusal>) -> u8 {
    let refusal = outcome.expect_err("this must be refused");
    assert!(!refusal.to_string().contains(HASH), "{refusal}");
    refusal.check()
}

#[test]
fn a_visitor_comes_in_under_the_domain_here() {
    let world = World::new();
    let visitor = Visitor {
        address: address(HERE),
        home_address: address(HOME),
        home: domain(HOME),
        key: world.ring.fingerprint(),
        replaces_key: false,
    };
    assert_eq!(world.judge(), Ok(Admission::Visitor(visitor.clone())));
    let authzid = address(HOME);
    let presented = Presented { ring: Ok(&world.ring), authzid: Some(&authzid) };
    let judged = judge_visit(&presented, &BareJid::domain(HERE).unwrap(), &world, at(5));
    assert_eq!(judged, Ok(Admission::Visitor(visitor)));
    assert_eq!(judge_stay(&world.ring, &authzid, &world, at(5)), Ok(()));
}

#[test]
fn check_1_a_certificate_without_a_proved_ring_is_refused() {
    let world = World::new();
    let presented = Presented { ring: Err(BridgeError::OtherKey), authzid: None };
    let judged = judge_visit(&presented, &BareJid::domain(HERE).unwrap(), &world, at(5));
    assert_eq!(judged, Err(VisitRefusal::Certificate(BridgeError::OtherKey)));
    assert_eq!(check_of(judged), 1);
}

#[test]
fn check_2_one_user_id_of_a_good_key_names_the_number() {
    let mut world = World::new();
    let here = BareJid::domain(HERE).unwrap();
    let other = format!("{}@{HOME}", HASH.replace('4', "5")).parse().unwrap();
    let presented = Presented { ring: Ok(&world.ring), authzid: Some(&other) };
    assert_eq!(judge_visit(&presented, &here, &world, at(5)), Err(VisitRefusal::NoUserId));

    let cook = |recipe: Recipe| UserRing::parse(&ClientKey::cook(0, recipe).public_ring()).unwrap();
    let anna = format!("Anna <{}>", address(HOME));
    let recipe = Recipe::new(&anna, moment(1));
    let number = format!("Anna <{HASH}@c.example>");
    let named = Recipe::new(&format!("Anna <anna@{HOME}>"), moment(1));
    let sha1 = sequoia_openpgp::types::HashAlgorithm::SHA1;
    for (ring, refusal) in [
        (cook(named), VisitRefusal::NoUserId),
        (cook(Recipe { user_ids: vec![anna.clone(), number], ..recipe.clone() }), VisitRefusal::SeveralUserIds),
        (cook(Recipe { hash: sha1, ..recipe.clone() }), VisitRefusal::Key(KeyFault::WeakSignatures)),
        (
            cook(Recipe { valid_for: Some(Duration::from_secs(3600)), ..recipe.clone() }),
            VisitRefusal::Key(KeyFault::Expired),
        ),
        (
            UserRing::parse(&ClientKey::cook(0, recipe.clone()).revoked_ring(moment(2))).unwrap(),
            VisitRefusal::Key(KeyFault::Revoked),
        ),
    ] {
        world.ring = ring;
        let judged = world.judge();
        assert_eq!(judged, Err(refusal));
        assert_eq!(check_of(judged), 2);
    }
}

#[test]
fn check_3_a_key_of_our_own_domain_is_no_visitor() {
    let mut world = World::new();
    let ids = [HOME, HERE].map(|domain| format!("Anna <{}>", address(domain))).to_vec();
    let both = ClientKey::cook(0, Recipe { user_ids: ids, ..Recipe::new("", moment(1)) });
    world.ring = UserRing::parse(&both.public_ring()).unwrap();
    assert_eq!(world.judge(), Ok(Admission::Local));
    let (here, authzid) = (BareJid::domain(HERE).unwrap(), address(HERE));
    let presented = Presented { ring: Ok(&world.ring), authzid: Some(&authzid) };
    assert_eq!(judge_visit(&presented, &here, &world, at(5)), Ok(Admission::Local));
    // Whoever says that he comes from home is a visitor.
    let authzid = address(HOME);
    let presented = Presented { ring: Ok(&world.ring), authzid: Some(&authzid) };
    assert_eq!(check_of(judge_visit(&presented, &here, &world, at(5))), 7);
}

#[test]
fn check_4_only_a_trusted_home_sends_visitors() {
    let mut world = World::new();
    for state in [State::Seen, State::Revoked, State::Denied, State::Suspended, State::Grace { left_secs: 9 }] {
        world.known().state = state;
        assert_eq!(world.judge(), Err(VisitRefusal::NotTrusted(domain(HOME), state)));
        assert_eq!(check_of(world.judge()), 4);
        // Who is here stays while the home is in its days of grace.
        let stays = matches!(state, State::Grace { .. });
        assert_eq!(judge_stay(&world.ring, &address(HOME), &world, at(5)).is_ok(), stays);
    }
    world.home = None;
    assert_eq!(world.judge(), Err(VisitRefusal::NoCard(domain(HOME))));
    world.denied = true;
    assert_eq!(world.judge(), Err(VisitRefusal::NotTrusted(domain(HOME), State::Denied)));
}

#[test]
fn check_5_the_home_must_be_certified_by_our_key_later_than_revoked() {
    let mut world = World::new();
    let certificate = world.known().certificate.clone();
    let here_key = ServerKey::from_bytes(&world.here_key.to_secret_bytes()).unwrap();
    let (certify, revoke) = (|day| sign(&here_key, &certificate, day), |day| revoke(&here_key, &certificate, day));
    for (words, admitted) in [
        (vec![], false),
        (vec![certify(2)], true),
        (vec![certify(2), revoke(2)], false),
        (vec![certify(2), revoke(3)], false),
        (vec![certify(3), revoke(2)], true),
        // Revoked after today, as a clock that was set back sees it.
        (vec![certify(2), revoke(300)], false),
        (vec![sign(&world.home_key, &certificate, 2)], false),
    ] {
        world.known().own = said(&here_key, &certificate, &words);
        let judged = world.judge();
        assert_eq!(judged.is_ok(), admitted);
        if !admitted {
            assert_eq!(check_of(judged), 5);
        }
    }
    world.known().own = said(&here_key, &certificate, &[certify(2)]);
    world.ring = world.home_key.renewed(&world.ring, &address(HOME), None, at(400)).unwrap();
    assert!(world.judge_on(401).is_ok());
    assert_eq!(check_of(world.judge_on(402)), 5);
}

#[test]
fn check_6_a_suspect_clock_is_no_reason_to_register_again() {
    let mut world = World::new();
    world.floor = at(6);
    let refusal = world.judge().unwrap_err();
    assert_eq!((refusal.check(), refusal.is_temporary()), (6, true));
}

#[test]
fn check_7_the_home_must_certify_the_user_later_than_it_revoked() {
    let mut world = World::new();
    let certified = world.ring.clone();
    let stripped = certified.clone().without_foreign_certifications(&[]);
    let stranger = ServerKey::generate(HOME, at(0)).unwrap();
    world.ring = stripped.clone();
    assert_eq!(world.judge(), Err(VisitRefusal::UserEdge(domain(HOME), EdgeFault::NotCertified)));
    world.ring = stranger.certify(&stripped, &address(HOME), at(2)).unwrap();
    assert_eq!(check_of(world.judge()), 7);
    let revoked = world.home_key.revoke_certification(&certified, &address(HOME), at(2)).unwrap();
    world.ring = revoked.clone();
    assert_eq!(check_of(world.judge()), 7);
    world.ring = world.home_key.certify(&revoked, &address(HOME), at(3)).unwrap();
    assert!(world.judge().is_ok());

    // The home has another key now; what the former certified goes on, unless that was stolen.
    world.ring = certified;
    let before = world.known().certificate.clone();
    world.known().certificate = stranger.ring().unwrap();
    let own = said(&world.here_key, &stranger.ring().unwrap(), &[sign(&world.here_key, &stranger.ring().unwrap(), 2)]);
    world.known().own = own;
    assert_eq!(check_of(world.judge()), 7);
    world.known().former = Some(before);
    assert!(world.judge().is_ok());
    world.known().card.cut = Some(0);
    assert_eq!(check_of(world.judge()), 7);
}

#[test]
fn check_8_who_took_a_number_over_waits_for_the_hold_to_end() {
    use crate::limits::RESET_HOLD;
    let mut world = World::new();
    let user = ClientKey::numbered(0, &format!("Anna <{}>", address(HOME)), moment(1));
    let bare = UserRing::parse(&user.public_ring()).unwrap();
    let reset = at(2);
    let held = world.home_key.certify_after_reset(&bare, &address(HOME), Some(reset), reset).unwrap();
    let judge = |world: &World, now| {
        let presented = Presented { ring: Ok(&world.ring), authzid: None };
        judge_visit(&presented, &BareJid::domain(HERE).unwrap(), world, now)
    };
    let end = reset.plus(RESET_HOLD);
    let before = Timestamp { millis: end.millis - 1 };
    let refusal = VisitRefusal::Held { home: domain(HOME), until: end };
    assert!(refusal.is_temporary() && !refusal.concerns_operator());
    world.ring = held.clone();
    for (now, admitted) in [(reset, false), (before, false), (end, true), (end.plus(Duration::from_secs(1)), true)] {
        let judged = judge(&world, now);
        assert_eq!(judged.is_ok(), admitted, "{now}");
        if !admitted {
            assert_eq!(judged, Err(refusal.clone()));
            assert_eq!(check_of(judged), 8);
        }
    }

    // Renewed at a login meanwhile, it tells the same; afterwards it may be silent.
    let renewed = world.home_key.renewed(&held, &address(HOME), Some(reset), before).unwrap();
    world.ring = renewed;
    assert_eq!(judge(&world, before), Err(refusal.clone()));
    let late = end.plus(Duration::from_secs(150 * 86_400));
    world.ring = world.home_key.renewed(&held, &address(HOME), None, late).unwrap();
    assert!(judge(&world, late).is_ok());
    let said = world.ring.statements_about(&address(HOME), &world.home_key.ring().unwrap());
    assert_eq!(said.certifications.iter().map(|certified| certified.reset).collect::<Vec<_>>(), [None]);

    // An earlier certification of the same key beside it does not hide the reset.
    let earlier = world.home_key.certify(&bare, &address(HOME), at(1)).unwrap();
    world.ring = held.clone().merge(&earlier).unwrap();
    assert_eq!(judge(&world, before), Err(refusal));
    // Nobody else's word counts: neither the user's own notation nor another server's.
    let stranger = ServerKey::generate(HERE, at(0)).unwrap();
    let good = world.home_key.certify(&bare, &address(HOME), at(2)).unwrap();
    world.ring = stranger.certify_after_reset(&good, &address(HOME), Some(reset), at(2)).unwrap();
    assert!(judge(&world, reset).is_ok());
    // Who is here stays.
    world.ring = held;
    assert!(judge_stay(&world.ring, &address(HOME), &world, reset).is_ok());
}

#[test]
fn check_7_a_users_certification_ends_after_180_days_and_a_login_at_home_renews_it() {
    use crate::pgp::{CERTIFICATION_VALID, RENEW_BEFORE};
    let mut world = World::new();
    let valid_days = CERTIFICATION_VALID.as_secs() / 86_400;
    assert!(world.judge_on(2 + valid_days - 1).is_ok());
    assert_eq!(check_of(world.judge_on(2 + valid_days)), 7);
    let renew = |world: &World, day| world.home_key.renewed(&world.ring, &address(HOME), None, at(day)).unwrap();
    let due = 2 + valid_days - RENEW_BEFORE.as_secs() / 86_400;
    assert_eq!(renew(&world, due - 1), world.ring, "nothing is written while it lasts");
    assert_ne!(renew(&world, due), world.ring);
    world.ring = renew(&world, 2 + valid_days + 30);
    assert!(world.judge_on(2 + valid_days + 30).is_ok());
}

#[test]
fn check_9_a_name_that_is_taken_is_not_given_away() {
    let mut world = World::new();
    world.resident = world.resident(1, None);
    assert_eq!(world.judge(), Err(VisitRefusal::NativeAccount(address(HERE))));
    assert_eq!(check_of(world.judge()), 9);
    world.resident = Some(Resident { key: None, key_created: None, home: None });
    assert_eq!(check_of(world.judge()), 9);
    world.resident = world.resident(0, None);
    assert_eq!(world.judge(), Ok(Admission::Native(address(HERE))));
    world.resident = world.resident(1, Some("c.example"));
    assert_eq!(check_of(world.judge()), 9);
    for (key, home, replaces) in [(0, HOME, false), (0, "c.example", false), (1, HOME, true)] {
        world.resident = world.resident(key, Some(home));
        let Ok(Admission::Visitor(visitor)) = world.judge() else { panic!("{key} of {home} must come in") };
        assert_eq!(visitor.replaces_key, replaces);
    }
    world.resident = Some(Resident { key_created: Some(at(1)), ..world.resident(1, Some(HOME)).unwrap() });
    assert_eq!(world.judge(), Err(VisitRefusal::OlderKey(address(HERE))));
}

#[test]
fn check_10_quotas_stop_new_visitors_and_floods() {
    let mut world = World::new();
    world.usage.login_allowed = false;
    assert_eq!(world.judge(), Err(VisitRefusal::TooManyLogins(domain(HOME))));
    world.usage = Usage { of_home: 5, login_allowed: true, ..world.usage };
    assert_eq!(world.judge(), Err(VisitRefusal::HomeFull(domain(HOME))));
    world.usage = Usage { of_home: 4, all: 10, ..world.usage };
    assert_eq!(world.judge(), Err(VisitRefusal::Full));
    // Who was here before finds his place.
    world.resident = world.resident(0, Some(HOME));
    assert!(world.judge().is_ok());
}

#[test]
fn the_first_check_that_fails_decides() {
    let mut world = World::new();
    world.usage.login_allowed = false;
    world.resident = world.resident(1, None);
    assert_eq!(check_of(world.judge()), 9);
    world.ring = world.ring.clone().without_foreign_certifications(&[]);
    assert_eq!(check_of(world.judge()), 7);
    world.floor = at(6);
    assert_eq!(check_of(world.judge()), 6);
    world.known().own = Statements::default();
    assert_eq!(check_of(world.judge()), 5);
    world.known().state = State::Seen;
    assert_eq!(check_of(world.judge()), 4);
    world.broken = true;
    assert_eq!(world.judge(), Err(VisitRefusal::Records));
}
