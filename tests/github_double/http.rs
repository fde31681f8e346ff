//! As much of HTTP/1.1 as the double needs, by hand: a library would not let a test reset a connection midway.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::faults::Kind;
use super::{Side, World, routes};

/// A request whose head has arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub side: Side,
    /// What stood before the path.
    pub base: Option<&'static str>,
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body of a JSON request; empty for an upload.
    pub body: Vec<u8>,
    /// Length and SHA-256 of the body.
    pub size: u64,
    pub sha256: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Takes connections until it is dropped.
pub async fn serve(listener: TcpListener, side: Side, world: Arc<Mutex<World>>) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        open.spawn(connection(stream, side, world.clone()));
        while open.try_join_next().is_some() {}
    }
}

/// Answers the requests of one connection; an error of the stream is the client's doing and ends it.
async fn connection(stream: TcpStream, side: Side, world: Arc<Mutex<World>>) {
    drop(stream.set_nodelay(true));
    let mut stream = BufReader::new(stream);
    while let Ok(true) = one(&mut stream, side, &world).await {}
}

/// One request; says whether the connection stays open.
async fn one(stream: &mut BufReader<TcpStream>, side: Side, world: &Mutex<World>) -> io::Result<bool> {
    let Some(mut request) = head(stream, side).await? else { return Ok(false) };
    let call = routes::label(&world.lock().unwrap_or_else(PoisonError::into_inner).state, &request);
    let fault = {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        world.calls.push(call.clone());
        world.bases.extend(request.base);
        world.faults.of(side, &call)
    };
    match fault {
        Some(Kind::HostDown) => return reset(stream),
        Some(Kind::HangBefore | Kind::HostBlackHole) => return hang().await,
        Some(Kind::KillBefore) => return kill(world).await,
        Some(Kind::ResetMidway) => {
            body(stream, &mut request, 2).await?;
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            routes::leave_half(&mut world, &request);
            drop(world);
            return reset(stream);
        }
        _ => {}
    }
    body(stream, &mut request, 1).await?;
    let answer = {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        routes::answer(&mut world, &request, &call, fault)
    };
    match fault {
        Some(Kind::HangAfter) => return hang().await,
        Some(Kind::KillAfter) => return kill(world).await,
        Some(Kind::ResetAfter) => return reset(stream),
        _ => {}
    }
    let mut out = format!("HTTP/1.1 {} Double\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut bytes = out.into_bytes();
    // 304 and 204 have no body, whatever the length says.
    if !matches!(answer.status, 204 | 304) {
        bytes.extend_from_slice(&answer.body);
    }
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    Ok(true)
}

/// Never ends: the client must give up.
async fn hang() -> io::Result<bool> {
    std::future::pending::<()>().await;
    Ok(false)
}

/// Has the client killed, and never answers.
async fn kill(world: &Mutex<World>) -> io::Result<bool> {
    let killed = world.lock().unwrap_or_else(PoisonError::into_inner).killed.clone();
    killed.notify_one();
    hang().await
}

/// Ends the connection with a reset instead of an orderly end.
fn reset(stream: &mut BufReader<TcpStream>) -> io::Result<bool> {
    stream.get_ref().set_zero_linger()?;
    Ok(false)
}

async fn head(stream: &mut BufReader<TcpStream>, side: Side) -> io::Result<Option<Request>> {
    use tokio::io::AsyncBufReadExt as _;
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let url = reqwest::Url::parse(&format!("http://double{target}")).map_err(io::Error::other)?;
    let query = url.query_pairs().into_owned().collect();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    // As GitHub Enterprise Server has them below one host; github.com has hosts of their own instead.
    let base = ["/api/v3", "/api/uploads"].into_iter().find(|base| url.path().starts_with(base));
    let path = url.path().trim_start_matches(base.unwrap_or_default()).to_owned();
    Ok(Some(Request { side, base, method, path, query, headers, body: Vec::new(), size: 0, sha256: String::new() }))
}

/// Reads the body, or one part in `part` of it; an upload is hashed and not kept.
async fn body(stream: &mut BufReader<TcpStream>, request: &mut Request, part: u64) -> io::Result<()> {
    let length: u64 = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let wanted = length / part;
    let keep = request.header("content-type").is_some_and(|t| t.starts_with("application/json"));
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    while request.size < wanted {
        let most = usize::try_from(wanted - request.size).unwrap_or(usize::MAX).min(buffer.len());
        let n = stream.read(&mut buffer[..most]).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..n]);
        if keep {
            request.body.extend_from_slice(&buffer[..n]);
        }
        request.size += n as u64;
    }
    request.sha256 = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(())
}
