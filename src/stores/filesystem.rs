//! A directory of this machine, or one that is mounted here, as a store: `file:///srv/releases`.
//!
//! Public objects are plain files (`0644` in `0755` directories), for any web server. Staging is `<root>/.staging/<train>/`
//! (`0600` in `0700` directories). All goes through the [`Disk`] port: a write is a hidden sibling, synced, then linked.
//! Writers of one path, on this machine or on another that mounts the directory, keep each other out by a lock file.

mod objects;
mod probe;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StoreKind;
use crate::config::StoreConfig;
use crate::effects::{Area, Capabilities, Disk, PutNew, Store, blocking};
use crate::error::{Error, Result};
use crate::model::{Digests, Sha256, StoreName, escape};
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
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Tree) -> Result<T> + Send + 'static) -> Result<T> {
        let tree = self.tree.clone();
        blocking(move || work(&tree).map_err(|e| tree.explained(e))).await
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

    async fn check(&self) -> Result<Capabilities> {
        self.run(Tree::probe).await
    }

    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let (area, path) = (area.clone(), path.to_owned());
        self.run(move |tree| tree.get(&area, &path)).await
    }

    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        let (area, prefix) = (area.clone(), prefix.to_owned());
        self.run(move |tree| tree.list(&area, &prefix)).await
    }

    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        let (area, path, source, digests) = (area.clone(), path.to_owned(), source.to_owned(), *digests);
        self.run(move |tree| tree.put_new(&area, &path, &source, &digests)).await
    }

    async fn promote(&self, train: &str, path: &str) -> Result<PutNew> {
        let (train, path) = (train.to_owned(), path.to_owned());
        self.run(move |tree| tree.promote(&train, &path)).await
    }

    async fn replace_if(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        let (path, old, bytes) = (path.to_owned(), old.copied(), bytes.to_owned());
        self.run(move |tree| tree.replace_if(&Area::Public, &path, old.as_ref(), &bytes)).await
    }

    async fn clear_staging(&self, train: &str) -> Result<()> {
        let train = train.to_owned();
        self.run(move |tree| tree.clear_staging(&train)).await
    }
}
