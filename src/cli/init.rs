//! `lifeboat init`: the project's convention, learned from its history and written down.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::bump::Requirements;
use crate::checkout::{Checkout, Learned, learn};
use crate::error::{Context as _, Error, Result};

/// Learn how this project bumps its version, and write `lifeboat.toml`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkout
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// How many patch releases to look at
    #[arg(long, value_name = "N", default_value_t = 5)]
    releases: usize,
    /// Print the configuration, write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is no history to learn from, or a `lifeboat.toml` already.
pub fn run(args: &Args) -> Result<ExitCode> {
    super::bump::settle(&args.dir)?;
    let checkout = Checkout::open(&args.dir)?;
    let Some(repository) = checkout.repository() else {
        return Err(Error::input(format!("{}: not in a git repository", args.dir.display()))
            .hint("`init` learns from the history of releases; without it write `[version]` by hand"));
    };
    let learned = learn(repository, args.releases)?;
    let name = checkout.top().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let text = configuration(&name, &learned)?;
    let mut out = std::io::stdout();
    if args.dry_run {
        out.write_all(text.as_bytes()).context("standard output")?;
    } else {
        let at = checkout.top().join("lifeboat.toml");
        let mut file = std::fs::File::create_new(&at).map_err(|e| {
            Error::input(format!("{}: {e}", at.display())).hint("`--dry-run` shows what would be written")
        })?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).context(at.display())?;
    }
    out.write_all(report(&learned).as_bytes()).context("standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration's text: only what differs from the defaults, and what it is founded on.
fn configuration(name: &str, learned: &Learned) -> Result<String> {
    let rules = &learned.rules;
    let mut out = String::new();
    let quoted = |s: &str| toml::Value::String(s.to_owned()).to_string();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "[project]\nname = {}\n\n[version]", quoted(name));
    let requirements = if rules.requirements == Requirements::Keep { "keep" } else { "lift" };
    let _ = writeln!(out, "tag = {}\nrequirements = \"{requirements}\"", quoted(&rules.tag));
    if !rules.fixed.is_empty() {
        let list: Vec<String> = rules.fixed.iter().map(|f| quoted(f)).collect();
        let _ = writeln!(out, "fixed = [{}]", list.join(", "));
    }
    if !rules.files.is_empty() {
        let file = |f: &crate::bump::VersionFile| -> Result<String> {
            let style = toml::Value::try_from(f.style).context("a style")?;
            Ok(format!("{{ path = {}, style = {style} }}", quoted(&f.path)))
        };
        let list: Vec<String> = rules.files.iter().map(file).collect::<Result<_>>()?;
        let _ = writeln!(out, "files = [{}]", list.join(", "));
    }
    if let Some(c) = &rules.changelog {
        let (path, unreleased, released) = (quoted(&c.path), quoted(&c.unreleased), quoted(&c.released));
        let _ = writeln!(out, "changelog = {{ path = {path}, unreleased = {unreleased}, released = {released} }}");
    }
    for (path, count) in missed(learned) {
        let _ = writeln!(
            out,
            "# {path}: changed in {count} of {} releases in a way that is not expressed here",
            learned.releases.len()
        );
    }
    for family in &rules.family {
        let _ = writeln!(out, "\n[[version.family]]\nof = {}", quoted(&family.of));
    }
    // What is written must be read again as what was learned.
    #[derive(serde::Deserialize)]
    struct Tables {
        version: crate::bump::VersionRules,
    }
    let read: Tables = toml::from_str(&out).context("the learned configuration")?;
    if read.version == *rules { Ok(out) } else { Err(Error::fatal("the learned rules cannot be written down")) }
}

/// The files that the rules do not reproduce, with how often.
fn missed(learned: &Learned) -> BTreeMap<&str, usize> {
    let mut out = BTreeMap::new();
    for path in learned.releases.iter().flat_map(|r| &r.differing) {
        *out.entry(path.as_str()).or_default() += 1;
    }
    out
}

fn report(learned: &Learned) -> String {
    let (mut same, mut all) = (0, 0);
    let mut out = String::from("learned from:\n");
    for release in &learned.releases {
        same += release.reproduced.len();
        all += release.reproduced.len() + release.differing.len();
        let (old, new) = &release.versions;
        let (good, bad) = (release.reproduced.len(), release.differing.len());
        let subject = crate::model::escape(&release.subject);
        let _ =
            writeln!(out, "  {} {old} -> {new}: {good} files reproduced, {bad} not ({subject})", &release.commit[..12]);
    }
    let _ = writeln!(out, "confidence: {same} of {all} changed files are reproduced to the byte");
    for (path, count) in missed(learned) {
        let _ = writeln!(out, "not expressed: {} ({count} releases)", crate::model::escape(path));
    }
    out
}
