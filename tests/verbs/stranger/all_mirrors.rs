//! `verify --all-mirrors`: two stores of the project and a mirror that a volunteer runs, each behind a web server of its own.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use lifeboat::effects::Signer as _;
use lifeboat::formats::layout;
use lifeboat::formats::mirrors::MirrorList;
use lifeboat::model::{ProjectName, Sha256};
use lifeboat::signers::openpgp::SecretKey;
use serde_json::Value;

use crate::schemas::Schema;
use crate::stranger::home::{Stranger, Web, copy};
use crate::support::sample_train::{Ran, SampleTrain};

const NAMES: [&str; 3] = ["east", "far", "west"];

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
        train.configure(&format!("[release]\nmirrors = [\"{}\"]\n", webs[1].url));
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
    mirror().fails(6, &["it is the list of mirrors of other, not of sample", "nothing was copied"]);
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
