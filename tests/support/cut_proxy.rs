//! A proxy before an HTTP server that counts requests and bytes, and cuts connections at a chosen request.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// When a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the server gets the request.
    Before,
    /// When the server has got half of its body.
    Amid,
    /// After the server got it, and before its answer comes through.
    After,
}

/// The proxy.
pub struct CutProxy {
    at: u64,
    when: When,
    once: bool,
    upstream: SocketAddr,
    address: SocketAddr,
    changing: AtomicU64,
    sent: AtomicU64,
    dead: AtomicBool,
    cut: AtomicBool,
    /// Bytes a second, for all connections together; none if 0.
    slow: AtomicU64,
}

impl CutProxy {
    /// Before `upstream`; cuts from the `at`th request on that could change something.
    pub fn new(upstream: &str, at: u64, when: When) -> Arc<Self> {
        Self::start(upstream, at, when, false)
    }

    /// The same, but cuts that request alone.
    pub fn once(upstream: &str, at: u64, when: When) -> Arc<Self> {
        Self::start(upstream, at, when, true)
    }

    fn start(upstream: &str, at: u64, when: When, once: bool) -> Arc<Self> {
        let upstream = upstream.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Arc::new(Self {
            at,
            when,
            once,
            upstream,
            address: listener.local_addr().unwrap(),
            changing: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            slow: AtomicU64::new(0),
        });
        let served = Arc::downgrade(&proxy);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Some(proxy) = served.upgrade() else { return };
                std::thread::spawn(move || drop(proxy.serve(&client)));
            }
        });
        proxy
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether it has cut a connection.
    pub fn has_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// How many requests came that could change something.
    pub fn changing(&self) -> u64 {
        self.changing.load(Ordering::SeqCst)
    }

    /// How many bytes of bodies the server got.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Lets through so many bytes a second on each connection.
    pub fn slow_down(&self, bytes: u64) {
        self.slow.store(bytes, Ordering::SeqCst);
    }

    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(self.upstream)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let end = || {
            drop(client.shutdown(Shutdown::Both));
            drop(server.shutdown(Shutdown::Both));
        };
        let muted = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| {
                let mut buffer = vec![0; 64 << 10];
                let (mut from, mut to) = (&server, client);
                while let Ok(n @ 1..) = from.read(&mut buffer) {
                    if muted.load(Ordering::SeqCst) || to.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                end();
            });
            let outcome = self.requests(client, &server, &muted);
            // What was sent to be cut off after its effect is to have its effect.
            if muted.load(Ordering::SeqCst) {
                drop(server.shutdown(Shutdown::Write));
            } else {
                end();
            }
            outcome
        })
    }

    /// Passes requests on, each with its body, until one is cut.
    fn requests(&self, client: &TcpStream, server: &TcpStream, muted: &AtomicBool) -> io::Result<()> {
        let (mut from, mut to) = (BufReader::new(client), server);
        loop {
            let (mut head, mut length) = (Vec::new(), 0_u64);
            loop {
                let begin = head.len();
                if from.read_until(b'\n', &mut head)? == 0 {
                    return Ok(());
                }
                let line = String::from_utf8_lossy(&head[begin..]).to_ascii_lowercase();
                if let Some(n) = line.strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                if line.trim().is_empty() && begin > 0 {
                    break;
                }
            }
            let reads = [&b"GET "[..], b"HEAD", b"PROPFIND", b"OPTIONS"];
            let changes = !reads.iter().any(|method| head.starts_with(method));
            let nth = if changes { self.changing.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
            let cut = changes && (nth == self.at || self.dead.load(Ordering::SeqCst));
            if cut {
                self.dead.store(!self.once, Ordering::SeqCst);
                self.cut.store(true, Ordering::SeqCst);
                if self.when == When::Before || nth != self.at {
                    return Ok(());
                }
                if self.when == When::After {
                    muted.store(true, Ordering::SeqCst);
                }
            }
            to.write_all(&head)?;
            let passed = if cut && self.when == When::Amid { length / 2 } else { length };
            self.pass(&mut from, &mut to, passed)?;
            if cut {
                return Ok(());
            }
        }
    }

    fn pass(&self, from: &mut impl io::Read, to: &mut impl io::Write, mut left: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = from.read(&mut buffer[..most])?;
            if n == 0 {
                return Ok(());
            }
            to.write_all(&buffer[..n])?;
            self.sent.fetch_add(n as u64, Ordering::SeqCst);
            left -= n as u64;
            let slow = self.slow.load(Ordering::SeqCst);
            if slow > 0 {
                std::thread::sleep(Duration::from_secs_f64(n as f64 / slow as f64));
            }
        }
        Ok(())
    }
}
