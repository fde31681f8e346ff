//! Repositories in a scratch directory, made with the real git.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jiff::Timestamp;
use lifeboat::effects::{Git as _, PrivateRepo};
use lifeboat::formats::series::{Patch, Series};
use lifeboat::git::{GitProgram, LocalGit};
use lifeboat::model::{Ident, Oid};

/// A directory with the user's repository `user` and the private one `private.git`.
pub(crate) struct Scratch {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) git: LocalGit,
    program: GitProgram,
}

impl Scratch {
    /// An ordinary repository with a branch `release-1.0` of two commits, tag `v1.0.0` on the second.
    pub(crate) fn new() -> Self {
        let s = Self::empty();
        s.git(".", &["init", "-q", "-b", "release-1.0", "user"]);
        s.write("user/src/a.txt", &(1..=20).map(|n| format!("line {n}\n")).collect::<String>());
        s.write("user/run.sh", "#!/bin/sh\n");
        s.make_executable("user/run.sh");
        s.git("user", &["add", "."]);
        s.git("user", &["commit", "-q", "-m", "first"]);
        s.write("user/b.txt", "b\n");
        s.git("user", &["add", "."]);
        s.git("user", &["commit", "-q", "-m", "second"]);
        s.git("user", &["tag", "-a", "-m", "v1.0.0", "v1.0.0"]);
        s
    }

    pub(crate) fn empty() -> Self {
        let dir = crate::support::scratch();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join(".gitconfig"), "[user]\n\tname = U Ser\n\temail = u@example.org\n").unwrap();
        let program = GitProgram::from_env()
            .with_variable("HOME", home.clone())
            .with_variable("GIT_CONFIG_GLOBAL", home.join(".gitconfig"));
        Self { dir, git: LocalGit::new(program.clone()), program }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn make_executable(&self, path: &str) {
        std::fs::set_permissions(self.path(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The private repository over the user's, made.
    pub(crate) fn private(&self) -> PrivateRepo {
        let repo = PrivateRepo { dir: self.path("private.git"), borrow: self.path("user/.git") };
        self.git.ensure(&repo).unwrap();
        repo
    }

    pub(crate) fn program(&self) -> &GitProgram {
        &self.program
    }

    /// Runs git in a directory; its output, trimmed.
    pub(crate) fn git(&self, dir: &str, args: &[&str]) -> String {
        let out = self.try_git(dir, args);
        assert!(out.status.success(), "git {args:?} in {dir}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
    }

    pub(crate) fn try_git(&self, dir: &str, args: &[&str]) -> Output {
        self.run("git", "git", dir, args)
    }

    /// Runs a program that the Debian package `package` has.
    pub(crate) fn run(&self, program: &str, package: &str, dir: &str, args: &[&str]) -> Output {
        Command::new(program)
            .args(args)
            .current_dir(self.path(dir))
            .env("HOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.path("home/.gitconfig"))
            .env("GIT_AUTHOR_DATE", "1700000000 +0100")
            .env("GIT_COMMITTER_DATE", "1700000000 +0100")
            .env("GNUPGHOME", self.path("gnupg"))
            .output()
            .unwrap_or_else(|e| panic!("cannot run `{program}` ({e}): install it with `apt install {package}`"))
    }

    pub(crate) fn head(&self, dir: &str, name: &str) -> Oid {
        self.git(dir, &["rev-parse", name]).parse().unwrap()
    }

    /// Every path below a directory with its bytes: to show that nothing was written.
    pub(crate) fn snapshot(&self, dir: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut out = Vec::new();
        let mut next = vec![self.path(dir)];
        while let Some(dir) = next.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    next.push(path);
                } else {
                    let bytes = std::fs::read(&path).unwrap_or_default();
                    out.push((path, bytes));
                }
            }
        }
        out.sort();
        out
    }
}

pub(crate) fn committer() -> Ident {
    "Release Robot <release@example.org>".parse().unwrap()
}

pub(crate) fn date() -> Timestamp {
    "2026-02-24T00:00:00Z".parse().unwrap()
}

/// A patch to `src/a.txt` of [`Scratch::new`] that changes one line.
pub(crate) fn patch(line: usize, to: &str) -> Patch {
    let n = |k: usize| format!("line {}", line - 1 + k);
    Patch {
        origin: "0001-fix.patch".into(),
        author: "A. U. Thor, Jr. <author@example.org>".parse().unwrap(),
        time: 1_690_000_000,
        offset: -330,
        message: "[1.0] Fix a hole\n\nIt was deep.\n".into(),
        diff: format!(
            "diff --git a/src/a.txt b/src/a.txt\n--- a/src/a.txt\n+++ b/src/a.txt\n@@ -{},3 +{},3 @@\n {}\n-{}\n+{to}\n {}\n",
            line - 1,
            line - 1,
            n(0),
            n(1),
            n(2)
        )
        .into_bytes(),
    }
}

pub(crate) fn series(patches: Vec<Patch>) -> Series {
    Series { format: 1, patches }
}

/// Applies one patch on the head of `release-1.0`; returns base and head.
pub(crate) fn patched(s: &Scratch, repo: &PrivateRepo) -> (Oid, Oid) {
    let base = s.head("user", "release-1.0");
    let made = s
        .git
        .apply_series(repo, &base, &series(vec![patch(5, "LINE 5")]), &committer(), date())
        .unwrap_or_else(|e| panic!("{}", e.report()));
    (base, made[0].clone())
}

pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    out.sort();
    out
}
