//! Writes commits byte by byte: libgit2 would tidy names that history must keep.

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Repository};
use jiff::Timestamp;

use super::tree::{DIRECTORY, SUBMODULE};
use super::{find_commit, git_error, to_oid};
use crate::error::{Error, Result};
use crate::model::{Ident, Oid, escape};

/// A point in time as git writes it: seconds since 1970 and minutes east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    pub(super) seconds: i64,
    pub(super) offset: i32,
}

impl When {
    pub(super) fn utc(at: Timestamp) -> Self {
        Self { seconds: at.as_second(), offset: 0 }
    }
}

/// A commit to be written.
pub(super) struct NewCommit<'a> {
    pub(super) tree: git2::Oid,
    pub(super) parent: git2::Oid,
    pub(super) author: (&'a Ident, When),
    pub(super) committer: (&'a Ident, When),
    pub(super) message: &'a str,
}

impl NewCommit<'_> {
    /// The object's content (git's `commit.c`).
    fn content(&self) -> Result<String> {
        if self.message.contains('\0') {
            return Err(Error::input("a commit message holds a NUL character"));
        }
        let mut out = format!("tree {}\nparent {}\n", self.tree, self.parent);
        for (role, (who, when)) in [("author", self.author), ("committer", self.committer)] {
            if format!("{}{}", who.name, who.email).contains(['<', '>', '\n', '\r', '\0']) {
                return Err(Error::input(format!("{role} `{}` cannot stand in a commit", escape(&who.to_string()))));
            }
            let sign = if when.offset < 0 { '-' } else { '+' };
            let minutes = when.offset.unsigned_abs();
            out.push_str(&format!(
                "{role} {} <{}> {} {sign}{:02}{:02}\n",
                who.name,
                who.email,
                when.seconds,
                minutes / 60,
                minutes % 60
            ));
        }
        out.push('\n');
        out.push_str(self.message);
        Ok(out)
    }

    pub(super) fn write(&self, repo: &Repository) -> Result<git2::Oid> {
        let content = self.content()?;
        repo.odb()
            .and_then(|odb| odb.write(ObjectType::Commit, content.as_bytes()))
            .map_err(|e| git_error("cannot write a commit into the private repository", e))
    }
}

/// Commits replacements of whole files on top of `parent`; a file keeps its mode, a new one is not executable.
pub(super) fn commit_edits(
    repo: &Repository,
    parent: &Oid,
    edits: &[(String, Vec<u8>)],
    message: &str,
    committer: &Ident,
    date: Timestamp,
) -> Result<Oid> {
    let parent = find_commit(repo, parent)?;
    let tree = parent.tree().map_err(|e| git_error(&format!("cannot read the tree of `{}`", parent.id()), e))?;
    let mut update = TreeUpdateBuilder::new();
    for (path, bytes) in edits {
        let mode = mode_at(&tree, path)?;
        let blob = repo.blob(bytes).map_err(|e| git_error(&format!("cannot store `{}`", escape(path)), e))?;
        update.upsert(path.as_str(), blob, mode);
    }
    let tree = update.create_updated(repo, &tree).map_err(|e| git_error("cannot write the changed tree", e))?;
    let who = (committer, When::utc(date));
    Ok(to_oid(NewCommit { tree, parent: parent.id(), author: who, committer: who, message }.write(repo)?))
}

fn mode_at(tree: &git2::Tree<'_>, path: &str) -> Result<FileMode> {
    let plain = |p: &str| !p.is_empty() && p != "." && p != ".." && !p.eq_ignore_ascii_case(".git");
    if !path.split('/').all(plain) || path.contains('\0') {
        return Err(Error::input(format!("`{}` is not a valid path in a repository", escape(path))));
    }
    match tree.get_path(std::path::Path::new(path)) {
        Ok(entry) => match entry.filemode_raw().unsigned_abs() {
            DIRECTORY | SUBMODULE => {
                Err(Error::input(format!("`{}` is a directory or a submodule, not a file", escape(path))))
            }
            0o100_755 => Ok(FileMode::BlobExecutable),
            0o120_000 => Ok(FileMode::Link),
            _ => Ok(FileMode::Blob),
        },
        Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(FileMode::Blob),
        Err(e) => Err(git_error(&format!("cannot look at `{}`", escape(path)), e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &str, offset: i32, message: &str) -> Result<String> {
        let who = Ident { name: name.into(), email: "a@example.org".into() };
        let zero = git2::Oid::from_str(&"0".repeat(40)).unwrap();
        let author = (&who, When { seconds: 1, offset });
        NewCommit { tree: zero, parent: zero, author, committer: (&who, When { seconds: 2, offset: 0 }), message }
            .content()
    }

    #[test]
    fn names_are_kept_as_they_are() {
        let text = content("A. U. Thor, Jr.", -570, "fix\n").unwrap();
        assert!(text.contains("\nauthor A. U. Thor, Jr. <a@example.org> 1 -0930\n"), "{text}");
        assert!(text.ends_with("<a@example.org> 2 +0000\n\nfix\n"), "{text}");
    }

    #[test]
    fn nothing_can_be_smuggled_into_a_header() {
        assert!(content("x\nparent 1", 0, "fix").is_err());
        assert!(content("x <y", 0, "fix").is_err());
        assert!(content("x", 0, "f\0ix").is_err());
    }
}
