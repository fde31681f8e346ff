//! ARCHITECTURE.md speaks of what is there: each file, folder and item that it names exists, and its map has every module.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file below a directory, relative to the repository.
fn files(dir: &str) -> Vec<String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = vec![top.join(dir)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else {
            found.push(path.strip_prefix(top).unwrap().display().to_string());
        }
    }
    found
}

/// The parts of a text between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a name has the form of a path of this tree, and not of a command, an option or a file of a user.
fn is_path(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    plain && !name.starts_with('.') && (name.ends_with(".rs") || name.ends_with('/'))
}

/// Folders that users have, not this repository.
const OF_USERS: &[&str] = &["objects/", "releases/", "git/", "keys/"];

/// What a document names and the tree does not have.
fn missing(document: &str, tree: &[String]) -> Vec<String> {
    let there = |name: &str| {
        let name = name.trim_end_matches('/');
        tree.iter().any(|f| {
            let f = format!("/{f}/");
            f.contains(&format!("/{name}/")) || f.contains(&format!("/{name}.rs/"))
        })
    };
    let mut gone = BTreeSet::new();
    for name in quoted(document) {
        let path =
            name.split_once("::").filter(|(module, _)| module.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        match path {
            Some((module, item)) => {
                let word = item.rsplit("::").next().unwrap_or(item).trim_end_matches("()");
                let of = |f: &&String| f.starts_with("src/") && f.split(['/', '.']).any(|part| part == module);
                let text =
                    |f: &String| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(f)).unwrap_or_default();
                let said = |f: &String| text(f).split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word);
                if !there(module) || !(tree.iter().filter(of).any(said) || there(&format!("{module}/{word}"))) {
                    gone.insert(name.to_owned());
                }
            }
            None if is_path(name) && !OF_USERS.contains(&name) && !there(name) => drop(gone.insert(name.to_owned())),
            None => {}
        }
    }
    gone.into_iter().collect()
}

/// The rows of the code map: its places, and what is said of them.
fn rows(document: &str) -> Vec<(&str, &str)> {
    let map = document.split_once("## Code map").unwrap().1.split_once("\n## ").unwrap().0;
    let rows = map.lines().filter_map(|l| l.strip_prefix("| ")?.trim_end_matches(" |").split_once(" | "));
    rows.filter(|(place, _)| place.starts_with('`')).collect()
}

/// The names of a cell of places; several folders may stand in one pair of backquotes.
fn places(cell: &str) -> BTreeSet<String> {
    quoted(cell)
        .flat_map(|p| p.split(' '))
        .map(|p| p.trim_end_matches('/').trim_end_matches(".rs").to_owned())
        .collect()
}

/// Modules that the map lacks.
fn unnamed(document: &str, tree: &[String]) -> Vec<String> {
    let named: BTreeSet<String> = rows(document).iter().flat_map(|(place, _)| places(place)).collect();
    let modules = tree.iter().filter_map(|f| f.strip_prefix("src/")?.split(['/', '.']).next());
    let modules: BTreeSet<&str> = modules.filter(|m| *m != "lib").collect();
    modules.into_iter().filter(|m| !named.contains(*m)).map(str::to_owned).collect()
}

/// Words in backquotes, of a row with one folder, that are neither a file nor a folder in it, nor anywhere else.
fn strangers(document: &str, tree: &[String]) -> Vec<String> {
    let word = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let has = |place: &str, name: &str| {
        let (file, folder) = (format!("src/{place}/{name}.rs"), format!("src/{place}/{name}/"));
        tree.iter().any(|f| *f == file || f.starts_with(&folder))
    };
    let row = |(place, said): (&str, &str)| {
        let places = places(place);
        let strange = quoted(said).filter(word).filter(|name| !places.iter().any(|p| has(p, name))).map(str::to_owned);
        strange.collect::<Vec<_>>()
    };
    rows(document).into_iter().flat_map(row).collect()
}

fn architecture() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap()
}

fn tree() -> Vec<String> {
    let mut all: Vec<String> =
        ["src", "tests", "benches", "examples", "docs", "fuzz"].iter().flat_map(|d| files(d)).collect();
    all.retain(|f| !f.starts_with("fuzz/target"));
    all.extend(files("release-templates"));
    all
}

#[test]
fn what_architecture_names_is_there() {
    let (document, tree) = (architecture(), tree());
    let none: Vec<String> = Vec::new();
    assert_eq!(missing(&document, &tree), none, "ARCHITECTURE.md names what is not in the tree");
    assert_eq!(strangers(&document, &tree), none, "the code map names parts that their folders do not have");
    assert_eq!(unnamed(&document, &tree), none, "the code map has no row for these modules of src");
}

#[test]
fn a_wrong_name_is_found() {
    let (document, tree) = (architecture(), tree());
    let wrong = document.replacen("`engine/clock.rs`", "`engine/clocks.rs` `engine::Viewer` `perfrom/`", 1);
    assert_eq!(missing(&wrong, &tree), ["engine/clocks.rs", "engine::Viewer", "perfrom/"]);
    assert_eq!(strangers(&document.replacen("`fold`", "`folded`", 1), &tree), ["folded"]);
    assert_eq!(unnamed(&document.replacen("| `gather/` |", "| `cli/` |", 1), &tree), ["gather"]);
}
