//! Reads that are seconds behind what was written: nothing is made twice, abandoned or called a conflict.

use jiff::SignedDuration;
use lifeboat::engine::Ended;

use crate::essence::essence;
use crate::github_double::Double;
use crate::github_double::faults::{Fault, Kind, Lag};
use crate::train::{Copied, DELIVERIES, Template, double_with};

/// How many seconds, and one read in how many: up to what a look waits for in all, 15 s.
const LAGS: [(i64, u32); 7] = [(1, 1), (3, 1), (3, 2), (8, 3), (10, 1), (14, 1), (14, 2)];

/// A double some of whose reads are behind by the time of this run.
async fn behind(run: &Copied, seconds: i64, one_in: u32) -> Double {
    let double = double_with(&[]).await;
    let mut world = double.world();
    world.clock = run.clock();
    world.lag = Some(Lag { by: SignedDuration::from_secs(seconds), one_in });
    drop(world);
    double
}

/// What was made of each kind that must not be made twice.
fn made(double: &Double) -> [usize; 4] {
    let world = double.world();
    let count = |name: &str| world.writes.iter().filter(|w| w.starts_with(name)).count();
    ["POST releases", "POST assets", "DELETE", "POST security-advisories"].map(count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_train_comes_home_by_reads_that_are_seconds_behind() {
    let template = Template::new();
    let double = double_with(&[]).await;
    template.copy().ship(&template, &double).await.unwrap();
    let expected = essence(&double.world().state);
    let once = made(&double);
    // Three drafts with twelve assets each; an advisory, and the request for its number.
    assert_eq!(once, [3, 36, 0, 2]);
    let mut wrong = Vec::new();
    for (seconds, one_in) in LAGS {
        let what = format!("{seconds} s behind, one read in {one_in}");
        let run = template.copy();
        let double = behind(&run, seconds, one_in).await;
        let ended = run.ship(&template, &double).await.unwrap();
        // A run of a workflow is waited for by looking again later.
        let deferred: Vec<String> =
            run.journal_text().lines().filter(|l| l.contains("\"deferred\"")).map(str::to_owned).collect();
        if matches!(ended, Ended::Stuck(_)) || deferred.iter().any(|l| !l.contains("shows no run of workflow")) {
            wrong.push(format!("{what}: {ended:?}\n{}", deferred.join("\n")));
            continue;
        }
        run.later(60);
        let home = run.reconcile(&template, &double).await.unwrap().unwrap();
        if home.equal.len() != DELIVERIES || !home.differ.is_empty() {
            wrong.push(format!("{what}: {home:?}"));
        }
        assert!(double.world().behind > 0, "{what}: no read was behind");
        if made(&double) != once || essence(&double.world().state) != expected {
            wrong.push(format!("{what}: made {:?}: {:?}", made(&double), double.world().writes));
        }
        assert_eq!(double.world().violations, Vec::<String>::new());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The program dies right after it made, or published, something, and its next run sees what was before, always or now and
/// then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_that_died_made_is_not_made_again_by_one_that_sees_it_late() {
    let template = Template::new();
    let double = double_with(&[]).await;
    template.copy().ship(&template, &double).await.unwrap();
    let expected = essence(&double.world().state);
    for call in ["POST security-advisories", "PATCH release v36.0.14", "POST assets v36.0.14 notes.md", "POST releases"]
    {
        for (seconds, one_in) in [(3, 1), (3, 2), (10, 1), (10, 3), (14, 1), (14, 2)] {
            let what = format!("killed after {call}, {seconds} s behind, one read in {one_in}");
            let run = template.copy();
            let double = behind(&run, seconds, one_in).await;
            double.inject(Fault { call: call.to_owned(), nth: 1, kind: Kind::KillAfter });
            assert!(run.ship(&template, &double).await.is_none(), "{what}: it did not die");
            let ended = run.ship(&template, &double).await.unwrap();
            assert!(!matches!(ended, Ended::Stuck(_)), "{what}: {ended:?}");
            run.later(60);
            let home = run.reconcile(&template, &double).await.unwrap().unwrap();
            assert!(home.equal.len() == DELIVERIES && home.differ.is_empty(), "{what}: {home:?}");
            assert_eq!(essence(&double.world().state), expected, "{what}");
            assert_eq!(double.world().violations, Vec::<String>::new(), "{what}");
        }
    }
}
