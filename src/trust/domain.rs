//! A node's name in our texts: its domain in lower-case ASCII.

use std::fmt;
use std::net::IpAddr;

use crate::jid::BareJid;

/// A node's domain as it stands in cards: lower-case ASCII, A-labels for what is not ASCII (RFC 5890). Never an IP address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeDomain(String);

/// The text is no domain of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeDomainError;

impl fmt::Display for NodeDomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the domain of a node (a name such as b.example, in small letters)")
    }
}

impl std::error::Error for NodeDomainError {}

impl NodeDomain {
    /// Reads exactly the form that is written.
    pub fn parse(text: &str) -> Result<NodeDomain, NodeDomainError> {
        let domain = BareJid::domain(text).map_err(|_| NodeDomainError)?;
        NodeDomain::of(&domain).filter(|known| known.0 == text).ok_or(NodeDomainError)
    }

    /// The domain of an address; `None` for an IP address.
    pub fn of(address: &BareJid) -> Option<NodeDomain> {
        let ascii = idna::domain_to_ascii(address.domainpart()).ok()?;
        let labels = ascii.split('.').all(|label| {
            let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(inside)
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
        let fits = labels && ascii.len() <= 253 && ascii.parse::<IpAddr>().is_err();
        fits.then_some(NodeDomain(ascii))
    }

    /// As in cards.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As an address, in the form that stanzas have it.
    pub fn to_jid(&self) -> Option<BareJid> {
        let (unicode, valid) = idna::domain_to_unicode(&self.0);
        valid.ok().and_then(|()| BareJid::domain(&unicode).ok())
    }
}

impl fmt::Display for NodeDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_written_form_is_read() {
        for good in ["a.example", "localhost", "xn--bcher-kva.example", "a-b.c1.example"] {
            assert_eq!(NodeDomain::parse(good).map(|domain| domain.to_string()).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "A.example",
            "a.example.",
            "bücher.example",
            "a_b.example",
            "192.0.2.7",
            "[::1]",
            "a..example",
            "-a.example",
            "a.example/x",
            "x@a.example",
            " a.example",
            "xn--a.example",
        ] {
            assert_eq!(NodeDomain::parse(bad), Err(NodeDomainError), "{bad}");
        }
    }

    #[test]
    fn an_address_names_its_node_in_ascii() {
        let address: BareJid = "x@bücher.example".parse().unwrap();
        let domain = NodeDomain::of(&address).unwrap();
        assert_eq!(domain.as_str(), "xn--bcher-kva.example");
        assert_eq!(domain.to_jid().unwrap().as_str(), "bücher.example");
    }
}
