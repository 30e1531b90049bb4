//! A user's public ring: what a stranger may send, and the order in which it is written. RFC 9580 §10.1; Kontalk protocol,
//! certification of keys.

use std::fmt;

use sequoia_openpgp as openpgp;

use openpgp::KeyHandle;
use openpgp::crypto::mpi::PublicKey;
use openpgp::packet::{Packet, Signature, Tag, UserID};
use openpgp::parse::{Dearmor, PacketParserBuilder, PacketParserResult, Parse};
use openpgp::serialize::Serialize;
use openpgp::types::{Curve, SignatureType};

use super::fingerprint::Fingerprint;
use super::signature::{Covered, PrimaryKey, Subkey, verifies};
use super::{spki, userid};
use crate::jid::BareJid;
use crate::limits::RING_BYTES_MAX;
use crate::stanza::Timestamp;

/// One user's public ring in the shape we keep and send. Debug prints the fingerprint alone: the ids name people.
#[derive(Clone)]
pub struct UserRing {
    pub(super) primary: PrimaryKey,
    pub(super) fingerprint: Fingerprint,
    /// `0x20` by the key itself; each was verified when it was read.
    pub(super) revocations: Vec<Signature>,
    pub(super) ids: Vec<SignedId>,
    pub(super) subkeys: Vec<BoundSubkey>,
}

/// A user id and what was signed about it.
#[derive(Clone)]
pub(super) struct SignedId {
    pub(super) id: UserID,
    /// `0x10` to `0x13` that name the key itself as their issuer.
    pub(super) own: Vec<Signature>,
    /// `0x30` that name the key itself.
    pub(super) own_revocations: Vec<Signature>,
    /// `0x10` to `0x13` that name another key.
    pub(super) certifications: Vec<Signature>,
    /// `0x30` that name another key.
    pub(super) certification_revocations: Vec<Signature>,
}

/// A subkey and what the master key said about it.
#[derive(Clone)]
pub(super) struct BoundSubkey {
    pub(super) key: Subkey,
    /// `0x18`.
    pub(super) bindings: Vec<Signature>,
    /// `0x28`.
    pub(super) revocations: Vec<Signature>,
}

/// Why bytes are no ring of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// More than [`RING_BYTES_MAX`], now or when merged.
    TooLong,
    /// No OpenPGP packets, or they do not begin with a public key.
    Malformed,
    /// A secret key: its owner must keep it.
    Secret,
    /// More than one master key.
    SeveralKeys,
    /// A key packet that does not hold what its algorithm demands, such as RSA numbers under the name of an elliptic curve.
    BrokenKey,
    /// The master key is not a v4 key of a kind that TLS proves here: RSA of 2048 to 4096 bits, ECDSA P-256, Ed25519.
    KeyUnsupported,
    /// Two rings to be merged are of different keys.
    OtherKey,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RingError::TooLong => "the key ring is longer than 64 KiB",
            RingError::Malformed => "this is no OpenPGP public key ring",
            RingError::Secret => "the key ring holds secret keys; only public keys are wanted",
            RingError::SeveralKeys => "the key ring holds more than one master key",
            RingError::BrokenKey => "a key in the ring does not fit its own algorithm",
            RingError::KeyUnsupported => {
                "the master key is not RSA of 2048 to 4096 bits, ECDSA P-256 or Ed25519, version 4"
            }
            RingError::OtherKey => "the rings are of different keys",
        })
    }
}

impl std::error::Error for RingError {}

impl UserRing {
    /// Reads a binary ring (no armor). Drops what we do not keep for strangers: user attributes, direct-key signatures,
    /// signatures that may not be exported, that are not v4 or name no issuer, unknown packets, and all beyond the limits of
    /// number. Own signatures other than revocations of the key are not verified here.
    pub fn parse(bytes: &[u8]) -> Result<UserRing, RingError> {
        if bytes.len() > RING_BYTES_MAX {
            return Err(RingError::TooLong);
        }
        let mut reader = Reader::default();
        let mut next = PacketParserBuilder::from_bytes(bytes)
            .and_then(|builder| builder.dearmor(Dearmor::Disabled).build())
            .map_err(|_| RingError::Malformed)?;
        while let PacketParserResult::Some(parser) = next {
            let (packet, rest) = parser.next().map_err(|_| RingError::Malformed)?;
            reader.take(packet)?;
            next = rest;
        }
        reader.finish()
    }

    /// The ring in the order that clients need: the master key; its revocations, if it is revoked; each user id with its own
    /// signatures first, then certifications, then revocations; each subkey with its bindings, then revocations.
    pub fn to_bytes(&self) -> Vec<u8> {
        // That it can be written was tried when the ring was made.
        self.encode().unwrap_or_default()
    }

    /// The name of the master key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// When the master key was made, by its own account.
    pub fn created(&self) -> Timestamp {
        Timestamp::from_system(self.primary.creation_time())
    }

    /// Has its owner revoked the key (`0x20`, verified)? Reason and time do not matter: there is no way back.
    pub fn is_revoked(&self) -> bool {
        !self.revocations.is_empty()
    }

    /// The account that the first user id names, if it names one.
    pub fn first_address(&self) -> Option<BareJid> {
        userid::address(self.ids.first()?.id.value())
    }

    /// The account at this domain that the first user id of that domain names. Case does not matter.
    pub fn address_at(&self, domain: &str) -> Option<BareJid> {
        self.id_at(domain).map(|(address, _)| address)
    }

    /// The master key as SubjectPublicKeyInfo in DER.
    pub fn master_spki_der(&self) -> Result<Vec<u8>, RingError> {
        spki::spki_der(self.primary.mpis()).ok_or(RingError::KeyUnsupported)
    }

    /// The ring without certifications (and their revocations) but those of these issuers. Issuers are believed: what counts
    /// is verified when it counts.
    #[must_use]
    pub fn without_foreign_certifications(mut self, issuers: &[Fingerprint]) -> UserRing {
        let kept = |signature: &Signature| issuers.iter().any(|issuer| names_issuer(signature, &issuer.handle()));
        for id in &mut self.ids {
            id.certifications.retain(kept);
            id.certification_revocations.retain(kept);
        }
        self
    }

    /// The first user id at a domain, with its address.
    pub(super) fn id_at(&self, domain: &str) -> Option<(BareJid, &SignedId)> {
        let domain = BareJid::domain(domain).ok()?;
        self.ids.iter().find_map(|id| {
            let address = userid::address(id.id.value())?;
            (address.domainpart() == domain.as_str()).then_some((address, id))
        })
    }

    /// The place of the first user id with this address.
    pub(super) fn place_of(&self, address: &BareJid) -> Option<usize> {
        self.ids.iter().position(|id| userid::address(id.id.value()).as_ref() == Some(address))
    }

    /// Writes the ring, within its greatest size.
    pub(super) fn encode(&self) -> Result<Vec<u8>, RingError> {
        let mut out = Vec::new();
        let mut write = |packet: Packet| packet.serialize(&mut out).map_err(|_| RingError::Malformed);
        write(self.primary.clone().into())?;
        for signature in &self.revocations {
            write(signature.clone().into())?;
        }
        for id in &self.ids {
            write(id.id.clone().into())?;
            // Kontalk certification: clients take a key's flags from the first signature they meet, which must be its own.
            let signatures = id.own.iter().chain(&id.certifications);
            for signature in signatures.chain(&id.certification_revocations).chain(&id.own_revocations) {
                write(signature.clone().into())?;
            }
        }
        for subkey in &self.subkeys {
            write(subkey.key.clone().into())?;
            for signature in subkey.bindings.iter().chain(&subkey.revocations) {
                write(signature.clone().into())?;
            }
        }
        if out.len() > RING_BYTES_MAX { Err(RingError::TooLong) } else { Ok(out) }
    }
}

impl fmt::Debug for UserRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserRing({})", self.fingerprint)
    }
}

impl PartialEq for UserRing {
    fn eq(&self, other: &UserRing) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for UserRing {}

/// Does the signature say that this key made it?
pub(super) fn names_issuer(signature: &Signature, issuer: &KeyHandle) -> bool {
    signature.get_issuers().iter().any(|named| named.aliases(issuer))
}

/// Sorts packets into a ring as they come.
#[derive(Default)]
struct Reader {
    primary: Option<(PrimaryKey, Fingerprint)>,
    revocations: Vec<Signature>,
    revocations_seen: usize,
    ids: Vec<SignedId>,
    subkeys: Vec<BoundSubkey>,
    place: Place,
}

/// What the next signature is about.
#[derive(Clone, Copy, Default)]
enum Place {
    /// The master key, or a component that was dropped.
    #[default]
    Nowhere,
    LastId,
    LastSubkey,
}

impl Reader {
    fn take(&mut self, packet: Packet) -> Result<(), RingError> {
        match packet {
            Packet::SecretKey(_) | Packet::SecretSubkey(_) => return Err(RingError::Secret),
            Packet::PublicKey(_) if self.primary.is_some() => return Err(RingError::SeveralKeys),
            Packet::PublicKey(key) => {
                let fingerprint = Fingerprint::of(&key.fingerprint()).ok_or(RingError::KeyUnsupported)?;
                check_master(key.mpis())?;
                self.primary = Some((key, fingerprint));
            }
            _ if self.primary.is_none() => return Err(foreign_beginning(&packet)),
            Packet::UserID(id) => self.take_id(id),
            Packet::PublicSubkey(key) => self.take_subkey(key)?,
            Packet::Signature(signature) => self.take_signature(signature),
            Packet::Unknown(unknown) if matches!(unknown.tag(), Tag::PublicKey | Tag::PublicSubkey) => {
                return Err(RingError::BrokenKey);
            }
            Packet::Unknown(unknown) if matches!(unknown.tag(), Tag::SecretKey | Tag::SecretSubkey) => {
                return Err(RingError::Secret);
            }
            // A broken signature is dropped, and what it was about goes on.
            Packet::Unknown(unknown) if unknown.tag() == Tag::Signature => (),
            // These are about nothing, or about the packet before them.
            Packet::Trust(_) | Packet::Marker(_) | Packet::Padding(_) => (),
            // A dropped component takes its signatures with it.
            _ => self.place = Place::Nowhere,
        }
        Ok(())
    }

    fn take_id(&mut self, id: UserID) {
        if self.ids.len() >= IDS_MAX || self.ids.iter().any(|known| known.id.value() == id.value()) {
            self.place = Place::Nowhere;
            return;
        }
        self.ids.push(SignedId::new(id));
        self.place = Place::LastId;
    }

    fn take_subkey(&mut self, key: Subkey) -> Result<(), RingError> {
        let curve = match key.mpis() {
            PublicKey::ECDSA { curve, .. } | PublicKey::ECDH { curve, .. } | PublicKey::EdDSA { curve, .. } => {
                Some(curve)
            }
            _ => None,
        };
        // RSA numbers in a packet of an elliptic curve now and then pass for an unknown curve.
        if matches!(curve, Some(Curve::Unknown(_))) {
            return Err(RingError::BrokenKey);
        }
        if key.version() != 4 {
            return Err(RingError::KeyUnsupported);
        }
        if self.subkeys.len() >= SUBKEYS_MAX || self.subkeys.iter().any(|known| known.key.public_eq(&key)) {
            self.place = Place::Nowhere;
            return Ok(());
        }
        self.subkeys.push(BoundSubkey { key, bindings: Vec::new(), revocations: Vec::new() });
        self.place = Place::LastSubkey;
        Ok(())
    }

    fn take_signature(&mut self, signature: Signature) {
        let Some((primary, fingerprint)) = &self.primary else { return };
        if signature.version() != 4 || signature.exportable().is_err() || signature.signature_creation_time().is_none()
        {
            return;
        }
        let own = names_issuer(&signature, &fingerprint.handle());
        let (list, limit) = match (signature.typ(), self.place) {
            (SignatureType::KeyRevocation, _) => {
                // Verified at once: so no heap of false ones can keep a true one out of a stored ring.
                self.revocations_seen += 1;
                let considered = own && self.revocations_seen <= REVOCATIONS_MAX && self.revocations.is_empty();
                if considered && verifies(&signature, primary, Covered::Primary(primary)) {
                    self.revocations.push(signature);
                }
                return;
            }
            (_, Place::Nowhere) => return,
            (typ, Place::LastId) => match self.ids.last_mut().map(|id| id.list_for(typ, own)) {
                Some(Some(found)) => found,
                _ => return,
            },
            (typ, Place::LastSubkey) => match self.subkeys.last_mut().map(|subkey| subkey.list_for(typ, own)) {
                Some(Some(found)) => found,
                _ => return,
            },
        };
        if list.len() < limit && has_issuer(&signature) && !list.iter().any(|known| known.normalized_eq(&signature)) {
            list.push(signature);
        }
    }

    fn finish(self) -> Result<UserRing, RingError> {
        let (primary, fingerprint) = self.primary.ok_or(RingError::Malformed)?;
        let Reader { revocations, ids, subkeys, .. } = self;
        let ring = UserRing { primary, fingerprint, revocations, ids, subkeys };
        ring.encode()?;
        Ok(ring)
    }
}

impl SignedId {
    pub(super) fn new(id: UserID) -> SignedId {
        SignedId {
            id,
            own: Vec::new(),
            own_revocations: Vec::new(),
            certifications: Vec::new(),
            certification_revocations: Vec::new(),
        }
    }

    /// Where a signature of this type belongs, and how many fit.
    fn list_for(&mut self, typ: SignatureType, own: bool) -> Option<(&mut Vec<Signature>, usize)> {
        use SignatureType::{CasualCertification, CertificationRevocation, GenericCertification};
        use SignatureType::{PersonaCertification, PositiveCertification};
        match (typ, own) {
            (GenericCertification | PersonaCertification | CasualCertification | PositiveCertification, true) => {
                Some((&mut self.own, OWN_SIGNATURES_MAX))
            }
            (GenericCertification | PersonaCertification | CasualCertification | PositiveCertification, false) => {
                Some((&mut self.certifications, CERTIFICATIONS_MAX))
            }
            (CertificationRevocation, true) => Some((&mut self.own_revocations, REVOCATIONS_MAX)),
            (CertificationRevocation, false) => Some((&mut self.certification_revocations, REVOCATIONS_MAX)),
            _ => None,
        }
    }
}

impl BoundSubkey {
    fn list_for(&mut self, typ: SignatureType, own: bool) -> Option<(&mut Vec<Signature>, usize)> {
        match (typ, own) {
            (SignatureType::SubkeyBinding, true) => Some((&mut self.bindings, OWN_SIGNATURES_MAX)),
            (SignatureType::SubkeyRevocation, true) => Some((&mut self.revocations, REVOCATIONS_MAX)),
            _ => None,
        }
    }
}

/// Refuses master keys that are no TLS keys here, among them those whose size would make verifying a burden.
fn check_master(key: &PublicKey) -> Result<(), RingError> {
    match key {
        PublicKey::RSA { e, n } => {
            let fits =
                (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&n.bits()) && (2..=RSA_EXPONENT_BITS_MAX).contains(&e.bits());
            if fits { Ok(()) } else { Err(RingError::KeyUnsupported) }
        }
        PublicKey::ECDSA { curve: Curve::Unknown(_), .. } | PublicKey::EdDSA { curve: Curve::Unknown(_), .. } => {
            Err(RingError::BrokenKey)
        }
        // A known curve with a point that is none.
        PublicKey::ECDSA { curve: Curve::NistP256, .. } | PublicKey::EdDSA { curve: Curve::Ed25519, .. } => {
            spki::spki_der(key).map(|_| ()).ok_or(RingError::BrokenKey)
        }
        PublicKey::Ed25519 { .. } => Ok(()),
        _ => Err(RingError::KeyUnsupported),
    }
}

/// What to say of a packet in front of the master key.
fn foreign_beginning(packet: &Packet) -> RingError {
    match packet {
        Packet::Unknown(unknown) if unknown.tag() == Tag::PublicKey => RingError::BrokenKey,
        Packet::Unknown(unknown) if unknown.tag() == Tag::SecretKey => RingError::Secret,
        _ => RingError::Malformed,
    }
}

fn has_issuer(signature: &Signature) -> bool {
    !signature.get_issuers().is_empty()
}

/// User ids of one ring.
pub const IDS_MAX: usize = 16;
/// Subkeys of one ring.
pub const SUBKEYS_MAX: usize = 16;
/// Signatures of the key itself on one user id, or on one subkey.
pub const OWN_SIGNATURES_MAX: usize = 8;
/// Other keys' certifications of one user id.
pub const CERTIFICATIONS_MAX: usize = 16;
/// Revocations of each sort of one user id, one subkey or the key.
pub const REVOCATIONS_MAX: usize = 8;

/// What TLS takes at least.
const RSA_BITS_MIN: usize = 2048;
/// What the verifying library takes at most.
const RSA_BITS_MAX: usize = 4096;
/// 65537 has 17; the verifying library takes 33.
const RSA_EXPONENT_BITS_MAX: usize = 33;
