//! The report of a train: when each step ran, on which runner, what moved and what went wrong. A page for the team, on the machine
//! that shipped: nothing of it is published.

mod axis;
mod chart;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use self::chart::{Chart, clock};
use crate::error::Result;
use crate::journal::{Span, SpanEnd, Timeline};
use crate::model::{ProjectName, TrainName, spent, utc};
use crate::step::StepId;
use crate::templates;

/// What the report shows.
#[derive(Debug, Clone)]
pub struct ReportPage {
    /// The project.
    pub project: ProjectName,
    /// The train.
    pub train: TrainName,
    /// How it stands, in words.
    pub state: String,
    /// Whether nothing of it can run any more.
    pub is_over: bool,
    /// The versions that it releases.
    pub versions: Vec<String>,
    /// What happened.
    pub timeline: Timeline,
    /// Where steps act that need no runner, in words, by step.
    pub destinations: BTreeMap<StepId, String>,
}

/// Makes the page.
///
/// # Errors
/// The template's.
pub fn report_page(page: &ReportPage) -> Result<Vec<u8>> {
    templates::inner_page("report.html", &View::of(page)).map(String::into_bytes)
}

#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
    train: &'a str,
    state: &'a str,
    versions: &'a [String],
    from: Option<String>,
    to: Option<String>,
    took: Option<String>,
    jobs: usize,
    chart: Chart,
    runners: Vec<RunnerView>,
    moves: Vec<MoveView<'a>>,
    troubles: Vec<Trouble<'a>>,
    moments: Vec<MomentView<'a>>,
    spans: Vec<SpanView<'a>>,
}

#[derive(Serialize)]
struct RunnerView {
    name: String,
    jobs: usize,
    failed: usize,
    busy: String,
}

#[derive(Serialize)]
struct MoveView<'a> {
    at: String,
    step: &'a str,
    from: &'a str,
    to: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct Trouble<'a> {
    at: String,
    step: &'a str,
    attempt: u32,
    runner: Option<&'a str>,
    word: &'static str,
    first: &'a str,
    rest: Vec<&'a str>,
}

#[derive(Serialize)]
struct MomentView<'a> {
    at: String,
    what: &'a str,
}

#[derive(Serialize)]
struct SpanView<'a> {
    step: &'a str,
    attempt: u32,
    place: &'a str,
    from: String,
    took: String,
    word: &'static str,
}

impl<'a> View<'a> {
    fn of(page: &'a ReportPage) -> Self {
        let spans = &page.timeline.spans;
        let first = spans.iter().map(|s| s.from).min();
        let last = spans.iter().map(|s| s.to).max();
        Self {
            project: page.project.as_str(),
            train: page.train.as_str(),
            state: &page.state,
            versions: &page.versions,
            from: first.map(utc),
            to: last.map(utc),
            took: first.zip(last).map(|(from, to)| took(from, to)),
            jobs: spans.iter().filter(|s| s.runner.is_some()).count(),
            chart: Chart::of(page),
            runners: runners(spans),
            moves: moves(spans),
            troubles: spans.iter().filter_map(Trouble::of).collect(),
            moments: page.timeline.moments.iter().map(|m| MomentView { at: utc(m.at), what: &m.what }).collect(),
            spans: spans.iter().map(|s| SpanView::of(page, s)).collect(),
        }
    }
}

/// What each runner did.
fn runners(spans: &[Span]) -> Vec<RunnerView> {
    let names: BTreeSet<_> = spans.iter().filter_map(|s| s.runner.as_ref()).collect();
    let of = |name| {
        let own: Vec<&Span> = spans.iter().filter(|s| s.runner.as_ref() == Some(name)).collect();
        let ms: i64 = own.iter().map(|s| s.to.as_millisecond() - s.from.as_millisecond()).sum();
        RunnerView {
            name: name.to_string(),
            jobs: own.len(),
            failed: own.iter().filter(|s| s.end == SpanEnd::Failed).count(),
            busy: spent(Duration::from_millis(ms.try_into().unwrap_or_default())),
        }
    };
    names.into_iter().map(of).collect()
}

/// The jobs that went from one runner to another.
fn moves(spans: &[Span]) -> Vec<MoveView<'_>> {
    let mut last: BTreeMap<&StepId, &Span> = BTreeMap::new();
    let mut out = Vec::new();
    for span in spans.iter().filter(|s| s.runner.is_some()) {
        if let Some(before) = last.insert(&span.step, span)
            && let (Some(from), Some(to)) = (&before.runner, &span.runner)
            && from != to
        {
            let why = before.why.as_deref().and_then(|why| why.lines().next()).unwrap_or("it did not end there");
            out.push(MoveView {
                at: utc(span.from),
                step: span.step.as_str(),
                from: from.as_str(),
                to: to.as_str(),
                why,
            });
        }
    }
    out
}

impl<'a> Trouble<'a> {
    fn of(span: &'a Span) -> Option<Self> {
        let mut lines = span.why.as_deref()?.lines();
        Some(Self {
            at: utc(span.to),
            step: span.step.as_str(),
            attempt: span.attempt,
            runner: span.runner.as_ref().map(|r| r.as_str()),
            word: span.end.word(),
            first: lines.next().unwrap_or_default(),
            rest: lines.collect(),
        })
    }
}

impl<'a> SpanView<'a> {
    fn of(page: &'a ReportPage, span: &'a Span) -> Self {
        let destination = page.destinations.get(&span.step).map_or("this machine", String::as_str);
        Self {
            step: span.step.as_str(),
            attempt: span.attempt,
            place: span.runner.as_ref().map_or(destination, |r| r.as_str()),
            from: clock(span.from),
            took: took(span.from, span.to),
            word: span.end.word(),
        }
    }
}

/// How long it is from one time to another, for people.
fn took(from: Timestamp, to: Timestamp) -> String {
    let ms = to.as_millisecond() - from.as_millisecond();
    spent(Duration::from_millis(ms.try_into().unwrap_or_default()))
}
