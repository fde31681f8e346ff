//! Version fields in files of any kind, found by looking, and what a list of crates says of locks and tables.

use std::collections::BTreeSet;

use lifeboat::bump::{Bump, BumpRequest, MemoryTree, Requirements, bump_listed, parse_listed};

const ROOT: &str = "[workspace]\nmembers = [\"acme\", \"core\"]\n\
    [workspace.package]\nrepository = \"https://forge.example/team/roadrunner/tree/main/acme\"\n";
const ACME: &str = "[package]\nname = \"acme\"\nversion = \"1.14.2\"\nrepository.workspace = true\n[dependencies]\n\
    # acme-core = { path = \"../core\", version = \"1.14.2\" }\n# acme-core = \"1.14.2\"\n";
const CORE: &str = "[package]\nname = \"acme-core\"\nversion = \"1.14.2\"\n";
const BOTH: &str = "acme\t1.14.2\t1.14.3\tacme/Cargo.toml\ttrue\nacme-core\t1.14.2\t1.14.3\tcore/Cargo.toml\ttrue\n";
const LONE: &str = "acme\t1.14.2\t1.14.3\tacme/Cargo.toml\ttrue\n";

fn run(more: &[(&str, &str)], list: &str) -> Bump {
    let own = [("Cargo.toml", ROOT), ("acme/Cargo.toml", ACME), ("core/Cargo.toml", CORE)];
    let tree = MemoryTree::new(&[&own, more].concat());
    let request =
        BumpRequest { to: "patch".parse().unwrap(), date: jiff::civil::date(2026, 5, 21), tags: BTreeSet::new() };
    bump_listed(&tree, &parse_listed(list, "list").unwrap(), Requirements::Lift, &request, &|_, _| None)
        .unwrap_or_else(|e| panic!("{}", e.report()))
}

fn after<'a>(bump: &'a Bump, path: &str) -> Option<&'a str> {
    bump.edits.iter().find(|e| e.path == path).map(|e| std::str::from_utf8(&e.after).unwrap())
}

#[test]
fn where_several_crates_take_one_step_the_fields_of_the_project_follow() {
    let json = "{ \"name\": \"acme-editor\",\n  \"version\": \"1.14.2\", \"x\": { \"version\": \"1.14.2\" } }\n";
    let toml = "version = \"1.14.2\"\n[dependencies.x]\nversion = \"1.14.2\"\n";
    let yaml = "version: \"1.14.2\"\nx:\n  version: \"1.14.2\"\n";
    let script = "ROADRUNNER_VERSION = \"1.14.2\"\nOTHER_VERSION = \"1.14.2\"\n";
    let rust = "pub const VERSION: &str = \"1.14.2\";\nlet version = \"1.14.2\";\n";
    let python = "[project]\nname = \"x\"\nversion = \"1.14.2b1\"\ndependencies = [\"acme-core == 1.14.2\"]\n";
    let files = [
        ("editors/package.json", json),
        ("tests/package.json", json),
        ("core/build/package.json", json),
        ("editors/extension.toml", toml),
        ("idf/component.yml", yaml),
        ("docs/conf.py", script),
        ("acme/src/version.rs", rust),
        ("acme/python/pyproject.toml", python),
    ];
    let bump = run(&files, BOTH);
    let first = |text: &str| Some(text.replacen("1.14.2", "1.14.3", 1));
    assert_eq!(after(&bump, "editors/package.json").map(str::to_owned), first(json));
    assert_eq!(after(&bump, "core/build/package.json").map(str::to_owned), first(json));
    assert_eq!(after(&bump, "tests/package.json"), None, "a version that was made up for a test");
    assert_eq!(after(&bump, "editors/extension.toml").map(str::to_owned), first(toml));
    assert_eq!(after(&bump, "idf/component.yml").map(str::to_owned), first(yaml));
    assert_eq!(after(&bump, "docs/conf.py").map(str::to_owned), first(script), "named after the repository");
    assert_eq!(after(&bump, "acme/src/version.rs").map(str::to_owned), first(rust));
    assert_eq!(after(&bump, "acme/python/pyproject.toml"), Some(python.replace("1.14.2", "1.14.3").as_str()));
    assert_eq!(after(&bump, "acme/Cargo.toml"), Some(ACME.replacen("1.14.2", "1.14.3", 2).as_str()));
    // A crate that stays at that version may have written it.
    let bump = run(&files, LONE);
    assert_eq!(after(&bump, "core/build/package.json"), None);
    assert_eq!(after(&bump, "acme/src/version.rs").map(str::to_owned), first(rust));
}

#[test]
fn first_versions_are_everybodys() {
    let tree = [
        ("acme/Cargo.toml", ACME.replace("1.14.2", "0.1.0")),
        ("core/Cargo.toml", CORE.replace("1.14.2", "0.1.0")),
        ("editors/package.json", "{ \"version\": \"0.1.0\" }\n".to_owned()),
    ];
    let tree: Vec<(&str, &str)> = tree.iter().map(|(p, t)| (*p, t.as_str())).collect();
    let bump = run(&tree, &BOTH.replace("1.14.2", "0.1.0").replace("1.14.3", "0.1.1"));
    assert!(after(&bump, "acme/Cargo.toml").is_some());
    assert_eq!(after(&bump, "editors/package.json"), None);
}

#[test]
fn tables_of_dependencies_and_of_releases_name_crates() {
    let table = "acme@1.14.2\tMIT\nother@1.14.2\tMIT\nacme-core@1.14.2\tMIT\n";
    let please = "{ \"core\": \"1.14.2\", \"other\": \"1.14.2\" }\n";
    let schema = "{ \"acme\": \"1.14.2\", \"node\": \"1.14.2\" }\n";
    let files = [
        ("DEPENDENCIES.rust.tsv", table),
        (".release-please-manifest.json", please),
        (".github/release-please/manifest.json", please),
        ("schema.json", schema),
    ];
    let bump = run(&files, BOTH);
    let moved = table.replace("acme@1.14.2", "acme@1.14.3").replace("core@1.14.2", "core@1.14.3");
    assert_eq!(after(&bump, "DEPENDENCIES.rust.tsv"), Some(moved.as_str()));
    for path in [".release-please-manifest.json", ".github/release-please/manifest.json"] {
        assert_eq!(after(&bump, path), Some(please.replacen("1.14.2", "1.14.3", 1).as_str()));
    }
    assert_eq!(after(&bump, "schema.json"), Some(schema.replacen("1.14.2", "1.14.3", 1).as_str()));
}

#[test]
fn a_crate_that_no_workspace_counts_is_not_looked_for_in_its_lock() {
    let lock = "version = 4\n\n[[package]]\nname = \"acme\"\nversion = \"1.14.2\"\n\n[[package]]\nname = \"acme-core\"\nversion = \"1.14.2\"\n";
    let sample = "[package]\nname = \"sample\"\nversion = \"1.14.2   \"\npublish = false\n";
    let list = format!("{BOTH}sample\t1.14.2\t1.14.3\tdocs/sample/Cargo.toml\tfalse\n");
    let bump = run(&[("Cargo.lock", lock), ("docs/sample/Cargo.toml", sample)], &list);
    assert_eq!(after(&bump, "Cargo.lock"), Some(lock.replace("1.14.2", "1.14.3").as_str()));
    assert_eq!(after(&bump, "docs/sample/Cargo.toml"), Some(sample.replace("1.14.2   ", "1.14.3").as_str()));
}
