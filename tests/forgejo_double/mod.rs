//! A Forgejo on loopback, in the shape that Gitea's and its own sources give the API: releases, attachments that may have
//! one name twice and have no digest, tags as refs; and answers that are lost after the effect.
#![allow(dead_code, unreachable_pub, reason = "each program that includes this uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub const TOKEN: &str = "forgejo_canary_0123456789abcdef";
pub const REPOSITORY: &str = "example/sample";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub id: u64,
    pub name: String,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub id: u64,
    pub tag: String,
    pub title: String,
    pub notes: String,
    pub draft: bool,
    pub prerelease: bool,
    pub assets: Vec<Attachment>,
}

#[derive(Default)]
pub struct State {
    /// Tags and the objects to which they point.
    pub tags: BTreeMap<String, String>,
    pub releases: Vec<Release>,
    /// Changes whose effect happens and whose answer is lost, as `POST releases`.
    pub lost: Vec<String>,
    /// Changes, in their order.
    pub writes: Vec<String>,
    /// What requests broke of the API's shape.
    pub violations: Vec<String>,
    /// How often bytes were downloaded.
    pub downloads: usize,
    /// A bare repository whose tags are shown, as they are at each request.
    pub git: Option<std::path::PathBuf>,
    /// Whether every answer is a failure of the server.
    pub down: bool,
    /// The next request is answered with 429 and this `Retry-After`, in seconds.
    pub patience: Option<u32>,
    /// How many requests came.
    pub requests: usize,
    /// Every page of releases is full of new ones.
    pub endless: bool,
    next: u64,
}

/// A running server; it ends when it is dropped.
pub struct Double {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    _host: JoinSet<()>,
}

impl Double {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(State::default())));
        let (mut host, shared) = (JoinSet::new(), state.clone());
        host.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(connection(stream, shared.clone()));
            }
        });
        Self { state, address, _host: host }
    }

    pub fn api(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// An error of the stream is the client's doing and ends the connection.
async fn connection(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = request(&mut stream).await {
        let (status, more, body) = {
            let mut state = state.lock().unwrap();
            state.requests += 1;
            match state.patience.take() {
                Some(seconds) => (429, format!("retry-after: {seconds}\r\n"), Vec::new()),
                None => {
                    let (status, body) = answer(&mut state, &request);
                    (status, String::new(), body)
                }
            }
        };
        let head = format!("HTTP/1.1 {status} Double\r\n{more}content-length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let url = reqwest::Url::parse(&format!("http://double{target}")).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        method,
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers,
        body,
    })
}

fn said(status: u16, value: &Value) -> (u16, Vec<u8>) {
    (status, serde_json::to_vec(value).unwrap())
}

fn failure(status: u16, message: &str) -> (u16, Vec<u8>) {
    said(status, &json!({"message": message, "url": "http://double/api/swagger"}))
}

fn answer(state: &mut State, request: &Request) -> (u16, Vec<u8>) {
    if state.down {
        return (503, Vec::new());
    }
    let repo = state.git.as_deref().and_then(|git| git2::Repository::open_bare(git).ok());
    for reference in repo.iter().flat_map(|r| r.references_glob("refs/tags/*").unwrap()).flatten() {
        if let (Ok(name), Some(oid)) = (reference.shorthand(), reference.target()) {
            state.tags.insert(name.to_owned(), oid.to_string());
        }
    }
    if request.path == "/api/v1/version" {
        return said(200, &json!({"version": "11.0.3+gitea-1.22.0"}));
    }
    if request.headers.get("authorization") != Some(&format!("token {TOKEN}")) {
        return failure(401, "user does not exist [uid: 0, name: ]");
    }
    if let Some(uuid) = request.path.strip_prefix("/attachments/") {
        state.downloads += 1;
        let found = state.releases.iter().flat_map(|r| &r.assets).find(|a| format!("uuid-{}", a.id) == uuid);
        return found.map_or_else(|| failure(404, "no such file"), |a| (200, a.bytes.clone()));
    }
    let Some(rest) = request.path.strip_prefix(&format!("/api/v1/repos/{REPOSITORY}/")) else {
        return failure(404, "The target couldn't be found.");
    };
    let parts: Vec<&str> = rest.split('/').collect();
    let answer = match request.method.as_str() {
        "GET" => read(state, request, &parts),
        _ => write(state, request, &parts),
    };
    if request.method != "GET" && answer.0 < 300 {
        let kinds: Vec<&str> = parts.iter().copied().filter(|p| p.parse::<u64>().is_err()).collect();
        let call = format!("{} {}", request.method, kinds.join("/"));
        state.writes.push(call.clone());
        if let Some(i) = state.lost.iter().position(|l| *l == call) {
            state.lost.remove(i);
            return failure(502, "Bad Gateway");
        }
    }
    answer
}

fn shown(r: &Release) -> Value {
    let asset = |a: &Attachment| {
        json!({"id": a.id, "name": a.name, "size": a.bytes.len(), "download_count": 0, "uuid": format!("uuid-{}", a.id),
               "created_at": "2026-02-24T12:00:00Z", "type": "attachment",
               "browser_download_url": format!("http://double/attachments/uuid-{}", a.id)})
    };
    json!({"id": r.id, "tag_name": r.tag, "target_commitish": "main", "name": r.title, "body": r.notes,
           "html_url": format!("http://double/{REPOSITORY}/releases/tag/{}", r.tag), "draft": r.draft,
           "prerelease": r.prerelease, "assets": r.assets.iter().map(asset).collect::<Vec<_>>()})
}

fn read(state: &State, request: &Request, parts: &[&str]) -> (u16, Vec<u8>) {
    let number = |name: &str, default: usize| request.query.get(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    match parts {
        ["releases"] => {
            let (limit, page) = (number("limit", 30).min(50), number("page", 1).max(1));
            if state.endless {
                let new = |n| Release {
                    id: (1 << 40) + (page * 50 + n) as u64,
                    tag: format!("t{page}-{n}"),
                    title: String::new(),
                    notes: String::new(),
                    draft: false,
                    prerelease: false,
                    assets: Vec::new(),
                };
                return said(200, &Value::Array((0..limit).map(|n| shown(&new(n))).collect()));
            }
            let newest_first = state.releases.iter().rev().skip(limit * (page - 1)).take(limit);
            said(200, &Value::Array(newest_first.map(shown).collect()))
        }
        ["git", "refs", "tags", name @ ..] => {
            let name = name.join("/");
            let one = |(tag, sha): (&String, &String)| json!({"ref": format!("refs/tags/{tag}"), "url": "http://double", "object": {"type": "tag", "sha": sha, "url": "http://double"}});
            let found: Vec<Value> = state.tags.iter().filter(|(tag, _)| tag.starts_with(&name)).map(one).collect();
            match &found[..] {
                [] => failure(404, "The target couldn't be found."),
                [only] if only["ref"] == format!("refs/tags/{name}") => said(200, only),
                _ => said(200, &Value::Array(found)),
            }
        }
        _ => failure(404, "The target couldn't be found."),
    }
}

/// The bytes of the one part of a form, which must be named `attachment`.
fn part(request: &Request) -> Option<Vec<u8>> {
    let boundary = request.headers.get("content-type")?.strip_prefix("multipart/form-data; boundary=")?;
    let rest = request.body.strip_prefix(format!("--{boundary}\r\n").as_bytes())?;
    let end = rest.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&rest[..end]).into_owned();
    let bytes = rest[end + 4..].strip_suffix(format!("\r\n--{boundary}--\r\n").as_bytes())?;
    head.contains("Content-Disposition: form-data; name=\"attachment\"; filename=\"").then(|| bytes.to_vec())
}

fn write(state: &mut State, request: &Request, parts: &[&str]) -> (u16, Vec<u8>) {
    state.next += 1;
    let (next, body) = (state.next, serde_json::from_slice::<Value>(&request.body).unwrap_or_default());
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let id = |text: &str| text.parse::<u64>().unwrap_or(0);
    match (request.method.as_str(), parts) {
        ("POST", ["releases"]) => {
            let tag = text("tag_name");
            if state.releases.iter().any(|r| r.tag == tag) {
                return failure(409, "Release is has no Tag");
            }
            let (draft, prerelease) = (body["draft"] == true, body["prerelease"] == true);
            let (title, notes) = (text("name"), text("body"));
            let release = Release { id: next, tag, title, notes, draft, prerelease, assets: Vec::new() };
            state.releases.push(release.clone());
            said(201, &shown(&release))
        }
        ("POST", ["releases", release, "assets"]) => {
            let Some(bytes) = part(request) else {
                state.violations.push(format!("{} {}: no form with an attachment", request.method, request.path));
                return failure(500, "request Content-Type isn't multipart/form-data");
            };
            let Some(r) = state.releases.iter_mut().find(|r| r.id == id(release)) else { return failure(404, "") };
            let name = request.query.get("name").cloned().unwrap_or_default();
            r.assets.push(Attachment { id: next, name, bytes });
            said(201, &shown(r)["assets"][r.assets.len() - 1])
        }
        ("PATCH", ["releases", release]) => {
            let Some(r) = state.releases.iter_mut().find(|r| r.id == id(release)) else { return failure(404, "") };
            r.draft = body["draft"].as_bool().unwrap_or(r.draft);
            said(200, &shown(r))
        }
        ("DELETE", ["releases", release, "assets", asset]) => {
            let Some(r) = state.releases.iter_mut().find(|r| r.id == id(release)) else { return failure(404, "") };
            r.assets.retain(|a| a.id != id(asset));
            (204, Vec::new())
        }
        ("DELETE", ["releases", release]) => {
            state.releases.retain(|r| r.id != id(release));
            (204, Vec::new())
        }
        _ => failure(404, "The target couldn't be found."),
    }
}
