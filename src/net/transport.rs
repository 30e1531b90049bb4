//! One connection: bytes in, bytes out, in the clear or under TLS. RFC 6120 §3 and §5.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use smol::Async;
use smol::io::{AsyncRead, AsyncWrite};

use super::tls::{ServerTls, TlsStream};

/// A connection that carries one stream. Closes its socket when dropped.
#[derive(Debug)]
pub struct Transport {
    state: State,
    peer: Option<SocketAddr>,
}

#[derive(Debug)]
enum State {
    Plain(Socket),
    // Boxed: the state of TLS is large, and a transport is moved about.
    Tls(Box<TlsStream>),
}

impl Transport {
    /// From an accepted connection. Small writes leave at once (a stanza is a small write, and nothing follows that it could
    /// wait for), and a peer that vanished is noticed in the end.
    pub fn from_tcp(stream: TcpStream) -> io::Result<Transport> {
        let peer = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        // A dual stack socket shows IPv4 peers as mapped addresses.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Ok(Transport { state: State::Plain(Socket::Tcp(Async::new(stream)?)), peer: Some(peer) })
    }

    /// From a local socket, which has no address.
    pub fn from_unix(stream: UnixStream) -> io::Result<Transport> {
        Ok(Transport { state: State::Plain(Socket::Unix(Async::new(stream)?)), peer: None })
    }

    /// Two transports that are connected to each other; for tests without a port.
    pub fn pair() -> io::Result<(Transport, Transport)> {
        let (left, right) = UnixStream::pair()?;
        Ok((Transport::from_unix(left)?, Transport::from_unix(right)?))
    }

    /// The server's side of the handshake after `<proceed/>`. RFC 6120 §5.4.3.1.
    ///
    /// The caller sets the time limit, has flushed `<proceed/>`, and has thrown away what it read behind `<starttls/>`: RFC
    /// 6120 §5.3.4 wants no byte between the two, and such bytes must not be taken for part of the protected stream. Fails if
    /// the handshake does, with what rustls says of it, and if the transport has TLS already.
    pub async fn start_tls(self, tls: &ServerTls) -> io::Result<Transport> {
        let socket = self.state.into_plain()?;
        let stream = tls.accept_starttls(socket).await?;
        Ok(Transport { state: State::Tls(Box::new(stream)), peer: self.peer })
    }

    /// The server's side of the handshake on a connection that begins with TLS. XEP-0368. As [`Transport::start_tls`], and
    /// refuses who asks for another protocol than `xmpp-client`.
    pub async fn start_direct_tls(self, tls: &ServerTls) -> io::Result<Transport> {
        let socket = self.state.into_plain()?;
        let stream = tls.accept_direct(socket).await?;
        Ok(Transport { state: State::Tls(Box::new(stream)), peer: self.peer })
    }

    /// The server's side of the handshake of HTTPS. As [`Transport::start_direct_tls`], for `http/1.1`, and asks for no
    /// certificate.
    pub async fn start_https(self, tls: &ServerTls) -> io::Result<Transport> {
        let socket = self.state.into_plain()?;
        let stream = tls.accept_https(socket).await?;
        Ok(Transport { state: State::Tls(Box::new(stream)), peer: self.peer })
    }

    /// What TLS can tell of the connection, once there is TLS.
    pub fn tls(&self) -> Option<&TlsStream> {
        match &self.state {
            State::Plain(_) => None,
            State::Tls(stream) => Some(stream),
        }
    }

    /// The other side's address and port, an IPv4 one never as mapped IPv6; `None` for a local socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Reads what has arrived, at most 16 KiB, into a buffer that all transports of the thread share, and shows it to `take`
    /// at once. So a connection that waits owns no buffer. 0 bytes, for which `take` is not called, is the end: the other
    /// side has closed, with TLS's close_notify or without.
    pub fn poll_read_scratch(&mut self, cx: &mut Context<'_>, take: impl FnOnce(&[u8])) -> Poll<io::Result<usize>> {
        // Taken out, not borrowed: should `take` read from another transport, that one makes a buffer of its own.
        let mut scratch = SCRATCH.take().unwrap_or_else(|| vec![0; SCRATCH_BYTES].into_boxed_slice());
        let outcome = Pin::new(&mut *self).poll_read(cx, &mut scratch);
        if let Poll::Ready(Ok(count)) = &outcome
            && let Some(bytes) = scratch.get(..*count)
            && !bytes.is_empty()
        {
            take(bytes);
        }
        SCRATCH.set(Some(scratch));
        outcome
    }

    fn socket(&self) -> &Socket {
        match &self.state {
            State::Plain(socket) => socket,
            State::Tls(stream) => stream.socket(),
        }
    }

    /// The local address and port the peer connected to; `None` for a local socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self.socket() {
            Socket::Tcp(stream) => stream.get_ref().local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }
}

impl State {
    fn into_plain(self) -> io::Result<Socket> {
        match self {
            State::Plain(socket) => Ok(socket),
            State::Tls(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "the connection has TLS already")),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().state {
            State::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

/// Flush after writing: TLS keeps what the socket did not take.
impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().state {
            State::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().state {
            State::Plain(socket) => Pin::new(socket).poll_flush(cx),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    /// Sends close_notify where there is TLS, then shuts the sending side down; reading goes on.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().state {
            State::Plain(socket) => Pin::new(socket).poll_close(cx),
            State::Tls(stream) => Pin::new(stream.as_mut()).poll_close(cx),
        }
    }
}

/// A socket of either family.
pub(super) enum Socket {
    Tcp(Async<TcpStream>),
    Unix(Async<UnixStream>),
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Socket::Tcp(_) => "Tcp",
            Socket::Unix(_) => "Unix",
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_close(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// As much as one record of TLS can hold.
const SCRATCH_BYTES: usize = 16 * 1024;
