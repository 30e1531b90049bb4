//! Another server played by hand, over TLS from the first byte: it dials or is dialled, and then does what the test wants.

#![allow(dead_code)] // Each test binary uses its own part of this.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kontalk_node::xml::{Element, Frame, Framer, FramerLimits, ns};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use super::authority::Issued;
use super::support::client::AnyServer;

/// A server that can be dialled.
pub struct PeerServer {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    domain: &'static str,
}

/// One stream with the node.
pub struct Peer {
    wire: Wire,
    framer: Framer,
    domain: &'static str,
    /// Stanzas received.
    pub received: u32,
}

enum Wire {
    Accepted(Box<StreamOwned<ServerConnection, TcpStream>>),
    Dialled(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl PeerServer {
    /// Listens for direct TLS on its usual port of this address.
    pub fn bind(ip: IpAddr, issued: &Issued, domain: &'static str) -> PeerServer {
        let (chain, key) = parsed(issued);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate");
        let listener = TcpListener::bind((ip, 5270)).expect("the port is free");
        PeerServer { listener, config: Arc::new(config), domain }
    }

    /// Waits for the node to dial, and lets it in. With `counts` the stream has acknowledgements (XEP-0198).
    pub fn accept(&self, counts: bool) -> Peer {
        self.listener.set_nonblocking(true).expect("it can be asked");
        let until = Instant::now() + Duration::from_secs(30);
        let socket = loop {
            match self.listener.accept() {
                Ok((socket, _)) => break socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < until, "the node does not dial");
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        };
        socket.set_nonblocking(false).expect("it can wait");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        socket.set_write_timeout(Some(PATIENCE)).expect("a limit");
        let connection = ServerConnection::new(self.config.clone()).expect("TLS");
        let wire = Wire::Accepted(Box::new(StreamOwned::new(connection, socket)));
        let mut peer = Peer { wire, framer: Framer::new(LIMITS), domain: self.domain, received: 0 };
        peer.let_in(counts);
        peer
    }
}

impl Peer {
    /// Dials the node's port for direct TLS as this domain, with its certificate, and authenticates.
    pub fn dial(node: SocketAddr, issued: &Issued, domain: &'static str, to: &'static str) -> Peer {
        let (mut peer, features) = Peer::knock(node, issued, domain, to);
        assert!(features.child("mechanisms", ns::SASL).is_some(), "{features:?}");
        peer.authenticate(to);
        peer
    }

    /// Proves who it is by its certificate.
    pub fn authenticate(&mut self, to: &str) {
        self.send(&format!("<auth xmlns='{}' mechanism='EXTERNAL'>=</auth>", ns::SASL));
        assert!(self.next().expect("an answer").is("success", ns::SASL));
        self.framer.restart();
        self.send(&header(self.domain, to, ""));
        self.features();
    }

    /// Dials and says who it is. Gives what the node offers, or its error.
    pub fn knock(node: SocketAddr, issued: &Issued, domain: &'static str, to: &'static str) -> (Peer, Element) {
        let (chain, key) = parsed(issued);
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer))
            .with_client_auth_cert(chain, key)
            .expect("a certificate");
        let socket = TcpStream::connect(node).expect("the node listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let name = ServerName::try_from(to).expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("TLS");
        let wire = Wire::Dialled(Box::new(StreamOwned::new(connection, socket)));
        let mut peer = Peer { wire, framer: Framer::new(LIMITS), domain, received: 0 };
        peer.send(&header(domain, to, ""));
        let features = peer.features();
        (peer, features)
    }

    fn let_in(&mut self, counts: bool) {
        self.expect_header();
        let external = format!("<mechanisms xmlns='{}'><mechanism>EXTERNAL</mechanism></mechanisms>", ns::SASL);
        self.answer_header(&external);
        assert!(self.next().expect("authentication").is("auth", ns::SASL));
        self.send(&format!("<success xmlns='{}'/>", ns::SASL));
        self.framer.restart();
        self.expect_header();
        self.answer_header(if counts { "<sm xmlns='urn:xmpp:sm:3'/>" } else { "" });
        if counts {
            assert!(self.next().expect("a wish").is("enable", ns::SM));
            self.send("<enabled xmlns='urn:xmpp:sm:3'/>");
        }
    }

    fn answer_header(&mut self, features: &str) {
        let header = header(self.domain, "verona.test", " id='by-hand'");
        self.send(&format!("{header}<stream:features>{features}</stream:features>"));
    }

    fn expect_header(&mut self) {
        match self.frame() {
            Ok(Frame::Header(_)) => {}
            other => panic!("a header was expected: {other:?}"),
        }
    }

    fn features(&mut self) -> Element {
        self.expect_header();
        self.next().expect("features")
    }

    /// Says this.
    pub fn send(&mut self, text: &str) {
        let written = match &mut self.wire {
            Wire::Accepted(stream) => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
            Wire::Dialled(stream) => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
        };
        written.expect("the node takes it");
    }

    /// The next element; stanzas are counted.
    pub fn next(&mut self) -> io::Result<Element> {
        match self.frame()? {
            Frame::Element(element) => {
                self.received += u32::from(element.namespace() == ns::SERVER);
                Ok(element)
            }
            Frame::End => Err(ErrorKind::UnexpectedEof.into()),
            Frame::Header(_) => panic!("a second header"),
        }
    }

    /// The next stanza; questions whether they arrived are answered with what was received.
    pub fn next_stanza(&mut self) -> io::Result<Element> {
        loop {
            let element = self.next()?;
            if element.is("r", ns::SM) {
                self.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.received));
            } else {
                return Ok(element);
            }
        }
    }

    /// The connection breaks off: nothing more of what is under way arrives, and the other side is told by a reset.
    pub fn reset(self) {
        let socket = match &self.wire {
            Wire::Accepted(stream) => &stream.sock,
            Wire::Dialled(stream) => &stream.sock,
        };
        rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO)).expect("it can be set");
    }

    fn frame(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = self.framer.next_frame().map_err(io::Error::other)? {
                return Ok(frame);
            }
            let mut buffer = [0; 16 * 1024];
            let count = match &mut self.wire {
                Wire::Accepted(stream) => stream.read(&mut buffer)?,
                Wire::Dialled(stream) => stream.read(&mut buffer)?,
            };
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.framer.push(&buffer[..count]);
        }
    }
}

fn header(from: &str, to: &str, more: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' from='{from}' to='{to}'{more} version='1.0'>",
        ns::SERVER,
        ns::STREAM
    )
}

fn parsed(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key"))
}

const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: FramerLimits = FramerLimits { element_bytes_max: 1 << 20, depth_max: 64 };
