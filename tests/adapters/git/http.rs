//! A remote over http and https: git's own `git http-backend` behind python's CGI server, a token that the user's
//! credential helper gives, and what servers say when they are ill.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use lifeboat::effects::{Git as _, RefUpdate, Remote as _};
use lifeboat::error::ErrorKind;
use lifeboat::model::RemoteName;
use lifeboat::remotes::GitRemote;

use crate::git::scratch::{Scratch, patched};

/// A CGI server in forty lines of python, `git http-backend` behind it: `ROOT [CERTIFICATE KEY AUTHORIZATION]`.
const SERVER: &str = r#"
import http.server, os, ssl, subprocess, sys
wanted = sys.argv[4] if len(sys.argv) > 4 else None
class H(http.server.BaseHTTPRequestHandler):
    def do(self):
        if wanted and self.headers.get('Authorization') != wanted:
            self.send_response(401); self.send_header('WWW-Authenticate', 'Basic realm="git"')
            self.send_header('Content-Length', '0'); self.end_headers(); return
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
if wanted:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[2], sys.argv[3])
    s.socket = tls.wrap_socket(s.socket, server_side=True)
print(s.server_address[1], flush=True)
s.serve_forever()
"#;

struct Server(Child, String);

impl Server {
    fn over(s: &Scratch) -> Self {
        let (server, port) = Self::start(&[&s.dir.path().display().to_string()]);
        Self(server, format!("http://127.0.0.1:{port}/remote.git"))
    }

    /// With TLS, for `localhost` and whoever knows the token.
    fn with_tls(s: &Scratch, token: &str) -> Self {
        let (certificate, key) = (s.path("tls.pem").display().to_string(), s.path("tls.key").display().to_string());
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        let made = openssl.args(["-keyout", &key, "-out", &certificate]).stderr(Stdio::null()).status();
        let made = made.unwrap_or_else(|e| panic!("cannot run `openssl` ({e}): apt-get install openssl"));
        assert!(made.success(), "{made}");
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
        let root = s.dir.path().display().to_string();
        let (server, port) = Self::start(&[&root, &certificate, &key, &format!("Basic {basic}")]);
        Self(server, format!("https://localhost:{port}/remote.git"))
    }

    fn start(args: &[&str]) -> (Child, String) {
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run `python3` ({e}): install it with `apt install python3`"));
        let mut port = Vec::new();
        let mut out = child.stdout.take().unwrap();
        let mut byte = [0];
        while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            port.push(byte[0]);
        }
        (child, String::from_utf8(port).unwrap())
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

const TOKEN: &str = "ghs_canary_git_0123456789abcdef";

#[tokio::test]
async fn branch_and_signed_tag_arrive_together_over_https_with_the_users_credentials() {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "--bare", "user", "remote.git"]);
    s.git("remote.git", &["config", "http.receivepack", "true"]);
    let server = Server::with_tls(&s, TOKEN);
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let text = format!("object {head}\ntype commit\ntag v1.0.1\ntagger A <a@example.org> 1 +0000\n\nv1.0.1\n");
    let tag = s.git.write_tag(&repo, text.as_bytes()).unwrap();
    let updates = [
        RefUpdate { name: "refs/heads/release-1.0".into(), old: Some(base.clone()), new: head.clone() },
        RefUpdate { name: "refs/tags/v1.0.1".into(), old: None, new: tag.clone() },
    ];
    let names = updates.clone().map(|u| u.name);
    let program = s.program().clone().with_variable("GIT_SSL_CAINFO", s.path("tls.pem"));
    let origin = GitRemote::new(program, RemoteName::new("origin").unwrap(), &server.1);
    let origin = origin.with_deadline(Duration::from_secs(30));

    // Without credentials, and with wrong ones: refused, at once, and nothing of them is shown.
    let e = origin.probe().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Fatal, "{}", e.report());
    s.write("home/token", "ghs_canary_wrong");
    let helper = "[user]\n\tname = U\n\temail = u@example.org\n[credential]\n\thelper = \"!f() { test \\\"$1\\\" = get && echo username=x-access-token && echo password=$(cat ~/token); }; f\"\n";
    s.write("home/.gitconfig", helper);
    let e = origin.push(&repo.dir, &updates).await.unwrap_err();
    assert!(e.message().contains("refused us") && !e.report().contains("canary"), "{}", e.report());
    s.write("home/token", TOKEN);

    // One ref that the server's rule denies stops the other.
    s.write("remote.git/hooks/update", "#!/bin/sh\ncase $1 in refs/tags/*) exit 1;; esac\n");
    s.make_executable("remote.git/hooks/update");
    let e = origin.push(&repo.dir, &updates).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Fatal, "{}", e.report());
    assert_eq!(origin.observe(&names).await.unwrap(), [Some(base), None], "all or none");
    std::fs::remove_file(s.path("remote.git/hooks/update")).unwrap();

    origin.push(&repo.dir, &updates).await.unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(origin.observe(&names).await.unwrap(), [Some(head.clone()), Some(tag)]);
    origin.push(&repo.dir, &updates).await.unwrap();

    // The branch goes on: it still holds the release. Moved back, it does not.
    assert!(origin.holds(&repo.dir, &names[0], &head).await.unwrap());
    s.git(".", &["clone", "-q", "remote.git", "other"]);
    s.git("other", &["commit", "-q", "--allow-empty", "-m", "after the release"]);
    s.git("other", &["push", "-q", "origin", "release-1.0"]);
    assert!(origin.holds(&repo.dir, &names[0], &head).await.unwrap_or_else(|e| panic!("{}", e.report())));
    s.git("remote.git", &["update-ref", &names[0], &format!("{head}~1")]);
    assert!(!origin.holds(&repo.dir, &names[0], &head).await.unwrap());
    s.git("remote.git", &["update-ref", "-d", &names[0]]);
    assert!(!origin.holds(&repo.dir, &names[0], &head).await.unwrap());
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

/// A server that takes connections and says nothing is not waited for as long as a push may take.
#[tokio::test]
async fn silence_ends_a_call_long_before_its_deadline() {
    let s = Scratch::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/remote.git", silent.local_addr().unwrap());
    let origin = remote(&s, &url).with_still(Duration::from_secs(1));
    let e = origin.observe(&["refs/heads/main".to_owned()]).await.unwrap_err();
    assert_eq!((e.kind(), e.part()), (ErrorKind::Unreachable, Some(lifeboat::error::Part::Git)));
    assert!(e.message().contains("Operation too slow"), "{}", e.report());
}

/// The remote as the clone `user` reaches it: its own configuration counts, wherever the call runs.
fn through_the_clone(s: &Scratch, url: &str) -> GitRemote {
    let program = s.program().clone().of_clone(&s.path("user")).with_variable("GIT_SSL_CAINFO", s.path("tls.pem"));
    GitRemote::new(program, RemoteName::new("origin").unwrap(), url).with_deadline(Duration::from_secs(30))
}

#[tokio::test]
async fn a_look_and_a_push_go_by_the_configuration_of_the_clone() {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "--bare", "user", "remote.git"]);
    s.git("remote.git", &["config", "http.receivepack", "true"]);
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let server = Server::with_tls(&s, TOKEN);
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let origin = through_the_clone(&s, "forge:remote.git");
    let real = server.1.trim_end_matches("remote.git").to_owned();
    assert!(origin.probe().await.is_err(), "nothing says where it is");
    let origin = through_the_clone(&s, "forge:remote.git");
    for (name, value) in [
        (format!("url.{real}.insteadOf"), "forge:".to_owned()),
        (format!("http.{real}.extraHeader"), format!("Authorization: Basic {basic}")),
    ] {
        s.git("user", &["config", &name, &value]);
    }
    let name = "refs/heads/release-1.0".to_owned();
    let updates = [RefUpdate { name: name.clone(), old: Some(base.clone()), new: head.clone() }];
    let report = |e: lifeboat::error::Error| e.report();
    assert_eq!(origin.observe(std::slice::from_ref(&name)).await.map_err(report).unwrap(), [Some(base)]);
    origin.can_push(&repo.dir, &updates).await.map_err(report).unwrap();

    // Where a push goes elsewhere than a look, the look is content and the trial is not.
    s.git("user", &["config", "url.https://localhost:1/.pushInsteadOf", "forge:"]);
    let split = through_the_clone(&s, "forge:remote.git");
    split.probe().await.map_err(report).unwrap();
    assert_eq!(split.can_push(&repo.dir, &updates).await.unwrap_err().kind(), ErrorKind::Unreachable);
    s.git("user", &["config", "--unset", "url.https://localhost:1/.pushInsteadOf"]);

    // A server that lets everybody look and nobody push.
    s.git("remote.git", &["config", "http.receivepack", "false"]);
    let origin = through_the_clone(&s, "forge:remote.git");
    origin.probe().await.map_err(report).unwrap();
    assert!(origin.can_push(&repo.dir, &updates).await.unwrap_err().message().contains("refused us"));
    s.git("remote.git", &["config", "http.receivepack", "true"]);
    origin.push(&repo.dir, &updates).await.map_err(report).unwrap();
    assert_eq!(origin.observe(&[name]).await.map_err(report).unwrap(), [Some(head)]);
}
