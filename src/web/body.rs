//! What is sent: nothing, a text, or a file piece by piece.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hyper::body::{Bytes, Frame, SizeHint};
use smol::Task;

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
    Text(Bytes),
    File(FileContent),
}

impl Body {
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

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body { content: Content::Text(Bytes::from(text)), permit: None }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let content = &mut self.get_mut().content;
        match content {
            Content::Empty => Poll::Ready(None),
            Content::Text(text) => {
                let frame = Frame::data(std::mem::take(text));
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
            Content::Text(text) => text.is_empty(),
            Content::File(file) => file.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.content {
            Content::Empty => 0,
            Content::Text(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
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
