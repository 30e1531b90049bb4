//! What files say of passwords, as we keep it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::store::Credentials;
use crate::stream::{DEFAULT_ITERATIONS, Keys, SALT_BYTES, ScramKeys};
use crate::xml::{Element, ns};

/// What was found of an account's password so far.
#[derive(Default)]
pub(super) struct Passwords {
    plain: Option<zeroize::Zeroizing<String>>,
    sha1: Option<Found>,
    sha256: Option<Found>,
    /// Some other mechanism, or keys that will not do.
    unusable: bool,
}

/// The keys of one mechanism.
struct Found {
    salt: Vec<u8>,
    iterations: u32,
    keys: Keys,
}

/// What comes of it.
pub(super) enum Outcome {
    /// There is none.
    Nothing,
    /// Keys for all mechanisms.
    Whole(Credentials),
    /// Keys for one mechanism only, by its name.
    Partial(Credentials, &'static str),
    /// There is something that is of no use here.
    Unusable,
}

impl Passwords {
    /// The attribute of a user. A password in the clear, or what ejabberd once wrote there: `scram:` and the keys.
    pub(super) fn attribute(&mut self, text: &str) {
        match text.strip_prefix("scram:") {
            None if text.is_empty() => {}
            None => self.plain = Some(text.to_owned().into()),
            Some(fields) => {
                let fields: Vec<&str> = fields.split(',').collect();
                let (sha256, fields) = match fields.as_slice() {
                    ["sha256", rest @ ..] => (true, rest),
                    all => (false, all),
                };
                let found = match fields {
                    [stored_key, server_key, salt, iterations] => Found::new(stored_key, server_key, salt, iterations),
                    _ => None,
                };
                self.found(if sha256 { "SCRAM-SHA-256" } else { "SCRAM-SHA-1" }, found);
            }
        }
    }

    /// XEP-0227: the element of SCRAM credentials.
    pub(super) fn element(&mut self, element: &Element) {
        let text = |name| element.child(name, ns::PIE_SCRAM).map(Element::text).unwrap_or_default();
        let found = Found::new(&text("stored-key"), &text("server-key"), &text("salt"), &text("iter-count"));
        self.found(element.attribute("mechanism").unwrap_or_default(), found);
    }

    fn found(&mut self, mechanism: &str, found: Option<Found>) {
        let (place, bytes) = match mechanism {
            "SCRAM-SHA-1" => (&mut self.sha1, 20),
            "SCRAM-SHA-256" => (&mut self.sha256, 32),
            _ => {
                self.unusable = true;
                return;
            }
        };
        match found.and_then(|found| found.of(bytes)) {
            Some(found) => *place = Some(found),
            None => self.unusable = true,
        }
    }

    /// All was found that will be. `salt` is random, for a password in the clear.
    pub(super) fn outcome(self, salt: [u8; SALT_BYTES]) -> Outcome {
        let none = || Keys { stored_key: Vec::new(), server_key: Vec::new() };
        let (keys, only) = match (self.plain, self.sha1, self.sha256) {
            (Some(plain), ..) => match ScramKeys::derive(&plain, salt.to_vec(), DEFAULT_ITERATIONS) {
                Ok(keys) => (keys, None),
                Err(_) => return Outcome::Unusable,
            },
            (None, Some(sha1), Some(sha256)) if (&sha1.salt, sha1.iterations) == (&sha256.salt, sha256.iterations) => {
                (sha256.with(sha1.keys, sha256.keys.clone()), None)
            }
            (None, _, Some(sha256)) => (sha256.with(none(), sha256.keys.clone()), Some("SCRAM-SHA-256")),
            (None, Some(sha1), None) => (sha1.with(sha1.keys.clone(), none()), Some("SCRAM-SHA-1")),
            (None, None, None) if self.unusable => return Outcome::Unusable,
            (None, None, None) => return Outcome::Nothing,
        };
        match (keys.to_bytes().map(Credentials::new), only) {
            (Some(credentials), None) => Outcome::Whole(credentials),
            (Some(credentials), Some(only)) => Outcome::Partial(credentials, only),
            (None, _) => Outcome::Unusable,
        }
    }
}

impl Found {
    fn new(stored_key: &str, server_key: &str, salt: &str, iterations: &str) -> Option<Found> {
        let decoded = |text: &str| BASE64.decode(text.trim()).ok();
        let iterations = iterations.trim().parse().ok().filter(|count| (1..=ITERATIONS_MAX).contains(count))?;
        let keys = Keys { stored_key: decoded(stored_key)?, server_key: decoded(server_key)? };
        let salt = decoded(salt).filter(|salt| !salt.is_empty() && salt.len() <= SALT_BYTES_MAX)?;
        Some(Found { salt, iterations, keys })
    }

    /// Keys of so many bytes. ejabberd writes base64 of base64.
    fn of(self, bytes: usize) -> Option<Found> {
        let fits = |keys: &Keys| keys.stored_key.len() == bytes && keys.server_key.len() == bytes;
        if fits(&self.keys) {
            return Some(self);
        }
        let again = |bytes: &[u8]| BASE64.decode(bytes).ok();
        let keys = Keys { stored_key: again(&self.keys.stored_key)?, server_key: again(&self.keys.server_key)? };
        let salt = again(&self.salt)?;
        fits(&keys).then_some(Found { salt, iterations: self.iterations, keys })
    }

    fn with(&self, sha1: Keys, sha256: Keys) -> ScramKeys {
        ScramKeys { salt: self.salt.clone(), iterations: self.iterations, sha1, sha256, disabled: false }
    }
}

/// Each login by PLAIN costs us as many.
const ITERATIONS_MAX: u32 = 200_000;
const SALT_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(credentials: &Credentials) -> ScramKeys {
        ScramKeys::from_bytes(credentials.as_bytes()).unwrap()
    }

    fn element(mechanism: &'static str, keys: &ScramKeys, hash: &Keys) -> Element {
        let part = |name, text: String| Element::new(name, ns::PIE_SCRAM).with_text(&text);
        Element::new("scram-credentials", ns::PIE_SCRAM)
            .with("mechanism", mechanism)
            .with_child(part("iter-count", keys.iterations.to_string()))
            .with_child(part("salt", BASE64.encode(&keys.salt)))
            .with_child(part("server-key", BASE64.encode(&hash.server_key)))
            .with_child(part("stored-key", BASE64.encode(&hash.stored_key)))
    }

    #[test]
    fn credentials_of_either_or_both_mechanisms_open_the_account() {
        let made = ScramKeys::derive("pencil", vec![9; 16], 4096).unwrap();
        let other = ScramKeys::derive("pencil", vec![8; 16], 4096).unwrap();
        let (sha1, sha256) = (element("SCRAM-SHA-1", &made, &made.sha1), element("SCRAM-SHA-256", &made, &made.sha256));
        let foreign = element("SCRAM-SHA-1", &other, &other.sha1);
        for (elements, only) in [
            (vec![&sha1, &sha256], None),
            (vec![&sha256, &sha1], None),
            (vec![&sha1], Some("SCRAM-SHA-1")),
            (vec![&sha256], Some("SCRAM-SHA-256")),
            // One salt is for both, so of two that differ the stronger is kept.
            (vec![&foreign, &sha256], Some("SCRAM-SHA-256")),
        ] {
            let mut passwords = Passwords::default();
            elements.iter().for_each(|element| passwords.element(element));
            let (kept, found) = match passwords.outcome([0; SALT_BYTES]) {
                Outcome::Whole(kept) => (kept, None),
                Outcome::Partial(kept, only) => (kept, Some(only)),
                _ => panic!("{elements:?}"),
            };
            assert_eq!(found, only);
            assert!(keys(&kept).verify_password("pencil") && !keys(&kept).verify_password("pen"));
        }
    }

    #[test]
    fn attributes_are_passwords_or_what_ejabberd_once_wrote() {
        let made = ScramKeys::derive("pencil", vec![9; 16], 4096).unwrap();
        let field = |bytes: &[u8]| BASE64.encode(bytes);
        let old = format!(
            "scram:{},{},{},4096",
            field(&made.sha1.stored_key),
            field(&made.sha1.server_key),
            field(&made.salt)
        );
        let twice = |bytes: &[u8]| BASE64.encode(field(bytes));
        let newer = format!(
            "scram:sha256,{},{},{},4096",
            twice(&made.sha256.stored_key),
            twice(&made.sha256.server_key),
            twice(&made.salt)
        );
        for text in ["pencil", &old, &newer] {
            let mut passwords = Passwords::default();
            passwords.attribute(text);
            let (Outcome::Whole(kept) | Outcome::Partial(kept, _)) = passwords.outcome([1; SALT_BYTES]) else {
                panic!("{text}")
            };
            assert!(keys(&kept).verify_password("pencil"), "{text}");
        }
    }

    #[test]
    fn what_is_of_no_use_is_said_to_be() {
        let made = ScramKeys::derive("pencil", vec![9; 16], 4096).unwrap();
        let mut short = made.sha1.clone();
        short.stored_key.pop();
        for element in [
            element("SCRAM-SHA-512", &made, &made.sha256),
            element("SCRAM-SHA-1", &made, &short),
            element("SCRAM-SHA-1", &ScramKeys { iterations: 100_000_000, ..made.clone() }, &made.sha1),
            Element::new("scram-credentials", ns::PIE_SCRAM).with("mechanism", "SCRAM-SHA-1"),
        ] {
            let mut passwords = Passwords::default();
            passwords.element(&element);
            assert!(matches!(passwords.outcome([0; SALT_BYTES]), Outcome::Unusable), "{element:?}");
        }
        assert!(matches!(Passwords::default().outcome([0; SALT_BYTES]), Outcome::Nothing));
        let mut passwords = Passwords::default();
        passwords.attribute("");
        assert!(matches!(passwords.outcome([0; SALT_BYTES]), Outcome::Nothing));
    }
}
