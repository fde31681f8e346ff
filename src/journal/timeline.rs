//! What ran when and where, as the journal tells it: for the report after a train.

use jiff::Timestamp;
use serde::Serialize;

use super::{Event, Record};
use crate::model::{PersonId, RunnerName};
use crate::step::{StepId, StepKey};

/// One attempt of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The step.
    pub step: StepId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The runner that had its job, if it had one.
    pub runner: Option<RunnerName>,
    /// When it started.
    pub from: Timestamp,
    /// When it ended; the time of the journal's last record if it has not.
    pub to: Timestamp,
    /// How it ended.
    pub end: SpanEnd,
    /// Of what did not end well: the error's report, or why it waits.
    pub why: Option<String>,
    #[serde(skip)]
    key: StepKey,
}

/// How an attempt of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpanEnd {
    /// It did what it should.
    Done,
    /// It failed.
    Failed,
    /// Its destination was down, and it waits for that.
    Deferred,
    /// Another attempt, or another plan, took its place before it ended.
    Replaced,
    /// It has not ended.
    Open,
}

impl Span {
    fn runner_name(&self) -> Option<&str> {
        self.runner.as_ref().map(RunnerName::as_str)
    }
}

impl SpanEnd {
    /// The word for people and for style.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Deferred => "deferred",
            Self::Replaced => "replaced",
            Self::Open => "open",
        }
    }
}

/// What people did to a train.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrainMoment {
    /// When.
    pub at: Timestamp,
    /// What, for people.
    pub what: String,
}

/// Everything that happened, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Attempts of steps, in the order in which they started.
    pub spans: Vec<Span>,
    /// Adoption, approvals, amendments, new starts.
    pub moments: Vec<TrainMoment>,
}

impl Timeline {
    /// Reads a journal.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut out = Self::default();
        for record in records {
            out.take(record);
        }
        if let Some(last) = records.last() {
            for span in out.spans.iter_mut().filter(|span| span.end == SpanEnd::Open) {
                span.to = last.at;
            }
        }
        out
    }

    fn take(&mut self, Record { at, what, .. }: &Record) {
        let at = *at;
        match what {
            Event::Started { step, key, attempt, runner } => {
                // A process that was killed left the attempt before as it was; a job goes on beside another one.
                let over = |span: &Span| runner.is_none() || span.runner.is_none();
                self.end(key, over, (at, SpanEnd::Replaced, None));
                let (step, attempt, runner, key) = (step.clone(), *attempt, runner.clone(), *key);
                let (from, to, end, why) = (at, at, SpanEnd::Open, None);
                self.spans.push(Span { step, attempt, runner, from, to, end, why, key });
            }
            Event::Waiting { key, handle, .. } => {
                let here = |span: &&mut Span| span.runner.as_ref().is_none_or(|r| *r == handle.runner);
                if let Some(span) = self.open(key).find(here) {
                    span.runner = Some(handle.runner.clone());
                }
            }
            Event::JobEnded { key, attempt, end, why, .. } => {
                let how = if end.is_superseded() { SpanEnd::Replaced } else { SpanEnd::Failed };
                let why = why.as_ref().map(|why| format!("\n{why}")).unwrap_or_default();
                self.end(key, |span| span.attempt == *attempt, (at, how, Some(format!("{}{why}", end.about()))));
            }
            Event::Succeeded { key, outcome, .. } => {
                let made = |span: &Span| outcome.runner().is_none() || outcome.runner() == span.runner_name();
                self.end(key, made, (at, SpanEnd::Done, None));
                self.end(key, |_| true, (at, SpanEnd::Replaced, None));
            }
            Event::Failed { key, error, .. } => {
                let failed = |s: &&mut Span| s.key == *key && s.end == SpanEnd::Failed;
                if self.open(key).next().is_some() {
                    self.end(key, |_| true, (at, SpanEnd::Failed, Some(error.clone())));
                } else if let Some(span) = self.spans.iter_mut().rev().find(failed) {
                    // The whole report, with the end of the log.
                    span.why = Some(error.clone());
                }
            }
            Event::Deferred { key, reason, .. } => {
                self.end(key, |_| true, (at, SpanEnd::Deferred, Some(reason.clone())));
            }
            Event::FoundOn { .. } => {}
            Event::PlanAdopted { .. } => self.moment(at, "plan adopted".to_owned()),
            Event::Approved { approval } => self.moment(at, approved(&approval.person)),
            Event::Resumed => self.moment(at, "started again after failures".to_owned()),
            Event::Reconciling => self.moment(at, "reconcile".to_owned()),
            Event::Abandoned { .. } => self.moment(at, "abandoned".to_owned()),
            Event::Amended { carried, .. } => {
                for span in self.spans.iter_mut().filter(|s| s.end == SpanEnd::Open && !carried.contains(&s.step)) {
                    (span.to, span.end) = (at, SpanEnd::Replaced);
                }
                self.moment(at, "amended".to_owned());
            }
        }
    }

    fn open(&mut self, key: &StepKey) -> impl Iterator<Item = &mut Span> {
        self.spans.iter_mut().rev().filter(move |span| span.end == SpanEnd::Open && span.key == *key)
    }

    fn end(
        &mut self,
        key: &StepKey,
        which: impl Fn(&Span) -> bool,
        (at, end, why): (Timestamp, SpanEnd, Option<String>),
    ) {
        for span in self.open(key).filter(|span| which(span)) {
            (span.to, span.end) = (at, end);
            span.why.clone_from(&why);
        }
    }

    fn moment(&mut self, at: Timestamp, what: String) {
        self.moments.push(TrainMoment { at, what });
    }
}

fn approved(person: &PersonId) -> String {
    format!("approved by {person}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;
    use crate::step::Handle;

    fn record(second: i64, what: Event) -> Record {
        let (prev, hash) = (Sha256::of(b""), Sha256::of(b""));
        let at = Timestamp::from_second(second).unwrap();
        Record { format: 1, seq: 0, prev, at, by: String::new(), what, hash, signature: String::new() }
    }

    fn id() -> StepId {
        serde_json::from_str("\"build/main/linux\"").unwrap()
    }

    fn started(attempt: u32) -> Event {
        Event::Started { step: id(), key: StepKey(Sha256::of(b"k")), attempt, runner: None }
    }

    #[test]
    fn attempts_follow_each_other() {
        let key = StepKey(Sha256::of(b"k"));
        let on = |runner: &str| Handle { runner: RunnerName::new(runner).unwrap(), job: "j".into() };
        let waiting = |runner: &str| Event::Waiting { step: id(), key, handle: on(runner) };
        let failed = Event::Failed {
            step: id(),
            key,
            class: crate::journal::FailureClass::Transient,
            error: "runner `a` lost the job".into(),
            retry_at: None,
        };
        let records = [
            (1, started(1)),
            (2, waiting("a")),
            (9, failed),
            (10, started(2)),
            (11, waiting("b")),
            (30, Event::Resumed),
        ];
        let line = Timeline::of(&records.map(|(at, what)| record(at, what)));
        let seen: Vec<_> = line
            .spans
            .iter()
            .map(|s| (s.attempt, s.runner.as_ref().unwrap().as_str(), s.from.as_second(), s.to.as_second(), s.end))
            .collect();
        assert_eq!(seen, [(1, "a", 1, 9, SpanEnd::Failed), (2, "b", 10, 30, SpanEnd::Open)]);
        assert_eq!(line.spans[0].why.as_deref(), Some("runner `a` lost the job"));
        assert_eq!(line.moments.len(), 1);
    }

    #[test]
    fn of_two_jobs_at_once_one_is_superseded() {
        let key = StepKey(Sha256::of(b"k"));
        let runner = |name: &str| RunnerName::new(name).unwrap();
        let on = |attempt, name: &str| Event::Started { step: id(), key, attempt, runner: Some(runner(name)) };
        let ended = Event::JobEnded {
            step: id(),
            key,
            attempt: 1,
            runner: runner("slow"),
            job: None,
            end: crate::journal::JobEnd::Superseded,
            why: None,
            log: None,
        };
        let tested = serde_json::json!({ "made": "tested", "runner": "fast", "log": Sha256::of(b"").hex() });
        let outcome = std::sync::Arc::new(serde_json::from_value(tested).unwrap());
        let made = Event::Succeeded { step: id(), key, outcome };
        let records = [(1, on(1, "slow")), (5, on(2, "fast")), (9, ended), (9, made)];
        let line = Timeline::of(&records.map(|(at, what)| record(at, what)));
        let seen: Vec<_> = line.spans.iter().map(|s| (s.runner_name().unwrap(), s.to.as_second(), s.end)).collect();
        assert_eq!(seen, [("slow", 9, SpanEnd::Replaced), ("fast", 9, SpanEnd::Done)]);
    }

    #[test]
    fn a_killed_attempt_is_replaced_by_the_next() {
        let line = Timeline::of(&[record(1, started(1)), record(5, started(2))]);
        assert_eq!(line.spans.iter().map(|s| s.end).collect::<Vec<_>>(), [SpanEnd::Replaced, SpanEnd::Open]);
        assert_eq!(line.spans[0].to.as_second(), 5);
    }
}
