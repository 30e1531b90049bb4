//! Rings that grow: what a client presents is added to what is stored, and nothing that was seen is lost.
//! Kontalk protocol, the server's checks of a presented key.
//!
//! A merged ring is where revocations live, so a stranger must not be able to push them out: own signatures are added only
//! when they verify, and of the rest the stored ring's come first.

use super::ring::{
    BoundSubkey, CERTIFICATIONS_MAX, IDS_MAX, OWN_SIGNATURES_MAX, REVOCATIONS_MAX, RingError, SUBKEYS_MAX, SignedId,
    UserRing,
};
use super::signature::{Covered, PrimaryKey, created, verifies};
use openpgp::packet::Signature;
use sequoia_openpgp as openpgp;

impl UserRing {
    /// Adds what the other ring of the same key has more. Call it on the stored ring with the presented one: where a limit is
    /// reached, the stored ring's part stays. Its first user id stays first.
    pub fn merge(mut self, other: &UserRing) -> Result<UserRing, RingError> {
        if self.fingerprint != other.fingerprint || !self.primary.public_eq(&other.primary) {
            return Err(RingError::OtherKey);
        }
        if self.revocations.is_empty() {
            // Verified when it was read.
            self.revocations.clone_from(&other.revocations);
        }
        for id in &other.ids {
            self.merge_id(id);
        }
        for subkey in &other.subkeys {
            self.merge_subkey(subkey);
        }
        self.encode()?;
        Ok(self)
    }

    /// The ring without what its key did not sign: own signatures that do not verify, ids and subkeys left without any. The
    /// newest own signature comes first. Certifications are not looked at. For a
    /// ring that is to be stored as it was presented; what [`ServerKey::certify`](super::ServerKey::certify) gives is tidy.
    #[must_use]
    pub fn tidy(&self) -> UserRing {
        let mut tidy = UserRing { ids: Vec::new(), subkeys: Vec::new(), ..self.clone() };
        for id in &self.ids {
            tidy.merge_id(id);
        }
        for subkey in &self.subkeys {
            tidy.merge_subkey(subkey);
        }
        tidy
    }

    fn merge_id(&mut self, other: &SignedId) {
        let UserRing { primary, ids, .. } = self;
        let covered = Covered::Id(primary, &other.id);
        if let Some(known) = ids.iter_mut().find(|known| known.id.value() == other.id.value()) {
            known.merge(other, primary);
        } else if ids.len() < IDS_MAX && other.own.iter().any(|signature| verifies(signature, primary, covered)) {
            let mut id = SignedId::new(other.id.clone());
            id.merge(other, primary);
            ids.push(id);
        }
    }

    fn merge_subkey(&mut self, other: &BoundSubkey) {
        let UserRing { primary, subkeys, .. } = self;
        let covered = Covered::Subkey(primary, &other.key);
        let known = match subkeys.iter_mut().position(|known| known.key.public_eq(&other.key)) {
            Some(place) => subkeys.get_mut(place),
            None if subkeys.len() < SUBKEYS_MAX && other.bindings.iter().any(|b| verifies(b, primary, covered)) => {
                subkeys.push(BoundSubkey { key: other.key.clone(), bindings: Vec::new(), revocations: Vec::new() });
                subkeys.last_mut()
            }
            None => None,
        };
        if let Some(known) = known {
            add_own(&mut known.bindings, &other.bindings, OWN_SIGNATURES_MAX, primary, covered);
            add_own(&mut known.revocations, &other.revocations, REVOCATIONS_MAX, primary, covered);
        }
    }
}

impl SignedId {
    fn merge(&mut self, other: &SignedId, primary: &PrimaryKey) {
        let covered = Covered::Id(primary, &other.id);
        add_own(&mut self.own, &other.own, OWN_SIGNATURES_MAX, primary, covered);
        add_own(&mut self.own_revocations, &other.own_revocations, REVOCATIONS_MAX, primary, covered);
        add(&mut self.certifications, &other.certifications, CERTIFICATIONS_MAX);
        add(&mut self.certification_revocations, &other.certification_revocations, REVOCATIONS_MAX);
    }
}

/// Adds the key's own signatures that are new and true, newest first.
fn add_own(list: &mut Vec<Signature>, others: &[Signature], limit: usize, primary: &PrimaryKey, covered: Covered<'_>) {
    let before = list.len();
    for signature in others {
        if !contains(list, signature) && verifies(signature, primary, covered) {
            list.push(signature.clone());
        }
    }
    if list.len() > before {
        list.sort_by_key(|signature| std::cmp::Reverse(created(signature)));
        list.truncate(limit);
    }
}

/// Adds signatures of others that are new, as far as there is room.
fn add(list: &mut Vec<Signature>, others: &[Signature], limit: usize) {
    for signature in others {
        if list.len() < limit && !contains(list, signature) {
            list.push(signature.clone());
        }
    }
}

fn contains(list: &[Signature], signature: &Signature) -> bool {
    list.iter().any(|known| known.normalized_eq(signature))
}
