//! Login tokens, with which a client comes back in one round trip: FAST (XEP-0484) by the SASL mechanisms HT-SHA-256-NONE, -ENDP
//! and -EXPR (the Internet-Draft "The Hashed Token SASL Mechanism", as XEP-0484 cites it).
//!
//! A client (one installation, named by its user agent's id) has two slots, XEP-0484 §5.1: the *current* token, which it has
//! used, and a *new* one, which it was given and may never have received. Using the new one makes it the current one.
//!
//! No token is kept. A slot holds a random serial number; the token is computed from it and a secret that lies beside the
//! database, not in it ([`token_text`]). So a stolen database lets nobody in. Limits: `TOKEN_*` of [`limits`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::TlsFacts;
use super::keys::hmac_sha256;
use crate::jid::BareJid;
use crate::limits;
use crate::stanza::{SaslCondition, SaslFailure, Timestamp};

/// A hashed token mechanism, by the channel binding that goes into its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashedToken {
    /// `HT-SHA-256-NONE`: no channel binding.
    Unbound,
    /// `HT-SHA-256-ENDP`: `tls-server-end-point`.
    ServerEndPoint,
    /// `HT-SHA-256-EXPR`: `tls-exporter`.
    Exporter,
}

impl HashedToken {
    /// The mechanism's name.
    pub fn as_str(self) -> &'static str {
        match self {
            HashedToken::Unbound => "HT-SHA-256-NONE",
            HashedToken::ServerEndPoint => "HT-SHA-256-ENDP",
            HashedToken::Exporter => "HT-SHA-256-EXPR",
        }
    }

    /// The channel's binding data, where the connection has any; empty for the mechanism without.
    pub(super) fn binding(self, facts: &TlsFacts) -> Option<Vec<u8>> {
        match self {
            HashedToken::Unbound => Some(Vec::new()),
            HashedToken::ServerEndPoint => facts.server_end_point.clone(),
            HashedToken::Exporter => facts.exporter.map(Vec::from),
        }
    }

    /// The mechanisms that can be used on a connection, best first.
    pub(super) fn usable(facts: &TlsFacts) -> impl Iterator<Item = HashedToken> + '_ {
        [HashedToken::Exporter, HashedToken::ServerEndPoint, HashedToken::Unbound]
            .into_iter()
            .filter(|mechanism| mechanism.binding(facts).is_some())
    }
}

/// One installation of a client, as its `<user-agent id=''/>` names it (XEP-0388 §2.3). The id itself is its user's affair and
/// is not kept, only a hash of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 16]);

impl ClientId {
    /// From the id, which should be a UUID and is here any text of a sound length.
    pub fn of(id: &str) -> Option<ClientId> {
        if id.is_empty() || id.len() > CLIENT_ID_BYTES_MAX {
            return None;
        }
        Sha256::digest(id).first_chunk().copied().map(ClientId)
    }
}

/// Names a token in the store; random.
pub type Serial = [u8; 16];

/// The token of a serial number, 256 bits as text. `secret` is random and the node's own.
pub fn token_text(secret: &[u8; 32], account: &BareJid, client: ClientId, serial: &Serial) -> Zeroizing<String> {
    // Nothing here has two readings: what goes first has a fixed length.
    let bytes = Zeroizing::new(hmac_sha256(secret, &[serial, &client.0, account.as_str().as_bytes()]));
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// A token for a client to keep. It does not print itself.
#[derive(Clone)]
pub struct IssuedToken {
    /// The secret.
    pub token: Zeroizing<String>,
    /// Until when it is good.
    pub expiry: Timestamp,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

/// What a client proves: that it has a token. Debug shows nothing of the proof.
pub struct TokenProof {
    /// Whose account.
    pub account: BareJid,
    /// Which client of his.
    pub client: ClientId,
    /// The mechanism it uses, which must be the one that the token was asked for.
    pub mechanism: HashedToken,
    /// XEP-0484 §3.4: how often it has used the token, this time included; 0 if it does not count.
    pub count: u32,
    /// XEP-0484 §3.6: the token shall be good for nothing afterwards.
    pub invalidate: bool,
    pub(super) hash: [u8; 32],
    pub(super) binding: Vec<u8>,
}

impl TokenProof {
    /// Is it the hash of this token, on this channel? Takes as long whatever the answer.
    fn fits(&self, token: &str) -> bool {
        bool::from(hmac_sha256(token.as_bytes(), &[b"Initiator", &self.binding]).ct_eq(&self.hash))
    }

    /// How we show that we know the token too.
    fn response(&self, token: &str) -> [u8; 32] {
        hmac_sha256(token.as_bytes(), &[b"Responder", &self.binding])
    }
}

impl fmt::Debug for TokenProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProof").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

/// A right token.
#[derive(Debug)]
pub struct TokenVerdict {
    /// What proves to the client that we know its token.
    pub response: [u8; 32],
    /// The token to use from now on, if the old one's time comes to an end.
    pub replacement: Option<IssuedToken>,
}

/// One token as it is kept: everything but itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What it is computed from.
    pub serial: Serial,
    /// The mechanism it was asked for.
    pub mechanism: HashedToken,
    /// When it was given out.
    pub issued: Timestamp,
    /// The highest count that came with it.
    pub count: u32,
}

impl TokenRecord {
    /// Until when it is good.
    pub fn expiry(&self) -> Timestamp {
        self.issued.plus(limits::TOKEN_TTL)
    }
}

/// The tokens of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSlots {
    /// The one it has used.
    pub current: Option<TokenRecord>,
    /// The one it was given last and has not used yet.
    pub new: Option<TokenRecord>,
}

/// How soon a change of slots must be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// There is none.
    Unchanged,
    /// Some time: losing it does no harm.
    Soon,
    /// Before the client hears of it.
    Now,
}

/// What becomes of a proof that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What proves to the client that we know its token.
    pub response: [u8; 32],
    /// The token should be replaced.
    pub rotate: bool,
    /// What to do about the slots, which may have changed.
    pub keep: Keep,
}

impl TokenSlots {
    /// Until when the client can come back with a token.
    pub fn expiry(&self) -> Option<Timestamp> {
        [self.current, self.new].iter().flatten().map(TokenRecord::expiry).max()
    }

    /// Puts a token into the new slot (XEP-0484 §5.1) and says until when it is good. What was there and never used is good no
    /// longer (§3.5).
    pub fn issue(&mut self, serial: Serial, mechanism: HashedToken, now: Timestamp) -> Timestamp {
        let record = TokenRecord { serial, mechanism, issued: now, count: 0 };
        self.new = Some(record);
        record.expiry()
    }

    /// Decides about a proof. `text` gives the token of a serial number.
    pub fn judge(
        &mut self,
        proof: &TokenProof,
        now: Timestamp,
        text: impl Fn(&Serial) -> Zeroizing<String>,
    ) -> Result<Judged, SaslFailure> {
        let fits = |record: Option<TokenRecord>| {
            let record = record?;
            let token = text(&record.serial);
            proof.fits(&token).then(|| (record, proof.response(&token)))
        };
        // XEP-0484 §5.1: the new slot first.
        let (is_new, found) = match fits(self.new) {
            Some(found) => (true, Some(found)),
            None => (false, fits(self.current)),
        };
        let (mut record, response) = found.ok_or_else(|| SaslFailure::new(SaslCondition::NotAuthorized))?;
        // XEP-0484 §3.4: a token that was asked for with channel binding is good with that alone.
        if record.mechanism != proof.mechanism {
            return Err(SaslFailure::with_text(SaslCondition::NotAuthorized, "this token is for another mechanism"));
        }
        // XEP-0484 §4.2.
        if now >= record.expiry() {
            return Err(SaslFailure::new(SaslCondition::CredentialsExpired));
        }
        if proof.count != 0 {
            // XEP-0484 §3.4: seen before, so this is a replay.
            if proof.count <= record.count {
                return Err(SaslFailure::with_text(SaslCondition::NotAuthorized, "this count was used before"));
            }
            record.count = proof.count;
        }
        if proof.invalidate {
            // XEP-0484 §3.6: the user logs out. A token that may be on its way is not for the next user of the device either.
            *self = TokenSlots::default();
            return Ok(Judged { response, rotate: false, keep: Keep::Now });
        }
        let before = *self;
        self.current = Some(record);
        if is_new {
            self.new = None;
        }
        let keep = if *self == before { Keep::Unchanged } else { Keep::Soon };
        Ok(Judged { response, rotate: now.since(record.issued) >= limits::TOKEN_ROTATE_AFTER, keep })
    }
}

/// A UUID has 36.
const CLIENT_ID_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECRET: [u8; 32] = [5; 32];

    fn juliet() -> BareJid {
        "juliet@a.example".parse().unwrap()
    }

    fn phone() -> ClientId {
        ClientId::of("d4565fa7-4d72-4749-b3d3-740edbf87770").unwrap()
    }

    fn text(serial: &Serial) -> Zeroizing<String> {
        token_text(&SECRET, &juliet(), phone(), serial)
    }

    fn proof(serial: u8, mechanism: HashedToken, binding: &[u8]) -> TokenProof {
        TokenProof {
            account: juliet(),
            client: phone(),
            mechanism,
            count: 0,
            invalidate: false,
            hash: hmac_sha256(text(&[serial; 16]).as_bytes(), &[b"Initiator", binding]),
            binding: binding.to_vec(),
        }
    }

    fn unbound(serial: u8) -> TokenProof {
        proof(serial, HashedToken::Unbound, b"")
    }

    fn start() -> Timestamp {
        Timestamp { millis: 1_700_000_000_000 }
    }

    fn issued(serials: &[u8]) -> TokenSlots {
        let mut slots = TokenSlots::default();
        for serial in serials {
            slots.issue([*serial; 16], HashedToken::Unbound, start());
        }
        slots
    }

    fn condition(outcome: Result<Judged, SaslFailure>) -> Option<&'static str> {
        outcome.err().map(|failure| failure.condition.as_str())
    }

    #[test]
    fn a_token_is_good_again_and_again_and_both_sides_prove_it() {
        let mut slots = issued(&[1]);
        for keep in [Keep::Soon, Keep::Unchanged, Keep::Unchanged] {
            let judged = slots.judge(&unbound(1), start(), text).unwrap();
            assert_eq!(judged.response, hmac_sha256(text(&[1; 16]).as_bytes(), &[b"Responder"]));
            assert_eq!((judged.rotate, judged.keep), (false, keep));
        }
        assert_eq!(condition(slots.judge(&unbound(2), start(), text)), Some("not-authorized"));
    }

    #[test]
    fn the_old_token_stays_good_until_the_new_one_is_used() {
        let mut slots = issued(&[1]);
        slots.judge(&unbound(1), start(), text).unwrap();
        let week = start().plus(limits::TOKEN_ROTATE_AFTER);
        assert!(slots.judge(&unbound(1), week, text).unwrap().rotate);
        slots.issue([2; 16], HashedToken::Unbound, week);
        // The client never got it.
        assert!(slots.judge(&unbound(1), week, text).unwrap().rotate);
        slots.issue([3; 16], HashedToken::Unbound, week);
        assert_eq!(condition(slots.judge(&unbound(2), week, text)), Some("not-authorized"));
        assert!(!slots.judge(&unbound(3), week, text).unwrap().rotate);
        assert_eq!(condition(slots.judge(&unbound(1), week, text)), Some("not-authorized"));
        slots.judge(&unbound(3), week, text).unwrap();
    }

    #[test]
    fn a_token_expires() {
        let mut slots = issued(&[1]);
        let expiry = slots.expiry().unwrap();
        let before = Timestamp { millis: expiry.millis - 1 };
        assert!(slots.judge(&unbound(1), before, text).unwrap().rotate);
        for late in [expiry, expiry.plus(Duration::from_secs(1))] {
            assert_eq!(condition(slots.judge(&unbound(1), late, text)), Some("credentials-expired"));
        }
    }

    #[test]
    fn a_token_is_bound_to_its_mechanism_and_channel() {
        let mut slots = TokenSlots::default();
        slots.issue([1; 16], HashedToken::Exporter, start());
        for (mechanism, binding, expected) in [
            (HashedToken::Unbound, &b""[..], Some("not-authorized")),
            (HashedToken::ServerEndPoint, b"certificate", Some("not-authorized")),
            (HashedToken::Exporter, b"channel", None),
        ] {
            assert_eq!(condition(slots.judge(&proof(1, mechanism, binding), start(), text)), expected);
        }
        let elsewhere = TokenProof { binding: b"another".to_vec(), ..proof(1, HashedToken::Exporter, b"channel") };
        assert_eq!(condition(slots.judge(&elsewhere, start(), text)), Some("not-authorized"));
    }

    #[test]
    fn a_count_must_grow_and_starts_anew_with_a_new_token() {
        let mut slots = issued(&[1]);
        let counted = |serial, count| TokenProof { count, ..unbound(serial) };
        for (count, expected) in
            [(1, None), (1, Some("not-authorized")), (7, None), (3, Some("not-authorized")), (0, None), (8, None)]
        {
            assert_eq!(condition(slots.judge(&counted(1, count), start(), text)), expected, "{count}");
        }
        slots.issue([2; 16], HashedToken::Unbound, start());
        assert_eq!(condition(slots.judge(&counted(2, 1), start(), text)), None);
    }

    #[test]
    fn logging_out_ends_all_tokens_of_the_client() {
        let mut slots = issued(&[1]);
        slots.judge(&unbound(1), start(), text).unwrap();
        slots.issue([2; 16], HashedToken::Unbound, start());
        let judged = slots.judge(&TokenProof { invalidate: true, ..unbound(1) }, start(), text).unwrap();
        assert_eq!((judged.keep, judged.rotate), (Keep::Now, false));
        assert_eq!(slots, TokenSlots::default());
    }

    #[test]
    fn tokens_differ_by_account_client_serial_and_secret() {
        let romeo: BareJid = "romeo@a.example".parse().unwrap();
        let tablet = ClientId::of("tablet").unwrap();
        let tokens = [
            text(&[1; 16]),
            text(&[2; 16]),
            token_text(&SECRET, &romeo, phone(), &[1; 16]),
            token_text(&SECRET, &juliet(), tablet, &[1; 16]),
            token_text(&[6; 32], &juliet(), phone(), &[1; 16]),
        ];
        let distinct: std::collections::BTreeSet<&str> = tokens.iter().map(|token| token.as_str()).collect();
        assert_eq!(distinct.len(), tokens.len());
        assert!(tokens.iter().all(|token| token.len() == 43));
        for (id, known) in [("", false), ("x", true), (&"x".repeat(128), true), (&"x".repeat(129), false)] {
            assert_eq!(ClientId::of(id).is_some(), known);
        }
    }

    #[test]
    fn secrets_do_not_print_themselves() {
        let token = IssuedToken { token: text(&[1; 16]), expiry: start() };
        let shown = format!("{token:?} {:?}", unbound(1));
        assert!(!shown.contains(text(&[1; 16]).as_str()) && !shown.contains("hash"), "{shown}");
    }
}
