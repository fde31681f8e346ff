//! Trains of other machines in the same stores: said before this machine starts a rival.

use std::collections::BTreeSet;

use semver::Version;

use super::project::LocalProject;
use crate::engine::staged::{StagedTrain, others};
use crate::error::{Error, Result};
use crate::model::{PersonId, TrainNonce};
use crate::plan::Plan;

/// The trains of other machines that have bytes staged where this project's trains go.
pub(super) fn all(place: &LocalProject) -> Result<Vec<StagedTrain>> {
    let mut ours: BTreeSet<TrainNonce> = BTreeSet::new();
    for train in place.trains()? {
        // A train that cannot be read is this machine's all the same; `status` says what is wrong with it.
        ours.extend(place.see(&train).ok().and_then(|s| s.state.nonce().cloned()));
    }
    let stores = place.destinations()?.stores;
    Ok(super::runtime()?.block_on(others(&stores, &place.keys(), &place.config.project.name, &ours)))
}

/// Those that will release one of these versions.
pub(super) fn with(place: &LocalProject, versions: &BTreeSet<Version>) -> Result<Vec<StagedTrain>> {
    if versions.is_empty() {
        return Ok(Vec::new());
    }
    Ok(all(place)?.into_iter().filter(|s| !s.note.versions.is_disjoint(versions)).collect())
}

/// One, as a sentence for people.
pub(super) fn described(staged: &StagedTrain) -> String {
    let note = &staged.note;
    let versions: Vec<String> = note.versions.iter().map(ToString::to_string).collect();
    format!(
        "another machine has train `{}` (plan {}, nonce {}) staged in store `{}`: {}",
        note.name,
        note.plan.short(),
        note.train,
        staged.store,
        versions.join(", ")
    )
}

/// How to approve it.
pub(super) fn how(staged: &StagedTrain, person: &str) -> String {
    let train = &staged.note.name;
    format!(
        "to approve it, ask its operator for a bundle (there: `lifeboat export {train} --to FILE`), then \
         `lifeboat approve --bundle FILE --as {person} --out APPROVAL`"
    )
}

/// Refuses to adopt a plan whose versions another machine is about to release.
pub(super) fn refuse(place: &LocalProject, plan: &Plan) -> Result<()> {
    let versions = plan.releases().filter_map(|l| l.new.clone()).collect();
    let found = with(place, &versions)?;
    let Some(first) = found.first() else { return Ok(()) };
    let same = if first.note.plan == plan.id()?.0 { "it is this very plan" } else { "it is another plan" };
    let error = Error::conflict(described(first)).detail(format!("{same}; nothing was adopted here"));
    let error = found.iter().skip(1).fold(error, |e, more| e.detail(described(more)));
    Err(error.hint(how(first, "NAME")).hint(format!(
        "if that train is lost for good, remove `.staging/{}` from store `{}`",
        first.note.train, first.store
    )))
}

/// What to say to a person who wants to approve where no train is under way.
pub(super) fn elsewhere(place: &LocalProject, person: &PersonId, error: Error) -> Error {
    let own = place.trains().map_or(0, |t| t.len());
    let found = all(place).unwrap_or_default();
    let Some(first) = found.first() else {
        return if own > 0 {
            error
        } else {
            Error::input(format!("there is no train in `{}` to approve", place.root().display())).hint(format!(
                "a train of another machine is approved from a bundle, which its operator makes with `lifeboat export`: \
                 `lifeboat approve --bundle FILE --as {person} --out APPROVAL`"
            ))
        };
    };
    found
        .iter()
        .fold(Error::input(error.message().to_owned()), |e, s| e.detail(described(s)))
        .hint(how(first, person.as_str()))
}
