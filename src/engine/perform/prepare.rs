//! `prepare`: patches, version bump, commits.

use std::collections::BTreeMap;

use super::hooks::{self, Edits};
use super::{Acting, Perform};
use crate::bump::{self, BumpRequest, LockCheck};
use crate::effects::{Git, Objects, PrivateRepo, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::series::Series;
use crate::model::Oid;
use crate::step::{Prepare, Prepared, VersionBump};
use crate::templates::{self, AdvisoryText, ReleaseContext};

/// The commits of one line, before anything of them is stored for good.
pub(in crate::engine) struct Commits {
    /// Oldest first, the bump commit last if there is one.
    pub(in crate::engine) commits: Vec<Oid>,
    pub(in crate::engine) head: Oid,
    pub(in crate::engine) release_notes: Option<String>,
    pub(in crate::engine) warnings: Vec<String>,
    /// What to ask Cargo about the bump commit.
    pub(in crate::engine) checks: Vec<LockCheck>,
}

/// Makes the commits of a line in a private repository; the same inputs make the same commits anywhere. What the project's
/// own commands changed joins the bump commit.
pub(in crate::engine) fn make(
    git: &dyn Git,
    repo: &PrivateRepo,
    series: &Series,
    step: &Prepare,
    by_hooks: &Edits,
) -> Result<Commits> {
    let branch = &step.branch;
    let on_line = |e: Error| e.context(format!("line `{branch}`"));
    let mut commits = git.apply_series(repo, &step.base, series, &step.committer, step.date).map_err(on_line)?;
    let mut head = commits.last().cloned().unwrap_or_else(|| step.base.clone());
    let Some(planned) = &step.bump else {
        return Ok(Commits { commits, head, release_notes: None, warnings: Vec::new(), checks: Vec::new() });
    };
    let tree = git.tree(repo, &head).map_err(on_line)?;
    if planned.rules.after.is_empty() && !by_hooks.is_empty() {
        return Err(on_line(Error::verification(
            "changes by commands are recorded, and the plan has no command in `after`",
        )));
    }
    for (path, _) in by_hooks {
        if tree.read(path).map_err(on_line)?.is_none() {
            return Err(on_line(Error::verification(format!(
                "a command of `after` is recorded to have added `{path}`"
            ))));
        }
    }
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
    let checks = LockCheck::all(&planned.rules.manifests, &made.edits);
    let mut edits: BTreeMap<String, Vec<u8>> = made.edits.into_iter().map(|e| (e.path, e.after)).collect();
    edits.extend(by_hooks.iter().cloned());
    let edits: Edits = edits.into_iter().collect();
    head =
        git.commit_edits(repo, &head, &edits, &planned.commit_message, &step.committer, step.date).map_err(on_line)?;
    commits.push(head.clone());
    let mut warnings = made.notes;
    let note = bump::pointers_note(&*tree).map_err(on_line)?;
    warnings.extend(note.map(|note| format!("line `{branch}`: {note}")));
    Ok(Commits { commits, head, release_notes: made.release_notes, warnings, checks })
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
        "the adopted plan pins the series that it has now: abandon this train with `lifeboat abandon {train} --reason …`, \
         then ship the fixed one under another name"
    ))
}

/// The release notes, the same wherever the release appears: this version's part of the changelog in the project's text.
fn notes(acting: &Acting<'_>, step: &Prepare, bump: &VersionBump, changelog: Option<&str>) -> Result<String> {
    let plan = acting.train.plan();
    let text = ReleaseContext {
        project: plan.project.clone(),
        version: bump.new.clone(),
        old_version: bump.old.clone(),
        tag: bump.tag.clone(),
        branch: step.branch.clone(),
        date: step.date,
        advisories: plan.advisories.clone(),
        security: AdvisoryText::all(&plan.advisories, &plan.advisory_texts),
        forges: plan.forges(),
    };
    templates::notes(&plan.templates, &text, changelog)
}

impl Perform for Prepare {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Prepared> {
        prepare(acting, self).await
    }
}

async fn prepare(acting: &Acting<'_>, step: &Prepare) -> Result<Prepared> {
    let (git, repo, objects) = (&*acting.effects.git, acting.train.repository(), acting.train.objects());
    let series = series(objects, step)?;
    let mut made = blocking(|| {
        {
            let _one_at_a_time = acting.train.repository_lock();
            git.ensure(repo)?;
        }
        make(git, repo, &series, step, &Vec::new()).map_err(|e| pinned(acting, e))
    })?;
    let hooks = step.bump.as_ref().map_or(&[][..], |b| &b.rules.after);
    let mut by_hooks = None;
    let asked = hooks::Asked { hooks, checks: &made.checks };
    if !asked.is_empty() {
        let ran = hooks::run(acting, step, &asked, &made.head).await?;
        let mut warnings = std::mem::take(&mut made.warnings);
        if !ran.edits.is_empty() {
            made = blocking(|| make(git, repo, &series, step, &ran.edits))?;
        }
        warnings.extend(ran.warnings);
        made.warnings = warnings;
        by_hooks = ran.pinned;
    }
    acting.warn(&made.warnings);
    blocking(|| {
        let tree = git.tree_id(repo, &made.head)?;
        let pack = objects.put_written(|out| git.export_pack(repo, &step.base, &made.head, out))?;
        let notes = match &step.bump {
            Some(bump) => {
                Some(objects.put(notes(acting, step, bump, made.release_notes.as_deref())?.as_bytes())?.sha256)
            }
            None => None,
        };
        Ok(Prepared {
            commits: made.commits,
            head: made.head,
            tree,
            version: step.bump.as_ref().map(|b| b.new.clone()),
            pack: pack.sha256,
            notes,
            by_hooks,
            warnings: made.warnings,
        })
    })
}
