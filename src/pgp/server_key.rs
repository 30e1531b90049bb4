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
use openpgp::packet::signature::subpacket::SubpacketValue;
use openpgp::packet::{Packet, UserID};
use openpgp::parse::Parse;
use openpgp::serialize::SerializeInto;
use openpgp::types::{Curve, KeyFlags, ReasonForRevocation, SignatureType};
use zeroize::Zeroizing;

use super::fingerprint::Fingerprint;
use super::judge::{KeyFault, Standing, check_id, standing};
use super::ring::{CERTIFICATIONS_MAX, REVOCATIONS_MAX, RingError, UserRing, names_issuer};
use super::signature::{Covered, PrimaryKey, make, verifies};
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

    /// Certifies that the first user id with this address belongs to the key: one generic certification (`0x10`) behind the
    /// key's own signature. Where a good one is there already, nothing is added. What the key did not sign is left out of the
    /// ring that comes back (see [`UserRing::tidy`]).
    ///
    /// A certification that was revoked is given anew: whether the account may have it is the caller's to know.
    ///
    /// The key must be good, sign the user id, and bind each subkey. The subkeys' own signatures back to the master are not
    /// looked at: Kontalk clients make them over the master key alone.
    pub fn certify(&self, ring: &UserRing, address: &BareJid, now: Timestamp) -> Result<UserRing, CertifyError> {
        let id = ring.place_of(address).and_then(|place| ring.ids.get(place)).ok_or(CertifyError::NoSuchAddress)?;
        check_id(ring, id, now)?;
        let bound = ring.subkeys.iter().all(|subkey| {
            let covered = Covered::Subkey(&ring.primary, &subkey.key);
            subkey.bindings.iter().any(|binding| verifies(binding, &ring.primary, covered))
        });
        if !bound {
            return Err(CertifyError::SubkeyNotBound);
        }
        let at = match standing(ring, id, self, now) {
            Standing::Certified(_) => None,
            // It must be strictly later than what it undoes.
            Standing::Revoked(at) => Some(now.max(at.plus(Duration::from_secs(1)))),
            Standing::Unknown => Some(now),
        };
        let mut ring = ring.tidy();
        if let Some(at) = at {
            self.sign_id(&mut ring, address, at, SignatureType::GenericCertification)?;
        }
        ring.encode()?;
        Ok(ring)
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
        let at = match standing(ring, id, self, now) {
            // Not before what it undoes, though the clock may have been set back since.
            Standing::Certified(at) => Some(now.max(at)),
            Standing::Revoked(_) => None,
            Standing::Unknown => Some(now),
        };
        if let Some(at) = at {
            self.sign_id(&mut revoked, address, at, SignatureType::CertificationRevocation)?;
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
    fn sign_id(
        &self,
        ring: &mut UserRing,
        address: &BareJid,
        at: Timestamp,
        typ: SignatureType,
    ) -> Result<(), CertifyError> {
        let place = ring.place_of(address).ok_or(CertifyError::NoSuchAddress)?;
        // A signature older than either key would not verify.
        let at = at.max(ring.created()).max(self.created());
        let UserRing { primary, ids, .. } = ring;
        let id = ids.get_mut(place).ok_or(CertifyError::NoSuchAddress)?;
        let (more, list, limit) = if typ == SignatureType::CertificationRevocation {
            // A soft reason: one that a later certification may lift.
            let reason =
                SubpacketValue::ReasonForRevocation { code: ReasonForRevocation::UIDRetired, reason: Vec::new() };
            (vec![reason], &mut id.certification_revocations, REVOCATIONS_MAX)
        } else {
            (Vec::new(), &mut id.certifications, CERTIFICATIONS_MAX)
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
