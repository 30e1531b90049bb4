//! A blocking XMPP client over one socket: connecting, TLS, whole elements in and out, stream management's counting.
//! Logging in is in `login`, what a session says in `stanzas`, registration in `registration`.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kontalk_node::jid::FullJid;
use kontalk_node::xml::{Element, Frame, Framer, FramerLimits, ns};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::node::{DOMAIN, Node};

/// The longest that one read or write may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The one TLS version that a connection may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    V12,
    V13,
}

/// A certificate that the client shows, and its key. Nothing about it is checked on this side.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    pub certificate_der: Vec<u8>,
    pub private_key_pkcs8_der: Vec<u8>,
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct Connect {
    pub address: SocketAddr,
    /// The domain that the client means.
    pub domain: &'static str,
    /// TLS from the first byte; else STARTTLS.
    pub direct: bool,
    pub version: TlsVersion,
    pub certificate: Option<ClientCertificate>,
    /// The address of this machine that it comes from; else the system's choice.
    pub from: Option<IpAddr>,
}

impl Connect {
    /// STARTTLS and TLS 1.3, no certificate: what a modern client does by default.
    pub fn to(node: &Node) -> Connect {
        Connect {
            address: node.address,
            domain: node.domain(),
            direct: false,
            version: TlsVersion::V13,
            certificate: None,
            from: None,
        }
    }

    /// TLS 1.3 from the first byte.
    pub fn direct_to(node: &Node) -> Connect {
        Connect { address: node.address_tls, direct: true, ..Connect::to(node) }
    }

    #[must_use]
    pub fn version(mut self, version: TlsVersion) -> Connect {
        self.version = version;
        self
    }

    #[must_use]
    pub fn certificate(mut self, certificate: ClientCertificate) -> Connect {
        self.certificate = Some(certificate);
        self
    }
}

/// Why nothing more came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection is gone, without the stream's end.
    Closed,
    /// The stream ended in order.
    Ended,
    /// A stream error, by its condition.
    StreamError(String),
    /// Nothing came in time.
    Silent,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Stream management of one session. XEP-0198.
#[derive(Clone, Debug, Default)]
pub struct Sm {
    /// What to resume with, when the node allows it.
    pub token: Option<String>,
    /// Stanzas handled that the node sent.
    pub handled: u32,
    /// Stanzas sent to the node.
    pub sent: u32,
    /// How many of these it has acknowledged.
    pub acked: u32,
}

/// One client connection.
pub struct Client {
    pub(super) wire: Wire,
    pub(super) framer: Framer,
    /// The domain of its node.
    pub domain: &'static str,
    /// The stream features last seen.
    pub features: Element,
    /// The full JID, once bound.
    pub jid: Option<FullJid>,
    /// Stream management, once enabled.
    pub sm: Option<Sm>,
    /// Answer the node's `<r/>` at once. Without it the test acknowledges with [`Client::acknowledge`].
    pub auto_ack: bool,
    /// What was read while something else was awaited, in order.
    pub(super) inbox: VecDeque<Element>,
    pub(super) ids: u32,
}

pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

fn socket(address: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let Some(from) = from else { return TcpStream::connect_timeout(&address, PATIENCE) };
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::new(from, 0))?;
    connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}

impl Client {
    /// Connects and negotiates TLS, up to the features of the unauthenticated stream.
    pub fn connect(how: &Connect) -> Client {
        Client::try_connect(how).unwrap_or_else(|error| panic!("no connection ({how:?}): {error}"))
    }

    /// The same where a refusal is expected or allowed.
    pub fn try_connect(how: &Connect) -> Result<Client, Lost> {
        let socket = socket(how.address, how.from).map_err(|_| Lost::Closed)?;
        let mut client = Client::on(socket).map_err(|_| Lost::Closed)?;
        client.domain = how.domain;
        if !how.direct {
            client.try_open_stream()?;
            client.try_send_raw(&format!("<starttls xmlns='{}'/>", ns::TLS))?;
            let answer = client.try_next()?;
            assert!(answer.is("proceed", ns::TLS), "STARTTLS was refused: {answer:?}");
        }
        client.start_tls(how)?;
        client.try_open_stream()?;
        Ok(client)
    }

    /// A bare TCP connection on which nothing was said yet.
    pub fn connect_plain(address: SocketAddr) -> io::Result<Client> {
        Client::on(socket(address, None)?)
    }

    fn on(socket: TcpStream) -> io::Result<Client> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Client {
            wire: Wire::Plain(socket),
            domain: DOMAIN,
            framer: Framer::new(LIMITS),
            features: Element::new("features", ns::STREAM),
            jid: None,
            sm: None,
            auto_ack: true,
            inbox: VecDeque::new(),
            ids: 0,
        })
    }

    /// Sends a stream header and reads the node's, and its features.
    pub fn try_open_stream(&mut self) -> Result<(), Lost> {
        self.framer.restart();
        self.try_send_raw(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' to='{}' version='1.0' xml:lang='en'>",
            ns::CLIENT,
            ns::STREAM,
            self.domain
        ))?;
        match self.read_frame()? {
            Frame::Header(header) => assert_eq!(header.root.attribute("from"), Some(self.domain)),
            other => panic!("expected a stream header, got {other:?}"),
        }
        self.features = self.try_next()?;
        assert!(self.features.is("features", ns::STREAM), "expected stream features, got {:?}", self.features);
        Ok(())
    }

    /// Sends text as it is; nothing is counted.
    pub fn send_raw(&mut self, text: &str) {
        self.try_send_raw(text).expect("the connection takes what is sent");
    }

    /// The same where the connection may be gone.
    pub fn try_send_raw(&mut self, text: &str) -> Result<(), Lost> {
        self.wire.write_all(text.as_bytes()).and_then(|()| self.wire.flush()).map_err(|_| Lost::Closed)
    }

    /// Sends one element; a stanza is counted for stream management.
    pub fn send(&mut self, xml: &str) {
        self.try_send(xml).expect("the connection takes what is sent");
    }

    /// The same where the connection may be gone.
    pub fn try_send(&mut self, xml: &str) -> Result<(), Lost> {
        let stanza = ["<message", "<presence", "<iq"].iter().any(|name| xml.starts_with(name));
        self.try_send_many(xml, u32::from(stanza))
    }

    /// Sends text that holds this many stanzas.
    pub fn try_send_many(&mut self, xml: &str, stanzas: u32) -> Result<(), Lost> {
        if let Some(sm) = &mut self.sm {
            sm.sent = sm.sent.wrapping_add(stanzas);
        }
        self.try_send_raw(xml)
    }

    /// The next element: what is queued first, then from the wire. Stream management's own elements are dealt with here.
    pub fn next(&mut self) -> Element {
        self.try_next().unwrap_or_else(|lost| panic!("expected an element, but: {lost}"))
    }

    /// The same where the stream may end.
    pub fn try_next(&mut self) -> Result<Element, Lost> {
        match self.inbox.pop_front() {
            Some(element) => Ok(element),
            None => loop {
                if let Some(element) = self.read_element()? {
                    return Ok(element);
                }
            },
        }
    }

    /// The first element that `wanted` says yes to. Others stay queued in their order.
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Element) -> bool) -> Element {
        self.try_expect(&wanted)
            .unwrap_or_else(|lost| panic!("expected {what}, but: {lost}; waiting: {:#?}", self.inbox))
    }

    /// The same where the stream may end.
    pub fn try_expect(&mut self, wanted: impl Fn(&Element) -> bool) -> Result<Element, Lost> {
        if let Some(at) = self.inbox.iter().position(&wanted) {
            return Ok(self.inbox.remove(at).expect("it was just found"));
        }
        loop {
            match self.read_element()? {
                Some(element) if wanted(&element) => return Ok(element),
                Some(element) => self.inbox.push_back(element),
                None => {}
            }
        }
    }

    /// Puts an element back, behind what is queued.
    pub fn put_back(&mut self, element: Element) {
        self.inbox.push_back(element);
    }

    /// Takes all that was read and not asked for.
    pub fn take_inbox(&mut self) -> Vec<Element> {
        self.inbox.drain(..).collect()
    }

    /// One element, from the wire only; `None` where what came was stream management's own.
    pub fn read_element(&mut self) -> Result<Option<Element>, Lost> {
        let element = match self.read_frame()? {
            Frame::Element(element) => element,
            Frame::End => return Err(Lost::Ended),
            Frame::Header(_) => panic!("a stream header in the middle of a stream"),
        };
        if element.is("error", ns::STREAM) {
            let condition = element.children().find(|child| child.namespace() == ns::STREAM_ERRORS);
            return Err(Lost::StreamError(condition.map_or("none", Element::name).to_owned()));
        }
        if element.is("a", ns::SM) {
            let h = element.attribute("h").and_then(|h| h.parse().ok()).expect("<a/> has a number");
            let sm = self.sm.as_mut().expect("an <a/> comes only with stream management");
            assert!(h <= sm.sent, "the node acknowledged {h} stanzas of {}", sm.sent);
            assert!(h >= sm.acked, "the node took an acknowledgement back: {h} after {}", sm.acked);
            sm.acked = h;
            return Ok(None);
        }
        if element.is("r", ns::SM) {
            if self.auto_ack {
                self.acknowledge()?;
            }
            return Ok(None);
        }
        if let (Some(sm), true) = (&mut self.sm, element.namespace() == ns::CLIENT) {
            sm.handled = sm.handled.wrapping_add(1);
        }
        Ok(Some(element))
    }

    /// The next element from the wire, whatever it is, stream management's and stream errors too; nothing is counted.
    pub fn read_any(&mut self) -> Result<Element, Lost> {
        match self.read_frame()? {
            Frame::Element(element) => Ok(element),
            Frame::End => Err(Lost::Ended),
            Frame::Header(_) => panic!("a stream header in the middle of a stream"),
        }
    }

    /// Tells the node what was handled. XEP-0198 §4.
    pub fn acknowledge(&mut self) -> Result<(), Lost> {
        let h = self.sm.as_ref().expect("stream management is on").handled;
        self.try_send_raw(&format!("<a xmlns='{}' h='{h}'/>", ns::SM))
    }

    /// Asks the node until it has acknowledged all that was sent.
    pub fn wait_acked(&mut self) {
        self.try_wait_acked(0).unwrap_or_else(|lost| panic!("not acknowledged: {lost}"));
    }

    /// Asks the node and waits until at most `open` of the stanzas sent are unacknowledged. What else comes is queued.
    pub fn try_wait_acked(&mut self, open: u32) -> Result<(), Lost> {
        self.try_send_raw(&format!("<r xmlns='{}'/>", ns::SM))?;
        while self.sm.as_ref().is_some_and(|sm| sm.sent - sm.acked > open) {
            if let Some(element) = self.read_element()? {
                self.inbox.push_back(element);
            }
        }
        Ok(())
    }

    /// Waits for the end of the stream and gives how it came. What came before it is dropped.
    pub fn expect_end(&mut self) -> Lost {
        loop {
            match self.read_element() {
                Ok(_) => {}
                Err(Lost::Silent) => panic!("the node did not end the stream"),
                Err(lost) => return lost,
            }
        }
    }

    /// Closes the stream in order and waits for the node to do so too.
    pub fn close(mut self) {
        // XEP-0198 §4: what was received is acknowledged before the stream ends, or it would come again.
        if self.sm.is_some() && self.auto_ack {
            self.acknowledge().ok();
        }
        if self.try_send_raw("</stream:stream>").is_ok() {
            self.expect_end();
        }
    }

    /// Cuts the connection without a word, as a lost network does once the node notices.
    pub fn cut(self) -> Option<Sm> {
        self.socket().shutdown(Shutdown::Both).ok();
        self.sm
    }

    /// How long a read waits.
    pub fn set_patience(&mut self, patience: Duration) {
        self.socket().set_read_timeout(Some(patience)).expect("the socket takes a time limit");
    }

    /// The TLS connection.
    pub fn tls(&self) -> &ClientConnection {
        match &self.wire {
            Wire::Tls(stream) => &stream.conn,
            Wire::Plain(_) => panic!("TLS was not started"),
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    pub(super) fn start_tls(&mut self, how: &Connect) -> Result<(), Lost> {
        let socket = self.socket().try_clone().map_err(|_| Lost::Closed)?;
        let name = ServerName::try_from(self.domain).expect("the domain is a name");
        let connection = ClientConnection::new(tls_config(how), name).expect("the TLS client can be made");
        self.wire = Wire::Tls(Box::new(StreamOwned::new(connection, socket)));
        self.framer.restart_discarding();
        Ok(())
    }

    pub(super) fn read_frame(&mut self) -> Result<Frame, Lost> {
        loop {
            match self.framer.next_frame() {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => panic!("the node sent something that is no stream: {error}"),
            }
            let mut buffer = [0; 16 * 1024];
            match self.wire.read(&mut buffer) {
                Ok(0) => return Err(Lost::Closed),
                Ok(read) => self.framer.push(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Lost::Silent);
                }
                Err(_) => return Err(Lost::Closed),
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}

/// Did some node's request for a client certificate name authorities? Java's key managers then send no certificate at all
/// (Kontalk, the bridge certificate: the list must be empty).
pub fn authorities_were_named() -> bool {
    AUTHORITIES_NAMED.load(Ordering::SeqCst)
}

/// The client's side of HTTPS.
pub(super) fn https_config() -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().expect("the provider knows both versions");
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer));
    let mut config = builder.with_no_client_auth();
    // As browsers do: they would take HTTP/2, too.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn tls_config(how: &Connect) -> Arc<ClientConfig> {
    let versions: &[&rustls::SupportedProtocolVersion] = match how.version {
        TlsVersion::V12 => &[&rustls::version::TLS12],
        TlsVersion::V13 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("the provider knows both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    let mut config = match &how.certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => builder.with_client_cert_resolver(Arc::new(OneCertificate::new(certificate))),
    };
    if how.direct {
        // XEP-0368 §3.
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    }
    // Each connection is a full handshake, as the measurements and the certificate tests want.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// Shows the certificate whatever the node asks for: bridge certificates fit no authority and no rule.
#[derive(Debug)]
struct OneCertificate(Arc<CertifiedKey>);

impl OneCertificate {
    fn new(certificate: &ClientCertificate) -> OneCertificate {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.private_key_pkcs8_der.clone()));
        let key = provider().key_provider.load_private_key(key).expect("the client's key can be used");
        let chain = vec![CertificateDer::from(certificate.certificate_der.clone())];
        OneCertificate(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl ResolvesClientCert for OneCertificate {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if !authorities.is_empty() {
            AUTHORITIES_NAMED.store(true, Ordering::SeqCst);
        }
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Believes any certificate of a server, but still wants proof that it has the key.
#[derive(Debug)]
pub struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

static AUTHORITIES_NAMED: AtomicBool = AtomicBool::new(false);
const LIMITS: FramerLimits = FramerLimits { element_bytes_max: 1024 * 1024, depth_max: 64 };
