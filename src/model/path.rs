//! Paths by their names alone.

use std::path::{Component, Path, PathBuf};

/// A path without `.` and `..`: no link is followed, and nothing is looked at.
#[must_use]
pub(crate) fn plain_path(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_and_here() {
        for (path, plain) in [("/src/acme/../releases", "/src/releases"), ("./a/./b", "a/b"), ("/../a", "/a")] {
            assert_eq!(plain_path(Path::new(path)), Path::new(plain));
        }
    }
}
