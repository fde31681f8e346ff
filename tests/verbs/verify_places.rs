//! What `lifeboat verify` makes of where a release lies: a store between two writes, one of several stores, a directory alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::time::Duration;

use crate::release_world::{Key, World, person, refused, run};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_reader_between_two_writes_finds_the_signature_that_fits() {
    let world = World::new();
    let index = |counter| world.index(&world.made, counter).to_bytes().unwrap();
    let sign = |bytes: &[u8]| lifeboat::effects::Signer::sign(&world.team.freshness, &mut &*bytes).unwrap();
    let releases = world.store().join("releases");
    let (old, new) = (index(7), index(8));
    // The new index is there, the signature beside it is still that of the old one.
    fs::write(releases.join("index.json"), &new).unwrap();
    fs::write(releases.join("index.json.asc"), sign(&old)).unwrap();
    world.refused("does not match the bytes");
    let by_digest = releases.join(format!("index.{}.asc", lifeboat::model::Sha256::of(&new)));
    fs::write(&by_digest, sign(&new)).unwrap();
    world.verify().require().unwrap();
    fs::remove_file(releases.join("index.json.asc")).unwrap();
    world.verify().require().unwrap();
    // It is not a way around the signature.
    fs::write(&by_digest, sign(&old)).unwrap();
    world.refused("`releases/index.json.asc` is missing");
}

#[test]
fn each_store_has_a_memory_of_its_own() {
    let world = World::new();
    world.write_index(&world.index(&world.made, 9), &world.team.freshness);
    world.verify().require().unwrap();
    // A second store counts by itself, and is not a rollback of the first; by another spelling it is the same store.
    let second = world.dir.path().join("second");
    let copied = std::process::Command::new("cp").arg("-a").args([world.store(), second.clone()]).status().unwrap();
    assert!(copied.success());
    world.write_index(&world.index(&world.made, 4), &world.team.freshness);
    for file in ["index.json", "index.json.asc"] {
        fs::copy(world.store().join("releases").join(file), second.join("releases").join(file)).unwrap();
    }
    let at_second = |location: String| {
        let mut request = world.request();
        let disk = std::sync::Arc::new(lifeboat::host::HostDisk);
        request.source = lifeboat::verify::Source::new(&location, disk).unwrap();
        run(request)
    };
    at_second(second.display().to_string()).require().unwrap();
    world.refused("rolled back: number 4 after number 9");
    world.write_index(&world.index(&world.made, 3), &world.team.freshness);
    for file in ["index.json", "index.json.asc"] {
        fs::copy(world.store().join("releases").join(file), second.join("releases").join(file)).unwrap();
    }
    refused(&at_second(format!("file://{}/", second.display())), "rolled back: number 3 after number 4");
}

/// The release by itself, as somebody downloaded it into a directory.
fn alone(world: &World) -> lifeboat::verify::Report {
    let mut request = world.request();
    request.layout = lifeboat::verify::Layout::Release;
    let disk = std::sync::Arc::new(lifeboat::host::HostDisk);
    request.source = lifeboat::verify::Source::new(world.release().to_str().unwrap(), disk).unwrap();
    run(request)
}

#[test]
fn the_flat_names_of_a_forge_are_known() {
    let world = World::new();
    alone(&world).require().unwrap();
    let nested = world.release().join("approvals");
    for file in fs::read_dir(&nested).unwrap().map(Result::unwrap) {
        let flat = world.release().join(format!("approvals.{}", file.file_name().to_str().unwrap()));
        fs::rename(file.path(), flat).unwrap();
    }
    fs::remove_dir(&nested).unwrap();
    let report = alone(&world);
    report.require().unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(report.approved_by, [person("alice"), person("bob")]);
    // In a store they have no business.
    world.refused("not listed by the sums");
    fs::write(world.release().join("approvals.mallory.json"), "#!/bin/sh").unwrap();
    refused(&alone(&world), "nothing extra");
    fs::remove_file(world.release().join("approvals.mallory.json")).unwrap();
    fs::write(world.release().join("approvals.sh"), "#!/bin/sh").unwrap();
    refused(&alone(&world), "not listed by the sums: approvals.sh");
}

#[test]
fn nobody_takes_the_word_of_keys_that_have_expired() {
    let mut world = World::new();
    world.team.bob = Key::new("bob", Some(Duration::from_secs(86_400 * 54 + 43_200))); // good until 24 February, midnight
    world.root = world.team.root();
    world.team.write_keys(&world.keys(), &world.root);
    world.publish(&world.made, &[("alice", &world.team.alice), ("bob", &world.team.bob)]);
    // By now bob's key could be anybody's, and the key that signs a store's index must not stand in for bob.
    world.refused("nothing but the signature itself says that it is older");
    refused(&alone(&world), "nothing but the signature itself says that it is older");

    // The release key is judged by the date that people signed.
    let mut world = World::new();
    let until = |days: u32, world: &mut World| {
        world.team.release = Key::new("release", Some(DAY * days)).dated("2026-02-20T00:00:00Z");
        world.root = world.team.root();
        world.team.write_keys(&world.keys(), &world.root);
        world.publish(&world.made, &[("alice", &world.team.alice), ("bob", &world.team.bob)]);
    };
    until(55, &mut world); // good until 25 February, after the release's own date
    alone(&world).require().unwrap_or_else(|e| panic!("{}", e.report()));
    until(54, &mut world); // good until 24 February, midnight
    refused(&alone(&world), "had expired on 2026-02-24T12:00:00Z");
    world.refused("had expired on 2026-02-24T12:00:00Z");
}

#[test]
fn a_clock_that_is_behind_is_told_so() {
    let world = World::new();
    let mut request = world.request();
    request.now = crate::release_world::at("2026-02-20T12:00:00Z");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(lifeboat::verify::verify(request)).unwrap_err();
    assert!(error.message().contains("this machine's clock is behind"), "{}", error.report());
    assert_eq!(error.kind().exit_code(), 2);
    // An index that the project did not sign says nothing of the clock.
    let later = world.index(&world.made, 8);
    world.write_index(&later, &world.team.carol);
    let mut request = world.request();
    request.now = crate::release_world::at("2026-02-20T12:00:00Z");
    assert!(runtime.block_on(lifeboat::verify::verify(request)).unwrap().require().is_err());
}

#[test]
fn an_incomplete_copy_is_its_owners_own_fault() {
    let world = World::new();
    for (name, said) in [
        ("SHA256SUMS.bob.asc", "`SHA256SUMS.bob.asc` is not in"),
        ("sample.zip", "`sample.zip` is not in"),
        ("tag.txt", "`tag.txt` is not in"),
    ] {
        let path = world.release().join(name);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let error = alone(&world).require().unwrap_err();
        assert_eq!(error.kind().exit_code(), 2, "{name}: {}", error.report());
        assert!(error.report().contains(said), "{}", error.report());
        // A store that lacks it is nobody's own.
        assert_eq!(world.verify().require().unwrap_err().kind().exit_code(), 6, "{name}");
        fs::write(&path, kept).unwrap();
    }
    // Something wrong beside something missing is not excused by it.
    fs::remove_file(world.release().join("sample.zip")).unwrap();
    fs::write(world.release().join("sample.tar.gz"), b"the whole SOURCE").unwrap();
    assert_eq!(alone(&world).require().unwrap_err().kind().exit_code(), 6);
}

#[test]
fn nothing_is_asked_for_on_the_word_of_roots_that_nobody_pinned() {
    let world = World::new();
    let served = tempfile::tempdir().unwrap();
    let keys = served.path().join("keys");
    let mut root = world.team.root();
    world.team.write_keys(&keys, &root);
    let fetched = |pin: &[u8]| {
        let disk = std::sync::Arc::new(lifeboat::host::HostDisk);
        let source = lifeboat::verify::Source::new(served.path().to_str().unwrap(), disk).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(lifeboat::verify::fetch_keys(&source, Some(lifeboat::model::Sha256::of(pin))))
    };
    let bytes = fs::read(keys.join("trust.json")).unwrap();
    assert_eq!(fetched(&bytes).unwrap().len(), 7);
    let names: Vec<String> = fetched(b"another root").unwrap().into_keys().collect();
    assert_eq!(names, ["trust.json"]);
    // A root that was pinned may still not cost more than a machine has.
    root.people.extend((0..600).map(|n| {
        let one = lifeboat::trust::Person { certificates: [format!("{n:040X}").parse().unwrap()].into() };
        (person(&format!("p{n}")), one)
    }));
    root.roles.root.people = root.people.keys().cloned().collect();
    let bytes = lifeboat::formats::signed::to_bytes(&root).unwrap();
    fs::write(keys.join("trust.json"), &bytes).unwrap();
    let said = fetched(&bytes).unwrap_err().report();
    assert!(said.contains("more than 512 people"), "{said}");
}

/// Whoever pinned a root long ago has it in their state, not on the command line: the walk does not know where it is to end.
#[test]
fn roots_are_read_back_to_the_pinned_one_and_no_further_than_64() {
    let world = World::new();
    let served = crate::support::scratch();
    let keys = served.path().join("keys");
    let mut root = world.team.root();
    world.team.write_keys(&keys, &root);
    let mut digests = Vec::new();
    for version in 1..=70 {
        (root.version, root.previous) = (version, digests.last().copied());
        let bytes = lifeboat::formats::signed::to_bytes(&root).unwrap();
        digests.push(lifeboat::model::Sha256::of(&bytes));
        let name = if version == 70 { "trust.json".to_owned() } else { format!("trust.{version}.json") };
        fs::write(keys.join(name), bytes).unwrap();
    }
    let walked = |pin: Option<u64>| {
        let disk = std::sync::Arc::new(lifeboat::host::HostDisk);
        let source = lifeboat::verify::Source::new(served.path().to_str().unwrap(), disk).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pin = pin.map(|version| digests[usize::try_from(version).unwrap() - 1]);
        let names: Vec<String> =
            runtime.block_on(lifeboat::verify::fetch_keys(&source, pin)).unwrap().into_keys().collect();
        let roots = names.iter().filter(|name| name.starts_with("trust.") && name.ends_with(".json")).count();
        (roots, names.len() > roots)
    };
    assert_eq!(walked(Some(70)), (1, true));
    assert_eq!(walked(Some(40)), (31, true));
    // As with a pin that only the state has: as far back as a root that counts may be, with its certificates.
    assert_eq!(walked(None), (64, true));
    // Too far back: nothing vouches for what was read, so no certificate is asked for.
    assert_eq!(walked(Some(3)), (64, false));
}
