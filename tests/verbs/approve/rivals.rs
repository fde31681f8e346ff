//! A train that another machine has staged in the same store is named, and no rival is made or helped.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::approve::homes::{Approver, Operator, two};
use crate::support::sample_train::Ran;

/// The operator's train file on Bob's machine.
fn same_train(operator: &Operator, bob: &Approver) -> String {
    let from = operator.0.train_file();
    let to = bob.project().parent().unwrap().join("train.toml");
    let patches = bob.project().parent().unwrap().join("patches");
    let copied = Command::new("cp").arg("-a").arg(from.parent().unwrap().join("patches")).arg(&patches).status();
    assert!(copied.unwrap().success());
    fs::copy(from, &to).unwrap();
    to.display().to_string()
}

fn note(operator: &Operator) -> PathBuf {
    let staging = operator.0.store().join(".staging");
    let dirs = fs::read_dir(staging).unwrap().map(|e| e.unwrap().path().join("train.json"));
    dirs.into_iter().find(|p| p.exists()).unwrap()
}

#[test]
fn a_second_machine_is_told_and_makes_no_rival() {
    let (operator, bob) = two();
    bob.run(&["approve", "--as", "bob"]).fails(2, &["there is no train", "lifeboat approve --bundle FILE --as bob"]);
    operator.0.to_the_gate();
    let file = same_train(&operator, &bob);
    let how = "ask its operator for a bundle (there: `lifeboat export drill --to FILE`)";
    let there = "another machine has train `drill` (plan ";
    let planned = bob.run(&["plan", &file]).ends_with(0);
    assert!(planned.stderr.contains(there) && planned.stderr.contains(how), "{}", planned.stderr);
    let ran = bob.run(&["ship", &file]).fails(4, &[there, "it is this very plan; nothing was adopted here", how]);
    assert!(ran.stderr.contains("lifeboat approve --bundle FILE --as NAME --out APPROVAL"), "{}", ran.stderr);
    assert!(!bob.state().join("trains").exists() && !bob.state().join("claims").exists(), "a rival was begun");
    for args in [&["approve", "--as", "bob"][..], &["approve", "drill", "--as", "bob"]] {
        let ran = bob.run(args).fails(2, &[there, how, "--as bob --out APPROVAL"]);
        assert!(!ran.stderr.contains("lifeboat ship"), "it leads to a rival train:\n{}", ran.stderr);
    }
    // A rehearsal is nobody's rival, and has none.
    bob.run(&["ship", &file, "--dry-run"]);
    operator.run(&["abandon", "--reason", "over"]).ends_with(0);
    bob.run(&["ship", &file]).ends_with(3);
}

#[test]
fn giving_a_rival_up_retires_nothing_that_another_machine_releases() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let file = same_train(&operator, &bob);
    // As if both had begun at once.
    let (note, away) = (note(&operator), operator.0.root().join("note"));
    fs::rename(&note, &away).unwrap();
    let config = bob.project().join("lifeboat.toml");
    let secret = operator.0.root().join("sample/secret");
    let text = fs::read_to_string(&config).unwrap().replace("../secret", &secret.display().to_string());
    fs::write(&config, text).unwrap();
    bob.run(&["ship", &file]).ends_with(3);
    bob.run(&["approve", "--as", "carol", "--yes"]).ends_with(0);
    fs::rename(&away, &note).unwrap();
    let ran = bob.run(&["abandon", "--reason", "a rival"]).ends_with(0);
    assert!(
        ran.stdout.contains("not retired, for it is to be released: another machine has train `drill`"),
        "{}",
        ran.stdout
    );
    bob.run(&["refresh"]).ends_with(0);
    operator.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    operator.run(&["approve", "--as", "carol", "--yes"]).ends_with(0);
    let ran = operator.0.ship().ends_with(0);
    assert!(ran.stdout.contains("released"), "{}", ran.stdout);
    bob.run(&["refresh"]).ends_with(0);
}

/// Puts a script into a directory.
fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// Encrypted notes lie where many may write: gpg gets those that name a key of the person, and asks nobody for a passphrase.
#[test]
fn a_strangers_note_asks_nobody_for_a_passphrase() {
    let (operator, bob) = two();
    let file = same_train(&operator, &bob);
    let (bin, calls, asked) = (bob.root.join("bin"), bob.root.join("calls"), bob.root.join("asked"));
    fs::create_dir(&bin).unwrap();
    let pinentry = script(&bin, "pinentry", &format!("echo asked >>'{}'; exit 1", asked.display()));
    // Bob has a second key, with a passphrase.
    let protected = ["--pinentry-mode", "loopback", "--passphrase", "secret"];
    let make = |what: &[&str]| bob.gpg(&[&protected, what].concat());
    make(&["--quick-gen-key", "locked@example.org", "ed25519", "sign", "1y"]);
    let listed = String::from_utf8(bob.gpg(&["--with-colons", "--list-keys", "locked@example.org"])).unwrap();
    let locked = listed.lines().find_map(|l| l.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':').to_owned();
    make(&["--quick-add-key", &locked, "cv25519", "encr", "1y"]);
    let message = bob.root.join("message");
    fs::write(&message, "{}").unwrap();
    let staging = operator.0.store().join(".staging");
    let mut count = 0;
    let mut lay = |how: &[&str]| {
        count += 1;
        let note = staging.join(format!("{count:032x}/train.json"));
        fs::create_dir_all(note.parent().unwrap()).unwrap();
        let (to, from) = (note.display().to_string(), message.display().to_string());
        make(&[&["--trust-model", "always", "--output", &to], how, &[&from]].concat());
    };
    lay(&["--symmetric"]);
    lay(&["--hidden-recipient", "locked@example.org", "--encrypt"]);
    lay(&["--recipient", "locked@example.org", "--symmetric", "--encrypt"]);
    lay(&["--recipient", "locked@example.org", "--encrypt"]);
    fs::set_permissions(&staging, fs::Permissions::from_mode(0o700)).unwrap();
    // What the agent remembers goes with it.
    let home = bob.root.join("home");
    fs::write(home.join(".gnupg/gpg-agent.conf"), format!("pinentry-program {}\n", pinentry.display())).unwrap();
    let killed = Command::new("gpgconf").args(["--kill", "gpg-agent"]).env("HOME", &home).status();
    assert!(killed.unwrap().success());
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|dir| dir.join("gpg")).find(|gpg| gpg.exists()).unwrap();
    script(&bin, "gpg", &format!("echo \"$*\" >>'{}'\nexec '{}' \"$@\"", calls.display(), real.display()));
    let with_scripts = |args: &[&str]| {
        let mut command = bob.command(args);
        command.env("PATH", format!("{}:{path}", bin.display()));
        Ran::of(&mut command)
    };
    with_scripts(&["plan", &file]).ends_with(0);
    assert!(!asked.exists(), "somebody was asked for a passphrase");
    let decrypted = |calls: &str| calls.lines().filter(|call| call.contains("--decrypt")).count();
    let text = fs::read_to_string(&calls).unwrap();
    assert_eq!(decrypted(&text), 1, "{text}");
    assert!(text.lines().all(|call| !call.contains("--decrypt") || call.contains("--pinentry-mode error")), "{text}");
    // A true note is read all the same, by the key that needs no passphrase.
    let config = operator.0.config();
    operator.0.edit(&config, "\nrequired = true\n", "\nrequired = true\nstaging = \"encrypted\"\n");
    operator.0.to_the_gate();
    let planned = with_scripts(&["plan", &file]).ends_with(0);
    assert!(planned.stderr.contains("another machine has train `drill` (plan "), "{}", planned.stderr);
    assert!(!asked.exists(), "somebody was asked for a passphrase");
}
