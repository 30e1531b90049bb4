//! Accepting, and one connection from its first byte to its last.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{StatusCode, Version, header};
use smol::Executor;
use smol::future::FutureExt;
use smol_hyper::rt::{FuturesIo, SmolTimer};

use super::watched::Watched;
use super::{Request, Response, Site, answer};
use crate::limits;
use crate::net::{Listener, OwnCertificate, Permits, Transport};

/// How long a peer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// For a request's head, from the end of what was before.
    pub head: Duration,
    /// Without moving a byte of a body.
    pub stall: Duration,
    /// For a whole body, however small,
    pub grace: Duration,
    /// and longer by a second for each so many bytes.
    pub bytes_per_sec_min: u64,
}

impl Default for Pace {
    /// As the one table has it.
    fn default() -> Pace {
        Pace {
            head: limits::WEB_HEAD_TIMEOUT,
            stall: limits::WEB_STALL_TIMEOUT,
            grace: limits::WEB_BODY_GRACE,
            bytes_per_sec_min: limits::WEB_BODY_RATE_MIN,
        }
    }
}

impl Pace {
    /// Fails for a body of which so many bytes have moved since it began, if they are too few.
    pub(super) fn check(&self, begun: Instant, moved: u64) -> io::Result<()> {
        let earned = Duration::from_secs(moved.checked_div(self.bytes_per_sec_min).unwrap_or(0));
        if begun.elapsed() > self.grace.saturating_add(earned) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the other side is too slow"));
        }
        Ok(())
    }
}

/// Serves a site.
pub struct Server {
    site: Site,
    /// `None`: in the clear, for a reverse proxy on this machine.
    certificate: Option<Arc<OwnCertificate>>,
    connections: Permits,
    /// Requests by the address that the reverse proxy tells, for all its connections come from one.
    requests: Permits,
    pace: Pace,
}

impl Server {
    /// With TLS if there is a certificate, else behind a reverse proxy.
    pub fn new(site: Site, certificate: Option<Arc<OwnCertificate>>, pace: Pace) -> Server {
        let (all, one) = (limits::WEB_CONNECTIONS_MAX, limits::WEB_CONNECTIONS_PER_ADDRESS_MAX);
        let one_connection = if certificate.is_some() { one } else { all };
        Server {
            site,
            certificate,
            connections: Permits::new(all, one_connection),
            requests: Permits::new(all, one),
            pace,
        }
    }

    /// In the clear for everybody: for what holds no secret and needs no TLS.
    pub fn plain(site: Site, pace: Pace) -> Server {
        let (all, one) = (limits::WEB_CONNECTIONS_MAX, limits::WEB_CONNECTIONS_PER_ADDRESS_MAX);
        Server { connections: Permits::new(all, one), ..Server::new(site, None, pace) }
    }

    /// Accepts until the task is dropped, which ends all its connections too.
    pub async fn serve(self: Arc<Server>, mut listener: Listener) {
        // Its own executor owns the connections' tasks: dropping it drops them.
        let tasks = Executor::new();
        let accept = async {
            loop {
                let transport = listener.accept().await;
                let server = self.clone();
                let task = async move {
                    if AssertUnwindSafe(server.connection(transport)).catch_unwind().await.is_err() {
                        // The panic hook has printed where. Only this connection ends.
                        log::error!("a web connection ended by a fault of this program; please report it");
                    }
                };
                tasks.spawn(task).detach();
            }
        };
        tasks.run(accept).await
    }

    /// One connection, to its end.
    pub async fn connection(&self, transport: Transport) {
        let peer = transport.peer().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
        let _permit = match self.connections.take(peer) {
            Ok(permit) => permit,
            // One line per refused connection would be a stranger's to write.
            Err(refusal) => return log::debug!("web: {peer} refused: {refusal}"),
        };
        let transport = match self.secured(transport).await {
            Ok(transport) => transport,
            Err(error) => return log::debug!("web: {peer}: no TLS: {error}"),
        };
        let io = FuturesIo::new(Watched::new(transport, self.pace.stall));
        let service = service_fn(|request| async move { Ok::<_, Infallible>(self.answer(request, peer).await) });
        let served = http1::Builder::new()
            .timer(SmolTimer::new())
            .header_read_timeout(self.pace.head)
            .max_buf_size(limits::WEB_HEAD_BYTES_MAX)
            .max_headers(limits::WEB_HEADERS_MAX)
            .serve_connection(io, service)
            .await;
        if let Err(error) = served {
            log::debug!("web: {peer}: {error}");
        }
    }

    async fn secured(&self, transport: Transport) -> io::Result<Transport> {
        let Some(certificate) = &self.certificate else { return Ok(transport) };
        let tls = certificate.tls();
        let too_long = async {
            smol::Timer::after(limits::TLS_HANDSHAKE_TIMEOUT).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"))
        };
        transport.start_https(&tls).or(too_long).await
    }

    async fn answer(&self, mut request: Request, peer: IpAddr) -> Response {
        let client = if self.certificate.is_some() { peer } else { forwarded_for(&request, peer) };
        request.extensions_mut().insert(ClientAddress(client));
        let mut response = if !names_its_host(&request) {
            answer::line(StatusCode::BAD_REQUEST, "A request names one host.")
        } else if self.certificate.is_some() {
            self.site.answer(request).await
        } else {
            match self.requests.take(client) {
                Ok(permit) => {
                    let mut response = self.site.answer(request).await;
                    response.body_mut().hold(permit);
                    response
                }
                Err(_) => answer::line(StatusCode::TOO_MANY_REQUESTS, "Too many requests at once."),
            }
        };
        answer::make_harmless(response.headers_mut());
        response
    }
}

/// Who asks, among a request's extensions: the peer, or whom the reverse proxy forwards for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// RFC 9112 §3.2.
fn names_its_host(request: &Request) -> bool {
    let count = request.headers().get_all(header::HOST).into_iter().count();
    count == 1 || (count == 0 && request.version() == Version::HTTP_10)
}

/// Whom a reverse proxy forwards for: the last address in the list is the one that it saw itself. What anybody but a proxy on this
/// machine says of it counts nothing.
fn forwarded_for(request: &Request, peer: IpAddr) -> IpAddr {
    if !peer.is_loopback() {
        return peer;
    }
    let last = request.headers().get_all(FORWARDED_FOR).into_iter().next_back();
    let address = last.and_then(|value| value.to_str().ok()).and_then(|list| list.rsplit(',').next());
    address.and_then(|address| address.trim().parse().ok()).unwrap_or(peer)
}

const FORWARDED_FOR: header::HeaderName = header::HeaderName::from_static("x-forwarded-for");
