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

use super::StoreKind;
use crate::config::StoreConfig;
use crate::effects::{Area, Capabilities, Disk, PutNew, Store, aside, blocking};
use crate::error::{Error, Result};
use crate::model::{Digests, Sha256, Stat, StoreName, escape};
use crate::step::Exposure;

/// The kind of store that is a directory.
pub static FILESYSTEM: Filesystem = Filesystem;

/// See [`FILESYSTEM`].
#[derive(Debug, Clone, Copy)]
pub struct Filesystem;

impl StoreKind for Filesystem {
    fn scheme(&self) -> &'static str {
        "file"
    }

    fn example(&self) -> &'static str {
        "file:///srv/releases"
    }

    fn open(&self, config: &StoreConfig, disk: Arc<dyn Disk>) -> Result<Arc<dyn Store>> {
        let path = config.url.strip_prefix("file://").unwrap_or_default();
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.split('/');
        let absolute = parts.next() == Some("");
        let mut count = 0;
        let plain = parts.inspect(|_| count += 1).all(|p| !matches!(p, "" | "." | ".."));
        // A directory of such a name can still be given by a symbolic link; the root may be one.
        let ambiguous = path.contains(['%', '?', '#']) || path.chars().any(char::is_control);
        if !absolute || !plain || count == 0 || ambiguous {
            let url = escape(&config.url);
            return Err(Error::input(format!("store `{}`: `{url}` is no url of a directory", config.name)).hint(
                "valid is `file://` and an absolute path without `.` or `..` parts, `%`, `?` and `#`, as in \
                 `file:///srv/releases`",
            ));
        }
        let base = config.public_url.clone().unwrap_or_else(|| config.url.clone());
        Ok(Arc::new(FilesystemStore {
            base: base.trim_end_matches('/').to_owned(),
            tree: Tree { name: config.name.clone(), root: PathBuf::from(path), disk },
        }))
    }
}

struct FilesystemStore {
    base: String,
    tree: Tree,
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
        let seen = strangers::look(&self.base, &probe).await;
        blocking(|| self.tree.hide_probe(&probe).map_err(|e| self.tree.explained(e)))?;
        Ok(seen)
    }

    async fn index_signatures(&self) -> Result<Vec<String>> {
        self.run(Tree::index_signatures)
    }

    async fn remove_index_signature(&self, path: &str) -> Result<()> {
        self.run(|tree| tree.remove_index_signature(path))
    }

    async fn stat(&self, area: &Area, path: &str) -> Result<Option<Stat>> {
        self.run(|tree| tree.stat(area, path))
    }

    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.run(|tree| tree.get(area, path))
    }

    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        self.run(|tree| tree.list(area, prefix))
    }

    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        self.run(|tree| tree.put_new(area, path, source, digests))
    }

    async fn promote(&self, train: &str, path: &str) -> Result<PutNew> {
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
