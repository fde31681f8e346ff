//! `staging = "encrypted"`: before the gate a store has nothing of a train that anybody but its people could read.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lifeboat::effects::{Area, PutNew, Store};
use lifeboat::error::{Error, Result};
use lifeboat::host::HostDisk;
use lifeboat::model::{Digests, Sha256};

use crate::support::canary::{Eyes, Search};
use crate::support::forwarding::{Around, Forwarding};
use crate::support::instant_runner::InstantRunner;
use crate::support::kill_points::KillPoints;
use crate::support::sample_train::{Ran, SampleTrain};
use crate::support::scratch;
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};

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
    let (lost, damaged) = (object(&train, "sample-v1.0.5-linux.tar.gz"), object(&train, "sample-v2.0.2-other.tar.gz"));
    let before = [&lost, &damaged].map(|at| fs::read(at).unwrap());
    let break_both = || {
        fs::remove_file(&lost).ok();
        fs::remove_file(&damaged).ok();
        fs::write(&damaged, &before[1][1..]).unwrap();
    };
    break_both();
    // Without a key that reads messages the gate stays shut, whatever else is there.
    let (keys, aside) = (train.root().join("sample/secret"), train.root().join("aside"));
    fs::create_dir(&aside).unwrap();
    for person in ["alice", "bob", "carol"] {
        fs::rename(train.key(person), aside.join(person)).unwrap();
    }
    let ran = train.ship();
    assert!(
        ran.code != Some(0) && ran.stderr.contains("`sample-v1.0.5-linux.tar.gz` of line `release-1.0.0`"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("this machine has lost the bytes"), "{ran:?}");
    assert!(!train.store().join("releases").exists(), "something is public");
    assert_eq!(holds(&train), 0, "the gate is shut");
    for person in ["alice", "bob", "carol"] {
        fs::rename(aside.join(person), keys.join(format!("{person}.key"))).unwrap();
    }
    break_both();
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("released"), "{ran:?}");
    assert_eq!([&lost, &damaged].map(|at| fs::read(at).unwrap()), before);
    verified(&train);
}

/// Where the train keeps the bytes of a file of a release.
fn object(train: &SampleTrain, file: &str) -> PathBuf {
    object_in(&train.train_dir("drill").join("objects"), file)
}

fn object_in(objects: &Path, file: &str) -> PathBuf {
    let sums = files(objects).into_values().filter_map(|bytes| String::from_utf8(bytes).ok());
    let digest = sums.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).find_map(|line| {
        let (digest, name) = line.split_once("  ")?;
        (digest.len() == 64 && name == file).then(|| digest.to_owned())
    });
    let digest = digest.unwrap();
    objects.join(&digest[..2]).join(&digest[2..])
}

/// A train that was to be staged as it is, and was amended at its gate; its nonce.
fn amended() -> (SampleTrain, String) {
    let train = SampleTrain::new();
    train.to_the_gate();
    let staging = train.store().join(".staging");
    assert!(!Search::new(&WORDS, Eyes::Owner).find(&staging).is_empty(), "it lies open");
    let names = fs::read_dir(&staging).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let nonce = names.into_iter().find(|name| name.len() == 32).unwrap();
    train.edit(&train.config(), "\nrequired = true\n", "\nrequired = true\nstaging = \"encrypted\"\n");
    train.run(&["amend", &train.train_file().display().to_string(), "--yes"]).ends_with(0);
    train.ship().ends_with(3);
    (train, nonce)
}

/// Holds a branch, as a gate leaves it that was killed.
fn held(train: &SampleTrain, branch: &str, holder: &str) {
    let dir = train.store().join(".staging/.held");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(format!("branch-{}", &Sha256::of(branch.as_bytes()).hex()[..16])), holder).unwrap();
}

fn holds(train: &SampleTrain) -> usize {
    fs::read_dir(train.store().join(".staging/.held")).map_or(0, Iterator::count)
}

#[test]
fn what_lay_open_before_an_amendment_is_removed_and_its_hold_is_taken_over() {
    let (train, nonce) = amended();
    let staging = train.store().join(".staging");
    assert!(!staging.join(&nonce).exists(), "what was staged before is still there");
    let found = Search::new(&WORDS, Eyes::Owner).find(&staging);
    assert!(found.is_empty(), "{}", found.join("\n"));
    train.approve();
    let named = |train: &str| format!(r#"{{"branch":"release-1.0.0","train":"{train}","nonce":"{nonce}"}}"#);
    held(&train, "release-1.0.0", &named("another"));
    train.ship().fails(4, &["train `another` is bringing `release-1.0.0` to the public"]);
    held(&train, "release-1.0.0", &named("drill"));
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("released"), "{ran:?}");
    verified(&train);
    assert_eq!(holds(&train), 0);
}

#[test]
fn an_amended_train_that_is_given_up_gives_back_holds_of_either_form() {
    let (train, nonce) = amended();
    held(&train, "release-1.0.0", &format!(r#"{{"branch":"release-1.0.0","train":"drill","nonce":"{nonce}"}}"#));
    held(&train, "release-2.0.0", &format!(r#"{{"nonce":"{nonce}"}}"#));
    assert_eq!(holds(&train), 2);
    train.run(&["abandon", "--reason", "a test"]).ends_with(0);
    assert_eq!(holds(&train), 0);
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

#[test]
fn a_plan_says_how_long_uploads_take_at_a_rate() {
    let train = SampleTrain::new();
    let file = train.train_file().display().to_string();
    train.edit(&train.config(), "\nrequired = true\n", "\nrequired = true\nrate_limit = \"1 kB/s\"\n");
    let plan = train.run(&["plan", &file]).ends_with(0).stdout;
    assert!(plan.contains("store mirror: at 1 kB/s; how many bytes go there is known once they are built"), "{plan}");
    train.edit(&train.config(), "1 kB/s", "1 GB/s");
    train.to_the_gate();
    // As if these were the releases before.
    let mut bytes = 0;
    for (path, text) in files(&train.store().join(".staging")) {
        for (new, old) in [("1.0.5", "1.0.4"), ("2.0.2", "2.0.1")] {
            if path.ends_with(format!("releases/{new}/manifest.json")) {
                let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
                let artifacts = manifest["artifacts"].as_array().unwrap();
                bytes += artifacts.iter().map(|a| a["size"].as_u64().unwrap()).sum::<u64>();
                fs::create_dir_all(train.store().join("releases").join(old)).unwrap();
                fs::write(train.store().join("releases").join(old).join("manifest.json"), &text).unwrap();
            }
        }
    }
    assert!((10_000..60_000).contains(&bytes), "{bytes} bytes");
    let once = format!("{} s until all is", bytes / 1000);
    train.edit(&train.config(), "1 GB/s", "1 kB/s");
    let plan = train.run(&["plan", &file]).ends_with(0).stdout;
    assert!(plan.contains(&format!("before the gate {once} staged")) && !plan.contains("again"), "{plan}");
    train.edit(&train.config(), "\nrequired = true\n", "\nrequired = true\nstaging = \"encrypted\"\n");
    let plan = train.run(&["plan", &file]).ends_with(0).stdout;
    assert!(plan.contains(&format!("after it {once} uploaded again")), "{plan}");
}

/// Refuses the built file of each line, as long as it should.
struct Refuses(AtomicBool);

#[async_trait::async_trait]
impl Around for Refuses {
    async fn put_new(
        &self,
        inner: &dyn Store,
        (area, path): (&Area, &str),
        source: &Path,
        digests: &Digests,
    ) -> Result<PutNew> {
        if *area == Area::Public && path.ends_with(".sh") && self.0.load(Ordering::SeqCst) {
            return Err(Error::conflict("not yet"));
        }
        inner.put_new(area, path, source, digests).await
    }
}

/// Bytes that are damaged after the gate opened are decrypted before anything else is uploaded.
#[test]
fn a_promotion_that_goes_on_reads_its_bytes_first() {
    let dir = scratch();
    let store = World::at(dir.path()).store();
    let keys = format!("url = \"file://{}\"\nstaging = \"encrypted\"", store.display());
    let world = World::create_with(dir.path(), &keys);
    let runner = InstantRunner::port(world.train().jobs());
    let mut effects = effects(&world, Arc::new(HostDisk), &KillPoints::counting(), &Signatures::fresh(), Some(runner));
    let refuses = Forwarding::before(&mut effects, Refuses(AtomicBool::new(true)));
    world.go(&effects, Leg::Ship).unwrap();
    world.go(&effects, Leg::Approve).unwrap();
    let e = world.go(&effects, Leg::Finish).unwrap_err();
    assert!(e.report().contains("not yet"), "{}", e.report());
    refuses.around.0.store(false, Ordering::SeqCst);
    let public = || files(&store.join("releases")).into_keys().collect::<Vec<_>>();
    let before = public();
    assert!(before.iter().all(|path| !path.ends_with("SHA256SUMS")), "{before:?}");
    let objects = world.train().objects();
    let built = ["sample-v1.0.5.sh", "sample-v2.0.2.sh"].map(|name| object_in(&objects, name));
    let kept = built.each_ref().map(|at| fs::read(at).unwrap());
    for at in &built {
        fs::remove_file(at).unwrap();
        fs::write(at, "damaged").unwrap();
    }
    // What is staged is away: nothing more becomes public.
    let (staging, away) = (store.join(".staging"), store.join("away"));
    fs::rename(&staging, &away).unwrap();
    let e = world.go(&effects, Leg::Finish).unwrap_err();
    assert!(e.report().contains("this machine has lost the bytes of `sample-v"), "{}", e.report());
    assert_eq!(public(), before);
    fs::remove_dir_all(&staging).ok();
    fs::rename(&away, &staging).unwrap();
    world.go(&effects, Leg::Finish).unwrap();
    assert_eq!(built.map(|at| fs::read(at).unwrap()), kept);
    assert!(public().len() > before.len());
}
