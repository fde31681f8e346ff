//! A directory of this machine, or one that is mounted here, as a store: `file:///srv/releases`.
//!
//! Public objects are plain files (`0644` in `0755` directories), for any web server. Staging is `<root>/.staging/<train>/`
//! (`0600` in `0700` directories). All goes through the [`Disk`] port: a write is a hidden sibling, synced, then linked.
//! Writers of one path, on this machine or on another that mounts the directory, keep each other out by a lock file.

mod areas;
mod holds;
mod objects;
mod probe;
mod signatures;
mod stat;
mod strangers;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapter::{Adapter, Around, Settings, Spec, StoreFacts, StoreTable};
use crate::effects::{Area, Capabilities, Disk, PutNew, Store, Transfers, aside, blocking};
use crate::error::{Error, Result};
use crate::model::{Digests, Sha256, Stat, StoreName, TransferLimits, plain_path};
use crate::step::Exposure;
use crate::stores::server::paced;
use crate::stores::strangers::look;
use crate::table::{Fault, Faults, NO_KEYS, Table};

/// The kind of store that is a directory.
pub(super) const ADAPTER: Adapter<dyn Store> = Adapter {
    kind: "file",
    about: "a directory of this machine, or one that is mounted here",
    example: "file:///srv/releases",
    keys: NO_KEYS,
    programs: &[],
    facts: StoreFacts { takes_paths: true },
    parse,
};

/// A checked table.
#[derive(Debug)]
struct Directory {
    name: StoreName,
    root: PathBuf,
    url: String,
    public_url: Option<String>,
    transfers: TransferLimits,
}

fn parse(common: &StoreTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Store>> {
    let text = common.url.get_ref();
    let (url, root) = match text.split_once("://") {
        None => {
            let root = plain_path(&table.base().join(text));
            (format!("file://{}", root.display()), (!is_ambiguous(text)).then_some(root))
        }
        Some((_, path)) if !path.starts_with('/') => {
            let message = "a `file://` address needs an absolute path";
            let fault = Fault::new(common.url.span(), message, "write `file:///srv/releases`");
            faults.add(fault.help("a path alone, such as `../releases`, is relative to this file"));
            return None;
        }
        Some(_) => (text.clone(), root_of(text)),
    };
    table.has_no_more(faults);
    let Some(root) = root else {
        let message = "this is not the address of a directory";
        let label = "expected `file://` and an absolute path without `.` or `..` parts, `%`, `?` and `#`, as in `file:///srv/releases`";
        faults.add(Fault::new(common.url.span(), message, label));
        return None;
    };
    let (name, public_url, transfers) = (common.name.clone(), common.public_url.clone(), common.transfers);
    Some(Arc::new(Directory { name, root, url, public_url, transfers }))
}

/// The directory of a `file:` address: absolute, and of a name that means itself.
fn root_of(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("file://")?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let plain = path.strip_prefix('/')?.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (plain && !is_ambiguous(path)).then(|| PathBuf::from(path))
}

/// Whether a path could mean another one in an address. A directory of such a name can still be given by a symbolic link.
fn is_ambiguous(path: &str) -> bool {
    path.contains(['%', '?', '#']) || path.chars().any(char::is_control)
}

impl Settings<dyn Store> for Directory {
    fn place(&self) -> String {
        self.url.clone()
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.root.clone()]
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Store>> {
        let base = self.public_url.as_ref().unwrap_or(&self.url).trim_end_matches('/').to_owned();
        let tree = Tree { name: self.name.clone(), root: self.root.clone(), disk: around.disk.clone() };
        Ok(Arc::new(FilesystemStore { base, tree, transfers: Transfers::new(self.transfers, &around.clock) }))
    }
}

/// A directory of this machine as a store, without a configuration.
#[must_use]
pub fn directory(name: StoreName, root: &Path, disk: Arc<dyn Disk>) -> Arc<dyn Store> {
    let base = format!("file://{}", root.display());
    let tree = Tree { name, root: root.to_owned(), disk };
    Arc::new(FilesystemStore { base, tree, transfers: Transfers::usual() })
}

struct FilesystemStore {
    base: String,
    tree: Tree,
    transfers: Arc<Transfers>,
}

/// The directory behind a store, and the port to it.
#[derive(Clone)]
struct Tree {
    name: StoreName,
    root: PathBuf,
    disk: Arc<dyn Disk>,
}

impl FilesystemStore {
    /// Runs blocking work on the directory; its errors say which store it was.
    fn run<T>(&self, work: impl FnOnce(&Tree) -> Result<T>) -> Result<T> {
        blocking(|| work(&self.tree).map_err(|e| self.tree.explained(e)))
    }
}

#[async_trait::async_trait]
impl Store for FilesystemStore {
    fn name(&self) -> &StoreName {
        &self.tree.name
    }

    fn staging_exposure(&self) -> Exposure {
        Exposure::Private
    }

    fn transfers(&self) -> Arc<Transfers> {
        self.transfers.clone()
    }

    fn public_url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    async fn probe(&self) -> Result<()> {
        let tree = self.tree.clone();
        let answer = aside(move || tree.is_there().map_err(|e| tree.explained(e))).await;
        answer.unwrap_or_else(|| Err(Error::fatal(format!("the probe of store `{}` ended early", self.tree.name))))
    }

    async fn check(&self) -> Result<Capabilities> {
        self.run(Tree::probe)
    }

    async fn seen_by_strangers(&self) -> Result<Option<String>> {
        if !self.base.starts_with("http") {
            return Ok(None);
        }
        let probe = blocking(|| self.tree.show_probe().map_err(|e| self.tree.explained(e)))?;
        let seen = look(&self.base, &probe).await;
        blocking(|| self.tree.hide_probe(&probe).map_err(|e| self.tree.explained(e)))?;
        Ok(seen)
    }

    async fn digest_signatures(&self) -> Result<Vec<String>> {
        self.run(Tree::digest_signatures)
    }

    async fn remove_digest_signature(&self, path: &str) -> Result<()> {
        self.run(|tree| tree.remove_digest_signature(path))
    }

    async fn stat(&self, area: &Area, path: &str) -> Result<Option<Stat>> {
        self.run(|tree| tree.stat(area, path))
    }

    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let opened = self.run(|tree| tree.get(area, path))?;
        Ok(opened.map(|bytes| paced(bytes, &self.transfers)))
    }

    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        self.run(|tree| tree.list(area, prefix))
    }

    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        // A directory takes a file as a whole: what comes next waits for it.
        if self.run(|tree| tree.stat(area, path))?.is_none() {
            self.transfers.flow().admit(digests.size).await;
        }
        self.run(|tree| tree.put_new(area, path, source, digests))
    }

    async fn promote(&self, train: &str, path: &str, _digests: &Digests) -> Result<PutNew> {
        self.run(|tree| tree.promote(train, path))
    }

    async fn replace_if(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        self.run(|tree| tree.replace_if(&Area::Public, path, old, bytes))
    }

    async fn staged(&self) -> Result<Vec<String>> {
        self.run(Tree::staged)
    }

    async fn clear_staging(&self, train: &str) -> Result<()> {
        self.run(|tree| tree.clear_staging(train))
    }

    async fn hold(&self, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>> {
        self.run(|tree| tree.hold(what, holder))
    }

    async fn release(&self, what: &str, holder: &[u8]) -> Result<()> {
        self.run(|tree| tree.release(what, holder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_urls_are_absolute_and_plain() {
        for bad in ["file://", "file:///", "file:srv", "file://srv/x", "file:///a/../b", "file:///a%20b", "file:///a?b"]
        {
            assert_eq!(root_of(bad), None, "{bad}");
        }
        assert_eq!(root_of("file:///srv/releases/"), Some("/srv/releases".into()));
    }
}
