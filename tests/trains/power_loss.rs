//! The model of a power loss itself, and the file operations, objects and store under it: at every kill point, with every
//! fate of unsynced bytes, and with every single sync taken away.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

mod journal;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::counting::CountingDisk;
use crate::support::kill_points::{Action, KillPoints};
use crate::support::power_loss::{PowerLossDisk, Unsynced};
use crate::support::scratch;
use lifeboat::effects::{Area, Disk, Objects, Store, files};
use lifeboat::host::HostDisk;
use lifeboat::model::{Digests, Sha256, StoreName};
use lifeboat::stores;

const FATES: [Unsynced; 3] = [Unsynced::Lost, Unsynced::NamesKept, Unsynced::Torn];

struct Bench {
    dir: tempfile::TempDir,
    disk: Arc<PowerLossDisk>,
}

impl Bench {
    fn new() -> Self {
        let dir = scratch();
        let disk = PowerLossDisk::new(Arc::new(HostDisk), dir.path());
        Self { dir, disk }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.at(name)).ok()
    }

    fn write(&self, name: &str, text: &str) {
        self.disk.create_new(&self.at(name), 0o600).unwrap().write_all(text.as_bytes()).unwrap();
    }
}

mod model {
    //! What the model says of single calls. These go past the library, so they only cut the power.
    use super::*;

    #[test]
    fn what_was_there_before_stays() {
        let dir = scratch();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/f"), "old").unwrap();
        let disk = PowerLossDisk::new(Arc::new(HostDisk), dir.path());
        disk.remove_file(&dir.path().join("d/f")).unwrap();
        disk.lose_power(Unsynced::Lost);
        assert_eq!(fs::read(dir.path().join("d/f")).unwrap(), b"old", "a removal that was not synced");
        disk.remove_file(&dir.path().join("d/f")).unwrap();
        disk.lose_power(Unsynced::NamesKept);
        assert!(!dir.path().join("d/f").exists());
    }

    #[test]
    fn unsynced_names_and_bytes_are_lost() {
        for (fate, want) in [(Unsynced::Lost, None), (Unsynced::NamesKept, Some("")), (Unsynced::Torn, Some("ab"))] {
            let b = Bench::new();
            b.write("f", "abcd");
            b.disk.create_dir(&b.at("d"), 0o700).unwrap();
            b.disk.lose_power(fate);
            assert_eq!(b.text("f").as_deref(), want, "{fate:?}");
            assert_eq!(b.at("d").exists(), fate != Unsynced::Lost);
        }
    }

    #[test]
    fn what_others_made_vanishes() {
        let b = Bench::new();
        fs::write(b.at("by-git"), "x").unwrap();
        fs::create_dir(b.at("job")).unwrap();
        b.write("job/f", "x");
        b.disk.lose_power(Unsynced::Lost);
        assert_eq!(fs::read_dir(b.dir.path()).unwrap().count(), 0);
    }
}

/// An operation under test: does it, and says whether all of it is there.
struct Case {
    name: &'static str,
    /// Puts what must be there before.
    before: fn(&Path),
    /// Does it again and again until it returns.
    act: fn(Arc<dyn Disk>, &Path) -> lifeboat::error::Result<()>,
    /// What must hold at any time, whether or not it was interrupted.
    always: fn(&Path),
    /// What must hold once `act` has returned.
    done: fn(&Path) -> bool,
}

fn read(path: PathBuf) -> Option<String> {
    fs::read(path).ok().map(|b| String::from_utf8_lossy(&b).into_owned())
}

fn store(disk: Arc<dyn Disk>, root: &Path) -> Arc<dyn Store> {
    stores::directory(StoreName::new("s").unwrap(), &root.join("store"), disk)
}

fn waiting<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

const OBJECT: &str = "the object's bytes";
const STAGED: &str = "staged bytes";
const HOLDER: &str = "holder";
const HELD: &str = "store/.staging/.held/x";
const UNFINISHED: &str = "store/.staging/.held/.x.partial";

static CASES: &[Case] = &[
    Case {
        name: "write_new",
        before: |_| {},
        act: |disk, root| {
            files::create_dir_all(&*disk, &root.join("a/b"), 0o700)?;
            files::write_new(&*disk, &root.join("a/b/f"), 0o600, &mut &b"whole"[..]).map(drop)
        },
        always: |root| assert!(read(root.join("a/b/f")).is_none_or(|t| t == "whole")),
        done: |root| read(root.join("a/b/f")).is_some(),
    },
    Case {
        name: "replace",
        before: |root| fs::write(root.join("f"), "old").unwrap(),
        act: |disk, root| files::replace(&*disk, &root.join("f"), 0o600, &mut &b"new bytes"[..]),
        always: |root| assert!(matches!(read(root.join("f")).unwrap().as_str(), "old" | "new bytes")),
        done: |root| read(root.join("f")).unwrap() == "new bytes",
    },
    Case {
        name: "objects",
        before: |_| {},
        act: |disk, root| Objects::new(disk, root.join("objects")).put(OBJECT.as_bytes()).map(drop),
        always: |root| {
            let objects = Objects::new(Arc::new(HostDisk), root.join("objects"));
            let id = Sha256::of(OBJECT.as_bytes());
            assert!(!objects.has(&id).unwrap() || objects.get(&id).is_ok());
        },
        done: |root| {
            Objects::new(Arc::new(HostDisk), root.join("objects")).has(&Sha256::of(OBJECT.as_bytes())).unwrap()
        },
    },
    Case {
        name: "stage",
        before: |root| {
            fs::create_dir(root.join("store")).unwrap();
            fs::write(root.join("source"), STAGED).unwrap();
        },
        act: |disk, root| {
            let (store, staging) = (store(disk, root), Area::Staging("t".to_owned()));
            let digests = Digests::of(STAGED.as_bytes());
            waiting(store.put_new(&staging, "a", &root.join("source"), &digests)).map(drop)
        },
        always: |root| assert!(read(root.join("store/.staging/t/a")).is_none_or(|t| t == STAGED)),
        done: |root| read(root.join("store/.staging/t/a")).is_some(),
    },
    Case {
        name: "stage and promote",
        before: |root| {
            fs::create_dir(root.join("store")).unwrap();
            fs::write(root.join("source"), STAGED).unwrap();
        },
        act: |disk, root| {
            let (store, digests) = (store(disk, root), Digests::of(STAGED.as_bytes()));
            let staging = Area::Staging("t".to_owned());
            waiting(async {
                store.put_new(&staging, "releases/1/a", &root.join("source"), &digests).await?;
                store.promote("t", "releases/1/a", &digests).await.map(drop)
            })
        },
        always: |root| assert!(read(root.join("store/releases/1/a")).is_none_or(|t| t == STAGED)),
        done: |root| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::metadata(root.join("store/releases/1/a")).is_ok_and(|m| m.permissions().mode() & 0o777 == 0o644)
        },
    },
    Case {
        // What the engine does: it looks first, and records as done what it sees.
        name: "observe, then point",
        before: |root| {
            fs::create_dir(root.join("store")).unwrap();
            fs::create_dir(root.join("store/releases")).unwrap();
            fs::write(root.join("store/releases/index.json"), "old").unwrap();
        },
        act: |disk, root| {
            let store = store(disk, root);
            waiting(async {
                let mut seen = String::new();
                if let Some(mut file) = store.get(&Area::Public, "releases/index.json").await? {
                    std::io::Read::read_to_string(&mut file, &mut seen).unwrap();
                }
                if seen != "new" {
                    let old = Sha256::of(seen.as_bytes());
                    assert!(store.replace_if("releases/index.json", Some(&old), b"new").await?);
                }
                Ok(())
            })
        },
        always: |root| {
            assert!(matches!(read(root.join("store/releases/index.json")).unwrap().as_str(), "old" | "new"));
        },
        done: |root| read(root.join("store/releases/index.json")).unwrap() == "new",
    },
    Case {
        name: "hold",
        before: |root| fs::create_dir(root.join("store")).unwrap(),
        act: |disk, root| {
            let other = waiting(store(disk, root).hold("x", HOLDER.as_bytes()))?;
            assert_eq!(other, None);
            Ok(())
        },
        always: |root| assert!(read(root.join(HELD)).is_none_or(|t| t == HOLDER)),
        done: |root| read(root.join(HELD)).is_some() && !root.join(UNFINISHED).exists(),
    },
    Case {
        name: "release",
        before: |root| {
            use std::os::unix::fs::DirBuilderExt as _;
            let held = root.join(HELD);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(held.parent().unwrap()).unwrap();
            fs::write(held, HOLDER).unwrap();
            fs::write(root.join(UNFINISHED), "hol").unwrap();
        },
        act: |disk, root| waiting(store(disk, root).release("x", HOLDER.as_bytes())),
        always: |root| assert!(read(root.join(HELD)).is_none_or(|t| t == HOLDER)),
        done: |root| !root.join(HELD).exists() && !root.join(UNFINISHED).exists(),
    },
    journal::RECORDS,
    journal::LATE_ERROR,
];

/// Runs a case to its `n`th call, ends it there by a crash or a power loss, runs it again to its end, and cuts the power.
/// Says what does not hold, or whether the call was reached.
fn survive(case: &Case, n: u64, crash: Option<Unsynced>, fate: Unsynced, ignore: &[&str]) -> Result<bool, String> {
    let dir = scratch();
    (case.before)(dir.path());
    let disk = PowerLossDisk::new(Arc::new(HostDisk), dir.path());
    for site in ignore {
        disk.ignore(site);
    }
    let checked = |what: &str| {
        std::panic::catch_unwind(|| (case.always)(dir.path()))
            .map_err(|_| format!("{}: call {n}, {crash:?}, {fate:?}: {what}: half of it is there", case.name))
    };
    let points = KillPoints::at(n, Action::Fail);
    drop((case.act)(CountingDisk::new(disk.clone(), points.clone()), dir.path()));
    if let Some(unsynced) = crash {
        disk.lose_power(unsynced);
    }
    checked("after the crash")?;
    (case.act)(disk.clone(), dir.path()).map_err(|e| format!("{}: call {n}, {crash:?}: {}", case.name, e.report()))?;
    disk.lose_power(fate);
    checked("after the end")?;
    if !(case.done)(dir.path()) {
        return Err(format!("{}: call {n}, {crash:?}, {fate:?}: what was reported as done is lost", case.name));
    }
    Ok(points.reached())
}

/// Every call × crash or each kind of power loss there × each kind of power loss after the end.
fn sweep(case: &Case, ignore: &[&str]) -> Result<u64, String> {
    for n in 1.. {
        let mut reached = false;
        for crash in [None, Some(Unsynced::Lost), Some(Unsynced::NamesKept), Some(Unsynced::Torn)] {
            for fate in FATES {
                reached |= survive(case, n, crash, fate, ignore)?;
            }
        }
        if !reached {
            return Ok(n - 1);
        }
    }
    unreachable!("the calls do not end")
}

#[test]
fn nothing_that_was_reported_is_lost_and_nothing_is_ever_half_there() {
    for case in CASES {
        let reached = sweep(case, &[]).unwrap();
        println!("{}: {reached}/{reached} kill points", case.name);
        assert!(reached > 3, "{}", case.name);
    }
}

/// All places that sync anything in any case.
fn sites(case: &Case) -> Vec<String> {
    let mut all = std::collections::BTreeSet::new();
    for n in 1.. {
        let dir = scratch();
        (case.before)(dir.path());
        let disk = PowerLossDisk::new(Arc::new(HostDisk), dir.path());
        let points = KillPoints::at(n, Action::Fail);
        drop((case.act)(CountingDisk::new(disk.clone(), points.clone()), dir.path()));
        (case.act)(disk.clone(), dir.path()).unwrap();
        all.extend(disk.sites());
        if !points.reached() {
            return all.into_iter().collect();
        }
    }
    unreachable!("the calls do not end")
}

/// Each sync in the source is there for a reason: without it, some crash loses something in some case.
#[test]
fn without_any_single_sync_something_is_lost() {
    let mut needed = std::collections::BTreeMap::new();
    // A sweep that finds what it looks for panics on the way.
    std::panic::set_hook(Box::new(|_| {}));
    for case in CASES {
        for site in sites(case) {
            let found = needed.entry(site.clone()).or_insert(false);
            *found = *found || sweep(case, &[&site]).is_err();
        }
    }
    drop(std::panic::take_hook());
    for (site, needed) in &needed {
        println!("{} {site}", if *needed { "needed  " } else { "UNNEEDED" });
    }
    assert!(needed.len() >= 5, "{needed:?}");
    let idle: Vec<_> = needed.iter().filter(|(_, needed)| !**needed).map(|(site, _)| site).collect();
    assert!(idle.is_empty(), "no test would notice if these were removed: {idle:#?}");
}
