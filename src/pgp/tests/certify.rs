//! The server's key and what it signs.

use openpgp::packet::signature::subpacket::SubpacketTag;
use openpgp::parse::Parse;
use openpgp::policy::StandardPolicy;
use openpgp::types::HashAlgorithm;

use super::*;

#[test]
fn the_server_key_has_the_shape_that_all_clients_can_read() {
    let server = server();
    assert_eq!(outline(server.public_ring()), ["key", "id", "13"]);
    let cert = openpgp::Cert::from_bytes(server.public_ring()).unwrap();
    let policy = StandardPolicy::new();
    let valid = cert.with_policy(&policy, day(1)).unwrap();
    assert!(valid.primary_key().for_certification() && valid.primary_key().for_signing());
    assert_eq!(valid.primary_userid().unwrap().userid().value(), format!("xmpp:{DOMAIN}").as_bytes());
    assert_eq!(valid.primary_key().key().pk_algo(), openpgp::types::PublicKeyAlgorithm::ECDSA);
    assert_eq!(cert.fingerprint().to_hex(), server.fingerprint().to_string());
    assert_eq!(server.created(), stamp(day(0)));
    assert_eq!(format!("{server:?}"), format!("ServerKey({})", server.fingerprint()));
}

#[test]
fn the_server_key_survives_being_written_and_read() {
    let again = ServerKey::from_bytes(&server().to_secret_bytes()).unwrap();
    assert_eq!(again.fingerprint(), server().fingerprint());
    assert_eq!(again.public_ring(), server().public_ring());
    let ring = again.certify(&parsed(&client(0)), &address(), stamp(day(2))).unwrap();
    assert_eq!(judge_login(&ring, DOMAIN, server(), stamp(day(3)), None, None), Ok(address()));
    for (bytes, expected) in [
        (server().public_ring().to_vec(), "lacks its secret half"),
        (b"rubbish".to_vec(), "cannot be read"),
        (Vec::new(), "cannot be read"),
    ] {
        let error = ServerKey::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_certification_that_ended_lets_its_user_in_at_home_and_is_renewed_there() {
    let key = client(0);
    let first = certified(&key);
    let late = stamp(day(400));
    assert_eq!(judge_login(&first, DOMAIN, server(), late, None, None), Ok(address()));
    let renewed = server().renewed(&first, &address(), None, late).unwrap();
    let said = |ring: &UserRing| ring.statements_about(&address(), &server().ring().unwrap()).certifications;
    assert_eq!(said(&first).len(), 1);
    assert_eq!(said(&first)[0].expires, Some(said(&first)[0].at.plus(CERTIFICATION_VALID)));
    assert_eq!(said(&renewed).iter().map(|one| (one.at, one.reset)).collect::<Vec<_>>(), [(late, None)]);
    // The app presents the old one until it has fetched the new one: the stored ring stays as it is.
    let merged = renewed.clone().merge(&first).unwrap();
    assert_eq!(server().renewed(&merged, &address(), None, late).unwrap(), renewed);
    // What was taken back is not renewed.
    let revoked = server().revoke_certification(&renewed, &address(), late).unwrap();
    assert_eq!(server().renewed(&revoked, &address(), None, stamp(day(800))).unwrap(), revoked);
}

#[test]
fn a_locked_server_key_says_what_to_do() {
    let cert = openpgp::Cert::from_bytes(&server().to_secret_bytes()).unwrap();
    let secret = cert.primary_key().key().clone().parts_into_secret().unwrap();
    let locked = secret.encrypt_secret(&"passphrase".into()).unwrap();
    let cert = cert.insert_packets(Packet::from(locked)).unwrap().0;
    let bytes = openpgp::serialize::SerializeInto::to_vec(&cert.as_tsk()).unwrap();
    assert!(matches!(ServerKey::from_bytes(&bytes), Err(ServerKeyError::Locked)));
}

#[test]
fn the_server_key_knows_its_domain() {
    let server = ServerKey::generate("Bücher.Example", stamp(day(0))).unwrap();
    for (domain, mine) in [
        ("bücher.example", true),
        ("xn--bcher-kva.example", true),
        ("BÜCHER.EXAMPLE", true),
        ("bucher.example", false),
        ("a.bücher.example", false),
        ("", false),
    ] {
        assert_eq!(server.is_for(domain), mine, "{domain}");
    }
    assert!(ServerKey::generate("no domain", stamp(day(0))).is_err());
    let old = ClientKey::numbered(0, "Kontalk server <kontalk-f00@old.example>", day(0));
    let old = ServerKey::from_bytes(&old.secret_ring()).unwrap();
    assert!(old.is_for("old.example") && !old.is_for("other.example"));
}

#[test]
fn one_generic_certification_comes_right_behind_the_self_signature() {
    let key = client(0);
    let ring = certified(&key);
    let expected = ["key", "id", "13", "10", "subkey", "18", "subkey", "18"];
    assert_eq!(outline(&ring.to_bytes()), expected);
    assert_eq!(UserRing::parse(&ring.to_bytes()).unwrap(), ring);
    // All else is as the client sent it.
    let mut packets = packets_of(&ring.to_bytes());
    let Packet::Signature(certification) = packets.remove(3) else { panic!("a signature") };
    assert_eq!(super::super::keys::ring_of(&packets), key.public_ring());

    assert_eq!(certification.hash_algo(), HashAlgorithm::SHA256);
    let hashed: Vec<_> = certification.hashed_area().iter().map(|subpacket| subpacket.tag()).collect();
    use SubpacketTag::{IssuerFingerprint, SignatureCreationTime, SignatureExpirationTime};
    assert_eq!(hashed, [SignatureCreationTime, SignatureExpirationTime, IssuerFingerprint]);
    let unhashed: Vec<_> = certification.unhashed_area().iter().map(|subpacket| subpacket.tag()).collect();
    assert_eq!(unhashed, [SubpacketTag::Issuer]);
    assert_eq!(certification.signature_creation_time(), Some(day(2)));
    let server = openpgp::Cert::from_bytes(server().public_ring()).unwrap();
    let signer = server.primary_key().key();
    certification.verify_userid_binding(signer, &key.master(), &user_id().as_str().into()).unwrap();
}

#[test]
fn the_first_id_with_the_address_is_certified_though_others_come_before() {
    let other_id = "Me <me@else.example>".to_owned();
    let key = ClientKey::cook(0, Recipe { user_ids: vec![other_id, user_id(), user_id() + " "], ..recipe() });
    let ring = certified(&key);
    assert_eq!(outline(&ring.to_bytes())[..8], ["key", "id", "13", "id", "13", "10", "id", "13"]);
}

#[test]
fn certifying_again_adds_nothing_while_the_certification_is_good() {
    let ring = certified(&client(0));
    assert_eq!(server().certify(&ring, &address(), stamp(day(9))).unwrap(), ring);
}

#[test]
fn a_revoked_certification_is_replaced_by_a_later_one_and_rings_do_not_grow() {
    let mut ring = certified(&client(0));
    let judge = |ring: &UserRing| judge_login(ring, DOMAIN, server(), stamp(day(9)), None, None);
    for _ in 0..5 {
        // All within one second: the order must hold by the signatures' own times.
        ring = server().revoke_certification(&ring, &address(), stamp(day(3))).unwrap();
        assert_eq!(judge(&ring), Err(LoginRefusal::CertificationRevoked));
        assert_eq!(server().revoke_certification(&ring, &address(), stamp(day(4))).unwrap(), ring);
        ring = server().certify(&ring, &address(), stamp(day(3))).unwrap();
        assert_eq!(judge(&ring), Ok(address()));
        assert_eq!(outline(&ring.to_bytes())[..6], ["key", "id", "13", "10", "30", "subkey"]);
    }
    // A ring that still has the first certification does not get round a revocation.
    let revoked = server().revoke_certification(&ring, &address(), stamp(day(5))).unwrap();
    let merged = revoked.merge(&certified(&client(0))).unwrap();
    assert_eq!(judge(&merged), Err(LoginRefusal::CertificationRevoked));
    let reason = signatures(&merged, SignatureType::CertificationRevocation)[0].reason_for_revocation().unwrap().0;
    assert_eq!(reason, openpgp::types::ReasonForRevocation::UIDRetired);
}

#[test]
fn a_signature_is_not_dated_before_the_keys_though_the_clock_is_behind() {
    let ring = server().certify(&parsed(&client(0)), &address(), stamp(day(1) - Duration::from_secs(600))).unwrap();
    assert_eq!(signatures(&ring, SignatureType::GenericCertification)[0].signature_creation_time(), Some(day(1)));
    assert_eq!(judge_login(&ring, DOMAIN, server(), stamp(day(1)), None, None), Ok(address()));
}

#[test]
fn a_clients_back_signature_over_its_master_alone_is_no_obstacle() {
    let ring = certified(&client(0));
    assert_eq!(outline(&ring.to_bytes()).iter().filter(|packet| *packet == "subkey").count(), 2);
}

#[test]
fn what_its_owner_did_not_sign_is_not_certified() {
    let (key, other) = (client(0), client(1));
    let certify = |packets: &[Packet]| server().certify(&of_packets(packets), &address(), stamp(day(2))).map(|_| ());
    let packets = key.packets();

    let mut unbound = packets.clone();
    unbound.remove(4);
    assert_eq!(certify(&unbound), Err(CertifyError::SubkeyNotBound));
    let mut stolen = packets.clone();
    stolen[3] = other.packets()[3].clone();
    assert_eq!(certify(&stolen), Err(CertifyError::SubkeyNotBound));
    let mut unsigned = packets.clone();
    unsigned.remove(2);
    assert_eq!(certify(&unsigned), Err(CertifyError::Key(KeyFault::NoSelfSignature)));
    let mut foreign = packets.clone();
    foreign[0] = other.packets()[0].clone();
    assert_eq!(certify(&foreign), Err(CertifyError::Key(KeyFault::NoSelfSignature)));
    let mut revoked = packets.clone();
    revoked.insert(1, key.revocation(day(2)).into());
    assert_eq!(certify(&revoked), Err(CertifyError::Key(KeyFault::Revoked)));
    let nobody = "nobody@node.example".parse().unwrap();
    let absent = server().certify(&of_packets(&packets), &nobody, stamp(day(2)));
    assert_eq!(absent.err(), Some(CertifyError::NoSuchAddress));
}
