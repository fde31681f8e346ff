//! `merge-back`: a pull request brings a line into its protected branch; people merge it, however they like.

use super::{Acting, Perform, prepared};
use crate::effects::{Effects, Forge, PullRequests, PullState, PullText, Remote, SeenPull, blocking};
use crate::engine::converge::{Assessment, Wanted, Writes, converge};
use crate::engine::train::Train;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Oid;
use crate::step::{MergeBack, MergedAs, MergedBack};

impl Perform for MergeBack {
    async fn perform(&self, acting: &Acting<'_>) -> Result<MergedBack> {
        merge_back(acting, self).await
    }

    async fn prove(&self, effects: &Effects, train: &Train) -> Option<Result<()>> {
        Some(prove(effects, train, self).await)
    }
}

async fn merge_back(acting: &Acting<'_>, step: &MergeBack) -> Result<MergedBack> {
    let remote = acting.remote(&step.remote).await?;
    let ours = &prepared(&acting.state, &step.prepare)?.head;
    blocking(|| acting.repository_with(&step.prepare).map(drop))?;
    if let Some((how, commit)) = merged(acting.effects, acting.train, (&*remote, step), ours).await? {
        return Ok(MergedBack { how, commit });
    }
    let forge = acting.forge(&step.forge).await?;
    // People may merge at any time.
    let workflows = super::workflows::keep_off(acting).await?;
    let mut opened = Opened { pulls: pull_requests(&*forge)?, step };
    let pull = converge(&*acting.effects.clock, Writes::after(acting.recent), &mut opened).await?;
    drop(workflows);
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
async fn prove(effects: &Effects, train: &Train, step: &MergeBack) -> Result<()> {
    let state = train.state();
    let ours = &prepared(&state, &step.prepare)?.head;
    blocking(|| super::repository_with(effects, train, &state, &step.prepare).map(drop))?;
    match merged(effects, train, (&*effects.remote(&step.remote)?, step), ours).await? {
        Some(_) => Ok(()),
        None => Err(Error::conflict(format!("branch `{}` of `{}` has lost the release", step.branch, step.remote))
            .hint("nothing was changed; find out who moved it back")),
    }
}

/// How the branch got our commits; none if it lacks something.
async fn merged(
    effects: &Effects,
    train: &Train,
    (remote, step): (&dyn Remote, &MergeBack),
    ours: &Oid,
) -> Result<Option<(MergedAs, Oid)>> {
    let repo = train.repository();
    let name = format!("refs/heads/{}", step.branch);
    let Some(there) = remote.fetch(&repo.dir, &name).await? else { return Ok(None) };
    blocking(|| effects.git.merged(repo, &step.base, ours, &there))
}

/// The pull request that counts: one that is open, else the last; opened if there is none.
struct Opened<'a> {
    pulls: &'a dyn PullRequests,
    step: &'a MergeBack,
}

#[async_trait::async_trait]
impl Wanted for Opened<'_> {
    type Act = ();
    type Done = SeenPull;

    async fn look(&mut self) -> Result<Assessment<(), SeenPull>> {
        let there = self.pulls.pulls(&self.step.via, &self.step.branch).await?;
        let open = there.iter().find(|p| p.state == PullState::Open);
        let counts = open.or_else(|| there.iter().max_by_key(|p| p.number));
        Ok(counts.cloned().map_or(Assessment::Lacks(()), Assessment::Done))
    }

    fn names(&self, (): &()) -> Vec<String> {
        vec!["the pull request".to_owned()]
    }

    async fn act(&mut self, (): (), _writes: &mut Writes) -> Result<()> {
        let text = PullText {
            from: self.step.via.clone(),
            into: self.step.branch.clone(),
            title: self.step.title.clone(),
            text: self.step.text.clone(),
        };
        self.pulls.open_pull(&text).await
    }

    fn what(&self) -> String {
        format!("pull request from `{}`", self.step.via)
    }

    fn missing(&self, name: &str) -> String {
        format!("`{}` does not show {name} from `{}`", self.step.forge, self.step.via)
    }
}

fn pull_requests(forge: &dyn Forge) -> Result<&dyn PullRequests> {
    forge.pull_requests().ok_or_else(|| {
        Error::input(format!("lifeboat cannot open pull requests on `{}`", forge.name()))
            .hint("say `push = \"direct\"` for its `[[remote]]`, and plan the train again")
    })
}
