//! `drill`: a whole train of a sample project on embedded defaults, with GitHub unreachable.

mod manual;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::project::LocalProject;
use super::{Global, Output};
use crate::drill::{BlackHole, PEOPLE, SampleProject, THRESHOLD};
use crate::effects::{Clock as _, ProgressEvent};
use crate::engine::approve::{approve, review};
use crate::engine::{Ended, Question, Train, run as engine_run};
use crate::error::{Context as _, Error, Result};
use crate::formats::layout;
use crate::gather;
use crate::host::HostClock;
use crate::model::{PersonId, TrainName, shell_path, shell_word};
use crate::trust::{self, RootChoice};

/// Written when the sample is whole: a drill that was interrupted before starts over, one after goes on.
const MARKER: &str = ".lifeboat-drill";

/// Ship a sample train with GitHub unreachable: two lines, throwaway keys, a store in this directory
///
/// Everything lies in one new directory. Run again after an interruption, it goes on where it stopped.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory for the sample project, its state and its store [default: lifeboat-drill]
    #[arg(value_name = "DIR")]
    place: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "DIR", conflicts_with = "place", hide = true)]
    dir: Option<PathBuf>,
    /// Make the sample and ship nothing: print the commands of the runbook, for you to run
    #[arg(long)]
    manual: bool,
}

impl Args {
    fn dir(&self) -> &Path {
        self.place.as_deref().or(self.dir.as_deref()).unwrap_or(Path::new("lifeboat-drill"))
    }
}

#[derive(Serialize)]
struct Report {
    train: TrainName,
    state: crate::journal::TrainState,
    seconds: f64,
    deferred: Vec<String>,
    check: Vec<String>,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let start = Instant::now();
    let dir = std::path::absolute(args.dir()).context("cannot find out where the drill's directory is")?;
    if args.manual {
        return manual::run(global, &dir, out);
    }
    let (sample, _hole) = prepare(&dir)?;
    out.text(format!(
        "drill in {}\n  a sample project with {} release lines and an embargoed fix for each; throwaway keys of {};\n  \
         GitHub is a black hole: it takes connections and never answers\n",
        dir.display(),
        crate::drill::LINES.len(),
        PEOPLE.join(", ")
    ))?;
    let local =
        Global { config: Some(sample.project().join("lifeboat.toml")), state: Some(sample.state()), ..global.clone() };
    let place = LocalProject::open(&local)?;
    pin(&place)?;
    let train = ship(&place, &sample, out)?;
    let state = train.state();
    let report = Report {
        train: train.plan().train.clone(),
        state: state.name(),
        seconds: start.elapsed().as_secs_f64(),
        deferred: state.deferred().map(|(id, why, _)| format!("{id}: {why}")).collect(),
        check: stranger(args.dir(), &train),
    };
    let mut text = format!("\ntrain {}: {} in {:.1} s", report.train, report.state, report.seconds);
    for deferred in &report.deferred {
        text.push_str(&format!("\n  deferred  {deferred}"));
    }
    text.push_str("\n\nwhat a stranger would run, in this directory:\n");
    for line in &report.check {
        text.push_str(&format!("\n  {line}"));
    }
    out.result(text, &report)?;
    Ok(ExitCode::SUCCESS)
}

/// The sample, made afresh unless a whole one is there, and its black hole.
fn prepare(dir: &Path) -> Result<(SampleProject, BlackHole)> {
    let marker = dir.join(MARKER);
    if marker.exists() {
        let sample = SampleProject::at(dir);
        let hole = BlackHole::again(&sample.github()?).map_err(|e| {
            e.context("the drill cannot go on").hint(format!(
                "another drill may be under way in `{}`; name another directory: `lifeboat drill DIR`",
                dir.display()
            ))
        })?;
        return Ok((sample, hole));
    }
    let begun = begin(dir)?;
    let hole = BlackHole::open()?;
    let sample = make(dir, hole.address())?;
    std::fs::rename(&begun, &marker).context("cannot mark the drill as begun")?;
    Ok((sample, hole))
}

/// Clears what an interrupted drill left, and marks the directory as a drill's; gives the mark.
fn begin(dir: &Path) -> Result<PathBuf> {
    let begun = dir.join(format!("{MARKER}-begun"));
    if dir.exists() {
        if !begun.exists() {
            return Err(Error::input(format!("`{}` exists already and was not made by a drill", dir.display()))
                .hint("name another directory: `lifeboat drill DIR`"));
        }
        std::fs::remove_dir_all(dir).context(format!("cannot clear the interrupted drill in `{}`", dir.display()))?;
    }
    std::fs::create_dir_all(dir).context(format!("cannot make `{}`", dir.display()))?;
    std::fs::write(&begun, "").context("cannot begin the drill")?;
    Ok(begun)
}

fn make(dir: &Path, github: &str) -> Result<SampleProject> {
    let now = HostClock.now();
    SampleProject::create(dir, github, now, now)
}

/// In a drill nobody is there to read the digest aloud: the sample's own root is the trusted one.
fn pin(place: &LocalProject) -> Result<()> {
    let keys = &place.config.project.keys;
    let now = place.clock.now();
    let root = trust::load(&*place.disk, keys, Some(&place.config.project.name), RootChoice::Directory, now)?;
    trust::pin_root(trust::Memory { disk: &*place.disk, state_dir: place.root() }, &root)
}

fn ship(place: &LocalProject, sample: &SampleProject, out: &Output) -> Result<Arc<Train>> {
    let name = TrainName::new("drill")?;
    let effects = place.effects(&name, out.progress())?;
    let train = if place.trains()?.contains(&name) {
        Train::open(&effects, place.trust()?, &place.dir(&name))?
    } else {
        let gathered = gather::gather(
            &place.config,
            &sample.train_file(),
            place.root(),
            &place.destinations()?,
            &*place.disk,
            &*place.clock,
        )?;
        let plan = crate::plan::plan(&place.config, &gathered.snapshot, &gathered.request)?;
        super::ship::adopt(place, &effects, &place.dir(&name), &plan, &gathered)?
    };
    let train = Arc::new(train);
    let runtime = super::runtime()?;
    let mut ended = runtime.block_on(engine_run(&effects, train.clone()))?;
    if let Ended::Asks(Question::Approve { have, .. }) = &ended {
        let reviewed = runtime.block_on(review(&effects, &train, &place.config.project.repository))?;
        let missing = PEOPLE.iter().filter(|p| have.iter().all(|h| h.as_str() != **p));
        for person in missing.take((THRESHOLD as usize).saturating_sub(have.len())) {
            approve(&effects, &train, &reviewed, &PersonId::new(*person)?)?;
            effects.progress.event(ProgressEvent::Note(format!("approved  by {person}, with a throwaway key")));
        }
        ended = runtime.block_on(engine_run(&effects, train.clone()))?;
    }
    effects.progress.event(ProgressEvent::Ended);
    match ended {
        Ended::Done(_) => Ok(train),
        Ended::Stuck(mut errors) => {
            let first = errors.drain(..).next();
            Err(first.map_or_else(|| Error::fatal("the drill stopped"), |(_, e)| e))
        }
        Ended::Asks(_) | Ended::Waits(..) => Err(Error::fatal("the drill stopped at its gate")),
    }
}

/// The lines that a stranger would run on what is public now, with tools that they already have.
fn stranger(shown: &Path, train: &Train) -> Vec<String> {
    let store = shown.join("store");
    let at = |path: &str| shell_path(&store.join(path));
    // The shell fills the star in, so it stands outside of the quotes.
    let mut out = vec![format!("export GNUPGHOME=$(mktemp -d) && gpg --quiet --import {}/*.asc", at(layout::KEYS))];
    let mut tags = Vec::new();
    for line in train.plan().releases() {
        let (Some(version), Some(tag)) = (&line.new, &line.tag) else { continue };
        let dir = layout::release(version);
        out.push(format!("(cd {} && sha256sum -c SHA256SUMS)", at(&dir)));
        for person in train.state().approvals().iter().map(|(a, _)| &a.person) {
            let (signature, sums) = (format!("{dir}/SHA256SUMS.{person}.asc"), format!("{dir}/SHA256SUMS"));
            out.push(format!("gpg --verify {} {}", at(&signature), at(&sums)));
        }
        tags.push(tag.to_string());
    }
    let name = &train.plan().project;
    // Its memory lies in the drill's directory: the next drill there is another project to it.
    let (program, state, root) = (program(), shell_path(&shown.join("stranger")), train.trust().digest);
    out.push(format!("{program} --state {state} verify --pin {root} latest {}", shell_path(&store)));
    out.push(format!("git clone --quiet {} {name}-clone", at(&layout::repository(name))));
    for tag in tags {
        out.push(format!("git -C {name}-clone tag -v {}", shell_word(&tag)));
    }
    out
}

/// This program as a shell finds it: by its name if `PATH` leads to it, else by its path.
fn program() -> String {
    let Some(here) = std::env::current_exe().ok() else { return "lifeboat".to_owned() };
    let same = |dir: std::path::PathBuf| dir.join("lifeboat").canonicalize().is_ok_and(|found| found == here);
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(same) { "lifeboat".to_owned() } else { shell_path(&here) }
}
