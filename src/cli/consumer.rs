//! Verbs that work without a configuration: `verify`, `trust`, `doctor`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::place::{Place, state_dir};
use super::{Global, doctor, trust, verify};
use crate::effects::{Clock as _, Disk, Quiet};
use crate::engine::TrainDir;
use crate::error::{Context as _, Error, Result};
use crate::host::{HostClock, HostDisk};
use crate::trust::{FILE, Root};

/// The project's directory in the state directory: as the configuration names the project, else as the trust root in
/// `keys` does. The name chooses a directory and nothing else, so it need not be verified.
fn project_state(global: &Global, keys: &Path) -> Result<PathBuf> {
    if let Ok(place) = Place::open(global) {
        return Ok(place.root().to_owned());
    }
    let state = state_dir(global)?;
    let path = keys.join(FILE);
    match HostDisk.read(&path).context(format!("cannot read `{}`", path.display()))? {
        Some(bytes) => Ok(state.join(Root::from_bytes(&bytes, &path.display().to_string())?.project.as_str())),
        None => Ok(state),
    }
}

pub(super) fn verify(global: &Global, args: &verify::Args) -> Result<ExitCode> {
    let project_keys = Place::open(global).ok().map(|place| place.config.project.keys);
    let args = verify::Args { project_keys, ..args.clone() };
    let keys = args.keys.as_ref().or(args.project_keys.as_ref()).cloned().unwrap_or_else(|| PathBuf::from("keys"));
    let state = project_state(global, &keys)?;
    verify::run(&args, global.json, Arc::new(HostDisk), &state, HostClock.now(), &mut std::io::stdout())
}

pub(super) fn trust(global: &Global, args: &trust::Args) -> Result<ExitCode> {
    let state = project_state(global, &args.keys)?;
    trust::run(args, global.json, &HostDisk, &state, HostClock.now(), &mut std::io::stdout())
}

pub(super) fn doctor(global: &Global) -> Result<ExitCode> {
    let code = with_subjects(global, |subjects| {
        super::runtime()?.block_on(doctor::run(global.json, subjects, &mut std::io::stdout()))
    })?;
    Ok(ExitCode::from(code))
}

/// Gives `ask` everything that `doctor` looks at.
pub(super) fn with_subjects<T>(global: &Global, ask: impl FnOnce(&doctor::Subjects<'_>) -> Result<T>) -> Result<T> {
    let place = Place::open(global);
    let state = match &place {
        Ok(place) => place.root().to_owned(),
        Err(_) => state_dir(global)?,
    };
    let probe = TrainDir::new(state.join("doctor"));
    let effects = place.as_ref().ok().map(|p| p.effects_in(&probe, Arc::new(Quiet)));
    let (config, effects) = match (&place, effects) {
        (Ok(place), Some(Ok(effects))) => (Ok(&place.config), Some(effects)),
        (_, Some(Err(e))) => return Err(e),
        (Err(e), _) => (Err(e), None),
        (Ok(_), None) => return Err(Error::fatal("the configuration could not be used")),
    };
    let (runners, stores, forges, remotes) = match &effects {
        Some(e) => (
            e.runners.clone(),
            e.stores.values().cloned().collect(),
            e.forges.values().cloned().collect(),
            e.remotes.values().cloned().collect(),
        ),
        None => (Vec::new(), Vec::new(), Vec::new(), Vec::new()),
    };
    // A journal that cannot be read is for `status` to tell; the machine is looked at all the same.
    let seen = place.as_ref().ok().and_then(|p| p.see_all().ok()).unwrap_or_default();
    let outages: Vec<_> =
        seen.iter().flat_map(|s| s.state.outages().into_iter().map(|o| (s.name().clone(), o))).collect();
    let workflows_off: Vec<_> =
        seen.iter().flat_map(|s| s.state.switched_off().into_iter().map(|o| (s.name().clone(), o))).collect();
    let subjects = doctor::Subjects {
        config,
        state: &state,
        now: HostClock.now(),
        runners: &runners,
        stores: &stores,
        forges: &forges,
        remotes: &remotes,
        workflows_off: &workflows_off,
        outages: &outages,
    };
    ask(&subjects)
}
