//! Listening: binding addresses, accepting connections.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use smol::{Async, Timer};

use super::transport::Transport;
use crate::limits::Backoff;

/// Binds all addresses, or says of every one that cannot be bound why.
///
/// `[::]` takes IPv4 connections too, unless `0.0.0.0` with the same port is in the list. Where the machine has no IPv6,
/// `[::]` becomes `0.0.0.0`, and `[::1]` is left out if `127.0.0.1` is there. Port 0 is any free port
/// ([`Listener::local_addr`]).
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<Listener>, Vec<BindError>> {
    let mut listeners = Vec::new();
    let mut errors = Vec::new();
    for &address in addresses {
        match bind_one(address, addresses) {
            Ok(Some(listener)) => listeners.push(listener),
            Ok(None) => log::debug!("this machine has no IPv6: not listening on {address}"),
            Err(error) => errors.push(BindError { address, error }),
        }
    }
    if errors.is_empty() { Ok(listeners) } else { Err(errors) }
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    socket: Async<TcpListener>,
    address: SocketAddr,
    backoff: Backoff,
    /// Whether the present trouble has been logged.
    complained: bool,
}

impl Listener {
    /// The address, with the port that was chosen where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. Waits out the lack of file descriptors or memory, longer each time and saying so once. To be
    /// dropped at will: no connection is lost.
    pub async fn accept(&mut self) -> Transport {
        loop {
            let accepted = self.socket.accept().await;
            match accepted.and_then(|(stream, _)| Transport::from_tcp(stream.into_inner()?)) {
                Ok(transport) => {
                    self.backoff.succeeded();
                    self.complained = false;
                    return transport;
                }
                Err(error) if is_peers_fault(&error) => {
                    log::debug!("a connection was gone before it was accepted: {error}")
                }
                Err(error) => self.wait(&error).await,
            }
        }
    }

    async fn wait(&mut self, error: &io::Error) {
        if !self.complained {
            self.complained = true;
            log::warn!(
                "connections on {} wait: {error} (remedy: raise LimitNOFILE= in the unit if it is about open files)",
                self.address
            );
        }
        // Nothing else waits for the same thing, so the wait needs no randomness.
        Timer::after(self.backoff.failed(u32::MAX)).await;
    }
}

/// An address that could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, port) = (self.address.ip(), self.address.port());
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "port {port} on {ip} is in use (remedy: `ss -ltnp 'sport = :{port}'` names the program; stop it, or listen on another port)"
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "port {port} on {ip} is for privileged programs (remedy: a port from 1024 up, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit)"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "{ip} is not an address of this machine (remedy: `ip address` lists them; \"[::]:{port}\" listens on all)"
            ),
            _ => write!(f, "cannot listen on port {port} of {ip}: {}", self.error),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// `None`: not needed on this machine.
fn bind_one(address: SocketAddr, all: &[SocketAddr]) -> io::Result<Option<Listener>> {
    let bound = match listen_on(address, all) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if address.is_ipv6() && address.ip().is_unspecified() => {
            let all_of_ipv4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            if all.contains(&all_of_ipv4) {
                return Ok(None);
            }
            log::info!("this machine has no IPv6: listening on {all_of_ipv4} instead of {address}");
            listen_on(all_of_ipv4, all)
        }
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
            if address.is_ipv6()
                && address.ip().is_loopback()
                && all.iter().any(|other| other.is_ipv4() && other.ip().is_loopback()) =>
        {
            return Ok(None);
        }
        other => other,
    };
    let listener = bound?;
    let address = listener.local_addr()?;
    let backoff = Backoff::new(ACCEPT_PAUSE_FIRST, ACCEPT_PAUSE_LONGEST);
    Ok(Some(Listener { socket: Async::new(listener)?, address, backoff, complained: false }))
}

/// By hand, since the standard library leaves to the system whether an IPv6 socket is dual stack.
fn listen_on(address: SocketAddr, all: &[SocketAddr]) -> Result<TcpListener, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A restarted node must not wait for the old one's connections to be forgotten.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        let ipv4_has_its_own =
            all.iter().any(|other| other.is_ipv4() && other.ip().is_unspecified() && other.port() == address.port());
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified() || ipv4_has_its_own)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// accept(2) hands on what went wrong with the connection it would have returned; the listener is well.
fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

/// Connections the system may hold for us; all clients come back at once after a restart.
const BACKLOG: i32 = 1024;
/// The first pause after a failed accept.
const ACCEPT_PAUSE_FIRST: Duration = Duration::from_millis(50);
/// The longest: somebody may have closed a connection meanwhile.
const ACCEPT_PAUSE_LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use smol::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_free_port_is_found_and_connections_come_in_with_their_address() {
        smol::block_on(async {
            let mut listeners = bind(&[address("127.0.0.1:0")]).unwrap();
            let listener = listeners.first_mut().unwrap();
            assert_ne!(listener.local_addr().port(), 0);
            let client = TcpStream::connect(listener.local_addr()).unwrap();
            let mut server = listener.accept().await;
            assert_eq!(server.peer(), Some(client.local_addr().unwrap()));
            assert_eq!(server.local_addr(), Some(listener.local_addr()));
            let mut client = Async::new(client).unwrap();
            client.write_all(b"hello").await.unwrap();
            let mut buffer = [0; 5];
            server.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"hello");
        });
    }

    #[test]
    fn all_faults_are_told_at_once_with_their_remedies() {
        let first = bind(&[address("127.0.0.1:0")]).unwrap();
        let taken = first.first().unwrap().local_addr();
        let errors = bind(&[taken, address("203.0.113.1:5222")]).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let port = taken.port();
        assert_eq!(
            texts,
            [
                format!(
                    "port {port} on 127.0.0.1 is in use (remedy: `ss -ltnp 'sport = :{port}'` names the program; stop it, or listen on another port)"
                ),
                "203.0.113.1 is not an address of this machine (remedy: `ip address` lists them; \"[::]:5222\" listens on all)"
                    .to_owned(),
            ]
        );
    }

    #[test]
    fn an_ipv4_peer_of_a_dual_stack_listener_has_an_ipv4_address() {
        smol::block_on(async {
            let mut listeners = bind(&[address("[::]:0")]).unwrap();
            let listener = listeners.first_mut().unwrap();
            let _client = TcpStream::connect(("127.0.0.1", listener.local_addr().port())).unwrap();
            let peer = listener.accept().await.peer().unwrap();
            assert_eq!(peer.ip(), address("127.0.0.1:1").ip());
        });
    }

    #[test]
    fn both_families_can_have_listeners_of_their_own_on_one_port() {
        let probe = bind(&[address("0.0.0.0:0")]).unwrap();
        let port = probe.first().unwrap().local_addr().port();
        drop(probe);
        let both = [SocketAddr::new(address("[::]:0").ip(), port), SocketAddr::new(address("0.0.0.0:0").ip(), port)];
        assert!(!bind(&both).unwrap().is_empty());
    }

    #[test]
    fn only_the_peers_own_faults_are_passed_over() {
        for (errno, peers) in [
            (Errno::CONNABORTED, true),
            (Errno::NETUNREACH, true),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOBUFS, false),
        ] {
            assert_eq!(is_peers_fault(&io::Error::from(errno)), peers, "{errno}");
        }
    }
}
