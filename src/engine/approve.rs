//! `approve`: a person looks at everything again, on their own machine, then signs once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::content;
use super::perform::{self, commits};
use super::train::Train;
use crate::config;
use crate::effects::{ArchiveSpec, Effects, Git, PrivateRepo, Role, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::content::Content;
use crate::formats::digests::Hasher;
use crate::formats::unified_diff::unified_diff;
use crate::journal::{Event, State};
use crate::model::{BranchName, Oid, PersonId, Sha256, escape, whole_seconds};
use crate::snapshot::PatchFacts;
use crate::step::{Bundle, Outcome, PlannedStep, Prepare, Step};
use crate::trust::{self, Act, LineSums};

/// How long an approval counts.
const EXPIRES: SignedDuration = SignedDuration::from_hours(24 * 7);

/// What a person approves, after everything was made and read again.
#[derive(Debug, Serialize)]
pub struct Review {
    /// Each line.
    pub lines: Vec<ReviewedLine>,
    /// SHA-256 of the content manifest.
    pub content: Sha256,
    #[serde(skip)]
    exact: Content,
    #[serde(skip)]
    sums: BTreeMap<BranchName, LineSums>,
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
    /// Artifacts that only one pool has built: no second build vouches for their bytes.
    pub built_once: Vec<String>,
}

/// Makes and reads everything again: commits and source archive from `clone`, digests from every store's staging area.
///
/// # Errors
/// The first thing that is not as recorded.
pub async fn review(effects: &Effects, train: &Train, clone: &Path) -> Result<Review> {
    let state = train.state();
    if state.anything_public() {
        return Err(Error::input("the gate is open already: there is nothing left to approve")
            .hint("`lifeboat status` shows who approved; `lifeboat ship` goes on"));
    }
    let gate = content::gate(&state)?;
    let content = content::content(&state, train.objects(), gate)?;
    let sums = content::sums(train.objects(), &content)?;
    let scratch = PrivateRepo { dir: train.dir().path().join("review.git"), borrow: clone.to_owned() };
    let mut lines = Vec::new();
    let plan = train.plan();
    for planned in &plan.lines {
        let steps = || plan.steps.iter().map(|s| &s.step);
        let prepare = steps().find_map(|s| match s {
            Step::Prepare(p) if p.branch == planned.branch => Some(p),
            _ => None,
        });
        let bundle = steps().find_map(|s| match s {
            Step::Bundle(b) if b.branch == planned.branch => Some(b),
            _ => None,
        });
        let prepare =
            prepare.ok_or_else(|| Error::fatal(format!("line `{}` has no `prepare` step", planned.branch)))?;
        let again = blocking(|| make_again(effects, train, &scratch, prepare, bundle, &state))?;
        if again.patches != planned.patches {
            return Err(Error::verification(format!(
                "line `{}`: the plan lists other patches than the pinned series has",
                planned.branch
            ))
            .hint("do not approve: the plan was changed after it was made"));
        }
        sums_again(train, &planned.branch, &state)?;
        let (by_hooks, warnings) = told(train, &planned.branch, &state)?;
        let (files, built_once) = read_again(effects, train, &planned.branch, &state).await?;
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
            files,
            built_once,
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
fn sums_again(train: &Train, branch: &BranchName, state: &State) -> Result<()> {
    let steps = train.plan().steps.iter();
    for (id, step) in steps.filter_map(|s| match &s.step {
        Step::Checksum(c) if c.branch == *branch => Some((&s.id, c)),
        _ => None,
    }) {
        let again = blocking(|| perform::sum::write_sums(train, state, step))?;
        if state.outcome(id) != Some(&again) {
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
    train: &Train,
    scratch: &PrivateRepo,
    prepare: &Prepare,
    bundle: Option<&Bundle>,
    state: &State,
) -> Result<Again> {
    let branch = &prepare.branch;
    let git = &*effects.git;
    git.ensure(scratch)?;
    let recorded = plan_outcome(train, state, |s| matches!(s, Step::Prepare(p) if p.branch == *branch));
    let Some(Outcome::Prepared { head, by_hooks, .. }) = recorded else {
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
        sensitive.extend(patch.touches().into_iter().filter(|p| config::is_sensitive(p) && changed.contains(p)));
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
    let recorded = plan_outcome(train, state, |s| matches!(s, Step::Bundle(b) if b.branch == *branch));
    let Some(Outcome::Bundled { source, git_bundle, .. }) = recorded else {
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
fn told(train: &Train, branch: &BranchName, state: &State) -> Result<(Vec<String>, Vec<String>)> {
    match plan_outcome(train, state, |s| matches!(s, Step::Prepare(p) if p.branch == *branch)) {
        Some(Outcome::Prepared { by_hooks, warnings, .. }) => {
            let edits = perform::hooks::pinned(train.objects(), by_hooks.as_ref())?;
            let mut warnings = warnings.clone();
            warnings.extend(crate::plan::not_isolated(train.plan()));
            warnings.extend(lost(train, branch, state));
            Ok((edits.into_iter().map(|(path, _)| path).collect(), warnings))
        }
        _ => Ok((Vec::new(), Vec::new())),
    }
}

/// The jobs of a line that were lost: something on the runner's machine ended what watched over them.
fn lost(train: &Train, branch: &BranchName, state: &State) -> Vec<String> {
    let of_line = |s: &&PlannedStep| s.step.acts_on().iter().any(|(b, _)| *b == branch);
    let steps = train.plan().steps.iter().filter(of_line);
    let lost = steps.filter_map(|s| Some((&s.id, state.step(&s.id)?.lost))).filter(|(_, lost)| *lost > 0);
    lost.map(|(id, lost)| {
        let times = if lost == 1 { "once".to_owned() } else { format!("{lost} times") };
        format!("the job of `{id}` was lost {times} and run again: ask the operator whether the machine was restarted")
    })
    .collect()
}

fn plan_outcome<'a>(train: &Train, state: &'a State, is: impl Fn(&Step) -> bool) -> Option<&'a Outcome> {
    let step = train.plan().steps.iter().find(|s| is(&s.step))?;
    state.outcome(&step.id)
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

/// Hashes every staged file of a line in every store that has it; counts them, and lists what was built once.
async fn read_again(
    effects: &Effects,
    train: &Train,
    branch: &BranchName,
    state: &State,
) -> Result<(usize, Vec<String>)> {
    let mut files = 0;
    let mut built_once = Vec::new();
    for step in &train.plan().steps {
        match &step.step {
            Step::VerifyStaged(on) if on.branch == *branch => {
                if state.outcome(&step.id).is_none() {
                    if step.deferrable {
                        continue;
                    }
                    return Err(Error::input(format!("step `{}` has not succeeded yet", step.id))
                        .hint("run `lifeboat ship` until it asks for approvals"));
                }
                files += perform::read_staged(effects, state, on).await?;
            }
            Step::Build(b) if b.branch == *branch => {
                if let Some(Outcome::Built { artifacts, .. }) = state.outcome(&step.id) {
                    built_once.extend(artifacts.iter().map(|a| a.name.to_string()));
                }
            }
            _ => {}
        }
    }
    built_once.sort();
    Ok((files, built_once))
}

/// Makes a person's approval of what was reviewed, and records it.
///
/// # Errors
/// A key that the trust root does not give this person; the journal's.
pub fn approve(effects: &Effects, train: &Train, review: &Review, person: &PersonId) -> Result<Timestamp> {
    let now = effects.clock.now();
    let signer = effects.keys.signer(&Role::Person(person.clone()))?;
    let expires = whole_seconds(now.checked_add(EXPIRES).context("the clock is wrong")?);
    let act = Act { content: &review.exact, sums: &review.sums, root: train.trust().digest, person, expires };
    let approval = trust::approve(&*signer, &act)?;
    let window = trust::Window::of_plan(train.plan().date, now);
    let case = trust::ApprovalCase { trust: train.trust(), content: &review.exact, sums: &review.sums, window };
    let judgement = trust::judge_approvals(&case, &[trust::Recorded { approval: &approval, at: None }])?;
    if !judgement.counted.contains_key(person) {
        let why = judgement.refused.first().map_or_else(String::new, |r| format!(": {}", r.why));
        return Err(Error::verification(format!("the approval of {person} would not count{why}"))
            .hint("the trust root in `keys/` says who may approve and with which certificate"));
    }
    train.journal().append(Event::Approved { approval: Box::new(approval) })?;
    Ok(expires)
}

/// The staging areas of a train are of no use once it is given up.
///
/// # Errors
/// A store's.
pub async fn clear(effects: &Effects, train: &Train) -> Result<()> {
    for store in effects.stores.values() {
        for area in train.state().staging_areas() {
            store.clear_staging(&area).await?;
        }
    }
    Ok(())
}
