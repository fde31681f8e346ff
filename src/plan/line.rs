//! The steps of one line, from patches to staged and verified bytes.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::PlannedLine;
use super::builder::Sketch;
use crate::config::expand::{self, JobKind, LineValues};
use crate::config::{Config, TrainLine, TrainRequest};
use crate::error::{Error, Result};
use crate::model::{Fingerprint, LineKind, PersonId, Staging, StoreName, TagName};
use crate::snapshot::{Fact, LineFacts, TrustFacts};
use crate::step::{
    Assemble, Build, Bundle, Checksum, Encrypt, Importance, OnStore, Prepare, Stage, StepId, Test, VerifyStaged,
    VersionBump,
};
use crate::templates::{self, AdvisoryText, ReleaseContext};

/// A line as the steps after the gate need it.
pub(super) struct ShippedLine {
    pub(super) planned: PlannedLine,
    pub(super) prepare: StepId,
    /// The message of the bump commit.
    pub(super) bump_message: Option<String>,
    pub(super) release: Option<ShippedRelease>,
}

/// What a line that gets a version has.
pub(super) struct ShippedRelease {
    pub(super) version: Version,
    pub(super) tag: TagName,
    pub(super) checksum: StepId,
    /// The step that encrypts its files, if a store stages them so.
    pub(super) encrypt: Option<StepId>,
    /// The last step before the gate in each store.
    pub(super) verified: BTreeMap<StoreName, StepId>,
}

pub(super) fn plan_line(
    config: &Config,
    request: &TrainRequest,
    wanted: &TrainLine,
    (facts, trust): (&LineFacts, &TrustFacts),
    sketch: &mut Sketch,
) -> Result<ShippedLine> {
    let branch = wanted.branch.as_str();
    refuse(config, wanted, facts)?;
    let names = match (&wanted.kind, &facts.versions) {
        (LineKind::Carry, _) => None,
        (_, Some((_, new))) => Some(LineValues::new(config, &wanted.branch, new)?),
        (_, None) => return Err(Error::input(format!("line `{branch}`: its version is not known"))),
    };
    let bump = names.as_ref().zip(facts.versions.as_ref()).map(|(LineValues { version: new, tag, .. }, (old, _))| {
        let text = ReleaseContext {
            project: config.project.name.clone(),
            version: new.clone(),
            old_version: old.clone(),
            tag: tag.clone(),
            branch: wanted.branch.clone(),
            date: request.date,
            advisories: request.advisories.clone(),
            security: AdvisoryText::all(&request.advisories, &request.advisory_texts),
            forges: config.forges.iter().map(|f| (f.name.to_string(), f.repository.clone())).collect(),
        };
        Ok::<_, Error>(VersionBump {
            old: old.clone(),
            new: new.clone(),
            to: wanted.step()?,
            rules: config.version.clone(),
            tag: tag.clone(),
            commit_message: templates::commit_message(&config.templates, &text)?,
            tag_message: templates::tag_message(&config.templates, &text)?,
        })
    });
    let bump: Option<VersionBump> = bump.transpose()?;
    let bump_message = bump.as_ref().map(|b| b.commit_message.clone());
    let prepare = sketch.add(
        Prepare {
            branch: wanted.branch.clone(),
            base: facts.base.clone(),
            series: facts.series,
            bump: bump.map(Box::new),
            committer: config.project.committer.clone(),
            date: request.date,
        },
        vec![],
        Importance::Required,
    )?;
    let planned = PlannedLine {
        branch: wanted.branch.clone(),
        kind: wanted.kind,
        base: facts.base.clone(),
        old: facts.versions.as_ref().filter(|_| names.is_some()).map(|v| v.0.clone()),
        new: names.as_ref().map(|n| n.version.clone()),
        tag: names.as_ref().map(|n| n.tag.clone()),
        series: facts.series,
        patches: facts.patches.clone(),
        deletes: facts.deletes.clone(),
    };
    let release = match names {
        Some(names) => Some(plan_release(config, request, (facts, trust), &prepare, &names, sketch)?),
        None => None,
    };
    Ok(ShippedLine { planned, prepare, bump_message, release })
}

/// What stops a plan before anything is done.
fn refuse(config: &Config, wanted: &TrainLine, facts: &LineFacts) -> Result<()> {
    let branch = &wanted.branch;
    if let (Some((tag, oid)), false) = (&facts.tag_taken, wanted.kind == LineKind::Carry) {
        return Err(Error::conflict(format!("line `{branch}`: tag `{tag}` exists already, at {oid}"))
            .hint("a tag is never moved: choose the next version with `to = \"X.Y.Z\"` in the train file"));
    }
    for place in &facts.elsewhere {
        if let Fact::Known(Some(what)) = &place.taken {
            return Err(Error::conflict(format!("line `{branch}`: {} has this version already: {what}", place.place))
                .hint(
                    "what is public is never replaced: choose the next version with `to = \"X.Y.Z\"` in the train file",
                ));
        }
    }
    if !facts.missing_submodules.is_empty() {
        let names = facts.missing_submodules.join("`, `");
        return Err(Error::input(format!(
            "line `{branch}`: the commits of submodules `{names}` are not on this machine"
        ))
        .hint(
            "fetch them with `git submodule update --init`, or leave them out with `without_submodules` in `[bundle]`",
        ));
    }
    if config.bundle.vendor && !facts.missing_crates.is_empty() {
        let some: Vec<&str> = facts.missing_crates.iter().take(5).map(String::as_str).collect();
        return Err(Error::input(format!(
            "line `{branch}`: {} of `Cargo.lock` {} not fetched ahead, among them {}",
            crate::model::counted(facts.missing_crates.len(), "crate"),
            if facts.missing_crates.len() == 1 { "was" } else { "were" },
            some.join(", ")
        ))
        .hint(format!("run `git switch {branch} && cargo fetch --locked` while the registry is up, or set `vendor = false` in `[bundle]`")));
    }
    Ok(())
}

fn plan_release(
    config: &Config,
    request: &TrainRequest,
    (facts, trust): (&LineFacts, &TrustFacts),
    prepare: &StepId,
    names: &LineValues,
    sketch: &mut Sketch,
) -> Result<ShippedRelease> {
    let LineValues { branch, version, tag, stem } = names;
    let bundle = sketch.add(
        Bundle {
            branch: branch.clone(),
            version: version.clone(),
            prepare: prepare.clone(),
            stem: stem.clone(),
            submodules: facts.submodules.clone(),
            without: config.bundle.without_submodules.clone(),
            vendor_from: config.bundle.vendor.then(|| {
                config.bundle.cargo_home.as_ref().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default()
            }),
            date: request.date,
        },
        vec![prepare.clone()],
        Importance::Required,
    )?;
    let own = own_names(stem);
    let mut from = vec![bundle.clone()];
    let mut tests = Vec::new();
    let mut made: BTreeMap<crate::model::TargetName, StepId> = BTreeMap::new();
    for planned in expand::jobs(config, names)? {
        if let Some(a) = planned.build.artifacts.iter().find(|a| own.contains(&a.name.as_str().to_ascii_lowercase())) {
            return Err(Error::input(format!(
                "line `{branch}`: artifact `{}` of target `{}` has a name that lifeboat gives",
                a.name, planned.name
            ))
            .detail("the source archive, the vendored crates, the git bundle and the list of components of a release are called so")
            .hint("give it another name in `artifacts`"));
        }
        let id = match planned.kind {
            JobKind::Target => sketch.add(
                Build {
                    branch: branch.clone(),
                    target: planned.name.clone(),
                    bundle: bundle.clone(),
                    job: planned.build,
                },
                vec![bundle.clone()],
                Importance::Required,
            )?,
            JobKind::Assemble { from } => {
                let mut inputs = BTreeMap::new();
                for (target, dir) in from {
                    let id = made.get(&target).ok_or_else(|| {
                        Error::input(format!(
                            "assembly `{}` takes from `{target}`, which line `{branch}` does not build",
                            planned.name
                        ))
                    })?;
                    inputs.insert(id.clone(), dir);
                }
                let mut needs: Vec<StepId> = inputs.keys().cloned().collect();
                needs.push(bundle.clone());
                sketch.add(
                    Assemble {
                        branch: branch.clone(),
                        name: planned.name.clone(),
                        bundle: bundle.clone(),
                        from: inputs,
                        job: planned.build,
                    },
                    needs,
                    Importance::Required,
                )?
            }
        };
        if let Some(job) = planned.test {
            tests.push(sketch.add(
                Test {
                    branch: branch.clone(),
                    target: planned.name.clone(),
                    bundle: bundle.clone(),
                    of: id.clone(),
                    job,
                },
                vec![id.clone(), bundle.clone()],
                Importance::Required,
            )?);
        }
        if planned.published {
            from.push(id.clone());
        }
        made.insert(planned.name, id);
    }
    let mut needs = from.clone();
    needs.extend(tests);
    needs.push(prepare.clone());
    let checksum = sketch.add(
        Checksum {
            project: config.project.name.clone(),
            branch: branch.clone(),
            version: version.clone(),
            tag: tag.clone(),
            prepare: prepare.clone(),
            from,
            date: request.date,
        },
        needs,
        Importance::Required,
    )?;
    let encrypt = if config.stores.iter().any(|store| store.staging == Staging::Encrypted) {
        let encrypt = Encrypt {
            branch: branch.clone(),
            version: version.clone(),
            checksum: checksum.clone(),
            to: recipients(trust)?,
        };
        Some(sketch.add(encrypt, vec![checksum.clone()], Importance::Required)?)
    } else {
        None
    };
    let mut verified = BTreeMap::new();
    for store in &config.stores {
        let delivery = store.importance();
        let encrypt = encrypt.clone().filter(|_| store.staging == Staging::Encrypted);
        let on = OnStore {
            branch: branch.clone(),
            version: version.clone(),
            store: store.name.clone(),
            checksum: checksum.clone(),
            seal: None,
            encrypt: encrypt.clone(),
        };
        let made: Vec<StepId> = std::iter::once(checksum.clone()).chain(encrypt).collect();
        let stage = sketch.add(Stage(on.clone()), made.clone(), delivery)?;
        let seen = sketch.add(VerifyStaged(on), std::iter::once(stage).chain(made).collect(), delivery)?;
        verified.insert(store.name.clone(), seen);
    }
    Ok(ShippedRelease { version: version.clone(), tag: tag.clone(), checksum, encrypt, verified })
}

/// To whom staged files are encrypted.
fn recipients(trust: &TrustFacts) -> Result<BTreeMap<PersonId, BTreeSet<Fingerprint>>> {
    trust.recipients.clone().filter(|people| !people.is_empty()).ok_or_else(|| {
        Error::input("a store has `staging = \"encrypted\"`, and nobody is known to whom something can be encrypted")
            .hint("`lifeboat doctor` says whose key for encryption is missing, and how to add it")
    })
}

/// The names of what lifeboat makes of a line's source, in lower case: some file systems ignore it.
fn own_names(stem: &str) -> [String; 4] {
    ["-source.tar.gz", "-vendor.tar.gz", ".bundle", ".cdx.json"].map(|end| format!("{stem}{end}").to_ascii_lowercase())
}
