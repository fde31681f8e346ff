//! The private repository: a bare repository of the state directory that borrows the user's objects.
//!
//! It is a cache. Its frame (configuration, `HEAD`, the list of borrowed object directories, the shallow boundary) is
//! compared byte for byte each time and written again where it differs. Its own objects are not synced to the disk when
//! they are made, so after a power loss some may be empty, cut or gone: the first check of a process reads each of them
//! and checks its hash; if one is broken, all are dropped and the steps import them again from their outcomes.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind as Io, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use git2::Repository;

use super::{from_oid, git_error, pack};
use crate::effects::{Outlives, PrivateRepo, replace_file};
use crate::error::{Context as _, Error, Result};
use crate::formats::git_pack;
use crate::model::Oid;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckDepth {
    /// The frame alone: this process has checked the objects already.
    Frame,
    /// The frame and every object.
    Objects,
}

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\thooksPath = /dev/null\n\
\tsharedRepository = 0600\n\tlogAllRefUpdates = false\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n\
[pack]\n\tthreads = 1\n\twriteReverseIndex = false\n";

/// Where packs that are to be served are made.
pub(super) const PUBLISH: &str = "static";

const DIRECTORIES: &[&str] = &["objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"];

/// Object directories that borrow from one another, at most: what git itself allows is five.
const DEEPEST_ALTERNATE: usize = 5;

/// Makes the repository, or fixes it.
pub(super) fn ensure(repo: &PrivateRepo, check: CheckDepth) -> Result<()> {
    let git_dir = common_directory(&repo.borrow)?;
    refuse_sha256(&git_dir)?;
    let borrowed = object_directories(&git_dir.join("objects"))?;
    if check == CheckDepth::Objects && repo.dir.exists() {
        if first_fault(&repo.dir.join("objects")).is_some() {
            // Silently: nothing is lost, and the step that needs an object says if it cannot be had again.
            fs::remove_dir_all(&repo.dir)
                .context(format!("cannot remove the damaged private repository `{}`", repo.dir.display()))?;
        } else {
            remove_stale(&repo.dir)?;
        }
    }
    make_dir(&repo.dir)?;
    for dir in DIRECTORIES {
        make_dir(&repo.dir.join(dir))?;
    }
    let mut alternates = Vec::new();
    for dir in &borrowed {
        alternates.extend_from_slice(dir.as_os_str().as_bytes());
        alternates.push(b'\n');
    }
    write_if_other(&repo.dir.join("config"), CONFIG.as_bytes())?;
    write_if_other(&repo.dir.join("objects/info/alternates"), &alternates)?;
    match read(&git_dir.join("shallow"))? {
        Some(shallow) if !shallow.is_empty() => write_if_other(&repo.dir.join("shallow"), &shallow)?,
        _ => remove_file(&repo.dir.join("shallow"))?,
    }
    // Git takes a directory for a repository only once it has a HEAD, so that comes last.
    write_if_other(&repo.dir.join("HEAD"), b"ref: refs/heads/none\n")
}

/// Opens the repository for libgit2.
pub(super) fn open(repo: &PrivateRepo) -> Result<Repository> {
    Repository::open_bare(&repo.dir)
        .map_err(|e| git_error(&format!("cannot open the private repository `{}`", repo.dir.display()), e))
}

/// Opens only the objects of a git directory: no configuration, no refs, no question of who owns it.
pub(super) fn open_objects(git_dir: &Path) -> Result<Repository> {
    let what = || format!("cannot open the objects of `{}`", git_dir.display());
    let objects = common_directory(git_dir)?.join("objects");
    if !objects.is_dir() {
        return Err(Error::input(format!("`{}` is not a git repository: it has no `objects`", git_dir.display())));
    }
    let odb = git2::Odb::new().map_err(|e| git_error(&what(), e))?;
    let path = objects.to_str().ok_or_else(|| Error::input(format!("path `{}` is not UTF-8", objects.display())))?;
    odb.add_disk_alternate(path).map_err(|e| git_error(&what(), e))?;
    Repository::from_odb(odb).map_err(|e| git_error(&what(), e))
}

/// Whether the commit is there with everything that it and its own ancestors add to what is borrowed.
pub(super) fn has_commit(repo: &PrivateRepo, commit: &Oid) -> Result<bool> {
    let own = open(repo)?;
    let borrowed = open_objects(&repo.borrow)?;
    let mut at = from_oid(commit)?;
    // Each commit is held against its parent, so that blobs which the user's clone lacks, and nobody needs, do not matter.
    loop {
        let Ok(found) = own.find_commit(at) else { return Ok(false) };
        let Ok(tree) = found.tree() else { return Ok(false) };
        if borrowed.find_commit(at).is_ok() {
            return Ok(true);
        }
        let Ok(parent) = found.parent_id(0) else {
            return pack::all_there(&own, tree.id(), None);
        };
        let Ok(parent_tree) = own.find_commit(parent).and_then(|p| p.tree()) else { return Ok(false) };
        if !pack::all_there(&own, tree.id(), Some(parent_tree.id()))? {
            return Ok(false);
        }
        at = parent;
    }
}

/// Whether `dir` is a git directory itself: a bare one, or the inside of a clone (gitrepository-layout(5)).
#[must_use]
pub(crate) fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}

/// The directory with the objects and refs: a linked work tree's git directory names it in `commondir`, and a work tree
/// has a `.git` directory or file.
pub(super) fn common_directory(git_dir: &Path) -> Result<PathBuf> {
    let mut dir = git_dir.to_owned();
    let dot_git = dir.join(".git");
    if dot_git.is_dir() {
        dir = dot_git;
    } else if let Some(file) = read(&dot_git)? {
        let target = pointer(&file, b"gitdir: ").ok_or_else(|| {
            Error::input(format!("`{}` does not say where the repository is (`gitdir: …`)", dot_git.display()))
        })?;
        dir = dir.join(target);
    }
    if let Some(file) = read(&dir.join("commondir"))?
        && let Some(target) = pointer(&file, b"")
    {
        dir = dir.join(target);
    }
    fs::canonicalize(&dir)
        .map_err(|e| Error::input(format!("cannot find the git directory `{}`", dir.display())).because(e))
}

fn pointer(file: &[u8], prefix: &[u8]) -> Option<PathBuf> {
    let line = file.strip_prefix(prefix)?.split(|c| matches!(c, b'\n' | b'\r')).next()?;
    (!line.is_empty()).then(|| PathBuf::from(OsString::from_vec(line.to_vec())))
}

/// `objects` and all the directories that it borrows from, as absolute paths: the list is flat, so that no limit on
/// nesting applies to ours.
fn object_directories(objects: &Path) -> Result<Vec<PathBuf>> {
    if !objects.is_dir() {
        return Err(Error::input(format!("there is no git object directory `{}`", objects.display()))
            .hint("`project.repository` must name a git repository"));
    }
    let mut found: Vec<PathBuf> = Vec::new();
    let mut next = vec![objects.to_owned()];
    for _ in 0..=DEEPEST_ALTERNATE {
        for dir in std::mem::take(&mut next) {
            // What an alternates file names and is not there is ignored, as git does.
            let Ok(dir) = fs::canonicalize(dir) else { continue };
            if dir.as_os_str().as_bytes().contains(&b'\n') {
                return Err(Error::input(format!("a path with a line end cannot be borrowed from: {dir:?}")));
            }
            if found.contains(&dir) {
                continue;
            }
            for line in read(&dir.join("info/alternates"))?.unwrap_or_default().split(|c| *c == b'\n') {
                if !line.is_empty() && !line.starts_with(b"#") {
                    next.push(dir.join(PathBuf::from(OsString::from_vec(line.to_vec()))));
                }
            }
            found.push(dir);
        }
    }
    Ok(found)
}

fn refuse_sha256(git_dir: &Path) -> Result<()> {
    let config = read(&git_dir.join("config"))?.unwrap_or_default();
    let config = String::from_utf8_lossy(&config).to_ascii_lowercase();
    let squeezed: String = config.chars().filter(|c| !c.is_whitespace()).collect();
    if squeezed.contains("objectformat=sha256") {
        return Err(Error::input(format!("repository `{}` has SHA-256 object ids", git_dir.display()))
            .hint("repositories with SHA-256 object ids are not supported yet: use one with SHA-1 ids"));
    }
    Ok(())
}

/// The first own object, pack or index that is cut, empty or altered.
fn first_fault(objects: &Path) -> Option<String> {
    let odb = git2::Odb::new().ok()?;
    let path = objects.to_str()?;
    if objects.is_dir() && odb.add_disk_alternate(path).is_err() {
        return Some(format!("{path} cannot be opened"));
    }
    for dir in entries(objects) {
        let name = name_of(&dir);
        if name == "pack" {
            for file in entries(&dir) {
                let name = name_of(&file);
                let pair = if name.ends_with(".pack") {
                    file.with_extension("idx")
                } else if name.ends_with(".idx") {
                    file.with_extension("pack")
                } else {
                    continue;
                };
                if !pair.exists()
                    || !fs::File::open(&file).is_ok_and(|mut f| git_pack::is_whole(&mut f).unwrap_or(false))
                {
                    return Some(file.display().to_string());
                }
            }
        } else if name.len() == 2 {
            for file in entries(&dir) {
                let Ok(oid) = git2::Oid::from_str(&format!("{name}{}", name_of(&file))) else { continue };
                // libgit2 checks the hash of what it reads.
                if name_of(&file).len() == 38 && odb.read(oid).is_err() {
                    return Some(file.display().to_string());
                }
            }
        }
    }
    None
}

/// What a killed process left behind: indexes, and packs for serving, which git would not write over.
fn remove_stale(dir: &Path) -> Result<()> {
    for file in entries(dir) {
        if name_of(&file).starts_with("index-") {
            remove_file(&file)?;
        }
    }
    let packs = dir.join(PUBLISH);
    match fs::remove_dir_all(&packs) {
        Err(e) if e.kind() != Io::NotFound => Err(e).context(format!("cannot remove `{}`", packs.display())),
        _ => Ok(()),
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    out.sort();
    out
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn make_dir(dir: &Path) -> Result<()> {
    let what = || format!("cannot create directory `{}`", dir.display());
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Err(e) if e.kind() != Io::AlreadyExists => return Err(e).context(what()),
        _ => {}
    }
    let mode = fs::metadata(dir).context(what())?.permissions().mode() & 0o777;
    if mode != 0o700 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).context(what())?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::File::open(path) {
        Ok(mut file) => {
            let mut out = Vec::new();
            file.read_to_end(&mut out).context(format!("cannot read `{}`", path.display()))?;
            Ok(Some(out))
        }
        Err(e) if matches!(e.kind(), Io::NotFound | Io::NotADirectory) => Ok(None),
        Err(e) => Err(e).context(format!("cannot read `{}`", path.display())),
    }
}

fn write_if_other(path: &Path, bytes: &[u8]) -> Result<()> {
    if read(path).ok().flatten().as_deref() == Some(bytes) {
        return Ok(());
    }
    let what = || format!("cannot write `{}`", path.display());
    replace_file(path, bytes, Outlives::Kill).context(what())
}

pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != Io::NotFound => Err(e).context(format!("cannot remove `{}`", path.display())),
        _ => Ok(()),
    }
}
