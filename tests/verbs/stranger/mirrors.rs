//! A volunteer with an address, a digest and a directory: `lifeboat mirror`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::stranger::home::{Served, Stranger, copy, digest, released};
use crate::support::sample_train::Ran;

/// An empty directory to be filled, and what is asked of it.
struct Volunteer {
    served: Served,
    stranger: Stranger,
    dir: tempfile::TempDir,
}

impl Volunteer {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mirror")).unwrap();
        Self { served: Served::new(), stranger: Stranger::new(), dir }
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("mirror")
    }

    fn mirror(&self) -> Ran {
        self.stranger.run(&["mirror", "--pin", &digest(), &self.served.url, &self.to().display().to_string()])
    }

    /// Every file of the mirror that strangers see, but for those that are made for each store.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        public(&self.to())
    }
}

fn public(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                _ if name.starts_with('.') || name.ends_with("index.html") => {}
                true => open.push(path),
                false => out.push((name, fs::read(&path).unwrap())),
            }
        }
    }
    out.sort();
    out
}

#[test]
fn an_empty_directory_becomes_the_same_store() {
    let volunteer = Volunteer::new();
    let ran = volunteer.mirror().ends_with(0);
    assert!(ran.stdout.contains("copied    1.0.5, 2.0.2"), "{ran:?}");
    assert_eq!(volunteer.files(), public(&volunteer.served.store()), "{ran:?}");
    for page in ["index.html", "releases/index.html", "releases/1.0.5/index.html"] {
        assert!(volunteer.to().join(page).is_file(), "{page}");
    }
    let at = volunteer.to().display().to_string();
    volunteer.stranger.verify(&["1.0.5", &at]).ends_with(0);
    volunteer.stranger.verify(&["latest", &at]).ends_with(0);
    // And again: nothing is left to do.
    let ran = volunteer.mirror().ends_with(0);
    assert!(ran.stdout.contains("unchanged 1.0.5, 2.0.2\n  0 files, 0 bytes"), "{ran:?}");
}

#[test]
fn what_is_missing_comes_back_and_what_is_wrong_is_named() {
    let volunteer = Volunteer::new();
    volunteer.mirror().ends_with(0);
    let whole = volunteer.files();
    for gone in ["releases/1.0.5/notes.md", "releases/2.0.2/approvals/bob.json.asc", "releases/index.json.asc", "git"] {
        let path = volunteer.to().join(gone);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    let ran = volunteer.mirror().ends_with(0);
    assert!(ran.stdout.contains("copied    1.0.5, 2.0.2"), "{ran:?}");
    assert_eq!(volunteer.files(), whole);
    fs::write(volunteer.to().join("releases/1.0.5/notes.md"), "something else").unwrap();
    let said = ["has other bytes at `releases/1.0.5/notes.md`", "remove this file there", "release: 1.0.5"];
    volunteer.mirror().fails(4, &said);
    fs::remove_file(volunteer.to().join("releases/1.0.5/notes.md")).unwrap();
    // A tag that somebody moved in the mirror.
    let tags = volunteer.to().join("git/sample.git/refs/tags");
    let tag = fs::read_dir(&tags).unwrap().next().unwrap().unwrap().path();
    fs::write(&tag, "0123456789012345678901234567890123456789\n").unwrap();
    volunteer.mirror().fails(4, &["serves another `refs/tags/", "a tag never moves"]);
}

#[test]
fn nothing_is_copied_of_what_does_not_verify() {
    let volunteer = Volunteer::new();
    let path = volunteer.served.path("releases/1.0.5/notes.md");
    fs::write(&path, "other notes").unwrap();
    volunteer.mirror().fails(6, &["nothing of this release was copied", "notes.md"]);
    assert!(volunteer.files().iter().all(|(name, _)| !name.starts_with("releases/1.0.5")), "{:?}", volunteer.files());
    assert!(!volunteer.to().join("releases/index.json").exists());
    // Too few people: everything else is as it was.
    volunteer.served.serves(&released().store());
    fs::remove_file(volunteer.served.path("releases/1.0.5/SHA256SUMS.bob.asc")).unwrap();
    volunteer.mirror().fails(6, &["nothing of this release was copied"]);
    assert!(!volunteer.to().join("releases/index.json").exists());
    // Another release's manifest.
    volunteer.served.serves(&released().store());
    let manifest = |version: &str| volunteer.served.path(&format!("releases/{version}/manifest.json"));
    fs::copy(manifest("2.0.2"), manifest("1.0.5")).unwrap();
    volunteer.mirror().fails(6, &["`releases/1.0.5/manifest.json` there is not the one that the index lists"]);
    // A damaged pack.
    volunteer.served.serves(&released().store());
    let packs = volunteer.served.path("git/sample.git/objects/pack");
    let pack =
        fs::read_dir(packs).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().unwrap() == "pack").unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    volunteer.mirror().fails(6, &["damaged"]);
    assert!(!volunteer.to().join("releases/index.json").exists());
}

#[test]
fn an_index_never_goes_back() {
    let volunteer = Volunteer::new();
    let old = tempfile::tempdir().unwrap();
    copy(&released().store(), &old.path().join("store"));
    let train = crate::support::sample_train::SampleTrain::new();
    train.to_the_gate();
    train.release();
    let before = tempfile::tempdir().unwrap();
    copy(&train.store(), &before.path().join("store"));
    train.run(&["refresh", "--now"]).ends_with(0);
    let to = volunteer.to().display().to_string();
    let pin = lifeboat::model::Sha256::of(&fs::read(train.project().join("keys/trust.json")).unwrap()).hex();
    let from = |store: PathBuf, who: &Stranger| who.run(&["mirror", "--pin", &pin, &store.display().to_string(), &to]);
    from(train.store(), &volunteer.stranger).ends_with(0);
    // Whoever remembers nothing sees it by what the mirror has.
    let other = Stranger::new();
    from(before.path().join("store"), &other)
        .fails(4, &["shows index number", "which is not newer", "nothing was copied"]);
}

/// The numbers of indexes begin again with a new freshness key, and a mirror follows; signatures do not pile up in it.
#[test]
fn a_mirror_follows_a_new_freshness_key() {
    let train = crate::support::sample_train::SampleTrain::new();
    train.to_the_gate();
    train.release();
    let (stranger, dir) = (Stranger::new(), tempfile::tempdir().unwrap());
    let pin = lifeboat::model::Sha256::of(&fs::read(train.project().join("keys/trust.json")).unwrap()).hex();
    let (from, to) = (train.store().display().to_string(), dir.path().display().to_string());
    let mirror = || stranger.run(&["mirror", "--pin", &pin, &from, &to]).ends_with(0);
    for number in 2..6 {
        train.run(&["refresh", "--now"]).ends_with(0);
        let ran = mirror();
        assert!(ran.stdout.contains(&format!("index number {number}")), "{ran:?}");
    }
    let names =
        fs::read_dir(dir.path().join("releases")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let signatures: Vec<String> = names.filter(|n| n.starts_with("index.") && n.len() > 60).collect();
    assert_eq!(signatures.len(), 2, "of this index and of the one before: {signatures:?}");
    crate::retired::rotate_freshness(&train);
    train.run(&["refresh", "--now"]).ends_with(0);
    let ran = mirror();
    assert!(ran.stdout.contains("index number 1\n"), "{ran:?}");
    stranger.run(&["verify", "--pin", &pin, "latest", &to]).ends_with(0);
}

/// A list that does not come now is a reason to try again, and not to mistrust anybody.
#[test]
fn a_list_of_mirrors_that_cannot_be_read_now_is_read_later() {
    let volunteer = Volunteer::new();
    volunteer.served.odd(Some(("releases/mirrors.json", "fails")));
    let ran = volunteer.mirror().ends_with(5);
    assert!(ran.stderr.contains("nothing was copied; run the same command again"), "{ran:?}");
    assert!(!ran.stderr.contains("do not trust") && !ran.stderr.contains("inform the project"), "{ran:?}");
    assert!(volunteer.files().is_empty(), "{:?}", volunteer.files());
    volunteer.served.odd(None);
    volunteer.mirror().ends_with(0);
}

/// What is copied belongs to one index: a store that moves on meanwhile is read again.
#[test]
fn a_store_that_moves_on_is_read_again() {
    let train = crate::support::sample_train::SampleTrain::new();
    train.to_the_gate();
    train.release();
    let (later, to, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Stranger::new());
    let then = ["--then", "/store/git/sample.git/info/refs", later.path().to_str().unwrap()];
    let served = Served::of(&train.store(), &then);
    train.run(&["refresh", "--now"]).ends_with(0);
    copy(&train.store(), &later.path().join("store"));
    let pin = lifeboat::model::Sha256::of(&fs::read(train.project().join("keys/trust.json")).unwrap()).hex();
    let ran = stranger.run(&["mirror", "--pin", &pin, &served.url, &to.path().display().to_string()]).ends_with(0);
    assert!(ran.stdout.contains("index number 2\n"), "{ran:?}");
    assert!(ran.stdout.contains("copied    1.0.5, 2.0.2"), "what the first round copied counts: {ran:?}");
}

#[test]
fn a_name_that_is_no_store_and_no_directory() {
    let volunteer = Volunteer::new();
    let ran = |to: &str| volunteer.stranger.run(&["mirror", "--pin", &digest(), &volunteer.served.url, to]);
    ran("origin").fails(2, &["`origin` is neither a configured store nor a directory", "/srv/mirror"]);
    ran("s3://bucket").fails(2, &["`s3://bucket` is neither a configured store nor a directory", "--to-config FILE"]);
}

/// A maintainer fills a store of the configuration by its name.
#[test]
fn a_configured_store_is_filled_by_its_name() {
    let train = crate::support::sample_train::SampleTrain::new();
    train.to_the_gate();
    train.release();
    let second = train.root().join("second");
    fs::create_dir(&second).unwrap();
    train.configure(&format!("[[store]]\nname = \"second\"\nurl = \"{}\"\nrequired = false\n", second.display()));
    let ran = train.run(&["mirror", &train.store().display().to_string(), "second"]).ends_with(0);
    assert!(ran.stdout.contains("`second` has what"), "{ran:?}");
    assert_eq!(public(&second), public(&train.store()));
    let json = train.run(&["--json", "mirror", &train.store().display().to_string(), "second"]).ends_with(0);
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(value["unchanged"], serde_json::json!(["1.0.5", "2.0.2"]), "{value}");
}
