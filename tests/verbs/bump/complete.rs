//! A bump ends with 0 only if Cargo takes the tree and no file is left half changed; what it does not change, it names.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use lifeboat::bump::{Bump, BumpRequest, MemoryTree, Requirements, VersionRules, bump, bump_listed, parse_listed};
use lifeboat::error::Result;

use super::checkout::{checkout, git};

const WORKSPACE: &str = "[workspace]\nmembers = [\"a\", \"b\"]\n";
const A: &str = "[package]\nname = \"a\"\nversion = \"1.2.3\"\n";
const B: &str =
    "[package]\nname = \"b\"\nversion = \"1.2.3\"\n[dependencies]\na = { path = \"../a\", version = \"=1.2.3\" }\n";

fn request() -> BumpRequest {
    BumpRequest { to: "patch".parse().unwrap(), date: jiff::civil::date(2026, 5, 21), tags: BTreeSet::new() }
}

fn by_rules(files: &[(&str, &str)], rules: &str) -> Result<Bump> {
    bump(&MemoryTree::new(files), &toml::from_str::<VersionRules>(rules).unwrap(), &request())
}

fn by_list(files: &[(&str, &str)], list: &str) -> Bump {
    let listed = parse_listed(list, "list").unwrap();
    bump_listed(&MemoryTree::new(files), &listed, Requirements::Lift, &request(), &|_, _| None).unwrap()
}

fn after<'a>(bump: &'a Bump, path: &str) -> &'a str {
    let edit = bump.edits.iter().find(|e| e.path == path).unwrap_or_else(|| panic!("{path} is unchanged"));
    std::str::from_utf8(&edit.after).unwrap()
}

fn untouched(bump: &Bump, path: &str) -> bool {
    bump.edits.iter().all(|e| e.path != path)
}

fn lifeboat(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lifeboat")).current_dir(dir).args(arguments).output().unwrap()
}

const PATCH: [&str; 6] = ["bump", "--to", "patch", "--date", "2026-05-21", "--no-hooks"];

fn errors(out: &Output) -> String {
    String::from_utf8(out.stderr.clone()).unwrap()
}

fn write(dir: &Path, path: &str, text: &str) {
    let at = dir.join(path);
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    std::fs::write(at, text).unwrap();
}

/// The bump is refused, says `expected`, and the tree is as it was.
fn refused(dir: &Path, expected: &[&str]) {
    let before = super::checkout::status(dir);
    let out = lifeboat(dir, &PATCH);
    assert_eq!(out.status.code(), Some(2), "{}{}", errors(&out), String::from_utf8_lossy(&out.stdout));
    for text in expected {
        assert!(errors(&out).contains(text), "no `{text}` in {}", errors(&out));
    }
    assert_eq!(super::checkout::status(dir), before);
}

#[test]
fn a_member_behind_a_link_stops_a_bump() {
    let dir = checkout();
    let inside = dir.path().join("b/Cargo.toml");
    std::fs::rename(&inside, dir.path().join("b/real.toml")).unwrap();
    std::os::unix::fs::symlink("real.toml", &inside).unwrap();
    git(dir.path(), &["add", "-A"]);
    refused(dir.path(), &["`b/Cargo.toml` is a symbolic link", "Cargo.toml: Cargo reads"]);
}

#[test]
fn a_member_that_git_does_not_track_stops_a_bump() {
    let dir = checkout();
    write(dir.path(), "Cargo.toml", "[workspace]\nmembers = ['a', 'b', 'new*']\n");
    write(dir.path(), "newer/Cargo.toml", "[package]\nname = 'newer'\nversion = '1.2.3'\n");
    refused(dir.path(), &["`newer/Cargo.toml` is not tracked by git", "`git add newer/Cargo.toml`"]);
    git(dir.path(), &["add", "newer"]);
    let out = lifeboat(dir.path(), &PATCH);
    assert!(out.status.success(), "{}", errors(&out));
}

#[test]
fn a_manifest_outside_the_sparse_checkout_stops_a_bump() {
    let dir = checkout();
    write(
        dir.path(),
        "fuzz/Cargo.toml",
        "[package]\nname = 'f'\nversion = '0.0.0'\npublish = false\n[workspace]\n[dependencies]\na = { path = '../a', version = '1.2.3' }\n",
    );
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "fuzz"]);
    git(dir.path(), &["sparse-checkout", "set", "a", "b"]);
    assert!(!dir.path().join("fuzz").exists());
    refused(
        dir.path(),
        &["`fuzz/Cargo.toml` must change and is outside the sparse checkout", "git sparse-checkout add 'fuzz'"],
    );
    git(dir.path(), &["sparse-checkout", "add", "fuzz"]);
    let out = lifeboat(dir.path(), &PATCH);
    assert!(out.status.success(), "{}", errors(&out));
    assert!(std::fs::read_to_string(dir.path().join("fuzz/Cargo.toml")).unwrap().contains("1.2.4"));
}

#[test]
fn a_fixture_with_a_crate_of_our_name_keeps_its_lock() {
    let lock = "version = 3\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n";
    let fuzz = "[package]\nname = \"f\"\nversion = \"0.0.0\"\npublish = false\n[workspace]\n[dependencies]\nh = { path = \"../help\" }\n";
    let help =
        "[package]\nname = \"h\"\nversion = \"0.0.0\"\npublish = false\n[dependencies]\na = { path = \"../a\" }\n";
    let made = by_rules(
        &[
            ("Cargo.toml", WORKSPACE),
            ("a/Cargo.toml", A),
            ("b/Cargo.toml", B),
            ("tests/fixture/Cargo.toml", A),
            ("tests/fixture/Cargo.lock", lock),
            // That one is ours, over another crate.
            ("fuzz/Cargo.toml", fuzz),
            ("fuzz/Cargo.lock", lock),
            ("help/Cargo.toml", help),
        ],
        "",
    );
    let made = made.unwrap();
    assert!(untouched(&made, "tests/fixture/Cargo.lock"));
    assert_eq!(after(&made, "fuzz/Cargo.lock"), lock.replace("1.2.3", "1.2.4"));
}

#[test]
fn a_requirement_follows_whatever_its_operator() {
    let at_least = B.replace("=1.2.3", ">= 1.2.3");
    let made = by_rules(&[("Cargo.toml", WORKSPACE), ("a/Cargo.toml", A), ("b/Cargo.toml", &at_least)], "").unwrap();
    assert_eq!(after(&made, "b/Cargo.toml"), at_least.replace("1.2.3", "1.2.4"));
    // Under `keep` one that would not admit the new version follows, and no message asks for `keep`.
    let older = B.replace("=1.2.3", "~1.2.0").replace("[package]", "[package]\nedition = \"2021\"");
    let files = [("Cargo.toml", WORKSPACE), ("a/Cargo.toml", A), ("b/Cargo.toml", older.as_str())];
    let tree = MemoryTree::new(&files);
    let minor = BumpRequest { to: "minor".parse().unwrap(), ..request() };
    let made = bump(&tree, &toml::from_str("requirements = \"keep\"").unwrap(), &minor).unwrap();
    assert!(after(&made, "b/Cargo.toml").contains("\"~1.3.0\""), "{}", after(&made, "b/Cargo.toml"));
    assert!(made.notes.iter().any(|n| n.contains("had to follow")), "{:?}", made.notes);
}

#[test]
fn a_bump_that_moves_no_crate_is_refused() {
    let rules = "fixed = [\"a\", \"b\"]\n[[family]]\nof = \"a\"\n";
    let said =
        by_rules(&[("Cargo.toml", WORKSPACE), ("a/Cargo.toml", A), ("b/Cargo.toml", B)], rules).unwrap_err().report();
    assert!(said.contains("no crate would move") && said.contains("`fixed`"), "{said}");
}

#[test]
fn a_family_may_take_a_step_of_its_own() {
    let lib = "[package]\nname = \"lib\"\nversion = \"0.7.0\"\n";
    let b = B.replace("[dependencies]\n", "[dependencies]\nlib = { path = \"../lib\", version = \"0.7.0\" }\n");
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\", \"lib\"]\n"),
        ("a/Cargo.toml", A),
        ("b/Cargo.toml", &b),
        ("lib/Cargo.toml", lib),
    ];
    let made = by_rules(&files, "[[family]]\nof = \"a\"\n[[family]]\nof = \"lib\"\nstep = \"minor\"\n").unwrap();
    assert_eq!(after(&made, "lib/Cargo.toml"), lib.replace("0.7.0", "0.8.0"));
    assert_eq!(after(&made, "b/Cargo.toml"), b.replace("1.2.3", "1.2.4").replace("0.7.0", "0.8.0"));
    let said =
        by_rules(&files, "[[family]]\nof = \"a\"\nstep = \"minor\"\n[[family]]\nof = \"lib\"\n").unwrap_err().report();
    assert!(said.contains("first family"), "{said}");
}

const LIST: &str = "a\t1.2.3\t1.2.4\ta/Cargo.toml\ttrue\nb\t1.2.3\t1.2.4\tb/Cargo.toml\ttrue\n";

#[test]
fn older_requirements_are_lifted_for_each_crate_where_its_user_moves() {
    let c = "[package]\nname = \"c\"\nversion = \"0.1.0\"\n[dependencies]\na = { path = \"../a\", version = \"1.2.1\" }\nb = { path = \"../b\", version = \"1.2.3\" }\n";
    let b = B.replace("=1.2.3", "1.2.1");
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\", \"c\"]\n"),
        ("a/Cargo.toml", A),
        ("b/Cargo.toml", b.as_str()),
        ("c/Cargo.toml", c),
    ];
    let made = by_list(&files, LIST);
    // Nobody names the version that `a` leaves, so the older one moves with `b`; in `c`, which stays and is published, only
    // what names the version that `b` leaves moves.
    assert_eq!(after(&made, "b/Cargo.toml"), b.replace("1.2.3", "1.2.4").replace("1.2.1", "1.2.4"));
    assert_eq!(after(&made, "c/Cargo.toml"), c.replace("\"1.2.3\"", "\"1.2.4\""));
}

#[test]
fn files_beside_the_manifests_follow() {
    let a = format!(
        "{A}[package.metadata.winresource]\nFileVersion = \"1.2.3.0\"\nProductVersion = \"1.2.3\"\nother = \"1.2.3\"\n"
    );
    let project = "[project]\nname = \"a\"\nversion = \"1.2.3\"\n";
    let lock = "version = 1\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\nsource = { editable = \".\" }\n\n[[package]]\nname = \"q\"\nversion = \"1.2.3\"\nsource = { registry = \"x\" }\n";
    let cli = "[package]\nname = \"cli\"\nversion = \"0.0.0\"\npublish = false\n";
    let readme = "[a 1.2.3](https://crates.io/crates/a/1.2.3), and since 1.2.3 more.\n";
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\", \"cli\"]\n"),
        ("a/Cargo.toml", a.as_str()),
        ("b/Cargo.toml", B),
        ("cli/Cargo.toml", cli),
        ("cli/version.txt", "1.2.3\n"),
        ("a/pyproject.toml", project),
        ("a/uv.lock", lock),
        ("a/README.md", readme),
    ];
    let made = by_list(&files, LIST);
    assert_eq!(after(&made, "a/Cargo.toml"), a.replacen("1.2.3", "1.2.4", 3), "a word of its own stays");
    assert_eq!(after(&made, "cli/version.txt"), "1.2.4\n");
    assert_eq!(after(&made, "a/uv.lock"), lock.replacen("1.2.3", "1.2.4", 1));
    assert_eq!(after(&made, "a/README.md"), readme.replacen("1.2.3", "1.2.4", 2));
    // By rules too, since nobody would name a lock among the files.
    let rules = "files = [{ path = \"**/pyproject.toml\", style = \"pyproject\" }]";
    let made = by_rules(&files, rules).unwrap();
    assert_eq!(after(&made, "a/uv.lock"), lock.replacen("1.2.3", "1.2.4", 1));
}

#[test]
fn a_glob_names_version_files_and_must_find_one() {
    let files = [
        ("Cargo.toml", WORKSPACE),
        ("a/Cargo.toml", A),
        ("b/Cargo.toml", B),
        ("docs/one.md", "a = \"1.2.3\"\n"),
        ("docs/two.md", "nothing\n"),
    ];
    let made = by_rules(&files, "files = [{ path = \"docs/*.md\", style = \"snippet\" }]").unwrap();
    assert_eq!(after(&made, "docs/one.md"), "a = \"1.2.4\"\n");
    assert!(untouched(&made, "docs/two.md"));
    let said = by_rules(&files, "files = [{ path = \"doc/*.md\", style = \"snippet\" }]").unwrap_err().report();
    assert!(said.contains("doc/*.md"), "{said}");
}

#[test]
fn what_still_names_an_old_version_is_named() {
    let dir = checkout();
    write(dir.path(), "docs/use.md", "x\nuse 1.2.3 or v1.2.3\n");
    write(dir.path(), "other.txt", "11.2.3 and 1.2.30\n");
    write(dir.path(), "CHANGELOG.md", "## 1.2.3\n");
    write(dir.path(), "yarn.lock", "x 1.2.3\n");
    std::fs::write(dir.path().join("image.bin"), b"1.2.3\0\xff").unwrap();
    git(dir.path(), &["add", "-A"]);
    let out = lifeboat(dir.path(), &PATCH);
    assert!(out.status.success(), "{}", errors(&out));
    let notes: Vec<String> = errors(&out).lines().filter(|l| l.contains("still names")).map(str::to_owned).collect();
    // The configuration's own command names it as well.
    assert_eq!(notes, ["note: docs/use.md:2: still names 1.2.3, 2 times"], "{}", errors(&out));
    assert!(String::from_utf8_lossy(&out.stdout).contains("2 crates to 1.2.4, 2 files"));
}

#[test]
fn empty_release_notes_are_said_and_a_day_of_somebodys_is_not_lost() {
    let rules =
        "changelog = { path = \"CHANGELOG.md\", unreleased = \"Unreleased\", released = \"{version} - {date}\" }";
    let with = |log: &str| {
        let files = [("Cargo.toml", WORKSPACE), ("a/Cargo.toml", A), ("b/Cargo.toml", B), ("CHANGELOG.md", log)];
        by_rules(&files, rules).unwrap()
    };
    let empty = with("## Unreleased\n\n## 1.2.3 - 2026-01-01\n\n- x\n");
    assert_eq!(empty.unsaid.as_deref(), Some("the section for 1.2.4 in CHANGELOG.md is empty"));
    assert!(empty.notes.iter().any(|n| n.starts_with("the release notes of 1.2.4 are empty")), "{:?}", empty.notes);
    let noted = with("## Unreleased\n\n- a fix\n");
    assert_eq!((noted.unsaid, noted.notes), (None, Vec::new()));
    let dated = with("## 1.2.4 - 2026-05-01\n\n- a fix\n");
    assert!(dated.notes.iter().any(|n| n.contains("CHANGELOG.md:1: said 2026-05-01 for 1.2.4: it says 2026-05-21")));
}

/// Cargo itself, in the fence.
#[test]
fn a_tree_that_cargo_cannot_resolve_is_no_success() {
    let dir = checkout();
    write(dir.path(), "a/src/lib.rs", "");
    write(dir.path(), "b/src/lib.rs", "");
    write(
        dir.path(),
        "b/Cargo.toml",
        "[package]\nname = 'b'\nversion = '1.2.3'\n[dependencies]\na = { path = '../gone' }\n",
    );
    git(dir.path(), &["add", "-A"]);
    let out = lifeboat(dir.path(), &[&PATCH[..], &["--check"]].concat());
    assert_eq!(out.status.code(), Some(1), "{}", errors(&out));
    assert!(errors(&out).contains("Cargo cannot take the bumped tree"), "{}", errors(&out));
    assert!(std::fs::read_to_string(dir.path().join("a/Cargo.toml")).unwrap().contains("1.2.3"));
    write(
        dir.path(),
        "b/Cargo.toml",
        "[package]\nname = 'b'\nversion = '1.2.3'\n[dependencies]\na = { path = '../a', version = '1.2.3' }\n",
    );
    let out = lifeboat(dir.path(), &[&PATCH[..], &["--check"]].concat());
    assert!(out.status.success(), "{}", errors(&out));
    assert!(!dir.path().join("Cargo.lock").exists(), "the lock was Cargo's for the moment");
}
