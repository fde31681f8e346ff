//! `stage`: bytes where only the team can read them.

use std::collections::BTreeSet;
use std::io::{Read as _, Write};

use super::encrypt::certificates;
use super::{Acting, Perform};
use crate::effects::{Area, Capabilities, Effects, ProgressEvent, PutNew, STAGED_NOTE, Store, Tried, blocking, files};
use crate::engine::release_files::{LineRelease, ReleaseFile, StagedFile};
use crate::engine::staged;
use crate::engine::train::Train;
use crate::error::{Context as _, Error, Result};
use crate::formats::digests;
use crate::formats::openpgp::{MessageForm, encrypt};
use crate::formats::padding::zeros;
use crate::journal::State;
use crate::model::{Digests, SeenBytes, Staging, StoreName};
use crate::step::{Exposure, OnStore, Stage, Staged, StagedVerified, VerifyStaged};

/// Whether strangers see nothing of a store's staging area. Where only encrypted files are staged, that they see some is a
/// warning, which is returned.
///
/// # Errors
/// They see files that nothing else protects: nothing may be staged there.
pub async fn hidden_from_strangers(store: &dyn Store, staging: Staging) -> Result<Option<String>> {
    let seen = match store.staging_exposure() {
        Exposure::Public => Some("the staging area".to_owned()),
        Exposure::Local | Exposure::Private => store.seen_by_strangers().await?,
    };
    match (seen, staging) {
        (None, _) => Ok(None),
        (Some(seen), Staging::Encrypted) => Ok(Some(format!(
            "strangers can read {seen} of store `{}`: they learn that a train is under way, about how large it is and, \
             at the gate, which branches it has (by guessing their names); what this train stages there is encrypted",
            store.name()
        ))),
        (Some(seen), Staging::Private) => Err(Error::fatal(format!("strangers can read {seen} of store `{}`", store.name())).hint(
            "let the web server refuse everything below `.staging/` (nginx: `location ~ /\\.staging { return 404; }`), or let it \
             run as a user that cannot read it; leave `.staging/` and lists out of a bucket's policy, as in `docs/stores.md`; then \
             `lifeboat doctor` looks again",
        ).hint("or set `staging = \"encrypted\"` in its `[[store]]`: then only what the team can decrypt is staged")),
    }
}

/// Refuses a store that cannot do what a release needs: the one judgement, whoever asks. Gives what a person should know of it.
///
/// # Errors
/// What it was found not to do, and what that would mean; transient where that could not be found out.
pub fn can_release(store: &StoreName, can: &Capabilities) -> Result<Vec<String>> {
    let lacks = |what: &str, means: &str| {
        Error::fatal(format!("store `{store}` {what}")).detail(format!("seen by trying it out; {means}")).hint(
            "no train can go there: use another server or kind of store, as `docs/stores.md` says (of a bucket that keeps \
             versions, switch these off); then `lifeboat doctor` looks again",
        )
    };
    let needs = |tried: &Tried, what: &str, lacking: Error| match tried {
        Tried::Yes => Ok(()),
        Tried::Unknown(why) => {
            Err(Error::transient(format!("whether store `{store}` {what} could not be found out: {why}"))
                .hint(format!("try again; `lifeboat doctor --store {store}` says what was seen")))
        }
        Tried::No | Tried::NoSuchThing => Err(lacking),
    };
    // First, because it is why such a bucket may fail in the rest.
    if can.versions == Tried::Yes {
        return Err(lacks(
            "keeps what is replaced or removed",
            "what was staged would stay there after a train, and a second put makes another version",
        ));
    }
    needs(
        &can.put_if_absent,
        "keeps what is there when a file is put where none should be",
        lacks(
            "replaces what is there when a file is put where none should be",
            "a second machine could put other bytes under a released name",
        ),
    )?;
    needs(
        &can.conditional_replace,
        "replaces a file only if it did not change",
        lacks(
            "cannot replace a file only if it did not change",
            "two machines could undo each other's index, and take a release out of it",
        ),
    )?;
    let mut warnings = can.warnings.clone();
    if let Tried::Unknown(why) = &can.versions {
        warnings.push(format!(
            "whether it keeps versions could not be found out ({why}): see to it that it keeps none, or what was staged \
             would stay there"
        ));
    }
    Ok(warnings)
}

pub(super) fn staging(state: &State, on: &OnStore) -> Result<String> {
    state.staging(on).ok_or_else(|| Error::fatal("the train has no nonce, or stages nothing there"))
}

impl Acting<'_> {
    /// The directory in the staging area where a line's files are.
    pub(super) fn staging(&self, on: &OnStore) -> Result<String> {
        staging(&self.state, on)
    }
}

/// Which bytes are at a path of a store.
pub(crate) async fn digests_at(store: &dyn Store, area: &Area, path: &str) -> Result<Option<SeenBytes>> {
    match store.get(area, path).await? {
        None => Ok(None),
        Some(mut bytes) => {
            let name = store.name();
            Ok(Some(
                blocking(|| digests::read_to_compare(&mut *bytes))
                    .context(format!("cannot read `{path}` in store `{name}`"))?,
            ))
        }
    }
}

/// Same bytes skip, different bytes stop.
pub(crate) fn same_or_conflict(
    (store, area): (&dyn Store, &Area),
    path: &str,
    want: &Digests,
    found: Option<SeenBytes>,
) -> Result<()> {
    // A path of the staging area reads like one of the public area.
    let place = match area {
        Area::Public => "",
        Area::Staging(_) => " in its staging area, which is not public",
    };
    match found {
        Some(found) if found.sha256 == want.sha256 && found.size == want.size => Ok(()),
        Some(found) => Err(Error::conflict(format!("store `{}` has other bytes at `{path}`{place}", store.name()))
            .detail(format!("ours: sha256 {}, {} bytes", want.sha256, want.size))
            .detail(format!("there: sha256 {}, {} bytes", found.sha256, found.size))
            .hint(
                "nothing was overwritten; find out who put it there, remove it if it is wrong, then `lifeboat ship`",
            )),
        None => Err(Error::transient(format!("store `{}` does not show `{path}`, which was just put", store.name()))),
    }
}

/// Whether a staged file is the one that was read when it was verified, as far as the store says without reading it.
pub(super) async fn is_unchanged(state: &State, (store, on): (&dyn Store, &OnStore), path: &str) -> Result<bool> {
    let same = |(_, verified): &(_, &VerifyStaged)| verified.0.store == on.store && verified.0.branch == on.branch;
    let verified = state.graph().plan().all().find(same).and_then(|(step, _)| state.made(&step.id));
    let Some(then) = verified.and_then(|v: &StagedVerified| v.seen.get(path)) else { return Ok(false) };
    Ok(store.stat(&Area::Staging(staging(state, on)?), path).await?.as_ref() == Some(then))
}

impl Perform for Stage {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Staged> {
        stage(acting, &self.0).await
    }
}

async fn stage(acting: &Acting<'_>, step: &OnStore) -> Result<Staged> {
    let store = acting.store(&step.store).await?;
    let mode = if step.encrypt.is_some() { Staging::Encrypted } else { Staging::Private };
    acting.warn(&Vec::from_iter(hidden_from_strangers(&*store, mode).await?));
    let area = Area::Staging(acting.staging(step)?);
    if mode == Staging::Encrypted {
        // What the train staged there before it was amended may lie open.
        let now = acting.state.staged_in();
        for before in acting.state.staging_areas() {
            if !now.contains(&(step.store.clone(), before.clone())) {
                store.clear_staging(&before).await?;
            }
        }
    }
    note(acting, step, (&*store, &area)).await?;
    let release = LineRelease::staged(&acting.state, step)?;
    let put = |(StagedFile { path, digests }, _): (StagedFile, ReleaseFile)| {
        let (store, area) = (store.clone(), area.clone());
        let source = acting.train.objects().path(&digests.sha256);
        async move {
            if store.put_new(&area, &path, &source, &digests).await? == PutNew::Existed {
                let found = digests_at(&*store, &area, &path).await?;
                same_or_conflict((&*store, &area), &path, &digests, found)?;
            }
            Ok(digests.size)
        }
    };
    let sizes = store.transfers().each(release.staged_files()?, |(staged, _)| staged.digests.size, put).await?;
    Ok(Staged { files: sizes.len() as u64, bytes: sizes.iter().sum() })
}

/// Says beside the staged files which train it is: to the team alone. The first note stays.
async fn note(acting: &Acting<'_>, step: &OnStore, (store, area): (&dyn Store, &Area)) -> Result<()> {
    if store.stat(area, STAGED_NOTE).await?.is_some() {
        return Ok(());
    }
    let plan = acting.train.plan();
    let note = staged::Note::bytes_of(plan, acting.nonce()?)?;
    let objects = acting.train.objects();
    let note = match step.encrypt.as_ref().and_then(|id| plan.step_of(id)) {
        None => objects.put(&note)?,
        Some(encrypted) => {
            let to = certificates(acting.train.trust(), encrypted)?;
            let now = acting.effects.clock.now();
            let padded = |out: &mut dyn Write| {
                let note = files::copy(&mut note.chain(zeros(note.len() as u64)), out);
                note.map(drop).context("cannot encrypt the note of a staged train")
            };
            objects.put_written(|out| encrypt(&to, now, MessageForm::Binary, out, padded))?
        }
    };
    store.put_new(area, STAGED_NOTE, &objects.path(&note.sha256), &note).await.map(drop)
}

/// Puts a staged file that a store has lost there again: its bytes are kept with the train.
pub(super) async fn again(
    (effects, train): (&Effects, &Train),
    (store, step): (&dyn Store, &OnStore),
    StagedFile { path, digests }: &StagedFile,
) -> Result<()> {
    let area = Area::Staging(staging(&train.state(), step)?);
    let source = train.objects().path(&digests.sha256);
    store.put_new(&area, path, &source, digests).await?;
    let text = format!("staged    store `{}` had lost the staged `{path}`; it was put there again", store.name());
    effects.progress.event(ProgressEvent::Note(text));
    Ok(())
}

/// Puts every staged file of a line that a store does not list there again.
pub(super) async fn all_again(effects: &Effects, train: &Train, step: &OnStore) -> Result<()> {
    let (store, state) = (effects.store(&step.store)?, train.state());
    let area = Area::Staging(staging(&state, step)?);
    let release = LineRelease::staged(&state, step)?;
    let listed: BTreeSet<String> = store.list(&area, &release.staged_below()).await?.into_iter().collect();
    for file in release.summed_files() {
        let staged = release.staged_file(&file)?;
        if !listed.contains(&staged.path) {
            again((effects, train), (&*store, step), &staged).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_store_that_lets_two_machines_undo_each_other_is_refused() {
        let unknown = || Tried::Unknown("it was silent".to_owned());
        let judge = |put_if_absent: Tried, conditional_replace: Tried, versions: Tried| {
            let can = Capabilities { put_if_absent, conditional_replace, versions, warnings: vec!["old".to_owned()] };
            can_release(&"mirror".parse().unwrap(), &can)
        };
        let (yes, no, none) = (|| Tried::Yes, || Tried::No, || Tried::NoSuchThing);
        assert_eq!(judge(yes(), yes(), none()).unwrap(), ["old"]);
        assert_eq!(judge(yes(), yes(), no()).unwrap(), ["old"]);
        assert!(judge(yes(), yes(), unknown()).unwrap()[1].contains("could not be found out (it was silent)"));
        let refused = |found: Result<Vec<String>>, kind: ErrorKind, what: &str| {
            let e = found.unwrap_err();
            assert!(e.kind() == kind && e.message().contains(what), "{}", e.report());
        };
        refused(judge(no(), yes(), none()), ErrorKind::Fatal, "store `mirror` replaces what is there");
        refused(judge(yes(), no(), no()), ErrorKind::Fatal, "cannot replace a file only if it did not change");
        refused(judge(no(), no(), unknown()), ErrorKind::Fatal, "replaces what is there");
        refused(judge(yes(), yes(), yes()), ErrorKind::Fatal, "keeps what is replaced or removed");
        refused(judge(unknown(), unknown(), yes()), ErrorKind::Fatal, "keeps what is replaced or removed");
        refused(judge(unknown(), yes(), none()), ErrorKind::Transient, "could not be found out: it was silent");
        refused(judge(yes(), unknown(), none()), ErrorKind::Transient, "could not be found out: it was silent");
    }
}
