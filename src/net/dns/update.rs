//! Changing records at a name server that lets us: RFC 2136, signed with a shared key (TSIG, RFC 8945) by HMAC-SHA-256. Over TCP, one
//! message each way.

use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpStream};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer};
use zeroize::Zeroizing;

use crate::limits::{DNS_MESSAGE_BYTES_MAX, DNS_PATIENCE};

/// A key that the name server knows too. Cannot be printed.
pub struct TsigKey {
    name: String,
    secret: Zeroizing<Vec<u8>>,
}

impl TsigKey {
    /// By its name, in ASCII.
    pub fn new(name: &str, secret: Zeroizing<Vec<u8>>) -> TsigKey {
        TsigKey { name: name.to_ascii_lowercase(), secret }
    }
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({}, …)", self.name)
    }
}

/// What becomes of a name's records of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// They are gone, and this address takes their place; its family says which type.
    Address(IpAddr),
    /// One more text.
    AddText(String),
    /// This text is gone, others stay.
    RemoveText(String),
}

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateFault {
    /// A name or a text does not fit into a message.
    NotAName,
    /// The name server did not answer.
    NoAnswer,
    /// What answered does not know the key, or is not the name server.
    NotSigned,
    /// The name server refuses, by its RCODE (RFC 2136 §2.2, RFC 8945 §3).
    Refused(u16),
}

impl fmt::Display for UpdateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateFault::NotAName => f.write_str("the name does not fit into DNS (remedy: check its spelling)"),
            UpdateFault::NoAnswer => {
                f.write_str("the name server does not answer (remedy: check dns_update.server; TCP must pass)")
            }
            UpdateFault::NotSigned => f.write_str(
                "the name server's answer is not signed with the key (remedy: check key_name, key_file and this machine's clock)",
            ),
            UpdateFault::Refused(5) => {
                f.write_str("the name server refuses (remedy: its zone must allow updates with this key)")
            }
            UpdateFault::Refused(9 | 10) => {
                f.write_str("the name server does not have the zone (remedy: check dns_update.zone and server)")
            }
            UpdateFault::Refused(code) => write!(f, "the name server refuses with code {code} (remedy: see its log)"),
        }
    }
}

impl std::error::Error for UpdateFault {}

/// Makes the changes, all or none. `id` is a number that nobody can guess, `unix_secs` the time.
pub async fn update(
    server: SocketAddr,
    zone: &str,
    changes: &[(String, Change)],
    key: &TsigKey,
    id: u16,
    unix_secs: u64,
) -> Result<(), UpdateFault> {
    let (message, mac) = signed(zone, changes, key, id, unix_secs).ok_or(UpdateFault::NotAName)?;
    let late = async {
        Timer::after(DNS_PATIENCE).await;
        Err(std::io::ErrorKind::TimedOut.into())
    };
    let reply = exchange(server, &message).or(late).await.map_err(|error| {
        log::debug!("name server {server}: no answer to an update: {error}");
        UpdateFault::NoAnswer
    })?;
    judge(&reply, id, key, &mac)
}

async fn exchange(server: SocketAddr, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = Async::<TcpStream>::connect(server).await?;
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > DNS_MESSAGE_BYTES_MAX {
        return Err(std::io::Error::other("it is too long"));
    }
    let mut reply = vec![0; length];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

/// The message and its MAC. RFC 2136 §2, RFC 8945 §4.3.
fn signed(
    zone: &str,
    changes: &[(String, Change)],
    key: &TsigKey,
    id: u16,
    unix_secs: u64,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut records = Vec::new();
    let mut count: u16 = 0;
    for (name, change) in changes {
        let owner = wire_name(name)?;
        let mut add = |kind: u16, class: u16, ttl: u32, data: &[u8]| -> Option<()> {
            records.extend_from_slice(&owner);
            records.extend_from_slice(&kind.to_be_bytes());
            records.extend_from_slice(&class.to_be_bytes());
            records.extend_from_slice(&ttl.to_be_bytes());
            records.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
            records.extend_from_slice(data);
            count = count.checked_add(1)?;
            Some(())
        };
        match change {
            Change::Address(address) => {
                let (kind, data) = match address {
                    IpAddr::V4(v4) => (TYPE_A, v4.octets().to_vec()),
                    IpAddr::V6(v6) => (TYPE_AAAA, v6.octets().to_vec()),
                };
                // RFC 2136 §2.5.2: the whole set goes, then the one comes.
                add(kind, CLASS_ANY, 0, &[])?;
                add(kind, CLASS_IN, RECORD_TTL, &data)?;
            }
            Change::AddText(text) => add(TYPE_TXT, CLASS_IN, RECORD_TTL, &wire_text(text)?)?,
            // RFC 2136 §2.5.4.
            Change::RemoveText(text) => add(TYPE_TXT, CLASS_NONE, 0, &wire_text(text)?)?,
        }
    }
    // Opcode UPDATE; one zone, no prerequisites, the changes, nothing additional yet.
    let mut message = Vec::new();
    for word in [id, OPCODE_UPDATE, 1, 0, count, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(&wire_name(zone)?);
    message.extend_from_slice(&TYPE_SOA.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    message.extend_from_slice(&records);
    let time = unix_secs.to_be_bytes();
    let time = time.get(2..)?;
    let mac = mac(key, &[&message, &variables(key, time, 0, &[])?])?;
    let record = tsig_record(key, time, &mac, id)?;
    // RFC 8945 §5.1: it comes last, and is counted only now.
    if let Some(additional) = message.get_mut(10..12) {
        additional.copy_from_slice(&1u16.to_be_bytes());
    }
    message.extend_from_slice(&record);
    Some((message, mac))
}

/// RFC 8945 §4.3.3.
fn variables(key: &TsigKey, time: &[u8], error: u16, other: &[u8]) -> Option<Vec<u8>> {
    let mut text = wire_name(&key.name)?;
    text.extend_from_slice(&CLASS_ANY.to_be_bytes());
    text.extend_from_slice(&0u32.to_be_bytes());
    text.extend_from_slice(&wire_name(ALGORITHM)?);
    text.extend_from_slice(time);
    text.extend_from_slice(&FUDGE_SECS.to_be_bytes());
    text.extend_from_slice(&error.to_be_bytes());
    text.extend_from_slice(&u16::try_from(other.len()).ok()?.to_be_bytes());
    text.extend_from_slice(other);
    Some(text)
}

/// RFC 8945 §4.2.
fn tsig_record(key: &TsigKey, time: &[u8], mac: &[u8], id: u16) -> Option<Vec<u8>> {
    let mut data = wire_name(ALGORITHM)?;
    data.extend_from_slice(time);
    data.extend_from_slice(&FUDGE_SECS.to_be_bytes());
    data.extend_from_slice(&u16::try_from(mac.len()).ok()?.to_be_bytes());
    data.extend_from_slice(mac);
    for word in [id, 0, 0] {
        data.extend_from_slice(&word.to_be_bytes());
    }
    let mut record = wire_name(&key.name)?;
    record.extend_from_slice(&TYPE_TSIG.to_be_bytes());
    record.extend_from_slice(&CLASS_ANY.to_be_bytes());
    record.extend_from_slice(&0u32.to_be_bytes());
    record.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
    record.extend_from_slice(&data);
    Some(record)
}

fn mac(key: &TsigKey, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.secret).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac.finalize().into_bytes().to_vec())
}

/// Is the reply to this question, signed with the key, and a yes? RFC 8945 §5.3.
fn judge(reply: &[u8], id: u16, key: &TsigKey, our_mac: &[u8]) -> Result<(), UpdateFault> {
    let word = |at: usize| reply.get(at..at + 2).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes);
    let (Some(found), Some(flags)) = (word(0), word(2)) else { return Err(UpdateFault::NoAnswer) };
    if found != id || flags & FLAG_REPLY == 0 {
        return Err(UpdateFault::NoAnswer);
    }
    let code = flags & 0xf;
    // A server that does not know the key cannot sign, and says so in the code alone.
    match is_signed(reply, key, our_mac) {
        Some(true) if code == 0 => Ok(()),
        Some(true) => Err(UpdateFault::Refused(code)),
        _ if code == 0 || code == CODE_NOTAUTH => Err(UpdateFault::NotSigned),
        _ => Err(UpdateFault::Refused(code)),
    }
}

/// Looks for the signature at the end. `None`: there is none, or it cannot be read.
fn is_signed(reply: &[u8], key: &TsigKey, our_mac: &[u8]) -> Option<bool> {
    let word = |at: usize| reply.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes);
    let additional = word(10)?;
    let (mut at, mut records) = (12, u32::from(word(6)?) + u32::from(word(8)?) + u32::from(additional));
    for _ in 0..word(4)? {
        at = past_name(reply, at)? + 4;
    }
    let mut begin = at;
    while records > 0 {
        begin = at;
        let fixed = past_name(reply, at)?;
        at = fixed + 10 + usize::from(word(fixed + 8)?);
        records -= 1;
    }
    let fixed = past_name(reply, begin)?;
    if additional == 0 || word(fixed)? != TYPE_TSIG || at != reply.len() {
        return None;
    }
    let data = past_name(reply, fixed + 10)?;
    let (time, mac_length) = (reply.get(data..data + 6)?, usize::from(word(data + 8)?));
    let shown = reply.get(data + 10..data + 10 + mac_length)?;
    let rest = data + 10 + mac_length;
    let (error, other_length) = (word(rest + 2)?, usize::from(word(rest + 4)?));
    let other = reply.get(rest + 6..rest + 6 + other_length)?;
    let mut stripped = reply.get(..begin)?.to_vec();
    stripped.get_mut(10..12)?.copy_from_slice(&(additional - 1).to_be_bytes());
    let our_length = u16::try_from(our_mac.len()).ok()?.to_be_bytes();
    let variables = variables(key, time, error, other)?;
    let mut expected = Hmac::<Sha256>::new_from_slice(&key.secret).ok()?;
    for part in [&our_length[..], our_mac, &stripped, &variables] {
        expected.update(part);
    }
    Some(expected.verify_slice(shown).is_ok())
}

/// Behind the name that begins here; compressed names end with their pointer.
fn past_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + length,
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// RFC 1035 §3.1; in small letters, as signatures want it (RFC 8945 §4.3.3).
fn wire_name(name: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    for label in name.trim_end_matches('.').to_ascii_lowercase().split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        wire.push(length);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    (wire.len() <= 255).then_some(wire)
}

/// RFC 1035 §3.3.14: one string of at most 255 bytes is all that is needed here.
fn wire_text(text: &str) -> Option<Vec<u8>> {
    let mut wire = vec![u8::try_from(text.len()).ok()?];
    wire.extend_from_slice(text.as_bytes());
    Some(wire)
}

const OPCODE_UPDATE: u16 = 5 << 11;
const FLAG_REPLY: u16 = 1 << 15;
const CODE_NOTAUTH: u16 = 9;
const TYPE_A: u16 = 1;
const TYPE_SOA: u16 = 6;
const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;
const TYPE_TSIG: u16 = 250;
const CLASS_IN: u16 = 1;
const CLASS_NONE: u16 = 254;
const CLASS_ANY: u16 = 255;
/// RFC 8945 §6.
const ALGORITHM: &str = "hmac-sha256";
/// RFC 8945 §10: how far the clocks may be apart.
const FUDGE_SECS: u16 = 300;
/// What changes must not be remembered for long.
const RECORD_TTL: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TsigKey {
        TsigKey::new("Node-Key", Zeroizing::new(vec![7; 32]))
    }

    /// What a name server would answer: the question back, with a code, signed over our MAC.
    fn reply(code: u16, signed_with: &TsigKey, our_mac: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        for word in [9, FLAG_REPLY | OPCODE_UPDATE | code, 1, 0, 0, 0] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        message.extend_from_slice(&wire_name("a.example").unwrap());
        message.extend_from_slice(&[0, 6, 0, 1]);
        let time = [0, 0, 0, 0, 1, 0];
        let length = u16::try_from(our_mac.len()).unwrap().to_be_bytes();
        let variables = variables(signed_with, &time, 0, &[]).unwrap();
        let mac = mac(signed_with, &[&length, our_mac, &message, &variables]).unwrap();
        message[11] = 1;
        message.extend(tsig_record(signed_with, &time, &mac, 9).unwrap());
        message
    }

    #[test]
    fn only_a_signed_yes_to_our_question_counts() {
        let changes = [("a.example".to_owned(), Change::AddText("x".to_owned()))];
        let (_, mac) = signed("a.example", &changes, &key(), 9, 256).unwrap();
        let good = reply(0, &key(), &mac);
        assert_eq!(judge(&good, 9, &key(), &mac), Ok(()));
        assert_eq!(judge(&good, 8, &key(), &mac), Err(UpdateFault::NoAnswer));
        assert_eq!(judge(&good, 9, &key(), &[1; 32]), Err(UpdateFault::NotSigned));
        let other = TsigKey::new("node-key", Zeroizing::new(vec![8; 32]));
        assert_eq!(judge(&reply(0, &other, &mac), 9, &key(), &mac), Err(UpdateFault::NotSigned));
        assert_eq!(judge(&reply(5, &key(), &mac), 9, &key(), &mac), Err(UpdateFault::Refused(5)));
        for end in 0..good.len() {
            assert!(judge(&good[..end], 9, &key(), &mac).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn names_that_do_not_fit_are_refused_and_the_key_is_not_printed() {
        for name in ["", "a..b", &"a".repeat(64), &["a"; 130].join(".")] {
            assert_eq!(wire_name(name), None, "{name}");
        }
        assert_eq!(wire_name("Ab.c.").unwrap(), b"\x02ab\x01c\x00");
        assert_eq!(format!("{:?}", key()), "TsigKey(node-key, …)");
    }
}
