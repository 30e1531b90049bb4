//! What an authority's proof of control by TLS needs of the listeners: for the time of the proof, a certificate of its own for whoever
//! asks by `acme-tls/1` and nothing else. RFC 8737. And the request for a certificate, RFC 2986.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_rustls::rustls::crypto::ring;
use async_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use async_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use async_rustls::rustls::sign::CertifiedKey;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

use super::CertificateFault;

/// The proofs under way, by host name in ASCII. Shared by all listeners; empty nearly always.
#[derive(Clone, Default)]
pub(super) struct AlpnProofs {
    shown: Arc<Mutex<BTreeMap<String, Arc<CertifiedKey>>>>,
}

impl AlpnProofs {
    /// From now on, `name` is answered with a certificate that holds `digest`, the SHA-256 of the key authorization. RFC 8737 §3.
    pub(super) fn show(&self, name: &str, digest: &[u8; 32]) -> Result<(), CertificateFault> {
        let certified = proof(name, digest).map_err(CertificateFault::NotMade)?;
        let mut shown = self.lock();
        if shown.len() < PROOFS_MAX {
            shown.insert(name.to_ascii_lowercase(), certified);
        }
        Ok(())
    }

    /// All proofs are over.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<CertifiedKey>>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AlpnProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlpnProofs({})", self.lock().len())
    }
}

/// Shows the node's certificate to everybody but an authority that looks for its proof.
#[derive(Debug)]
pub(super) struct Chooser {
    pub(super) own: Arc<CertifiedKey>,
    pub(super) proofs: AlpnProofs,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 §3: the authority offers this one protocol alone. Without a proof under way it gets no handshake.
        let mut offered = hello.alpn().into_iter().flatten();
        if offered.next() == Some(ALPN_ACME) && offered.next().is_none() {
            let name = hello.server_name()?.to_ascii_lowercase();
            return self.proofs.lock().get(&name).cloned();
        }
        Some(self.own.clone())
    }
}

/// A self-signed certificate for `name` with the critical extension acmeIdentifier.
fn proof(name: &str, digest: &[u8; 32]) -> Result<Arc<CertifiedKey>, rcgen::Error> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not `from_der`, which looks into the certificate: it knows no acmeIdentifier, which must be critical.
    let private = ring::default_provider().key_provider.load_private_key(private);
    let private = private.map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], private)))
}

/// A request (PKCS #10, DER) for a certificate for `names`, host names in ASCII, signed by the key in PEM. RFC 2986.
pub(super) fn request(key_pem: &str, names: &[String]) -> Result<Vec<u8>, rcgen::Error> {
    let key = KeyPair::from_pem(key_pem)?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key)?.der().to_vec())
}

/// RFC 8737 §3.
pub(super) const ALPN_ACME: &[u8] = b"acme-tls/1";
/// A node has a handful of names.
const PROOFS_MAX: usize = 32;
