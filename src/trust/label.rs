//! The public keys on ristretto255 (RFC 9496) that a card and a reach name. Nothing is computed with them yet: they are made,
//! so that the card need not change when the node's log and private discovery come (RFC 9497).

use curve25519_dalek::Scalar;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

/// The public key of RFC 9497 §3.2.1's DeriveKeyPair, verifiable mode, ristretto255-SHA512.
pub fn public_key(seed: &Zeroizing<[u8; 32]>, info: &[u8]) -> Option<[u8; 32]> {
    let length = u16::try_from(info.len()).ok()?;
    // RFC 9497 §3.2.1: the counter skips a zero key, which never comes.
    (0..=u8::MAX).find_map(|counter| {
        let input = Zeroizing::new([seed.as_slice(), &length.to_be_bytes(), info, &[counter]].concat());
        let secret = hash_to_scalar(&input);
        (secret != Scalar::ZERO).then(|| RistrettoPoint::mul_base(&secret).compress().to_bytes())
    })
}

/// Does it name a point, in the one form, and not the neutral one?
pub(super) fn is_sound_point(bytes: &[u8; 32]) -> bool {
    CompressedRistretto(*bytes).decompress().is_some_and(|point| !point.is_identity())
}

/// RFC 9497 §4.1 with RFC 9380 §5.3.1: expand_message_xmd to 64 bytes, taken as a little-endian number.
fn hash_to_scalar(input: &[u8]) -> Scalar {
    let mut separator = DERIVE_KEY_PAIR.to_vec();
    separator.push(u8::try_from(DERIVE_KEY_PAIR.len()).unwrap_or(u8::MAX));
    let first = Sha512::new()
        .chain_update([0; 128])
        .chain_update(input)
        .chain_update([0, 64, 0])
        .chain_update(&separator)
        .finalize();
    let expanded: [u8; 64] =
        Sha512::new().chain_update(first).chain_update([1]).chain_update(&separator).finalize().into();
    Scalar::from_bytes_mod_order_wide(&expanded)
}

/// "DeriveKeyPair" and RFC 9497 §3.1's context string of mode 1.
const DERIVE_KEY_PAIR: &[u8] = b"DeriveKeyPairOPRFV1-\x01-ristretto255-SHA512";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_comes_out() {
        // RFC 9497 A.1.2.
        let key = public_key(&Zeroizing::new([0xA3; 32]), b"test key").unwrap();
        let hex = super::super::key::hex(&key);
        assert_eq!(hex, "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e");
        assert!(is_sound_point(&key));
        assert!(!is_sound_point(&[0; 32]) && !is_sound_point(&[0xFF; 32]));
    }
}
