//! The trust root on disk: pinned, rotated, shown; and the keys of the configuration.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::release_world::{Key, NOW, Team, World, at, person, refused};
use clap::Parser;
use lifeboat::adapter::Around;
use lifeboat::cli;
use lifeboat::effects::{Clock, Keys as _, Role, Signer as _};
use lifeboat::error::Result;
use lifeboat::host::HostDisk;
use lifeboat::model::{Secret, SecretRef, Sha256};
use lifeboat::signers::{ConfiguredKeys, OPERATOR_KEY};
use lifeboat::trust::{Root, RootChoice, TrustedRoot, load, load_remembering, pin, pinned};
use lifeboat::verify::{Report, Source, verify};
use lifeboat::wiring;

fn loaded(keys: &Path, choice: RootChoice) -> Result<TrustedRoot> {
    load(&HostDisk, keys, None, choice, at(NOW))
}

/// Writes `next` as the newest root, signed by these, and keeps the old one beside it.
fn rotate(keys: &Path, next: &Root, signers: &[(&str, &Key)]) {
    let version = next.version - 1;
    fs::rename(keys.join("trust.json"), keys.join(format!("trust.{version}.json"))).unwrap();
    let bytes = next.to_bytes().unwrap();
    fs::write(keys.join("trust.json"), &bytes).unwrap();
    for who in ["alice", "bob", "carol"] {
        let from = keys.join(format!("trust.json.{who}.asc"));
        if from.exists() {
            fs::rename(from, keys.join(format!("trust.{version}.json.{who}.asc"))).unwrap();
        }
    }
    for (who, key) in signers {
        fs::write(keys.join(format!("trust.json.{who}.asc")), key.sign(&mut &*bytes).unwrap()).unwrap();
    }
}

fn next(root: &Root) -> Root {
    let mut next = root.clone();
    next.version += 1;
    next.previous = Some(root.digest().unwrap());
    next.roles.approve.people.remove(&person("carol"));
    next
}

#[test]
fn a_root_follows_from_the_pinned_one() {
    let dir = tempfile::tempdir().unwrap();
    let team = Team::new();
    let one = team.root();
    team.write_keys(dir.path(), &one);
    let first = RootChoice::Pinned(one.digest().unwrap());
    assert_eq!(loaded(dir.path(), first).unwrap().root, one);
    let other = RootChoice::Pinned(Sha256::of(b"other"));
    assert!(loaded(dir.path(), other).unwrap_err().report().contains("is not the pinned one"));

    let two = next(&one);
    rotate(dir.path(), &two, &[("alice", &team.alice)]);
    let short = loaded(dir.path(), first).unwrap_err().report();
    // A root is signed by hand: no approval of a train helps.
    assert!(short.contains("1 of 2 people count") && !short.contains("lifeboat approve"), "{short}");
    fs::rename(dir.path().join("trust.1.json"), dir.path().join("trust.json")).unwrap();
    rotate(dir.path(), &two, &[("alice", &team.alice), ("bob", &team.alice2)]);
    assert!(loaded(dir.path(), first).unwrap_err().report().contains("no certificate of bob"));
    fs::rename(dir.path().join("trust.1.json"), dir.path().join("trust.json")).unwrap();
    rotate(dir.path(), &two, &[("alice", &team.alice), ("bob", &team.bob)]);
    let now = loaded(dir.path(), first).unwrap();
    assert_eq!(now.root, two);
    assert!(now.accepted.contains(&one.digest().unwrap()), "approvals of the old root's time still name it");

    let three = next(&two);
    rotate(dir.path(), &three, &[("carol", &team.carol), ("bob", &team.bob)]);
    let now = loaded(dir.path(), first).unwrap();
    assert_eq!((now.root.version, now.accepted.len()), (3, 3));
    // A machine that has seen version 2 is not sent back to version 1.
    let second = RootChoice::Pinned(two.digest().unwrap());
    loaded(dir.path(), second).unwrap();
    team.write_keys(dir.path(), &one);
    assert!(loaded(dir.path(), second).is_err());
}

#[test]
fn a_revocation_cannot_be_taken_back() {
    use lifeboat::formats::openpgp::Standing;
    let world = World::new();
    let (keys, state) = (world.keys(), world.state());
    let file = keys.join(format!("{}.asc", world.team.bob.fingerprint));
    let old = fs::read(&file).unwrap();
    let standing = || {
        let choice = RootChoice::Pinned(world.root_digest());
        let trust = load_remembering(&HostDisk, &keys, None, choice, at(NOW), &state).unwrap();
        trust.certificates[&world.team.bob.fingerprint].standing_now(at(NOW))
    };
    assert_eq!(standing(), Standing::Good);
    fs::write(&file, revoked(&world.team.bob)).unwrap();
    assert!(matches!(standing(), Standing::Revoked(_)));
    fs::write(&file, &old).unwrap();
    assert!(matches!(standing(), Standing::Revoked(_)), "the older copy says less, not more");
    assert!(matches!(standing(), Standing::Revoked(_)), "nor does it replace what is remembered");
}

/// The certificate, revoked for good by its own key.
fn revoked(key: &Key) -> String {
    revoked_by_itself(&key.armored, at(NOW))
}

/// The certificate of a secret key, revoked for good.
pub fn revoked_by_itself(armored: &str, when: jiff::Timestamp) -> String {
    use sequoia_openpgp as pgp;
    use sequoia_openpgp::parse::Parse as _;
    use sequoia_openpgp::serialize::SerializeInto as _;
    let secret = pgp::Cert::from_bytes(armored.as_bytes()).unwrap();
    let mut signer = secret.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let reason = pgp::types::ReasonForRevocation::KeyCompromised;
    let revocation = pgp::cert::CertRevocationBuilder::new()
        .set_reason_for_revocation(reason, b"")
        .unwrap()
        .set_signature_creation_time(when.into())
        .unwrap()
        .build(&mut signer, &secret, None)
        .unwrap();
    let (cert, _) = secret.strip_secret_key_material().insert_packets(revocation).unwrap();
    String::from_utf8(cert.armored().to_vec().unwrap()).unwrap()
}

#[test]
fn the_pin_moves_forward_only() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, state) = (dir.path().join("keys"), dir.path().join("state"));
    let team = Team::new();
    let one = team.root();
    team.write_keys(&keys, &one);
    pin(&HostDisk, &state, &one.digest().unwrap()).unwrap();
    let load = || {
        let choice = RootChoice::Pinned(pinned(&HostDisk, &state).unwrap().unwrap());
        load_remembering(&HostDisk, &keys, None, choice, at(NOW), &state)
    };
    load().unwrap();
    let two = next(&one);
    rotate(&keys, &two, &[("alice", &team.alice)]);
    assert!(load().is_err());
    assert_eq!(pinned(&HostDisk, &state).unwrap(), one.digest().ok());
    fs::write(keys.join("trust.json.bob.asc"), team.bob.sign(&mut &*two.to_bytes().unwrap()).unwrap()).unwrap();
    assert_eq!(load().unwrap().root, two);
    assert_eq!(pinned(&HostDisk, &state).unwrap(), two.digest().ok());
    team.write_keys(&keys, &one);
    assert!(load().is_err());
    assert_eq!(pinned(&HostDisk, &state).unwrap(), two.digest().ok());
}

#[test]
fn a_chain_with_a_false_link() {
    let dir = tempfile::tempdir().unwrap();
    let team = Team::new();
    let one = team.root();
    team.write_keys(dir.path(), &one);
    let mut two = next(&one);
    two.previous = Some(Sha256::of(b"another"));
    rotate(dir.path(), &two, &[("alice", &team.alice), ("bob", &team.bob)]);
    let first = RootChoice::Pinned(one.digest().unwrap());
    assert!(loaded(dir.path(), first).unwrap_err().report().contains("is not the root before"));
}

#[test]
fn roots_that_contradict_themselves() {
    let team = Team::new();
    let refused = |change: &dyn Fn(&mut Root)| {
        let mut root = team.root();
        change(&mut root);
        assert!(root.to_bytes().is_err(), "{root:#?}");
    };
    refused(&|r| r.roles.approve.threshold = 0);
    refused(&|r| r.roles.approve.threshold = 4);
    refused(&|r| drop(r.people.remove(&person("bob"))));
    refused(&|r| r.roles.release.keys.extend([team.alice.fingerprint.clone()]));
    refused(&|r| r.roles.freshness.keys.extend([team.release.fingerprint.clone()]));
    refused(&|r| {
        let shared = team.alice.fingerprint.clone();
        r.people.get_mut(&person("bob")).unwrap().certificates.insert(shared);
    });
    refused(&|r| r.people.get_mut(&person("bob")).unwrap().certificates.clear());
    refused(&|r| r.version = 2);
}

#[test]
fn certificates_are_what_their_names_say() {
    let world = World::new();
    let file = world.keys().join(format!("{}.asc", world.team.bob.fingerprint));
    fs::write(&file, &world.team.carol.certificate).unwrap();
    assert!(loaded(&world.keys(), RootChoice::Directory).unwrap_err().report().contains("own fingerprint"));
    fs::write(&file, &world.team.bob.armored).unwrap();
    assert!(loaded(&world.keys(), RootChoice::Directory).unwrap_err().report().contains("holds a secret key"));
    fs::remove_file(&file).unwrap();
    world.refused("is missing");
    let expired = load(&HostDisk, &world.keys(), None, RootChoice::Directory, at("2027-01-01T00:00:00Z"));
    assert!(expired.unwrap_err().report().contains("the trust root expired"));
}

#[test]
fn only_what_the_chain_names_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let team = Team::new();
    let one = team.root();
    team.write_keys(dir.path(), &one);
    rotate(dir.path(), &next(&one), &[("alice", &team.alice), ("bob", &team.bob)]);
    let stranger = Key::new("mallory", None);
    let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    put(&format!("{}.asc", stranger.fingerprint), &[0x95, 1, 2, 3]);
    put(&format!("{}.asc", "A".repeat(40)), b"garbage");
    put("trust.evil.json", b"{}");
    put("trust.json.mallory.asc", stranger.sign(&mut &b"x"[..]).unwrap().as_bytes());
    put("trust.json.carol.asc", b"my notes");
    let published = loaded(dir.path(), RootChoice::Pinned(one.digest().unwrap())).unwrap().published;
    let mut expected: Vec<String> = ["trust.1.json", "trust.json", "trust.json.alice.asc", "trust.json.bob.asc"]
        .map(str::to_owned)
        .into_iter()
        .chain(one.certificates().into_iter().map(|f| format!("{f}.asc")))
        .collect();
    expected.sort();
    assert_eq!(published.keys().cloned().collect::<Vec<_>>(), expected);
    let bob = &published[&format!("{}.asc", team.bob.fingerprint)];
    assert!(bob.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"));
}

#[derive(Parser)]
struct Cli {
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Trust(cli::trust::TrustArgs),
    Verify(cli::verify::VerifyArgs),
}

fn lifeboat(state: &Path, arguments: &[&str]) -> Result<String> {
    let cli: Cli = Cli::try_parse_from([&["lifeboat"], arguments].concat()).unwrap_or_else(|e| panic!("{e}"));
    let mut out = Vec::new();
    let disk: Arc<dyn lifeboat::effects::Disk> = Arc::new(HostDisk);
    let of_project = |_: &lifeboat::model::ProjectName| Some(state.to_owned());
    let around = cli::Caller { json: cli.json, disk: &disk, state: &of_project, now: at(NOW), out: &mut out };
    match cli.verb {
        Verb::Trust(args) => cli::trust::run(&args, around)?,
        Verb::Verify(args) => cli::verify::run(&args, around)?,
    };
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn the_commands() {
    let world = World::new();
    let state = world.state();
    let (keys, store) = (world.keys(), world.store());
    let (keys, store) = (keys.to_str().unwrap(), store.to_str().unwrap());
    // A store without keys, and none here: there is nothing to pin.
    let unpinned = lifeboat(&state, &["verify", "1.2.4", store]).unwrap_err().report();
    assert!(unpinned.contains("there is no `keys/trust.json` below"), "{unpinned}");
    assert!(lifeboat(&state, &["trust", "show", "--keys", keys]).unwrap().contains("NOT pinned"));
    let digest = world.root_digest().hex();
    // What was typed is not what is pinned.
    let wrong = lifeboat(&state, &["trust", "pin", &"0".repeat(64), "--keys", keys]).unwrap_err().report();
    assert!(wrong.contains("the digest that was given") && !wrong.contains("pinned"), "{wrong}");
    let json = lifeboat(&state, &["trust", "pin", &digest, "--keys", keys, "--json"]).unwrap();
    let json = crate::schemas::Schema::strict("output/trust").parsed(&json);
    assert_eq!((&json["digest"], &json["version"]), (&digest.as_str().into(), &1.into()), "{json}");
    assert_eq!(
        (json["changed"].as_array().unwrap().len(), &json["root"][0]),
        (0, &"approve: 2 of alice, bob, carol".into())
    );
    assert_eq!(pinned(&HostDisk, &state).unwrap(), Some(world.root_digest()));
    assert_eq!(fs::metadata(state.join("trust-root.pin")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    let shown = lifeboat(&state, &["trust", "show", "--keys", keys]).unwrap();
    assert!(shown.contains("pinned on this machine") && shown.contains("approve: 2 of alice, bob, carol"), "{shown}");
    let json = lifeboat(&state, &["trust", "show", "--json", "--keys", keys]).unwrap();
    assert!(json.contains("\"standing\": \"good\""), "{json}");

    let text = lifeboat(&state, &["verify", "1.2.4", store, "--keys", keys, "--pin", &digest]).unwrap();
    assert!(text.ends_with("sample 1.2.4 verifies; approved by alice, bob\n"), "{text}");
    let json = lifeboat(&state, &["verify", "1.2.4", store, "--keys", keys, "--json"]).unwrap();
    assert!(json.contains("\"verdict\": \"passed\""));
    let release = world.release();
    let alone = ["verify", "1.2.4", release.to_str().unwrap(), "--keys", keys, "--layout", "release"];
    assert!(lifeboat(&state, &alone).unwrap().contains("not checked  index"));
    fs::write(release.join("sample.zip"), b"x").unwrap();
    let error = lifeboat(&state, &alone).unwrap_err();
    assert_eq!(error.kind().exit_code(), 2, "cut off: {}", error.report());
    fs::write(release.join("sample.zip"), vec![0x51; 400_000]).unwrap();
    let error = lifeboat(&state, &alone).unwrap_err();
    assert_eq!(error.kind().exit_code(), 6);
    pin(&HostDisk, &state, &Sha256::of(b"other")).unwrap();
    assert!(lifeboat(&state, &["trust", "show", "--keys", keys]).is_err());
}

#[test]
fn a_first_root_from_certificates() {
    let world = World::new();
    let dir = world.dir.path().join("new-keys");
    let file = |k: &Key| world.keys().join(format!("{}.asc", k.fingerprint)).to_str().unwrap().to_owned();
    let team = &world.team;
    let alice = [format!("alice={}", file(&team.alice)), format!("alice={}", file(&team.alice2))];
    let bob = format!("bob={}", file(&team.bob));
    let (release, freshness) = (file(&team.release), file(&team.freshness));
    let init = |expires: &str| {
        let arguments = [
            "trust",
            "init",
            "--keys",
            dir.to_str().unwrap(),
            "--project",
            "sample",
            "--person",
            &alice[0],
            "--person",
            &alice[1],
            "--person",
            &bob,
            "--release",
            &release,
            "--freshness",
            &freshness,
            "--expires",
            expires,
        ];
        lifeboat(&world.state(), &arguments)
    };
    assert!(init("2026-01-01T00:00:00Z").unwrap_err().report().contains("is past"));
    let said = init("2027-01-01T00:00:00Z").unwrap();
    let trust = loaded(&dir, RootChoice::Directory).unwrap();
    assert!(said.contains(&trust.digest.hex()), "{said}");
    assert_eq!((trust.root.people.len(), trust.certificates.len(), trust.root.roles.approve.threshold), (2, 5, 2));
    assert!(init("2027-01-01").unwrap_err().report().contains("exists already"), "a plain date is taken");
}

#[test]
fn what_init_says_of_weak_keys_and_of_one_person_alone() {
    let world = World::new();
    let team = &world.team;
    let file = |k: &Key| world.keys().join(format!("{}.asc", k.fingerprint)).to_str().unwrap().to_owned();
    let (alice, release) = (format!("alice={}", file(&team.alice)), file(&team.release));
    let init = |dir: &str, more: &[&str]| {
        let dir = world.dir.path().join(dir);
        let keys = ["trust", "init", "--keys", dir.to_str().unwrap(), "--project", "sample", "--expires", "2027-01-01"];
        let arguments = [&keys[..], &["--person", &alice, "--threshold", "1", "--release", &release], more].concat();
        lifeboat(&world.state(), &arguments)
    };
    let json: serde_json::Value = serde_json::from_str(&init("one", &["--json"]).unwrap()).unwrap();
    assert!(json["warnings"][0].as_str().unwrap().contains("threshold 1: one person alone can approve a release"));
    assert_eq!(json["digest"].as_str().unwrap().len(), 64);
    let one = world.dir.path().join("one");
    let shown = lifeboat(&world.state(), &["trust", "show", "--keys", one.to_str().unwrap()]).unwrap();
    assert!(shown.contains("WARNING: threshold 1"), "{shown}");
    let weak = world.dir.path().join("weak.asc");
    fs::write(&weak, crate::release_world::by_sha1(&team.carol)).unwrap();
    let error = init("two", &["--freshness", weak.to_str().unwrap()]).unwrap_err().report();
    assert!(error.contains("cannot sign now") && error.contains("SHA1"), "{error}");
}

#[test]
fn newer_copies_of_certificates_are_merged_into_the_directory() {
    use lifeboat::formats::openpgp::{Certificate, Standing};
    let world = World::new();
    let keys = world.keys();
    let (bob, new) = (keys.join(format!("{}.asc", world.team.bob.fingerprint)), world.dir.path().join("new.asc"));
    let merge = |bytes: &[u8]| {
        fs::write(&new, bytes).unwrap();
        lifeboat(&world.state(), &["trust", "merge", new.to_str().unwrap(), "--keys", keys.to_str().unwrap()])
    };
    let standing = || Certificate::parse(&fs::read(&bob).unwrap(), "bob").unwrap().standing_now(at(NOW));
    let good = fs::read(&bob).unwrap();
    assert!(merge(revoked(&world.team.bob).as_bytes()).unwrap().ends_with(": merged\n"));
    assert!(matches!(standing(), Standing::Revoked(_)));
    assert!(merge(&good).unwrap().ends_with(": nothing new\n"));
    assert!(matches!(standing(), Standing::Revoked(_)));
    let stranger = Key::new("mallory", None);
    assert!(merge(stranger.certificate.as_bytes()).unwrap_err().report().contains("does not name"));
}

struct FixedClock;

#[async_trait::async_trait]
impl Clock for FixedClock {
    fn now(&self) -> jiff::Timestamp {
        at(NOW)
    }

    async fn sleep_until(&self, _when: jiff::Timestamp) {}

    fn nonce(&self) -> Result<[u8; 16]> {
        Ok([0; 16])
    }
}

#[test]
fn keys_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let team = Team::new();
    let file = dir.path().join("release.asc");
    fs::write(&file, &team.release.armored).unwrap();
    let text = "[project]\nname = \"a\"\ncommitter = \"A <a@a.example>\"\n[signing]\nrelease = { file = \"release.asc\" }\n\
        freshness = { file = \"none.asc\", passphrase = { env = \"X\" } }\n";
    let signing =
        lifeboat::config::parse(text, &dir.path().join("lifeboat.toml"), &wiring::registries()).unwrap().signing;
    let state = dir.path().join("state");
    let around = Around {
        disk: Arc::new(HostDisk),
        clock: Arc::new(FixedClock),
        secrets: Arc::new(|_: &SecretRef| Ok(Secret::new("hunter2"))),
        hosts: Default::default(),
        repository: dir.path().to_owned(),
        jobs: None,
    };
    let keys = || ConfiguredKeys::new(&signing, state.clone(), around.clone());
    let release = keys().signer(&Role::Release).unwrap();
    assert_eq!(release.fingerprint(), team.release.fingerprint.as_str());
    assert!(release.certificate().unwrap().contains("BEGIN PGP PUBLIC KEY BLOCK"));
    let missing = keys().signer(&Role::Freshness).err().unwrap().report();
    assert!(missing.contains("freshness key") && missing.contains("none.asc"), "{missing}");
    let nobody = keys().signer(&Role::Person(person("bob"))).err().unwrap().report();
    let how = "`signing.people.bob = { file = \"path\" }` or `signing.people.bob = { gpg = \"FINGERPRINT\" }`";
    assert!(nobody.contains(how), "{nobody}");

    let operator = keys().signer(&Role::Operator).unwrap();
    assert_eq!(keys().signer(&Role::Operator).unwrap().fingerprint(), operator.fingerprint(), "made once");
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join(OPERATOR_KEY))), (0o700, 0o600));
}

/// Serves a directory on loopback, one request per connection; `redirect` sends everything elsewhere.
fn serve(root: std::path::PathBuf, redirect: Option<String>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
            let (status, extra, body) = match (&redirect, fs::read(root.join(path))) {
                (Some(to), _) => ("302 Found", format!("Location: {to}/{path}\r\n"), vec![]),
                (None, Ok(body)) => ("200 OK", String::new(), body),
                (None, Err(_)) => ("404 Not Found", String::new(), vec![]),
            };
            let head =
                format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    format!("http://{address}")
}

fn from_web(world: &World, base: &str) -> Result<Report> {
    let mut request = world.request();
    request.source = Source::new(base, Arc::new(HostDisk)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(verify(request))
}

#[test]
fn over_http() {
    let world = World::new();
    let base = serve(world.store(), None);
    let report = from_web(&world, &base).unwrap();
    report.require().unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(report.approved_by.len(), 2);
    // Longer than the manifest says: cut off.
    let path = world.release().join("sample.zip");
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, bytes).unwrap();
    refused(&from_web(&world, &base).unwrap(), "is longer than the 400000 bytes");
    fs::remove_file(&path).unwrap();
    refused(&from_web(&world, &base).unwrap(), "`sample.zip` is missing");

    let elsewhere = serve(world.store(), Some(base.clone()));
    let error = from_web(&world, &elsewhere);
    let text = match &error {
        Ok(report) => report.require().unwrap_err().report(),
        Err(e) => e.report(),
    };
    assert!(text.contains("another origin"), "{text}");
    assert!(from_web(&world, "http://127.0.0.1:1").is_err());
    for bad in ["http://user:pw@host/", "https://host/?q", "https://host/#f", "ftp://host/", "file://host/x"] {
        assert!(Source::new(bad, Arc::new(HostDisk)).is_err(), "{bad}");
    }
}
