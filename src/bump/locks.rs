//! The lock files after the moves, nested ones too.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::Work;
use super::tree::{file_in, join, parent};
use super::workspace::{Crate, Workspace};
use crate::error::{Error, Result};
use crate::formats::cargo_lock::{self, CargoLock, CrateMoves, LockedPackage};
use crate::formats::cargo_manifest;
use crate::formats::glob::matches_path;

/// Rewrites every lock file of the tree that holds a crate that moves, at its old version. The lock of a workspace fits its
/// manifests afterwards, as far as they can be known without an index, or the bump stops.
pub(super) fn rewrite(work: &mut Work<'_>, workspace: &Workspace, exclude: &[String]) -> Result<()> {
    let mut moved: CrateMoves = BTreeMap::new();
    for m in work.moves.values() {
        moved.entry(m.name.clone()).or_default().push((m.old.clone(), m.new.clone()));
    }
    let sources = work.sources;
    for path in sources.paths().iter().filter(|p| is_lock(p)) {
        let dir = parent(path);
        if exclude.iter().any(|e| matches_path(e, dir) || matches_path(&format!("{e}/**"), dir)) {
            continue;
        }
        let root = file_in(dir, "Cargo.toml");
        let reached = workspace.manifest(&root).is_some_and(|l| l.reached);
        let text = match sources.text(path)? {
            Some(text) => text,
            None if reached => sources.required(path, "Cargo reads this lock")?,
            None => continue,
        };
        let fault = |e: cargo_lock::LockError| {
            Error::input(format!("{path}:{}: {}", e.line, e.message)).hint("fix it with `cargo update --workspace`")
        };
        let lock = match cargo_lock::parse(&text) {
            Ok(lock) => lock,
            Err(e) if reached => return Err(fault(e)),
            // A fixture that is broken on purpose.
            Err(_) => continue,
        };
        // Cargo reads this one, and no variant of it.
        let own = reached && *path == file_in(dir, "Cargo.lock") && workspace.root_of(&root).is_none_or(|r| r == root);
        // A fixture may have a crate of our name that is another one.
        if !reached && sources.has(&root) && !leads_here(work, workspace, dir)? {
            continue;
        }
        let mut steps = moved.clone();
        if own {
            catch_up(work, workspace, (path, &root), &lock, &mut steps)?;
        }
        for (package, at) in lock.packages.iter().filter_map(|p| Some((p, behind(p, &steps)?))) {
            work.note(format!("{}: left as it is", stale(path, package, at)));
        }
        let after = cargo_lock::rewrite(&text, &steps).map_err(fault)?;
        work.set(path, after);
    }
    Ok(())
}

/// Whether a manifest in `dir` leads by its paths, over others if need be, to a crate of the workspace.
fn leads_here(work: &Work<'_>, workspace: &Workspace, dir: &str) -> Result<bool> {
    let below = format!("{dir}/");
    let inside = |p: &&String| p.starts_with(&below) && p.ends_with("/Cargo.toml");
    let mut queue: Vec<String> = work.sources.paths().iter().filter(inside).cloned().collect();
    let mut seen: BTreeSet<String> = queue.iter().cloned().collect();
    while let Some(path) = queue.pop() {
        let Some(text) = work.sources.text(&path)? else { continue };
        let Ok(manifest) = cargo_manifest::parse(&text) else { continue };
        let paths = manifest.dependencies.iter().filter_map(|d| join(parent(&path), d.path.as_ref()?));
        for target in paths.map(|p| file_in(&p, "Cargo.toml")) {
            if workspace.crate_at(&target).is_some() {
                return Ok(true);
            }
            if work.sources.has(&target) && seen.insert(target.clone()) {
                queue.push(target);
            }
        }
    }
    Ok(false)
}

/// Adds to `steps` the crates of the workspace that its lock has at another version than their manifests: nobody chooses
/// that version, so Cargo would write the new one. What else Cargo would change there cannot be known.
fn catch_up(
    work: &mut Work<'_>,
    workspace: &Workspace,
    (path, root): (&str, &str),
    lock: &CargoLock,
    steps: &mut CrateMoves,
) -> Result<()> {
    let hint = "run `cargo update --workspace`, commit, then bump";
    let mut found: BTreeMap<&str, Vec<&LockedPackage>> = BTreeMap::new();
    for package in lock.packages.iter().filter(|p| p.source.is_none()) {
        found.entry(&package.name).or_default().push(package);
    }
    let counted = workspace.members(root);
    let members: Vec<&Crate> = {
        let own = |c: &&Crate| counted.contains(c.manifest.as_str()) && is_member(workspace, c, root);
        workspace.crates().filter(own).collect()
    };
    for krate in &members {
        let Some(version) = &krate.version else { continue };
        let moves = work.moves.get(&krate.manifest).map(|m| m.new.clone());
        let packages = found.get(krate.name.as_str()).map_or(&[][..], Vec::as_slice);
        let package = match packages {
            _ if packages.iter().any(|p| p.version == version.to_string()) => continue,
            // Two crates of one name that stay: which one is behind cannot be seen, and the bump is not about them.
            _ if moves.is_none() && members.iter().filter(|c| c.name == krate.name).count() > 1 => continue,
            [] if moves.is_none() => continue,
            [] => {
                return Err(Error::input(format!("{path}: `{}` is not in this lock", krate.name))
                    .detail(format!("{}: a crate of its workspace", krate.place))
                    .hint(hint));
            }
            [package] => *package,
            [package, ..] => return Err(Error::input(stale(path, package, version)).hint(hint)),
        };
        let (locked, wished) =
            (package.dependencies().collect::<BTreeSet<_>>(), workspace.dependencies(&krate.manifest));
        if let Some(name) = locked.symmetric_difference(&wished).find(|name| **name != krate.name) {
            let more = if wished.contains(name) { "the lock lacks" } else { "the lock still has" };
            return Err(Error::input(stale(path, package, version))
                .detail(format!("{more} its dependency `{name}`"))
                .hint(hint));
        }
        let from = Version::parse(&package.version).map_err(|_| Error::input(stale(path, package, version)))?;
        let to = moves.unwrap_or_else(|| version.clone());
        work.note(format!("{}: now at {to}, as Cargo would write it", stale(path, package, version)));
        steps.entry(krate.name.clone()).or_default().push((from, to));
    }
    Ok(())
}

/// Whether `krate` belongs to the workspace, or is the lone package, whose manifest is `root`.
fn is_member(workspace: &Workspace, krate: &Crate, root: &str) -> bool {
    workspace.root_of(&krate.manifest).map_or(krate.manifest == root, |r| r == root)
}

/// Where a package stands that is locked at a version from which nothing moves.
fn behind<'a>(package: &LockedPackage, steps: &'a CrateMoves) -> Option<&'a Version> {
    let own = steps.get(&package.name).filter(|_| package.source.is_none())?;
    let (old, _) = own.first()?;
    own.iter().all(|(from, _)| from.to_string() != package.version).then_some(old)
}

fn stale(path: &str, package: &LockedPackage, at: &Version) -> String {
    format!("{path}:{}: `{}` is locked at {}, the crate is at {at}", package.line, package.name, package.version)
}

/// `Cargo.lock`, and the variants that projects keep beside it (`Cargo-minimal.lock`, `Cargo.lock.msrv`).
fn is_lock(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("Cargo") && (name.ends_with(".lock") || name.starts_with("Cargo.lock"))
        || name.ends_with("-Cargo.lock")
}
