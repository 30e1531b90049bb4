//! The certificate that carries a ring.

use super::super::keys::{OPENPGP_KEY, der};
use super::*;
use crate::limits::CERTIFICATE_BYTES_MAX;

#[test]
fn a_bridge_certificate_gives_the_ring_of_its_own_key() {
    let key = client(0);
    for bytes in [key.public_ring(), certified(&key).to_bytes()] {
        let certificate = key.bridge_certificate(&bytes).certificate_der;
        let ring = ring_of_certificate(&certificate).unwrap();
        assert_eq!(ring.to_bytes(), bytes);
        assert!(is_bridge_certificate(&certificate));
        assert_eq!(certificate_spki(&certificate).unwrap(), ring.master_spki_der().unwrap());
    }
}

#[test]
fn certificates_that_prove_nothing_are_refused_with_their_reason() {
    let (key, other) = (client(0), client(1));
    let good = key.bridge_certificate(&key.public_ring()).certificate_der;
    let trailing = [good.clone(), vec![0]].concat();
    let doubled = with_extra_extension(&good, &der::bit_string(&key.public_ring()));
    let plain = key.certificate_without_ring().certificate_der;
    let octets = with_extra_extension(&plain, &key.public_ring());
    let odd_bits = with_extra_extension(&plain, &der::tagged(0x03, &[&[4], key.public_ring().as_slice()].concat()));
    for (name, certificate, bridge, error) in [
        ("empty", Vec::new(), false, BridgeError::NotACertificate),
        ("a ring", key.public_ring(), false, BridgeError::NotACertificate),
        ("something behind", trailing, false, BridgeError::NotACertificate),
        ("too long", vec![0x30; CERTIFICATE_BYTES_MAX + 1], false, BridgeError::TooLong),
        ("no extension", plain, false, BridgeError::NoRing),
        ("two extensions", doubled, true, BridgeError::ExtensionBroken),
        ("no bit string", octets, true, BridgeError::ExtensionBroken),
        ("bits left over", odd_bits, true, BridgeError::ExtensionBroken),
        ("another's ring", key.bridge_certificate(&other.public_ring()).certificate_der, true, BridgeError::OtherKey),
        (
            "a secret ring",
            key.bridge_certificate(&key.secret_ring()).certificate_der,
            true,
            BridgeError::RingBroken(RingError::Secret),
        ),
        (
            "an empty ring",
            key.bridge_certificate(&[]).certificate_der,
            true,
            BridgeError::RingBroken(RingError::Malformed),
        ),
        (
            "RSA in EC packets",
            key.bridge_certificate(&key.ring_with_rsa_in_ec_packets()).certificate_der,
            true,
            BridgeError::RingBroken(RingError::BrokenKey),
        ),
    ] {
        assert_eq!(ring_of_certificate(&certificate).err(), Some(error), "{name}");
        assert_eq!(is_bridge_certificate(&certificate), bridge, "{name}");
    }
}

#[test]
fn the_spki_of_elliptic_keys_is_der_too() {
    use openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
    use openpgp::types::Curve;
    for (curve, begins, length) in [
        (Curve::NistP256, "3059301306072a8648ce3d020106082a8648ce3d030107034200", 91),
        (Curve::Ed25519, "302a300506032b6570032100", 44),
    ] {
        let key: Key4<SecretParts, PrimaryRole> = Key4::generate_ecc(true, curve).unwrap();
        let ring = of_packets(&[Packet::PublicKey(key.take_secret().0.into())]);
        let spki = ring.master_spki_der().unwrap();
        let hex: String = spki.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(hex.starts_with(begins), "{hex}");
        assert_eq!(spki.len(), length);
        // An independent reader agrees.
        use x509_parser::asn1_rs::FromDer;
        let (rest, read) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&spki).unwrap();
        assert!(rest.is_empty());
        read.parsed().unwrap();
    }
}

/// The certificate with one more OpenPGP extension of this content, its signature no longer true (nobody looks).
fn with_extra_extension(certificate: &[u8], content: &[u8]) -> Vec<u8> {
    let outer = children(certificate);
    let mut tbs = children(&outer[0]);
    let extensions = children(&tbs.pop().unwrap());
    let mut list = children(&extensions[0]);
    list.push(der::sequence(&[der::oid(OPENPGP_KEY), der::tagged(0x04, content)]));
    tbs.push(der::tagged(0xA3, &der::sequence(&list)));
    der::sequence(&[der::sequence(&tbs), outer[1].clone(), outer[2].clone()])
}

/// The elements inside a DER element, each whole.
fn children(element: &[u8]) -> Vec<Vec<u8>> {
    let (header, length) = measure(element);
    let mut rest = &element[header..header + length];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (header, length) = measure(rest);
        found.push(rest[..header + length].to_vec());
        rest = &rest[header + length..];
    }
    found
}

fn measure(element: &[u8]) -> (usize, usize) {
    match element[1] {
        short @ 0..0x80 => (2, short.into()),
        long => {
            let digits = usize::from(long & 0x7F);
            (2 + digits, element[2..2 + digits].iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
        }
    }
}
