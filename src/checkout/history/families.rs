//! Which crates moved together in past releases, and which stayed.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::lines;
use super::now::Now;
use super::past::ReleaseCommit;
use super::published::{Published, published};
use crate::bump::{Family, FamilyStep, VersionRules};
use crate::error::Result;

/// What the releases show of who moves.
pub(super) struct LearnedFamilies {
    /// The rules with their families and the crates that stay.
    pub(super) rules: VersionRules,
    /// The crates that moved with each family, by the name that speaks for it.
    pub(super) members: BTreeMap<String, BTreeSet<String>>,
    /// Crates of today that no release had, kept fixed because they are at no family's version.
    pub(super) unseen: Vec<String>,
}

/// Adds a family for each version that moved, and keeps the published crates fixed that never did.
pub(super) fn found(mut rules: VersionRules, pasts: &[ReleaseCommit<'_>], now: &Now<'_>) -> Result<LearnedFamilies> {
    let (mut families, mut moved, mut still) = (Vec::<Family>::new(), BTreeMap::new(), BTreeMap::new());
    let mut members = BTreeMap::<String, BTreeSet<String>>::new();
    for past in pasts {
        let crates = published(&past.before)?;
        let moves = moving(past);
        let mut at: BTreeMap<&Version, Vec<&str>> = BTreeMap::new();
        for krate in crates.iter().filter(|c| moves(c)) {
            at.entry(&krate.version).or_default().push(&krate.name);
        }
        let highest = at.keys().next_back().map(|v| (*v).clone());
        let Some(main) = past.main().map(|m| m.old.clone()).filter(|v| at.contains_key(v)).or(highest) else {
            continue;
        };
        for krate in &crates {
            let lines: &mut BTreeMap<String, Vec<Version>> = if moves(krate) { &mut moved } else { &mut still };
            lines.entry(krate.name.clone()).or_default().push(main.clone());
        }
        // The project's own version first, then the highest.
        let mut groups: Vec<(&Version, Vec<&str>)> = at.into_iter().rev().collect();
        groups.sort_by_key(|(version, _)| **version != main);
        for (version, group) in groups {
            let known = families.iter().find(|f| group.contains(&f.of.as_str())).map(|f| f.of.clone());
            let asked = past.krate.as_deref().filter(|k| group.contains(k));
            let of = known.clone().unwrap_or_else(|| asked.unwrap_or_else(|| speaker(&group, &crates, now)).to_owned());
            members.entry(of.clone()).or_default().extend(group.iter().map(|m| (*m).to_owned()));
            if known.is_some() {
                continue;
            }
            // Whoever is at that version and stayed belongs to no family: then the members are named.
            let strays = crates.iter().any(|c| c.version == *version && !moves(c));
            let crates = if strays { group.iter().map(|m| (*m).to_owned()).collect() } else { Vec::new() };
            families.push(Family { of, crates, when: None, step: None });
        }
    }
    // Who moved on the later lines and stayed on the earlier ones has a family of its own, for the later ones.
    for (name, stays) in &still {
        let Some(moves) = moved.get(name).filter(|m| m.iter().min() > stays.iter().max()) else { continue };
        let when = lines::since_or_until(moves, stays);
        match families.iter().position(|f| f.of == *name) {
            // The first family is the project, whose every release moves it.
            Some(0) => {}
            Some(i) => families[i].when = when,
            None => families.push(Family { of: name.clone(), crates: Vec::new(), when, step: None }),
        }
    }
    // The first family must be there; of renamed crates none is.
    let there = families.iter().position(|f| now.crates.is_empty() || now.version(&f.of).is_some());
    match there {
        Some(i) => families[..=i].rotate_right(1),
        None => families.clear(),
    }
    for family in families.iter_mut().skip(1) {
        family.step = own_step(&family.of, pasts);
    }
    rules.fixed = still.keys().filter(|name| !moved.contains_key(*name)).cloned().collect();
    let open: Vec<&Version> =
        families.iter().filter(|f| f.crates.is_empty()).filter_map(|f| now.version(&f.of)).collect();
    let known = |c: &&Published| moved.contains_key(&c.name) || still.contains_key(&c.name);
    let unseen = now.crates.iter().filter(|c| !known(c) && !families.is_empty() && !open.contains(&&c.version));
    let unseen: Vec<String> = unseen.map(|c| c.name.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    rules.fixed.extend(unseen.iter().cloned());
    rules.fixed.sort();
    if families.len() > 1 || !rules.fixed.is_empty() || families.iter().any(|f| !f.crates.is_empty()) {
        rules.family = families;
    }
    if let Some(past) = pasts.first() {
        let manifests: Vec<(String, bool)> =
            past.before.manifests()?.into_iter().map(|(p, m)| (p, m.workspace.is_some())).collect();
        if !manifests.iter().any(|(path, _)| path == "Cargo.toml") {
            // No workspace at the top: it is entered where the moved crates are, or at the workspaces around them.
            let around = |path: &str| {
                let roots = manifests.iter().filter(|(root, is_root)| {
                    *is_root && root.strip_suffix("Cargo.toml").is_some_and(|dir| path.starts_with(dir))
                });
                roots.map(|(root, _)| root.clone()).min_by_key(String::len).unwrap_or_else(|| path.to_owned())
            };
            let entered: BTreeSet<String> = past.moved.keys().map(|p| around(p)).collect();
            rules.manifests = entered.into_iter().collect();
        }
    }
    Ok(LearnedFamilies { rules, members, unseen })
}

/// The step that the crate `of` took in most of the releases, if it mostly was another one than the project's.
fn own_step(of: &str, pasts: &[ReleaseCommit<'_>]) -> Option<FamilyStep> {
    let mut steps: BTreeMap<FamilyStep, usize> = BTreeMap::new();
    let (mut other, mut all) = (0, 0);
    for past in pasts {
        let own = past.moves().find(|m| m.name == of);
        let step = |m: &super::past::MovedVersion| FamilyStep::between(&m.old, &m.new);
        let (Some(own), Some(main)) = (own.and_then(step), past.main().and_then(step)) else { continue };
        all += 1;
        other += usize::from(own != main);
        *steps.entry(own).or_default() += 1;
    }
    let (step, _) = steps.into_iter().max_by_key(|(_, n)| *n)?;
    (2 * other > all).then_some(step)
}

/// Says whether a crate moved in `past`.
fn moving(past: &ReleaseCommit<'_>) -> impl Fn(&Published) -> bool {
    let inherited: BTreeSet<Version> = past.moves().filter(|m| m.name.is_empty()).map(|m| m.old.clone()).collect();
    let own: BTreeSet<String> = past.moves().map(|m| m.name.clone()).collect();
    move |c| if c.inherits { inherited.contains(&c.version) } else { own.contains(&c.name) }
}

/// Whether one of the crates that `past` was the release of is still called so today.
pub(super) fn is_of(past: &ReleaseCommit<'_>, now: &Now<'_>) -> Result<bool> {
    let (moves, main) = (moving(past), past.main().map(|m| &m.old));
    let crates = published(&past.before)?;
    let own = crates.iter().filter(|c| moves(c) && Some(&c.version) == main);
    Ok(own.into_iter().any(|c| now.version(&c.name).is_some()))
}

/// The name that begins most of the others' names speaks for a family, if the crate is still there.
fn speaker<'a>(members: &[&'a str], all: &[Published], now: &Now<'_>) -> &'a str {
    let rank = |name: &str| {
        let begins = all.iter().filter(|c| c.name.starts_with(name)).count();
        (now.version(name).is_some(), begins, std::cmp::Reverse(name.len()))
    };
    members.iter().copied().max_by_key(|name| rank(name)).unwrap_or_default()
}
