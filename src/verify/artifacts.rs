//! Every file is there and right, and so is its signature if it has one.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::bounds::{MAX_COUNT, MAX_SIZE};
use super::release::{Release, SIGNATURE};
use super::{Report, Request};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::openpgp::{Detached, Hashed};
use crate::model::Artifact;
use crate::trust::{Window, check_key_signature};

/// How many files are read at once.
const AT_ONCE: usize = 8;

pub(super) async fn check(
    request: &Arc<Request>,
    release: &Release,
    window: &Window,
    report: &mut Report,
) -> Result<()> {
    let artifacts = &release.manifest.artifacts;
    if let Err(e) = bounded(artifacts) {
        report.note("artifacts", Err(e));
        return Ok(());
    }
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (n, artifact) in artifacts.iter().cloned().enumerate() {
        let (request, slots, window) = (Arc::clone(request), Arc::clone(&slots), *window);
        tasks.spawn(async move {
            let _slot = slots.acquire().await;
            let result = one(&request, &artifact, &window).await;
            (n, artifact, result)
        });
    }
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result.context("checking a file was broken off")?);
    }
    results.sort_by_key(|(n, _, _)| *n);
    for (_, artifact, result) in results {
        match result {
            Err(e) if e.kind() != ErrorKind::Verification => return Err(e),
            result => report.note(format!("artifact {}", artifact.name), result),
        };
    }
    Ok(())
}

/// Even people who are trusted cannot make this machine read for ever.
fn bounded(artifacts: &[Artifact]) -> Result<()> {
    if artifacts.len() > MAX_COUNT {
        return Err(Error::verification(format!("{} files are more than the {MAX_COUNT} allowed", artifacts.len())));
    }
    match artifacts.iter().find(|a| a.digests.size > MAX_SIZE) {
        Some(a) => Err(Error::verification(format!(
            "`{}` has {} bytes, more than the {MAX_SIZE} allowed",
            a.name, a.digests.size
        ))),
        None => Ok(()),
    }
}

async fn one(request: &Request, artifact: &Artifact, window: &Window) -> Result<String> {
    let name = &artifact.name;
    let hashed = request.source.hash(&request.path(name.as_str()), artifact.digests.size).await?;
    let hashed = hashed.ok_or_else(|| Error::verification(format!("`{name}` is missing")))?;
    if *hashed.digests() != artifact.digests {
        return Err(Error::verification(format!("`{name}` has other bytes than its people signed for"))
            .detail(format!("expected sha256:{}, {} bytes", artifact.digests.sha256, artifact.digests.size))
            .detail(format!("found sha256:{}, {} bytes", hashed.digests().sha256, hashed.digests().size)));
    }
    let signature = format!("{name}.asc");
    match request.source.read(&request.path(&signature), SIGNATURE).await? {
        None => Ok(format!("{} bytes, as listed", artifact.digests.size)),
        Some(bytes) => signed(request, &bytes, &signature, &hashed, window),
    }
}

fn signed(request: &Request, bytes: &[u8], name: &str, content: &Hashed, window: &Window) -> Result<String> {
    let role = ("release", &request.trust.root.roles.release);
    let fact = check_key_signature(&request.trust, role, &Detached::parse(bytes, name)?, content, window)?;
    Ok(format!("{} bytes, as listed, signed by {}", content.digests().size, fact.certificate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ArtifactName, Digests};

    #[test]
    fn sizes_and_counts_have_an_end() {
        let artifact = |n: usize, size| {
            let digests = Digests { size, ..Digests::of(b"") };
            Artifact::new(ArtifactName::new(format!("a{n}")).unwrap(), digests)
        };
        assert!(bounded(&[artifact(0, MAX_SIZE)]).is_ok());
        assert!(bounded(&[artifact(0, 1 << 62)]).is_err());
        assert!(bounded(&(0..=MAX_COUNT).map(|n| artifact(n, 1)).collect::<Vec<_>>()).is_err());
    }
}
