//! `promote`: the staged bytes become public, files first.

use std::sync::Arc;

use super::stage::{digests_at, is_unchanged, same_or_conflict, staging};
use super::{Acting, Perform, at_hand, prepared, summed};
use crate::effects::{Area, Effects, Store, blocking, read_public};
use crate::engine::release_files::{LineRelease, Origin, ReleaseFile};
use crate::engine::train::Train;
use crate::error::{Error, Result};
use crate::formats::manifest::{Manifest, NOTES, PAGE_DATA};
use crate::formats::openpgp::{Detached, Hashed};
use crate::formats::{canonical, layout, tag};
use crate::journal::State;
use crate::model::{Digests, Fingerprint, PersonId, StoreName};
use crate::site::{self, PageFile, PageSigner, ReleasePage};
use crate::step::{OnStore, Promote, Promoted, Seal, Sealed, SealedFile};
use crate::templates::AdvisoryText;
use crate::trust;

impl Perform for Promote {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Promoted> {
        promote(acting, &self.0).await
    }

    async fn restore(&self, acting: &Acting<'_>) -> Result<()> {
        promote(acting, &self.0).await.map(drop)
    }

    async fn prove(&self, effects: &Effects, train: &Train) -> Option<Result<()>> {
        Some(prove(effects, train, &self.0).await)
    }
}

async fn promote(acting: &Acting<'_>, step: &OnStore) -> Result<Promoted> {
    let store = acting.store(&step.store).await?;
    let (train, objects) = (acting.staging(step)?, acting.train.objects());
    let release = LineRelease::in_store(&acting.state, step)?;
    let seal = release.seal()?;
    let files = release.files(objects)?;
    let (on, is_plain) = (Arc::new(step.clone()), release.is_staged_plain());
    at_hand::for_promotion(acting, (&store, step), (&release, &files)).await?;
    let publish = |file: ReleaseFile| {
        let (store, state, on, train) = (store.clone(), acting.state.clone(), on.clone(), train.clone());
        let (path, source) = (release.path(&file), objects.path(&file.digests.sha256));
        async move {
            if is_plain && may_be_promoted((&*store, &on), &state, &path, &file).await? {
                store.promote(&train, &path, &file.digests).await
            } else {
                // Made after the gate, encrypted in staging, public already, or lost since: the train has the same bytes.
                store.put_new(&Area::Public, &path, &source, &file.digests).await
            }
        }
    };
    // Sums follow what they list, and signatures follow sums, so that whoever has these finds all. No bytes are waited for that
    // only need to be read: these come last.
    for origin in [Origin::Listed, Origin::Sums, Origin::Sealed] {
        let group = files.iter().filter(|file| file.origin == origin).cloned().collect();
        store.transfers().each(group, |file: &ReleaseFile| if is_plain { 0 } else { file.size() }, &publish).await?;
    }
    let read_back = |file: ReleaseFile| {
        let (store, path) = (store.clone(), release.path(&file));
        async move {
            let found = digests_at(&*store, &Area::Public, &path).await?;
            same_or_conflict((&*store, &Area::Public), &path, &file.digests, found)
        }
    };
    store.transfers().each(files, ReleaseFile::size, read_back).await?;
    let page = blocking(|| page(acting, step, &*store, seal))?;
    // What is there may have been made under the trust root before this one: it names the keys of then.
    let data = layout::release_file(&step.version, PAGE_DATA);
    if read_public(&*store, &data).await?.is_none() {
        put_public(acting, &*store, &data, &canonical::to_bytes(&page)?).await?;
    }
    // A page that is there says more by now, such as what superseded the release: the index's writers see to it.
    let path = layout::release_file(&step.version, layout::RELEASE_PAGE);
    if read_public(&*store, &path).await?.is_none() {
        put_public(acting, &*store, &path, &site::release_page(&acting.train.plan().templates, &page)?).await?;
    }
    Ok(Promoted { location: store.public_url(&layout::release_file(&step.version, "")) })
}

/// Whether a file is staged, and with the right bytes. What is public cannot be taken back: staged bytes are those that were read
/// when they were verified, or are read once more.
async fn may_be_promoted(
    (store, on): (&dyn Store, &OnStore),
    state: &State,
    path: &str,
    file: &ReleaseFile,
) -> Result<bool> {
    if file.origin == Origin::Sealed {
        return Ok(false);
    }
    if is_unchanged(state, (store, on), path).await? {
        return Ok(true);
    }
    let area = Area::Staging(staging(state, on)?);
    match digests_at(store, &area, path).await? {
        Some(staged) => same_or_conflict((store, &area), path, &file.digests, Some(staged)).map(|()| true),
        None => Ok(false),
    }
}

/// Reads a release in a store back and compares it.
async fn prove(effects: &Effects, train: &Train, step: &OnStore) -> Result<()> {
    let (state, store) = (train.state(), effects.store(&step.store)?);
    let release = LineRelease::in_store(&state, step)?;
    let read_back = |file: ReleaseFile| {
        let (store, path) = (store.clone(), release.path(&file));
        async move { proved(&*store, &path, &file).await }
    };
    store.transfers().each(release.files(train.objects())?, ReleaseFile::size, read_back).await.map(drop)
}

async fn proved(store: &dyn Store, path: &str, file: &ReleaseFile) -> Result<()> {
    let (name, sha256) = (store.name(), file.digests.sha256);
    let found = digests_at(store, &Area::Public, path).await?;
    if found.as_ref().map(|f| f.sha256) == Some(sha256) {
        return Ok(());
    }
    let what = if found.is_some() { "has other bytes at" } else { "has lost" };
    Err(Error::conflict(format!("store `{name}` {what} `{path}`")).detail(format!("released: sha256 {sha256}")).hint(
        if found.is_some() {
            "nothing was changed: find out who did it, and put the released file back".to_owned()
        } else {
            restoring(name)
        },
    ))
}

/// What helps a store that has lost something.
pub(super) fn restoring(store: &StoreName) -> String {
    format!("find out who removed it; `lifeboat reconcile --restore {store}` puts the released bytes there again")
}

/// Puts bytes at a public path: equal ones there are success, other ones a conflict.
pub(super) async fn put_public(acting: &Acting<'_>, store: &dyn Store, path: &str, bytes: &[u8]) -> Result<()> {
    let digests: Digests = acting.train.objects().put(bytes)?;
    let source = acting.train.objects().path(&digests.sha256);
    store.put_new(&Area::Public, path, &source, &digests).await?;
    let found = digests_at(store, &Area::Public, path).await?;
    same_or_conflict((store, &Area::Public), path, &digests, found)
}

/// Whether the release's page can be made of this train's own data, asked while nothing is public. What is not signed yet is
/// there by its name.
pub(super) fn page_can_be_made(acting: &Acting<'_>, step: &OnStore, approved_by: &[PersonId]) -> Result<()> {
    let store = acting.effects.store(&step.store)?;
    let Some(id) = &step.seal else { return Ok(()) };
    let Some(seal) = acting.train.plan().step_of::<Seal>(id) else { return Ok(()) };
    let made = summed(&acting.state, &step.checksum)?;
    let nothing = Digests::of(b"");
    let mut names: Vec<String> = approved_by.iter().flat_map(trust::sum_signature_names).collect();
    if seal.sign_artifacts {
        names.extend(made.artifacts.iter().map(|a| format!("{}.asc", a.name)));
    }
    let files = names.into_iter().map(|path| SealedFile::new(path, &nothing)).collect();
    let tag_id = prepared(&acting.state, &seal.prepare)?.head.clone();
    let stand_in = Sealed { tag: seal.tag.clone(), tag_id, tag_object: nothing.sha256, files };
    let templates = &acting.train.plan().templates;
    blocking(|| site::try_release_page(templates, &page(acting, step, &*store, &stand_in)?)).map_err(|e| {
        e.hint("nothing is public yet: fix the template in `release-templates/`, abandon the train and plan it again")
    })
}

/// What the release's page says.
fn page(acting: &Acting<'_>, step: &OnStore, store: &dyn Store, seal: &Sealed) -> Result<ReleasePage> {
    let plan = acting.train.plan();
    let release = LineRelease::staged(&acting.state, step)?;
    let has = |path: &str| seal.files.iter().any(|f| f.path == path);
    let (listed, others): (Vec<_>, Vec<_>) = release.summed_files().partition(|f| f.origin == Origin::Listed);
    let file = |f: ReleaseFile| {
        let (Digests { size, sha256, sha512 }, signature) = (f.digests, format!("{}.asc", f.name));
        PageFile { signature: has(&signature).then_some(signature), name: f.name, size, sha256, sha512 }
    };
    let trust = acting.train.trust();
    let objects = acting.train.objects();
    let bytes = |path: &str| seal.files.iter().find(|f| f.path == path).and_then(|f| objects.get(&f.sha256).ok());
    let sums = Hashed::of(&objects.get(&release.made.sha256sums.digests.sha256)?)?;
    let signer = |(person, known): (&PersonId, &trust::Person)| {
        let [signature, _] = trust::sum_signature_names(person);
        let made = bytes(&signature).and_then(|bytes| signed_by(acting, &known.certificates, &bytes, &sums));
        let fingerprint = made.or_else(|| known.certificates.iter().next().cloned())?;
        has(&signature).then(|| PageSigner {
            person: person.to_string(),
            fingerprint: fingerprint.to_string(),
            signature,
            certificate: Some(layout::key_from_release(&format!("{fingerprint}.asc"))),
        })
    };
    let notes = match listed.iter().find(|f| f.name == NOTES) {
        Some(file) => Some(String::from_utf8_lossy(&acting.train.objects().get(&file.digests.sha256)?).into_owned()),
        None => None,
    };
    let keys = &trust.root.roles.release.keys;
    let tag = objects.get(&seal.tag_object).ok();
    let made = tag.as_deref().and_then(|tag| {
        let (payload, signature) = tag::split(tag).ok()?;
        signed_by(acting, keys, signature, &Hashed::of(payload).ok()?)
    });
    let release_key = made.or_else(|| keys.iter().next().cloned());
    let manifest = Manifest::from_bytes(&acting.train.objects().get(&release.made.manifest.digests.sha256)?)?;
    Ok(ReleasePage {
        project: plan.project.clone(),
        version: step.version.clone(),
        branch: step.branch.clone(),
        date: plan.date,
        tag: seal.tag.clone(),
        commit: manifest.commit,
        base: Some(store.public_url("").trim_end_matches('/').to_owned()),
        root: Some(trust.digest),
        clone_url: Some(store.public_url(&layout::repository(&plan.project))),
        files: listed.into_iter().map(file).collect(),
        others: others.into_iter().map(|f| f.name).collect(),
        signers: trust.root.people.iter().filter_map(signer).collect(),
        release_certificate: release_key.as_ref().map(|key| layout::key_from_release(&format!("{key}.asc"))),
        release_key: release_key.map(|key| key.to_string()),
        advisories: AdvisoryText::all(&plan.advisories, &plan.advisory_texts),
        notes,
        forges: plan.forges(),
        superseded_by: None,
    })
}

/// Which of several certificates made a signature: the one that readers must import. `None` for one that is not made yet.
fn signed_by<'a>(
    acting: &Acting<'_>,
    known: impl IntoIterator<Item = &'a Fingerprint>,
    signature: &[u8],
    content: &Hashed,
) -> Option<Fingerprint> {
    let signature = Detached::parse(signature, "the signature").ok()?;
    let (trust, now) = (acting.train.trust(), acting.effects.clock.now());
    let made = |key: &&Fingerprint| trust.certificate(key).is_ok_and(|c| c.check(&signature, content, now).is_ok());
    known.into_iter().find(made).cloned()
}
