//! The room as a whole, on keys of the clients' shape.

mod bridge;
mod certify;
mod judge;
mod mutation;
mod ring;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sequoia_openpgp as openpgp;

use openpgp::packet::signature::subpacket::{Subpacket, SubpacketValue};
use openpgp::packet::{Packet, Signature};
use openpgp::types::SignatureType;

use super::keys::{ClientKey, Recipe};
use super::*;
use crate::jid::BareJid;
use crate::stanza::Timestamp;

const DOMAIN: &str = "node.example";
const HASH: &str = "4bdd4f929f3a1062253e4e496bafba0bdfb5db75";

/// Some second of 2023, plus so many days.
fn day(days: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + days * 86_400)
}

fn stamp(moment: SystemTime) -> Timestamp {
    Timestamp::from_system(moment)
}

fn user_id() -> String {
    format!("dev-5554 <{HASH}@{DOMAIN}>")
}

fn address() -> BareJid {
    format!("{HASH}@{DOMAIN}").parse().unwrap()
}

/// The server of all tests, made on day 0.
fn server() -> &'static ServerKey {
    static SERVER: OnceLock<ServerKey> = OnceLock::new();
    SERVER.get_or_init(|| ServerKey::generate(DOMAIN, stamp(day(0))).unwrap())
}

/// A client's key, made on day 1.
fn client(index: usize) -> ClientKey {
    ClientKey::numbered(index, &user_id(), day(1))
}

fn recipe() -> Recipe {
    Recipe::new(&user_id(), day(1))
}

fn parsed(key: &ClientKey) -> UserRing {
    UserRing::parse(&key.public_ring()).unwrap()
}

fn of_packets(packets: &[Packet]) -> UserRing {
    UserRing::parse(&super::keys::ring_of(packets)).unwrap()
}

/// The ring, certified on day 2.
fn certified(key: &ClientKey) -> UserRing {
    server().certify(&parsed(key), &address(), stamp(day(2))).unwrap()
}

/// The packets of a ring in short: `key`, `id`, `13`, `10`, …
fn outline(ring: &[u8]) -> Vec<String> {
    packets_of(ring)
        .iter()
        .map(|packet| match packet {
            Packet::PublicKey(_) => "key".to_owned(),
            Packet::PublicSubkey(_) => "subkey".to_owned(),
            Packet::UserID(_) => "id".to_owned(),
            Packet::Signature(signature) => format!("{:02x}", u8::from(signature.typ())),
            other => format!("{:?}", other.tag()),
        })
        .collect()
}

fn packets_of(ring: &[u8]) -> Vec<Packet> {
    use openpgp::parse::Parse;
    openpgp::PacketPile::from_bytes(ring).unwrap().into_children().collect()
}

fn signatures(ring: &UserRing, typ: SignatureType) -> Vec<Signature> {
    let signature = |packet| match packet {
        Packet::Signature(signature) if signature.typ() == typ => Some(signature),
        _ => None,
    };
    packets_of(&ring.to_bytes()).into_iter().filter_map(signature).collect()
}

/// A signature that also says the server made it.
fn blamed_on_server(mut signature: Signature) -> Signature {
    let issuer = openpgp::Fingerprint::V4(server().fingerprint().0);
    let subpacket = Subpacket::new(SubpacketValue::IssuerFingerprint(issuer), false).unwrap();
    signature.unhashed_area_mut().add(subpacket).unwrap();
    signature
}
