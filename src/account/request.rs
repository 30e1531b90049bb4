//! What a client asks for, read from its iq. Kontalk registration, overview of the forms.

use super::key_form::ACCOUNT;
use super::parking::Token;
use super::policy::Policy;
use super::refusal::Refusal;
use crate::jid::BareJid;
use crate::phone::{Code, PhoneNumber};
use crate::stanza::{IqType, Kind, Stanza, StanzaError};
use crate::xml::{Element, ns};

/// A registration request that can be acted on.
#[derive(Clone, Debug)]
pub enum Request {
    /// Which form is to be filled in?
    Instructions,
    /// A number wants a code.
    Phone(PhoneForm),
    /// A code has arrived; the connection must present the certificate of the key that it is for.
    Code(CodeForm),
    /// A parked private key is asked for.
    Fetch(Token),
    /// A request that is known and not served: the answer.
    Unsupported(StanzaError),
}

/// The telephone step's form.
#[derive(Clone, Debug)]
pub struct PhoneForm {
    /// The number, normalised.
    pub number: PhoneNumber,
    /// The account's address to be.
    pub address: BareJid,
    /// The user knows that there may be an account for the number, and wants to register anyway.
    pub force: bool,
    /// The message did not arrive: try the second way.
    pub fallback: bool,
    /// The kind of challenge the client prefers; an unknown one is no error.
    pub challenge: Option<String>,
    /// The language that the client speaks, a tag as of RFC 5646.
    pub language: Option<String>,
}

/// The code step's form.
#[derive(Clone, Debug)]
pub struct CodeForm {
    /// What the user typed in; nothing where he rang or texted us.
    pub code: Option<Code>,
}

/// Reads a request. The order of decision is the protocol's: by authentication first, then by the fields that are there.
/// FORM_TYPE and the types of fields are not looked at, since clients differ in them.
pub(super) fn read_request(policy: &Policy, iq: &Stanza, authenticated: bool) -> Result<Request, Refusal> {
    if !authenticated && !policy.enabled {
        return Err(Refusal::Disabled);
    }
    let query = iq.payload().filter(|query| query.is("query", ns::REGISTER)).ok_or(Refusal::NothingKnown)?;
    match iq.kind() {
        Kind::Iq(IqType::Get) => Ok(read_get(query)),
        Kind::Iq(IqType::Set) if authenticated => Ok(read_authenticated(query)),
        Kind::Iq(IqType::Set) => read_set(policy, query, iq.element().lang()),
        _ => Err(Refusal::NothingKnown),
    }
}

fn read_get(query: &Element) -> Request {
    let parked = query.child("account", ACCOUNT).and_then(|account| account.child("privatekey", ACCOUNT));
    let token = parked.and_then(|key| key.child("token", ACCOUNT)).map(Element::text);
    match token {
        Some(token) if !token.trim().is_empty() => Request::Fetch(Token::new(&token)),
        // Kontalk private key transfer: an empty or absent token asks for the instructions.
        _ => Request::Instructions,
    }
}

fn read_authenticated(query: &Element) -> Request {
    let form = Form::of(query);
    let known = query.child("remove", ns::REGISTER).is_some()
        || ["privatekey", "publickey", "revoked"].iter().any(|var| form.value(var).is_some());
    Request::Unsupported(if known { Refusal::NotServed } else { Refusal::NothingKnown }.into())
}

fn read_set(policy: &Policy, query: &Element, language: Option<&str>) -> Result<Request, Refusal> {
    let form = Form::of(query);
    if let Some(phone) = form.value("phone") {
        // Terms first, then the number: Kontalk registration, order of processing.
        if policy.terms().is_some() && !form.is_true("accept-terms") {
            return Err(Refusal::TermsNotAccepted);
        }
        let number = PhoneNumber::parse(&phone).map_err(Refusal::BadNumber)?;
        let address =
            BareJid::new(Some(&number.localpart()), policy.domain.domainpart()).map_err(|_| Refusal::Fault)?;
        return Ok(Request::Phone(PhoneForm {
            number,
            address,
            force: form.is_true("force"),
            fallback: form.is_true("fallback"),
            challenge: form.value("challenge"),
            language: language.map(str::to_owned),
        }));
    }
    match form.value("code") {
        Some(code) => Ok(Request::Code(CodeForm { code: Some(Code::typed(&code).ok_or(Refusal::BadCode)?) })),
        // Kontalk registration: where the user rings, the code form comes without a code; only its type then says what it is.
        None if form.value("FORM_TYPE").as_deref() == Some(ns::KONTALK_REGISTER_CODE) => {
            Ok(Request::Code(CodeForm { code: None }))
        }
        None => Err(Refusal::NothingKnown),
    }
}

/// The fields of a data form, whatever its type and theirs. XEP-0004 §3.2.
pub(super) struct Form<'a>(Option<&'a Element>);

impl<'a> Form<'a> {
    pub(super) fn of(query: &'a Element) -> Form<'a> {
        Form(query.child("x", ns::DATA_FORMS))
    }

    /// The first value of the first field of this name.
    pub(super) fn value(&self, var: &str) -> Option<String> {
        let field = self.0?.children().find(|child| {
            child.is("field", ns::DATA_FORMS) && child.attribute("var").is_some_and(|name| name == var)
        })?;
        Some(field.child("value", ns::DATA_FORMS)?.text().trim().to_owned())
    }

    /// `1` and `true` in any case are true, all else and nothing is false.
    fn is_true(&self, var: &str) -> bool {
        self.value(var).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }
}
