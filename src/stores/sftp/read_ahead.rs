//! A file on the server that is read with several requests on their way, as programs do that are fast over long distances.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use openssh_sftp_client::file::File;
use tokio::io::{AsyncRead, AsyncSeekExt as _, ReadBuf};
use tokio::task::JoinHandle;

use super::acts::Once;

/// What OpenSSH gives at most by one request; of a server that gives less, several are asked for.
const PIECE: u32 = 255 << 10;
/// How many requests are on their way: together what a connection of 160 Mbit/s and 100 ms holds.
const ON_THEIR_WAY: usize = 8;

/// Reads a file of a known size from its beginning. Each request is a task, which is not aborted: the library counts on each
/// answer to be taken.
pub(super) struct ReadAhead {
    file: File,
    /// Where the next request begins, and where the file ends.
    next: u64,
    size: u64,
    flying: VecDeque<JoinHandle<io::Result<Vec<u8>>>>,
    here: Vec<u8>,
    at: usize,
    once: Once,
}

impl ReadAhead {
    /// Of a file that was just opened; its session stays while it is read.
    pub(super) fn new(file: File, size: u64, once: Once) -> Self {
        Self { file, next: 0, size, flying: VecDeque::new(), here: Vec::new(), at: 0, once }
    }

    fn ask(&mut self) {
        while self.flying.len() < ON_THEIR_WAY && self.next < self.size {
            let wanted = (self.size - self.next).min(u64::from(PIECE));
            let (file, once) = (self.file.clone(), self.once.clone());
            self.flying.push_back(tokio::spawn(read(file, self.next, wanted, once)));
            self.next += wanted;
        }
    }
}

/// Reads so many bytes from a place; fewer only where the file has become shorter. What breaks off may work when it is made again.
async fn read(mut file: File, at: u64, wanted: u64, _once: Once) -> io::Result<Vec<u8>> {
    let broken = |e| io::Error::new(io::ErrorKind::ConnectionAborted, e);
    let mut out: Vec<u8> = Vec::new();
    while (out.len() as u64) < wanted {
        file.seek(io::SeekFrom::Start(at + out.len() as u64)).await?;
        let left = u32::try_from(wanted - out.len() as u64).unwrap_or(PIECE);
        match file.read(left, Default::default()).await.map_err(broken)? {
            Some(bytes) if bytes.is_empty() => {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server answers with no bytes"));
            }
            Some(bytes) if out.is_empty() => out = bytes.into(),
            Some(bytes) => out.extend_from_slice(&bytes),
            None => break,
        }
    }
    Ok(out)
}

impl AsyncRead for ReadAhead {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.at == self.here.len() {
            self.ask();
            let Some(first) = self.flying.front_mut() else { return Poll::Ready(Ok(())) };
            let ended = ready!(Pin::new(first).poll(cx));
            self.flying.pop_front();
            let here = ended.map_err(io::Error::other)??;
            if here.is_empty() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter")));
            }
            (self.here, self.at) = (here, 0);
            self.ask();
        }
        let n = buf.remaining().min(self.here.len() - self.at);
        buf.put_slice(&self.here[self.at..self.at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}
