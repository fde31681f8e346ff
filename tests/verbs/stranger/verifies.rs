//! What a stranger can verify.

use std::fs;

use crate::stranger::home::{Served, Stranger, copy, digest, released};

const FILE: &str = "sample-v1.0.5-linux.tar.gz";

#[test]
fn an_address_and_a_digest_are_enough() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let ran = stranger.verify(&["1.0.5", &served.url]).ends_with(0);
    assert!(ran.stdout.ends_with("sample 1.0.5 verifies; approved by alice, bob\n"), "{}", ran.stdout);
    for said in [
        "ok  index: number",
        "ok  latest: 2.0.2",
        "ok  repository:",
        "ok  branches: at the approved commit: release-1.0.0",
    ] {
        assert!(ran.stdout.contains(said), "no `{said}` in\n{}", ran.stdout);
    }
    // What is remembered: one index, and the certificates of the root.
    let mut files = stranger.files_of_home();
    files.retain(|f| !f.ends_with(".lock"));
    let below = |f: &String| f.starts_with("./.local/state/lifeboat/sample/");
    assert!(files.iter().all(below) && files.len() == 6, "{files:?}");
    for (wanted, version) in [("v1.0.5", "1.0.5"), ("latest", "2.0.2"), ("v2.0.2", "2.0.2")] {
        let ran = stranger.verify(&[wanted, &served.url]).ends_with(0);
        assert!(ran.stdout.contains(&format!("sample {version} verifies")), "{wanted}: {}", ran.stdout);
    }
    let ran = stranger.verify(&["latest", "--line", "release-1.0.0", &served.url]).ends_with(0);
    assert!(ran.stdout.contains("sample 1.0.5 verifies"), "{}", ran.stdout);
    // A directory works as an address does; so does the digest as people write it.
    let loud = format!("sha256:{}", digest().to_uppercase());
    let file = format!("file://{}", served.store().display());
    for place in [served.store().display().to_string(), file] {
        stranger.run(&["verify", "--pin", &loud, "1.0.5", &place]).ends_with(0);
    }
    let json = stranger.verify(&["--json", "1.0.5", &served.url]).ends_with(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["approved_by"], serde_json::json!(["alice", "bob"]));
}

#[test]
fn one_file_with_what_belongs_to_it_fetched_or_beside() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let release = served.path("releases/1.0.5");
    fs::copy(release.join(FILE), stranger.here().join(FILE)).unwrap();
    let ran = stranger.verify(&[FILE, &served.url]).ends_with(0);
    assert!(ran.stdout.contains(&format!("ok  artifact {FILE}")), "{}", ran.stdout);
    assert!(ran.stdout.contains("other files: 4 of 5 were not asked for"), "{}", ran.stdout);
    // Under another name, it is still the same file.
    fs::rename(stranger.here().join(FILE), stranger.here().join("download (1).tgz")).unwrap();
    stranger.verify(&["./download (1).tgz", &served.url]).ends_with(0);
    // Cut off: nobody's fault but the network's.
    let whole = fs::read(release.join(FILE)).unwrap();
    fs::write(stranger.here().join(FILE), &whole[..100]).unwrap();
    stranger.verify(&[FILE, &served.url]).fails(2, &[&format!("is cut off: 100 of {} bytes", whole.len())]);
    let mut other = whole.clone();
    other[200] ^= 1;
    fs::write(stranger.here().join(FILE), &other).unwrap();
    stranger.verify(&[FILE, &served.url]).fails(6, &["has other bytes than its people signed for"]);
    // With everything beside it, only the keys come from elsewhere.
    copy(&release, &stranger.here().join("release"));
    let beside = format!("release/{FILE}");
    let ran = stranger.verify(&[&beside, "--keys", &served.url]).ends_with(0);
    assert!(ran.stdout.contains("sample 1.0.5 verifies"), "{}", ran.stdout);
    fs::remove_file(stranger.here().join("release/SHA256SUMS.bob.asc")).unwrap();
    stranger.verify(&[&beside, "--keys", &served.url]).fails(2, &["`SHA256SUMS.bob.asc` is not in"]);
    fs::write(stranger.here().join("mine.txt"), "mine").unwrap();
    stranger.verify(&["mine.txt", &served.url]).fails(2, &["no release that is listed there has the file `mine.txt`"]);
    stranger.verify(&["./none.txt", &served.url]).fails(2, &["there is no file `./none.txt`"]);
}

#[test]
fn what_was_checked_is_kept_whole_or_not_at_all() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let ran = stranger.verify(&["1.0.5", &served.url, "--output", "got"]).ends_with(0);
    assert!(ran.stdout.contains("kept in `got`"), "{}", ran.stdout);
    let got = stranger.here().join("got");
    let same =
        |name: &str| fs::read(got.join(name)).unwrap() == fs::read(served.path("releases/1.0.5").join(name)).unwrap();
    for name in [FILE, "SHA256SUMS", "SHA256SUMS.alice.asc", "approvals/content.json", "manifest.json", "tag.txt"] {
        assert!(same(name), "{name}");
    }
    assert!(!got.join("index.html").exists());
    // It is a whole release by itself.
    stranger.verify(&["1.0.5", "got", "--keys", &served.url]).ends_with(0);
    stranger.verify(&["1.0.5", &served.url, "--output", "got"]).fails(2, &["`got` is not empty"]);
    stranger.verify(&["1.0.5", &served.url, "--only", "notes.md", "--output", "one"]).ends_with(0);
    assert!(stranger.here().join("one/notes.md").exists() && !stranger.here().join("one").join(FILE).exists());
    fs::write(served.path("releases/1.0.5").join(FILE), vec![0; fs::read(got.join(FILE)).unwrap().len()]).unwrap();
    stranger.verify(&["1.0.5", &served.url, "--output", "bad"]).fails(6, &["other bytes"]);
    let left: Vec<String> =
        fs::read_dir(stranger.here()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|n| n == "got" || n == "one"), "{left:?}");
}

#[test]
fn a_pinned_root_needs_no_digest_any_more() {
    let (served, stranger) = (Served::new(), Stranger::new());
    stranger
        .run(&["verify", "1.0.5", &served.url])
        .fails(2, &["no trust root is pinned", "lifeboat verify --pin DIGEST 1.0.5"]);
    let ran = stranger.run(&["trust", "pin", &digest(), &served.url]).ends_with(0);
    assert!(ran.stdout.contains("approve: 2 of alice, bob, carol"), "{}", ran.stdout);
    stranger.run(&["verify", "latest", &served.url]).ends_with(0);
    let shown = stranger.run(&["trust", "show", "--json", "--keys", &served.url]).ends_with(0).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["pinned"], digest());
    // The configuration says where the keys are.
    let train = released();
    let other = tempfile::tempdir().unwrap();
    copy(&train.project(), &other.path().join("project"));
    fs::rename(other.path().join("project/keys"), other.path().join("project/certificates")).unwrap();
    let config = other.path().join("project/lifeboat.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("name = \"sample\"\n", "name = \"sample\"\nkeys = \"certificates\"\n")).unwrap();
    let config = config.display().to_string();
    let json = stranger.run(&["--config", &config, "trust", "pin", "--json", &digest()]).ends_with(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["digest"], &json["version"]), (&serde_json::json!(digest()), &serde_json::json!(1)));
    stranger.run(&["--config", "/no/such/file", "trust", "pin", &digest()]).fails(2, &["/no/such/file"]);
}

#[test]
fn a_place_that_answers_403_for_what_it_lacks() {
    let (served, stranger) = (Served::of(&released().store(), &["--forbid"]), Stranger::new());
    stranger.verify(&["1.0.5", &served.url]).ends_with(0);
    fs::remove_file(served.path("releases/1.0.5").join(FILE)).unwrap();
    stranger.verify(&["1.0.5", &served.url]).fails(6, &[&format!("`{FILE}` is missing")]);
}
