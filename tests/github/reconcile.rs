//! What waited comes home, a second run only reads, and what somebody changed meanwhile is told.

use std::time::Instant;

use lifeboat::engine::Ended;
use lifeboat::journal::TrainState;

use crate::github_double::Side;
use crate::github_double::faults::Kind;
use crate::github_double::state::State;
use crate::train::{DELIVERIES, Template, double_with, essence};

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

    double.mend();
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
    assert!(errors.len() == 1 && errors[0].contains("`latest`"), "{errors:?}");
}
