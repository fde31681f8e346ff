//! What must show up nowhere: keys, JWTs and tokens in no log, error, journal, file or process; a header at no other host.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::app::key;
use crate::github_double::app::App;
use crate::github_double::faults::{Fault, Kind};
use crate::github_double::{Double, Side};
use crate::support::sample_train::{Ran, SampleTrain, TOKEN};
use crate::train::{Template, double_with};
use crate::whole::git;

/// Text of the embargoed patches, the subject of one of them, and what they fix.
const EMBARGOED: [&str; 3] = ["Callers have eight bits", "Refuse arguments above eight", "SAMPLE-2026-0001"];

/// What `cmdline` and `environ` were seen to hold.
type Seen = BTreeSet<(&'static str, Vec<u8>)>;

/// Reads the command line and the environment of every process, again and again.
struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn start() -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeSet::new())));
        let (stopped, into) = (stop.clone(), seen.clone());
        let own = std::process::id().to_string();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if name == own || !name.bytes().all(|b| b.is_ascii_digit()) {
                        continue;
                    }
                    for what in ["cmdline", "environ"] {
                        // A process may be gone by now, or not ours to look at.
                        if let Ok(bytes) = fs::read(entry.path().join(what)) {
                            into.lock().unwrap().insert((what, bytes));
                        }
                    }
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        Self { stop, seen, thread: Some(thread) }
    }

    fn finish(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|w| w == word.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_tokens_and_patches_show_up_nowhere() {
    let (pem, public) = key();
    let double = Double::start().await;
    {
        let mut world = double.world();
        world.state.immutable_releases = true;
        world.app = Some(App::new(public));
    }
    let train = SampleTrain::unpinned(&double.api());
    train.pin();
    let here = train.root().join("github.git");
    git(&train, &["clone", "--quiet", "--bare", &train.project().display().to_string(), &here.display().to_string()]);
    double.world().git = Some(here.clone());
    // The key lies outside of what is searched.
    let secret = tempfile::tempdir().unwrap();
    let pem_file = secret.path().join("app.pem");
    fs::write(&pem_file, &pem).unwrap();
    let api = format!("api = \"{}\"", double.api());
    let app = format!(
        "app = {{ id = \"Iv23liDouble\", installation = 4711, private_key = {{ file = \"{}\" }} }}",
        pem_file.display()
    );
    train.edit(&train.config(), &format!("{TOKEN}\n"), "");
    train.edit(&train.config(), &api, &format!("{api}\nremote = \"github-git\"\n{app}"));
    train.configure(&format!("[[remote]]\nname = \"github-git\"\nurl = \"{}\"\n", here.display()));
    let run = async |args: &[&str]| {
        let mut command = train.command(args);
        tokio::task::spawn_blocking(move || Ran::of(&mut command)).await.unwrap()
    };

    let watch = Watch::start();
    let file = train.train_file().display().to_string();
    let mut said = vec![run(&["doctor"]).await, run(&["ship", &file]).await.ends_with(3)];
    said.push(run(&["approve", "--as", "alice", "--yes"]).await.ends_with(0));
    let approve = run(&["approve", "--as", "bob", "--yes"]).await.ends_with(0);
    // Refusals of every kind are reported, each with what it says.
    double.inject(Fault { call: "POST access token".into(), nth: 1, kind: Kind::NotFound });
    said.push(run(&["ship"]).await);
    double.inject(Fault { call: "POST releases".into(), nth: 1, kind: Kind::NotFound });
    double.inject(Fault { call: "POST assets v1.0.5 notes.md".into(), nth: 1, kind: Kind::HalfMade });
    said.push(run(&["reconcile"]).await);
    double.repair();
    double.world().app.as_mut().unwrap().tokens.clear();
    said.push(run(&["reconcile"]).await.ends_with(0));
    said.push(run(&["status", "--json", "drill"]).await.ends_with(0));
    said.push(run(&["log", "drill"]).await.ends_with(0));
    let seen = watch.finish();

    let world = double.world();
    let app = world.app.as_ref().unwrap();
    assert!(app.granted >= 2, "{}", app.granted);
    let line = pem.lines().nth(3).unwrap().to_owned();
    let mut secrets: Vec<String> = vec![line, "ghs_canary_installation_".into()];
    secrets.extend(app.assertions.iter().map(|jwt| jwt.rsplit('.').next().unwrap().to_owned()));
    assert!(secrets.iter().all(|s| s.len() > 20), "{secrets:?}");

    let ran = |program: &str| seen.iter().any(|(what, bytes)| *what == "cmdline" && holds(bytes, program));
    assert!(ran("lifeboat") && ran("git"), "the watch saw too little");
    let mut found = Vec::new();
    for (what, bytes) in &seen {
        let words = secrets.iter().map(String::as_str).chain(EMBARGOED);
        for word in words.filter(|word| holds(bytes, word)) {
            found.push(format!("`{word}` in a {what}: {}", String::from_utf8_lossy(bytes)));
        }
    }
    for ran in said.iter().chain([&approve]) {
        let text = format!("{}{}", ran.stdout, ran.stderr);
        found.extend(secrets.iter().filter(|s| text.contains(*s)).map(|s| format!("`{s}` was said: {text}")));
    }
    let journal = fs::read(train.train_dir("drill").join("journal.jsonl")).unwrap();
    for word in secrets.iter().map(String::as_str).chain([EMBARGOED[0]]) {
        if holds(&journal, word) {
            found.push(format!("`{word}` in the journal"));
        }
    }
    for secret in &secrets {
        let out = std::process::Command::new("grep").args(["-rlF", "-e", secret]).arg(train.root()).output().unwrap();
        assert!(matches!(out.status.code(), Some(0 | 1)), "{out:?}");
        found.extend(String::from_utf8_lossy(&out.stdout).lines().map(|f| format!("`{secret}` in {f}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    // And where they may be: JWTs at the API alone, tokens of the installation at both hosts.
    // Probes carry none.
    for (side, authorization) in world.authorizations.iter().filter(|(_, a)| !a.is_empty()) {
        let jwt = app.assertions.iter().any(|jwt| authorization.ends_with(jwt.as_str()));
        assert!(if jwt { *side == Side::Api } else { authorization.starts_with("Bearer ghs_canary_") }, "{side:?}");
    }
}

/// A host that takes connections, and says how many bytes came.
async fn stranger() -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = Arc::new(Mutex::new(Vec::new()));
    let into = received.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 65_536];
            let n = stream.read(&mut bytes).await.unwrap_or(0);
            into.lock().unwrap().extend_from_slice(&bytes[..n]);
            into.lock().unwrap().push(b'.');
        }
    });
    (port, received)
}

#[tokio::test]
async fn no_answer_leads_the_token_to_another_host() {
    let template = Template::new();
    let (port, received) = stranger().await;
    let elsewhere = format!("http://localhost:{port}");
    // Where assets go, as a release says.
    let double = double_with(&[]).await;
    double.world().uploads_elsewhere = Some(elsewhere.clone());
    let ended = template.copy().ship(&template, &double).await.unwrap();
    assert!(format!("{ended:?}").contains("which is not its own host"), "{ended:?}");
    // Where a list goes on.
    let double = double_with(&[]).await;
    double.world().next_elsewhere = Some(elsewhere.clone());
    let ended = template.copy().ship(&template, &double).await.unwrap();
    assert!(format!("{ended:?}").contains("which is not its own host"), "{ended:?}");
    // Where a repository has moved to.
    let double = double_with(&[]).await;
    double.world().redirect = Some(elsewhere);
    let ended = template.copy().ship(&template, &double).await.unwrap();
    assert!(format!("{ended:?}").contains("has the repository moved?"), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&received.lock().unwrap()), "", "nothing came to another host");
    // The stranger listens: otherwise this proves nothing.
    tokio::net::TcpStream::connect(("localhost", port)).await.unwrap();
}

/// A list whose pages each name a next one is not read forever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_without_an_end_is_refused() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let own = double.api();
    double.world().next_elsewhere = Some(own);
    let (forge, tag) = (template.copy().forge(&double), "v24.0.9".parse().unwrap());
    let seen = forge.observe(&tag);
    let e = tokio::time::timeout(std::time::Duration::from_secs(30), seen).await.expect("it reads on").unwrap_err();
    assert_eq!(e.kind(), lifeboat::error::ErrorKind::Verification);
    assert!(e.message().contains("has more than 200 pages"), "{}", e.report());
}
