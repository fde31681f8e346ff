//! The layering of the house, checked over the source text: who imports whom, what pure modules never touch, where vendors
//! are named, what every adapter folder has, and the size and names of files. Each rule is shown to fail on a planted
//! violation, in `planted`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod kinds;
mod planted;
mod programs;
mod rules;
mod source;

use self::source::Source;

fn judged(rule: impl Fn(&[Source]) -> Vec<String>) {
    let tree = Source::tree();
    assert!(tree.len() > 150, "only {} files were found", tree.len());
    let broken = rule(&tree);
    assert!(broken.is_empty(), "{} violations:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn imports_point_one_way() {
    judged(rules::imports);
}

#[test]
fn pure_modules_touch_nothing_outside() {
    judged(rules::purity);
}

#[test]
fn core_modules_name_no_vendor() {
    judged(rules::vendors);
}

#[test]
fn every_adapter_is_in_its_folder_s_registry() {
    judged(rules::registries);
}

#[test]
fn kinds_of_steps_are_distinguished_in_three_modules() {
    judged(kinds::kinds);
}

#[test]
fn programs_are_started_in_one_way() {
    judged(programs::programs);
}

#[test]
fn every_event_is_recorded() {
    judged(rules::events);
}

#[test]
fn files_are_small() {
    judged(rules::sizes);
}

#[test]
fn names_of_modules_say_what_is_in_them() {
    judged(rules::names);
}

#[test]
fn no_two_public_types_have_one_name() {
    judged(rules::types);
}

#[test]
fn nothing_panics_prints_or_exits_outside_tests() {
    judged(rules::panics);
}

#[test]
fn lints_that_the_rules_rely_on_are_on() {
    let manifest = std::fs::read_to_string(source::root().join("Cargo.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let rust = &manifest["lints"]["rust"];
    assert_eq!(rust["unsafe_code"].as_str(), Some("forbid"));
    // `tests/run` makes every warning an error.
    let level = rust["missing_docs"].as_str().unwrap();
    assert!(matches!(level, "warn" | "deny"), "{level}");
    let run = std::fs::read_to_string(source::root().join("tests/run")).unwrap();
    assert!(run.contains("cargo clippy --locked --quiet --all-targets -- -D warnings"), "tests/run lets warnings pass");
}
