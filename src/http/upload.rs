//! One file on its way: streamed from disk, aborted when it stalls.

use std::future::Future;
use std::io::Cursor;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header;
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::time::Instant;
use tokio_util::io::ReaderStream;

use super::dialect::Deadlines;
use crate::effects::Flow;
use crate::error::{Context as _, Result};

/// Bytes read from the disk at a time.
const CHUNK: usize = 256 << 10;

/// How often an upload is looked at while it may stand still.
const LOOKS: u32 = 15;

/// A file to be sent.
pub(crate) struct Upload {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// What stands around it, where a server takes forms only.
    pub(crate) form: Option<Form>,
    /// Hashes what is sent, for callers that need to know.
    pub(crate) hasher: Option<Arc<Mutex<Hasher>>>,
    /// Lets the bytes pass at the rate of the destination, and counts them.
    pub(crate) flow: Option<Arc<Flow>>,
}

/// A form with one part (RFC 7578): what comes before the file and after it.
pub(crate) struct Form {
    pub(crate) content_type: String,
    pub(crate) head: String,
    pub(crate) tail: String,
}

/// A file that counts what was read of it.
struct Counted {
    file: tokio::fs::File,
    sent: Arc<AtomicU64>,
    hasher: Option<Arc<Mutex<Hasher>>>,
    flow: Option<Arc<Flow>>,
    /// Until what was read last has had its time.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.file).poll_read(cx, buf);
        let read = (buf.filled().len() - before) as u64;
        self.sent.fetch_add(read, Ordering::Relaxed);
        if let Some(flow) = self.flow.clone().filter(|_| read > 0) {
            flow.moved(read);
            if let Some(go) = flow.take(read) {
                self.pause = Some(Box::pin(async move { flow.until(go).await }));
            }
        }
        if let Some(hasher) = &self.hasher {
            hasher.lock().update(&buf.filled()[before..]);
        }
        polled
    }
}

impl Upload {
    /// Sends the file with its length; says how long nothing moved if that was too long. An upload has no deadline as a whole:
    /// how long it takes is a matter of its size and of the line. Once all of it is on its way, it may stand still for twice
    /// as long.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        deadlines: Deadlines,
    ) -> Result<std::result::Result<reqwest::Result<reqwest::Response>, Duration>> {
        let what = || format!("cannot read `{}`", self.path.display());
        let mut file = tokio::fs::File::open(&self.path).await.context(what())?;
        file.set_max_buf_size(CHUNK);
        let sent = Arc::new(AtomicU64::new(0));
        let (hasher, flow) = (self.hasher.clone(), self.flow.clone());
        let counted = Counted { file, sent: sent.clone(), hasher, flow, pause: None };
        let request = match &self.form {
            None => request
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .header(header::CONTENT_LENGTH, self.size)
                .body(reqwest::Body::wrap_stream(ReaderStream::with_capacity(counted, CHUNK))),
            Some(form) => {
                let whole = Cursor::new(form.head.clone().into_bytes())
                    .chain(counted)
                    .chain(Cursor::new(form.tail.clone().into_bytes()));
                request
                    .header(header::CONTENT_TYPE, &form.content_type)
                    .header(header::CONTENT_LENGTH, form.head.len() as u64 + self.size + form.tail.len() as u64)
                    .body(reqwest::Body::wrap_stream(ReaderStream::with_capacity(whole, CHUNK)))
            }
        };
        let mut sending = Box::pin(request.send());
        let (mut before, mut moved) = (0, Instant::now());
        loop {
            tokio::select! {
                ended = &mut sending => return Ok(Ok(ended)),
                () = tokio::time::sleep(deadlines.stall / LOOKS) => {
                    let now = sent.load(Ordering::Relaxed);
                    if now != before || self.flow.as_ref().is_some_and(|flow| flow.waits()) {
                        (before, moved) = (now, Instant::now());
                    }
                    // What this machine still has in its buffers moves unseen, and then the server thinks.
                    let limit = if now >= self.size { 2 * deadlines.stall } else { deadlines.stall };
                    if moved.elapsed() >= limit {
                        return Ok(Err(limit));
                    }
                }
            }
        }
    }
}
