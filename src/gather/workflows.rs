//! The project's own workflow files, as a forge would find them in a tree.

use std::collections::BTreeMap;

use crate::bump::SourceTree;
use crate::config::{Config, ForgeConfig};
use crate::error::Result;
use crate::git::facts::UserRepository;
use crate::model::{Oid, RemoteName};
use crate::snapshot::{Fact, WorkflowAt, WorkflowFile};

/// The head of each forge's default branch, as the configuration and the clone say.
///
/// # Errors
/// A clone whose configuration cannot be read.
pub(super) fn default_branches(config: &Config, user: &UserRepository) -> Result<BTreeMap<RemoteName, Fact<Oid>>> {
    config.forges.iter().map(|forge| Ok((forge.name.clone(), default_branch(config, forge, user)?))).collect()
}

fn default_branch(config: &Config, forge: &ForgeConfig, user: &UserRepository) -> Result<Fact<Oid>> {
    let pushed = config.remotes.iter().filter(|r| Some(&r.name) == forge.remote.as_ref()).map(|r| r.url.as_str());
    let remotes = user.remotes_of(&pushed.collect::<Vec<_>>(), &forge.repository)?;
    let configured = forge.default_branch.as_ref().map(|b| b.as_str());
    let known = configured.or_else(|| remotes.iter().find_map(|r| user.default_branch_of(r)));
    let Some(name) = known else {
        return Ok(Fact::Unknown(format!(
            "no remote of this clone is `{}` and has a `HEAD` (`git remote set-head REMOTE --auto` asks for it)",
            forge.repository
        )));
    };
    // What was fetched from there goes before a branch of the user's own.
    let own = || forge.default_branch.as_ref().and_then(|b| user.branch(b).ok()).map(|b| b.head);
    let head = remotes.iter().find_map(|r| user.fetched(r, name)).or_else(own);
    Ok(head.map_or_else(|| Fact::Unknown(format!("this clone has no branch `{name}`")), Fact::Known))
}

/// The note where a forge's default branch is not known, although it matters.
pub(super) fn unknown_default(forge: &RemoteName, why: &str) -> String {
    format!(
        "the default branch of forge `{forge}` is not known: {why}; its workflows that follow others (`workflow_run`, \
         `delete`, `status`, …) were not looked at; say `default_branch = \"…\"` in `[forge.{forge}]`"
    )
}

/// The workflow files directly below these directories.
pub(super) fn files(tree: &dyn SourceTree, dirs: &[&str], at: WorkflowAt) -> Result<Vec<WorkflowFile>> {
    let mut out = Vec::new();
    for entry in tree.entries()? {
        let directly = dirs.iter().any(|dir| {
            let name = entry.path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/'));
            name.is_some_and(|n| !n.contains('/') && (n.ends_with(".yml") || n.ends_with(".yaml")))
        });
        if directly && let Some(bytes) = tree.read(&entry.path)? {
            out.push(WorkflowFile { path: entry.path, text: String::from_utf8_lossy(&bytes).into_owned(), at });
        }
    }
    Ok(out)
}
