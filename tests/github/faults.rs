//! Every failure at every call, alone and in pairs: after `reconcile` GitHub has the same, once.
//!
//! A fixed sample runs always. `LIFEBOAT_FAULTS=all` runs every failure kind at every call of the uninterrupted run;
//! `LIFEBOAT_FAULT_PAIRS=N` runs N pairs, drawn from the seed in `LIFEBOAT_FAULT_SEED` (a number, 1 if absent).
//! `LIFEBOAT_FAULT_PART=I/N` runs the Ith of N parts of both (from 0), for N processes beside each other; `--nocapture`
//! shows how many that were.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifeboat::engine::Ended;
use lifeboat::error::ErrorKind;
use lifeboat::journal::TrainState;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::essence::essence;
use crate::github_double::Double;
use crate::github_double::faults::{Fault, KINDS, Kind};
use crate::train::{DELIVERIES, Template, double_with};

/// Runs that go on at once; most of them wait for a deadline.
const AT_ONCE: usize = 16;

/// `reconcile` is run this often at most; failures that were planned for it may happen there.
const RECONCILES: u32 = 4;

/// A run in which no failure happened proves nothing and is made again, this often in all: three lines go on at once, and
/// which of them makes the last call of a name, or whether it is needed, depends on how they interleave.
const TRIES: u32 = 6;

/// Which of all single failures the fixed sample takes: every so many. A prime, so that it goes through kinds and calls.
const EVERY: usize = 37;

/// How many pairs the fixed sample takes.
const PAIRS: usize = 25;

/// The calls of the uninterrupted run, each with how often it was made; and what GitHub has then.
async fn uninterrupted(template: &Template) -> (Vec<(String, u32)>, String) {
    let double = double_with(&[]).await;
    let ended = template.copy().ship(template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{ended:?}");
    let world = double.world();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut calls = Vec::new();
    for call in &world.calls {
        let nth = counts.entry(call.clone()).or_default();
        *nth += 1;
        calls.push((call.clone(), *nth));
    }
    calls.sort();
    (calls, essence(&world.state))
}

/// The part of all runs that this process makes.
fn part<T>(all: Vec<T>) -> Vec<T> {
    let Ok(text) = std::env::var("LIFEBOAT_FAULT_PART") else { return all };
    let (part, of) = text.split_once('/').expect("`LIFEBOAT_FAULT_PART` is `I/N`");
    let (part, of): (usize, usize) = (part.parse().unwrap(), of.parse().unwrap());
    assert!(part < of, "`LIFEBOAT_FAULT_PART={text}`: parts count from 0");
    all.into_iter().enumerate().filter(|(i, _)| i % of == part).map(|(_, one)| one).collect()
}

fn all_faults(calls: &[(String, u32)]) -> Vec<Fault> {
    let at = |(call, nth): &(String, u32)| {
        let (call, nth) = (call.clone(), *nth);
        KINDS
            .into_iter()
            .filter(|k| k.fits(&call))
            .map(|kind| Fault { call: call.clone(), nth, kind })
            .collect::<Vec<_>>()
    };
    calls.iter().flat_map(at).collect()
}

/// One run with these failures; what was wrong, if anything, and whether the first failure happened.
async fn one(template: &Template, faults: &[Fault], expected: &str) -> Result<bool, String> {
    let (double, run) = (double_with(faults).await, template.copy());
    run.ship(template, &double).await;
    // The outage is over; failures of single calls that are still to come may hit reconcile.
    double.world().faults.down.clear();
    let mut last = String::new();
    for round in 1..=RECONCILES {
        if round == RECONCILES {
            double.repair();
        }
        match run.reconcile(template, &double).await {
            Some(Ok(done)) => {
                let ended = matches!(done.ended, None | Some(Ended::Done(TrainState::Reconciled)));
                let home = ended && done.equal.len() == DELIVERIES && done.differ.is_empty();
                last = format!("{done:?}");
                if home {
                    break;
                }
            }
            Some(Err(e)) => return Err(format!("reconcile ends with {}", e.report())),
            None => last = "killed".to_owned(),
        }
        double.world().faults.down.clear();
    }
    double.repair();
    proved(template, &run, &double, expected).await.map_err(|e| format!("{e}\nlast reconcile: {last}"))?;
    Ok(double.world().faults.happened > 0 || faults.is_empty())
}

/// GitHub has the same, and another reconcile does nothing.
async fn proved(
    template: &Template,
    run: &crate::train::Copied,
    double: &Double,
    expected: &str,
) -> Result<(), String> {
    let (writes, journal) = (double.world().writes.len(), run.journal());
    let sent = double.world().state_changing();
    let mut looks = 0;
    let done = loop {
        let done = run.reconcile(template, double).await.ok_or("killed")?.map_err(|e| e.report())?;
        looks += 1;
        // A machine that is busy misses these short deadlines: that says nothing of the world.
        let unread = done.differ.iter().any(|(_, e)| e.kind() == ErrorKind::Unreachable);
        if looks == TRIES || !unread {
            break done;
        }
    };
    if done.ended.is_some() || !done.differ.is_empty() || done.equal.len() != DELIVERIES {
        return Err(format!("not home after reconcile: {done:?}"));
    }
    let world = double.world();
    if world.state_changing() != sent || run.journal() != journal {
        return Err(format!("the last reconcile changed something: {:?}", &world.writes[writes..]));
    }
    let found = essence(&world.state);
    if found != expected {
        return Err(format!("another world:\n{found}\nexpected:\n{expected}"));
    }
    if !world.violations.is_empty() {
        return Err(format!("the API's description is broken: {:?}", world.violations));
    }
    Ok(())
}

/// Runs all of these; says how many, and in how many of them a failure happened.
async fn all(template: Arc<Template>, sets: Vec<Vec<Fault>>, expected: &str) -> (usize, usize) {
    let total = sets.len();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for faults in sets {
        let (template, expected) = (template.clone(), expected.to_owned());
        let permit = room.clone().acquire_owned().await.unwrap();
        runs.spawn(async move {
            let _permit = permit;
            let mut happened = false;
            for _ in 0..TRIES {
                happened = one(&template, &faults, &expected).await.map_err(|why| format!("{faults:?}: {why}"))?;
                if happened {
                    break;
                }
            }
            Ok(happened)
        });
    }
    let mut ended: Vec<Result<bool, String>> = Vec::new();
    while let Some(one) = runs.join_next().await {
        ended.push(one.unwrap());
        if ended.len().is_multiple_of(200) {
            println!("{} of {total} runs ended", ended.len());
        }
    }
    let reached = ended.iter().filter(|e| **e == Ok(true)).count();
    let wrong: Vec<String> = ended.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {total} runs ended in another world:\n{}", wrong.len(), wrong.join("\n\n"));
    (total, reached)
}

/// Failures that pass by themselves: `ship` alone gets over them, without making anything twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_run_gets_over_what_passes() {
    let template = Template::new();
    let (_, expected) = uninterrupted(&template).await;
    for call in ["POST releases", "POST assets v48.0.1 notes.md", "PATCH release v48.0.1", "GET releases"] {
        for kind in KINDS.into_iter().filter(|k| k.fits(call) && passes(*k)) {
            let double = double_with(&[Fault { call: call.to_owned(), nth: 1, kind }]).await;
            let ended = template.copy().ship(&template, &double).await.unwrap();
            let what = format!("{kind:?} at {call}");
            assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{what}: {ended:?}");
            let world = double.world();
            assert_eq!(world.faults.happened, 1, "{what}");
            assert_eq!(essence(&world.state), expected, "{what}");
            let drafts = world.writes.iter().filter(|w| *w == "POST releases").count();
            assert_eq!(drafts, 3, "{what}: a draft was made twice: {:?}", world.writes);
        }
    }
}

/// Neither an outage of a host, nor the death of the program, nor a lack of permission.
fn passes(kind: Kind) -> bool {
    use Kind as K;
    !matches!(kind, K::HostDown | K::HostBlackHole | K::KillBefore | K::KillAfter | K::NotFound)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_at_every_call_ends_in_the_same_world() {
    let template = Arc::new(Template::new());
    let (calls, expected) = uninterrupted(&template).await;
    let mut singles = all_faults(&calls);
    let possible = singles.len();
    if std::env::var("LIFEBOAT_FAULTS").as_deref() != Ok("all") {
        singles = singles.into_iter().step_by(EVERY).collect();
    }
    let singles = part(singles.into_iter().map(|f| vec![f]).collect());
    let (total, reached) = all(template, singles, &expected).await;
    println!("{} calls; {total} of {possible} single failures run, {reached} happened", calls.len());
    assert_eq!(reached, total, "a failure that does not happen proves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_of_failures_end_in_the_same_world() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<usize>().unwrap());
    let pairs = number("LIFEBOAT_FAULT_PAIRS").unwrap_or(PAIRS);
    let mut seed = number("LIFEBOAT_FAULT_SEED").unwrap_or(1) as u64;
    let template = Arc::new(Template::new());
    let (calls, expected) = uninterrupted(&template).await;
    let singles = all_faults(&calls);
    let mut draw = || {
        // splitmix64: the same pairs on every machine.
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        singles[(z ^ (z >> 31)) as usize % singles.len()].clone()
    };
    let sets: Vec<Vec<Fault>> = (0..pairs).map(|_| vec![draw(), draw()]).collect();
    let (total, reached) = all(template, part(sets), &expected).await;
    println!("{total} pairs of failures run, at least one failure happened in {reached}");
    assert_eq!(reached, total, "a failure that does not happen proves nothing");
}
