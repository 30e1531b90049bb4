//! TLS with OpenSSL's client on the other side, and certificates that only a Kontalk client would show.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use async_rustls::TlsConnector;
use async_rustls::rustls::client::ResolvesClientCert;
use async_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use async_rustls::rustls::crypto::ring;
use async_rustls::rustls::pki_types::pem::PemObject;
use async_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use async_rustls::rustls::sign::CertifiedKey;
use async_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    SupportedProtocolVersion, version,
};
use sha2::{Digest, Sha256, Sha384, Sha512};
use smol::Timer;
use smol::future::{or, poll_fn};
use smol::io::{AsyncReadExt, AsyncWriteExt};

use x509_parser::oid_registry::OID_PKCS1_SHA1WITHRSA;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::*;

/// A directory that goes when it is dropped.
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn new() -> Dir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kontalk-node-net-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Dir(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs openssl here, with arguments parted by blanks; it must succeed.
    pub(super) fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(&self.0).output();
        let output = output.expect("these tests need the program openssl");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn der(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.0.join(name)).unwrap()
    }

    fn key(&self, name: &str) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(self.0.join(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes NAME.pem and NAME.key: a self-signed certificate for a new key.
fn make_certificate(dir: &Dir, name: &str, new_key: &str, hash: &str, extensions: &str) {
    let config = format!("[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\n{extensions}\n");
    fs::write(dir.path().join(format!("{name}.cnf")), config).unwrap();
    dir.openssl(&format!(
        "req -x509 -nodes -newkey {new_key} {hash} -subj /O=Bridge/CN=x -days 1 -config {name}.cnf -keyout {name}.key -out {name}.pem"
    ));
}

/// As a Kontalk client makes it: SHA-1, an authority, over before it began, a malformed name, the OpenPGP extension.
fn make_bridge_certificate(dir: &Dir) {
    let extensions = "basicConstraints=critical,CA:TRUE\n\
         2.5.29.17=DER:3013A01106082B060105050708050C056140622E63\n\
         2.25.49058212633447845622587297037800555803=DER:030400AABBCC";
    make_certificate(dir, "template", "rsa:2048", "-sha1", extensions);
    fs::write(dir.path().join("index"), "").unwrap();
    fs::write(dir.path().join("serial"), "01").unwrap();
    let config = format!(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha1\npolicy=any\n\
         x509_extensions=ext\nunique_subject=no\n[any]\norganizationName=optional\ncommonName=optional\n[ext]\n{extensions}\n"
    );
    fs::write(dir.path().join("ca.cnf"), config).unwrap();
    fs::rename(dir.path().join("template.key"), dir.path().join("bridge.key")).unwrap();
    dir.openssl("req -new -key bridge.key -subj /O=Bridge/CN=x -out bridge.csr");
    dir.openssl(
        "ca -batch -selfsign -keyfile bridge.key -in bridge.csr -out bridge.pem -notext -config ca.cnf -md sha1 \
         -startdate 20200101000000Z -enddate 20200101000000Z",
    );
    let der = dir.der("bridge.pem");
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(parsed.validity().not_before, parsed.validity().not_after);
    assert!(parsed.is_ca() && parsed.signature_algorithm.algorithm == OID_PKCS1_SHA1WITHRSA);
}

fn make_v1_certificate(dir: &Dir) {
    dir.openssl("req -new -nodes -newkey rsa:2048 -subj /CN=v1 -keyout v1.key -out v1.csr");
    dir.openssl("x509 -req -in v1.csr -signkey v1.key -out v1.pem");
    let der = dir.der("v1.pem");
    assert_eq!(X509Certificate::from_der(&der).unwrap().1.version, X509Version::V1);
}

fn own_certificate(dir: &Dir) -> OwnCertificate {
    let source = CertificateSource::SelfMade { dir: dir.path().to_owned() };
    OwnCertificate::open(source, "a.example", SystemTime::now()).unwrap()
}

/// An upper bound that only a hanging test reaches.
async fn bounded<T>(work: impl Future<Output = T>) -> T {
    or(work, async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("nothing happened for a minute")
    })
    .await
}

fn s_client(dir: &Dir, address: SocketAddr, arguments: &str) -> Child {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string()]).args(arguments.split_whitespace());
    command.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("these tests need the program openssl")
}

/// OpenSSL connects with these arguments; what the server made of it, and what OpenSSL printed.
async fn handshake(dir: &Dir, tls: &ServerTls, direct: bool, arguments: &str) -> (std::io::Result<Transport>, Output) {
    let mut listeners = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let listener = listeners.first_mut().unwrap();
    let client = s_client(dir, listener.local_addr(), arguments);
    let connection = bounded(listener.accept()).await;
    let outcome = bounded(async {
        let mut transport =
            if direct { connection.start_direct_tls(tls).await? } else { connection.start_tls(tls).await? };
        transport.write_all(b"welcome\n").await?;
        transport.flush().await?;
        // OpenSSL's end of input closes the connection.
        transport.read_to_end(&mut Vec::new()).await?;
        Ok(transport)
    })
    .await;
    (outcome, client.wait_with_output().unwrap())
}

#[test]
fn any_certificate_will_do_if_its_key_signs_the_handshake() {
    let dir = Dir::new();
    make_bridge_certificate(&dir);
    make_v1_certificate(&dir);
    make_certificate(&dir, "critical", "rsa:2048", "-sha256", "1.2.3.4.5=critical,DER:0500");
    make_certificate(&dir, "p256", "ec -pkeyopt ec_paramgen_curve:P-256", "-sha256", "");
    make_certificate(&dir, "p384", "ec -pkeyopt ec_paramgen_curve:P-384", "-sha384", "");
    make_certificate(&dir, "ed25519", "ed25519", "", "");
    let own = own_certificate(&dir);
    for certificate in ["", "bridge", "v1", "critical", "p256", "p384", "ed25519"] {
        for (option, version) in [("-tls1_2", TlsVersion::Tls12), ("-tls1_3", TlsVersion::Tls13)] {
            let shown = if certificate.is_empty() {
                String::new()
            } else {
                format!("-cert {certificate}.pem -key {certificate}.key")
            };
            let arguments = format!("{option} {shown}");
            let (transport, output) = smol::block_on(handshake(&dir, &own.tls(), true, &arguments));
            let transport = transport.unwrap_or_else(|error| {
                panic!("{arguments}: {error}: {}", String::from_utf8_lossy(&output.stderr));
            });
            let tls = transport.tls().unwrap();
            assert_eq!(tls.version(), version);
            let expected = (!certificate.is_empty()).then(|| dir.der(&format!("{certificate}.pem")).to_vec());
            assert_eq!(tls.peer_certificate(), expected, "{arguments}");
        }
    }
}

#[test]
fn weak_and_unknown_keys_get_nowhere() {
    let dir = Dir::new();
    make_certificate(&dir, "rsa1024", "rsa:1024", "-sha256", "");
    make_certificate(&dir, "p521", "ec -pkeyopt ec_paramgen_curve:P-521", "-sha256", "");
    let own = own_certificate(&dir);
    for certificate in ["rsa1024", "p521"] {
        for version in ["-tls1_2", "-tls1_3"] {
            let arguments =
                format!("{version} -cipher DEFAULT@SECLEVEL=0 -cert {certificate}.pem -key {certificate}.key");
            let (transport, _) = smol::block_on(handshake(&dir, &own.tls(), true, &arguments));
            // OpenSSL has no common signature scheme for P-521 and leaves the certificate out, or the handshake fails.
            let shown = transport.ok().and_then(|transport| transport.tls().unwrap().peer_certificate());
            assert_eq!(shown, None, "{arguments}");
        }
    }
}

#[test]
fn channel_bindings_are_the_ones_openssl_computes() {
    let dir = Dir::new();
    let own = own_certificate(&dir);
    let keymat = "-keymatexport EXPORTER-Channel-Binding -keymatexportlen 32";
    let (transport, output) = smol::block_on(handshake(&dir, &own.tls(), true, &format!("-tls1_3 {keymat}")));
    let transport = transport.unwrap();
    let tls = transport.tls().unwrap();
    let exporter = tls.exporter().unwrap();
    let hex: String = exporter.iter().map(|byte| format!("{byte:02X}")).collect();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains(&format!("Keying material: {hex}")), "{hex} is not in {printed}");
    assert_eq!(tls.server_end_point().unwrap(), Sha256::digest(dir.der("tls-certificate.pem")).to_vec());

    let (transport, _) = smol::block_on(handshake(&dir, &own.tls(), false, "-tls1_2"));
    let transport = transport.unwrap();
    assert_eq!(transport.tls().unwrap().exporter(), None, "tls-exporter is for TLS 1.3");
    assert!(transport.tls().unwrap().server_end_point().is_some());
}

#[test]
fn direct_tls_refuses_other_protocols_and_starttls_ignores_them() {
    let dir = Dir::new();
    let own = own_certificate(&dir);
    for (direct, alpn, accepted) in [
        (true, "", true),
        (true, "-alpn xmpp-client", true),
        (true, "-alpn h2,xmpp-client", true),
        (true, "-alpn h2", false),
        (false, "-alpn h2", true),
    ] {
        let (transport, output) = smol::block_on(handshake(&dir, &own.tls(), direct, alpn));
        assert_eq!(transport.is_ok(), accepted, "{direct} {alpn}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn no_ticket_is_given_and_no_authority_is_named() {
    let dir = Dir::new();
    let own = own_certificate(&dir);
    for version in ["-tls1_2", "-tls1_3"] {
        let (transport, output) = smol::block_on(handshake(&dir, &own.tls(), false, version));
        transport.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            !printed.contains("New Session Ticket arrived") && !printed.contains("TLS session ticket:"),
            "{printed}"
        );
        assert!(printed.contains("No client certificate CA names sent"), "{printed}");
    }
}

/// Shows a certificate and signs with whatever key it was given.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct TrustsAnyServer;

impl ServerCertVerifier for TrustsAnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn client_config(
    version: &'static SupportedProtocolVersion,
    certificate: CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
) -> Arc<ClientConfig> {
    let key = ring::sign::any_supported_type(key).unwrap();
    let certified = Arc::new(CertifiedKey::new(vec![certificate], key));
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustsAnyServer))
        .with_client_cert_resolver(Arc::new(Shows(certified)));
    Arc::new(config)
}

/// Both sides of a handshake over a pair of sockets: what became of the server's, and the client's last word.
async fn pair_handshake(
    tls: &ServerTls,
    config: Arc<ClientConfig>,
) -> (std::io::Result<Transport>, std::io::Result<u8>) {
    let (server, client) = Transport::pair().unwrap();
    let name = ServerName::try_from("a.example").unwrap();
    let client = async {
        let mut stream = TlsConnector::from(config).connect(name, client).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        Ok(byte[0])
    };
    let server = async {
        let mut transport = server.start_tls(tls).await?;
        transport.write_all(b"!").await?;
        transport.flush().await?;
        Ok(transport)
    };
    bounded(smol::future::zip(server, client)).await
}

#[test]
fn a_stolen_certificate_is_refused_with_decrypt_error() {
    let dir = Dir::new();
    make_bridge_certificate(&dir);
    make_certificate(&dir, "thief", "rsa:2048", "-sha256", "");
    make_certificate(&dir, "ed25519", "ed25519", "", "");
    make_certificate(&dir, "thief25519", "ed25519", "", "");
    make_certificate(&dir, "p256", "ec -pkeyopt ec_paramgen_curve:P-256", "-sha256", "");
    let own = own_certificate(&dir);
    for version in [&version::TLS12, &version::TLS13] {
        for (certificate, key, honest) in [
            ("bridge", "bridge", true),
            ("bridge", "thief", false),
            ("ed25519", "ed25519", true),
            ("ed25519", "thief25519", false),
            // Another kind of key altogether.
            ("bridge", "p256", false),
            ("p256", "ed25519", false),
        ] {
            let config =
                client_config(version, dir.der(&format!("{certificate}.pem")), &dir.key(&format!("{key}.key")));
            let (server, client) = smol::block_on(pair_handshake(&own.tls(), config));
            if honest {
                assert_eq!(client.unwrap(), b'!');
                let shown = server.unwrap().tls().unwrap().peer_certificate();
                assert_eq!(shown, Some(dir.der(&format!("{certificate}.pem")).to_vec()));
                continue;
            }
            let fault = Error::InvalidCertificate(CertificateError::BadSignature);
            assert_eq!(server.unwrap_err().to_string(), fault.to_string(), "{certificate} {key}");
            let alert = Error::AlertReceived(AlertDescription::DecryptError);
            assert_eq!(client.unwrap_err().to_string(), alert.to_string(), "{certificate} {key}");
        }
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let dir = Dir::new();
    make_certificate(&dir, "ed25519", "ed25519", "", "");
    let own = own_certificate(&dir);
    let whole = dir.der("ed25519.pem").to_vec();
    let cut = whole.get(..whole.len() / 2).unwrap().to_vec();
    for certificate in [vec![], vec![0x30, 0x00], vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], cut, vec![0xff; 60_000]] {
        let config = client_config(&version::TLS13, certificate.into(), &dir.key("ed25519.key"));
        let (server, _) = smol::block_on(pair_handshake(&own.tls(), config));
        assert!(server.is_err());
    }
}

#[test]
fn the_end_point_is_hashed_as_the_certificate_is_signed() {
    let dir = Dir::new();
    let rsa_pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32";
    make_certificate(&dir, "sha1", "rsa:2048", "-sha1", "");
    make_certificate(&dir, "sha384", "rsa:2048", "-sha384", "");
    make_certificate(&dir, "pss512", "rsa:2048", &format!("-sha512 {rsa_pss}"), "");
    make_certificate(&dir, "ecdsa1", "ec -pkeyopt ec_paramgen_curve:P-256", "-sha1", "");
    make_certificate(&dir, "ecdsa512", "ec -pkeyopt ec_paramgen_curve:P-256", "-sha512", "");
    make_certificate(&dir, "ed25519", "ed25519", "", "");
    let of = |name: &str| tls::end_point_of(&dir.der(&format!("{name}.pem"))).unwrap();
    let der = |name: &str| dir.der(&format!("{name}.pem"));
    assert_eq!(of("sha1"), Some(Sha256::digest(der("sha1")).to_vec()));
    assert_eq!(of("sha384"), Some(Sha384::digest(der("sha384")).to_vec()));
    assert_eq!(of("pss512"), Some(Sha512::digest(der("pss512")).to_vec()));
    assert_eq!(of("ecdsa1"), Some(Sha256::digest(der("ecdsa1")).to_vec()));
    assert_eq!(of("ecdsa512"), Some(Sha512::digest(der("ecdsa512")).to_vec()));
    assert_eq!(of("ed25519"), None);
}

#[test]
fn a_scratch_read_shows_what_arrived_and_then_the_end() {
    smol::block_on(async {
        let (mut left, mut right) = Transport::pair().unwrap();
        let (mut third, mut fourth) = Transport::pair().unwrap();
        right.write_all(b"romeo").await.unwrap();
        fourth.write_all(b"juliet").await.unwrap();
        let mut seen = Vec::new();
        let mut inner = Vec::new();
        let count = poll_fn(|cx| {
            let waker = cx.waker().clone();
            left.poll_read_scratch(cx, |bytes| {
                seen.extend_from_slice(bytes);
                // A read within a read sees its own bytes.
                let mut cx = std::task::Context::from_waker(&waker);
                let _ = third.poll_read_scratch(&mut cx, |bytes| inner.extend_from_slice(bytes));
                assert_eq!(bytes, b"romeo");
            })
        })
        .await;
        assert_eq!((count.unwrap(), seen.as_slice(), inner.as_slice()), (5, &b"romeo"[..], &b"juliet"[..]));

        let nothing =
            poll_fn(|cx| Poll::Ready(left.poll_read_scratch(cx, |_| panic!("nothing has arrived")).is_pending()));
        assert!(nothing.await);
        drop(right);
        let end = poll_fn(|cx| left.poll_read_scratch(cx, |_| panic!("the end has no bytes"))).await;
        assert_eq!(end.unwrap(), 0);
    });
}

#[test]
fn an_end_without_close_notify_is_an_end() {
    let dir = Dir::new();
    make_certificate(&dir, "ed25519", "ed25519", "", "");
    let own = own_certificate(&dir);
    let config = client_config(&version::TLS13, dir.der("ed25519.pem"), &dir.key("ed25519.key"));
    // The client's side is dropped with its socket when the handshake is over.
    let (server, _) = smol::block_on(pair_handshake(&own.tls(), config));
    let mut server = server.unwrap();
    let end = smol::block_on(bounded(poll_fn(|cx| server.poll_read_scratch(cx, |_| panic!("there are no bytes")))));
    assert_eq!(end.unwrap(), 0);
}

#[test]
fn tls_starts_only_once() {
    let dir = Dir::new();
    make_certificate(&dir, "ed25519", "ed25519", "", "");
    let own = own_certificate(&dir);
    let config = client_config(&version::TLS12, dir.der("ed25519.pem"), &dir.key("ed25519.key"));
    let (server, _) = smol::block_on(pair_handshake(&own.tls(), config));
    let again = smol::block_on(server.unwrap().start_tls(&own.tls()));
    assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
