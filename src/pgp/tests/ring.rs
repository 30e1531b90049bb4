//! What is read, dropped, refused; how rings grow.

use openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
use openpgp::packet::user_attribute::{Image, Subpacket as AttributeSubpacket, UserAttribute};
use openpgp::packet::{Marker, UserID};
use openpgp::parse::Parse;
use openpgp::serialize::SerializeInto;
use openpgp::types::{Curve, HashAlgorithm};

use super::super::keys::{Shape, ring_of};
use super::*;
use crate::limits::RING_BYTES_MAX;

#[test]
fn a_clients_ring_is_read_whole_and_written_as_it_came() {
    for shape in [Shape::Kontalk, Shape::KontalkBackSigned, Shape::Legacy] {
        let key = ClientKey::cook(0, Recipe { shape, ..recipe() });
        let ring = parsed(&key);
        assert_eq!(ring.to_bytes(), key.public_ring());
        assert_eq!(ring.fingerprint().to_string(), key.fingerprint_hex());
        assert_eq!(ring.created(), stamp(day(1)));
        assert_eq!(ring.first_address(), Some(address()));
        assert_eq!(format!("{ring:?}"), format!("UserRing({})", key.fingerprint_hex()));
        assert_eq!(ring.tidy(), ring);
    }
}

#[test]
fn the_first_id_of_a_domain_is_found_ignoring_case() {
    let ids = ["a@one.example", "B <b@Two.Example>", "C <c@two.example>", "nobody"].map(str::to_owned).to_vec();
    let ring = parsed(&ClientKey::cook(0, Recipe { user_ids: ids, ..recipe() }));
    assert_eq!(ring.first_address().unwrap().as_str(), "a@one.example");
    for (domain, found) in [
        ("one.example", Some("a@one.example")),
        ("TWO.example", Some("b@two.example")),
        ("three.example", None),
        ("", None),
    ] {
        assert_eq!(ring.address_at(domain).as_ref().map(BareJid::as_str), found, "{domain}");
    }
}

#[test]
fn what_is_not_ours_to_keep_is_dropped() {
    let (key, other) = (client(0), client(1));
    let certify = |more| other.sign_id(SignatureType::GenericCertification, day(2), more, &key.master(), &user_id());
    let attribute = UserAttribute::new(&[AttributeSubpacket::Image(Image::JPEG(Box::default()))]).unwrap();
    let local = certify(vec![SubpacketValue::ExportableCertification(false)]);
    let nameless = {
        let mut signature = certify(Vec::new());
        signature.unhashed_area_mut().clear();
        signature
    };
    let exotic = openpgp::packet::Unknown::new(openpgp::packet::Tag::from(60), openpgp::anyhow::anyhow!("exotic"));
    let mut packets = key.packets();
    // From behind, so that the places stay: behind the id's self signature, then behind the key.
    let foreign_revocation = other.revocation(day(2));
    for packet in [attribute.into(), local.into(), nameless.into(), Packet::Unknown(exotic), Marker::default().into()] {
        packets.insert(3, packet);
    }
    for packet in [key.direct_key_signature(day(1)).into(), foreign_revocation.into()] {
        packets.insert(1, packet);
    }
    assert_eq!(of_packets(&packets).to_bytes(), key.public_ring());
}

#[test]
fn certifications_of_others_stay_behind_the_self_signature_unless_unwanted() {
    let (key, other) = (client(0), client(1));
    let mut packets = key.packets();
    let certification =
        other.sign_id(SignatureType::GenericCertification, day(2), Vec::new(), &key.master(), &user_id());
    packets.insert(2, certification.into());
    let ring = of_packets(&packets);
    assert_eq!(outline(&ring.to_bytes())[..4], ["key", "id", "13", "10"]);
    assert_eq!(ring.clone().without_foreign_certifications(&[Fingerprint(other.fingerprint())]), ring);
    let bare = ring.without_foreign_certifications(&[server().fingerprint()]);
    assert_eq!(bare.to_bytes(), key.public_ring());
}

#[test]
fn a_marker_or_trust_packet_does_not_hide_the_signatures_behind_it() {
    let key = client(0);
    let mut packets = key.packets();
    packets.insert(2, Marker::default().into());
    packets.insert(2, openpgp::packet::Trust::from(vec![0, 6]).into());
    assert_eq!(of_packets(&packets).to_bytes(), key.public_ring());
}

#[test]
fn whatever_is_no_public_ring_is_refused_with_its_reason() {
    let (key, other) = (client(0), client(1));
    let edwards: Key4<SecretParts, PrimaryRole> = Key4::generate_ecc(true, Curve::NistP384).unwrap();
    let small: Key4<SecretParts, PrimaryRole> = Key4::generate_rsa(1024).unwrap();
    let public = |key: Key4<SecretParts, PrimaryRole>| ring_of(&[Packet::PublicKey(key.take_secret().0.into())]);
    let armored = {
        let cert = openpgp::Cert::from_bytes(&key.public_ring()).unwrap();
        cert.armored().to_vec().unwrap()
    };
    let mut long = key.public_ring();
    long.resize(RING_BYTES_MAX + 1, 0);
    let cut = key.public_ring()[..200].to_vec();
    for (bytes, error) in [
        (Vec::new(), RingError::Malformed),
        (b"hello".to_vec(), RingError::Malformed),
        (armored, RingError::Malformed),
        (key.public_ring()[272..].to_vec(), RingError::Malformed),
        (cut, RingError::Malformed),
        (long, RingError::TooLong),
        (key.secret_ring(), RingError::Secret),
        ([key.public_ring(), other.public_ring()].concat(), RingError::SeveralKeys),
        ([key.public_ring(), key.public_ring()].concat(), RingError::SeveralKeys),
        (key.ring_with_rsa_in_ec_packets(), RingError::BrokenKey),
        (public(edwards), RingError::KeyUnsupported),
        (public(small), RingError::KeyUnsupported),
    ] {
        assert_eq!(UserRing::parse(&bytes).map(|_| ()), Err(error), "{:02x?}…", bytes.get(..8));
    }
}

#[test]
fn numbers_of_ids_signatures_and_revocations_are_limited() {
    let (key, other) = (client(0), client(1));
    let mut packets = key.packets();
    for i in 0..40 {
        let at = day(2) + Duration::from_secs(i);
        let own = |typ| key.sign_id(typ, at, Vec::new(), &key.master(), &user_id());
        let foreign = |typ| other.sign_id(typ, at, Vec::new(), &key.master(), &user_id());
        packets.insert(2, own(SignatureType::PositiveCertification).into());
        packets.insert(2, foreign(SignatureType::GenericCertification).into());
        packets.insert(2, foreign(SignatureType::CertificationRevocation).into());
        packets.insert(2, own(SignatureType::CertificationRevocation).into());
    }
    for i in 0..40 {
        packets.insert(1, UserID::from(format!("{i} <{i}@b>")).into());
    }
    let ring = of_packets(&packets);
    assert_eq!(ring.ids.len(), IDS_MAX);
    let ring = of_packets(&packets.split_off(41).into_iter().fold(key.packets()[..1].to_vec(), |mut all, packet| {
        all.push(packet);
        all
    }));
    let id = &ring.ids[0];
    assert_eq!(id.own.len(), OWN_SIGNATURES_MAX);
    assert_eq!(id.certifications.len(), CERTIFICATIONS_MAX);
    assert_eq!(id.own_revocations.len(), REVOCATIONS_MAX);
    assert_eq!(id.certification_revocations.len(), REVOCATIONS_MAX);
}

#[test]
fn a_key_revocation_counts_wherever_it_stands_and_only_when_true() {
    let (key, other) = (client(0), client(1));
    let issuer = openpgp::packet::signature::subpacket::SubpacketValue::Issuer(key.master().keyid());
    let mut forged = other.revocation(day(2));
    forged.unhashed_area_mut().replace(Subpacket::new(issuer, false).unwrap()).unwrap();
    for (revocation, counts) in [(key.revocation(day(2)), true), (forged, false)] {
        for place in [1, 3, key.packets().len()] {
            let mut packets = key.packets();
            packets.insert(place, revocation.clone().into());
            let ring = of_packets(&packets);
            assert_eq!(ring.is_revoked(), counts);
            let expected = if counts { ["key", "20", "id"] } else { ["key", "id", "13"] };
            assert_eq!(outline(&ring.to_bytes())[..3], expected);
        }
    }
    let alone = UserRing::parse(&key.revoked_ring(day(2))).unwrap();
    assert!(alone.is_revoked());
    let weak = ClientKey::cook(0, Recipe { hash: HashAlgorithm::SHA1, ..recipe() });
    assert!(UserRing::parse(&weak.revoked_ring(day(2))).unwrap().is_revoked());
}

#[test]
fn merging_adds_what_is_new_and_forgets_nothing() {
    let (key, other) = (client(0), client(1));
    let stored = certified(&key);
    let presented = parsed(&key);
    assert_eq!(stored.clone().merge(&presented).unwrap(), stored);
    assert_eq!(presented.clone().merge(&stored).unwrap(), stored);
    assert_eq!(stored.clone().merge(&parsed(&other)).err(), Some(RingError::OtherKey));

    let renewed = {
        let more = vec![SubpacketValue::KeyExpirationTime(86_400_u32.into())];
        let signature = key.sign_id(SignatureType::PositiveCertification, day(3), more, &key.master(), &user_id());
        let mut packets = key.packets();
        packets.push(UserID::from("New <new@else.example>").into());
        let id =
            key.sign_id(SignatureType::PositiveCertification, day(3), vec![], &key.master(), "New <new@else.example>");
        packets.push(id.into());
        packets.insert(2, signature.into());
        packets.insert(1, key.revocation(day(4)).into());
        of_packets(&packets)
    };
    let merged = stored.merge(&renewed).unwrap();
    assert_eq!(outline(&merged.to_bytes())[..8], ["key", "20", "id", "13", "13", "10", "id", "13"]);
    assert_eq!(UserRing::parse(&merged.to_bytes()).unwrap(), merged);
    assert_eq!(stamp(day(3)), super::super::signature::created(&merged.ids[0].own[0]), "the newest comes first");
}

#[test]
fn false_signatures_are_not_merged_and_true_ones_are_not_pushed_out() {
    let (key, other) = (client(0), client(1));
    let revoked = server().revoke_certification(&certified(&key), &address(), stamp(day(3))).unwrap();
    let mut packets = key.packets();
    let issuer = SubpacketValue::Issuer(key.master().keyid());
    for i in 0..64 {
        let at = day(4) + Duration::from_secs(i);
        let sign = |typ| other.sign_id(typ, at, Vec::new(), &key.master(), &user_id());
        let mut own = sign(SignatureType::PositiveCertification);
        own.unhashed_area_mut().replace(Subpacket::new(issuer.clone(), false).unwrap()).unwrap();
        packets.insert(2, own.into());
        packets.insert(2, blamed_on_server(sign(SignatureType::CertificationRevocation)).into());
        packets.insert(2, blamed_on_server(sign(SignatureType::GenericCertification)).into());
    }
    let flood = of_packets(&packets);
    let merged = revoked.merge(&flood).unwrap();
    assert_eq!(signatures(&merged, SignatureType::PositiveCertification).len(), 1);
    let judged = judge_login(&merged, DOMAIN, server(), stamp(day(5)), None, None);
    assert_eq!(judged, Err(LoginRefusal::CertificationRevoked));
    let again = server().certify(&merged, &address(), stamp(day(5))).unwrap();
    assert_eq!(judge_login(&again, DOMAIN, server(), stamp(day(5)), None, None), Ok(address()));
}
