//! `report`: a page about a train: what ran where and when, what moved, what went wrong.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::project::LocalProject;
use super::{Global, Output};
use crate::effects::files;
use crate::error::Result;
use crate::journal::{Timeline, TrainState};
use crate::model::{TrainName, counted, shell_path};
use crate::report::{ReportPage, report_page};

/// Write a page that shows what ran where and when in a train: a chart of jobs and runners, what moved, what went wrong
///
/// The page is one file without scripts, for a browser. It names branches, versions and steps: it is embargoed as long as the
/// train is. The train is only read: another process may be at work on it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train [default: the one under way, or the last]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
    /// The file to write; an earlier report there is replaced
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Serialize)]
struct Report {
    train: TrainName,
    file: PathBuf,
    #[serde(flatten)]
    timeline: Timeline,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    let name = place.choose(args.train.as_ref())?;
    let seen = place.see(&name)?;
    let (records, _) = place.records(&name)?;
    let plan = seen.state.graph().plan();
    let destinations = plan.steps.iter().filter_map(|s| Some((s.id.clone(), s.step.destination()?.to_string())));
    let state = seen.state.name();
    let page = ReportPage {
        project: plan.project.clone(),
        train: name.clone(),
        state: state.to_string(),
        is_over: matches!(state, TrainState::Reconciled | TrainState::Abandoned),
        versions: plan.lines.iter().filter_map(|line| line.new.as_ref()).map(ToString::to_string).collect(),
        timeline: Timeline::of(&records),
        destinations: destinations.collect(),
    };
    files::replace(&*place.disk, &args.to, 0o600, &mut report_page(&page)?.as_slice())?;
    let text = format!(
        "wrote `{}`: {} of train `{name}`\nnext: open it in a browser, such as `xdg-open {}`",
        args.to.display(),
        counted(page.timeline.spans.len(), "attempt"),
        shell_path(&args.to)
    );
    out.result(text, &Report { train: name, file: args.to.clone(), timeline: page.timeline })?;
    Ok(ExitCode::SUCCESS)
}
