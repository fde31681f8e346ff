//! `amend`: a child plan of today's configuration and train file takes the place of the adopted one.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::project::LocalProject;
use super::{Global, Output, prompt};
use crate::config::{self, TrainRequest};
use crate::effects::NoProgress;
use crate::engine::amend::{Cost, amend, cost};
use crate::engine::{PlanInputs, Train};
use crate::error::{Error, Result};
use crate::gather::{self, Gathered};
use crate::model::{PersonId, Sha256, TrainName, escape, shell_path};
use crate::plan::{Graph, Plan, amend::changes, amend::refusals};
use crate::step::StepId;

/// Fix an adopted train whose recipe or configuration is wrong: finished steps that do not change are kept
///
/// Plans the train again from today's configuration and train file, on the same commits with the same patches, and shows
/// what differs. Once you agree, the new plan takes the place of the adopted one: steps that are equal keep what they made,
/// the others are done again, and whoever approved approves again. Not after anything is public.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train file, as it is now
    #[arg(value_name = "TRAIN.toml")]
    file: PathBuf,
    /// Why, for the journal
    #[arg(long)]
    reason: Option<String>,
    /// Amend with exactly the plan of this digest, as this command printed it, without asking
    #[arg(long, value_name = "SHA256")]
    plan: Option<Sha256>,
    /// Amend without asking
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Report {
    train: TrainName,
    /// The plan that counts now.
    plan: String,
    /// The plan that it amends.
    parent: String,
    changes: Vec<String>,
    kept: Vec<StepId>,
    done_again: Vec<StepId>,
    lapsed_approvals: Vec<PersonId>,
    /// What stays where nothing of this train looks any more.
    left_behind: Vec<String>,
    next: String,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    let request = config::load_train(&args.file, &*place.disk)?;
    let name = request.name.clone();
    let file = shell_path(&args.file);
    if !place.trains()?.contains(&name) {
        place.dir(&name).plan_is_not_lost(&*place.disk)?;
        return Err(Error::input(format!("there is no train `{name}` to amend"))
            .hint(format!("adopt it with `lifeboat ship {file}`")));
    }
    // Where the adopted plan goes and where its keys come from may be what is amended: nothing of it is pinned here.
    let effects = place.effects_in(&place.dir(&name), Arc::new(NoProgress))?;
    let train = Train::open_to_amend(&effects, place.trust()?, &place.dir(&name))?;
    train.under_way()?;
    if train.state().anything_public() {
        return Err(Error::input(format!("train `{name}` cannot be amended: something of it is public")).hint(
            "from here a train only goes forward, with `lifeboat ship`; what is wrong in it is superseded by another",
        ));
    }
    let (child, facts) = plan_again(&place, &train, args, request)?;
    let child = Arc::new(Graph::new(Arc::new(child))?);
    let parent = train.graph().clone();
    if parent.id() == child.id() {
        return nothing_differs(&train, args, out);
    }
    super::plan::same_plan(&child.id(), args.plan)?;
    let (what, state) = (changes(parent.plan(), child.plan()), train.state());
    let costs = cost(&state, &child);
    let shown = text(parent.plan(), &child, &what, &costs);
    if out.json() {
        out.note(&shown)
    } else {
        out.text(&shown)?
    }
    if args.plan.is_none() && !args.yes {
        confirm(&name, &format!("lifeboat amend {file} --plan {}", child.id()))?;
    }
    facts.write(&*place.disk, &place.dir(&name))?;
    super::runtime()?.block_on(amend(&effects, &train, child.clone(), args.reason.clone()))?;
    place.input_cache().provide(train.objects(), child.plan().tool_inputs())?;
    let next = place.advice(&train.state(), &[], place.clock.now());
    let report = Report {
        train: name,
        plan: child.id().to_string(),
        parent: parent.id().to_string(),
        changes: what,
        kept: costs.kept.into_iter().collect(),
        done_again: costs.lost.into_iter().collect(),
        lapsed_approvals: costs.lapsing.into_iter().collect(),
        left_behind: costs.left,
        next: out.pasteable(&next),
    };
    out.result(format!("\ntrain {}: amended\nnext: {next}", report.train), &report)?;
    Ok(ExitCode::SUCCESS)
}

/// The plan of today's configuration and train file, on the commits and with the patches of the adopted one.
fn plan_again(place: &LocalProject, train: &Train, args: &Args, request: TrainRequest) -> Result<(Plan, PlanInputs)> {
    let parent = train.plan();
    let not_this_way = |why: Vec<String>| {
        let name = &parent.train;
        let error = Error::conflict(format!("`{}` cannot amend train `{name}`", args.file.display()));
        why.into_iter().fold(error, Error::detail).hint(format!(
            "lines, versions and patches of an adopted train stay: put those back, or abandon the train with `lifeboat abandon \
             {name} --reason …` and plan the file under another name"
        ))
    };
    let bases = parent.lines.iter().map(|l| (l.branch.clone(), l.base.clone())).collect();
    let series = gather::series_now(&place.config, &request, &bases, place.root(), &*place.disk)?;
    let lines = crate::plan::line_differences(parent, &request, &series);
    if !lines.is_empty() {
        return Err(not_this_way(lines));
    }
    let mut pinned = gather::Pinned { bases, series: Default::default() };
    for line in &parent.lines {
        pinned.series.insert(line.branch.clone(), train.objects().get(&line.series)?);
    }
    let to = place.destinations()?;
    super::template_check::check(&place.config.templates)?;
    let mut gathered = gather::gather_pinned(
        &place.config,
        (&args.file, request),
        &pinned,
        place.root(),
        &to,
        &*place.disk,
        &*place.clock,
    )?;
    // What the train took when it was adopted, it still has.
    for input in parent.tool_inputs() {
        if train.objects().has(&input.sha256)? {
            gathered.snapshot.missing_inputs.remove(&input.sha256);
        }
    }
    let Gathered { request, snapshot, .. } = &gathered;
    let mut child = crate::plan::plan(&place.config, snapshot, request)?;
    // The same decisions again are the same plan, also if that one amended another.
    child.parent = parent.parent;
    if child.id()? != train.graph().id() {
        child.parent = Some(train.graph().id());
    }
    let why = refusals(parent, &child);
    if !why.is_empty() {
        return Err(not_this_way(why));
    }
    Ok((child, PlanInputs::of(&gathered.file, gathered.snapshot)?))
}

/// A command that was run again after it did its work has nothing to do; one that should do something says so.
fn nothing_differs(train: &Train, args: &Args, out: &Output) -> Result<ExitCode> {
    let (name, plan) = (&train.plan().train, train.graph().id());
    if args.plan == Some(plan.0) {
        let text = format!("train {name}: amended before, with this plan");
        out.result(text, &serde_json::json!({ "train": name, "plan": plan.to_string(), "changes": [] }))?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(Error::input(format!("nothing differs: today's configuration and train file give the plan of train `{name}`"))
        .detail(format!("plan {plan}"))
        .hint(format!("go on with `lifeboat ship --train {name}`")))
}

fn text(parent: &Plan, child: &Graph, what: &[String], costs: &Cost) -> String {
    let mut out = format!("train {}: what differs from the adopted plan\n", parent.train);
    for line in what {
        out.push_str(&format!("  {line}\n"));
    }
    let finished = costs.kept.len() + costs.lost.len();
    out.push_str(&format!("\nkeeps what {} of {finished} finished steps made", costs.kept.len()));
    if !costs.lost.is_empty() {
        let lost: Vec<&str> = costs.lost.iter().map(StepId::as_str).collect();
        out.push_str(&format!("; done again: {}", escape(&lost.join(", "))));
    }
    if !costs.lapsing.is_empty() {
        let people: Vec<&str> = costs.lapsing.iter().map(PersonId::as_str).collect();
        out.push_str(&format!("\napprovals lapse: {} must approve again", people.join(", ")));
    }
    for left in &costs.left {
        out.push_str(&format!("\nleft behind: {}", escape(left)));
    }
    out.push_str(&format!("\n\n{} steps; plan {}", child.len(), child.id()));
    out
}

fn confirm(train: &TrainName, command: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::input("there is no terminal to ask on; nothing was changed")
            .hint(format!("amend with exactly the plan above: `{command}`")));
    }
    prompt::for_word("the train's name", train.as_str(), "to amend it", ("--yes", "not amended"))
}
