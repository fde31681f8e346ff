//! The signed tag: of the release key, with the text that people approved, and found under its own name only.

use std::path::Path;

use super::release::{DOCUMENT, Release, document};
use super::{Layout, Report, Request};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::openpgp::{Detached, Hashed};
use crate::formats::tag::{FILE, parse, split};
use crate::model::{Oid, Sha256};
use crate::trust::{Window, check_key_signature};

pub(super) async fn check(request: &Request, release: &Release, window: &Window, report: &mut Report) -> Result<()> {
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
        let path = format!("git/{}.git/info/refs", request.project());
        match request.source.read(&path, DOCUMENT).await {
            Ok(Some(bytes)) => {
                report.note(what, parse_refs(&bytes, &path).and_then(|refs| under_its_name(&refs, &name, &id)));
            }
            Ok(None) => report.not_checked(what, format!("there is no `{path}`")),
            Err(e) if e.kind() == ErrorKind::Verification => drop(report.note(what, Err(e))),
            Err(e) => return Err(e),
        }
    } else if request.clone.is_none() {
        report.not_checked(what, "name a clone with `--clone` to have its tag checked");
    }
    Ok(())
}

fn signed_as_approved(request: &Request, release: &Release, window: &Window, object: &[u8]) -> Result<String> {
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
    match refs.iter().find(|(r, _)| r == name) {
        None => return Err(Error::verification(format!("there is no `{name}`"))),
        Some((_, found)) if found != id.as_str() => {
            return Err(Error::verification(format!("`{name}` is {found}, not the tag object {id}")));
        }
        Some(_) => {}
    }
    match refs.iter().find(|(r, i)| r != name && i == id.as_str()) {
        Some((other, _)) => Err(Error::verification(format!("the same tag object is at `{other}` too"))),
        None => Ok(format!("`{name}` is {id}")),
    }
}

/// Reads `info/refs` of a repository for dumb HTTP: `<id> TAB <ref>`, peeled ids with `^{}` left out.
fn parse_refs(bytes: &[u8], path: &str) -> Result<Vec<(String, String)>> {
    let bad = || Error::verification(format!("`{path}` is not a list of refs"));
    let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
    let mut out = Vec::new();
    for line in text.lines() {
        let (id, name) = line.split_once('\t').ok_or_else(bad)?;
        if !name.ends_with("^{}") {
            out.push((name.to_owned(), id.to_owned()));
        }
    }
    Ok(out)
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
