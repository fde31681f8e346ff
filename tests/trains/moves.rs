//! Jobs that go elsewhere: what runners do to them, and what a train makes of it, also when it is killed meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat::effects::{Effects, Objects, Progress, ProgressEvent, Runner};
use lifeboat::engine::{Ended, run};
use lifeboat::error::Result;
use lifeboat::host::HostDisk;
use lifeboat::journal::State;

use crate::support::kill_points::KillPoints;
use crate::support::scratch;
use crate::support::scripted_runner::{Act, PushedClock, ScriptedRunner};
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};

/// A train on scripted runners, which live longer than the processes that drive it.
struct Scene {
    _dir: tempfile::TempDir,
    world: World,
    clock: Arc<PushedClock>,
    runners: Vec<Arc<ScriptedRunner>>,
    told: Arc<Told>,
}

/// What a person was told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn event(&self, event: ProgressEvent) {
        let text = match event {
            ProgressEvent::Moved(id, why) => format!("moved {id}: {why}"),
            ProgressEvent::Note(text) => text,
            _ => return,
        };
        self.0.lock().unwrap().push(text);
    }
}

/// A runner's name, its slots and what it does to jobs.
type Scripted = (&'static str, usize, fn(&str, usize) -> Act);

fn ends(_: &str, _: usize) -> Act {
    Act::Ends
}

/// The first job of the first line's build has this end there.
fn first_build(step: &str, before: usize, act: Act) -> Act {
    if step.starts_with("build/release-1") && before == 0 { act } else { Act::Ends }
}

impl Scene {
    fn new(runners: &[Scripted]) -> Self {
        let dir = scratch();
        let world = World::create(dir.path());
        let clock = PushedClock::at(world.now());
        let runner = |(name, slots, script): &Scripted| {
            ScriptedRunner::new(name, *slots, (world.train().jobs(), &clock), *script)
        };
        let runners = runners.iter().map(runner).collect();
        Self { _dir: dir, world, clock, runners, told: Arc::default() }
    }

    /// What the next train expects of builds and tests, in minutes.
    fn expect(self, minutes: u64) -> Self {
        let ms = minutes * 60_000;
        let of = r#"{"one":MS,"two":MS}"#.replace("MS", &ms.to_string());
        let file = self.world.root().join("durations.json");
        fs::write(file, format!(r#"{{"build/any":{of},"test/any":{of}}}"#)).unwrap();
        self
    }

    fn ports(&self) -> Effects {
        let points = KillPoints::counting();
        let mut ports = effects(&self.world, Arc::new(HostDisk), &points, &Signatures::fresh(), None);
        ports.runners = self.runners.iter().map(|runner| runner.clone() as Arc<dyn Runner>).collect();
        ports.clock = self.clock.clone();
        ports.progress = self.told.clone();
        ports
    }

    /// Up to the approvals.
    fn ship(&self) -> Result<Ended> {
        self.world.go(&self.ports(), Leg::Ship)
    }

    /// The same, killed as soon as something is so.
    fn killed_when(&self, is: impl Fn(&Self) -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ports = self.ports();
        let train = Arc::new(self.world.open(&ports).unwrap());
        let happens = async {
            while !is(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = happens => {}
                ended = run(&ports, train) => panic!("it ended before it was killed: {ended:?}"),
            }
        });
    }

    fn state(&self) -> Arc<State> {
        self.world.open(&self.ports()).unwrap().state()
    }

    /// Each record of a kind, as `step runner how`.
    fn records(&self, kind: &str) -> Vec<String> {
        let journal = fs::read_to_string(self.world.train().journal()).unwrap_or_default();
        let records = journal.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let what = records.map(|record| record["what"].clone()).filter(|what| what["event"] == kind);
        let text = |what: &serde_json::Value| {
            let runner = what["runner"].as_str().or(what["handle"]["runner"].as_str()).unwrap_or("-");
            let how = what["end"]["how"].as_str().unwrap_or("");
            format!("{} {runner} {how}", what["step"].as_str().unwrap_or("-")).trim_end().to_owned()
        };
        what.map(|what| text(&what)).collect()
    }

    fn ends(&self) -> Vec<String> {
        self.records("job-ended")
    }

    /// The ends of the first line's build alone: a kill may come between the end of another job and the record of its success.
    fn ends_of_build(&self) -> Vec<String> {
        let mut ends = self.ends();
        ends.retain(|end| end.starts_with("build/release-1"));
        ends
    }

    fn told(&self, fragment: &str) -> bool {
        self.told.0.lock().unwrap().iter().any(|text| text.contains(fragment))
    }
}

fn is_shipped(ended: &Result<Ended>) {
    assert!(matches!(ended, Ok(Ended::Asks(_))), "{ended:?}");
}

#[test]
fn a_runner_that_does_not_answer_keeps_its_job_until_it_does() {
    let scene = Scene::new(&[("one", 4, |s, n| first_build(s, n, Act::CutsOff)), ("two", 4, ends)]);
    // It is killed meanwhile; the next process knows the job.
    scene.killed_when(|s| !s.runners[0].taken().is_empty() && s.runners[0].with(|seen| seen.looks.0 > 2));
    scene.runners[0].with(|seen| seen.no_answer = 3);
    is_shipped(&scene.ship());
    assert_eq!(scene.ends_of_build(), Vec::<String>::new(), "three minutes are less than the lease");
    let builds = |r: &Arc<ScriptedRunner>| r.taken().iter().filter(|s| s.starts_with("build/release-1")).count();
    assert_eq!(scene.runners.iter().map(builds).sum::<usize>(), 1, "it was started twice");
}

#[test]
fn what_is_silent_longer_than_the_lease_goes_elsewhere_and_is_ended_later() {
    let scene = Scene::new(&[("one", 4, |s, n| first_build(s, n, Act::CutsOff)), ("two", 4, ends)]);
    is_shipped(&scene.ship());
    let (step, taken) = (scene.runners[0].taken().remove(0), scene.runners[1].taken());
    assert!(scene.ends().contains(&format!("{step} one silent")), "{:?}", scene.ends());
    assert!(taken.contains(&step) && scene.told(&format!("moved {step}")), "{taken:?}");
    let down = scene.state().runners_down();
    assert_eq!(down.len(), 1);
    assert!(down[0].runner.as_str() == "one" && down[0].reason.contains("cut off"), "{down:?}");
    assert!(scene.told("may still run on runner `one`"));
    // It answers again, and the next process ends what is left there.
    scene.runners[0].with(|seen| seen.no_answer = 0);
    is_shipped(&scene.ship());
    assert!(scene.runners[0].with(|seen| seen.cancelled.contains(&step)));
}

#[test]
fn the_only_runner_gets_a_silent_job_again() {
    let scene = Scene::new(&[("one", 4, |s, n| first_build(s, n, Act::CutsOff))]);
    scene.runners[0].with(|seen| seen.no_answer = 0);
    scene.killed_when(|s| s.runners[0].with(|seen| seen.looks.0 > 1));
    // Silent for longer than the lease, then there again.
    scene.runners[0].with(|seen| seen.no_answer = 7);
    is_shipped(&scene.ship());
    assert!(scene.ends().iter().any(|end| end.ends_with("one silent")), "{:?}", scene.ends());
}

#[test]
fn a_recipe_that_fails_on_one_runner_alone_is_that_runners_fault() {
    let scene = Scene::new(&[("one", 4, |s, n| first_build(s, n, Act::Fails(3))), ("two", 4, ends)]);
    is_shipped(&scene.ship());
    let failed = scene.runners[0].taken().remove(0);
    assert!(scene.ends().iter().all(|end| end.ends_with("one recipe-failed")), "{:?}", scene.ends());
    assert!(scene.runners[1].taken().contains(&failed));
    assert!(scene.told("exit code 3 on runner `one`; it goes to another runner; log: "));
    let log = scene.state().step(&serde_json::from_value(failed.into()).unwrap()).unwrap().ended[0].log.unwrap();
    let log = fs::read_to_string(Objects::place(&scene.world.train().objects(), &log));
    assert_eq!(log.unwrap(), "what `one` prints\n", "the log of the job that failed is kept");
}

#[test]
fn a_recipe_that_fails_on_two_runners_is_final_also_across_a_restart() {
    let failing: fn(&str, usize) -> Act =
        |s, _| if s.starts_with("build/release-1") { Act::Fails(9) } else { Act::Ends };
    let scene = Scene::new(&[("one", 4, failing), ("two", 4, failing), ("three", 4, failing)]);
    // Killed after the first failure was recorded: the second process knows of it.
    scene.killed_when(|s| s.ends().len() == 1);
    let error = scene.ship().unwrap_err();
    let taken: Vec<String> = scene.runners.iter().flat_map(|r| r.taken()).filter(|s| s.contains("release-1")).collect();
    assert_eq!(taken.len(), 2, "a third runner would say the same: {taken:?}");
    let report = error.report();
    let names: Vec<&str> = ["one", "two", "three"].into_iter().filter(|n| report.contains(&format!("`{n}`"))).collect();
    assert_eq!(names.len(), 2, "{report}");
    for name in names {
        assert!(report.contains(&format!("| what `{name}` prints")), "{report}");
    }
    assert_eq!(report.matches("exit code 9").count(), 2, "{report}");
    // An operator who starts it again wants it tried again.
    assert!(scene.ship().is_err());
    assert_eq!(scene.records("resumed").len(), 1);
    let again: usize = scene.runners.iter().flat_map(|r| r.taken()).filter(|s| s.contains("release-1")).count();
    assert_eq!(again, 4);
}

#[test]
fn a_job_that_takes_too_long_is_started_elsewhere_too_and_the_first_end_counts() {
    let scene = Scene::new(&[("one", 4, |s, n| first_build(s, n, Act::Hangs)), ("two", 4, ends)]).expect(1);
    // Killed while one hangs, before it is late: found again, it hangs on.
    scene.killed_when(|s| s.runners[0].with(|seen| seen.looks.0 > 3));
    is_shipped(&scene.ship());
    let step = scene.runners[0].taken().remove(0);
    assert_eq!(scene.ends_of_build(), [format!("{step} one superseded")]);
    assert!(scene.told("takes too long; runner `two` starts it too"));
    assert!(scene.runners[0].with(|seen| seen.cancelled.contains(&step)));
    assert!(scene.state().quarantined().is_empty());
}

#[test]
fn both_jobs_of_a_step_are_found_again_after_a_kill() {
    let hangs: fn(&str, usize) -> Act = |s, _| if s.starts_with("build/release-1") { Act::Hangs } else { Act::Ends };
    let scene = Scene::new(&[("one", 4, hangs), ("two", 4, hangs)]).expect(1);
    let started = |s: &Scene| s.records("waiting").iter().filter(|w| w.starts_with("build/release-1")).count();
    scene.killed_when(|s| started(s) == 2);
    let state = scene.state();
    let jobs = state.step(&serde_json::from_str("\"build/release-1.0.0/any\"").unwrap()).unwrap().jobs.clone();
    let on: BTreeSet<&str> = jobs.iter().map(|job| job.runner.as_str()).collect();
    assert_eq!((jobs.len(), on), (2, BTreeSet::from(["one", "two"])));
    scene.runners[1].with(|seen| seen.hanging_ends = true);
    is_shipped(&scene.ship());
    assert_eq!(started(&scene), 2, "nothing was started a third time");
    assert_eq!(scene.ends_of_build(), ["build/release-1.0.0/any one superseded"]);
}

#[test]
fn other_bytes_from_the_slower_runner_are_said_and_recorded() {
    let hangs: fn(&str, usize) -> Act = |s, _| if s.starts_with("build/release-1") { Act::Hangs } else { Act::Ends };
    for (other, end) in [(Some("other bytes"), "differed"), (None, "superseded")] {
        let scene = Scene::new(&[("one", 4, hangs), ("two", 4, hangs)]).expect(1);
        scene.runners[0].with(|seen| seen.other_bytes = other);
        scene.killed_when(|s| s.records("waiting").iter().filter(|w| w.starts_with("build/release-1")).count() == 2);
        // Both have ended when it is started again.
        scene.runners.iter().for_each(|runner| runner.with(|seen| seen.hanging_ends = true));
        is_shipped(&scene.ship());
        let ends = scene.ends_of_build();
        assert_eq!(ends.len(), 1);
        assert!(ends[0].starts_with("build/release-1.0.0/any ") && ends[0].ends_with(end), "{ends:?}");
        assert_eq!(scene.told("made different bytes"), other.is_some());
    }
}

#[test]
fn a_runner_that_loses_two_jobs_in_a_row_gets_no_more_until_ship_is_started_again() {
    let hangs: fn(&str, usize) -> Act = |s, _| if s.starts_with("test/") { Act::Hangs } else { Act::Ends };
    let scene = Scene::new(&[("one", 4, |_, _| Act::IsLost), ("two", 4, hangs)]);
    let tests_on_two =
        |s: &Scene| s.records("waiting").iter().filter(|w| w.starts_with("test/") && w.ends_with("two")).count();
    scene.killed_when(|s| tests_on_two(s) == 2);
    let bad = scene.state().quarantined();
    assert_eq!((bad.len(), bad[0].runner.as_str(), bad[0].why.len()), (1, "one", 2), "{bad:?}");
    assert!(scene.told("`one` gets no new jobs while another one fits"));
    assert_eq!(scene.ends().len(), 2, "it got no third job: {:?}", scene.ends());
    scene.runners[1].with(|seen| seen.hanging_ends = true);
    is_shipped(&scene.ship());
    assert_eq!(scene.records("resumed").len(), 1);
    assert!(scene.state().quarantined().is_empty(), "whoever starts it again has looked");
}

#[test]
fn the_only_runner_works_on_in_quarantine() {
    let loses: fn(&str, usize) -> Act = |s, n| if s.starts_with("build/") && n < 2 { Act::IsLost } else { Act::Ends };
    let scene = Scene::new(&[("one", 1, loses)]);
    is_shipped(&scene.ship());
    assert_eq!(scene.ends().len(), 4, "{:?}", scene.ends());
    assert!(scene.told("`one` gets no new jobs while another one fits"));
}

#[test]
fn a_dispatch_whose_answer_is_lost_is_found() {
    let scene = Scene::new(&[("one", 4, ends)]);
    scene.runners[0].with(|seen| seen.loses_answer = true);
    is_shipped(&scene.ship());
    assert_eq!(scene.ends(), Vec::<String>::new());
    let taken = scene.runners[0].taken();
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len(), "dispatched twice: {taken:?}");
}

#[test]
fn a_job_that_was_handed_over_right_before_a_kill_is_found() {
    let scene = Scene::new(&[("one", 4, ends), ("two", 4, ends)]);
    scene.runners[0].with(|seen| seen.never_returns = true);
    let all = |s: &Scene, n: usize| s.runners[n].with(|seen| seen.taken.clone());
    scene.killed_when(|s| !all(s, 0).is_empty());
    let step = all(&scene, 0).remove(0);
    assert!(!scene.records("waiting").iter().any(|w| w.starts_with(&step)), "its handle was recorded");
    is_shipped(&scene.ship());
    let times = [0, 1].into_iter().flat_map(|n| all(&scene, n)).filter(|s| *s == step).count();
    assert_eq!(times, 1, "it was started again");
    assert_eq!(scene.records("waiting").iter().filter(|w| w.starts_with(&step)).count(), 1);
}

#[test]
fn a_runner_that_is_down_from_the_start_is_an_outage_and_no_more() {
    let scene = Scene::new(&[("one", 4, ends), ("two", 4, ends)]);
    scene.runners[0].with(|seen| seen.no_answer = usize::MAX);
    is_shipped(&scene.ship());
    assert!(scene.runners[0].taken().is_empty());
    assert!(scene.ends().iter().all(|end| end.ends_with("one unreachable")), "{:?}", scene.ends());
    assert_eq!(scene.state().runners_down().len(), 1);
    assert!(scene.state().quarantined().is_empty(), "it lost nothing");
}

#[test]
fn one_look_is_for_all_jobs_of_a_runner() {
    let hangs: fn(&str, usize) -> Act = |s, _| if s.starts_with("build/") { Act::Hangs } else { Act::Ends };
    let scene = Scene::new(&[("one", 4, hangs)]);
    scene.runners[0].with(|seen| seen.looks = (0, 0));
    scene.killed_when(|s| s.runners[0].taken().len() == 2 && s.runners[0].with(|seen| seen.looks.1 == 2));
}
