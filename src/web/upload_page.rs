//! Uploaded files over HTTP: PUT once, GET as often as one likes. XEP-0363 §7, §8.
//!
//! Whoever knows a file's path may do both; nothing else is asked for, for Kontalk's clients send no credentials.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};
use smol::Timer;
use smol::future::FutureExt;

use super::answer::{self, Request, Response};
use super::connection::Pace;
use super::files::{Partial, Stored};
use super::range::{Part, part};
use super::uploads::{Claim, Uploads};
use super::{Answer, Body, Page, body};
use crate::limits::WEB_CHUNK_BYTES;
use crate::upload::{Form, PutRefusal};

/// The page below [`super::UPLOAD_PATH`].
#[derive(Debug)]
pub struct UploadPage {
    uploads: Arc<Uploads>,
    pace: Pace,
}

impl UploadPage {
    /// For these uploads.
    pub fn new(uploads: Arc<Uploads>, pace: Pace) -> UploadPage {
        UploadPage { uploads, pace }
    }

    async fn get(&self, request: &Request) -> Response {
        let Some((key, name)) = self.uploads.locate(request.uri().path()) else { return answer::not_found() };
        let uploads = self.uploads.clone();
        match smol::unblock(move || uploads.read(key)).await {
            Ok(Some(stored)) if stored.about.name.is_segment(name) => {
                self.send(request, stored).unwrap_or_else(|error| unreadable(&error))
            }
            Ok(_) => answer::not_found(),
            Err(error) => unreadable(&error),
        }
    }

    fn send(&self, request: &Request, stored: Stored) -> io::Result<Response> {
        let field = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
        // RFC 9110 §13.1.2.
        if field(header::IF_NONE_MATCH).is_some_and(|known| known == "*" || known.contains(ETAG)) {
            let mut response = answer::empty(StatusCode::NOT_MODIFIED);
            response.headers_mut().insert(header::ETAG, HeaderValue::from_static(ETAG));
            return Ok(response);
        }
        let length = stored.length;
        // RFC 9110 §14.2: a range is for GET alone. §13.1.5: and for who has the same file.
        let same = field(header::IF_RANGE).is_none_or(|known| known == ETAG);
        let wanted = field(header::RANGE).filter(|_| same && *request.method() == Method::GET);
        let (status, first, last) = match part(wanted, length) {
            Part::Whole => (StatusCode::OK, 0, length.saturating_sub(1)),
            Part::Range(first, last) => (StatusCode::PARTIAL_CONTENT, first, last),
            Part::NotThere => {
                let mut response = answer::line(StatusCode::RANGE_NOT_SATISFIABLE, "The file has no such part.");
                response.headers_mut().insert(header::CONTENT_RANGE, value(format!("bytes */{length}"))?);
                return Ok(response);
            }
        };
        let about = stored.about.clone();
        let count = last.saturating_sub(first).saturating_add(1).min(length);
        let mut response = Response::new(Body::of_file(stored.starting_at(first)?, count, self.pace));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status == StatusCode::PARTIAL_CONTENT {
            headers.insert(header::CONTENT_RANGE, value(format!("bytes {first}-{last}/{length}"))?);
        }
        let kind = if about.shown { "inline" } else { "attachment" };
        headers.insert(header::CONTENT_TYPE, value(about.media_type.served().to_owned())?);
        headers.insert(header::CONTENT_DISPOSITION, value(about.name.disposition(kind))?);
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, HeaderValue::from_static(ETAG));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable"));
        Ok(answer::without_content(request.method(), response))
    }

    async fn put(&self, request: Request) -> Response {
        let Some((key, name)) = self.uploads.locate(request.uri().path()) else {
            return self.refuse(request, PutRefusal::NoSlot).await;
        };
        let length = announced_length(&request);
        let claim = match self.uploads.claim(key, length) {
            Ok(claim) if claim.expected.name.is_segment(name) => claim,
            Ok(_) => return self.refuse(request, PutRefusal::NoSlot).await,
            Err(refusal) => return self.refuse(request, refusal).await,
        };
        match self.receive(request.into_body(), claim).await {
            Ok(Form::Old) => answer::line(StatusCode::OK, "Stored."),
            Ok(Form::New) => answer::line(StatusCode::CREATED, "Stored."),
            Err(Broken::Sender(error)) => {
                log::debug!("an upload broke off: {error}");
                answer::line(StatusCode::BAD_REQUEST, "The file did not arrive. Please try again.")
            }
            Err(Broken::Disk(error)) if error.kind() == io::ErrorKind::StorageFull => {
                log::warn!("an upload is refused, the disk is full (remedy: make space, or lower upload.free_mib_min)");
                answer::line(StatusCode::INSUFFICIENT_STORAGE, "There is no space left.")
            }
            Err(Broken::Disk(error)) => {
                log::error!("an upload cannot be stored: {error}");
                answer::line(StatusCode::INTERNAL_SERVER_ERROR, "The file could not be stored.")
            }
        }
    }

    /// Brings the body to the disk and syncs it; only then is it answered.
    async fn receive(&self, mut body: Incoming, claim: Claim) -> Result<Form, Broken> {
        let (partial, claim) = smol::unblock(move || (claim.begin(), claim)).await;
        let partial = partial.map_err(Broken::Disk)?;
        let (form, size) = (claim.expected.form, claim.expected.size);
        let mut file = Filling { partial, buffer: Vec::with_capacity(WEB_CHUNK_BYTES) };
        let (begun, mut received) = (Instant::now(), 0u64);
        while let Some(bytes) = body::next(&mut body, self.pace.stall).await.map_err(Broken::Sender)? {
            received = received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if received > size {
                return Err(Broken::Sender(io::Error::other("more than announced")));
            }
            self.pace.check(begun, received).map_err(Broken::Sender)?;
            file.buffer.extend_from_slice(&bytes);
            if file.buffer.len() >= WEB_CHUNK_BYTES {
                file = file.flushed().await.map_err(Broken::Disk)?;
            }
        }
        let file = file.flushed().await.map_err(Broken::Disk)?;
        if file.partial.written() != size {
            return Err(Broken::Sender(io::ErrorKind::UnexpectedEof.into()));
        }
        let kept =
            smol::unblock(move || file.partial.finish().and_then(|()| claim.done())).await.map_err(Broken::Disk)?;
        if !kept {
            return Err(Broken::Sender(io::Error::other("the account has ended")));
        }
        log::debug!("an upload of {size} bytes is stored");
        Ok(form)
    }

    async fn refuse(&self, request: Request, refusal: PutRefusal) -> Response {
        let (status, text) = match refusal {
            PutRefusal::NoSlot => (StatusCode::FORBIDDEN, "There is no such slot, or its time is up."),
            PutRefusal::Taken => (StatusCode::CONFLICT, "The file is there already."),
            PutRefusal::NoLength => (StatusCode::LENGTH_REQUIRED, "Please say how long the file is."),
            PutRefusal::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "The file is longer than was asked for."),
            PutRefusal::TooShort => (StatusCode::BAD_REQUEST, "The file is shorter than was asked for."),
        };
        log::debug!("an upload is refused: {refusal:?}");
        // One who asks first has not begun to send. Of the others many do not hear the answer before all is sent, or while the
        // connection is torn down under their hands: a little patience for small files.
        if !request.headers().contains_key(header::EXPECT) {
            let discard = async {
                let mut body = request.into_body();
                let mut left = DISCARDED_BYTES_MAX;
                while let Ok(Some(bytes)) = body::next(&mut body, self.pace.stall).await {
                    left = left.saturating_sub(bytes.len());
                    if left == 0 {
                        return;
                    }
                }
            };
            let enough = async {
                Timer::after(DISCARD_TIME).await;
            };
            discard.or(enough).await;
        }
        answer::line(status, text)
    }
}

impl Page for UploadPage {
    fn answer(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let mut response = match *request.method() {
                Method::GET | Method::HEAD => self.get(&request).await,
                Method::PUT => self.put(request).await,
                Method::OPTIONS => answer::options(METHODS),
                _ => answer::wrong_method(METHODS),
            };
            answer::open_to_all_origins(response.headers_mut(), METHODS);
            response
        })
    }
}

/// Why a file did not arrive.
enum Broken {
    /// The other side's doing.
    Sender(io::Error),
    /// Ours.
    Disk(io::Error),
}

/// A file and what is not yet written of it.
struct Filling {
    partial: Partial,
    buffer: Vec<u8>,
}

impl Filling {
    /// Writes on another thread. If the connection ends meanwhile, the file is dropped there, and so removed.
    async fn flushed(mut self) -> io::Result<Filling> {
        smol::unblock(move || {
            self.partial.write(&self.buffer)?;
            self.buffer.clear();
            Ok(self)
        })
        .await
    }
}

/// What the request says of its body's length; `None` where it comes in chunks or says nothing.
fn announced_length(request: &Request) -> Option<u64> {
    let says = request.headers().contains_key(header::CONTENT_LENGTH);
    request.body().size_hint().exact().filter(|_| says)
}

fn value(text: String) -> io::Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(io::Error::other)
}

fn unreadable(error: &io::Error) -> Response {
    log::error!("an uploaded file cannot be read (remedy: check the disk): {error}");
    answer::line(StatusCode::INTERNAL_SERVER_ERROR, "The file cannot be read.")
}

const METHODS: &str = "GET, HEAD, PUT, OPTIONS";
/// What lies at a path never changes.
const ETAG: &str = "\"1\"";
/// So much of a refused file is read and thrown away,
const DISCARDED_BYTES_MAX: usize = 256 * 1024;
/// for so long.
const DISCARD_TIME: Duration = Duration::from_secs(5);
