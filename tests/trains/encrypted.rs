//! `staging = "encrypted"`: before the gate a store has nothing of a train that anybody but its people could read.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use lifeboat::model::Sha256;

use crate::support::canary::{Eyes, Search};
use crate::support::sample_train::{Ran, SampleTrain};

/// What a stranger must not learn from a staging area.
const WORDS: [&str; 9] =
    ["sample", "1.0.5", "2.0.2", "release-", "drill", "SHA256SUMS", "manifest", "lifeboat", "SAMPLE-2026-0001"];

fn encrypted() -> SampleTrain {
    let train = SampleTrain::new();
    train.edit(&train.config(), "\nrequired = true\n", "\nrequired = true\nstaging = \"encrypted\"\n");
    train
}

/// Every file below a directory, by its path from there.
fn files(top: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut out, mut dirs) = (BTreeMap::new(), vec![top.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                out.insert(path.strip_prefix(top).unwrap().to_owned(), fs::read(path).unwrap());
            }
        }
    }
    out
}

/// What the train has staged: the encrypted files, without its note.
fn staged(train: &SampleTrain) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = files(&train.store().join(".staging"));
    all.retain(|path, _| path.components().any(|part| part.as_os_str() == "objects"));
    all
}

/// What the journal says of encrypted files: the digest by the random name.
fn recorded(train: &SampleTrain) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for record in train.records("drill") {
        let Some(made) = record.pointer("/what/outcome/files").and_then(|files| files.as_object()) else { continue };
        for file in made.values() {
            let text = |field: &str| file.pointer(field).unwrap().as_str().unwrap().to_owned();
            out.insert(text("/name"), text("/digests/sha256"));
        }
    }
    out
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn verified(train: &SampleTrain) {
    for version in ["1.0.5", "2.0.2"] {
        let ran = train.run(&["verify", version, &train.store().display().to_string()]).ends_with(0);
        assert!(ran.stdout.contains("approved by alice, bob"), "{ran:?}");
    }
}

#[test]
fn a_store_learns_nothing_of_a_train_before_its_gate() {
    let train = encrypted();
    let file = train.train_file().display().to_string();
    let plan = train.run(&["plan", &file]).ends_with(0);
    for said in ["what is staged is encrypted to alice, bob, carol", "all files are uploaded again"] {
        assert!(plan.stdout.contains(said), "no `{said}` in:\n{}", plan.stdout);
    }
    let doctor = train.run(&["doctor"]);
    assert!(doctor.stdout.contains("staged files are encrypted to alice, bob, carol"), "{doctor:?}");
    train.to_the_gate();
    // It does find these words where they are.
    let mut search = Search::new(&WORDS, Eyes::Owner);
    assert!(search.find(&train.train_dir("drill")).len() > WORDS.len());
    let found = search.find(&train.store().join(".staging"));
    assert!(found.is_empty(), "{}", found.join("\n"));
    let staged = staged(&train);
    assert_eq!(staged.len(), recorded(&train).len());
    assert!(staged.len() > 10, "{} files", staged.len());
    for (path, bytes) in &staged {
        assert_eq!(name(path).len(), 32, "{}", path.display());
        assert!(bytes.len() > 4096, "the size of `{}` says how small it is", path.display());
    }
    assert!(files(&train.store()).keys().all(|path| path.starts_with(".staging")), "something is public");
    train.release();
    verified(&train);
    let left = files(&train.store().join(".staging"));
    assert!(left.keys().all(|path| !path.to_string_lossy().contains("objects/")), "{:?}", left.keys());
    let found = search.find(&train.store().join(".staging"));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_killed_train_stages_the_same_bytes_again() {
    let train = encrypted();
    let file = train.train_file().display().to_string();
    let mut sizes = Vec::new();
    for enough in [1, 5, 12] {
        let mut child = train.command(&["ship", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while staged(&train).len() < enough && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(child.kill());
        child.wait().unwrap();
        sizes.push(staged(&train).len());
    }
    train.adopt().ends_with(3);
    assert!(sizes[0] > 0 && sizes[0] < staged(&train).len(), "no kill came in the middle: {sizes:?}");
    train.approve();
    // The first record of each line's encryption is the only one: nothing was encrypted a second time.
    let recorded = recorded(&train);
    let found: BTreeMap<String, String> =
        staged(&train).iter().map(|(path, bytes)| (name(path), Sha256::of(bytes).hex())).collect();
    assert_eq!(found, recorded);
    let mut child = train.command(&["ship"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !train.store().join("releases").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(child.kill());
    child.wait().unwrap();
    train.ship().ends_with(0);
    verified(&train);
}

/// Changes one byte in the middle of an encrypted file in the store.
fn change_one(train: &SampleTrain) -> PathBuf {
    let (path, mut bytes) = staged(train).pop_last().unwrap();
    let (at, full) = (bytes.len() / 2, train.store().join(".staging").join(&path));
    bytes[at] ^= 1;
    fs::remove_file(&full).unwrap();
    fs::write(&full, bytes).unwrap();
    full
}

#[test]
fn what_a_store_changes_is_refused_before_the_gate() {
    let train = encrypted();
    train.to_the_gate();
    let path = change_one(&train);
    let said = ["store `mirror` has other bytes at `objects/", "in its staging area, which is not public"];
    train.run(&["approve", "--as", "alice", "--yes"]).fails(4, &said);
    // What is lost is staged again, as it was.
    fs::remove_file(path).unwrap();
    train.ship().ends_with(3);
    train.approve();
    let path = change_one(&train);
    train.ship().fails(4, &said);
    assert!(!train.store().join("releases").exists(), "something is public");
    fs::remove_file(path).unwrap();
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("released"), "{ran:?}");
    verified(&train);
}

#[test]
fn bytes_that_the_train_has_lost_are_decrypted_from_the_store() {
    let train = encrypted();
    train.edit(&train.config(), "sign_artifacts = true", "sign_artifacts = false");
    train.to_the_gate();
    train.approve();
    let objects = train.train_dir("drill").join("objects");
    let sums = files(&objects).into_values().filter_map(|bytes| String::from_utf8(bytes).ok());
    let lost = sums.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).find_map(|line| {
        let (digest, name) = line.split_once("  ")?;
        (digest.len() == 64 && name == "sample-v1.0.5-linux.tar.gz").then(|| digest.to_owned())
    });
    let lost = lost.unwrap();
    let at = objects.join(&lost[..2]).join(&lost[2..]);
    let bytes = fs::read(&at).unwrap();
    fs::remove_file(&at).unwrap();
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("released"), "{ran:?}");
    assert_eq!(fs::read(at).unwrap(), bytes);
    verified(&train);
}

/// The certificate of a key file, without the subkeys that read messages; written into a directory under its fingerprint.
fn certificate(key: &Path, dir: &Path) -> String {
    use sequoia_openpgp::parse::Parse as _;
    use sequoia_openpgp::serialize::SerializeInto as _;
    let cert = sequoia_openpgp::Cert::from_bytes(&fs::read(key).unwrap()).unwrap();
    let cert = cert.strip_secret_key_material().retain_subkeys(|_| false);
    let fingerprint = cert.fingerprint().to_hex();
    fs::write(dir.join(format!("{fingerprint}.asc")), cert.armored().to_vec().unwrap()).unwrap();
    fingerprint
}

#[test]
fn everybody_of_the_root_must_be_able_to_decrypt() {
    let train = encrypted();
    let keys = train.project().join("keys");
    let carol = certificate(&train.key("carol"), &keys);
    // What the machine has seen of a certificate before counts too.
    fs::remove_dir_all(train.state().join("sample/certificates")).ok();
    let said = [
        "`carol` has no key to which staged files could be encrypted",
        &format!("gpg --quick-add-key {carol} cv25519 encr"),
        "store `mirror` has `staging = \"encrypted\"`",
    ];
    let file = train.train_file().display().to_string();
    train.run(&["plan", &file]).fails(2, &said);
    train.adopt().fails(2, &said);
    for args in [&["doctor"][..], &["doctor", "--as", "alice"]] {
        let doctor = train.run(args);
        assert_eq!(doctor.code, Some(1), "{doctor:?}");
        assert!(doctor.stdout.contains(said[0]) && doctor.stdout.contains(said[1]), "{doctor:?}");
    }
    let release = certificate(&train.key("release"), train.root());
    let path = |dir: &Path, fingerprint: &str| dir.join(format!("{fingerprint}.asc")).display().to_string();
    let (person, release) = (format!("carol={}", path(&keys, &carol)), path(train.root(), &release));
    let dir = train.root().join("new-keys").display().to_string();
    let init = || -> Ran {
        let root = ["trust", "init", "--keys", &dir, "--project", "sample", "--expires", "2099-01-01"];
        train.run(&[&root[..], &["--person", &person, "--threshold", "1", "--release", &release]].concat())
    };
    init().fails(2, &said);
    // With private staging nobody needs such a key.
    train.edit(&train.config(), "staging = \"encrypted\"", "staging = \"private\"");
    init().ends_with(0);
    train.run(&["plan", &file]).ends_with(0);
}
