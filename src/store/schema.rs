//! The trees, their keys and what is in them. Change anything here and the schema version goes up.
//!
//! `ACCOUNT` and `CONTACT` are bare JIDs in their prepared form; no JID holds a zero byte, so `ACCOUNT 00` begins the keys of one
//! account and no other's. Numbers in keys are big-endian, so that keys sort by them. Records are postcard behind one byte that
//! tells their layout (`record`); chunks are compressed. `DOMAIN` is a node's domain in ASCII.
//!
//! | Tree | Key | Value |
//! |---|---|---|
//! | `node` | `schema` | schema version, 4 bytes, big-endian |
//! | | `secret/NAME` | 32 bytes |
//! | `accounts` | `ACCOUNT` | `Account` |
//! | `rings` | fingerprint (20 bytes), part (2) | a part of an OpenPGP ring |
//! | `roster` | `ACCOUNT 00` | the roster's version: it sorts before the items and is written with them |
//! | | `ACCOUNT 00 CONTACT` | roster `Item` |
//! | `requests` | `ACCOUNT 00 CONTACT` | the contact's waiting subscription `Request` |
//! | `blocked` | `ACCOUNT 00 JID` | empty |
//! | `offline` | `ACCOUNT 00` chunk (8), part (2) | a part of a chunk of messages (`offline`) |
//! | `nodes` | `ACCOUNT 00` | what the account uses of its share (`pubsub`) |
//! | | `ACCOUNT 00 NODE` | a pubsub node, how many items it has, and the number of the next |
//! | `items` | `ACCOUNT 00 NODE 00` number (8), part (2) | a part of an item; by number they lie in the order of publication |
//! | `item_ids` | `ACCOUNT 00 NODE 00 ITEM` | the item's number |
//! | `farewells` | `ACCOUNT 00 CONTACT` | two flags: the contact is still to be sent unsubscribe, unsubscribed, in the name of a former owner |
//! | `archive` | `ACCOUNT 00` chunk (8), part (2) | a part of a chunk of archived messages (`archive`) |
//! | `archive_preferences` | `ACCOUNT` | what the user chose |
//! | `sessions` | `ACCOUNT 00 RESOURCE 00` part (2) | a part of a session that waits for its client over a restart |
//! | `tokens` | `ACCOUNT 00` client (16 bytes) | `TokenSlots` |
//! | `dispatch` | what is counted (1 byte), keyed hash (16) | `Kept`: codes sent to numbers that begin alike, by a route, in all |
//! | `card` | `DOMAIN 00 PART` | of a node (`card`, `certificate`, `former`): the signed card, the key's certificate and the one before |
//! | `reach` | `DOMAIN` | the newest signed reach of a node; our own too |
//! | `edge` | `DOMAIN 00` kid (32 bytes) | our own signatures on a node's key, OpenPGP packets |
//! | `peer` | `DOMAIN` | `Peer`: what was decided about a node |
//! | `visitors` | `ACCOUNT` | `Visit`: the account is somebody from another node |
//! | `kill` | `DOMAIN 00 ACCOUNT` | empty; who has to go when the trust in a home ends |
//! | `meta` | `clock_floor` | the latest time ever seen, milliseconds, 8 bytes |
//! | `push` | `ACCOUNT 00 SERVICE 00 NODE` | how a device is woken (`push`) |
//! | `disabled` | `ACCOUNT` | `Timestamp`: since when its owner may not log in |
//! | `inactive` | `ACCOUNT` | in how many rounds it was found unused |
//! | `outgoing` | number (8), part (2) | a part of a stanza on its way to another domain (`outgoing`) |
//! | `undiscoverable` | `ACCOUNT` | empty: strangers do not find it by its number |
//! | `resets` | `ACCOUNT` | `Timestamp`: when the number was taken over from another key; kept when the account goes |
//! | `damaged` | name of the tree, `00`, key | a record that could not be read |
//!
//! A thing in parts (rings, chunks, items) is cut into values of at most 24 KiB; the first begins with the length of the whole (4 bytes).

use crate::jid::{BareJid, Jid};
use crate::stream::ClientId;
use crate::trust::NodeDomain;

/// The version of all this.
pub(super) const VERSION: u32 = if cfg!(feature = "next-schema") { 2 } else { 1 };

/// The open trees.
pub(super) struct Trees {
    pub(super) node: sled::Tree,
    pub(super) accounts: sled::Tree,
    pub(super) rings: sled::Tree,
    pub(super) roster: sled::Tree,
    pub(super) requests: sled::Tree,
    pub(super) blocked: sled::Tree,
    pub(super) offline: sled::Tree,
    pub(super) farewells: sled::Tree,
    pub(super) archive: sled::Tree,
    pub(super) archive_preferences: sled::Tree,
    pub(super) sessions: sled::Tree,
    pub(super) tokens: sled::Tree,
    pub(super) disabled: sled::Tree,
    pub(super) nodes: sled::Tree,
    pub(super) items: sled::Tree,
    pub(super) item_ids: sled::Tree,
    pub(super) dispatch: sled::Tree,
    pub(super) card: sled::Tree,
    pub(super) reach: sled::Tree,
    pub(super) edge: sled::Tree,
    pub(super) peer: sled::Tree,
    pub(super) visitors: sled::Tree,
    pub(super) kill: sled::Tree,
    pub(super) meta: sled::Tree,
    pub(super) push: sled::Tree,
    pub(super) inactive: sled::Tree,
    pub(super) outgoing: sled::Tree,
    pub(super) undiscoverable: sled::Tree,
    pub(super) resets: sled::Tree,
    pub(super) damaged: sled::Tree,
}

impl Trees {
    /// Opens them, making those that are missing.
    pub(super) fn open(db: &sled::Db) -> sled::Result<Trees> {
        Ok(Trees {
            node: db.open_tree("node")?,
            accounts: db.open_tree("accounts")?,
            rings: db.open_tree("rings")?,
            roster: db.open_tree("roster")?,
            requests: db.open_tree("requests")?,
            blocked: db.open_tree("blocked")?,
            offline: db.open_tree("offline")?,
            farewells: db.open_tree("farewells")?,
            archive: db.open_tree("archive")?,
            archive_preferences: db.open_tree("archive_preferences")?,
            sessions: db.open_tree("sessions")?,
            tokens: db.open_tree("tokens")?,
            disabled: db.open_tree("disabled")?,
            nodes: db.open_tree("nodes")?,
            items: db.open_tree("items")?,
            item_ids: db.open_tree("item_ids")?,
            dispatch: db.open_tree("dispatch")?,
            card: db.open_tree("card")?,
            reach: db.open_tree("reach")?,
            edge: db.open_tree("edge")?,
            peer: db.open_tree("peer")?,
            visitors: db.open_tree("visitors")?,
            kill: db.open_tree("kill")?,
            meta: db.open_tree("meta")?,
            push: db.open_tree("push")?,
            inactive: db.open_tree("inactive")?,
            outgoing: db.open_tree("outgoing")?,
            undiscoverable: db.open_tree("undiscoverable")?,
            resets: db.open_tree("resets")?,
            damaged: db.open_tree("damaged")?,
        })
    }
}

/// Where the schema version is.
pub(super) const SCHEMA_KEY: &str = "schema";

/// Key of a named secret.
pub(super) fn secret_key(name: &str) -> Vec<u8> {
    format!("secret/{name}").into_bytes()
}

/// What the keys of one account begin with.
pub(super) fn account_prefix(account: &BareJid) -> Vec<u8> {
    joined(account, &[])
}

/// Key of what an account has under another address.
pub(super) fn contact_key(account: &BareJid, address: &str) -> Vec<u8> {
    joined(account, address.as_bytes())
}

/// Key of a part of a chunk of offline messages.
pub(super) fn chunk_key(account: &BareJid, chunk: u64, part: u16) -> Vec<u8> {
    let mut key = joined(account, &chunk.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// Key of a part of a session.
pub(super) fn session_key(account: &BareJid, resource: &str, part: u16) -> Vec<u8> {
    let mut key = joined(account, resource.as_bytes());
    key.push(0);
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// Key of the login tokens of one client of an account.
pub(super) fn token_key(account: &BareJid, client: ClientId) -> Vec<u8> {
    joined(account, &client.0)
}

/// Key of a push registration; with an empty node, what all of the service begin with.
pub(super) fn push_key(account: &BareJid, service: &Jid, node: &str) -> Vec<u8> {
    joined(account, format!("{service}\0{node}").as_bytes())
}

/// What the keys of the items of one node begin with.
pub(super) fn items_prefix(account: &BareJid, node: &str) -> Vec<u8> {
    let mut prefix = joined(account, node.as_bytes());
    prefix.push(0);
    prefix
}

/// Key of a part of an item, behind the prefix of its node.
pub(super) fn item_key(prefix: &[u8], number: u64, part: u16) -> Vec<u8> {
    [prefix, number.to_be_bytes().as_slice(), part.to_be_bytes().as_slice()].concat()
}

/// Key of an item's name, behind the prefix of its node.
pub(super) fn item_id_key(prefix: &[u8], id: &str) -> Vec<u8> {
    [prefix, id.as_bytes()].concat()
}

/// Key of a part of a stanza on its way to another domain.
pub(super) fn outgoing_key(number: u64, part: u16) -> Vec<u8> {
    [number.to_be_bytes().as_slice(), part.to_be_bytes().as_slice()].concat()
}

/// Key of a part of a ring.
pub(super) fn ring_key(fingerprint: &[u8; 20], part: u16) -> Vec<u8> {
    let mut key = fingerprint.to_vec();
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// What the keys of one node begin with.
pub(super) fn node_prefix(node: &NodeDomain) -> Vec<u8> {
    let mut key = node.as_str().as_bytes().to_vec();
    key.push(0);
    key
}

/// Key of a part of what is kept of a node.
pub(super) fn node_key(node: &NodeDomain, part: &[u8]) -> Vec<u8> {
    [node_prefix(node).as_slice(), part].concat()
}

/// Key of a visitor among those of his home.
pub(super) fn visit_key(home: &NodeDomain, account: &BareJid) -> Vec<u8> {
    node_key(home, account.as_str().as_bytes())
}

/// The account's address and the rest of a key that begins with an account.
pub(super) fn split_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = key.iter().position(|&byte| byte == 0)?;
    Some((key.get(..zero)?, key.get(zero + 1..)?))
}

/// Chunk and part in the rest of an offline key.
pub(super) fn split_chunk_key(rest: &[u8]) -> Option<(u64, u16)> {
    let (chunk, part) = rest.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*chunk), u16::from_be_bytes(part.try_into().ok()?)))
}

/// An address in a key.
pub(super) fn address<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn joined(account: &BareJid, rest: &[u8]) -> Vec<u8> {
    let account = account.as_str().as_bytes();
    let mut key = Vec::with_capacity(account.len() + 1 + rest.len().max(10));
    key.extend_from_slice(account);
    key.push(0);
    key.extend_from_slice(rest);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_account_lie_together_in_order() {
        let (short, long): (BareJid, BareJid) = ("a@b".parse().unwrap(), "a@b.c".parse().unwrap());
        let keys = [
            account_prefix(&short),
            chunk_key(&short, 1, 0),
            chunk_key(&short, 1, 1),
            chunk_key(&short, 256, 0),
            chunk_key(&long, 0, 0),
        ];
        assert!(keys.is_sorted());
        assert!(!keys[4].starts_with(&account_prefix(&short)));
        let (account, rest) = split_key(&keys[3]).unwrap();
        assert_eq!(address::<BareJid>(account), Some(short));
        assert_eq!(split_chunk_key(rest), Some((256, 0)));
    }
}
