//! Cards as the network judges them: by their signatures alone. Whether a certificate is expired depends on the clock, so that is
//! asked when an edge is used and never when a vote is counted.

use std::sync::Arc;

use crate::pgp::UserRing;
use crate::trust::{Card, CardId, SignedCard, Verifier};

/// A card whose own keys have signed it: the OpenPGP key, the vote key and the log key. Cheap to copy.
#[derive(Clone, Debug)]
pub struct ProvedCard {
    inner: Arc<Proved>,
}

#[derive(Debug)]
struct Proved {
    signed: SignedCard,
    certificate: Option<UserRing>,
    id: CardId,
    by_recovery: bool,
}

impl ProvedCard {
    /// Checks the signatures of the card's own keys; `None` if one is missing or false, or the certificate is another key's.
    pub fn check(signed: SignedCard, certificate: UserRing) -> Option<ProvedCard> {
        let by_key = signed.is_signed_by_its_key(&certificate);
        by_key.then(|| ProvedCard::of(signed, Some(certificate))).flatten()
    }

    /// The same without an OpenPGP key.
    #[cfg(test)]
    pub(super) fn check_notes_only(signed: SignedCard) -> Option<ProvedCard> {
        ProvedCard::of(signed, None)
    }

    fn of(signed: SignedCard, certificate: Option<UserRing>) -> Option<ProvedCard> {
        let card = signed.card();
        if !signed.is_signed_by(&card.vote) || !signed.is_signed_by(&card.log) {
            return None;
        }
        let by_recovery = is_signed_by_recovery_of(&signed, card);
        let id = card.id();
        Some(ProvedCard { inner: Arc::new(Proved { signed, certificate, id, by_recovery }) })
    }

    /// What is signed.
    pub fn card(&self) -> &Card {
        self.inner.signed.card()
    }

    /// With its signatures.
    pub fn signed(&self) -> &SignedCard {
        &self.inner.signed
    }

    /// The certificate of its OpenPGP key.
    pub fn certificate(&self) -> Option<&UserRing> {
        self.inner.certificate.as_ref()
    }

    /// Its name.
    pub fn id(&self) -> CardId {
        self.inner.id
    }

    /// The key that votes.
    pub fn vote(&self) -> &Verifier {
        &self.card().vote
    }

    /// May it be a member's first card? Its recovery key must have signed.
    pub fn may_begin(&self) -> bool {
        self.inner.by_recovery
    }

    /// May it follow this one? Its recovery key must have signed if it is new.
    pub fn may_follow(&self, before: &Card) -> bool {
        self.card().domain == before.domain && (self.inner.by_recovery || self.card().recovery == before.recovery)
    }

    /// Does it take the place of this one without anybody's vote? If it changes neither the OpenPGP key nor the recovery key, that
    /// OpenPGP key signed it and that is enough; else the recovery key of the one before must have signed.
    pub fn replaces_by_itself(&self, before: &Card) -> bool {
        let same = self.card().kid == before.kid && self.card().recovery == before.recovery;
        // A thief of the OpenPGP key must not take back what was recovered: a cut stays.
        let keeps_cut = before.cut.is_none() || self.card().cut == before.cut;
        self.may_follow(before) && ((same && keeps_cut) || is_signed_by_recovery_of(&self.inner.signed, before))
    }
}

fn is_signed_by_recovery_of(signed: &SignedCard, card: &Card) -> bool {
    card.recovery_key().is_some_and(|key| signed.is_signed_by(&key))
}
