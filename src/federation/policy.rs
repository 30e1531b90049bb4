//! Who may be a peer, and what its certificate makes of it. RFC 6120 §13.7, RFC 7590.

use std::fmt;
use std::sync::Arc;

use crate::jid::BareJid;

/// SHA-256 of a public key as it stands in certificates (SubjectPublicKeyInfo, DER).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpkiHash(pub [u8; 32]);

/// What is wrong with a peer's certificate, seen as one for its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PkixFault {
    /// It showed none.
    NoCertificate,
    /// It is good, but for other names.
    WrongName,
    /// It was good once.
    Expired,
    /// It will be good, or our clock is wrong.
    NotYetValid,
    /// No authority that we trust has signed it; it may have signed itself.
    UnknownIssuer,
    /// It cannot be read, or breaks a rule for certificates.
    Unusable,
}

impl fmt::Display for PkixFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PkixFault::NoCertificate => "it shows no certificate",
            PkixFault::WrongName => "its certificate is for another name",
            PkixFault::Expired => "its certificate has expired",
            PkixFault::NotYetValid => "its certificate is not valid yet",
            PkixFault::UnknownIssuer => "its certificate is signed by nobody we trust",
            PkixFault::Unusable => "its certificate cannot be used",
        })
    }
}

/// What TLS has shown of a peer that says it is `domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEvidence {
    /// Who it says it is.
    pub domain: BareJid,
    /// Is its certificate one for this domain, by the authorities we trust, now?
    pub pkix: Result<(), PkixFault>,
    /// The key it holds, if it showed a certificate.
    pub spki_sha256: Option<SpkiHash>,
    /// The connection has TLS 1.3.
    pub tls13: bool,
}

/// How well we know that a peer is its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The domain's name server says so. XEP-0220.
    Dialback,
    /// An authority says so. RFC 6120 §13.7.
    Domain,
    /// A Kontalk node with the key that we have pinned.
    Node,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Dialback => "by dialback",
            Class::Domain => "by certificate",
            Class::Node => "by pinned key",
        })
    }
}

/// Knows the keys of those domains whose nodes we have a card of.
pub trait Pins: Send + Sync + fmt::Debug {
    /// The keys that a domain may show now; `None` for a domain without a card.
    fn pins(&self, domain: &BareJid) -> Option<Vec<SpkiHash>>;
}

/// No domain has a card.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPins;

impl Pins for NoPins {
    fn pins(&self, _domain: &BareJid) -> Option<Vec<SpkiHash>> {
        None
    }
}

/// Why a domain is no peer of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The operator denies it.
    Denied,
    /// The operator allows only others.
    NotAllowed,
    /// It has a card, and another key.
    OtherKey,
    /// Its certificate proves nothing, and no other proof is taken.
    Unproved(PkixFault),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Denied => f.write_str("this server does not talk to that domain"),
            Refusal::NotAllowed => f.write_str("this server talks to chosen domains only"),
            Refusal::OtherKey => f.write_str("it does not hold the key that this domain is known by"),
            Refusal::Unproved(fault) => fault.fmt(f),
        }
    }
}

/// What a peer's evidence is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is its domain.
    Proved(Class),
    /// Only dialback can tell.
    ByDialback,
    /// It is no peer of ours.
    Refused(Refusal),
}

/// The operator's rules.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Only these, and all below them; empty: everybody.
    pub allow: Vec<BareJid>,
    /// Not these, nor any below them; goes before `allow`.
    pub deny: Vec<BareJid>,
    /// A domain whose certificate proves nothing may prove itself by dialback.
    pub dialback: bool,
    /// Those whom certificates do not prove: nodes with a card.
    pub pins: Arc<dyn Pins>,
}

impl Policy {
    /// May there be streams with this domain at all?
    pub fn admits(&self, domain: &BareJid) -> Result<(), Refusal> {
        let listed = |list: &[BareJid]| list.iter().any(|entry| covers(entry, domain));
        if listed(&self.deny) {
            return Err(Refusal::Denied);
        }
        if !self.allow.is_empty() && !listed(&self.allow) {
            return Err(Refusal::NotAllowed);
        }
        Ok(())
    }

    /// Who is it? A domain with a card is known by its key and by nothing else: no authority and no name server can stand in
    /// for it.
    pub fn judge(&self, evidence: &PeerEvidence) -> Verdict {
        if let Err(refusal) = self.admits(&evidence.domain) {
            return Verdict::Refused(refusal);
        }
        if let Some(pins) = self.pins.pins(&evidence.domain) {
            let holds = evidence.spki_sha256.is_some_and(|key| pins.contains(&key));
            return match holds && evidence.tls13 {
                true => Verdict::Proved(Class::Node),
                false => Verdict::Refused(Refusal::OtherKey),
            };
        }
        match evidence.pkix {
            Ok(()) => Verdict::Proved(Class::Domain),
            Err(_) if self.dialback => Verdict::ByDialback,
            Err(fault) => Verdict::Refused(Refusal::Unproved(fault)),
        }
    }

    /// May this domain prove itself by dialback?
    pub fn takes_dialback(&self, domain: &BareJid) -> bool {
        self.dialback && self.admits(domain).is_ok() && self.pins.pins(domain).is_none()
    }
}

fn covers(entry: &BareJid, domain: &BareJid) -> bool {
    let (entry, domain) = (entry.domainpart(), domain.domainpart());
    domain.strip_suffix(entry).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct OnePin;

    impl Pins for OnePin {
        fn pins(&self, domain: &BareJid) -> Option<Vec<SpkiHash>> {
            (domain.as_str() == "node.example").then(|| vec![SpkiHash([7; 32])])
        }
    }

    fn domains(list: &[&str]) -> Vec<BareJid> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn lists_cover_a_domain_and_all_below_it() {
        for (allow, deny, domain, expected) in [
            (&[][..], &[][..], "b.example", Ok(())),
            (&[], &["b.example"], "b.example", Err(Refusal::Denied)),
            (&[], &["b.example"], "rooms.b.example", Err(Refusal::Denied)),
            (&[], &["b.example"], "ab.example", Ok(())),
            (&["b.example"], &[], "b.example", Ok(())),
            (&["b.example"], &[], "c.example", Err(Refusal::NotAllowed)),
            (&["b.example"], &["rooms.b.example"], "rooms.b.example", Err(Refusal::Denied)),
        ] {
            let policy = Policy { allow: domains(allow), deny: domains(deny), dialback: false, pins: Arc::new(NoPins) };
            assert_eq!(policy.admits(&domain.parse().unwrap()), expected, "{domain}");
        }
    }

    #[test]
    fn a_peer_is_known_by_its_pin_or_its_certificate_or_dialback() {
        let own_key = Some(SpkiHash([7; 32]));
        let other_key = Some(SpkiHash([8; 32]));
        let refused = |refusal| Verdict::Refused(refusal);
        for (dialback, domain, pkix, key, tls13, expected) in [
            (false, "b.example", Ok(()), other_key, false, Verdict::Proved(Class::Domain)),
            (
                false,
                "b.example",
                Err(PkixFault::Expired),
                other_key,
                true,
                refused(Refusal::Unproved(PkixFault::Expired)),
            ),
            (true, "b.example", Err(PkixFault::Expired), other_key, true, Verdict::ByDialback),
            // A card: the key decides, whatever authorities and name servers say.
            (true, "node.example", Err(PkixFault::UnknownIssuer), own_key, true, Verdict::Proved(Class::Node)),
            (true, "node.example", Ok(()), other_key, true, refused(Refusal::OtherKey)),
            (true, "node.example", Ok(()), None, true, refused(Refusal::OtherKey)),
            (true, "node.example", Ok(()), own_key, false, refused(Refusal::OtherKey)),
        ] {
            let policy = Policy { allow: Vec::new(), deny: Vec::new(), dialback, pins: Arc::new(OnePin) };
            let evidence = PeerEvidence { domain: domain.parse().unwrap(), pkix, spki_sha256: key, tls13 };
            assert_eq!(policy.judge(&evidence), expected, "{evidence:?}");
            let proves = policy.takes_dialback(&evidence.domain);
            assert_eq!(proves, dialback && domain == "b.example");
        }
    }
}
