//! `lifeboat verify`: checks a published release, as a stranger does.

mod all_mirrors;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::Caller;
use super::keys::{KeysFrom, digest, has_root, unpinned};
use crate::effects::{Disk, PathKind, files};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::layout;
use crate::model::{ArtifactName, BranchName, Sha256, escape, shell_path, shell_word};
use crate::trust::{self, Memory, RootChoice, TrustedRoot};
use crate::verify::{Download, Layout, ReleaseQuery, Report, Request, Search, Source, Verdict, find, verify};

/// Check a release as a stranger would, and more: threshold, completeness, freshness
///
/// With `--pin`, nothing else is needed: the trust root and the certificates are fetched from the store, and the digest
/// vouches for them.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// A version (`1.0.5`, `v1.0.5`), `latest` (of a line: with `--line`), a tag, or a file that you downloaded
    #[arg(value_name = "VERSION|latest|FILE", required_unless_present = "all_mirrors")]
    pub wanted: Option<String>,
    /// The base of a store: `https://…`, `file:///…` or a directory; also a directory with one downloaded release. None: the
    /// directory of FILE
    #[arg(value_name = "ADDRESS")]
    pub location: Option<String>,
    /// What lies there [default: detected]
    #[arg(long, value_enum)]
    pub layout: Option<LayoutArg>,
    /// The branch that the release should be of
    #[arg(long)]
    pub line: Option<BranchName>,
    /// Take the trust root and the certificates from this directory, which you vouch for, or with a pinned root from another
    /// store's address
    #[arg(long, value_name = "DIR|ADDRESS")]
    pub keys: Option<String>,
    /// Say of each mirror what it is: current, stale, incomplete, wrong or unreachable
    ///
    /// The mirrors are those that ADDRESS and the others name in their signed list. Small files are checked, and that
    /// artifacts are there with their sizes; a release that is named, such as `latest`, is checked byte by byte on each.
    #[arg(long, conflicts_with_all = ["layout", "line", "only", "output", "clone"])]
    pub all_mirrors: bool,
    /// The addresses of the configured stores and mirrors, if there is a configuration.
    #[arg(skip)]
    pub mirrors: BTreeSet<String>,
    /// The command to paste where no root is pinned, if it is another one than `verify`; `DIGEST` stands for the pin.
    #[arg(skip)]
    pub with_pin: Option<String>,
    /// Where the certificates are without `--keys`, if a configuration says so.
    #[arg(skip)]
    pub project_keys: Option<PathBuf>,
    /// The SHA-256 of the trust root, in place of the one pinned on this machine
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub pin: Option<Sha256>,
    /// Check only this file of the release; may be given several times
    #[arg(long, value_name = "NAME")]
    pub only: Vec<ArtifactName>,
    /// Keep what was checked in this directory, which must be absent or empty: it appears whole after everything held
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// A local clone whose tag is checked too
    #[arg(long, value_name = "DIR")]
    pub clone: Option<PathBuf>,
}

/// How the location is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LayoutArg {
    /// `releases/<version>/`, `releases/index.json`, `git/`, `keys/`
    Store,
    /// The files of one release
    Release,
}

/// Runs `lifeboat verify`.
///
/// # Errors
/// A source that cannot be reached, no trust root. A release that does not verify is the error of its report; with
/// `--json` it is its exit code alone.
pub fn run(args: &VerifyArgs, mut around: Caller<'_>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start reading")?;
    if args.all_mirrors {
        return runtime.block_on(all_mirrors::run(args, around));
    }
    let keep = args.output.as_ref().map(|to| Download::begin(Arc::clone(around.disk), to)).transpose()?;
    let checked = runtime.block_on(check(args, &around, keep.clone()));
    let kept = match (&keep, checked) {
        (Some(keep), Ok((report, source, directory))) if report.require().is_ok() => {
            keep.end(&source, &directory, &report)?;
            Ok(report)
        }
        (keep, checked) => {
            keep.iter().for_each(Download::give_up);
            checked.map(|(report, ..)| report)
        }
    };
    let report = kept?;
    around.say(|| text(&report, args.output.as_deref()), &report)?;
    if around.json {
        let code = report.require().err().map(|e| e.kind().exit_code());
        return Ok(code.map_or(ExitCode::SUCCESS, ExitCode::from));
    }
    report.require().map(|()| ExitCode::SUCCESS)
}

/// The report, with where it was read from and the release's directory there.
async fn check(args: &VerifyArgs, around: &Caller<'_>, keep: Option<Download>) -> Result<(Report, Source, String)> {
    let (disk, now) = (around.disk, around.now);
    let is_file = |path: &Path| matches!(disk.entry(path), Ok(Some(e)) if e.kind == PathKind::File);
    let text = args.wanted.as_deref().unwrap_or("latest");
    let wanted = ReleaseQuery::parse(text, is_file);
    let location = match (&args.location, &wanted) {
        (Some(location), _) => location.clone(),
        (None, ReleaseQuery::File(path)) => match path.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(dir) => dir.display().to_string(),
            None => ".".to_owned(),
        },
        (None, _) => {
            return Err(Error::input(format!("where is {}?", escape(text)))
                .hint(format!("name the store's address: `lifeboat verify {} https://…`", escape(text))));
        }
    };
    let source = Source::new(&location, Arc::clone(disk))?;
    let layout = match args.layout {
        Some(LayoutArg::Store) => Layout::Store,
        Some(LayoutArg::Release) => Layout::Release,
        None if source.is_one_release().await => {
            // Whoever serves it would choose what is checked: without an index nothing says which release is the latest, or
            // that one was retired.
            if !source.is_local() {
                return Err(one_release(&location));
            }
            Layout::Release
        }
        None => Layout::Store,
    };
    let Trusted { root: trust, state_dir, .. } = trust_of(args, (&source, layout), around).await?;
    let state_dir = state_dir.ok();
    let line = args.line.as_ref();
    let search =
        Search { source: &source, layout, trust: &trust, state_dir: state_dir.as_deref(), disk: &**disk, line, now };
    let found = find(search, &wanted).await?;
    let mut only: BTreeMap<ArtifactName, Option<PathBuf>> = args.only.iter().map(|n| (n.clone(), None)).collect();
    if let (ReleaseQuery::File(path), Some(name)) = (&wanted, &found.artifact) {
        only.insert(name.clone(), Some(path.clone()));
    }
    let directory = match layout {
        Layout::Store => layout::release(&found.version),
        Layout::Release => String::new(),
    };
    let request = Request {
        source: source.clone(),
        layout,
        version: found.version,
        line: args.line.clone(),
        clone: args.clone.clone(),
        only,
        keep,
        trust,
        state_dir,
        disk: Arc::clone(disk),
        now,
    };
    Ok((verify(request).await?, source, directory))
}

/// Whose word counts for somebody who checks.
pub(super) struct Trusted {
    /// The trust root that counts.
    pub(super) root: TrustedRoot,
    /// The pin that it follows from.
    pub(super) pin: RootChoice,
    /// The project's directory in the state directory; or why there is none.
    pub(super) state_dir: std::result::Result<PathBuf, String>,
}

/// The trust root that counts at a place.
pub(super) async fn trust_of(
    args: &VerifyArgs,
    (source, layout): (&Source, Layout),
    around: &Caller<'_>,
) -> Result<Trusted> {
    let disk = around.disk;
    let keys = keys(args, source, layout, disk).await?;
    let project = keys.project(&**disk)?;
    // Without a place to remember, everything else is checked all the same.
    let state_dir = match project.as_ref().and_then(around.state) {
        Some(dir) => files::create_dir_all(&**disk, &dir, 0o700).map(|()| dir).map_err(|e| trust::explain(&e)),
        None => Err("there is no state directory".to_owned()),
    };
    let remembers = state_dir.as_deref().ok();
    let pin = pin_of(args, &keys, (&**disk, remembers), source)?;
    let memory = remembers.map(|state_dir| Memory { disk: &**disk, state_dir });
    // With everything that was ever seen of its certificates.
    let root = trust::load_files(keys.files(&**disk), None, pin, around.now, memory)?;
    Ok(Trusted { root, pin, state_dir })
}

/// A server that has one release where a store should be: its own word must not decide what is checked.
fn one_release(location: &str) -> Error {
    let base = location.split("/releases/").next().unwrap_or(location);
    Error::input(format!("`{}` serves one release by itself, and no `{}`", escape(location), layout::INDEX))
        .hint(format!("give the base of the store, which has the index: for example `{}`", escape(base)))
        .hint("or check that release alone: `--layout release`; whether it is the latest, or was retired, is not checked then")
}

/// Where the trust root and the certificates come from: as named, else from the project that is configured or lies here, else
/// from the store itself. A digest on the command line is enough for the store.
async fn keys(args: &VerifyArgs, source: &Source, layout: Layout, disk: &Arc<dyn Disk>) -> Result<KeysFrom> {
    if let Some(named) = &args.keys {
        return KeysFrom::named(named, args.pin, disk).await;
    }
    let here = PathBuf::from("keys");
    let own = args.project_keys.clone().or_else(|| has_root(&**disk, &here).then_some(here));
    match own {
        Some(dir) if args.pin.is_none() => Ok(KeysFrom::Directory(dir)),
        own => match (layout, own) {
            (Layout::Release, Some(dir)) => Ok(KeysFrom::Directory(dir)),
            (Layout::Release, None) => Err(Error::input("one release by itself has no trust root beside it")
                .hint("name a store that has one, or a directory that you vouch for: --keys ADDRESS|DIR")),
            (Layout::Store, own) => match (KeysFrom::store(source, args.pin).await, own) {
                (Err(e), Some(dir)) if e.kind() == ErrorKind::Input => Ok(KeysFrom::Directory(dir)),
                (found, _) => found,
            },
        },
    }
}

/// Which root counts: the one of the command line, else the pinned one, else that of a directory that was named.
fn pin_of(
    args: &VerifyArgs,
    keys: &KeysFrom,
    (disk, state_dir): (&dyn Disk, Option<&Path>),
    source: &Source,
) -> Result<RootChoice> {
    let pinned = state_dir.map(|dir| trust::pinned(disk, dir)).transpose()?.flatten();
    let vouched_for = args.keys.is_some() && matches!(keys, KeysFrom::Directory(_));
    match (args.pin, pinned) {
        (Some(pin), _) => Ok(RootChoice::Given(pin)),
        (None, _) if vouched_for => Ok(RootChoice::Directory),
        (None, Some(pin)) => Ok(RootChoice::Pinned(pin)),
        (None, None) => Err(unpinned(&with_pin(args, source), &keys.named_again())),
    }
}

/// The same command with a pin, to be pasted.
fn with_pin(args: &VerifyArgs, source: &Source) -> String {
    if let Some(command) = &args.with_pin {
        return command.clone();
    }
    let mut words = vec!["lifeboat verify".to_owned()];
    words.extend(args.all_mirrors.then(|| "--all-mirrors".to_owned()));
    words.push("--pin DIGEST".to_owned());
    words.extend(args.keys.iter().map(|keys| format!("--keys {}", shell_path(Path::new(keys)))));
    words.extend(args.line.iter().map(|line| format!("--line {}", shell_word(line.as_str()))));
    words.extend(args.wanted.iter().map(|wanted| shell_path(Path::new(wanted))));
    // Where the release is beside a file that was named, nothing else names it.
    let location = args.location.clone().or_else(|| args.wanted.is_none().then(|| source.place()));
    words.extend(location.map(|location| shell_path(Path::new(&location))));
    words.join(" ")
}

fn text(report: &Report, kept: Option<&Path>) -> String {
    let mut lines = Vec::new();
    for check in &report.checks {
        let verdict = match check.verdict {
            Verdict::Passed => "ok",
            Verdict::Failed => "FAILED",
            Verdict::NotChecked => "not checked",
            Verdict::Note => "note",
        };
        lines.push(format!("{verdict:>11}  {}: {}", check.what, escape(&check.detail)));
    }
    if report.failures().next().is_none() {
        lines.extend(kept.map(|dir| format!("kept in `{}`", escape(&dir.display().to_string()))));
        let who: Vec<&str> = report.approved_by.iter().map(|p| p.as_str()).collect();
        lines.push(format!("{} {} verifies; approved by {}", report.project, report.version, who.join(", ")));
    }
    lines.join("\n")
}
