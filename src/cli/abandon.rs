//! `abandon`: end a train before anything of it is public.

use std::collections::BTreeSet;
use std::process::ExitCode;

use semver::Version;
use serde::Serialize;

use super::project::LocalProject;
use super::{Global, Output, remote_trains};
use crate::effects::Effects;
use crate::engine::index::{IndexWriter, ReleaseHistory};
use crate::engine::truncated_journal::nothing_is_public_yet;
use crate::engine::{Train, branch_holds};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Event, State};
use crate::model::{RunnerName, StoreName, TrainName};

/// Abandon a train before anything of it is public
///
/// Its jobs are ended and their files removed. Versions that somebody approved are retired: signatures over them exist, so
/// they are never released. The index of each store says so at once if the store can be reached, or with the next `refresh` or the
/// next train.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train [default: the one under way]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
}

/// What was done in a store.
#[derive(Serialize)]
struct StoreOutcome {
    store: StoreName,
    /// Why the staged files are still there; none if they are gone.
    not_cleared: Option<String>,
    /// Why its index does not say yet that the versions are retired; none if it does, or if there are none.
    not_notified: Option<String>,
}

/// What became of the jobs of a runner.
#[derive(Serialize)]
struct Jobs {
    runner: RunnerName,
    /// Why they may still run; none if they are ended and their files are gone.
    not_ended: Option<String>,
}

#[derive(Serialize)]
struct Report {
    train: TrainName,
    retired: BTreeSet<Version>,
    /// Whether an approval was recorded here, now or before it lapsed.
    signed: bool,
    /// The trains of other machines for which versions stay free.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spared: Vec<String>,
    runners: Vec<Jobs>,
    stores: Vec<StoreOutcome>,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    let name = place.choose(args.train.as_ref())?;
    let effects = place.effects_to_abandon(&name, out.progress())?;
    let train = Train::open_to_abandon(&effects, place.trust()?, &place.dir(&name))?;
    let state = train.state();
    if state.anything_public() {
        return Err(Error::input(format!("train `{name}` cannot be abandoned: something of it is public")).hint(
            "from here a train only goes forward, with `lifeboat ship`; what is wrong in it is superseded by another",
        ));
    }
    let runtime = super::runtime()?;
    // The same command again finishes what an interrupted one left.
    if state.abandoned().is_none() {
        runtime.block_on(nothing_is_public_yet(&effects, &state))?;
        let recorded = || train.journal().append(Event::Abandoned { reason: args.reason.clone() });
        if let Err(e) = recorded() {
            // A job may have filled the disk: the jobs end, and their files, which are of no use any more, make room.
            drop(runtime.block_on(end_jobs(&effects, &state)));
            drop(place.disk.remove_dir_all(&train.dir().jobs()));
            recorded().map_err(|_| e)?;
        }
    }
    // Before anybody reads that the train is abandoned: jobs hold the embargoed sources.
    let runners = runtime.block_on(end_jobs(&effects, &state));
    let mut retired = place.release_claims(&train)?;
    let rivals = remote_trains::with(&place, &retired)?;
    retired.retain(|v| rivals.iter().all(|other| !other.note.versions.contains(v)));
    let spared = rivals.iter().map(remote_trains::described).collect();
    // Another train whose journal cannot be read keeps nobody from giving this one up.
    let past = place.past();
    let stores = runtime.block_on(clear_and_retire(&effects, &train, &retired, &past));
    let down = runners.iter().any(|r| r.not_ended.is_some())
        || stores.iter().any(|s| s.not_cleared.is_some() || s.not_notified.is_some());
    let signed = !state.approvals().is_empty() || !state.lapsed().is_empty();
    let report = Report { train: name, retired, signed, spared, runners, stores };
    out.result(text(&report), &report)?;
    Ok(if down { ExitCode::from(ErrorKind::Unreachable.exit_code()) } else { ExitCode::SUCCESS })
}

/// Ends the train's jobs on every runner. One that is down keeps nothing from the rest.
async fn end_jobs(effects: &Effects, state: &State) -> Vec<Jobs> {
    let mut jobs = Vec::new();
    for runner in &effects.runners {
        let ended = match state.nonce() {
            Some(train) => runner.sweep(train).await,
            None => Ok(()),
        };
        jobs.push(Jobs { runner: runner.name().clone(), not_ended: ended.err().map(|e| e.message().to_owned()) });
    }
    for i in 0..state.graph().len() {
        for job in &state.at(i).jobs {
            if jobs.iter().all(|j| j.runner != job.runner) {
                let not_ended = Some("the configuration has no such runner now".to_owned());
                jobs.push(Jobs { runner: job.runner.clone(), not_ended });
            }
        }
    }
    jobs
}

/// Clears every store's staging area, and has every store's index say what is retired. The train is abandoned and its claims
/// hold already: a store that is down keeps nothing from that.
async fn clear_and_retire(
    effects: &Effects,
    train: &Train,
    retired: &BTreeSet<Version>,
    past: &Result<ReleaseHistory>,
) -> Vec<StoreOutcome> {
    let (trust, objects) = (train.trust(), train.objects());
    let areas = train.state().staging_areas();
    let mut outcomes = Vec::new();
    for store in effects.stores.values() {
        let mut cleared = Ok(());
        for area in &areas {
            cleared = cleared.and(store.clear_staging(area).await);
        }
        let cleared = match cleared {
            Ok(()) => branch_holds::release_in(effects, train, &**store).await,
            failed => failed,
        };
        let why = |e: &Error| e.message().to_owned();
        let not_notified = match past {
            _ if retired.is_empty() => None,
            Err(e) => Some(why(e)),
            Ok(past) => {
                let writer = IndexWriter { effects, trust, objects, released: &past.released };
                writer.retire(&**store, retired).await.err().as_ref().map(why)
            }
        };
        let not_cleared = cleared.err().as_ref().map(why);
        outcomes.push(StoreOutcome { store: store.name().clone(), not_cleared, not_notified });
    }
    outcomes
}

fn text(report: &Report) -> String {
    let mut text = format!("train `{}` is abandoned", report.train);
    if report.retired.is_empty() && report.spared.is_empty() {
        text.push_str("; nobody had approved and no bundle of it was written, so its versions are free again");
    }
    if !report.retired.is_empty() {
        let retired: Vec<String> = report.retired.iter().map(ToString::to_string).collect();
        let (versions, end) = (retired.join(", "), "so these versions are retired: they will never be released");
        text.push_str(&match report.signed {
            true => format!("; signatures over {versions} exist, {end}"),
            false => format!("; its review bundle was written, and whoever has it may have signed {versions}, {end}"),
        });
    }
    for other in &report.spared {
        text.push_str(&format!("\n  not retired, for it is to be released: {other}"));
    }
    for jobs in &report.runners {
        let runner = &jobs.runner;
        match &jobs.not_ended {
            None => text.push_str(&format!("\n  its jobs on runner `{runner}` are ended, and their files removed")),
            Some(why) => text.push_str(&format!(
                "\n  its jobs on runner `{runner}` may still run, with the embargoed sources: {why}; the same command \
                 again ends them"
            )),
        }
    }
    for outcome in &report.stores {
        let store = &outcome.store;
        match &outcome.not_cleared {
            None => text.push_str(&format!("\n  its staged files in store `{store}` are removed")),
            Some(why) => text.push_str(&format!(
                "\n  its staged files are still in store `{store}`: {why}; the same command again removes them"
            )),
        }
        match &outcome.not_notified {
            _ if report.retired.is_empty() => {}
            None => text.push_str(&format!("\n  the index of store `{store}` says so")),
            Some(why) => text.push_str(&format!(
                "\n  the index of store `{store}` does not say so yet: {why}; `lifeboat refresh` tries again"
            )),
        }
    }
    text
}
