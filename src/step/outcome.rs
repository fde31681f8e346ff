//! What steps produced, as it is recorded in the journal.

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Assemble, Build, MergedAs, PassedRun, Step};
use crate::model::{Artifact, Digests, Oid, PersonId, Sha256, TagName};

/// What a step produced, with digests; later steps consume outcomes, never guesses. Serialized names are append-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "made")]
pub enum Outcome {
    /// Of `prepare`.
    Prepared {
        /// The commits of the series, oldest first, and the bump commit if there is one.
        commits: Vec<Oid>,
        /// The last of them.
        head: Oid,
        /// Its tree.
        tree: Oid,
        /// The version of the line, none on a `carry` line.
        version: Option<Version>,
        /// A pack with every object between base and head, an object of the train.
        pack: Sha256,
        /// The release notes, an object of the train.
        notes: Option<Sha256>,
        /// What the project's own commands changed, pinned as an object; none if they changed nothing.
        by_hooks: Option<Sha256>,
        /// Warnings for the person who approves.
        warnings: Vec<String>,
    },
    /// Of `bundle`.
    Bundled {
        /// The source archive.
        source: Artifact,
        /// The git bundle.
        git_bundle: Artifact,
        /// The vendored crates.
        vendor: Option<Artifact>,
    },
    /// Of `build` and `assemble`.
    Built {
        /// Which runner did it.
        runner: String,
        /// What it left.
        artifacts: Vec<Artifact>,
        /// Its log, an object of the train.
        log: Sha256,
    },
    /// Of `test`.
    Tested {
        /// Which runner did it.
        runner: String,
        /// Its log, an object of the train.
        log: Sha256,
    },
    /// Of `checksum`.
    Summed {
        /// `manifest.json`.
        manifest: Artifact,
        /// `SHA256SUMS`.
        sha256sums: Artifact,
        /// `SHA512SUMS`.
        sha512sums: Artifact,
        /// Everything that the manifest lists.
        artifacts: Vec<Artifact>,
    },
    /// Of `pack-history`.
    HistoryPacked {
        /// The pack, as objects of the train; none if the store serves all of it.
        pack: Option<KeptPack>,
        /// What the store served then, which the pack leaves out.
        without: Vec<Oid>,
    },
    /// Of `stage`.
    Staged {
        /// How many files.
        files: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// Of `verify-staged`.
    StagedVerified {
        /// How many files were read back.
        files: u64,
    },
    /// Of `gate`.
    GateOpened {
        /// The digest of the content manifest that was approved.
        content: Sha256,
        /// Who approved, sorted.
        approved_by: Vec<PersonId>,
    },
    /// Of `seal`.
    Sealed(Sealed),
    /// Of `promote`.
    Promoted {
        /// Where a stranger finds it.
        location: String,
    },
    /// Of `push-git`.
    Pushed {
        /// `ref object` pairs as the remote has them now.
        refs: Vec<(String, Oid)>,
    },
    /// Of `forge-release`.
    Released {
        /// Where a stranger finds it.
        location: String,
    },
    /// Of `see-workflows`.
    WorkflowsSeen {
        /// Those that were on, sorted; the others were off before we came, and stay off.
        on: Vec<String>,
    },
    /// Of `suppress-workflows`.
    WorkflowsSuppressed {
        /// Those that we switched off.
        off: Vec<String>,
    },
    /// Of `restore-workflows`.
    WorkflowsRestored {
        /// Those that are on again.
        on: Vec<String>,
    },
    /// Of `await-runs`.
    RunsPassed {
        /// The runs, in the order of the step.
        runs: Vec<PassedRun>,
    },
    /// Of `merge-back`.
    MergedBack {
        /// How it came in.
        how: MergedAs,
        /// The first commit of the branch that has everything.
        commit: Oid,
    },
    /// Of `draft-advisory`.
    AdvisoryDrafted {
        /// The forge's identifier.
        id: String,
    },
    /// Of `publish-advisory`.
    AdvisoryPublished {
        /// The forge's identifier.
        id: String,
        /// Where a stranger finds it.
        location: String,
        /// Its CVE number, if it had one by then.
        cve: Option<String>,
    },
    /// Of `point`.
    Pointed {
        /// The digest of the index that the store serves now.
        index: Sha256,
        /// Its number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<u64>,
    },
}

impl Outcome {
    /// Whether this step can have made it: of its kind, and of what it names itself (version, tag, artifacts).
    #[must_use]
    pub fn is_of(&self, step: &Step) -> bool {
        match (step, self) {
            (Step::Prepare(s), Self::Prepared { version, .. }) => *version == s.bump.as_ref().map(|b| b.new.clone()),
            (Step::Build(Build { job, .. }) | Step::Assemble(Assemble { job, .. }), Self::Built { artifacts, .. }) => {
                let wanted: BTreeSet<_> = job.artifacts.iter().map(|a| &a.name).collect();
                artifacts.len() == wanted.len() && artifacts.iter().all(|a| wanted.contains(&a.name))
            }
            (Step::Seal(s), Self::Sealed(sealed)) => sealed.tag == s.tag,
            (Step::Bundle(_), Self::Bundled { .. })
            | (Step::Test(_), Self::Tested { .. })
            | (Step::Checksum(_), Self::Summed { .. })
            | (Step::Stage(_), Self::Staged { .. })
            | (Step::PackHistory(_), Self::HistoryPacked { .. })
            | (Step::VerifyStaged(_), Self::StagedVerified { .. })
            | (Step::Gate(_), Self::GateOpened { .. })
            | (Step::Promote(_), Self::Promoted { .. })
            | (Step::PushGit(_), Self::Pushed { .. })
            | (Step::ForgeRelease(_), Self::Released { .. })
            | (Step::SeeWorkflows(_), Self::WorkflowsSeen { .. })
            | (Step::SuppressWorkflows(_), Self::WorkflowsSuppressed { .. })
            | (Step::RestoreWorkflows(_), Self::WorkflowsRestored { .. })
            | (Step::AwaitRuns(_), Self::RunsPassed { .. })
            | (Step::MergeBack(_), Self::MergedBack { .. })
            | (Step::DraftAdvisory(_), Self::AdvisoryDrafted { .. })
            | (Step::PublishAdvisory(_), Self::AdvisoryPublished { .. })
            | (Step::Point(_), Self::Pointed { .. }) => true,
            _ => false,
        }
    }
}

/// A pack that is kept among the train's objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptPack {
    /// What git names it by: its content.
    pub name: Oid,
    /// The pack, an object of the train.
    pub pack: Digests,
    /// Its index, an object of the train.
    pub idx: Digests,
}

/// What sealing a line made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The tag's name.
    pub tag: TagName,
    /// The id of the signed tag object.
    pub tag_id: Oid,
    /// The tag object's content, an object of the train.
    pub tag_object: Sha256,
    /// Everything published beside what the sums list: signatures, approvals, keys.
    pub files: Vec<SealedFile>,
}

/// A file that sealing adds to a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedFile {
    /// Its path within the release: a plain name, or `approvals/<name>`.
    pub path: String,
    /// Its content, an object of the train.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}
