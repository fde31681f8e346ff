//! The chart of a train: a row for each runner and destination, a bar for each attempt of a step.

use jiff::Timestamp;
use serde::Serialize;

use super::axis::Axis;
use super::{ReportPage, took};
use crate::journal::{Span, SpanEnd};

/// Measures of the chart, in its own units.
const WIDTH: f64 = 1200.0;
const NAMES: f64 = 190.0;
const TOP: f64 = 34.0;
const LANE: f64 = 20.0;
const BAR: f64 = 15.0;
const BETWEEN: f64 = 10.0;
/// How wide a letter is in a bar.
const LETTER: f64 = 6.4;
/// A bar that would be thinner could not be seen.
const THINNEST: f64 = 1.5;

/// What is drawn.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    width: f64,
    height: f64,
    rows: Vec<Row>,
    bars: Vec<Bar>,
    labels: Vec<Label>,
    pauses: Vec<Pause>,
    moments: Vec<Mark>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    y: f64,
    height: f64,
}

#[derive(Debug, Serialize)]
struct Bar {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    class: &'static str,
    /// Shown in it, if it is wide enough.
    text: Option<String>,
    /// Shown when it is pointed at, and read aloud.
    title: String,
}

#[derive(Debug, Serialize)]
struct Label {
    x: f64,
    text: String,
}

#[derive(Debug, Serialize)]
struct Pause {
    x: f64,
    width: f64,
    title: String,
}

#[derive(Debug, Serialize)]
struct Mark {
    x: f64,
    title: String,
}

impl Chart {
    pub(super) fn of(page: &ReportPage) -> Self {
        let line = &page.timeline;
        let axis = Axis::of(line.spans.iter().map(|s| (s.from, s.to)).collect(), NAMES, WIDTH - NAMES - 4.0);
        let (mut rows, mut bars, mut y) = (Vec::new(), Vec::new(), TOP);
        for (name, spans) in rows_of(page) {
            let lanes = lanes(&spans, &axis);
            let count = lanes.iter().max().map_or(1, |most| most + 1);
            for (span, lane) in spans.iter().zip(lanes) {
                bars.push(bar(page, span, &axis, y + lane as f64 * LANE));
            }
            let height = count as f64 * LANE;
            rows.push(Row { name, y, height });
            y += height + BETWEEN;
        }
        let pause = |p: &super::axis::Piece| Pause {
            x: p.x,
            width: p.width,
            title: format!("nothing ran for {}", took(p.from, p.to)),
        };
        let mark =
            |m: &crate::journal::TrainMoment| Mark { x: axis.x(m.at), title: format!("{} {}", clock(m.at), m.what) };
        Self {
            width: WIDTH,
            height: y + 4.0,
            rows,
            bars,
            labels: axis.labels().into_iter().map(|(x, text)| Label { x, text }).collect(),
            pauses: axis.pauses().map(pause).collect(),
            moments: line.moments.iter().map(mark).collect(),
        }
    }
}

/// The rows: runners first, by name; then this machine, then the destinations.
fn rows_of(page: &ReportPage) -> Vec<(String, Vec<&Span>)> {
    let mut rows: std::collections::BTreeMap<(u8, String), Vec<&Span>> = std::collections::BTreeMap::new();
    for span in &page.timeline.spans {
        let row = match (&span.runner, page.destinations.get(&span.step)) {
            (Some(runner), _) => (0, format!("runner {runner}")),
            (None, None) => (1, "this machine".to_owned()),
            (None, Some(destination)) => (2, destination.clone()),
        };
        rows.entry(row).or_default().push(span);
    }
    rows.into_iter().map(|((_, name), spans)| (name, spans)).collect()
}

/// In which lane each bar is, so that none covers another.
fn lanes(spans: &[&Span], axis: &Axis) -> Vec<usize> {
    let mut ends: Vec<f64> = Vec::new();
    let mut out = Vec::with_capacity(spans.len());
    for span in spans {
        let (from, to) = (axis.x(span.from), axis.x(span.to).max(axis.x(span.from) + THINNEST));
        let free = ends.iter().position(|end| *end <= from + 0.01);
        let lane = free.unwrap_or_else(|| {
            ends.push(0.0);
            ends.len() - 1
        });
        ends[lane] = to;
        out.push(lane);
    }
    out
}

fn bar(page: &ReportPage, span: &Span, axis: &Axis, y: f64) -> Bar {
    let (x, to) = (axis.x(span.from), axis.x(span.to));
    let width = (to - x).max(THINNEST);
    let name = span.step.as_str();
    let attempt = if span.attempt > 1 { format!(", attempt {}", span.attempt) } else { String::new() };
    let why = span.why.as_deref().and_then(|why| why.lines().next()).map(|why| format!(": {why}"));
    let title = format!(
        "{name}{attempt}, {} to {}, {}, {}{}",
        clock(span.from),
        clock(span.to),
        took(span.from, span.to),
        page.word(span.end),
        why.unwrap_or_default()
    );
    let room = (width / LETTER) as usize;
    // The last parts of a step's name tell it from its neighbours.
    let text = [name, name.split_once('/').map_or(name, |(_, rest)| rest), name.rsplit('/').next().unwrap_or(name)]
        .into_iter()
        .find(|text| text.chars().count() < room);
    Bar { x, y, width, height: BAR, class: span.end.word(), text: text.map(str::to_owned), title }
}

pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

impl ReportPage {
    fn word(&self, end: SpanEnd) -> &'static str {
        match end {
            SpanEnd::Open if self.is_over => "not ended",
            SpanEnd::Open => "running",
            ended => ended.word(),
        }
    }
}
