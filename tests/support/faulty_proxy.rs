//! A proxy in front of a server that speaks HTTP, which does to requests and answers what networks and servers do.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection is cut before the server sees the request.
    Reset,
    /// The server sees so much of the request's body, and then the connection is cut.
    CutRequest(u64),
    /// The server does it, and the answer is lost.
    LoseAnswer,
    /// The server does it, and so much of the answer arrives.
    CutAnswer(usize),
    /// The answer comes late.
    Late(Duration),
    /// A status of the proxy's own, and the server sees nothing.
    Refuse(u16),
    /// The server does it, and a status of the proxy's own comes back.
    RefuseAfter(u16),
    /// The server gets it twice; the first answer arrives.
    Twice,
}

/// A request, as the proxy sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The first is 1.
    pub number: u64,
    pub method: String,
    pub path: String,
}

impl Seen {
    /// Whether it changes what is stored. What is unlocked late is unlocked by the server, so that is not one.
    pub fn changes(&self) -> bool {
        matches!(&*self.method, "PUT" | "POST" | "DELETE" | "MOVE" | "COPY" | "MKCOL" | "LOCK")
    }
}

type Decide = dyn Fn(&Seen) -> Fault + Send + Sync;
type Amid = dyn Fn(&Seen) + Send + Sync;

/// Starts a proxy in front of a port of this machine, which runs as long as the test does; returns its port.
pub fn start(server: u16, decide: impl Fn(&Seen) -> Fault + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    start_at(listener, server, decide, |_| ());
    port
}

/// Starts a proxy that listens already; `amid` is called when half of a request's body has passed, if nothing else happens to it.
pub fn start_at(
    listener: TcpListener,
    server: u16,
    decide: impl Fn(&Seen) -> Fault + Send + Sync + 'static,
    amid: impl Fn(&Seen) + Send + Sync + 'static,
) {
    let (decide, amid): (Arc<Decide>, Arc<Amid>) = (Arc::new(decide), Arc::new(amid));
    let count = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (decide, amid, count) = (decide.clone(), amid.clone(), count.clone());
            // A connection that fails ends: that is what a proxy does.
            std::thread::spawn(move || drop(serve(client, server, (&*decide, &*amid), &count)));
        }
    });
}

/// The head of a message, with the final empty line; empty at the end.
fn head(from: &mut impl io::BufRead) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let before = text.len();
        from.read_line(&mut text)?;
        if text.len() == before || text[before..].trim().is_empty() {
            return Ok(text);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn serve(
    client: io::Result<TcpStream>,
    server: u16,
    (decide, amid): (&Decide, &Amid),
    count: &AtomicU64,
) -> io::Result<()> {
    let client = client?;
    let mut from = BufReader::new(client.try_clone()?);
    let mut to = client;
    loop {
        let request = head(&mut from)?;
        let mut words = request.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
        let length: u64 = header(&request, "content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        assert!(header(&request, "transfer-encoding").is_none(), "a request of unknown length: {request}");
        let seen =
            Seen { number: count.fetch_add(1, Ordering::SeqCst) + 1, method: method.to_owned(), path: path.to_owned() };
        let fault = decide(&seen);
        match fault {
            Fault::Reset => return Ok(()),
            Fault::Refuse(status) => {
                io::copy(&mut (&mut from).take(length), &mut io::sink())?;
                answer(&mut to, status)?;
                continue;
            }
            Fault::CutRequest(most) if most < length => {
                let mut upstream = TcpStream::connect(("127.0.0.1", server))?;
                upstream.write_all(closing(&request).as_bytes())?;
                io::copy(&mut (&mut from).take(most), &mut upstream)?;
                return Ok(());
            }
            _ => {}
        }
        let mut body = Vec::new();
        let mut upstream = TcpStream::connect(("127.0.0.1", server))?;
        upstream.write_all(closing(&request).as_bytes())?;
        if fault == Fault::Twice {
            (&mut from).take(length).read_to_end(&mut body)?;
            upstream.write_all(&body)?;
        } else {
            let half = io::copy(&mut (&mut from).take(length / 2), &mut upstream)?;
            if half > 0 {
                amid(&seen);
            }
            io::copy(&mut (&mut from).take(length - half), &mut upstream)?;
        }
        let mut upstream = BufReader::new(upstream);
        let answered = head(&mut upstream)?;
        match fault {
            Fault::LoseAnswer => {
                io::copy(&mut upstream, &mut io::sink())?;
                return Ok(());
            }
            Fault::CutAnswer(most) => {
                let mut all = answered.into_bytes();
                upstream.read_to_end(&mut all)?;
                return to.write_all(&all[..most.min(all.len().saturating_sub(1))]);
            }
            Fault::RefuseAfter(status) => {
                io::copy(&mut upstream, &mut io::sink())?;
                answer(&mut to, status)?;
                continue;
            }
            Fault::Late(wait) => std::thread::sleep(wait),
            Fault::Twice => {
                let mut again = TcpStream::connect(("127.0.0.1", server))?;
                again.write_all(closing(&request).as_bytes())?;
                again.write_all(&body)?;
                io::copy(&mut again, &mut io::sink())?;
            }
            _ => {}
        }
        let is_framed = method == "HEAD"
            || header(&answered, "content-length").is_some()
            || header(&answered, "transfer-encoding").is_some()
            || [" 204", " 304"].iter().any(|status| answered.lines().next().unwrap_or_default().contains(status));
        to.write_all(without(&["connection:", "date:"], &answered).as_bytes())?;
        io::copy(&mut upstream, &mut to)?;
        if !is_framed {
            return Ok(());
        }
    }
}

fn answer(to: &mut TcpStream, status: u16) -> io::Result<()> {
    write!(to, "HTTP/1.1 {status} Said by the proxy\r\nContent-Length: 0\r\n\r\n")
}

/// A head without some of its lines. The time that an answer says may be another one than that of the test.
fn without(beginnings: &[&str], head: &str) -> String {
    let is_one = |line: &str| beginnings.iter().any(|begin| line.to_ascii_lowercase().starts_with(begin));
    head.split_inclusive('\n').filter(|line| !is_one(line)).collect()
}

/// The head of a request after whose answer the server closes the connection, so that its end is seen.
fn closing(request: &str) -> String {
    without(&["connection:"], request).replacen("\r\n", "\r\nConnection: close\r\n", 1)
}
