//! Processes of this machine, identified across crashes and reboots: proc(5).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How long killed processes may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// One process, for good: a number alone is used again by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pid: i32,
    /// Clock ticks between boot and its start.
    started: u64,
    /// Which boot.
    boot: String,
}

impl Identity {
    /// This process.
    pub(super) fn own() -> Option<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Some(Self { pid, started: stat(pid)?.started, boot: boot()? })
    }

    /// Whether it still runs; one that ended and was not waited for does not.
    pub(super) fn is_alive(&self) -> bool {
        boot().is_some_and(|b| b == self.boot)
            && stat(self.pid).is_some_and(|s| s.started == self.started && !matches!(s.state, 'Z' | 'X'))
    }

    /// Kills it with all its descendants, if it still runs; says whether all are gone. It is stopped first, so that it does
    /// nothing about their end.
    pub(super) fn kill_with_descendants(&self) -> bool {
        if !self.is_alive() {
            return true;
        }
        if let Some(pid) = Pid::from_raw(self.pid) {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::STOP);
        }
        let gone = kill_descendants_of(self.pid);
        repeat_until_none(|| if self.is_alive() { vec![self.pid] } else { Vec::new() }) && gone
    }
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

/// Which boot of the machine this is.
fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold blanks and parentheses itself.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Kills every descendant of this process; says whether all are gone.
pub(super) fn kill_descendants() -> bool {
    kill_descendants_of(rustix::process::getpid().as_raw_nonzero().get())
}

fn kill_descendants_of(first: i32) -> bool {
    repeat_until_none(|| {
        let table: Vec<(i32, Stat)> = all().into_iter().filter_map(|pid| Some((pid, stat(pid)?))).collect();
        let mut family = vec![first];
        let mut at = 0;
        while let Some(&parent) = family.get(at) {
            family.extend(table.iter().filter(|(_, s)| s.parent == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        let living = |pid: &i32| table.iter().any(|(p, s)| p == pid && !matches!(s.state, 'Z' | 'X'));
        family.into_iter().skip(1).filter(living).collect()
    })
}

/// Kills every process that has `home` as its `HOME`: what a job left behind whose supervisor is gone.
pub(super) fn kill_leftovers(home: &Path) -> bool {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let marker = format!("HOME={}", home.display()).into_bytes();
    repeat_until_none(|| {
        let belongs = |pid: &i32| {
            *pid != own
                && fs::read(format!("/proc/{pid}/environ")).is_ok_and(|e| e.split(|b| *b == 0).any(|v| v == marker))
                && stat(*pid).is_some_and(|s| !matches!(s.state, 'Z' | 'X'))
        };
        all().into_iter().filter(belongs).collect()
    })
}

fn repeat_until_none(find: impl Fn() -> Vec<i32>) -> bool {
    let start = Instant::now();
    loop {
        let found = find();
        if found.is_empty() {
            return true;
        }
        if start.elapsed() > KILL_PATIENCE {
            return false;
        }
        found.into_iter().for_each(kill);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { started: own.started + 1, ..own.clone() }.is_alive());
        assert!(!Identity { boot: "another".into(), ..own }.is_alive());
    }
}
