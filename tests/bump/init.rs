//! `lifeboat init` on made-up histories: what it writes, and whether a bump by it makes the last release again.

use std::path::Path;
use std::process::{Command, Output};

use crate::checkout::git;

/// A release of a made-up project: its patch number.
type Tree = fn(u64, Stage) -> Vec<(&'static str, String)>;

/// Before or after the bump commit of a release.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Before,
    After,
}

fn day(n: u64) -> String {
    format!("2026-0{n}-15")
}

/// Commits the releases 1 to `count`, each as work and bump, with tags; returns the directory.
fn history(tree: Tree, count: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "-b", "release-1.0.0"]);
    for n in 1..=count {
        for stage in [Stage::Before, Stage::After] {
            for (path, text) in tree(n, stage) {
                let at = dir.path().join(path);
                std::fs::create_dir_all(at.parent().unwrap()).unwrap();
                std::fs::write(at, text).unwrap();
            }
            git(dir.path(), &["add", "-A"]);
            let subject = if stage == Stage::Before { format!("fix {n}") } else { format!("Release 1.0.{n}") };
            let who = ["-c", "user.name=x", "-c", "user.email=x@x"];
            git(dir.path(), &[&who[..], &["commit", "-q", "--allow-empty", "-m", &subject]].concat());
        }
        git(dir.path(), &["tag", &format!("v1.0.{n}")]);
    }
    git(dir.path(), &["checkout", "-q", "-b", "main"]);
    dir
}

fn lifeboat(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lifeboat")).current_dir(dir).args(arguments).output().unwrap()
}

/// Runs `init`; returns the configuration and the report.
fn init(dir: &Path) -> (String, String) {
    let out = lifeboat(dir, &["init"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let written = std::fs::read_to_string(dir.join("lifeboat.toml")).unwrap();
    (written, String::from_utf8(out.stdout).unwrap())
}

/// Bumps to the last release again, with what `init` wrote; returns the files that came out otherwise.
fn again(dir: &Path, count: u64) -> Vec<String> {
    std::fs::rename(dir.join("lifeboat.toml"), dir.join(".git/learned.toml")).unwrap();
    let tag = format!("v1.0.{count}");
    git(dir, &["checkout", "-q", &format!("{tag}~1")]);
    git(dir, &["tag", "-d", &tag]);
    let (to, date) = (format!("1.0.{count}"), day(count));
    let out = lifeboat(dir, &["bump", "--config", ".git/learned.toml", "--to", &to, "--date", &date]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let diff = Command::new("git").arg("-C").arg(dir).args(["diff", "--name-only", "main"]).output().unwrap();
    String::from_utf8(diff.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// One version line; an unpublished crate that moves along, one that stays; a header, a changelog with an empty heading
/// before each release, a marked text, a missing line end; a counter and a file of notes that no rule can express.
fn single(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let package = |name: &str, more: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.{v}\"\n{more}");
    let mut sections = String::new();
    for old in (1..=v).rev() {
        sections += &format!("## [1.0.{old}] - {}\n\n- change {old}\n\n", day(old));
    }
    let open = if stage == Stage::Before { format!("- change {n}\n\n") } else { String::new() };
    let mut out = vec![
        ("Cargo.toml", "[workspace]\nmembers = [\"core\", \"tool\", \"extra\"]\n".to_owned()),
        // The project's own script ends it with a line end, and work takes it away again.
        ("core/Cargo.toml", package("acme", "# end") + if stage == Stage::After { "\n" } else { "" }),
        (
            "tool/Cargo.toml",
            package(
                "acme-tool",
                "publish = false\n[dependencies]\nacme = { path = \"../core\", version = \"1.0.0\" }\n",
            ),
        ),
        ("extra/Cargo.toml", "[package]\nname = \"acme-extra\"\nversion = \"0.3.0\"\n".to_owned()),
        ("core/src/lib.rs", format!("// {n}\n")),
        (
            "include/acme.h",
            format!(
                "#define ACME_VERSION \"1.0.{v}\"\n#define ACME_VERSION_MAJOR 1\n#define ACME_VERSION_MINOR 0\n#define ACME_VERSION_PATCH {v}\n"
            ),
        ),
        ("docs/install.md", format!("Get acme v1.0.{v} from there.\nOr 9.9.9.\n")),
        ("CHANGELOG.md", format!("# Changes\n\n## [Unreleased]\n\n{open}{sections}")),
        ("BUILD", format!("build {} of 1.0.{v}\n", 100 + v * 7)),
    ];
    if stage == Stage::After {
        out.push((
            ["notes/1.0.0.md", "notes/1.0.1.md", "notes/1.0.2.md", "notes/1.0.3.md"][n as usize],
            "x\n".to_owned(),
        ));
    }
    out
}

#[test]
fn a_convention_is_learned_and_makes_the_last_release_again() {
    let dir = history(single, 3);
    let (written, report) = init(dir.path());
    for expected in [
        "branches = \"release-*\"",
        "tag = \"v{version}\"",
        "requirements = \"keep\"",
        "unpublished = \"move\"",
        "final_newline = true",
        "fixed = [\"acme-extra\"]",
        "path = \"include/acme.h\", style = \"c-header\"",
        "path = \"docs/install.md\", pattern = \"Get acme v{version} from\", style = \"text\"",
        "path = \"CHANGELOG.md\"",
        "released = \"[{version}] - {date}\"",
        "insert = ",
        "of = \"acme\"",
        "# not expressed: BUILD",
        "# not expressed: notes/{version}.md",
    ] {
        assert!(written.contains(expected), "no `{expected}` in\n{written}\n{report}");
    }
    assert!(report.contains("Release 1.0.3") && report.contains("confidence: middling"), "{report}");
    assert!(report.contains("not expressed: BUILD (in 3 of 3 releases, such as `build 121 of 1.0.3`)"), "{report}");
    assert_eq!(again(dir.path(), 3), ["BUILD", "notes/1.0.3.md"]);
    // It overwrites nothing.
    git(dir.path(), &["checkout", "-qf", "main"]);
    std::fs::write(dir.path().join("lifeboat.toml"), "mine").unwrap();
    assert_eq!(lifeboat(dir.path(), &["init"]).status.code(), Some(2));
}

/// Two lines of versions, one of which began to move with the second release; a changelog for each crate, with dates in
/// words; a lock.
fn families(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let package = |name: &str, version: &str| format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n");
    let log = |major: &str| {
        let head = if stage == Stage::After { "May 3, 2026".to_owned() } else { "unreleased".to_owned() };
        format!("# Log\n\n## {major}.{n} ({head})\n\n- x\n")
    };
    let locked = |name: &str, version: &str| format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
    let ir = format!("0.8.{v}");
    vec![
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"ir\"]\n".to_owned()),
        ("a/Cargo.toml", package("acme", &format!("1.0.{v}"))),
        ("a/CHANGELOG.md", log("1.0")),
        ("ir/Cargo.toml", package("acme-ir", &ir)),
        ("ir/CHANGELOG.md", log("0.8")),
        ("Cargo.lock", format!("version = 4\n{}{}", locked("acme", &format!("1.0.{v}")), locked("acme-ir", &ir))),
    ]
}

#[test]
fn families_and_a_changelog_for_each_crate() {
    let dir = history(families, 3);
    let (written, report) = init(dir.path());
    for expected in
        ["path = \"{dir}/CHANGELOG.md\"", "released = \"({date:%B %-d, %Y})\"", "of = \"acme\"", "of = \"acme-ir\""]
    {
        assert!(written.contains(expected), "no `{expected}` in\n{written}\n{report}");
    }
    assert!(report.contains("confidence: high; 15 of 15 files"), "{report}");
    std::fs::rename(dir.path().join("lifeboat.toml"), dir.path().join(".git/learned.toml")).unwrap();
    git(dir.path(), &["checkout", "-q", "v1.0.3~1"]);
    git(dir.path(), &["tag", "-d", "v1.0.3"]);
    let out = lifeboat(dir.path(), &["bump", "--config", ".git/learned.toml", "--to", "patch", "--date", "2026-05-03"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let diff = Command::new("git").arg("-C").arg(dir.path()).args(["diff", "--stat", "main"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&diff.stdout), "");
}

#[test]
fn without_a_release_it_says_where_it_looked() {
    let dir = history(|_, _| vec![("Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.0.0\"\n".to_owned())], 1);
    let out = lifeboat(dir.path(), &["init"]);
    let says = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(2) && says.contains("raises a version by a patch") && says.contains("fetch"),
        "{says}"
    );
    assert!(!dir.path().join("lifeboat.toml").exists());
}

/// A file that carries the version since the second release, one that did until then, and one that always does.
fn changing(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let since = if n > 1 { format!("get acme v1.0.{v}\n") } else { "get acme\n".to_owned() };
    let until = if n > 1 { "v1.0.1\n".to_owned() } else { format!("v1.0.{v}\n") };
    vec![
        ("Cargo.toml", format!("[package]\nname = \"acme\"\nversion = \"1.0.{v}\"\n")),
        ("always.h", format!("#define ACME_VERSION \"1.0.{v}\"\n")),
        ("since.md", since),
        ("until.md", format!("was {until}")),
    ]
}

#[test]
fn a_version_file_says_from_when_it_carries_the_version() {
    let dir = history(changing, 4);
    let (written, report) = init(dir.path());
    assert!(written.contains("{ path = \"always.h\", style = \"c-header\" }"), "{written}");
    assert!(written.contains("path = \"since.md\"") && written.contains("when = \">=1.0.1\""), "{written}");
    assert!(written.contains("path = \"until.md\"") && written.contains("when = \"<1.0.1\""), "{written}");
    assert!(report.contains("confidence: high"), "{report}");
    assert_eq!(again(dir.path(), 4), Vec::<String>::new());
}
