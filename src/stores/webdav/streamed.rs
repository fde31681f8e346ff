//! The body of an answer, to be read as a file is.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use reqwest::Response;
use tokio::io::{AsyncRead, ReadBuf};

type Fetching = Pin<Box<dyn Future<Output = (Response, io::Result<Vec<u8>>)> + Send>>;

/// Reads a body to its end, which is where the server said; one that stands still, or is cut, is an error.
pub(super) struct Streamed {
    next: Fetching,
    stall: Duration,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Streamed {
    pub(super) fn new(response: Response, stall: Duration) -> Self {
        Self { next: fetch(response, stall), stall, piece: Vec::new(), at: 0, ended: false }
    }
}

/// The next piece; none is empty but the end.
fn fetch(mut response: Response, stall: Duration) -> Fetching {
    Box::pin(async move {
        loop {
            let piece = match tokio::time::timeout(stall, response.chunk()).await {
                Ok(Ok(Some(piece))) if piece.is_empty() => continue,
                Ok(Ok(piece)) => Ok(piece.map(Vec::from).unwrap_or_default()),
                Ok(Err(e)) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, e)),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the answer stands still")),
            };
            return (response, piece);
        }
    })
}

impl AsyncRead for Streamed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.at == self.piece.len() && !self.ended {
            let (response, piece) = ready!(self.next.as_mut().poll(cx));
            self.next = fetch(response, self.stall);
            self.piece = piece?;
            self.at = 0;
            self.ended = self.piece.is_empty();
        }
        let n = buf.remaining().min(self.piece.len() - self.at);
        buf.put_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}
