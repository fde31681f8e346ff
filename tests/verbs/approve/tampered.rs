//! Bundles and approvals that were changed, are stale, or belong elsewhere: each is refused by name.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use lifeboat::formats::review_bundle::{CONTENT, HEADER, JOURNAL, NOTICE, PLAN};
use lifeboat::model::Sha256;
use serde_json::Value;

use crate::approve::homes::{Approver, Operator, two};
use crate::support::sample_train::Ran;

/// A bundle's files, in their order.
type Files = Vec<(String, Vec<u8>)>;

fn unpacked(bundle: &str) -> Files {
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    let one = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    };
    archive.entries().unwrap().map(one).collect()
}

fn packed(files: &Files, to: &str) {
    let mut archive = tar::Builder::new(fs::File::create(to).unwrap());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, &**bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// Replaces text in one of the files.
fn edit(files: &mut Files, name: &str, from: &str, to: &str) {
    let (_, bytes) = files.iter_mut().find(|(n, _)| n == name).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(from), "`{name}` has no `{from}`");
    *bytes = text.replacen(from, to, 1).into_bytes();
}

fn refused(bob: &Approver, bundle: &str, code: i32, said: &str) -> Ran {
    let approval = format!("{bundle}.approval");
    let ran = bob.approve(bundle, &approval).fails(code, &[&format!("bundle `{bundle}`"), said]);
    assert!(!Path::new(&approval).exists(), "an approval was written");
    assert_eq!(ran.stdout, "", "something was shown of a bundle that does not hold");
    ran
}

#[test]
fn every_part_of_a_bundle() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let whole = unpacked(&operator.exported("bundle.tar", &["--bytes"]));
    let bad = operator.mail("bad.tar");
    let digest = |n: u8| Sha256::of(&[n]).hex();
    let header: Value = serde_json::from_slice(&whole[1].1).unwrap();
    let text = |name: &str| header[name].as_str().unwrap().to_owned();
    let edits: Vec<(&str, String, String, &str)> = vec![
        (NOTICE, "do not forward".into(), "do forward".into(), "`EMBARGOED.txt` in it was changed"),
        (HEADER, text("plan"), digest(1), "the header names another plan"),
        (HEADER, text("content"), digest(1), "the header names another content manifest"),
        (HEADER, text("root"), digest(1), "the header names another trust root"),
        (HEADER, text("train"), "0".repeat(32), "the header names another nonce"),
        (HEADER, "\"format\": 1".into(), "\"format\": 9".into(), "has format 9"),
        (HEADER, "\"exported\"".into(), "\"exporter\"".into(), "is not a lifeboat-review-bundle"),
        (PLAN, "\"threshold\":2".into(), "\"threshold\":1".into(), "the plan in it"),
        (PLAN, "build.sh".into(), "other.sh".into(), "the plan in it"),
        (PLAN, "\"project\"".into(), " \"project\"".into(), "not written in its canonical form"),
        (JOURNAL, "\"attempt\":1".into(), "\"attempt\":2".into(), "the journal in it does not hold"),
        (JOURNAL, "\"event\":\"started\"".into(), "\"event\":\"resumed\"".into(), "the journal in it does not hold"),
        (CONTENT, "1.0.5".into(), "1.0.6".into(), "the content manifest is not that of the journal"),
    ];
    for (name, from, to, said) in edits {
        let mut files = whole.clone();
        edit(&mut files, name, &from, &to);
        packed(&files, &bad);
        refused(&bob, &bad, 6, said);
    }
    // Every object: the series, packs, what commands changed, sums, staged files.
    let objects: Vec<usize> = (0..whole.len()).filter(|i| whole[*i].0.starts_with("objects/")).collect();
    assert!(objects.len() > 15, "{}", objects.len());
    let mut by_size = 0;
    for (n, i) in objects.iter().enumerate().filter(|(n, _)| n % 4 == 0) {
        let mut files = whole.clone();
        files[*i].1.push(b'x');
        packed(&files, &bad);
        let ran = refused(&bob, &bad, 6, "has other bytes than its name says");
        by_size += usize::from(ran.stderr.contains("the journal says"));
        let lost = files.remove(*i);
        packed(&files, &bad);
        refused(&bob, &bad, 6, "is missing");
        if n == 0 {
            files.extend([lost.clone(), lost]);
            packed(&files, &bad);
            refused(&bob, &bad, 6, "");
        }
    }
    assert!(by_size > 0, "no file was refused by its size before it was read");
    // Records that were cut off, with what they name; a journal that ends in the middle of one.
    let mut files = whole.clone();
    let journal = &mut files.iter_mut().find(|(n, _)| n == JOURNAL).unwrap().1;
    journal.pop();
    packed(&files, &bad);
    refused(&bob, &bad, 6, "the journal in it");
    // Not a bundle at all; one that is cut off; another file of ours.
    let bytes = fs::read(operator.mail("bundle.tar")).unwrap();
    fs::write(&bad, &bytes[..bytes.len() / 2]).unwrap();
    refused(&bob, &bad, 6, "");
    fs::write(&bad, "From: somebody\n").unwrap();
    refused(&bob, &bad, 6, "it is not a review bundle");
    bob.approve("/no/such/bundle", &operator.mail("x"))
        .fails(2, &["there is no file `/no/such/bundle`", "`lifeboat export"]);
}

#[test]
fn bundles_of_another_root_and_another_project() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let bundle = operator.exported("bundle.tar", &[]);
    let config = bob.project().join("lifeboat.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("name = \"sample\"", "name = \"other\"")).unwrap();
    let ran = bob.approve(&bundle, &operator.mail("x.json"));
    assert_eq!(ran.code, Some(6), "{ran:?}");
    fs::write(&config, text).unwrap();
    // A root of its own, as another project or an attacker would have it.
    let (other, _) = two();
    let keys = other.0.project().join("keys");
    fs::remove_dir_all(bob.project().join("keys")).unwrap();
    fs::rename(keys, bob.project().join("keys")).unwrap();
    let root = Sha256::of(&fs::read(bob.project().join("keys/trust.json")).unwrap()).hex();
    bob.run(&["trust", "pin", &root, "--replace"]).ends_with(0);
    refused(&bob, &bundle, 6, "was planned under another trust root");
}

/// What is done to the file of an approval.
type Change<'a> = Box<dyn FnOnce(&mut Value) + 'a>;

/// The approval of Bob, with something changed in the file.
fn changed(approval: &str, to: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_slice(&fs::read(approval).unwrap()).unwrap();
    change(&mut value);
    // The order of fields is part of the form.
    let text = fs::read_to_string(approval).unwrap();
    let old: Value = serde_json::from_str(&text).unwrap();
    let mut new = text;
    for (from, to) in differences(&old, &value) {
        new = new.replacen(&serde_json::to_string(&from).unwrap(), &serde_json::to_string(&to).unwrap(), 1);
    }
    fs::write(to, new).unwrap();
    to.to_owned()
}

fn differences(old: &Value, new: &Value) -> Vec<(String, String)> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.keys().flat_map(|k| differences(&old[k], &new[k])).collect(),
        (Value::String(old), Value::String(new)) if old != new => vec![(old.clone(), new.clone())],
        _ => Vec::new(),
    }
}

fn not_recorded(operator: &Operator, file: &str, said: &[&str]) {
    let all = [&[file, "nothing was recorded"][..], said].concat();
    let before = operator.0.records("drill").len();
    operator.run(&["ship", "--train", "drill", "--approval", file]).fails(6, &all);
    assert_eq!(operator.0.records("drill").len(), before, "something was recorded");
}

#[test]
fn every_part_of_an_approval() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let bundle = operator.exported("bundle.tar", &[]);
    let approval = operator.mail("bob.json");
    bob.approve(&bundle, &approval).ends_with(0);
    let bad = operator.mail("bad.json");
    let whole: Value = serde_json::from_slice(&fs::read(&approval).unwrap()).unwrap();
    let sums = &whole["approval"]["sums"];
    let other = sums["release-2.0.0"]["sha256sums"].clone();
    let statement = whole["approval"]["statement"].as_str().unwrap().to_owned();
    let in_statement = |from: &str, to: &str| {
        assert!(statement.contains(from), "{statement}");
        Value::from(statement.replacen(from, to, 1))
    };
    let inner: BTreeMap<String, Value> = serde_json::from_str(&statement).unwrap();
    let field = |name: &str| inner[name].as_str().unwrap().to_owned();
    let digest = Sha256::of(b"other").hex();

    let cases: Vec<(Change<'_>, &[&str])> = vec![
        (Box::new(|v| v["project"] = "other".into()), &["for project `other`, not for `sample`"]),
        (Box::new(|v| v["train"] = "0".repeat(32).into()), &["an approval of another train", "this train is `drill`"]),
        (Box::new(|v| v["approval"]["signature"] = other.clone()), &["does not count", "does not match the bytes"]),
        (
            Box::new(|v| v["approval"]["sums"]["release-1.0.0"]["sha256sums"] = other.clone()),
            &["does not count", "line release-1.0.0", "does not match the bytes"],
        ),
        (Box::new(|v| v["approval"]["person"] = "alice".into()), &["is about another person"]),
        (
            Box::new(|v| v["approval"]["statement"] = in_statement(&field("plan"), &digest)),
            &["approved plan", "amended"],
        ),
        (Box::new(|v| v["approval"]["statement"] = in_statement(&field("content"), &digest)), &["other content"]),
        (Box::new(|v| v["approval"]["statement"] = in_statement(&field("root"), &digest)), &["another trust root"]),
        (
            Box::new(|v| v["approval"]["statement"] = in_statement(&field("expires"), "2026-01-02T00:00:00Z")),
            &["the approval of bob expired on 2026-01-02", "`lifeboat export drill --to FILE`"],
        ),
        (
            Box::new(|v| v["approval"]["statement"] = in_statement(&field("expires"), "2099-01-02T00:00:00Z")),
            &["does not count", "does not match the bytes"],
        ),
    ];
    for (change, said) in cases {
        not_recorded(&operator, &changed(&approval, &bad, change), said);
    }
    for (text, said) in [
        (fs::read(&bundle).unwrap(), "that is a review bundle"),
        (b"{}".to_vec(), "is not a lifeboat-carried-approval"),
        (
            fs::read_to_string(&approval).unwrap().replace("  \"project\"", "   \"project\"").into_bytes(),
            "canonical form",
        ),
    ] {
        fs::write(&bad, text).unwrap();
        operator.run(&["ship", "--approval", &bad]).fails(6, &[&bad, said]);
    }
    operator.run(&["ship", "--approval", "/no/such"]).fails(2, &["there is no file `/no/such`"]);
    // A good one beside a bad one: nothing is recorded, so that nobody has to find out which was.
    let other = changed(&approval, &bad, |v| v["project"] = "other".into());
    let before = operator.0.records("drill").len();
    operator.run(&["ship", "--train", "drill", "--approval", &approval, "--approval", &other]).ends_with(6);
    assert_eq!(operator.0.records("drill").len(), before);
    // Whoever holds no key of Bob's makes none for him, whatever the trust root's name is for it.
    let ran =
        bob.run(&["approve", "--bundle", &bundle, "--as", "alice", "--gpg", bob.key.as_str(), "--yes", "--out", &bad]);
    ran.fails(2, &["is there already"]);
    fs::remove_file(&bad).unwrap();
    let ran =
        bob.run(&["approve", "--bundle", &bundle, "--as", "alice", "--gpg", bob.key.as_str(), "--yes", "--out", &bad]);
    ran.fails(6, &["the approval of alice would not count"]);
    let ran = bob.run(&["approve", "--bundle", &bundle, "--as", "mallory", "--yes", "--out", &bad]);
    ran.fails(2, &["`mallory` is not one of those who approve: alice, bob, carol"]);
    operator.run(&["ship", "--approval", &approval]).ends_with(3);
}

#[test]
fn approvals_of_another_train_find_no_train() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let approval = operator.mail("bob.json");
    bob.approve(&operator.exported("bundle.tar", &[]), &approval).ends_with(0);
    operator.run(&["abandon", "--reason", "other patches"]).ends_with(0);
    operator.run(&["ship", "--approval", &approval]).fails(2, &["train `drill` was abandoned"]);
    operator.run(&["export", "drill", "--to", &operator.mail("late")]).fails(2, &["train `drill` was abandoned"]);
    // Bob has signed 1.0.5 and 2.0.2: they are retired.
    crate::retired::again(&operator.0, "again", "minor");
    operator.0.to_the_gate();
    let said = ["an approval of another train: `drill`", "this train is `again`", "`lifeboat export again --to FILE`"];
    operator.run(&["ship", "--train", "again", "--approval", &approval]).fails(6, &said);
}
