//! The project's own commands after a bump (`after` in `[version]`): a job like any other, without network.
//!
//! A command may change files of the tree, such as regenerated ones: they join the bump commit. What it changed is pinned as
//! objects, so that everybody who makes the commit again makes the same one, and approvers are shown the paths.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::{Acting, job};
use crate::bump::{Hook, OnFailure};
use crate::effects::{ArchiveSpec, Objects, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::canonical;
use crate::journal::StepStatus;
use crate::model::{ArtifactName, Oid, Sha256};
use crate::step::{ArtifactPath, Isolation, Job, JobInput, Prepare};

/// Seconds that all commands of a line may take together.
const TIMEOUT_S: u64 = 3600;

/// Where the job leaves what the commands changed, and which of them failed.
const CHANGED: &str = "lifeboat-after-changed.tar";
const FAILED: &str = "lifeboat-after-failed.txt";

/// Variables with which cargo finds its own directories.
const PASS_ENV: [&str; 4] = ["PATH", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// Whole files that replace those of a tree, by path.
pub(in crate::engine) type Edits = Vec<(String, Vec<u8>)>;

/// Edits as they are pinned: the bytes are objects.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Pinned(BTreeMap<String, Sha256>);

/// What running the commands made.
pub(super) struct Ran {
    pub(super) edits: Edits,
    /// The pinned edits, an object; none if nothing changed.
    pub(super) pinned: Option<Sha256>,
    pub(super) warnings: Vec<String>,
}

/// Runs the commands on the tree of `commit`.
pub(super) async fn run(
    acting: &Acting<'_>,
    step: &Prepare,
    hooks: &[Hook],
    commit: &Oid,
    before: &StepStatus,
) -> Result<Ran> {
    let (git, objects) = (&acting.effects.git, acting.train.objects());
    let spec = ArchiveSpec { commit, prefix: "tree", submodules: &[], date: step.date };
    let tree = blocking(|| objects.put_written(|out| git.archive(acting.train.repository(), &spec, out)))?;
    let inputs = vec![JobInput::SourceArchive(tree.sha256)];
    let done = job::run(acting, &commands(hooks)?, inputs, before).await?;
    let artifact = |name: &str| {
        let found = done.artifacts.iter().find(|a| a.name.as_str() == name);
        let found = found.ok_or_else(|| Error::fatal(format!("the commands of `after` left no `{name}`")))?;
        objects.get(&found.digests.sha256)
    };
    let warnings = failures(step, hooks, &artifact(FAILED)?)?;
    let edits = changed(acting, commit, &artifact(CHANGED)?)?;
    let mut pinned = BTreeMap::new();
    for (path, bytes) in &edits {
        pinned.insert(path.clone(), objects.put(bytes)?.sha256);
    }
    let pinned = match pinned.is_empty() {
        true => None,
        false => Some(objects.put(&canonical::to_bytes(&Pinned(pinned))?)?.sha256),
    };
    Ok(Ran { edits, pinned, warnings })
}

/// Reads pinned edits back.
pub(in crate::engine) fn pinned(objects: &Objects, id: Option<&Sha256>) -> Result<Edits> {
    let Some(id) = id else { return Ok(Vec::new()) };
    let Pinned(paths) =
        serde_json::from_slice(&objects.get(id)?).context("cannot read the pinned changes of `after`")?;
    paths.into_iter().map(|(path, id)| Ok((path, objects.get(&id)?))).collect()
}

/// The command lines travel as variables, so that no quoting can change them.
fn commands(hooks: &[Hook]) -> Result<Job> {
    let mut run =
        vec![format!("mkdir lifeboat-after; echo ran > lifeboat-after/{FAILED}; touch \"$TMPDIR/before\"; sleep 0.02")];
    let mut env = BTreeMap::new();
    for (i, hook) in hooks.iter().enumerate() {
        env.insert(format!("LIFEBOAT_AFTER_{i}"), hook.run.clone());
        run.push(format!("sh -c \"$LIFEBOAT_AFTER_{i}\" || echo {i} >> lifeboat-after/{FAILED}"));
    }
    run.push(format!(
        "find . -type f -newer \"$TMPDIR/before\" ! -path './lifeboat-after/*' ! -path './target/*' -print0 \
         | LC_ALL=C sort -z | tar --null --no-recursion -cf lifeboat-after/{CHANGED} -T -"
    ));
    let left = |name: &str| -> Result<ArtifactPath> {
        Ok(ArtifactPath { path: format!("lifeboat-after/{name}"), name: ArtifactName::new(name)? })
    };
    Ok(Job {
        run,
        labels: Vec::new(),
        env,
        pass_env: PASS_ENV.iter().map(|&n| n.to_owned()).collect(),
        secret_env: BTreeMap::new(),
        isolation: Isolation::NoNetwork,
        timeout_s: TIMEOUT_S,
        artifacts: vec![left(CHANGED)?, left(FAILED)?],
    })
}

/// The warnings of the commands that may fail; one that may not stops the train.
fn failures(step: &Prepare, hooks: &[Hook], list: &[u8]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for hook in String::from_utf8_lossy(list).lines().filter_map(|l| hooks.get(l.parse::<usize>().ok()?)) {
        let said = format!("line `{}`: `{}` of `after` failed", step.branch, crate::model::escape(&hook.run));
        match hook.on_failure {
            OnFailure::Warn => warnings.push(said),
            OnFailure::Stop => {
                return Err(
                    Error::fatal(said).hint("mend it, or say `on_failure = \"warn\"`; its log is in the train's jobs")
                );
            }
        }
    }
    Ok(warnings)
}

/// The files of the tree that the commands changed; files that the tree does not have are build output.
fn changed(acting: &Acting<'_>, commit: &Oid, archive: &[u8]) -> Result<Edits> {
    let tree = acting.effects.git.tree(acting.train.repository(), commit)?;
    let what = "cannot read what the commands of `after` changed";
    let mut edits = Vec::new();
    for entry in tar::Archive::new(archive).entries().context(what)? {
        let mut entry = entry.context(what)?;
        let path = entry.path().context(what)?.to_string_lossy().trim_start_matches("./").to_owned();
        let Some(there) = tree.read(&path)? else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).context(what)?;
        if bytes != there {
            edits.push((path, bytes));
        }
    }
    Ok(edits)
}
