//! The signed texts that an ACME server takes, and what is made of an account's key. RFC 8555 §6.2, RFC 7515, RFC 7638. ES256 alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The public half of an account's key: a point on P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    x: String,
    y: String,
}

impl Jwk {
    /// From the uncompressed point (65 bytes: 4, x, y); `None` for anything else.
    pub fn of_point(point: &[u8]) -> Option<Jwk> {
        let point = point.strip_prefix(&[4]).filter(|rest| rest.len() == 64)?;
        let (x, y) = point.split_at(32);
        Some(Jwk { x: base64(x), y: base64(y) })
    }

    /// RFC 7638 §3: the required members in this order and without blanks, hashed.
    pub fn thumbprint(&self) -> String {
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, self.x, self.y);
        base64(&Sha256::digest(text.as_bytes()))
    }

    fn to_json(&self) -> serde_json::Value {
        json!({ "crv": "P-256", "kty": "EC", "x": self.x, "y": self.y })
    }

    /// RFC 8555 §8.1: what proves that this account asked.
    pub fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }
}

/// A text to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    protected: String,
    payload: String,
}

impl Unsigned {
    /// A request to `url`: signed by the key itself, or by the account with that URL. `payload` `None`: POST-as-GET (RFC 8555 §6.3).
    pub fn new(
        url: &str,
        nonce: &str,
        key: &Jwk,
        account: Option<&str>,
        payload: Option<&serde_json::Value>,
    ) -> Unsigned {
        // RFC 8555 §6.2: "jwk" for a new account, "kid" for all else.
        let protected = match account {
            Some(account) => json!({ "alg": "ES256", "kid": account, "nonce": nonce, "url": url }),
            None => json!({ "alg": "ES256", "jwk": key.to_json(), "nonce": nonce, "url": url }),
        };
        let payload = payload.map(|payload| base64(payload.to_string().as_bytes())).unwrap_or_default();
        Unsigned { protected: base64(protected.to_string().as_bytes()), payload }
    }

    /// What is signed with ECDSA P-256 and SHA-256. RFC 7515 §5.1.
    pub fn signing_input(&self) -> String {
        format!("{}.{}", self.protected, self.payload)
    }

    /// With its signature: r and s, 32 bytes each (RFC 7518 §3.4). RFC 7515 §7.2.2.
    pub fn signed(&self, signature: &[u8]) -> String {
        json!({ "protected": self.protected, "payload": self.payload, "signature": base64(signature) }).to_string()
    }
}

/// The TXT record's value for a key authorization. RFC 8555 §8.4.
pub fn dns_value(key_authorization: &str) -> String {
    base64(&digest(key_authorization))
}

/// What a proof by TLS holds. RFC 8737 §3.
pub fn digest(key_authorization: &str) -> [u8; 32] {
    Sha256::digest(key_authorization.as_bytes()).into()
}

/// Without padding, as everything here. RFC 7515 §2.
pub(super) fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
