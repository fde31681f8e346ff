//! `plan`: what a train would do, before anything is done.

mod upload_times;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::project::LocalProject;
use super::{Global, Output, remote_trains};
use crate::error::{Error, Result};
use crate::gather;
use crate::model::{PersonId, Sha256, StoreName, escape, shell_path};
use crate::plan::{FORGE_NOTE, Graph, Plan, PlanId, plan};
use crate::site::human_size;
use crate::step::{Checksum, Encrypt, Exposure, Gate, PlannedStep, Quorum, ToolInput};

/// Show what a train would do; nothing is done and nothing is kept
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train file
    #[arg(value_name = "TRAIN.toml")]
    file: PathBuf,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    super::config_check::check(&place)?;
    super::config_check::warn_of_embargoed(&place, &args.file, out);
    let to = place.destinations()?;
    let gathered = gather::gather(&place.config, &args.file, place.root(), &to, &*place.disk, &*place.clock)?;
    let plan = plan(&place.config, &gathered.snapshot, &gathered.request)?;
    let warnings = super::ship::hidden(&place.config, &to)?;
    let runners = super::runners_seen::look(&place, &plan)?;
    let times = upload_times::text(&place.config, &gathered.snapshot);
    out.result(text(&plan, &args.file, &times)?, &plan)?;
    for runner in runners {
        out.note(&format!("\n{runner}"));
    }
    for warning in warnings {
        out.note(&format!("\n! {warning}"));
    }
    let versions = plan.releases().filter_map(|l| l.new.clone()).collect();
    for other in remote_trains::with(&place, &versions)? {
        out.note(&format!(
            "\n! {}: adopting this plan here is refused\n  {}",
            remote_trains::described(&other),
            remote_trains::how(&other, "NAME")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn who_approve(threshold: u32) -> String {
    if threshold == 1 { "1 person runs".to_owned() } else { format!("{threshold} people run") }
}

/// The plan of a train file as people review it where it is planned.
fn text(plan: &Plan, file: &Path, times: &str) -> Result<String> {
    let adopt = format!("\nadopt exactly this plan with `lifeboat ship {} --plan {}`", shell_path(file), plan.id()?);
    Ok(shared(plan)? + times + &adopt)
}

/// A plan as people review it on any machine.
pub(super) fn shared(plan: &Plan) -> Result<String> {
    let id = plan.id()?;
    let mut out = format!("train {} of {}, dated {}\n", plan.train, plan.project, crate::model::utc(plan.date));
    if !plan.advisories.is_empty() {
        let ids: Vec<&str> = plan.advisories.iter().map(|a| a.as_str()).collect();
        out.push_str(&format!("fixes {}\n", ids.join(", ")));
    }
    for line in &plan.lines {
        let versions = match (&line.old, &line.new, &line.tag) {
            (Some(old), Some(new), Some(tag)) => format!("{old} -> {new}, tag {tag}"),
            _ => "carries the fix only".to_owned(),
        };
        out.push_str(&format!("\nline {}: {versions}\n  on {}\n", line.branch, line.base));
        for patch in &line.patches {
            out.push_str(&format!("  patch {} ({})\n", escape(&patch.subject), escape(&patch.author.to_string())));
            out.push_str(&format!("    touches {}\n", touched(&patch.touches)));
        }
        if line.patches.is_empty() {
            out.push_str("  no patches\n");
        }
        if !line.deletes.is_empty() {
            out.push_str(&format!("{}\n", deletes(&line.deletes).trim_start_matches('\n')));
        }
        let files = artifacts(plan, line);
        if !files.is_empty() {
            out.push_str(&format!(
                "  publishes {} and the source archive, bundle, manifest and sums\n",
                files.join(", ")
            ));
        }
    }
    out.push_str(&super::advisory::texts(plan));
    if !plan.workflows.is_empty() {
        out.push_str("\nstarts of the project's own workflows:\n");
        for started in &plan.workflows {
            let by: Vec<&str> = started.by.iter().map(String::as_str).collect();
            let (forge, file, trigger) = (&started.forge, escape(&started.file), started.trigger);
            out.push_str(&format!("  {forge} {file}, {}: {trigger} ({})\n", started.branch, escape(&by.join("; "))));
        }
    }
    out.push_str("\nto:\n");
    for (name, place) in &plan.destinations {
        out.push_str(&format!("  {name}: {}\n", escape(place)));
    }
    out.push_str(&encrypted(plan));
    if let Some((_, quorum)) = plan.all::<Quorum>().next() {
        let stores: Vec<&str> = quorum.of.keys().map(StoreName::as_str).collect();
        let (at_least, of) = (quorum.at_least, stores.len());
        out.push_str(&format!("  released when {at_least} of {of} stores have the train: {}\n", stores.join(", ")));
    }
    out.push_str(
        "\nkeys and secrets, none of which is read before the plan is adopted (a dry run has placeholders):\n",
    );
    for (name, from) in &plan.secrets {
        out.push_str(&format!("  {name}: {}\n", escape(from)));
    }
    out.push_str("\nruns on this machine or its runners:\n");
    let all = commands(plan);
    for command in &all {
        out.push_str(&format!("  {}\n", escape(command)));
    }
    if all.iter().any(|command| command.contains(", with the network")) {
        out.push_str(
            "  with the network, a command reaches what listens on its own machine too, unix sockets with abstract names among \
             it\n",
        );
    }
    out.push_str(&from_elsewhere(plan));
    let graph = Graph::new(Arc::new(plan.clone()))?;
    let gated = graph.dominated_by(|s| s.step.is_a::<Gate>());
    let of = |after: bool| {
        let steps = graph.order().iter().filter(|&&i| gated[i] == after).map(|&i| graph.at(i));
        steps.filter(|s| !s.step.is_a::<Gate>()).collect::<Vec<_>>()
    };
    out.push_str("\nbefore the gate, seen by this machine and the team alone:\n");
    counted(&of(false), &mut out);
    out.push_str(&format!("\n**the gate: {} `lifeboat approve`**", who_approve(plan.threshold)));
    if let Some(at) = plan.not_before {
        out.push_str(&format!(", and nothing is public before {}", crate::model::utc(at)));
    }
    let (public, private): (Vec<_>, Vec<_>) = of(true).into_iter().partition(|s| s.exposure == Exposure::Public);
    if !private.is_empty() {
        out.push_str("\n\nafter the gate, before anything is public:\n");
        counted(&private, &mut out);
        out.truncate(out.trim_end().len());
    }
    out.push_str("\n\nafter the gate, public:\n");
    for step in public {
        let deferrable = if step.deferrable { " (waits if its destination is down)" } else { "" };
        out.push_str(&format!("  {}{deferrable}\n", step.id));
    }
    for unknown in &plan.unknown {
        let is_note = unknown.starts_with(FORGE_NOTE) || of_lines(plan).any(|note| note == escape(unknown));
        let word = if is_note { "note" } else { "unknown" };
        out.push_str(&format!("\n{word}: {}", escape(unknown)));
    }
    out.push_str(&format!("\n{}; plan {id}\n", crate::model::counted(plan.steps.len(), "step")));
    Ok(out)
}

/// The files from elsewhere that jobs find, by digest.
fn from_elsewhere(plan: &Plan) -> String {
    let inputs = plan.tool_inputs();
    if inputs.is_empty() {
        return String::new();
    }
    let one = |input: &ToolInput| format!("  {}: sha256 {}\n", escape(&input.path), input.sha256);
    let all: String = inputs.into_iter().map(one).collect();
    format!("\nfiles from elsewhere that these find, fetched ahead:\n{all}")
}

/// Where only encrypted files are staged, for whom, and what that costs when they become public.
fn encrypted(plan: &Plan) -> String {
    let mut people: Vec<&str> = plan.all::<Encrypt>().flat_map(|(_, e)| e.to.keys()).map(PersonId::as_str).collect();
    people.sort_unstable();
    people.dedup();
    let mut out = String::new();
    for (store, again) in &plan.upload_again {
        out.push_str(&format!("  store {store}: what is staged is encrypted to {}\n", people.join(", ")));
        let bytes = again.bytes.map_or_else(
            || "how many bytes these are is known once they are built".to_owned(),
            |bytes| format!("about {}, as in the releases before", human_size(bytes)),
        );
        out.push_str(&format!(
            "    after the gate all files are uploaded again, as they are, which takes about as long as staging: {bytes}\n"
        ));
    }
    out
}

/// What planning found about single lines: release notes that say nothing, a branch that is behind its remote.
pub(super) fn of_lines(plan: &Plan) -> impl Iterator<Item = String> {
    let branches: Vec<String> = plan.lines.iter().map(|l| format!("line `{}`: ", l.branch)).collect();
    let ours = move |note: &&String| branches.iter().any(|b| note.starts_with(b));
    plan.unknown.iter().filter(ours).map(|note| escape(note))
}

/// Every distinct command line with what it may reach, in the order of the steps.
fn commands(plan: &Plan) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for command in plan.steps.iter().flat_map(|step| step.step.commands()) {
        if !out.contains(&command) {
            out.push(command);
        }
    }
    out
}

/// The files that a line's recipes leave and the release lists.
fn artifacts(plan: &Plan, line: &crate::plan::PlannedLine) -> Vec<String> {
    let listed = plan.of_line::<Checksum>(&line.branch).map(|(_, sums)| &sums.from);
    let jobs = listed.into_iter().flatten().filter_map(|id| plan.step(id)?.step.job());
    jobs.flat_map(|j| &j.artifacts).map(|a| a.name.to_string()).collect()
}

/// Which files are gone afterwards, said loudly; nothing if none is.
pub(super) fn deletes(paths: &[String]) -> String {
    let files = match paths.len() {
        0 => return String::new(),
        1 => "1 file".to_owned(),
        n => format!("{n} files"),
    };
    format!("\n  ! **deletes {files}** (by their old names those that are renamed): {}", touched(paths))
}

/// The files that a patch touches; of a large one, the first and how many more there are.
fn touched(paths: &[String]) -> String {
    const SHOWN: usize = 8;
    let first: Vec<&str> = paths.iter().take(SHOWN).map(String::as_str).collect();
    let more = match paths.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {} (`--json` names them)", crate::model::counted(more, "more file")),
    };
    escape(&first.join(", ")) + &more
}

/// How many steps of each kind there are, in the order of the steps.
fn counted(steps: &[&PlannedStep], out: &mut String) {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for step in steps {
        let kind = step.step.kind();
        match kinds.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    for (kind, count) in kinds {
        out.push_str(&format!("  {count:4} {kind}\n"));
    }
}

/// Whether a plan is the one that was reviewed, if one was named.
pub(super) fn same_plan(id: &PlanId, reviewed: Option<Sha256>) -> Result<()> {
    match reviewed.filter(|r| *r != id.0) {
        None => Ok(()),
        Some(wanted) => Err(Error::conflict(format!("the plan is now {id}, not {wanted}"))
            .hint("something changed since it was reviewed: look at it again with `lifeboat plan`")),
    }
}
