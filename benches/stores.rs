//! Many files to real stores and back: what `benches/stores.sh` measures beside `rclone`.
//!
//! `serve` starts radosgw, nginx with WebDAV, and sshd; the others act on a store of one of them, each in a process of its own,
//! so that its memory can be told.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a measuring program for people, which shares the tests' servers"
)]

#[path = "../tests/support/cut_proxy.rs"]
mod cut_proxy;
#[path = "../tests/support/radosgw.rs"]
mod radosgw;
#[path = "../tests/support/servers.rs"]
mod servers;
#[path = "../tests/support/stores.rs"]
mod stores;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::adapter::Around;
use lifeboat::effects::{Area, Store};
use lifeboat::formats::digests;
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::{Digests, Secret, SecretRef, Sha256};

fn main() {
    // `cargo bench` adds `--bench`; `cargo test --benches` says nothing: then there is nothing to measure.
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", dir] => serve(Path::new(dir)),
        ["digests", files] => drop(listed(files)),
        ["stage", config, files] => runtime.block_on(stage(&open(config, None), &listed(files))),
        ["verify", config, files] => runtime.block_on(verify(&open(config, None), &listed(files))),
        ["promote", config, files] => runtime.block_on(promote(&open(config, None), &listed(files))),
        ["through", config, files, endpoint] => runtime.block_on(stage(&open(config, Some(endpoint)), &listed(files))),
        ["kills", config, files, times] => kills(config, files, times.parse().unwrap()),
        _ => println!(
            "usage: cargo bench --bench stores -- serve DIR | (stage | verify | promote) TABLE FILES | kills TABLE FILES TIMES"
        ),
    }
}

/// The train in whose staging area everything is, and its lines.
const TRAIN: &str = "bench";
const LINES: usize = 5;

/// One file.
#[derive(Clone)]
struct File {
    path: String,
    source: PathBuf,
    digests: Digests,
}

/// Runs the servers until standard input ends; says how to reach them, as a shell reads it.
fn serve(dir: &Path) {
    let bucket = radosgw::Bucket::new();
    let (dav_dir, ssh_dir) = (dir.join("dav"), dir.join("ssh"));
    for dir in [&dav_dir, &ssh_dir] {
        std::fs::create_dir_all(dir.join("releases")).unwrap();
    }
    let nginx = servers::Nginx::with_locks(&dav_dir, 60);
    let sshd = servers::Sshd::start(&ssh_dir);
    let (root, config) = (ssh_dir.join("releases"), &sshd.config);
    println!("bucket={} endpoint={}", bucket.name, bucket.endpoint);
    println!("dav=http://127.0.0.1:{}/releases password='{}' user={}", nginx.dav, servers::PASSWORD, servers::USER);
    println!("ssh_config={} ssh_port={} ssh_root={}", config.display(), sshd.port, root.display());
    println!("access_key={} secret_key={}", radosgw::ACCESS_KEY, radosgw::SECRET_KEY);
    println!("ready=yes");
    drop(std::io::read_to_string(std::io::stdin()));
}

/// The store of the table in a file, its endpoint replaced.
fn open(table: &str, endpoint: Option<&str>) -> Arc<dyn Store> {
    let mut text = std::fs::read_to_string(table).unwrap();
    if let Some(endpoint) = endpoint {
        let lines = text.lines().map(|line| match line.strip_prefix("endpoint = ") {
            Some(_) => format!("endpoint = \"{endpoint}\"\n"),
            None => format!("{line}\n"),
        });
        text = lines.collect();
    }
    let head = "[project]\nname = \"acme\"\ncommitter = \"Acme <release@acme.example>\"\n[[store]]\nname = \"store\"\n";
    let file = Path::new("/src/acme/lifeboat.toml");
    let config = lifeboat::config::parse(&format!("{head}{text}"), file, &lifeboat::wiring::registries());
    let store = config.unwrap_or_else(|e| panic!("{}", e.report())).stores.remove(0);
    let around = Around {
        disk: Arc::new(HostDisk),
        clock: Arc::new(HostClock),
        secrets: Arc::new(|reference| {
            let SecretRef::Env(name) = reference else { panic!("no secret is at {reference:?}") };
            Ok(Secret::new(std::env::var(name.as_str()).unwrap()))
        }),
        hosts: store.spec.hosts().into_iter().collect(),
        repository: "/".into(),
        jobs: None,
    };
    store.spec.open(&around).unwrap()
}

/// The files of a directory, with their digests from `digests` beside it: whoever stages knows them already.
fn listed(dir: &str) -> Vec<File> {
    let list = PathBuf::from(format!("{dir}.digests"));
    if let Ok(text) = std::fs::read_to_string(&list) {
        let parsed = text.lines().map(|line| {
            let (digests, path) = line.split_once(' ').unwrap();
            (path.to_owned(), serde_json::from_str(digests).unwrap())
        });
        return parsed.enumerate().map(|(n, (source, digests))| file(n, source.into(), digests)).collect();
    }
    let mut all: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    let digests: Vec<Digests> =
        all.iter().map(|path| digests::read(&mut std::fs::File::open(path).unwrap()).unwrap()).collect();
    let line = |(path, digests): (&PathBuf, &Digests)| {
        format!("{} {}\n", serde_json::to_string(digests).unwrap(), path.display())
    };
    std::fs::write(&list, all.iter().zip(&digests).map(line).collect::<String>()).unwrap();
    all.into_iter().zip(digests).enumerate().map(|(n, (source, digests))| file(n, source, digests)).collect()
}

fn file(n: usize, source: PathBuf, digests: Digests) -> File {
    let name = source.file_name().unwrap().to_string_lossy().into_owned();
    File { path: format!("releases/{}.0.0/{name}", n % LINES + 1), source, digests }
}

fn staging() -> Area {
    Area::Staging(TRAIN.to_owned())
}

/// As the step `stage` does it.
async fn stage(store: &Arc<dyn Store>, files: &[File]) {
    let begun = Instant::now();
    let put = |file: File| {
        let store = store.clone();
        async move { store.put_new(&staging(), &file.path, &file.source, &file.digests).await }
    };
    let size = |file: &File| file.digests.size;
    store.transfers().each(files.to_vec(), size, put).await.unwrap_or_else(|e| panic!("{}", e.report()));
    said(files, begun, "");
}

/// As the step `verify-staged` does it.
async fn verify(store: &Arc<dyn Store>, files: &[File]) {
    let begun = Instant::now();
    read_back(store, &staging(), files).await;
    said(files, begun, "");
}

async fn read_back(store: &Arc<dyn Store>, area: &Area, files: &[File]) {
    let read = |file: File| {
        let (store, area) = (store.clone(), area.clone());
        async move {
            let mut bytes = store.get(&area, &file.path).await?.unwrap_or_else(|| panic!("`{}` is lost", file.path));
            let found = tokio::task::block_in_place(|| digests::read_to_compare(&mut *bytes)).unwrap();
            assert_eq!((found.size, found.sha256), (file.digests.size, file.digests.sha256), "{}", file.path);
            Ok(())
        }
    };
    let done = store.transfers().each(files.to_vec(), |file| file.digests.size, read).await;
    done.unwrap_or_else(|e| panic!("{}", e.report()));
}

/// As the steps `promote` of five lines do it side by side, with what each asks before.
async fn promote(store: &Arc<dyn Store>, files: &[File]) {
    let begun = Instant::now();
    let mut lines = tokio::task::JoinSet::new();
    for line in 0..LINES {
        let files: Vec<File> = files.iter().skip(line).step_by(LINES).cloned().collect();
        let store = store.clone();
        lines.spawn(async move {
            let act = |file: File| {
                let store = store.clone();
                async move {
                    store.stat(&staging(), &file.path).await?;
                    store.promote(TRAIN, &file.path, &file.digests).await?;
                    Ok(Instant::now())
                }
            };
            let public =
                store.transfers().each(files.clone(), |_| 0, act).await.unwrap_or_else(|e| panic!("{}", e.report()));
            read_back(&store, &Area::Public, &files).await;
            public
        });
    }
    let public = lines.join_all().await.concat();
    let (first, last) = (public.iter().min().unwrap(), public.iter().max().unwrap());
    said(files, begun, &format!("; first to last public object {:.2} s", last.duration_since(*first).as_secs_f64()));
}

fn said(files: &[File], begun: Instant, more: &str) {
    let (took, bytes) = (begun.elapsed().as_secs_f64(), files.iter().map(|f| f.digests.size).sum::<u64>());
    println!("{:.0} MB/s, {took:.2} s, peak {:.0} MiB{more}", bytes as f64 / took / 1e6, resident());
}

/// The most memory that this process ever held, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Uploads through a proxy that counts, killed at moments that a seed chooses, until the last run ends by itself.
fn kills(table: &str, files: &str, times: u64) {
    let all = listed(files);
    let bytes: u64 = all.iter().map(|f| f.digests.size).sum();
    let text = std::fs::read_to_string(table).unwrap();
    let endpoint = text.lines().find_map(|line| line.strip_prefix("endpoint = \"")).unwrap().trim_end_matches('"');
    let proxy = cut_proxy::CutProxy::new(endpoint, u64::MAX, cut_proxy::When::Before);
    let run = || {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(["through", table, files, &proxy.endpoint()]).stdout(Stdio::null()).spawn().unwrap()
    };
    for n in 0..times {
        // Anywhere in the share of the upload that this run would send.
        let chance = u64::from_be_bytes(Sha256::of(format!("kill {n}").as_bytes()).0[..8].try_into().unwrap());
        let until = proxy.sent() + chance % (2 * bytes / (times + 1));
        let mut child = run();
        while proxy.sent() < until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        drop(child.kill());
        child.wait().unwrap();
        println!("  killed at {} of {} MiB sent", proxy.sent() >> 20, bytes >> 20);
    }
    assert!(run().wait().unwrap().success());
    println!("{} kills: {:.3} times the size was sent", times, proxy.sent() as f64 / bytes as f64);
}
