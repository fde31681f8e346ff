//! Both digests of many files, OpenPGP's hash included, beside what the `sha2` crate alone reaches on each core.
//!
//! `cargo bench --bench hash -- FILE…` reads every file once before timing, so that the page cache holds it. It prints
//! MB/s of content (10^6 bytes), the best of three rounds in which the contestants take turns. `benches/hash.sh` makes
//! the files and puts `openssl dgst`, `sha256sum` and `sha512sum` beside it.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a measuring program for people")]

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lifeboat::formats::openpgp::{Hashed, hash_reader};
use lifeboat::signers::openpgp::{SecretKey, generate};
use rayon::prelude::*;
use sha2::Digest as _;

/// `sha2` alone: the same loop without OpenPGP, as fast as the crate goes.
fn sha2_alone(path: &Path) {
    let (mut one, mut two) = (sha2::Sha256::new(), sha2::Sha512::new());
    let mut file = std::fs::File::open(path).unwrap();
    let mut buffer = vec![0u8; 256 * 1024];
    loop {
        let n = file.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        one.update(&buffer[..n]);
        two.update(&buffer[..n]);
    }
    black_box((one.finalize(), two.finalize()));
}

fn ours(path: &Path) -> Hashed {
    hash_reader(&mut std::fs::File::open(path).unwrap(), u64::MAX).unwrap().unwrap()
}

fn main() {
    // `cargo bench` adds `--bench`; `cargo test --benches` gives no files: then there is nothing to measure.
    let paths: Vec<PathBuf> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).map(Into::into).collect();
    if paths.is_empty() {
        println!("usage: cargo bench --bench hash -- FILE…");
        return;
    }
    let bytes: u64 = paths.iter().map(|p| std::fs::metadata(p).unwrap().len()).sum();
    let measure = |work: &dyn Fn()| {
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        work();
        (bytes as f64 / wall.elapsed().as_secs_f64() / 1e6, bytes as f64 / (cpu_seconds() - cpu) / 1e6)
    };
    let key = generate("bench", jiff::Timestamp::now()).unwrap();
    let key = SecretKey::parse(key.secret_armored.expose().as_bytes(), "bench", None, jiff::Timestamp::now()).unwrap();
    let cores = rayon::current_num_threads();

    let contestants: [(&str, &dyn Fn()); 4] = [
        ("sha2 alone, one core", &|| paths.iter().for_each(|p| sha2_alone(p))),
        ("sha2 alone", &|| paths.par_iter().for_each(|p| sha2_alone(p))),
        ("lifeboat, with OpenPGP's hash", &|| paths.par_iter().for_each(|p| drop(black_box(ours(p))))),
        ("lifeboat, each file signed", &|| {
            paths.par_iter().for_each(|p| drop(black_box(key.sign_hashed(&ours(p)).unwrap())));
        }),
    ];
    let mut best = [(0f64, 0f64); 4];
    paths.par_iter().for_each(|p| sha2_alone(p));
    for _ in 0..3 {
        for (best, (_, work)) in best.iter_mut().zip(&contestants) {
            let (wall, cpu) = measure(work);
            *best = (best.0.max(wall), best.1.max(cpu));
        }
    }
    println!(
        "{} files, {bytes} bytes, {cores} threads, both digests; best of 3, MB/s by wall clock and per CPU second",
        paths.len()
    );
    for ((name, _), (wall, cpu)) in contestants.iter().zip(best) {
        let (of_wall, of_cpu) = (wall / best[1].0, cpu / best[1].1);
        println!("{name:32} {wall:7.0} {cpu:7.0}   {of_wall:.3} {of_cpu:.3} of sha2 alone");
    }
    println!("lifeboat against sha2 on one core times {cores}: {:.3}", best[2].0 / (best[0].0 * cores as f64));
}

/// Processor time of this process so far, to 10 ms: on a busy machine it says more than the clock on the wall.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
