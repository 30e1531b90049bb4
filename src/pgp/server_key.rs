//! The server's own key: the identity of the node, and what certifies its users. Kontalk protocol, the server key and how it
//! certifies.
//!
//! A v4 ECDSA P-256 key: every client of the network can read it. The library draws the randomness of key and signatures
//! from the operating system itself.

use std::fmt;
use std::time::{Duration, SystemTime};

use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::crypto::KeyPair;
use openpgp::packet::key::{Key, Key4, PrimaryRole, SecretParts};
use openpgp::packet::signature::subpacket::{NotationData, NotationDataFlags, SubpacketValue};
use openpgp::packet::{Packet, Signature, UserID};
use openpgp::parse::Parse;
use openpgp::serialize::SerializeInto;
use openpgp::types::{Curve, KeyFlags, ReasonForRevocation, SignatureType};
use zeroize::Zeroizing;

use super::fingerprint::Fingerprint;
use super::judge::{KeyFault, Standing, check_id, standing};
use super::ring::{CERTIFICATIONS_MAX, REVOCATIONS_MAX, RingError, SignedId, UserRing, names_issuer};
use super::signature::{Covered, PrimaryKey, created, make, verifies};
use super::userid;
use crate::jid::BareJid;
use crate::stanza::Timestamp;

/// The node's secret key. Prints its fingerprint alone.
pub struct ServerKey {
    cert: Cert,
    public: PrimaryKey,
    public_ring: Vec<u8>,
    fingerprint: Fingerprint,
    signer: KeyPair,
}

/// Why there is no server key.
#[derive(Debug)]
pub enum ServerKeyError {
    /// The domain cannot stand in a user id, or the library failed: the cause in its words.
    NotMade(String),
    /// The file holds no OpenPGP key: the cause in the library's words.
    Malformed(String),
    /// The file holds the public half alone.
    NoSecret,
    /// The secret key is locked with a passphrase.
    Locked,
    /// Not version 4, or of a kind this node cannot sign with.
    Unsupported,
}

/// Why a ring was not certified, or its certification not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertifyError {
    /// No user id of the ring names the address.
    NoSuchAddress,
    /// The key will not do.
    Key(KeyFault),
    /// A subkey is not bound by the master key.
    SubkeyNotBound,
    /// The ring with the signature would exceed its greatest size.
    TooLong,
    /// The signature could not be made: the node's fault.
    NotSigned,
}

impl fmt::Display for ServerKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerKeyError::NotMade(cause) => write!(f, "the server key could not be made: {cause}"),
            ServerKeyError::Malformed(cause) => {
                write!(f, "the server key cannot be read: {cause} (restore it from a backup)")
            }
            ServerKeyError::NoSecret => f.write_str("the server key lacks its secret half (restore it from a backup)"),
            ServerKeyError::Locked => f.write_str(
                "the server key is locked with a passphrase (export it again without one: gpg --edit-key, passwd)",
            ),
            ServerKeyError::Unsupported => {
                f.write_str("the server key is not a version 4 key that this node can sign with")
            }
        }
    }
}

impl std::error::Error for ServerKeyError {}

impl fmt::Display for CertifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertifyError::NoSuchAddress => "the key has no user id with this address",
            CertifyError::Key(fault) => return fault.fmt(f),
            CertifyError::SubkeyNotBound => "the key's owner has not signed one of its subkeys",
            CertifyError::TooLong => "the key ring would grow beyond 64 KiB",
            CertifyError::NotSigned => "the server key failed to sign",
        })
    }
}

impl std::error::Error for CertifyError {}

impl From<KeyFault> for CertifyError {
    fn from(fault: KeyFault) -> CertifyError {
        CertifyError::Key(fault)
    }
}

impl From<RingError> for CertifyError {
    fn from(_: RingError) -> CertifyError {
        CertifyError::TooLong
    }
}

impl ServerKey {
    /// Makes the key of a domain, with the user id `xmpp:DOMAIN` (XEP-0373 §4.1's form).
    pub fn generate(domain: &str, now: Timestamp) -> Result<ServerKey, ServerKeyError> {
        let domain = BareJid::domain(domain).map_err(|error| ServerKeyError::NotMade(error.to_string()))?;
        build(&domain, now).map_err(|error| ServerKeyError::NotMade(error.to_string()))
    }

    /// Reads a secret key, binary or armored, without a passphrase.
    pub fn from_bytes(bytes: &[u8]) -> Result<ServerKey, ServerKeyError> {
        let cert = Cert::from_bytes(bytes).map_err(|error| ServerKeyError::Malformed(error.to_string()))?;
        ServerKey::of(cert)
    }

    /// The whole key, secret half included, as binary ring. Wiped when dropped.
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        // That it can be written was tried when the key was made.
        Zeroizing::new(self.cert.as_tsk().to_vec().unwrap_or_default())
    }

    /// The public ring, binary, as clients and other nodes see it.
    pub fn public_ring(&self) -> &[u8] {
        &self.public_ring
    }

    /// The public ring as ASCII armor, for tools and people.
    pub fn armored_public_ring(&self) -> String {
        let armored = self.cert.armored().export_to_vec().unwrap_or_default();
        String::from_utf8_lossy(&armored).into_owned()
    }

    /// The node's name in the network.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// When the key was made.
    pub fn created(&self) -> Timestamp {
        Timestamp::from_system(self.public.creation_time())
    }

    /// The domain that its user id `xmpp:DOMAIN` names.
    pub fn domain(&self) -> Option<BareJid> {
        self.cert.userids().find_map(|id| {
            let named = id.userid().value().strip_prefix(b"xmpp:").and_then(|rest| std::str::from_utf8(rest).ok());
            named.and_then(|name| BareJid::domain(name).ok())
        })
    }

    /// Is it the key of this domain: has it the user id `xmpp:DOMAIN`, or (as older servers have) an email address there?
    pub fn is_for(&self, domain: &str) -> bool {
        let Ok(domain) = BareJid::domain(domain) else { return false };
        self.cert.userids().any(|id| {
            let value = id.userid().value();
            let named = value.strip_prefix(b"xmpp:").and_then(|rest| std::str::from_utf8(rest).ok());
            match named.and_then(|name| BareJid::domain(name).ok()) {
                Some(named) => named == domain,
                None => userid::address(value).is_some_and(|address| address.domainpart() == domain.as_str()),
            }
        })
    }

    /// Certifies that the first user id with this address belongs to the key: one generic certification (`0x10`), good for
    /// [`CERTIFICATION_VALID`], behind the key's own signature. Where one is there already that lasts, nothing is added. What the key did not sign is left out of the
    /// ring that comes back (see [`UserRing::tidy`]).
    ///
    /// A certification that was revoked is given anew: whether the account may have it is the caller's to know.
    ///
    /// The key must be good, sign the user id, and bind each subkey. The subkeys' own signatures back to the master are not
    /// looked at: Kontalk clients make them over the master key alone.
    pub fn certify(&self, ring: &UserRing, address: &BareJid, now: Timestamp) -> Result<UserRing, CertifyError> {
        self.certify_after_reset(ring, address, None, now)
    }

    /// [`ServerKey::certify`] for a key that took the number over from another one at `reset`, if it did: the certification says so
    /// by a notation, and other nodes let nobody in by it before the hold is over (`limits::RESET_HOLD`).
    pub fn certify_after_reset(
        &self,
        ring: &UserRing,
        address: &BareJid,
        reset: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<UserRing, CertifyError> {
        let id = ring.place_of(address).and_then(|place| ring.ids.get(place)).ok_or(CertifyError::NoSuchAddress)?;
        check_id(ring, id, now)?;
        let bound = ring.subkeys.iter().all(|subkey| {
            let covered = Covered::Subkey(&ring.primary, &subkey.key);
            subkey.bindings.iter().any(|binding| verifies(binding, &ring.primary, covered))
        });
        if !bound {
            return Err(CertifyError::SubkeyNotBound);
        }
        let at = self.due(ring, id, reset, now);
        let mut ring = ring.tidy();
        if let Some(at) = at {
            self.sign_id(&mut ring, address, at, Word::Certification { reset })?;
        }
        ring.encode()?;
        Ok(ring)
    }

    /// The ring with a certification that lasts: a new one where the present one ends within [`RENEW_BEFORE`], never ends (as those
    /// of older servers), or does not tell of the reset; and with none of this server's older ones. A ring without a good
    /// certification comes back as it is. The key's own signatures are not looked at.
    pub fn renewed(
        &self,
        ring: &UserRing,
        address: &BareJid,
        reset: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<UserRing, CertifyError> {
        let place = ring.place_of(address).ok_or(CertifyError::NoSuchAddress)?;
        let id = ring.ids.get(place).ok_or(CertifyError::NoSuchAddress)?;
        let Standing::Certified(newest) = standing(ring, id, self) else { return Ok(ring.clone()) };
        let mut renewed = ring.clone();
        match self.due(ring, id, reset, now) {
            Some(at) => self.sign_id(&mut renewed, address, at, Word::Certification { reset })?,
            None => {
                let own = self.fingerprint.handle();
                let kept = |known: &Signature| !names_issuer(known, &own) || known.normalized_eq(newest);
                if let Some(id) = renewed.ids.get_mut(place) {
                    id.certifications.retain(kept);
                }
            }
        }
        renewed.encode()?;
        Ok(renewed)
    }

    /// When a certification is to be dated that has to be made; `None`: the present one will do.
    fn due(&self, ring: &UserRing, id: &SignedId, reset: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let later = |at: Timestamp| Some(now.max(at.plus(Duration::from_secs(1))));
        match standing(ring, id, self) {
            Standing::Certified(signature) => {
                let ends = signature.signature_validity_period().map(|period| created(signature).plus(period));
                let lasts = ends.is_some_and(|ends| ends > now.plus(RENEW_BEFORE));
                let tells = reset.is_none_or(|reset| reset_of(signature).map(Timestamp::secs) == Some(reset.secs()));
                if lasts && tells { None } else { later(created(signature)) }
            }
            // It must be strictly later than what it undoes.
            Standing::Revoked(at) => later(at),
            Standing::Unknown => Some(now),
        }
    }

    /// Takes the certification of this address back (`0x30`). Where the newest word is a revocation already, nothing is
    /// added. The key itself need not be good.
    pub fn revoke_certification(
        &self,
        ring: &UserRing,
        address: &BareJid,
        now: Timestamp,
    ) -> Result<UserRing, CertifyError> {
        let id = ring.place_of(address).and_then(|place| ring.ids.get(place)).ok_or(CertifyError::NoSuchAddress)?;
        let mut revoked = ring.clone();
        let at = match standing(ring, id, self) {
            // Not before what it undoes, though the clock may have been set back since.
            Standing::Certified(signature) => Some(now.max(created(signature))),
            Standing::Revoked(_) => None,
            Standing::Unknown => Some(now),
        };
        if let Some(at) = at {
            self.sign_id(&mut revoked, address, at, Word::Revocation)?;
        }
        revoked.encode()?;
        Ok(revoked)
    }

    /// What signs.
    pub(super) fn signer(&self) -> KeyPair {
        self.signer.clone()
    }

    /// The public half of the key that signs.
    pub(super) fn public_key(&self) -> &PrimaryKey {
        &self.public
    }

    fn of(cert: Cert) -> Result<ServerKey, ServerKeyError> {
        let fingerprint = Fingerprint::of(&cert.fingerprint()).ok_or(ServerKeyError::Unsupported)?;
        let primary = cert.primary_key().key().clone();
        if !primary.pk_algo().for_signing() || !primary.pk_algo().is_supported() {
            return Err(ServerKeyError::Unsupported);
        }
        let secret = primary.parts_into_secret().map_err(|_| ServerKeyError::NoSecret)?;
        let signer = secret.into_keypair().map_err(|_| ServerKeyError::Locked)?;
        let public = signer.public().clone().role_into_primary();
        let unwritable = |error: &dyn fmt::Display| ServerKeyError::Malformed(error.to_string());
        cert.as_tsk().to_vec().map_err(|error| unwritable(&error))?;
        let public_ring =
            cert.clone().strip_secret_key_material().export_to_vec().map_err(|error| unwritable(&error))?;
        Ok(ServerKey { cert, public, public_ring, fingerprint, signer })
    }

    /// Puts a signature of the server on a user id, in front of others'; what it supersedes goes.
    fn sign_id(&self, ring: &mut UserRing, address: &BareJid, at: Timestamp, word: Word) -> Result<(), CertifyError> {
        let place = ring.place_of(address).ok_or(CertifyError::NoSuchAddress)?;
        // A signature older than either key would not verify.
        let at = at.max(ring.created()).max(self.created());
        let UserRing { primary, ids, .. } = ring;
        let id = ids.get_mut(place).ok_or(CertifyError::NoSuchAddress)?;
        let (typ, more, list, limit) = match word {
            Word::Revocation => {
                // A soft reason: one that a later certification may lift.
                let code = ReasonForRevocation::UIDRetired;
                let more = vec![SubpacketValue::ReasonForRevocation { code, reason: Vec::new() }];
                let list = &mut id.certification_revocations;
                (SignatureType::CertificationRevocation, more, list, REVOCATIONS_MAX)
            }
            Word::Certification { reset } => {
                let more = certification_says(reset)?;
                (SignatureType::GenericCertification, more, &mut id.certifications, CERTIFICATIONS_MAX)
            }
        };
        let signature = make(&mut self.signer.clone(), typ, at, more, Covered::Id(primary, &id.id))
            .map_err(|_| CertifyError::NotSigned)?;
        // Of our own words only the last of each sort matters: so a ring does not grow with every registration.
        let own = self.fingerprint.handle();
        list.retain(|known| !names_issuer(known, &own));
        list.insert(0, signature);
        list.truncate(limit);
        Ok(())
    }
}

/// What the server signs on a user id.
#[derive(Clone, Copy)]
enum Word {
    Certification { reset: Option<Timestamp> },
    Revocation,
}

fn certification_says(reset: Option<Timestamp>) -> Result<Vec<SubpacketValue>, CertifyError> {
    let validity = openpgp::types::Duration::try_from(CERTIFICATION_VALID).map_err(|_| CertifyError::NotSigned)?;
    let mut more = vec![SubpacketValue::SignatureExpirationTime(validity)];
    if let Some(reset) = reset {
        let flags = NotationDataFlags::empty().set_human_readable();
        more.push(SubpacketValue::NotationData(NotationData::new(RESET_NOTATION, reset.to_string(), flags)));
    }
    Ok(more)
}

/// When the number was taken over from another key, as the certification says; where it says so and not when, the moment of the
/// certification. Only what is signed counts. RFC 9580 §5.2.3.24.
pub(super) fn reset_of(signature: &Signature) -> Option<Timestamp> {
    let said = signature.hashed_area().iter().filter_map(|subpacket| match subpacket.value() {
        SubpacketValue::NotationData(notation) if notation.name() == RESET_NOTATION => Some(notation.value()),
        _ => None,
    });
    let read = |value: &[u8]| std::str::from_utf8(value).ok().and_then(Timestamp::parse);
    said.map(|value| read(value).unwrap_or_else(|| created(signature))).max()
}

/// A new key: one primary that certifies and signs, one user id, one self signature. No direct-key signature, no subkeys.
fn build(domain: &BareJid, now: Timestamp) -> openpgp::Result<ServerKey> {
    let mut primary: Key4<SecretParts, PrimaryRole> = Key4::generate_ecc(true, Curve::NistP256)?;
    primary.set_creation_time(SystemTime::UNIX_EPOCH + Duration::from_secs(now.secs()))?;
    let secret: Key<SecretParts, PrimaryRole> = primary.into();
    let mut signer = secret.clone().into_keypair()?;
    // Other nodes read the domain in ASCII; an address literal is that already.
    let ascii = idna::domain_to_ascii(domain.as_str()).unwrap_or_else(|_| domain.to_string());
    let id = UserID::from(format!("xmpp:{ascii}"));
    let flags = KeyFlags::empty().set_certification().set_signing();
    let more = vec![SubpacketValue::KeyFlags(flags), SubpacketValue::PrimaryUserID(true)];
    let public = signer.public().clone().role_into_primary();
    let covered = Covered::Id(&public, &id);
    let signature = make(&mut signer, SignatureType::PositiveCertification, now, more, covered)?;
    let packets: Vec<Packet> = vec![secret.into(), id.into(), signature.into()];
    Ok(ServerKey::of(Cert::from_packets(packets.into_iter())?)?)
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKey({})", self.fingerprint)
    }
}

/// How long a user's certification is good; each login at home renews it in time.
pub const CERTIFICATION_VALID: Duration = Duration::from_secs(180 * 24 * 3600);
/// A login renews a certification that ends within this time: who logs in twice a year never meets the end of his.
pub const RENEW_BEFORE: Duration = Duration::from_secs(90 * 24 * 3600);
/// The notation that tells when a number was taken over from another key, a date-time of XEP-0082.
pub const RESET_NOTATION: &str = "reset@kontalk.net";
