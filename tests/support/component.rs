//! A component as a program beside the node: it shows its secret and speaks for its domain. XEP-0114.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use kontalk_node::xml::{Element, Frame, Framer, FramerLimits, ns};
use sha1::{Digest, Sha1};

use super::client::{Lost, PATIENCE};
use super::node::{DOMAIN, Node, NodeOptions};
use super::secret;

/// The secret of all test components.
pub const SECRET: &str = "a-component-knows-this";

/// Options for a node on which these domains may be components'.
pub fn with_components(domains: &[&str]) -> NodeOptions {
    let mut options = NodeOptions::default();
    options.files.push(("component.secret".to_owned(), format!("{}\n", secret(SECRET))));
    options.add_config("components.listen = [\"127.0.0.1:0\"]");
    let files: Vec<String> = domains.iter().map(|domain| format!("\"{domain}\" = \"component.secret\"")).collect();
    options.add_config(&format!("components.secret_files = {{ {} }}", files.join(", ")));
    options
}

/// Where components connect, by what the node has printed after so many lines.
pub fn port_of(node: &Node, since: usize) -> SocketAddr {
    let line = node.log_says_since(since, "listening for components on ");
    line.rsplit(' ').next().and_then(|address| address.parse().ok()).expect("an address")
}

/// One component's connection.
pub struct Component {
    socket: TcpStream,
    framer: Framer,
    inbox: VecDeque<Element>,
    pub domain: String,
    /// What the handshake is made of.
    pub stream_id: String,
}

impl Component {
    /// Connects and serves a domain.
    pub fn serve(node: &Node, domain: &str) -> Component {
        Component::serve_since(node, domain, 0)
    }

    /// The same on the port that was printed after so many lines.
    pub fn serve_since(node: &Node, domain: &str, since: usize) -> Component {
        let address = port_of(node, since);
        let mut component = Component::connect(address, domain, domain).expect("the domain is known");
        component.shake_hands(SECRET).expect("the handshake is right");
        component
    }

    /// A stream to `to` on which the handshake is next.
    pub fn greet(node: &Node, domain: &str, to: &str) -> Result<Component, Lost> {
        Component::connect(port_of(node, 0), domain, to)
    }

    fn connect(address: SocketAddr, domain: &str, to: &str) -> Result<Component, Lost> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).map_err(|_| Lost::Closed)?;
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        let framer = Framer::new(FramerLimits { element_bytes_max: 1024 * 1024, depth_max: 64 });
        let mut component =
            Component { socket, framer, inbox: VecDeque::new(), domain: domain.to_owned(), stream_id: String::new() };
        component.send(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' to='{to}'>",
            ns::COMPONENT,
            ns::STREAM
        ));
        match component.frame()? {
            Frame::Header(header) => {
                component.stream_id = header.root.attribute("id").expect("the stream has an id").to_owned();
            }
            other => panic!("expected a stream header, got {other:?}"),
        }
        Ok(component)
    }

    /// Shows that it knows the secret.
    pub fn shake_hands(&mut self, secret: &str) -> Result<(), Lost> {
        let hash = Sha1::digest(format!("{}{secret}", self.stream_id));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.send(&format!("<handshake>{hex}</handshake>"));
        let answer = self.try_next()?;
        assert!(answer.is("handshake", ns::CLIENT), "{answer:?}");
        Ok(())
    }

    /// Sends text as it is. A connection that is gone is noticed when reading.
    pub fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).ok();
    }

    /// The next element, as a client would see it, what is queued first.
    pub fn try_next(&mut self) -> Result<Element, Lost> {
        match self.inbox.pop_front() {
            Some(element) => Ok(element),
            None => self.read(),
        }
    }

    /// The first element that `wanted` says yes to. Others stay queued in their order.
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Element) -> bool) -> Element {
        if let Some(at) = self.inbox.iter().position(&wanted) {
            return self.inbox.remove(at).expect("it was just found");
        }
        loop {
            match self.read() {
                Ok(element) if wanted(&element) => return element,
                Ok(element) => self.inbox.push_back(element),
                Err(lost) => panic!("expected {what}, but: {lost}; waiting: {:#?}", self.inbox),
            }
        }
    }

    /// All that came up to now: a ping to the node and back is the barrier. XEP-0199.
    pub fn drain(&mut self) -> Vec<Element> {
        let domain = self.domain.clone();
        self.send(&format!(
            "<iq type='get' id='barrier' from='{domain}' to='{DOMAIN}'><ping xmlns='{}'/></iq>",
            ns::PING
        ));
        self.expect("the answer to a ping", |el| el.is("iq", ns::CLIENT) && el.attribute("id") == Some("barrier"));
        self.inbox.drain(..).collect()
    }

    /// How the stream ends.
    pub fn expect_end(&mut self) -> Lost {
        loop {
            match self.read() {
                Ok(_) => {}
                Err(Lost::Silent) => panic!("the node did not end the component's stream"),
                Err(lost) => return lost,
            }
        }
    }

    fn read(&mut self) -> Result<Element, Lost> {
        match self.frame()? {
            Frame::Element(element) if element.is("error", ns::STREAM) => {
                let condition = element.children().find(|child| child.namespace() == ns::STREAM_ERRORS);
                Err(Lost::StreamError(condition.map_or("none", Element::name).to_owned()))
            }
            Frame::Element(mut element) => {
                element.move_namespace(ns::COMPONENT, ns::CLIENT);
                Ok(element)
            }
            Frame::End => Err(Lost::Ended),
            Frame::Header(_) => panic!("a second stream header"),
        }
    }

    fn frame(&mut self) -> Result<Frame, Lost> {
        loop {
            if let Some(frame) = self.framer.next_frame().expect("the node writes XML") {
                return Ok(frame);
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes) {
                Ok(0) => return Err(Lost::Closed),
                Ok(count) => self.framer.push(&bytes[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Lost::Silent);
                }
                Err(_) => return Err(Lost::Closed),
            }
        }
    }
}
