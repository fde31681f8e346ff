//! What any step and any outcome can be asked, whatever its kind.

use semver::Version;

use super::kind::{Kind, Made, Member, Phase};
use super::{Exposure, Job, Outcome, Read, Step, StepId, with_kind, with_made};
use crate::model::{Artifact, BranchName, Destination};

impl Step {
    /// The step as one of a kind, if it is.
    #[must_use]
    pub fn as_a<K: Kind>(&self) -> Option<&K> {
        K::of(self)
    }

    /// Whether it is of a kind.
    #[must_use]
    pub fn is_a<K: Kind>(&self) -> bool {
        K::of(self).is_some()
    }

    /// The first part of the step's id.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        fn name<K: Kind>(_: &K) -> &'static str {
            K::NAME
        }
        with_kind!(self, step => name(step))
    }

    /// See [`Kind::name`].
    #[must_use]
    pub fn name(&self) -> StepId {
        with_kind!(self, step => step.name())
    }

    /// See [`Kind::line`].
    #[must_use]
    pub fn line(&self) -> Option<&BranchName> {
        with_kind!(self, step => step.line())
    }

    /// See [`Kind::lines`].
    #[must_use]
    pub fn lines(&self) -> Vec<(&BranchName, Option<&Version>)> {
        with_kind!(self, step => step.lines())
    }

    /// See [`Kind::reads`].
    #[must_use]
    pub fn reads(&self) -> Vec<Read<'_>> {
        with_kind!(self, step => step.reads())
    }

    /// See [`Kind::phase`].
    #[must_use]
    pub fn phase(&self) -> Phase {
        with_kind!(self, step => step.phase())
    }

    /// See [`Kind::exposure`].
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        with_kind!(self, step => step.exposure())
    }

    /// See [`Kind::destination`].
    #[must_use]
    pub fn destination(&self) -> Option<Destination> {
        with_kind!(self, step => step.destination())
    }

    /// See [`Kind::job`].
    #[must_use]
    pub fn job(&self) -> Option<&Job> {
        with_kind!(self, step => step.job())
    }

    /// See [`Kind::starts_jobs`].
    #[must_use]
    pub fn starts_jobs(&self) -> bool {
        with_kind!(self, step => step.starts_jobs())
    }

    /// See [`Kind::commands`].
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        with_kind!(self, step => step.commands())
    }
}

impl Outcome {
    /// The outcome as one of a kind, if it is.
    #[must_use]
    pub fn as_a<O: Member<Self>>(&self) -> Option<&O> {
        O::of(self)
    }

    /// See [`Made::runner`].
    #[must_use]
    pub fn runner(&self) -> Option<&str> {
        with_made!(self, made => made.runner())
    }

    /// See [`Made::artifacts`].
    #[must_use]
    pub fn artifacts(&self) -> Option<Vec<&Artifact>> {
        with_made!(self, made => made.artifacts())
    }

    /// See [`Made::release_location`].
    #[must_use]
    pub fn release_location(&self) -> Option<&str> {
        with_made!(self, made => made.release_location())
    }

    /// Whether this step can have made it: of its kind, and of what it names itself (version, tag, artifacts).
    #[must_use]
    pub fn is_of(&self, step: &Step) -> bool {
        fn made<K: Kind>(step: &K, outcome: &Outcome) -> bool {
            K::Outcome::of(outcome).is_some_and(|outcome| step.could_make(outcome))
        }
        with_kind!(step, step => made(step, self))
    }
}
