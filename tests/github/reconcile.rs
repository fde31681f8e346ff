//! Deferred deliveries are made, a second run only reads, and what somebody changed meanwhile is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lifeboat::effects::{Advisories, AssetFile, Automation, Discard, Forge, ForgeView, MarkLatest, ReleaseText};
use lifeboat::engine::Ended;
use lifeboat::engine::reconcile::reconcile;
use lifeboat::error::{Error, Part, Result};
use lifeboat::journal::TrainState;
use lifeboat::model::{RemoteName, TagName};
use lifeboat::step::ForgeRelease;

use crate::essence::essence;
use crate::github_double::Side;
use crate::github_double::faults::Kind;
use crate::github_double::state::State;
use crate::train::{DELIVERIES, Template, double_with};
use crate::workflows::Project;

#[tokio::test]
async fn a_black_hole_defers_all_and_reconcile_brings_all_home_once() {
    let template = Template::new();
    let expected = {
        let double = double_with(&[]).await;
        template.copy().ship(&template, &double).await.unwrap();
        let world = double.world();
        essence(&world.state)
    };
    let (double, run) = (double_with(&[]).await, template.copy());
    double.world().faults.down.insert(Side::Api, Kind::HostBlackHole);
    let start = Instant::now();
    let ended = run.ship(&template, &double).await.unwrap();
    let took = start.elapsed();
    assert!(matches!(ended, Ended::Done(TrainState::Released)), "{ended:?}");
    assert!(took.as_secs() < 10, "{took:?}");
    assert_eq!(double.world().state.releases, []);

    // Still down: nothing is lost, nothing is done.
    let done = run.reconcile(&template, &double).await.unwrap().unwrap();
    assert!(matches!(done.ended, Some(Ended::Done(TrainState::Released))), "{done:?}");

    double.repair();
    let done = run.reconcile(&template, &double).await.unwrap().unwrap();
    assert!(matches!(done.ended, Some(Ended::Done(TrainState::Reconciled))), "{done:?}");
    assert_eq!(done.equal.len(), DELIVERIES);
    assert_eq!(essence(&double.world().state), expected);

    let (writes, journal) = (double.world().state_changing(), run.journal());
    let done = run.reconcile(&template, &double).await.unwrap().unwrap();
    assert!(done.ended.is_none() && done.differ.is_empty() && done.equal.len() == DELIVERIES, "{done:?}");
    assert_eq!(double.world().state_changing(), writes, "the second run sends nothing that could change anything");
    assert_eq!(run.journal(), journal, "and records nothing");
    assert_eq!(double.world().violations, Vec::<String>::new());
}

#[tokio::test]
async fn a_change_after_the_release_is_told_and_not_undone() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    run.ship(&template, &double).await.unwrap();
    type Change = fn(&mut State);
    let tamper: [(&str, Change); 4] = [
        ("has other notes", |s| s.releases[0].notes = "edited".into()),
        ("published without asset", |s| drop(s.releases[0].assets.pop())),
        ("bytes, sha256", |s| s.releases[0].assets[0].sha256 = "0".repeat(64)),
        ("points to", |s| s.refs.values_mut().for_each(|v| *v = "e".repeat(40))),
    ];
    for (what, change) in tamper {
        let before = double.world().state.clone();
        change(&mut double.world().state);
        let changed = essence(&double.world().state);
        let done = run.reconcile(&template, &double).await.unwrap().unwrap();
        let errors: Vec<String> = done.differ.iter().map(|(_, e)| e.report()).collect();
        assert!(errors.iter().any(|e| e.contains(what)), "{what}: {errors:?}");
        assert_eq!(essence(&double.world().state), changed, "nothing was overwritten");
        double.world().state = before;
    }
}

#[tokio::test]
async fn a_stolen_latest_is_told() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    run.ship(&template, &double).await.unwrap();
    let stolen = double.world().state.releases.iter().find(|r| r.tag == "v24.0.9").unwrap().id;
    double.world().state.latest = Some(stolen);
    let done = run.reconcile(&template, &double).await.unwrap().unwrap();
    let errors: Vec<String> = done.differ.iter().map(|(_, e)| e.report()).collect();
    let reported =
        |tag: &str| errors.iter().any(|e| e.contains(tag) && e.contains("it needs `latest` at the highest version"));
    assert!(
        errors.len() == 2 && reported("v24.0.9") && reported("v48.0.1"),
        "who has it, and who lacks it: {errors:?}"
    );
    assert_eq!(double.world().state.latest, Some(stolen), "nothing was changed");
}

/// A forge at which every read fails in passing, for as long as the test wants.
struct Shaky {
    inner: Arc<dyn Forge>,
    shakes: AtomicBool,
}

#[async_trait::async_trait]
impl Forge for Shaky {
    fn name(&self) -> &RemoteName {
        self.inner.name()
    }

    async fn probe(&self) -> Result<()> {
        self.inner.probe().await
    }

    async fn observe(&self, tag: &TagName) -> Result<ForgeView> {
        if self.shakes.load(Ordering::SeqCst) {
            return Err(Error::transient("the answer was garbled").of(Part::Api));
        }
        self.inner.observe(tag).await
    }

    async fn create_draft(&self, text: &ReleaseText) -> Result<()> {
        self.inner.create_draft(text).await
    }

    async fn upload(&self, draft: u64, asset: &AssetFile) -> Result<()> {
        self.inner.upload(draft, asset).await
    }

    async fn discard(&self, what: Discard) -> Result<()> {
        self.inner.discard(what).await
    }

    async fn publish(&self, draft: u64, latest: MarkLatest) -> Result<()> {
        self.inner.publish(draft, latest).await
    }

    async fn set_latest(&self, release: u64) -> Result<()> {
        self.inner.set_latest(release).await
    }

    fn automation(&self) -> Option<&dyn Automation> {
        self.inner.automation()
    }

    fn advisories(&self) -> Option<&dyn Advisories> {
        self.inner.advisories()
    }
}

/// A delivery that fails in passing, again and again, neither fails the train nor is abandoned.
#[tokio::test]
async fn what_fails_in_passing_for_good_is_deferred_and_taken_up_again() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    let shaky = Arc::new(Shaky { inner: run.forge(&double), shakes: AtomicBool::new(true) });
    let (effects, train) = run.open_with(&template, shaky.clone());
    let ended = lifeboat::engine::run(&effects, train.clone()).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Released)), "{ended:?}");
    let state = train.state();
    let waits: Vec<(&str, &str)> = state.deferred().map(|(id, why, _)| (id.as_str(), why)).collect();
    assert_eq!(waits.len(), 3, "{waits:?}");
    assert!(waits.iter().all(|(id, why)| id.starts_with("forge-release/") && *why == "the answer was garbled"));
    let id = ForgeRelease::id(&"github".parse().unwrap(), &"release-24.0.0".parse().unwrap());
    let tries = state.step(&id).unwrap().attempts;
    assert_eq!(tries, 4, "it is tried again before it is put off");
    assert_eq!(state.outages().iter().map(|o| o.part).collect::<Vec<_>>(), [Part::Api]);
    shaky.shakes.store(false, Ordering::SeqCst);
    let done = reconcile(&effects, train).await.unwrap();
    assert!(matches!(done.ended, Some(Ended::Done(TrainState::Reconciled))), "{done:?}");
}

/// Git and the API fail apart: what answers is proven, what does not is waited for, and neither counts as a difference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_part_is_proven_while_another_is_down() {
    let project = Project::new(&[]).await;
    project.configure("", "");
    project.ship().await.ends_with(0);
    let lines = ["release-1.0.0", "release-2.0.0"];
    let releases = lines.map(|l| format!("forge-release/github/{l}"));
    let git = ["push-git/github-git".to_owned()];
    let unread = "it is there, and could not be read back: ";
    let reconciled = |ran: crate::support::sample_train::Ran| {
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let waits = report[0]["waiting"].as_array().unwrap().clone();
        assert!(waits.iter().all(|w| w["reason"].as_str().unwrap().starts_with(unread)), "{report}");
        assert_eq!((report[0]["differ"].as_array().unwrap().len(), &report[0]["state"]), (0, &"reconciled".into()));
        let steps = |list: Vec<&serde_json::Value>| -> Vec<String> {
            list.into_iter().map(|s| s.as_str().unwrap().to_owned()).collect()
        };
        (
            steps(report[0]["equal"].as_array().unwrap().iter().collect()),
            steps(waits.iter().map(|w| &w["step"]).collect()),
        )
    };

    project.double.world().faults.down.insert(Side::Api, Kind::HostDown);
    let (equal, waits) = reconciled(project.run(&["reconcile", "--json"]).await.ends_with(5));
    assert_eq!((&equal[..], &waits[..]), (&git[..], &releases[..]));
    project.double.repair();

    // The releases stay readable while git is away; an address on which nobody listens.
    let name = "url.ssh://git@127.0.0.1:1/x.insteadOf";
    crate::workflows::git(&project.train, &["config", "--global", name, &project.bare.display().to_string()]);
    let (equal, waits) = reconciled(project.run(&["reconcile", "--json"]).await.ends_with(5));
    assert_eq!((&equal[..], &waits[..]), (&releases[..], &git[..]));
    crate::workflows::git(&project.train, &["config", "--global", "--unset", name]);

    let (equal, waits) = reconciled(project.run(&["reconcile", "--json"]).await.ends_with(0));
    assert_eq!((equal.len(), waits.len()), (3, 0));
}
