//! Where the bytes of a release are read from; nothing that is read is believed.

use std::path::PathBuf;
use std::sync::Arc;

use super::bounds::too_long;
use super::web::Web;
use crate::effects::{Disk, EntryKind, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Hashed, hash_reader};
use crate::model::escape;

/// A local directory or a web address.
#[derive(Clone)]
pub enum Source {
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
        if location.starts_with("https://") || location.starts_with("http://") {
            return Ok(Self::Web(Web::new(location)?));
        }
        let path = match location.strip_prefix("file://") {
            Some(path) if path.starts_with('/') && !path.contains('%') => path,
            None if !location.contains("://") => location,
            _ => {
                return Err(Error::input(format!("`{}` is no place to verify", escape(location)))
                    .hint("valid is a directory, `file:///…`, `https://…` or `http://…`"));
            }
        };
        let root = PathBuf::from(path);
        let found = disk.entry(&root).context(format!("cannot look at `{}`", escape(path)))?;
        match found.map(|e| e.kind) {
            // A link may lead to a directory; only what lies in the tree must not be one.
            Some(EntryKind::Dir | EntryKind::Symlink) => Ok(Self::Directory { disk, root }),
            Some(_) => Err(Error::input(format!("`{}` is not a directory", escape(path)))),
            None => Err(Error::input(format!("no such directory: `{}`", escape(path)))
                .hint("a store's base is the directory that holds `releases/`; is it mounted?")),
        }
    }

    /// Where it is, the same for every way of writing it: the base address, or the absolute path.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Web(web) => web.place(),
            Self::Directory { root, .. } => {
                let whole = std::path::absolute(root).unwrap_or_else(|_| root.clone());
                whole.components().collect::<PathBuf>().display().to_string()
            }
        }
    }

    /// The bytes of a small file, or `None` if it is absent.
    ///
    /// # Errors
    /// A file longer than `limit`, a link, a source that cannot be reached.
    pub(super) async fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        plain(path)?;
        match self {
            Self::Web(web) => web.read(path, limit).await,
            Self::Directory { disk, root } => {
                let full = root.join(path);
                let what = format!("cannot read `{}`", full.display());
                if !is_file(&**disk, root, path, limit)? {
                    return Ok(None);
                }
                let bytes = disk.read(&full).context(&what)?;
                match bytes {
                    Some(bytes) if bytes.len() as u64 > limit => Err(too_long(path, limit)),
                    other => Ok(other),
                }
            }
        }
    }

    /// The digests of a file, or `None` if it is absent.
    ///
    /// # Errors
    /// A file longer than `limit`, a link, a source that cannot be reached.
    pub(super) async fn hash(&self, path: &str, limit: u64) -> Result<Option<Hashed>> {
        plain(path)?;
        match self {
            Self::Web(web) => web.hash(path, limit).await,
            Self::Directory { disk, root } => {
                if !is_file(&**disk, root, path, limit)? {
                    return Ok(None);
                }
                let full = root.join(path);
                blocking(|| {
                    let what = format!("cannot read `{}`", full.display());
                    let Some(mut file) = disk.open(&full).context(&what)? else { return Ok(None) };
                    hash_reader(&mut *file, limit).context(&what)?.map(Some).ok_or_else(|| too_long(path, limit))
                })
            }
        }
    }

    /// The names in a directory with a `/` after those of directories, or `None` where a source cannot tell.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn list(&self, path: &str) -> Result<Option<Vec<String>>> {
        match self {
            Self::Web(_) => Ok(None),
            Self::Directory { disk, root } => {
                let full = if path.is_empty() { root.clone() } else { root.join(path) };
                let entries = disk.list(&full).context(format!("cannot list `{}`", full.display()))?;
                let name = |e: crate::effects::Entry| match e.kind {
                    EntryKind::Dir => format!("{}/", e.name),
                    EntryKind::File | EntryKind::Symlink | EntryKind::Other => e.name,
                };
                Ok(Some(entries.into_iter().map(name).collect()))
            }
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
            EntryKind::Dir if !last => {}
            EntryKind::File if last && entry.size > limit => return Err(too_long(path, limit)),
            EntryKind::File if last => {}
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
