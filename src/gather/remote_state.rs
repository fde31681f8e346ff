//! Whether a version exists already where it should go: asked of every destination at once, for a short time only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use semver::Version;
use tokio::task::JoinSet;

use crate::effects::{Area, RefUpdate, Remote, Served, Store, read_public};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::layout;
use crate::formats::manifest::{self, Manifest};
use crate::model::{BranchName, Oid, ProjectName, RemoteName, StoreName, TagName};
use crate::snapshot::{Elsewhere, Fact};
use crate::trust::{TrustedRoot, read_index};

/// How long one destination may take to answer: a plan is looked at by a person who waits.
const DEADLINE: Duration = Duration::from_secs(3);

/// Where a train's releases will go.
#[derive(Clone, Default)]
pub struct Destinations {
    /// The stores of the configuration.
    pub stores: BTreeMap<StoreName, Arc<dyn Store>>,
    /// The git remotes of the configuration.
    pub remotes: BTreeMap<RemoteName, Arc<dyn Remote>>,
    /// Where each forge looks for the project's own workflows, as directories of the tree.
    pub workflow_dirs: BTreeMap<RemoteName, &'static [&'static str]>,
}

/// Looks for each version at every destination; what does not answer in time stays unknown, and the step that publishes
/// there looks again.
///
/// # Errors
/// Only when no runtime can be made; a destination that is down is a fact.
pub(super) fn look(
    to: &Destinations,
    versions: &[(TagName, Version)],
    trust: &TrustedRoot,
    now: Timestamp,
) -> Result<Vec<Vec<Elsewhere>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::fatal("cannot start a runtime").because(e))?;
    runtime.block_on(async {
        let mut asked = JoinSet::new();
        let trust = Arc::new(trust.clone());
        for (i, (tag, version)) in versions.iter().enumerate() {
            for (name, store) in &to.stores {
                let (name, store, version) = (format!("store `{name}`"), store.clone(), version.clone());
                let trust = trust.clone();
                asked.spawn(async move { (i, name, in_time(in_store(&*store, &version, &trust, now)).await) });
            }
            for (name, remote) in &to.remotes {
                let (name, remote, tag) = (format!("remote `{name}`"), remote.clone(), tag.clone());
                asked.spawn(async move { (i, name, in_time(on_remote(&*remote, &tag)).await) });
            }
        }
        let mut found: Vec<Vec<Elsewhere>> = versions.iter().map(|_| Vec::new()).collect();
        while let Some(answer) = asked.join_next().await {
            let (i, place, taken) =
                answer.map_err(|e| Error::fatal("internal error while checking a destination").because(e))?;
            found[i].push(Elsewhere { place, taken });
        }
        for of_version in &mut found {
            of_version.sort_by(|a, b| a.place.cmp(&b.place));
        }
        Ok(found)
    })
}

async fn in_time(look: impl Future<Output = Result<Option<String>>>) -> Fact<Option<String>> {
    match tokio::time::timeout(DEADLINE, look).await {
        Ok(Ok(taken)) => Fact::Known(taken),
        Ok(Err(e)) => Fact::Unknown(e.message().to_owned()),
        Err(_) => Fact::Unknown(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

async fn in_store(store: &dyn Store, version: &Version, trust: &TrustedRoot, now: Timestamp) -> Result<Option<String>> {
    let path = layout::release_file(version, manifest::FILE);
    if store.get(&Area::Public, &path).await?.is_some() {
        return Ok(Some(format!("`{path}` is there")));
    }
    // An index that nobody of ours signed says nothing; the gate refuses to go on from it.
    let index = read_index(store, trust, now).await.map_err(|e| e.context(format!("`{}`", layout::INDEX)))?;
    let retired = index.is_some_and(|there| there.index.retired.contains(version));
    Ok(retired
        .then(|| "its index lists it as retired, because a train that had signatures for it was abandoned".to_owned()))
}

async fn on_remote(remote: &dyn Remote, tag: &TagName) -> Result<Option<String>> {
    let found = remote.observe(&[format!("refs/tags/{tag}")]).await?;
    Ok(found.into_iter().flatten().next().map(|oid| format!("tag `{tag}` is there, at {oid}")))
}

/// Tries a push to each of these remotes, which every train needs: read access says nothing of a push. Nothing is
/// sent; the name is one that nobody has. Returns why one could not be asked.
///
/// # Errors
/// A remote that would refuse a push.
pub(super) fn try_pushes(
    to: &Destinations,
    required: &[&RemoteName],
    (repository, commit): (&Path, &Oid),
) -> Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::fatal("cannot start a runtime").because(e))?;
    let trial = [RefUpdate { name: "refs/heads/lifeboat-trial".to_owned(), old: None, new: commit.clone() }];
    let mut unknown = Vec::new();
    for (name, remote) in to.remotes.iter().filter(|(name, _)| required.contains(name)) {
        let asked =
            runtime.block_on(async { tokio::time::timeout(DEADLINE, remote.can_push(repository, &trial)).await });
        match asked {
            Ok(Ok(())) => {}
            Ok(Err(e)) if !matches!(e.kind(), ErrorKind::Unreachable | ErrorKind::Transient) => {
                return Err(e.context(format!("a push to `{name}`, which every train needs, would be refused")));
            }
            Ok(Err(e)) => unknown.push(format!("whether remote `{name}` lets a push in: {}", e.message())),
            Err(_) => {
                unknown
                    .push(format!("whether remote `{name}` lets a push in: no answer within {} s", DEADLINE.as_secs()));
            }
        }
    }
    Ok(unknown)
}

/// The branch heads that the stores serve and the remotes have, by destination and full ref name; what does not answer in
/// time is left out, and the gate asks again.
pub(super) fn heads(
    to: &Destinations,
    project: &ProjectName,
    branches: &[BranchName],
) -> Result<Vec<(String, String, Oid)>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::fatal("cannot start a runtime").because(e))?;
    let names: Vec<String> = branches.iter().map(|b| format!("refs/heads/{b}")).collect();
    let path = layout::repository_file(project, "info/refs");
    runtime.block_on(async {
        let mut asked = JoinSet::new();
        for (name, store) in &to.stores {
            let (place, store, path, names) = (format!("store `{name}`"), store.clone(), path.clone(), names.clone());
            asked.spawn(async move {
                let found = tokio::time::timeout(DEADLINE, served(&*store, &path)).await;
                let found = found.ok().and_then(Result::ok).unwrap_or_default();
                (place, found.into_iter().filter(|(n, _)| names.contains(n)).collect::<Vec<_>>())
            });
        }
        for (name, remote) in &to.remotes {
            let (place, remote, names) = (format!("remote `{name}`"), remote.clone(), names.clone());
            asked.spawn(async move {
                let found = tokio::time::timeout(DEADLINE, remote.observe(&names)).await;
                let found = found.ok().and_then(Result::ok).unwrap_or_default();
                (place, names.into_iter().zip(found).filter_map(|(n, o)| Some((n, o?))).collect())
            });
        }
        let mut out = Vec::new();
        while let Some(answer) = asked.join_next().await {
            let (place, found) =
                answer.map_err(|e| Error::fatal("internal error while checking a destination").because(e))?;
            out.extend(found.into_iter().map(|(name, oid)| (place.clone(), name, oid)));
        }
        out.sort();
        Ok(out)
    })
}

/// How many bytes these releases have, as the first store says that shows one's manifest in time. It is for people alone, so
/// nobody's signature is asked for.
pub(super) fn released_bytes(to: &Destinations, versions: &[Option<Version>]) -> Result<Vec<Option<u64>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::fatal("cannot start a runtime").because(e))?;
    runtime.block_on(async {
        let mut out = Vec::new();
        for version in versions {
            let mut found = None;
            for store in to.stores.values().filter(|_| version.is_some()) {
                let asked = tokio::time::timeout(DEADLINE, size_in(&**store, version.as_ref()));
                found = asked.await.ok().and_then(Result::ok).flatten();
                if found.is_some() {
                    break;
                }
            }
            out.push(found);
        }
        Ok(out)
    })
}

async fn size_in(store: &dyn Store, version: Option<&Version>) -> Result<Option<u64>> {
    let Some(version) = version else { return Ok(None) };
    let Some(bytes) = read_public(store, &layout::release_file(version, manifest::FILE)).await? else {
        return Ok(None);
    };
    let listed = Manifest::from_bytes(&bytes)?;
    // Nobody vouches for these sizes.
    Ok(listed.artifacts.iter().try_fold(0_u64, |sum, artifact| sum.checked_add(artifact.digests.size)))
}

async fn served(store: &dyn Store, path: &str) -> Result<Vec<(String, Oid)>> {
    let bytes = read_public(store, path).await?.unwrap_or_default();
    Ok(Served::read(&[], &bytes)?.refs)
}
