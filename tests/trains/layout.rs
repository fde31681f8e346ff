//! `docs/layout.md` says where a store keeps what it serves: as the code does, and as a train leaves it.

use std::fs;
use std::path::Path;

use lifeboat::formats::layout;
use lifeboat::formats::manifest::{FILE, PAGE_DATA};
use lifeboat::host::HostDisk;
use lifeboat::model::{ProjectName, Sha256};
use regex::Regex;

use crate::support::instant_runner::InstantRunner;
use crate::support::kill_points::KillPoints;
use crate::support::scratch;
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};

/// The paths of the page's table, as they stand there and as expressions.
fn documented() -> Vec<(String, Regex)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/layout.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(path, _)| (path.to_owned(), expression(path))).collect()
}

fn expression(path: &str) -> Regex {
    let mut text = regex::escape(path);
    for (name, means) in [
        ("version", "[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?"),
        ("digest", "[0-9a-f]{64}"),
        ("fingerprint", "([0-9A-F]{40}|[0-9A-F]{64})"),
        ("number", "[0-9]+"),
        ("person", "[a-z][a-z0-9-]*"),
        ("project", "[a-z][a-z0-9_-]*"),
        ("file", "[0-9A-Za-z][0-9A-Za-z._+-]*"),
    ] {
        text = text.replace(&format!("\\{{{name}\\}}"), means);
    }
    assert!(!text.contains("\\{"), "`{path}` has a placeholder that the page does not explain");
    Regex::new(&format!("^{text}$")).unwrap()
}

fn public_files(dir: &Path, at: &str, out: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with('.') {
            continue;
        }
        let path = if at.is_empty() { name } else { format!("{at}/{name}") };
        if entry.path().is_dir() { public_files(&entry.path(), &path, out) } else { out.push(path) }
    }
}

#[test]
fn the_code_has_the_paths_of_the_page() {
    let documented = documented();
    let (version, project) = ("1.2.3-rc.1+build.5".parse().unwrap(), ProjectName::new("sample").unwrap());
    let mut paths = [layout::INDEX, layout::INDEX_SIGNATURE, layout::INDEX_PAGE, layout::LATEST, layout::ROOT_PAGE]
        .map(str::to_owned)
        .to_vec();
    paths.extend([layout::index_signature(b"index"), layout::mirrors_signature(b"list"), layout::MIRRORS.to_owned()]);
    paths.extend([FILE, PAGE_DATA, layout::RELEASE_PAGE].map(|name| layout::release_file(&version, name)));
    paths.push(layout::input(&Sha256::of(b"input")));
    paths.push(layout::key("trust.json"));
    paths.push(layout::key(&format!("{}.asc", Sha256::of(b"key").hex().to_uppercase())));
    paths.push(layout::repository_file(&project, "info/refs"));
    for path in paths {
        assert!(documented.iter().any(|(_, is)| is.is_match(&path)), "`{path}` is not in docs/layout.md");
    }
}

#[test]
fn a_train_leaves_a_store_as_the_page_says() {
    let dir = scratch();
    let world = World::create(dir.path());
    for leg in [Leg::Ship, Leg::Approve, Leg::Finish] {
        let runner = InstantRunner::port(world.train().jobs());
        let ports =
            effects(&world, std::sync::Arc::new(HostDisk), &KillPoints::counting(), &Signatures::fresh(), Some(runner));
        world.go(&ports, leg).unwrap();
    }
    let documented = documented();
    let mut found = Vec::new();
    public_files(&world.store(), "", &mut found);
    for path in &found {
        assert!(documented.iter().any(|(_, is)| is.is_match(path)), "`{path}` is not in docs/layout.md");
    }
    // What only later trains, a new trust root, a store with a public address, or `lifeboat inputs mirror` bring.
    let later = [
        "inputs/{digest}",
        "keys/trust.{number}.json",
        "keys/trust.json.{person}.asc",
        "keys/trust.{number}.json.{person}.asc",
        "releases/mirrors.json",
        "releases/mirrors.{digest}.asc",
    ];
    for (path, is) in documented.iter().filter(|(path, _)| !later.contains(&path.as_str())) {
        assert!(found.iter().any(|f| is.is_match(f)), "the store has no `{path}`: {found:?}");
    }
}
