//! `lifeboat bump`: versions in a checkout, as the project's maintainers would have committed them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Global, Output};
use crate::bump::{
    Bump, BumpRequest, CrateMove, Hook, LockCheck, LockFit, OnFailure, Requirements, SourceTree as _, VersionRules,
    bump, bump_listed, parse_listed, remains,
};
use crate::checkout::{self, Applied, Checkout, CheckoutChange};
use crate::error::{Context as _, Error, Result};
use crate::formats::splice::line_of;
use crate::formats::unified_diff::unified_diff;
use crate::model::{VersionStep, counted, escape};
use crate::runners::local::{Fence, ViewEntry};

/// Bump versions in a checkout as the project's maintainers would
#[derive(Debug, clap::Args)]
pub struct BumpArgs {
    /// The step that every version family takes, as `[version]` of the configuration says
    #[arg(long, value_name = "patch|minor|release|rc|X.Y.Z", required_unless_present = "from_tsv")]
    to: Option<VersionStep>,
    /// Who moves where, one `crate<TAB>old<TAB>new<TAB>manifest<TAB>publish` a line, instead of a configuration
    #[arg(long, value_name = "FILE", conflicts_with = "to", requires = "requirements")]
    from_tsv: Option<PathBuf>,
    /// What becomes of requirements on crates that move (with --from-tsv)
    #[arg(long, value_enum, requires = "from_tsv")]
    requirements: Option<RequirementsArg>,
    /// The day of the release, for changelogs
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: jiff::civil::Date,
    /// Print the unified diff, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave out the commands that `after` names
    #[arg(long)]
    no_hooks: bool,
    /// Ask Cargo, isolated and offline, whether the lock fits afterwards
    #[arg(long)]
    check: bool,
    /// The checkout
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RequirementsArg {
    /// One that names the old version names the new one; where none does, those that name an older patch do
    Lift,
    /// It stays as long as it admits the new version
    Keep,
}

/// What the bump needs of a configuration; the other tables are checked where they are used.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Tables {
    version: VersionRules,
}

/// Runs the verb.
///
/// # Errors
/// Anything inconsistent, with file and line; the tree is then as before.
pub fn run(global: &Global, args: &BumpArgs, out: &Output) -> Result<ExitCode> {
    if global.config.is_some() && args.from_tsv.is_some() {
        return Err(Error::input("both a configuration and a list say who moves where")
            .hint("leave out `--from-tsv`, or `--config` and `LIFEBOAT_CONFIG`"));
    }
    let checkout = Checkout::open(&args.dir)?;
    let request = request_text(args)?;
    let mut notes = Notes { out, all: Vec::new() };
    let found = if args.dry_run { checkout::settle(&checkout)? } else { checkout::recover(&checkout, &request)? };
    match found {
        Applied::Complete if !args.dry_run => {
            let done = "a bump was interrupted here after its last file: it is complete";
            out.result(done, &Report { written: true, notes: vec![done.to_owned()], ..Report::default() })?;
            return Ok(ExitCode::SUCCESS);
        }
        Applied::Undone => notes.add(UNDONE),
        Applied::Complete | Applied::Clean => {}
    }
    let to = args.to.clone().unwrap_or(VersionStep::Patch);
    let asked = BumpRequest { to, date: args.date, tags: checkout.tags()? };
    let (made, hooks, manifests) = match &args.from_tsv {
        None => {
            let rules = read_rules(&configuration(global, &checkout)?)?;
            (bump(&checkout, &rules, &asked)?, rules.after, rules.manifests)
        }
        Some(path) => {
            let listed = parse_listed(&read(path)?, &path.display().to_string())?;
            let policy = match args.requirements {
                Some(RequirementsArg::Keep) => Requirements::Keep,
                _ => Requirements::Lift,
            };
            let at_tag = |tag: &str, path: &str| checkout.at_tag(tag, path);
            (bump_listed(&checkout, &listed, policy, &asked, &at_tag)?, Vec::new(), vec!["Cargo.toml".to_owned()])
        }
    };
    let mut changes: Vec<CheckoutChange> = made.edits.iter().cloned().map(CheckoutChange::from).collect();
    let hooks = if args.no_hooks { Vec::new() } else { hooks };
    let has = |path: &str| Ok::<_, Error>(checkout.read(path)?.is_some());
    let checks = if args.check { LockCheck::every(&manifests, has)? } else { Vec::new() };
    if !hooks.is_empty() || !checks.is_empty() {
        // Before anything is written: what they change is written with the rest, all or nothing.
        changes = after(&checkout, &made, &hooks, &checks, &mut notes)?;
    }
    checkout.all_here(changes.iter().map(|c| c.path.as_str()))?;
    let after = changes.iter().map(|c| (c.path.as_str(), c.after.as_deref())).collect();
    let remaining = remains(&checkout, &made, &after)?;
    let text = if args.dry_run {
        diff(&changes)
    } else {
        checkout::apply(&checkout, &changes, &request, std::env::current_exe().ok().as_deref())?;
        format!("{} to {}, {}", counted(made.moves.len(), "crate"), made.version, counted(changes.len(), "file"))
    };
    made.notes.iter().chain(&remaining).for_each(|note| notes.add(format!("note: {note}")));
    let report = Report {
        written: !args.dry_run,
        version: Some(made.version),
        tag: made.tag,
        moves: made.moves,
        files: changes.iter().map(|c| c.path.clone()).collect(),
        notes: notes.all,
        release_notes: made.release_notes,
        diff: args.dry_run.then(|| text.clone()),
    };
    if !text.is_empty() || out.json() {
        out.result(text.strip_suffix('\n').unwrap_or(&text), &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person should know: said at once on standard error, or as a part of the JSON.
struct Notes<'a> {
    out: &'a Output,
    all: Vec<String>,
}

impl Notes<'_> {
    fn add(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.out.json() {
            self.out.note(&note);
        }
        self.all.push(note);
    }
}

/// What is said when a half-made bump was found.
const UNDONE: &str = "a bump was killed here: its files are as before";

/// Makes the checkout around `dir` whole if a bump was killed in it, for verbs that look at it.
///
/// # Errors
/// A file was edited since; nothing is overwritten.
pub(super) fn settle(dir: &Path, out: &Output) -> Result<()> {
    // The verb itself says what it needs of the directory.
    let Ok(checkout) = Checkout::open(dir) else { return Ok(()) };
    if checkout::settle(&checkout)? == Applied::Undone {
        out.note(UNDONE);
    }
    Ok(())
}

/// Runs the commands of `after` on the bumped files, in a view of the checkout, and asks Cargo there; returns the edits with
/// what the commands changed, added and removed.
fn after(
    checkout: &Checkout,
    made: &Bump,
    hooks: &[Hook],
    checks: &[LockCheck],
    notes: &mut Notes<'_>,
) -> Result<Vec<CheckoutChange>> {
    let own = checkout.own_files()?;
    let edits = made.edits.iter().map(|e| (e.path.clone(), e.after.clone())).collect();
    let repository = checkout.git_dir();
    let fence = Fence::new(checkout.top(), own.iter().cloned().collect(), edits, repository)?;
    for hook in hooks {
        let ended = fence.run(&hook.run, hook.network);
        let failure = match ended {
            Ok(ended) if ended.ok => continue,
            Ok(ended) => Error::fatal(format!("`{}` failed", hook.run)).detail(ended.output.trim_end().to_owned()),
            Err(e) => e,
        };
        match hook.on_failure {
            OnFailure::Stop => return Err(failure.hint("the tree is as before; `--no-hooks` leaves the commands out")),
            OnFailure::Warn => notes.add(failure.report().replacen("error", "warning", 1)),
        }
    }
    for check in checks {
        fits(&fence, check, notes)?;
    }
    let mut changes: BTreeMap<String, CheckoutChange> =
        made.edits.iter().map(|e| (e.path.clone(), CheckoutChange::from(e.clone()))).collect();
    for (path, seen) in fence.seen()? {
        // As in a train: what git leaves out is build output.
        if !own.contains(&path) && checkout.ignores(&path) {
            continue;
        }
        match taken(checkout, &path, seen)? {
            Some(change) => {
                match (&change.before, &change.after) {
                    (None, _) => notes.add(format!("note: a command of `after` added `{}`", escape(&path))),
                    (_, None) => notes.add(format!("note: a command of `after` removed `{}`", escape(&path))),
                    _ => {}
                }
                changes.insert(path, change);
            }
            None => drop(changes.remove(&path)),
        }
    }
    Ok(changes.into_values().collect())
}

/// What the commands made of the file at `path`; nothing if it is as it was.
fn taken(checkout: &Checkout, path: &str, seen: ViewEntry) -> Result<Option<CheckoutChange>> {
    let refused = |what: &str| {
        Err(Error::fatal(format!("a command of `after` made `{}` {what}", escape(path))).hint(
            "the tree is as before; only regular files can join a bump: let the command leave them, or git ignore it",
        ))
    };
    let top = checkout.top();
    let linked = path.match_indices('/').map(|(i, _)| &path[..i]).find(|dir| top.join(dir).is_symlink());
    if let Some(dir) = linked {
        return refused(&format!("where `{}` is a link", escape(dir)));
    }
    let before = checkout.read(path)?;
    let there = top.join(path).symlink_metadata().is_ok();
    match seen {
        ViewEntry::Other => refused("a link, a pipe, a socket or a device"),
        _ if there && before.is_none() => refused("something else than the link that it was"),
        ViewEntry::Gone if before.is_none() => Ok(None),
        ViewEntry::Gone => Ok(Some(CheckoutChange {
            path: path.to_owned(),
            before,
            after: None,
            executable: Some(checkout.is_executable(path)?),
        })),
        ViewEntry::File(after, executable) => {
            let was = before.is_some() && checkout.is_executable(path)?;
            let same = before.as_ref() == Some(&after) && was == executable;
            let executable = (was != executable).then_some(executable);
            Ok((!same).then(|| CheckoutChange { path: path.to_owned(), before, after: Some(after), executable }))
        }
    }
}

/// Asks Cargo, isolated and without network, whether the lock fits the bumped manifests.
fn fits(fence: &Fence, check: &LockCheck, notes: &mut Notes<'_>) -> Result<()> {
    let ended = fence.run(&check.command, false)?;
    let (path, said) = (escape(&check.path), ended.output.trim_end());
    match LockFit::of(ended.ok, said) {
        LockFit::Fits => Ok(()),
        LockFit::Stale => Err(Error::fatal(format!("Cargo says that `{path}` does not fit the bumped manifests"))
            .detail(said.to_owned())
            .hint("the tree is as before; run `cargo update --workspace`, commit, then bump")),
        LockFit::Refused => Err(Error::fatal("Cargo cannot take the bumped tree".to_owned())
            .detail(said.to_owned())
            .hint("the tree is as before; make `cargo metadata` work, commit, then bump")),
        LockFit::Unknown => {
            notes.add(format!("note: `{path}` is not checked: {}", escape(LockFit::reason(said))));
            Ok(())
        }
    }
}

/// The configuration that is named, or that of the checkout.
fn configuration(global: &Global, checkout: &Checkout) -> Result<PathBuf> {
    if let Some(named) = &global.config {
        return Ok(named.clone());
    }
    // The nearest one above, as for every verb; but none beyond the checkout.
    let here = std::env::current_dir().context("cannot find out the current directory")?;
    let inside = here.ancestors().take_while(|d| d.starts_with(checkout.top()));
    let own = inside.map(|d| d.join("lifeboat.toml")).find(|path| path.exists());
    match own.or_else(|| Some(checkout.top().join("lifeboat.toml")).filter(|path| path.exists())) {
        Some(own) => Ok(own),
        None => Err(Error::input(format!("no `lifeboat.toml` in {}", checkout.top().display()))
            .hint("name one with `--config FILE`, or let `lifeboat init` write one from the last releases")),
    }
}

/// Reads `[version]` out of a configuration.
fn read_rules(path: &Path) -> Result<VersionRules> {
    let text = read(path)?;
    let tables: Tables = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |s| line_of(&text, s.start));
        Error::input(format!("{}:{line}: {}", path.display(), e.message())).because(e)
    })?;
    Ok(tables.version)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidData | std::io::ErrorKind::IsADirectory => {
            Error::input(format!("{}: {e}", path.display())).hint("name a text file that is there")
        }
        _ => Error::fatal(format!("{}: {e}", path.display())).because(e),
    })
}

/// The request in words, by which an interrupted bump is known again.
fn request_text(args: &BumpArgs) -> Result<String> {
    let to = args.to.as_ref().map_or_else(String::new, ToString::to_string);
    let list = args.from_tsv.as_deref().map(read).transpose()?.unwrap_or_default();
    Ok(format!("{to} {} {:?}\n{list}", args.date, args.requirements))
}

/// The changes as a diff that `git apply` takes.
fn diff(changes: &[CheckoutChange]) -> String {
    changes.iter().map(|c| unified_diff(&c.path, c.before.as_deref(), c.after.as_deref(), c.executable)).collect()
}

/// What was done, or what a dry run found, as JSON.
#[derive(Debug, Default, serde::Serialize)]
struct Report {
    /// The files are in the checkout.
    written: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<semver::Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    moves: Vec<CrateMove>,
    files: Vec<String>,
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_notes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}
