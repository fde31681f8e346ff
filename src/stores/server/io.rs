//! The threads on which servers are talked to, apart from those of the engine.
//!
//! A store's bytes are read by code that blocks ([`std::io::Read`]), on whatever runtime, one with a single thread too. Such a
//! reader must not wait for bytes that only its own thread could fetch. So all of a server's traffic has a runtime of its own.

use std::future::Future;
use std::io::{self, Read};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::OpenedObject;
use crate::effects::{Flow, Transfers, read_document};
use crate::error::{Context as _, Error, Result};

/// How much is read at a time.
const PIECE: usize = 256 << 10;
/// How many pieces are read ahead of a reader.
const AHEAD: usize = 4;

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME
        .get_or_init(|| Builder::new_multi_thread().worker_threads(2).thread_name("store-io").enable_all().build());
    made.as_ref().map_err(|e| Error::fatal(format!("cannot start the threads that talk to stores: {e}")))
}

/// Ends what nobody waits for any more.
struct Ended<T>(JoinHandle<T>);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs what talks to a server on the threads for that. It ends when its caller stops waiting.
///
/// # Errors
/// The threads cannot be started, or `work` panicked.
pub async fn on_io<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let mut task = Ended(runtime()?.spawn(work));
    (&mut task.0).await.context("a call of a store ended early")
}

/// The bytes of `source` for code that blocks, on any thread; fetched on the threads for that, a little ahead of the reader.
///
/// # Errors
/// The threads cannot be started.
pub fn reader(source: impl AsyncRead + Send + 'static) -> Result<Box<dyn Read + Send>> {
    let (tell, pieces) = mpsc::channel(AHEAD);
    runtime()?.spawn(async move {
        let mut source = pin!(source);
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let mut read = Ok(1);
            while piece.len() < PIECE && matches!(read, Ok(1..)) {
                read = (&mut source).take((PIECE - piece.len()) as u64).read_buf(&mut piece).await;
            }
            let is_end = piece.is_empty() && read.is_ok();
            // Nobody may read on.
            if !piece.is_empty() && tell.send(Ok(piece)).await.is_err() {
                return;
            }
            if is_end || read.is_err() {
                drop(tell.send(read.map(|_| Vec::new())).await);
                return;
            }
        }
    });
    Ok(Box::new(Pieces { pieces, piece: Vec::new(), at: 0, ended: false }))
}

/// Everything of an opened object, for those that are small.
pub fn read_all(opened: OpenedObject, key: &str) -> Result<Vec<u8>> {
    let mut bytes = opened.bytes;
    read_document(&mut *bytes, key)
}

/// The same bytes, which count as moved, and wait where the store has a rate.
pub fn paced(bytes: Box<dyn Read + Send>, transfers: &Arc<Transfers>) -> Box<dyn Read + Send> {
    Box::new(Paced { bytes, flow: Arc::new(transfers.flow()), has_rate: transfers.has_rate() })
}

struct Paced {
    bytes: Box<dyn Read + Send>,
    flow: Arc<Flow>,
    has_rate: bool,
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(buffer)?;
        if self.has_rate && n > 0 {
            let flow = self.flow.clone();
            let runtime = runtime().map_err(io::Error::other)?;
            let admitted = runtime.spawn(async move { flow.admit(n as u64).await });
            wait(tokio::task::coop::unconstrained(admitted)).map_err(io::Error::other)?;
        }
        self.flow.moved(n as u64);
        Ok(n)
    }
}

struct Pieces {
    /// The pieces; an empty one is the end. That they stop coming is not.
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && !self.ended && !buffer.is_empty() {
            // `recv` counts against the budget of the task that is blocked here, which nothing would renew.
            let next = wait(tokio::task::coop::unconstrained(self.pieces.recv()));
            self.piece = next.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
            self.at = 0;
            self.ended = self.piece.is_empty();
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Waits in this thread, whether or not it belongs to a runtime, for what another one completes.
fn wait<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut work = pin!(work);
    loop {
        match work.as_mut().poll(&mut Task::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two readers at once on a runtime of one thread, which both block it.
    #[tokio::test]
    async fn readers_need_no_runtime_of_their_own() {
        let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n / 7) as u8).collect();
        for mut source in
            [reader(io::Cursor::new(bytes.clone())).unwrap(), reader(io::Cursor::new(bytes.clone())).unwrap()]
        {
            let mut out = Vec::new();
            source.read_to_end(&mut out).unwrap();
            assert!(out == bytes);
            assert_eq!(source.read(&mut [0; 8]).unwrap(), 0, "at the end it stays");
        }
    }

    #[tokio::test]
    async fn what_breaks_off_is_never_an_end() {
        struct Broken(usize);
        impl AsyncRead for Broken {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut Task<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                if self.0 == 0 {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                self.0 -= 1;
                buf.put_slice(b"x");
                Poll::Ready(Ok(()))
            }
        }
        let mut source = reader(Broken(5)).unwrap();
        let mut out = Vec::new();
        assert_eq!(source.read_to_end(&mut out).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(out, b"xxxxx");
    }

    #[tokio::test]
    async fn a_call_ends_with_its_caller() {
        let (tell, ended) = tokio::sync::oneshot::channel::<()>();
        let call = on_io(async move {
            let _tell = tell;
            std::future::pending::<()>().await;
        });
        drop(tokio::time::timeout(std::time::Duration::from_millis(10), call).await);
        ended.await.unwrap_err();
    }
}
