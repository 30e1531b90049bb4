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
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
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
    /// The exchange, and `server-first-message`. The nonce is random and without comma; `extensions` are attributes for its
    /// end, each with a comma before it (RFC 5802 §5.1).
    pub fn begin(
        first: ClientFirst,
        binding_data: &[u8],
        hash: Hash,
        keys: ScramKeys,
        server_nonce: &str,
        extensions: &str,
    ) -> (ServerExchange, String) {
        let nonce = first.nonce + server_nonce;
        let server_first = format!("r={nonce},s={},i={}{extensions}", BASE64.encode(&keys.salt), keys.iterations);
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
        if self.keys.disabled {
            // RFC 6120 §6.5.2. Strangers, who have no proof, do not learn it.
            return Err(SaslFailure::new(SaslCondition::AccountDisabled));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(hash: Hash, first: &str, salt: &str, server_nonce: &str) -> (ServerExchange, String) {
        let first = ClientFirst::parse(first).unwrap();
        let keys = ScramKeys::derive("pencil", BASE64.decode(salt).unwrap(), 4096).unwrap();
        ServerExchange::begin(first, &[], hash, keys, server_nonce, "")
    }

    #[test]
    fn the_example_of_rfc_5802_section_5_is_reproduced() {
        let (exchange, challenge) =
            exchange(Hash::Sha1, "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "QSXCR+Q6sek8bf92", "3rfcNHYJY1ZVvWVs7j");
        assert_eq!(challenge, "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096");
        let last = exchange
            .finish("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=")
            .unwrap();
        assert_eq!(last, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
    }

    #[test]
    fn the_example_of_rfc_7677_section_3_is_reproduced() {
        let (exchange, challenge) = exchange(
            Hash::Sha256,
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        );
        assert_eq!(challenge, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let last = exchange
            .finish("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        assert_eq!(last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn last_messages_that_do_not_fit_are_refused_by_name() {
        let proof = "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
        let nonce = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j";
        for (message, condition) in [
            (format!("c=biws,{nonce},p=v1X8v3Bz2T0CJGbJQyF0X+HI4Ts="), SaslCondition::NotAuthorized),
            (format!("c=biws,{nonce},p="), SaslCondition::NotAuthorized),
            (format!("c=biws,{nonce},x=1,{proof}"), SaslCondition::NotAuthorized),
            (format!("c=eSws,{nonce},{proof}"), SaslCondition::NotAuthorized),
            (format!("c=biws,r=fyko+d2lbbFgONRv9qkxdawL,{proof}"), SaslCondition::MalformedRequest),
            (format!("c=biws,{nonce}"), SaslCondition::MalformedRequest),
            (format!("c=biws,{nonce},p=!"), SaslCondition::MalformedRequest),
            (format!("c=!,{nonce},{proof}"), SaslCondition::MalformedRequest),
            (format!("{nonce},{proof}"), SaslCondition::MalformedRequest),
            (format!("c=biws,{proof}"), SaslCondition::MalformedRequest),
            (String::new(), SaslCondition::MalformedRequest),
        ] {
            let (exchange, _) =
                exchange(Hash::Sha1, "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "QSXCR+Q6sek8bf92", "3rfcNHYJY1ZVvWVs7j");
            assert_eq!(exchange.finish(&message).map_err(|failure| failure.condition), Err(condition), "{message}");
        }
    }

    #[test]
    fn only_who_knows_the_password_learns_that_the_account_is_disabled() {
        for (proof, condition) in [
            ("v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", SaslCondition::AccountDisabled),
            ("v1X8v3Bz2T0CJGbJQyF0X+HI4Ts=", SaslCondition::NotAuthorized),
        ] {
            let (mut exchange, _) =
                exchange(Hash::Sha1, "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "QSXCR+Q6sek8bf92", "3rfcNHYJY1ZVvWVs7j");
            exchange.keys.disabled = true;
            let message = format!("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p={proof}");
            assert_eq!(exchange.finish(&message).map_err(|failure| failure.condition), Err(condition));
        }
    }

    #[test]
    fn first_messages_are_read_as_the_grammar_has_them() {
        let first = ClientFirst::parse("p=tls-exporter,a=x=2Cy,n==3D=2Cz,r=abc,e=1").unwrap();
        assert_eq!(first.flag, BindingFlag::Used("tls-exporter".into()));
        assert_eq!(first.authzid.as_deref(), Some("x,y"));
        assert_eq!(first.username, "=,z");
        assert_eq!(first.gs2_header, "p=tls-exporter,a=x=2Cy,");
        assert_eq!(first.bare, "n==3D=2Cz,r=abc,e=1");
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "x,,n=u,r=1",
            "n,u,n=u,r=1",
            "n,,m=1,n=u,r=1",
            "n,,n=,r=1",
            "n,,n=u",
            "n,,n=u,r=",
            "n,,n=u,r=a b",
            "n,,n=u=2,r=1",
            "n,,n=u=2c,r=1",
            "n,a==,n=u,r=1",
        ] {
            let outcome = ClientFirst::parse(message).err().map(|failure| failure.condition);
            assert_eq!(outcome, Some(SaslCondition::MalformedRequest), "{message}");
        }
    }

    #[test]
    fn the_binding_flag_must_fit_the_mechanism_and_the_offer() {
        let facts = |exporter: Option<[u8; 32]>, server_end_point: Option<Vec<u8>>| TlsFacts {
            exporter,
            server_end_point,
            client_certificate: crate::stream::ClientCertificate::None,
            version: 0x0304,
        };
        let both = facts(Some([7; 32]), Some(vec![9; 20]));
        let endpoint = facts(None, Some(vec![9; 20]));
        let none = facts(None, None);
        let (malformed, refused) = (Err(SaslCondition::MalformedRequest), Err(SaslCondition::NotAuthorized));
        for (flag, plus, facts, expected) in [
            ("n", false, &both, Ok(vec![])),
            ("n", false, &none, Ok(vec![])),
            ("n", true, &both, malformed.clone()),
            ("y", false, &none, Ok(vec![])),
            ("y", false, &both, refused.clone()),
            ("y", true, &both, malformed.clone()),
            ("p=tls-exporter", true, &both, Ok(vec![7; 32])),
            ("p=tls-exporter", false, &both, malformed.clone()),
            ("p=tls-exporter", true, &endpoint, malformed.clone()),
            ("p=tls-server-end-point", true, &both, Ok(vec![9; 20])),
            ("p=tls-unique", true, &both, malformed.clone()),
        ] {
            let first = ClientFirst::parse(&format!("{flag},,n=u,r=1")).unwrap();
            let plus_offered = facts.exporter.is_some() || facts.server_end_point.is_some();
            let outcome = first.binding_data(plus, plus_offered, facts).map_err(|failure| failure.condition);
            assert_eq!(outcome, expected, "{flag} {plus}");
        }
    }
}
