//! Who may be a peer, and what its certificate makes of it. RFC 6120 §13.7, RFC 7590.

use std::fmt;
use std::sync::Arc;

use crate::federation::Target;
use crate::jid::BareJid;
use crate::xml::Element;

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

/// What a domain is to us, apart from what its certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// A server as any other: we have no card of it.
    #[default]
    Foreign,
    /// A node whose card we have, known by these keys and by nothing else.
    Node(Vec<SpkiHash>),
    /// A node that was trusted once, or is denied: a server as any other, which these keys prove as well.
    Former(Vec<SpkiHash>),
}

/// Knows the nodes that we have a card of, and what they and we tell each other before authentication.
pub trait Pins: Send + Sync + fmt::Debug {
    /// What a domain is to us now.
    fn standing(&self, domain: &BareJid) -> Standing;

    /// Does the operator want nothing at all of this node? Asked for every stanza: it must be quick.
    fn blocks(&self, _domain: &BareJid) -> bool {
        false
    }

    /// The stream feature by which we show this domain that we are a node; `None` if we are none, or it is none to us.
    fn feature(&self, _domain: &BareJid) -> Option<Element> {
        None
    }

    /// What is to be said to a node that offers these features, before we authenticate: where we are now, if it does not have the
    /// newest, or if `waiting` for it to say the same of itself. `proved`: it has shown a key that is pinned.
    fn introduce(&self, _domain: &BareJid, _features: &Element, _proved: bool) -> Option<Element> {
        None
    }

    /// Where the node says that it is.
    fn targets(&self, _domain: &BareJid) -> Vec<Target> {
        Vec::new()
    }
}

/// No domain has a card.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPins;

impl Pins for NoPins {
    fn standing(&self, _domain: &BareJid) -> Standing {
        Standing::Foreign
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
    /// It has a card, and another key: it is to show where it is now, signed and newer than what we have.
    AwaitReach,
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
        if listed(&self.deny) || self.pins.blocks(domain) {
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
        let holds = |pins: &[SpkiHash]| evidence.spki_sha256.is_some_and(|key| pins.contains(&key));
        match self.pins.standing(&evidence.domain) {
            // Between nodes there is TLS 1.3 and a key on both sides, or nothing.
            Standing::Node(_) if !evidence.tls13 || evidence.spki_sha256.is_none() => {
                return Verdict::Refused(Refusal::OtherKey);
            }
            Standing::Node(pins) if holds(&pins) => return Verdict::Proved(Class::Node),
            Standing::Node(_) => return Verdict::AwaitReach,
            Standing::Former(pins) if holds(&pins) => return Verdict::Proved(Class::Domain),
            Standing::Former(_) | Standing::Foreign => {}
        }
        match evidence.pkix {
            Ok(()) => Verdict::Proved(Class::Domain),
            Err(_) if self.dialback => Verdict::ByDialback,
            Err(fault) => Verdict::Refused(Refusal::Unproved(fault)),
        }
    }

    /// May this domain prove itself by dialback?
    pub fn takes_dialback(&self, domain: &BareJid) -> bool {
        self.dialback && self.admits(domain).is_ok() && !matches!(self.pins.standing(domain), Standing::Node(_))
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
        fn standing(&self, domain: &BareJid) -> Standing {
            let keys = vec![SpkiHash([7; 32])];
            match domain.as_str() {
                "node.example" => Standing::Node(keys),
                "former.example" => Standing::Former(keys),
                _ => Standing::Foreign,
            }
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
            (true, "node.example", Ok(()), other_key, true, Verdict::AwaitReach),
            (true, "node.example", Ok(()), None, true, refused(Refusal::OtherKey)),
            (true, "node.example", Ok(()), own_key, false, refused(Refusal::OtherKey)),
            // Trust ended: as any other server, and its key is still its own.
            (false, "former.example", Err(PkixFault::UnknownIssuer), own_key, true, Verdict::Proved(Class::Domain)),
            (false, "former.example", Ok(()), other_key, true, Verdict::Proved(Class::Domain)),
            (
                false,
                "former.example",
                Err(PkixFault::UnknownIssuer),
                other_key,
                true,
                refused(Refusal::Unproved(PkixFault::UnknownIssuer)),
            ),
        ] {
            let policy = Policy { allow: Vec::new(), deny: Vec::new(), dialback, pins: Arc::new(OnePin) };
            let evidence = PeerEvidence { domain: domain.parse().unwrap(), pkix, spki_sha256: key, tls13 };
            assert_eq!(policy.judge(&evidence), expected, "{evidence:?}");
            let proves = policy.takes_dialback(&evidence.domain);
            assert_eq!(proves, dialback && domain != "node.example");
        }
    }
}
