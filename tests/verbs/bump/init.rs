//! `lifeboat init` on made-up histories: what it writes, and whether a bump by it makes the last release again.

use std::path::Path;
use std::process::{Command, Output};

use crate::bump::checkout::git;

mod left_out;

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
        out.status.code() == Some(2)
            && says.contains("no commit in this repository raises a version")
            && says.contains("fetch"),
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

/// Runs a patch bump by what `init` wrote.
fn patch(dir: &Path) -> Output {
    lifeboat(dir, &["bump", "--config", "lifeboat.toml", "--to", "patch", "--date", "2026-09-15"])
}

fn commit(dir: &Path, files: &[(&str, &str)], subject: &str) {
    for (path, text) in files {
        std::fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        std::fs::write(dir.join(path), text).unwrap();
    }
    git(dir, &["add", "-A"]);
    git(dir, &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "-m", subject]);
}

/// A template with a digit in the constant's name, an address in what the compiler says, a document.
fn documents(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    vec![
        ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n".to_owned()),
        ("crates/acme/Cargo.toml", format!("[package]\nname = \"acme3\"\nversion = \"1.0.{v}\"\n")),
        ("start/pre.rhai", format!("variable::set(\"ACME3_VERSION\", \"1.0.{v}\");\n")),
        ("tests/ui.stderr", format!("error: no. For an explanation see https://acme3.rs/v1.0.{v}/class.html#no\n")),
        ("docs/old.md", format!("get acme3 v1.0.{v} there\n")),
    ]
}

#[test]
fn what_is_checked_out_can_be_bumped() {
    let dir = history(documents, 3);
    // Since the last release: a crate that is not a fixture by its manifest, and a document less.
    git(dir.path(), &["rm", "-q", "docs/old.md"]);
    commit(dir.path(), &[("crates/new/Cargo.toml", "[package]\nname = \"newer\"\nversion = \"0.1.0\"\n")], "new");
    let (written, report) = init(dir.path());
    for expected in [
        "fixed = [\"newer\"]",
        "# in none of those releases, so kept fixed: \"newer\"",
        "pattern = 'set(\"ACME3_VERSION\", \"{version}\");'",
        "path = \"docs/old.md\"",
        "when = \"<1.0.3\"",
        "https://acme3.rs/v{version}\"",
    ] {
        assert!(written.contains(expected), "no `{expected}` in\n{written}\n{report}");
    }
    assert!(report.contains("kept fixed, since no release had them: newer"), "{report}");
    assert!(report.contains("confidence: high") && !report.contains("would stop"), "{report}");
    let out = patch(dir.path());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for path in ["crates/acme/Cargo.toml", "start/pre.rhai", "tests/ui.stderr"] {
        let text = std::fs::read_to_string(dir.path().join(path)).unwrap();
        assert!(text.contains("1.0.4") && !text.contains("1.0.3"), "{path}: {text}");
    }
}

/// The crate got another name with the third release.
fn renamed(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let name = if n > 2 { "acme" } else { "elder" };
    vec![
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n".to_owned()),
        ("a/Cargo.toml", format!("[package]\nname = \"{name}\"\nversion = \"1.0.{v}\"\n")),
        ("b/Cargo.toml", "[package]\nname = \"side\"\nversion = \"0.1.0\"\n".to_owned()),
    ]
}

#[test]
fn releases_under_another_name_teach_nothing_about_who_moves() {
    let dir = history(renamed, 4);
    let (written, report) = init(dir.path());
    assert!(written.contains("of = \"acme\"") && !written.contains("elder"), "{written}");
    assert!(report.contains("1.0.2 -> 1.0.3") && !report.contains("1.0.1 -> 1.0.2"), "{report}");
    assert!(patch(dir.path()).status.success());
    // Where all have another name, what they share with today is kept, and nobody is named who is not there.
    std::fs::remove_file(dir.path().join("lifeboat.toml")).unwrap();
    git(dir.path(), &["reset", "-q", "--hard", "v1.0.2"]);
    git(dir.path(), &["tag", "-d", "v1.0.3", "v1.0.4"]);
    commit(dir.path(), &[("a/Cargo.toml", "[package]\nname = \"acme\"\nversion = \"1.0.2\"\n")], "rename");
    let (written, report) = init(dir.path());
    assert!(!written.contains("elder") && report.contains("1.0.1 -> 1.0.2"), "{written}\n{report}");
    let out = patch(dir.path());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Every release but the second lifts the requirement; the third finds it behind, where no rule that lifts fits.
fn behind(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let wish = if v == 2 { 1 } else { v };
    let wish = format!("[dependencies]\ncore = {{ path = \"../core\", version = \"1.0.{wish}\" }}\n");
    vec![
        ("Cargo.toml", "[workspace]\nmembers = [\"acme\", \"core\"]\n".to_owned()),
        ("acme/Cargo.toml", format!("[package]\nname = \"acme\"\nversion = \"1.0.{v}\"\n{wish}")),
        ("core/Cargo.toml", format!("[package]\nname = \"core\"\nversion = \"1.0.{v}\"\n")),
    ]
}

#[test]
fn one_release_that_forgot_a_requirement_does_not_make_a_policy() {
    let dir = history(behind, 5);
    let (written, report) = init(dir.path());
    assert!(written.contains("requirements = \"lift\""), "{written}\n{report}");
    assert!(report.contains("1.0.2 -> 1.0.3: 0 files reproduced") && report.contains("do not fit it"), "{report}");
    assert_eq!(again(dir.path(), 5), Vec::<String>::new());
}

#[test]
fn with_json_what_was_learned_is_one_value() {
    let dir = history(behind, 4);
    let out = lifeboat(dir.path(), &["init", "--dry-run", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(said["configuration"].as_str().unwrap().contains("[version]\n"), "{said}");
    assert_eq!((&said["written"], said["releases"].as_array().unwrap().len()), (&serde_json::Value::Null, 4));
    assert_eq!(said["releases"][0]["versions"], serde_json::json!(["1.0.3", "1.0.4"]));
    let text = lifeboat(dir.path(), &["init", "--dry-run"]);
    let level = said["confidence"].as_str().unwrap();
    assert!(String::from_utf8_lossy(&text.stdout).contains(&format!("confidence: {level}")), "{level}");
    assert!(!dir.path().join("lifeboat.toml").exists());
}

/// A crate with a lower version than its sibling's, which moves with the second release only.
fn lower(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let core = if n > 2 || (n, stage) == (2, Stage::After) { 8 } else { 7 };
    vec![
        ("Cargo.toml", "[workspace]\nmembers = [\"acme\", \"core\"]\n".to_owned()),
        ("acme/Cargo.toml", format!("[package]\nname = \"acme\"\nversion = \"1.0.{v}\"\n")),
        ("core/Cargo.toml", format!("[package]\nname = \"acme-core\"\nversion = \"2.0.{core}\"\n")),
    ]
}

#[test]
fn the_tag_says_whose_version_is_the_projects() {
    let dir = history(lower, 4);
    // The first tag names a version alone; those since then name the crate.
    for n in 2..=4 {
        git(dir.path(), &["tag", &format!("acme-1.0.{n}"), &format!("v1.0.{n}")]);
        git(dir.path(), &["tag", "-d", &format!("v1.0.{n}")]);
    }
    // Between the last bump and its tag another crate reached the same version.
    for version in ["1.0.3", "1.0.4"] {
        let manifest = format!("[package]\nname = \"acme-core\"\nversion = \"{version}\"\n");
        commit(dir.path(), &[("core/Cargo.toml", manifest.as_str())], "another's release");
    }
    git(dir.path(), &["tag", "-f", "acme-1.0.4"]);
    let (written, report) = init(dir.path());
    assert!(written.contains("tag = \"acme-{version}\"") && !report.contains("another"), "{written}\n{report}");
    assert!(
        written.contains("[[version.family]]\nof = \"acme\"\n") && !written.contains("of = \"acme-core\""),
        "{written}"
    );
    assert!(written.contains("fixed = [\"acme-core\"]"), "{written}");
    assert!(
        report.contains("not expressed: core/Cargo.toml (in 1 of 3 releases, such as `version = \"2.0.8\"`)"),
        "{report}"
    );
    let out = patch(dir.path());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("1 crate to 1.0.5"), "{out:?}");
}

/// A changelog whose sections come with the fixes, dated; and a crate beside it whose changelog each release writes.
fn written(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let mut log = String::from("# Log\n");
    for old in (1..=n).rev() {
        log += &format!("\n## 1.0.{old}\n\nReleased {}.\n\n- change {old}\n", day(old));
    }
    let mut sections = String::new();
    for old in (1..=v).rev() {
        sections += &format!("## 0.2.{old} ({})\n\n- change {old}\n\n", day(old));
    }
    vec![
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\", \"c\"]\n".to_owned()),
        ("a/Cargo.toml", format!("[package]\nname = \"acme\"\nversion = \"1.0.{v}\"\n")),
        ("b/Cargo.toml", format!("[package]\nname = \"acme-b\"\nversion = \"0.2.{v}\"\n")),
        ("c/Cargo.toml", format!("[package]\nname = \"acme-c\"\nversion = \"1.0.{v}\"\n")),
        ("RELEASES.md", log),
        ("b/CHANGELOG.md", sections),
    ]
}

#[test]
fn a_changelog_shows_itself_how_it_is_dated_and_a_written_section_is_named() {
    let dir = history(written, 3);
    let log = std::fs::read_to_string(dir.path().join("RELEASES.md")).unwrap();
    let open = log.replacen("\n## ", "\n## 1.0.4\n\nUnreleased.\n\n- x\n\n## ", 1);
    commit(dir.path(), &[("RELEASES.md", open.as_str())], "fix 4");
    let (written, report) = init(dir.path());
    assert!(
        written.contains("path = \"RELEASES.md\"") && written.contains("released = \"Released {date}\""),
        "{written}"
    );
    let named = "b/CHANGELOG.md (in 3 of 3 releases: its section is written with the release)";
    assert!(report.contains(&format!("not expressed: {named}")) && report.contains("confidence: high"), "{report}");
    assert!(!report.contains("would stop"), "{report}");
    let out = patch(dir.path());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let after = std::fs::read_to_string(dir.path().join("RELEASES.md")).unwrap();
    assert_eq!(after, open.replace("Unreleased.", "Released 2026-09-15."));
    // Where a crate that moved with the others is at a version of its own, nobody knows whether it stays: that is said.
    std::fs::remove_file(dir.path().join("lifeboat.toml")).unwrap();
    let apart = "[package]\nname = \"acme-c\"\nversion = \"0.0.1\"\n";
    commit(dir.path(), &[("RELEASES.md", open.as_str()), ("c/Cargo.toml", apart)], "apart");
    let (_, report) = init(dir.path());
    assert!(
        report.contains("would stop: c/Cargo.toml:3: the published crate `acme-c` at 0.0.1 belongs to no family"),
        "{report}"
    );
    assert!(!patch(dir.path()).status.success());
}

/// A tool that takes patches while its libraries take minor steps.
fn minor(n: u64, stage: Stage) -> Vec<(&'static str, String)> {
    let v = if stage == Stage::After { n } else { n - 1 };
    let lib = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"0.{v}.0\"\n");
    let wish = format!("[dependencies]\nlib-a = {{ path = \"../a\", version = \"0.{v}.0\" }}\n");
    vec![
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\", \"tool\"]\n".to_owned()),
        ("tool/Cargo.toml", format!("[package]\nname = \"tool\"\nversion = \"1.0.{v}\"\n{wish}")),
        ("a/Cargo.toml", lib("lib-a")),
        ("b/Cargo.toml", lib("lib-b")),
    ]
}

#[test]
fn libraries_that_take_minor_steps_have_a_step_of_their_own() {
    let dir = history(minor, 3);
    let (written, report) = init(dir.path());
    assert!(written.contains("\"\nstep = \"minor\"") && !written.contains("fixed"), "{written}\n{report}");
    assert!(report.contains("confidence: high"), "{report}");
    // Every verb takes what was written, and the next patch moves all of them.
    assert!(written.contains("\ncommitter = "), "{written}");
    let out = patch(dir.path());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for path in ["a/Cargo.toml", "b/Cargo.toml"] {
        assert!(std::fs::read_to_string(dir.path().join(path)).unwrap().contains("0.4.0"), "{path}");
    }
}

#[test]
fn a_person_says_whose_releases_teach() {
    let dir = history(minor, 3);
    for n in 1..=3 {
        git(dir.path(), &["tag", &format!("lib-a-v0.{n}.0"), &format!("v1.0.{n}")]);
    }
    let out = lifeboat(dir.path(), &["init", "--dry-run", "--crate", "lib-a", "--tag", "lib-a-v{version}"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(
        text.contains("tag = \"lib-a-v{version}\"") && text.contains("0.2.0 -> 0.3.0"),
        "minor releases teach: {text}"
    );
    let first = text.find("of = \"lib-a\"").expect("its family");
    assert!(text.find("of = \"tool\"").is_none_or(|tool| first < tool), "{text}");
    let out = lifeboat(dir.path(), &["init", "--dry-run", "--crate", "nobody"]);
    assert_eq!(out.status.code(), Some(2));
    let out = lifeboat(dir.path(), &["init", "--dry-run", "--tag", "v1"]);
    assert_eq!(out.status.code(), Some(2));
}

#[test]
fn it_says_what_it_does_while_it_works() {
    let dir = history(minor, 2);
    let out = lifeboat(dir.path(), &["init", "--dry-run"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("reading the tags"));
}
