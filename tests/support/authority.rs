//! A certificate authority of the test, and the certificates that servers show each other.

#![allow(dead_code)] // Each test binary uses its own part of this.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use time::{Duration, OffsetDateTime};

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// It was good until an hour ago.
    Expired,
    /// It is for `other.test`.
    OtherName,
    /// It signed itself.
    SelfSigned,
}

/// A certificate with its key, both PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for a domain.
    pub fn issue(&self, domain: &str, flaw: Flaw) -> Issued {
        let name = if flaw == Flaw::OtherName { "other.test" } else { domain };
        // The domain, and what is below it: components.
        let names = vec![name.to_owned(), format!("*.{name}")];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::days(2);
        params.not_after = if flaw == Flaw::Expired { now - Duration::hours(1) } else { now + Duration::days(30) };
        let key = KeyPair::generate().expect("a key");
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        Issued { certificate: certificate.expect("a certificate").pem(), key: key.serialize_pem() }
    }
}
