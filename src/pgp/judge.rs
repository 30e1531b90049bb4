//! Who may be certified, who may log in. Kontalk protocol: the server's checks of a presented key, login decision tree.
//!
//! A judgement verifies as few signatures as it can: one of the key on its user id, one of the server's.

use std::fmt;
use std::time::Duration;

use openpgp::packet::Signature;
use openpgp::types::SignatureType;
use sequoia_openpgp as openpgp;

use super::fingerprint::Fingerprint;
use super::ring::{SignedId, UserRing, names_issuer};
use super::server_key::ServerKey;
use super::signature::{Covered, created, expired, is_strong, is_understood, verifies};
use super::userid;
use crate::jid::BareJid;
use crate::stanza::Timestamp;

/// What is wrong with a key or with its own word on the user id that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Its owner revoked it.
    Revoked,
    /// It was made later than now, by more than [`CLOCK_SKEW_MAX`].
    CreatedInFuture,
    /// Its validity, or that of its signature on the user id, is over.
    Expired,
    /// The key does not sign the user id.
    NoSelfSignature,
    /// It signs the user id with SHA-1 or weaker only, or in a way we do not understand: the key must be renewed.
    WeakSignatures,
    /// Its owner revoked the user id.
    AddressRevoked,
}

/// Why a key is not certified. The peer's fault in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateRefusal {
    /// The first user id names no account.
    NoAddress,
    /// The first user id is of another domain.
    OtherDomain,
    /// The key will not do.
    Key(KeyFault),
}

/// Why a key does not let its bearer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefusal {
    /// No user id has an account at this domain.
    NoAddressHere,
    /// The key will not do.
    Key(KeyFault),
    /// This server has not certified the user id.
    NotCertified,
    /// It has, and took it back.
    CertificationRevoked,
    /// Another key is the account's current one, and this is not newer.
    OlderThanCurrent,
    /// Another key is the account's current one, and its ring is not there to compare with.
    CurrentKeyMissing,
    /// Another key is the account's current one, and does not pass itself; only registration replaces it.
    CurrentKeyRefused,
    /// This machine's clock stands before the making of the server's own key: nothing can be judged until it is set.
    ClockBehind,
}

impl LoginRefusal {
    /// Would it be the same the next time? Else the client must be told of a temporary fault: a definite refusal makes it
    /// ask its user to register again.
    pub fn is_definite(self) -> bool {
        self != LoginRefusal::ClockBehind
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyFault::Revoked => "the key was revoked by its owner",
            KeyFault::CreatedInFuture => "the key was made in the future: one of the two clocks is wrong",
            KeyFault::Expired => "the key has expired",
            KeyFault::NoSelfSignature => "the key does not sign its user id",
            KeyFault::WeakSignatures => "the key signs its user id with a broken hash only; it must be renewed",
            KeyFault::AddressRevoked => "the user id was revoked by its owner",
        })
    }
}

impl fmt::Display for CandidateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CandidateRefusal::NoAddress => f.write_str("the key's first user id names no account"),
            CandidateRefusal::OtherDomain => f.write_str("the key's first user id is of another domain"),
            CandidateRefusal::Key(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for LoginRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LoginRefusal::NoAddressHere => "the key has no user id of this domain",
            LoginRefusal::Key(fault) => return fault.fmt(f),
            LoginRefusal::NotCertified => "the key is not certified by this server",
            LoginRefusal::CertificationRevoked => "this server revoked the key's certification",
            LoginRefusal::OlderThanCurrent => "the account has another key, and this one is not newer",
            LoginRefusal::CurrentKeyMissing => "the account has another key, whose ring is not stored",
            LoginRefusal::CurrentKeyRefused => {
                "the account has another key, which is no longer good; registration replaces it"
            }
            LoginRefusal::ClockBehind => "this machine's clock is behind the making of its own key; set the clock",
        })
    }
}

impl std::error::Error for KeyFault {}
impl std::error::Error for CandidateRefusal {}
impl std::error::Error for LoginRefusal {}

impl From<KeyFault> for CandidateRefusal {
    fn from(fault: KeyFault) -> CandidateRefusal {
        CandidateRefusal::Key(fault)
    }
}

impl From<KeyFault> for LoginRefusal {
    fn from(fault: KeyFault) -> LoginRefusal {
        LoginRefusal::Key(fault)
    }
}

/// The code step: may this key, as it was presented (not merged), be certified? Gives the account that its first user id
/// names, which must be of this domain. That the number behind it was proved is the caller's affair.
pub fn judge_candidate(ring: &UserRing, domain: &str, now: Timestamp) -> Result<BareJid, CandidateRefusal> {
    let first = ring.ids.first().ok_or(CandidateRefusal::NoAddress)?;
    let address = userid::address(first.id.value()).ok_or(CandidateRefusal::NoAddress)?;
    let here = BareJid::domain(domain).map_err(|_| CandidateRefusal::OtherDomain)?;
    // Kontalk registration, code: the first user id counts, its domain is compared ignoring case.
    if address.domainpart() != here.as_str() {
        return Err(CandidateRefusal::OtherDomain);
    }
    check_id(ring, first, now)?;
    Ok(address)
}

/// The login: does this key let its bearer in, and as whom?
///
/// `ring` is the presented ring merged into the stored one of the same key (or alone, if none is stored), after the TLS
/// handshake proved the key. `stored` is the fingerprint on record for the account, `stored_ring` the ring of that fingerprint;
/// both may be left out when the account is new. The address to look these up by is [`UserRing::address_at`].
pub fn judge_login(
    ring: &UserRing,
    domain: &str,
    server: &ServerKey,
    now: Timestamp,
    stored: Option<Fingerprint>,
    stored_ring: Option<&UserRing>,
) -> Result<BareJid, LoginRefusal> {
    if now.plus(CLOCK_SKEW_MAX) < server.created() {
        return Err(LoginRefusal::ClockBehind);
    }
    let address = judge_key(ring, domain, server, now)?;
    let Some(current) = stored.filter(|current| *current != ring.fingerprint()) else {
        return Ok(address);
    };
    // The newest certified key wins, provided the current one is there and still good.
    let current = stored_ring.filter(|ring| ring.fingerprint() == current).ok_or(LoginRefusal::CurrentKeyMissing)?;
    if ring.created() <= current.created() {
        return Err(LoginRefusal::OlderThanCurrent);
    }
    match judge_key(current, domain, server, now) {
        Ok(other) if other == address => Ok(address),
        _ => Err(LoginRefusal::CurrentKeyRefused),
    }
}

/// What the server's signatures say about a user id.
pub(super) enum Standing<'a> {
    /// Certified by this signature, and nothing took it back since.
    Certified(&'a Signature),
    /// Taken back at this time.
    Revoked(Timestamp),
    /// Not a word.
    Unknown,
}

/// Looks for the newest of the server's signatures on a user id.
///
/// Kontalk login: that a certification has ended does not matter at home, where the account's record says whose it is; the login
/// renews it ([`ServerKey::renewed`]).
pub(super) fn standing<'a>(ring: &UserRing, id: &'a SignedId, server: &ServerKey) -> Standing<'a> {
    let issuer = server.fingerprint().handle();
    let key = server.public_key();
    let covered = Covered::Id(&ring.primary, &id.id);
    let newest_first = |list: &'a [Signature]| {
        let mut found: Vec<_> = list.iter().filter(|signature| names_issuer(signature, &issuer)).collect();
        found.sort_by_key(|signature| std::cmp::Reverse(created(signature)));
        found
    };
    let revoked = newest_first(&id.certification_revocations)
        .into_iter()
        .find(|signature| verifies(signature, key, covered))
        .map(created);
    // At the same second the revocation wins: times are whole seconds, and locking out is the safe side.
    let certified = newest_first(&id.certifications)
        .into_iter()
        .filter(|signature| counts_as_certification(signature))
        .take_while(|signature| revoked.is_none_or(|revoked| created(signature) > revoked))
        .find(|signature| verifies(signature, key, covered));
    match (certified, revoked) {
        (Some(signature), _) => Standing::Certified(signature),
        (None, Some(at)) => Standing::Revoked(at),
        (None, None) => Standing::Unknown,
    }
}

/// Is the key good, and does it own this user id at this time?
pub(super) fn check_id(ring: &UserRing, id: &SignedId, now: Timestamp) -> Result<(), KeyFault> {
    if ring.is_revoked() {
        return Err(KeyFault::Revoked);
    }
    let latest = now.plus(CLOCK_SKEW_MAX);
    if ring.created() > latest {
        return Err(KeyFault::CreatedInFuture);
    }
    let covered = Covered::Id(&ring.primary, &id.id);
    let own = self_signature(ring, id, latest)?;
    let key_expired = match own.key_validity_period() {
        Some(period) if period > Duration::ZERO => ring.created().plus(period) <= now,
        _ => false,
    };
    if key_expired || expired(own, now) {
        return Err(KeyFault::Expired);
    }
    let revoked =
        |revocation: &Signature| created(revocation) >= created(own) && verifies(revocation, &ring.primary, covered);
    if id.own_revocations.iter().any(revoked) { Err(KeyFault::AddressRevoked) } else { Ok(()) }
}

/// Protocol items 2 to 6, and the server's own revocations.
fn judge_key(ring: &UserRing, domain: &str, server: &ServerKey, now: Timestamp) -> Result<BareJid, LoginRefusal> {
    let (address, id) = ring.id_at(domain).ok_or(LoginRefusal::NoAddressHere)?;
    check_id(ring, id, now)?;
    match standing(ring, id, server) {
        Standing::Certified(_) => Ok(address),
        Standing::Revoked(_) => Err(LoginRefusal::CertificationRevoked),
        Standing::Unknown => Err(LoginRefusal::NotCertified),
    }
}

/// The key's newest signature on its user id that can be relied on.
fn self_signature<'a>(ring: &UserRing, id: &'a SignedId, latest: Timestamp) -> Result<&'a Signature, KeyFault> {
    let covered = Covered::Id(&ring.primary, &id.id);
    let mut candidates: Vec<_> = id.own.iter().filter(|signature| created(signature) <= latest).collect();
    candidates.sort_by_key(|signature| std::cmp::Reverse(created(signature)));
    let reliable = |signature: &Signature| is_strong(signature) && is_understood(signature);
    let (strong, weak): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|signature| reliable(signature));
    let verified = |signature: &&Signature| verifies(signature, &ring.primary, covered);
    match strong.into_iter().find(verified) {
        Some(signature) => Ok(signature),
        None if weak.iter().any(verified) => Err(KeyFault::WeakSignatures),
        None => Err(KeyFault::NoSelfSignature),
    }
}

fn counts_as_certification(signature: &Signature) -> bool {
    // Kontalk login: 0x11 and 0x13 by the server are ignored.
    matches!(signature.typ(), SignatureType::GenericCertification | SignatureType::CasualCertification)
        && is_strong(signature)
        && is_understood(signature)
}

/// How far a client's clock may be ahead of ours when it makes its key.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);
