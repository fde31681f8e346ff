//! Where a job may go after what happened to it and to the runners, and which jobs take too long.

use std::collections::BTreeSet;

use super::{Assigned, Fitting, RunnerState};

/// A job is late once it took this many times as long as expected.
const TIMES: u64 = 3;
/// And at least so much longer, in milliseconds: short jobs vary more.
const LONGER_MS: u64 = 10 * 60 * 1000;

/// How a job ended that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobFailure {
    /// The recipe failed: what it does is the same elsewhere, unless the machine was the reason.
    Recipe,
    /// The runner failed it.
    Runner,
}

/// What is known of a job that did not succeed yet: each failure with its runner, as its index.
pub type JobFailures = [(usize, JobFailure)];

/// What is against giving a runner anything now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunnerStanding {
    /// It does not answer.
    pub down: bool,
    /// It lost jobs.
    pub quarantined: bool,
}

/// What becomes of a job after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried at once on a runner on which it was not tried yet.
    Elsewhere,
    /// Another runner says nothing new: the recipe failed on two, or there is none left.
    Final,
}

/// The runners on which the recipe failed.
fn failed_on(failures: &JobFailures) -> BTreeSet<usize> {
    failures.iter().filter(|(_, failure)| *failure == JobFailure::Recipe).map(|(runner, _)| *runner).collect()
}

/// What follows from the failures of a job, of which the last one was just seen.
#[must_use]
pub fn verdict(fitting: &Fitting, failures: &JobFailures) -> AfterFailure {
    if failed_on(failures).len() > 1 {
        return AfterFailure::Final;
    }
    let tried = |runner: &usize| failures.iter().any(|(on, _)| on == runner);
    if fitting.iter().all(tried) { AfterFailure::Final } else { AfterFailure::Elsewhere }
}

/// On which of the runners that fit it a job may go now. What is against a runner counts as long as another one is left.
#[must_use]
pub fn candidates(fitting: &Fitting, failures: &JobFailures, standing: &[RunnerStanding]) -> Fitting {
    let failed = failed_on(failures);
    let lost = |runner: usize| failures.iter().any(|(on, _)| *on == runner);
    // From the gravest objection to the lightest.
    let objections: [&dyn Fn(usize) -> bool; 4] = [
        &|runner| failed.contains(&runner),
        &|runner| standing[runner].down,
        &|runner| standing[runner].quarantined,
        &lost,
    ];
    let mut left = fitting.clone();
    for objection in objections {
        let without: Fitting = left.iter().copied().filter(|&runner| !objection(runner)).collect();
        if !without.is_empty() {
            left = without;
        }
    }
    left
}

/// Whether a job takes so much longer than expected where it runs that it is started on another runner too.
#[must_use]
pub fn is_late(expected_ms: u64, so_far_ms: u64) -> bool {
    so_far_ms > late_after_ms(expected_ms)
}

/// After how long a job is late.
#[must_use]
pub fn late_after_ms(expected_ms: u64) -> u64 {
    expected_ms.saturating_mul(TIMES).max(expected_ms.saturating_add(LONGER_MS))
}

/// A job that is late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateJob {
    /// Whatever the caller knows it by.
    pub id: usize,
    /// How long it should have taken at speed 1, in milliseconds.
    pub expected_ms: u64,
    /// Where it may be started too: not where it runs.
    pub candidates: Fitting,
}

/// Which late jobs are started a second time now, and where: on free slots that no waiting job takes, longest first, each where
/// it ends earliest.
#[must_use]
pub fn seconds(late: &[LateJob], runners: &[RunnerState]) -> Vec<Assigned> {
    let mut free: Vec<usize> = runners.iter().map(RunnerState::free).collect();
    let mut order: Vec<&LateJob> = late.iter().collect();
    order.sort_by_key(|job| std::cmp::Reverse(job.expected_ms));
    let mut assigned = Vec::new();
    for job in order {
        let with_slot = job.candidates.iter().copied().filter(|&runner| free[runner] > 0);
        let fastest = with_slot.max_by(|&a, &b| runners[a].speed.total_cmp(&runners[b].speed));
        if let Some(runner) = fastest {
            free[runner] -= 1;
            assigned.push(Assigned { id: job.id, runner });
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::JobFailure::{Recipe, Runner};
    use super::*;

    #[test]
    fn a_failed_recipe_is_tried_once_elsewhere() {
        let fitting = vec![0, 2, 3];
        assert_eq!(verdict(&fitting, &[(2, Recipe)]), AfterFailure::Elsewhere);
        assert_eq!(verdict(&fitting, &[(2, Recipe), (0, Recipe)]), AfterFailure::Final, "two runners say the same");
        assert_eq!(verdict(&vec![2], &[(2, Recipe)]), AfterFailure::Final, "there is no other");
        assert_eq!(verdict(&fitting, &[(2, Recipe), (0, Runner)]), AfterFailure::Elsewhere, "only one has run it");
        assert_eq!(verdict(&fitting, &[(2, Runner), (0, Runner), (3, Runner)]), AfterFailure::Final);
    }

    #[test]
    fn what_is_against_a_runner_counts_while_another_is_left() {
        let fine = RunnerStanding::default();
        let (down, bad) = (RunnerStanding { down: true, ..fine }, RunnerStanding { quarantined: true, ..fine });
        let all = vec![0, 1, 2];
        assert_eq!(candidates(&all, &[], &[fine, fine, fine]), all);
        assert_eq!(candidates(&all, &[], &[down, bad, fine]), [2]);
        assert_eq!(candidates(&vec![0, 1], &[], &[down, bad, fine]), [1], "one in quarantine before one that is down");
        assert_eq!(candidates(&vec![1], &[], &[fine, bad, fine]), [1], "it is the only one");
        assert_eq!(candidates(&all, &[(0, Runner)], &[fine, fine, fine]), [1, 2]);
        assert_eq!(
            candidates(&all, &[(0, Runner)], &[fine, bad, down]),
            [0],
            "it lost one job, the others stand worse"
        );
        assert_eq!(candidates(&all, &[(0, Recipe)], &[fine, bad, down]), [1], "that recipe failed there");
    }

    #[test]
    fn a_job_is_late_after_thrice_its_time_and_ten_minutes() {
        let minutes = |n: u64| n * 60_000;
        assert!(!is_late(minutes(1), minutes(11)) && is_late(minutes(1), minutes(11) + 1));
        assert!(!is_late(minutes(20), minutes(60)) && is_late(minutes(20), minutes(60) + 1));
    }

    #[test]
    fn late_jobs_take_free_slots_alone() {
        let runner = |slots, speed, busy: usize| RunnerState { slots, speed, busy_ms: vec![1; busy] };
        let late = |id, expected_ms, on: &[usize]| LateJob { id, expected_ms, candidates: on.to_vec() };
        let runners = [runner(2, 1.0, 1), runner(1, 9.0, 1), runner(1, 2.0, 0)];
        let jobs = [late(5, 10, &[0, 1, 2]), late(6, 90, &[0, 1, 2]), late(7, 5, &[0, 1, 2]), late(8, 1, &[1])];
        let found = [Assigned { id: 6, runner: 2 }, Assigned { id: 5, runner: 0 }];
        assert_eq!(seconds(&jobs, &runners), found);
    }
}
