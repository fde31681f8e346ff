//! `lifeboat init`: the project's convention, learned from its history and written down.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Output;
use crate::bump::{Requirements, Unpublished, VersionRules};
use crate::checkout::{self, Checkout, Learned, ReleaseFilter, Unexpressed, learn};
use crate::error::{Context as _, Error, Result};

/// Learn how this project bumps its version, and write `lifeboat.toml`
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// The checkout
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Whose releases to learn from: the crate whose version is the project's
    #[arg(long = "crate", value_name = "NAME")]
    krate: Option<String>,
    /// The form of its tags, such as `v{version}` or `acme-v{version}`
    #[arg(long, value_name = "FORM")]
    tag: Option<String>,
    /// How many releases to look at; patch releases before others
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
pub fn run(args: &InitArgs, out: &Output) -> Result<ExitCode> {
    super::bump::settle(&args.dir, out)?;
    let checkout = Checkout::open(&args.dir)?;
    let Some(history) = checkout.history()? else {
        return Err(Error::input(format!("{}: not in a git repository", args.dir.display()))
            .hint("`init` learns from the history of releases; without it write `[version]` by hand"));
    };
    if let Some(tag) = args.tag.as_ref().filter(|t| !t.ends_with("{version}")) {
        return Err(Error::input(format!("`--tag {tag}` does not end with `{{version}}`"))
            .hint("write the form of the tags, such as `--tag 'v{version}'`"));
    }
    let wanted = ReleaseFilter { krate: args.krate.clone(), tag: args.tag.clone() };
    let started = std::time::Instant::now();
    let last = std::cell::Cell::new(None::<std::time::Instant>);
    // The first words at once, then one line in a while: large histories take minutes.
    let progress = |what: &str| {
        if last.get().is_none_or(|at| at.elapsed().as_secs() >= 5) && !out.json() {
            let seconds =
                if last.get().is_none() { String::new() } else { format!(" ({} s)", started.elapsed().as_secs()) };
            out.note(&format!("{what}{seconds}"));
            last.set(Some(std::time::Instant::now()));
        }
    };
    let learned = learn(&history.repository, args.releases, &wanted, &progress);
    let mut learned = learned.map_err(|e| match checkout.is_partial() {
        true => e.hint("this is a partial clone, which lacks old files: `git fetch --refetch --no-filter` brings them"),
        false => e,
    })?;
    // Whoever runs it knows better than history who commits releases.
    if let Some(own) = checkout.committer().and_then(|c| c.parse().ok()) {
        learned.committer = Some(own);
    }
    let name = project(&checkout);
    let text = configuration(&name, &learned)?;
    let at = checkout.top().join("lifeboat.toml");
    // What is written must be taken by every verb.
    crate::config::parse(&text, &at, &crate::wiring::registries())
        .map_err(|e| e.context("the learned configuration is not valid"))?;
    if !args.dry_run {
        let mut file = std::fs::File::create_new(&at).map_err(|e| {
            Error::input(format!("{}: {e}", at.display())).hint("`--dry-run` shows what would be written")
        })?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).context(at.display())?;
    }
    let (same, all, level, _) = confidence(&learned);
    let value = serde_json::json!({
        "written": (!args.dry_run).then_some(at),
        "configuration": text,
        "confidence": level,
        "files": { "reproduced": same, "all": all },
        "releases": learned.releases,
        "not_expressed": learned.unexpressed,
        "kept_fixed": learned.unseen,
        "left_out": learned.left_out,
        "stops": learned.stops,
    });
    let shown = if args.dry_run { text.as_str() } else { "" };
    out.result(format!("{shown}{}", report(&learned).trim_end()), &value)?;
    Ok(ExitCode::SUCCESS)
}

/// The project's name: that of the repository it comes from, or of the directory.
fn project(checkout: &Checkout) -> String {
    let url = checkout.remote("origin").unwrap_or_default();
    let named = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let name = match named.strip_suffix(".git").unwrap_or(named) {
        "" => checkout.top().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        name => name.to_owned(),
    };
    // As the configuration wants it.
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+') { c } else { '-' };
    let name: String = name.chars().map(plain).take(64).collect();
    match name.trim_start_matches(['-', '_', '.', '+']) {
        "" => "project".to_owned(),
        name => name.to_owned(),
    }
}

/// The configuration's text: only what differs from the defaults, and what it is founded on.
fn configuration(name: &str, learned: &Learned) -> Result<String> {
    let rules = &learned.rules;
    let mut out = String::new();
    let quoted = |s: &str| toml::Value::String(s.to_owned()).to_string();
    let list = |all: &[String]| all.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(", ");
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# Learned from {}", founded(learned));
    let _ = writeln!(out, "[project]\nname = {}", quoted(name));
    match &learned.committer {
        Some(committer) => {
            let _ = writeln!(out, "# who commits the releases: change it to the project's own address");
            let _ = writeln!(out, "committer = {}", quoted(&committer.to_string()));
        }
        None => {
            let _ = writeln!(out, "# who commits the releases: not found in the history, so change this");
            let _ = writeln!(out, "committer = {}", quoted(&format!("{name} release <release@example.org>")));
        }
    }
    if let Some(branches) = &learned.branches {
        let _ = writeln!(out, "branches = {}", quoted(branches));
    }
    let requirements = if rules.requirements == Requirements::Keep { "keep" } else { "lift" };
    let _ = writeln!(out, "\n[version]\ntag = {}\nrequirements = \"{requirements}\"", quoted(&rules.tag));
    if rules.unpublished == Unpublished::Move {
        let _ = writeln!(out, "unpublished = \"move\"");
    }
    if rules.final_newline {
        let _ = writeln!(out, "final_newline = true");
    }
    let defaults = VersionRules::default();
    for (key, all, usual) in [
        ("manifests", &rules.manifests, &defaults.manifests),
        ("fixed", &rules.fixed, &defaults.fixed),
        ("exclude", &rules.exclude, &defaults.exclude),
    ] {
        if all != usual {
            let _ = writeln!(out, "{key} = [{}]", list(all));
        }
    }
    if !rules.files.is_empty() {
        let files: Vec<String> = rules.files.iter().map(inline).collect::<Result<_>>()?;
        let _ = writeln!(out, "files = [\n  {},\n]", files.join(",\n  "));
    }
    if let Some(changelog) = &rules.changelog {
        let _ = writeln!(out, "changelog = {}", inline(changelog)?);
    }
    for missed in &learned.unexpressed {
        let _ = writeln!(out, "# not expressed: {}", named(missed, learned.releases.len()));
    }
    for left_out in &learned.left_out {
        let _ = writeln!(out, "# left out: {}", crate::model::escape(left_out));
    }
    if let Some(why) = &learned.stops {
        let _ = writeln!(out, "# a bump of what is checked out would stop: {}", crate::model::escape(why));
    }
    if !learned.unseen.is_empty() {
        let _ = writeln!(out, "# in none of those releases, so kept fixed: {}", list(&learned.unseen));
    }
    for family in &rules.family {
        let _ = writeln!(out, "\n[[version.family]]\nof = {}", quoted(&family.of));
        if !family.crates.is_empty() {
            let _ = writeln!(out, "crates = [{}]", list(&family.crates));
        }
        if let Some(when) = &family.when {
            let _ = writeln!(out, "when = {}", quoted(&when.to_string()));
        }
        if let Some(step) = &family.step {
            let step = toml::Value::try_from(step).context("a family's step")?;
            let _ = writeln!(out, "step = {step}");
        }
    }
    // What is written must be read again as what was learned.
    #[derive(serde::Deserialize)]
    struct Tables {
        version: VersionRules,
    }
    let read: Tables = toml::from_str(&out).context("the learned configuration")?;
    if read.version == *rules { Ok(out) } else { Err(Error::fatal("the learned rules cannot be written down")) }
}

/// A value as an inline table, without what is at its default.
fn inline<T: serde::Serialize>(value: &T) -> Result<String> {
    let toml::Value::Table(mut table) = toml::Value::try_from(value).context("a rule")? else {
        return Err(Error::fatal("a rule is not a table"));
    };
    if table.get("missing").and_then(toml::Value::as_str) == Some("stop") {
        table.remove("missing");
    }
    let mut pairs: Vec<(String, toml::Value)> = table.into_iter().collect();
    // What it is about comes first.
    pairs.sort_by_key(|(key, _)| key != "path");
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    Ok(format!("{{ {} }}", pairs.join(", ")))
}

/// The commits, in short.
fn founded(learned: &Learned) -> String {
    let one = |r: &checkout::PastRelease| format!("{} ({})", r.commit.get(..12).unwrap_or(&r.commit), r.versions.1);
    learned.releases.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn named(missed: &Unexpressed, all: usize) -> String {
    if missed.path.contains("{version}") {
        let path = crate::model::escape(&missed.path);
        return format!("{path} (a new file in {} of {all} releases)", missed.releases);
    }
    if missed.section {
        let path = crate::model::escape(&missed.path);
        return format!("{path} (in {} of {all} releases: its section is written with the release)", missed.releases);
    }
    let example = missed.example.as_ref().map_or_else(
        || "without the version in what is written there".to_owned(),
        |line| format!("such as `{}`", crate::model::escape(&line.chars().take(80).collect::<String>())),
    );
    format!("{} (in {} of {all} releases, {example})", crate::model::escape(&missed.path), missed.releases)
}

/// How many of how many files the rules reproduce, what that is worth, and what follows.
fn confidence(learned: &Learned) -> (usize, usize, &'static str, &'static str) {
    let same: usize = learned.releases.iter().map(|r| r.reproduced.len()).sum();
    let all = same + learned.releases.iter().map(|r| r.differing.len()).sum::<usize>();
    let (level, advice) = match (same * 100).checked_div(all) {
        Some(100) if learned.releases.len() > 2 => ("high", ""),
        Some(90..) => ("good", ""),
        Some(60..) => ("middling", ": read what is not expressed"),
        _ => ("low", ": write `[version]` by hand, with this as a beginning"),
    };
    (same, all, level, advice)
}

fn report(learned: &Learned) -> String {
    let mut out = String::from("learned from:\n");
    for release in &learned.releases {
        let (good, bad) = (release.reproduced.len(), release.differing.len());
        let (old, new) = &release.versions;
        let subject = crate::model::escape(&release.subject);
        let commit = release.commit.get(..12).unwrap_or(&release.commit);
        let _ =
            writeln!(out, "  {commit} {} {old} -> {new}: {good} files reproduced, {bad} not ({subject})", release.date);
        if let Some(why) = &release.refused {
            let _ = writeln!(out, "    the rules do not fit it: {why}");
        }
    }
    let (same, all, level, advice) = confidence(learned);
    let _ = writeln!(
        out,
        "confidence: {level}{advice}; {same} of {all} files with a version in them are reproduced to the byte"
    );
    for missed in &learned.unexpressed {
        let _ = writeln!(out, "not expressed: {}", named(missed, learned.releases.len()));
    }
    if !learned.unseen.is_empty() {
        let names = crate::model::escape(&learned.unseen.join(", "));
        let _ = writeln!(out, "kept fixed, since no release had them: {names}");
    }
    for left_out in &learned.left_out {
        let _ = writeln!(out, "left out: {}", crate::model::escape(left_out));
    }
    if let Some(why) = &learned.stops {
        let _ = writeln!(out, "a bump of what is checked out would stop: {why}");
    }
    let other: usize = learned.releases.iter().map(|r| r.other.len()).sum();
    if other > 0 {
        let _ = writeln!(out, "left out: {other} changes of the same commits that carry no version (fixes, prose)");
    }
    out
}
