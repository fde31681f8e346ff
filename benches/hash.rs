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
    let rate = |from: Instant| bytes as f64 / from.elapsed().as_secs_f64() / 1e6;
    let key = generate("bench", jiff::Timestamp::now()).unwrap();
    let key = SecretKey::parse(key.secret_armored.expose().as_bytes(), "bench", None, jiff::Timestamp::now()).unwrap();
    let cores = rayon::current_num_threads();

    let (mut one_core, mut alone, mut with_pgp, mut signed) = (0f64, 0f64, 0f64, 0f64);
    paths.par_iter().for_each(|p| sha2_alone(p));
    for round in 0..3 {
        let t = Instant::now();
        if round == 0 {
            paths.iter().for_each(|p| sha2_alone(p));
            one_core = one_core.max(rate(t));
        }
        let t = Instant::now();
        paths.par_iter().for_each(|p| sha2_alone(p));
        alone = alone.max(rate(t));
        let t = Instant::now();
        paths.par_iter().for_each(|p| drop(black_box(ours(p))));
        with_pgp = with_pgp.max(rate(t));
        let t = Instant::now();
        paths.par_iter().for_each(|p| drop(black_box(key.sign_hashed(&ours(p)).unwrap())));
        signed = signed.max(rate(t));
    }
    println!("{} files, {bytes} bytes, {cores} threads; MB/s, best of 3", paths.len());
    println!("sha2 alone, both digests, one core       {one_core:8.0}");
    println!("sha2 alone, both digests, {cores} cores        {alone:8.0}");
    println!(
        "lifeboat: both digests and OpenPGP state {with_pgp:8.0}  {:.3} of sha2 on the same cores",
        with_pgp / alone
    );
    println!("lifeboat: the same, each file signed     {signed:8.0}  {:.3} of sha2 on the same cores", signed / alone);
    println!("lifeboat against one core times {cores}        {:8.3}", with_pgp / (one_core * cores as f64));
}
