//! What a person looks at before they approve: everything made and read again, on their own machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::content;
use super::perform::{self, prepare as commits};
use super::view::TrainView;
use crate::config;
use crate::effects::{ArchiveSpec, Effects, Git, PrivateRepo, blocking};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::content::Content;
use crate::formats::digests::Hasher;
use crate::formats::unified_diff::unified_diff;
use crate::model::{BranchName, Destination, Oid, Sha256, escape};
use crate::snapshot::PatchFacts;
use crate::step::{
    Build, Built, Bundle, Bundled, Checksum, Kind, OnStore, PlannedStep, Prepare, Prepared, VerifyStaged,
};
use crate::trust::LineSums;

/// What a person approves, after everything was made and read again.
#[derive(Debug, Serialize)]
pub struct Review {
    /// Each line.
    pub lines: Vec<ReviewedLine>,
    /// SHA-256 of the content manifest.
    pub content: Sha256,
    #[serde(skip)]
    pub(super) exact: Content,
    #[serde(skip)]
    pub(super) sums: BTreeMap<BranchName, LineSums>,
}

/// One line of a [`Review`].
#[derive(Debug, Serialize)]
pub struct ReviewedLine {
    /// The branch.
    pub branch: BranchName,
    /// The version, none on a `carry` line.
    pub version: Option<semver::Version>,
    /// The commit, made again from the reviewer's own clone and the pinned series.
    pub commit: Oid,
    /// The patches.
    pub patches: Vec<PatchFacts>,
    /// Every path in which the new commit differs from the base, from the trees themselves.
    pub changed: Vec<String>,
    /// Those of them that the new commit does not have any more.
    pub deleted: Vec<String>,
    /// Those of them that a patch touches and that decide how things are built, submodules among them.
    pub sensitive: Vec<String>,
    /// The whole change, patch by patch and then the bump commit, as a person reads it.
    pub diff: String,
    /// Files that the project's own commands changed in the bump commit.
    pub by_hooks: Vec<String>,
    /// What preparing the line warned of.
    pub warnings: Vec<String>,
    /// How many staged files were read back and hashed, over all stores.
    pub files: usize,
    /// Why they were read from the review bundle and not from each store, where that is so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from_bundle: Vec<String>,
    /// Artifacts that only one pool has built: no second build vouches for their bytes.
    pub built_once: Vec<String>,
}

/// Where and how a review is made.
#[derive(Debug, Clone, Copy)]
pub struct Reviewing<'a> {
    /// The reviewer's own clone.
    pub clone: &'a Path,
    /// A private repository that is made for the review and removed after it.
    pub scratch: &'a Path,
    /// Whether the train's objects came with a bundle: staged files that no store shows are then looked for among them.
    pub bundled: bool,
}

/// Makes and reads everything again: commits and source archive from the clone, digests from every store's staging area.
///
/// # Errors
/// The first thing that is not as recorded.
pub async fn review(effects: &Effects, train: &TrainView, how: Reviewing<'_>) -> Result<Review> {
    let state = train.state();
    content::open_to_approvals(state)?;
    let (content, sums) = content::to_approve(train)?;
    let scratch = PrivateRepo { dir: how.scratch.to_owned(), borrow: how.clone.to_owned() };
    let mut lines = Vec::new();
    let plan = train.plan();
    for planned in &plan.lines {
        let bundle = plan.of_line::<Bundle>(&planned.branch).map(|(_, bundle)| bundle);
        let (_, prepare) = plan
            .of_line::<Prepare>(&planned.branch)
            .ok_or_else(|| Error::fatal(format!("line `{}` has no `prepare` step", planned.branch)))?;
        let again = blocking(|| make_again(effects, train, &scratch, prepare, bundle))?;
        if again.patches != planned.patches {
            return Err(Error::verification(format!(
                "line `{}`: the plan lists other patches than the pinned series has",
                planned.branch
            ))
            .hint("do not approve: the plan was changed after it was made"));
        }
        sums_again(train, &planned.branch)?;
        let (by_hooks, mut warnings) = notes(train, &planned.branch)?;
        let read = read_again(effects, train, &planned.branch, how.bundled).await?;
        warnings.extend(read.warnings);
        lines.push(ReviewedLine {
            branch: planned.branch.clone(),
            version: planned.new.clone(),
            commit: again.head,
            patches: again.patches,
            sensitive: again.sensitive.iter().map(|t| escape(t)).collect(),
            changed: again.changed,
            deleted: again.deleted,
            diff: again.diff,
            by_hooks,
            warnings,
            files: read.files,
            from_bundle: read.from_bundle,
            built_once: read.built_once,
        });
    }
    effects.disk.remove_dir_all(&scratch.dir).context("cannot remove the review's repository")?;
    Ok(Review { lines, content: content.digest()?, exact: content, sums })
}

/// What was made again of a line.
struct Again {
    head: Oid,
    patches: Vec<PatchFacts>,
    changed: Vec<String>,
    deleted: Vec<String>,
    sensitive: Vec<String>,
    diff: String,
}

/// Manifest and sums again, from the outcomes that were just checked: what is signed is what was reviewed.
fn sums_again(train: &TrainView, branch: &BranchName) -> Result<()> {
    let state = train.state();
    if let Some((planned, step)) = train.plan().of_line::<Checksum>(branch) {
        let again = blocking(|| perform::checksum::write_sums(train.objects(), state, step))?;
        if state.made(&planned.id) != Some(&again) {
            return Err(Error::verification(format!(
                "line `{branch}`: the recorded sums are not those of its commits and artifacts"
            ))
            .hint("do not approve: the journal was changed by somebody who holds the operator's key"));
        }
    }
    Ok(())
}

/// What the last commit changes: versions, and what the project's own commands made of them.
fn bump_commit(git: &dyn Git, repo: &PrivateRepo, base: &Oid, commits: &[Oid]) -> Result<String> {
    let mut tail = commits.iter().rev();
    let (Some(head), parent) = (tail.next(), tail.next().unwrap_or(base)) else { return Ok(String::new()) };
    let (before, after) = (git.tree(repo, parent)?, git.tree(repo, head)?);
    let mut diff = "\nthe bump commit:\n".to_owned();
    for path in git.changed(repo, parent, head)? {
        let (old, new) = (before.read(&path)?, after.read(&path)?);
        diff.push_str(&unified_diff(&path, old.as_deref(), new.as_deref(), None));
    }
    Ok(diff)
}

/// The commits, the source archive and the git bundle of a line, from a clone that the train's own steps did not use.
fn make_again(
    effects: &Effects,
    train: &TrainView,
    scratch: &PrivateRepo,
    prepare: &Prepare,
    bundle: Option<&Bundle>,
) -> Result<Again> {
    let branch = &prepare.branch;
    let git = &*effects.git;
    git.ensure(scratch)?;
    let Some(Prepared { head, by_hooks, .. }) = made_by::<Prepare>(train, branch) else {
        return Err(Error::input(format!("line `{branch}` is not prepared yet")).hint("run `lifeboat ship` first"));
    };
    let series = commits::series(train.objects(), prepare)?;
    let by_hooks = perform::hooks::pinned(train.objects(), by_hooks.as_ref())?;
    let made = commits::make(git, scratch, &series, prepare, &by_hooks)?;
    if made.head != *head {
        return Err(Error::verification(format!(
            "line `{branch}`: from your clone the commit is {}, not {head}",
            made.head
        ))
        .hint("do not approve: find out which machine is wrong"));
    }
    let mut diff = String::new();
    for patch in &series.patches {
        diff.push_str(&format!("From {}\nSubject: {}\n\n", patch.author, patch.message));
        diff.push_str(&String::from_utf8_lossy(&patch.diff));
    }
    if prepare.bump.is_some() {
        diff.push_str(&bump_commit(git, scratch, &prepare.base, &made.commits)?);
    }
    let changed = git.changed(scratch, &prepare.base, &made.head)?;
    let mut sensitive = BTreeSet::new();
    for patch in &series.patches {
        sensitive.extend(patch.submodules());
        // Names in a patch are its author's; those of the trees decide.
        sensitive.extend(patch.names().into_iter().filter(|p| config::is_sensitive(p) && changed.contains(p)));
    }
    let again = Again {
        patches: series.patches.iter().map(PatchFacts::of).collect(),
        changed,
        deleted: git.deleted(scratch, &prepare.base, &made.head)?,
        sensitive: sensitive.into_iter().collect(),
        diff,
        head: made.head.clone(),
    };
    let Some(bundle) = bundle else { return Ok(again) };
    let Some(Bundled { source, git_bundle, .. }) = made_by::<Bundle>(train, branch) else {
        return Err(Error::input(format!("line `{branch}` is not bundled yet")).hint("run `lifeboat ship` first"));
    };
    let spec =
        ArchiveSpec { commit: &made.head, prefix: &bundle.stem, submodules: &bundle.submodules, date: bundle.date };
    let mut hashed = HashOnly(Hasher::new());
    git.archive(scratch, &spec, &mut hashed)?;
    let digests = hashed.0.finish();
    if digests.sha256 != source.digests.sha256 {
        return Err(Error::verification(format!(
            "line `{branch}`: from your clone the source archive has sha256 {}, not {}",
            digests.sha256, source.digests.sha256
        ))
        .hint("do not approve: find out which machine is wrong"));
    }
    let mut hashed = HashOnly(Hasher::new());
    git.bundle(scratch, branch.as_str(), &prepare.base, &made.head, &mut hashed)?;
    if hashed.0.finish().sha256 != git_bundle.digests.sha256 {
        return Err(Error::verification(format!("line `{branch}`: from your clone the git bundle has other bytes"))
            .hint("do not approve: find out which machine is wrong"));
    }
    Ok(again)
}

/// What preparing a line recorded for the person who approves: files changed by commands, and warnings.
fn notes(train: &TrainView, branch: &BranchName) -> Result<(Vec<String>, Vec<String>)> {
    match made_by::<Prepare>(train, branch) {
        Some(Prepared { by_hooks, warnings, .. }) => {
            let edits = perform::hooks::pinned(train.objects(), by_hooks.as_ref())?;
            let mut warnings = warnings.clone();
            warnings.extend(crate::plan::not_isolated(train.plan()));
            warnings.extend(lost(train, branch));
            Ok((edits.into_iter().map(|(path, _)| path).collect(), warnings))
        }
        None => Ok((Vec::new(), Vec::new())),
    }
}

/// The jobs of a line that were lost: something on the runner's machine ended what watched over them.
fn lost(train: &TrainView, branch: &BranchName) -> Vec<String> {
    let of_line = |s: &&PlannedStep| s.step.lines().iter().any(|(b, _)| *b == branch);
    let steps = train.plan().steps.iter().filter(of_line);
    let lost = steps.filter_map(|s| Some((&s.id, train.state().step(&s.id)?.lost))).filter(|(_, lost)| *lost > 0);
    lost.map(|(id, lost)| {
        let times = if lost == 1 { "once".to_owned() } else { format!("{lost} times") };
        format!("the job of `{id}` was lost {times} and run again: ask the operator whether the machine was restarted")
    })
    .collect()
}

/// What a line's step of a kind made.
fn made_by<'a, K: Kind>(train: &'a TrainView, branch: &BranchName) -> Option<&'a K::Outcome> {
    let (step, _) = train.plan().of_line::<K>(branch)?;
    train.state().made(&step.id)
}

struct HashOnly(Hasher);

impl std::io::Write for HashOnly {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What was read of a line's staged files.
#[derive(Default)]
struct Read {
    files: usize,
    from_bundle: Vec<String>,
    built_once: Vec<String>,
    warnings: Vec<String>,
}

/// Hashes every staged file of a line in every store that has it; counts them, and lists what was built once.
async fn read_again(effects: &Effects, train: &TrainView, branch: &BranchName, bundled: bool) -> Result<Read> {
    let state = train.state();
    let mut read = Read::default();
    for (step, _) in train.plan().all::<Build>().filter(|(_, build)| build.branch == *branch) {
        if let Some(Built { artifacts, .. }) = state.made(&step.id) {
            read.built_once.extend(artifacts.iter().map(|a| a.name.to_string()));
        }
    }
    for (step, VerifyStaged(on)) in train.plan().all() {
        if on.branch != *branch {
            continue;
        }
        if state.outcome(&step.id).is_none() {
            if step.deferrable {
                continue;
            }
            return Err(Error::input(format!("step `{}` has not succeeded yet", step.id))
                .hint("run `lifeboat ship` until it asks for approvals"));
        }
        read.files += match staged_again(effects, train, on).await {
            // Other bytes than recorded are what a review is there to find, wherever else the right ones are.
            Err(e) if bundled && e.kind() != ErrorKind::Conflict && e.kind() != ErrorKind::Verification => {
                let (files, why) = blocking(|| carried(train, on, e))?;
                read.from_bundle.push(why);
                files
            }
            // The train goes on without a store that may wait; what it then makes public is compared byte by byte.
            Err(e) if step.deferrable && e.kind() == ErrorKind::Unreachable => {
                let why = crate::trust::explain(&e);
                read.warnings.push(format!("what is staged there was not read: {why}"));
                0
            }
            read => read?,
        };
    }
    read.built_once.sort();
    Ok(read)
}

/// Reads what is staged of a line in a store again. Of encrypted files a person approves what is in them: their bytes are read
/// among the train's own objects, or, on a machine that has none, decrypted from what is staged.
async fn staged_again(effects: &Effects, train: &TrainView, on: &OnStore) -> Result<usize> {
    let state = train.state();
    if on.encrypt.is_none() {
        return perform::read_staged(effects, state, on).await;
    }
    if let Some(files) = blocking(|| perform::read_objects(train, on))? {
        perform::read_staged(effects, state, on).await?;
        return Ok(files);
    }
    perform::read_encrypted(effects, state, on).await
}

/// The staged files as they came with the bundle, where a store does not show them on this machine.
fn carried(train: &TrainView, on: &OnStore, why: Error) -> Result<(usize, String)> {
    let at = train.plan().place_of(Destination::Store(on.store.clone())).unwrap_or("unknown");
    // The store was reached, but no key of this machine reads what is there.
    let closed = on.encrypt.is_some() && why.kind() == ErrorKind::Input;
    let why = crate::trust::explain(&why);
    let files = perform::read_objects(train, on)?;
    let Some(files) = files else {
        let line = &on.branch;
        return Err(Error::new(
            ErrorKind::Unreachable,
            format!("the staged files of line `{line}` could not be read, so they were not reviewed"),
        )
        .detail(why)
        .detail(format!(
            "the plan has store `{}` at {}; the files are below `.staging/{}/`",
            on.store,
            escape(at),
            train.state().staging(on).unwrap_or_default()
        ))
        .hint(if closed {
            "the files are encrypted: approve with your own key, `--key FILE` or the one that gpg has, in a certificate of `keys/`"
        } else {
            "reach that store from this machine and name where it is in `lifeboat.toml`"
        })
        .hint("or ask the operator for a bundle with the files, there: `lifeboat export TRAIN --to FILE --bytes`"));
    };
    Ok((files, why))
}
