//! The HTTP listener: a table of pages behind one port. HTTP/1.1 (RFC 9110, RFC 9112), TLS with the node's own certificate, or in the
//! clear behind a reverse proxy on this machine.
//!
//! The sole user of hyper. A page is a [`Page`] in the table of [`Site`]; the ones there are: uploaded files ([`UploadPage`],
//! XEP-0363), where to connect ([`HostMeta`], XEP-0156), and public keys ([`KeyPage`]). One more page is a type that implements [`Page`], here or in a room
//! above, and a line where the node builds its site: [`answer`] has the answers, [`content`] reads a short request. Whatever is
//! answered tells browsers to guess no types and to run nothing.
//!
//! States of a connection: TLS handshake -> head of a request -> its body and the answer -> the next head, or the end. It holds a
//! permit all the time. Bodies are never in memory as a whole: files move in chunks, and their reading and writing happens on
//! threads of its own.
//!
//! Limits: connections in all and from one network; bytes, fields and time of a head; a body that does not move, or moves too
//! slowly on average, ends its connection (`limits`).

pub mod answer;
mod body;
mod connection;
mod files;
mod host_meta;
mod keys;
mod proof_page;
mod range;
mod upload_page;
mod uploads;
mod watched;

pub use answer::{Request, Response};
pub use body::{Body, TooMuch, content};
pub use connection::{ClientAddress, Pace, Server};
pub use files::Swept;
pub use host_meta::HostMeta;
pub use hyper::{Method, StatusCode, header};
pub use keys::{FoundKey, KeyDirectory, KeyPage, NoKey, Wanted};
pub use proof_page::ProofBoard;
pub use upload_page::UploadPage;
pub use uploads::{UPLOAD_PATH, Uploads};

use std::future::Future;
use std::pin::Pin;

/// A page's answer, once it has it.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// Something that answers requests.
pub trait Page: Send + Sync {
    /// Answers any method; whatever is not for it with 404 or 405.
    fn answer(&self, request: Request) -> Answer<'_>;
}

/// The table of pages: the first whose path fits answers.
#[derive(Default)]
pub struct Site {
    routes: Vec<(&'static str, Box<dyn Page>)>,
}

impl Site {
    /// Adds a page. A path that ends with `/` takes all that begins so, another only itself.
    #[must_use]
    pub fn with(mut self, path: &'static str, page: impl Page + 'static) -> Site {
        self.routes.push((path, Box::new(page)));
        self
    }

    async fn answer(&self, request: Request) -> Response {
        let asked = request.uri().path();
        let fits = |path: &str| if path.ends_with('/') { asked.starts_with(path) } else { asked == path };
        match self.routes.iter().find(|(path, _)| fits(path)) {
            Some((_, page)) => page.answer(request).await,
            None => answer::not_found(),
        }
    }
}

#[cfg(test)]
mod tests;
