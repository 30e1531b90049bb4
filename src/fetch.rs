//! Asking web servers: one request, one answer, in the blocking way. For authorities (ACME), and for whoever tells or is told the
//! node's address. RFC 9110.
//!
//! TLS is checked by the authorities of Mozilla's programme, compiled in, or by a file of the operator's. Redirects are not followed
//! and no proxy of the environment is used. Limits: time for all, bytes of head and body of the answer.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, http};

use crate::limits::{FETCH_HEAD_BYTES_MAX, FETCH_TIMEOUT};

/// Asks. Keeps connections for a short while, so that an order needs few of them.
#[derive(Debug)]
pub struct Asker {
    agent: Agent,
    bytes_max: usize,
}

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// `https://…`, or `http://…` where the caller allows it.
    pub url: &'a str,
    /// HEAD instead of GET; nothing where there is a body.
    pub head: bool,
    /// A body makes it a POST: its type and itself.
    pub body: Option<(&'a str, &'a str)>,
    /// The value of `Authorization`, which is secret.
    pub authorization: Option<&'a str>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// `Location`
    pub location: Option<String>,
    /// `Replay-Nonce` (RFC 8555 §6.5.1)
    pub nonce: Option<String>,
    /// `Retry-After` as it stands there. RFC 9110 §10.2.3.
    pub retry_after: Option<String>,
    /// The content.
    pub body: Vec<u8>,
}

impl Asker {
    /// Takes answers of so many bytes at most. `ca_file`: authorities in PEM instead of those compiled in.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate; in words with the remedy.
    pub fn new(ca_file: Option<&Path>, bytes_max: usize) -> Result<Asker, String> {
        let roots = match ca_file {
            None => RootCerts::WebPki,
            Some(path) => {
                let remedy = "remedy: ca_file must be a readable file with certificates in PEM";
                let text = fs::read(path).map_err(|error| format!("{}: {error} ({remedy})", path.display()))?;
                let roots: Vec<_> = parse_pem(&text)
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(certificate),
                        _ => None,
                    })
                    .collect();
                if roots.is_empty() {
                    return Err(format!("{} holds no certificate ({remedy})", path.display()));
                }
                RootCerts::Specific(Arc::new(roots))
            }
        };
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("kontalk-node/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(FETCH_HEAD_BYTES_MAX)
            .timeout_global(Some(FETCH_TIMEOUT))
            .max_idle_age(Duration::from_secs(10))
            .build();
        Ok(Asker { agent: Agent::new_with_config(config), bytes_max })
    }

    /// Asks and waits for the whole answer. Blocks.
    ///
    /// # Errors
    /// There was no answer, or too long a one; in words, without anything secret.
    pub fn ask(&self, request: &Request<'_>) -> Result<Response, String> {
        let mut head = http::Request::builder().uri(request.url);
        head = head.method(match (request.body, request.head) {
            (Some(_), _) => http::Method::POST,
            (None, true) => http::Method::HEAD,
            (None, false) => http::Method::GET,
        });
        if let Some((media_type, _)) = request.body {
            head = head.header(http::header::CONTENT_TYPE, media_type);
        }
        if let Some(authorization) = request.authorization {
            let mut value = http::HeaderValue::from_str(authorization).map_err(|_| NO_REQUEST.to_owned())?;
            value.set_sensitive(true);
            head = head.header(http::header::AUTHORIZATION, value);
        }
        let answered = match request.body {
            Some((_, body)) => self.agent.run(head.body(body).map_err(|_| NO_REQUEST.to_owned())?),
            None => self.agent.run(head.body(()).map_err(|_| NO_REQUEST.to_owned())?),
        };
        let response = answered.map_err(|error| why(&error).to_owned())?;
        let field = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let (location, nonce, retry_after) = (field("location"), field("replay-nonce"), field("retry-after"));
        let status = response.status().as_u16();
        let limit = u64::try_from(self.bytes_max).unwrap_or(u64::MAX);
        let body = response.into_body().into_with_config().limit(limit).read_to_vec();
        let body = body.map_err(|_| "its answer was too long or cut short".to_owned())?;
        Ok(Response { status, location, nonce, retry_after, body })
    }
}

/// In our own words: the library's may quote the URL with all that is in it.
fn why(error: &ureq::Error) -> &'static str {
    match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => NOT_TRUSTED,
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::TlsRequired => NOT_TRUSTED,
        ureq::Error::HostNotFound => "its name is not known (remedy: check the URL and this machine's name server)",
        ureq::Error::Timeout(_) => "it did not answer in time",
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed => "it cannot be reached",
        _ => NO_REQUEST,
    }
}

const NOT_TRUSTED: &str =
    "its certificate is not trusted (remedy: check the URL and this machine's clock; ca_file for a private authority)";
const NO_REQUEST: &str = "no request can be made, or its answer is no HTTP (remedy: check the URL)";
