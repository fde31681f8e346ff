//! `lifeboat doctor`: whether a train could ship from this machine now, and what to do where it could not.

mod approver;
pub mod expiry;
mod machine;
mod report;
mod store;
mod trust;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;

pub use report::{Health, HealthCheck};

use crate::adapter::Registries;
use crate::config::{Config, StoreRole};
use crate::effects::{Clock as _, Forge, Remote, Runner, Store};
use crate::error::{Error, Part, Result};
use crate::journal::{Outage, SwitchedOff};
use crate::model::{Destination, PersonId, Staging, StoreName, TrainName, counted};
use crate::step::Importance;

/// How long any one answer is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Check whether this machine can ship a train now: programs, keys, runners, stores, destinations
///
/// With `--as`, whether this person could approve here: the own clone, the pinned trust root, the own key.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DoctorArgs {
    /// Check what this person needs to approve, and nothing else
    #[arg(long = "as", value_name = "PERSON")]
    pub person: Option<PersonId>,
    /// Explain what this store does: what is tried out there, what is seen, and what it means for a train
    #[arg(long, value_name = "NAME", conflicts_with = "person")]
    pub store: Option<StoreName>,
}

/// What is looked at.
pub struct Subjects<'a> {
    /// The configuration, or why there is none.
    pub config: std::result::Result<&'a Config, &'a Error>,
    /// Why the configuration names something that is not there.
    pub meaning: Option<&'a Error>,
    /// The kinds of adapter that there are.
    pub registries: &'a Registries,
    /// The state directory, which need not exist yet.
    pub state: &'a Path,
    /// What this machine's clock shows.
    pub now: Timestamp,
    /// What executes jobs.
    pub runners: &'a [Arc<dyn Runner>],
    /// Where releases go.
    pub stores: &'a [Arc<dyn Store>],
    /// Where releases are shown.
    pub forges: &'a [Arc<dyn Forge>],
    /// Where branches and tags are pushed.
    pub remotes: &'a [Arc<dyn Remote>],
    /// The workflows of the project's own that its trains keep off.
    pub workflows_off: &'a [(TrainName, SwitchedOff)],
    /// What the trains of this project found to be down.
    pub outages: &'a [(TrainName, Outage)],
    /// Who wants to approve here, if that is all that is asked.
    pub person: Option<&'a PersonId>,
    /// The store that is explained, if that is all that is asked.
    pub store: Option<&'a StoreName>,
}

/// Looks at everything at once and prints what it found; returns the exit code: 0, or 1 if something required fails.
pub async fn run(json: bool, subjects: &Subjects<'_>, out: &mut dyn Write) -> Result<u8> {
    if let Some(name) = subjects.store {
        let table = subjects.config.ok().and_then(|c| c.stores.iter().find(|s| s.name == *name));
        let staging = table.map_or_else(Staging::default, |s| s.staging);
        return store::run(json, &**store::named(subjects, name)?, staging, out).await;
    }
    let checks = examine(subjects).await;
    if json {
        report::json(&checks, out)?;
    } else {
        report::table(&checks, subjects.person, out)?;
    }
    Ok(u8::from(checks.iter().any(|c| c.health == Health::Fail)))
}

/// Looks at everything at once; the checks come in a fixed order.
pub(crate) async fn examine(subjects: &Subjects<'_>) -> Vec<HealthCheck> {
    let mut work = Work::new(LIMIT);
    let config = subjects.config.ok();
    work.now(match subjects.config {
        Ok(c) => HealthCheck::ok(
            "configuration",
            "lifeboat.toml",
            format!("project `{}`, {}", c.project.name, counted(c.targets.len(), "target")),
        ),
        Err(e) => HealthCheck::from_error("configuration", "lifeboat.toml", Health::Fail, e),
    });
    if let (Some(config), Some(person)) = (config, subjects.person) {
        approver::examine(config, subjects, person, &mut work);
        return work.finish().await;
    }
    if let Some(e) = subjects.meaning {
        let lines = e.details().iter().flat_map(|d| d.lines()).filter_map(|l| l.trim_start().strip_prefix("--> "));
        work.now(HealthCheck {
            hint: Some(format!("see {}", lines.collect::<Vec<_>>().join(", "))),
            ..HealthCheck::from_error("configuration", "names", Health::Fail, e)
        });
    }
    machine::programs(config, subjects.registries, &mut work);
    work.now(machine::disk_space(subjects.state));
    work.now(machine::clock(subjects.now));
    if let Some(config) = config {
        let clock = crate::wiring::watched(config, Arc::new(crate::host::HostClock));
        work.later_all("machine", "clock".to_owned(), Health::Warn, async move {
            // That nobody can be asked is not a fault.
            let times = clock.elsewhere().await;
            let judged = crate::engine::others_agree(clock.now(), &times);
            judged.err().map(|e| HealthCheck::from_error("machine", "clock", Health::Fail, &e)).into_iter().collect()
        });
        trust::root(config, subjects, &mut work);
        trust::repository(config, &mut work);
        machine::inputs(config, subjects.state, &mut work);
        machine::keys(config, &mut work);
        expiry::dates(config, subjects, &mut work);
        if let Err(e) = crate::plan::check_adapters(config) {
            work.now(HealthCheck::from_error("adapters", "credentials", Health::Fail, &e));
        }
        labels(config, subjects.runners, &mut work);
    }
    for runner in subjects.runners {
        let runner = Arc::clone(runner);
        let name = runner.name().to_string();
        work.later("runner", name, Health::Fail, async move { runner.probe().await.map(|facts| facts.about) });
    }
    for store in subjects.stores {
        let store = Arc::clone(store);
        let name = store.name().clone();
        let table = config.and_then(|c| c.stores.iter().find(|s| s.name == name));
        let required = table.is_none_or(|s| s.role == StoreRole::Required);
        let staging = table.map_or_else(Staging::default, |s| s.staging);
        let known = Known::of(subjects, Destination::Store(name.clone()));
        work.later_all("store", name.to_string(), health(Importance::of(required)), async move {
            let (answer, warnings) = match can(&*store, staging).await {
                Ok((says, warnings)) => (Ok(says), warnings),
                Err(e) => (Err(e), Vec::new()),
            };
            let warned =
                |text| HealthCheck { health: Health::Warn, ..HealthCheck::ok("store", name.to_string(), text) };
            let check = known.check(name.to_string(), Part::Store, Importance::of(required), answer);
            std::iter::once(check).chain(warnings.into_iter().map(warned)).collect()
        });
    }
    for forge in subjects.forges {
        let forge = Arc::clone(forge);
        let name = forge.name().clone();
        let required = config.and_then(|c| c.forges.iter().find(|f| f.name == name)).is_some_and(|f| f.required);
        let known = Known::of(subjects, Destination::Forge(name.clone()));
        work.later_all("forge", name.to_string(), health(Importance::of(required)), async move {
            let parts = forge.parts().await.into_iter();
            let answers = |answer: Result<()>| answer.map(|()| ANSWERS.to_owned());
            let one =
                |(part, answer)| known.check(format!("{name} {part}"), part, Importance::of(required), answers(answer));
            parts.map(one).collect()
        });
    }
    for (train, off) in subjects.workflows_off {
        work.now(HealthCheck {
            health: Health::Warn,
            hint: Some(super::status::until(off)),
            ..HealthCheck::ok(
                "workflows",
                off.forge.to_string(),
                format!("train `{train}`: {}", super::status::off(off)),
            )
        });
    }
    let trial = config.and_then(trust::trial_push);
    for remote in subjects.remotes {
        let remote = Arc::clone(remote);
        let name = remote.name().clone();
        let required = config.and_then(|c| c.remotes.iter().find(|r| r.name == name)).is_some_and(|r| r.required);
        let known = Known::of(subjects, Destination::Remote(name.clone()));
        let trial = trial.clone().filter(|_| required);
        work.later_all("remote", name.to_string(), health(Importance::of(required)), async move {
            let answer = match (remote.probe().await, trial) {
                // Read access says nothing of a push.
                (Ok(()), Some((repo, update))) => remote.can_push(&repo, &[update]).await,
                (answer, _) => answer,
            };
            let answer = answer.map(|()| ANSWERS.to_owned());
            vec![known.check(format!("{name} {}", Part::Git), Part::Git, Importance::of(required), answer)]
        });
    }
    let mut checks = work.finish().await;
    checks.extend(config.and_then(|config| quorum(config, &checks)));
    checks
}

/// Whether as many of the stores that count are ready as a train needs.
fn quorum(config: &Config, checks: &[HealthCheck]) -> Option<HealthCheck> {
    let at_least = config.quorum?;
    let counted = config.stores.iter().filter(|s| s.role == StoreRole::Counted).map(|s| s.name.as_str());
    let of_store = |name: &str| checks.iter().any(|c| c.area == "store" && c.name == name && c.health == Health::Ok);
    let (of, ready) = (counted.clone().count(), counted.filter(|name| of_store(name)).count());
    let found = format!("{ready} of {of} stores are ready, and a train needs {at_least}");
    let check = HealthCheck::ok("store", "quorum", found);
    Some(if ready as u64 >= u64::from(at_least) {
        check
    } else {
        let hint = Some("fix the stores above, or change `stores` in `[release]`".to_owned());
        HealthCheck { health: Health::Fail, hint, ..check }
    })
}

/// What a store can do, with what a person should know of it; and that its staging area is closed.
async fn can(store: &dyn Store, staging: Staging) -> Result<(String, Vec<String>)> {
    let can = store.check().await?;
    let known = crate::engine::can_release(store.name(), &can)?;
    let seen = crate::engine::hidden_from_strangers(store, staging).await?;
    let encrypted = if staging == Staging::Encrypted { ", staging: encrypted" } else { "" };
    // Without these two it was refused.
    let text = format!("put if absent: yes, conditional replace: yes{encrypted}");
    Ok((text, known.into_iter().chain(seen).collect()))
}

/// What is said of a destination that has nothing else to say.
const ANSWERS: &str = "answers";

/// What the journals say of one destination.
struct Known {
    destination: Destination,
    outages: Vec<(TrainName, Outage)>,
}

impl Known {
    fn of(subjects: &Subjects<'_>, destination: Destination) -> Self {
        let outages = subjects.outages.iter().filter(|(_, o)| o.destination == destination).cloned().collect();
        Self { destination, outages }
    }

    /// How one part of it is: what it answered now, since when it did not, and what waits for it.
    fn check(&self, name: String, part: Part, need: Importance, answer: Result<String>) -> HealthCheck {
        let area = self.destination.kind();
        let down: Vec<_> = self.outages.iter().filter(|(_, o)| o.part == part).collect();
        let waiting: Vec<String> =
            down.iter().flat_map(|(train, o)| o.waiting.iter().map(move |step| format!("{train}: {step}"))).collect();
        let check = match answer {
            Ok(says) if waiting.is_empty() => HealthCheck::ok(area, name, says),
            Ok(_) => HealthCheck {
                hint: Some("`lifeboat reconcile` delivers what waits".to_owned()),
                ..HealthCheck::ok(area, name, "answers again")
            },
            Err(e) => {
                let since = down.iter().map(|(_, o)| o.since).min();
                HealthCheck { since, ..HealthCheck::from_error(area, name, health(need), &explain(need, e)) }
            }
        };
        HealthCheck { waiting, ..check }
    }
}

/// How bad the absence of something is.
fn health(of: Importance) -> Health {
    match of {
        Importance::Required => Health::Fail,
        Importance::Deferrable => Health::Warn,
    }
}

fn explain(of: Importance, e: Error) -> Error {
    match of {
        Importance::Required => e,
        Importance::Deferrable => {
            e.hint("a train ships without it; `lifeboat reconcile --list` lists what waits for it")
        }
    }
}

/// Every target needs a runner that has what it asks for.
fn labels(config: &Config, runners: &[Arc<dyn Runner>], work: &mut Work) {
    let all = config.targets.iter().chain(config.assemblies.iter().map(|a| &a.recipe));
    let homeless: Vec<&str> = all
        .filter(|t| !runners.iter().any(|r| t.labels.iter().all(|l| r.labels().contains(l))))
        .map(|t| t.name.as_str())
        .collect();
    work.now(match homeless.as_slice() {
        [] => HealthCheck::ok("runners", "labels", "every target has a runner".to_owned()),
        some => HealthCheck {
            health: Health::Fail,
            hint: Some("add a `[[runner]]` with their labels, or drop the targets from the train".to_owned()),
            ..HealthCheck::ok("runners", "labels", format!("no runner has the labels of {}", some.join(", ")))
        },
    });
}

/// Checks that are done and checks that are under way, each in its place.
struct Work {
    limit: Duration,
    done: Vec<(usize, HealthCheck)>,
    under_way: JoinSet<(usize, Vec<HealthCheck>)>,
    next: usize,
}

impl Work {
    fn new(limit: Duration) -> Self {
        Self { limit, done: Vec::new(), under_way: JoinSet::new(), next: 0 }
    }

    fn now(&mut self, check: HealthCheck) {
        self.done.push((self.next, check));
        self.next += 1;
    }

    /// Asks something that may not answer; its failure is as bad as `failure`.
    fn later(
        &mut self,
        area: &'static str,
        name: String,
        failure: Health,
        ask: impl Future<Output = Result<String>> + Send + 'static,
    ) {
        let of = name.clone();
        self.later_all(area, name, failure, async move {
            vec![match ask.await {
                Ok(found) => HealthCheck::ok(area, of, found),
                Err(e) => HealthCheck::from_error(area, of, failure, &e),
            }]
        });
    }

    /// Asks something that makes several checks of its own, if it answers at all.
    fn later_all(
        &mut self,
        area: &'static str,
        name: String,
        failure: Health,
        ask: impl Future<Output = Vec<HealthCheck>> + Send + 'static,
    ) {
        let (place, limit) = (self.next, self.limit);
        self.next += 1;
        self.under_way.spawn(async move {
            let checks = tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| {
                let e = Error::transient(format!("no answer within {limit:?}"));
                vec![HealthCheck::from_error(area, name, failure, &e)]
            });
            (place, checks)
        });
    }

    async fn finish(mut self) -> Vec<HealthCheck> {
        while let Some(ended) = self.under_way.join_next().await {
            // A check that panics is missing in the table; nothing in them does.
            self.done.extend(ended.into_iter().flat_map(|(place, all)| all.into_iter().map(move |c| (place, c))));
        }
        self.done.sort_by_key(|(place, _)| *place);
        self.done.into_iter().map(|(_, check)| check).collect()
    }
}

#[cfg(test)]
mod tests;
