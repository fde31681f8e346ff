//! The nouns, without I/O: values whose types admit only what the grammar admits.

mod advisory;
mod artifact;
mod counted;
mod destination;
mod digest;
mod fingerprint;
mod git;
mod line;
mod name;
mod path;
mod secret;
mod shell;
mod staging;
mod stat;
mod time;
mod transfer;
mod trigger;

pub use advisory::{Advisory, Affected, Cve, Severity};
pub use artifact::Artifact;
pub use counted::counted;
pub use destination::{Destination, Pin, Receiver};
pub use digest::{Digests, SeenBytes, Sha256, Sha512};
pub use fingerprint::{Fingerprint, TrainNonce};
pub use git::{Ident, Oid, check_ref_name};
pub use line::{LineKind, VersionStep};
pub use name::{
    AdvisoryId, ArtifactName, BranchName, GrammarError, InputName, Label, PersonId, ProjectName, RemoteName,
    RunnerName, StoreName, TagName, TargetName, TrainName, escape,
};
pub(crate) use path::plain_path;
pub use secret::{Secret, SecretRef};
pub use shell::{shell_path, shell_word};
pub use staging::Staging;
pub use stat::Stat;
pub use time::{spent, utc, whole_seconds};
pub use transfer::{ByteRate, TransferLimits};
pub use trigger::Trigger;
