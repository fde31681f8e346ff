//! A release of many large assets on its way to a forge: throughput beside `curl`, and the memory that it takes.
//!
//! `benches/uploads.sh` makes the files, starts the double in a process of its own and runs both against it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a measuring program for people, which shares the tests' train"
)]

#[path = "../tests/github_double/mod.rs"]
mod github_double;
#[path = "../tests/release_world/mod.rs"]
mod release_world;
#[path = "../tests/github/train.rs"]
mod train;

use std::path::{Path, PathBuf};
use std::time::Instant;

use lifeboat::engine::Ended;
use lifeboat::forges::github::Deadlines;
use train::{LINES, Template, double_with};

fn main() {
    // `cargo bench` adds `--bench`; `cargo test --benches` says nothing: then there is nothing to measure.
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => runtime.block_on(serve()),
        ["send", dir, api] => runtime.block_on(send(Path::new(dir), api)),
        _ => println!("usage: cargo bench --bench uploads -- serve | send DIR API"),
    }
}

/// The double with what the train expects there; until it is killed.
async fn serve() {
    let double = double_with(&[]).await;
    println!("{} {} {}", double.api(), double.uploads(), github_double::TOKEN);
    std::future::pending::<()>().await;
}

/// Ships one line whose release has the files of `dir`, and nothing else that takes time.
async fn send(dir: &Path, api: &str) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let bytes: u64 = files.iter().map(|f| std::fs::metadata(f).unwrap().len()).sum();
    let template = Template::of(tempfile::tempdir_in(dir.parent().unwrap()).unwrap(), &LINES[2..], &files);
    let before = resident();
    let start = Instant::now();
    let run = template.copy();
    let (effects, train) = run.open_with(&template, run.forge_at(api, Deadlines::default()));
    let ended = lifeboat::engine::run(&effects, train).await.unwrap();
    let took = start.elapsed().as_secs_f64();
    assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
    println!("{:.0}", bytes as f64 / took / 1e6);
    println!(
        "  {} assets, {} MiB in {took:.2} s; peak {:.1} MiB, {before:.1} MiB before",
        files.len(),
        bytes >> 20,
        resident()
    );
}

/// The most memory that this process ever held, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
