//! A second person approves on another machine: bundle out, approval back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::approve::homes::two;
use crate::support::sample_train::SampleTrain;

#[test]
fn a_second_person_on_another_machine_approves() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let exported = operator.run(&["export", "--to", &operator.mail("bundle.tar")]).ends_with(0);
    assert!(exported.stdout.starts_with("EMBARGOED"), "{}", exported.stdout);
    let bundle = operator.mail("bundle.tar");
    assert_eq!(fs::metadata(&bundle).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(String::from_utf8_lossy(&fs::read(&bundle).unwrap()).contains("EMBARGOED: do not forward"));
    operator.run(&["export", "--to", &bundle]).fails(2, &["is there already", "nothing was overwritten"]);
    operator.run(&["export", "drill", "--to", "/no/such/dir/x"]).fails(1, &["/no/such/dir"]);

    let approval = operator.mail("approval-bob.json");
    let ran = bob.approve(&bundle, &approval).ends_with(0);
    for said in [
        "EMBARGOED",
        "train drill of sample",
        "made again from your clone: equal",
        "source archive made again: equal",
        "8 staged files read back: equal",
        "approved by bob, until",
        "lifeboat ship --approval approval-bob.json",
    ] {
        assert!(ran.stdout.contains(said), "no `{said}` in:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("adopt exactly"), "nobody should make a rival train:\n{}", ran.stdout);
    assert_eq!(fs::metadata(&approval).unwrap().permissions().mode() & 0o777, 0o600);
    nothing_is_kept(&bob.state());
    bob.approve(&bundle, &approval).fails(2, &["is there already", "nothing was overwritten"]);

    let ran = operator.run(&["ship", "--approval", &approval]).ends_with(3);
    assert!(ran.stdout.contains("approval of bob") && ran.stdout.contains("): recorded\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 of 2 people have approved"), "{}", ran.stdout);
    let ran = operator.run(&["ship", "--approval", &approval]).ends_with(3);
    assert!(ran.stdout.contains("recorded before"), "{}", ran.stdout);
    operator.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    let ran = operator.run(&["ship", "--approval", &approval, "--json"]).ends_with(0);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["state"], "released");
    assert_eq!(report["approvals"][0]["became"], "recorded before");
    // What Bob's machine signed is what strangers find.
    let sums = operator.0.store().join("releases/1.0.5/SHA256SUMS");
    bob.gpg(&["--verify", &format!("{}.bob.asc", sums.display()), &sums.display().to_string()]);
    operator.run(&["export", "drill", "--to", &operator.mail("late.tar")]).fails(2, &["nothing left to approve"]);
}

/// A bundle of an amended train has the plan that counts now; one from before counts for nothing any more.
#[test]
fn a_train_that_was_amended_is_exported_as_it_is_now() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let before = operator.exported("before.tar", &[]);
    let config = operator.0.config();
    let recipe = "run = [\"sh build.sh {name}\"]\nartifacts";
    operator.0.edit(&config, recipe, "run = [\"sh build.sh {name}; true\"]\nartifacts");
    fs::copy(&config, bob.project().join("lifeboat.toml")).unwrap();
    let file = operator.0.train_file().display().to_string();
    operator.run(&["amend", &file, "--yes"]).ends_with(0);
    // Not that far yet: the changed step is to be done again.
    operator.run(&["export", "drill", "--to", &operator.mail("early.tar")]).ends_with(2);
    operator.0.ship().ends_with(3);
    let after = operator.exported("after.tar", &["--bytes"]);
    let old = operator.mail("old.json");
    bob.approve(&before, &old).ends_with(0);
    operator.run(&["ship", "--approval", &old]).fails(6, &["bob approved plan", "amended again after the review"]);
    let new = operator.mail("new.json");
    let ran = bob.approve(&after, &new).ends_with(0);
    let status = operator.run(&["status", "--json"]).ends_with(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let plan = status[0]["plan"].as_str().unwrap();
    assert!(fs::read_to_string(&new).unwrap().contains(plan), "{plan}: {}", ran.stdout);
    operator.run(&["ship", "--approval", &new]).ends_with(3);
    operator.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    let ran = operator.run(&["ship"]).ends_with(0);
    assert!(ran.stdout.contains("released"), "{}", ran.stdout);
}

/// Takes the subkeys out of a person's certificate, here and in what the machine remembers.
fn signs_only(train: &SampleTrain, person: &str) {
    use sequoia_openpgp::parse::Parse as _;
    use sequoia_openpgp::serialize::SerializeInto as _;
    let cert = sequoia_openpgp::Cert::from_bytes(&fs::read(train.key(person)).unwrap()).unwrap();
    let cert = cert.strip_secret_key_material().retain_subkeys(|_| false);
    let name = format!("{}.asc", cert.fingerprint().to_hex());
    for dir in [train.project().join("keys"), train.state().join("sample/certificates")] {
        fs::write(dir.join(&name), cert.armored().to_vec().unwrap()).unwrap();
    }
}

/// The embargoed parts are gone.
fn nothing_in_scratch(state: &Path) {
    let left: Vec<_> = fs::read_dir(state.join("scratch")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

/// The approver's state: the pinned root and what is remembered of it.
fn nothing_is_kept(state: &Path) {
    assert!(state.join("trust-root.pin").exists());
    for made in ["trains", "claims", "operator-key.asc"] {
        assert!(!state.join(made).exists(), "`{made}` was made");
    }
    nothing_in_scratch(state);
}

#[test]
fn it_works_while_another_process_holds_the_train() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let held = fs::File::open(operator.0.train_dir("drill").join("lock")).unwrap();
    held.lock().unwrap();
    operator.0.ship().fails(5, &["another lifeboat process"]);
    let bundle = operator.exported("bundle.tar", &[]);
    bob.approve(&bundle, &operator.mail("bob.json")).ends_with(0);
}

#[test]
fn an_offline_person_reads_the_staged_files_from_the_bundle() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    bob.without_the_store();
    let (small, whole) = (operator.exported("small.tar", &[]), operator.exported("whole.tar", &["--bytes"]));
    let approval = operator.mail("bob.json");
    let why = [
        "the staged files of line `release-1.0.0` could not be read, so they were not reviewed",
        "store `mirror` has lost the staged",
        "`lifeboat export TRAIN --to FILE --bytes`",
    ];
    bob.approve(&small, &approval).fails(5, &why);
    assert!(!Path::new(&approval).exists());
    let ran = bob.approve(&whole, &approval).ends_with(0);
    assert!(ran.stdout.contains("read from the bundle, not from the store: store `mirror`"), "{}", ran.stdout);
    assert!(ran.stdout.contains("! store mirror: the plan says file://"), "{}", ran.stdout);
    operator.0.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    operator.run(&["ship", "--approval", &approval]).ends_with(0);
}

/// What it says of its own sizes costs whoever opens it nothing: the parts are few and small, whatever the file holds.
#[test]
fn a_bundle_of_gigabytes_is_refused_before_they_are_read() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let bundle = operator.exported("bundle.tar", &[]);
    let before = fs::read(&bundle).unwrap();
    for (part, said) in
        [("plan.json", "`plan.json` in it is larger than 256 MiB"), ("bundle.json", "larger than 16 MiB")]
    {
        let hostile = operator.mail("hostile.tar");
        let mut parts = tar::Archive::new(&before[..]);
        let mut out = tar::Builder::new(fs::File::create(&hostile).unwrap());
        let mut entries = parts.entries().unwrap().map(Result::unwrap);
        loop {
            let entry = entries.next().unwrap();
            let mut header = entry.header().clone();
            if entry.path_bytes() == part.as_bytes() {
                // Eight gigabytes of nothing.
                header.set_size(8 << 30);
                header.set_cksum();
                let file = out.get_mut();
                std::io::Write::write_all(file, header.as_bytes()).unwrap();
                let size = file.metadata().unwrap().len();
                file.set_len(size + (8 << 30) + 1024).unwrap();
                break;
            }
            out.append(&header, entry).unwrap();
        }
        drop(out);
        let begun = std::time::Instant::now();
        bob.approve(&hostile, &operator.mail("bob.json")).fails(6, &[said]);
        assert!(begun.elapsed().as_secs() < 60, "it read all of it: {:?}", begun.elapsed());
        nothing_in_scratch(&bob.state());
        fs::remove_file(&hostile).unwrap();
    }
}

#[test]
fn other_staged_bytes_are_found_from_there() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let bundle = operator.exported("whole.tar", &["--bytes"]);
    let staging = operator.0.store().join(".staging");
    let dirs = fs::read_dir(&staging).unwrap().map(|e| e.unwrap().path());
    let file = dirs.map(|d| d.join("releases/1.0.5/SHA256SUMS")).find(|p| p.exists()).unwrap();
    fs::write(&file, "other bytes\n").unwrap();
    let said =
        ["store `mirror` has other bytes at `releases/1.0.5/SHA256SUMS` in its staging area, which is not public"];
    bob.approve(&bundle, &operator.mail("bob.json")).fails(4, &said);
}

#[test]
fn an_encrypted_bundle_is_for_those_it_names() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    signs_only(&operator.0, "carol");
    let refused = operator.run(&["export", "--to", &operator.mail("x.asc"), "--encrypt-to", "carol"]);
    refused.fails(2, &["`carol` has no key to which the bundle could be encrypted", "certificate ", "--quick-add-key"]);
    assert!(!Path::new(&operator.mail("x.asc")).exists());
    operator
        .run(&["export", "--to", &operator.mail("x.asc"), "--encrypt-to", "mallory"])
        .fails(2, &["`mallory` is not a person of the trust root: alice, bob, carol"]);
    let bundle = operator.exported("bundle.asc", &["--encrypt-to", "bob"]);
    let text = fs::read_to_string(&bundle).unwrap();
    assert!(text.starts_with("-----BEGIN PGP MESSAGE-----\nComment: EMBARGOED."), "{}", &text[..200]);
    assert!(!text.contains("release-1.0.0") && !text.contains("sample"), "it names the project");
    let approval = operator.mail("bob.json");
    bob.approve(&bundle, &approval).ends_with(0);
    nothing_in_scratch(&bob.state());
    // The same with the key in a file, within the program.
    let file = operator.mail("bob.key");
    let secret = bob.gpg(&["--pinentry-mode", "loopback", "--passphrase", "", "--armor", "--export-secret-keys"]);
    fs::write(&file, secret).unwrap();
    let by_file = operator.mail("bob-2.json");
    let with_file = ["approve", "--bundle", &bundle, "--as", "bob", "--key", &file, "--yes", "--out", &by_file];
    bob.run(&with_file).ends_with(0);
    // Whoever it is not encrypted to reads nothing of it.
    let before = fs::rename(bob.root.join("home/.gnupg"), bob.root.join("home/.away"));
    before.unwrap();
    bob.approve(&bundle, &operator.mail("bob-3.json"))
        .fails(2, &["is encrypted: gpg cannot decrypt it", "--list-secret-keys"]);
    // A message that was changed on the way is not a bundle.
    let middle = text.len() / 2;
    let changed = if text.as_bytes()[middle] == b'A' { "B" } else { "A" };
    fs::write(&bundle, [&text[..middle], changed, &text[middle + 1..]].concat()).unwrap();
    let ran = bob.run(&[
        "approve",
        "--bundle",
        &bundle,
        "--as",
        "bob",
        "--key",
        &file,
        "--yes",
        "--out",
        &operator.mail("4"),
    ]);
    assert!(matches!(ran.code, Some(1 | 2 | 6)), "{ran:?}");
    operator.0.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    operator.run(&["ship", "--approval", &approval, "--approval", &by_file]).ends_with(0);
}

#[test]
fn a_passphrase_from_a_command_is_read_after_the_review_only() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let (key, file) = (bob.key.to_string(), operator.mail("bob.key"));
    let unlocked = ["--pinentry-mode", "loopback", "--passphrase", "correct horse"];
    bob.gpg(&[&unlocked[..], &["--passwd", &key]].concat());
    fs::write(&file, bob.gpg(&[&unlocked[..], &["--armor", "--export-secret-keys", &key]].concat())).unwrap();
    let ran = operator.mail("asked");
    let config = bob.project().join("lifeboat.toml");
    let text = fs::read_to_string(&config).unwrap();
    let command = format!("[\"sh\", \"-c\", \"touch {ran}; echo correct horse\"]");
    let mine = format!("bob = {{ file = \"{file}\", passphrase = {{ command = {command} }} }}\n");
    let lines = text.lines().map(|l| if l.starts_with("bob = ") { mine.clone() } else { format!("{l}\n") });
    fs::write(&config, lines.collect::<String>()).unwrap();
    let approval = operator.mail("bob.json");
    // Encrypted: what runs is known only once it is open.
    let closed = operator.exported("closed.asc", &["--encrypt-to", "bob"]);
    let before = bob.run(&["approve", "--bundle", &closed, "--as", "bob", "--yes", "--out", &approval]);
    before.fails(2, &["not run before its plan was reviewed", "gpg --output plain.tar --decrypt"]);
    assert!(!Path::new(&ran).exists());
    let bundle = operator.exported("bundle.tar", &[]);
    let review = bob.run(&["approve", "--bundle", &bundle, "--as", "bob", "--json", "--out", &approval]);
    assert_eq!(review.code, Some(3), "{review:?}");
    assert!(!Path::new(&ran).exists());
    let approved = bob.run(&["approve", "--bundle", &bundle, "--as", "bob", "--yes", "--out", &approval]).ends_with(0);
    assert!(
        approved.stdout.contains("! if you approve, this runs for your passphrase: `sh -c touch"),
        "{}",
        approved.stdout
    );
    assert!(Path::new(&ran).exists() && Path::new(&approval).exists());
}

#[test]
fn a_review_as_json_asks_nothing_and_approves_nothing() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let bundle = operator.exported("bundle.tar", &[]);
    let approval = operator.mail("bob.json");
    let value = |ran: crate::support::sample_train::Ran| {
        assert_eq!(ran.stderr, "", "one JSON value and nothing beside it");
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()
    };
    let looked = bob.run(&["approve", "--bundle", &bundle, "--as", "bob", "--out", &approval, "--json"]).ends_with(3);
    let looked = value(looked);
    assert_eq!((&looked["approved"], &looked["bundle"]["name"]), (&false.into(), &"drill".into()));
    assert!(!Path::new(&approval).exists());
    let looked = value(operator.run(&["approve", "--as", "alice", "--json"]).ends_with(3));
    assert_eq!(looked["approved"], false);
    let made = value(operator.run(&["approve", "--as", "alice", "--json", "--yes"]).ends_with(0));
    assert_eq!((&made["approved"], &made["person"]), (&true.into(), &"alice".into()));
    let status = value(operator.run(&["status", "--json"]).ends_with(0));
    assert_eq!(status[0]["approved_by"], serde_json::json!(["alice"]));
}

/// Where only encrypted files are staged, another machine decrypts them with the approver's own key, or takes them from a bundle.
#[test]
fn what_is_staged_encrypted_is_reviewed_with_the_own_key() {
    let (operator, bob) = two();
    let config = operator.0.config();
    operator.0.edit(&config, "\nrequired = true\n", "\nrequired = true\nstaging = \"encrypted\"\n");
    let bobs = bob.project().join("lifeboat.toml");
    operator.0.edit(&bobs, "\nrequired = true\n", "\nrequired = true\nstaging = \"encrypted\"\n");
    operator.0.to_the_gate();
    let bundle = operator.exported("bundle.tar", &[]);
    let ran = bob.approve(&bundle, &operator.mail("bob.json")).ends_with(0);
    assert!(ran.stdout.contains("8 staged files read back: equal"), "{}", ran.stdout);
    nothing_in_scratch(&bob.state());
    // Without the key nothing was reviewed, unless the files came with the bundle.
    fs::rename(bob.root.join("home/.gnupg"), bob.root.join("home/.away")).unwrap();
    bob.approve(&bundle, &operator.mail("none.json"))
        .fails(5, &["the staged files of line", "were not reviewed", "gpg cannot decrypt it", "--bytes"]);
    fs::remove_dir_all(bob.root.join("home/.gnupg")).ok();
    fs::rename(bob.root.join("home/.away"), bob.root.join("home/.gnupg")).unwrap();
    let whole = operator.exported("whole.tar", &["--bytes"]);
    bob.approve(&whole, &operator.mail("whole.json")).ends_with(0);
    // Another message to the same people is not what the operator staged.
    let staged = operator.0.store().join(".staging");
    let mut objects = Vec::new();
    for train in fs::read_dir(staged).unwrap().map(|e| e.unwrap().path().join("objects")) {
        objects.extend(fs::read_dir(train).into_iter().flatten().map(|e| e.unwrap().path()));
    }
    objects.sort();
    fs::remove_file(&objects[0]).unwrap();
    fs::copy(&objects[1], &objects[0]).unwrap();
    for bundle in [&bundle, &whole] {
        bob.approve(bundle, &operator.mail("other.json")).fails(4, &["has other bytes at `objects/"]);
    }
}
