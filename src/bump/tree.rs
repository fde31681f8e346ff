//! A source tree as the bump reads it.

use crate::error::Result;

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Relative to the root, parts joined by `/`.
    pub path: String,
    /// Git's mode, such as `0o100644`, `0o120000` (symlink) or `0o160000` (submodule).
    pub mode: u32,
}

/// A source tree, in git or in a directory.
pub trait SourceTree {
    /// All its files, sorted by path.
    ///
    /// # Errors
    /// The underlying store's.
    fn files(&self) -> Result<Vec<TreeFile>>;

    /// A file's bytes, or `None` if there is none.
    ///
    /// # Errors
    /// The underlying store's.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;
}
