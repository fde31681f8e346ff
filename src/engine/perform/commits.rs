//! `prepare`: patches, version bump, commits.

use super::{Acting, blocking};
use crate::bump::{self, BumpRequest};
use crate::effects::{Git, Objects, PrivateRepo};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::series::Series;
use crate::model::Oid;
use crate::step::{Outcome, Prepare};

/// The commits of one line, before anything of them is stored for good.
pub(in crate::engine) struct Commits {
    /// Oldest first, the bump commit last if there is one.
    pub(in crate::engine) commits: Vec<Oid>,
    pub(in crate::engine) head: Oid,
    pub(in crate::engine) release_notes: Option<String>,
    pub(in crate::engine) warnings: Vec<String>,
}

/// Makes the commits of a line in a private repository; the same inputs make the same commits anywhere.
pub(in crate::engine) fn make(git: &dyn Git, repo: &PrivateRepo, series: &Series, step: &Prepare) -> Result<Commits> {
    let branch = &step.branch;
    let on_line = |e: Error| e.context(format!("line `{branch}`"));
    let mut commits = git.apply_series(repo, &step.base, series, &step.committer, step.date).map_err(on_line)?;
    let mut head = commits.last().cloned().unwrap_or_else(|| step.base.clone());
    let Some(planned) = &step.bump else {
        return Ok(Commits { commits, head, release_notes: None, warnings: Vec::new() });
    };
    let tree = git.tree(repo, &head).map_err(on_line)?;
    let date = step.date.to_zoned(jiff::tz::TimeZone::UTC).date();
    let request = BumpRequest { to: planned.to.clone(), date, tags: std::collections::BTreeSet::new() };
    let made = bump::bump(&*tree, &planned.rules, &request).map_err(on_line)?;
    if made.version != planned.new {
        return Err(on_line(Error::conflict(format!(
            "the patched tree bumps to {}, the plan says {}",
            made.version, planned.new
        )))
        .hint(
            "a patch changes the version: take that change out of the series, or name the version in the train file",
        ));
    }
    let edits: Vec<(String, Vec<u8>)> = made.edits.into_iter().map(|e| (e.path, e.after)).collect();
    head =
        git.commit_edits(repo, &head, &edits, &planned.commit_message, &step.committer, step.date).map_err(on_line)?;
    commits.push(head.clone());
    Ok(Commits { commits, head, release_notes: made.release_notes, warnings: made.notes })
}

/// Reads the pinned series of a line.
pub(in crate::engine) fn series(objects: &Objects, step: &Prepare) -> Result<Series> {
    Series::from_bytes(&objects.get(&step.series)?)
}

/// What a person can do about a line that cannot be prepared: the adopted plan never changes.
fn pinned(acting: &Acting<'_>, e: Error) -> Error {
    if e.kind() != ErrorKind::Input {
        return e;
    }
    let train = &acting.train.plan().train;
    e.hint(format!(
        "the adopted plan pins the series that it has now: give this train up with `lifeboat abandon {train} --reason …`, \
         then ship the mended one under another name"
    ))
}

pub(super) fn prepare(acting: &Acting<'_>, step: &Prepare) -> Result<Outcome> {
    let (git, repo, objects) = (&*acting.effects.git, acting.train.repository(), acting.train.objects());
    let series = series(objects, step)?;
    blocking(|| {
        {
            let _one_at_a_time = acting.train.repository_lock();
            git.ensure(repo)?;
        }
        let made = make(git, repo, &series, step).map_err(|e| pinned(acting, e))?;
        acting.warn(&made.warnings);
        let tree = git.tree_id(repo, &made.head)?;
        let pack = objects.put_written(|out| git.export_pack(repo, &step.base, &made.head, out))?;
        let notes = match made.release_notes {
            Some(text) => Some(objects.put(text.as_bytes())?.sha256),
            None => None,
        };
        Ok(Outcome::Prepared {
            commits: made.commits,
            head: made.head,
            tree,
            version: step.bump.as_ref().map(|b| b.new.clone()),
            pack: pack.sha256,
            notes,
            warnings: made.warnings,
        })
    })
}
