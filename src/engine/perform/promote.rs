//! `promote`: the staged bytes become public, files first.

use super::stage::{digests_at, directory, same_or_conflict};
use super::{Acting, Perform, prepared, sealed, summed};
use crate::effects::{Area, Effects, Store, blocking, read_public};
use crate::engine::train::Train;
use crate::error::{Error, Result};
use crate::formats::canonical;
use crate::formats::manifest::{Manifest, NOTES, PAGE_DATA};
use crate::journal::StepStatus;
use crate::model::{Artifact, Digests, PersonId, Sha256, StoreName};
use crate::site::{self, PageFile, PageSigner, ReleasePage};
use crate::step::{OnStore, Promote, Promoted, Seal, Sealed, SealedFile};
use crate::templates::AdvisoryText;
use crate::trust;

impl Perform for Promote {
    async fn perform(&self, acting: &Acting<'_>, _before: &StepStatus) -> Result<Promoted> {
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
    let train = acting.staging(step)?;
    let dir = directory(&step.version);
    let made = summed(&acting.state, &step.checksum)?;
    let staging = Area::Staging(train.clone());
    for artifact in made.files() {
        let path = format!("{dir}/{}", artifact.name);
        // What is public cannot be taken back: the staged bytes are looked at once more before, the public ones after.
        match digests_at(&*store, &staging, &path).await? {
            Some(staged) => {
                same_or_conflict(&*store, &path, &artifact.digests, Some(staged))?;
                store.promote(&train, &path).await?;
            }
            // Public already, or lost after the gate: the train has the same bytes.
            None => {
                let source = acting.train.objects().path(&artifact.digests.sha256);
                store.put_new(&Area::Public, &path, &source, &artifact.digests).await?;
            }
        }
        let found = digests_at(&*store, &Area::Public, &path).await?;
        same_or_conflict(&*store, &path, &artifact.digests, found)?;
    }
    let seal = step.seal.as_ref().ok_or_else(|| Error::fatal(format!("step `{}` names no seal", acting.step.id)))?;
    for file in &sealed(&acting.state, seal)?.files {
        let bytes = acting.train.objects().get(&file.sha256)?;
        put_public(acting, &*store, &format!("{dir}/{}", file.path), &bytes).await?;
    }
    let page = blocking(|| page(acting, step, &*store, sealed(&acting.state, seal)?))?;
    let data = canonical::to_bytes(&page)?;
    put_public(acting, &*store, &format!("{dir}/{PAGE_DATA}"), &data).await?;
    // A page that is there says more by now, such as what superseded the release: the index's writers see to it.
    let path = format!("{dir}/index.html");
    if read_public(&*store, &path).await?.is_none() {
        put_public(acting, &*store, &path, &site::release_page(&acting.train.plan().templates, &page)?).await?;
    }
    Ok(Promoted { location: store.public_url(&format!("{dir}/")) })
}

/// Reads a release in a store back and compares it.
async fn prove(effects: &Effects, train: &Train, step: &OnStore) -> Result<()> {
    let (state, store) = (train.state(), effects.store(&step.store)?);
    let dir = directory(&step.version);
    let made = summed(&state, &step.checksum)?;
    let signed = step.seal.as_ref().map(|seal| sealed(&state, seal)).transpose()?;
    let signed = signed.iter().flat_map(|s| &s.files).map(|f| (f.path.clone(), f.sha256));
    let files = made.files().map(|a| (a.name.to_string(), a.digests.sha256)).chain(signed);
    for (name, sha256) in files {
        let path = format!("{dir}/{name}");
        let found = digests_at(&*store, &Area::Public, &path).await?;
        if found.as_ref().map(|f| f.sha256) != Some(sha256) {
            let what = if found.is_some() { "has other bytes at" } else { "has lost" };
            return Err(Error::conflict(format!("store `{}` {what} `{path}`", step.store))
                .detail(format!("released: sha256 {sha256}"))
                .hint(if found.is_some() {
                    "nothing was changed: find out who did it, and put the released file back".to_owned()
                } else {
                    restoring(&step.store)
                }));
        }
    }
    Ok(())
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
    same_or_conflict(store, path, &digests, found)
}

/// Whether the release's page can be made of this train's own data, asked while nothing is public. What is not signed yet is
/// there by its name.
pub(super) fn page_can_be_made(acting: &Acting<'_>, step: &OnStore, approved_by: &[PersonId]) -> Result<()> {
    let store = acting.effects.store(&step.store)?;
    let Some(id) = &step.seal else { return Ok(()) };
    let Some(seal) = acting.train.plan().step_of::<Seal>(id) else { return Ok(()) };
    let made = summed(&acting.state, &step.checksum)?;
    let mut names: Vec<String> = approved_by.iter().flat_map(trust::sum_signature_names).collect();
    if seal.sign_artifacts {
        names.extend(made.artifacts.iter().map(|a| format!("{}.asc", a.name)));
    }
    let files = names.into_iter().map(|path| SealedFile { path, sha256: Sha256::of(b""), size: 0 }).collect();
    let tag_id = prepared(&acting.state, &seal.prepare)?.head.clone();
    let stand_in = Sealed { tag: seal.tag.clone(), tag_id, tag_object: Sha256::of(b""), files };
    let templates = &acting.train.plan().templates;
    blocking(|| site::try_release_page(templates, &page(acting, step, &*store, &stand_in)?)).map_err(|e| {
        e.hint("nothing is public yet: fix the template in `release-templates/`, give the train up and plan it again")
    })
}

/// What the release's page says.
fn page(acting: &Acting<'_>, step: &OnStore, store: &dyn Store, seal: &Sealed) -> Result<ReleasePage> {
    let plan = acting.train.plan();
    let made = summed(&acting.state, &step.checksum)?;
    let has = |path: &str| seal.files.iter().any(|f| f.path == path);
    let file = |a: &Artifact| {
        let signature = format!("{}.asc", a.name);
        PageFile {
            name: a.name.to_string(),
            size: a.digests.size,
            sha256: a.digests.sha256,
            sha512: a.digests.sha512,
            signature: has(&signature).then_some(signature),
        }
    };
    let trust = acting.train.trust();
    let signer = |(person, known): (&PersonId, &trust::Person)| {
        let [signature, _] = trust::sum_signature_names(person);
        let fingerprint = known.certificates.iter().next()?;
        has(&signature).then(|| PageSigner {
            person: person.to_string(),
            fingerprint: fingerprint.to_string(),
            signature,
            certificate: Some(format!("../../keys/{fingerprint}.asc")),
        })
    };
    let notes = match made.artifacts.iter().find(|a| a.name.as_str() == NOTES) {
        Some(file) => Some(String::from_utf8_lossy(&acting.train.objects().get(&file.digests.sha256)?).into_owned()),
        None => None,
    };
    let release_key = trust.root.roles.release.keys.iter().next();
    let manifest = Manifest::from_bytes(&acting.train.objects().get(&made.manifest.digests.sha256)?)?;
    Ok(ReleasePage {
        project: plan.project.clone(),
        version: step.version.clone(),
        branch: step.branch.clone(),
        date: plan.date,
        tag: seal.tag.clone(),
        commit: manifest.commit,
        base: Some(store.public_url("").trim_end_matches('/').to_owned()),
        root: Some(trust.digest),
        clone_url: Some(store.public_url(&format!("git/{}.git", plan.project))),
        files: made.artifacts.iter().map(file).collect(),
        others: made
            .files()
            .map(|a| &a.name)
            .filter(|n| !made.artifacts.iter().any(|a| a.name == **n))
            .map(ToString::to_string)
            .collect(),
        signers: trust.root.people.iter().filter_map(signer).collect(),
        release_key: release_key.map(ToString::to_string),
        release_certificate: release_key.map(|key| format!("../../keys/{key}.asc")),
        advisories: AdvisoryText::all(&plan.advisories, &plan.advisory_texts),
        notes,
        forges: plan.forges(),
        superseded_by: None,
    })
}
