//! One signature: made, verified, and weighed. What it covers is told by the caller's hashing; nothing is remembered.
//! RFC 9580 §5.2.

use std::time::Duration;

use sequoia_openpgp as openpgp;

use openpgp::crypto::hash::{Context, Hash};
use openpgp::crypto::{KeyPair, Signer, mpi};
use openpgp::packet::key::{Key, KeyParts, KeyRole};
use openpgp::packet::signature::Signature4;
use openpgp::packet::signature::subpacket::{Subpacket, SubpacketArea, SubpacketTag, SubpacketValue};
use openpgp::packet::{Signature, UserID, key};
use openpgp::types::{HashAlgorithm, SignatureType};

use crate::stanza::Timestamp;

/// The public half of a master key.
pub(super) type PrimaryKey = Key<key::PublicParts, key::PrimaryRole>;
/// The public half of a subkey.
pub(super) type Subkey = Key<key::PublicParts, key::SubordinateRole>;

/// What a signature covers.
#[derive(Clone, Copy)]
pub(super) enum Covered<'a> {
    /// The master key: 0x20.
    Primary(&'a PrimaryKey),
    /// The master key and a user id: 0x10 to 0x13, 0x30.
    Id(&'a PrimaryKey, &'a UserID),
    /// The master key and a subkey: 0x18, 0x28.
    Subkey(&'a PrimaryKey, &'a Subkey),
    /// A text: 0x00.
    Text(&'a [u8]),
}

/// Was it made by this key over this, not before the key itself? Looks neither at the strength of the hash nor at expiry.
pub(super) fn verifies<P: KeyParts, R: KeyRole>(signature: &Signature, by: &Key<P, R>, covered: Covered<'_>) -> bool {
    let Some(created) = signature.signature_creation_time() else { return false };
    if signature.version() != 4 || created < by.creation_time() {
        return false;
    }
    let Ok(digest) = digest(signature, covered) else { return false };
    // The two bytes sent in the clear spare the costly operation for almost all that were made over something else.
    digest.starts_with(signature.digest_prefix()) && by.verify(signature.mpis(), signature.hash_algo(), &digest).is_ok()
}

/// When it says it was made.
pub(super) fn created(signature: &Signature) -> Timestamp {
    signature.signature_creation_time().map_or(Timestamp { millis: 0 }, Timestamp::from_system)
}

/// Is it past its own validity?
pub(super) fn expired(signature: &Signature, now: Timestamp) -> bool {
    match signature.signature_validity_period() {
        Some(period) if period > Duration::ZERO => created(signature).plus(period) <= now,
        _ => false,
    }
}

/// Is its hash one that cannot be made to collide? SHA-1 and MD5 can.
pub(super) fn is_strong(signature: &Signature) -> bool {
    use HashAlgorithm::{SHA3_256, SHA3_512, SHA224, SHA256, SHA384, SHA512};
    matches!(signature.hash_algo(), SHA224 | SHA256 | SHA384 | SHA512 | SHA3_256 | SHA3_512)
}

/// Does it hold nothing critical that we do not understand? RFC 9580 §5.2.3.7: else it counts as not there.
pub(super) fn is_understood(signature: &Signature) -> bool {
    signature.hashed_area().iter().all(|subpacket| !subpacket.critical() || understood(subpacket.tag()))
}

/// Makes a v4 signature: hashed are the creation time, the given subpackets and the issuer's fingerprint; the issuer's key
/// id is beside them, not hashed. Kontalk certification: clients and servers find the signer by that key id.
pub(super) fn make(
    signer: &mut KeyPair,
    typ: SignatureType,
    at: Timestamp,
    more: Vec<SubpacketValue>,
    covered: Covered<'_>,
) -> openpgp::Result<Signature> {
    let created = openpgp::types::Timestamp::from(u32::try_from(at.secs())?);
    let (fingerprint, keyid) = (signer.public().fingerprint(), signer.public().keyid());
    let mut values = vec![SubpacketValue::SignatureCreationTime(created)];
    values.extend(more);
    values.push(SubpacketValue::IssuerFingerprint(fingerprint));
    let hashed: openpgp::Result<Vec<Subpacket>> = values
        .into_iter()
        .map(|value| (limits(&value), value))
        .map(|(critical, v)| Subpacket::new(v, critical))
        .collect();
    let (hashed, unhashed) = (hashed?, vec![Subpacket::new(SubpacketValue::Issuer(keyid), false)?]);
    let algorithm = signer.public().pk_algo();
    let with = |prefix: [u8; 2], mpis: mpi::Signature| -> openpgp::Result<Signature> {
        let (hashed, unhashed) = (SubpacketArea::new(hashed.clone())?, SubpacketArea::new(unhashed.clone())?);
        Ok(Signature4::new(typ, algorithm, HASH, hashed, unhashed, prefix, mpis).into())
    };
    let blank = mpi::Signature::Unknown { mpis: Box::default(), rest: Box::default() };
    let digest = digest(&with([0, 0], blank)?, covered)?;
    let prefix = match digest.as_slice() {
        [a, b, ..] => [*a, *b],
        _ => [0, 0],
    };
    let mpis = signer.sign(HASH, &digest)?;
    with(prefix, mpis)
}

fn digest(signature: &Signature, covered: Covered<'_>) -> openpgp::Result<Vec<u8>> {
    let mut hash: Context = signature.hash_algo().context()?.for_signature(signature.version());
    match covered {
        Covered::Primary(primary) => signature.hash_direct_key(&mut hash, primary)?,
        Covered::Id(primary, id) => signature.hash_userid_binding(&mut hash, primary, id)?,
        Covered::Subkey(primary, subkey) => signature.hash_subkey_binding(&mut hash, primary, subkey)?,
        Covered::Text(text) => {
            hash.update(text);
            signature.hash(&mut hash)?;
        }
    }
    hash.into_digest()
}

/// What limits a signature (a regular expression and the trust that it limits) is marked critical, so that who does not understand
/// the limit does not take the signature for one without.
fn limits(value: &SubpacketValue) -> bool {
    matches!(value, SubpacketValue::TrustSignature { .. } | SubpacketValue::RegularExpression(_))
}

fn understood(tag: SubpacketTag) -> bool {
    // A notation is understood by its name, and we know none.
    !matches!(tag, SubpacketTag::NotationData | SubpacketTag::Unknown(_) | SubpacketTag::Private(_))
        && !matches!(tag, SubpacketTag::Reserved(_))
}

/// What our own signatures are hashed with.
pub(super) const HASH: HashAlgorithm = HashAlgorithm::SHA256;
