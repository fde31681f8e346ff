//! Tries out what the store promises, in a corner of its staging area.

use std::io::Read as _;
use std::path::Path;
use std::sync::Barrier;

use super::Tree;
use super::areas::{PROBE, STAGING};
use crate::effects::{Area, Capabilities, PutNew, Tried, files};
use crate::error::{Context as _, Error, Result};
use crate::model::{Digests, Sha256};

/// How many race.
const RACERS: usize = 4;
/// A release with its source, bundle and vendored crates is seldom smaller.
const PLENTY: u64 = 1 << 30;

impl Tree {
    /// See [`crate::effects::Store::check`].
    pub(super) fn probe(&self) -> Result<Capabilities> {
        let what = || format!("cannot look at `{}`", self.root.display());
        let area = Area::Staging(PROBE.to_owned());
        // Says so if the root is not there.
        self.get(&Area::Public, "releases/index.json")?;
        self.ensure_staging()?;
        let dir = self.root.join(STAGING).join(PROBE);
        // Two of us at once would trip over each other; what an earlier one left is cleared.
        let _alone = self.lock_probe()?;
        self.disk.remove_dir_all(&dir).context(what())?;
        let outcome = self.race(&area);
        self.disk.remove_dir_all(&dir).context(what())?;
        files::sync_parent(&*self.disk, &dir)?;
        let (put_if_absent, conditional_replace) = outcome?;
        Ok(Capabilities {
            put_if_absent: put_if_absent.into(),
            conditional_replace: conditional_replace.into(),
            versions: Tried::NoSuchThing,
            warnings: self.warnings()?,
        })
    }

    /// Whether exactly one of several racing puts creates, and exactly one of several racing replacements replaces.
    fn race(&self, area: &Area) -> Result<(bool, bool)> {
        let source = |n: usize| self.root.join(STAGING).join(PROBE).join(format!("source-{n}"));
        let bytes = |n: usize| format!("probe {n}\n").into_bytes();
        files::create_dir_all(&*self.disk, &self.root.join(STAGING).join(PROBE), 0o700)?;
        for n in 0..RACERS {
            files::write_new(&*self.disk, &source(n), 0o600, &mut &*bytes(n))?;
        }
        let puts = racing(|n| self.put_new(area, "raced", &source(n), &Digests::of(&bytes(n))))?;
        let created: Vec<usize> = (0..RACERS).filter(|n| puts[*n] == PutNew::Created).collect();
        let kept = self.content(area)?;
        let put_if_absent = matches!(*created, [n] if kept == bytes(n));
        let old = Sha256::of(&kept);
        let replaced = racing(|n| self.replace_if(area, "raced", Some(&old), &bytes(RACERS + n)))?;
        let winners: Vec<usize> = (0..RACERS).filter(|n| replaced[*n]).collect();
        let kept = self.content(area)?;
        Ok((put_if_absent, matches!(*winners, [n] if kept == bytes(RACERS + n))))
    }

    fn content(&self, area: &Area) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        if let Some(mut file) = self.get(area, "raced")? {
            file.read_to_end(&mut out).context("cannot read the probe back")?;
        }
        Ok(out)
    }

    fn warnings(&self) -> Result<Vec<String>> {
        let root = self.root.display();
        let what = || format!("cannot look at `{root}`");
        let mut out = Vec::new();
        // Through the root's own name, which may be a link; whoever can rename in a directory above can put another one
        // in its place.
        for dir in self.root.ancestors() {
            let Some(entry) = self.disk.entry(&dir.join(".")).context(what())? else { continue };
            let open_to = entry.mode & 0o022;
            if open_to != 0 && entry.mode & 0o1000 == 0 {
                let who = if open_to & 0o002 != 0 { "anyone" } else { "its group" };
                out.push(format!(
                    "{who} can replace what is in `{}` (mode {:04o}); consider `chmod go-w {}`",
                    dir.display(),
                    entry.mode,
                    dir.display()
                ));
            }
        }
        if self.disk.entry(&self.root.join(".")).context(what())?.is_some_and(|e| e.mode & 0o001 == 0) {
            out.push(format!("a web server of another user cannot look into `{root}`"));
        }
        let free = self.disk.free_space(Path::new(&self.root)).context(what())?;
        if free < PLENTY {
            out.push(format!("only {} MiB are free in `{root}`", free >> 20));
        }
        Ok(out)
    }
}

/// Lets [`RACERS`] threads start together.
fn racing<T: Send>(run: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let start = Barrier::new(RACERS);
    let (start, run) = (&start, &run);
    std::thread::scope(|s| {
        let started: Vec<_> = (0..RACERS)
            .map(|n| {
                s.spawn(move || {
                    start.wait();
                    run(n)
                })
            })
            .collect();
        started.into_iter().map(|t| t.join().map_err(|_| Error::fatal("a probe ended early"))?).collect()
    })
}
