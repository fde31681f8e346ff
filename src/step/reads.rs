//! Which lines a step acts on, where it delivers, and whose outcomes it reads.

use semver::Version;

use super::{Step, StepId};
use crate::error::Part;
use crate::model::{BranchName, Destination};

/// One outcome that a step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read<'a> {
    /// The step that makes it.
    pub step: &'a StepId,
    /// The line for which it must have been made; none where lines are not told apart.
    pub of: Option<&'a BranchName>,
    /// What kinds of step it may be.
    pub kinds: &'static [&'static str],
}

mod read {
    use super::{BranchName, Read, StepId};

    macro_rules! kinds {
        ($($name:ident $kind:literal),*) => {$(
            pub(super) fn $name<'a>(step: &'a StepId, of: Option<&'a BranchName>) -> Read<'a> {
                Read { step, of, kinds: &[$kind] }
            }
        )*};
    }
    kinds!(prepare "prepare", bundle "bundle", checksum "checksum", seal "seal", seen "see-workflows", history "pack-history");
}

impl Step {
    /// The lines on which it acts, with the version where it names one.
    #[must_use]
    pub fn acts_on(&self) -> Vec<(&BranchName, Option<&Version>)> {
        match self {
            Self::Prepare(s) => vec![(&s.branch, s.bump.as_ref().map(|b| &b.new))],
            Self::Bundle(s) => vec![(&s.branch, Some(&s.version))],
            Self::Build(s) => vec![(&s.branch, None)],
            Self::Assemble(s) => vec![(&s.branch, None)],
            Self::Test(s) => vec![(&s.branch, None)],
            Self::Checksum(s) => vec![(&s.branch, Some(&s.version))],
            Self::PackHistory(s) => s.bases.keys().map(|b| (b, None)).collect(),
            Self::Stage(s) | Self::VerifyStaged(s) | Self::Promote(s) => vec![(&s.branch, Some(&s.version))],
            Self::Gate(_) => Vec::new(),
            Self::Seal(s) => vec![(&s.branch, Some(&s.version))],
            Self::PushGit(s) => s.lines.keys().map(|b| (b, None)).collect(),
            Self::ForgeRelease(s) => vec![(&s.branch, Some(&s.version))],
            Self::SeeWorkflows(_) | Self::SuppressWorkflows(_) | Self::RestoreWorkflows(_) => Vec::new(),
            Self::DraftAdvisory(_) | Self::PublishAdvisory(_) => Vec::new(),
            Self::AwaitRuns(s) => vec![(&s.branch, None)],
            Self::MergeBack(s) => vec![(&s.branch, None)],
            Self::Point(s) => {
                let carried = s.carries.keys().map(|b| (b, None));
                s.lines.iter().map(|(b, l)| (b, Some(&l.version))).chain(carried).collect()
            }
        }
    }

    /// The name that it has in every plan: its kind and what it acts on.
    #[must_use]
    pub fn name(&self) -> StepId {
        let parts: Vec<&str> = match self {
            Self::Prepare(s) => vec![s.branch.as_str()],
            Self::Bundle(s) => vec![s.branch.as_str()],
            Self::Build(s) => vec![s.branch.as_str(), s.target.as_str()],
            Self::Assemble(s) => vec![s.branch.as_str(), s.name.as_str()],
            Self::Test(s) => vec![s.branch.as_str(), s.target.as_str()],
            Self::Checksum(s) => vec![s.branch.as_str()],
            Self::PackHistory(s) => vec![s.store.as_str()],
            Self::Stage(s) | Self::VerifyStaged(s) | Self::Promote(s) => vec![s.store.as_str(), s.branch.as_str()],
            Self::Gate(_) => Vec::new(),
            Self::Seal(s) => vec![s.branch.as_str()],
            Self::PushGit(s) => vec![s.remote.as_str()],
            Self::ForgeRelease(s) => vec![s.forge.as_str(), s.branch.as_str()],
            Self::SeeWorkflows(s) => vec![s.forge.as_str()],
            Self::SuppressWorkflows(s) | Self::RestoreWorkflows(s) => vec![s.forge.as_str()],
            Self::DraftAdvisory(s) | Self::PublishAdvisory(s) => vec![s.forge.as_str(), s.advisory.id.as_str()],
            Self::AwaitRuns(s) => vec![s.forge.as_str(), s.branch.as_str()],
            Self::MergeBack(s) => vec![s.forge.as_str(), s.branch.as_str()],
            Self::Point(s) => vec![s.store.as_str()],
        };
        StepId::new(self.kind(), &parts)
    }

    /// Where it delivers, and the part of that place which it asks first; none if it stays on this machine.
    #[must_use]
    pub fn destination(&self) -> Option<(Destination, Part)> {
        Some(match self {
            Self::PackHistory(s) => (Destination::Store(s.store.clone()), Part::Store),
            Self::Stage(s) | Self::VerifyStaged(s) | Self::Promote(s) => {
                (Destination::Store(s.store.clone()), Part::Store)
            }
            Self::Point(s) => (Destination::Store(s.store.clone()), Part::Store),
            Self::PushGit(s) => (Destination::Remote(s.remote.clone()), Part::Git),
            Self::ForgeRelease(s) => (Destination::Forge(s.forge.clone()), Part::Api),
            Self::SeeWorkflows(s) => (Destination::Forge(s.forge.clone()), Part::Api),
            Self::SuppressWorkflows(s) | Self::RestoreWorkflows(s) => (Destination::Forge(s.forge.clone()), Part::Api),
            Self::AwaitRuns(s) => (Destination::Forge(s.forge.clone()), Part::Api),
            Self::MergeBack(s) => (Destination::Forge(s.forge.clone()), Part::Api),
            Self::DraftAdvisory(s) | Self::PublishAdvisory(s) => (Destination::Forge(s.forge.clone()), Part::Api),
            _ => return None,
        })
    }

    /// The steps whose outcomes it reads.
    #[must_use]
    pub fn reads(&self) -> Vec<Read<'_>> {
        use read::{bundle, checksum, history, prepare, seal, seen};
        match self {
            Self::Prepare(_) | Self::PackHistory(_) => Vec::new(),
            Self::Bundle(s) => vec![prepare(&s.prepare, Some(&s.branch))],
            Self::Build(s) => vec![bundle(&s.bundle, Some(&s.branch))],
            Self::Assemble(s) => {
                let from = s.from.keys().map(|step| Read { step, of: Some(&s.branch), kinds: &["build"] });
                from.chain([bundle(&s.bundle, Some(&s.branch))]).collect()
            }
            Self::Test(s) => {
                let of = Read { step: &s.of, of: Some(&s.branch), kinds: &["build", "assemble"] };
                vec![bundle(&s.bundle, Some(&s.branch)), of]
            }
            Self::Checksum(s) => {
                let kinds = &["bundle", "build", "assemble"];
                let from = s.from.iter().map(|step| Read { step, of: Some(&s.branch), kinds });
                from.chain([prepare(&s.prepare, Some(&s.branch))]).collect()
            }
            Self::Stage(s) | Self::VerifyStaged(s) | Self::Promote(s) => {
                let sealed = s.seal.iter().map(|id| seal(id, Some(&s.branch)));
                sealed.chain([checksum(&s.checksum, Some(&s.branch))]).collect()
            }
            Self::Gate(s) => {
                let carries = s.carries.iter().map(|id| prepare(id, None));
                s.checksums.iter().map(|id| checksum(id, None)).chain(carries).collect()
            }
            Self::Seal(s) => vec![prepare(&s.prepare, Some(&s.branch)), checksum(&s.checksum, Some(&s.branch))],
            Self::PushGit(s) => {
                let mut out = Vec::new();
                for (branch, line) in &s.lines {
                    out.push(prepare(&line.prepare, Some(branch)));
                    out.extend(line.seal.iter().map(|id| seal(id, Some(branch))));
                }
                out
            }
            Self::ForgeRelease(s) => vec![checksum(&s.checksum, Some(&s.branch)), seal(&s.seal, Some(&s.branch))],
            Self::SeeWorkflows(_) | Self::DraftAdvisory(_) | Self::PublishAdvisory(_) => Vec::new(),
            Self::SuppressWorkflows(s) | Self::RestoreWorkflows(s) => vec![seen(&s.seen, None)],
            Self::AwaitRuns(s) => vec![prepare(&s.prepare, Some(&s.branch))],
            Self::MergeBack(s) => vec![prepare(&s.prepare, Some(&s.branch))],
            Self::Point(s) => {
                let mut out = Vec::new();
                for (branch, line) in &s.lines {
                    let of = Some(branch);
                    out.extend([prepare(&line.prepare, of), checksum(&line.checksum, of), seal(&line.seal, of)]);
                }
                out.extend(s.carries.iter().map(|(branch, id)| prepare(id, Some(branch))));
                out.extend(s.history.iter().map(|id| history(id, None)));
                out
            }
        }
    }
}
