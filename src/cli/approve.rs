//! `approve`: look at everything again, then sign once.

mod bundle;

use std::path::PathBuf;
use std::process::ExitCode;

use super::project::LocalProject;
use super::{Global, Output, prompt};
use crate::adapter::{SignerTable, Spec};
use crate::effects::Signer;
use crate::engine::approve::{Review, approve, review};
use crate::engine::{NOTE, Train, approvals};
use crate::error::{Context as _, Error, Result};
use crate::model::{Fingerprint, PersonId, TrainName, escape};
use crate::signers;
use crate::trust::TrustedRoot;

/// Look at everything that a train would publish, and approve it as one person
///
/// Commits and source archives are made again from your own clone, every staged file is read back and hashed; then the
/// approval and your detached signatures over the sums are made together.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train [default: the one under way]
    #[arg(value_name = "TRAIN", conflicts_with = "bundle")]
    train: Option<TrainName>,
    /// Review the train in this bundle, which `lifeboat export` made on the operator's machine
    #[arg(long, value_name = "FILE", requires = "to")]
    bundle: Option<PathBuf>,
    /// Write the approval of a bundle to this file; an existing file is never overwritten
    #[arg(id = "to", long = "out", value_name = "FILE", requires = "bundle")]
    to: Option<PathBuf>,
    /// Who approves, as the trust root names them
    #[arg(long = "as", value_name = "PERSON")]
    person: PersonId,
    /// Sign with the secret key in this file, whatever the configuration says
    #[arg(long, value_name = "FILE", conflicts_with = "gpg")]
    key: Option<PathBuf>,
    /// Sign with this key of the gpg-agent, whatever the configuration says
    #[arg(long, value_name = "FINGERPRINT")]
    gpg: Option<Fingerprint>,
    /// Show the whole change of every line
    #[arg(long)]
    diff: bool,
    /// Approve without asking
    #[arg(long)]
    yes: bool,
}

/// The exit code where a person must act.
const WAITS: u8 = 3;

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    if let (Some(bundle), Some(to)) = (&args.bundle, &args.to) {
        return bundle::run(&place, args, bundle, to, out);
    }
    let name = chosen(&place, args)?;
    let mut effects = place.effects(&name, out.progress())?;
    if let Some(source) = own_key(&place, args)? {
        effects.keys = place.keys_with(&effects, &args.person, source);
    }
    let train = Train::open(&effects, place.trust()?, &place.dir(&name))?;
    train.under_way()?;
    may_approve(train.trust(), &args.person)?;
    let reviewed = super::runtime()?.block_on(review(&effects, &train, &place.config.project.repository))?;
    let mut shown = text(&reviewed);
    // What planning found and no line says itself, such as a branch that was behind its remote.
    for note in super::plan::of_lines(train.plan()) {
        if !note.split_once(": ").is_some_and(|(_, what)| shown.contains(what)) {
            shown.push_str(&format!("\n! {note}"));
        }
    }
    let shown = shown + "\n" + &super::advisory::texts(train.plan());
    let advisories: Vec<_> = train.plan().published_advisories().collect();
    if out.json() && !args.yes {
        // Nobody should approve what they have not seen, and standard output is one JSON value.
        let value =
            serde_json::json!({ "approved": false, "train": name, "review": reviewed, "advisories": advisories });
        out.result("", &value)?;
        return Ok(ExitCode::from(WAITS));
    }
    out.text(shown.trim_end())?;
    if args.diff {
        out.text(diffs(&reviewed))?;
    }
    if !args.yes {
        prompt::for_word("the train's name", name.as_str(), "to approve all of this", ("--yes", "not approved"))?;
    }
    let expires = approve(&effects, &train, &reviewed, &args.person)?;
    let approved = approvals(&train.view(), effects.clock.now())?.counted;
    let next = place.advice(&train.state(), &approved, effects.clock.now());
    out.result(
        format!("\napproved by {}, until {}\nnext: {next}", args.person, crate::model::utc(expires)),
        &serde_json::json!({
            "approved": true, "train": name, "person": args.person, "expires": expires, "review": reviewed,
            "advisories": advisories,
        }),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The train that is meant; where none is under way here, one of another machine may be.
fn chosen(place: &LocalProject, args: &Args) -> Result<TrainName> {
    let elsewhere = |e| super::remote_trains::elsewhere(place, &args.person, e);
    let name = place.choose(args.train.as_ref()).map_err(elsewhere)?;
    let seen = place.see(&name)?;
    if args.train.is_none() && !seen.under_way() {
        let how = match seen.state.abandoned() {
            Some(reason) => format!("was abandoned: {}", escape(reason)),
            None => "is not under way any more".to_owned(),
        };
        return Err(elsewhere(Error::input(format!("train `{name}` {how}, and no other one is under way"))));
    }
    Ok(name)
}

/// The key that the person names. The configuration is everybody's, and its sources are pinned with the plan; whoever
/// approves may keep the key elsewhere, and says so for this once.
fn own_key(place: &LocalProject, args: &Args) -> Result<Option<Spec<dyn Signer>>> {
    if let Some(fingerprint) = &args.gpg {
        return Ok(Some(signers::gpg::key(fingerprint.clone())));
    }
    let Some(file) = &args.key else { return Ok(None) };
    let path = std::path::absolute(file).context(format!("cannot find out where `{}` is", file.display()))?;
    let (setting, repository) = (format!("signing.people.{}", args.person), place.config.project.repository.clone());
    Ok(Some(signers::file::key(SignerTable { setting, repository }, path)))
}

/// Asked before the review, which may take long.
fn may_approve(trust: &TrustedRoot, person: &PersonId) -> Result<()> {
    let people = &trust.root.roles.approve.people;
    if people.contains(person) {
        return Ok(());
    }
    let names: Vec<&str> = people.iter().map(PersonId::as_str).collect();
    Err(Error::input(format!("`{person}` is not one of those who approve: {}", names.join(", ")))
        .hint("`lifeboat trust show` says who may do what"))
}

/// What was reviewed, as a person reads it.
pub(super) fn text(review: &Review) -> String {
    let mut out = format!("content {}", review.content);
    for line in &review.lines {
        let version = line.version.as_ref().map_or_else(|| "carries the fix".to_owned(), ToString::to_string);
        out.push_str(&format!(
            "\n\nline {}: {version}\n  commit {} (made again from your clone: equal)",
            line.branch, line.commit
        ));
        for patch in &line.patches {
            out.push_str(&format!("\n  patch {} ({})", escape(&patch.subject), escape(&patch.author.to_string())));
        }
        out.push_str(&format!("\n  changes {}", escape(&line.changed.join(", "))));
        out.push_str(&super::plan::deletes(&line.deleted));
        for path in &line.sensitive {
            out.push_str(&format!("\n  ! a patch touches `{path}`, which decides how things are built"));
        }
        for path in &line.by_hooks {
            out.push_str(&format!("\n  ! the project's own commands changed `{}` in the bump commit", escape(path)));
        }
        for warning in &line.warnings {
            let mark = if warning.starts_with(NOTE) { "" } else { "! " };
            out.push_str(&format!("\n  {mark}{}", escape(warning)));
        }
        if line.version.is_some() {
            out.push_str(&format!(
                "\n  source archive made again: equal\n  {} staged files read back: equal",
                line.files
            ));
            for why in &line.from_bundle {
                out.push_str(&format!("\n  ! read from the bundle, not from the store: {}", escape(why)));
            }
            if !line.built_once.is_empty() {
                out.push_str(&format!("\n  built by one pool only: {}", line.built_once.join(", ")));
            }
        }
    }
    out
}

/// The changes themselves, with nothing hidden in them.
fn diffs(review: &Review) -> String {
    let mut out = String::new();
    for line in &review.lines {
        out.push_str(&format!("\n==== line {}\n", line.branch));
        for text in line.diff.split_terminator('\n') {
            out.push_str(&escape(&text.replace('\t', "    ")));
            out.push('\n');
        }
    }
    out
}
