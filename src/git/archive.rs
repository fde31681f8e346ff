//! The source archive: a commit's tree, blob for blob, as a gzipped tar whose bytes depend on the commit and the date alone.
//!
//! Unlike `git archive` it reads no attributes: nothing is left out (`export-ignore`) and nothing is rewritten
//! (`export-subst`). Members are sorted by path with owner 0, one time and the modes 0644, 0755 and 0777; long names take
//! GNU's extension; the gzip header holds neither name nor time.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use git2::Repository;
use sha1collisiondetection::Sha1CD;
use tar::{Builder, EntryType, Header};

use super::private::open_objects;
use super::tree::{DIRECTORY, SUBMODULE, SYMLINK, walk};
use super::{find_commit, from_oid, git_error};
use crate::effects::ArchiveSpec;
use crate::error::{Context as _, Error, Result};
use crate::model::{Oid, escape};

/// The level of compression, part of "same commit, same bytes".
const LEVEL: u32 = 6;

/// A member, below the top directory.
struct Member {
    /// With a final `/` if it is a directory, so that paths sort as git sorts trees.
    path: Vec<u8>,
    mode: u32,
    oid: git2::Oid,
    /// Which repository holds the blob: 0 is the project's own.
    from: usize,
}

/// Writes the archive; one blob at a time is in memory, and of those that lie loose not even one.
pub(super) fn write(git_dir: &Path, spec: &ArchiveSpec<'_>, out: &mut dyn Write) -> Result<()> {
    check_prefix(spec.prefix)?;
    let mut submodules: BTreeMap<&str, (usize, &Oid)> = BTreeMap::new();
    let mut stores = vec![Blobs::open(git_dir)?];
    for submodule in spec.submodules {
        let there = Blobs::open(Path::new(&submodule.repository))
            .map_err(|e| e.context(format!("cannot read submodule `{}`", escape(&submodule.path))))?;
        submodules.insert(&submodule.path, (stores.len(), &submodule.commit));
        stores.push(there);
    }
    let mut members = Vec::new();
    collect(0, spec.commit, &[], &mut Walk { submodules: &mut submodules, stores: &stores, out: &mut members })?;
    if let Some((path, _)) = submodules.first_key_value() {
        return Err(Error::input(format!("commit `{}` has no submodule `{}`", spec.commit, escape(path)))
            .hint("check `[bundle]` and the submodules of the plan"));
    }
    members.sort_by(|a, b| a.path.cmp(&b.path));

    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(out, Compression::new(LEVEL));
    let mut tar = Builder::new(gzip);
    let seconds = u64::try_from(spec.date.as_second())
        .map_err(|_| Error::input(format!("date {} is before 1970 and cannot stand in an archive", spec.date)))?;
    append(
        &mut tar,
        spec,
        seconds,
        &Member { path: Vec::new(), mode: DIRECTORY, oid: odd_oid(), from: 0 },
        &mut stores,
    )?;
    for member in &members {
        append(&mut tar, spec, seconds, member, &mut stores)?;
    }
    let finish = || "cannot write the source archive";
    tar.into_inner().context(finish())?.finish().context(finish())?.flush().context(finish())
}

/// The top directory has no object.
fn odd_oid() -> git2::Oid {
    git2::Oid::ZERO_SHA1
}

fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.is_empty() || prefix == "." || prefix == ".." || prefix.contains(['/', '\0', '\n']) {
        return Err(Error::input(format!("`{}` cannot be the top directory of an archive", escape(prefix))));
    }
    Ok(())
}

struct Walk<'a, 'r> {
    /// Those not met yet.
    submodules: &'a mut BTreeMap<&'r str, (usize, &'r Oid)>,
    stores: &'a [Blobs],
    out: &'a mut Vec<Member>,
}

/// Lists a commit's tree, and at a submodule that is wanted the tree of its commit.
fn collect(from: usize, commit: &Oid, below: &[u8], state: &mut Walk<'_, '_>) -> Result<()> {
    let stores = state.stores;
    let repo = &stores.get(from).ok_or_else(|| Error::fatal(format!("`{commit}` has no repository")))?.repo;
    let tree =
        find_commit(repo, commit)?.tree().map_err(|e| git_error(&format!("cannot read the tree of `{commit}`"), e))?;
    let mut wanted = Vec::new();
    walk(repo, &tree, &mut |entry| {
        let mut path = below.to_vec();
        path.extend_from_slice(entry.path);
        if entry.mode == SUBMODULE {
            wanted.push((path.clone(), entry.oid));
        }
        if matches!(entry.mode, DIRECTORY | SUBMODULE) {
            path.push(b'/');
        }
        state.out.push(Member { path, mode: entry.mode, oid: entry.oid, from });
    })?;
    for (mut path, oid) in wanted {
        let name = String::from_utf8_lossy(&path).into_owned();
        // A submodule that is left out by name stays an empty directory.
        let Some((index, commit)) = state.submodules.remove(name.as_str()) else { continue };
        if from_oid(commit)? != oid {
            return Err(Error::input(format!(
                "submodule `{}` is at `{oid}`, but `{commit}` was planned",
                escape(&name)
            )));
        }
        path.push(b'/');
        collect(index, commit, &path, state).map_err(|e| e.context(format!("submodule `{}`", escape(&name))))?;
    }
    Ok(())
}

fn append<W: Write>(
    tar: &mut Builder<W>,
    spec: &ArchiveSpec<'_>,
    seconds: u64,
    member: &Member,
    stores: &mut [Blobs],
) -> Result<()> {
    let mut name = spec.prefix.as_bytes().to_vec();
    name.push(b'/');
    name.extend_from_slice(&member.path);
    let path = Path::new(OsStr::from_bytes(&name));
    let shown = || escape(&String::from_utf8_lossy(&name));
    let what = || format!("cannot archive `{}`", shown());

    let mut header = Header::new_gnu();
    header.set_mtime(seconds);
    header.set_uid(0);
    header.set_gid(0);
    if matches!(member.mode, DIRECTORY | SUBMODULE) {
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        return tar.append_data(&mut header, path, io::empty()).context(what());
    }
    let store = stores.get_mut(member.from).ok_or_else(|| Error::fatal(what()))?;
    store.let_go()?;
    let odb = store.repo.odb().map_err(|e| git_error("cannot open an object store", e))?;
    let missing = |e| {
        git_error(&what(), e)
            .detail(format!("blob: {}", member.oid))
            .hint("the repository lacks this file: fetch it (`git fetch --refetch`), or leave its submodule out")
    };
    let (size, _) = odb.read_header(member.oid).map_err(missing)?;
    store.read += size;
    if member.mode == SYMLINK {
        let object = odb.read(member.oid).map_err(missing)?;
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        return tar.append_link(&mut header, path, Path::new(OsStr::from_bytes(object.data()))).context(what());
    }
    header.set_entry_type(EntryType::Regular);
    header.set_mode(if member.mode == 0o100_755 { 0o755 } else { 0o644 });
    header.set_size(size as u64);
    if size >= STREAMED
        && let Ok((reader, _, _)) = odb.reader(member.oid)
    {
        // libgit2 checks the hash of objects that it reads whole, but not of those that it streams.
        let mut checked = Checked::new(reader, member.oid, size);
        return tar.append_data(&mut header, path, &mut checked).context(what());
    }
    let object = odb.read(member.oid).map_err(missing)?;
    tar.append_data(&mut header, path, object.data()).context(what())
}

/// A repository whose blobs are read one after another.
struct Blobs {
    git_dir: PathBuf,
    repo: Repository,
    /// Bytes read since it was opened.
    read: usize,
}

impl Blobs {
    fn open(git_dir: &Path) -> Result<Self> {
        Ok(Self { git_dir: git_dir.to_owned(), repo: open_objects(git_dir)?, read: 0 })
    }

    /// Opens the repository anew once much was read: libgit2 keeps a packfile mapped, and what was read of it resident, for as
    /// long as a repository is open.
    fn let_go(&mut self) -> Result<()> {
        if self.read >= REOPENED {
            // Two handles share what is mapped: the first goes before the second comes.
            let nothing = git2::Odb::new().and_then(Repository::from_odb);
            self.repo = nothing.map_err(|e| git_error("cannot let a repository go", e))?;
            self.repo = open_objects(&self.git_dir)?;
            self.read = 0;
        }
        Ok(())
    }
}

/// How much is read of a repository before it is opened anew: bounds the resident memory, and is rare enough to cost nothing.
const REOPENED: usize = 32 << 20;

/// Blobs of at least this size are streamed where libgit2 can, that is where they lie loose.
const STREAMED: usize = 1 << 20;

/// Reads a blob and fails at its end if its hash is not the blob's id.
struct Checked<R> {
    inner: R,
    sum: Sha1CD,
    oid: git2::Oid,
    left: usize,
}

impl<R: Read> Checked<R> {
    fn new(inner: R, oid: git2::Oid, size: usize) -> Self {
        let mut sum = Sha1CD::default();
        sum.update(format!("blob {size}\0"));
        Self { inner, sum, oid, left: size }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = buffer.len().min(self.left);
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::Error::other(format!("blob {} is cut", self.oid)));
        }
        self.sum.update(&buffer[..n]);
        self.left -= n;
        if self.left == 0 {
            let sum = self.sum.finalize_reset_cd().map_err(|_| io::Error::other("a SHA-1 collision attack"))?;
            if sum.as_slice() != self.oid.as_bytes() {
                return Err(io::Error::other(format!("blob {} is altered", self.oid)));
            }
        }
        Ok(n)
    }
}
