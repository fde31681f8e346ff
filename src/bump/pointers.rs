//! Files whose contents lie elsewhere: a tree holds pointers to them (Git LFS).

use super::tree::{SourceTree, TreeEntryKind};
use crate::error::Result;

/// How every pointer begins, and what its second line names (the Git LFS specification); it has fewer than 1,024 bytes.
const START: &[u8] = b"version https://git-lfs.";
const NAMES: &[u8] = b"\noid sha256:";
const LONGEST: usize = 1024;

fn is_pointer(bytes: &[u8]) -> bool {
    bytes.len() < LONGEST && bytes.starts_with(START) && bytes.windows(NAMES.len()).any(|w| w == NAMES)
}

/// The paths of a tree that hold pointers, sorted. Looks only where a `.gitattributes` of the tree names the filter.
///
/// # Errors
/// A tree that cannot be read.
pub fn pointers(tree: &dyn SourceTree) -> Result<Vec<String>> {
    let entries = tree.entries()?;
    let files = || entries.iter().filter(|e| e.kind == TreeEntryKind::File).map(|e| e.path.as_str());
    let attributes = |path: &&str| path.rsplit('/').next() == Some(".gitattributes");
    let mut filtered = false;
    for path in files().filter(attributes) {
        let text = tree.read(path)?.unwrap_or_default();
        filtered |= text.split(u8::is_ascii_whitespace).any(|word| word == b"filter=lfs");
    }
    if !filtered {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for path in files() {
        if tree.read(path)?.is_some_and(|bytes| is_pointer(&bytes)) {
            out.push(path.to_owned());
        }
    }
    out.sort();
    Ok(out)
}

/// What people are shown about the pointers in a tree that is archived; nothing if there are none.
pub fn pointers_note(tree: &dyn SourceTree) -> Result<Option<String>> {
    let paths = pointers(tree)?;
    let Some(first) = paths.first() else { return Ok(None) };
    let first = crate::model::escape(first);
    let files = match paths.len() {
        1 => format!("file `{first}` is"),
        n => format!("{n} files, among them `{first}`, are"),
    };
    Ok(Some(format!(
        "{files} kept in Git LFS: the source archive, and what builds from it, get the pointers, not the contents"
    )))
}

#[cfg(test)]
mod tests {
    use super::super::MemoryTree;
    use super::*;

    #[test]
    fn pointers_count_where_the_filter_is_named() {
        let mut tree = MemoryTree::default();
        let pointer =
            format!("{}example/spec/v1\noid sha256:{}\nsize 12\n", String::from_utf8_lossy(START), "0".repeat(64));
        for (path, text) in [("a/x.bin", pointer.as_str()), ("a/y.txt", "y\n"), ("long", &pointer.repeat(20))] {
            tree.files.insert(path.to_owned(), text.as_bytes().to_vec());
        }
        assert_eq!(pointers_note(&tree).unwrap(), None);
        tree.files.insert("a/.gitattributes".to_owned(), b"*.bin filter=lfs diff=lfs -text\n".to_vec());
        assert_eq!(pointers(&tree).unwrap(), ["a/x.bin"]);
        assert!(pointers_note(&tree).unwrap().unwrap().contains("file `a/x.bin` is kept in Git LFS"));
    }
}
