//! `push-git`: a destination that may be down.

use std::sync::Arc;

use super::{Acting, Perform, prepared, sealed};
use crate::effects::{Effects, PrivateRepo, RefUpdate, Remote, blocking};
use crate::engine::converge::{Assessment, Wanted, Writes, converge};
use crate::engine::other_trains::WorkflowLock;
use crate::engine::train::Train;
use crate::error::{Error, ErrorKind, Part, Result};
use crate::journal::State;
use crate::model::{Oid, TagName};
use crate::step::{PushGit, Pushed, Seal, StepId};

impl Perform for PushGit {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Pushed> {
        push(acting, self).await
    }

    async fn prove(&self, effects: &Effects, train: &Train) -> Option<Result<()>> {
        Some(prove(effects, train, self).await)
    }
}

async fn push(acting: &Acting<'_>, step: &PushGit) -> Result<Pushed> {
    let remote = acting.remote(&step.remote).await?;
    let wanted = wanted_refs(&acting.state, step)?;
    let mut refs = Refs { acting, remote, step, wanted };
    // A git server shows a push at once.
    converge(&*acting.effects.clock, Writes::default(), &mut refs).await?;
    Ok(Pushed { refs: refs.wanted.into_iter().map(|w| (w.name, w.new)).collect() })
}

/// The refs of a train on their way to a remote.
struct Refs<'a> {
    acting: &'a Acting<'a>,
    remote: Arc<dyn Remote>,
    step: &'a PushGit,
    wanted: Vec<RefUpdate>,
}

#[async_trait::async_trait]
impl Wanted for Refs<'_> {
    type Act = Vec<RefUpdate>;
    type Done = ();

    async fn look(&mut self) -> Result<Assessment<Vec<RefUpdate>, ()>> {
        let updates = missing(self.acting, &*self.remote, self.step, &self.wanted).await?;
        Ok(if updates.is_empty() { Assessment::Done(()) } else { Assessment::Lacks(updates) })
    }

    fn names(&self, act: &Vec<RefUpdate>) -> Vec<String> {
        act.iter().map(|update| update.name.clone()).collect()
    }

    async fn hold(&mut self, _: &Vec<RefUpdate>) -> Result<Vec<WorkflowLock>> {
        super::workflows::keep_off(self.acting).await
    }

    async fn act(&mut self, updates: Vec<RefUpdate>, _: &mut Writes) -> Result<()> {
        let repo = blocking(|| {
            for seal in self.step.lines.values().filter_map(|line| line.seal.as_ref()) {
                self.acting.write_tag(sealed(&self.acting.state, seal)?)?;
            }
            repository(self.acting, self.step)
        })?;
        self.remote.push(&repo.dir, &updates).await
    }

    fn what(&self) -> String {
        "the push".to_owned()
    }

    fn missing(&self, name: &str) -> String {
        format!("remote `{}` does not show `{name}`, which was pushed there", self.step.remote)
    }

    fn part(&self) -> Part {
        Part::Git
    }
}

/// What a remote should have.
fn wanted_refs(state: &State, step: &PushGit) -> Result<Vec<RefUpdate>> {
    let mut wanted: Vec<RefUpdate> = Vec::new();
    for (branch, line) in &step.lines {
        let head = prepared(state, &line.prepare)?.head.clone();
        wanted.push(match &line.via {
            None => RefUpdate { name: format!("refs/heads/{branch}"), old: Some(line.base.clone()), new: head },
            // A branch of our own: a pull request brings it into the line's.
            Some(via) => RefUpdate { name: format!("refs/heads/{via}"), old: None, new: head },
        });
        if let Some(seal) = &line.seal {
            let seal = sealed(state, seal)?;
            wanted.push(RefUpdate { name: format!("refs/tags/{}", seal.tag), old: None, new: seal.tag_id.clone() });
        }
    }
    Ok(wanted)
}

/// What would stop a push, asked at the gate while nothing is public: a branch that moved on, a tag that is taken.
pub(super) async fn foreseeable(acting: &Acting<'_>, step: &PushGit) -> Result<()> {
    let remote = acting.effects.remote(&step.remote)?;
    // A branch that is reached by a pull request may move on meanwhile.
    for (branch, line) in step.lines.iter().filter(|(_, l)| l.via.is_none()) {
        let head = &prepared(&acting.state, &line.prepare)?.head;
        let name = format!("refs/heads/{branch}");
        let there = remote.observe(std::slice::from_ref(&name)).await?.into_iter().flatten().next();
        if let Some(there) = there.filter(|t| t != head && *t != line.base) {
            return Err(Error::conflict(format!("remote `{}` has `{name}` at {there}", step.remote))
                .detail(format!("the train was planned on {}", line.base))
                .hint("nothing is public yet: fetch the branch, abandon the train with `lifeboat abandon`, and plan it again"));
        }
    }
    for line in step.lines.values() {
        // A tag there is nobody's but ours once it is sealed.
        let Some(seal) = line.seal.as_ref().filter(|s| acting.state.outcome(s).is_none()) else { continue };
        let name = format!("refs/tags/{}", tag(acting, seal)?);
        if let Some(there) = remote.observe(std::slice::from_ref(&name)).await?.into_iter().flatten().next() {
            return Err(Error::conflict(format!("remote `{}` has `{name}` at {there}", step.remote)).hint(
                "nothing is public yet: a tag never moves, so find out who made it; abandon the train with `lifeboat \
                 abandon`, and ship the next version",
            ));
        }
    }
    let_in(acting, step, &*remote).await
}

/// The push itself, as far as it can be tried while nothing is public: a server that can be read may still refuse a push. The tags are
/// not signed yet, so the commits stand in for them; the server is given neither.
async fn let_in(acting: &Acting<'_>, step: &PushGit, remote: &dyn Remote) -> Result<()> {
    let mut updates = Vec::new();
    for (branch, line) in &step.lines {
        let head = &prepared(&acting.state, &line.prepare)?.head;
        let name = format!("refs/heads/{}", line.via.as_ref().unwrap_or(branch));
        updates.push(RefUpdate { name, old: Some(line.base.clone()), new: head.clone() });
        if let Some(seal) = line.seal.as_ref().filter(|s| acting.state.outcome(s).is_none()) {
            let name = format!("refs/tags/{}", tag(acting, seal)?);
            updates.push(RefUpdate { name, old: None, new: head.clone() });
        }
    }
    let repo = blocking(|| repository(acting, step))?;
    remote.can_push(&repo.dir, &updates).await.map_err(|e| {
        e.context("a push would be refused").hint(format!(
            "nothing is public yet: see to it that `git push` reaches remote `{}` from your clone, then `lifeboat ship`",
            step.remote
        ))
    })
}

/// The tag that a `seal` step is going to make.
pub(super) fn tag<'a>(acting: &'a Acting<'_>, seal: &StepId) -> Result<&'a TagName> {
    match acting.train.plan().step_of::<Seal>(seal) {
        Some(step) => Ok(&step.tag),
        None => Err(Error::fatal(format!("the plan has no step `{seal}` that makes a tag"))),
    }
}

/// The private repository with the commits of every line.
fn repository<'a>(acting: &'a Acting<'_>, step: &PushGit) -> Result<&'a PrivateRepo> {
    for line in step.lines.values() {
        acting.repository_with(&line.prepare)?;
    }
    Ok(acting.train.repository())
}

/// The updates that the remote lacks. Equal refs skip, and so does a branch that went on from ours, however our commits came
/// there; other ones stop.
async fn missing(
    acting: &Acting<'_>,
    remote: &dyn Remote,
    step: &PushGit,
    wanted: &[RefUpdate],
) -> Result<Vec<RefUpdate>> {
    let names: Vec<String> = wanted.iter().map(|w| w.name.clone()).collect();
    let mut out = Vec::new();
    for (want, have) in wanted.iter().zip(remote.observe(&names).await?) {
        let is_branch = want.name.starts_with("refs/heads/");
        match have {
            Some(have) if have == want.new => {}
            have if have == want.old => out.push(want.clone()),
            // A remote that never had the branch gets it as it is.
            None if is_branch => out.push(RefUpdate { old: None, ..want.clone() }),
            Some(have) if is_branch => {
                let repo = blocking(|| repository(acting, step))?;
                if !remote.holds(&repo.dir, &want.name, &want.new).await? {
                    return Err(elsewhere(acting, step, want, &have)?);
                }
            }
            have => {
                let have = have.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
                return Err(Error::conflict(format!("remote `{}` has `{}` at {have}", step.remote, want.name))
                    .detail(format!("ours: {}", want.new))
                    .hint("nothing was pushed; a tag never moves: find out who made it"));
            }
        }
    }
    Ok(out)
}

/// Why a branch that stands at `have` cannot take our commits: it lacks what they stand on, or it went on without them.
fn elsewhere(acting: &Acting<'_>, step: &PushGit, want: &RefUpdate, have: &Oid) -> Result<Error> {
    let base = want.old.as_ref();
    let behind = base.map(|base| blocking(|| acting.effects.git.descends(acting.train.repository(), base, have)));
    let what = format!("remote `{}` has `{}` at {have}", step.remote, want.name);
    if behind.transpose()? == Some(true) {
        let what = format!("{what}, and not yet the commit on which the train was planned");
        return Ok(Error::new(ErrorKind::Unreachable, what).hint(
            "an earlier commit is not there yet: `lifeboat reconcile` delivers trains in order; commits of no train \
             must be pushed by hand",
        ));
    }
    Ok(Error::conflict(what).detail(format!("ours: {}", want.new)).hint(
        "nothing was pushed; a ref is never forced: merge our commit into that branch by hand, from the served repository of \
         a store, then `lifeboat reconcile`",
    ))
}

/// Reads a remote back: a tag is the object that the train put there, a branch is where the train put it or further.
async fn prove(effects: &Effects, train: &Train, step: &PushGit) -> Result<()> {
    let remote = effects.remote(&step.remote)?;
    let state = train.state();
    let wanted = wanted_refs(&state, step)?;
    let names: Vec<String> = wanted.iter().map(|w| w.name.clone()).collect();
    for (want, have) in wanted.iter().zip(remote.observe(&names).await?) {
        match have {
            Some(have) if have == want.new => {}
            // Forges delete the branch of a pull request that was merged; `merge-back` proves what it brought.
            None if step
                .lines
                .values()
                .any(|l| l.via.as_ref().is_some_and(|v| want.name == format!("refs/heads/{v}"))) => {}
            None => {
                return Err(Error::conflict(format!("remote `{}` has lost `{}`", step.remote, want.name))
                    .hint("find out who removed it; the project's own stores have it"));
            }
            Some(have) if want.name.starts_with("refs/heads/") => {
                for line in step.lines.values() {
                    blocking(|| super::repository_with(effects, train, &state, &line.prepare))?;
                }
                if !remote.holds(&train.repository().dir, &want.name, &want.new).await? {
                    return Err(differs(step, want, &have));
                }
            }
            Some(have) => return Err(differs(step, want, &have)),
        }
    }
    Ok(())
}

fn differs(step: &PushGit, want: &RefUpdate, have: &Oid) -> Error {
    let what = if want.name.starts_with("refs/tags/") { "is another object" } else { "does not hold the release" };
    Error::conflict(format!("`{}` on remote `{}` {what}", want.name, step.remote))
        .detail(format!("there: {have}"))
        .detail(format!("ours:  {}", want.new))
        .hint("nothing was changed: find out who moved it; a tag never moves, and a branch only forward")
}
