//! Tries out what the store promises, in a corner of its staging area.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::store::{STAGING, ServerStore};
use super::{ObjectSource, Server, read_all};
use crate::effects::{Capabilities, Comparison, Guard, Habits, PutNew, Tried, random};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::model::Stat;

/// Where it is tried out.
const PROBE: &str = ".probe";
/// How many race.
const RACERS: usize = 4;
/// What a probe that was killed left is removed after so many seconds; one that runs meanwhile is younger.
const FORGOTTEN: i64 = 3600;

impl ServerStore {
    /// See [`crate::effects::Store::check`].
    pub(super) async fn try_out(&self) -> Result<Capabilities> {
        self.server.is_there().await?;
        self.server.is_closed().await?;
        let versions = self.server.versions().await;
        let (put_if_absent, conditional_replace) =
            match self.in_a_corner(|dir| async move { self.observed(&dir).await }).await {
                Ok((put, replace)) => (put.into(), replace.into()),
                // A server that keeps versions may refuse what is tried out: that it keeps them is what must be said.
                Err(e) if versions == Tried::Yes => {
                    let unknown = || Tried::Unknown(e.message().to_owned());
                    (unknown(), unknown())
                }
                Err(e) => return Err(e),
            };
        Ok(Capabilities { put_if_absent, conditional_replace, versions, warnings: self.server.warnings() })
    }

    /// See [`crate::effects::Store::habits`].
    pub(super) async fn find_habits(&self) -> Result<Habits> {
        let promises = self.server.promises();
        let guard = |itself: bool| if itself { Guard::Itself } else { Guard::Claim };
        let (large_files, copies) = (guard(promises.creates_once_up_to == u64::MAX), guard(promises.copies_once));
        let found = match self.in_a_corner(|dir| async move { self.server.habits(&dir).await }).await {
            // What failed in passing is not known; what the server showed counts all the same.
            Err(e) if matches!(e.kind(), ErrorKind::Transient | ErrorKind::Unreachable) => {
                let unknown = || Tried::Unknown(e.message().to_owned());
                let (comparison, versions) = (Comparison::Unknown, self.server.versions().await);
                Habits { comparison, resumes: unknown(), presigns: unknown(), versions, ..Habits::default() }
            }
            found => found?,
        };
        Ok(Habits { large_files, copies, ..found })
    }

    /// Does something in a directory of its own in the staging area, and removes that.
    async fn in_a_corner<T, F: Future<Output = Result<T>>>(&self, act: impl FnOnce(String) -> F) -> Result<T> {
        let now = jiff::Timestamp::now().as_second();
        for entry in self.server.entries(&format!("{STAGING}/{PROBE}")).await? {
            let begun = entry.name.split('-').next().and_then(|at| at.parse().ok());
            if begun.is_none_or(|begun: i64| begun + FORGOTTEN < now) {
                self.server.delete_dir(&format!("{STAGING}/{PROBE}/{}", entry.name)).await?;
            }
        }
        // Two that look at once have a directory each.
        let dir = format!("{STAGING}/{PROBE}/{now}-{:032x}", random()?);
        let found = act(dir.clone()).await;
        self.server.delete_dir(&dir).await?;
        found
    }

    /// Whether a put where nothing should be never replaces, and whether a replacement compares.
    async fn observed(&self, dir: &str) -> Result<(bool, bool)> {
        let key = format!("{dir}/raced");
        let bytes = |n: usize| format!("probe {n}\n").into_bytes();
        let created = self.race(|server, n| {
            let (key, bytes) = (key.clone(), bytes(n));
            async move { Ok(server.create(&key, ObjectSource::Bytes(&bytes)).await? == PutNew::Created) }
        });
        let created = created.await?;
        let (stat, kept) = self.content(&key).await?;
        let put_if_absent = matches!(*created, [n] if kept == bytes(n));
        let replaced = self.race(|server, n| {
            let (key, stat, bytes) = (key.clone(), stat.clone(), bytes(RACERS + n));
            async move { refused_is_lost(server.swap(&key, &stat, &bytes).await) }
        });
        let replaced = replaced.await?;
        let (_, kept) = self.content(&key).await?;
        let conditional_replace = matches!(*replaced, [n] if kept == bytes(RACERS + n))
            // Long after, too.
            && !self.server.swap(&key, &stat, &bytes(0)).await?
            && self.content(&key).await?.1 == kept;
        self.copies(dir, &key, &kept).await?;
        Ok((put_if_absent, conditional_replace))
    }

    /// Looks whether a copy has the bytes of what was copied, and leaves what is there where it promises so.
    async fn copies(&self, dir: &str, key: &str, kept: &[u8]) -> Result<()> {
        let (other, fresh) = (format!("{dir}/other"), format!("{dir}/copied/fresh"));
        self.server.create(&other, ObjectSource::Bytes(b"other\n")).await?;
        let copied = self.server.copy(key, &fresh).await? == PutNew::Created;
        let (_, copy) = self.content(&fresh).await?;
        if !copied || copy != kept {
            return Err(Error::fatal("a copy within the server does not have the bytes that were copied"));
        }
        if self.server.promises().copies_once {
            let replaced = self.server.copy(&other, key).await? == PutNew::Created;
            if replaced || self.content(key).await?.1 != kept {
                return Err(Error::fatal(
                    "a copy within the server replaces what is there, although it was asked not to",
                ));
            }
        }
        let mut listed = self.server.list(dir).await?;
        listed.sort();
        if listed != [fresh, other, key.to_owned()] {
            return Err(Error::fatal("the server does not list what was just put there").detail(format!("{listed:?}")));
        }
        Ok(())
    }

    /// Lets [`RACERS`] start together; gives those who won.
    async fn race<F>(&self, run: impl Fn(Arc<dyn Server>, usize) -> F) -> Result<Vec<usize>>
    where
        F: Future<Output = Result<bool>> + Send + 'static,
    {
        let mut racers = JoinSet::new();
        for n in 0..RACERS {
            let racer = run(self.server.clone(), n);
            racers.spawn(async move { (n, racer.await) });
        }
        let mut won = Vec::new();
        while let Some(done) = racers.join_next().await {
            let (n, outcome) = done.context("a probe ended early")?;
            if outcome? {
                won.push(n);
            }
        }
        Ok(won)
    }

    async fn content(&self, key: &str) -> Result<(Stat, Vec<u8>)> {
        let opened = self.server.open(key).await?;
        let opened = opened.ok_or_else(|| Error::fatal("the server does not show what was just put there"))?;
        Ok((opened.stat.clone(), read_all(opened, key)?))
    }
}

/// A server that answers, and will not replace what did not change, has not replaced it.
fn refused_is_lost(swapped: Result<bool>) -> Result<bool> {
    match swapped {
        Err(e) if e.kind() == ErrorKind::Transient => Ok(false),
        other => other,
    }
}
