//! Tables of judgement.

use openpgp::types::HashAlgorithm;

use super::super::keys::Shape;
use super::*;

#[test]
fn candidates_are_judged_by_their_first_user_id_and_their_own_signatures() {
    use CandidateRefusal::{Key, NoAddress, OtherDomain};
    let ids = |ids: &[&str]| Recipe { user_ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..recipe() };
    let own = user_id();
    let upper = format!("X <{HASH}@NODE.example>");
    let old = Recipe { shape: Shape::Legacy, ..recipe() };
    let weak = Recipe { hash: HashAlgorithm::SHA1, ..recipe() };
    let short = Recipe { valid_for: Some(Duration::from_secs(86_400)), ..recipe() };
    let long = Recipe { valid_for: Some(Duration::from_secs(86_401)), ..recipe() };
    let ahead = Recipe { created: day(2) + CLOCK_SKEW_MAX, ..recipe() };
    let future = Recipe { created: day(2) + CLOCK_SKEW_MAX + Duration::from_secs(1), ..recipe() };
    for (name, recipe, expected) in [
        ("good", recipe(), Ok(address())),
        ("upper case", ids(&[&upper]), Ok(address())),
        ("legacy", old, Ok(address())),
        ("other domain first", ids(&["a@else.example", &own]), Err(OtherDomain)),
        ("subdomain", ids(&["a@sub.node.example"]), Err(OtherDomain)),
        ("nobody first", ids(&["nobody", &own]), Err(NoAddress)),
        ("domain alone", ids(&["X <node.example>"]), Err(NoAddress)),
        ("no id", ids(&[]), Err(NoAddress)),
        ("SHA-1", weak, Err(Key(KeyFault::WeakSignatures))),
        ("expires now", short, Err(Key(KeyFault::Expired))),
        ("expires in a second", long, Ok(address())),
        ("clock ahead", ahead, Ok(address())),
        ("from the future", future, Err(Key(KeyFault::CreatedInFuture))),
    ] {
        let ring = parsed(&ClientKey::cook(0, recipe));
        assert_eq!(judge_candidate(&ring, DOMAIN, stamp(day(2))), expected, "{name}");
        assert_eq!(judge_candidate(&ring, "NODE.Example", stamp(day(2))), expected, "{name}");
    }
}

#[test]
fn the_newest_self_signature_decides() {
    let key = client(0);
    let sign = |at: SystemTime, more: Vec<SubpacketValue>| {
        key.sign_id(SignatureType::PositiveCertification, at, more, &key.master(), &user_id())
    };
    let one_day = || vec![SubpacketValue::KeyExpirationTime(86_400_u32.into())];
    let ends = || vec![SubpacketValue::SignatureExpirationTime(86_400_u32.into())];
    let withdrawn = |at| key.sign_id(SignatureType::CertificationRevocation, at, vec![], &key.master(), &user_id());
    for (name, more, expected) in [
        ("shortened", vec![sign(day(2), one_day())], Err(KeyFault::Expired)),
        ("shortened, then lengthened", vec![sign(day(2), one_day()), sign(day(3), vec![])], Ok(())),
        ("shortened in the future", vec![sign(day(9), one_day())], Ok(())),
        ("the signature itself ended", vec![sign(day(2), ends())], Err(KeyFault::Expired)),
        ("id revoked", vec![withdrawn(day(2))], Err(KeyFault::AddressRevoked)),
        ("id revoked, signed again", vec![withdrawn(day(2)), sign(day(3), vec![])], Ok(())),
    ] {
        let mut packets = key.packets();
        packets.splice(3..3, more.into_iter().map(Packet::from));
        let judged = judge_candidate(&of_packets(&packets), DOMAIN, stamp(day(5)));
        assert_eq!(judged, expected.map(|()| address()).map_err(CandidateRefusal::Key), "{name}");
    }
}

#[test]
fn a_critical_subpacket_that_is_not_understood_voids_a_signature() {
    let key = client(0);
    let notation = openpgp::packet::signature::subpacket::NotationData::new("x@example", b"y", None);
    for (critical, expected) in [(false, Ok(address())), (true, Err(CandidateRefusal::Key(KeyFault::WeakSignatures)))] {
        // The maker of keys makes nothing critical, so this one is made by the room's own hand.
        let mut packets = key.packets();
        let secret = openpgp::Cert::from_packets(packets_of(&key.secret_ring()).into_iter()).unwrap();
        let secret = secret.primary_key().key().clone().parts_into_secret().unwrap();
        let mut pair = secret.into_keypair().unwrap();
        let builder = openpgp::packet::signature::SignatureBuilder::new(SignatureType::PositiveCertification)
            .set_signature_creation_time(day(1))
            .unwrap()
            .modify_hashed_area(|mut area| {
                area.add(Subpacket::new(SubpacketValue::NotationData(notation.clone()), critical)?)?;
                Ok(area)
            })
            .unwrap();
        let signature = builder.sign_userid_binding(&mut pair, None, &user_id().as_str().into()).unwrap();
        packets[2] = signature.into();
        assert_eq!(judge_candidate(&of_packets(&packets), DOMAIN, stamp(day(2))), expected, "critical: {critical}");
    }
}

#[test]
fn the_servers_newest_word_decides_a_login() {
    use SignatureType::{
        CasualCertification, CertificationRevocation, GenericCertification, PersonaCertification, PositiveCertification,
    };
    let key = client(0);
    // A server whose key the tests can make anything with.
    let maker = ClientKey::numbered(1, "xmpp:node.example", day(0));
    let server = ServerKey::from_bytes(&maker.secret_ring()).unwrap();
    let weak_maker =
        ClientKey::cook(1, Recipe { hash: HashAlgorithm::SHA1, ..Recipe::new("xmpp:node.example", day(0)) });
    let sign = |typ, at| maker.sign_id(typ, at, vec![], &key.master(), &user_id());
    let ending = |at| {
        let ends = vec![SubpacketValue::SignatureExpirationTime(86_400_u32.into())];
        maker.sign_id(GenericCertification, at, ends, &key.master(), &user_id())
    };
    let elsewhere = maker.sign_id(GenericCertification, day(2), vec![], &key.master(), "X <x@node.example>");
    let weak = weak_maker.sign_id(GenericCertification, day(2), vec![], &key.master(), &user_id());
    let stranger = client(2).sign_id(GenericCertification, day(2), vec![], &key.master(), &user_id());
    let not = Err(LoginRefusal::NotCertified);
    let revoked = Err(LoginRefusal::CertificationRevoked);
    for (name, words, expected) in [
        ("0x10", vec![sign(GenericCertification, day(2))], Ok(address())),
        ("0x12", vec![sign(CasualCertification, day(2))], Ok(address())),
        ("0x11 is ignored", vec![sign(PersonaCertification, day(2))], not.clone()),
        ("0x13 is ignored", vec![sign(PositiveCertification, day(2))], not.clone()),
        ("nothing", vec![], not.clone()),
        ("a stranger's", vec![stranger], not.clone()),
        ("of another id", vec![elsewhere], not.clone()),
        ("SHA-1", vec![weak], not.clone()),
        ("ended, which the login mends", vec![ending(day(2))], Ok(address())),
        ("not yet ended", vec![ending(day(9))], Ok(address())),
        (
            "taken back",
            vec![sign(GenericCertification, day(2)), sign(CertificationRevocation, day(3))],
            revoked.clone(),
        ),
        (
            "same second",
            vec![sign(GenericCertification, day(2)), sign(CertificationRevocation, day(2))],
            revoked.clone(),
        ),
        ("given again", vec![sign(CertificationRevocation, day(3)), sign(GenericCertification, day(4))], Ok(address())),
        ("taken back before", vec![sign(CertificationRevocation, day(3))], revoked),
    ] {
        let mut packets = key.packets();
        packets.splice(3..3, words.into_iter().map(Packet::from));
        let judged = judge_login(&of_packets(&packets), DOMAIN, &server, stamp(day(9)), None, None);
        assert_eq!(judged, expected, "{name}");
    }
}

#[test]
fn a_key_that_fails_by_itself_does_not_log_in_though_certified() {
    let key = client(0);
    let good = certified(&key);
    let login = |ring: &UserRing, at| judge_login(ring, DOMAIN, server(), stamp(at), None, None);
    assert_eq!(login(&good, day(3)), Ok(address()));
    let revoked = good.clone().merge(&UserRing::parse(&key.revoked_ring(day(3))).unwrap()).unwrap();
    assert_eq!(login(&revoked, day(3)), Err(LoginRefusal::Key(KeyFault::Revoked)));
    // The revocation once seen stays, whatever the client presents next.
    assert_eq!(login(&revoked.merge(&good).unwrap(), day(3)), Err(LoginRefusal::Key(KeyFault::Revoked)));
    let short = ClientKey::cook(0, Recipe { valid_for: Some(Duration::from_secs(2 * 86_400)), ..recipe() });
    let short = certified(&short);
    assert_eq!(login(&short, day(2)), Ok(address()));
    assert_eq!(login(&short, day(3)), Err(LoginRefusal::Key(KeyFault::Expired)));
    assert_eq!(
        judge_login(&good, "else.example", server(), stamp(day(3)), None, None),
        Err(LoginRefusal::NoAddressHere)
    );
    let behind = login(&good, UNIX_EPOCH + Duration::from_secs(1));
    assert_eq!(behind, Err(LoginRefusal::ClockBehind));
    assert!(!LoginRefusal::ClockBehind.is_definite() && LoginRefusal::NotCertified.is_definite());
}

#[test]
fn the_newest_certified_key_wins_while_the_current_one_is_good() {
    let make = |index, made| {
        let key = ClientKey::numbered(index, &user_id(), made);
        (server().certify(&parsed(&key), &address(), stamp(day(5))).unwrap(), key)
    };
    let (old, old_key) = make(0, day(1));
    let (same_age, _) = make(1, day(1));
    let (new, _) = make(1, day(3));
    let elsewhere = ClientKey::numbered(2, &format!("X <x@{DOMAIN}>"), day(1));
    let x = format!("x@{DOMAIN}").parse().unwrap();
    let elsewhere = server().certify(&parsed(&elsewhere), &x, stamp(day(5))).unwrap();
    let dead = old.clone().merge(&UserRing::parse(&old_key.revoked_ring(day(5))).unwrap()).unwrap();
    let locked = server().revoke_certification(&old, &address(), stamp(day(6))).unwrap();
    for (name, ring, stored, expected) in [
        ("none on record", &old, None, Ok(address())),
        ("the same", &old, Some(&old), Ok(address())),
        ("newer", &new, Some(&old), Ok(address())),
        ("older", &old, Some(&new), Err(LoginRefusal::OlderThanCurrent)),
        ("as old", &same_age, Some(&old), Err(LoginRefusal::OlderThanCurrent)),
        ("current one revoked", &new, Some(&dead), Err(LoginRefusal::CurrentKeyRefused)),
        ("current one locked", &new, Some(&locked), Err(LoginRefusal::CurrentKeyRefused)),
        ("current one is someone else's", &new, Some(&elsewhere), Err(LoginRefusal::CurrentKeyRefused)),
    ] {
        let fingerprint = stored.map(UserRing::fingerprint);
        let judged = judge_login(ring, DOMAIN, server(), stamp(day(9)), fingerprint, stored);
        assert_eq!(judged, expected, "{name}");
    }
    let missing = Some(old.fingerprint());
    for stored_ring in [None, Some(&new)] {
        let judged = judge_login(&new, DOMAIN, server(), stamp(day(9)), missing, stored_ring);
        assert_eq!(judged, Err(LoginRefusal::CurrentKeyMissing));
    }
}
