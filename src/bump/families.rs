//! Which crates move, and to which version: by the families of the rules.

use std::collections::{BTreeMap, BTreeSet};

use semver::{Version, VersionReq};

use super::rules::{Family, Unpublished, VersionRules};
use super::workspace::{Crate, Workspace, twice};
use super::{Decision, moving};
use crate::error::{Error, Result};
use crate::formats::glob::matches_path;
use crate::model::VersionStep;

/// Applies `step` to every family of the workspace.
pub(super) fn decide(workspace: &Workspace, rules: &VersionRules, step: &VersionStep) -> Result<Decision> {
    let families = if rules.family.is_empty() { vec![only_family(workspace, rules)?] } else { rules.family.clone() };
    let mut versions: Vec<(Version, Version)> = Vec::new();
    // Crates that move, with the index of their step; crates that a family keeps where they are have none.
    let mut chosen: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    if let Some(step) = families.first().and_then(|f| f.step) {
        return Err(Error::input(format!(
            "`step` ({step:?}) of the first family means nothing: it takes the step that is asked for"
        ))
        .hint("remove `step` from the first `[[version.family]]`"));
    }
    for family in &families {
        let (old, moves) = match versions.first() {
            None => (anchor(workspace, family)?, true),
            Some((main, _)) => match workspace.named(&family.of)?.filter(|c| c.publish) {
                Some(Crate { version: Some(version), .. }) => (version.clone(), applies(family, main)),
                _ => continue,
            },
        };
        let new = match versions.first() {
            None => step.apply(&old)?,
            // A candidate of the project is one of its libraries too.
            Some((_, to)) if moves && to.pre.is_empty() && old.pre.is_empty() && family.step.is_some() => {
                family.step.map_or_else(|| old.clone(), |step| step.apply(&old))
            }
            Some((from, to)) if moves => follow(from, to, step, &old, &family.of)?,
            Some(_) => old.clone(),
        };
        if moves && new <= old {
            return Err(Error::input(format!(
                "`{}` cannot go from {old} to {new}: that is not a later version",
                family.of
            ))
            .hint(format!("expected any version after {old}, or a step such as `patch`")));
        }
        for krate in workspace.crates() {
            if member(krate, family, &old, rules)? {
                chosen.entry(&krate.manifest).or_insert_with(|| moves.then_some(versions.len()));
            }
        }
        if moves {
            versions.push((old, new));
        }
    }
    let mut roots: BTreeMap<String, (Version, Version)> = BTreeMap::new();
    for (path, loaded) in workspace.manifests() {
        let Some(own) = loaded.manifest.workspace.as_ref().and_then(|w| w.version.as_ref()) else { continue };
        if let Some(step) = versions.iter().find(|(old, _)| old.to_string() == own.value) {
            roots.insert(path.to_owned(), step.clone());
        }
    }
    let mut moves = Vec::new();
    for krate in workspace.crates() {
        let step = match (&krate.inherits, chosen.get(krate.manifest.as_str())) {
            (Some(root), _) => roots.get(root),
            (None, Some(Some(index))) => versions.get(*index),
            (None, Some(None)) => continue,
            (None, None) => None,
        };
        match step {
            Some((old, new)) => moves.push(moving(krate, old.clone(), new.clone())),
            None if krate.publish && !named(&rules.fixed, &krate.name) => {
                return Err(stray(krate, &families, &versions));
            }
            None => {}
        }
    }
    unique(workspace, &moves.iter().map(|m| m.name.as_str()).collect())?;
    let main = versions.into_iter().next();
    let main = main.ok_or_else(|| Error::input("no version family in this workspace"))?;
    Ok(Decision { main, moves, roots })
}

/// Without families every published crate is at one version, or the rules must say more.
fn only_family(workspace: &Workspace, rules: &VersionRules) -> Result<Family> {
    let published = || workspace.crates().filter(|c| c.publish && !named(&rules.fixed, &c.name));
    let mut at: BTreeMap<&Version, Vec<&Crate>> = BTreeMap::new();
    for krate in published() {
        if let Some(version) = &krate.version {
            at.entry(version).or_default().push(krate);
        }
    }
    let some = at.values().next().and_then(|c| c.first()).or(None);
    let unpublished = || workspace.crates().find(|c| c.version.is_some());
    match (at.len(), some.copied().or_else(unpublished)) {
        (0 | 1, Some(krate)) => Ok(Family { of: krate.name.clone(), crates: Vec::new(), when: None, step: None }),
        (_, None) => Err(Error::input("no crate with a version in this workspace")
            .detail(format!("read from: {}", rules.manifests.join(", ")))
            .hint("name the workspace's root manifest in `manifests` of `[version]`")),
        _ => {
            let mut error = Error::input("the published crates are at several versions, and no family says which move");
            for (version, crates) in &at {
                let first = crates.first().map_or("", |c| c.place.as_str());
                error = error.detail(format!("{first}: {version}, {}", crate::model::counted(crates.len(), "crate")));
            }
            Err(error
                .hint("add `[[version.family]]` with `of = \"CRATE\"` for each that moves, and `fixed` for the others"))
        }
    }
}

/// Whether `family` moves on the line of the project's version `main`; a pre-release counts as the release it precedes.
fn applies(family: &Family, main: &Version) -> bool {
    admits_line(family.when.as_ref(), main)
}

/// Whether a rule with this `when` holds for the project's version `main`.
pub(super) fn admits_line(when: Option<&VersionReq>, main: &Version) -> bool {
    let release = Version::new(main.major, main.minor, main.patch);
    when.is_none_or(|w| w.matches(&release))
}

fn anchor(workspace: &Workspace, family: &Family) -> Result<Version> {
    let krate = workspace.named(&family.of)?;
    krate.and_then(|c| c.version.clone()).ok_or_else(|| {
        let near: Vec<&str> = workspace.crates().map(|c| c.name.as_str()).take(8).collect();
        Error::input(format!("`[version]`: no crate `{}` with a version in this workspace", family.of))
            .hint(format!("`of` names a crate of it, such as {}", near.join(", ")))
    })
}

fn member(krate: &Crate, family: &Family, version: &Version, rules: &VersionRules) -> Result<bool> {
    if named(&rules.fixed, &krate.name) {
        return Ok(false);
    }
    if !family.crates.is_empty() && krate.name != family.of {
        if !named(&family.crates, &krate.name) {
            return Ok(false);
        }
        if krate.publish && krate.version.as_ref() != Some(version) {
            let at = krate.version.as_ref().map_or_else(|| "no version".to_owned(), ToString::to_string);
            return Err(Error::input(format!("{}: `{}` is at {at}, its family at {version}", krate.place, krate.name))
                .hint(format!("set it to {version}, or take it out of the family of `{}`", family.of)));
        }
    }
    let at_version = krate.version.as_ref() == Some(version);
    Ok(at_version && (krate.publish || krate.name == family.of || rules.unpublished == Unpublished::Move))
}

fn stray(krate: &Crate, families: &[Family], versions: &[(Version, Version)]) -> Error {
    let at = krate.version.as_ref().map_or_else(String::new, ToString::to_string);
    let mut error =
        Error::input(format!("{}: the published crate `{}` at {at} belongs to no family", krate.place, krate.name));
    for (family, (old, _)) in families.iter().zip(versions) {
        error = error.detail(format!("family of `{}`: {old}", family.of));
    }
    error.hint("correct its version, add a `[[version.family]]`, or list it in `fixed` of `[version]`")
}

/// Two crates of one name, of which one moves, cannot be distinguished in requirements and locks.
pub(super) fn unique(workspace: &Workspace, moving: &BTreeSet<&str>) -> Result<()> {
    let mut seen: BTreeMap<&str, &Crate> = BTreeMap::new();
    for krate in workspace.crates().filter(|c| moving.contains(c.name.as_str())) {
        if let Some(other) = seen.insert(&krate.name, krate) {
            return Err(twice(other, krate));
        }
    }
    Ok(())
}

fn named(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|p| matches_path(p, name))
}

/// The version that a family takes when the project's went `from` → `to`.
fn follow(from: &Version, to: &Version, step: &VersionStep, old: &Version, family: &str) -> Result<Version> {
    if !matches!(step, VersionStep::Exact(_)) {
        return Ok(step.apply(old)?);
    }
    let fault = || {
        Error::input(format!("the step from {from} to {to} says nothing about `{family}`, which is at {old}"))
            .hint("take a step such as `patch`, or give the family its version by hand before")
    };
    let core = |v: &Version| (v.major, v.minor, v.patch);
    let mut new = old.clone();
    new.pre = to.pre.clone();
    if core(from) == core(to) {
        return if old.pre == from.pre { Ok(new) } else { Err(fault()) };
    }
    if (from.major, from.minor) == (to.major, to.minor) {
        new.patch += to.patch.checked_sub(from.patch).ok_or_else(fault)?;
    } else if from.major == to.major && to.patch == 0 {
        new.minor += to.minor.checked_sub(from.minor).ok_or_else(fault)?;
        new.patch = 0;
    } else if (to.minor, to.patch) == (0, 0) {
        let by = to.major.checked_sub(from.major).ok_or_else(fault)?;
        // In a version `0.x` the second number is the one whose change breaks.
        if old.major == 0 {
            new.minor += by
        } else {
            (new.major, new.minor) = (old.major + by, 0)
        }
        new.patch = 0;
    } else {
        return Err(fault());
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_version_moves_the_other_families_by_the_same_step() {
        let v = |s: &str| Version::parse(s).unwrap();
        let to = |from: &str, to: &str, old: &str| {
            follow(&v(from), &v(to), &VersionStep::Exact(v(to)), &v(old), "f").map(|v| v.to_string()).ok()
        };
        assert_eq!(to("36.0.5", "36.0.6", "0.123.5").as_deref(), Some("0.123.6"));
        assert_eq!(to("36.0.5", "36.0.7", "0.123.5").as_deref(), Some("0.123.7"));
        assert_eq!(to("36.0.5", "37.0.0", "0.123.5").as_deref(), Some("0.124.0"));
        assert_eq!(to("1.2.3", "1.3.0", "0.123.5").as_deref(), Some("0.124.0"));
        assert_eq!(to("48.0.0-rc.1", "48.0.0", "0.135.0-rc.1").as_deref(), Some("0.135.0"));
        assert_eq!(to("48.0.0-rc.1", "48.0.0-rc.2", "0.135.0-rc.1").as_deref(), Some("0.135.0-rc.2"));
        assert_eq!(to("48.0.0-rc.1", "48.0.0", "0.135.0"), None);
        assert_eq!(to("36.0.5", "37.1.2", "0.123.5"), None);
    }
}
