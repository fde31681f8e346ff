//! A throwaway view of a checkout, in which a project's own commands run: they see its files with some replaced, and
//! whatever they write stays in the view.
//!
//! Linux namespaces make it (unshare(1), mount(8), setpriv(1) of util-linux): an overlay over the checkout, or a copy of its
//! files where the kernel refuses overlays; all else read-only; the user's home, keys and agents covered, `/tmp` and `/run`
//! empty; no network unless it is asked for.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rayon::prelude::*;
use tempfile::TempDir;

use super::isolation::{PLACES, hidden};
use super::place::create_scratch_dir;
use crate::error::{Context as _, Error, Result};

/// Prepares the namespaces and becomes the command: its first line says with which arguments.
const SETUP: &str = include_str!("fence.sh");
/// How namespaces are made. Root needs no user namespace; in one, the command stays the same user.
const WAYS: [&[&str]; 3] = [
    &["--mount"],
    &["--user", "--map-current-user", "--keep-caps", "--mount"],
    &["--user", "--map-root-user", "--mount"],
];
/// The variables that a command sees, if they are set: none of them carries a credential.
const ENVIRONMENT: [&str; 6] = ["PATH", "LANG", "LC_ALL", "TERM", "RUSTUP_TOOLCHAIN", "SOURCE_DATE_EPOCH"];
/// Where cargo and rustup find their own directories: the variable, and the place in the home without it.
const TOOLS: [(&str, &str); 2] = [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")];
/// Where agents and services have their sockets: a command finds these directories empty.
const EMPTIED: [&str; 3] = ["/tmp", "/run", "/var/run"];
/// How much of a command's output is kept, in bytes: its end.
const OUTPUT: usize = 4096;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// It exited with 0.
    pub ok: bool,
    /// The end of what it wrote, both streams.
    pub output: String,
}

/// What stands at a path of the view that may differ from the checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A file: its bytes, and whether it can be executed.
    File(Vec<u8>, bool),
    /// Nothing: a file of the checkout was removed.
    Gone,
    /// A link, a pipe, a socket or a device.
    Other,
}

/// How the view is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Overlay,
    Copy,
}

/// A view of a checkout; what it holds goes when it is dropped.
pub struct Fence {
    scratch: Scratch,
    top: PathBuf,
    /// The checkout's files and links.
    files: Vec<String>,
    /// A directory that the view's `.git` leads to, outside of the checkout.
    repository: Option<PathBuf>,
    edits: Vec<(String, Vec<u8>)>,
    /// What worked, once something did.
    works: Cell<Option<(usize, View)>>,
}

impl Fence {
    /// A view of the directory `top`, whose own files and links are `files`, with the files of `edits` replaced;
    /// `repository` is where git keeps what belongs to it.
    ///
    /// # Errors
    /// The directory for temporary files cannot be written.
    pub fn new(
        top: &Path,
        files: Vec<String>,
        edits: Vec<(String, Vec<u8>)>,
        repository: Option<&Path>,
    ) -> Result<Self> {
        let scratch = Scratch::new()?;
        let top = top.canonicalize().context(top.display())?;
        let repository = repository.and_then(|r| r.canonicalize().ok()).filter(|r| !r.starts_with(&top));
        Ok(Self { scratch, top, files, repository, edits, works: Cell::new(None) })
    }

    /// Runs a line of `sh`.
    ///
    /// # Errors
    /// It cannot be isolated. A command that fails is an outcome, not an error.
    pub fn run(&self, line: &str, network: bool) -> Result<Ended> {
        if let Some((way, view)) = self.works.get() {
            let (ended, _) = self.attempt(line, network, way, view)?;
            return Ok(ended);
        }
        let mut refused = String::new();
        // Names with these characters have another meaning in the options of a mount.
        let plain = !self.top.as_os_str().as_encoded_bytes().iter().any(|b| matches!(b, b':' | b',' | b'\\'));
        for view in [View::Overlay, View::Copy].into_iter().filter(|v| plain || *v == View::Copy) {
            self.fill(view)?;
            for way in 0..WAYS.len() {
                let (ended, started) = self.attempt(line, network, way, view)?;
                if started {
                    self.works.set(Some((way, view)));
                    return Ok(ended);
                }
                refused = ended.output;
            }
        }
        Err(Error::fatal("a command cannot be cut off: this machine refuses namespaces, or mounts in them")
            .detail(crate::model::escape(refused.lines().next().unwrap_or("unshare said nothing")))
            .detail(format!("the command: {}", crate::model::escape(line)))
            .hint("allow them: `sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`")
            .hint("in a container, it needs CAP_SYS_ADMIN or unprivileged user namespaces; or leave it out: `--no-hooks`"))
    }

    /// What the view may hold in another form than the checkout, by path: all that was written or removed, and in a copy
    /// every file. Build output and `.git` are left out.
    ///
    /// # Errors
    /// The view cannot be read.
    pub fn seen(&self) -> Result<BTreeMap<String, Seen>> {
        let copy = self.works.get().is_some_and(|(_, view)| view == View::Copy);
        let top = self.scratch.0.path().join(if copy { "tree" } else { "upper" });
        let (mut out, mut dirs) = (BTreeMap::new(), vec![String::new()]);
        // What hides all that the checkout has below it.
        let mut hiding: BTreeSet<String> = BTreeSet::new();
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(top.join(&dir)).context(top.display())? {
                let at = entry.context(top.display())?.path();
                let name = at.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
                if path == ".git" {
                    continue;
                }
                let meta = fs::symlink_metadata(&at).context(at.display())?;
                if meta.is_dir() {
                    if at.join("CACHEDIR.TAG").exists() {
                        continue;
                    }
                    if !copy && is_opaque(&at) {
                        hiding.insert(path.clone());
                    }
                    dirs.push(path);
                    continue;
                }
                hiding.insert(path.clone());
                // The kernel's documentation of overlayfs: a character device 0/0 says that a name is gone.
                if !copy && meta.file_type().is_char_device() && meta.rdev() == 0 {
                    continue;
                }
                let seen = match meta.is_file() {
                    true => Seen::File(fs::read(&at).context(at.display())?, meta.permissions().mode() & 0o100 != 0),
                    false => Seen::Other,
                };
                out.insert(path, seen);
            }
        }
        for path in self.files.iter().filter(|p| !out.contains_key(*p)).collect::<Vec<_>>() {
            let hidden =
                || path.match_indices('/').map(|(i, _)| &path[..i]).chain([path.as_str()]).any(|p| hiding.contains(p));
            if copy || hidden() {
                out.insert(path.clone(), Seen::Gone);
            }
        }
        // Links that stayed as they are.
        let same = |path: &String| matches!((fs::read_link(top.join(path)), fs::read_link(self.top.join(path))), (Ok(a), Ok(b)) if a == b);
        out.retain(|path, seen| *seen != Seen::Other || !same(path));
        Ok(out)
    }

    /// Puts the files there that the view begins with.
    fn fill(&self, view: View) -> Result<()> {
        let (top, scratch) = (&self.top, self.scratch.0.path());
        let write = |below: &str, path: &str, bytes: Option<&[u8]>| -> Result<()> {
            let (from, at) = (top.join(path), scratch.join(below).join(path));
            if let Some(dir) = at.parent() {
                fs::create_dir_all(dir).context(dir.display())?;
            }
            match bytes {
                None if from.is_symlink() => fs::read_link(&from).and_then(|to| std::os::unix::fs::symlink(to, &at)),
                None => fs::copy(&from, &at).map(drop),
                Some(bytes) => fs::write(&at, bytes)
                    .and_then(|()| fs::set_permissions(&at, fs::symlink_metadata(&from)?.permissions())),
            }
            .context(at.display())
        };
        if view == View::Copy {
            let there = |path: &&String| fs::symlink_metadata(top.join(path)).is_ok_and(|m| !m.is_dir());
            self.files.par_iter().filter(there).try_for_each(|path| write("tree", path, None))?;
        }
        let below = if view == View::Copy { "tree" } else { "upper" };
        self.edits.iter().try_for_each(|(path, bytes)| write(below, path, Some(bytes)))
    }

    /// Runs a line, and says whether it was reached at all.
    fn attempt(&self, line: &str, network: bool, way: usize, view: View) -> Result<(Ended, bool)> {
        let Some(unshare) = PLACES.iter().map(Path::new).find(|p| p.is_file()) else {
            return Err(Error::fatal("a command cannot be cut off: there is no `unshare`")
                .hint("install it: `apt-get install util-linux`"));
        };
        let scratch = self.scratch.0.path();
        let started = scratch.join("started");
        drop(fs::remove_file(&started));
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let home = home.and_then(|h| h.canonicalize().ok()).filter(|h| h.parent().is_some());
        let mut command = Command::new(unshare);
        command.args(WAYS[way]).args((!network).then_some("--net"));
        command.args(["--", "/bin/sh", "-c", SETUP, "sh"]).arg(scratch).arg(&self.top);
        command.arg(if view == View::Overlay { "overlay" } else { "copy" });
        command.arg(home.clone().unwrap_or_default());
        let tools: Vec<(&str, PathBuf)> =
            TOOLS.iter().filter_map(|(name, below)| Some((*name, tool(name, below)?))).collect();
        let cargo = cargo_on_path().filter(|dir| !tools.iter().any(|(_, tool)| dir.starts_with(tool)));
        command.args(tools.iter().map(|(_, dir)| dir)).args(cargo).args(&self.repository).arg("--");
        // What is in the home is covered with it.
        let hidden = hidden();
        let hidden = hidden.iter().filter(|h| home.as_ref().is_none_or(|home| !h.starts_with(home)));
        command.args(hidden).arg("--").args(emptied()).arg("--");
        command.args(["/bin/sh", "-c", line]).stdin(Stdio::null()).current_dir("/").env_clear();
        for name in ENVIRONMENT {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(tools.iter().map(|(name, dir)| (*name, OsString::from(dir))));
        command.env("HOME", scratch.join("home")).env("TMPDIR", scratch.join("tmp"));
        command.envs((!network).then_some(("CARGO_NET_OFFLINE", "true")));
        let output = command.output().context(unshare.display())?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let tail = text.char_indices().rev().nth(OUTPUT - 1).map_or(0, |(i, _)| i);
        let ended = Ended { ok: output.status.success(), output: text[tail..].to_owned() };
        Ok((ended, started.exists()))
    }
}

/// A directory that only this user can enter; removed at the end.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Result<Self> {
        let what = "cannot make a directory for temporary files";
        let parent = std::env::temp_dir().canonicalize().context(what)?;
        let scratch = Self(create_scratch_dir(&parent, "lifeboat-fence-")?);
        for dir in ["upper", "work", "tree", "tmp", "home"] {
            fs::create_dir(scratch.0.path().join(dir)).context(what)?;
        }
        Ok(scratch)
    }
}

/// The directories that a command finds empty.
fn emptied() -> BTreeSet<PathBuf> {
    let own =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_absolute() && d.parent().is_some());
    let all = EMPTIED.iter().map(PathBuf::from).chain(own);
    all.filter_map(|d| d.canonicalize().ok()).filter(|d| d.is_dir()).collect()
}

/// Whether an upper directory hides what the lower one of its name holds.
fn is_opaque(dir: &Path) -> bool {
    let mut value = [0; 1];
    rustix::fs::lgetxattr(dir, "user.overlay.opaque", &mut value).is_ok_and(|n| n == 1 && value == *b"y")
}

/// Where `PATH` finds cargo: with a `CARGO_HOME` of its own that is another directory, which may lie in the home.
fn cargo_on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|dir| dir.join("cargo").is_file())?.canonicalize().ok()
}

/// The directory of cargo or rustup, if it is there.
fn tool(name: &str, below: &str) -> Option<PathBuf> {
    let own = std::env::var_os(name).map(PathBuf::from);
    let dir = own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below)))?;
    dir.canonicalize().ok().filter(|d| d.is_dir())
}
