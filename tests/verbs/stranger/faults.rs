//! The stranger's own mistakes are reported as such.

use std::fs;

use crate::stranger::home::{Served, Stranger, copy, digest, released};

#[test]
fn a_version_that_is_not_there() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let said = ["there is no release 9.9.9", "release-1.0.0: 1.0.5 (newest: 1.0.5)", "release-2.0.0: 2.0.2"];
    stranger.verify(&["9.9.9", &served.url]).fails(2, &said);
    stranger.verify(&["release", &served.url]).fails(2, &["`release` is neither a version", "2.0.2"]);
    stranger.verify(&["latest", "--line", "main", &served.url]).fails(2, &["no release of line `main`", "2.0.2"]);
    stranger.verify(&["1.0.5"]).fails(2, &["where is 1.0.5?"]);
    stranger.verify(&["1.0.5", &served.url, "--only", "x.zip"]).fails(2, &["1.0.5 has no file `x.zip`", "notes.md"]);
}

#[test]
fn a_wrong_address() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let deep = format!("{}/releases/1.0.5/", served.url);
    stranger
        .run(&["verify", "--pin", &digest(), "--layout", "store", "1.0.5", &deep])
        .fails(2, &["there is no `keys/trust.json`", &format!("give the base of the store: `{}/`", served.url)]);
    stranger.verify(&["1.0.5", &format!("{}/nowhere", served.url)]).fails(2, &["there is no `keys/trust.json`"]);
    stranger.verify(&["1.0.5", "/no/such/place"]).fails(2, &["no such directory"]);
    stranger.verify(&["1.0.5", "ftp://example.org/"]).fails(2, &["is not a place to verify", "expected a directory"]);
    stranger.verify(&["1.0.5", "http://127.0.0.1:1/"]).fails(5, &["cannot read"]);
    fs::write(served.path("keys/trust.json"), "<!doctype html><title>Log in</title>").unwrap();
    stranger.verify(&["1.0.5", &served.url]).fails(2, &["answers with a web page"]);
}

#[test]
fn a_digest_with_a_slip() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let right = digest();
    let with = |digest: &str| stranger.run(&["verify", "--pin", digest, "1.0.5", &served.url]);
    with(&right[1..]).fails(2, &["expected 64 hexadecimal digits, found 63"]);
    with(&format!("{}g", &right[1..])).fails(2, &["expected 64 hexadecimal digits, found `g`"]);
    let other = if right.starts_with('0') { "1" } else { "0" };
    with(&format!("{other}{}", &right[1..])).fails(2, &["in 1 of 64 digits: a slip?"]);
    with(&"0".repeat(64)).fails(
        6,
        &["does not have the digest that was given, and does not follow from it", "given  sha256:0", "approve: 2 of"],
    );
}

#[test]
fn a_certificate_that_is_missing_in_ones_own_directory() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let keys = stranger.here().join("mine");
    copy(&served.path("keys"), &keys);
    let alice = certificate_of("alice");
    fs::remove_file(keys.join(&alice)).unwrap();
    let ran = stranger.run(&["verify", "--keys", "mine", "1.0.5", &served.url]);
    ran.fails(2, &[&format!("the certificate `{alice}` of alice is missing"), "cannot be verified with what is here"]);
    // In the store it is the store's.
    fs::remove_file(served.path("keys").join(&alice)).unwrap();
    stranger.verify(&["1.0.5", &served.url]).fails(6, &[&format!("the certificate `{alice}` of alice is missing")]);
}

/// The file with somebody's certificate.
pub(crate) fn certificate_of(person: &str) -> String {
    let root = fs::read_to_string(released().project().join("keys/trust.json")).unwrap();
    let root: serde_json::Value = serde_json::from_str(&root).unwrap();
    format!("{}.asc", root["people"][person]["certificates"][0].as_str().unwrap())
}
