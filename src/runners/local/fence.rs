//! A throwaway view of a checkout, in which a project's own commands run: they see its files with some replaced, and
//! whatever they write stays in the view.
//!
//! It is a sandbox with an overlay over the checkout, or a copy of its files where the kernel refuses overlays; the
//! repository and the toolchain can be read; no network unless it is asked for.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tempfile::TempDir;

use super::job_dir::create_scratch_dir;
use crate::error::{Context as _, Result};
use crate::sandbox::{BELOW_HOME, HiddenPaths, Sandbox, SandboxView, cannot, refused, this_program};
use crate::subprocess::Subprocess;

/// The variables that a command sees, if they are set: none of them carries a credential.
const ENVIRONMENT: [&str; 6] = ["PATH", "LANG", "LC_ALL", "TERM", "RUSTUP_TOOLCHAIN", "SOURCE_DATE_EPOCH"];
/// How much of a command's output is kept, in bytes: its end.
const OUTPUT: usize = 4096;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// It exited with 0.
    pub ok: bool,
    /// The end of what it wrote, both streams.
    pub output: String,
}

/// What stands at a path of the view that may differ from the checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewEntry {
    /// A file: its bytes, and whether it can be executed.
    File(Vec<u8>, bool),
    /// Nothing: a file of the checkout was removed.
    Gone,
    /// A link, a pipe, a socket or a device.
    Other,
}

/// How the view has the checkout's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
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
    works: Cell<Option<(usize, Layer)>>,
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
    pub fn run(&self, line: &str, network: bool) -> Result<CommandResult> {
        let ways = Sandbox::ways()?;
        if let Some((way, layer)) = self.works.get() {
            let (ended, _) = self.attempt(line, network, &ways[way], layer)?;
            return Ok(ended);
        }
        let mut said = String::new();
        for layer in [Layer::Overlay, Layer::Copy] {
            self.fill(layer)?;
            for (number, way) in ways.iter().enumerate() {
                let (ended, ran) = self.attempt(line, network, way, layer)?;
                if ran {
                    self.works.set(Some((number, layer)));
                    return Ok(ended);
                }
                said = ended.output;
            }
        }
        Err(cannot(said.lines().next().unwrap_or("unshare said nothing"))
            .detail(format!("the command: {}", crate::model::escape(line)))
            .hint("or leave the command out: `--no-hooks`"))
    }

    /// What the view may hold in another form than the checkout, by path: all that was written or removed, and in a copy
    /// every file. Build output and `.git` are left out.
    ///
    /// # Errors
    /// The view cannot be read.
    pub fn seen(&self) -> Result<BTreeMap<String, ViewEntry>> {
        let copy = self.works.get().is_some_and(|(_, layer)| layer == Layer::Copy);
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
                    true => {
                        ViewEntry::File(fs::read(&at).context(at.display())?, meta.permissions().mode() & 0o100 != 0)
                    }
                    false => ViewEntry::Other,
                };
                out.insert(path, seen);
            }
        }
        for path in self.files.iter().filter(|p| !out.contains_key(*p)).collect::<Vec<_>>() {
            let hidden =
                || path.match_indices('/').map(|(i, _)| &path[..i]).chain([path.as_str()]).any(|p| hiding.contains(p));
            if copy || hidden() {
                out.insert(path.clone(), ViewEntry::Gone);
            }
        }
        // Links that stayed as they are.
        let same = |path: &String| matches!((fs::read_link(top.join(path)), fs::read_link(self.top.join(path))), (Ok(a), Ok(b)) if a == b);
        out.retain(|path, seen| *seen != ViewEntry::Other || !same(path));
        Ok(out)
    }

    /// Puts the files there that the view begins with.
    fn fill(&self, layer: Layer) -> Result<()> {
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
        if layer == Layer::Copy {
            let there = |path: &&String| fs::symlink_metadata(top.join(path)).is_ok_and(|m| !m.is_dir());
            self.files.par_iter().filter(there).try_for_each(|path| write("tree", path, None))?;
            // In a worktree it is a file that says where the repository is.
            if top.join(".git").is_file() {
                write("tree", ".git", None)?;
            }
        }
        let below = if layer == Layer::Copy { "tree" } else { "upper" };
        self.edits.iter().try_for_each(|(path, bytes)| write(below, path, Some(bytes)))
    }

    /// Runs a line, and says whether it was reached at all.
    fn attempt(&self, line: &str, network: bool, way: &Sandbox, layer: Layer) -> Result<(CommandResult, bool)> {
        let scratch = self.scratch.0.path();
        let kept = HiddenPaths::new(&[], &[]);
        let mut env: BTreeMap<String, String> =
            ENVIRONMENT.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
        let tools = BELOW_HOME.iter().filter_map(|(name, below)| Some(((*name).to_owned(), tool(name, below)?)));
        env.extend(tools.map(|(name, dir)| (name, dir.display().to_string())));
        for (name, dir) in [("HOME", "home"), ("TMPDIR", "tmp")] {
            env.insert(name.to_owned(), scratch.join(dir).display().to_string());
        }
        if !network {
            env.insert("CARGO_NET_OFFLINE".to_owned(), "true".to_owned());
        }
        let mut view = SandboxView::system(network);
        view.hide(kept.home());
        view.tools(&env, &scratch.join("cargo"), &kept)?;
        view.hide(kept.hidden());
        for dir in ["home", "tmp"] {
            view.write(&scratch.join(dir));
        }
        match layer {
            Layer::Overlay => view.overlay(&self.top, scratch, true),
            Layer::Copy => {
                view.write_at(&scratch.join("tree"), &self.top);
                if self.top.join(".git").is_dir() {
                    view.read(&self.top.join(".git"));
                }
            }
        }
        if let Some(dir) = &self.repository {
            view.read(dir);
        }
        let view = view.at_with(&self.top, &scratch.join("tmp"));
        let line = ["/bin/sh", "-c", line].map(str::to_owned);
        let mut command = way.command(&this_program()?, view, &env, &line).context("cannot start a sandbox")?;
        command.current_dir("/");
        let running = Subprocess::new(command).own_input().keep_last(4 * OUTPUT);
        let output = running.run().map_err(|e| e.explained("a sandbox"))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let ran = !refused(output.status.code(), &text);
        let tail = text.char_indices().rev().nth(OUTPUT - 1).map_or(0, |(i, _)| i);
        Ok((CommandResult { ok: output.status.success(), output: text[tail..].to_owned() }, ran))
    }
}

/// A directory that only this user can enter; removed at the end.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Result<Self> {
        let what = "cannot make a directory for temporary files";
        let parent = std::env::temp_dir().canonicalize().context(what)?;
        let scratch = Self(create_scratch_dir(&parent, "lifeboat-fence-")?);
        for dir in ["upper", "work", "tree", "tmp", "home", "cargo/home", "cargo/registry", "cargo/git"] {
            fs::create_dir_all(scratch.0.path().join(dir)).context(what)?;
        }
        Ok(scratch)
    }
}

/// Whether an upper directory hides what the lower one of its name holds.
fn is_opaque(dir: &Path) -> bool {
    let mut value = [0; 1];
    rustix::fs::lgetxattr(dir, "user.overlay.opaque", &mut value).is_ok_and(|n| n == 1 && value == *b"y")
}

/// The directory of cargo or rustup, if it is there.
fn tool(name: &str, below: &str) -> Option<PathBuf> {
    let own = std::env::var_os(name).map(PathBuf::from);
    let dir = own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below)))?;
    dir.canonicalize().ok().filter(|d| d.is_dir())
}
