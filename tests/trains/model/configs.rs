//! Random projects and trains, and the facts that would be seen of them.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use lifeboat::config::{Config, SeriesSource, TrainLine, TrainRequest, parse};
use lifeboat::model::{Advisory, BranchName, Cve, LineKind, Oid, Severity, Sha256};
use lifeboat::plan::{Plan, plan};
use lifeboat::snapshot::{LineFacts, PatchFacts, Snapshot, TrustFacts, WorkflowAt, WorkflowFacts, WorkflowFile};
use proptest::prelude::*;
use semver::Version;

/// The size and colours of a train, from which the rest follows.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) lines: Vec<LineKind>,
    pub(crate) targets: Vec<TargetShape>,
    /// Each takes one target by name, or all by a pattern.
    pub(crate) assemblies: Vec<Option<usize>>,
    /// Whether each is required.
    pub(crate) stores: Vec<bool>,
    /// How many more stores count for a quorum, of which more than half must have the train.
    pub(crate) counted: usize,
    pub(crate) remotes: Vec<bool>,
    pub(crate) forge: Option<bool>,
    /// Whether the forge runs workflows, takes pull requests and holds advisories; and whether only writers see drafts.
    pub(crate) automated: Option<bool>,
    pub(crate) threshold: u32,
    pub(crate) embargo: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct TargetShape {
    pub(crate) tested: bool,
    /// The one line that builds it; all if none.
    pub(crate) only: Option<usize>,
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The end of the embargo, where there is one.
pub(crate) const EMBARGO: i64 = 5_000;

pub(crate) fn shapes() -> impl Strategy<Value = Shape> {
    let kind = prop_oneof![
        4 => Just(LineKind::Release),
        1 => Just(LineKind::First),
        1 => Just(LineKind::Candidate),
        2 => Just(LineKind::Carry),
    ];
    let target =
        (any::<bool>(), prop::option::weighted(0.2, 0..3usize)).prop_map(|(tested, only)| TargetShape { tested, only });
    (
        prop::collection::vec(kind, 0..4),
        prop::collection::vec(target, 1..4),
        prop::collection::vec(prop::option::of(0..3usize), 0..3),
        (prop::collection::vec(any::<bool>(), 0..3), prop_oneof![2 => Just(0), 1 => 1..4usize]),
        prop::collection::vec(any::<bool>(), 0..3),
        prop::option::of(any::<bool>()),
        prop::option::of(any::<bool>()),
        1..4u32,
        any::<bool>(),
    )
        .prop_map(
            |(mut lines, targets, assemblies, (mut stores, counted), remotes, forge, automated, threshold, embargo)| {
                // One release, and one required store or a quorum, without which there is no train; the rest as it comes.
                lines.insert(lines.len() / 2, LineKind::Release);
                if counted == 0 {
                    stores.insert(stores.len() / 2, true);
                }
                Shape { lines, targets, assemblies, stores, counted, remotes, forge, automated, threshold, embargo }
            },
        )
}

pub(crate) fn branch(line: usize) -> BranchName {
    BranchName::new(format!("release-{}.0.0", line + 1)).unwrap()
}

impl Shape {
    pub(crate) fn toml(&self) -> String {
        let mut out =
            "[project]\nname = \"sample\"\nbranches = \"release-*\"\ncommitter = \"A <a@example.org>\"\n".to_owned();
        for (i, target) in self.targets.iter().enumerate() {
            let test = if target.tested { "test = [\"sh test.sh\"]\n" } else { "" };
            let only = target.only.map(|l| format!("branches = \"{}\"\n", branch(l))).unwrap_or_default();
            write!(
                out,
                "[[target]]\nname = \"t{i}\"\ntriple = \"x86_64-unknown-linux-gnu\"\nrun = [\"sh build.sh\"]\n{test}{only}artifacts = [\"dist/sample-v{{version}}-t{i}.tar.gz\"]\n"
            )
            .unwrap();
        }
        for (i, from) in self.assemblies.iter().enumerate() {
            // A target taken by name must be built wherever the assembly is made.
            let from = from.filter(|&t| self.targets.get(t).is_some_and(|t| t.only.is_none()));
            let from = from.map_or("*".to_owned(), |t| format!("t{t}"));
            write!(
                out,
                "[[assemble]]\nname = \"a{i}\"\nfrom = [\"{from}\"]\nlayout = \"in-{{from}}\"\nrun = [\"sh merge.sh\"]\nartifacts = [\"dist/sample-v{{version}}-a{i}.tar.xz\"]\n"
            )
            .unwrap();
        }
        for (i, required) in self.stores.iter().enumerate() {
            write!(out, "[[store]]\nname = \"s{i}\"\nurl = \"file:///srv/s{i}\"\nrequired = {required}\n").unwrap();
            if i % 2 == 1 {
                out.push_str("staging = \"encrypted\"\n");
            }
        }
        for i in 0..self.counted {
            write!(out, "[[store]]\nname = \"c{i}\"\nurl = \"file:///srv/c{i}\"\n").unwrap();
        }
        if self.counted > 0 {
            write!(out, "[release]\nstores = \"{} of {}\"\n", self.counted / 2 + 1, self.counted).unwrap();
        }
        for (i, required) in self.remotes.iter().enumerate() {
            let pulls = if self.git_of_forge() == Some(i) { "push = \"pull-request\"\n" } else { "" };
            write!(out, "[[remote]]\nname = \"r{i}\"\nurl = \"/srv/git/r{i}.git\"\nrequired = {required}\n{pulls}")
                .unwrap();
        }
        if let Some(required) = self.forge {
            write!(out, "[forge.github]\nrepository = \"example/sample\"\nrequired = {required}\ntoken = {{ env = \"TOKEN\" }}\n").unwrap();
            if let Some(i) = self.git_of_forge() {
                writeln!(out, "remote = \"r{i}\"").unwrap();
            }
            if let Some(writers) = self.automated {
                let audience = if writers { "writers" } else { "anyone" };
                writeln!(out, "triggers = {{ \"publish.yml\" = \"suppress\", \"ci.yml\" = \"adopt\" }}").unwrap();
                writeln!(out, "draft_audience = \"{audience}\"").unwrap();
            }
        }
        out
    }

    /// The remote that is the forge's git: one that is required if the forge is.
    fn git_of_forge(&self) -> Option<usize> {
        self.automated?;
        self.remotes.iter().position(|required| Some(*required) == self.forge)
    }

    /// Of the texts, the one advisory.
    fn advisory(&self) -> Option<Advisory> {
        self.automated?;
        Some(Advisory {
            id: "GHSA-aaaa-bbbb-cccc".parse().unwrap(),
            summary: "A flaw".to_owned(),
            description: "Much.".to_owned(),
            severity: Severity::Word("high".to_owned()),
            cwes: Vec::new(),
            cve: Cve::Request,
            affected: Vec::new(),
        })
    }

    pub(crate) fn config(&self) -> Config {
        let text = self.toml();
        parse(&text, Path::new("/srv/sample/lifeboat.toml"), &lifeboat::wiring::registries())
            .unwrap_or_else(|e| panic!("{}\n{text}", e.report()))
    }

    pub(crate) fn request(&self) -> TrainRequest {
        let line = |(i, kind): (usize, &LineKind)| TrainLine {
            branch: branch(i),
            kind: *kind,
            to: None,
            series: SeriesSource::None,
        };
        TrainRequest {
            name: "spring".parse().unwrap(),
            date: at(0),
            not_before: self.embargo.then(|| at(EMBARGO)),
            advisories: vec!["GHSA-aaaa-bbbb-cccc".parse().unwrap()],
            advisory_texts: self.advisory().into_iter().collect(),
            lines: self.lines.iter().enumerate().map(line).collect(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let versions = |i: usize, kind: &LineKind| {
            let major = i as u64 + 1;
            let v = |text: String| text.parse::<Version>().unwrap();
            match kind {
                LineKind::Release => Some((v(format!("{major}.0.4")), v(format!("{major}.0.5")))),
                LineKind::First => Some((v(format!("{major}.0.0-rc.2")), v(format!("{major}.0.0")))),
                LineKind::Candidate => Some((v(format!("{major}.0.0-rc.2")), v(format!("{major}.0.0-rc.3")))),
                LineKind::Carry => None,
            }
        };
        let line = |(i, kind): (usize, &LineKind)| LineFacts {
            released_bytes: None,
            branch: branch(i),
            base: Oid::from_sha1([i as u8; 20]),
            versions: versions(i, kind),
            series: Sha256::of(format!("series {i}").as_bytes()),
            patches: vec![PatchFacts {
                origin: "0001-fix.patch".to_owned(),
                subject: "Refuse arguments above eight".to_owned(),
                author: "B <b@example.org>".parse().unwrap(),
                touches: vec!["src/lib.rs".to_owned()],
            }],
            deletes: Vec::new(),
            tag_taken: None,
            submodules: Vec::new(),
            missing_submodules: Vec::new(),
            missing_crates: Vec::new(),
            workflows: self.workflows(),
            elsewhere: Default::default(),
        };
        let recipients = [("alice".parse().unwrap(), ["A".repeat(40).parse().unwrap()].into())].into();
        Snapshot {
            repository: "/srv/sample/.git".into(),
            lines: self.lines.iter().enumerate().map(line).collect(),
            trust: TrustFacts {
                root: Sha256::of(b"root"),
                threshold: self.threshold,
                hosts: None,
                recipients: Some(recipients),
            },
            unknown: vec!["line `main`: the remote did not answer".to_owned()],
            missing_inputs: Default::default(),
        }
    }

    /// One workflow that must not run, and one that must succeed.
    fn workflows(&self) -> WorkflowFacts {
        let file = |name: &str| WorkflowFile {
            path: format!(".github/workflows/{name}"),
            text: "on: [push, release, pull_request]\n".to_owned(),
            at: WorkflowAt::Release,
        };
        let files = self.automated.map(|_| ("github".parse().unwrap(), vec![file("publish.yml"), file("ci.yml")]));
        WorkflowFacts { files: files.into_iter().collect(), ..WorkflowFacts::default() }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.config(), &self.snapshot(), &self.request()).unwrap_or_else(|e| panic!("{}\n{self:?}", e.report()))
    }

    /// A fixed one that has some of everything.
    pub(crate) fn of_everything() -> Self {
        Self {
            lines: vec![LineKind::Release, LineKind::Carry, LineKind::Release],
            targets: vec![TargetShape { tested: true, only: None }, TargetShape { tested: false, only: Some(0) }],
            assemblies: vec![None],
            stores: vec![true, false],
            counted: 0,
            remotes: vec![true, false],
            forge: Some(false),
            automated: None,
            threshold: 2,
            embargo: true,
        }
    }
}
