//! Another node, as far as it can be known without a connection to it: its keys, its card, the users it certified.
#![allow(dead_code)]

use std::time::{Duration, SystemTime};

use kontalk_node::jid::BareJid;
use kontalk_node::pgp::{ServerKey, UserRing};
use kontalk_node::stanza::Timestamp;
use kontalk_node::trust::{
    Card, Endpoint, Introduction, KeyKind, NodeDomain, Reach, RecoveryWords, SignedCard, SignedReach, Signer, log_name,
    public_key, vote_name, witness_name,
};
use zeroize::Zeroizing;

use crate::keys::{ClientKey, Recipe};
use crate::person::Person;
use crate::support::client::Connect;
use crate::support::registration::Number;

/// Another node.
pub struct Home {
    pub domain: NodeDomain,
    pub key: ServerKey,
    vote: Signer,
    log: Signer,
    witness: Signer,
    recovery: Signer,
    made: Timestamp,
    /// The hash of the TLS key that it shows.
    pub tls: [u8; 32],
    /// Where it says that other servers find it.
    pub address: &'static str,
}

impl Home {
    /// The number makes its keys others than those of other homes.
    pub fn new(domain: &str, number: u8) -> Home {
        let made = Timestamp::from_system(SystemTime::now() - Duration::from_secs(7200));
        let domain = NodeDomain::parse(domain).expect("a node's domain");
        let seed = |what: u8| {
            let mut seed = [number; 32];
            seed[0] = what;
            Zeroizing::new(seed)
        };
        let signer = |name: &str, kind, what| Signer::new(name, kind, &seed(what)).expect("a sound key");
        Home {
            key: ServerKey::generate(domain.as_str(), made).expect("a server key"),
            vote: signer(&vote_name(&domain), KeyKind::Note, 1),
            log: signer(&log_name(&domain, 1), KeyKind::Note, 2),
            witness: signer(&witness_name(&domain), KeyKind::Cosigner, 3),
            recovery: RecoveryWords::from_random([number; 32]).signer(&domain).expect("a sound key"),
            domain,
            made,
            tls: [7; 32],
            address: "203.0.113.7:5269",
        }
    }

    /// The same node after a theft: another OpenPGP key, made later, in a card that the recovery key signs.
    pub fn recovered(self) -> Home {
        let made = Timestamp::from_system(SystemTime::now() - Duration::from_secs(3600));
        Home { key: ServerKey::generate(self.domain.as_str(), made).expect("a server key"), made, ..self }
    }

    pub fn card(&self) -> Card {
        let ring = self.key.ring().expect("its own ring");
        let number = self.recovery.public().key()[0];
        Card {
            domain: self.domain.clone(),
            kid: ring.kid(),
            fingerprint: ring.fingerprint(),
            vote: self.vote.public().clone(),
            witness: self.witness.public().clone(),
            log: self.log.public().clone(),
            label: public_key(&Zeroizing::new([number; 32]), b"label").expect("a point"),
            recovery: *self.recovery.public().key(),
            cut: None,
        }
    }

    /// What its operator hands over.
    pub fn introduction(&self, seq: u64) -> String {
        let card = self.card();
        let openpgp = self.key.sign_detached(card.to_text().as_bytes(), self.made).expect("a signature");
        let signed = SignedCard::make(card, openpgp, &[&self.vote, &self.log, &self.recovery], self.made);
        let reach = Some(self.reach(seq));
        Introduction { card: signed, certificate: self.key.ring().expect("its own ring"), reach }.to_string()
    }

    /// Where it is.
    pub fn reach(&self, seq: u64) -> SignedReach {
        let reach = Reach {
            card: self.card().id(),
            seq,
            tls: vec![self.tls],
            disco: None,
            s2s: vec![Endpoint::parse(self.address).expect("an address")],
            http: Vec::new(),
        };
        SignedReach::make(reach, &self.vote, self.made)
    }

    pub fn fingerprint(&self) -> String {
        self.key.fingerprint().to_string()
    }

    /// A user of this home, certified, whose app connects elsewhere. Each index has an RSA key of its own.
    pub fn user(&self, index: usize, number: &str, how: Connect) -> Person {
        let created = SystemTime::now() - Duration::from_secs(3600);
        self.user_since(index, number, how, created)
    }

    /// The same with a key made then.
    pub fn user_since(&self, index: usize, number: &str, how: Connect, created: SystemTime) -> Person {
        let number = Number::new(number);
        let id = format!("Person {index} <{}@{}>", number.localpart, self.domain);
        let key = ClientKey::cook(index, Recipe::new(&id, created));
        let ring = UserRing::parse(&key.public_ring()).expect("a ring");
        let address = self.address(&number);
        let now = Timestamp::from_system(SystemTime::now() - Duration::from_secs(60));
        let ring = self.key.certify(&ring, &address, now).expect("certified").to_bytes();
        Person { number, ring, key, how, device: "810eb5848f151178" }
    }

    /// The address at home.
    pub fn address(&self, number: &Number) -> BareJid {
        format!("{}@{}", number.localpart, self.domain).parse().expect("an address")
    }
}
