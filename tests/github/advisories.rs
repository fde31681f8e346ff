//! Security advisories: drafted, asked a number for, published once, read back; and nothing of them before the gate.

use lifeboat::engine::Ended;
use lifeboat::engine::advisory::{AdvisoryMove, Until, next_move};
use lifeboat::error::ErrorKind;
use lifeboat::journal::TrainState;
use lifeboat::model::{Advisory, Cve, Severity};
use serde_json::{Value, json};

use crate::github_double::faults::{Fault, Kind};
use crate::train::{DELIVERIES, PRIVATE, Template, double_with};
use crate::workflows::Project;

const TRAIN: &str = r#"
[[advisory]]
id = "SAMPLE-2026-0001"
summary = "A guest can exceed the limit"
description = "The canary of the embargo."
severity = "high"
cve = "request"
affected = [{ package = "sample", versions = "< 1.0.5", patched = "1.0.5" }]
"#;

#[tokio::test]
async fn both_advisories_come_home_once() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    let ended = run.ship(&template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{ended:?}");
    let world = double.world();
    assert_eq!(world.violations, Vec::<String>::new());
    let [private, made] = &world.state.advisories[..] else { panic!("{:?}", world.state.advisories) };
    assert_eq!((&private["ghsa_id"], &private["cve_id"]), (&json!(PRIVATE), &json!("CVE-2026-0001")));
    assert_eq!(private["severity"], "high");
    assert_eq!(made["cvss"]["vector_string"], "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H");
    let ranges: Vec<(&Value, &Value)> = made["vulnerabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (&v["vulnerable_version_range"], &v["patched_versions"]))
        .collect();
    let want = [("< 24.0.9", "24.0.9"), (">= 25.0.0, < 36.0.14", "36.0.14")].map(|(a, b)| (json!(a), json!(b)));
    assert_eq!(ranges, [(&want[0].0, &want[0].1), (&want[1].0, &want[1].1)]);
    assert_eq!(world.state.cve_requests, [made["ghsa_id"].as_str().unwrap()]);
    assert_eq!(world.state.published_advisories.len(), 2);
}

/// The request for a number happened and its answer is lost: asking again is refused, and that is an answer.
#[tokio::test]
async fn a_number_that_was_asked_for_already_is_asked_for() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let call = "POST security-advisories/GHSA-1001-aaaa-bbbb/cve".to_owned();
    double.inject(Fault { call, nth: 1, kind: Kind::ErrorAfter });
    let ended = template.copy().ship(&template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{ended:?}");
    let world = double.world();
    assert_eq!((world.faults.happened, world.state.cve_requests.len()), (1, 1));
    let asked = world.calls.iter().filter(|c| c.ends_with("/cve")).count();
    assert_eq!((asked, &world.violations[..]), (2, &[][..]));
}

#[tokio::test]
async fn what_somebody_changed_afterwards_is_told_and_left() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    run.ship(&template, &double).await.unwrap();
    let changes = [
        ("description", json!("edited"), "has another description"),
        ("severity", json!("low"), "has the severity `low`, ours is `high`"),
        ("vulnerabilities", json!([]), "lacks `sample` < 24.0.9 affected, patched in 24.0.9"),
        ("cve_id", json!("CVE-2026-9999"), "has the CVE number `CVE-2026-9999`, ours is `CVE-2026-0001`"),
        ("state", json!("withdrawn"), "is closed"),
    ];
    for (name, value, says) in changes {
        let before = double.world().state.advisories.clone();
        double.world().state.advisories[0][name] = value;
        let changed = double.world().state.advisories.clone();
        let done = run.reconcile(&template, &double).await.unwrap().unwrap();
        let errors: Vec<String> = done.differ.iter().map(|(_, e)| e.report()).collect();
        assert!(errors.len() == 1 && errors[0].contains(says), "{says}: {errors:?}");
        assert_eq!(done.equal.len(), DELIVERIES - 1);
        assert_eq!(double.world().state.advisories, changed, "nothing was overwritten");
        double.world().state.advisories = before;
    }
    // A number that GitHub gives later is not a difference.
    double.world().state.advisories[1]["cve_id"] = json!("CVE-2026-0002");
    let done = run.reconcile(&template, &double).await.unwrap().unwrap();
    assert!(done.differ.is_empty() && done.equal.len() == DELIVERIES, "{done:?}");
}

/// The forge keeps vectors of version 4 apart from those of version 3.
#[tokio::test]
async fn a_vector_of_version_4_is_read_back_and_compared() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let forge = template.copy().forge(&double);
    let port = forge.advisories().unwrap();
    let vector = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N";
    let advisory = Advisory {
        id: "SAMPLE-2026-0004".parse().unwrap(),
        summary: "A guest can do it again".into(),
        description: "Much.".into(),
        severity: Severity::Cvss(vector.into()),
        cwes: vec![],
        cve: Cve::None,
        affected: vec![],
    };
    port.draft(&advisory).await.unwrap();
    let there = port.find(&advisory).await.unwrap();
    assert_eq!(next_move(&advisory, &there, Until::Draft, true), AdvisoryMove::Done(Box::new(there[0].clone())));
    {
        let mut world = double.world();
        let shown = world.state.advisories.last_mut().unwrap();
        // Somebody adds one of version 3, which is not a difference, and then edits ours.
        shown["cvss_severities"]["cvss_v3"] = json!({"vector_string": "CVSS:3.1/AV:L", "score": 1.0});
    }
    let there = port.find(&advisory).await.unwrap();
    assert!(matches!(next_move(&advisory, &there, Until::Draft, true), AdvisoryMove::Done(_)), "{there:?}");
    let edited = json!({"vector_string": "CVSS:4.0/AV:P", "score": 1.0});
    double.world().state.advisories.last_mut().unwrap()["cvss_severities"]["cvss_v4"] = edited;
    let there = port.find(&advisory).await.unwrap();
    let AdvisoryMove::Conflict(reasons) = next_move(&advisory, &there, Until::Draft, true) else { panic!("{there:?}") };
    assert!(reasons[0].contains(&format!("has the CVSS vector `CVSS:4.0/AV:P`, ours is `{vector}`")), "{reasons:?}");
    assert_eq!(double.world().violations, Vec::<String>::new());
}

#[tokio::test]
async fn somebody_elses_draft_of_the_same_summary_is_a_conflict() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let theirs = json!({"summary": "A guest can do SAMPLE-2026-0002", "description": "theirs", "severity": "low"});
    double.world().state.advisory("GHSA-zzzz-zzzz-zzzz", &theirs);
    let ended = template.copy().ship(&template, &double).await.unwrap();
    let Ended::Stuck(errors) = ended else { panic!("{ended:?}") };
    let [(step, error)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((step.as_str(), error.kind()), ("draft-advisory/github/SAMPLE-2026-0002", ErrorKind::Conflict));
    assert!(error.report().contains("`GHSA-zzzz-zzzz-zzzz` has another description"), "{}", error.report());
    assert_eq!(double.world().state.published_advisories, [PRIVATE]);
}

/// The real program: until the gate opens, nothing is written to GitHub; with an audience of writers, the draft alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_gate_github_gets_nothing_but_private_drafts() {
    for (forge, drafts) in [("", 0), ("draft_audience = \"writers\"", 1)] {
        let project = Project::new(&[]).await;
        project.configure(forge, "");
        let file = project.train.train_file();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n{TRAIN}")).unwrap();
        let planned = project.plan().await.ends_with(0);
        let after = planned.stdout.split("after the gate, public:").nth(1).unwrap();
        assert_eq!(after.contains("draft-advisory/github/SAMPLE-2026-0001"), drafts == 0, "{}", planned.stdout);
        project.run(&["ship", &file.display().to_string()]).await.ends_with(3);
        {
            let world = project.double.world();
            assert_eq!(world.state.advisories.len(), drafts, "{:?}", world.writes);
            let private = world.state.advisories.iter().all(|a| a["state"] == "draft");
            assert!(private && world.writes.iter().all(|w| w.contains("security-advisories")), "{:?}", world.writes);
            assert_eq!((world.state.releases.len(), world.state.pulls.len()), (0, 0));
        }
        let refs = crate::workflows::git(&project.train, &["--git-dir", &project.bare.display().to_string(), "tag"]);
        assert!(!refs.contains("v1.0.5") && !refs.contains("v2.0.2"), "{refs}");
        for person in ["alice", "bob"] {
            project.run(&["approve", "--as", person, "--yes"]).await.ends_with(0);
        }
        let shipped = project.run(&["ship"]).await.ends_with(0);
        assert!(shipped.stdout.contains("train drill: reconciled"), "{shipped:?}");
        let world = project.double.world();
        assert_eq!((world.state.advisories.len(), world.state.cve_requests.len()), (1, 1));
        assert_eq!(world.state.advisories[0]["state"], "published");
        assert_eq!(world.violations, Vec::<String>::new());
    }
}
