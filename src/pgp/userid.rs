//! What a user id says: the address in `Name <local@domain>` and its relatives. Kontalk protocol, user ids.

use crate::jid::BareJid;

/// The address a user id names. As the clients read it, in this order and over the whole text: name, comment in
/// parentheses, address in angle brackets; name, address in angle brackets; a bare text that holds an `@`.
pub(super) fn address(user_id: &[u8]) -> Option<BareJid> {
    let email = email(std::str::from_utf8(user_id).ok()?)?;
    // An email with a `/` would be a full JID: no account.
    let address: BareJid = email.parse().ok()?;
    address.localpart()?;
    Some(address)
}

fn email(text: &str) -> Option<&str> {
    // Two parties that read one id differently are a hazard: cut exactly where the clients' greedy patterns do.
    if let Some(inner) = text.strip_suffix('>') {
        if let Some((head, email)) = inner.rsplit_once(") <")
            && head.contains(" (")
        {
            return Some(email);
        }
        if let Some((_name, email)) = inner.rsplit_once(" <") {
            return Some(email);
        }
    }
    text.contains('@').then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_all_forms_of_a_user_id() {
        let hash = "4bdd4f929f3a1062253e4e496bafba0bdfb5db75@prime.kontalk.net";
        for text in [
            format!("dev-5554 <{hash}>"),
            format!("dev (NO COMMENT) <{hash}>"),
            format!("Ünï < cödé <{hash}>"),
            format!("a@b.example <{hash}>"),
            format!(" <{hash}>"),
            hash.to_owned(),
            format!("dev <{}>", hash.to_uppercase()),
        ] {
            assert_eq!(address(text.as_bytes()).map(|a| a.to_string()).as_deref(), Some(hash), "{text}");
        }
    }

    #[test]
    fn a_user_id_without_an_account_has_no_address() {
        for text in [
            "",
            "dev",
            "dev <>",
            "dev <prime.kontalk.net>",
            "dev <@prime.kontalk.net>",
            "dev <a@>",
            "dev <a@b/c>",
            "dev <a@b@c>",
            "dev <a@b> ",
            "dev (comment) <a@b> <c@d>",
            "<a@b>",
            "dev <a b@c>",
        ] {
            assert_eq!(address(text.as_bytes()), None, "{text}");
        }
        assert_eq!(address(b"dev <\xff@b>"), None);
        assert_eq!(address(format!("dev <{}@b>", "a".repeat(2000)).as_bytes()), None);
    }
}
