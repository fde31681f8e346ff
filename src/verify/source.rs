//! Where the bytes of a release are read from; nothing that is read is believed.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::bounds::too_long;
use super::web::Web;
use crate::effects::{Disk, PathKind, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Hashed, hash_reader};
use crate::model::escape;

/// A local directory or a web address, and what was read there: each small file is read once, so that what was checked is
/// what is used.
#[derive(Clone)]
pub struct Source {
    at: Place,
    read: Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>,
}

#[derive(Clone)]
enum Place {
    /// A directory; symbolic links in it are not followed.
    Directory {
        /// This machine's files.
        disk: Arc<dyn Disk>,
        /// The directory.
        root: PathBuf,
    },
    /// A base address, from whose origin no redirect leads away.
    Web(Web),
}

impl Source {
    /// Reads `https://…`, `http://…`, `file:///…` or a path.
    ///
    /// # Errors
    /// Another scheme; an address with credentials, query or fragment; a directory that is not there.
    pub fn new(location: &str, disk: Arc<dyn Disk>) -> Result<Self> {
        Ok(Self { at: Place::new(location, disk)?, read: Arc::default() })
    }

    /// Whether it is a directory of this machine.
    #[must_use]
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.at, Place::Directory { .. })
    }

    /// Whether one release lies there by itself, rather than a store.
    pub(crate) async fn is_one_release(&self) -> bool {
        let has = async |path| matches!(self.read(path, super::release::DOCUMENT).await, Ok(Some(_)));
        !has(crate::formats::layout::INDEX).await && has(crate::formats::manifest::FILE).await
    }

    /// Where it is, the same for every way of writing it: the base address, or the absolute path.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.at {
            Place::Web(web) => web.place(),
            Place::Directory { root, .. } => {
                let whole = std::path::absolute(root).unwrap_or_else(|_| root.clone());
                whole.components().collect::<PathBuf>().display().to_string()
            }
        }
    }

    fn known(&self) -> parking_lot::MutexGuard<'_, BTreeMap<String, Option<Vec<u8>>>> {
        self.read.lock()
    }

    /// The bytes of a small file, or `None` if it is absent.
    ///
    /// # Errors
    /// A file longer than `limit`, a link, a source that cannot be reached.
    pub(crate) async fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        plain(path)?;
        let known = self.known().get(path).cloned();
        match known {
            Some(Some(bytes)) if bytes.len() as u64 > limit => return Err(too_long(path, limit)),
            Some(known) => return Ok(known),
            None => {}
        }
        let found = match &self.at {
            Place::Web(web) => web.read(path, limit).await?,
            Place::Directory { disk, root } => {
                let full = root.join(path);
                let what = format!("cannot read `{}`", full.display());
                if is_file(&**disk, root, path, limit)? {
                    match disk.read(&full).context(&what)? {
                        Some(bytes) if bytes.len() as u64 > limit => return Err(too_long(path, limit)),
                        other => other,
                    }
                } else {
                    None
                }
            }
        };
        self.known().insert(path.to_owned(), found.clone());
        Ok(found)
    }

    /// How long a file is, without reading it: `None` if it is absent, and in it if nobody says.
    ///
    /// # Errors
    /// A link, a source that cannot be reached.
    pub(super) async fn size(&self, path: &str) -> Result<Option<Option<u64>>> {
        plain(path)?;
        match &self.at {
            Place::Web(web) => web.size(path).await,
            Place::Directory { disk, root } => {
                if !is_file(&**disk, root, path, u64::MAX)? {
                    return Ok(None);
                }
                let entry = disk.entry(&root.join(path)).context(format!("cannot look at `{path}`"))?;
                Ok(entry.map(|entry| Some(entry.size)))
            }
        }
    }

    /// The same place, of which nothing was read yet.
    pub(crate) fn anew(&self) -> Self {
        Self { at: self.at.clone(), read: Arc::default() }
    }

    /// Forgets a file, so that it is read again.
    pub(super) fn forget(&self, path: &str) {
        self.known().remove(path);
    }

    /// The small files that were read and found below a directory, by their paths below it.
    #[must_use]
    pub(crate) fn read_below(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let below =
            |(path, bytes): (&String, &Option<Vec<u8>>)| Some((path.strip_prefix(&prefix)?.to_owned(), bytes.clone()?));
        self.known().iter().filter_map(below).collect()
    }

    /// The digests of a file, or `None` if it is absent; its bytes go to `out` as they come.
    ///
    /// # Errors
    /// A file longer than `limit`, a link, a source that cannot be reached; the writer's.
    pub(crate) async fn hash(&self, path: &str, limit: u64, out: &mut (dyn Write + Send)) -> Result<Option<Hashed>> {
        plain(path)?;
        match &self.at {
            Place::Web(web) => web.hash(path, limit, out).await,
            Place::Directory { disk, root } => {
                if !is_file(&**disk, root, path, limit)? {
                    return Ok(None);
                }
                hash_file(&**disk, &root.join(path), path, limit, out)
            }
        }
    }

    /// The names in a directory with a `/` after those of directories, or `None` where a source cannot list them.
    pub(super) fn list(&self, path: &str) -> Result<Option<Vec<String>>> {
        match &self.at {
            Place::Web(_) => Ok(None),
            Place::Directory { disk, root } => {
                let full = if path.is_empty() { root.clone() } else { root.join(path) };
                let entries = disk.list(&full).context(format!("cannot list `{}`", full.display()))?;
                let name = |e: crate::effects::DirEntry| match e.kind {
                    PathKind::Dir => format!("{}/", e.name),
                    PathKind::File | PathKind::Symlink | PathKind::Other => e.name,
                };
                Ok(Some(entries.into_iter().map(name).collect()))
            }
        }
    }
}

/// The digests of a file of this machine, or `None` if it is absent; its bytes go to `out`.
///
/// # Errors
/// A file longer than `limit`; the file system's, the writer's.
pub(super) fn hash_file(
    disk: &dyn Disk,
    full: &std::path::Path,
    name: &str,
    limit: u64,
    out: &mut (dyn Write + Send),
) -> Result<Option<Hashed>> {
    blocking(|| {
        let what = format!("cannot read `{}`", full.display());
        let Some(mut file) = disk.open(full).context(&what)? else { return Ok(None) };
        let hashed = hash_reader(&mut Tee { from: &mut *file, to: out }, limit).context(&what)?;
        hashed.map(Some).ok_or_else(|| too_long(name, limit))
    })
}

/// Writes what is read.
struct Tee<'a> {
    from: &'a mut (dyn Read + Send),
    to: &'a mut (dyn Write + Send),
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.to.write_all(&buffer[..n])?;
        Ok(n)
    }
}

impl Place {
    fn new(location: &str, disk: Arc<dyn Disk>) -> Result<Self> {
        if location.starts_with("https://") || location.starts_with("http://") {
            return Ok(Self::Web(Web::new(location)?));
        }
        let path = match location.strip_prefix("file://") {
            Some(path) if path.starts_with('/') && !path.contains('%') => path,
            None if !location.contains("://") => location,
            _ => {
                return Err(Error::input(format!("`{}` is not a place to verify", escape(location)))
                    .hint("expected a directory, `file:///…`, `https://…` or `http://…`"));
            }
        };
        let root = PathBuf::from(path);
        let found = disk.entry(&root).context(format!("cannot look at `{}`", escape(path)))?;
        match found.map(|e| e.kind) {
            // A link may lead to a directory; only what lies in the tree must not be one.
            Some(PathKind::Dir | PathKind::Symlink) => Ok(Self::Directory { disk, root }),
            Some(_) => Err(Error::input(format!("`{}` is not a directory", escape(path)))),
            None => Err(Error::input(format!("no such directory: `{}`", escape(path)))
                .hint("a store's base is the directory that holds `releases/`; is it mounted?")),
        }
    }
}

/// Whether a plain file is there. Every directory on the way must be one, not a link out of the tree.
fn is_file(disk: &dyn Disk, root: &std::path::Path, path: &str, limit: u64) -> Result<bool> {
    let mut at = root.to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    for (n, part) in parts.iter().enumerate() {
        at.push(part);
        let Some(entry) = disk.entry(&at).context(format!("cannot look at `{}`", at.display()))? else {
            return Ok(false);
        };
        let last = n + 1 == parts.len();
        match entry.kind {
            PathKind::Dir if !last => {}
            PathKind::File if last && entry.size > limit => return Err(too_long(path, limit)),
            PathKind::File if last => {}
            _ => return Err(Error::verification(format!("`{}` is not a plain file", at.display()))),
        }
    }
    Ok(true)
}

/// Admits relative paths of plain names only; everything that is read is named by this program, this is the second lock.
fn plain(path: &str) -> Result<()> {
    let part = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_alphanumeric())
            && p.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~'))
            && !p.contains("..")
    };
    if path.split('/').all(part) {
        Ok(())
    } else {
        Err(Error::verification(format!("`{}` is not a plain relative path", escape(path))))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_plain_relative_paths() {
        for bad in
            ["", "/etc/passwd", "a/../b", "../a", "a//b", ".git/config", "a b", "a%2fb", "a?b", "a#b", "C:x", "a\\b"]
        {
            assert!(super::plain(bad).is_err(), "{bad:?}");
        }
        for good in ["releases/1.2.3-rc.1+x/manifest.json", "approvals/alice.json.asc", "a~1"] {
            assert!(super::plain(good).is_ok(), "{good:?}");
        }
    }
}
