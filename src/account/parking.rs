//! A private key on its way to another device: parked by the old one, fetched once by the new one with a token that its user types or
//! scans. Kontalk private key transfer.
//!
//! The key is protected by its user's passphrase and opaque to us. It stays in memory, for [`PARKED_TTL`], one for each account; a
//! token has 128 bits, and who guesses is slowed down. A restart forgets all of it: the user parks again.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::jid::BareJid;
use crate::limits::{self, BoundedMap, Buckets};

/// A private key as the client gave it, base64 and passphrase and all; cannot be printed, is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Zeroizing<String>);

impl PrivateKey {
    /// Takes it in. `None` if it is longer than any key.
    pub fn new(text: String) -> Option<PrivateKey> {
        (text.len() <= PRIVATE_KEY_BYTES_MAX).then(|| PrivateKey(Zeroizing::new(text)))
    }

    /// The one way out: into the answer of whoever has the token.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// What fetches a parked key: 40 decimal digits, since people may have to type them.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// From 128 random bits.
    pub fn from_random(random: [u8; 16]) -> Token {
        Token(Zeroizing::new(format!("{:040}", u128::from_le_bytes(random))))
    }

    /// As a client sent it.
    pub fn new(text: &str) -> Token {
        Token(Zeroizing::new(text.trim().to_owned()))
    }

    /// The digits, for the device that parked.
    pub fn digits(&self) -> &str {
        &self.0
    }

    fn is(&self, other: &Token) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// All parked keys.
#[derive(Debug)]
pub struct Parking {
    parked: BoundedMap<BareJid, Parked>,
    guesses: Buckets<IpAddr>,
}

#[derive(Debug)]
struct Parked {
    token: Token,
    key: PrivateKey,
    expires: Instant,
}

impl Default for Parking {
    fn default() -> Parking {
        Parking {
            parked: BoundedMap::new(PARKED_MAX),
            guesses: Buckets::new(limits::THROTTLE_ENTRIES_MAX, GUESSES_AT_ONCE, GUESS_REFILL),
        }
    }
}

impl Parking {
    /// Parks an account's key, in place of an earlier one.
    pub fn park(&mut self, now: Instant, account: BareJid, key: PrivateKey, token: Token) {
        self.parked.retain(|_, parked| parked.expires > now);
        self.parked.insert(account, Parked { token, key, expires: now + PARKED_TTL });
    }

    /// Gives a key to who has its token, once.
    ///
    /// Errors: not authorised for a token that is unknown, used or too old; throttled for a network that guesses.
    pub fn fetch(&mut self, now: Instant, peer: IpAddr, token: &Token) -> Result<(BareJid, PrivateKey), Refusal> {
        let network = limits::network_of(peer);
        self.guesses.check(now, &network).map_err(|wait| Refusal::Throttled { wait })?;
        let mut found = None;
        // All are compared, so that the time tells nothing.
        self.parked.retain(|account, parked| {
            if parked.expires > now && parked.token.is(token) {
                found = Some((account.clone(), parked.key.clone()));
                return false;
            }
            parked.expires > now
        });
        found.ok_or_else(|| {
            let _ = self.guesses.take(now, &network);
            Refusal::NotAuthorized
        })
    }
}

/// How long a key waits for its new device.
pub const PARKED_TTL: Duration = Duration::from_secs(15 * 60);
/// Keys parked at once: 64 × at most 96 KiB.
const PARKED_MAX: usize = 64;
/// Characters of a parked key.
const PRIVATE_KEY_BYTES_MAX: usize = 96 * 1024;
/// Wrong tokens at once from one network, then one each so often.
const GUESSES_AT_ONCE: u32 = 5;
const GUESS_REFILL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn park(parking: &mut Parking, now: Instant, random: u8) -> Token {
        let token = Token::from_random([random; 16]);
        let key = PrivateKey::new("c2VjcmV0".into()).unwrap();
        parking.park(now, "romeo@a.example".parse().unwrap(), key, token.clone());
        token
    }

    #[test]
    fn a_parked_key_is_fetched_once_in_time_and_by_its_token_alone() {
        let (now, peer) = (Instant::now(), "192.0.2.7".parse().unwrap());
        let mut parking = Parking::default();
        let first = park(&mut parking, now, 1);
        assert_eq!(first.digits().len(), 40);
        assert!(first.digits().bytes().all(|b| b.is_ascii_digit()));
        let token = park(&mut parking, now, 2);
        assert_eq!(parking.fetch(now, peer, &first), Err(Refusal::NotAuthorized), "a newer one took its place");
        let (account, key) = parking.fetch(now, peer, &Token::new(token.digits())).unwrap();
        assert_eq!((account.as_str(), key.expose()), ("romeo@a.example", "c2VjcmV0"));
        assert_eq!(parking.fetch(now, peer, &token), Err(Refusal::NotAuthorized), "once");
        let late = park(&mut parking, now, 3);
        assert_eq!(parking.fetch(now + PARKED_TTL, peer, &late), Err(Refusal::NotAuthorized));
        assert!(PrivateKey::new("x".repeat(PRIVATE_KEY_BYTES_MAX + 1)).is_none());
        assert_eq!(format!("{late:?} {key:?}"), "Token(…) PrivateKey(…)");
    }

    #[test]
    fn who_guesses_is_slowed_down_and_others_are_not() {
        let (now, guesser) = (Instant::now(), "2001:db8::1".parse().unwrap());
        let mut parking = Parking::default();
        let token = park(&mut parking, now, 9);
        for _ in 0..GUESSES_AT_ONCE {
            assert_eq!(parking.fetch(now, guesser, &Token::new("1")), Err(Refusal::NotAuthorized));
        }
        let neighbour = "2001:db8::2".parse().unwrap();
        assert!(matches!(parking.fetch(now, neighbour, &token), Err(Refusal::Throttled { .. })));
        assert!(parking.fetch(now, "192.0.2.7".parse().unwrap(), &token).is_ok());
    }
}
