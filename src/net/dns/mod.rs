//! Looking names up: SRV, A and AAAA records, asked of the system's name servers. RFC 1035, RFC 2782.
//!
//! The C library looks up no SRV records, so questions are asked directly: over UDP from a port that the system draws, with an id
//! drawn at random, over TCP where the answer does not fit (RFC 7766). What does not repeat the question and its id is not heard
//! (RFC 5452 §9). Two rounds over all servers, within [`DNS_PATIENCE`].
//!
//! Limits: `DNS_*` of [`crate::limits`]. Nothing is remembered: who dials again waits longer each time anyway.

mod message;
#[cfg(test)]
mod tests;
mod update;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;

use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer};

use crate::limits::{DNS_MESSAGE_BYTES_MAX, DNS_PATIENCE, DNS_TIMEOUT};
use message::{Kind, Reading, Record};

pub use update::{Change, TsigKey, UpdateFault, update};

/// One SRV record. RFC 2782.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lower goes first.
    pub priority: u16,
    /// Among equals, its share.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; empty or `.` where the service is decidedly not there.
    pub target: String,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFault {
    /// The name servers say that there is no such name.
    NoSuchName,
    /// The text is no name that could be looked up.
    NotAName,
    /// No name server gave an answer that could be used.
    NoAnswer,
}

/// Asks name servers.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    random: fn() -> u16,
}

impl Resolver {
    /// One that asks these servers; if there are none, those of the system's `resolv.conf` at the time of each question. `random`
    /// gives numbers that nobody can guess.
    pub fn new(servers: Vec<SocketAddr>, random: fn() -> u16) -> Resolver {
        Resolver { servers, random }
    }

    /// The SRV records of a name such as `_xmpp-server._tcp.example.org`; none if the name has none.
    pub async fn services(&self, name: &str) -> Result<Vec<SrvRecord>, DnsFault> {
        let records = self.ask(name, Kind::Service).await?;
        let service = |record| match record {
            Record::Service(service) => Some(service),
            _ => None,
        };
        Ok(records.into_iter().filter_map(service).collect())
    }

    /// The IPv4 addresses of a host.
    pub async fn ipv4(&self, host: &str) -> Result<Vec<Ipv4Addr>, DnsFault> {
        let records = self.ask(host, Kind::Ipv4).await?;
        let address = |record| match record {
            Record::Ipv4(address) => Some(address),
            _ => None,
        };
        Ok(records.into_iter().filter_map(address).collect())
    }

    /// The IPv6 addresses of a host.
    pub async fn ipv6(&self, host: &str) -> Result<Vec<Ipv6Addr>, DnsFault> {
        let records = self.ask(host, Kind::Ipv6).await?;
        let address = |record| match record {
            Record::Ipv6(address) => Some(address),
            _ => None,
        };
        Ok(records.into_iter().filter_map(address).collect())
    }

    async fn ask(&self, name: &str, kind: Kind) -> Result<Vec<Record>, DnsFault> {
        if message::question(0, name, kind).is_none() {
            return Err(DnsFault::NotAName);
        }
        let servers =
            if self.servers.is_empty() { servers_of_system(Path::new(RESOLV_CONF)) } else { self.servers.clone() };
        let answered = async {
            for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
                match self.ask_one(*server, name, kind).or(too_late()).await {
                    Ok(Reading::Records(records)) => return Ok(records),
                    Ok(Reading::NoSuchName) => return Err(DnsFault::NoSuchName),
                    Ok(reading) => log::debug!("name server {server}: no answer for {name} ({reading:?})"),
                    Err(error) => log::debug!("name server {server}: no answer for {name}: {error}"),
                }
            }
            Err(DnsFault::NoAnswer)
        };
        let enough = async {
            Timer::after(DNS_PATIENCE).await;
            Err(DnsFault::NoAnswer)
        };
        answered.or(enough).await
    }

    async fn ask_one(&self, server: SocketAddr, name: &str, kind: Kind) -> io::Result<Reading> {
        let id = (self.random)();
        let question = message::question(id, name, kind).ok_or(io::ErrorKind::InvalidInput)?;
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = Async::<UdpSocket>::bind((any, 0))?;
        // Connected: what others send does not even arrive.
        socket.get_ref().connect(server)?;
        socket.send(&question).await?;
        let mut buffer = vec![0; UDP_BYTES_MAX];
        loop {
            let count = socket.recv(&mut buffer).await?;
            match message::read(buffer.get(..count).unwrap_or_default(), id, name, kind) {
                Reading::NotOurs => {}
                Reading::Truncated => return ask_by_tcp(server, &question, id, name, kind).await,
                reading => return Ok(reading),
            }
        }
    }
}

/// RFC 7766 §8: each message behind its length.
async fn ask_by_tcp(server: SocketAddr, question: &[u8], id: u16, name: &str, kind: Kind) -> io::Result<Reading> {
    let mut stream = Async::<TcpStream>::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[length.to_be_bytes().as_slice(), question].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > DNS_MESSAGE_BYTES_MAX {
        return Err(io::Error::other("the answer is too long"));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    match message::read(&answer, id, name, kind) {
        Reading::Truncated | Reading::NotOurs => Err(io::Error::other("no answer to the question")),
        reading => Ok(reading),
    }
}

async fn too_late() -> io::Result<Reading> {
    Timer::after(DNS_TIMEOUT).await;
    Err(io::ErrorKind::TimedOut.into())
}

/// The name servers of a `resolv.conf`, three at most; without any, the one of this machine, as the C library has it.
fn servers_of_system(path: &Path) -> Vec<SocketAddr> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let server = |line: &str| {
        let address = line.trim().strip_prefix("nameserver")?.split_whitespace().next()?;
        // A zone behind the address of a link is an interface's name, which has no place in the standard library's type.
        let ip: IpAddr = address.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(ip, DNS_PORT))
    };
    let mut servers: Vec<SocketAddr> = text.lines().filter_map(server).take(SERVERS_MAX).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DNS_PORT));
    }
    servers
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;
const SERVERS_MAX: usize = 3;
const ROUNDS: usize = 2;
/// Without EDNS an answer is at most 512 bytes; some servers do not care.
const UDP_BYTES_MAX: usize = 4096;
