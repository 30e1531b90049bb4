//! Where a certificate authority looks for proofs over HTTP. RFC 8555 §8.3.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::{Method, StatusCode};

use super::answer::{self, Request};
use super::{Answer, Page};

/// The proofs under way, by token. Cheap to share; empty nearly always.
#[derive(Clone, Debug, Default)]
pub struct ProofBoard {
    proofs: Arc<Mutex<BTreeMap<String, String>>>,
}

impl ProofBoard {
    /// Where proofs are.
    pub const PATH: &'static str = "/.well-known/acme-challenge/";

    /// From now on this token is answered with this text. So many at most as one order needs.
    pub fn put(&self, token: &str, text: &str) {
        let mut proofs = self.lock();
        if proofs.len() < crate::limits::ACME_NAMES_MAX {
            proofs.insert(token.to_owned(), text.to_owned());
        }
    }

    /// All proofs are over.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page for ProofBoard {
    fn answer(&self, request: Request) -> Answer<'_> {
        let token = request.uri().path().strip_prefix(ProofBoard::PATH).unwrap_or_default();
        let response = match *request.method() {
            Method::GET | Method::HEAD => match self.lock().get(token) {
                // RFC 8555 §8.3: the type is ours to choose; servers are told to ignore it.
                Some(text) => answer::document(StatusCode::OK, "application/octet-stream", text.clone()),
                None => answer::not_found(),
            },
            _ => answer::wrong_method("GET, HEAD"),
        };
        Box::pin(std::future::ready(answer::without_content(request.method(), response)))
    }
}
