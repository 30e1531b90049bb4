//! A master key as SubjectPublicKeyInfo in DER, to compare with a certificate's. RFC 5280 §4.1.2.7, RFC 3279 §2.3.1,
//! RFC 5480 §2, RFC 8410 §4.

use sequoia_openpgp::crypto::mpi::PublicKey;
use sequoia_openpgp::types::Curve;

/// The key as a TLS certificate would carry it; none for kinds of key that are no TLS keys here, or that are malformed.
pub(super) fn spki_der(key: &PublicKey) -> Option<Vec<u8>> {
    match key {
        PublicKey::RSA { e, n } => {
            let numbers = sequence(&[integer(n.value()), integer(e.value())]);
            Some(info(&sequence(&[RSA_ENCRYPTION.to_vec(), NULL.to_vec()]), &numbers))
        }
        PublicKey::ECDSA { curve: Curve::NistP256, q } if q.value().len() == 65 && q.value().starts_with(&[4]) => {
            Some(info(&sequence(&[EC_PUBLIC_KEY.to_vec(), PRIME256V1.to_vec()]), q.value()))
        }
        // RFC 9580 §5.5.5.5: the legacy form has 0x40 in front of the 32 bytes.
        PublicKey::EdDSA { curve: Curve::Ed25519, q } if q.value().len() == 33 => {
            let point = q.value().strip_prefix(&[0x40])?;
            Some(info(&sequence(&[ED25519.to_vec()]), point))
        }
        PublicKey::Ed25519 { a } => Some(info(&sequence(&[ED25519.to_vec()]), a)),
        _ => None,
    }
}

fn info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend_from_slice(key);
    sequence(&[algorithm.to_vec(), tagged(0x03, &bits)])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

/// An INTEGER that is not negative: a zero in front where the first bit is set.
fn integer(value: &[u8]) -> Vec<u8> {
    let start = value.iter().position(|byte| *byte != 0).unwrap_or(value.len());
    let digits = value.get(start..).unwrap_or_default();
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_none_or(|byte| byte & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    tagged(0x02, &content)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = length.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<u8>>();
    match significant.as_slice() {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7F));
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(content);
    der
}

// Whole TLVs.
const NULL: [u8; 2] = [0x05, 0x00];
/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: [u8; 11] = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: [u8; 9] = [0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const PRIME256V1: [u8; 10] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
/// 1.3.101.112
const ED25519: [u8; 5] = [0x06, 0x03, 0x2B, 0x65, 0x70];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_integers_are_der() {
        assert_eq!(tagged(4, &[]), [4, 0]);
        assert_eq!(tagged(4, &[9; 127])[..3], [4, 127, 9]);
        assert_eq!(tagged(4, &[9; 128])[..4], [4, 0x81, 128, 9]);
        assert_eq!(tagged(4, &[9; 300])[..5], [4, 0x82, 1, 44, 9]);
        assert_eq!(integer(&[1, 0, 1]), [2, 3, 1, 0, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(integer(&[]), [2, 1, 0]);
    }
}
