//! The signed tag: of the release key, with the text that people approved, and found under its own name only.

use std::path::Path;

use super::release::{CheckedRelease, DOCUMENT, document};
use super::source::Source;
use super::{Layout, Report, Request};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::layout;
use crate::formats::openpgp::{Detached, Hashed};
use crate::formats::refs;
use crate::formats::tag::{FILE, parse, split};
use crate::model::{Oid, Sha256, escape};
use crate::trust::{Window, check_key_signature};

pub(super) async fn check(
    request: &Request,
    release: &CheckedRelease,
    window: &Window,
    report: &mut Report,
) -> Result<()> {
    let object = match document(request, FILE).await? {
        Ok(object) => object,
        Err(e) => {
            report.note("tag", Err(e));
            return Ok(());
        }
    };
    report.note("tag", signed_as_approved(request, release, window, &object));
    let id = object_id(&object)?;
    let name = format!("refs/tags/{}", release.manifest.tag.name);
    let what = "tag ref";
    if let Some(clone) = &request.clone {
        let refs = local_refs(clone)?;
        // Apart from the served repository's: one of the two may be wrong.
        report.note("tag ref in the clone", under_its_name(&refs, &name, &id));
    }
    if request.layout == Layout::Store {
        let git = layout::repository(request.project());
        match served(&request.source, &git, &name, &id).await {
            Ok(Some(found)) => drop(report.note(what, Ok(found))),
            Ok(None) => report.not_checked(what, format!("there is no `{git}/info/refs`")),
            Err(e) if e.kind() == ErrorKind::Verification => drop(report.note(what, Err(e))),
            Err(e) => return Err(e),
        }
    } else if request.clone.is_none() {
        report.not_checked(what, "name a clone with `--clone` to have its tag checked");
    }
    Ok(())
}

/// Checks the tag's ref wherever git may read it in a served repository: over HTTP in `info/refs`, in a clone by path in
/// `packed-refs` and, before that, in a file of its own (gitrepository-layout(5)). One that says otherwise would give some
/// people another tag. `None` if nothing is served there.
async fn served(source: &Source, git: &str, name: &str, id: &Oid) -> Result<Option<String>> {
    let path = format!("{git}/info/refs");
    let Some(bytes) = source.read(&path, DOCUMENT).await? else { return Ok(None) };
    let found = under_its_name(&parse_refs(&bytes, &path)?, name, id)?;
    let path = format!("{git}/packed-refs");
    let packed = beside(source, &path).await?.map(|b| parse_packed(&b, &path)).transpose()?;
    if let Some(packed) = &packed {
        no_other(packed, name, id).map_err(|e| e.context(&path))?;
    }
    let loose = loose_refs(source, git, name).await?;
    no_other(&loose, name, id).map_err(|e| e.context(format!("a file below `{git}/refs`")))?;
    let read_by_path = packed.iter().flatten().chain(&loose);
    if (packed.is_some() || !loose.is_empty()) && !read_by_path.into_iter().any(|(r, _)| r == name) {
        return Err(Error::verification(format!("there is no `{name}` in `{path}`")));
    }
    Ok(Some(found))
}

/// A file that only a clone by path reads: a web server need not have it.
async fn beside(source: &Source, path: &str) -> Result<Option<Vec<u8>>> {
    match source.read(path, DOCUMENT).await {
        Err(e) if !source.is_local() && e.kind() != ErrorKind::Verification => Ok(None),
        read => read,
    }
}

/// The refs below `refs/tags` that are files of their own: all of a directory; on the web the tag's own.
async fn loose_refs(source: &Source, git: &str, name: &str) -> Result<Vec<(String, String)>> {
    let mut names = Vec::new();
    let mut dirs = vec!["refs/tags".to_owned()];
    while let Some(dir) = dirs.pop() {
        match source.list(&format!("{git}/{dir}"))? {
            None => names.push(name.to_owned()),
            Some(entries) => {
                // git passes over hidden files and locks; stores leave the former behind when a write is killed.
                for entry in entries.iter().filter(|e| !e.starts_with('.') && !e.ends_with(".lock")) {
                    match entry.strip_suffix('/') {
                        Some(below) => dirs.push(format!("{dir}/{below}")),
                        None => names.push(format!("{dir}/{entry}")),
                    }
                }
            }
        }
    }
    let mut out = Vec::new();
    for name in names {
        if let Some(bytes) = beside(source, &format!("{git}/{name}")).await? {
            let id = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            out.push((name, id));
        }
    }
    Ok(out)
}

fn signed_as_approved(request: &Request, release: &CheckedRelease, window: &Window, object: &[u8]) -> Result<String> {
    let (payload, signature) = split(object)?;
    let tag = parse(payload)?;
    let manifest = &release.manifest;
    if tag.name != manifest.tag.name {
        return Err(Error::verification(format!("it is tag {}, not {}", tag.name, manifest.tag.name)));
    }
    if tag.object != manifest.commit {
        return Err(Error::verification(format!("it is on commit {}, not {}", tag.object, manifest.commit)));
    }
    if Sha256::of(payload) != manifest.tag.text {
        return Err(Error::verification("its text is not the one that people approved"));
    }
    let role = ("release", &request.trust.root.roles.release);
    let signature = Detached::parse(signature, FILE)?;
    let fact = check_key_signature(&request.trust, role, &signature, &Hashed::of(payload)?, window)?;
    Ok(format!("{} on {}, signed by {}", tag.name, tag.object, fact.certificate))
}

/// The id that git gives to the tag object.
fn object_id(object: &[u8]) -> Result<Oid> {
    let id = git2::Oid::hash_object(git2::ObjectType::Tag, object).context("cannot name the tag object")?;
    Ok(id.to_string().parse()?)
}

/// git accepts a signed tag `v1` under the ref `refs/tags/v2`; here the ref must be the tag's own, and the only one.
fn under_its_name(refs: &[(String, String)], name: &str, id: &Oid) -> Result<String> {
    if refs.iter().all(|(r, _)| r != name) {
        return Err(Error::verification(format!("there is no `{name}`")));
    }
    no_other(refs, name, id).map(|()| format!("`{name}` is {id}"))
}

/// The ref is the tag object's, where it is listed, and no other one is.
fn no_other(refs: &[(String, String)], name: &str, id: &Oid) -> Result<()> {
    for (found, object) in refs {
        if found == name && object != id.as_str() {
            let object = escape(object);
            return Err(Error::verification(format!("`{name}` is {object}, not the tag object {id}")));
        }
        if found != name && object == id.as_str() {
            return Err(Error::verification(format!("the same tag object is at `{}` too", escape(found))));
        }
    }
    Ok(())
}

/// Reads `packed-refs`, without what tags point to.
fn parse_packed(bytes: &[u8], path: &str) -> Result<Vec<(String, String)>> {
    let bad = || Error::verification(format!("`{path}` is not a list of packed refs"));
    let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
    Ok(owned(refs::parse_packed(text).map_err(|_| bad())?))
}

/// Reads `info/refs`, without what tags point to.
pub(super) fn parse_refs(bytes: &[u8], path: &str) -> Result<Vec<(String, String)>> {
    let bad = || Error::verification(format!("`{path}` is not a list of refs"));
    let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
    let mut all = refs::parse_info(text).map_err(|_| bad())?;
    all.retain(|(name, _)| refs::peeled(name).is_none());
    Ok(owned(all))
}

fn owned(refs: Vec<refs::RefLine<'_>>) -> Vec<(String, String)> {
    refs.into_iter().map(|(name, id)| (name.to_owned(), id.to_owned())).collect()
}

fn local_refs(clone: &Path) -> Result<Vec<(String, String)>> {
    let what = format!("cannot read the refs of `{}`", clone.display());
    let repository = git2::Repository::open(clone).context(&what)?;
    let mut out = Vec::new();
    for reference in repository.references_glob("refs/tags/*").context(&what)? {
        let reference = reference.context(&what)?;
        if let (Ok(name), Some(id)) = (reference.name(), reference.target()) {
            out.push((name.to_owned(), id.to_string()));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_ref_is_refused() {
        let id: Oid = "a".repeat(40).parse().unwrap();
        let refs = |pairs: &[(&str, char)]| -> Vec<(String, String)> {
            pairs.iter().map(|(n, c)| (format!("refs/tags/{n}"), c.to_string().repeat(40))).collect()
        };
        assert!(under_its_name(&refs(&[("v1", 'a'), ("v0", 'b')]), "refs/tags/v1", &id).is_ok());
        assert!(under_its_name(&refs(&[("v2", 'a')]), "refs/tags/v1", &id).is_err());
        assert!(under_its_name(&refs(&[("v1", 'a'), ("v2", 'a')]), "refs/tags/v1", &id).is_err());
        assert!(under_its_name(&refs(&[("v1", 'b')]), "refs/tags/v1", &id).is_err());
    }
}
