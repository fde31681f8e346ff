//! How long jobs took, and what is expected of the next ones by that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::RunnerName;

/// What is expected of a job while nothing is known of any, in milliseconds.
const UNKNOWN_MS: f64 = 600_000.0;

/// How long the latest job of each name took on each runner, in milliseconds. A job's name is that of its step without the line:
/// the same target takes about as long on every line, and in the next train.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations(BTreeMap<String, BTreeMap<RunnerName, u64>>);

impl Durations {
    /// Takes in how long a job took.
    pub fn record(&mut self, job: &str, runner: &RunnerName, took_ms: u64) {
        self.0.entry(job.to_owned()).or_default().insert(runner.clone(), took_ms.max(1));
    }

    /// Of how many jobs something is known.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.0.len()
    }

    /// What is expected by all that is known.
    #[must_use]
    pub fn estimates(&self) -> Estimates {
        let mut beside: BTreeMap<&RunnerName, Vec<f64>> = BTreeMap::new();
        for took in self.0.values().filter(|took| took.len() > 1) {
            let mean = mean(took.values().map(|&ms| ms as f64));
            for (runner, &ms) in took {
                beside.entry(runner).or_default().push(mean / ms as f64);
            }
        }
        let median = |(runner, mut found): (&RunnerName, Vec<f64>)| {
            found.sort_by(f64::total_cmp);
            (runner.clone(), found[found.len() / 2])
        };
        let speeds: BTreeMap<RunnerName, f64> = beside.into_iter().map(median).collect();
        let speed = |runner: &RunnerName| speeds.get(runner).copied().unwrap_or(1.0);
        let at_one = |took: &BTreeMap<RunnerName, u64>| mean(took.iter().map(|(r, &ms)| ms as f64 * speed(r)));
        let expected: BTreeMap<String, f64> = self.0.iter().map(|(job, took)| (job.clone(), at_one(took))).collect();
        let others = if expected.is_empty() { UNKNOWN_MS } else { mean(expected.values().copied()) };
        Estimates { speeds, expected, others }
    }
}

/// How long jobs are expected to take, and how fast runners are.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimates {
    speeds: BTreeMap<RunnerName, f64>,
    expected: BTreeMap<String, f64>,
    others: f64,
}

impl Estimates {
    /// How fast a runner is beside the others that did the same jobs: the median over these; 1 if nothing is known.
    #[must_use]
    pub fn speed(&self, runner: &RunnerName) -> f64 {
        self.speeds.get(runner).copied().unwrap_or(1.0)
    }

    /// How long a job is expected to take at speed 1, in milliseconds. One of which nothing is known takes as long as the
    /// others do.
    #[must_use]
    pub fn expected_ms(&self, job: &str) -> u64 {
        self.expected.get(job).copied().unwrap_or(self.others).round() as u64
    }
}

fn mean(of: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = of.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}
