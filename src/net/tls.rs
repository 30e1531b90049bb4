//! TLS: what is offered to clients and other servers, and what a finished handshake can tell. RFC 6120 §5 and §13.8, XEP-0368.
//! RFC 7590 §3.1 to §3.3: TLS is required, without compression, with forward secrecy.
//!
//! TLS 1.2 and 1.3. No session tickets, no session cache: a resumed session would have to carry the client's certificate
//! along, and a stream that breaks is resumed by XEP-0198 anyway. No early data. A client certificate is asked for and not
//! demanded, with an empty list of authorities. Where we dial another server we show our own certificate too, and take whatever
//! it shows: it is judged when the stream has said who it must be.
//!
//! Limits: one handshake message is at most 65,535 bytes (rustls), so a client's certificate is a little smaller than the
//! `CERTIFICATE_BYTES_MAX` of the one table.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_rustls::rustls::client::Resumption;
use async_rustls::rustls::crypto::ring;
use async_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use async_rustls::rustls::server::NoServerSessionStorage;
use async_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use async_rustls::rustls::{ClientConfig, CommonState, Error, InconsistentKeys, ProtocolVersion, ServerConfig};
use async_rustls::{TlsAcceptor, TlsConnector};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use smol::io::{AsyncRead, AsyncWrite};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::x509::AlgorithmIdentifier;

use super::challenge::{ALPN_ACME, AlpnProofs, Chooser};
use super::transport::Socket;
use super::verifier::AnyCertificate;

/// Both sides of TLS with one certificate: makes handshakes. Cheap to share.
pub struct ServerTls {
    starttls: Arc<ServerConfig>,
    direct: Arc<ServerConfig>,
    peers_direct: Arc<ServerConfig>,
    dialling: Arc<ClientConfig>,
    dialling_direct: Arc<ClientConfig>,
    https: Arc<ServerConfig>,
    end_point: Option<Arc<[u8]>>,
}

impl ServerTls {
    /// For the certificate `chain` (ours first, its issuers behind) and its private `key`.
    ///
    /// Dates and names are not checked here; see [`super::OwnCertificate`].
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerTls>, TlsError> {
        ServerTls::with_proofs(chain, key, AlpnProofs::default())
    }

    /// The same, where authorities may look for a proof. RFC 8737.
    pub(super) fn with_proofs(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        proofs: AlpnProofs,
    ) -> Result<Arc<ServerTls>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let own = chain.first().ok_or(TlsError::NoCertificate)?;
        let end_point = end_point_of(own)?.map(Arc::from);
        // `from_der` checks that they belong together.
        let certified = Arc::new(CertifiedKey::from_der(chain, key, &provider).map_err(TlsError::of_pair)?);
        let (dialling, dialling_direct) = client_configs(&certified)?;

        let verifier = Arc::new(AnyCertificate::new(provider.signature_verification_algorithms));
        let resolver = Arc::new(Chooser { own: certified, proofs });
        let builder = || {
            ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(TlsError::Rustls)
        };
        let config =
            without_memory(builder()?.with_client_cert_verifier(verifier).with_cert_resolver(resolver.clone()));
        let (mut direct, mut peers_direct) = (config.clone(), config.clone());
        // XEP-0368 §3: direct TLS says which protocol it is for. Who offers no protocol is welcome; who offers only others is
        // refused (RFC 7301 §3.2).
        direct.alpn_protocols = vec![ALPN_CLIENT.to_vec(), ALPN_ACME.to_vec()];
        peers_direct.alpn_protocols = vec![ALPN_SERVER.to_vec()];
        // A browser that is asked for a certificate asks its user for one.
        let mut https = without_memory(builder()?.with_no_client_auth().with_cert_resolver(resolver));
        https.alpn_protocols = vec![ALPN_HTTP.to_vec(), ALPN_ACME.to_vec()];
        Ok(Arc::new(ServerTls {
            starttls: Arc::new(config),
            direct: Arc::new(direct),
            peers_direct: Arc::new(peers_direct),
            dialling: Arc::new(dialling),
            dialling_direct: Arc::new(dialling_direct),
            https: Arc::new(https),
            end_point,
        }))
    }

    /// The handshake on a connection of another server that begins with TLS. No time limit.
    pub(super) async fn accept_direct_peer(&self, socket: Socket) -> io::Result<TlsStream> {
        self.accept(&self.peers_direct, socket).await
    }

    /// The handshake on a connection that we dialled for this domain (in its ASCII form), with STARTTLS or from the first byte.
    /// No time limit.
    pub(super) async fn connect(&self, domain: &str, direct: bool, socket: Socket) -> io::Result<TlsStream> {
        let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        let config = if direct { &self.dialling_direct } else { &self.dialling };
        let inner = TlsConnector::from(Arc::clone(config)).connect(name, socket).await?;
        Ok(TlsStream { inner: inner.into(), end_point: None })
    }

    /// The handshake on a stream that agreed on STARTTLS. No time limit.
    pub(super) async fn accept_starttls(&self, socket: Socket) -> io::Result<TlsStream> {
        self.accept(&self.starttls, socket).await
    }

    /// The handshake on a connection that begins with TLS. No time limit.
    pub(super) async fn accept_direct(&self, socket: Socket) -> io::Result<TlsStream> {
        self.accept(&self.direct, socket).await
    }

    /// The handshake of HTTPS: no client certificate is asked for. No time limit.
    pub(super) async fn accept_https(&self, socket: Socket) -> io::Result<TlsStream> {
        self.accept(&self.https, socket).await
    }

    async fn accept(&self, config: &Arc<ServerConfig>, socket: Socket) -> io::Result<TlsStream> {
        let inner = TlsAcceptor::from(Arc::clone(config)).accept(socket).await?;
        if inner.get_ref().1.alpn_protocol() == Some(ALPN_ACME) {
            // RFC 8737 §3: the handshake was the proof; nothing follows.
            log::debug!("an authority has looked for its proof");
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "an authority looked for its proof"));
        }
        Ok(TlsStream { inner: inner.into(), end_point: self.end_point.clone() })
    }
}

/// For streams that we dial: with STARTTLS, and with TLS from the first byte.
fn client_configs(certified: &Arc<CertifiedKey>) -> Result<(ClientConfig, ClientConfig), TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate::new(provider.signature_verification_algorithms));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Rustls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certified))));
    config.resumption = Resumption::disabled();
    let mut direct = config.clone();
    // XEP-0368 §3.
    direct.alpn_protocols = vec![ALPN_SERVER.to_vec()];
    Ok((config, direct))
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls(…)")
    }
}

/// Why there can be no TLS with this certificate and key.
#[derive(Clone, Debug, PartialEq)]
pub enum TlsError {
    /// The chain is empty.
    NoCertificate,
    /// Our certificate cannot be read.
    CertificateUnreadable,
    /// The key is not the one in the certificate.
    KeyMismatch,
    /// rustls has another objection, such as a kind of key it does not know.
    Rustls(Error),
}

impl TlsError {
    fn of_pair(error: Error) -> TlsError {
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch,
            other => TlsError::Rustls(other),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::NoCertificate => f.write_str("there is no certificate"),
            TlsError::CertificateUnreadable => f.write_str("the certificate cannot be read"),
            TlsError::KeyMismatch => f.write_str("the private key does not belong to the certificate"),
            TlsError::Rustls(error) => write!(f, "it cannot be used for TLS: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// The version of TLS that was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// Its number on the wire.
    pub fn number(self) -> u16 {
        match self {
            TlsVersion::Tls12 => 0x0303,
            TlsVersion::Tls13 => 0x0304,
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::Tls12 => "TLS 1.2",
            TlsVersion::Tls13 => "TLS 1.3",
        })
    }
}

/// A connection behind a finished handshake.
pub struct TlsStream {
    inner: async_rustls::TlsStream<Socket>,
    end_point: Option<Arc<[u8]>>,
}

impl TlsStream {
    /// Channel binding `tls-exporter`; on TLS 1.3 only. RFC 9266 §2: TLS 1.2 would need the extended master secret, which not
    /// every client has.
    pub fn exporter(&self) -> Option<[u8; 32]> {
        if self.version() != TlsVersion::Tls13 {
            return None;
        }
        match &self.inner {
            async_rustls::TlsStream::Server(stream) => {
                stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).ok()
            }
            async_rustls::TlsStream::Client(stream) => {
                stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).ok()
            }
        }
    }

    /// Channel binding `tls-server-end-point`: the hash of the certificate that this handshake showed. RFC 5929 §4.1.
    /// `None` if our certificate's signature algorithm has no single hash (Ed25519), for which the RFC defines nothing.
    pub fn server_end_point(&self) -> Option<Vec<u8>> {
        self.end_point.as_deref().map(<[u8]>::to_vec)
    }

    /// The client's certificate in DER, if it showed one. The client has proved that it holds the key in it, and nothing
    /// else about the certificate has been checked.
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        self.state().peer_certificates()?.first().map(|certificate| certificate.to_vec())
    }

    /// All certificates that the other side showed, in DER: its own first, its issuers behind.
    pub fn peer_chain(&self) -> Vec<Vec<u8>> {
        let chain = self.state().peer_certificates().unwrap_or_default();
        chain.iter().map(|certificate| certificate.to_vec()).collect()
    }

    fn state(&self) -> &CommonState {
        self.inner.get_ref().1
    }

    /// The version that was agreed on.
    pub fn version(&self) -> TlsVersion {
        match self.state().protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
            _ => TlsVersion::Tls12,
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        self.inner.get_ref().0
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsStream({})", self.version())
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_read(cx, buffer) {
            // Many clients close without close_notify. A stream ends with its closing tag or was broken off (RFC 6120 §4.4),
            // so a cut here deceives nobody.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            other => other,
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// No session is remembered on either side.
fn without_memory(mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}

/// RFC 5929 §4.1: hashed with the hash of the certificate's signature, but with SHA-256 where that is MD5 or SHA-1.
pub(super) fn end_point_of(certificate: &[u8]) -> Result<Option<Vec<u8>>, TlsError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| TlsError::CertificateUnreadable)?;
    Ok(SignatureHash::of(&parsed.signature_algorithm).map(|hash| hash.digest(certificate)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignatureHash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl SignatureHash {
    fn of(algorithm: &AlgorithmIdentifier<'_>) -> Option<SignatureHash> {
        let oid = algorithm.algorithm.as_bytes();
        match (oid.strip_prefix(PKCS1), oid.strip_prefix(ECDSA_SHA1), oid.strip_prefix(ECDSA_SHA2)) {
            // With MD5 and with SHA-1: the RFC puts SHA-256 in their place.
            (Some([4 | 5]), ..) | (_, Some([]), _) => Some(SignatureHash::Sha256),
            (Some([11]), ..) | (.., Some([2])) => Some(SignatureHash::Sha256),
            (Some([12]), ..) | (.., Some([3])) => Some(SignatureHash::Sha384),
            (Some([13]), ..) | (.., Some([4])) => Some(SignatureHash::Sha512),
            (Some([14]), ..) | (.., Some([1])) => Some(SignatureHash::Sha224),
            (Some([10]), ..) => SignatureHash::of_pss(algorithm),
            _ => None,
        }
    }

    /// RFC 4055 §3.1: RSASSA-PSS has its hash as a parameter.
    fn of_pss(algorithm: &AlgorithmIdentifier<'_>) -> Option<SignatureHash> {
        let SignatureAlgorithm::RSASSA_PSS(parameters) = SignatureAlgorithm::try_from(algorithm).ok()? else {
            return None;
        };
        let oid = parameters.hash_algorithm_oid().as_bytes();
        match (oid, oid.strip_prefix(SHA2)) {
            (SHA1, _) | (_, Some([1])) => Some(SignatureHash::Sha256),
            (_, Some([2])) => Some(SignatureHash::Sha384),
            (_, Some([3])) => Some(SignatureHash::Sha512),
            (_, Some([4])) => Some(SignatureHash::Sha224),
            _ => None,
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            SignatureHash::Sha224 => Sha224::digest(bytes).to_vec(),
            SignatureHash::Sha256 => Sha256::digest(bytes).to_vec(),
            SignatureHash::Sha384 => Sha384::digest(bytes).to_vec(),
            SignatureHash::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// The protocol's name in ALPN. XEP-0368 §3.
const ALPN_CLIENT: &[u8] = b"xmpp-client";
/// The same between servers.
const ALPN_SERVER: &[u8] = b"xmpp-server";
/// RFC 7301 §6.
const ALPN_HTTP: &[u8] = b"http/1.1";
/// RFC 9266 §2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

// Contents of object identifiers.
/// pkcs-1, 1.2.840.113549.1.1, with the signature algorithms below it.
const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// ecdsa-with-SHA1, 1.2.840.10045.4.1.
const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
/// ecdsa-with-SHA2, 1.2.840.10045.4.3, with one per hash below it.
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
/// SHA-1, 1.3.14.3.2.26.
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// NIST's hashes, 2.16.840.1.101.3.4.2.
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
