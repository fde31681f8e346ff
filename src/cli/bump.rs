//! `lifeboat bump`: versions in a checkout, as the project's maintainers would have committed them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::bump::{
    Bump, BumpRequest, Edit, EntryKind, Hook, OnFailure, Requirements, SourceTree as _, VersionRules, bump,
    bump_listed, parse_listed,
};
use crate::checkout::{self, Applied, Checkout};
use crate::error::{Context as _, Error, Result};
use crate::formats::splice::line_of;
use crate::model::VersionStep;
use crate::runners::local::Fence;

/// Bump versions in a checkout as the project's maintainers would
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's configuration; its `[version]` table says how
    #[arg(long, value_name = "FILE", required_unless_present = "from_tsv", requires = "to")]
    config: Option<PathBuf>,
    /// The step that every version family takes
    #[arg(long, value_name = "patch|minor|release|rc|X.Y.Z")]
    to: Option<VersionStep>,
    /// Who moves where, one `crate<TAB>old<TAB>new<TAB>manifest<TAB>publish` a line, instead of a configuration
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "to"], requires = "requirements")]
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
    /// One that names the old version names the new one
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
pub fn run(args: &Args) -> Result<ExitCode> {
    let checkout = Checkout::open(&args.dir)?;
    let request = request_text(args)?;
    let found = if args.dry_run { checkout::settle(&checkout)? } else { checkout::recover(&checkout, &request)? };
    match found {
        Applied::Complete if !args.dry_run => {
            say("a bump was interrupted here after its last file: it is complete\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        Applied::Undone => warn(UNDONE)?,
        Applied::Complete | Applied::Clean => {}
    }
    let to = args.to.clone().unwrap_or(VersionStep::Patch);
    let asked = BumpRequest { to, date: args.date, tags: checkout.tags()? };
    let (made, hooks) = match (&args.config, &args.from_tsv) {
        (Some(path), _) => {
            let rules = read_rules(path)?;
            (bump(&checkout, &rules, &asked)?, rules.after)
        }
        (None, Some(path)) => {
            let listed = parse_listed(&read(path)?, &path.display().to_string())?;
            let policy = match args.requirements {
                Some(RequirementsArg::Keep) => Requirements::Keep,
                _ => Requirements::Lift,
            };
            let at_tag = |tag: &str, path: &str| checkout.at_tag(tag, path);
            (bump_listed(&checkout, &listed, policy, &asked, &at_tag)?, Vec::new())
        }
        (None, None) => return Err(Error::input("neither --config nor --from-tsv is given")),
    };
    let mut edits = made.edits.clone();
    let hooks = if args.no_hooks { Vec::new() } else { hooks };
    if !hooks.is_empty() || args.check {
        // Before anything is written: what they change is written with the rest, all or nothing.
        edits = after(&checkout, &made, &hooks, args.check)?;
    }
    if args.dry_run {
        say(&diff(&edits))?;
        tell(&made)?;
        return Ok(ExitCode::SUCCESS);
    }
    checkout::apply(&checkout, &edits, &request, std::env::current_exe().ok().as_deref())?;
    say(&format!("{} crates to {}, {} files\n", made.moves.len(), made.version, edits.len()))?;
    tell(&made)?;
    Ok(ExitCode::SUCCESS)
}

/// What is said when a half-made bump was found.
const UNDONE: &str = "a bump was killed here: its files are as before\n";

/// Makes the checkout around `dir` whole if a bump was killed in it, for verbs that look at it.
///
/// # Errors
/// A file was edited since; nothing is overwritten.
pub(super) fn settle(dir: &Path) -> Result<()> {
    match Checkout::open(dir).map(|checkout| checkout::settle(&checkout)) {
        Ok(settled) => {
            if settled? == Applied::Undone {
                warn(UNDONE)
            } else {
                Ok(())
            }
        }
        // The verb itself says what it needs of the directory.
        Err(_) => Ok(()),
    }
}

/// Runs the commands of `after` on the bumped files, in a view of the checkout, and asks Cargo there if `check` says so;
/// returns the edits with what the commands changed.
fn after(checkout: &Checkout, made: &Bump, hooks: &[Hook], check: bool) -> Result<Vec<Edit>> {
    let entries = checkout.entries()?.into_iter().filter(|e| e.kind == EntryKind::File);
    let files: Vec<String> = entries.map(|e| e.path).collect();
    let tracked: BTreeSet<String> = files.iter().cloned().collect();
    let edits = made.edits.iter().map(|e| (e.path.clone(), e.after.clone())).collect();
    let fence = Fence::new(checkout.top(), files, edits)?;
    for hook in hooks {
        let ended = fence.run(&hook.run, hook.network);
        let failure = match ended {
            Ok(ended) if ended.ok => continue,
            Ok(ended) => Error::fatal(format!("`{}` failed", hook.run)).detail(ended.output.trim_end().to_owned()),
            Err(e) => e,
        };
        match hook.on_failure {
            OnFailure::Stop => return Err(failure.hint("the tree is as before; `--no-hooks` leaves the commands out")),
            OnFailure::Warn => warn(&format!("{}\n", failure.report().replacen("error", "warning", 1)))?,
        }
    }
    if check {
        fits(&fence)?;
    }
    let mut edits: BTreeMap<String, Edit> = made.edits.iter().map(|e| (e.path.clone(), e.clone())).collect();
    for path in fence.touched()? {
        if !tracked.contains(&path) {
            // As in a train: what the tree does not have is build output.
            continue;
        }
        let (Some(before), Some(after)) = (checkout.read(&path)?, fence.read(&path)?) else { continue };
        if before == after {
            edits.remove(&path);
        } else {
            edits.insert(path.clone(), Edit { path, before, after });
        }
    }
    Ok(edits.into_values().collect())
}

/// Asks Cargo, isolated and without network, whether the lock fits the bumped manifests.
fn fits(fence: &Fence) -> Result<()> {
    let ended = fence.run("cargo metadata --locked --offline --format-version 1 > /dev/null", false)?;
    if ended.ok {
        return Ok(());
    }
    if ["--locked was passed", "because --locked"].iter().any(|words| ended.output.contains(words)) {
        return Err(Error::fatal("Cargo says that `Cargo.lock` does not fit the bumped manifests")
            .detail(ended.output.trim_end().to_owned())
            .hint("the tree is as before; run `cargo update --workspace`, commit, then bump"));
    }
    warn(&format!("note: the lock is not checked: {}\n", ended.output.trim_end()))
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
    std::fs::read_to_string(path).context(path.display())
}

/// The request in words, by which an interrupted bump is known again.
fn request_text(args: &Args) -> Result<String> {
    let to = args.to.as_ref().map_or_else(String::new, ToString::to_string);
    let list = args.from_tsv.as_deref().map(read).transpose()?.unwrap_or_default();
    Ok(format!("{to} {} {:?}\n{list}", args.date, args.requirements))
}

/// The edits as a unified diff that `git apply` takes.
fn diff(edits: &[Edit]) -> String {
    let mut out = String::new();
    for edit in edits {
        let (before, after) = (String::from_utf8_lossy(&edit.before), String::from_utf8_lossy(&edit.after));
        let diff = similar::TextDiff::from_lines(before.as_ref(), after.as_ref());
        let (a, b) = (format!("a/{}", edit.path), format!("b/{}", edit.path));
        // Writing to a string cannot fail.
        let _ = write!(out, "{}", diff.unified_diff().context_radius(3).header(&a, &b));
    }
    out
}

fn tell(made: &Bump) -> Result<()> {
    made.notes.iter().try_for_each(|note| warn(&format!("note: {note}\n")))
}

fn say(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("standard output")
}

fn warn(text: &str) -> Result<()> {
    std::io::stderr().write_all(text.as_bytes()).context("standard error")
}
