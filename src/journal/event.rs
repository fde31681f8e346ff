//! What a journal records, and which event may follow which.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::jobs::JobEnd;
use crate::error::{Error, ErrorKind, Part, Result};
use crate::formats::canonical;
use crate::model::{RunnerName, Sha256, TrainNonce};
use crate::plan::PlanId;
use crate::step::{Handle, Outcome, StepId, StepKey};
use crate::trust::Approval;

/// The newest journal format that this version knows; a newer one is refused.
pub const FORMAT: u32 = 3;

/// Something that happened. Serialized names are append-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The plan was adopted: the first record.
    PlanAdopted {
        /// The plan.
        plan: PlanId,
        /// Drawn at random; approvals name it, so that those of one train never count for another.
        nonce: TrainNonce,
        /// The operator's certificate, by which the records' signatures are checked.
        certificate: String,
    },
    /// A step is about to act on the world.
    Started {
        /// The step.
        step: StepId,
        /// Its key.
        key: StepKey,
        /// Counts from 1.
        attempt: u32,
        /// The runner that is about to get its job. While an earlier job of the step goes on, this is one beside it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runner: Option<RunnerName>,
    },
    /// A step's job was dispatched and can be found again by its handle.
    Waiting {
        /// The step.
        step: StepId,
        /// Its key.
        key: StepKey,
        /// Finds the job.
        handle: Handle,
    },
    /// A job ended without success. What follows from that is decided by all ends so far.
    JobEnded {
        /// The step.
        step: StepId,
        /// Its key.
        key: StepKey,
        /// Which of its attempts.
        attempt: u32,
        /// Where the job was, or should have been.
        runner: RunnerName,
        /// The runner's name for it, if it took it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<String>,
        /// How.
        end: JobEnd,
        /// What else was known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// Its log, an object of the train.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<Sha256>,
    },
    /// A step's effect is confirmed.
    Succeeded {
        /// The step.
        step: StepId,
        /// Its key.
        key: StepKey,
        /// What it made.
        #[serde(with = "shared")]
        outcome: Arc<Outcome>,
    },
    /// A step ended without its effect.
    Failed {
        /// The step.
        step: StepId,
        /// Its key.
        key: StepKey,
        /// Whether trying again can help.
        class: FailureClass,
        /// The report, as shown to the operator.
        error: String,
        /// When it is tried again by itself.
        retry_at: Option<Timestamp>,
    },
    /// A deferrable step waits for its destination.
    Deferred {
        /// The step.
        step: StepId,
        /// Its key.
        key: StepKey,
        /// Why.
        reason: String,
        /// Which part of the destination is down, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<Part>,
    },
    /// Workflows that must be off were found on, and are about to be disabled: they are enabled again later, as
    /// those that were on at first.
    FoundOn {
        /// The step that switches workflows of that forge off.
        step: StepId,
        /// Its key.
        key: StepKey,
        /// The workflow files, by name.
        files: BTreeSet<String>,
    },
    /// A person approved.
    Approved {
        /// The approval, with its signatures.
        approval: Box<Approval>,
    },
    /// The operator started `ship` again after failures: they are tried once more.
    Resumed,
    /// The operator asked for what waits to be delivered: deferred steps are tried again.
    Reconciling,
    /// The train was abandoned before anything was public.
    Abandoned {
        /// Why.
        reason: String,
    },
    /// The plan was replaced by a child of it. Steps of equal keys keep what they made; approvals of the parent count no
    /// more.
    Amended {
        /// The child.
        plan: PlanId,
        /// Its bytes, an object of the train.
        object: Sha256,
        /// The steps that keep what they made.
        carried: BTreeSet<StepId>,
        /// Why, if the operator said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// An outcome is shared by all states that follow from its record, and written as itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::step::Outcome;

    pub(super) fn serialize<S: Serializer>(outcome: &Arc<Outcome>, to: S) -> Result<S::Ok, S::Error> {
        Outcome::serialize(outcome, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Outcome>, D::Error> {
        Outcome::deserialize(from).map(Arc::new)
    }
}

/// Whether trying a failed step again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// It may pass by itself.
    Transient,
    /// The destination is down.
    DestinationDown,
    /// Something exists with other bytes: a person decides.
    Conflict,
    /// Something must be fixed first.
    Fatal,
}

impl From<ErrorKind> for FailureClass {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Transient => Self::Transient,
            ErrorKind::Unreachable => Self::DestinationDown,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Input | ErrorKind::Verification | ErrorKind::Fatal => Self::Fatal,
        }
    }
}

/// The oldest format that has an event.
pub(super) fn format_of(event: &Event) -> u32 {
    match event {
        Event::Amended { .. } => 2,
        Event::JobEnded { .. } | Event::Started { runner: Some(_), .. } => 3,
        _ => 1,
    }
}

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format in which it is written: the oldest that has its event, so that older programs read what they can.
    pub format: u32,
    /// Counts from 0.
    pub seq: u64,
    /// The hash of the record before; the plan's digest for the first.
    pub prev: Sha256,
    /// When.
    pub at: Timestamp,
    /// The fingerprint of the operator's key.
    pub by: String,
    /// What.
    pub what: Event,
    /// SHA-256 of the canonical bytes of all the above.
    pub hash: Sha256,
    /// The operator's detached signature over [`Record::signed_bytes`], ASCII-armored.
    pub signature: String,
}

impl Record {
    /// The hash that a record with these contents has.
    ///
    /// # Errors
    /// An event that JSON cannot express.
    pub fn hash_of(seq: u64, prev: Sha256, at: Timestamp, by: &str, what: &Event) -> Result<Sha256> {
        #[derive(Serialize)]
        struct Body<'a> {
            format: u32,
            seq: u64,
            prev: Sha256,
            at: Timestamp,
            by: &'a str,
            what: &'a Event,
        }
        canonical::digest(&Body { format: format_of(what), seq, prev, at, by, what })
    }

    /// What the operator signs: names what it is, so that it counts for nothing else.
    #[must_use]
    pub fn signed_bytes(hash: &Sha256) -> Vec<u8> {
        // The hash covers the format of the record itself.
        format!("lifeboat journal record, format 1\n{hash}\n").into_bytes()
    }

    /// Reads one line and checks that its hash is its own.
    ///
    /// # Errors
    /// A newer format, broken JSON, a wrong hash; `line` counts from 1.
    pub fn parse(text: &str, line: usize) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let damaged = |what: String| {
            Error::verification(what)
                .hint("restore the journal from a backup or another maintainer's copy; nothing was changed")
        };
        let broken = |e: serde_json::Error| damaged(format!("line {line} is not a journal record")).because(e);
        let head: Head = serde_json::from_str(text).map_err(broken)?;
        if head.format > FORMAT {
            return Err(Error::fatal(format!(
                "line {line} has journal format {}, this version knows {FORMAT}",
                head.format
            ))
            .hint("use the lifeboat version that wrote it, or a newer one; nothing was changed"));
        }
        let record: Self = serde_json::from_str(text).map_err(broken)?;
        let hash = Self::hash_of(record.seq, record.prev, record.at, &record.by, &record.what)?;
        if hash != record.hash || record.format != format_of(&record.what) {
            return Err(damaged(format!("line {line} was changed: its hash is not that of its contents")));
        }
        // The hash covers what was understood; so that it covers all, nothing else may stand there.
        if canonical::to_bytes(&record)? != text.as_bytes() {
            return Err(damaged(format!("line {line} was changed: it says more than this version writes")));
        }
        Ok(record)
    }
}

/// How a step stands.
#[derive(Debug, Clone, PartialEq)]
pub enum StepStatus {
    /// Nothing was done.
    Pending,
    /// It was about to act, or acts.
    Started,
    /// Its job was dispatched.
    Waiting(Handle),
    /// Its effect is confirmed.
    Succeeded(Arc<Outcome>),
    /// It ended without its effect.
    Failed {
        /// Whether trying again can help.
        class: FailureClass,
        /// The report.
        error: String,
        /// When it is tried again by itself.
        retry_at: Option<Timestamp>,
    },
    /// It waits for its destination.
    Deferred(String),
}

/// The status after an event on a step.
///
/// # Errors
/// An event that cannot follow this status: the journal is not one that this program wrote.
pub fn transition(status: &StepStatus, event: &Event) -> Result<StepStatus, String> {
    use StepStatus as S;
    match (status, event) {
        (S::Waiting(first), Event::Started { runner: Some(_), .. }) => Ok(S::Waiting(first.clone())),
        // A step left `Started` or `Waiting` by a crash is started again: it observes before it applies. One that failed
        // for good is not: first an operator says so with `resumed`.
        (
            S::Pending | S::Started | S::Waiting(_) | S::Failed { retry_at: Some(_), .. } | S::Deferred(_),
            Event::Started { .. },
        ) => Ok(S::Started),
        (S::Started, Event::Waiting { handle, .. }) => Ok(S::Waiting(handle.clone())),
        // A second job, beside the first.
        (S::Waiting(first), Event::Waiting { .. }) => Ok(S::Waiting(first.clone())),
        // If another job goes on, the step waits for that one.
        (S::Started | S::Waiting(_), Event::JobEnded { .. }) => Ok(S::Started),
        (S::Started | S::Waiting(_), Event::Succeeded { outcome, .. }) => Ok(S::Succeeded(outcome.clone())),
        (S::Started | S::Waiting(_), Event::Failed { class, error, retry_at, .. }) => {
            Ok(S::Failed { class: *class, error: error.clone(), retry_at: *retry_at })
        }
        (S::Started | S::Waiting(_), Event::Deferred { reason, .. }) => Ok(S::Deferred(reason.clone())),
        (_, event) => Err(format!("`{}` cannot follow {}", name(event), status_name(status))),
    }
}

fn status_name(status: &StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "a step that never started",
        StepStatus::Started => "`started`",
        StepStatus::Waiting(_) => "`waiting`",
        StepStatus::Succeeded(_) => "`succeeded`",
        StepStatus::Failed { retry_at: None, .. } => "`failed`, which only `resumed` undoes",
        StepStatus::Failed { .. } => "`failed`",
        StepStatus::Deferred(_) => "`deferred`",
    }
}

/// The serialized name of an event.
pub(crate) fn name(event: &Event) -> &'static str {
    match event {
        Event::PlanAdopted { .. } => "plan-adopted",
        Event::Started { .. } => "started",
        Event::Waiting { .. } => "waiting",
        Event::JobEnded { .. } => "job-ended",
        Event::Succeeded { .. } => "succeeded",
        Event::Failed { .. } => "failed",
        Event::Deferred { .. } => "deferred",
        Event::FoundOn { .. } => "found-on",
        Event::Approved { .. } => "approved",
        Event::Resumed => "resumed",
        Event::Reconciling => "reconciling",
        Event::Abandoned { .. } => "abandoned",
        Event::Amended { .. } => "amended",
    }
}
