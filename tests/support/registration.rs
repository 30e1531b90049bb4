//! Registration as Kontalk's clients speak it: instructions, telephone number, code. XEP-0077 with Kontalk's forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kontalk_node::xml::{Element, ns};
use sha1::{Digest, Sha1};

use super::client::Client;
use super::node::DOMAIN;
use super::secret;
use super::stanzas::Refused;

/// A telephone number in E.164 form, and what follows from it. Its digits are secret from then on.
#[derive(Clone)]
pub struct Number {
    pub e164: String,
    /// The SHA-1 of the number in hexadecimal: the account's name.
    pub localpart: String,
    /// Where it is registered.
    pub domain: &'static str,
}

impl Number {
    pub fn new(e164: &str) -> Number {
        let national = e164.get(e164.len() - 9..).expect("a number has nine digits at least");
        secret(national);
        let localpart = Sha1::digest(e164.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Number { e164: e164.to_owned(), localpart, domain: DOMAIN }
    }

    /// The bare JID.
    pub fn address(&self) -> String {
        format!("{}@{}", self.localpart, self.domain)
    }
}

impl Client {
    /// The registration form: the query. Kontalk registration: instructions.
    pub fn registration_form(&mut self) -> Result<Element, Refused> {
        let form = self.ask("get", Some(self.domain), &format!("<query xmlns='{}'/>", ns::REGISTER))?;
        Ok(form.expect("the answer has a query"))
    }

    /// Asks for a code. Gives the query of the answer. Kontalk registration: telephone number.
    pub fn request_code(&mut self, number: &Number, force: bool) -> Result<Element, Refused> {
        let mut fields = vec![("phone", number.e164.as_str()), ("challenge", "pin"), ("accept-terms", "true")];
        if force {
            fields.push(("force", "true"));
        }
        self.register("jabber:iq:register", &fields)
    }

    /// Asks to be challenged another way: by this challenge, or by whatever comes after the last one.
    pub fn request_challenge(&mut self, number: &Number, challenge: Option<&str>) -> Result<Element, Refused> {
        let wish = challenge.map_or(("fallback", "true"), |challenge| ("challenge", challenge));
        self.register("jabber:iq:register", &[("phone", number.e164.as_str()), wish])
    }

    /// Comes for the key without a code: the number has called. Gives the certified ring.
    pub fn submit_nothing(&mut self) -> Result<Vec<u8>, Refused> {
        let query = self.register(ns::KONTALK_REGISTER_CODE, &[])?;
        let ring = field(&query, "publickey").expect("the answer holds the certified key");
        Ok(STANDARD.decode(ring).expect("the key is base64 on one line"))
    }

    /// Hands the code in, on a connection that showed the bridge certificate. Gives the certified ring.
    /// Kontalk registration: code.
    pub fn submit_code(&mut self, code: &str) -> Result<Vec<u8>, Refused> {
        let query = self.register(ns::KONTALK_REGISTER_CODE, &[("code", code)])?;
        let ring = field(&query, "publickey").expect("the answer holds the certified key");
        Ok(STANDARD.decode(ring).expect("the key is base64 on one line"))
    }

    fn register(&mut self, form_type: &str, fields: &[(&str, &str)]) -> Result<Element, Refused> {
        let fields: String = [("FORM_TYPE", form_type)]
            .iter()
            .chain(fields)
            .map(|(var, value)| {
                let kind = if *var == "FORM_TYPE" { "hidden" } else { "text-single" };
                format!("<field var='{var}' type='{kind}'><value>{value}</value></field>")
            })
            .collect();
        let form = format!("<x xmlns='{}' type='submit'>{fields}</x>", ns::DATA_FORMS);
        let query = self.ask("set", Some(self.domain), &format!("<query xmlns='{}'>{form}</query>", ns::REGISTER))?;
        Ok(query.expect("the answer has a query"))
    }
}

/// The value of a form's field.
pub fn field(query: &Element, var: &str) -> Option<String> {
    field_element(query, var)?.child("value", ns::DATA_FORMS).map(Element::text)
}

/// The field itself.
pub fn field_element<'a>(query: &'a Element, var: &str) -> Option<&'a Element> {
    let form = query.child("x", ns::DATA_FORMS)?;
    form.children().find(|field| field.is("field", ns::DATA_FORMS) && field.attribute("var") == Some(var))
}
