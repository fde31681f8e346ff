//! `verify --all-mirrors`: two stores of the project and a mirror that a volunteer runs, each behind a web server of its own.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use lifeboat::effects::Signer as _;
use lifeboat::formats::layout;
use lifeboat::formats::mirrors::MirrorList;
use lifeboat::model::{ProjectName, Sha256};
use lifeboat::signers::openpgp::SecretKey;
use lifeboat::trust::Root;
use serde_json::Value;

use crate::schemas::Schema;
use crate::stranger::home::{Served, Stranger, Web, copy, digest};
use crate::support::sample_train::{Ran, SampleTrain};

const NAMES: [&str; 3] = ["east", "far", "west"];

/// The same address of this machine, not in its normal form.
fn spelled_otherwise(url: &str) -> String {
    url.replace("http://127.0.0.1:", "http://127.1:0")
}

/// A release in two stores and at a volunteer's.
struct Mirrors {
    train: SampleTrain,
    webs: Vec<Web>,
    pin: String,
}

impl Mirrors {
    fn new() -> Self {
        let train = SampleTrain::new();
        let dir = |name: &str| train.root().join("web").join(name);
        let odd = train.root().join("odd").display().to_string();
        let webs: Vec<Web> = NAMES
            .iter()
            .map(|name| {
                fs::create_dir_all(dir(name)).unwrap();
                // The one in the west can misbehave.
                let options = ["--odd", &odd];
                Web::over(&dir(name), if *name == "west" { &options } else { &[] })
            })
            .collect();
        for (name, web) in NAMES.iter().zip(&webs).filter(|(name, _)| **name != "far") {
            let at = dir(name).display().to_string();
            train.configure(&format!("[[store]]\nname = \"{name}\"\nurl = \"{at}\"\npublic_url = \"{}\"\n", web.url));
        }
        // Another spelling of the same address.
        train.configure(&format!("[release]\nmirrors = [\"{}//\"]\n", spelled_otherwise(&webs[1].url)));
        train.to_the_gate();
        train.release();
        let pin = Sha256::of(&fs::read(train.project().join("keys/trust.json")).unwrap()).hex();
        let all = Self { train, webs, pin };
        all.fill_far();
        all
    }

    fn fill_far(&self) {
        let (from, to) = (self.url("east"), self.path("far", "").display().to_string());
        Stranger::new().run(&["mirror", "--pin", &self.pin, &from, &to]).ends_with(0);
    }

    fn url(&self, name: &str) -> String {
        format!("{}/", self.webs[NAMES.iter().position(|n| *n == name).unwrap()].url)
    }

    fn path(&self, name: &str, path: &str) -> PathBuf {
        self.train.root().join("web").join(name).join(path)
    }

    /// What a stranger is told who knows the one in the east.
    fn verify(&self, who: &Stranger, more: &[&str]) -> Ran {
        who.run(&[&["verify", "--all-mirrors", "--pin", &self.pin], more, &[&self.url("east")]].concat())
    }

    /// That stranger must be told this of the one in the west, and that the others are current.
    #[track_caller]
    fn west_is(&self, state: &str, code: i32, why: &str) {
        self.west_is_by(&Stranger::new(), &[], (state, code, why));
    }

    #[track_caller]
    fn west_is_by(&self, who: &Stranger, more: &[&str], (state, code, why): (&str, i32, &str)) {
        let ran = self.verify(who, &[&["--json"], more].concat()).ends_with(code);
        let report = Schema::strict("output/verify").parsed(&ran.stdout);
        assert_eq!(report["state"], state, "{report:#}");
        for mirror in report["mirrors"].as_array().unwrap() {
            let is_west = mirror["address"] == self.url("west").as_str();
            assert_eq!(mirror["state"], if is_west { state } else { "current" }, "{report:#}");
            let reasons = mirror["reasons"].to_string();
            assert!(!is_west || reasons.contains(why), "no `{why}` in {reasons}");
        }
    }

    /// Serves this file in the west; gives back what puts everything right again.
    fn replaced(&self, path: &str, bytes: Option<&[u8]>) -> impl FnOnce() + use<> {
        let path = self.path("west", path);
        let before = fs::read(&path).ok();
        let put = |path: &Path, bytes: Option<&[u8]>| {
            drop(fs::remove_file(path));
            bytes.into_iter().for_each(|bytes| fs::write(path, bytes).unwrap());
        };
        put(&path, bytes);
        move || put(&path, before.as_deref())
    }

    /// Signs a list with the freshness key, and serves it in the west.
    fn lists(&self, list: &MirrorList) -> impl FnOnce() + use<> {
        let bytes = list.to_bytes().unwrap();
        let key = fs::read(self.train.key("freshness")).unwrap();
        let key = SecretKey::parse(&key, "freshness", None, Timestamp::now()).unwrap();
        let signature = key.sign(&mut &bytes[..]).unwrap().into_bytes();
        let back = self.replaced(&layout::mirrors_signature(&bytes), Some(&signature));
        let list = self.replaced(layout::MIRRORS, Some(&bytes));
        move || {
            back();
            list();
        }
    }

    fn list(&self, name: &str) -> MirrorList {
        MirrorList::from_bytes(&fs::read(self.path(name, layout::MIRRORS)).unwrap()).unwrap()
    }
}

#[test]
fn each_mirror_is_called_what_it_is() {
    let all = Mirrors::new();
    let ran = all.verify(&Stranger::new(), &[]).ends_with(0);
    assert!(ran.stdout.contains("sample: 3 of 3 mirrors current"), "{ran:?}");
    all.verify(&Stranger::new(), &["latest"]).ends_with(0);
    // One that is spelled in several ways is one.
    let other = format!("{}//", spelled_otherwise(&all.webs[2].url));
    let ran = Stranger::new().run(&["verify", "--all-mirrors", "--pin", &all.pin, &other]).ends_with(0);
    assert!(ran.stdout.contains("sample: 3 of 3 mirrors current"), "{ran:?}");
    let listed = all.list("west");
    assert_eq!(listed.addresses(), NAMES.iter().map(|name| all.url(name)).collect());
    let own = listed.mirrors[&all.url("west")].index.expect("the index that was just moved");
    assert_eq!(own.sha256, Sha256::of(&fs::read(all.path("west", layout::INDEX)).unwrap()));
    // The steps of a train know of each other what was done by then; later every store knows of every other.
    all.train.run(&["refresh"]).ends_with(0);
    all.fill_far();
    let listed = all.list("west");
    assert!(NAMES.iter().all(|name| listed.mirrors[&all.url(name)].index.is_some() != (*name == "far")), "{listed:?}");
    let list = |name: &str| fs::read(all.path(name, layout::MIRRORS)).unwrap();
    assert!(list("far") == list("east"), "a mirror has the list of the store that it copies");
    all.verify(&Stranger::new(), &[]).ends_with(0);

    // Incomplete.
    for (gone, why) in [
        ("releases/1.0.5/notes.md", "1.0.5: missing: notes.md"),
        ("releases/1.0.5/tag.txt", "1.0.5: tag: `tag.txt` is missing"),
        ("releases/2.0.2/SHA256SUMS.bob.asc", "2.0.2: threshold"),
        ("releases/2.0.2/manifest.json", "2.0.2: manifest: `manifest.json` is missing"),
        (layout::MIRRORS, "`releases/mirrors.json` is missing"),
        (layout::INDEX, "`releases/index.json` is missing"),
        ("git/sample.git/info/refs", "there is no `info/refs`"),
    ] {
        let back = all.replaced(gone, None);
        all.west_is("incomplete", 8, why);
        back();
    }

    // Wrong: what is served.
    let manifest: Value =
        serde_json::from_slice(&fs::read(all.path("east", "releases/1.0.5/manifest.json")).unwrap()).unwrap();
    let sizes = manifest["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["size"].as_u64().unwrap(), a["name"].as_str().unwrap()));
    let largest = format!("releases/1.0.5/{}", sizes.max().unwrap().1);
    let mut bytes = fs::read(all.path("west", &largest)).unwrap();
    bytes[0] ^= 1;
    let back = all.replaced(&largest, Some(&bytes));
    all.verify(&Stranger::new(), &[]).ends_with(0);
    all.west_is_by(&Stranger::new(), &["1.0.5"], ("wrong", 6, "has other bytes than its people signed for"));
    back();
    let back = all.replaced(&largest, Some(&bytes[1..]));
    all.west_is("wrong", 6, "bytes instead of");
    back();
    let other = fs::read(all.path("east", "releases/2.0.2/manifest.json")).unwrap();
    let back = all.replaced("releases/1.0.5/manifest.json", Some(&other));
    all.west_is("wrong", 6, "`releases/1.0.5/manifest.json` is not the one that the index lists");
    back();
    let other = fs::read(all.path("east", layout::INDEX)).unwrap();
    let back = all.replaced(layout::INDEX, Some(&[&other[..], b"\n"].concat()));
    all.west_is("wrong", 6, "is not written in its canonical form");
    back();

    // Wrong, or too old: the list.
    let back = all.lists(&MirrorList { project: ProjectName::new("other").unwrap(), ..listed.clone() });
    all.west_is("wrong", 6, "it is the list of mirrors of other, not of sample");
    back();
    let ago = |days: i64| Timestamp::now() - SignedDuration::from_hours(24 * days);
    let old = MirrorList { generated: ago(8), expires: ago(1), ..listed.clone() };
    let back = all.lists(&old);
    all.west_is("stale", 7, "`releases/mirrors.json` is stale: good until");
    back();
    let older = MirrorList { generated: listed.generated - SignedDuration::from_secs(60), ..listed.clone() };
    let who = Stranger::new();
    all.verify(&who, &[]).ends_with(0);
    let back = all.lists(&older);
    all.west_is_by(&who, &[], ("wrong", 6, "`releases/mirrors.json` was rolled back"));
    back();
    let bytes = fs::read(all.path("west", layout::MIRRORS)).unwrap();
    let back = all.replaced(
        &layout::mirrors_signature(&bytes),
        Some(&fs::read(all.path("west", layout::INDEX_SIGNATURE)).unwrap()),
    );
    all.west_is("wrong", 6, "`releases/mirrors.json`");
    back();

    // A server that sends its readers elsewhere, or never ends.
    let odd = |path: &str, kind: &str| fs::write(all.train.root().join("odd"), format!("/{path} {kind}\n")).unwrap();
    for path in [layout::MIRRORS, layout::INDEX, "releases/1.0.5/notes.md"] {
        odd(path, &format!("elsewhere {}{path}", all.url("east")));
        all.west_is("wrong", 6, "the server redirects to another origin");
    }
    for path in [layout::MIRRORS, layout::INDEX] {
        odd(path, "endless");
        all.west_is("wrong", 6, &format!("`{path}` is longer than the"));
    }
    fs::remove_file(all.train.root().join("odd")).unwrap();
    all.verify(&Stranger::new(), &[]).ends_with(0);
}

#[test]
fn a_mirror_that_stays_behind_and_one_that_is_gone() {
    let mut all = Mirrors::new();
    let knows = Stranger::new();
    all.verify(&knows, &[]).ends_with(0);
    let before = all.train.root().join("before");
    copy(&all.path("west", ""), &before);
    all.train.run(&["refresh", "--now"]).ends_with(0);
    all.fill_far();
    assert!(
        all.list("east").generated
            > MirrorList::from_bytes(&fs::read(before.join(layout::MIRRORS)).unwrap()).unwrap().generated
    );
    all.verify(&knows, &[]).ends_with(0);
    let signatures =
        fs::read_dir(all.path("east", "releases")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let count = signatures.filter(|n| n.starts_with("mirrors.") && n.ends_with(".asc")).count();
    assert_eq!(count, 2, "of this list and of the one before");
    // Nothing is signed again while it is good.
    let same = fs::read(all.path("east", layout::MIRRORS)).unwrap();
    all.train.run(&["refresh"]).ends_with(0);
    assert_eq!(fs::read(all.path("east", layout::MIRRORS)).unwrap(), same);
    let newest = all.train.root().join("newest");
    copy(&all.path("west", ""), &newest);
    fs::remove_dir_all(all.path("west", "")).unwrap();
    copy(&before, &all.path("west", ""));
    all.west_is("stale", 7, "a list of mirrors says that it had number 2");
    all.west_is_by(&knows, &[], ("wrong", 6, "it was rolled back"));
    fs::remove_dir_all(all.path("west", "")).unwrap();
    copy(&newest, &all.path("west", ""));
    all.verify(&knows, &[]).ends_with(0);
    // A list that somebody else wrote is replaced.
    fs::write(all.path("west", layout::MIRRORS), "{}").unwrap();
    all.train.run(&["refresh"]).ends_with(0);
    all.verify(&knows, &[]).ends_with(0);
    // The project's own machine needs no address.
    let ran = all.train.run(&["verify", "--all-mirrors"]).ends_with(0);
    assert!(ran.stdout.contains("3 of 3 mirrors current"), "{ran:?}");
    // Gone; whoever knows that one alone learns nothing.
    let gone = all.url("far");
    drop(all.webs.remove(1));
    let ran = Stranger::new().run(&["verify", "--all-mirrors", "--pin", &all.pin, &gone]);
    ran.fails(5, &["cannot read"]);
    let url = format!("{}/", all.webs[0].url);
    let ran = knows.run(&["verify", "--all-mirrors", "--pin", &all.pin, &url]).ends_with(5);
    assert!(ran.stdout.contains(&format!("UNREACHABLE  {gone}")), "{ran:?}");
}

/// What a mirror shows of the others is verified before anything of it is copied; a store of the project names itself.
#[test]
fn a_mirror_copies_the_list_that_counts() {
    let all = Mirrors::new();
    let listed = all.list("west");
    let to = tempfile::tempdir().unwrap();
    let at = to.path().display().to_string();
    let mirror = || Stranger::new().run(&["mirror", "--pin", &all.pin, &all.url("west"), &at]);
    let back = all.lists(&MirrorList { project: ProjectName::new("other").unwrap(), ..listed.clone() });
    let says = ["it is the list of mirrors of other, not of sample", "do not trust that store", "nothing was copied"];
    mirror().fails(6, &says);
    assert!(fs::read_dir(to.path()).unwrap().next().is_none_or(|e| e.unwrap().file_name() == ".staging"));
    back();
    let ago = |days: i64| Timestamp::now() - SignedDuration::from_hours(24 * days);
    let back = all.lists(&MirrorList { generated: ago(8), expires: ago(1), ..listed.clone() });
    let ran = mirror().ends_with(0);
    assert!(ran.stderr.contains("its list of mirrors has expired, and is not copied"), "{ran:?}");
    assert!(!to.path().join(layout::MIRRORS).exists());
    back();
    mirror().ends_with(0);
    assert_eq!(fs::read(to.path().join(layout::MIRRORS)).unwrap(), listed.to_bytes().unwrap());

    let north = all.train.root().join("north");
    fs::create_dir(&north).unwrap();
    let public = "https://north.example.org/acme";
    let table = format!(
        "[[store]]\nname = \"north\"\nurl = \"{}\"\npublic_url = \"{public}\"\nrequired = false\n",
        north.display()
    );
    all.train.edit(&all.train.config(), "[release]\n", &format!("{table}[release]\n"));
    all.train.run(&["mirror", &all.url("east"), "north"]).ends_with(0);
    let list = MirrorList::from_bytes(&fs::read(north.join(layout::MIRRORS)).unwrap()).unwrap();
    let own = list.mirrors[&format!("{public}/")].index.expect("its own index");
    assert_eq!(own.sha256, Sha256::of(&fs::read(north.join(layout::INDEX)).unwrap()));
    assert!(list.mirrors[&all.url("east")].index.is_some(), "what the copied list knew stays: {list:?}");
}

#[test]
fn a_store_without_a_list_says_so() {
    let store = crate::stranger::home::released().store().display().to_string();
    let stranger = Stranger::new();
    let verify = |more: &[&str]| stranger.verify(&[&["--all-mirrors"], more].concat());
    verify(&[&store]).fails(2, &["has no `releases/mirrors.json`", "`lifeboat refresh`"]);
    verify(&[]).fails(2, &["where is a mirror?"]);
    verify(&["x.zip", &store]).fails(2, &["`x.zip` is not a version"]);
    stranger.run(&["verify"]).fails(2, &["VERSION|latest|FILE"]);
}

/// The first mirror that answers does not decide by whose keys the others are judged.
#[test]
fn a_frozen_mirror_does_not_lower_the_trust_root() {
    let all = Mirrors::new();
    let before = all.train.root().join("before");
    copy(&all.path("west", ""), &before);
    crate::retired::rotate_freshness(&all.train);
    all.train.run(&["refresh", "--now"]).ends_with(0);
    all.fill_far();
    fs::remove_dir_all(all.path("west", "")).unwrap();
    copy(&before, &all.path("west", ""));
    for start in ["west", "east"] {
        let ran = Stranger::new().run(&["verify", "--json", "--all-mirrors", "--pin", &all.pin, &all.url(start)]);
        let report = Schema::strict("output/verify").parsed(&ran.ends_with(6).stdout);
        for mirror in report["mirrors"].as_array().unwrap() {
            let is_west = mirror["address"] == all.url("west").as_str();
            assert_eq!(mirror["state"], if is_west { "wrong" } else { "current" }, "{report:#}");
            let old = "`keys/trust.json` is version 1 of the trust root, and that of another mirror is 2";
            assert_eq!(mirror["reasons"].to_string().contains(old), is_west, "{report:#}");
        }
    }
    // A root that does not follow from the pin counts for nothing, whatever its number.
    let root = Root::from_bytes(&fs::read(all.path("east", "keys/trust.json")).unwrap(), "root").unwrap();
    let forged = Root { version: 9, ..root }.to_bytes().unwrap();
    fs::remove_dir_all(all.path("west", "")).unwrap();
    copy(&all.path("east", ""), &all.path("west", ""));
    let back = all.replaced("keys/trust.json", Some(&forged));
    all.west_is("wrong", 6, "and does not follow from it");
    back();
    let back = all.replaced("keys/trust.json", None);
    all.west_is("incomplete", 8, "there is no `keys/trust.json`");
    back();
}

/// Each has its time, and the others' report does not wait for more.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_takes_too_long_holds_up_no_other_one() {
    use lifeboat::trust::{RootChoice, load};
    use lifeboat::verify::{MirrorsRequest, all_mirrors};
    let all = tokio::task::block_in_place(Mirrors::new);
    let (disk, now) = (std::sync::Arc::new(lifeboat::host::HostDisk), Timestamp::now());
    let pin = RootChoice::Given(all.pin.parse().unwrap());
    let request = |patience: u64| MirrorsRequest {
        start: vec![all.url("east")],
        whole: None,
        trust: load(&*disk, &all.train.project().join("keys"), None, pin, now).unwrap(),
        pin,
        patience: std::time::Duration::from_secs(patience),
        state_dir: Err("nothing is remembered".to_owned()),
        disk: disk.clone(),
        now,
    };
    for path in ["releases/index.json", "releases/1.0.5/manifest.json"] {
        fs::write(all.train.root().join("odd"), format!("/{path} slowly\n")).unwrap();
        let report = all_mirrors(request(20)).await.unwrap();
        for mirror in &report.mirrors {
            let is_west = mirror.address == all.url("west");
            assert_eq!(mirror.state.word(), if is_west { "unreachable" } else { "current" }, "{report:?}");
            let slow = mirror.reasons.first().is_some_and(|why| why.starts_with("too slow"));
            assert!(slow == is_west, "{report:?}");
            let why = "rollback not checked: nothing is remembered";
            assert!(is_west || mirror.not_checked == [why], "{report:?}");
        }
    }
}

/// Where nothing can be remembered everything else is checked, and that this is not.
#[test]
fn what_cannot_be_remembered_is_said() {
    let all = Mirrors::new();
    let who = Stranger::new();
    let ran = all.verify(&who, &[]).ends_with(0);
    assert!(!ran.stdout.contains("not checked"), "{ran:?}");
    let seen: Vec<String> = who.files_of_home().into_iter().filter(|name| name.ends_with("-seen.json")).collect();
    assert_eq!(seen.len(), 6, "an index and a list of each: {seen:?}");
    seen.iter().for_each(|name| fs::write(who.home().join(name), "{").unwrap());
    let ran = all.verify(&who, &[]).ends_with(0);
    assert_eq!(ran.stdout.matches("- rollback not checked: cannot read `").count(), 6, "{ran:?}");
    let to = tempfile::tempdir().unwrap();
    let mirror = |who: &Stranger| {
        who.run(&["mirror", "--pin", &all.pin, &all.url("east"), &to.path().display().to_string()]).ends_with(0)
    };
    let ran = mirror(&who);
    assert_eq!(ran.stderr.matches("rollback not checked: cannot read `").count(), 2, "{ran:?}");
    // There is no place to remember.
    let nowhere = Stranger::new();
    fs::create_dir_all(nowhere.home().join(".local/state")).unwrap();
    fs::write(nowhere.home().join(".local/state/lifeboat"), "a file").unwrap();
    let ran = all.verify(&nowhere, &[]).ends_with(0);
    assert_eq!(ran.stdout.matches("- rollback not checked: ").count(), 3, "{ran:?}");
    assert!(mirror(&nowhere).stderr.contains("rollback not checked: "));
}

/// What is said to somebody who has pinned nothing works as it stands, with the digest in its place.
#[test]
fn the_advice_for_a_pin_works_when_it_is_pasted() {
    let served = Served::new();
    let store = served.store().display().to_string();
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("a mirror");
    fs::create_dir(&to).unwrap();
    let to = to.display().to_string();
    for (args, also) in [
        (&["verify", "--all-mirrors", &served.url][..], 2),
        (&["verify", "--all-mirrors", "latest", &store], 2),
        (&["verify", "latest", &served.url], 0),
        (&["verify", "--line", "release-1.0.0", "latest", &store], 0),
        (&["mirror", &served.url, &to], 0),
    ] {
        let who = Stranger::new();
        let ran = who.run(args).ends_with(2);
        let commands: Vec<&str> = ran.stderr.split('`').filter(|text| text.starts_with("lifeboat ")).collect();
        assert_eq!(commands.len(), 2, "{ran:?}");
        // Without a list of mirrors the sample ends with that, after everything else.
        let paste = |command: &str, code: i32| {
            let binary = std::path::Path::new(env!("CARGO_BIN_EXE_lifeboat")).parent().unwrap();
            let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
            let mut shell = std::process::Command::new("sh");
            who.surround(shell.args(["-c", &command.replace("DIGEST", &digest())]));
            let ran = Ran::of(shell.env("PATH", path)).ends_with(code);
            assert!(code == 0 || ran.stderr.contains("has no `releases/mirrors.json`"), "{command}: {ran:?}");
        };
        paste(commands[0], also);
        who.run(args).ends_with(2);
        paste(commands[1], 0);
        assert!(!who.run(args).ends_with(also).stderr.contains("no trust root is pinned"));
    }
}
