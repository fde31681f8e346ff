//! What a bump decides, and where it stops.

use std::collections::BTreeSet;

use lifeboat::bump::{Bump, BumpRequest, MemoryTree, Requirements, VersionRules, bump, bump_listed, parse_listed};
use lifeboat::error::Result;

const ROOT: &str = "[package]\nname = \"acme\"\nversion.workspace = true\n\n[workspace]\nmembers = [\"crates/*\"]\n\
    exclude = [\"crates/fixture\"]\n\n[workspace.package]\nversion = \"3.0.1\" # the version\n\n[workspace.dependencies]\n\
    acme-core = { path = \"crates/core\", version = \"=3.0.1\" }\nacme-ir = { path = \"crates/ir\", version = \"0.9.1\" }\n";
const CORE: &str = "[package]\nname = \"acme-core\"\nversion.workspace = true\n";
const IR: &str = "[package]\nname = \"acme-ir\"\nversion = \"0.9.1\"\n";
const TOOL: &str = "[package]\nname = \"tool\"\nversion = \"0.1.0\"\npublish = false\n\n[dependencies.renamed]\n\
    package = \"acme-ir\"\npath = \"../ir\"\nversion = \"0.9.1\"\n\n[dev-dependencies]\nacme = { path = \"../..\", version = \"*\" }\n";
const FIXTURE: &str = "[package]\nname = \"acme-core\"\nversion = \"3.0.1\"\n";
const FUZZ: &str = "[package]\nname = \"fuzz\"\nversion = \"0.0.0\"\npublish = false\n[workspace]\n[dependencies]\nacme-ir = { path = \"../crates/ir\", version = \"0.9.1\" }\n";
const FUZZ_LOCK: &str = "version = 3\n\n[[package]]\nname = \"acme-ir\"\nversion = \"0.9.1\"\n\n[[package]]\nname = \"fuzz\"\nversion = \"0.0.0\"\ndependencies = [\n \"acme-ir\",\n]\n";
const FAMILIES: &str = "[[family]]\nof = \"acme\"\n[[family]]\nof = \"acme-ir\"\n";

fn tree() -> MemoryTree {
    MemoryTree::new(&[
        ("Cargo.toml", ROOT),
        ("crates/core/Cargo.toml", CORE),
        ("crates/ir/Cargo.toml", IR),
        ("crates/tool/Cargo.toml", TOOL),
        ("crates/fixture/Cargo.toml", FIXTURE),
        ("fuzz/Cargo.toml", FUZZ),
        ("fuzz/Cargo.lock", FUZZ_LOCK),
    ])
}

fn request(to: &str) -> BumpRequest {
    BumpRequest {
        to: to.parse().unwrap(),
        date: jiff::civil::date(2026, 5, 21),
        tags: BTreeSet::from(["v3.0.1".to_owned()]),
    }
}

/// No tag names a tree.
const UNTAGGED: fn(&str, &str) -> Option<Vec<u8>> = |_, _| None;

fn run(tree: &MemoryTree, rules: &str, to: &str) -> Result<Bump> {
    bump(tree, &toml::from_str::<VersionRules>(rules).unwrap(), &request(to))
}

fn after<'a>(bump: &'a Bump, path: &str) -> &'a str {
    let edit = bump.edits.iter().find(|e| e.path == path).unwrap_or_else(|| panic!("{path} is unchanged"));
    std::str::from_utf8(&edit.after).unwrap()
}

/// The error of a bump, whole.
fn refusal(tree: &MemoryTree, rules: &str, to: &str) -> String {
    run(tree, rules, to).map(|b| format!("no error: {:?}", b.edits)).unwrap_or_else(|e| e.report())
}

#[test]
fn every_family_moves_on_its_own_line_and_nothing_else() {
    let bump = run(&tree(), FAMILIES, "3.0.2").unwrap();
    assert_eq!(bump.version.to_string(), "3.0.2");
    assert_eq!(bump.tag.as_deref(), Some("v3.0.2"));
    let moved: Vec<String> = bump.moves.iter().map(|m| format!("{} {}", m.name, m.new)).collect();
    assert_eq!(moved, ["acme 3.0.2", "acme-core 3.0.2", "acme-ir 0.9.2"]);
    let paths: Vec<&str> = bump.edits.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(
        paths,
        ["Cargo.toml", "crates/ir/Cargo.toml", "crates/tool/Cargo.toml", "fuzz/Cargo.lock", "fuzz/Cargo.toml"]
    );
    assert_eq!(after(&bump, "Cargo.toml"), ROOT.replace("3.0.1", "3.0.2").replace("0.9.1", "0.9.2"));
    assert_eq!(after(&bump, "crates/tool/Cargo.toml"), TOOL.replace("0.9.1", "0.9.2"));
    assert_eq!(after(&bump, "fuzz/Cargo.lock"), FUZZ_LOCK.replace("0.9.1", "0.9.2"));
    assert_eq!(run(&tree(), FAMILIES, "patch").unwrap(), bump);
}

#[test]
fn requirements_that_admit_the_new_version_may_stay() {
    let bump = run(&tree(), &format!("requirements = \"keep\"\n{FAMILIES}"), "patch").unwrap();
    assert_eq!(after(&bump, "Cargo.toml"), ROOT.replace("3.0.1", "3.0.2"), "an exact one must follow");
    assert!(bump.edits.iter().all(|e| e.path != "crates/tool/Cargo.toml"));
}

#[test]
fn it_never_guesses() {
    let mut stale = tree();
    stale.files.insert("crates/tool/Cargo.toml".into(), TOOL.replace("0.9.1", "0.9.0").into());
    let says = refusal(&stale, FAMILIES, "patch");
    assert!(
        says.contains("crates/tool/Cargo.toml:9: requires `acme-ir` \"0.9.0\", but the crate is at 0.9.1"),
        "{says}"
    );
    // An open bound is meant to be wide: it says nothing about where the crate was.
    let mut open = tree();
    open.files.insert("crates/tool/Cargo.toml".into(), TOOL.replace("0.9.1", ">=0.8").into());
    let bumped = run(&open, FAMILIES, "patch").unwrap();
    assert!(bumped.edits.iter().all(|e| e.path != "crates/tool/Cargo.toml"));
    let mut wrong = tree();
    wrong.files.insert("crates/tool/Cargo.toml".into(), TOOL.replace("0.9.1", "0.8.0").into());
    assert!(refusal(&wrong, FAMILIES, "patch").contains("crates/tool/Cargo.toml:9: requires"));
    let mut twice = tree();
    twice.files.insert("crates/x/Cargo.toml".into(), CORE.into());
    let says = refusal(&twice, FAMILIES, "patch");
    assert!(says.contains("two crates are called `acme-core`") && says.contains("crates/x/Cargo.toml:2"), "{says}");
    assert!(refusal(&tree(), "", "patch").contains("several versions, and no family says which move"));
    assert!(refusal(&tree(), "[[family]]\nof = \"acme\"\n", "patch").contains("belongs to no family"));
    assert!(refusal(&tree(), FAMILIES, "3.0.1").contains("not a later version"));
    assert!(refusal(&tree(), FAMILIES, "release").contains("version step"));
    let rules: VersionRules = toml::from_str(FAMILIES).unwrap();
    let mut tagged = request("patch");
    tagged.tags.insert("v3.0.2".to_owned());
    let says = bump(&tree(), &rules, &tagged).unwrap_err().report();
    assert!(says.contains("version 3.0.2 is already tagged: `v3.0.2`"), "{says}");
    assert!(says.contains("Cargo.toml:10: it is at 3.0.1") && says.contains("take the next version"), "{says}");
}

#[test]
fn a_declared_changelog_without_a_section_stops() {
    let mut tree = tree();
    tree.files.insert("LOG.md".into(), "# Log\n\n## 3.0.1\n\nReleased 2026-01-01.\n".into());
    let rules = format!(
        "changelog = {{ path = \"LOG.md\", unreleased = \"Unreleased\", released = \"Released {{date}}\" }}\n{FAMILIES}"
    );
    let says = refusal(&tree, &rules, "patch");
    assert!(
        says.contains("LOG.md:3: no section for 3.0.2") && says.contains("the newest section is `## 3.0.1`"),
        "{says}"
    );
    assert!(says.contains("write one that says `Unreleased`"), "{says}");
    let noted = run(&tree, &rules.replace("{date}\"", "{date}\", missing = \"warn\""), "patch").unwrap();
    let empty = "the release notes of 3.0.2 are empty: LOG.md has no section for 3.0.2";
    assert_eq!(noted.notes, ["LOG.md: no section for 3.0.2: left as it is", empty]);
}

#[test]
fn a_changelog_beside_a_crate_that_stays_is_not_touched() {
    let mut tree = tree();
    let log = "## Unreleased\n\n- x\n\n## 0.9.1 (2026-01-01)\n";
    tree.files.insert("crates/core/CHANGELOG.md".into(), log.into());
    tree.files.insert("crates/ir/CHANGELOG.md".into(), log.into());
    let listed = parse_listed("acme-ir\t0.9.1\t0.9.2\tcrates/ir/Cargo.toml\ttrue\n", "list").unwrap();
    let bump = bump_listed(&tree, &listed, Requirements::Lift, &request("patch"), &UNTAGGED).unwrap();
    assert_eq!(after(&bump, "crates/ir/CHANGELOG.md"), log.replacen("Unreleased", "0.9.2 (2026-05-21)", 1));
    assert!(bump.edits.iter().all(|e| e.path != "crates/core/CHANGELOG.md"));
}

/// The lock of the workspace, every crate of it at the version that its manifest says.
const LOCK: &str = "version = 4\n\n[[package]]\nname = \"acme\"\nversion = \"3.0.1\"\n\n[[package]]\nname = \"acme-core\"\n\
    version = \"3.0.1\"\n\n[[package]]\nname = \"acme-ir\"\nversion = \"0.9.1\"\n\n[[package]]\nname = \"tool\"\nversion = \"0.1.0\"\n\
    dependencies = [\n \"acme\",\n \"acme-ir\",\n]\n";

#[test]
fn a_lock_that_is_behind_catches_up_as_cargo_would_write_it() {
    let lists = ["acme-ir\t0.9.1\t0.9.2\tcrates/ir/Cargo.toml\ttrue\n"];
    let listed = |tree: &MemoryTree| {
        bump_listed(tree, &parse_listed(lists[0], "list")?, Requirements::Lift, &request("patch"), &UNTAGGED)
    };
    for (locked, also) in [("0.9.1", "0.1.0"), ("0.9.0", "0.1.0"), ("0.9.0", "0.0.7")] {
        let mut behind = tree();
        behind.files.insert("Cargo.lock".into(), LOCK.replace("0.9.1", locked).replace("0.1.0", also).into());
        let (one, all) = (listed(&behind).unwrap(), run(&behind, FAMILIES, "patch").unwrap());
        assert_eq!(after(&one, "Cargo.lock"), LOCK.replace("0.9.1", "0.9.2"), "{locked} {also}");
        assert_eq!(after(&all, "Cargo.lock"), LOCK.replace("0.9.1", "0.9.2").replace("3.0.1", "3.0.2"));
        let said = format!("Cargo.lock:13: `acme-ir` is locked at {locked}, the crate is at 0.9.1: now at 0.9.2");
        assert_eq!(one.notes.iter().any(|n| n.contains(&said)), locked != "0.9.1", "{:?}", one.notes);
    }
    // What would take an index to know is not guessed.
    for (lock, says) in [
        (
            LOCK.replace("0.9.1\"", "0.9.0\"\ndependencies = [\n \"gone\",\n]"),
            "the lock still has its dependency `gone`",
        ),
        (LOCK.replace("0.1.0", "0.0.9").replace(" \"acme\",\n", ""), "the lock lacks its dependency `acme`"),
        (LOCK.replace("acme-ir\"\nversion", "other\"\nversion"), "Cargo.lock: `acme-ir` is not in this lock"),
    ] {
        let mut behind = tree();
        behind.files.insert("Cargo.lock".into(), lock.into());
        for refused in [listed(&behind), run(&behind, FAMILIES, "patch")] {
            let said = refused.map(|b| format!("no error: {:?}", b.notes)).unwrap_or_else(|e| e.report());
            assert!(said.contains(says) && said.contains("cargo update --workspace"), "{says}: {said}");
        }
    }
    // The lock of something that the workspace does not hold stays as it is, and it is said.
    let mut foreign = tree();
    foreign.files.insert("fuzz/Cargo.lock".into(), FUZZ_LOCK.replace("0.9.1", "0.9.0").into());
    let made = listed(&foreign).unwrap();
    assert!(made.edits.iter().all(|e| e.path != "fuzz/Cargo.lock"));
    let said = "fuzz/Cargo.lock:5: `acme-ir` is locked at 0.9.0, the crate is at 0.9.1: left as it is";
    assert!(made.notes.iter().any(|n| n == said), "{:?}", made.notes);
}

#[test]
fn a_lock_that_is_no_text_stops_where_cargo_reads_it() {
    let mut odd = tree();
    odd.files.insert("Cargo.lock".into(), b"\xff\xfev\0e\0r\0".to_vec());
    let says = refusal(&odd, FAMILIES, "patch");
    assert!(says.contains("`Cargo.lock` is not a text file") && says.contains("Cargo reads this lock"), "{says}");
    let lock = odd.files.remove("Cargo.lock").unwrap();
    odd.files.insert("tests/data/Cargo.lock".into(), lock);
    assert!(run(&odd, FAMILIES, "patch").is_ok(), "test data");
}

#[test]
fn an_entry_that_no_member_inherits_blocks_nothing() {
    let mut idle = tree();
    let entry = "acme-ir = { path = \"crates/ir\", version = \"0.9.1\" }";
    for requirement in ["0.8.0", "=0.9.0", "0.10.0"] {
        let root = ROOT.replace(entry, &entry.replace("0.9.1", requirement));
        idle.files.insert("Cargo.toml".into(), root.clone().into());
        let core = parse_listed(
            "acme\t3.0.1\t3.0.2\tCargo.toml\ttrue\n[workspace.package]\t3.0.1\t3.0.2\tCargo.toml\ttrue\n",
            "list",
        );
        let listed = core.unwrap();
        let made = bump_listed(&idle, &listed, Requirements::Lift, &request("patch"), &UNTAGGED).unwrap();
        assert_eq!(after(&made, "Cargo.toml"), root.replace("3.0.1", "3.0.2"));
        let said = format!(
            "Cargo.toml:14: requires `acme-ir` \"{requirement}\", which does not fit 0.9.1; no member inherits"
        );
        assert!(made.notes.iter().any(|n| n.contains(&said)), "{:?}", made.notes);
        let made = run(&idle, FAMILIES, "patch").unwrap();
        assert_eq!(after(&made, "Cargo.toml"), root.replace("3.0.1", "3.0.2"));
        assert!(made.notes.iter().any(|n| n.contains(&said)), "{:?}", made.notes);
    }
    // One that a member inherits, under whichever name, does.
    let renamed = entry.replace("acme-ir =", "ir =").replace("0.9.1\" }", "0.8.0\", package = \"acme-ir\" }");
    idle.files.insert("Cargo.toml".into(), ROOT.replace(entry, &renamed).into());
    run(&idle, FAMILIES, "patch").unwrap();
    idle.files.insert("crates/core/Cargo.toml".into(), format!("{CORE}[dependencies]\nir.workspace = true\n").into());
    assert!(
        refusal(&idle, FAMILIES, "patch").contains("Cargo.toml:14: requires `acme-ir` \"0.8.0\", but the crate is at")
    );
}

#[test]
fn a_tag_stops_a_bump_only_if_it_is_of_that_crate() {
    let listed = parse_listed("acme-ir\t0.9.1\t0.9.2\tcrates/ir/Cargo.toml\ttrue\n", "list").unwrap();
    let inherited = parse_listed("[workspace.package]\t3.0.1\t3.0.2\tCargo.toml\ttrue\n", "list").unwrap();
    let mut at = request("patch");
    let run = |list: &[_], request: &BumpRequest, at_tag: &dyn Fn(&str, &str) -> Option<Vec<u8>>| {
        let made = bump_listed(&tree(), list, Requirements::Lift, request, at_tag);
        made.map(|b| format!("bumped; {}", b.notes.join("; "))).unwrap_or_else(|e| e.report())
    };
    let ir_at = |version: &'static str| {
        move |_: &str, path: &str| match path {
            "crates/ir/Cargo.toml" => Some(IR.replace("0.9.1", version).into_bytes()),
            "crates/core/Cargo.toml" => Some(CORE.into()),
            "Cargo.toml" => Some(ROOT.replace("3.0.1", version).into_bytes()),
            _ => None,
        }
    };
    for tag in ["acme-ir-v0.9.2", "acme-ir-0.9.2", "acme-ir/v0.9.2", "acme-ir/0.9.2", "acme-ir@0.9.2"] {
        at.tags = BTreeSet::from([tag.to_owned()]);
        let says = run(&listed, &at, &UNTAGGED);
        assert!(
            says.contains(&format!("`acme-ir` 0.9.2 is already tagged: `{tag}`")) && says.contains("git tag -d"),
            "{says}"
        );
        let rules: VersionRules = toml::from_str(FAMILIES).unwrap();
        let says = bump(&tree(), &rules, &at).unwrap_err().report();
        assert!(says.contains("already tagged"), "with rules too: {says}");
    }
    for tag in ["v0.9.2", "0.9.2"] {
        at.tags = BTreeSet::from([tag.to_owned()]);
        assert!(run(&listed, &at, &UNTAGGED).starts_with("bumped; "), "of something else");
        let says = run(&listed, &at, &ir_at("0.9.0"));
        assert!(says.starts_with("bumped; ") && says.contains("in its tree that crate is at 0.9.0"), "{says}");
        let says = run(&listed, &at, &ir_at("0.9.2"));
        assert!(says.contains("already tagged") && says.contains("in its tree `acme-ir` is at 0.9.2"), "{says}");
        at.tags.insert(tag.replace("0.9.2", "0.9.1"));
        let says = run(&listed, &at, &UNTAGGED);
        assert!(says.contains("already tagged") && says.contains("crates/ir/Cargo.toml:3: it is at 0.9.1"), "{says}");
        // Both tags are of something else: the crate is at another version there, or did not exist.
        let says = run(&listed, &at, &ir_at("0.3.0"));
        assert!(says.starts_with("bumped; ") && says.contains("in its tree that crate is at 0.3.0"), "{says}");
        let elsewhere = |_: &str, path: &str| (path == "Cargo.toml").then(|| b"[package]\nname = \"x\"".to_vec());
        assert!(run(&listed, &at, &elsewhere).starts_with("bumped; "));
        // A crate with tags of its own leaves the plain ones to another.
        at.tags.insert("acme-ir-v0.9.1".to_owned());
        assert!(run(&listed, &at, &ir_at("0.9.2")).starts_with("bumped; "));
    }
    at.tags = BTreeSet::from(["v3.0.2".to_owned()]);
    assert!(run(&inherited, &at, &ir_at("3.0.1")).starts_with("bumped; "));
    assert!(run(&inherited, &at, &ir_at("3.0.2")).contains("in its tree `acme"));
}

#[test]
fn rules_survive_being_stored() {
    let text = "tag = \"acme-v{version}\"\nfiles = [{ path = \"a.h\", style = \"c-header\", when = \">=2\" }]\n\
        changelog = { path = \"{dir}/CHANGELOG.md\", unreleased = \"a\", released = \"b\" }\n\
        after = [{ run = \"true\", on_failure = \"warn\" }]\n[[family]]\nof = \"a\"\ncrates = [\"a-*\"]\n";
    let rules: VersionRules = toml::from_str(text).unwrap();
    let stored = serde_json::to_string(&rules).unwrap();
    assert_eq!(serde_json::from_str::<VersionRules>(&stored).unwrap(), rules);
    assert!(toml::from_str::<VersionRules>("tags = 1").unwrap_err().span().is_some());
}

/// Two addresses are of the crate; the others only look alike.
const EXPECTED: &str = "error: see https://acme-ir.rs/v0.9.1/a.html#b\n  --> https://docs.rs/acme-ir/0.9.1/acme_ir\n\
    see https://other.rs/v0.9.1/, https://acme-ir.rs/v0.9.10/, https://acme-ir.rs/x0.9.1/ and 0.9.1\n";
const CBINDGEN: &str = "language = \"C\"\nafter_includes = \"\"\"\n#define ACME_IR_VERSION \"0.9.1\"\n#define ACME_IR_VERSION_MAJOR 0\n\
    #define ACME_IR_VERSION_MINOR 9\n#define ACME_IR_VERSION_PATCH 1\n#define OTHER_VERSION \"0.9.1\"\n\"\"\"\n";

#[test]
fn every_declared_style_moves_its_own_places_only() {
    for (path, style, before, count) in [
        ("crates/ir/cbindgen.toml", "c-header", CBINDGEN.replace("#define OTHER_VERSION \"0.9.1\"\n", ""), 2),
        (
            "crates/ir/pyproject.toml",
            "pyproject",
            "[project]\nversion = \"0.9.1\"\n[tool.towncrier]\nversion = '0.9.1'\n".into(),
            2,
        ),
        ("js/package.json", "package-json", "{\"version\": \"0.9.1\", \"a\": {\"version\": \"0.9.1\"}}".into(), 1),
        ("README.md", "snippet", "acme-ir = \"0.9.1\"\nother = \"0.9.1\"\n".into(), 1),
        (
            "src/a.rs",
            "html-root-url",
            "#![doc(html_root_url = \"https://docs.rs/acme-ir/0.9.1\")] // 0.9.1\n".into(),
            1,
        ),
        ("V", "plain", "0.9.1\n".into(), 1),
        ("ci.yml", "text", "v: 0.9.1 # x-release-version\nv: 0.9.1\n".into(), 1),
    ] {
        let mut tree = tree();
        tree.files.insert(path.to_owned(), before.clone().into());
        let rules = format!("files = [{{ path = \"{path}\", style = \"{style}\", crate = \"acme-ir\" }}]\n{FAMILIES}");
        let made = run(&tree, &rules, "patch").unwrap();
        let mut wanted = before.replacen("0.9.1", "0.9.2", count);
        if style == "c-header" {
            wanted = before.replace("0.9.1", "0.9.2").replace("PATCH 1", "PATCH 2");
        }
        assert_eq!(after(&made, path), wanted, "{style}");
        // One that does not name the version stops, and says where it is.
        tree.files.insert(path.to_owned(), before.replace("0.9.1", "0.8.7").replace("PATCH 1", "PATCH 7").into());
        let says = refusal(&tree, &rules, "patch");
        assert!(says.contains(&format!("{path}: no place of its style names 0.9.1")), "{style}: {says}");
    }
}

#[test]
fn a_list_moves_what_it_names_and_what_belongs_to_it() {
    let mut tree = tree();
    for (path, text) in [
        ("README.md", "```toml\nacme-ir = \"0.9.1\"\nother = \"0.9.1\"\n```\n0.9.1 is old\n"),
        ("crates/ir/src/lib.rs", "#![doc(html_root_url = \"https://docs.rs/acme-ir/0.9.1\")]\n// 0.9.1\n"),
        ("include/acme_ir.h", "#define ACME_IR_VERSION \"0.9.1\"\n#define ZLIB_VERSION \"0.9.1\"\n"),
        ("crates/ir/pyproject.toml", "[project]\nname = \"x\"\nversion = \"0.9.1\"\n"),
        (
            "js/package.json",
            "{\"name\": \"@acme/acme-ir\", \"version\": \"0.9.1\", \"dependencies\": {\"version\": \"0.9.1\"}}",
        ),
        ("crates/ir/version.txt", "0.9.1\n"),
        ("crates/ir/vendor/version.txt", "0.9.1\n"),
        ("crates/ir/towncrier.toml", "[tool.towncrier]\nversion = \"0.9.1\"\n[tool.other]\nversion = \"0.9.1\"\n"),
        ("crates/ir/tests/ui/a.stderr", EXPECTED),
        ("crates/core/tests/ui/a.stderr", EXPECTED),
        ("crates/ir/cbindgen.toml", CBINDGEN),
    ] {
        tree.files.insert(path.to_owned(), text.into());
    }
    let listed = parse_listed("acme-ir\t0.9.1\t0.9.2\tcrates/ir/Cargo.toml\ttrue\n", "list").unwrap();
    let bump = bump_listed(&tree, &listed, Requirements::Lift, &request("patch"), &UNTAGGED).unwrap();
    assert_eq!(after(&bump, "README.md"), "```toml\nacme-ir = \"0.9.2\"\nother = \"0.9.1\"\n```\n0.9.1 is old\n");
    assert_eq!(
        after(&bump, "crates/ir/src/lib.rs"),
        "#![doc(html_root_url = \"https://docs.rs/acme-ir/0.9.2\")]\n// 0.9.1\n"
    );
    assert_eq!(
        after(&bump, "include/acme_ir.h"),
        "#define ACME_IR_VERSION \"0.9.2\"\n#define ZLIB_VERSION \"0.9.1\"\n"
    );
    assert!(
        after(&bump, "js/package.json").contains("\"version\": \"0.9.2\", \"dependencies\": {\"version\": \"0.9.1\"}")
    );
    assert_eq!(after(&bump, "crates/ir/version.txt"), "0.9.2\n");
    assert_eq!(
        after(&bump, "crates/ir/towncrier.toml"),
        "[tool.towncrier]\nversion = \"0.9.2\"\n[tool.other]\nversion = \"0.9.1\"\n"
    );
    assert_eq!(after(&bump, "crates/ir/tests/ui/a.stderr"), EXPECTED.replacen("0.9.1", "0.9.2", 2));
    assert_eq!(
        after(&bump, "crates/ir/cbindgen.toml"),
        CBINDGEN.replacen("0.9.1", "0.9.2", 1).replacen("PATCH 1", "PATCH 2", 1)
    );
    assert_eq!(bump.edits.len(), 14, "{:?}", bump.edits.iter().map(|e| &e.path).collect::<Vec<_>>());
    let wrong = parse_listed("acme-ir\t0.9.0\t0.9.2\tcrates/ir/Cargo.toml\ttrue\n", "list").unwrap();
    let says = bump_listed(&tree, &wrong, Requirements::Lift, &request("patch"), &UNTAGGED).unwrap_err().report();
    assert!(says.contains("crates/ir/Cargo.toml:3: `acme-ir` is at 0.9.1, listed at 0.9.0"), "{says}");
    let again = parse_listed("\u{feff}acme-ir\t0.9.1\t0.9.2\t./crates//ir/Cargo.toml\ttrue\r\n", "list").unwrap();
    assert_eq!(again, listed, "as another system writes it");
    for outside in ["/etc/Cargo.toml", "../Cargo.toml", "a/../../Cargo.toml"] {
        let says = parse_listed(&format!("a\t1.0.0\t1.0.1\t{outside}\ttrue\n"), "list").unwrap_err();
        assert!(says.message().contains("does not lie in the tree"), "{}", says.message());
    }
    assert!(parse_listed("a\tb\n", "list").unwrap_err().message().contains("list:1: 2 fields instead of 5"));
}
