//! The node's own TLS certificate: read from the operator's files, or made on first start; replaced while serving.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_rustls::rustls::client::verify_server_name;
use async_rustls::rustls::pki_types::pem::PemObject;
use async_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use async_rustls::rustls::server::ParsedCertificate;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::authorities::{Authorities, ChainFault};
use super::challenge::{self, AlpnProofs};
use super::tls::{ServerTls, TlsError};

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// The operator's files, both PEM.
    Files {
        /// The chain: the node's certificate first, its issuers behind.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Self-made, and kept in this directory as [`SELF_MADE_CERTIFICATE`] and [`SELF_MADE_KEY`].
    SelfMade {
        /// The node's data directory; it exists.
        dir: PathBuf,
    },
    /// From an authority, by ACME: kept where a self-made one is, which stands in for it until it has come. The key is never
    /// changed, for other nodes have pinned it.
    Ordered {
        /// The node's data directory; it exists.
        dir: PathBuf,
    },
}

/// The certificate in use. Shared between the tasks that serve and the one that reloads; all calls but
/// [`OwnCertificate::tls`] and [`OwnCertificate::facts`] read files and take as long as the disk does.
#[derive(Debug)]
pub struct OwnCertificate {
    source: CertificateSource,
    domain: String,
    held: Mutex<Held>,
    proofs: AlpnProofs,
}

impl OwnCertificate {
    /// Reads the certificate for `domain`, or makes one where the source is [`CertificateSource::SelfMade`] and there is none
    /// that is good for the domain.
    ///
    /// One that has expired, is not yet valid or has another name is used all the same, with a warning in the log: some
    /// clients do not look, and a board without a clock must start.
    pub fn open(source: CertificateSource, domain: &str, now: SystemTime) -> Result<OwnCertificate, CertificateFault> {
        let (certificate, key) = source.paths();
        let stamp = Stamp::of(&certificate, &key);
        let proofs = AlpnProofs::default();
        let loaded = match &source {
            CertificateSource::Files { .. } => Loaded::read(&certificate, &key, &proofs)?,
            CertificateSource::SelfMade { dir } => read_or_make(dir, domain, now, &proofs)?,
            CertificateSource::Ordered { dir } => read_or_stand_in(dir, domain, now, &proofs)?,
        };
        if let Err(fault) = loaded.facts.check(&certificate, domain, now) {
            log::warn!("{fault}");
        }
        // What was just made has another stamp, and that costs one reading of it.
        let held = Held { tls: loaded.tls, facts: loaded.facts, stamp };
        Ok(OwnCertificate { source, domain: domain.to_owned(), held: Mutex::new(held), proofs })
    }

    /// For the next handshake. Streams that are up keep what they began with.
    pub fn tls(&self) -> Arc<ServerTls> {
        Arc::clone(&self.lock().tls)
    }

    /// What is known of the certificate in use.
    pub fn facts(&self) -> CertificateFacts {
        self.lock().facts.clone()
    }

    /// To be called every minute: reads the files again if they have changed since they were last looked at. Says whether
    /// another certificate is in use now. On a fault the old one stays and a warning says why, once per change of the files.
    pub fn reload_if_changed(&self, now: SystemTime) -> bool {
        let (certificate, key) = self.source.paths();
        if Stamp::of(&certificate, &key) == self.lock().stamp {
            return false;
        }
        let before = self.facts().sha256;
        match self.reload(now) {
            Ok(()) => before != self.facts().sha256,
            Err(fault) => {
                log::warn!("the old TLS certificate stays in use: {fault}");
                false
            }
        }
    }

    /// Reads the files again, changed or not. On a fault, which also is a certificate that has expired or has not the domain's
    /// name, the old one stays in use.
    pub fn reload(&self, now: SystemTime) -> Result<(), CertificateFault> {
        let (certificate, key) = self.source.paths();
        // Looked at before reading: what is written meanwhile counts as changed the next time.
        let stamp = Stamp::of(&certificate, &key);
        self.lock().stamp = stamp;
        let loaded = Loaded::read(&certificate, &key, &self.proofs)?;
        match loaded.facts.check(&certificate, &self.domain, now) {
            // More likely our clock is wrong than the authority's.
            Ok(()) | Err(CertificateFault::NotYetValid { .. }) => {}
            Err(fault) => return Err(fault),
        }
        let mut held = self.lock();
        if held.facts.sha256 != loaded.facts.sha256 {
            log::info!("TLS certificate replaced; the new one is good until {}", day(loaded.facts.not_after));
        }
        held.tls = loaded.tls;
        held.facts = loaded.facts;
        Ok(())
    }

    /// A request for a certificate for these host names (in ASCII) with the key that is in use, in DER. RFC 2986, RFC 8555 §7.4.
    pub fn request(&self, names: &[String]) -> Result<Vec<u8>, CertificateFault> {
        let (_, key) = self.source.paths();
        let pem = read_file(&key)?;
        let pem = std::str::from_utf8(&pem).map_err(|_| CertificateFault::NoKey { path: key.clone() })?;
        challenge::request(pem, names).map_err(CertificateFault::NotMade)
    }

    /// Takes a chain (PEM) that an authority has issued on our request: checked, written durably, and in use from the next
    /// handshake on. On a fault the old one stays.
    pub fn install(&self, chain: &[u8], now: SystemTime) -> Result<(), CertificateFault> {
        let CertificateSource::Ordered { dir } = &self.source else {
            return Err(CertificateFault::NoCertificate { path: self.source.paths().0 });
        };
        let (certificate, key) = self.source.paths();
        let loaded = Loaded::of(chain, &read_file(&key)?, &certificate, &key, &self.proofs)?;
        match loaded.facts.check(&certificate, &self.domain, now) {
            Ok(()) | Err(CertificateFault::NotYetValid { .. }) => {}
            Err(fault) => return Err(fault),
        }
        write_file(dir, SELF_MADE_CERTIFICATE, chain)?;
        self.reload(now)
    }

    /// From now on an authority that asks for its proof for `name` gets one with this SHA-256 of the key authorization. RFC 8737.
    pub fn show_proof(&self, name: &str, digest: &[u8; 32]) -> Result<(), CertificateFault> {
        self.proofs.show(name, digest)
    }

    /// No authority looks for a proof any more.
    pub fn end_proofs(&self) {
        self.proofs.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the certificate that is there, without making one, and says what these authorities make of its chain. For a command: reads
/// files.
pub fn examine(
    source: &CertificateSource,
    domain: &str,
    authorities: &Authorities,
    now: SystemTime,
) -> Result<(CertificateFacts, Result<(), ChainFault>), CertificateFault> {
    let (certificate, key) = source.paths();
    let loaded = Loaded::read(&certificate, &key, &AlpnProofs::default())?;
    if let Err(fault @ CertificateFault::NameNotCovered { .. }) = loaded.facts.check(&certificate, domain, now) {
        return Err(fault);
    }
    let chain: Vec<Vec<u8>> =
        CertificateDer::pem_slice_iter(&read_file(&certificate)?).flatten().map(|der| der.to_vec()).collect();
    let ascii = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
    let judged = authorities.judge(&chain, &ascii, now);
    Ok((loaded.facts, judged))
}

/// What an operator wants to know of the certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The first moment it is good.
    pub not_before: SystemTime,
    /// The last.
    pub not_after: SystemTime,
    /// The host names it is for, as they stand in it.
    pub names: Vec<String>,
    /// No authority signed it: issuer and subject are the same.
    pub self_signed: bool,
    /// SHA-256 of the whole certificate, its usual fingerprint.
    pub sha256: [u8; 32],
    /// SHA-256 of its SubjectPublicKeyInfo, which other nodes pin.
    pub spki_sha256: [u8; 32],
    der: CertificateDer<'static>,
}

impl CertificateFacts {
    fn of(der: CertificateDer<'static>, path: &Path) -> Result<CertificateFacts, CertificateFault> {
        let unreadable =
            || CertificateFault::Unusable { path: path.to_owned(), error: TlsError::CertificateUnreadable };
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unreadable())?;
        let names = match parsed.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.iter().filter_map(host_name).collect(),
            _ => Vec::new(),
        };
        let validity = parsed.validity();
        Ok(CertificateFacts {
            not_before: system_time(validity.not_before.timestamp()),
            not_after: system_time(validity.not_after.timestamp()),
            names,
            self_signed: parsed.issuer() == parsed.subject(),
            sha256: Sha256::digest(&der).into(),
            spki_sha256: Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into(),
            der: der.clone(),
        })
    }

    /// Is it good for `domain` at `now`?
    fn check(&self, path: &Path, domain: &str, now: SystemTime) -> Result<(), CertificateFault> {
        let path = path.to_owned();
        if !self.covers(domain) {
            return Err(CertificateFault::NameNotCovered {
                path,
                domain: domain.to_owned(),
                names: self.names.clone(),
            });
        }
        if now > self.not_after {
            return Err(CertificateFault::Expired { path, since: self.not_after });
        }
        if now < self.not_before {
            return Err(CertificateFault::NotYetValid { path, from: self.not_before });
        }
        Ok(())
    }

    /// RFC 6120 §13.7.2.1: the domain itself, or a wildcard for it. Names of the kinds SRV-ID and XmppAddr do not count: the
    /// clients we know do not look at them.
    pub fn covers(&self, domain: &str) -> bool {
        let Ok(ascii) = idna::domain_to_ascii(domain) else {
            return false;
        };
        match (ParsedCertificate::try_from(&self.der), ServerName::try_from(ascii)) {
            (Ok(certificate), Ok(name)) => verify_server_name(&certificate, &name).is_ok(),
            _ => false,
        }
    }
}

/// What is wrong with the certificate or its files.
#[derive(Debug)]
#[allow(missing_docs)] // The fields are what the message names.
pub enum CertificateFault {
    /// A file cannot be read.
    Unreadable { path: PathBuf, error: io::Error },
    /// A file cannot be written.
    Unwritable { path: PathBuf, error: io::Error },
    /// The file holds no certificate.
    NoCertificate { path: PathBuf },
    /// The file holds no private key.
    NoKey { path: PathBuf },
    /// The key is not the one in the certificate.
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    /// TLS cannot use it.
    Unusable { path: PathBuf, error: TlsError },
    /// It was good once.
    Expired { path: PathBuf, since: SystemTime },
    /// It will be good.
    NotYetValid { path: PathBuf, from: SystemTime },
    /// It is for other names.
    NameNotCovered { path: PathBuf, domain: String, names: Vec<String> },
    /// No certificate could be made.
    NotMade(rcgen::Error),
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CertificateFault::*;
        match self {
            Unreadable { path, error } => write!(
                f,
                "{} cannot be read: {error} (remedy: it must exist and the user kontalk-node must be allowed to read it)",
                path.display()
            ),
            Unwritable { path, error } => write!(f, "{} cannot be written: {error}", path.display()),
            NoCertificate { path } => {
                write!(
                    f,
                    "{} holds no certificate in PEM (remedy: the file fullchain.pem of your authority)",
                    path.display()
                )
            }
            NoKey { path } => {
                write!(f, "{} holds no private key in PEM (remedy: an unencrypted PKCS #8 key)", path.display())
            }
            KeyMismatch { certificate, key } => write!(
                f,
                "the key in {} does not belong to the certificate in {} (remedy: replace both files together)",
                key.display(),
                certificate.display()
            ),
            Unusable { path, error } => write!(f, "{}: {error}", path.display()),
            Expired { path, since } => {
                write!(f, "the certificate in {} has expired on {} (remedy: renew it)", path.display(), day(*since))
            }
            NotYetValid { path, from } => write!(
                f,
                "the certificate in {} is good only from {} on (remedy: check this machine's clock)",
                path.display(),
                day(*from)
            ),
            NameNotCovered { path, domain, names } => write!(
                f,
                "the certificate in {} is not for {domain} but for {} (remedy: get one for {domain})",
                path.display(),
                if names.is_empty() { "no host name".to_owned() } else { names.join(", ") }
            ),
            NotMade(error) => write!(f, "no TLS certificate could be made: {error}"),
        }
    }
}

impl std::error::Error for CertificateFault {}

impl CertificateSource {
    /// The certificate's file and the key's.
    pub fn paths(&self) -> (PathBuf, PathBuf) {
        match self {
            CertificateSource::Files { certificate, key } => (certificate.clone(), key.clone()),
            CertificateSource::SelfMade { dir } | CertificateSource::Ordered { dir } => {
                (dir.join(SELF_MADE_CERTIFICATE), dir.join(SELF_MADE_KEY))
            }
        }
    }
}

#[derive(Debug)]
struct Held {
    tls: Arc<ServerTls>,
    facts: CertificateFacts,
    stamp: Stamp,
}

struct Loaded {
    tls: Arc<ServerTls>,
    facts: CertificateFacts,
}

impl Loaded {
    fn read(certificate: &Path, key: &Path, proofs: &AlpnProofs) -> Result<Loaded, CertificateFault> {
        Loaded::of(&read_file(certificate)?, &read_file(key)?, certificate, key, proofs)
    }

    fn of(
        chain: &[u8],
        private: &[u8],
        certificate: &Path,
        key: &Path,
        proofs: &AlpnProofs,
    ) -> Result<Loaded, CertificateFault> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateFault::NoCertificate { path: certificate.to_owned() })?;
        let Some(own) = chain.first().cloned() else {
            return Err(CertificateFault::NoCertificate { path: certificate.to_owned() });
        };
        let private =
            PrivateKeyDer::from_pem_slice(private).map_err(|_| CertificateFault::NoKey { path: key.to_owned() })?;
        let facts = CertificateFacts::of(own, certificate)?;
        let tls = ServerTls::with_proofs(chain, private, proofs.clone()).map_err(|error| match error {
            TlsError::KeyMismatch => {
                CertificateFault::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() }
            }
            error => CertificateFault::Unusable { path: certificate.to_owned(), error },
        })?;
        Ok(Loaded { tls, facts })
    }
}

/// Tells a changed pair of files from the one last looked at: time of change, size and inode of each. The time of change, not
/// of modification: that a file was made readable counts too.
#[derive(Debug, PartialEq, Eq)]
struct Stamp([Option<(i64, i64, u64, u64)>; 2]);

impl Stamp {
    fn of(certificate: &Path, key: &Path) -> Stamp {
        // Follows links: authorities' clients put new files behind an old link.
        let of_file = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.ctime(), metadata.ctime_nsec(), metadata.len(), metadata.ino()))
        };
        Stamp([of_file(certificate), of_file(key)])
    }
}

fn read_or_make(dir: &Path, domain: &str, now: SystemTime, proofs: &AlpnProofs) -> Result<Loaded, CertificateFault> {
    let (certificate, key) = (dir.join(SELF_MADE_CERTIFICATE), dir.join(SELF_MADE_KEY));
    if certificate.exists() && key.exists() {
        let loaded = Loaded::read(&certificate, &key, proofs)?;
        match loaded.facts.check(&certificate, domain, now) {
            // The domain was changed, or it is very old: nobody can want this one any more.
            Err(fault @ (CertificateFault::Expired { .. } | CertificateFault::NameNotCovered { .. })) => {
                log::info!("making a new TLS certificate: {fault}");
            }
            _ => return Ok(loaded),
        }
    }
    make(dir, domain, now)?;
    log::info!("made a TLS certificate for {domain}: {}", certificate.display());
    Loaded::read(&certificate, &key, proofs)
}

/// What the authority issued, also when it has expired meanwhile: it is renewed at once. Where there is nothing for this domain, a
/// self-made certificate stands in, with the key that is there if there is one.
fn read_or_stand_in(
    dir: &Path,
    domain: &str,
    now: SystemTime,
    proofs: &AlpnProofs,
) -> Result<Loaded, CertificateFault> {
    let (certificate, key) = (dir.join(SELF_MADE_CERTIFICATE), dir.join(SELF_MADE_KEY));
    if !key.exists() {
        make(dir, domain, now)?;
    } else {
        match Loaded::read(&certificate, &key, proofs) {
            Ok(loaded) if loaded.facts.covers(domain) => return Ok(loaded),
            // Without the key the node is another one to those who have pinned it: that is for the operator to decide.
            Err(fault @ CertificateFault::NoKey { .. }) => return Err(fault),
            Err(fault @ CertificateFault::Unreadable { .. }) if certificate.exists() => return Err(fault),
            _ => {
                let pem = read_file(&key)?;
                let pem = std::str::from_utf8(&pem).map_err(|_| CertificateFault::NoKey { path: key.clone() })?;
                let pair = KeyPair::from_pem(pem).map_err(CertificateFault::NotMade)?;
                write_file(dir, SELF_MADE_CERTIFICATE, self_signed(&pair, domain, now)?.as_bytes())?;
            }
        }
    }
    log::info!("a self-made TLS certificate stands in until the authority's has come");
    Loaded::read(&certificate, &key, proofs)
}

/// Makes key and certificate. The certificate is put in place last: where it is, the key is.
fn make(dir: &Path, domain: &str, now: SystemTime) -> Result<(), CertificateFault> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(CertificateFault::NotMade)?;
    let certificate = self_signed(&key, domain, now)?;
    // Should power go between the two, neither an old certificate may be left beside a new key nor the other way round.
    let _ = fs::remove_file(dir.join(SELF_MADE_CERTIFICATE));
    write_file(dir, SELF_MADE_KEY, Zeroizing::new(key.serialize_pem()).as_bytes())?;
    write_file(dir, SELF_MADE_CERTIFICATE, certificate.as_bytes())
}

/// A certificate (PEM) for the domain that its own key signed.
fn self_signed(key: &KeyPair, domain: &str, now: SystemTime) -> Result<String, CertificateFault> {
    let name = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
    let mut params = CertificateParams::new(vec![name]).map_err(CertificateFault::NotMade)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, domain);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A board without a clock believes in 1970 until it has asked the network.
    let from = OffsetDateTime::from(now.max(SystemTime::UNIX_EPOCH + CLOCK_FLOOR));
    params.not_before = from - time::Duration::DAY;
    params.not_after = from + SELF_MADE_VALIDITY;
    let certificate = params.self_signed(key).map_err(CertificateFault::NotMade)?;
    Ok(certificate.pem())
}

/// Writes a file that is there whole or not at all, also after a power cut, and only for our own eyes.
fn write_file(dir: &Path, name: &str, content: &[u8]) -> Result<(), CertificateFault> {
    let path = dir.join(name);
    let unfinished = dir.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| CertificateFault::Unwritable { path: path.clone(), error })
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, CertificateFault> {
    let read = || -> io::Result<Zeroizing<Vec<u8>>> {
        // Room for all from the start, so that a key leaves no copy behind in a buffer it outgrew.
        let mut content = Zeroizing::new(Vec::with_capacity(PEM_BYTES_MAX));
        let count = File::open(path)?.take(PEM_BYTES_MAX as u64).read_to_end(&mut content)?;
        if count == PEM_BYTES_MAX { Err(io::Error::other("it is too large")) } else { Ok(content) }
    };
    read().map_err(|error| CertificateFault::Unreadable { path: path.to_owned(), error })
}

fn host_name(name: &x509_parser::extensions::GeneralName<'_>) -> Option<String> {
    match name {
        // From the operator's own file, and still no control characters into the log.
        x509_parser::extensions::GeneralName::DNSName(name) => Some(name.escape_debug().to_string()),
        _ => None,
    }
}

fn system_time(unix_secs: i64) -> SystemTime {
    let distance = Duration::from_secs(unix_secs.unsigned_abs());
    let moment = if unix_secs >= 0 {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    };
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn day(moment: SystemTime) -> String {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let secs = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(secs)
        .map_or_else(|_| "a distant day".to_owned(), |moment| moment.date().to_string())
}

/// The file name of a self-made certificate.
pub const SELF_MADE_CERTIFICATE: &str = "tls-certificate.pem";
/// The file name of its key.
pub const SELF_MADE_KEY: &str = "tls-key.pem";
/// How long a self-made certificate is good: longer than a board lives, for nobody renews it.
const SELF_MADE_VALIDITY: time::Duration = time::Duration::days(3650);
/// 2026-01-01: no clock that is right shows less.
const CLOCK_FLOOR: Duration = Duration::from_secs(1_767_225_600);
/// A long chain has 10 KiB.
const PEM_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::Dir;
    use super::*;

    fn self_made(dir: &Dir) -> CertificateSource {
        CertificateSource::SelfMade { dir: dir.path().to_owned() }
    }

    /// Puts a certificate for `names` with dates in years where the operator's files are.
    fn install(dir: &Dir, names: &[&str], from: i32, until: i32, key_too: bool) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        fs::write(dir.path().join("fullchain.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        if key_too {
            fs::write(dir.path().join("privkey.pem"), key.serialize_pem()).unwrap();
        }
    }

    fn files(dir: &Dir) -> CertificateSource {
        CertificateSource::Files { certificate: dir.path().join("fullchain.pem"), key: dir.path().join("privkey.pem") }
    }

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + CLOCK_FLOOR + Duration::from_secs(180 * 86_400)
    }

    #[test]
    fn a_certificate_is_made_once_and_kept() {
        let dir = Dir::new();
        let made = OwnCertificate::open(self_made(&dir), "a.example", noon()).unwrap();
        let facts = made.facts();
        assert_eq!((facts.names.as_slice(), facts.self_signed), (&["a.example".to_owned()][..], true));
        for name in [SELF_MADE_CERTIFICATE, SELF_MADE_KEY] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing unfinished stays behind");
        let again = OwnCertificate::open(self_made(&dir), "a.example", noon()).unwrap();
        assert_eq!(again.facts(), facts);
        assert!(!again.reload_if_changed(noon()));
    }

    #[test]
    fn a_new_one_is_made_for_another_domain_or_after_its_time_or_when_half_is_missing() {
        let dir = Dir::new();
        let first = OwnCertificate::open(self_made(&dir), "a.example", noon()).unwrap().facts();
        let other = OwnCertificate::open(self_made(&dir), "bücher.example", noon()).unwrap().facts();
        assert_ne!(first.sha256, other.sha256);
        assert_eq!(other.names, ["xn--bcher-kva.example"]);
        let much_later = other.not_after + Duration::from_secs(1);
        let later = OwnCertificate::open(self_made(&dir), "bücher.example", much_later).unwrap().facts();
        assert_ne!(other.sha256, later.sha256);
        fs::remove_file(dir.path().join(SELF_MADE_KEY)).unwrap();
        let whole = OwnCertificate::open(self_made(&dir), "bücher.example", much_later).unwrap().facts();
        assert_ne!(whole.sha256, later.sha256);
    }

    #[test]
    fn a_board_without_a_clock_makes_a_certificate_that_is_good_today() {
        let dir = Dir::new();
        let made = OwnCertificate::open(self_made(&dir), "a.example", SystemTime::UNIX_EPOCH).unwrap().facts();
        assert!(made.not_before < noon() && noon() + Duration::from_secs(8 * 365 * 86_400) < made.not_after);
        // Not yet valid, by that clock, and used nevertheless.
        let again = OwnCertificate::open(self_made(&dir), "a.example", SystemTime::UNIX_EPOCH).unwrap().facts();
        assert_eq!(again.sha256, made.sha256);
    }

    #[test]
    fn changed_files_are_noticed_and_good_ones_used() {
        let dir = Dir::new();
        install(&dir, &["a.node.example"], 2026, 2027, true);
        let own = OwnCertificate::open(files(&dir), "a.node.example", noon()).unwrap();
        let (first, first_tls) = (own.facts(), own.tls());
        assert!(!own.reload_if_changed(noon()));

        install(&dir, &["*.node.example", "b.test"], 2026, 2028, true);
        assert!(own.reload_if_changed(noon()));
        let second = own.facts();
        assert_ne!(second.sha256, first.sha256);
        assert_eq!(second.names, ["*.node.example", "b.test"]);
        assert!(!Arc::ptr_eq(&own.tls(), &first_tls));
        assert!(!own.reload_if_changed(noon()));
    }

    #[test]
    fn faulty_files_leave_the_old_certificate_in_use_and_say_why() {
        let dir = Dir::new();
        install(&dir, &["a.example"], 2026, 2027, true);
        let own = OwnCertificate::open(files(&dir), "a.example", noon()).unwrap();
        let good = own.facts();
        let (chain, key) = (dir.path().join("fullchain.pem"), dir.path().join("privkey.pem"));
        let (chain_text, key_text) = (chain.display().to_string(), key.display().to_string());
        type Breaking<'a> = (&'a str, Box<dyn Fn() + 'a>, String);
        let breakings: Vec<Breaking<'_>> = vec![
            (
                "another key",
                Box::new(|| install(&dir, &["a.example"], 2026, 2027, false)),
                format!(
                    "the key in {key_text} does not belong to the certificate in {chain_text} (remedy: replace both files together)"
                ),
            ),
            (
                "old",
                Box::new(|| install(&dir, &["a.example"], 2024, 2025, true)),
                format!("the certificate in {chain_text} has expired on 2025-01-01 (remedy: renew it)"),
            ),
            (
                "of another",
                Box::new(|| install(&dir, &["b.example", "c.example"], 2026, 2027, true)),
                format!(
                    "the certificate in {chain_text} is not for a.example but for b.example, c.example (remedy: get one for a.example)"
                ),
            ),
            (
                "no certificate",
                Box::new(|| fs::write(&chain, "-----BEGIN NOTHING-----").unwrap()),
                format!("{chain_text} holds no certificate in PEM (remedy: the file fullchain.pem of your authority)"),
            ),
            (
                "no key",
                Box::new(|| {
                    install(&dir, &["a.example"], 2026, 2027, true);
                    fs::write(&key, "").unwrap();
                }),
                format!("{key_text} holds no private key in PEM (remedy: an unencrypted PKCS #8 key)"),
            ),
            (
                "nothing",
                Box::new(|| fs::remove_file(&key).unwrap()),
                format!(
                    "{key_text} cannot be read: No such file or directory (os error 2) (remedy: it must exist and the user kontalk-node must be allowed to read it)"
                ),
            ),
        ];
        for (name, make_faulty, said) in &breakings {
            make_faulty();
            assert_eq!(own.reload(noon()).unwrap_err().to_string(), *said, "{name}");
            assert_eq!(own.facts(), good, "{name}");
            assert!(!own.reload_if_changed(noon()), "{name}: complained of already");
        }
        install(&dir, &["a.example"], 2026, 2029, true);
        assert!(own.reload_if_changed(noon()));
    }

    #[test]
    fn at_the_start_a_doubtful_certificate_is_used_and_an_unusable_one_is_not() {
        let dir = Dir::new();
        install(&dir, &["b.example"], 2024, 2025, true);
        assert!(OwnCertificate::open(files(&dir), "a.example", noon()).is_ok());
        install(&dir, &["a.example"], 2026, 2027, false);
        let fault = OwnCertificate::open(files(&dir), "a.example", noon()).unwrap_err();
        assert!(matches!(fault, CertificateFault::KeyMismatch { .. }));
    }
}
