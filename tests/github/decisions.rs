//! What a train starts on a forge, and what the plan says to it: without a forge, from files as projects have them.

use std::path::Path;

use lifeboat::config::{self, SeriesSource, TrainLine, TrainRequest};
use lifeboat::error::Result;
use lifeboat::model::{LineKind, Sha256};
use lifeboat::plan::{Plan, plan};
use lifeboat::snapshot::{LineFacts, Snapshot, TrustFacts, WorkflowAt, WorkflowFacts, WorkflowFile};

use crate::release_world::{NOW, at};

/// What a plan is asked about.
#[derive(Default)]
struct Case<'a> {
    /// Files at the release commit, by name.
    files: &'a [(&'a str, &'a str)],
    /// Files of the default branch.
    default: &'a [(&'a str, &'a str)],
    triggers: &'a str,
    /// More tables of the configuration.
    more: &'a str,
    /// The message of the one patch.
    message: &'a str,
    commit: Option<&'a str>,
    carry: bool,
    changed: Option<Vec<String>>,
}

impl Case<'_> {
    fn plan(&self) -> Result<Plan> {
        let text = format!(
            "[project]\nname = \"sample\"\ncommitter = \"A <a@example.org>\"\n\
             [[target]]\nname = \"x\"\ntriple = \"t\"\nrun = [\"true\"]\nartifacts = [\"x\"]\n\
             [[store]]\nname = \"mirror\"\nurl = \"file:///srv/store\"\n\
             [[remote]]\nname = \"away\"\nurl = \"ssh://git@example.org/a/b\"\n{}\n\
             [forge.github]\nrepository = \"a/b\"\ntoken = {{ env = \"TOKEN\" }}\nremote = \"away\"\ntriggers = {{ {} }}\n",
            self.more, self.triggers
        );
        let mut config = config::parse(&text, Path::new("/p/lifeboat.toml"), &lifeboat::wiring::registries())?;
        if let Some(commit) = self.commit {
            config.templates.texts.insert("commit.txt".into(), commit.into());
        }
        let files = |list: &[(&str, &str)], at| {
            let file = |(name, text): &(&str, &str)| WorkflowFile {
                path: format!(".github/workflows/{name}"),
                text: (*text).to_owned(),
                at,
            };
            list.iter().map(file).collect::<Vec<_>>()
        };
        let mut all = files(self.files, WorkflowAt::Release);
        all.extend(files(self.default, WorkflowAt::DefaultBranch));
        let branch: lifeboat::model::BranchName = if self.carry { "main" } else { "release-36.0.0" }.parse().unwrap();
        let line = LineFacts {
            released_bytes: None,
            branch: branch.clone(),
            base: "b".repeat(40).parse().unwrap(),
            versions: (!self.carry).then(|| ("36.0.5".parse().unwrap(), "36.0.6".parse().unwrap())),
            series: Sha256::of(b""),
            patches: vec![],
            deletes: vec![],
            elsewhere: vec![],
            tag_taken: None,
            submodules: vec![],
            missing_submodules: vec![],
            missing_crates: vec![],
            workflows: WorkflowFacts {
                files: [("github".parse().unwrap(), all)].into(),
                messages: vec![self.message.to_owned()],
                changed: self.changed.clone(),
            },
        };
        let kind = if self.carry { LineKind::Carry } else { LineKind::Release };
        let snapshot = Snapshot {
            repository: "/nowhere".into(),
            lines: vec![line],
            trust: TrustFacts { root: Sha256::of(b"root"), threshold: 1, hosts: None, recipients: None },
            unknown: vec![],
            missing_inputs: Default::default(),
        };
        let request = TrainRequest {
            name: "t".parse().unwrap(),
            date: at(NOW),
            not_before: None,
            advisories: vec![],
            advisory_texts: vec![],
            lines: vec![TrainLine { branch, kind, to: None, series: SeriesSource::None }],
        };
        plan(&config, &snapshot, &request)
    }

    #[track_caller]
    fn refused(&self, says: &[&str]) {
        let report = self.plan().unwrap_err().report();
        for says in says {
            assert!(report.contains(says), "no `{says}` in:\n{report}");
        }
    }

    /// What starts, as `file: event of ref`.
    #[track_caller]
    fn starts(&self) -> Vec<String> {
        let plan = self.plan().unwrap_or_else(|e| panic!("{}", e.report()));
        plan.workflows.iter().flat_map(|w| w.by.iter().map(|by| format!("{}: {by}", w.file))).collect()
    }
}

/// When wasmtime's workflows run, as its release branches of 2026 say.
const WASMTIME: &[(&str, &str)] = &[
    ("cargo-audit.yml", "name: Run cargo-audit\non:\n  schedule:\n    - cron: '0 0 * * *'\n"),
    (
        "main.yml",
        "name: CI\non:\n  pull_request:\n    branches:\n    - main\n    - 'release-*'\n  merge_group:\n  push:\n    branches:\n    # More.\n    - 'release-*'\n  workflow_dispatch:\njobs:\n  push-tag:\n    steps:\n    - run: |\n        if grep -q \"automatically-tag-and-release-this-commit\" main.log; then\n",
    ),
    ("performance.yml", "on:\n  issue_comment:\n    types: [created]\n  push:\n"),
    ("publish-artifacts.yml", "on:\n  push:\n    branches: [main]\n    tags-ignore: [dev]\n"),
    ("publish-to-cratesio.yml", "on:\n  push:\n    tags:\n    - 'v*'\n"),
    (
        "release-process.yml",
        "on:\n  schedule:\n    - cron: '0 0 5 * *'\n  workflow_dispatch:\n    inputs:\n      action:\n        required: false\n",
    ),
    ("triage.yml", "on:\n  issues:\n    types: [\"labeled\"]\n  schedule:\n    - cron: '42 * * * *'\n"),
];

fn example() -> String {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wasmtime/lifeboat.toml")).unwrap();
    let (_, rest) = text.split_once("triggers = {").unwrap();
    rest.split_once('}').unwrap().0.to_owned()
}

#[test]
fn wasmtime_s_example_decides_about_everything_that_its_branches_start() {
    Case { files: WASMTIME, ..Case::default() }.refused(&[
        "`main.yml`, `performance.yml`, `publish-artifacts.yml`, `publish-to-cratesio.yml`",
        "publish-to-cratesio.yml: line `release-36.0.0`, `push` of `v36.0.6`",
    ]);
    let triggers = example();
    let starts = Case { files: WASMTIME, triggers: &triggers, ..Case::default() }.starts();
    assert_eq!(
        starts,
        [
            "main.yml: `push` of `release-36.0.0`",
            "performance.yml: `push` of `release-36.0.0`",
            "performance.yml: `push` of `v36.0.6`",
            "publish-artifacts.yml: `push` of `v36.0.6`",
            "publish-to-cratesio.yml: `push` of `v36.0.6`",
        ]
    );
}

#[test]
fn words_that_start_or_stop_workflows_need_a_decision() {
    let triggers = example();
    let marker = "Release Wasmtime\n\n[automatically-tag-and-release-this-commit]\n";
    let case = Case { files: WASMTIME, triggers: &triggers, message: marker, ..Case::default() };
    case.refused(&[
        "has `[automatically-tag-and-release-this-commit]`, for which `main.yml` looks",
        "\"main.yml\" = \"adopt\"",
    ]);
    let by_template = Case {
        message: "Fix it\n",
        commit: Some("Release {{ version }}\n\n[automatically-tag-and-release-this-commit]\n"),
        ..case
    };
    by_template.refused(&["the commit message `Release 36.0.6` has `[automatically-tag-and-release-this-commit]`"]);
    let adopted = triggers.replace("\"main.yml\" = \"accept\"", "\"main.yml\" = \"adopt\"");
    Case { triggers: &adopted, ..by_template }.plan().unwrap();
    // Conditions of a forge know no case.
    let upper = marker.to_uppercase();
    Case { message: &upper, files: WASMTIME, triggers: &triggers, ..Case::default() }
        .refused(&["for which `main.yml` looks"]);

    for skip in ["Fix it [skip ci]\n", "Fix it\n\n\nskip-checks: true\n", "[CI SKIP] Fix it\n"] {
        let case = Case { files: WASMTIME, triggers: &triggers, message: skip, ..Case::default() };
        case.refused(&["so `publish-to-cratesio.yml` would never run"]);
        let accepted = triggers.replace("\"adopt\"", "\"accept\"");
        Case { triggers: &accepted, ..case }.plan().unwrap();
    }
}

/// Short words and phrases count with their brackets, where a condition or a command has them.
#[test]
fn short_words_in_brackets_need_a_decision_too() {
    let ci = |condition: &str| {
        format!("on:\n  push:\n    branches: [bump, 'release-*']\njobs:\n  a:\n    if: {condition}\n    steps: []\n")
    };
    let looks = ci("contains(github.event.head_commit.message, '[Bump]') || contains(x, '[publish it]')");
    let plain = ci("always()");
    for (text, message, refused) in [
        (&looks, "Release [bump]\n", true),
        (&looks, "Release\n\n[Publish it]\n", true),
        (&looks, "Bump it: bump\n", false),
        (&plain, "Release [bump]\n", false),
    ] {
        let files = [("ci.yml", text.as_str())];
        let case = Case { files: &files, triggers: "\"ci.yml\" = \"accept\"", message, ..Case::default() };
        match case.plan() {
            Err(e) => assert!(refused && e.report().contains("for which `ci.yml` looks"), "{message}: {}", e.report()),
            Ok(_) => assert!(!refused, "{message}"),
        }
    }
}

#[test]
fn chains_are_followed_from_what_runs() {
    let files = &[("ci.yml", "name: CI\non: push\n")];
    let default = &[
        ("deploy.yml", "name: Deploy\non:\n  workflow_run:\n    workflows: [CI]\n    types: [completed]\n"),
        ("after.yml", "on:\n  workflow_run:\n    workflows: [Deploy]\n"),
        ("other.yml", "on:\n  workflow_run:\n    workflows: [Nightly]\n"),
        ("push.yml", "on: push\n"),
    ];
    let case = Case { files, default, triggers: "\"ci.yml\" = \"adopt\"", ..Case::default() };
    case.refused(&[
        "deploy.yml: line `release-36.0.0`, `workflow_run` after CI, ci.yml",
        "\"after.yml\" = \"accept\", \"deploy.yml\" = \"accept\"",
    ]);
    Case { triggers: "\"ci.yml\" = \"suppress\"", ..case }.plan().unwrap();
    let adopted = Case {
        files,
        default,
        triggers: "\"ci.yml\" = \"accept\", \"deploy.yml\" = \"adopt\", \"after.yml\" = \"accept\"",
        ..Case::default()
    };
    adopted.refused(&["`deploy.yml` cannot be adopted: its run cannot be known to be ours"]);
}

#[test]
fn what_cannot_be_decided_is_listed() {
    for (text, says) in [
        ("on: [push", "the file cannot be read, so it may be started by `v36.0.6`"),
        ("jobs: {}", "the file cannot be read"),
        ("on: some_new_event", "`some_new_event` of `v36.0.6`"),
        ("on:\n  push:\n    branches: ['[']\n", "`push` of `release-36.0.0`"),
    ] {
        Case { files: &[("x.yml", text)], ..Case::default() }.refused(&["x.yml: line `release-36.0.0`", says]);
    }
    let paths = &[("docs.yml", "on:\n  push:\n    branches: ['**']\n    paths: ['docs/**']\n")];
    let carry = Case { files: paths, carry: true, changed: Some(vec!["src/lib.rs".into()]), ..Case::default() };
    assert_eq!(carry.starts(), Vec::<String>::new());
    Case { changed: Some(vec!["docs/a.md".into()]), ..carry }.refused(&["docs.yml: line `main`, `push` of `main`"]);
    Case { files: paths, ..Case::default() }.refused(&["docs.yml"]);
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let files = &[("x.yml", "on: push\n")];
    let required = Case { files, triggers: "\"x.yml\" = \"suppress\"", more: "required = true", ..Case::default() };
    required.refused(&["remote `away` is required, and its push waits until workflows of `[forge.github]` are off"]);
    let other = "[[remote]]\nname = \"other\"\nurl = \"x\"\npush = \"pull-request\"";
    Case { more: other, ..Case::default() }
        .refused(&["goes to remote `other` by a pull request, which no forge takes"]);
    Case { triggers: "\"x.yml\" = \"maybe\"", ..Case::default() }.refused(&["`adopt`, `suppress` or `accept`"]);
    Case { triggers: "\".github/x.yml\" = \"accept\"", ..Case::default() }
        .refused(&["is not the name of a workflow file"]);
    let forgejo = "[forge.forgejo]\nrepository = \"a/b\"\napi = \"https://f.example.org/api/v1\"\ntriggers = { \"x.yml\" = \"adopt\" }";
    Case { more: forgejo, ..Case::default() }.refused(&["`adopt` is not possible", "valid here: `accept`"]);
}

#[test]
fn a_pull_request_and_its_merge_start_workflows_too() {
    let more = "push = \"pull-request\"";
    let files = &[
        ("own.yml", "name: Own\non:\n  push:\n    branches: ['lifeboat/**']\n"),
        ("home.yml", "on:\n  push:\n    branches: ['release-*']\n"),
    ];
    let default = &[
        ("tidy.yml", "on: delete\n"),
        ("label.yml", "on:\n  pull_request_target:\n    branches: ['release-*']\n"),
        ("next.yml", "on:\n  workflow_run:\n    workflows: [Own]\n    branches: ['lifeboat/**']\n"),
        ("push.yml", "on: push\n"),
    ];
    let all = "\"own.yml\" = \"accept\", \"home.yml\" = \"accept\", \"tidy.yml\" = \"accept\", \"label.yml\" = \
               \"accept\", \"next.yml\" = \"accept\"";
    let case = Case { files, default, more, triggers: all, ..Case::default() };
    let via = "lifeboat/t/release-36.0.0";
    assert_eq!(
        case.starts(),
        [
            "home.yml: `push` of `release-36.0.0` once it is merged".to_owned(),
            format!("label.yml: `pull_request_target` of `{via}`"),
            "next.yml: `workflow_run` after Own, own.yml".to_owned(),
            format!("own.yml: `push` of `{via}`"),
            format!("tidy.yml: `delete` of `{via}` once it is merged"),
        ]
    );
    let direct = Case { more: "", ..case };
    assert_eq!(direct.starts(), ["home.yml: `push` of `release-36.0.0`"]);
}

#[test]
fn what_follows_another_is_off_only_where_the_other_s_end_is_awaited() {
    let files = &[("ci.yml", "name: CI\non: push\n")];
    let default = &[("deploy.yml", "on:\n  workflow_run:\n    workflows: [CI]\n")];
    let accepted = "\"ci.yml\" = \"accept\", \"deploy.yml\" = \"suppress\"";
    let case = Case { files, default, triggers: accepted, ..Case::default() };
    case.refused(&["`deploy.yml` cannot be suppressed: the end of `ci.yml` starts it", "\"ci.yml\" = \"adopt\""]);
    let adopted = "\"ci.yml\" = \"adopt\", \"deploy.yml\" = \"suppress\"";
    let plan = Case { triggers: adopted, ..case }.plan().unwrap();
    let needs = |id: &str| {
        let step = plan.steps.iter().find(|s| s.id.as_str() == id).unwrap();
        step.needs.iter().map(|n| n.as_str().to_owned()).collect::<Vec<_>>()
    };
    let restore = needs("restore-workflows/github");
    assert!(restore.contains(&"await-runs/github/release-36.0.0".to_owned()), "{restore:?}");
    assert!(restore.contains(&"push-git/away".to_owned()), "{restore:?}");
    assert!(!restore.iter().any(|n| n.starts_with("forge-release")), "no release starts it: {restore:?}");
    assert!(needs("push-git/away").contains(&"suppress-workflows/github".to_owned()));
    assert!(!needs("forge-release/github/release-36.0.0").contains(&"suppress-workflows/github".to_owned()));
}
