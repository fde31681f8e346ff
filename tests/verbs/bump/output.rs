//! What the program prints: diffs that git takes, JSON, and names that would steer a terminal.

use std::path::Path;
use std::process::{Command, Output};

use super::checkout::{checkout, git, status};

fn lifeboat(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lifeboat")).current_dir(dir).args(arguments).output().unwrap()
}

fn errors(out: &Output) -> String {
    String::from_utf8(out.stderr.clone()).unwrap()
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}

/// The list that moves both crates, beside the checkout.
const LIST: &str = "a\t1.2.3\t1.2.4\ta/Cargo.toml\ttrue\nb\t1.2.3\t1.2.4\tb/Cargo.toml\ttrue\n";
const BY_LIST: [&str; 7] = ["bump", "--from-tsv", ".git/list", "--requirements", "lift", "--date", "2026-05-21"];
const BY_RULES: [&str; 6] = ["bump", "--to", "patch", "--date", "2026-05-21", "--no-hooks"];

#[test]
fn git_applies_the_diff_of_any_text_under_any_name() {
    let texts = [
        "old\ra = \"1.2.3\"\rmac\r",
        "a = \"1.2.3\"",
        "x\ry\r\n\u{2028}a = '1.2.3'\r\nz\u{c}\n",
        "\u{feff}# x\n\na = \"1.2.3\"\n",
    ];
    let dirs =
        ["plain", "with blank", "with\ttab", "\"quoted\"", "back\\slash", "\u{fc}\u{202e}", "\u{1b}[31m", "line\nend"];
    let dir = checkout();
    for (name, text) in dirs.iter().flat_map(|d| texts.iter().enumerate().map(move |(i, t)| (format!("{d}/{i}"), t))) {
        let at = dir.path().join(name);
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("README.md"), text).unwrap();
    }
    std::fs::write(dir.path().join(".git/list"), LIST).unwrap();
    git(dir.path(), &["add", "-A"]);
    let dry = lifeboat(dir.path(), &[&BY_LIST[..], &["--dry-run"]].concat());
    assert!(dry.status.success(), "{}", errors(&dry));
    let real = lifeboat(dir.path(), &BY_LIST);
    assert!(real.status.success(), "{}", errors(&real));
    let changed =
        status(dir.path()).lines().filter(|l| l.contains("README.md")).filter(|l| l.starts_with("AM")).count();
    assert_eq!(
        changed,
        3 * dirs.len(),
        "all but the texts of a single line that is not a snippet:\n{}",
        status(dir.path())
    );
    let all = || Command::new("git").arg("-C").arg(dir.path()).args(["diff"]).output().unwrap().stdout;
    let bumped = all();
    git(dir.path(), &["checkout", "-q", "--", "."]);
    std::fs::write(dir.path().join(".git/patch"), &dry.stdout).unwrap();
    git(dir.path(), &["apply", ".git/patch"]);
    assert_eq!(String::from_utf8_lossy(&all()), String::from_utf8_lossy(&bumped));
}

#[test]
fn with_json_the_result_is_one_value() {
    let dir = checkout();
    let dry = lifeboat(dir.path(), &[&BY_RULES[..], &["--dry-run", "--json"]].concat());
    let said = json(&dry.stdout);
    assert_eq!((&said["written"], &said["tag"], &said["version"]), (&false.into(), &"v1.2.4".into(), &"1.2.4".into()));
    assert_eq!(said["files"], serde_json::json!(["a/Cargo.toml", "b/Cargo.toml"]));
    assert_eq!(said["moves"][1]["crate"], "b");
    assert!(said["diff"].as_str().unwrap().contains("-version = '1.2.3'\n+version = '1.2.4'\n"), "{said}");
    assert_eq!((status(dir.path()), errors(&dry)), (String::new(), String::new()));
    let real = json(&lifeboat(dir.path(), &[&BY_RULES[..], &["--json"]].concat()).stdout);
    assert_eq!((&real["written"], &real["files"]), (&true.into(), &said["files"]));
    assert!(real.get("diff").is_none());
    let refused = lifeboat(dir.path(), &["bump", "--to", "1.2.4", "--date", "2026-05-21", "--json"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(json(&refused.stderr)["error"].as_str().unwrap().contains("not a later version"));
}

#[test]
fn the_configuration_is_that_of_the_checkout_or_the_one_that_is_named() {
    let dir = checkout();
    std::fs::create_dir(dir.path().join("c")).unwrap();
    let below = lifeboat(&dir.path().join("c"), &[&BY_RULES[..], &["--dry-run"]].concat());
    assert!(below.status.success(), "{}", errors(&below));
    let missing = lifeboat(dir.path(), &[&BY_RULES[..], &["--config", "none.toml"]].concat());
    assert_eq!(missing.status.code(), Some(2));
    assert!(errors(&missing).contains("none.toml: No such file"), "{}", errors(&missing));
    std::fs::remove_file(dir.path().join("lifeboat.toml")).unwrap();
    let none = lifeboat(dir.path(), &BY_RULES);
    assert_eq!(none.status.code(), Some(2));
    assert!(errors(&none).contains("lifeboat init"), "{}", errors(&none));
}

#[test]
fn names_out_of_the_tree_steer_no_terminal() {
    let dir = checkout();
    let hostile = "[package]\nname = 'b'\nversion = '1.2.3'\n[dependencies]\n\
        \"a\\u001b[2J\\u202e\" = { path = '../a', version = \"7.0.0\", package = \"a\\u001b]0;x\\u0007\" }\n";
    std::fs::write(dir.path().join("b/Cargo.toml"), hostile).unwrap();
    let out = lifeboat(dir.path(), &BY_RULES);
    assert_eq!(out.status.code(), Some(2));
    let said = errors(&out);
    assert!(said.contains("b/Cargo.toml:5: requires `a\\u{1b}]0;x\\u{7}`"), "{said}");
    assert!(!said.chars().any(|c| c != '\n' && c.is_control()), "{said:?}");
}
