//! What the user's repository says, for the snapshot. Nothing here writes into it, runs its hooks or asks a network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use git2::Repository;

use super::program::{Configuration, GitProgram};
use super::tree::{self, DIRECTORY, SUBMODULE, walk};
use super::{find_commit, git_error, private};
use crate::effects::PrivateRepo;
use crate::error::{Error, Result};
use crate::formats::glob;
use crate::model::{BranchName, Oid, TagName, escape};

pub use super::submodules::{SubmoduleFact, Where};

/// The user's repository: ordinary, bare, or a linked work tree.
pub struct UserRepository {
    program: GitProgram,
    git_dir: PathBuf,
    work_tree: Option<PathBuf>,
    objects: Repository,
    shallow: bool,
    refs: BTreeMap<String, RefFact>,
    /// The default branch of each remote, as it was when it was cloned or asked last.
    defaults: BTreeMap<String, String>,
}

/// What a ref names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RefFact {
    object: Oid,
    /// The commit, if it names one or a tag of one.
    commit: Option<Oid>,
}

/// A branch and its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchFact {
    /// Its name.
    pub name: BranchName,
    /// The commit.
    pub head: Oid,
    /// The ref that says so: `refs/heads/…`, or `refs/remotes/<remote>/…` where there is no local branch.
    pub from: String,
    /// A sentence for the person who plans, if other refs of this name differ.
    pub warning: Option<String>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFact {
    /// Its name.
    pub name: TagName,
    /// What the ref names: a tag object, or the commit of a lightweight tag.
    pub object: Oid,
    /// The commit; none if it tags something else.
    pub commit: Option<Oid>,
}

impl UserRepository {
    /// Opens the repository at `path`: a work tree, a git directory or a bare repository.
    ///
    /// # Errors
    /// There is none, or it has SHA-256 object ids.
    pub fn open(program: &GitProgram, path: &Path) -> Result<Self> {
        program.check()?;
        let what = format!("cannot open repository `{}`", path.display());
        let top = path.join(".git");
        let is_git_dir = !top.exists() && private::is_git_dir(path);
        let call = program.call(Configuration::User);
        // Naming a bare repository keeps `safe.bareRepository = explicit` content.
        let call = if is_git_dir { call.repository(path) } else { call.directory(path) };
        let out = call
            .args(["rev-parse", "--path-format=absolute", "--git-common-dir", "--git-dir"])
            .args(["--is-shallow-repository", "--show-object-format", "--is-bare-repository"])
            .run()?;
        if !out.succeeded() {
            let mut e = out.failure(&what);
            if out.stderr.contains("dubious ownership") {
                e = e.hint("if you trust it: `git config --global --add safe.directory <path>`");
            }
            return Err(Error::input(e.message()).hint(
                e.hints().first().cloned().unwrap_or_else(|| "`project.repository` must name a git repository".into()),
            ));
        }
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap_or_default();
        let (git_dir, own_dir) = (PathBuf::from(next()), PathBuf::from(next()));
        let shallow = next() == "true";
        let format = next().to_owned();
        let bare = next() == "true";
        if format != "sha1" {
            return Err(Error::input(format!("{what}: its object ids are {}", escape(&format)))
                .hint("only repositories with SHA-1 object ids are supported yet"));
        }
        let git_dir = private::common_directory(&git_dir)?;
        let objects = private::open_objects(&git_dir)?;
        let (refs, defaults) = refs(program, &git_dir, &what)?;
        let work_tree = (!bare && !is_git_dir).then(|| top_of(path, &own_dir));
        Ok(Self { program: program.clone(), git_dir, work_tree, objects, shallow, refs, defaults })
    }

    /// The git directory from which a private repository borrows.
    #[must_use]
    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Whether its history is cut: such a repository cannot be served for cloning.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.shallow
    }

    /// The branches whose names fit `pattern` (`*` and `?`), sorted by name.
    pub fn branches(&self, pattern: &str) -> Result<Vec<BranchFact>> {
        let mut names = BTreeSet::new();
        for name in self.refs.keys() {
            let short = name.strip_prefix("refs/heads/").or_else(|| remote_branch(name).map(|(_, branch)| branch));
            // A branch whose name is outside the grammar cannot be a line.
            if let Some(name) = short.filter(|s| glob::matches_name(pattern, s)).and_then(|s| BranchName::new(s).ok()) {
                names.insert(name);
            }
        }
        Ok(names.iter().filter_map(|n| self.find_branch(n)).collect())
    }

    /// One branch.
    ///
    /// # Errors
    /// There is none of this name, here or on a remote as last fetched.
    pub fn branch(&self, name: &BranchName) -> Result<BranchFact> {
        self.find_branch(name).ok_or_else(|| {
            Error::input(format!(
                "repository `{}` has no branch `{name}`, nor has any of its remotes",
                self.git_dir.display()
            ))
            .hint("fetch it (`git fetch`), or check the train file's `branch`")
        })
    }

    fn find_branch(&self, name: &BranchName) -> Option<BranchFact> {
        let local = format!("refs/heads/{name}");
        let here = |(full, fact): (&String, &RefFact)| Some((full.clone(), fact.commit.clone()?));
        let remote = self.refs.iter().filter(|(full, _)| remote_branch(full).is_some_and(|(_, b)| b == name.as_str()));
        let mut found: Vec<(String, Oid)> = remote.filter_map(here).collect();
        // Without a local branch `origin` goes first, as it does for `git switch`.
        found.sort_by_key(|(full, _)| (!full.starts_with("refs/remotes/origin/"), full.clone()));
        if let Some(own) = self.refs.get_key_value(&local).and_then(here) {
            found.insert(0, own);
        }
        let (from, head) = found.first()?.clone();
        let others: Vec<String> =
            found.iter().filter(|(_, c)| *c != head).map(|(full, c)| format!("`{full}` is at `{c}`")).collect();
        let warning = (!others.is_empty())
            .then(|| format!("branch `{name}` is taken from `{from}` at `{head}`, but {}", others.join(" and ")));
        Some(BranchFact { name: name.clone(), head, from, warning })
    }

    /// The names of the remotes whose address one of these is, or whose address ends with `owner/name`.
    ///
    /// # Errors
    /// A configuration that git cannot read.
    pub(crate) fn remotes_of(&self, addresses: &[&str], repository: &str) -> Result<Vec<String>> {
        let call = self.program.call(Configuration::User).repository(&self.git_dir);
        let out = call.args(["config", "--null", "--get-regexp", r"^remote\..*\.url$"]).run()?;
        // 1 says that there is none.
        if out.code == Some(1) {
            return Ok(Vec::new());
        }
        let listed = String::from_utf8_lossy(&out.checked("cannot list the remotes of the repository")?).into_owned();
        let named = listed.split('\0').filter_map(|entry| {
            let (key, url) = entry.split_once('\n')?;
            Some((key.strip_prefix("remote.")?.strip_suffix(".url")?, url))
        });
        let ours = |url: &str| {
            let plain = url.trim_end_matches('/').trim_end_matches(".git");
            let ends = plain.len().checked_sub(repository.len()).and_then(|at| plain.split_at_checked(at));
            addresses.contains(&url)
                || ends.is_some_and(|(host, end)| end.eq_ignore_ascii_case(repository) && host.ends_with(['/', ':']))
        };
        Ok(named.filter(|(_, url)| ours(url)).map(|(name, _)| name.to_owned()).collect())
    }

    /// The default branch of one of the user's remotes, if the clone knows it: `refs/remotes/<remote>/HEAD`.
    #[must_use]
    pub(crate) fn default_branch_of(&self, remote: &str) -> Option<&str> {
        self.defaults.get(remote).map(String::as_str)
    }

    /// The head of a remote's branch as it was fetched last.
    #[must_use]
    pub fn fetched(&self, remote: &str, branch: &str) -> Option<Oid> {
        self.refs.get(&format!("refs/remotes/{remote}/{branch}")).and_then(|fact| fact.commit.clone())
    }

    /// Every tag whose name fits the grammar, sorted by name.
    #[must_use]
    pub fn tags(&self) -> Vec<TagFact> {
        let tag = |(full, fact): (&String, &RefFact)| {
            let name = TagName::new(full.strip_prefix("refs/tags/")?).ok()?;
            Some(TagFact { name, object: fact.object.clone(), commit: fact.commit.clone() })
        };
        self.refs.iter().filter_map(tag).collect()
    }

    /// The bytes of the file or symbolic link at `path` in a commit; `None` if there is none.
    ///
    /// # Errors
    /// A missing commit or blob.
    pub fn read(&self, commit: &Oid, path: &str) -> Result<Option<Vec<u8>>> {
        tree::read(&self.objects, &self.tree(commit)?, path)
    }

    /// The commit's tree, for the version bump to read.
    ///
    /// # Errors
    /// A missing commit.
    pub fn source(&self, commit: &Oid) -> Result<Box<dyn crate::bump::SourceTree>> {
        Ok(Box::new(tree::CommitTree::open(private::open_objects(&self.git_dir)?, commit)?))
    }

    /// Paths of the commit's files whose contents the repository lacks (partial clones, damaged ones): the source archive
    /// cannot be made without them.
    ///
    /// # Errors
    /// A missing commit or tree.
    pub fn missing_files(&self, commit: &Oid) -> Result<Vec<String>> {
        let odb = self.objects.odb().map_err(|e| git_error("cannot open the repository's objects", e))?;
        let mut out = Vec::new();
        walk(&self.objects, &self.tree(commit)?, &mut |entry| {
            if !matches!(entry.mode, DIRECTORY | SUBMODULE) && !odb.exists(entry.oid) {
                out.push(String::from_utf8_lossy(entry.path).into_owned());
            }
        })?;
        Ok(out)
    }

    /// Whether it was cloned with a filter, so that it lacks files of its own history until they are asked for.
    #[must_use]
    pub(crate) fn is_partial(&self) -> bool {
        let packs = std::fs::read_dir(self.git_dir.join("objects/pack"));
        packs.into_iter().flatten().flatten().any(|entry| entry.path().extension().is_some_and(|e| e == "promisor"))
    }

    /// Whether the whole history of some commits is here, as who serves it needs it.
    ///
    /// # Errors
    /// Names what is missing.
    pub(crate) fn has_history(&self, commits: &[Oid]) -> Result<()> {
        let gone = super::history::missing(&self.program, Configuration::User, &self.git_dir, commits, &[])?;
        if gone.is_empty() { Ok(()) } else { Err(super::history::lost(&self.git_dir, &gone)) }
    }

    /// Whether `commit` is `of` or one of its ancestors; a commit that this repository does not have is none.
    ///
    /// # Errors
    /// A broken repository.
    pub(crate) fn is_ancestor(&self, commit: &Oid, of: &Oid) -> Result<bool> {
        let what = "cannot compare two commits";
        let id = |oid: &Oid| git2::Oid::from_str(oid.as_str()).map_err(|e| git_error(what, e));
        let (commit, of) = (id(commit)?, id(of)?);
        if commit == of {
            return Ok(true);
        }
        if self.objects.find_commit(commit).is_err() {
            return Ok(false);
        }
        self.objects.graph_descendant_of(of, commit).map_err(|e| git_error(what, e))
    }

    /// The submodules of a commit, by path. A local repository that has the commit is looked for in `given` (by path),
    /// below the repository's own `modules/`, and in the work tree.
    ///
    /// # Errors
    /// A missing commit, or a `.gitmodules` that git cannot read.
    pub fn submodules(&self, commit: &Oid, given: &BTreeMap<String, PathBuf>) -> Result<Vec<SubmoduleFact>> {
        let tree = self.tree(commit)?;
        let search = Where { modules: self.git_dir.join("modules"), work_tree: self.work_tree.clone(), given };
        super::submodules::find(&self.program, &self.objects, &tree, &search)
    }

    /// As [`UserRepository::submodules`], of a commit that only a private repository has.
    pub(crate) fn submodules_in(&self, private: &PrivateRepo, commit: &Oid) -> Result<Vec<SubmoduleFact>> {
        let repo = private::open(private)?;
        let tree = find_commit(&repo, commit)?
            .tree()
            .map_err(|e| git_error(&format!("cannot read the tree of commit `{commit}`"), e))?;
        let given = BTreeMap::new();
        let search = Where { modules: self.git_dir.join("modules"), work_tree: self.work_tree.clone(), given: &given };
        super::submodules::find(&self.program, &repo, &tree, &search)
    }

    fn tree(&self, commit: &Oid) -> Result<git2::Tree<'_>> {
        find_commit(&self.objects, commit)?
            .tree()
            .map_err(|e| git_error(&format!("cannot read the tree of commit `{commit}`"), e))
    }
}

fn top_of(path: &Path, own_dir: &Path) -> PathBuf {
    if path.join(".git").exists() {
        return path.to_owned();
    }
    // A directory below the top: the `.git` directory's parent, unless this is a linked work tree.
    own_dir.parent().filter(|_| own_dir.ends_with(".git")).map_or_else(|| path.to_owned(), Path::to_owned)
}

/// Every ref, and the default branch of each remote that has one.
type Refs = (BTreeMap<String, RefFact>, BTreeMap<String, String>);

/// All in one call: `<ref> NUL <object> NUL <type> NUL <peeled> NUL <peeled type> NUL <symbolic ref>`.
fn refs(program: &GitProgram, git_dir: &Path, what: &str) -> Result<Refs> {
    let format = "%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)%00%(symref)";
    let out = program
        .call(Configuration::User)
        .repository(git_dir)
        .args(["for-each-ref", &format!("--format={format}"), "refs/heads", "refs/remotes", "refs/tags"])
        .run()?
        .checked(what)?;
    let (mut refs, mut defaults) = (BTreeMap::new(), BTreeMap::new());
    for line in String::from_utf8_lossy(&out).lines() {
        let fields: Vec<&str> = line.split('\0').collect();
        let [name, object, kind, peeled, peeled_kind, symbolic] = fields[..] else {
            return Err(Error::fatal(format!("{what}: git printed the ref `{}`", escape(line))));
        };
        // `refs/remotes/origin/HEAD` is another name for a branch that is listed anyway.
        if !symbolic.is_empty() && name.starts_with("refs/remotes/") {
            let remote = name.strip_prefix("refs/remotes/").and_then(|n| n.strip_suffix("/HEAD"));
            let branch = remote.and_then(|r| symbolic.strip_prefix(&format!("refs/remotes/{r}/")));
            if let (Some(remote), Some(branch)) = (remote, branch) {
                defaults.insert(remote.to_owned(), branch.to_owned());
            }
            continue;
        }
        let object: Oid = object.parse()?;
        let commit = match (kind, peeled_kind) {
            ("commit", _) => Some(object.clone()),
            ("tag", "commit") => Some(peeled.parse()?),
            _ => None,
        };
        refs.insert(name.to_owned(), RefFact { object, commit });
    }
    Ok((refs, defaults))
}

/// `refs/remotes/<remote>/<branch>`, for remotes without `/` in their names.
fn remote_branch(full: &str) -> Option<(&str, &str)> {
    full.strip_prefix("refs/remotes/")?.split_once('/')
}
