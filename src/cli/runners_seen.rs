//! What runners elsewhere are found to be before a plan counts: one that strangers can read gets no embargoed sources.

use std::sync::Arc;
use std::time::Duration;

use super::project::LocalProject;
use crate::effects::{NoProgress, Runner};
use crate::engine::TrainDir;
use crate::error::{Error, Result};
use crate::model::{Label, counted};
use crate::plan::Plan;
use crate::step::Exposure;

/// How long a runner may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// Asks every runner on another machine what it is. Gives a line for each.
///
/// # Errors
/// A runner answers strangers, and a step before the gate could go there.
pub(super) fn look(place: &LocalProject, plan: &Plan) -> Result<Vec<String>> {
    let runners = place.effects_in(&TrainDir::new(place.root().join("doctor")), Arc::new(NoProgress))?.runners;
    // This machine shows nothing to anybody else.
    let elsewhere: Vec<&Arc<dyn Runner>> = runners.iter().filter(|r| r.exposure() != Exposure::Local).collect();
    if elsewhere.is_empty() {
        return Ok(Vec::new());
    }
    super::runtime()?.block_on(async {
        let mut lines = Vec::new();
        for runner in elsewhere {
            lines.push(look_at(&**runner, plan).await?);
        }
        Ok(lines)
    })
}

async fn look_at(runner: &dyn Runner, plan: &Plan) -> Result<String> {
    let name = runner.name();
    let slots = counted(runner.slots(), "slot");
    let seen = tokio::time::timeout(ANSWER_LIMIT, runner.probe()).await;
    let why = match seen {
        Ok(Ok(facts)) if facts.exposure == Exposure::Public => return public(runner, &facts.about, plan),
        Ok(Ok(facts)) => return Ok(format!("runner `{name}`, {slots}, seen by the team alone: {}", facts.about)),
        Ok(Err(e)) => e.message().to_owned(),
        Err(_) => format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
    };
    Ok(format!("runner `{name}`, {slots}, gets no jobs while this is so: {why}"))
}

/// Refuses a runner that strangers can read, if a job could go there.
fn public(runner: &dyn Runner, about: &str, plan: &Plan) -> Result<String> {
    let name = runner.name();
    let fits = |labels: &[Label]| labels.iter().all(|l| runner.labels().contains(l));
    let jobs = plan.steps.iter().filter(|step| step.step.job().is_some_and(|job| fits(&job.labels)));
    let jobs: Vec<&str> = jobs.map(|step| step.id.as_str()).collect();
    let Some(first) = jobs.first() else {
        return Ok(format!("runner `{name}` answers strangers, and no job of this train fits it: {about}"));
    };
    let more = if jobs.len() > 1 { format!(" and {} more", jobs.len() - 1) } else { String::new() };
    Err(Error::input(format!("strangers can read what runner `{name}` gets: names, logs and files of its jobs"))
        .detail(format!("found: {about}"))
        .detail(format!("embargoed sources could go there with `{first}`{more}"))
        .hint(format!("close it to strangers, then `lifeboat doctor` says whether `{name}` is closed"))
        .hint(format!("or take `{name}` out of the configuration, or its labels, so that no target fits it")))
}
