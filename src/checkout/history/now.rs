//! The tree that is checked out: rules learned from history must fit it too.

use std::collections::BTreeSet;

use git2::Repository;
use jiff::civil::Date;
use semver::Version;

use super::past::KeptTree;
use super::published::{Published, published};
use crate::bump::{BumpRequest, SourceTree as _, TreeEntryKind, VersionRules, bump};
use crate::error::Result;
use crate::model::{Ident, VersionStep};

/// The checked out commit; nothing is known where there is none.
pub(super) struct Now<'r> {
    pub(super) tree: Option<KeptTree<'r>>,
    /// Who committed it.
    committer: Option<Ident>,
    /// Its published crates.
    pub(super) crates: Vec<Published>,
}

impl<'r> Now<'r> {
    /// What `HEAD` has.
    pub(super) fn of(repository: &'r Repository) -> Result<Self> {
        let head = repository.head().and_then(|h| h.peel_to_commit());
        let head = head.ok();
        let committer = head.as_ref().and_then(|commit| {
            let who = commit.committer();
            format!("{} <{}>", who.name().ok()?, who.email().ok()?).parse().ok()
        });
        let tree = head.map(|commit| KeptTree::new(repository, &commit)).transpose()?;
        let crates = tree.as_ref().map(published).transpose()?.unwrap_or_default();
        Ok(Self { tree, committer, crates })
    }

    /// Who committed it, if the name and the address are valid.
    pub(super) fn committer(&self) -> Option<Ident> {
        self.committer.clone()
    }

    /// The version of the crate called `name`.
    pub(super) fn version(&self, name: &str) -> Option<&Version> {
        self.crates.iter().find(|c| c.name == name).map(|c| &c.version)
    }

    /// The project's version by these rules.
    pub(super) fn main(&self, rules: &VersionRules) -> Option<&Version> {
        match rules.family.first() {
            Some(family) => self.version(&family.of),
            None => self.crates.iter().find(|c| !rules.fixed.contains(&c.name)).map(|c| &c.version),
        }
    }

    /// Why the next release by these rules would stop here, if it would.
    pub(super) fn stops(&self, rules: &VersionRules, date: Date) -> Option<String> {
        // Between releases many projects are at the next one's pre-release, such as `1.3.0-dev`.
        let before = self.main(rules).is_some_and(|v| !v.pre.is_empty());
        let to = if before { VersionStep::Release } else { VersionStep::Patch };
        let request = BumpRequest { to, date, tags: BTreeSet::new() };
        bump(self.tree.as_ref()?, rules, &request).err().map(|e| e.message().to_owned())
    }

    /// Whether there is a file at `path`.
    pub(super) fn has(&self, path: &str) -> Result<bool> {
        let entries = self.tree.as_ref().map(KeptTree::entries).transpose()?;
        Ok(entries.is_none_or(|all| all.iter().any(|e| e.path == path && e.kind == TreeEntryKind::File)))
    }
}
