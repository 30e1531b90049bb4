//! The authorities whose word on a certificate we take, and what a chain is worth by them. RFC 5280, RFC 6120 §13.7.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use async_rustls::rustls::crypto::ring;
use async_rustls::rustls::pki_types::pem::PemObject;
use async_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use async_rustls::rustls::server::ParsedCertificate;
use async_rustls::rustls::{CertificateError, Error, RootCertStore};
use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

/// What is wrong with a chain of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// It is good, but for other names.
    WrongName,
    /// It was good once.
    Expired,
    /// It will be good.
    NotYetValid,
    /// No authority of ours has signed it.
    UnknownIssuer,
    /// It cannot be read or breaks a rule.
    Unusable,
}

/// A set of authorities, read from the system's or the operator's file, and read again when that changes. Without either, those
/// that this program was built with.
#[derive(Debug)]
pub struct Authorities {
    path: Option<PathBuf>,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    roots: Arc<RootCertStore>,
    changed: Option<SystemTime>,
    looked_at: SystemTime,
}

impl Authorities {
    /// Those of this file (PEM); without one, those of the operating system. They are read when they are first needed: a node
    /// that talks to nobody does without them.
    pub fn new(file: Option<PathBuf>) -> Authorities {
        let of_system = || SYSTEM_FILES.iter().map(PathBuf::from).find(|path| path.exists());
        Authorities { path: file.or_else(of_system), held: Mutex::new(None) }
    }

    /// Is the first of these certificates (DER) one for `domain` (in its ASCII form), by authorities of ours, at `now`? The
    /// others are its issuers.
    ///
    /// The purposes that a certificate names are those of a server: certificates of XMPP servers serve both sides of a stream,
    /// and public authorities sign none for clients any more.
    pub fn judge(&self, chain: &[Vec<u8>], domain: &str, now: SystemTime) -> Result<(), ChainFault> {
        let roots = self.roots(now).map_err(|fault| {
            log::warn!("{fault}");
            ChainFault::UnknownIssuer
        })?;
        let (own, issuers) = chain.split_first().ok_or(ChainFault::Unusable)?;
        let own = CertificateDer::from(own.as_slice());
        let issuers: Vec<CertificateDer<'_>> = issuers.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let parsed = ParsedCertificate::try_from(&own).map_err(|_| ChainFault::Unusable)?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| ChainFault::NotYetValid)?;
        let now = UnixTime::since_unix_epoch(since);
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &issuers, now, algorithms.all)
            .map_err(|error| ChainFault::of(&error))?;
        let by_host_name = ServerName::try_from(domain).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
        if by_host_name || names_xmpp_server(&own, domain) { Ok(()) } else { Err(ChainFault::WrongName) }
    }

    fn roots(&self, now: SystemTime) -> Result<Arc<RootCertStore>, AuthoritiesFault> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_mut() {
            // A clock that was set back must not keep old authorities for ever.
            let age = now.duration_since(held.looked_at).unwrap_or(LOOKED_AT_EVERY);
            if age < LOOKED_AT_EVERY || changed(self.path.as_deref()) == held.changed {
                held.looked_at = if age < LOOKED_AT_EVERY { held.looked_at } else { now };
                return Ok(Arc::clone(&held.roots));
            }
        }
        let stamp = changed(self.path.as_deref());
        let read = match &self.path {
            Some(path) => read(path),
            None => Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()),
        };
        match read {
            Ok(roots) => {
                let roots = Arc::new(roots);
                *held = Some(Held { roots: Arc::clone(&roots), changed: stamp, looked_at: now });
                Ok(roots)
            }
            Err(fault) => held.as_ref().map(|held| Arc::clone(&held.roots)).ok_or(fault),
        }
    }
}

/// Why there are no authorities.
#[derive(Debug)]
enum AuthoritiesFault {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It holds no certificate.
    Empty(PathBuf),
}

impl fmt::Display for AuthoritiesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthoritiesFault::Unreadable(path, error) => write!(
                f,
                "no certificate of another server can be checked: {} cannot be read: {error} (remedy: the file that s2s.ca_file names must exist, and the user kontalk-node be allowed to read it)",
                path.display()
            ),
            AuthoritiesFault::Empty(path) => write!(
                f,
                "no certificate of another server can be checked: {} holds no certificate (remedy: certificates of authorities in PEM)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for AuthoritiesFault {}

impl ChainFault {
    fn of(error: &Error) -> ChainFault {
        let Error::InvalidCertificate(error) = error else { return ChainFault::Unusable };
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => ChainFault::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => ChainFault::NotYetValid,
            // A certificate that signed itself is an authority that we do not know, or none.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => ChainFault::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ChainFault::WrongName
            }
            _ => ChainFault::Unusable,
        }
    }
}

fn read(path: &Path) -> Result<RootCertStore, AuthoritiesFault> {
    let pem = fs::read(path).map_err(|error| AuthoritiesFault::Unreadable(path.to_owned(), error))?;
    let mut roots = RootCertStore::empty();
    // One that cannot be read or used keeps the others from nothing.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() { Err(AuthoritiesFault::Empty(path.to_owned())) } else { Ok(roots) }
}

fn changed(path: Option<&Path>) -> Option<SystemTime> {
    fs::metadata(path?).and_then(|metadata| metadata.modified()).ok()
}

/// RFC 6120 §13.7.1.2: names that are no host names, SRVName (RFC 4985) and XmppAddr.
fn names_xmpp_server(certificate: &[u8], domain: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| match name {
        GeneralName::OtherName(oid, value) => {
            let Some(text) = other_name(value) else { return false };
            let service = text.strip_prefix(SERVICE_PREFIX).unwrap_or_default();
            match oid.as_bytes() {
                DNS_SRV => service.eq_ignore_ascii_case(domain),
                XMPP_ADDR => text.eq_ignore_ascii_case(domain),
                _ => false,
            }
        }
        _ => false,
    })
}

/// The text inside the explicit tag of an otherName.
fn other_name(value: &[u8]) -> Option<&str> {
    let (_, tagged) = Any::from_der(value).ok()?;
    let (_, text) = Any::from_der(tagged.data).ok()?;
    std::str::from_utf8(text.data).ok()
}

/// Where systems keep the authorities they trust, in one file.
const SYSTEM_FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// How often the file is looked at.
const LOOKED_AT_EVERY: std::time::Duration = std::time::Duration::from_secs(600);
/// id-on-dnsSRV, 1.3.6.1.5.5.7.8.7.
const DNS_SRV: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x07];
/// id-on-xmppAddr, 1.3.6.1.5.5.7.8.5.
const XMPP_ADDR: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x05];
/// What an SRVName for XMPP between servers begins with.
const SERVICE_PREFIX: &str = "_xmpp-server.";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair, SanType, string::Ia5String,
    };

    use super::*;

    struct Ca {
        issuer: Issuer<'static, KeyPair>,
        authorities: Authorities,
        file: PathBuf,
    }

    impl Ca {
        fn new(name: &str) -> Ca {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).unwrap().pem();
            let file = std::env::temp_dir().join(format!("kontalk-node-ca-{}-{name}.pem", std::process::id()));
            fs::write(&file, pem).unwrap();
            Ca { issuer: Issuer::new(params, key), authorities: Authorities::new(Some(file.clone())), file }
        }

        fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<Vec<u8>> {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from("b.example").unwrap())];
            params.not_before = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(10);
            params.not_after = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(20);
            change(&mut params);
            let key = KeyPair::generate().unwrap();
            vec![params.signed_by(&key, &self.issuer).unwrap().der().to_vec()]
        }
    }

    impl Drop for Ca {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.file);
        }
    }

    fn day(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400)
    }

    #[test]
    fn a_chain_is_judged_by_issuer_time_and_name() {
        let (ca, other) = (Ca::new("a"), Ca::new("b"));
        let chain = ca.issue(|_| {});
        for (authorities, domain, now, expected) in [
            (&ca.authorities, "b.example", day(15), Ok(())),
            (&ca.authorities, "c.example", day(15), Err(ChainFault::WrongName)),
            (&ca.authorities, "b.example", day(5), Err(ChainFault::NotYetValid)),
            (&ca.authorities, "b.example", day(25), Err(ChainFault::Expired)),
            (&other.authorities, "b.example", day(15), Err(ChainFault::UnknownIssuer)),
        ] {
            assert_eq!(authorities.judge(&chain, domain, now), expected, "{domain} {now:?}");
        }
        assert_eq!(ca.authorities.judge(&[], "b.example", day(15)), Err(ChainFault::Unusable));
        assert_eq!(ca.authorities.judge(&[vec![1, 2]], "b.example", day(15)), Err(ChainFault::Unusable));
    }

    #[test]
    fn one_who_signs_himself_is_nobodys() {
        let ca = Ca::new("self");
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["b.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        assert!(ca.authorities.judge(&[own.der().to_vec()], "b.example", day(15)).is_err());
    }

    #[test]
    fn names_of_services_and_of_xmpp_count_too() {
        let ca = Ca::new("names");
        // SEQUENCE { [0] { OID, [0] EXPLICIT text } }
        let other_name = |oid: &[u8], tag: u8, text: &str| {
            let text = [&[tag, text.len() as u8], text.as_bytes()].concat();
            let tagged = [&[0xa0, text.len() as u8], text.as_slice()].concat();
            let content = [&[0x06, oid.len() as u8], oid, &tagged].concat();
            let name = [&[0xa0, content.len() as u8], content.as_slice()].concat();
            [&[0x30, name.len() as u8], name.as_slice()].concat()
        };
        for (oid, tag, text, domain, good) in [
            (DNS_SRV, 0x16, "_xmpp-server.b.example", "b.example", true),
            (DNS_SRV, 0x16, "_xmpp-server.b.example", "c.example", false),
            (DNS_SRV, 0x16, "_xmpp-client.b.example", "b.example", false),
            (XMPP_ADDR, 0x0c, "b.example", "b.example", true),
            (XMPP_ADDR, 0x0c, "", "b.example", false),
        ] {
            let chain = ca.issue(|params| {
                params.subject_alt_names.clear();
                let value = other_name(oid, tag, text);
                params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], value)];
            });
            assert_eq!(ca.authorities.judge(&chain, domain, day(15)).is_ok(), good, "{text} {domain}");
        }
    }

    #[test]
    fn a_changed_file_is_noticed_and_one_that_is_gone_changes_nothing() {
        let (ca, other) = (Ca::new("old"), Ca::new("new"));
        let (old, new) = (ca.issue(|_| {}), other.issue(|_| {}));
        assert_eq!(ca.authorities.judge(&old, "b.example", day(15)), Ok(()));
        fs::copy(&other.file, &ca.file).unwrap();
        fs::File::open(&ca.file).unwrap().set_modified(day(1)).unwrap();
        let later = day(15) + LOOKED_AT_EVERY;
        assert_eq!(ca.authorities.judge(&new, "b.example", later), Ok(()));
        assert_eq!(ca.authorities.judge(&old, "b.example", later), Err(ChainFault::UnknownIssuer));
        fs::remove_file(&ca.file).unwrap();
        assert_eq!(ca.authorities.judge(&new, "b.example", later + LOOKED_AT_EVERY), Ok(()));
        // Without any file there is what the program was built with, which does not know this one.
        let built_in = Authorities { path: None, held: Mutex::new(None) };
        assert_eq!(built_in.judge(&new, "b.example", later), Err(ChainFault::UnknownIssuer));
    }
}
