//! Verbs that work without a configuration: `verify`, `trust`, `doctor`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::project::{LocalProject, state_dir};
use super::{Caller, Global, Output, doctor, trust, verify};
use crate::effects::{Clock as _, Disk, NoProgress};
use crate::engine::TrainDir;
use crate::error::Result;
use crate::host::{HostClock, HostDisk};
use crate::model::{ProjectName, Staging, whole_seconds};

/// The configuration, if there is one; one that was named must be good.
pub(super) fn configured(global: &Global) -> Result<Option<LocalProject>> {
    match LocalProject::open(global) {
        Err(e) if global.config.is_some() => Err(e),
        found => Ok(found.ok()),
    }
}

/// The project's directory in the state directory, if this machine has one.
pub(super) fn project_state(global: &Global, project: &ProjectName) -> Option<PathBuf> {
    state_dir(global).ok().map(|dir| dir.join(project.as_str()))
}

/// Runs a verb that writes its own text, and prints that as any other result.
fn printing<T>(global: &Global, verb: impl FnOnce(&mut Vec<u8>) -> Result<T>) -> Result<T> {
    let mut text = Vec::new();
    let done = verb(&mut text);
    let written = Output::new(global).written(&text);
    done.and_then(|done| written.map(|()| done))
}

pub(super) fn verify(global: &Global, args: &verify::VerifyArgs) -> Result<ExitCode> {
    let project = configured(global)?;
    let mirrors = match &project {
        Some(project) if args.all_mirrors => project.mirrors()?,
        _ => BTreeSet::new(),
    };
    let project_keys = project.map(|place| place.config.project.keys);
    let args = verify::VerifyArgs { project_keys, mirrors, ..args.clone() };
    let state = |project: &ProjectName| project_state(global, project);
    let now = whole_seconds(HostClock.now());
    let disk: Arc<dyn Disk> = Arc::new(HostDisk);
    printing(global, |out| verify::run(&args, Caller { json: global.json, disk: &disk, state: &state, now, out }))
}

pub(super) fn trust(global: &Global, args: &trust::TrustArgs) -> Result<ExitCode> {
    let place = configured(global)?;
    let encrypts = place.as_ref().and_then(|place| {
        let store = place.config.stores.iter().find(|store| store.staging == Staging::Encrypted);
        store.map(|store| store.name.clone())
    });
    let project_keys = place.map(|place| place.config.project.keys);
    let args = trust::TrustArgs { project_keys, encrypts, ..args.clone() };
    let state = |project: &ProjectName| project_state(global, project);
    let disk: Arc<dyn Disk> = Arc::new(HostDisk);
    let now = HostClock.now();
    printing(global, |out| trust::run(&args, Caller { json: global.json, disk: &disk, state: &state, now, out }))
}

pub(super) fn doctor(global: &Global, args: &doctor::DoctorArgs) -> Result<ExitCode> {
    let code = with_subjects(global, |subjects| {
        let subjects = doctor::Subjects { person: args.person.as_ref(), store: args.store.as_ref(), ..*subjects };
        printing(global, |out| super::runtime()?.block_on(doctor::run(global.json, &subjects, out)))
    })?;
    Ok(ExitCode::from(code))
}

/// Gives `ask` everything that `doctor` looks at.
pub(super) fn with_subjects<T>(global: &Global, ask: impl FnOnce(&doctor::Subjects<'_>) -> Result<T>) -> Result<T> {
    let place = LocalProject::open(global);
    let state = match &place {
        Ok(place) => place.root().to_owned(),
        Err(_) => state_dir(global)?,
    };
    let probe = TrainDir::new(state.join("doctor"));
    let meaning = place.as_ref().ok().and_then(|p| super::config_check::check(p).err());
    let mut broken = None;
    let effects =
        place.as_ref().ok().and_then(|p| p.effects_in(&probe, Arc::new(NoProgress)).map_err(|e| broken = Some(e)).ok());
    let config = match (&place, &broken) {
        (Err(e), _) => Err(e),
        // What stands in the file is reported with its line, by the check of its names.
        (Ok(_), Some(e)) => Err(meaning.as_ref().unwrap_or(e)),
        (Ok(place), None) => Ok(&place.config),
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
    // A journal that cannot be read is for `status` to report; the machine is checked all the same.
    let seen = place.as_ref().ok().and_then(|p| p.see_all().ok()).unwrap_or_default();
    let outages: Vec<_> =
        seen.iter().flat_map(|s| s.state.outages().into_iter().map(|o| (s.name().clone(), o))).collect();
    let workflows_off: Vec<_> =
        seen.iter().flat_map(|s| s.state.switched_off().into_iter().map(|o| (s.name().clone(), o))).collect();
    let subjects = doctor::Subjects {
        config,
        meaning: meaning.as_ref().filter(|_| config.is_ok()),
        registries: &global.registries,
        state: &state,
        now: HostClock.now(),
        runners: &runners,
        stores: &stores,
        forges: &forges,
        remotes: &remotes,
        workflows_off: &workflows_off,
        outages: &outages,
        person: None,
        store: None,
    };
    ask(&subjects)
}
