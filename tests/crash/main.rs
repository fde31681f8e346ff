//! A whole train, interrupted at every point where it changes anything, then resumed and compared with one that was not.
//!
//! * `kill`: a process that aborts before the Nth call of the ports that changes state, and on the way to a real server: a bucket,
//!   WebDAV, SFTP.
//! * `power`: the power fails before the Nth such call, and with it goes everything that was not synced.
//! * `syscalls`: the program itself, killed by strace at its Nth system call of a kind.
//!
//! And what is still at work when a run ends early (`at_work`).
//!
//! Each goes through a fixed sample of points, spread over the train; `LIFEBOAT_SWEEP=all cargo test --test crash` goes
//! through all of them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

#[path = "../support/mod.rs"]
mod support;

mod at_work;
mod kill;
mod lanes;
mod places;
mod power;
mod syscalls;

use std::collections::BTreeSet;

/// Whether every point is to be tried.
fn everything() -> bool {
    std::env::var_os("LIFEBOAT_SWEEP").is_some_and(|v| v == "all")
}

/// Some of the points 1 to `total`: all of them if asked for, else the first, the last, `spread` in equal steps, and
/// `near` of those that are close to a journal record, where an effect and what is known of it part.
fn sample(log: &[String], spread: usize, near: usize) -> Vec<u64> {
    let all: Vec<u64> = (1..=log.len() as u64).collect();
    if everything() {
        return all;
    }
    let mut chosen: BTreeSet<u64> = [all[0], all[all.len() - 1]].into();
    chosen.extend(every(&all, spread));
    let beside = |n: &&u64| {
        let at = usize::try_from(**n).unwrap() - 1;
        let journal = |i: usize| log.get(i).is_some_and(|l| l.ends_with("journal.jsonl"));
        journal(at) || journal(at + 1) || (at > 0 && journal(at - 1))
    };
    chosen.extend(every(&all.iter().filter(beside).copied().collect::<Vec<_>>(), near));
    chosen.into_iter().collect()
}

/// About `count` of these, in equal steps.
fn every<T: Copy>(points: &[T], count: usize) -> Vec<T> {
    let step = points.len().div_ceil(count.max(1)).max(1);
    points.iter().copied().step_by(step).collect()
}
