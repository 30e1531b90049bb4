//! JIDs: addresses prepared once on entry, compared as bytes ever after. RFC 7622.
//!
//! [`BareJid`] and [`FullJid`] are different types, so what needs a connected resource cannot be called without one. The
//! localpart is prepared by PRECIS UsernameCaseMapped, the resourcepart by OpaqueString (RFC 8265), the domainpart by IDNA.
//! Clones are cheap (shared text). Limits: 1,023 bytes a part.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::{OpaqueString, UsernameCaseMapped};

/// Why a text is no JID. RFC 7622 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JidError {
    /// There is no domainpart.
    DomainEmpty,
    /// The domainpart is no host name, IDN or IP literal.
    DomainInvalid,
    /// There is an `@` with nothing before it.
    LocalpartEmpty,
    /// The localpart holds a character its profile forbids.
    LocalpartInvalid,
    /// There is a `/` with nothing behind it.
    ResourceEmpty,
    /// The resourcepart holds a character its profile forbids.
    ResourceInvalid,
    /// A part is longer than [`PART_BYTES_MAX`].
    TooLong,
    /// A bare JID was wanted, and there is a resourcepart.
    NotBare,
    /// A full JID was wanted, and there is no resourcepart.
    NotFull,
}

impl fmt::Display for JidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JidError::DomainEmpty => "the address has no domain",
            JidError::DomainInvalid => "the domain is not a host name",
            JidError::LocalpartEmpty => "there is nothing before the @",
            JidError::LocalpartInvalid => "the part before the @ has a character that is not allowed there",
            JidError::ResourceEmpty => "there is nothing behind the /",
            JidError::ResourceInvalid => "the resource has a character that is not allowed there",
            JidError::TooLong => "a part of the address is longer than 1023 bytes",
            JidError::NotBare => "an address without a resource is wanted here",
            JidError::NotFull => "an address with a resource is wanted here",
        })
    }
}

impl std::error::Error for JidError {}

/// An account (`localpart@domainpart`) or a domain alone. RFC 7622 §3.1.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BareJid {
    text: Arc<str>,
    /// Where the domainpart begins: 0 without a localpart, else one past the `@`.
    domain_at: u16,
}

impl BareJid {
    /// Prepares and joins the parts.
    pub fn new(localpart: Option<&str>, domainpart: &str) -> Result<BareJid, JidError> {
        let domain = prepare_domain(domainpart)?;
        match localpart {
            None => Ok(BareJid { text: domain.into(), domain_at: 0 }),
            Some(local) => {
                let mut text = prepare_localpart(local)?;
                text.push('@');
                let domain_at = u16::try_from(text.len()).map_err(|_| JidError::TooLong)?;
                text.push_str(&domain);
                Ok(BareJid { text: text.into(), domain_at })
            }
        }
    }

    /// The address of a domain.
    pub fn domain(domainpart: &str) -> Result<BareJid, JidError> {
        BareJid::new(None, domainpart)
    }

    /// The part before the `@`, if there is one.
    pub fn localpart(&self) -> Option<&str> {
        let end = usize::from(self.domain_at).checked_sub(1)?;
        self.text.get(..end)
    }

    /// The part behind the `@`.
    pub fn domainpart(&self) -> &str {
        self.text.get(usize::from(self.domain_at)..).unwrap_or_default()
    }

    /// The domain this account lives at, as an address.
    pub fn to_domain(&self) -> BareJid {
        BareJid { text: self.domainpart().into(), domain_at: 0 }
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address as a log may show it: of a localpart that is the hash of a telephone number only the first digits, since
    /// the whole hash is as good as the number to anyone who tries.
    pub fn for_log(&self) -> impl fmt::Display + use<> {
        match self.localpart() {
            Some(local) if local.len() == 40 && local.bytes().all(|b| b.is_ascii_hexdigit()) => {
                format!("{}…@{}", local.get(..8).unwrap_or_default(), self.domainpart())
            }
            _ => self.text.to_string(),
        }
    }

    /// This account's address with a resource, which is prepared.
    pub fn with_resource(&self, resource: &str) -> Result<FullJid, JidError> {
        Ok(FullJid { bare: self.clone(), resource: prepare_resource(resource)?.into() })
    }
}

/// A connected resource: `localpart@domainpart/resourcepart`. RFC 7622 §3.1.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FullJid {
    bare: BareJid,
    resource: Arc<str>,
}

impl FullJid {
    /// The address without its resource.
    pub fn bare(&self) -> &BareJid {
        &self.bare
    }

    /// The part behind the `/`.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

/// Either kind of address, as found in `to` and `from`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Jid {
    /// Without a resource.
    Bare(BareJid),
    /// With one.
    Full(FullJid),
}

impl Jid {
    /// The address without its resource.
    pub fn bare(&self) -> &BareJid {
        match self {
            Jid::Bare(bare) => bare,
            Jid::Full(full) => &full.bare,
        }
    }

    /// The full JID, if it is one.
    pub fn full(&self) -> Option<&FullJid> {
        match self {
            Jid::Bare(_) => None,
            Jid::Full(full) => Some(full),
        }
    }

    /// The part behind the `/`, if there is one.
    pub fn resource(&self) -> Option<&str> {
        self.full().map(FullJid::resource)
    }

    /// The part behind the `@`.
    pub fn domainpart(&self) -> &str {
        self.bare().domainpart()
    }

    /// The part before the `@`, if there is one.
    pub fn localpart(&self) -> Option<&str> {
        self.bare().localpart()
    }
}

impl From<BareJid> for Jid {
    fn from(bare: BareJid) -> Jid {
        Jid::Bare(bare)
    }
}

impl From<FullJid> for Jid {
    fn from(full: FullJid) -> Jid {
        Jid::Full(full)
    }
}

impl FromStr for Jid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Jid, JidError> {
        // RFC 7622 §3.2: first the resource is cut at the first slash, then the localpart at the first @.
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        let bare = match bare.split_once('@') {
            Some((local, domain)) => BareJid::new(Some(local), domain)?,
            None => BareJid::new(None, bare)?,
        };
        match resource {
            None => Ok(Jid::Bare(bare)),
            Some(resource) => bare.with_resource(resource).map(Jid::Full),
        }
    }
}

impl FromStr for BareJid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<BareJid, JidError> {
        match text.parse()? {
            Jid::Bare(bare) => Ok(bare),
            Jid::Full(_) => Err(JidError::NotBare),
        }
    }
}

impl FromStr for FullJid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<FullJid, JidError> {
        match text.parse()? {
            Jid::Full(full) => Ok(full),
            Jid::Bare(_) => Err(JidError::NotFull),
        }
    }
}

impl fmt::Display for BareJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for FullJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bare, self.resource)
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Jid::Bare(bare) => bare.fmt(f),
            Jid::Full(full) => full.fmt(f),
        }
    }
}

impl fmt::Debug for BareJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for FullJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn check_length(part: &str) -> Result<(), JidError> {
    if part.len() > PART_BYTES_MAX { Err(JidError::TooLong) } else { Ok(()) }
}

fn prepare_localpart(part: &str) -> Result<String, JidError> {
    if part.is_empty() {
        return Err(JidError::LocalpartEmpty);
    }
    check_length(part)?;
    // Nearly all localparts are of this kind; the profile maps them to themselves.
    if part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_')) {
        return Ok(part.to_owned());
    }
    let prepared = UsernameCaseMapped::enforce(part).map_err(|_| JidError::LocalpartInvalid)?;
    // RFC 7622 §3.3.1: these the profile lets through, but they delimit addresses and XML.
    if prepared.contains(['"', '&', '\'', '/', ':', '<', '>', '@']) {
        return Err(JidError::LocalpartInvalid);
    }
    check_length(&prepared)?;
    Ok(prepared.into_owned())
}

fn prepare_resource(part: &str) -> Result<String, JidError> {
    if part.is_empty() {
        return Err(JidError::ResourceEmpty);
    }
    check_length(part)?;
    if part.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(part.to_owned());
    }
    let prepared = OpaqueString::enforce(part).map_err(|_| JidError::ResourceInvalid)?;
    check_length(&prepared)?;
    Ok(prepared.into_owned())
}

fn prepare_domain(part: &str) -> Result<String, JidError> {
    // RFC 7622 §3.2: a final dot is removed before comparison.
    let part = part.strip_suffix('.').unwrap_or(part);
    if part.is_empty() {
        return Err(JidError::DomainEmpty);
    }
    check_length(part)?;
    if let Some(literal) = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = literal.parse().map_err(|_| JidError::DomainInvalid)?;
        return Ok(format!("[{address}]"));
    }
    let simple = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    let prepared = if simple && !part.contains("xn--") {
        part.to_owned()
    } else {
        let (unicode, outcome) = idna::domain_to_unicode(part);
        outcome.map_err(|_| JidError::DomainInvalid)?;
        unicode
    };
    let label_fits = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    let host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-') || !c.is_ascii();
    if !prepared.split('.').all(label_fits) || !prepared.chars().all(host) {
        return Err(JidError::DomainInvalid);
    }
    check_length(&prepared)?;
    Ok(prepared)
}

/// The longest localpart, domainpart or resourcepart in bytes of UTF-8. RFC 7622 §3.1.
pub const PART_BYTES_MAX: usize = 1023;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_prepared_once_and_print_as_compared() {
        for (text, expected) in [
            ("juliet@example.com", "juliet@example.com"),
            ("Juliet@Example.COM/Foo", "juliet@example.com/Foo"),
            ("juliet@example.com.", "juliet@example.com"),
            ("juliet@example.com/foo bar", "juliet@example.com/foo bar"),
            ("juliet@example.com/foo@bar", "juliet@example.com/foo@bar"),
            ("example.com/a/b", "example.com/a/b"),
            ("fußball@example.com", "fußball@example.com"),
            ("Σ@example.com", "σ@example.com"),
            ("a@xn--bcher-kva.example", "a@bücher.example"),
            ("a@[::1]", "a@[::1]"),
            ("a@127.0.0.1", "a@127.0.0.1"),
        ] {
            let jid: Jid = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(jid.to_string(), expected);
            assert_eq!(jid.to_string().parse::<Jid>(), Ok(jid));
        }
    }

    #[test]
    fn wrong_addresses_name_their_fault() {
        for (text, error) in [
            ("", JidError::DomainEmpty),
            ("@example.com", JidError::LocalpartEmpty),
            ("juliet@", JidError::DomainEmpty),
            ("juliet@example.com/", JidError::ResourceEmpty),
            ("a b@example.com", JidError::LocalpartInvalid),
            ("a\"b@example.com", JidError::LocalpartInvalid),
            ("henry\u{2163}@example.com", JidError::LocalpartInvalid),
            ("juliet@exa mple.com", JidError::DomainInvalid),
            ("juliet@a..b", JidError::DomainInvalid),
            ("juliet@-a.b", JidError::DomainInvalid),
            ("juliet@a@b", JidError::DomainInvalid),
            ("juliet@[::g]", JidError::DomainInvalid),
            ("a@b/\u{0000}", JidError::ResourceInvalid),
        ] {
            assert_eq!(text.parse::<Jid>(), Err(error), "{text:?}");
        }
        assert_eq!("a".repeat(1024).parse::<Jid>(), Err(JidError::TooLong));
        assert_eq!("a@b/c".parse::<BareJid>(), Err(JidError::NotBare));
        assert_eq!("a@b".parse::<FullJid>(), Err(JidError::NotFull));
    }

    #[test]
    fn a_log_does_not_show_the_hash_of_a_number() {
        let number: BareJid = "4bdd4f929f3a1062253e4e496bafba0bdfb5db75@example.com".parse().unwrap();
        assert_eq!(number.for_log().to_string(), "4bdd4f92…@example.com");
        let name: BareJid = "juliet@example.com".parse().unwrap();
        assert_eq!(name.for_log().to_string(), "juliet@example.com");
    }

    #[test]
    fn parts_come_back_as_they_were_put_in() {
        let full: FullJid = "juliet@example.com/balcony".parse().unwrap();
        assert_eq!(full.bare().localpart(), Some("juliet"));
        assert_eq!(full.bare().domainpart(), "example.com");
        assert_eq!(full.resource(), "balcony");
        assert_eq!(full.bare().to_domain().to_string(), "example.com");
        assert_eq!(full.bare().to_domain().localpart(), None);
    }
}
