//! A remote over http: git's own `git http-backend` behind python's CGI server, and what servers say when they are ill.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use lifeboat::effects::{RefUpdate, Remote as _};
use lifeboat::error::ErrorKind;
use lifeboat::model::RemoteName;
use lifeboat::remotes::GitRemote;

use crate::scratch::{Scratch, patched};

/// A CGI server in forty lines of python: one request at a time, `git http-backend` behind it.
const SERVER: &str = r#"
import http.server, os, subprocess, sys
class H(http.server.BaseHTTPRequestHandler):
    def do(self):
        path, _, query = self.path.partition('?')
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        env = dict(os.environ, GIT_PROJECT_ROOT=sys.argv[1], GIT_HTTP_EXPORT_ALL='1', PATH_INFO=path, QUERY_STRING=query,
                   REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get('Content-Type') or '', REMOTE_USER='u',
                   CONTENT_LENGTH=str(len(body)), HTTP_CONTENT_ENCODING=self.headers.get('Content-Encoding') or '',
                   GIT_PROTOCOL=self.headers.get('Git-Protocol') or '')
        out = subprocess.run(['git', 'http-backend'], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, rest = out.partition(b'\r\n\r\n')
        lines = [l.split(': ', 1) for l in head.decode().split('\r\n')]
        self.send_response(int(dict(lines).get('Status', '200').split()[0]))
        for k, v in lines:
            if k != 'Status': self.send_header(k, v)
        self.send_header('Content-Length', str(len(rest))); self.end_headers(); self.wfile.write(rest)
    do_GET = do_POST = do
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
print(s.server_address[1], flush=True)
s.serve_forever()
"#;

struct Server(Child, String);

impl Server {
    fn over(s: &Scratch) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .arg(s.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run `python3` ({e}): install it with `apt install python3`"));
        let mut port = Vec::new();
        let mut out = child.stdout.take().unwrap();
        let mut byte = [0];
        while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            port.push(byte[0]);
        }
        Self(child, format!("http://127.0.0.1:{}/remote.git", String::from_utf8(port).unwrap()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn remote(s: &Scratch, url: &str) -> GitRemote {
    GitRemote::new(s.program().clone(), RemoteName::new("origin").unwrap(), url).with_deadline(Duration::from_secs(30))
}

#[tokio::test]
async fn push_over_http_and_what_the_server_forbids() {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "--bare", "user", "remote.git"]);
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let server = Server::over(&s);
    let origin = remote(&s, &server.1);
    origin.probe().await.unwrap_or_else(|e| panic!("{}", e.report()));
    let name = "refs/heads/release-1.0".to_owned();
    let updates = [RefUpdate { name: name.clone(), old: Some(base.clone()), new: head.clone() }];

    s.git("remote.git", &["config", "http.receivepack", "false"]);
    let e = origin.push(&repo.dir, &updates).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Fatal);
    assert!(e.message().contains("refused us"), "{}", e.report());
    assert_eq!(origin.observe(std::slice::from_ref(&name)).await.unwrap(), [Some(base)]);

    s.git("remote.git", &["config", "http.receivepack", "true"]);
    s.git("remote.git", &["config", "receive.advertiseAtomic", "false"]);
    let e = origin.push(&repo.dir, &updates).await.unwrap_err();
    assert!(e.message().contains("all refs or none"), "{}", e.report());

    s.git("remote.git", &["config", "receive.advertiseAtomic", "true"]);
    origin.push(&repo.dir, &updates).await.unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(origin.observe(&[name]).await.unwrap(), [Some(head)]);
    let e = remote(&s, &server.1.replace("remote.git", "nothing.git")).probe().await.unwrap_err();
    assert!(e.message().contains("has no such repository"), "{}", e.report());
}

/// Answers every request with this status, until dropped.
fn always(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    url
}

#[tokio::test]
async fn statuses_of_an_ill_server() {
    let s = Scratch::new();
    for (status, want) in [
        ("503 Service Unavailable", ErrorKind::Unreachable),
        ("500 Internal Server Error", ErrorKind::Unreachable),
        ("429 Too Many Requests", ErrorKind::Unreachable),
        ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=x", ErrorKind::Fatal),
        ("403 Forbidden", ErrorKind::Fatal),
        ("404 Not Found", ErrorKind::Fatal),
    ] {
        let e = remote(&s, &always(status)).probe().await.unwrap_err();
        assert_eq!(e.kind(), want, "{status}: {}", e.report());
    }
}
