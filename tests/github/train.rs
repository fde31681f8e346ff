//! A released train of three lines with twelve assets each, without builds: every outcome before the forge is made up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use lifeboat::adapter::Around;
use lifeboat::config::{self, Config, SeriesSource, TrainLine, TrainRequest};
use lifeboat::drill::recording::LeapingClock;
use lifeboat::effects::{Clock, Effects, Forge, NoProgress, SecretResolver};
use lifeboat::engine::reconcile::{Reconciled, reconcile};
use lifeboat::engine::{Ended, Train, TrainDir, TrainView, run, to_approve};
use lifeboat::error::Result;
use lifeboat::forges::github::{Deadlines, GitHub};
use lifeboat::forges::{ForgeSpec, Surroundings};
use lifeboat::formats::manifest::{Contents, Manifest, ManifestTag};
use lifeboat::git::{GitProgram, LocalGit};
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::journal::Event;
use lifeboat::model::{
    Advisory, Affected, Artifact, ArtifactName, BranchName, Cve, LineKind, Oid, Secret, Severity, Sha256,
};
use lifeboat::plan::{Plan, plan};
use lifeboat::signers::ConfiguredKeys;
use lifeboat::snapshot::{LineFacts, Snapshot, TrustFacts};
use lifeboat::step::{
    Built, Bundled, GateOpened, HistoryPacked, Outcome, PlannedStep, Pointed, Prepared, Promoted, Sealed, SealedFile,
    Staged, StagedVerified, Step, Summed, Tested,
};
use lifeboat::trust::{ApprovalRequest, TrustedRoot, approve};
use serde_json::json;

use crate::github_double::actions::Workflow;
use crate::github_double::faults::Fault;
use crate::github_double::{Double, REPOSITORY, TOKEN};
use crate::release_world::{FixedClock, NOW, Team, at, scratch};

// By its path: a bench has this file by a path of its own.
#[path = "train_workflows.rs"]
mod train_workflows;

/// A line, with the version before and after.
pub type Line = (&'static str, &'static str, &'static str);

/// The lines of the usual train.
pub const LINES: [Line; 3] = [
    ("release-24.0.0", "24.0.8", "24.0.9"),
    ("release-36.0.0", "36.0.13", "36.0.14"),
    ("release-48.0.0", "48.0.0", "48.0.1"),
];

/// How many assets each release has.
pub const ASSETS: usize = 12;

/// The advisory that is a private draft on GitHub before the train.
pub const PRIVATE: &str = "GHSA-aaaa-bbbb-cccc";

/// How many deliveries are read back at the end: each line's release, the run that it starts, and the advisories.
pub const DELIVERIES: usize = 2 * LINES.len() + 2;

/// The commit of every release: made up.
pub const COMMIT: &str = "cccccccccccccccccccccccccccccccccccccccc";

/// The tag object of a version: made up.
pub fn tag_id(version: &str) -> Oid {
    Sha256::of(version.as_bytes()).hex()[..40].parse().unwrap()
}

/// A train released everywhere but on GitHub, to be copied for each run.
pub struct Template {
    dir: tempfile::TempDir,
    config: Config,
    trust: Arc<TrustedRoot>,
}

/// One run of the train: a copy of the template.
pub struct Copied {
    _dir: tempfile::TempDir,
    train: TrainDir,
    clock: Arc<LeapingClock>,
}

fn config(dir: &Path) -> Config {
    let text = format!(
        "[project]\nname = \"sample\"\ncommitter = \"A <a@example.org>\"\n\
         [[target]]\nname = \"x\"\ntriple = \"t\"\nrun = [\"true\"]\nartifacts = [\"x\"]\n\
         [[store]]\nname = \"mirror\"\nurl = \"file:///srv/store\"\n\
         [forge.github]\nrepository = \"{REPOSITORY}\"\ntoken = {{ env = \"TOKEN\" }}\n\
         triggers = {{ \"publish.yml\" = \"suppress\", \"after.yml\" = \"adopt\" }}\n"
    );
    config::parse(&text, &dir.join("lifeboat.toml"), &lifeboat::wiring::registries()).unwrap()
}

/// One that is a private draft there already, and one that nobody has written there yet.
fn advisories() -> Vec<Advisory> {
    let affected = |versions: &str, patched: &str| Affected {
        ecosystem: "rust".into(),
        package: "sample".into(),
        versions: versions.into(),
        patched: Some(patched.into()),
    };
    let advisory = |id: &str, severity, cve| Advisory {
        id: id.parse().unwrap(),
        summary: format!("A guest can do {id}"),
        description: format!("## Impact\n\nMuch, by {id}.\n"),
        severity,
        cwes: vec!["CWE-248".into()],
        cve,
        affected: vec![affected("< 24.0.9", "24.0.9"), affected(">= 25.0.0, < 36.0.14", "36.0.14")],
    };
    let vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H";
    vec![
        advisory(PRIVATE, Severity::Word("high".into()), Cve::Assigned("CVE-2026-0001".into())),
        advisory("SAMPLE-2026-0002", Severity::Cvss(vector.into()), Cve::Request),
    ]
}

fn planned(config: &Config, trust: &TrustedRoot, lines: &[Line]) -> Plan {
    let branch = |b: &str| BranchName::new(b).unwrap();
    let base: Oid = "b".repeat(40).parse().unwrap();
    let facts = |(name, old, new): &Line| LineFacts {
        released_bytes: None,
        branch: branch(name),
        base: base.clone(),
        versions: Some((old.parse().unwrap(), new.parse().unwrap())),
        series: Sha256::of(b""),
        patches: vec![],
        deletes: vec![],
        elsewhere: Vec::new(),
        tag_taken: None,
        submodules: vec![],
        missing_submodules: vec![],
        missing_crates: vec![],
        workflows: train_workflows::workflows(),
    };
    let line = |(name, _, _): &Line| TrainLine {
        branch: branch(name),
        kind: LineKind::Release,
        to: None,
        series: SeriesSource::None,
    };
    let threshold = trust.root.roles.approve.threshold;
    let snapshot = Snapshot {
        repository: "/nowhere".into(),
        lines: lines.iter().map(facts).collect(),
        trust: TrustFacts { root: trust.digest, threshold, hosts: None, recipients: None },
        unknown: vec![],
        missing_inputs: Default::default(),
    };
    let request = TrainRequest {
        name: "sample".parse().unwrap(),
        date: at(NOW),
        not_before: None,
        advisories: vec![],
        advisory_texts: advisories(),
        lines: lines.iter().map(line).collect(),
    };
    plan(config, &snapshot, &request).unwrap()
}

/// What a step before the forge might have made.
fn outcome(step: &PlannedStep, view: &TrainView, files: &[PathBuf]) -> Option<Outcome> {
    let objects = view.objects();
    let made = |name: &str, bytes: &str| {
        Artifact::new(ArtifactName::new(name).unwrap(), objects.put(bytes.as_bytes()).unwrap())
    };
    let oid = || COMMIT.parse::<Oid>().unwrap();
    Some(match &step.step {
        Step::Prepare(s) => Prepared {
            commits: vec![oid()],
            head: oid(),
            tree: oid(),
            version: s.bump.as_ref().map(|b| b.new.clone()),
            pack: Sha256::of(b""),
            notes: None,
            by_hooks: None,
            warnings: vec![],
        }
        .into(),
        Step::Bundle(_) => {
            Bundled { source: made("source", "s"), git_bundle: made("bundle", "b"), vendor: None }.into()
        }
        Step::Build(_) | Step::Assemble(_) => {
            Built { runner: "r".into(), artifacts: vec![made("x", "x")], log: Sha256::of(b"") }.into()
        }
        Step::Test(_) => Tested { runner: "r".into(), log: Sha256::of(b"") }.into(),
        Step::Checksum(s) => {
            let version = &s.version;
            // Twelve with manifest, sums and sealed files; one is larger than what a socket takes at once.
            let of = |n: u8, text: &str| made(&format!("sample-v{version}-{n}.tar.gz"), text);
            let mut artifacts = vec![of(1, &version.to_string()), of(2, &version.to_string().repeat(20_000))];
            if !files.is_empty() {
                let put = |path: &PathBuf| {
                    let name = format!("sample-v{version}-{}", path.file_name().unwrap().to_str().unwrap());
                    Artifact::new(ArtifactName::new(name).unwrap(), objects.put_file(path).unwrap())
                };
                artifacts = files.iter().map(put).collect();
            }
            artifacts.push(made("notes.md", &format!("## {version}\n\nFixes a flaw.\n")));
            artifacts.sort_by(|a, b| a.name.cmp(&b.name));
            let manifest = Manifest::new(Contents {
                project: s.project.clone(),
                line: s.branch.clone(),
                version: version.clone(),
                train: view.state().nonce().unwrap().clone(),
                date: s.date,
                commit: oid(),
                tag: ManifestTag { name: s.tag.clone(), text: Sha256::of(b"") },
                artifacts: artifacts.clone(),
            });
            let manifest = manifest.unwrap().to_bytes().unwrap();
            Summed {
                manifest: made("manifest.json", str::from_utf8(&manifest).unwrap()),
                sha256sums: made("SHA256SUMS", &format!("sums of {version}")),
                sha512sums: made("SHA512SUMS", &format!("more sums of {version}")),
                artifacts,
            }
            .into()
        }
        Step::Encrypt(_) => unreachable!("no store of these trains stages encrypted files"),
        Step::PackHistory(_) => HistoryPacked { pack: None, without: vec![] }.into(),
        Step::Stage(_) => Staged { files: 9, bytes: 9 }.into(),
        Step::VerifyStaged(_) => StagedVerified { files: 9, seen: BTreeMap::new() }.into(),
        Step::Gate(_) => GateOpened { content: Sha256::of(b""), approved_by: vec![] }.into(),
        Step::Seal(s) => {
            let file = |path: &str, bytes: &[u8]| SealedFile::new(path, &objects.put(bytes).unwrap());
            let (content, _) = to_approve(view).unwrap();
            let mut files = vec![
                file("approvals/content.json", &content.to_bytes().unwrap()),
                file("tag.object", format!("tag object of {}", s.version).as_bytes()),
            ];
            for (approval, _) in view.state().approvals() {
                files.extend(approval.files(&s.branch).unwrap().iter().map(|(path, bytes)| file(path, bytes)));
            }
            Sealed { tag: s.tag.clone(), tag_id: tag_id(&s.version.to_string()), tag_object: Sha256::of(b""), files }
                .into()
        }
        Step::Promote(_) => Promoted { location: "there".into() }.into(),
        Step::Point(_) => Pointed { index: Sha256::of(b""), counter: None }.into(),
        Step::PushGit(_)
        | Step::ForgeRelease(_)
        | Step::SeeWorkflows(_)
        | Step::SuppressWorkflows(_)
        | Step::RestoreWorkflows(_)
        | Step::AwaitRuns(_)
        | Step::DraftAdvisory(_)
        | Step::PublishAdvisory(_)
        | Step::MergeBack(_)
        | Step::Quorum(_) => return None,
    })
}

impl Template {
    pub fn new() -> Self {
        Self::of(scratch(), &LINES, &[])
    }

    /// A train of these lines in this directory; each release has these files if there are any, else the usual twelve
    /// assets.
    pub fn of(dir: tempfile::TempDir, lines: &[Line], files: &[PathBuf]) -> Self {
        let team = Team::new();
        let keys = dir.path().join("keys");
        let mut root = team.root();
        root.roles.approve.threshold = 1;
        team.write_keys(&keys, &root);
        let choice = lifeboat::trust::RootChoice::Directory;
        let trust = Arc::new(lifeboat::trust::load(&HostDisk, &keys, None, choice, at(NOW)).unwrap());
        let template = Self { config: config(dir.path()), dir, trust };
        let train = TrainDir::new(template.dir.path().join("train"));
        let plan = planned(&template.config, &template.trust, lines);
        // What was approved and released was so at a time that does not move.
        let mut effects = template.effects(Arc::new(LeapingClock::new(Arc::new(HostClock))), None);
        effects.clock = Arc::new(FixedClock);
        let (adopted, _) = Train::adopt(&effects, template.trust.clone(), &train, &plan).unwrap();
        let graph = adopted.graph().clone();
        for &i in graph.order() {
            let step = graph.at(i);
            if matches!(step.step, Step::Gate(_)) {
                let (content, sums) = to_approve(&adopted.view()).unwrap();
                let person = "alice".parse().unwrap();
                let (root, expires) = (template.trust.digest, at(NOW) + SignedDuration::from_hours(24));
                let act = ApprovalRequest { content: &content, sums: &sums, root, person: &person, expires };
                let approval = Box::new(approve(&team.alice, &act).unwrap());
                adopted.journal().append(Event::Approved { approval }).unwrap();
            }
            if let Some(outcome) = outcome(step, &adopted.view(), files) {
                let (id, key) = (step.id.clone(), step.key);
                let mut journal = adopted.journal();
                journal.append(Event::Started { step: id.clone(), key, attempt: 1, runner: None }).unwrap();
                journal.append(Event::Succeeded { step: id, key, outcome: outcome.into() }).unwrap();
            }
        }
        template
    }

    /// The effects that a new process would have.
    fn effects(&self, clock: Arc<LeapingClock>, forge: Option<Arc<dyn Forge>>) -> Effects {
        let secrets: SecretResolver = Arc::new(|_| Ok(Secret::new(TOKEN)));
        let disk = Arc::new(HostDisk);
        let (signing, root) = (&self.config.signing, self.dir.path().to_owned());
        let around = Around {
            disk: disk.clone(),
            clock: Arc::new(HostClock),
            secrets: secrets.clone(),
            hosts: Default::default(),
            repository: root.clone(),
            jobs: None,
        };
        let keys = ConfiguredKeys::new(signing, root, around);
        Effects {
            disk,
            git: Arc::new(LocalGit::new(GitProgram::from_env())),
            runners: vec![],
            leases: BTreeMap::new(),
            stores: BTreeMap::new(),
            forges: forge.into_iter().map(|f| (f.name().clone(), f)).collect(),
            remotes: BTreeMap::new(),
            keys: Arc::new(keys),
            secrets,
            clock,
            progress: Arc::new(NoProgress),
        }
    }

    /// A copy whose objects are the template's own: nothing after the gate adds any that matter.
    pub fn copy(&self) -> Copied {
        let dir = scratch();
        let to = dir.path().join("train");
        self.copy_to(dir, to)
    }

    /// A copy in the same state directory as another train.
    pub fn copy_beside(&self, other: &Copied) -> Copied {
        let to = other.train.path().parent().unwrap().join("beside");
        self.copy_to(scratch(), to)
    }

    fn copy_to(&self, dir: tempfile::TempDir, to: PathBuf) -> Copied {
        let from = self.dir.path().join("train");
        fs::create_dir(&to).unwrap();
        for name in ["plan.json", "journal.jsonl"] {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(from.join("objects"), to.join("objects")).unwrap();
        let clock = Arc::new(LeapingClock::new(Arc::new(HostClock)));
        Copied { _dir: dir, train: TrainDir::new(to), clock }
    }
}

/// Deadlines short enough for thousands of runs, long enough for a busy machine.
pub const SHORT: Deadlines = Deadlines {
    connect: Duration::from_secs(2),
    read: Duration::from_millis(1500),
    write: Duration::from_millis(1500),
    stall: Duration::from_millis(1500),
};

impl Copied {
    /// The forge as a new process opens it.
    pub fn forge(&self, double: &Double) -> Arc<dyn Forge> {
        self.forge_at(&double.api(), SHORT)
    }

    /// The same with a clock that waits.
    pub fn forge_with_real_time(&self, double: &Double) -> Arc<dyn Forge> {
        Self::forge_of(&double.api(), SHORT, Arc::new(HostClock))
    }

    /// The same for a double in another process.
    pub fn forge_at(&self, api: &str, deadlines: Deadlines) -> Arc<dyn Forge> {
        Self::forge_of(api, deadlines, self.clock.clone())
    }

    fn forge_of(api: &str, deadlines: Deadlines, clock: Arc<dyn Clock>) -> Arc<dyn Forge> {
        let spec = ForgeSpec {
            name: "github".parse().unwrap(),
            repository: REPOSITORY.into(),
            api: Some(api.to_owned()),
            uploads: None,
            token: Some(lifeboat::model::SecretRef::Env("TOKEN".into())),
            app: None,
        };
        let around = Surroundings {
            clock,
            secrets: Arc::new(|_| Ok(Secret::new(TOKEN))),
            hosts: ["127.0.0.1".to_owned()].into(),
        };
        Arc::new(GitHub::new(&spec, &around).with_deadlines(deadlines))
    }

    fn open(&self, template: &Template, double: &Double) -> (Effects, Arc<Train>) {
        self.open_with(template, self.forge(double))
    }

    /// The train and the effects that a new process has with this forge.
    pub fn open_with(&self, template: &Template, forge: Arc<dyn Forge>) -> (Effects, Arc<Train>) {
        let effects = template.effects(self.clock.clone(), Some(forge));
        // A run that was killed may be letting its lock go on another thread just now.
        let mut tries = 0;
        let train = loop {
            match Train::open(&effects, template.trust.clone(), &self.train) {
                Err(e) if tries < 400 && e.message().starts_with("another lifeboat process holds the train") => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
                opened => break opened.unwrap(),
            }
        };
        (effects, Arc::new(train))
    }

    /// `ship`, as a new process; none if it was killed.
    pub async fn ship(&self, template: &Template, double: &Double) -> Option<Ended> {
        let (effects, train) = self.open(template, double);
        let (killed, held) = (double.world().killed.clone(), Arc::downgrade(&train));
        let ended = tokio::select! {
            ended = run(&effects, train) => Some(ended.unwrap()),
            () = killed.notified() => None,
        };
        dead(&held).await;
        ended
    }

    /// `reconcile`, as a new process; none if it was killed.
    pub async fn reconcile(&self, template: &Template, double: &Double) -> Option<Result<Reconciled>> {
        let (effects, train) = self.open(template, double);
        let (killed, held) = (double.world().killed.clone(), Arc::downgrade(&train));
        let done = tokio::select! {
            done = reconcile(&effects, train) => Some(done),
            () = killed.notified() => None,
        };
        dead(&held).await;
        done
    }

    pub fn journal(&self) -> Vec<u8> {
        fs::read(self.train.journal()).unwrap()
    }

    /// The journal as text.
    pub fn journal_text(&self) -> String {
        String::from_utf8(self.journal()).unwrap()
    }

    /// Whether a step was deferred for a reason that says this.
    pub fn deferred(&self, why: &str) -> bool {
        self.journal_text().lines().any(|l| l.contains("\"deferred\"") && l.contains(why))
    }

    /// Something beside the train's directory, where other trains are.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.train.path().parent().unwrap().join(name)
    }

    /// The time that passes for it.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// This many seconds pass for it.
    pub fn later(&self, seconds: i64) {
        self.clock.leap_to(self.clock.now() + SignedDuration::from_secs(seconds));
    }
}

/// Waits until nothing of a process is left: its lock goes with it.
async fn dead(train: &std::sync::Weak<Train>) {
    while train.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A double that has the repository's tags, and these failures to come.
pub async fn double_with(faults: &[Fault]) -> Double {
    let double = Double::start().await;
    {
        let mut world = double.world();
        world.state.immutable_releases = true;
        world.state.advisory(PRIVATE, &json!({"summary": "A report", "description": "?", "severity": "low"}));
        world.state.workflows = vec![
            Workflow::new("publish.yml", "release", "refs/tags/v"),
            Workflow::new("after.yml", "release", "refs/tags/v"),
        ];
        for (_, _, new) in LINES {
            world.state.commits.insert(format!("v{new}"), COMMIT.to_owned());
        }
    }
    for (_, _, new) in LINES {
        double.push_tag(&format!("v{new}"), tag_id(new).as_str());
    }
    for fault in faults {
        double.inject(fault.clone());
    }
    double
}
