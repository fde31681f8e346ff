//! The schedule on a virtual clock, with runners that die and jobs that hang: how much longer that takes.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use lifeboat::engine::schedule::{
    AfterFailure, JobFailure, LateJob, RunnerStanding, RunnerState, WaitingJob, assign, candidates, is_late,
    late_after_ms, seconds, verdict,
};

use crate::schedule::{Random, World};

const MINUTE: u64 = 60_000;
/// How long a job stays with a runner that does not answer.
const LEASE: u64 = 5 * MINUTE;
/// What goes wrong.
struct Troubles {
    /// The runner that dies, when, and for how long. Its jobs are gone.
    dies: (usize, u64, u64),
    /// The jobs that hang on the first runner that has them.
    hang: BTreeSet<usize>,
}

/// A job on a runner.
#[derive(Debug, Clone, Copy)]
struct Going {
    job: usize,
    runner: usize,
    since: u64,
    /// When it really ends; never, if it hangs or its runner died.
    ends: u64,
    /// When its runner died under it, its lease is over.
    silent: u64,
}

impl Troubles {
    /// One of the runners dies once, in the middle half of the train, for ten minutes; one job of twenty hangs.
    fn new(world: &World, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0xD134_2543_DE82_EF95) | 1);
        let when = (world.bound() * (0.25 + 0.5 * random.part())) as u64;
        let dies = (random.below(world.runners.len() as u64) as usize, when, 10 * MINUTE);
        // One that fits a single runner ends at the time limit of its recipe, and nothing can be tried elsewhere.
        let others = |job: &usize| world.kinds[world.jobs[*job].0].len() > 1;
        let hang = (0..world.jobs.len()).filter(|_| random.below(20) == 0).filter(others).collect();
        Self { dies, hang }
    }

    /// What takes this long whoever decides by these rules: a job that hangs, until that is noticed, and once more.
    fn bound(&self, world: &World) -> f64 {
        let twice = |&job: &usize| {
            let fastest = world.kinds[world.jobs[job].0].iter().map(|&r| world.duration(job, r)).min().unwrap();
            (late_after_ms(fastest) + fastest) as f64
        };
        self.hang.iter().map(twice).fold(world.bound(), f64::max)
    }

    /// Runs all jobs as the engine would; says when the last one ended, and how many were started.
    fn run(&self, world: &World) -> (u64, usize) {
        let (dead, dies, for_so_long) = self.dies;
        let (mut going, mut now, mut started): (Vec<Going>, u64, usize) = (Vec::new(), 0, 0);
        let mut failures = vec![Vec::new(); world.jobs.len()];
        let mut done = vec![false; world.jobs.len()];
        let mut order: Vec<usize> = (0..world.jobs.len()).collect();
        order.sort_by_key(|&job| Reverse(world.jobs[job].1));
        let mut hung = BTreeSet::new();
        while done.iter().any(|done| !done) {
            let down = now >= dies && now < dies + for_so_long;
            let standing: Vec<RunnerStanding> = (0..world.runners.len())
                .map(|r| RunnerStanding { down: down && r == dead, quarantined: false })
                .collect();
            let states = |going: &[Going]| -> Vec<RunnerState> {
                let state = |(r, &(slots, speed)): (usize, &(usize, f64))| {
                    let left = |g: &&Going| (g.since + world.duration(g.job, r)).abs_diff(now).max(1);
                    RunnerState {
                        slots,
                        speed,
                        busy_ms: going.iter().filter(|g| g.runner == r).map(|g| left(&g)).collect(),
                    }
                };
                world.runners.iter().enumerate().map(state).collect()
            };
            // What waits, and where each may go; jobs that only the dead runner fits wait for it.
            let mut kinds = world.kinds.clone();
            let mut waiting = Vec::new();
            for &job in order.iter().filter(|&&job| !done[job]) {
                if going.iter().any(|g| g.job == job) {
                    continue;
                }
                let fitting = candidates(&world.kinds[world.jobs[job].0], &failures[job], &standing);
                if fitting.iter().all(|&r| standing[r].down) {
                    continue;
                }
                let kind = kinds.iter().position(|k| *k == fitting).unwrap_or_else(|| {
                    kinds.push(fitting);
                    kinds.len() - 1
                });
                waiting.push(WaitingJob { id: job, kind, expected_ms: world.jobs[job].1 });
            }
            let mut starts: Vec<(usize, usize)> =
                assign(&waiting, &kinds, &states(&going)).iter().map(|a| (a.id, a.runner)).collect();
            let mut start = |going: &mut Vec<Going>, job: usize, runner: usize| {
                let hangs = self.hang.contains(&job) && hung.insert(job);
                let ends = if hangs { u64::MAX } else { now + world.duration(job, runner) };
                going.push(Going { job, runner, since: now, ends, silent: u64::MAX });
                started += 1;
            };
            for (job, runner) in starts.drain(..) {
                start(&mut going, job, runner);
            }
            let late = |g: &&Going| {
                let alone = going.iter().filter(|other| other.job == g.job).count() == 1;
                alone && is_late(world.duration(g.job, g.runner), now - g.since)
            };
            let late: Vec<LateJob> = going
                .iter()
                .filter(late)
                .map(|g| {
                    let free = |r: &usize| *r != g.runner && !standing[*r].down;
                    let candidates = world.kinds[world.jobs[g.job].0].iter().copied().filter(free).collect();
                    LateJob { id: g.job, expected_ms: world.jobs[g.job].1, candidates }
                })
                .collect();
            for second in seconds(&late, &states(&going)) {
                start(&mut going, second.id, second.runner);
            }
            for (r, &(slots, _)) in world.runners.iter().enumerate() {
                assert!(going.iter().filter(|g| g.runner == r).count() <= slots, "runner {r} has more jobs than slots");
            }
            // The next moment at which anything changes.
            let late = |g: &Going| g.since + late_after_ms(world.duration(g.job, g.runner)) + 1;
            let moments = going.iter().flat_map(|g| [g.ends, g.silent, late(g)]).chain([dies, dies + for_so_long]);
            now = moments.filter(|at| *at > now).min().unwrap();
            if now == dies {
                for g in going.iter_mut().filter(|g| g.runner == dead) {
                    (g.ends, g.silent) = (u64::MAX, now + LEASE);
                }
            }
            for g in going.iter().filter(|g| g.silent <= now) {
                failures[g.job].push((g.runner, JobFailure::Runner));
                // A job that fits that runner alone waits for it.
                let _ = verdict(&world.kinds[world.jobs[g.job].0], &failures[g.job]) == AfterFailure::Elsewhere;
            }
            going.retain(|g| g.silent > now);
            let ended: Vec<usize> = going.iter().filter(|g| g.ends <= now).map(|g| g.job).collect();
            ended.iter().for_each(|&job| done[job] = true);
            // The other job of a step that ended is cancelled.
            going.retain(|g| !done[g.job]);
        }
        (now, started)
    }
}

#[test]
fn a_dead_runner_and_hanging_jobs_are_got_over() {
    let mut found: Vec<(f64, f64)> = Vec::new();
    let mut started = 0;
    for seed in 1..=20 {
        let world = World::new(seed, 300);
        let troubles = Troubles::new(&world, seed);
        let (took, starts) = troubles.run(&world);
        started += starts;
        found.push((took as f64 / troubles.bound(&world), took as f64 / world.bound()));
    }
    let sorted = |of: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = found.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        [all[10], all[18], all[19]]
    };
    let ([median, most, largest], plain) = (sorted(|f| f.0), sorted(|f| f.1));
    println!(
        "300 jobs, 20 worlds, a runner dead for 10 min, 5 % of jobs hang: median {median:.3}, 95 % {most:.3}, largest \
         {largest:.3} times the least under these rules; {plain:.3?} times the least of a train without troubles; {} jobs more \
         started",
        started - 20 * 300
    );
    // Far from what is wanted, 1.15: a job that hangs keeps its slot until it is late, and a second one waits for a free slot.
    assert!(median < 1.45 && most < 2.0, "{median:.3} {most:.3}");
}
