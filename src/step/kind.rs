//! What a kind of step says of itself, and the two enums over all kinds.

use semver::Version;

use super::{Exposure, Job, Outcome, Read, Step, StepId};
use crate::model::{Artifact, BranchName, Destination};

/// One kind of step: its data, and everything that plan, engine and people ask about it. Each kind is one file of this
/// folder and one line in `with_kind`; what performs it is the file of the same name in `engine/perform`.
pub trait Kind: Member<Step> + 'static {
    /// The kind's name: the first part of a step's id, and the tag in stored plans, which is append-only.
    const NAME: &'static str;

    /// What it makes.
    type Outcome: Made;

    /// The name that it has in every plan: its kind and what it acts on.
    fn name(&self) -> StepId;

    /// The one line to which it belongs, if it acts on one.
    fn line(&self) -> Option<&BranchName> {
        None
    }

    /// The version of that line, where it names it.
    fn version(&self) -> Option<&Version> {
        None
    }

    /// All lines on which it acts, with the version where it names one.
    fn lines(&self) -> Vec<(&BranchName, Option<&Version>)> {
        self.line().map(|line| (line, self.version())).into_iter().collect()
    }

    /// The steps whose outcomes it reads.
    fn reads(&self) -> Vec<Read<'_>>;

    /// Where it stands in a train.
    fn phase(&self) -> Phase;

    /// Who could learn of the fix from it.
    fn exposure(&self) -> Exposure {
        match self.phase() {
            Phase::Preparation | Phase::Building | Phase::Checking => Exposure::Local,
            Phase::Staging | Phase::Draft | Phase::Gate | Phase::Sealing => Exposure::Private,
            Phase::Files | Phase::Delivery | Phase::Beside | Phase::Pointers => Exposure::Public,
        }
    }

    /// Where it leaves or looks for something outside this machine. Only such a step may wait for what is down.
    fn destination(&self) -> Option<Destination> {
        None
    }

    /// What a runner does for it, if it is a job.
    fn job(&self) -> Option<&Job> {
        None
    }

    /// Whether performing it may start a job on a runner.
    fn starts_jobs(&self) -> bool {
        self.job().is_some()
    }

    /// Each command line of the project that it runs, for people, with what the command may reach.
    fn commands(&self) -> Vec<String> {
        self.job().map(|job| job.commands(Self::NAME)).unwrap_or_default()
    }

    /// Whether an outcome of its kind can be its own: of the version, the tag, the artifacts that it names itself.
    fn could_make(&self, _outcome: &Self::Outcome) -> bool {
        true
    }
}

/// What a kind of step makes, and what people and other steps ask about it.
pub trait Made: Member<Outcome> + Into<Outcome> {
    /// The runner on which its job ran, if it is all that the job made.
    fn runner(&self) -> Option<&str> {
        None
    }

    /// The artifacts of which a release may be made up.
    fn artifacts(&self) -> Option<Vec<&Artifact>> {
        None
    }

    /// Where strangers find the release that it made public.
    fn release_location(&self) -> Option<&str> {
        None
    }
}

/// One of the types that an enum over all of them holds.
pub trait Member<All>: Sized {
    /// The value, if it is of this type.
    fn of(all: &All) -> Option<&Self>;
}

/// Where a step stands in a train, in order: each phase waits for what it needs of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Makes a line's commits.
    Preparation,
    /// Makes artifacts.
    Building,
    /// Tests artifacts and writes their sums.
    Checking,
    /// Leaves bytes in a store, where only the team reads them.
    Staging,
    /// Writes what only people of the embargo see, for which no other step waits before the gate.
    Draft,
    /// Waits for people and for time.
    Gate,
    /// Signs with the release key: after the gate, before anything is public.
    Sealing,
    /// Makes a release's files public.
    Files,
    /// Shows a release whose files are public.
    Delivery,
    /// Belongs to deliveries: workflows off and on, their runs, pull requests, drafts that anyone may see.
    Beside,
    /// Moves what points at releases.
    Pointers,
}

impl Phase {
    /// Whether its steps make something public.
    #[must_use]
    pub fn is_public(self) -> bool {
        self >= Self::Files
    }

    /// Whether its steps come before the gate: people approve what they make.
    #[must_use]
    pub fn is_before_gate(self) -> bool {
        self <= Self::Gate
    }
}

/// Makes the enums over all kinds and all outcomes, and `with_kind` and `with_made`, which run an expression with a kind's own
/// type.
macro_rules! steps {
    ($d:tt; steps { $($kind:ident,)* } outcomes { $($made:ident,)* }) => {
        /// What a step does. Each kind has its own data; what only running can show arrives as an [`Outcome`].
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", tag = "do")]
        pub enum Step {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind),)*
        }

        /// What a step made, with digests: later steps read outcomes and never guess. Serialized names are append-only.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", tag = "made")]
        pub enum Outcome {
            $(#[doc = concat!("See [`", stringify!($made), "`].")] $made($made),)*
        }

        $($crate::step::kind::member!(Step $kind);)*
        $($crate::step::kind::member!(Outcome $made);)*

        /// Runs an expression with a step's data as a value of its own kind.
        macro_rules! with_kind {
            ($d step:expr, $d one:ident => $d then:expr) => {
                match $d step {
                    $($crate::step::Step::$kind($d one) => $d then,)*
                }
            };
        }
        pub(crate) use with_kind;

        /// The same for an outcome.
        macro_rules! with_made {
            ($d outcome:expr, $d one:ident => $d then:expr) => {
                match $d outcome {
                    $($crate::step::Outcome::$made($d one) => $d then,)*
                }
            };
        }
        pub(crate) use with_made;
    };
}

/// Makes a type one of those that an enum holds.
macro_rules! member {
    ($all:ident $one:ident) => {
        impl Member<$all> for $one {
            fn of(all: &$all) -> Option<&Self> {
                match all {
                    $all::$one(one) => Some(one),
                    _ => None,
                }
            }
        }

        impl From<$one> for $all {
            fn from(one: $one) -> Self {
                Self::$one(one)
            }
        }
    };
}
pub(super) use {member, steps};
