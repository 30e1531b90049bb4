//! What a registered user's client does with its key: replace it, park it. Kontalk registration, key update and private key
//! transfer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::parking::{PrivateKey, Token};
use super::refusal::Refusal;
use super::request::Form;
use crate::xml::{Element, ns};

/// A request about the own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// A new key takes the place of the old one, which is revoked.
    Replace {
        /// The new key's ring.
        ring: Vec<u8>,
        /// The old key with its revocation.
        revoked: Vec<u8>,
    },
    /// The private key goes to another device.
    Park(PrivateKey),
}

impl KeyForm {
    /// Reads the `<query/>` of an iq set. `None` if it is about no key; FORM_TYPE is not looked at, as everywhere here.
    pub fn read(query: &Element) -> Option<Result<KeyForm, Refusal>> {
        let form = Form::of(query);
        // Kontalk registration: `privatekey` is looked for first.
        if let Some(text) = form.value("privatekey") {
            return Some(PrivateKey::new(text).map(KeyForm::Park).ok_or(Refusal::BadKey));
        }
        let (ring, revoked) = (form.value("publickey"), form.value("revoked"));
        if ring.is_none() && revoked.is_none() {
            return None;
        }
        let decode = |text: Option<String>| text.and_then(|text| STANDARD.decode(text.trim()).ok());
        Some(match (decode(ring), decode(revoked)) {
            (Some(ring), Some(revoked)) => Ok(KeyForm::Replace { ring, revoked }),
            _ => Err(Refusal::NothingKnown),
        })
    }
}

/// Tells the device that parked its key how another one gets it.
pub fn parked(token: &Token) -> Element {
    super::reply::form_reply(FORM_PRIVATE_KEY, "token", token.digits())
}

/// Gives a parked key to the device that had the token, with the public ring of its account.
pub fn fetched(key: &PrivateKey, ring: &[u8]) -> Element {
    let text = |name: &'static str, text: &str| Element::new(name, ACCOUNT).with_text(text);
    let keys = Element::new("privatekey", ACCOUNT)
        .with_child(text("private", key.expose()))
        .with_child(text("public", &STANDARD.encode(ring)));
    Element::new("query", ns::REGISTER).with_child(Element::new("account", ACCOUNT).with_child(keys))
}

const FORM_PRIVATE_KEY: &str = "http://kontalk.org/protocol/register#privatekey";
pub(super) const ACCOUNT: &str = "http://kontalk.org/protocol/register#account";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn read(fields: &[(&str, &str)]) -> Option<Result<KeyForm, Refusal>> {
        let fields: String =
            fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
        let text = format!("<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data'>{fields}</x></query>");
        KeyForm::read(&parse_document(&text, ns::CLIENT, 10).unwrap())
    }

    #[test]
    fn forms_are_told_apart_by_their_fields() {
        let replace = KeyForm::Replace { ring: vec![0, 0, 0], revoked: vec![255, 255, 255] };
        assert_eq!(read(&[("publickey", "AAAA"), ("revoked", "////")]), Some(Ok(replace)));
        assert_eq!(read(&[("publickey", "AAAA")]), Some(Err(Refusal::NothingKnown)), "without revocation");
        assert_eq!(read(&[("publickey", "?"), ("revoked", "////")]), Some(Err(Refusal::NothingKnown)));
        assert!(matches!(read(&[("privatekey", "eA=="), ("publickey", "AAAA")]), Some(Ok(KeyForm::Park(_)))));
        assert_eq!(read(&[("username", "x")]), None);
    }
}
