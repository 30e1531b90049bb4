//! What a user who is logged in may change of his account. XEP-0077 §3.1.1, §3.2, §3.3.
//!
//! Forms (Kontalk's private key transfer and others) are none of this and are left to whoever knows them.

use crate::jid::BareJid;
use crate::stanza::{IqType, Kind, Secret, Stanza, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// What he wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// What is his registration?
    Know,
    /// A new password, or the first one.
    SetPassword(Secret),
    /// No account any more.
    Remove,
}

/// Reads a request of `account`; `None` if it is about something else.
pub fn read(request: &Stanza, account: &BareJid) -> Option<Result<Wish, StanzaError>> {
    let query = request.payload().filter(|payload| payload.is("query", ns::REGISTER))?;
    match request.kind() {
        Kind::Iq(IqType::Get) if query.first_child().is_none() => Some(Ok(Wish::Know)),
        Kind::Iq(IqType::Set) => read_set(query, account),
        _ => None,
    }
}

fn read_set(query: &Element, account: &BareJid) -> Option<Result<Wish, StanzaError>> {
    if query.child("x", ns::DATA_FORMS).is_some() {
        return None;
    }
    if query.child("remove", ns::REGISTER).is_some() {
        // XEP-0077 §3.2: alone.
        let alone = query.children().count() == 1;
        return Some(if alone { Ok(Wish::Remove) } else { Err(bad("remove stands alone")) });
    }
    let username = query.child("username", ns::REGISTER).map(Element::text);
    let password = query.child("password", ns::REGISTER).map(|password| Secret::new(password.text()));
    let (Some(username), Some(password)) = (username, password) else {
        return Some(Err(bad("user name and password are needed")));
    };
    // Some clients write the whole address.
    let named = BareJid::new(Some(username.trim()), account.domainpart()).or_else(|_| username.trim().parse());
    if named.as_ref() != Ok(account) {
        // XEP-0077 §3.3: nobody changes another one's.
        let error = StanzaError::new(StanzaCondition::NotAllowed).text("only your own password can be changed");
        return Some(Err(error));
    }
    if password.expose().is_empty() {
        return Some(Err(bad("the password is empty")));
    }
    Some(Ok(Wish::SetPassword(password)))
}

/// The answer to [`Wish::Know`]: registered, and by which name. The password is not known to anybody.
pub fn facts(account: &BareJid) -> Element {
    Element::new("query", ns::REGISTER)
        .with_child(Element::new("registered", ns::REGISTER))
        .with_child(Element::new("username", ns::REGISTER).with_text(account.localpart().unwrap_or_default()))
        .with_child(Element::new("password", ns::REGISTER))
}

fn bad(text: &'static str) -> StanzaError {
    StanzaError::new(StanzaCondition::BadRequest).text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    #[test]
    fn wishes_are_read_and_forms_left_alone() {
        let account: BareJid = "romeo@a.example".parse().unwrap();
        let ask = |kind: &str, children: &str| {
            let text = format!("<iq type='{kind}' id='r'><query xmlns='jabber:iq:register'>{children}</query></iq>");
            let stanza = Stanza::new(parse_document(&text, ns::CLIENT, 10).unwrap()).unwrap();
            read(&stanza, &account).map(|outcome| outcome.map_err(|error| error.condition()))
        };
        let set = |password: &str| Some(Ok(Wish::SetPassword(Secret::new(password.into()))));
        let bad = Some(Err(StanzaCondition::BadRequest));
        for (kind, children, expected) in [
            ("get", "", Some(Ok(Wish::Know))),
            ("get", "<x/>", None),
            ("set", "<remove/>", Some(Ok(Wish::Remove))),
            ("set", "<remove/><username>romeo</username>", bad.clone()),
            ("set", "<username>romeo</username><password>new</password>", set("new")),
            ("set", "<username>Romeo</username><password> new </password>", set(" new ")),
            ("set", "<username>romeo@a.example</username><password>new</password>", set("new")),
            ("set", "<username>juliet</username><password>new</password>", Some(Err(StanzaCondition::NotAllowed))),
            (
                "set",
                "<username>romeo@b.example</username><password>x</password>",
                Some(Err(StanzaCondition::NotAllowed)),
            ),
            ("set", "<username>romeo</username><password/>", bad.clone()),
            ("set", "<username>romeo</username>", bad.clone()),
            ("set", "", bad),
            ("set", "<x xmlns='jabber:x:data' type='submit'/>", None),
        ] {
            assert_eq!(ask(kind, children), expected, "{kind} {children}");
        }
    }
}
