//! A small blocking HTTP/1.1 client that says exactly what a test wants said, sound or not. RFC 9112.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::client::{PATIENCE, Wire, https_config};
use super::node::{DOMAIN, Node};

/// One connection.
pub struct Http {
    wire: BufReader<Wire>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters, in the order they came.
    pub fields: Vec<(String, String)>,
    pub content: Vec<u8>,
}

impl Answer {
    /// The one field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert_eq!(found.next(), None, "{name} comes twice: {self:?}");
        value
    }

    /// What the answer says of its content's length.
    pub fn length(&self) -> usize {
        self.field("content-length").map_or(0, |length| length.parse().expect("a length is a number"))
    }

    /// The content as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).expect("it is text")
    }
}

impl Http {
    /// Connects to a node's web listener, with TLS.
    pub fn to(node: &Node) -> Http {
        Http::try_to(node.address_web()).expect("the web listener takes a connection")
    }

    /// The same where a refusal is expected or allowed.
    pub fn try_to(address: SocketAddr) -> io::Result<Http> {
        let socket = socket(address)?;
        let name = ServerName::try_from(DOMAIN).expect("the domain is a name");
        let connection = ClientConnection::new(https_config(), name).expect("the TLS client can be made");
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
        Ok(Http { wire: BufReader::new(Wire::Tls(Box::new(stream))) })
    }

    /// Connects in the clear, as a reverse proxy does.
    pub fn plain_to(node: &Node) -> Http {
        let socket = socket(node.address_web()).expect("the web listener takes a connection");
        Http { wire: BufReader::new(Wire::Plain(socket)) }
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)], content: &[u8]) -> Answer {
        let length = content.len().to_string();
        let mut all = fields.to_vec();
        if !content.is_empty() {
            all.push(("Content-Length", &length));
        }
        self.send_head(method, path, &all);
        self.send(content).expect("the node takes the request");
        self.answer(method).expect("the node answers")
    }

    /// GET.
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    /// PUT.
    pub fn put(&mut self, path: &str, content: &[u8]) -> Answer {
        self.ask("PUT", path, &[], content)
    }

    /// Sends the head of a request.
    pub fn send_head(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {DOMAIN}\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.send((head + "\r\n").as_bytes()).expect("the node takes the head");
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wire = self.wire.get_mut();
        wire.write_all(bytes)?;
        wire.flush()
    }

    /// Reads an answer with all its content.
    pub fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut answer = self.head()?;
        if method != "HEAD" {
            answer.content = vec![0; answer.length()];
            self.wire.read_exact(&mut answer.content)?;
        }
        Ok(answer)
    }

    /// Reads an answer up to its content.
    pub fn head(&mut self) -> io::Result<Answer> {
        let status = self.line()?;
        let mut words = status.split(' ');
        assert_eq!(words.next(), Some("HTTP/1.1"), "{status:?}");
        let status = words.next().and_then(|word| word.parse().ok()).expect("an answer has a status");
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Answer { status, fields, content: Vec::new() });
            }
            let (name, value) = line.split_once(':').expect("a field has a name");
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads so many bytes of content at most; none at the end of the connection.
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.wire.read(bytes)
    }

    /// Cuts the connection without a word.
    pub fn cut(self) {
        let socket = match self.wire.get_ref() {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &stream.sock,
        };
        socket.shutdown(Shutdown::Both).ok();
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.wire.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
