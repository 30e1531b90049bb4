//! SCRAM, the server's side: two messages in, two out. RFC 5802, RFC 7677; channel binding by RFC 5929 and RFC 9266.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::TlsFacts;
use super::keys::{Keys, ScramKeys, hmac_sha1, hmac_sha256};
use crate::stanza::{SaslCondition, SaslFailure};

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], text: &str) -> Vec<u8> {
        match self {
            Hash::Sha1 => hmac_sha1(key, &[text.as_bytes()]).to_vec(),
            Hash::Sha256 => hmac_sha256(key, &[text.as_bytes()]).to_vec(),
        }
    }

    fn keys(self, keys: &ScramKeys) -> &Keys {
        match self {
            Hash::Sha1 => &keys.sha1,
            Hash::Sha256 => &keys.sha256,
        }
    }
}

/// What the client says about channel binding. RFC 5802 §6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BindingFlag {
    /// `n`: it knows none.
    Unsupported,
    /// `y`: it would, but believes that we do not.
    ServerDoesNot,
    /// `p=`: it uses the one of this name.
    Used(String),
}

/// `client-first-message`, RFC 5802 §7.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ClientFirst {
    pub flag: BindingFlag,
    /// Whom the client wants to act as, if it says so.
    pub authzid: Option<String>,
    /// The user's name, unescaped.
    pub username: String,
    /// The header as it came, which the client repeats in its second message.
    gs2_header: String,
    nonce: String,
    bare: String,
}

impl ClientFirst {
    pub fn parse(message: &str) -> Result<ClientFirst, SaslFailure> {
        let mut parts = message.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("the first SCRAM message has no header"));
        };
        let gs2_header = format!("{flag},{authzid},");
        let flag = match (flag, flag.strip_prefix("p=")) {
            ("n", _) => BindingFlag::Unsupported,
            ("y", _) => BindingFlag::ServerDoesNot,
            (_, Some(name)) => BindingFlag::Used(name.to_owned()),
            _ => return Err(malformed("the channel binding flag is none of n, y, p")),
        };
        let authzid = match (authzid, authzid.strip_prefix("a=")) {
            ("", _) => None,
            (_, Some(name)) => Some(unescape(name)?),
            _ => return Err(malformed("the authorisation identity does not begin with a=")),
        };
        // RFC 5802 §5.1: an extension that must be understood (m=) stands where the name is wanted, and is not understood.
        let mut attributes = bare.split(',');
        let username = attributes.next().and_then(|a| a.strip_prefix("n=")).filter(|name| !name.is_empty());
        let username = unescape(username.ok_or_else(|| malformed("the user name is missing"))?)?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).filter(|nonce| is_printable(nonce));
        let nonce = nonce.ok_or_else(|| malformed("the nonce is missing"))?.to_owned();
        Ok(ClientFirst { flag, authzid, username, gs2_header, nonce, bare: bare.to_owned() })
    }

    /// Checks the flag against the mechanism chosen and what was offered; gives the data that the client must know.
    pub fn binding_data(&self, plus: bool, plus_offered: bool, facts: &TlsFacts) -> Result<Vec<u8>, SaslFailure> {
        match (&self.flag, plus) {
            (BindingFlag::Used(name), true) => {
                let data = match name.as_str() {
                    "tls-exporter" => facts.exporter.map(Vec::from),
                    "tls-server-end-point" => facts.server_end_point.clone(),
                    _ => None,
                };
                // RFC 5802 §7, unsupported-channel-binding-type.
                data.ok_or_else(|| malformed("this channel binding type is not supported here"))
            }
            (BindingFlag::Used(_), false) => Err(malformed("channel binding needs a -PLUS mechanism")),
            (_, true) => Err(malformed("a -PLUS mechanism needs channel binding")),
            // RFC 5802 §6: somebody between us took -PLUS out of the list that we sent.
            (BindingFlag::ServerDoesNot, false) if plus_offered => Err(SaslFailure::with_text(
                SaslCondition::NotAuthorized,
                "channel binding was offered, but the client did not see it",
            )),
            (BindingFlag::ServerDoesNot | BindingFlag::Unsupported, false) => Ok(Vec::new()),
        }
    }
}

/// The exchange between our challenge and the client's proof.
pub(super) struct ServerExchange {
    hash: Hash,
    keys: ScramKeys,
    nonce: String,
    /// `cbind-input`, RFC 5802 §7.
    binding_input: Vec<u8>,
    /// The first two parts of `AuthMessage`, RFC 5802 §3, with the comma behind them.
    auth_message: String,
}

impl ServerExchange {
    /// The exchange, and `server-first-message`. The nonce is random and without comma.
    pub fn begin(
        first: ClientFirst,
        binding_data: &[u8],
        hash: Hash,
        keys: ScramKeys,
        server_nonce: &str,
    ) -> (ServerExchange, String) {
        let nonce = first.nonce + server_nonce;
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        let auth_message = format!("{},{server_first},", first.bare);
        let mut binding_input = first.gs2_header.into_bytes();
        binding_input.extend_from_slice(binding_data);
        (ServerExchange { hash, keys, nonce, binding_input, auth_message }, server_first)
    }

    /// Checks `client-final-message`; gives `server-final-message`, with which we prove that we know the password too.
    pub fn finish(self, message: &str) -> Result<String, SaslFailure> {
        // RFC 5802 §7: the proof is last.
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or_else(|| malformed("the proof is missing"))?;
        let proof = BASE64.decode(proof).map_err(|_| malformed("the proof is not base64"))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c="));
        let binding = binding.ok_or_else(|| malformed("the channel binding is missing"))?;
        let binding = BASE64.decode(binding).map_err(|_| malformed("the channel binding is not base64"))?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r="));
        let nonce = nonce.ok_or_else(|| malformed("the nonce is missing"))?;
        if !bool::from(nonce.as_bytes().ct_eq(self.nonce.as_bytes())) {
            return Err(malformed("the nonce is not the one of this exchange"));
        }
        // RFC 5802 §7, channel-bindings-dont-match.
        if !bool::from(binding.ct_eq(&self.binding_input)) {
            return Err(SaslFailure::with_text(SaslCondition::NotAuthorized, "the channel binding does not match"));
        }
        let auth_message = self.auth_message + without_proof;
        let keys = self.hash.keys(&self.keys);
        let client_signature = self.hash.hmac(&keys.stored_key, &auth_message);
        let client_key: Vec<u8> = proof.iter().zip(&client_signature).map(|(a, b)| a ^ b).collect();
        let fits = self.hash.digest(&client_key).ct_eq(&keys.stored_key);
        if proof.len() != client_signature.len() || !bool::from(fits) {
            return Err(SaslFailure::new(SaslCondition::NotAuthorized));
        }
        Ok(format!("v={}", BASE64.encode(self.hash.hmac(&keys.server_key, &auth_message))))
    }
}

/// `saslname`, RFC 5802 §5.1.
fn unescape(name: &str) -> Result<String, SaslFailure> {
    let mut pieces = name.split('=');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (c, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(malformed("a name has = without 2C or 3D behind it")),
        };
        out.push(c);
        out.push_str(rest);
    }
    Ok(out)
}

fn is_printable(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic())
}

fn malformed(text: &'static str) -> SaslFailure {
    SaslFailure::with_text(SaslCondition::MalformedRequest, text)
}
