//! What git says of a checkout, asked of the user's own git: so every form of repository that git reads is read (split and
//! sparse indexes, reftable, partial clones, linked work trees), and the user's configuration counts as for git itself.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::bump::{TreeEntry, TreeEntryKind};
use crate::error::{Context as _, Error, Result};
use crate::git::{Configuration, GitOutput, GitProgram, is_git_dir};

/// The clone around a checkout.
pub(super) struct GitCheckout {
    program: GitProgram,
    top: PathBuf,
    /// The git directory of this work tree.
    pub(super) git_dir: PathBuf,
    /// The one with the objects and refs, which linked work trees share.
    pub(super) common: PathBuf,
    listed: OnceCell<IndexListing>,
}

/// What the index has.
#[derive(Debug, Default)]
pub(super) struct IndexListing {
    pub(super) entries: Vec<TreeEntry>,
    /// Files outside the sparse checkout, with their blobs.
    pub(super) sparse: BTreeMap<String, String>,
}

impl GitCheckout {
    /// The clone whose work tree holds `dir`; nothing where there is none.
    pub(super) fn around(dir: &Path) -> Result<Option<Self>> {
        let at = dir.canonicalize().context(dir.display())?;
        // Without any, git need not even be there.
        if !at.ancestors().any(|a| a.join(".git").symlink_metadata().is_ok() || is_git_dir(a)) {
            return Ok(None);
        }
        let program = GitProgram::from_env();
        program.check()?;
        let ask = ["rev-parse", "--is-bare-repository", "--path-format=absolute", "--git-dir", "--git-common-dir"];
        let out = program.call(Configuration::User).directory(&at).args(ask).args(["--show-toplevel"]).run()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let fault = |what: &str| Error::input(format!("{}: {what}", dir.display()));
        match lines.as_slice() {
            [_, git_dir, common, top] if out.succeeded() => Ok(Some(Self {
                program,
                top: PathBuf::from(top),
                git_dir: PathBuf::from(git_dir),
                common: PathBuf::from(common),
                listed: OnceCell::new(),
            })),
            ["true", ..] => {
                Err(fault("a bare repository has no files to bump").hint("run it in a checkout: `git worktree add`"))
            }
            [_, _, _] => Err(fault("this is inside a git directory, not in its files").hint("run it in the checkout")),
            _ if out.stderr.contains("not a git repository") => Ok(None),
            _ if out.stderr.contains("dubious ownership") => {
                let top = crate::model::escape(&at.display().to_string());
                Err(fault("git refuses this repository: another user owns it")
                    .hint(format!("if you trust it: `git config --global --add safe.directory '{top}'`")))
            }
            _ => Err(Error::input(out.failure(&dir.display().to_string()).message())
                .hint("see whether `git status` works there")),
        }
    }

    pub(super) fn top(&self) -> &Path {
        &self.top
    }

    fn git(&self, args: &[&str]) -> Result<GitOutput> {
        self.program.call(Configuration::User).directory(&self.top).args(args.iter().copied()).run()
    }

    /// What git prints for `args`, or why it does not.
    fn asked(&self, args: &[&str], what: &str) -> Result<Vec<u8>> {
        self.git(args)?.checked(&format!("cannot read {what} of `{}`", self.top.display()))
    }

    /// The index, read once.
    pub(super) fn listed(&self) -> Result<&IndexListing> {
        if let Some(known) = self.listed.get() {
            return Ok(known);
        }
        let out = self.asked(&["ls-files", "-z", "-t", "--stage"], "the index")?;
        let mut listed = IndexListing::default();
        // `H 100644 <blob> 0<TAB>path`; paths in conflict come several times.
        for record in out.split(|b| *b == 0) {
            let Some((head, path)) = std::str::from_utf8(record).ok().and_then(|r| r.split_once('\t')) else {
                continue;
            };
            let mut fields = head.split(' ');
            let (Some(tag), Some(mode), Some(blob)) = (fields.next(), fields.next(), fields.next()) else { continue };
            let kind = match mode {
                "120000" => TreeEntryKind::Symlink,
                "160000" => TreeEntryKind::Submodule,
                _ => TreeEntryKind::File,
            };
            if listed.entries.last().is_some_and(|e: &TreeEntry| e.path == path) {
                continue;
            }
            if tag == "S" && kind == TreeEntryKind::File {
                listed.sparse.insert(path.to_owned(), blob.to_owned());
            }
            listed.entries.push(TreeEntry { path: path.to_owned(), kind });
        }
        Ok(self.listed.get_or_init(|| listed))
    }

    /// The bytes of a blob.
    pub(super) fn blob(&self, id: &str) -> Result<Vec<u8>> {
        self.asked(&["cat-file", "blob", id], "a file outside the sparse checkout")
    }

    /// The bytes of blobs, in one call; empty for one that is not there.
    pub(super) fn blobs<'i>(&self, ids: impl Iterator<Item = &'i str>) -> Result<Vec<Vec<u8>>> {
        let ids: Vec<&str> = ids.collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.program.call(Configuration::User).directory(&self.top).args(["cat-file", "--batch"]);
        let out = call.input(ids.join("\n") + "\n").run()?.checked("cannot read files outside the sparse checkout")?;
        let (mut all, mut rest) = (Vec::new(), out.as_slice());
        // `<id> blob <size>`, the bytes, a line end; `<id> missing` alone.
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 1..];
            let size = head.strip_suffix(" missing").is_none().then(|| head.rsplit(' ').next()?.parse::<usize>().ok());
            let size = size.flatten();
            let bytes = size.and_then(|n| rest.get(..n)).unwrap_or_default();
            all.push(bytes.to_vec());
            rest = size.and_then(|n| rest.get(n + 1..)).unwrap_or(rest);
        }
        Ok(all)
    }

    /// The commit that is checked out; nothing before the first.
    pub(super) fn head(&self) -> Option<String> {
        let out = self.git(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"]).ok().filter(GitOutput::succeeded)?;
        Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    /// Every tag, without `refs/tags/`.
    pub(super) fn tags(&self) -> Result<BTreeSet<String>> {
        let out = self.asked(&["for-each-ref", "--format=%(refname)", "refs/tags"], "the tags")?;
        let names = String::from_utf8_lossy(&out).into_owned();
        Ok(names.lines().filter_map(|l| l.strip_prefix("refs/tags/")).map(str::to_owned).collect())
    }

    /// The file at `path` in the tree that `tag` names.
    pub(super) fn at_tag(&self, tag: &str, path: &str) -> Option<Vec<u8>> {
        let out = self.git(&["cat-file", "blob", &format!("refs/tags/{tag}:{path}")]).ok()?;
        out.succeeded().then_some(out.stdout)
    }

    /// Files that git would add.
    pub(super) fn untracked(&self) -> Result<BTreeSet<String>> {
        let out =
            self.asked(&["ls-files", "-z", "--others", "--exclude-standard"], "the files that are not tracked")?;
        let paths = out.split(|b| *b == 0).filter_map(|p| std::str::from_utf8(p).ok());
        // Another repository in it stands there as a directory.
        Ok(paths.filter(|p| !p.is_empty() && !p.ends_with('/')).map(str::to_owned).collect())
    }

    /// Whether git leaves the file at `path` out.
    pub(super) fn ignores(&self, path: &str) -> bool {
        self.git(&["check-ignore", "--quiet", "--", path]).is_ok_and(|out| out.succeeded())
    }

    /// Whether it lacks what nobody needed yet: such a clone has few old files.
    pub(super) fn is_partial(&self) -> bool {
        let promised = r"^(extensions\.partialclone|remote\..*\.promisor)$";
        self.git(&["config", "--get-regexp", promised]).is_ok_and(|out| out.succeeded())
    }

    /// The configured `user.name` and `user.email`.
    pub(super) fn committer(&self) -> Option<String> {
        let value = |key: &str| {
            let out = self.git(&["config", "--get", key]).ok().filter(GitOutput::succeeded)?;
            Some(String::from_utf8_lossy(&out.stdout).trim().to_owned()).filter(|v| !v.is_empty())
        };
        Some(format!("{} <{}>", value("user.name")?, value("user.email")?))
    }

    /// The address of a remote, as the configuration has it.
    pub(super) fn remote(&self, name: &str) -> Option<String> {
        let out = self.git(&["config", "--get", &format!("remote.{name}.url")]).ok().filter(GitOutput::succeeded)?;
        Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    /// The history as libgit2 reads it: a bare repository for the time being, with the objects of this one and its refs,
    /// whatever form it keeps them in; no configuration of anybody's.
    pub(super) fn history(&self) -> Result<History> {
        let what = "cannot make a view of the history";
        let dir = tempfile::tempdir().context(what)?;
        let at = |path: &str| dir.path().join(path);
        for path in ["objects/info", "objects/pack", "refs"] {
            std::fs::create_dir_all(at(path)).context(what)?;
        }
        let mut refs = "# pack-refs with: peeled fully-peeled \n".to_owned();
        let format = "%(objectname) %(refname)%(if)%(*objectname)%(then)%0a^%(*objectname)%(end)";
        let out = self.asked(&["for-each-ref", &format!("--format={format}")], "the refs")?;
        refs.push_str(&String::from_utf8_lossy(&out));
        let head = self.head().unwrap_or_else(|| "ref: refs/heads/none".to_owned());
        let mut alternates = self.common.join("objects").into_os_string();
        alternates.push("\n");
        let write = |path: &str, bytes: &[u8]| std::fs::write(at(path), bytes).context(what);
        write("packed-refs", refs.as_bytes())?;
        write("objects/info/alternates", alternates.as_encoded_bytes())?;
        write("config", b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n")?;
        if let Ok(shallow) = std::fs::read(self.common.join("shallow")) {
            write("shallow", &shallow)?;
        }
        write("HEAD", format!("{head}\n").as_bytes())?;
        let repository = git2::Repository::open_bare(dir.path()).context(what)?;
        Ok(History { repository, _dir: dir })
    }
}

/// A view of a clone's history, gone when it is dropped.
pub struct History {
    /// As libgit2 reads it.
    pub repository: git2::Repository,
    _dir: tempfile::TempDir,
}
