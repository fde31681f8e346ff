//! What maintainers' bump commits change beyond versions and locks, found by looking.

use std::collections::BTreeSet;

use lifeboat::bump::{Bump, BumpRequest, MemoryTree, Requirements, bump_listed, parse_listed};

const ROOT: &str =
    "[workspace]\nmembers = [\"acme\", \"core\", \"tools\"]\n[patch.crates-io]\nacme-core = { path = \"core\" }\n";
const ACME: &str = "[package]\nname = \"acme\"\nversion = \"1.2.3\"\ndocumentation = \"https://docs.rs/acme/1.2.3/acme/\"\n\
    description = \"as https://docs.rs/acme/1.2.3\"\n[dependencies]\nacme-core = { path = \"../core\", version = \"0.9.0\" }\n";
const CORE: &str =
    "[package]\nname = \"acme-core\"\nversion = \"0.9.1\"\ndocumentation = 'https://docs.rs/acme-core/0.9.1'\n";
const TOOLS: &str = "[package]\nname = \"tools\"\nversion = \"1.2.3\"\npublish = false\n\
    documentation = \"https://docs.rs/acme/1.2.3\"\n[dependencies]\nacme-core = \"0.8.4\"\n";

fn tree(more: &[(&str, &str)]) -> MemoryTree {
    let own = [("Cargo.toml", ROOT), ("acme/Cargo.toml", ACME), ("core/Cargo.toml", CORE), ("tools/Cargo.toml", TOOLS)];
    MemoryTree::new(&[&own, more].concat())
}

fn run(tree: &MemoryTree, list: &str, requirements: Requirements) -> Bump {
    let request =
        BumpRequest { to: "patch".parse().unwrap(), date: jiff::civil::date(2026, 5, 21), tags: BTreeSet::new() };
    bump_listed(tree, &parse_listed(list, "list").unwrap(), requirements, &request, &|_, _| None)
        .unwrap_or_else(|e| panic!("{}", e.report()))
}

fn after<'a>(bump: &'a Bump, path: &str) -> Option<&'a str> {
    bump.edits.iter().find(|e| e.path == path).map(|e| std::str::from_utf8(&e.after).unwrap())
}

const BOTH: &str = "acme\t1.2.3\t1.2.4\tacme/Cargo.toml\ttrue\nacme-core\t0.9.1\t0.9.2\tcore/Cargo.toml\ttrue\n";

#[test]
fn a_manifest_says_where_its_own_version_is_documented() {
    let bump = run(&tree(&[]), BOTH, Requirements::Keep);
    let expected = ACME.replacen("1.2.3", "1.2.4", 2);
    assert_eq!(after(&bump, "acme/Cargo.toml"), Some(expected.as_str()), "its version and documentation, no prose");
    assert_eq!(after(&bump, "core/Cargo.toml"), Some(CORE.replace("0.9.1", "0.9.2").as_str()));
    assert_eq!(after(&bump, "tools/Cargo.toml"), None, "a crate that stays");
}

#[test]
fn told_to_lift_where_nothing_names_the_old_version_the_older_ones_rise() {
    let lifted = ACME.replacen("1.2.3", "1.2.4", 2).replace("\"0.9.0\"", "\"0.9.2\"");
    assert_eq!(after(&run(&tree(&[]), BOTH, Requirements::Lift), "acme/Cargo.toml"), Some(lifted.as_str()));
    // That is so for each crate by itself: what names another crate's version says nothing about this one.
    let member = ROOT.replace("\"tools\"", "\"tools\", \"user\"");
    let user = "[package]\nname = \"user\"\nversion = \"0.1.0\"\n[dependencies]\nacme = { path = \"../acme\", version = \"1.2.3\" }\n";
    let bump = run(&tree(&[("Cargo.toml", &member), ("user/Cargo.toml", user)]), BOTH, Requirements::Lift);
    assert_eq!(after(&bump, "user/Cargo.toml"), Some(user.replace("1.2.3", "1.2.4").as_str()));
    assert_eq!(after(&bump, "acme/Cargo.toml"), Some(lifted.as_str()));
    // One that names the version which the crate leaves is what was meant: the older one says what it needs.
    let user = user.replace(
        "acme = { path = \"../acme\", version = \"1.2.3\"",
        "acme-core = { path = \"../core\", version = \"0.9.1\"",
    );
    let bump = run(&tree(&[("Cargo.toml", &member), ("user/Cargo.toml", &user)]), BOTH, Requirements::Lift);
    assert_eq!(after(&bump, "user/Cargo.toml"), Some(user.replace("0.9.1", "0.9.2").as_str()));
    assert_eq!(after(&bump, "acme/Cargo.toml"), Some(ACME.replacen("1.2.3", "1.2.4", 2).as_str()));
}

#[test]
fn a_patch_that_does_not_fit_a_requirement_says_nothing_about_it() {
    // `tools` wants 0.8.4, which the patch to 0.9.1 cannot give: Cargo takes it from the registry.
    let bump = run(&tree(&[]), "tools\t1.2.3\t1.2.4\ttools/Cargo.toml\tfalse\n", Requirements::Lift);
    assert_eq!(after(&bump, "tools/Cargo.toml"), Some(TOOLS.replacen("1.2.3", "1.2.4", 1).as_str()));
    let fits = TOOLS.replace("0.8.4", "0.9.1");
    let bump = run(&tree(&[("tools/Cargo.toml", &fits)]), BOTH, Requirements::Lift);
    assert_eq!(after(&bump, "tools/Cargo.toml"), Some(fits.replace("0.9.1", "0.9.2").as_str()));
}

#[test]
fn a_library_and_a_readme_name_their_release() {
    let library = "//! acme = { version = \"1.2.3\" }\n//! acme-core = \"=0.9.1\"\n//! - [log](https://github.com/x/acme/blob/v1.2.3/CHANGELOG.md)\n\
        #![doc(html_root_url = \"https://docs.rs/acme-codegen/1.2.3\")]\nconst A: &str = \"\nacme = \\\"1.2.3\\\"\";\n";
    let readme = "[![](https://docs.rs/acme/badge.svg?version=1.2.3)](https://docs.rs/acme/1.2.3)\n\
        [a](https://github.com/x/tools/blob/acme-core-v0.9.1/LICENSE) [b](https://github.com/x/tools/blob/v0.9.1/LICENSE)\n";
    let book = "```toml\nacme = \"1.2.3\"\n```\n";
    let module = "//! [dependencies.acme]\n//! version = \"1.2.3\"\nconst A: &str = \"\nacme = \\\"1.2.3\\\"\";\n";
    let files = [
        ("acme/src/lib.rs", library),
        ("acme/src/json.rs", module),
        ("README.md", readme),
        ("tools/src/lib.rs", library),
        ("docs/b.md", book),
        ("docs/migration.md", book),
    ];
    let bump = run(&tree(&files), BOTH, Requirements::Keep);
    assert_eq!(after(&bump, "acme/src/lib.rs"), Some(library.replacen("1.2.3", "1.2.4", 3).as_str()));
    let expected = readme.replace("1.2.3", "1.2.4").replace("core-v0.9.1", "core-v0.9.2");
    assert_eq!(after(&bump, "README.md"), Some(expected.as_str()));
    assert_eq!(after(&bump, "tools/src/lib.rs"), None, "of a crate that stays");
    assert_eq!(after(&bump, "acme/src/json.rs"), Some(module.replacen("1.2.3", "1.2.4", 1).as_str()));
    assert_eq!(after(&bump, "docs/b.md"), Some(book.replace("1.2.3", "1.2.4").as_str()));
    assert_eq!(after(&bump, "docs/migration.md"), None, "it describes past releases");
}

#[test]
fn a_build_file_says_the_version_of_the_project_it_lies_in() {
    let cmake = "cmake_minimum_required(VERSION 1.2.3)\nproject(acme\n        VERSION \"1.2.3\"\n  LANGUAGES C)\n\
        find_package(x VERSION 1.2.3)\n# project(old VERSION 1.2.3)\nproject(longer VERSION 1.2.3.4)\nPROJECT (b VERSION 1.2.3)\n";
    let make = "VERSION := 1.2.3\nX_VERSION = 1.2.3\nVERSION=1.2.3-dev\n\tVERSION=1.2.3 ./run\n";
    let files = [
        ("CMakeLists.txt", cmake),
        ("Makefile", make),
        ("acme/CMakeLists.txt", cmake),
        ("tools/CMakeLists.txt", cmake),
        ("core/Makefile", make),
    ];
    let bump = run(&tree(&files), BOTH, Requirements::Keep);
    let expected = cmake.replace("\"1.2.3\"", "\"1.2.4\"").replace("b VERSION 1.2.3", "b VERSION 1.2.4");
    assert_eq!(after(&bump, "CMakeLists.txt"), Some(expected.as_str()));
    assert_eq!(after(&bump, "acme/CMakeLists.txt"), Some(expected.as_str()));
    assert_eq!(after(&bump, "Makefile"), Some(make.replacen("1.2.3", "1.2.4", 1).as_str()));
    assert_eq!(after(&bump, "tools/CMakeLists.txt"), None, "of a crate that stays");
    assert_eq!(after(&bump, "core/Makefile"), None, "of a crate at another version");
}
