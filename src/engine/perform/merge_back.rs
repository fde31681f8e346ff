//! `merge-back`: a pull request brings a line into its protected branch; people merge it, however they like.

use std::sync::Arc;

use super::deeds::{LOOKS, pause};
use super::{Acting, prepared};
use crate::effects::{Effects, Forge, PullRequests, PullState, PullText, SeenPull, blocking};
use crate::engine::train::Train;
use crate::error::{Error, ErrorKind, Part, Result};
use crate::model::Oid;
use crate::step::{MergeBack, MergedAs, Outcome};

pub(super) async fn merge_back(acting: &Acting<'_>, step: &MergeBack) -> Result<Outcome> {
    acting.reach.reachable(step.remote.as_str()).await?;
    let ours = prepared(&acting.state, &step.prepare)?.head;
    blocking(|| acting.repository_with(&step.prepare).map(drop))?;
    if let Some((how, commit)) = merged(acting.effects, acting.train, step, ours).await? {
        return Ok(Outcome::MergedBack { how, commit });
    }
    acting.reach.reachable(step.forge.as_str()).await?;
    let forge = forge(acting.effects, step)?;
    // People may merge at any time.
    let quiet = super::workflows::keep_off(acting).await?;
    let pull = opened(acting, &*forge, step).await?;
    drop(quiet);
    let (number, location) = (pull.number, &pull.location);
    match pull.state {
        PullState::Open => {
            let what = format!("pull request {number} waits to be merged into `{}`: {location}", step.branch);
            Err(Error::new(ErrorKind::Unreachable, what)
                .hint("merge it, by any method; `lifeboat reconcile` then sees that the branch has everything"))
        }
        PullState::Closed => {
            Err(Error::conflict(format!("pull request {number} was closed without merging: {location}")).hint(format!(
                "`{}` lacks the release: open it again, or bring the commits in by hand, then `lifeboat reconcile`",
                step.branch
            )))
        }
        PullState::Merged => Err(Error::conflict(format!(
            "pull request {number} was merged, and no commit of `{}` has every file as the release has it: {location}",
            step.branch
        ))
        .hint("compare the branch with the tag; bring what is missing in by hand, then `lifeboat reconcile`")),
    }
}

/// Reads the branch again: it still has everything.
pub(super) async fn prove(effects: &Effects, train: &Train, step: &MergeBack) -> Result<()> {
    let state = train.state();
    let made = prepared(&state, &step.prepare)?;
    blocking(|| {
        effects.git.ensure(train.repository())?;
        if !effects.git.has_commit(train.repository(), made.head)? {
            effects.git.import_pack(train.repository(), &train.objects().get(&made.pack)?)?;
        }
        Ok::<_, Error>(())
    })?;
    match merged(effects, train, step, made.head).await? {
        Some(_) => Ok(()),
        None => Err(Error::conflict(format!("branch `{}` of `{}` has lost the release", step.branch, step.remote))
            .hint("nothing was changed; find out who moved it back")),
    }
}

/// How the branch got our commits; none if it lacks something.
async fn merged(effects: &Effects, train: &Train, step: &MergeBack, ours: &Oid) -> Result<Option<(MergedAs, Oid)>> {
    let remote = effects.remotes.get(&step.remote).ok_or_else(|| {
        Error::input(format!("the configuration has no remote `{}`, which the plan needs", step.remote))
    })?;
    let repo = train.repository();
    let name = format!("refs/heads/{}", step.branch);
    let Some(there) = remote.fetch(&repo.dir, &name).await? else { return Ok(None) };
    blocking(|| effects.git.merged(repo, &step.base, ours, &there))
}

/// The pull request that counts: one that is open, else the last; opened if there is none.
async fn opened(acting: &Acting<'_>, forge: &dyn Forge, step: &MergeBack) -> Result<SeenPull> {
    let pulls = pull_requests(forge)?;
    let mut lost: Option<Error> = None;
    let mut looks = 0;
    loop {
        let there = pulls.pulls(&step.via, &step.branch).await?;
        let open = there.iter().find(|p| p.state == PullState::Open);
        if let Some(pull) = open.or_else(|| there.iter().max_by_key(|p| p.number)) {
            return Ok(pull.clone());
        }
        if looks == LOOKS {
            let what = format!("`{}` does not show the pull request from `{}`", step.forge, step.via);
            let error = Error::new(ErrorKind::Unreachable, what).of(Part::Api).hint("`lifeboat reconcile` tries again");
            return Err(lost.into_iter().fold(error, |e, l| e.detail(l.message().to_owned())));
        }
        // Opened once: what the forge took and does not show yet is only waited for. A lost answer is another matter.
        if looks == 0 || lost.is_some() {
            let text = PullText {
                from: step.via.clone(),
                into: step.branch.clone(),
                title: step.title.clone(),
                text: step.text.clone(),
            };
            lost = match pulls.open_pull(&text).await {
                Ok(()) => None,
                Err(e) if e.kind() == ErrorKind::Transient => Some(e),
                Err(e) => return Err(e),
            };
        }
        pause(&*acting.effects.clock, 1 << looks).await;
        looks += 1;
    }
}

fn forge(effects: &Effects, step: &MergeBack) -> Result<Arc<dyn Forge>> {
    let found = effects.forges.get(&step.forge).cloned();
    found.ok_or_else(|| Error::input(format!("the configuration has no forge `{}`, which the plan needs", step.forge)))
}

fn pull_requests(forge: &dyn Forge) -> Result<&dyn PullRequests> {
    forge.pull_requests().ok_or_else(|| {
        Error::input(format!("lifeboat cannot open pull requests on `{}`", forge.name()))
            .hint("say `push = \"direct\"` for its `[[remote]]`, and plan the train again")
    })
}
