//! What a runner is asked to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{ArtifactName, Label, RunnerName, SecretRef, Sha256};

/// How far a job is cut off from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Loopback only; the job fails if the runner cannot offer that.
    NoNetwork,
    /// The runner's own network.
    Network,
}

/// Commands in a clean directory, with an explicit environment, that leave an exact set of artifacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Shell command lines, run one after the other by `sh -eu -c` in the root of the unpacked source.
    pub run: Vec<String>,
    /// What the runner must have.
    pub labels: Vec<Label>,
    /// The whole environment besides `PATH`, `HOME`, `TMPDIR`, `LANG`, `TZ` and `SOURCE_DATE_EPOCH`.
    pub env: BTreeMap<String, String>,
    /// Variables taken over from the runner's own environment, by name.
    pub pass_env: Vec<String>,
    /// Variables whose values are secrets; their values are masked in logs.
    pub secret_env: BTreeMap<String, SecretRef>,
    /// Whether it may use the network.
    pub isolation: Isolation,
    /// Seconds after which the job and all its children are killed.
    pub timeout_s: u64,
    /// The files that it must leave, and no other in the same directories.
    pub artifacts: Vec<ArtifactPath>,
    /// Files from elsewhere that it finds below its root, by digest: the train has them since it was adopted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ToolInput>,
}

/// A file from elsewhere, such as a toolchain, and where a job finds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolInput {
    /// Relative to the root of the unpacked source.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
}

impl Job {
    /// Each command line, for people, with what it may reach.
    pub(super) fn commands(&self, kind: &str) -> Vec<String> {
        let network = if self.isolation == Isolation::Network {
            ", with this machine's network and what listens on it"
        } else {
            ""
        };
        let passed: Vec<&str> = self.pass_env.iter().chain(self.secret_env.keys()).map(String::as_str).collect();
        let passed = if passed.is_empty() { String::new() } else { format!(", given {}", passed.join(" ")) };
        self.run.iter().map(|run| format!("{kind}{network}{passed}: {run}")).collect()
    }
}

/// A file that a job must leave: where, and the name under which it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactPath {
    /// Relative to the root of the unpacked source.
    pub path: String,
    /// Its plain name.
    pub name: ArtifactName,
}

/// A file that is put into a job's directory before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobInput {
    /// A `.tar.gz` whose single top directory becomes the job's root directory.
    SourceArchive(Sha256),
    /// A `.tar.gz` unpacked below the job's root directory as it is.
    Archive(Sha256),
    /// One file, at this path below the root.
    File {
        /// The object.
        object: Sha256,
        /// Where it is put.
        path: String,
    },
}

/// Finds a dispatched job again, after a crash too; recorded in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handle {
    /// The runner.
    pub runner: RunnerName,
    /// The runner's own name for the job.
    pub job: String,
}
