//! How much work of each kind of job a runner should get.

use super::{Fitting, RunnerState, WaitingJob};

/// Kinds of jobs that fit several runners are spread anew so many times: enough for kinds that overlap.
const ROUNDS: usize = 8;

/// The work that each runner should get of each kind of job, so that all runners end at about the same time.
#[derive(Clone)]
pub(super) struct Quota {
    /// By kind, by position in its list of fitting runners: milliseconds at speed 1.
    work: Vec<Vec<f64>>,
    /// When the last runner ends, in milliseconds from now, if work could be cut as one likes.
    pub(super) end_ms: f64,
}

impl Quota {
    /// Spreads all that waits over the runners.
    pub(super) fn of(waiting: &[WaitingJob], fitting: &[Fitting], runners: &[RunnerState]) -> Self {
        let mut total = vec![0.0; fitting.len()];
        for job in waiting {
            total[job.kind] += job.expected_ms as f64;
        }
        // When each runner ends, as if its places shared what they have.
        let mut ends: Vec<f64> =
            runners.iter().map(|r| r.busy_ms.iter().sum::<u64>() as f64 / r.slots.max(1) as f64).collect();
        let rate: Vec<f64> = runners.iter().map(|r| r.slots as f64 * r.speed).collect();
        let mut work: Vec<Vec<f64>> = fitting.iter().map(|fitting| vec![0.0; fitting.len()]).collect();
        // Kinds with few places first: the others find out what these leave.
        let mut order: Vec<usize> = (0..fitting.len()).filter(|&k| total[k] > 0.0).collect();
        let places = |k: &usize| fitting[*k].iter().map(|&r| rate[r]).sum::<f64>();
        order.sort_by(|a, b| places(a).total_cmp(&places(b)));
        for _ in 0..ROUNDS {
            for &kind in &order {
                for (at, &runner) in fitting[kind].iter().enumerate() {
                    ends[runner] -= work[kind][at] / rate[runner];
                }
                let level = level(total[kind], &fitting[kind], &ends, &rate);
                for (at, &runner) in fitting[kind].iter().enumerate() {
                    let gets = (level - ends[runner]).max(0.0);
                    work[kind][at] = gets * rate[runner];
                    ends[runner] += gets;
                }
            }
        }
        let used =
            order.iter().flat_map(|&kind| fitting[kind].iter().zip(&work[kind])).filter(|(_, work)| **work > 0.0);
        let end_ms = used.map(|(&runner, _)| ends[runner]).fold(0.0, f64::max);
        Self { work, end_ms }
    }

    /// What is left for a kind on one of its fitting runners.
    pub(super) fn left(&mut self, kind: usize, at: usize) -> &mut f64 {
        &mut self.work[kind][at]
    }
}

/// Up to when each of some runners has to work so that they do `work` together, each from when it ends now.
fn level(work: f64, on: &[usize], ends: &[f64], rate: &[f64]) -> f64 {
    let mut by_end: Vec<usize> = on.to_vec();
    by_end.sort_by(|&a, &b| ends[a].total_cmp(&ends[b]));
    let (mut rates, mut done, mut level) = (0.0, 0.0, 0.0);
    for (n, &runner) in by_end.iter().enumerate() {
        level = ends[runner];
        rates += rate[runner];
        let next = by_end.get(n + 1).map_or(f64::INFINITY, |&r| ends[r]);
        if done + rates * (next - level) >= work {
            return level + (work - done) / rates;
        }
        done += rates * (next - level);
    }
    level
}
