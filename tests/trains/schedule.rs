//! The schedule on a virtual clock: how long trains of many jobs take on runners that differ, beside the least that they could.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use lifeboat::engine::schedule::{Assigned, Durations, Fitting, RunnerState, WaitingJob, assign};
use lifeboat::model::RunnerName;

/// Random numbers that are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// From 0 to 1.
    pub(crate) fn part(&mut self) -> f64 {
        self.below(1 << 40) as f64 / (1_u64 << 40) as f64
    }
}

pub(crate) struct World {
    /// Slots and speed of each runner.
    pub(crate) runners: Vec<(usize, f64)>,
    /// The runners that fit each kind of job.
    pub(crate) kinds: Vec<Fitting>,
    /// The kind and the duration at speed 1, in milliseconds, of each job.
    pub(crate) jobs: Vec<(usize, u64)>,
}

impl World {
    /// Five runners of different size and speed; jobs of 1 to 40 minutes, half of which fit all of them. Every kind has slots
    /// enough that a job more or less does not decide.
    pub(crate) fn new(seed: u64, jobs: usize) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let larger = (jobs / 300).max(1);
        let runner = |random: &mut Random| ((4 + random.below(9) as usize) * larger, 0.5 + 1.5 * random.part());
        let runners = (0..5).map(|_| runner(&mut random)).collect();
        let kinds: Vec<Fitting> =
            [&[0, 1, 2, 3, 4][..], &[0, 1], &[1], &[2], &[3, 4], &[0, 2, 4]].map(<[usize]>::to_vec).into();
        let job = |random: &mut Random| {
            let kind = if random.below(2) == 0 { 0 } else { random.below(kinds.len() as u64) as usize };
            (kind, (60_000.0 * (3.7 * random.part()).exp()) as u64)
        };
        let jobs = (0..jobs).map(|_| job(&mut random)).collect();
        Self { runners, kinds, jobs }
    }

    pub(crate) fn duration(&self, job: usize, runner: usize) -> u64 {
        (self.jobs[job].1 as f64 / self.runners[runner].1).ceil() as u64
    }

    /// No schedule is shorter. Over all sets of kinds: the work that only some runners can do takes these as long as their slots
    /// and speeds say; and of `n` times as many jobs as they have slots, and one more, some `n + 1` share a slot, at best the
    /// shortest ones on the fastest runner.
    pub(crate) fn bound(&self) -> f64 {
        let of_sets = (1_u32..1 << self.kinds.len()).map(|set| {
            let kinds = (0..self.kinds.len()).filter(|k| set >> k & 1 == 1);
            let on: BTreeSet<usize> = kinds.flat_map(|k| self.kinds[k].iter().copied()).collect();
            let only = |(kind, _): &&(usize, u64)| self.kinds[*kind].iter().all(|r| on.contains(r));
            let mut jobs: Vec<f64> = self.jobs.iter().filter(only).map(|(_, ms)| *ms as f64).collect();
            jobs.sort_by(|a, b| b.total_cmp(a));
            let rate = on.iter().map(|&r| self.runners[r].0 as f64 * self.runners[r].1).sum::<f64>();
            let slots: usize = on.iter().map(|&r| self.runners[r].0).sum();
            let fastest = on.iter().map(|&r| self.runners[r].1).fold(0.0, f64::max);
            let shared = (0..).map_while(|n| jobs.get((n * slots).checked_sub(n)?..=n * slots));
            let shared = shared.map(|jobs| jobs.iter().sum::<f64>() / fastest).fold(0.0, f64::max);
            shared.max(jobs.iter().sum::<f64>() / rate)
        });
        of_sets.fold(0.0, f64::max)
    }

    /// Runs all jobs; says when the last one ended. `real` is how long a job takes where it is expected to take so long.
    fn run(&self, mut real: impl FnMut(u64) -> u64) -> u64 {
        let mut waiting: Vec<usize> = (0..self.jobs.len()).collect();
        waiting.sort_by_key(|&job| Reverse(self.jobs[job].1));
        // Of each runner: a job's expected and real end.
        let mut running: Vec<Vec<(u64, u64)>> = vec![Vec::new(); self.runners.len()];
        let mut now = 0;
        loop {
            let state = |(&(slots, speed), jobs): (&(usize, f64), &Vec<(u64, u64)>)| {
                let busy_ms = jobs.iter().map(|(expected, _)| expected.saturating_sub(now)).collect();
                RunnerState { slots, speed, busy_ms }
            };
            let states: Vec<RunnerState> = self.runners.iter().zip(&running).map(state).collect();
            let job = |&id: &usize| WaitingJob { id, kind: self.jobs[id].0, expected_ms: self.jobs[id].1 };
            let jobs: Vec<WaitingJob> = waiting.iter().map(job).collect();
            let assigned = assign(&jobs, &self.kinds, &states);
            for &Assigned { id, runner } in &assigned {
                assert!(self.kinds[self.jobs[id].0].contains(&runner), "job {id} does not fit runner {runner}");
                let expected = self.duration(id, runner);
                running[runner].push((now + expected, now + real(expected).max(1)));
                assert!(running[runner].len() <= self.runners[runner].0, "runner {runner} has more jobs than slots");
            }
            let started: BTreeSet<usize> = assigned.iter().map(|a| a.id).collect();
            assert_eq!(started.len(), assigned.len(), "a job started twice");
            waiting.retain(|id| !started.contains(id));
            let Some(next) = running.iter().flatten().map(|(_, end)| *end).min() else {
                assert!(waiting.is_empty(), "{} jobs wait, and no runner has any", waiting.len());
                return now;
            };
            now = next;
            running.iter_mut().for_each(|jobs| jobs.retain(|(_, end)| *end > now));
        }
    }
}

#[test]
fn a_train_of_300_jobs_takes_hardly_longer_than_the_least_that_it_could() {
    let ratio = |world: World| world.run(|expected| expected) as f64 / world.bound();
    let mut ratios: Vec<f64> = (1..=60).map(|seed| ratio(World::new(seed, 300))).collect();
    ratios.sort_by(f64::total_cmp);
    let [median, most, largest] = [ratios[30], ratios[57], ratios[59]];
    println!("300 jobs, 60 worlds: median {median:.3}, 95 % {most:.3}, largest {largest:.3} times the least");
    assert!(median < 1.02 && most < 1.05 && largest < 1.1, "{ratios:.3?}");
}

#[test]
fn so_does_one_of_3000() {
    let world = World::new(1, 3000);
    let ratio = world.run(|expected| expected) as f64 / world.bound();
    println!("3,000 jobs: {ratio:.4} times the least");
    assert!(ratio < 1.05, "{ratio:.3} times the least");
}

#[test]
fn expectations_that_are_wrong_by_a_third_cost_little() {
    for seed in 1..=20 {
        let (world, mut random) = (World::new(seed, 300), Random(seed));
        let mut work = (0.0, 0.0);
        let took = world.run(|expected| {
            let real = expected as f64 * (0.67 + 0.66 * random.part());
            work = (work.0 + expected as f64, work.1 + real);
            real as u64
        });
        let ratio = took as f64 / (world.bound() * work.1 / work.0);
        assert!(ratio < 1.25, "seed {seed}: {ratio:.3} times the least");
    }
}

#[test]
fn whichever_runner_that_fits_frees_up_first_gets_the_job() {
    let runner = |slots, busy: &[u64]| RunnerState { slots, speed: 1.0, busy_ms: busy.to_vec() };
    let job = |id, kind| WaitingJob { id, kind, expected_ms: 1000 };
    let kinds = [vec![0, 1], vec![1]];
    // The first runner has more slots, and all of them are taken.
    assert_eq!(assign(&[job(7, 0)], &kinds, &[runner(2, &[50, 60]), runner(1, &[])]), [Assigned { id: 7, runner: 1 }]);
    // What only one runner can do is not kept waiting by what another can do as well.
    let both = assign(&[job(1, 0), job(2, 1)], &kinds, &[runner(1, &[]), runner(1, &[])]);
    assert_eq!(both, [Assigned { id: 1, runner: 0 }, Assigned { id: 2, runner: 1 }]);
    // A slot of a runner that does not fit is left free.
    assert_eq!(assign(&[job(2, 1)], &kinds, &[runner(1, &[]), runner(1, &[900])]), []);
    // More jobs than slots, as after a crash: none starts.
    assert_eq!(assign(&[job(2, 1)], &kinds, &[runner(1, &[]), runner(1, &[900, 900])]), []);
}

#[test]
fn a_long_job_waits_for_a_runner_that_is_much_faster() {
    let runners = [
        RunnerState { slots: 1, speed: 1.0, busy_ms: Vec::new() },
        RunnerState { slots: 1, speed: 10.0, busy_ms: vec![1000] },
    ];
    let job = |id, expected_ms| WaitingJob { id, kind: 0, expected_ms };
    assert_eq!(assign(&[job(1, 60_000)], &[vec![0, 1]], &runners), []);
    // A short one behind it takes the free slot meanwhile.
    let assigned = assign(&[job(1, 60_000), job(2, 500)], &[vec![0, 1]], &runners);
    assert_eq!(assigned, [Assigned { id: 2, runner: 0 }]);
}

#[test]
fn durations_say_how_fast_runners_are_and_what_to_expect() {
    let [slow, fast, new] = ["slow", "fast", "new"].map(|name| RunnerName::new(name).unwrap());
    let mut durations = Durations::default();
    assert_eq!(durations.estimates().expected_ms("build/a"), 600_000, "nothing is known");
    for (job, ms) in [("build/a", 1000), ("build/b", 3000)] {
        durations.record(job, &slow, ms * 2);
        durations.record(job, &fast, ms);
    }
    durations.record("build/c", &fast, 1000);
    let estimates = durations.estimates();
    assert!((estimates.speed(&fast) / estimates.speed(&slow) - 2.0).abs() < 0.01);
    assert!((estimates.speed(&new) - 1.0).abs() < f64::EPSILON);
    assert_eq!(estimates.expected_ms("build/a"), 1500);
    assert_eq!(estimates.expected_ms("build/c"), 1500, "seen on the fast runner only");
    assert_eq!(estimates.expected_ms("build/new"), 2500, "as long as the others");
    let text = serde_json::to_string(&durations).unwrap();
    assert_eq!(serde_json::from_str::<Durations>(&text).unwrap(), durations);
}
