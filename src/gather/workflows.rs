//! The project's own workflow files, as a forge would find them in a tree.

use crate::bump::SourceTree;
use crate::error::Result;
use crate::git::facts::UserRepository;
use crate::model::{BranchName, Oid};
use crate::snapshot::{WorkflowAt, WorkflowFile};

/// The names that a default branch usually has, most usual first.
const DEFAULT_BRANCHES: &[&str] = &["main", "master", "trunk", "develop"];

/// The head of the repository's default branch, as far as a clone tells.
pub(super) fn default_branch(user: &UserRepository) -> Option<Oid> {
    DEFAULT_BRANCHES.iter().find_map(|name| user.branch(&BranchName::new(*name).ok()?).ok()).map(|b| b.head)
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
