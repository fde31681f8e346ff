//! What `lifeboat verify` accepts and, above all, what it refuses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::time::Duration;

use crate::release_world::{Key, NOW, PLANNED, SIGNED, World, at, extended, line, make, person, refused, run};
use lifeboat::trust::{ApprovalCase, Judgement, RecordedApproval, Window, judge_approvals};
use lifeboat::verify::{Check, Verdict};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_good_release_passes_every_check() {
    let world = World::new();
    let report = world.verify();
    report.require().unwrap_or_else(|e| panic!("{}", e.report()));
    let unsigned = "not signed: index.html";
    // The served branches are at other commits here, and nothing signs the rest of the repository.
    let open = [unsigned, "branch", "repository, the rest"];
    let verdict = |c: &Check| if open.contains(&c.what.as_str()) { Verdict::NotChecked } else { Verdict::Passed };
    let good = |c: &Check| c.verdict == verdict(c);
    assert!(report.checks.iter().all(good), "{:#?}", report.checks);
    assert_eq!(report.approved_by, [person("alice"), person("bob")]);
    let names: Vec<&str> = report.checks.iter().map(|c| c.what.as_str()).collect();
    let all = [
        "manifest",
        "sums",
        "content manifest",
        "threshold",
        "artifact sample.tar.gz",
        "artifact sample.zip",
        "tag",
        "tag ref",
        "nothing extra",
        unsigned,
        "index",
        "latest",
        "repository",
        "branch",
        "repository, the rest",
    ];
    assert_eq!(names, all);
    world.verify().require().unwrap();
}

#[test]
fn below_the_threshold() {
    let world = World::new();
    for file in ["SHA256SUMS.bob.asc", "SHA512SUMS.bob.asc", "approvals/bob.json", "approvals/bob.json.asc"] {
        let path = world.release().join(file);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        world.refused("1 of 2 people count");
        fs::write(&path, kept).unwrap();
    }
    world.verify().require().unwrap();
}

#[test]
fn two_certificates_of_one_person_count_once() {
    let world = World::new();
    world.publish(&world.made, &[("alice", &world.team.alice), ("bob", &world.team.alice2)]);
    world.refused("no certificate of bob");
}

#[test]
fn another_persons_name() {
    let world = World::new();
    let alice = world.made.approval(&world.team.alice, "alice", world.root_digest());
    for (path, bytes) in alice.files(&line()).unwrap() {
        fs::write(world.release().join(path.replace("alice", "bob")), bytes).unwrap();
    }
    world.refused("about another person");
}

#[test]
fn a_signer_who_was_removed() {
    let mut world = World::new();
    world.root.roles.approve.people.remove(&person("bob"));
    world.team.write_keys(&world.keys(), &world.root);
    // Alice signs again under the new root; Bob's old approval is still there.
    world.publish(&world.made, &[("alice", &world.team.alice), ("bob", &world.team.bob)]);
    world.refused("bob: does not count: not an approver");
}

#[test]
fn an_approval_under_another_root() {
    let mut world = World::new();
    world.root.hosts.insert("example.org".into());
    world.team.write_keys(&world.keys(), &world.root);
    world.refused("about another trust root");
}

#[test]
fn expired_signers() {
    let mut world = World::new();
    world.team.bob = Key::new("bob", Some(30 * DAY));
    world.root = world.team.root();
    world.team.write_keys(&world.keys(), &world.root);
    let publish = |w: &World| w.publish(&w.made, &[("alice", &w.team.alice), ("bob", &w.team.bob)]);
    publish(&world);
    world.refused("had expired");
    // Dated while the key was good: whoever found the key can do that, and no freshness key vouches for the date …
    world.team.bob.dated = at("2026-01-30T00:00:00Z");
    publish(&world);
    world.refused("nothing but the signature itself says that it is older");
    // … but the owner's later word does: the key was extended since.
    let extended = extended(&world.team.bob);
    fs::write(world.keys().join(format!("{}.asc", world.team.bob.fingerprint)), &extended.1).unwrap();
    world.verify().require().unwrap_or_else(|e| panic!("only the new self-signature: {}", e.report()));
    fs::write(world.keys().join(format!("{}.asc", world.team.bob.fingerprint)), &extended.0).unwrap();
    world.verify().require().unwrap_or_else(|e| panic!("both self-signatures: {}", e.report()));
    // Not dated long before the release that it is about.
    world.team.bob.dated = at("2026-01-02T00:00:00Z");
    publish(&world);
    world.refused("backdated");
}

#[test]
fn signatures_from_the_future() {
    let mut world = World::new();
    world.team.bob.dated = at("2026-02-25T13:00:00Z");
    world.publish(&world.made, &[("alice", &world.team.alice), ("bob", &world.team.bob)]);
    world.refused("in the future");
}

/// Publishes Bob's certificate with a revocation of this reason, dated so.
fn revoke_bob(world: &World, reason: sequoia_openpgp::types::ReasonForRevocation, when: &str) {
    use sequoia_openpgp::cert::CertRevocationBuilder;
    use sequoia_openpgp::parse::Parse as _;
    use sequoia_openpgp::serialize::SerializeInto as _;
    let secret = sequoia_openpgp::Cert::from_bytes(world.team.bob.armored.as_bytes()).unwrap();
    let mut pair = secret.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let signature = CertRevocationBuilder::new()
        .set_signature_creation_time(at(when).into())
        .unwrap()
        .set_reason_for_revocation(reason, b"test")
        .unwrap()
        .build(&mut pair, &secret, None)
        .unwrap();
    let public = secret.strip_secret_key_material().insert_packets(signature).unwrap().0;
    let file = world.keys().join(format!("{}.asc", world.team.bob.fingerprint));
    fs::write(file, public.armored().to_vec().unwrap()).unwrap();
}

#[test]
fn revoked_signers() {
    use sequoia_openpgp::types::ReasonForRevocation::{KeyCompromised, KeyRetired};
    let world = World::new();
    revoke_bob(&world, KeyRetired, "2026-02-24T00:00:00Z");
    world.verify().require().unwrap_or_else(|e| panic!("retired after signing: {}", e.report()));
    revoke_bob(&world, KeyRetired, "2026-02-20T00:00:00Z");
    world.refused("is revoked");
    revoke_bob(&world, KeyCompromised, "2026-02-24T00:00:00Z");
    world.refused("is revoked");
}

#[test]
fn keys_of_other_roles() {
    let mut world = World::new();
    let object = world.made.tag_object(&world.team.freshness);
    fs::write(world.release().join("tag.txt"), &object).unwrap();
    world.refused("no key of role release");
    world.publish(&world.made, &[("alice", &world.team.alice), ("bob", &world.team.release)]);
    world.refused("no certificate of bob");
    world.publish(&world.made, &[("alice", &world.team.alice), ("bob", &world.team.bob)]);
    world.team.release.dated = at(PLANNED);
    world.write_index(&world.index(&world.made, 8), &world.team.release);
    world.refused("no key of role freshness");
}

#[test]
fn a_signature_over_one_list_does_not_count_for_the_other() {
    let world = World::new();
    let dir = world.release();
    fs::copy(dir.join("SHA256SUMS.bob.asc"), dir.join("SHA512SUMS.bob.asc")).unwrap();
    world.refused("does not match the bytes");
}

#[test]
fn tampered_bytes() {
    for file in [
        "sample.tar.gz",
        "sample.zip",
        "sample.tar.gz.asc",
        "SHA256SUMS",
        "SHA512SUMS",
        "manifest.json",
        "tag.txt",
        "approvals/content.json",
        "approvals/alice.json",
        "approvals/alice.json.asc",
        "SHA256SUMS.alice.asc",
    ] {
        let world = World::new();
        let path = world.release().join(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(world.verify().require().is_err(), "one bit of {file}");
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        world.verify().require().unwrap();
        bytes.push(b'\n');
        fs::write(&path, &bytes).unwrap();
        assert!(world.verify().require().is_err(), "a line end after {file}");
    }
}

#[test]
fn files_missing_or_extra() {
    let world = World::new();
    let dir = world.release();
    for name in ["evil.tar.gz", "evil.tar.gz.asc", "SHA256SUMSX", "approvals/evil.sh", ".hidden", "sub/x"] {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"x").unwrap();
        world.refused("not listed by the sums");
        fs::remove_file(&path).unwrap();
        if name.starts_with("sub/") {
            fs::remove_dir(dir.join("sub")).unwrap();
        }
    }
    world.verify().require().unwrap();
    for name in ["sample.zip", "tag.txt", "SHA512SUMS", "manifest.json", "approvals/content.json"] {
        let kept = fs::read(dir.join(name)).unwrap();
        fs::remove_file(dir.join(name)).unwrap();
        world.refused(&format!("`{name}` is missing"));
        fs::write(dir.join(name), kept).unwrap();
    }
}

#[test]
fn nothing_is_read_on_the_word_of_an_unsigned_manifest() {
    let world = World::new();
    fs::remove_file(world.release().join("approvals/bob.json")).unwrap();
    let report = world.verify();
    refused(&report, "1 of 2 people count");
    let artifacts: Vec<_> = report.checks.iter().filter(|c| c.what.starts_with("artifact")).collect();
    assert!(matches!(artifacts[..], [c] if c.verdict == Verdict::NotChecked), "{artifacts:?}");
}

#[test]
fn known_names_without_a_signature_are_named() {
    let world = World::new();
    let dir = world.release();
    let report = world.verify();
    report.require().unwrap();
    let page = report.checks.iter().find(|c| c.what == "not signed: index.html").unwrap();
    assert_eq!((page.verdict, page.detail.as_str()), (Verdict::NotChecked, "a generated page"));
    // Notes that the manifest does not list are nobody's.
    fs::write(dir.join("notes.md"), "run this as root").unwrap();
    world.refused("not listed by the sums: notes.md");
    fs::remove_file(dir.join("notes.md")).unwrap();
    for name in ["SHA256SUMS.install.sh.asc", "SHA512SUMS.mallory.asc", "SHA256SUMS.asc", "tag.txt.asc"] {
        fs::copy(dir.join("SHA256SUMS.alice.asc"), dir.join(name)).unwrap();
        world.refused("not listed by the sums");
        fs::remove_file(dir.join(name)).unwrap();
    }
    for name in ["approvals/mallory.json", "approvals/mallory.json.asc", "approvals/content.json.asc"] {
        fs::write(dir.join(name), "#!/bin/sh").unwrap();
        world.refused("nothing extra");
        fs::remove_file(dir.join(name)).unwrap();
    }
}

#[test]
fn links_are_not_followed() {
    let world = World::new();
    let path = world.release().join("sample.zip");
    let elsewhere = world.dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    world.refused("not a plain file");
}

#[test]
fn last_years_signed_set_in_a_new_directory() {
    let world = World::new();
    let old = make(3, &"b".repeat(40).parse().unwrap());
    world.publish(&old, &[("alice", &world.team.alice), ("bob", &world.team.bob)]);
    fs::remove_dir_all(world.release()).unwrap();
    fs::rename(world.store().join("releases/1.2.3"), world.release()).unwrap();
    world.refused("manifest of version 1.2.3, not of 1.2.4");
    let mut request = world.request();
    request.layout = lifeboat::verify::Layout::Release;
    request.source =
        lifeboat::verify::Source::new(world.release().to_str().unwrap(), std::sync::Arc::new(lifeboat::host::HostDisk))
            .unwrap();
    refused(&run(request), "manifest of version 1.2.3, not of 1.2.4");
}

#[test]
fn another_line_or_project() {
    let mut world = World::new();
    let mut request = world.request();
    request.line = Some(lifeboat::model::BranchName::new("release-1.1").unwrap());
    refused(&run(request), "not of release-1.1");
    world.root.project = lifeboat::model::ProjectName::new("other").unwrap();
    world.team.write_keys(&world.keys(), &world.root);
    world.refused("manifest of project sample, not of other");
}

#[test]
fn a_tag_under_another_ref() {
    let world = World::new();
    let object = fs::read(world.release().join("tag.txt")).unwrap();
    world.write_refs(&[("v1.2.5", &object)]);
    world.refused("there is no `refs/tags/v1.2.4`");
    world.write_refs(&[("v1.2.4", &object), ("v9.9.9", &object)]);
    world.refused("at `refs/tags/v9.9.9` too");
    // An old tag, properly signed, under the new name.
    let old = make(3, &"b".repeat(40).parse().unwrap()).tag_object(&world.team.release);
    world.write_refs(&[("v1.2.4", &old)]);
    world.refused("not the tag object");
    fs::write(world.release().join("tag.txt"), &old).unwrap();
    world.refused("it is tag v1.2.3, not v1.2.4");
}

#[test]
fn the_index_is_fresh_and_moves_forward() {
    let world = World::new();
    world.verify().require().unwrap();
    world.write_index(&world.index(&world.made, 6), &world.team.freshness);
    world.refused("rolled back: number 6 after number 7");
    let mut other = world.index(&world.made, 7);
    other.expires = at("2026-03-02T12:00:00Z");
    world.write_index(&other, &world.team.freshness);
    world.refused("it forked");
    let old = make(3, &"b".repeat(40).parse().unwrap());
    world.write_index(&world.index(&old, 8), &world.team.freshness);
    world.refused("does not list version 1.2.4");
    let mut retired = world.index(&old, 9);
    retired.retired.insert(semver::Version::new(1, 2, 4));
    world.write_index(&retired, &world.team.freshness);
    world.refused("is retired");
    let mut stale = world.index(&world.made, 10);
    stale.expires = at("2026-02-25T00:00:00Z");
    world.write_index(&stale, &world.team.freshness);
    world.refused("it is stale");
    let mut tampered = world.index(&world.made, 11);
    world.write_index(&tampered, &world.team.freshness);
    tampered.counter = 12;
    fs::write(world.store().join("releases/index.json"), tampered.to_bytes().unwrap()).unwrap();
    world.refused("does not match the bytes");
    world.write_index(&world.index(&world.made, 13), &world.team.freshness);
    world.verify().require().unwrap();
}

/// Judges approvals at the gate.
fn gate(world: &World, approvals: &[(lifeboat::trust::Approval, Option<&str>)], now: &str) -> Judgement {
    let trust = world.trust();
    let case = ApprovalCase {
        trust: &trust,
        content: &world.made.content,
        sums: &world.made.sums,
        window: Window::of_plan(at(PLANNED), at(now)),
    };
    let recorded: Vec<RecordedApproval<'_>> =
        approvals.iter().map(|(approval, when)| RecordedApproval { approval, at: when.map(at) }).collect();
    judge_approvals(&case, &recorded).unwrap()
}

#[test]
fn the_gate_counts_people_not_certificates() {
    let world = World::new();
    let by = |key: &Key, who: &str| (world.made.approval(key, who, world.root_digest()), Some(SIGNED));
    let (alice, alice2, bob) =
        (by(&world.team.alice, "alice"), by(&world.team.alice2, "alice"), by(&world.team.bob, "bob"));
    let twice = gate(&world, &[alice.clone(), alice2.clone(), alice.clone()], NOW);
    assert!(!twice.holds());
    assert!(twice.require().unwrap_err().report().contains("alice is counted already"), "{twice:?}");
    assert_eq!(gate(&world, &[alice2, bob.clone()], NOW).require().unwrap(), [person("alice"), person("bob")]);
    // The statement's own expiry.
    assert!(!gate(&world, &[alice.clone(), bob.clone()], "2026-03-10T00:00:00Z").holds());
    // Sums of another line, or none.
    let mut empty = bob.clone();
    empty.0.sums.clear();
    let judged = gate(&world, &[alice.clone(), empty], NOW);
    assert!(judged.require().unwrap_err().report().contains("are not signed"), "{judged:?}");
    // Statement by one certificate, sums by another.
    let mut mixed = world.made.approval(&world.team.alice, "alice", world.root_digest());
    mixed.sums = world.made.approval(&world.team.alice2, "alice", world.root_digest()).sums;
    assert!(!gate(&world, &[(mixed, None), bob], NOW).holds());
    // An approval of another train.
    let other = make(3, &"b".repeat(40).parse().unwrap()).approval(&world.team.bob, "bob", world.root_digest());
    let judged = gate(&world, &[alice, (other, None)], NOW);
    assert!(judged.require().unwrap_err().report().contains("about another train"), "{judged:?}");
}

#[test]
fn the_gate_counts_approvers_only() {
    let mut world = World::new();
    world.root.roles.approve.people.remove(&person("carol"));
    world.team.write_keys(&world.keys(), &world.root);
    let by = |key: &Key, who: &str| (world.made.approval(key, who, world.root_digest()), None);
    let judged = gate(&world, &[by(&world.team.alice, "alice"), by(&world.team.carol, "carol")], NOW);
    assert!(judged.require().unwrap_err().report().contains("carol does not have role approve"), "{judged:?}");
}

#[test]
fn the_record_bounds_a_turned_back_clock() {
    let mut world = World::new();
    world.team.bob = Key::new("bob", Some(50 * DAY)); // good until 20 February
    world.root = world.team.root();
    world.team.write_keys(&world.keys(), &world.root);
    world.team.bob.dated = at("2026-02-19T00:00:00Z");
    let approval = world.made.approval(&world.team.bob, "bob", world.root_digest());
    let counts = |recorded: Option<&str>| gate(&world, &[(approval.clone(), recorded)], NOW).counted.len();
    assert_eq!(counts(Some("2026-02-19T01:00:00Z")), 1);
    assert_eq!(counts(Some("2026-02-21T00:00:00Z")), 0, "recorded after the key had expired");
    assert_eq!(counts(Some("2026-02-18T00:00:00Z")), 0, "recorded before it was made");
}

#[test]
fn a_clone_is_checked_too() {
    let world = World::new();
    let object = fs::read(world.release().join("tag.txt")).unwrap();
    let dir = world.dir.path().join("clone");
    let repository = git2::Repository::init_bare(&dir).unwrap();
    let id = repository.odb().unwrap().write(git2::ObjectType::Tag, &object).unwrap();
    let with_clone = || {
        let mut request = world.request();
        request.clone = Some(dir.clone());
        run(request)
    };
    refused(&with_clone(), "there is no `refs/tags/v1.2.4`");
    repository.reference("refs/tags/v1.2.4", id, true, "").unwrap();
    with_clone().require().unwrap();
    repository.reference("refs/tags/v9.9.9", id, true, "").unwrap();
    refused(&with_clone(), "at `refs/tags/v9.9.9` too");
}

/// git reads `packed-refs` and files of their own where it clones by path.
#[test]
fn a_served_repository_says_the_same_in_every_file_that_git_reads() {
    let world = World::new();
    let git = world.store().join("git/sample.git");
    let other = "b".repeat(40);
    let (name, before) = ("refs/tags/v1.2.4", "refs/tags/v1.2.3");
    let served = fs::read_to_string(git.join("info/refs")).unwrap();
    let id = served.lines().find_map(|l| l.strip_suffix(name)).unwrap().trim().to_owned();
    let write = |path: &str, text: &str| {
        fs::create_dir_all(git.join(path).parent().unwrap()).unwrap();
        fs::write(git.join(path), text).unwrap();
    };
    let head = "# pack-refs with: peeled fully-peeled sorted \n";
    write("packed-refs", &format!("{head}{other} {before}\n{id} {name}\n^{other}\n"));
    write(name, &format!("{id}\n"));
    write(before, &format!("{other}\n"));
    world.verify().require().unwrap_or_else(|e| panic!("{}", e.report()));
    write(name, &format!("{other}\n"));
    world.refused(&format!("`{name}` is {other}, not the tag object"));
    write(name, "ref: refs/heads/x\n");
    world.refused("is ref: refs/heads/x, not the tag object");
    fs::remove_file(git.join(name)).unwrap();
    world.verify().require().unwrap();
    write(before, &format!("{id}\n"));
    world.refused("the same tag object is at `refs/tags/v1.2.3` too");
    fs::remove_file(git.join(before)).unwrap();
    for (packed, said) in [
        (format!("{head}{other} {name}\n"), "git/sample.git/packed-refs: `refs/tags/v1.2.4` is bbbb"),
        (format!("{head}{id} {name}\n{id} {before}\n"), "at `refs/tags/v1.2.3` too"),
        (head.to_owned(), "there is no `refs/tags/v1.2.4` in `git/sample.git/packed-refs`"),
        (format!("{id}\n"), "is not a list of packed refs"),
    ] {
        write("packed-refs", &packed);
        world.refused(said);
    }
}

#[test]
fn an_approval_that_counts_for_ever_counts_for_nothing() {
    let world = World::new();
    let by = |who: &str, key: &Key, expires: &str| {
        let (root, who) = (world.root_digest(), person(who));
        let act = lifeboat::trust::ApprovalRequest {
            content: &world.made.content,
            sums: &world.made.sums,
            root,
            person: &who,
            expires: at(expires),
        };
        (lifeboat::trust::approve(key, &act).unwrap(), None)
    };
    let alice = by("alice", &world.team.alice, "2026-03-10T00:00:00Z");
    let bob = |expires| by("bob", &world.team.bob, expires);
    // Signed on 23 February at noon.
    assert!(gate(&world, &[alice.clone(), bob("2026-03-25T12:00:00Z")], NOW).holds());
    let judged = gate(&world, &[alice, bob("2026-03-25T12:00:01Z")], NOW);
    assert!(judged.require().unwrap_err().report().contains("longer than 30 days"), "{judged:?}");
}
