//! `forge-release`: a release on a forge, there and equal.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Acting, Perform};
use crate::effects::{AssetFile, Discard, Effects, Forge, MarkLatest, ReleaseText, in_parallel};
use crate::engine::converge::{self, Assessment, Wanted, Writes, converge};
use crate::engine::other_trains::WorkflowLock;
use crate::engine::release::{ReleaseMove, WantedRelease, next_move};
use crate::engine::release_files::LineRelease;
use crate::engine::train::Train;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::manifest::NOTES;
use crate::journal::State;
use crate::step::{ForgeRelease, Released};

/// How many assets go up at once.
const PARALLEL: usize = 4;

impl Perform for ForgeRelease {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Released> {
        let forge = acting.forge(&self.forge).await?;
        let wanted = wanted(acting.train, &acting.state, self)?;
        // A draft would be made twice, an upload would go to a release.
        let writes = Writes::after(acting.recent);
        let mut release = OnForge { forge, wanted, acting: Some(acting) };
        Ok(Released { location: converge(&*acting.effects.clock, writes, &mut release).await? })
    }

    async fn prove(&self, effects: &Effects, train: &Train) -> Option<Result<()>> {
        Some(prove(effects, train, self).await)
    }
}

/// Reads a release back and compares it.
pub(super) async fn prove(effects: &Effects, train: &Train, step: &ForgeRelease) -> Result<()> {
    let wanted = wanted(train, &train.state(), step)?;
    let mut release = OnForge { forge: effects.forge(&step.forge)?, wanted, acting: None };
    converge::prove(&*effects.clock, &mut release).await.map(drop)
}

/// The release as the train's outcomes make it: no guesses.
fn wanted(train: &Train, state: &State, step: &ForgeRelease) -> Result<WantedRelease> {
    let release = LineRelease::on_forge(state, step)?;
    let (seal, objects) = (release.seal()?, train.objects());
    let mut assets = Vec::new();
    let mut notes = String::new();
    for file in release.files(objects)? {
        if file.name == NOTES {
            notes = String::from_utf8(objects.get(&file.digests.sha256)?).context("the release notes are not UTF-8")?;
        }
        // An asset's name has no directory.
        let (name, path) = (file.name.replace('/', "."), objects.path(&file.digests.sha256));
        assets.push(AssetFile { name, path, digests: file.digests });
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = assets.iter().find(|a| !names.insert(a.name.to_ascii_lowercase())) {
        return Err(Error::input(format!("release {} would have two assets named `{}`", step.version, twice.name)));
    }
    let versions = train.plan().releases().filter_map(|l| l.new.clone());
    Ok(WantedRelease {
        text: ReleaseText {
            tag: seal.tag.clone(),
            title: seal.tag.to_string(),
            notes,
            prerelease: !step.version.pre.is_empty(),
        },
        version: step.version.clone(),
        tag_id: seal.tag_id.clone(),
        assets,
        train_latest: versions.filter(|v| v.pre.is_empty()).max(),
    })
}

/// How the names of uploads begin.
const ASSET: &str = "asset `";

/// What a release may become when it is published.
const LATEST: &str = "`latest` at the highest version";

/// What a move does, by name, for comparing it with what was done before.
fn keys(next: &ReleaseMove) -> Vec<String> {
    match next {
        ReleaseMove::Done(_) | ReleaseMove::Conflict(_) | ReleaseMove::AwaitTag | ReleaseMove::AwaitDigests(_) => {
            vec![]
        }
        ReleaseMove::Create => vec!["a draft".to_owned()],
        ReleaseMove::Discard(list) => list
            .iter()
            .map(|d| match d {
                Discard::Asset(id) => format!("asset {id} removed"),
                Discard::Draft(id) => format!("draft {id} removed"),
            })
            .collect(),
        ReleaseMove::Upload(_, assets) => assets.iter().map(|a| format!("{ASSET}{}`", a.name)).collect(),
        ReleaseMove::Publish(..) => vec!["publishing".to_owned()],
        ReleaseMove::SetLatest(_) => vec![LATEST.to_owned()],
    }
}

/// A release on its way to a forge.
struct OnForge<'a> {
    forge: Arc<dyn Forge>,
    wanted: WantedRelease,
    /// None where it is only looked at.
    acting: Option<&'a Acting<'a>>,
}

#[async_trait::async_trait]
impl Wanted for OnForge<'_> {
    type Act = ReleaseMove;
    type Done = String;

    async fn look(&mut self) -> Result<Assessment<ReleaseMove, String>> {
        let name = self.forge.name();
        Ok(match next_move(&self.wanted, &self.forge.observe(&self.wanted.text.tag).await?) {
            ReleaseMove::Done(location) => Assessment::Done(location),
            ReleaseMove::Conflict(lines) => {
                let error = Error::conflict(format!("`{name}` has something else for release {}", self.wanted.text.tag))
                    .hint("nothing was overwritten; find out who made it, remove it there if it is wrong, then `lifeboat reconcile`");
                Assessment::Stops(lines.into_iter().fold(error, Error::detail))
            }
            ReleaseMove::AwaitTag => {
                let what = format!("`{name}` does not have tag `{}` yet", self.wanted.text.tag);
                Assessment::Stops(
                    Error::new(ErrorKind::Unreachable, what).hint(
                        "push it there: a `[[remote]]`, named as `remote` in the forge's table, does it by itself",
                    ),
                )
            }
            ReleaseMove::AwaitDigests(names) => {
                let what = format!("`{name}` shows no digest of asset `{}`", names.join("`, `"));
                Assessment::Stops(Error::new(ErrorKind::Unreachable, what).hint(
                    "nothing is published before every asset is confirmed; a forge of your own needs a version that shows digests",
                ))
            }
            lacks => Assessment::Lacks(lacks),
        })
    }

    fn names(&self, act: &ReleaseMove) -> Vec<String> {
        keys(act)
    }

    async fn hold(&mut self, act: &ReleaseMove) -> Result<Vec<WorkflowLock>> {
        match (act, self.acting) {
            (ReleaseMove::Publish(..) | ReleaseMove::SetLatest(_), Some(acting)) => {
                super::workflows::keep_off(acting).await
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn act(&mut self, act: ReleaseMove, writes: &mut Writes) -> Result<()> {
        match act {
            ReleaseMove::Create => self.forge.create_draft(&self.wanted.text).await,
            ReleaseMove::Discard(list) => {
                writes.forget(|name| name.starts_with(ASSET));
                discard(&*self.forge, list).await
            }
            ReleaseMove::Upload(draft, assets) => upload(&self.forge, draft, assets).await,
            ReleaseMove::Publish(draft, latest) => {
                if latest == MarkLatest::Yes {
                    // Another release may show as `latest` until this one does.
                    writes.may_have(LATEST);
                }
                self.forge.publish(draft, latest).await
            }
            ReleaseMove::SetLatest(release) => self.forge.set_latest(release).await,
            ReleaseMove::Done(_) | ReleaseMove::Conflict(_) | ReleaseMove::AwaitTag | ReleaseMove::AwaitDigests(_) => {
                Ok(())
            }
        }
    }

    fn what(&self) -> String {
        format!("release {}", self.wanted.text.tag)
    }

    fn missing(&self, name: &str) -> String {
        format!("release {} on `{}` still needs {name}", self.wanted.text.tag, self.forge.name())
    }

    fn changed(&self, names: &[String]) -> Error {
        let (tag, forge) = (&self.wanted.text.tag, self.forge.name());
        Error::conflict(format!("release {tag} on `{forge}` is no longer whole: it needs {}", names.join(", ")))
            .hint("nothing was changed; find out who changed it")
    }
}

async fn discard(forge: &dyn Forge, list: Vec<Discard>) -> Result<()> {
    for what in list {
        forge.discard(what).await?;
    }
    Ok(())
}

async fn upload(forge: &Arc<dyn Forge>, draft: u64, assets: Vec<AssetFile>) -> Result<()> {
    let upload = |asset: AssetFile| {
        let forge = forge.clone();
        async move { forge.upload(draft, &asset).await }
    };
    in_parallel(assets, PARALLEL, upload).await.map(drop)
}
