//! The lock files after the moves, nested ones too.

use std::collections::BTreeMap;

use super::tree::{file_in, glob, parent};
use super::workspace::Workspace;
use super::{Strictness, Work};
use crate::error::{Error, Result};
use crate::formats::cargo_lock::{self, Moved};

/// Rewrites every lock file of the tree that holds a crate that moves, at its old version.
pub(super) fn rewrite(
    work: &mut Work<'_>,
    workspace: &Workspace,
    exclude: &[String],
    strictness: Strictness,
) -> Result<()> {
    let mut moved: Moved = BTreeMap::new();
    for m in work.moves.values() {
        moved.entry(m.name.clone()).or_default().push((m.old.clone(), m.new.clone()));
    }
    let sources = work.sources;
    for path in sources.paths().iter().filter(|p| is_lock(p)) {
        let dir = parent(path);
        if exclude.iter().any(|e| glob(e, dir) || glob(&format!("{e}/**"), dir)) {
            continue;
        }
        let Some(text) = sources.text(path)? else { continue };
        let fault = |e: cargo_lock::LockError| {
            Error::input(format!("{path}:{}: {}", e.line, e.message)).hint("mend it with `cargo update --workspace`")
        };
        let own = workspace.manifest(&file_in(dir, "Cargo.toml")).is_some_and(|l| l.reached);
        let lock = match cargo_lock::parse(&text) {
            Ok(lock) => lock,
            Err(e) if own => return Err(fault(e)),
            // A fixture that is broken on purpose.
            Err(_) => continue,
        };
        for package in lock.packages.iter().filter(|p| p.source.is_none()) {
            let Some(steps) = moved.get(&package.name) else { continue };
            if steps.iter().any(|(old, _)| old.to_string() == package.version) {
                continue;
            }
            let at = steps.first().map_or_else(String::new, |(old, _)| old.to_string());
            let stale = format!(
                "{path}:{}: `{}` is locked at {}, the crate is at {at}",
                package.line, package.name, package.version
            );
            if own && strictness == Strictness::Lockstep {
                return Err(Error::input(stale).hint("run `cargo update --workspace`, commit, then bump"));
            }
            work.note(format!("{stale}: left as it is"));
        }
        let after = cargo_lock::rewrite(&text, &moved).map_err(fault)?;
        work.set(path, after);
    }
    Ok(())
}

/// `Cargo.lock`, and the variants that projects keep beside it (`Cargo-minimal.lock`, `Cargo.lock.msrv`).
fn is_lock(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("Cargo") && (name.ends_with(".lock") || name.starts_with("Cargo.lock"))
        || name.ends_with("-Cargo.lock")
}
