//! A proxy in front of any server that does to the bytes of a connection what networks do: for traffic that is encrypted.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes that arrived, and are to go on.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// Of which connection; the first is 1.
    pub connection: u64,
    /// Whether the client sent them.
    pub to_server: bool,
    /// How many bytes went the same way before.
    pub before: u64,
    /// How many these are.
    pub length: usize,
}

/// What happens to a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It goes on after so long, and nothing after it earlier.
    Late(Duration),
    /// So many bytes of it go on, and then the connection is cut in both directions.
    Cut(usize),
    /// So many bytes of it go on, and then nothing more this way; the other way stays open.
    Silence(usize),
}

type Decide = dyn Fn(&Piece) -> Verdict + Send + Sync;

/// Starts a proxy in front of a port of this machine, which runs as long as the test does; returns its port.
pub fn start(server: u16, decide: impl Fn(&Piece) -> Verdict + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (decide, count): (Arc<Decide>, _) = (Arc::new(decide), AtomicU64::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", server))) else { continue };
            let connection = count.fetch_add(1, Ordering::SeqCst) + 1;
            for to_server in [true, false] {
                let (Ok(client), Ok(server), decide) = (client.try_clone(), server.try_clone(), decide.clone()) else {
                    break;
                };
                std::thread::spawn(move || {
                    let (from, to) = if to_server { (&client, &server) } else { (&server, &client) };
                    // A connection that fails ends: that is what a proxy does.
                    if pass(from, to, connection, to_server, &*decide).is_err() {
                        drop(client.shutdown(Shutdown::Both));
                        drop(server.shutdown(Shutdown::Both));
                    }
                });
            }
        }
    });
    port
}

/// Passes one way on until it ends in order; an error cuts the connection.
fn pass(mut from: &TcpStream, mut to: &TcpStream, connection: u64, to_server: bool, decide: &Decide) -> io::Result<()> {
    let (mut buffer, mut before) = (vec![0; 64 << 10], 0);
    to.set_nodelay(true)?;
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let all = &buffer[..length];
        match decide(&Piece { connection, to_server, before, length }) {
            Verdict::Pass => to.write_all(all)?,
            Verdict::Late(wait) => {
                std::thread::sleep(wait);
                to.write_all(all)?;
            }
            Verdict::Cut(most) => {
                to.write_all(&all[..most.min(length)])?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Verdict::Silence(most) => {
                to.write_all(&all[..most.min(length)])?;
                // Whoever sends goes on, and is not heard.
                return io::copy(&mut from, &mut io::sink()).and(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        before += length as u64;
    }
}
