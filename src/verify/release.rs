//! The frame of a release: manifest and sums agree, are what was asked for, and nothing else lies beside.

use std::collections::BTreeSet;

use super::{Layout, Report, Request};
use crate::error::{Error, Result};
use crate::formats::approval::Statement;
use crate::formats::checksums::{self, SHA256SUMS, SHA512SUMS};
use crate::formats::content::Content;
use crate::formats::manifest::{self, Manifest};
use crate::formats::openpgp::Detached;
use crate::formats::tag;
use crate::model::{Artifact, Digests, PersonId, Sha256, Sha512, counted, escape};
use crate::trust::{LineSums, sum_signature_names};

/// The longest document that is read into memory.
pub(crate) const DOCUMENT: u64 = crate::formats::layout::MAX_DOCUMENT;
/// The longest signature that is read.
pub(super) const SIGNATURE: u64 = 64 << 10;

/// What a release says of itself, as far as it agrees with itself.
pub(super) struct CheckedRelease {
    pub(super) manifest: Manifest,
    pub(super) manifest_digest: Sha256,
    pub(super) sums: LineSums,
}

/// Reads manifest and sums; `None` if there is nothing to go on with.
pub(super) async fn check(request: &Request, report: &mut Report) -> Result<Option<CheckedRelease>> {
    let bytes = document(request, manifest::FILE).await?;
    let parsed = bytes.and_then(|bytes| Ok((Manifest::from_bytes(&bytes)?, Digests::of(&bytes))));
    let (manifest, digests) = match parsed {
        Ok(parsed) => parsed,
        Err(e) => {
            report.note("manifest", Err(e));
            return Ok(None);
        }
    };
    report.line = Some(manifest.line.clone());
    report.commit = Some(manifest.commit.clone());
    report.tag = Some(manifest.tag.name.clone());
    if !report.note("manifest", as_asked(request, &manifest)) {
        return Ok(None);
    }
    let listed = manifest.listed(digests)?;
    let lists = (document(request, SHA256SUMS).await?, document(request, SHA512SUMS).await?);
    let sums = match lists {
        (Ok(sha256sums), Ok(sha512sums)) => LineSums { sha256sums, sha512sums },
        (a, b) => {
            report.note("sums", a.and(b).map(|_| String::new()));
            return Ok(None);
        }
    };
    report.note("sums", agree(&sums, &listed));
    Ok(Some(CheckedRelease { manifest, manifest_digest: digests.sha256, sums }))
}

/// A document that must be there. What is wrong with it is the inner error; the outer is the source's.
pub(super) async fn document(request: &Request, name: &str) -> Result<Result<Vec<u8>>> {
    Ok(match request.read(name, DOCUMENT).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(request.missing(name)),
        Err(e) if e.kind() == crate::error::ErrorKind::Verification => Err(e),
        Err(e) => return Err(e),
    })
}

fn as_asked(request: &Request, manifest: &Manifest) -> Result<String> {
    let other = |what: &str, found: &str, asked: &str| {
        Err(Error::verification(format!("it is the manifest of {what} {found}, not of {asked}")))
    };
    if manifest.project != *request.project() {
        return other("project", manifest.project.as_str(), request.project().as_str());
    }
    if manifest.version != request.version {
        return other("version", &manifest.version.to_string(), &request.version.to_string());
    }
    if let Some(line) = request.line.as_ref().filter(|l| **l != manifest.line) {
        return other("line", manifest.line.as_str(), line.as_str());
    }
    Ok(format!(
        "{} {} on {}, {}",
        manifest.project,
        manifest.version,
        manifest.line,
        counted(manifest.artifacts.len(), "file")
    ))
}

/// Both lists name exactly the artifacts and the manifest, with the manifest's digests.
fn agree(sums: &LineSums, listed: &[Artifact]) -> Result<String> {
    let one = checksums::parse::<Sha256>(&sums.sha256sums, SHA256SUMS)?;
    let two = checksums::parse::<Sha512>(&sums.sha512sums, SHA512SUMS)?;
    for artifact in listed {
        let name = &artifact.name;
        for (list, right, known) in [
            (SHA256SUMS, one.get(name) == Some(&artifact.digests.sha256), one.contains_key(name)),
            (SHA512SUMS, two.get(name) == Some(&artifact.digests.sha512), two.contains_key(name)),
        ] {
            if !right {
                let what = if known { "has another digest for" } else { "does not list" };
                return Err(Error::verification(format!("`{list}` {what} `{name}`")));
            }
        }
    }
    let names: BTreeSet<_> = listed.iter().map(|a| &a.name).collect();
    for (list, extra) in
        [(SHA256SUMS, one.keys().find(|n| !names.contains(n))), (SHA512SUMS, two.keys().find(|n| !names.contains(n)))]
    {
        if let Some(name) = extra {
            return Err(Error::verification(format!("`{list}` lists `{name}`, which the manifest does not")));
        }
    }
    Ok(format!("{SHA256SUMS} and {SHA512SUMS} list the {} and the manifest", counted(listed.len() - 1, "file")))
}

/// How the names of approvals begin where files have no directories.
pub(super) const FLAT: &str = "approvals.";

/// The page that each store makes from the release.
const PAGE: &str = "index.html";

/// Names that a release may have without anybody's signature: they are for reading only.
const UNSIGNED: [&str; 3] = [PAGE, manifest::PAGE_DATA, "provenance.intoto.jsonl"];

/// Everything in the directory is listed, or checked elsewhere, or known by name; what nobody signed is said to be so.
pub(super) async fn check_nothing_extra(
    request: &Request,
    release: &CheckedRelease,
    report: &mut Report,
) -> Result<()> {
    let what = "nothing extra";
    let Some(names) = request.source.list(&request.directory())? else {
        report.not_checked(what, "a web server does not list its files");
        return Ok(());
    };
    if request.incomplete() && !request.only.is_empty() {
        report.not_checked(what, "one file was asked for; what else lies beside it was not looked at");
        return Ok(());
    }
    let listed: BTreeSet<&str> = release.manifest.artifacts.iter().map(|a| a.name.as_str()).collect();
    let checked: BTreeSet<String> = [manifest::FILE, tag::FILE, SHA256SUMS, SHA512SUMS, "approvals/"]
        .map(str::to_owned)
        .into_iter()
        .chain(request.trust.root.people.keys().flat_map(sum_signature_names))
        .collect();
    let unsigned = |n: &str| UNSIGNED.contains(&n) || n.strip_suffix(".asc").is_some_and(|s| UNSIGNED.contains(&s));
    let known = |n: &str| {
        listed.contains(n)
            || checked.contains(n)
            || unsigned(n)
            || n.strip_suffix(".asc").is_some_and(|s| listed.contains(s))
    };
    // Somebody who downloaded a single release may keep it in a directory with other things; they must say so by moving it.
    let flat = |n: &&String| request.layout == Layout::Release && n.starts_with(FLAT);
    let mut extra: Vec<String> = names.iter().filter(|n| !known(n) && !flat(n)).map(|n| escape(n)).collect();
    let mut broken = None;
    let nested = request.source.list(&request.path("approvals"))?.unwrap_or_default();
    let nested = nested.into_iter().map(|n| (format!("approvals/{n}"), n));
    let flat = names.iter().filter(flat).map(|n| (n.clone(), n[FLAT.len()..].to_owned()));
    for (path, name) in nested.chain(flat) {
        match approval_file(request, &path, &name).await? {
            Ok(true) => {}
            Ok(false) => extra.push(escape(&path)),
            Err(e) => broken = broken.or(Some(e.context(format!("`{}`", escape(&path))))),
        }
    }
    let result = match broken {
        _ if !extra.is_empty() => Err(Error::verification(format!("not listed by the sums: {}", extra.join(", ")))),
        Some(e) => Err(e),
        None => Ok(format!("{}, all known", counted(names.len(), "entry"))),
    };
    report.note(what, result);
    for name in names.iter().filter(|n| !listed.contains(n.as_str()) && unsigned(n)) {
        let why = match name.as_str() {
            PAGE => "a generated page",
            manifest::PAGE_DATA => "what pages are made from",
            _ => "no signature covers it",
        };
        report.not_checked(format!("not signed: {}", escape(name)), why);
    }
    Ok(())
}

/// Whether a file is the content manifest, or a statement or signature of somebody, that can be read as such. Whether it
/// counts was judged before.
async fn approval_file(request: &Request, path: &str, name: &str) -> Result<Result<bool>> {
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".json.asc"));
    if stem.is_none_or(|s| PersonId::new(s).is_err()) {
        return Ok(Ok(false));
    }
    let bytes = match document(request, path).await? {
        Ok(bytes) => bytes,
        Err(e) => return Ok(Err(e)),
    };
    let read = match () {
        () if name == "content.json" => Content::from_bytes(&bytes).map(drop),
        () if name.ends_with(".asc") => Detached::parse(&bytes, path).map(drop),
        () => Statement::from_bytes(&bytes, path).map(drop),
    };
    Ok(read.map(|()| true))
}
