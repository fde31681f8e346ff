//! Rules that would stop what is checked out.

use super::{Stage, day, history, init, patch};
use crate::bump::checkout::git;

/// A changelog that is dated at each release.
fn logged(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let mut sections = String::new();
    for old in (1..=v).rev() {
        sections += &format!("## 1.0.{old} - {}\n\n- change {old}\n\n", day(old));
    }
    let open = if stage == Stage::Before { format!("## Unreleased\n\n- change {n}\n\n") } else { String::new() };
    vec![
        ("Cargo.toml", format!("[package]\nname = \"acme\"\nversion = \"1.0.{v}\"\n")),
        ("CHANGELOG.md", format!("# Log\n\n{open}{sections}")),
    ]
}

#[test]
fn a_rule_that_stops_what_is_checked_out_is_left_out_with_the_reason() {
    // Nothing was written since the last release, so a changelog that must have a section would stop a patch.
    let dir = history(logged, 3);
    let (written, report) = init(dir.path());
    assert!(written.contains("missing = \"warn\"") && written.contains("# left out: `missing"), "{written}\n{report}");
    assert!(report.contains("left out: ") && !report.contains("would stop:\n"), "{report}");
    let out = patch(dir.path());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn what_is_checked_out_may_be_before_its_release() {
    let dir = history(logged, 3);
    // As on the main branch of many projects: the next release's pre-release.
    let next = "[package]\nname = \"acme\"\nversion = \"1.1.0-dev\"\n";
    std::fs::write(dir.path().join("Cargo.toml"), next).unwrap();
    let log = std::fs::read_to_string(dir.path().join("CHANGELOG.md")).unwrap();
    std::fs::write(dir.path().join("CHANGELOG.md"), log.replace("# Log\n", "# Log\n\n## Unreleased\n\n- x\n")).unwrap();
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "-m", "1.1.0-dev"]);
    let (written, report) = init(dir.path());
    assert!(!report.contains("would stop") && !report.contains("left out: "), "{report}");
    assert!(written.contains("missing = \"stop\"") || !written.contains("missing"), "{written}");
}

/// A tool beside the workspace, with a workspace of its own, that moves with it.
fn beside(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let package = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.{v}\"\n");
    let path = format!("[dependencies]\nacme = {{ path = \"..\", version = \"1.0.{v}\" }}\n");
    vec![
        ("Cargo.toml", format!("{}[workspace]\nexclude = [\"tool\"]\n", package("acme"))),
        ("tool/Cargo.toml", format!("{}{path}[workspace]\n", package("acme-tool"))),
    ]
}

#[test]
fn a_workspace_beside_the_one_at_the_top_is_entered() {
    let dir = history(beside, 3);
    let (written, report) = init(dir.path());
    assert!(written.contains("manifests = [\"Cargo.toml\", \"tool/Cargo.toml\"]"), "{written}\n{report}");
    assert!(report.contains("confidence: high"), "{report}");
    let out = patch(dir.path());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let tool = std::fs::read_to_string(dir.path().join("tool/Cargo.toml")).unwrap();
    assert_eq!(tool.matches("1.0.4").count(), 2, "{tool}");
}
