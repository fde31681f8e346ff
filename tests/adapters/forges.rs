//! Every forge keeps the same contract: what is there is seen as it is, a lost answer makes nothing twice, and a release
//! comes home whole. Each adapter of the registry must be here, against its double.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "a test may panic, and exports nothing")]

use std::path::Path;
use std::sync::Arc;

use lifeboat::adapter::{Around, ForgeTable};
use lifeboat::drill::recording::LeapingClock;
use lifeboat::effects::{AssetFile, Clock as _, Discard, Forge, ForgeView, MarkLatest, ReleaseText};
use lifeboat::engine::release::{ReleaseMove, WantedRelease, next_move};
use lifeboat::error::{ErrorKind, Part};
use lifeboat::forges::FORGES;
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::{Digests, Oid, Secret};
use lifeboat::table::{Faults, Table};

/// A forge with its double.
enum Double {
    GitHub(crate::github_double::Double),
    Forgejo(crate::forgejo_double::Double),
}

impl Double {
    async fn start(kind: &str) -> Self {
        match kind {
            "github" => Self::GitHub(crate::github_double::Double::start().await),
            "forgejo" => Self::Forgejo(crate::forgejo_double::Double::start().await),
            other => panic!("the forge `{other}` has no double here: add one"),
        }
    }

    fn open(&self, kind: &str, wrong_token: bool) -> Arc<dyn Forge> {
        self.open_trusting(kind, wrong_token, &["127.0.0.1"])
    }

    fn open_with_clock(&self, kind: &str) -> (Arc<LeapingClock>, Arc<dyn Forge>) {
        let clock = Arc::new(LeapingClock::new(Arc::new(HostClock)));
        (clock.clone(), self.open_at(kind, false, &["127.0.0.1"], clock))
    }

    fn open_trusting(&self, kind: &str, wrong_token: bool, hosts: &[&str]) -> Arc<dyn Forge> {
        self.open_at(kind, wrong_token, hosts, Arc::new(LeapingClock::new(Arc::new(HostClock))))
    }

    fn open_at(&self, kind: &str, wrong_token: bool, hosts: &[&str], clock: Arc<LeapingClock>) -> Arc<dyn Forge> {
        let (api, token) = match self {
            Self::GitHub(d) => (d.api(), crate::github_double::TOKEN),
            Self::Forgejo(d) => (d.api(), crate::forgejo_double::TOKEN),
        };
        let token = if wrong_token { "wrong_canary_42" } else { token };
        let adapter = FORGES.iter().find(|a| a.kind == kind).unwrap();
        let common = ForgeTable { name: kind.parse().unwrap(), repository: "example/sample".into() };
        let text = format!("api = \"{api}\"\ntoken = {{ env = \"TOKEN\" }}\n");
        let mut faults = Faults::default();
        let table = Table::parse(&text, Path::new("/"), &mut faults);
        let spec = (adapter.parse)(&common, table, &mut faults).unwrap();
        let around = Around {
            disk: Arc::new(HostDisk),
            clock,
            secrets: Arc::new(move |_| Ok(Secret::new(token))),
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
            repository: "/".into(),
            jobs: None,
        };
        spec.open(&around).unwrap()
    }

    /// From now on every answer is a failure of the server.
    fn break_down(&self) {
        match self {
            Self::GitHub(d) => {
                for nth in 1..=12 {
                    let (call, kind) = ("GET tag v1.0.5".to_owned(), crate::github_double::faults::Kind::ErrorBefore);
                    d.inject(crate::github_double::faults::Fault { call, nth, kind });
                }
            }
            Self::Forgejo(d) => d.state().down = true,
        }
    }

    /// The next answer asks for patience, and says for how long.
    fn ask_for_patience(&self) {
        match self {
            Self::GitHub(d) => {
                let (call, kind) = ("GET tag v1.0.5".to_owned(), crate::github_double::faults::Kind::TooManyRetryAfter);
                d.inject(crate::github_double::faults::Fault { call, nth: 1, kind });
            }
            Self::Forgejo(d) => d.state().patience = Some(7),
        }
    }

    fn requests(&self) -> usize {
        match self {
            Self::GitHub(d) => d.world().calls.len(),
            Self::Forgejo(d) => d.state().requests,
        }
    }

    fn push(&self, tag: &str, object: &Oid) {
        match self {
            Self::GitHub(d) => d.push_tag(tag, object.as_str()),
            Self::Forgejo(d) => drop(d.state().tags.insert(tag.to_owned(), object.to_string())),
        }
    }

    /// The next answer to a change of this kind is lost after its effect.
    fn lose(&self, change: &str) {
        match (self, change) {
            (Self::GitHub(d), change) => {
                let call = match change {
                    "draft" => "POST releases",
                    "upload" => "POST assets v1.0.5 a.tar.gz",
                    _ => "PATCH release v1.0.5",
                };
                let kind = crate::github_double::faults::Kind::ErrorAfter;
                d.inject(crate::github_double::faults::Fault { call: call.into(), nth: 1, kind });
            }
            (Self::Forgejo(d), change) => {
                let call = match change {
                    "draft" => "POST releases",
                    "upload" => "POST releases/assets",
                    _ => "PATCH releases",
                };
                d.state().lost.push(call.into());
            }
        }
    }

    fn violations(&self) -> Vec<String> {
        match self {
            Self::GitHub(d) => d.world().violations.clone(),
            Self::Forgejo(d) => d.state().violations.clone(),
        }
    }
}

fn object() -> Oid {
    "a".repeat(40).parse().unwrap()
}

fn wanted(dir: &Path) -> WantedRelease {
    let asset = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.join(name), bytes).unwrap();
        AssetFile { name: name.into(), path: dir.join(name), digests: Digests::of(bytes) }
    };
    let version: semver::Version = "1.0.5".parse().unwrap();
    WantedRelease {
        text: ReleaseText {
            tag: "v1.0.5".parse().unwrap(),
            title: "v1.0.5".into(),
            notes: "Fixes a flaw.\n".into(),
            prerelease: false,
        },
        train_latest: Some(version.clone()),
        version,
        tag_id: object(),
        // One is larger than what goes out in one piece; one is empty of meaning and full of line ends.
        assets: vec![asset("a.tar.gz", &vec![7; 300 << 10]), asset("SHA256SUMS", b"\r\n--\r\n\r\n")],
    }
}

async fn act(forge: &dyn Forge, next: ReleaseMove) -> lifeboat::error::Result<()> {
    match next {
        ReleaseMove::Create => forge.create_draft(&wanted(tempfile::tempdir().unwrap().path()).text).await,
        ReleaseMove::Upload(draft, assets) => {
            for asset in &assets {
                forge.upload(draft, asset).await?;
            }
            Ok(())
        }
        ReleaseMove::Discard(list) => {
            for what in list {
                forge.discard(what).await?;
            }
            Ok(())
        }
        ReleaseMove::Publish(draft, latest) => forge.publish(draft, latest).await,
        ReleaseMove::SetLatest(id) => forge.set_latest(id).await,
        other => panic!("{other:?}"),
    }
}

/// Acts until the release is there; what it took.
async fn deliver(forge: &dyn Forge, wanted: &WantedRelease) -> (Vec<String>, ForgeView) {
    let mut moves = Vec::new();
    for _ in 0..12 {
        let view = forge.observe(&wanted.text.tag).await.unwrap();
        let next = next_move(wanted, &view);
        if matches!(next, ReleaseMove::Done(_)) {
            return (moves, view);
        }
        let name = format!("{next:?}");
        moves.push(name.split(['(', ' ']).next().unwrap().to_owned());
        if let Err(e) = act(forge, next).await {
            assert_eq!(e.kind(), ErrorKind::Transient, "{}", e.report());
        }
    }
    panic!("no end: {moves:?}");
}

#[tokio::test]
async fn a_release_comes_home_whole_and_is_seen_as_it_is() {
    for adapter in FORGES {
        let (double, dir) = (Double::start(adapter.kind).await, tempfile::tempdir().unwrap());
        let (forge, wanted) = (double.open(adapter.kind, false), wanted(dir.path()));
        forge.probe().await.unwrap();
        let view = forge.observe(&wanted.text.tag).await.unwrap();
        assert_eq!((view.tag.as_ref(), view.releases.len()), (None, 0), "{}", adapter.kind);
        assert_eq!(next_move(&wanted, &view), ReleaseMove::AwaitTag);
        // A tag that only begins so is another one.
        double.push("v1.0.50", &"b".repeat(40).parse().unwrap());
        assert_eq!(forge.observe(&wanted.text.tag).await.unwrap().tag, None, "{}", adapter.kind);
        double.push("v1.0.5", &object());
        let (moves, view) = deliver(&*forge, &wanted).await;
        assert_eq!(moves, ["Create", "Upload", "Publish"], "{}", adapter.kind);
        let [release] = &view.releases[..] else { panic!("{view:?}") };
        assert!(!release.draft && release.title == "v1.0.5" && release.notes == "Fixes a flaw.\n", "{release:?}");
        let mut assets: Vec<_> = release.assets.iter().map(|a| (a.name.as_str(), a.size, a.digest, a.whole)).collect();
        assets.sort_unstable();
        let mut ours: Vec<_> =
            wanted.assets.iter().map(|a| (a.name.as_str(), a.digests.size, Some(a.digests.sha256), true)).collect();
        ours.sort_unstable();
        assert_eq!(assets, ours, "{}", adapter.kind);
        assert_eq!(double.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    for adapter in FORGES {
        for change in ["draft", "upload", "publish"] {
            let (double, dir) = (Double::start(adapter.kind).await, tempfile::tempdir().unwrap());
            let (forge, wanted) = (double.open(adapter.kind, false), wanted(dir.path()));
            double.push("v1.0.5", &object());
            double.lose(change);
            let (_, view) = deliver(&*forge, &wanted).await;
            let [release] = &view.releases[..] else { panic!("{} {change}: {view:?}", adapter.kind) };
            assert_eq!(release.assets.len(), 2, "{} {change}", adapter.kind);
            // As another process sees it, which remembers nothing.
            let view = double.open(adapter.kind, false).observe(&wanted.text.tag).await.unwrap();
            assert!(matches!(next_move(&wanted, &view), ReleaseMove::Done(_)), "{} {change}: {view:?}", adapter.kind);
        }
    }
}

#[tokio::test]
async fn what_is_ours_and_too_much_is_removed_and_what_differs_is_told() {
    for adapter in FORGES {
        let (double, dir) = (Double::start(adapter.kind).await, tempfile::tempdir().unwrap());
        let (forge, wanted) = (double.open(adapter.kind, false), wanted(dir.path()));
        double.push("v1.0.5", &object());
        forge.create_draft(&wanted.text).await.unwrap();
        let draft = forge.observe(&wanted.text.tag).await.unwrap().releases[0].id;
        // Other bytes under our name.
        std::fs::write(dir.path().join("other"), b"other").unwrap();
        let other =
            AssetFile { path: dir.path().join("other"), digests: Digests::of(b"other"), ..wanted.assets[0].clone() };
        forge.upload(draft, &other).await.unwrap();
        let view = forge.observe(&wanted.text.tag).await.unwrap();
        let ReleaseMove::Conflict(lines) = next_move(&wanted, &view) else { panic!("{}: {view:?}", adapter.kind) };
        assert!(lines[0].contains("asset `a.tar.gz` has 5 bytes, sha256"), "{lines:?}");
        forge.discard(Discard::Asset(view.releases[0].assets[0].id)).await.unwrap();
        // What is gone already is not an error.
        forge.discard(Discard::Asset(view.releases[0].assets[0].id)).await.unwrap();
        let (moves, _) = deliver(&*forge, &wanted).await;
        assert_eq!(moves, ["Upload", "Publish"], "{}", adapter.kind);
        forge.publish(draft, MarkLatest::No).await.unwrap();
        forge.discard(Discard::Draft(987_654)).await.unwrap();
    }
}

#[tokio::test]
async fn an_asset_of_one_name_twice_is_brought_down_to_one() {
    let (double, dir) = (Double::start("forgejo").await, tempfile::tempdir().unwrap());
    let (forge, wanted) = (double.open("forgejo", false), wanted(dir.path()));
    double.push("v1.0.5", &object());
    forge.create_draft(&wanted.text).await.unwrap();
    let draft = forge.observe(&wanted.text.tag).await.unwrap().releases[0].id;
    for _ in 0..2 {
        forge.upload(draft, &wanted.assets[0]).await.unwrap();
    }
    let (moves, _) = deliver(&*forge, &wanted).await;
    assert_eq!(moves, ["Discard", "Upload", "Publish"]);
    let Double::Forgejo(double) = &double else { panic!() };
    assert_eq!(double.state().releases[0].assets.len(), 2);
    assert_eq!(double.state().downloads, 2, "each asset is downloaded once, however often it is looked at");
}

#[tokio::test]
async fn the_servers_own_patience_is_waited_for() {
    for adapter in FORGES {
        let double = Double::start(adapter.kind).await;
        let (clock, forge) = double.open_with_clock(adapter.kind);
        double.push("v1.0.5", &object());
        double.ask_for_patience();
        let before = clock.now();
        let view = forge.observe(&"v1.0.5".parse().unwrap()).await.unwrap();
        assert_eq!(view.tag, Some(object()), "{}", adapter.kind);
        let waited = before.duration_until(clock.now()).as_secs();
        assert!((1..75).contains(&waited), "{}: waited {waited} s", adapter.kind);
    }
}

#[tokio::test]
async fn a_server_that_fails_in_a_row_is_left_alone_and_asked_again_by_itself() {
    for adapter in FORGES {
        let double = Double::start(adapter.kind).await;
        let (clock, forge) = double.open_with_clock(adapter.kind);
        let tag = "v1.0.5".parse().unwrap();
        double.break_down();
        for _ in 0..2 {
            let error = forge.observe(&tag).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unreachable, "{}: {}", adapter.kind, error.report());
        }
        let sent = double.requests();
        let error = forge.observe(&tag).await.unwrap_err();
        let says = error.message().contains("it does not answer since 20");
        assert!(says && error.part() == Some(Part::Api), "{}: {}", adapter.kind, error.report());
        assert_eq!((double.requests(), sent), (4, 4), "{}: nothing is sent while it is left alone", adapter.kind);
        clock.leap_to(clock.now().checked_add(jiff::SignedDuration::from_secs(31)).unwrap());
        let error = forge.observe(&tag).await.unwrap_err();
        assert_eq!((error.kind(), double.requests()), (ErrorKind::Unreachable, 5), "{}: one call tries", adapter.kind);
    }
}

#[tokio::test]
async fn a_wrong_token_is_told_and_never_shown_and_an_outage_is_one() {
    for adapter in FORGES {
        let double = Double::start(adapter.kind).await;
        let error = double.open(adapter.kind, true).observe(&"v1.0.5".parse().unwrap()).await.unwrap_err();
        let report = format!("{}\n{error:?}", error.report());
        assert_eq!(error.kind(), ErrorKind::Input, "{report}");
        assert!(report.contains("HTTP status 401") && !report.contains("canary"), "{report}");
        let elsewhere = double.open_trusting(adapter.kind, false, &["example.org"]);
        let error = elsewhere.observe(&"v1.0.5".parse().unwrap()).await.unwrap_err();
        assert!(
            error.report().contains("the trust root does not let `127.0.0.1` have credentials"),
            "{}",
            error.report()
        );
        let forge = double.open(adapter.kind, false);
        drop(double);
        assert_eq!(forge.probe().await.unwrap_err().kind(), ErrorKind::Unreachable, "{}", adapter.kind);
        let error = forge.observe(&"v1.0.5".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{}: {}", adapter.kind, error.report());
    }
}

#[tokio::test]
async fn a_list_that_never_ends_is_given_up() {
    let double = crate::forgejo_double::Double::start().await;
    double.state().endless = true;
    let double = Double::Forgejo(double);
    let forge = double.open("forgejo", false);
    let e = forge.observe(&"v1.0.5".parse().unwrap()).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Verification, "{}", e.report());
    assert!(e.message().contains("more than 200 pages of `/releases`"), "{}", e.report());
    assert!(double.requests() < 210, "{}", double.requests());
}
