//! Keys of other nodes: what their certificate must be, what one key says of another's user id, detached signatures.
//!
//! A node's certificate is a [`UserRing`] like any other, with one user id that counts: exactly `xmpp:DOMAIN` (the form of
//! XEP-0373 §4.1). What an issuer says of a user id comes out as bare facts, [`Statements`]: which of them holds is decided
//! elsewhere, for it depends on clocks.

use std::io::Write;
use std::time::Duration;

use sequoia_openpgp as openpgp;

use openpgp::packet::signature::subpacket::{NotationDataFlags, SubpacketValue};
use openpgp::packet::{Packet, Signature};
use openpgp::parse::{Dearmor, PacketParserBuilder, PacketParserResult, Parse};
use openpgp::serialize::{Serialize, SerializeInto};
use openpgp::types::{ReasonForRevocation, SignatureType};
use sha2::{Digest, Sha256};

use super::fingerprint::Fingerprint;
use super::judge::{KeyFault, check_id};
use super::ring::{RingError, SignedId, UserRing, names_issuer};
use super::server_key::{CertifyError, ServerKey, reset_of};
use super::signature::{Covered, PrimaryKey, created, is_strong, is_understood, make, verifies};
use super::userid;
use crate::jid::BareJid;
use crate::stanza::Timestamp;

/// What one key says of a user id of another: only signatures that verify, with a strong hash, and that we understand.
/// Revocations count whatever their hash, for locking out is the safe side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements {
    /// `0x10` to `0x13`, newest first.
    pub certifications: Vec<Certified>,
    /// When each `0x30` was made, newest first.
    pub revocations: Vec<Timestamp>,
}

/// One certification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certified {
    /// When it was made, in whole seconds.
    pub at: Timestamp,
    /// When its validity ends; `None`: never.
    pub expires: Option<Timestamp>,
    /// 0 to 3, for `0x10` to `0x13`: how closely the issuer says that it looked.
    pub level: u8,
    /// When the number was taken over from another key, if the issuer says that it was.
    pub reset: Option<Timestamp>,
}

/// How a node certifies another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCertification {
    /// `0x13`: a person compared fingerprints. Else `0x10`.
    pub positive: bool,
    /// How long it is good.
    pub valid_for: Duration,
    /// Name and value of a notation that says why.
    pub notation: (String, String),
}

/// Why a node takes a certification back. Both are soft: a later certification lifts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationReason {
    /// Reason 32, "user ID no longer valid": trust has ended.
    TrustEnded,
    /// Reason 1, "superseded": the node has another key now.
    Superseded,
}

impl UserRing {
    /// Reads a ring that may be in ASCII armor, as people hand it over. Errors as [`UserRing::parse`].
    pub fn parse_armored(bytes: &[u8]) -> Result<UserRing, RingError> {
        if bytes.len() > 2 * crate::limits::RING_BYTES_MAX {
            return Err(RingError::TooLong);
        }
        let mut ring = Vec::new();
        let mut next = PacketParserBuilder::from_bytes(bytes)
            .and_then(|builder| builder.dearmor(Dearmor::Auto(openpgp::armor::ReaderMode::VeryTolerant)).build())
            .map_err(|_| RingError::Malformed)?;
        while let PacketParserResult::Some(parser) = next {
            let (packet, rest) = parser.next().map_err(|_| RingError::Malformed)?;
            packet.serialize(&mut ring).map_err(|_| RingError::Malformed)?;
            next = rest;
        }
        UserRing::parse(&ring)
    }

    /// SHA-256 over the octets that the fingerprint is computed over (RFC 9580 §5.5.4.2): a name that does not depend on SHA-1.
    pub fn kid(&self) -> [u8; 32] {
        kid(&self.primary)
    }

    /// Is it a node's certificate, good at `now`: the key neither revoked nor expired, and its own signature on a user id that is
    /// exactly `xmpp:DOMAIN`, with a strong hash?
    pub fn check_node(&self, domain: &str, now: Timestamp) -> Result<(), KeyFault> {
        match self.node_id(domain) {
            Some(id) => check_id(self, id, now),
            None => Err(KeyFault::NoSelfSignature),
        }
    }

    /// Only what matters of a node's certificate: the key, its revocations, the one user id with the key's own signatures and those
    /// of these issuers. `None` if there is no such user id.
    pub fn of_node(&self, domain: &str, issuers: &[Fingerprint]) -> Option<UserRing> {
        let id = self.node_id(domain)?.clone();
        let ring = UserRing { ids: vec![id], subkeys: Vec::new(), ..self.clone() };
        Some(ring.tidy_ids(issuers))
    }

    /// When the key made this detached signature (RFC 9580 §5.2, type 0x00) over `text`, binary or in armor; `None` if it did not,
    /// or with a weak hash.
    pub fn signed_text(&self, signature: &[u8], text: &[u8]) -> Option<Timestamp> {
        let signature = read_signature(signature)?;
        let sound = signature.typ() == SignatureType::Binary && is_strong(&signature) && is_understood(&signature);
        if !sound || !verifies(&signature, &self.primary, Covered::Text(text)) {
            return None;
        }
        Some(created(&signature))
    }

    /// What `issuer` says of the user id `xmpp:DOMAIN` of this node's certificate.
    pub fn node_statements(&self, domain: &str, issuer: &UserRing) -> Statements {
        self.node_id(domain).map_or_else(Statements::default, |id| self.statements(id, issuer))
    }

    /// What `issuer` says of the user id that names this account.
    pub fn statements_about(&self, address: &BareJid, issuer: &UserRing) -> Statements {
        let id = self.place_of(address).and_then(|place| self.ids.get(place));
        id.map_or_else(Statements::default, |id| self.statements(id, issuer))
    }

    /// The accounts that the ring's user ids name, one for each id that names one.
    pub fn addresses(&self) -> impl Iterator<Item = BareJid> + '_ {
        self.ids.iter().filter_map(|id| userid::address(id.id.value()))
    }

    /// Is the key good at `now`, and does it sign the user id with this account by a strong hash?
    pub fn check_address(&self, address: &BareJid, now: Timestamp) -> Result<(), KeyFault> {
        match self.place_of(address).and_then(|place| self.ids.get(place)) {
            Some(id) => check_id(self, id, now),
            None => Err(KeyFault::NoSelfSignature),
        }
    }

    /// The signatures of `issuer` on a node's user id, as packets one behind the other: what has to be kept of them. The newest
    /// of each sort, and only what verifies.
    pub fn own_words(&self, domain: &str, issuer: &UserRing) -> Vec<u8> {
        let Some(id) = self.node_id(domain) else { return Vec::new() };
        let covered = Covered::Id(&self.primary, &id.id);
        let own = issuer.fingerprint.handle();
        let newest = |list: &[Signature]| {
            let of_issuer = list.iter().filter(|signature| names_issuer(signature, &own));
            let good = of_issuer.filter(|signature| verifies(signature, &issuer.primary, covered));
            good.max_by_key(|signature| created(signature)).cloned()
        };
        let mut out = Vec::new();
        for signature in newest(&id.certifications).into_iter().chain(newest(&id.certification_revocations)) {
            // Written to memory: it cannot fail for want of space.
            let _ = Packet::from(signature).serialize(&mut out);
        }
        out
    }

    /// The ring with such packets put on the user id `xmpp:DOMAIN`, in front of what is there. What is no signature is left out.
    #[must_use]
    pub fn with_words(mut self, domain: &str, words: &[u8]) -> UserRing {
        let signatures = read_signatures(words);
        let name = user_id(domain);
        if let Some(id) = self.ids.iter_mut().find(|id| id.id.value() == name.as_bytes()) {
            for signature in signatures {
                let list = match signature.typ() {
                    SignatureType::CertificationRevocation => &mut id.certification_revocations,
                    _ => &mut id.certifications,
                };
                if !list.iter().any(|known| known.normalized_eq(&signature)) {
                    list.insert(0, signature);
                }
            }
        }
        self
    }

    /// As ASCII armor, for tools and people.
    pub fn armored(&self) -> String {
        let armored = || -> std::io::Result<Vec<u8>> {
            let mut writer = openpgp::armor::Writer::new(Vec::new(), openpgp::armor::Kind::PublicKey)?;
            writer.write_all(&self.to_bytes())?;
            writer.finalize()
        };
        // Written to memory: it cannot fail for want of space.
        String::from_utf8_lossy(&armored().unwrap_or_default()).into_owned()
    }

    fn node_id(&self, domain: &str) -> Option<&SignedId> {
        let name = user_id(domain);
        self.ids.iter().find(|id| id.id.value() == name.as_bytes())
    }

    fn tidy_ids(&self, issuers: &[Fingerprint]) -> UserRing {
        self.tidy().without_foreign_certifications(issuers)
    }

    fn statements(&self, id: &SignedId, issuer: &UserRing) -> Statements {
        let handle = issuer.fingerprint.handle();
        let covered = Covered::Id(&self.primary, &id.id);
        let by_issuer =
            |signature: &&Signature| names_issuer(signature, &handle) && verifies(signature, &issuer.primary, covered);
        let sound = |signature: &&Signature| is_strong(signature) && is_understood(signature);
        let certifications = id.certifications.iter().filter(sound).filter(by_issuer);
        let mut certifications: Vec<Certified> = certifications.map(certified).collect();
        let mut revocations: Vec<Timestamp> =
            id.certification_revocations.iter().filter(by_issuer).map(created).collect();
        certifications.sort_by_key(|certified| std::cmp::Reverse(certified.at));
        revocations.sort_by_key(|at| std::cmp::Reverse(*at));
        Statements { certifications, revocations }
    }
}

impl ServerKey {
    /// The public half as a ring, to compare and verify with.
    pub fn ring(&self) -> Result<UserRing, RingError> {
        UserRing::parse(self.public_ring())
    }

    /// A detached binary signature over `text` (RFC 9580 §5.2, type 0x00), as a packet.
    pub fn sign_detached(&self, text: &[u8], now: Timestamp) -> Result<Vec<u8>, CertifyError> {
        let at = now.max(self.created());
        packet(make(&mut self.signer(), SignatureType::Binary, at, Vec::new(), Covered::Text(text)))
    }

    /// Certifies another node: the signature packet over its key and `xmpp:DOMAIN`. A trust signature of depth 1 and amount 120
    /// (RFC 9580 §5.2.3.21) bound by a regular expression to addresses of that domain: tools read it as "may introduce its own users".
    ///
    /// `at` is the caller's to choose: later than what it undoes.
    pub fn certify_node(
        &self,
        ring: &UserRing,
        domain: &str,
        how: &NodeCertification,
        at: Timestamp,
    ) -> Result<Vec<u8>, CertifyError> {
        let typ = match how.positive {
            true => SignatureType::PositiveCertification,
            false => SignatureType::GenericCertification,
        };
        let validity = openpgp::types::Duration::try_from(how.valid_for).map_err(|_| CertifyError::NotSigned)?;
        let (name, value) = &how.notation;
        let notation = openpgp::packet::signature::subpacket::NotationData::new(
            name,
            value,
            NotationDataFlags::empty().set_human_readable(),
        );
        let more = vec![
            SubpacketValue::TrustSignature { level: 1, trust: TRUST_AMOUNT },
            SubpacketValue::RegularExpression(introduced(domain).into_bytes()),
            SubpacketValue::SignatureExpirationTime(validity),
            SubpacketValue::ExportableCertification(true),
            SubpacketValue::NotationData(notation),
        ];
        self.sign_node(ring, domain, typ, more, at)
    }

    /// The public ring with the key's own revocation (`0x20`), for when the key is lost or stolen.
    pub fn revoked_ring(&self, now: Timestamp) -> Result<Vec<u8>, CertifyError> {
        let mut ring = self.ring()?;
        let code = ReasonForRevocation::KeyCompromised;
        let more = vec![SubpacketValue::ReasonForRevocation { code, reason: Vec::new() }];
        let at = now.max(self.created());
        let signature =
            make(&mut self.signer(), SignatureType::KeyRevocation, at, more, Covered::Primary(&ring.primary));
        ring.revocations.push(signature.map_err(|_| CertifyError::NotSigned)?);
        Ok(ring.to_bytes())
    }

    /// Takes the certification of another node back: the `0x30` packet.
    pub fn revoke_node(
        &self,
        ring: &UserRing,
        domain: &str,
        reason: RevocationReason,
        at: Timestamp,
    ) -> Result<Vec<u8>, CertifyError> {
        let code = match reason {
            RevocationReason::TrustEnded => ReasonForRevocation::UIDRetired,
            RevocationReason::Superseded => ReasonForRevocation::KeySuperseded,
        };
        let more = vec![SubpacketValue::ReasonForRevocation { code, reason: Vec::new() }];
        self.sign_node(ring, domain, SignatureType::CertificationRevocation, more, at)
    }

    fn sign_node(
        &self,
        ring: &UserRing,
        domain: &str,
        typ: SignatureType,
        more: Vec<SubpacketValue>,
        at: Timestamp,
    ) -> Result<Vec<u8>, CertifyError> {
        let id = ring.node_id(domain).ok_or(CertifyError::NoSuchAddress)?;
        let at = at.max(ring.created()).max(self.created());
        packet(make(&mut self.signer(), typ, at, more, Covered::Id(&ring.primary, &id.id)))
    }
}

/// The user id that a node's key has.
fn user_id(domain: &str) -> String {
    format!("xmpp:{domain}")
}

/// Whom a node may introduce, as GnuPG and Sequoia write it: addresses of its domain.
fn introduced(domain: &str) -> String {
    format!("<[^>]+@{}>$", domain.replace('.', "\\."))
}

fn kid(primary: &PrimaryKey) -> [u8; 32] {
    let mut body = Vec::new();
    // Written to memory: it cannot fail for want of space.
    let _ = openpgp::serialize::Marshal::serialize(primary, &mut body);
    let mut hash = Sha256::new();
    hash.update([0x99]);
    hash.update(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    hash.update(&body);
    hash.finalize().into()
}

fn certified(signature: &Signature) -> Certified {
    let at = created(signature);
    let period = signature.signature_validity_period().filter(|period| *period > Duration::ZERO);
    Certified {
        at,
        expires: period.map(|period| at.plus(period)),
        level: match signature.typ() {
            SignatureType::PersonaCertification => 1,
            SignatureType::CasualCertification => 2,
            SignatureType::PositiveCertification => 3,
            _ => 0,
        },
        reset: reset_of(signature),
    }
}

fn packet(signature: openpgp::Result<Signature>) -> Result<Vec<u8>, CertifyError> {
    let signature = signature.map_err(|_| CertifyError::NotSigned)?;
    Packet::from(signature).to_vec().map_err(|_| CertifyError::NotSigned)
}

fn read_signature(bytes: &[u8]) -> Option<Signature> {
    if bytes.len() > SIGNATURE_BYTES_MAX {
        return None;
    }
    match Packet::from_bytes(bytes).ok()? {
        Packet::Signature(signature) => Some(signature),
        _ => None,
    }
}

fn read_signatures(bytes: &[u8]) -> Vec<Signature> {
    let mut signatures = Vec::new();
    let mut next =
        PacketParserBuilder::from_bytes(bytes).and_then(|builder| builder.dearmor(Dearmor::Disabled).build());
    while let Ok(PacketParserResult::Some(parser)) = next {
        next = match parser.next() {
            Ok((Packet::Signature(signature), rest)) => {
                signatures.push(signature);
                Ok(rest)
            }
            Ok((_, rest)) => Ok(rest),
            Err(error) => Err(error),
        };
    }
    signatures
}

/// Bytes of one detached signature: an RSA key of 4096 bits needs under 700.
pub const SIGNATURE_BYTES_MAX: usize = 4096;
/// RFC 9580 §5.2.3.21: complete trust.
const TRUST_AMOUNT: u8 = 120;
