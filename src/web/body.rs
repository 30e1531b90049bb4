//! What is sent: nothing, a text, or a file piece by piece. And what is received.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use smol::future::FutureExt;
use smol::{Task, Timer};

use super::answer::{self, Request, Response};
use super::connection::Pace;
use crate::limits::WEB_CHUNK_BYTES;
use crate::net::Permit;

/// The content of an answer.
#[derive(Default)]
pub struct Body {
    content: Content,
    /// Given back when all is sent.
    permit: Option<Permit>,
}

#[derive(Default)]
enum Content {
    #[default]
    Empty,
    Whole(Bytes),
    File(FileContent),
}

impl Body {
    /// A text, or a few bytes.
    pub fn of(content: impl Into<Bytes>) -> Body {
        Body { content: Content::Whole(content.into()), permit: None }
    }

    /// The next `length` bytes of a file. One that ends before ends the connection: the receiver must not take it for whole.
    pub(super) fn of_file(file: File, length: u64, pace: Pace) -> Body {
        let begun = Instant::now();
        let content = FileContent { reading: Reading::Idle(file), left: length, length, begun, pace };
        Body { content: Content::File(content), permit: None }
    }

    /// Holds the permit until all is sent.
    pub(super) fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let content = &mut self.get_mut().content;
        match content {
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                *content = Content::Empty;
                Poll::Ready(Some(Ok(frame)))
            }
            Content::File(file) => {
                let chunk = ready!(file.poll_chunk(cx)).transpose();
                if !matches!(chunk, Some(Ok(_))) {
                    *content = Content::Empty;
                }
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::File(file) => file.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.content {
            Content::Empty => 0,
            Content::Whole(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Content::File(file) => file.left,
        })
    }
}

struct FileContent {
    reading: Reading,
    left: u64,
    length: u64,
    begun: Instant,
    pace: Pace,
}

enum Reading {
    Idle(File),
    Busy(Task<io::Result<(File, Vec<u8>)>>),
    Over,
}

impl FileContent {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match std::mem::replace(&mut self.reading, Reading::Over) {
                Reading::Over => return Poll::Ready(Ok(None)),
                Reading::Idle(_) if self.left == 0 => return Poll::Ready(Ok(None)),
                Reading::Idle(mut file) => {
                    // hyper asks for the next chunk when the last one is with the socket, so this is the receiver's pace.
                    self.pace.check(self.begun, self.length - self.left)?;
                    let wanted = usize::try_from(self.left).map_or(WEB_CHUNK_BYTES, |left| left.min(WEB_CHUNK_BYTES));
                    self.reading = Reading::Busy(smol::unblock(move || {
                        let mut chunk = vec![0; wanted];
                        file.read_exact(&mut chunk)?;
                        Ok((file, chunk))
                    }));
                }
                Reading::Busy(mut task) => match Pin::new(&mut task).poll(cx) {
                    Poll::Pending => {
                        self.reading = Reading::Busy(task);
                        return Poll::Pending;
                    }
                    Poll::Ready(outcome) => {
                        let (file, chunk) = outcome?;
                        self.left = self.left.saturating_sub(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                        self.reading = Reading::Idle(file);
                        return Poll::Ready(Ok(Some(Bytes::from(chunk))));
                    }
                },
            }
        }
    }
}

/// The content of a request that may have this many bytes, all of it; for pages that expect little.
pub async fn content(request: Request, bytes_max: usize, pace: Pace) -> Result<Vec<u8>, TooMuch> {
    let mut body = request.into_body();
    let (begun, mut content) = (Instant::now(), Vec::new());
    while let Some(bytes) = next(&mut body, pace.stall).await? {
        if content.len().saturating_add(bytes.len()) > bytes_max {
            return Err(TooMuch::Bytes);
        }
        content.extend_from_slice(&bytes);
        pace.check(begun, u64::try_from(content.len()).unwrap_or(u64::MAX))?;
    }
    Ok(content)
}

/// Why a request's content is not there.
#[derive(Debug)]
pub enum TooMuch {
    /// It is longer than the page expects.
    Bytes,
    /// It did not arrive, or not in time.
    Broken(io::Error),
}

impl TooMuch {
    /// What to answer. RFC 9110 §15.5.1, §15.5.14.
    pub fn to_answer(&self) -> Response {
        match self {
            TooMuch::Bytes => answer::line(StatusCode::PAYLOAD_TOO_LARGE, "That is too much for this page."),
            TooMuch::Broken(_) => answer::line(StatusCode::BAD_REQUEST, "The request did not arrive."),
        }
    }
}

impl From<io::Error> for TooMuch {
    fn from(error: io::Error) -> TooMuch {
        TooMuch::Broken(error)
    }
}

/// The next bytes of a request's content; `None` at its end. An error if nothing comes for `stall`.
pub(super) async fn next(body: &mut Incoming, stall: Duration) -> io::Result<Option<Bytes>> {
    let next = async {
        loop {
            match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
                None => return Ok(None),
                Some(Err(error)) => return Err(io::Error::other(error)),
                Some(Ok(frame)) => {
                    // Trailers say nothing to us.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    };
    let silence = async {
        Timer::after(stall).await;
        Err(io::Error::new(io::ErrorKind::TimedOut, "the sender is silent"))
    };
    next.or(silence).await
}
