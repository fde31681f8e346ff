//! `point`: a store's git repository, indexes and `latest`, last of all and only forward.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use semver::Version;

use super::promote::put_public;
use super::stage::digests_at;
use super::{Acting, prepared, sealed, summed};
use crate::effects::{Area, Role, Served, StaticContent, Store, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::index::{self, Entry, Index};
use crate::formats::manifest::{self, Manifest};
use crate::formats::openpgp::{Detached, Hashed};
use crate::model::Sha256;
use crate::site;
use crate::step::{Outcome, Point};
use crate::trust::{Window, check_key_signature};

/// How long an index counts as fresh (DESIGN §5).
const FRESH: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How often a pointer is tried again when another writer was faster.
const RACES: u32 = 5;

pub(super) async fn point(acting: &Acting<'_>, step: &Point) -> Result<Outcome> {
    let store = acting.store(&step.store)?;
    keys(acting, &*store).await?;
    repository(acting, step, &*store).await?;
    let index = move_index(acting, step, &*store).await?;
    let digest = Sha256::of(&index.to_bytes()?);
    store.clear_staging(&acting.staging()?).await?;
    Ok(Outcome::Pointed { index: digest })
}

/// The trust root and the certificates: for a stranger's keyring, never as evidence.
async fn keys(acting: &Acting<'_>, store: &dyn Store) -> Result<()> {
    for (name, bytes) in &acting.train.trust().published {
        replace(acting, store, &format!("keys/{name}"), bytes).await?;
    }
    Ok(())
}

/// The repository that any web server can serve for cloning: packs first, refs last.
async fn repository(acting: &Acting<'_>, step: &Point, store: &dyn Store) -> Result<()> {
    let root = format!("git/{}.git", step.project);
    let read = |path: &str| format!("{root}/{path}");
    let packs = content_at(store, &read("objects/info/packs")).await?.unwrap_or_default();
    let refs = content_at(store, &read("info/refs")).await?.unwrap_or_default();
    let served = Served::read(&packs, &refs)?;
    let newest_served = match content_at(store, index::PATH).await? {
        Some(bytes) => signed_index(acting, step, store, &bytes).await?.latest.overall,
        None => None,
    };
    let head_served = content_at(store, &read("HEAD")).await?.unwrap_or_default();
    let head_served = String::from_utf8_lossy(&head_served).trim().trim_start_matches("ref: ").to_owned();
    let files = blocking(|| {
        let mut tips = Vec::new();
        // `HEAD` stays where the newest release is, which need not be one of this train's.
        let mut head = head_served.clone();
        let mut newest = newest_served.clone().filter(|_| !head.is_empty());
        for (branch, line) in &step.lines {
            acting.repository_with(&line.prepare)?;
            let seal = sealed(&acting.state, &line.seal)?;
            acting.write_tag(seal)?;
            let name = format!("refs/heads/{branch}");
            if newest.as_ref().is_none_or(|v| line.version > *v) {
                newest = Some(line.version.clone());
                head.clone_from(&name);
            }
            tips.push((name, prepared(&acting.state, &line.prepare)?.head.clone()));
            tips.push((format!("refs/tags/{}", seal.tag), seal.tag_id.clone()));
        }
        for (branch, prepare) in &step.carries {
            acting.repository_with(prepare)?;
            tips.push((format!("refs/heads/{branch}"), prepared(&acting.state, prepare)?.head.clone()));
        }
        acting.effects.git.static_repository(acting.train.repository(), &head, &tips, &served)
    })?;
    for file in files {
        let path = read(&file.path);
        match file.content {
            StaticContent::Fixed(source) => {
                let digests = acting.train.objects().put_file(&source)?;
                let object = acting.train.objects().path(&digests.sha256);
                store.put_new(&Area::Public, &path, &object, &digests).await?;
                let found = digests_at(store, &Area::Public, &path).await?;
                super::stage::same_or_conflict(store, &path, &digests, found)?;
            }
            StaticContent::Replaced(bytes) => replace(acting, store, &path, &bytes).await?,
        }
    }
    Ok(())
}

/// Whether this store's index and served refs can be moved on: asked at the gate, while nothing is public yet.
pub(super) async fn readable(acting: &Acting<'_>, step: &Point) -> Result<()> {
    let store = acting.store(&step.store)?;
    if let Some(bytes) = content_at(&*store, index::PATH).await? {
        let index = signed_index(acting, step, &*store, &bytes).await?;
        let now = acting.effects.clock.now();
        index.next(entries(acting, step)?, [], now, now.checked_add(FRESH).context("the clock is wrong")?)?;
    }
    let root = format!("git/{}.git", step.project);
    let packs = content_at(&*store, &format!("{root}/objects/info/packs")).await?.unwrap_or_default();
    let refs = content_at(&*store, &format!("{root}/info/refs")).await?.unwrap_or_default();
    let served = Served::read(&packs, &refs)?;
    for line in step.lines.values() {
        let name = format!("refs/tags/{}", line.tag);
        if served.refs.iter().any(|(n, _)| *n == name) && acting.state.outcome(&line.seal).is_none() {
            return Err(Error::conflict(format!("store `{}` serves `{name}` already", step.store))
                .hint("tags never move: give the train up and ship the next version"));
        }
    }
    Ok(())
}

/// The index that the store serves, if one of our freshness keys signed it: what anybody else wrote there is never signed on.
async fn signed_index(acting: &Acting<'_>, step: &Point, store: &dyn Store, bytes: &[u8]) -> Result<Index> {
    let refused = |e: Error| {
        e.context(format!("store `{}`: `{}`", store.name(), index::PATH)).hint(
            "somebody else wrote this index: put the last signed one back (its signature lies beside it), or remove it to \
             start anew from this train",
        )
    };
    let name = format!("releases/index.{}.asc", Sha256::of(bytes));
    let signature = match content_at(store, &name).await? {
        Some(signature) => signature,
        None => content_at(store, &format!("{}.asc", index::PATH))
            .await?
            .ok_or_else(|| refused(Error::verification("it has no signature")))?,
    };
    let now = acting.effects.clock.now();
    let trust = acting.train.trust();
    let signature = Detached::parse(&signature, &name).map_err(refused)?;
    let window = Window { earliest: jiff::Timestamp::MIN, recorded: None, now };
    let hashed = Hashed::of(bytes).map_err(refused)?;
    check_key_signature(trust, ("freshness", &trust.root.roles.freshness), &signature, &hashed, &window)
        .map_err(refused)?;
    let index = Index::from_bytes(bytes).map_err(refused)?;
    if index.project != step.project {
        return Err(refused(Error::verification(format!("it is that of project {}", index.project))));
    }
    Ok(index)
}

/// What the index says of this train's releases.
fn entries(acting: &Acting<'_>, step: &Point) -> Result<BTreeMap<Version, Entry>> {
    let mut entries = BTreeMap::new();
    for (branch, line) in &step.lines {
        let manifest = summed(&acting.state, &line.checksum)?.manifest.digests.sha256;
        let entry = Entry { line: branch.clone(), train: acting.nonce()?, tag: line.tag.clone(), manifest };
        entries.insert(line.version.clone(), entry);
    }
    Ok(entries)
}

/// Adds the train's releases to the index and signs it; an equal index is left as it is.
async fn move_index(acting: &Acting<'_>, step: &Point, store: &dyn Store) -> Result<Index> {
    let entries = entries(acting, step)?;
    let signer = acting.effects.keys.signer(&Role::Freshness)?;
    for _ in 0..RACES {
        let there = content_at(store, index::PATH).await?;
        let old = match &there {
            Some(bytes) => Some(signed_index(acting, step, store, bytes).await?),
            None => None,
        };
        let now = acting.effects.clock.now();
        let expires = now.checked_add(FRESH).context("the clock is wrong")?;
        let has_all = |i: &Index| entries.iter().all(|(v, e)| i.releases.get(v) == Some(e));
        let next = match &old {
            // Interrupted after the index was moved: only what follows it is left.
            Some(old) if has_all(old) => old.clone(),
            Some(old) => old.next(entries.clone(), [], now, expires)?,
            None => Index::empty(step.project.clone(), now, expires).next(entries.clone(), [], now, expires)?,
        };
        let bytes = next.to_bytes()?;
        // Index and signature cannot be replaced as one: the signature of each index stands under the index's own digest,
        // before the index does, so a reader finds the one that fits whatever it read.
        let signature = signer.sign(&mut &bytes[..])?;
        let by_digest = format!("releases/index.{}.asc", Sha256::of(&bytes));
        let digests = acting.train.objects().put(signature.as_bytes())?;
        let object = acting.train.objects().path(&digests.sha256);
        store.put_new(&Area::Public, &by_digest, &object, &digests).await?;
        let moved = there.as_deref() == Some(&bytes[..])
            || store.replace_if(index::PATH, there.as_deref().map(Sha256::of).as_ref(), &bytes).await?;
        if !moved {
            continue;
        }
        replace(acting, store, &format!("{}.asc", index::PATH), signature.as_bytes()).await?;
        pages(acting, store, &next).await?;
        // Another train may have moved the index meanwhile: then what was just written belongs to an older one.
        if content_at(store, index::PATH).await?.as_deref() == Some(&bytes[..]) {
            return Ok(next);
        }
    }
    Err(Error::transient(format!("another writer keeps moving the index of store `{}`", store.name())))
}

/// The page over all releases, and the plain `latest` that a script can read.
async fn pages(acting: &Acting<'_>, store: &dyn Store, index: &Index) -> Result<()> {
    let page = index_page(acting, store, index).await?;
    replace(acting, store, "releases/index.html", &page).await?;
    if let Some(latest) = &index.latest.overall {
        replace(acting, store, "releases/latest", format!("{latest}\n").as_bytes()).await?;
    }
    Ok(())
}

/// The dates stand in the manifests, which the index lists by digest.
async fn index_page(acting: &Acting<'_>, store: &dyn Store, index: &Index) -> Result<Vec<u8>> {
    let mut releases = Vec::new();
    for (version, entry) in &index.releases {
        let path = format!("{}/{}", super::stage::directory(version), manifest::FILE);
        let Some(bytes) = content_at(store, &path).await? else { continue };
        if Sha256::of(&bytes) != entry.manifest {
            return Err(Error::conflict(format!(
                "store `{}`: `{path}` is not the one that the index lists",
                store.name()
            ))
            .hint("nothing was changed; compare it with another store"));
        }
        let manifest = Manifest::from_bytes(&bytes)?;
        let ours = acting.nonce()? == entry.train;
        let advisories =
            if ours { acting.train.plan().advisories.iter().map(ToString::to_string).collect() } else { Vec::new() };
        releases.push(site::IndexRelease {
            version: version.clone(),
            branch: entry.line.clone(),
            date: manifest.date,
            advisories,
        });
    }
    let project = index.project.clone();
    site::index_page(&acting.train.plan().templates, &site::IndexPage { project, releases })
}

pub(super) async fn content_at(store: &dyn Store, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(mut source) = store.get(&Area::Public, path).await? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = blocking(|| source.read_to_end(&mut bytes));
    read.context(format!("cannot read `{path}` in store `{}`", store.name()))?;
    Ok(Some(bytes))
}

/// Brings a public object to these bytes, by comparison and conditional replacement.
async fn replace(acting: &Acting<'_>, store: &dyn Store, path: &str, bytes: &[u8]) -> Result<()> {
    for _ in 0..RACES {
        let there = content_at(store, path).await?;
        if there.as_deref() == Some(bytes) {
            return Ok(());
        }
        if there.is_none() {
            return put_public(acting, store, path, bytes).await;
        }
        if store.replace_if(path, there.as_deref().map(Sha256::of).as_ref(), bytes).await? {
            return Ok(());
        }
    }
    Err(Error::transient(format!("another writer keeps changing `{path}` in store `{}`", store.name())))
}
