//! What builds need from elsewhere: fetched ahead, checked, kept in the project's stores; on the day nothing is downloaded.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use lifeboat::model::Sha256;

use crate::support::sample_train::{Ran, SampleTrain};

/// What the recipe runs; without it, nothing is built.
const TOOL: &str = "echo the tool ran in $PWD\n";

/// A web server with one file, until it is dropped.
struct OneFile {
    address: std::net::SocketAddr,
    asked: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl OneFile {
    fn serve(bytes: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counts, stops) = (Arc::clone(&asked), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stops.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let n = stream.read(&mut request).unwrap_or_default();
                let head = match request[..n].starts_with(b"GET /dl/tool.sh HTTP/1.1\r\n") {
                    true => "HTTP/1.1 200 OK",
                    false => "HTTP/1.1 404 Not Found",
                };
                counts.fetch_add(1, Ordering::SeqCst);
                let length = bytes.len();
                let answer = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{bytes}");
                // Whoever asked may be gone.
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        Self { address, asked, ended, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://{}/dl/tool.sh", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for OneFile {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A sample whose first target and its tests need the tool, from this address.
fn sample(url: &str) -> SampleTrain {
    let train = SampleTrain::new();
    let digest = Sha256::of(TOOL.as_bytes());
    train.configure(&format!("[[input]]\nname = \"tool\"\nurl = \"{url}\"\nsha256 = \"{digest}\"\n"));
    train.edit(
        &train.config(),
        "run = [\"sh build.sh {name}\"]\ntest = [\"sh test.sh {name}\"]",
        "inputs = [\"tool\"]\nrun = [\"sh inputs/tool.sh\", \"sh build.sh {name}\"]\n\
         test = [\"sh inputs/tool.sh\", \"sh test.sh {name}\"]",
    );
    train
}

fn cache(train: &SampleTrain) -> PathBuf {
    train.state().join("sample/inputs")
}

fn place(dir: &Path, bytes: &str) -> PathBuf {
    let hex = Sha256::of(bytes.as_bytes()).hex();
    dir.join(&hex[..2]).join(&hex[2..])
}

/// Puts other bytes into a file that nobody may write.
fn damage(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(file, "echo something else\n").unwrap();
}

/// The files in a directory and below.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for path in fs::read_dir(dir).into_iter().flatten().map(|e| e.unwrap().path()) {
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out
}

/// The digest of a job's log, in a record that a step succeeded.
fn log_of(value: &serde_json::Value) -> Option<String> {
    let fields = value.as_object()?;
    let ours = fields.get("log").and_then(|log| log.as_str()).map(str::to_owned);
    ours.or_else(|| fields.values().find_map(log_of))
}

fn plan(train: &SampleTrain) -> Ran {
    train.run(&["plan", &train.train_file().display().to_string()])
}

#[test]
fn what_was_fetched_ahead_is_built_with_while_its_server_is_down() {
    let server = OneFile::serve(TOOL);
    let train = sample(&server.url());
    let file = train.train_file().display().to_string();
    let why = ["1 input of this train's builds was not fetched ahead: tool", "`lifeboat inputs fetch`", &server.url()];
    plan(&train).fails(2, &why);
    train.adopt().fails(2, &why);
    let ran = train.run(&["ship", &file, "--dry-run"]).fails(2, &why);
    assert!(ran.stdout.contains("rehearsal: rotten"), "{}", ran.stdout);
    let ran = train.run(&["doctor"]).ends_with(1);
    assert!(ran.stdout.contains("not fetched: tool"), "{}", ran.stdout);
    train.run(&["inputs", "verify"]).fails(2, &["input `tool` was not fetched"]);
    assert_eq!((server.asked(), files(&cache(&train))), (0, Vec::new()), "only `inputs fetch` downloads");

    let ran = train.run(&["inputs", "fetch"]).ends_with(0);
    assert!(ran.stdout.contains(&format!("fetched   tool from {}, 26 bytes", server.url())), "{}", ran.stdout);
    assert!(ran.stderr.contains("fetch     tool from http://127.0.0.1"), "{}", ran.stderr);
    let ran = train.run(&["inputs", "fetch"]).ends_with(0);
    assert!(ran.stdout.contains("here      tool, 26 bytes"), "{}", ran.stdout);
    assert_eq!(server.asked(), 1);
    drop(server);

    train.run(&["inputs", "verify"]).ends_with(0);
    let ran = train.run(&["doctor"]).ends_with(0);
    assert!(ran.stdout.contains("1 input fetched"), "{}", ran.stdout);
    let said = plan(&train).ends_with(0).stdout;
    assert!(said.contains(&format!("  inputs/tool.sh: sha256 {}\n", Sha256::of(TOOL.as_bytes()))), "{said}");
    train.run(&["ship", &file, "--dry-run"]).ends_with(0);
    train.to_the_gate();
    // Adopted, the train needs nothing but itself.
    fs::remove_dir_all(cache(&train)).unwrap();
    train.run(&["log"]).ends_with(0);
    let objects = train.train_dir("drill").join("objects");
    assert_eq!(fs::read_to_string(place(&objects, TOOL)).unwrap(), TOOL);
    // The build and the test, on both lines.
    let records = train.records("drill").into_iter().filter(|record| record.to_string().contains("/linux\""));
    let logs: Vec<String> = records.filter_map(|record| log_of(&record)).collect();
    assert_eq!(logs.len(), 4);
    for log in logs {
        let text = fs::read_to_string(objects.join(&log[..2]).join(&log[2..])).unwrap();
        assert!(text.contains("the tool ran in /"), "{text}");
    }
    train.release();
}

#[test]
fn wrong_bytes_are_refused_and_nothing_of_them_is_kept() {
    let server = OneFile::serve("echo something else\n");
    let train = sample(&server.url());
    let ran = train.run(&["inputs", "fetch"]);
    ran.fails(
        6,
        &["input `tool`: the bytes have another digest", "expected sha256 ", "nothing was kept", &server.url()],
    );
    let left = files(&cache(&train));
    assert_eq!(left, [cache(&train).join("lock")], "nothing but the lock");
    plan(&train).fails(2, &["was not fetched ahead: tool"]);
    drop(server);
    train.run(&["inputs", "fetch"]).fails(5, &["input `tool`: cannot read `http://127.0.0.1"]);

    // What is damaged in the cache is seen before a job gets it, and fetched again.
    let tool = train.root().join("tool.sh");
    fs::write(&tool, TOOL).unwrap();
    let config = fs::read_to_string(train.config()).unwrap();
    let line = config.lines().find(|l| l.starts_with("url = \"http") && l.ends_with("tool.sh\"")).unwrap();
    train.edit(&train.config(), line, &format!("url = \"{}\"", tool.display()));
    train.run(&["inputs", "fetch"]).ends_with(0);
    damage(&place(&cache(&train), TOOL));
    train.run(&["inputs", "verify"]).fails(6, &["input `tool`: its bytes in the cache", "`lifeboat inputs fetch`"]);
    train.adopt().fails(6, &["the input at `inputs/tool.sh`", "another digest", "`lifeboat inputs fetch`"]);
    train.ship().fails(6, &["the input at `inputs/tool.sh`"]);
    let ran = train.run(&["inputs", "fetch"]).ends_with(0);
    assert!(ran.stderr.contains("it is fetched again") && ran.stdout.contains("fetched   tool"), "{ran:?}");
    train.ship().ends_with(3);
}

#[test]
fn a_store_stands_in_for_an_address_that_is_gone() {
    let server = OneFile::serve(TOOL);
    let train = sample(&server.url());
    train.run(&["inputs", "mirror"]).fails(2, &["input `tool` was not fetched"]);
    train.run(&["inputs", "fetch"]).ends_with(0);
    drop(server);
    let ran = train.run(&["inputs", "mirror"]).ends_with(0);
    assert!(ran.stdout.contains("put into store mirror"), "{}", ran.stdout);
    let ran = train.run(&["inputs", "mirror"]).ends_with(0);
    assert!(ran.stdout.contains("already in store mirror"), "{}", ran.stdout);
    let there = train.store().join("inputs").join(Sha256::of(TOOL.as_bytes()).hex());
    assert_eq!(fs::read_to_string(&there).unwrap(), TOOL);

    fs::remove_dir_all(cache(&train)).unwrap();
    let ran = train.run(&["inputs", "fetch"]).ends_with(0);
    assert!(ran.stdout.contains("fetched   tool from store `mirror`"), "{}", ran.stdout);
    train.to_the_gate();
    train.release();
    // Strangers see more in the store than releases, and mind nothing.
    train.run(&["verify", "latest", &train.store().display().to_string()]).ends_with(0);

    damage(&there);
    train.run(&["inputs", "mirror"]).fails(4, &["has other bytes than its name says"]);
    fs::remove_dir_all(cache(&train)).unwrap();
    train.run(&["inputs", "fetch"]).fails(5, &["store `mirror`: the bytes have another digest", "cannot read `http"]);
    assert_eq!(files(&cache(&train)), [cache(&train).join("lock")]);
}

#[test]
fn an_amended_train_takes_other_inputs() {
    const BETTER: &str = "echo the better tool ran\n";
    let tool = "../tool.sh";
    let train = sample(tool);
    let file = train.train_file().display().to_string();
    let put = |text: &str| fs::write(train.project().join(tool), text).unwrap();
    put(TOOL);
    train.run(&["inputs", "fetch"]).ends_with(0);
    train.to_the_gate();
    // What the train took, it still has.
    fs::remove_dir_all(cache(&train)).unwrap();
    train.edit(&train.config(), "test = [\"sh inputs/tool.sh\"", "test = [\"true\", \"sh inputs/tool.sh\"");
    train.run(&["amend", &file, "--yes"]).ends_with(0);
    train.ship().ends_with(3);
    let digest = |text: &str| Sha256::of(text.as_bytes()).hex();
    train.edit(&train.config(), &digest(TOOL), &digest(BETTER));
    train.run(&["amend", &file, "--yes"]).fails(2, &["was not fetched ahead: tool"]);
    put(BETTER);
    train.run(&["inputs", "fetch"]).ends_with(0);
    let ran = train.run(&["amend", &file, "--yes"]).ends_with(0);
    assert!(ran.stdout.contains(&digest(BETTER)), "{}", ran.stdout);
    train.ship().ends_with(3);
    let objects = train.train_dir("drill").join("objects");
    assert!(place(&objects, BETTER).is_file() && place(&objects, TOOL).is_file());
}
