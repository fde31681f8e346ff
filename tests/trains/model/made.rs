//! Made-up outcomes and approvals, each of the kind that its step makes. `benches/` uses them too.
#![allow(unreachable_pub, clippy::unwrap_used, missing_docs, reason = "shared by tests and benchmarks")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lifeboat::engine::Next;
use lifeboat::formats::approval::Statement;
use lifeboat::journal::State;
use lifeboat::model::{Artifact, ArtifactName, Digests, Oid, PersonId, Sha256, TrainNonce};
use lifeboat::plan::PlanId;
use lifeboat::step::{
    AdvisoryDrafted, AdvisoryPublished, Built, Bundled, Encrypted, GateOpened, HistoryPacked, MergedAs, MergedBack,
    Outcome, Pointed, Prepared, Promoted, Pushed, QuorumReached, Released, RunsPassed, Sealed, Staged, StagedVerified,
    Step, StepId, Summed, Tested, WorkflowsRestored, WorkflowsSeen, WorkflowsSuppressed,
};
use lifeboat::trust::Approval;

fn artifact(name: &str) -> Artifact {
    Artifact::new(ArtifactName::new(name).unwrap(), Digests::of(name.as_bytes()))
}

fn oid(of: &str) -> Oid {
    let digest = Sha256::of(of.as_bytes());
    Oid::from_sha1(std::array::from_fn(|i| digest.0[i]))
}

/// A step's name, as a stored plan has it.
#[allow(dead_code, reason = "benchmarks name no step")]
pub fn id(text: &str) -> StepId {
    serde_json::from_value(text.into()).unwrap()
}

/// What a step could have made.
pub fn outcome(step: &Step) -> Outcome {
    let (runner, log) = ("local".to_owned(), Sha256::of(b"log"));
    match step {
        Step::Prepare(s) => Prepared {
            commits: vec![oid(s.branch.as_str())],
            head: oid(s.branch.as_str()),
            tree: oid("tree"),
            version: s.bump.as_ref().map(|b| b.new.clone()),
            pack: Sha256::of(b"pack"),
            notes: None,
            by_hooks: None,
            warnings: Vec::new(),
        }
        .into(),
        Step::Bundle(s) => Bundled {
            source: artifact(&format!("{}-src.tar.gz", s.stem)),
            git_bundle: artifact(&format!("{}.bundle", s.stem)),
            vendor: None,
        }
        .into(),
        Step::Build(s) => {
            Built { runner, log, artifacts: s.job.artifacts.iter().map(|a| artifact(a.name.as_str())).collect() }.into()
        }
        Step::Assemble(s) => {
            Built { runner, log, artifacts: s.job.artifacts.iter().map(|a| artifact(a.name.as_str())).collect() }.into()
        }
        Step::Test(_) => Tested { runner, log }.into(),
        Step::Checksum(_) => Summed {
            manifest: artifact("manifest.json"),
            sha256sums: artifact("SHA256SUMS"),
            sha512sums: artifact("SHA512SUMS"),
            artifacts: Vec::new(),
        }
        .into(),
        Step::Encrypt(_) => Encrypted { files: BTreeMap::new() }.into(),
        Step::PackHistory(_) => HistoryPacked { pack: None, without: Vec::new() }.into(),
        Step::Stage(_) => Staged { files: 3, bytes: 3 }.into(),
        Step::VerifyStaged(_) => StagedVerified { files: 3, seen: BTreeMap::new() }.into(),
        Step::Gate(_) => GateOpened { content: Sha256::of(b"content"), approved_by: Vec::new() }.into(),
        Step::Seal(s) => Sealed {
            tag: s.tag.clone(),
            tag_id: oid(s.tag.as_str()),
            tag_object: Sha256::of(b"tag"),
            files: Vec::new(),
        }
        .into(),
        Step::Promote(s) => Promoted { location: format!("https://releases.example.org/{}", s.0.version) }.into(),
        Step::PushGit(_) => Pushed { refs: Vec::new() }.into(),
        Step::ForgeRelease(s) => Released { location: format!("https://forge.example.org/{}", s.version) }.into(),
        Step::SeeWorkflows(s) => WorkflowsSeen { on: s.files.iter().cloned().collect() }.into(),
        Step::SuppressWorkflows(_) => WorkflowsSuppressed { off: Vec::new() }.into(),
        Step::RestoreWorkflows(_) => WorkflowsRestored { on: Vec::new() }.into(),
        Step::AwaitRuns(_) => RunsPassed { runs: Vec::new() }.into(),
        Step::DraftAdvisory(s) => AdvisoryDrafted { id: s.0.advisory.id.to_string() }.into(),
        Step::PublishAdvisory(s) => AdvisoryPublished {
            id: s.0.advisory.id.to_string(),
            location: "https://forge.example.org".to_owned(),
            cve: None,
        }
        .into(),
        Step::MergeBack(s) => MergedBack { how: MergedAs::Merge, commit: oid(s.branch.as_str()) }.into(),
        Step::Point(_) => Pointed { index: Sha256::of(b"index"), counter: None }.into(),
        Step::Quorum(s) => QuorumReached { stores: s.of.keys().cloned().collect() }.into(),
    }
}

pub fn nonce() -> TrainNonce {
    TrainNonce::from_bytes([7; 16])
}

/// An approval whose signatures nobody checks: the journal checks none, the gate does.
pub fn approval(plan: PlanId, person: usize, expires: Timestamp) -> Approval {
    let person = PersonId::new(format!("person{person}")).unwrap();
    let statement = Statement {
        kind: "lifeboat-approval".to_owned(),
        project: "sample".parse().unwrap(),
        train: nonce(),
        format: 1,
        plan: plan.0,
        content: Sha256::of(b"content"),
        root: Sha256::of(b"root"),
        person: person.clone(),
        expires,
    };
    let statement = String::from_utf8(statement.to_bytes().unwrap()).unwrap();
    Approval { person, statement, signature: String::new(), sums: std::collections::BTreeMap::new() }
}

/// What `next` decides if every approval that has not expired counts: whether signatures hold is another's to judge.
#[allow(dead_code, reason = "benchmarks decide nothing")]
pub fn next(state: &State, now: Timestamp) -> Next {
    let expires = |a: &Approval| Statement::from_bytes(a.statement.as_bytes(), "approval").unwrap().expires;
    let approved: BTreeSet<PersonId> =
        state.approvals().iter().filter(|(a, _)| expires(a) > now).map(|(a, _)| a.person.clone()).collect();
    lifeboat::engine::next(state, &approved.into_iter().collect::<Vec<_>>(), now)
}
