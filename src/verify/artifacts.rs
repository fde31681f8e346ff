//! Every file is there and right, and so is its signature if it has one.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::bounds::{MAX_COUNT, MAX_SIZE};
use super::release::{CheckedRelease, SIGNATURE};
use super::source::hash_file;
use super::{Report, Request};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::openpgp::{Detached, Hashed};
use crate::model::Artifact;
use crate::trust::{Window, check_key_signature};

/// How many files are read at once.
const AT_ONCE: usize = 8;

pub(super) async fn check(
    request: &Arc<Request>,
    release: &CheckedRelease,
    window: &Window,
    report: &mut Report,
) -> Result<()> {
    let artifacts = &release.manifest.artifacts;
    let wanted = |a: &&Artifact| request.only.is_empty() || request.only.contains_key(&a.name);
    if let Some(name) = request.only.keys().find(|n| !artifacts.iter().any(|a| a.name == **n)) {
        let names: Vec<&str> = artifacts.iter().map(|a| a.name.as_str()).collect();
        return Err(Error::input(format!("{} has no file `{name}`", request.version))
            .hint(format!("it has: {}", names.join(", "))));
    }
    if let Err(e) = bounded(artifacts) {
        report.note("artifacts", Err(e));
        return Ok(());
    }
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (n, artifact) in artifacts.iter().filter(wanted).cloned().enumerate() {
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
            Err(e) if !matches!(e.kind(), ErrorKind::Verification | ErrorKind::Input) => return Err(e),
            result => report.note(format!("artifact {}", artifact.name), result),
        };
    }
    let left_out = artifacts.iter().filter(|a| !wanted(a)).count();
    if left_out > 0 {
        report.not_checked("other files", format!("{left_out} of {} were not asked for", artifacts.len()));
    }
    Ok(())
}

/// Even people who are trusted cannot make this machine read forever.
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
    let size = artifact.digests.size;
    let mut kept = request.keep.as_ref().map(|k| k.file(name.as_str())).transpose()?;
    let hashed = {
        let mut nowhere = std::io::sink();
        let out: &mut (dyn std::io::Write + Send) = match &mut kept {
            Some(file) => file,
            None => &mut nowhere,
        };
        match request.local(name) {
            Some(path) => hash_file(&*request.disk, path, name.as_str(), size, out)?,
            None => request.source.hash(&request.path(name.as_str()), size, out).await?,
        }
    };
    if let Some(file) = &mut kept {
        file.sync().context(format!("cannot keep `{name}`"))?;
    }
    let hashed = hashed.ok_or_else(|| request.missing(name.as_str()))?;
    let found = hashed.digests().size;
    if found < size && (request.incomplete() || request.local(name).is_some()) {
        return Err(Error::input(format!("`{name}` is cut off: {found} of {size} bytes")));
    }
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
