//! The project's own commands after a bump (`after` in `[version]`), and Cargo's word on the locks that the bump rewrote: a
//! job like any other, without network.
//!
//! A command may change files of the tree, such as regenerated ones: they join the bump commit. What it changed is pinned as
//! objects, so that everybody who makes the commit again makes the same one, and approvers are shown the paths. A command
//! that adds or removes files, or changes what they are, is refused: approvers would be shown no text to compare it with.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::{Acting, job};
use crate::bump::{Hook, LockCheck, LockFit, OnFailure};
use crate::effects::{ArchiveSpec, Objects, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::canonical;
use crate::model::{ArtifactName, Oid, Sha256};
use crate::step::{ArtifactPath, Isolation, Job, JobInput, Prepare};

/// Seconds that all commands of a line may take together.
const TIMEOUT_S: u64 = 3600;

/// How a warning begins that names nothing wrong, only what was not looked at.
pub const NOTE: &str = "note: ";

/// Where the job leaves what the commands changed, and which of them failed: a number each; `lock` and a number for a lock
/// that Cargo does not find fitting, with what it said in lines that begin with two blanks.
const CHANGED: &str = "lifeboat-after-changed.tar";
const FAILED: &str = "lifeboat-after-failed.txt";
/// Every path before (`b`) and after (`a`) the commands with its type and mode, and the paths that git would add (`g`); each
/// ends with a NUL.
const LISTED: &str = "lifeboat-after-listed.txt";

/// Variables with which cargo finds its own directories.
const PASS_ENV: [&str; 4] = ["PATH", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// Whole files that replace those of a tree, by path.
pub(in crate::engine) type Edits = Vec<(String, Vec<u8>)>;

/// Edits as they are pinned: the bytes are objects.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Pinned(BTreeMap<String, Sha256>);

/// What is run on a bumped tree.
pub(super) struct Asked<'a> {
    pub(super) hooks: &'a [Hook],
    pub(super) checks: &'a [LockCheck],
}

impl Asked<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.hooks.is_empty() && self.checks.is_empty()
    }
}

/// What running the commands made.
pub(super) struct Ran {
    pub(super) edits: Edits,
    /// The pinned edits, an object; none if nothing changed.
    pub(super) pinned: Option<Sha256>,
    pub(super) warnings: Vec<String>,
}

/// Runs the commands on the tree of `commit`.
pub(super) async fn run(acting: &Acting<'_>, step: &Prepare, asked: &Asked<'_>, commit: &Oid) -> Result<Ran> {
    let (git, objects) = (&acting.effects.git, acting.train.objects());
    let spec = ArchiveSpec { commit, prefix: "tree", submodules: &[], date: step.date };
    let tree = blocking(|| objects.put_written(|out| git.archive(acting.train.repository(), &spec, out)))?;
    let inputs = vec![JobInput::SourceArchive(tree.sha256)];
    let done = job::run(acting, &commands(asked)?, inputs).await?;
    let artifact = |name: &str| {
        let found = done.artifacts.iter().find(|a| a.name.as_str() == name);
        let found = found.ok_or_else(|| Error::fatal(format!("the commands of `after` left no `{name}`")))?;
        objects.get(&found.digests.sha256)
    };
    let warnings = failures(step, asked, &artifact(FAILED)?)?;
    only_text(step, &artifact(LISTED)?)?;
    let edits = changed(acting, commit, &artifact(CHANGED)?, &artifact(LISTED)?)?;
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
    pinned_paths(objects, id)?.into_iter().map(|(path, id)| Ok((path, objects.get(&id)?))).collect()
}

/// The files that pinned edits change, each with the object that has its bytes.
pub(in crate::engine) fn pinned_paths(objects: &Objects, id: Option<&Sha256>) -> Result<BTreeMap<String, Sha256>> {
    let Some(id) = id else { return Ok(BTreeMap::new()) };
    let Pinned(paths) =
        serde_json::from_slice(&objects.get(id)?).context("cannot read the pinned changes of `after`")?;
    Ok(paths)
}

/// The command lines travel as variables, so that no quoting can change them.
fn commands(asked: &Asked<'_>) -> Result<Job> {
    let list = |mark: char| {
        let all = "find . -mindepth 1 -path ./lifeboat-after -prune -o ! -type d -printf";
        format!("{all} '{mark}%y %m %P\\0' >> lifeboat-after/{LISTED}")
    };
    let mut run = vec![
        format!("mkdir lifeboat-after; echo ran > lifeboat-after/{FAILED}"),
        list('b'),
        "touch \"$TMPDIR/before\"; sleep 0.02".to_owned(),
    ];
    let mut env = BTreeMap::new();
    for (i, hook) in asked.hooks.iter().enumerate() {
        env.insert(format!("LIFEBOAT_AFTER_{i}"), hook.run.clone());
        run.push(format!("sh -c \"$LIFEBOAT_AFTER_{i}\" || echo {i} >> lifeboat-after/{FAILED}"));
    }
    run.push(list('a'));
    // An empty repository knows no file of the tree: to it, all that is not ignored is new.
    run.push(format!(
        "export GIT_DIR=\"$TMPDIR/git\" GIT_WORK_TREE=\"$PWD\"; git init -q && git ls-files -o -z --exclude-standard \
         | sed -z 's/^/g- - /' >> lifeboat-after/{LISTED}"
    ));
    run.push(format!(
        "find . -type f -newer \"$TMPDIR/before\" ! -path './lifeboat-after/*' ! -path './target/*' -print0 \
         | LC_ALL=C sort -z | tar --null --no-recursion -cf lifeboat-after/{CHANGED} -T -"
    ));
    // Last, so that what Cargo may leave is not a change of the commands.
    for (i, check) in asked.checks.iter().enumerate() {
        env.insert(format!("LIFEBOAT_LOCK_{i}"), check.command.clone());
        run.push(format!(
            "said=$(sh -c \"$LIFEBOAT_LOCK_{i}\" 2>&1) || {{ echo 'lock {i}'; printf '%s\\n' \"$said\" | sed 's/^/  /'; }} \
             >> lifeboat-after/{FAILED}"
        ));
    }
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
        artifacts: vec![left(CHANGED)?, left(FAILED)?, left(LISTED)?],
        inputs: Vec::new(),
    })
}

/// The warnings of the commands that may fail, and of locks that could not be checked; a command that may not, and a lock that
/// Cargo would change, stop the train.
fn failures(step: &Prepare, asked: &Asked<'_>, list: &[u8]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let list = String::from_utf8_lossy(list);
    for hook in list.lines().filter_map(|l| asked.hooks.get(l.parse::<usize>().ok()?)) {
        let said = format!("line `{}`: `{}` of `after` failed", step.branch, crate::model::escape(&hook.run));
        match hook.on_failure {
            OnFailure::Warn => warnings.push(said),
            OnFailure::Stop => {
                return Err(
                    Error::fatal(said).hint("fix it, or set `on_failure = \"warn\"`; its log is in the train's jobs")
                );
            }
        }
    }
    for (i, check) in asked.checks.iter().enumerate() {
        let mut lines = list.lines().skip_while(|l| *l != format!("lock {i}"));
        let failed = lines.next().is_some();
        let said: Vec<&str> = lines.map_while(|l| l.strip_prefix("  ")).collect();
        let what = format!("line `{}`: `{}`", step.branch, crate::model::escape(&check.path));
        match LockFit::of(!failed, &said.join("\n")) {
            LockFit::Fits => {}
            LockFit::Stale => {
                return Err(Error::fatal(format!("{what} does not fit the bumped manifests, says Cargo"))
                    .detail(said.join("\n"))
                    .hint(
                        "run `cargo update --workspace` on the branch and ship that commit as a patch of the series",
                    ));
            }
            LockFit::Refused => {
                return Err(Error::fatal(format!("line `{}`: Cargo cannot take the bumped tree", step.branch))
                    .detail(said.join("\n"))
                    .hint("make `cargo metadata` work on the branch, and ship that commit as a patch of the series"));
            }
            LockFit::Unknown => {
                let said = said.join("\n");
                let why = crate::model::escape(LockFit::reason(&said));
                warnings.push(format!(
                    "{NOTE}{what} was not checked by Cargo: {why} (nothing wrong was found; `cargo fetch --locked` on the \
                     branch, ahead, lets Cargo check it)"
                ));
            }
        }
    }
    Ok(warnings)
}

/// Refuses commands that did more than change the text of files, by the list that the job made.
fn only_text(step: &Prepare, listed: &[u8]) -> Result<()> {
    let Some((what, path)) = gone_or_new(listed) else { return Ok(()) };
    let path = crate::model::escape(&String::from_utf8_lossy(&path));
    Err(Error::fatal(format!("line `{}`: a command of `after` {what} `{path}`", step.branch)).hint(
        "in a train a command may change the text of files only: make that commit ahead, as a patch of the series, or let \
         `.gitignore` name build output",
    ))
}

/// What is at each path: its kind, and whether it is an executable file.
type Modes<'a> = BTreeMap<&'a [u8], (&'a [u8], bool)>;

/// The first path at which more than the text of a file changed, and how.
fn gone_or_new(listed: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    // Names of files are bytes: one in an old encoding is not a fault of the tree.
    let mut seen: [Modes<'_>; 3] = Default::default();
    for record in listed.split(|c| *c == 0) {
        let (mark, rest) = record.split_at_checked(1).unwrap_or_default();
        let mut fields = rest.splitn(3, |c| *c == b' ');
        if let (Some(kind), Some(mode), Some(path)) = (fields.next(), fields.next(), fields.next())
            && let Some(list) = [b"b", b"a", b"g"].iter().position(|m| *m == mark)
        {
            let mode = std::str::from_utf8(mode).ok().and_then(|m| u32::from_str_radix(m, 8).ok());
            let executable = mode.is_some_and(|m| m & 0o100 != 0);
            seen[list].insert(path, (kind, executable && kind == b"f"));
        }
    }
    let [before, after, kept] = seen;
    let changed = before.iter().find_map(|(path, was)| match after.get(path) {
        None => Some(("removed", *path)),
        Some(is) if is.0 != was.0 => Some(("replaced by something else", *path)),
        Some(is) if is.1 != was.1 => Some(("changed the mode of", *path)),
        Some(_) => None,
    });
    // What Cargo and others mark as a cache is build output, whatever `.gitignore` says.
    let caches: Vec<&[u8]> = after.keys().filter_map(|p| p.strip_suffix(b"CACHEDIR.TAG")).collect();
    let output = |p: &[u8]| !kept.contains_key(p) || caches.iter().any(|dir| !dir.is_empty() && p.starts_with(dir));
    let added = || after.keys().find(|p| !before.contains_key(*p) && !output(p)).map(|p| ("added", *p));
    changed.or_else(added).map(|(what, path)| (what, path.to_vec()))
}

/// The files of the tree that the commands changed; files that the tree does not have are build output.
fn changed(acting: &Acting<'_>, commit: &Oid, archive: &[u8], listed: &[u8]) -> Result<Edits> {
    let tree = acting.effects.git.tree(acting.train.repository(), commit)?;
    let what = "cannot read what the commands of `after` changed";
    let mut edits = Vec::new();
    for entry in tar::Archive::new(archive).entries().context(what)? {
        let mut entry = entry.context(what)?;
        let name = entry.path_bytes().into_owned();
        let name = name.strip_prefix(b"./").unwrap_or(&name).to_vec();
        let Ok(path) = String::from_utf8(name) else {
            let name = entry.path_bytes();
            let name = name.strip_prefix(b"./").unwrap_or(&name);
            if !was_there(listed, name) {
                continue;
            }
            let name = crate::model::escape(&String::from_utf8_lossy(name));
            return Err(Error::fatal(format!("a command of `after` wrote `{name}`, whose name is not UTF-8"))
                .hint("make that commit ahead, as a patch of the series"));
        };
        let Some(there) = tree.read(&path)? else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).context(what)?;
        if bytes != there {
            edits.push((path, bytes));
        }
    }
    Ok(edits)
}

/// Whether a path was there before the commands ran, by the list that the job made.
fn was_there(listed: &[u8], path: &[u8]) -> bool {
    listed
        .split(|c| *c == 0)
        .any(|record| record.starts_with(b"b") && record.splitn(3, |c| *c == b' ').nth(2) == Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf_8_are_listed_like_others() {
        let listed = b"bf 644 latin-\xe9.txt\0bf 644 b.txt\0af 644 latin-\xe9.txt\0";
        assert!(was_there(listed, b"latin-\xe9.txt") && !was_there(listed, b"other"));
        assert!(gone_or_new(listed).is_some_and(|(what, path)| what == "removed" && path == b"b.txt"));
        assert_eq!(gone_or_new(b"bf 644 latin-\xe9.txt\0af 600 latin-\xe9.txt\0"), None);
    }
}
