//! How often the bytes of an artifact are read in a store, and that fewer reads overlook nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lifeboat::drill::{PEOPLE, THRESHOLD};
use lifeboat::effects::Effects;
use lifeboat::engine::approve::{approve, review};
use lifeboat::host::HostDisk;
use lifeboat::model::PersonId;

use crate::support::instant_runner::InstantRunner;
use crate::support::kill_points::{Action, KillPoints};
use crate::support::scratch;
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};

fn ports(world: &World, points: &Arc<KillPoints>) -> Effects {
    signing_as(&Signatures::fresh(), world, points)
}

/// Two runs with the same signatures make the same calls: the names of objects follow from them.
fn signing_as(signatures: &Arc<Signatures>, world: &World, points: &Arc<KillPoints>) -> Effects {
    let runner = InstantRunner::port(world.train().jobs());
    effects(world, Arc::new(HostDisk), points, signatures, Some(runner))
}

/// Each approver looks at everything, as on machines of their own.
fn approve_one_by_one(world: &World, points: &Arc<KillPoints>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for person in PEOPLE.iter().take(THRESHOLD as usize) {
        let effects = ports(world, points);
        let train = Arc::new(world.open(&effects).unwrap());
        let reviewed = runtime.block_on(review(&effects, &train, &world.config().project.repository)).unwrap();
        approve(&effects, &train, &reviewed, &PersonId::new(*person).unwrap()).unwrap();
    }
}

/// The files below a directory that a release consists of, by path from there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let entries = fs::read_dir(dir).map(|all| all.map(|e| e.unwrap().path()).collect()).unwrap_or_else(|_| Vec::new());
    for path in entries {
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out
}

/// A staged artifact of a train at its gate, and where it becomes public.
fn an_artifact(world: &World) -> (PathBuf, PathBuf) {
    let staged = files(&world.store().join(".staging"));
    let staged = staged.into_iter().find(|p| p.to_string_lossy().ends_with(".sh")).unwrap();
    let at = staged.to_string_lossy().find("/releases/").unwrap() + 1;
    let public = world.store().join(&staged.to_string_lossy()[at..]);
    (staged, public)
}

/// Other bytes of the same length, in the same file, with the same time of writing.
fn tamper(file: &Path) {
    let (mut bytes, written) = (fs::read(file).unwrap(), fs::metadata(file).unwrap().modified().unwrap());
    bytes[0] ^= 1;
    fs::write(file, bytes).unwrap();
    File::options().write(true).open(file).unwrap().set_times(FileTimes::new().set_modified(written)).unwrap();
}

#[test]
fn each_artifact_is_read_when_staged_by_each_approver_and_when_public() {
    let dir = scratch();
    let world = World::create(dir.path());
    let points = KillPoints::counting();
    world.go(&ports(&world, &points), Leg::Ship).unwrap();
    approve_one_by_one(&world, &points);
    world.go(&ports(&world, &points), Leg::Finish).unwrap();
    let mut read: BTreeMap<String, u32> = BTreeMap::new();
    for (path, times) in points.reads() {
        let Ok(within) = path.strip_prefix(world.store()) else { continue };
        let within = within.to_string_lossy();
        let Some((_, of_release)) = within.split_once("releases/") else { continue };
        *read.entry(of_release.to_owned()).or_default() += times;
    }
    let manifests = files(&world.store().join("releases"));
    let sums: Vec<_> = manifests.iter().filter(|p| p.ends_with("SHA256SUMS")).collect();
    assert_eq!(sums.len(), 2, "{manifests:?}");
    for sums in sums {
        let version = sums.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(sums).unwrap().lines() {
            let name = line.split_once("  ").unwrap().1;
            // Pages and the index are made from the manifest, which is small.
            if name != "manifest.json" {
                assert_eq!(read.get(&format!("{version}/{name}")), Some(&(1 + THRESHOLD + 1)), "{version}/{name}");
            }
        }
    }
}

#[test]
fn a_staged_file_that_was_changed_after_it_was_verified_stops_at_the_gate() {
    let dir = scratch();
    let world = World::create(dir.path());
    let points = KillPoints::counting();
    world.go(&ports(&world, &points), Leg::Ship).unwrap();
    approve_one_by_one(&world, &points);
    let (staged, _) = an_artifact(&world);
    tamper(&staged);
    let error = world.go(&ports(&world, &points), Leg::Finish).unwrap_err();
    assert!(error.message().contains("gate") && error.message().contains("has other bytes"), "{}", error.report());
    assert_eq!(files(&world.store().join("releases")), Vec::<PathBuf>::new());
}

#[test]
fn a_staged_file_that_was_changed_after_the_gate_opened_does_not_become_public() {
    let dir = scratch();
    let world = World::create(dir.path());
    let points = KillPoints::counting();
    world.go(&ports(&world, &points), Leg::Ship).unwrap();
    approve_one_by_one(&world, &points);
    world.keep(Leg::Finish);
    let (staged, public) = an_artifact(&world);
    let (counted, signatures) = (KillPoints::counting(), Signatures::fresh());
    world.go(&signing_as(&signatures, &world, &counted), Leg::Finish).unwrap();
    let links = |call: &String| call.starts_with("disk hard_link") && call.ends_with(&*public.to_string_lossy());
    let at = counted.log().iter().position(links).unwrap() as u64 + 1;
    world.restore(Leg::Finish);
    let killed = KillPoints::at(at, Action::Fail);
    world.go(&signing_as(&signatures, &world, &killed), Leg::Finish).unwrap_err();
    assert!(!public.exists() && staged.exists());
    tamper(&staged);
    let error = world.go(&ports(&world, &points), Leg::Finish).unwrap_err();
    assert!(error.message().contains("promote") && error.message().contains("has other bytes"), "{}", error.report());
    assert!(!public.exists(), "{}", error.report());
}
