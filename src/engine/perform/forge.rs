//! `forge-release`: look, decide, act, and look again until the release is there and equal.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::deeds::{Deeds, LOOKS, pause};
use super::{Acting, sealed, summed};
use crate::effects::{AssetFile, Discard, Effects, Forge, Latest, ReleaseText};
use crate::engine::release::{Move, WantedRelease, next_move};
use crate::engine::train::Train;
use crate::error::{Context as _, Error, ErrorKind, Part, Result};
use crate::formats::manifest::NOTES;
use crate::journal::State;
use crate::model::Digests;
use crate::step::{ForgeRelease, Outcome};

/// How many assets go up at once.
const PARALLEL: usize = 4;

pub(super) async fn forge_release(acting: &Acting<'_>, step: &ForgeRelease) -> Result<Outcome> {
    let forge = forge(acting.effects, step)?;
    acting.reach.reachable(step.forge.as_str()).await?;
    let wanted = wanted(acting.train, &acting.state, step)?;
    Ok(Outcome::Released { location: deliver(acting, &forge, &wanted).await? })
}

/// Reads a release back and compares it.
pub(super) async fn prove(effects: &Effects, train: &Train, step: &ForgeRelease) -> Result<()> {
    let forge = forge(effects, step)?;
    let wanted = wanted(train, &train.state(), step)?;
    let mut looks = 0;
    loop {
        match next_move(&wanted, &forge.observe(&wanted.text.tag).await?) {
            Move::Done(_) => return Ok(()),
            _ if looks < LOOKS => pause(&*effects.clock, 1 << looks).await,
            Move::Conflict(lines) => return Err(conflict(&*forge, &wanted, lines)),
            other => {
                return Err(Error::conflict(format!(
                    "release {} on `{}` is no longer whole: it needs {}",
                    wanted.text.tag,
                    forge.name(),
                    keys(&other).join(", ")
                ))
                .hint("nothing was changed; find out who changed it"));
            }
        }
        looks += 1;
    }
}

pub(super) fn forge(effects: &Effects, step: &ForgeRelease) -> Result<Arc<dyn Forge>> {
    effects
        .forges
        .get(&step.forge)
        .cloned()
        .ok_or_else(|| Error::input(format!("the configuration has no forge `{}`, which the plan needs", step.forge)))
}

/// The release as the train's outcomes make it: no guesses.
fn wanted(train: &Train, state: &State, step: &ForgeRelease) -> Result<WantedRelease> {
    let made = summed(state, &step.checksum)?;
    let seal = sealed(state, &step.seal)?;
    let objects = train.objects();
    let mut assets = Vec::new();
    let mut notes = String::new();
    for artifact in made.files() {
        if artifact.name.as_str() == NOTES {
            let bytes = objects.get(&artifact.digests.sha256)?;
            notes = String::from_utf8(bytes).context("the release notes are not UTF-8")?;
        }
        let (name, path) = (artifact.name.to_string(), objects.path(&artifact.digests.sha256));
        assets.push(AssetFile { name, path, digests: artifact.digests });
    }
    for file in &seal.files {
        let bytes = objects.get(&file.sha256)?;
        // An asset's name has no directory.
        let name = file.path.replace('/', ".");
        assets.push(AssetFile { name, path: objects.path(&file.sha256), digests: Digests::of(&bytes) });
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

fn conflict(forge: &dyn Forge, wanted: &WantedRelease, lines: Vec<String>) -> Error {
    let what = format!("`{}` has something else for release {}", forge.name(), wanted.text.tag);
    let error = Error::conflict(what).hint(
        "nothing was overwritten; find out who made it, remove it there if it is wrong, then `lifeboat reconcile`",
    );
    lines.into_iter().fold(error, Error::detail)
}

/// How the names of uploads begin.
const ASSET: &str = "asset `";

/// What a release may become when it is published.
const LATEST: &str = "`latest` at the highest version";

/// What a move does, by name, for comparing it with what was done before.
fn keys(next: &Move) -> Vec<String> {
    match next {
        Move::Done(_) => vec![],
        Move::AwaitTag => vec!["its tag".to_owned()],
        Move::Create => vec!["a draft".to_owned()],
        Move::Discard(list) => list
            .iter()
            .map(|d| match d {
                Discard::Asset(id) => format!("asset {id} removed"),
                Discard::Draft(id) => format!("draft {id} removed"),
            })
            .collect(),
        Move::Upload(_, assets) => assets.iter().map(|a| format!("{ASSET}{}`", a.name)).collect(),
        Move::AwaitDigests(names) => names.iter().map(|n| format!("the digest of `{n}`")).collect(),
        Move::Publish(..) => vec!["publishing".to_owned()],
        Move::SetLatest(_) => vec![LATEST.to_owned()],
        Move::Conflict(_) => vec!["a decision".to_owned()],
    }
}

/// Brings the release home. Every round begins with a look, so a crash, a lost answer and a second run are one case.
async fn deliver(acting: &Acting<'_>, forge: &Arc<dyn Forge>, wanted: &WantedRelease) -> Result<String> {
    let clock = &*acting.effects.clock;
    let mut deeds = Deeds::default();
    // Whether what an earlier attempt did may still be hidden: a draft would be made twice, an upload would go to a release.
    let mut hidden = acting.recent;
    let mut last: Option<Error> = None;
    loop {
        let next = next_move(wanted, &forge.observe(&wanted.text.tag).await?);
        let keys = keys(&next);
        let waits = matches!(next, Move::AwaitTag | Move::AwaitDigests(_) | Move::Conflict(_));
        let unsure = hidden && !matches!(next, Move::Done(_));
        // Asks for something that was done, or shows trouble: the look itself may be old.
        if deeds.doubt(clock, &keys, waits || unsure).await {
            continue;
        }
        hidden = false;
        if let Some(key) = deeds.enough(&keys).filter(|_| !waits) {
            return Err(gave_up(&**forge, wanted, key, last));
        }
        match &next {
            Move::Discard(_) => deeds.forget(|name| name.starts_with(ASSET)),
            // Another release may show as `latest` until this one does.
            Move::Publish(_, Latest::Yes) => deeds.may_have(LATEST),
            _ => {}
        }
        // Held until it has acted.
        let _quiet = match next {
            Move::Publish(..) | Move::SetLatest(_) => super::workflows::keep_off(acting).await?,
            _ => Vec::new(),
        };
        let done = match next {
            Move::Done(location) => return Ok(location),
            Move::Conflict(lines) => return Err(conflict(&**forge, wanted, lines)),
            Move::AwaitTag => {
                let what = format!("`{}` does not have tag `{}` yet", forge.name(), wanted.text.tag);
                return Err(Error::new(ErrorKind::Unreachable, what)
                    .hint("push it there: a `[[remote]]`, named as `remote` in the forge's table, does it by itself"));
            }
            Move::AwaitDigests(names) => {
                let what = format!("`{}` shows no digest of asset `{}`", forge.name(), names.join("`, `"));
                return Err(Error::new(ErrorKind::Unreachable, what)
                    .hint("nothing is published before every asset is confirmed; a forge of your own needs a version that shows digests"));
            }
            Move::Create => forge.create_draft(&wanted.text).await,
            Move::Discard(list) => discard(&**forge, list).await,
            Move::Upload(draft, assets) => upload(forge, draft, assets).await,
            Move::Publish(draft, latest) => forge.publish(draft, latest).await,
            Move::SetLatest(release) => forge.set_latest(release).await,
        };
        match done {
            Err(e) if e.kind() != ErrorKind::Transient => {
                return Err(e.context(format!("release {}", wanted.text.tag)));
            }
            done => {
                deeds.did(keys, done.is_ok());
                last = done.err();
            }
        }
    }
}

fn gave_up(forge: &dyn Forge, wanted: &WantedRelease, key: &str, last: Option<Error>) -> Error {
    let what = format!("release {} on `{}` still needs {key}", wanted.text.tag, forge.name());
    let part = last.as_ref().and_then(Error::part).unwrap_or(Part::Api);
    let error = Error::new(ErrorKind::Unreachable, what).of(part).hint("`lifeboat reconcile` tries again");
    match last {
        Some(e) => error.detail(e.message().to_owned()),
        None => error.detail("the forge took it and does not show it"),
    }
}

async fn discard(forge: &dyn Forge, list: Vec<Discard>) -> Result<()> {
    for what in list {
        forge.discard(what).await?;
    }
    Ok(())
}

/// Several at once; what is under way ends before the first failure is told, so that nothing is in flight at the next look.
/// After a failure nothing new is begun until something gets through: a host that swallows everything is asked once.
async fn upload(forge: &Arc<dyn Forge>, draft: u64, assets: Vec<AssetFile>) -> Result<()> {
    let mut waiting = assets.into_iter();
    let mut flying: JoinSet<Result<()>> = JoinSet::new();
    let mut worst: Option<Error> = None;
    let mut gets_through = true;
    loop {
        let go_on = worst.as_ref().is_none_or(|e| e.kind() == ErrorKind::Transient);
        while go_on && gets_through && flying.len() < PARALLEL {
            let Some(asset) = waiting.next() else { break };
            let forge = forge.clone();
            flying.spawn(async move { forge.upload(draft, &asset).await });
        }
        let Some(ended) = flying.join_next().await else { break };
        let ended = ended.map_err(|e| Error::fatal("an upload ended in a panic").because(e))?;
        gets_through = ended.is_ok();
        if let Err(e) = ended
            && worst.as_ref().is_none_or(|w| w.kind() == ErrorKind::Transient)
        {
            worst = Some(e);
        }
    }
    worst.map_or(Ok(()), Err)
}
