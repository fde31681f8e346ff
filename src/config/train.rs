//! The train file, checked. It is embargoed, as everything that quotes it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use super::advisory::advisory;
use super::raw::{RawAdvisory, RawLine, RawTrain};
use super::resolve::git_address;
use super::sections;
use super::settings::{SeriesSource, TrainLine, TrainRequest};
use crate::adapter::Registries;
use crate::error::Result;
use crate::model::{Advisory, LineKind, VersionStep};
use crate::table::{Fault, Faults, Moment, Text, TextOr, TomlDocument, grammar_fault, secrets};

/// Reads the text of a train file that lies at `path`.
///
/// # Errors
/// Every fault at once, each with file, line, column, the line itself and what would be valid.
pub fn parse_train(text: &str, path: &Path) -> Result<TrainRequest> {
    let mut faults = Faults::default();
    let mut document = TomlDocument::parse(text, &mut faults);
    if !faults.is_empty() {
        return Err(faults.into_error(path, text, &secrets::hide_by_line(text)));
    }
    let hidden = secrets::find(document.tree(), &sections::secret_keys(&Registries::default()), &mut faults);
    let request = resolve(&mut document, path.parent().unwrap_or(Path::new("")), &mut faults);
    match request {
        Some(request) if faults.is_empty() => Ok(request),
        _ => Err(faults.into_error(path, text, &hidden)),
    }
}

fn resolve(document: &mut TomlDocument<'_>, base: &Path, faults: &mut Faults) -> Option<TrainRequest> {
    let no_line = !document.tree().contains_key("line");
    let texts = document.list::<RawAdvisory>("advisory", faults);
    for (i, (_, text)) in texts.iter().enumerate() {
        if texts[..i].iter().any(|(_, t)| t.id.get_ref() == text.id.get_ref()) {
            let message = format!("advisory `{}` has two texts", text.id.get_ref());
            faults.add(Fault::new(text.id.span(), message, "give each `[[advisory]]` an `id` of its own"));
        }
    }
    let advisory_texts: Vec<Advisory> = texts.iter().filter_map(|(_, a)| advisory(a, faults)).collect();
    let raw_lines = document.list::<RawLine>("line", faults);
    let lines = lines(&raw_lines.iter().map(|(_, l)| l).collect::<Vec<_>>(), base, faults);
    let raw = document.rest::<RawTrain>(faults)?;
    if no_line {
        faults.add(Fault::new(raw.name.span(), "this train has no line", "add a `[[line]]` with its `branch`"));
    }
    let name = faults.keep(raw.name.get_ref().parse().map_err(|e| grammar_fault(raw.name.span(), &e)));
    let date = timestamp(&raw.date, faults);
    let not_before = match &raw.not_before {
        Some(t) => Some(timestamp(t, faults)?),
        None => None,
    };
    let mut advisories = Vec::new();
    for id in raw.advisories.iter().flatten() {
        if let Some(id) = faults.keep(id.get_ref().parse().map_err(|e| grammar_fault(id.span(), &e))) {
            advisories.push(id);
        }
    }
    for text in &advisory_texts {
        if !advisories.contains(&text.id) {
            advisories.push(text.id.clone());
        }
    }
    Some(TrainRequest { name: name?, date: date?, not_before, advisories, advisory_texts, lines })
}

/// RFC 3339, or a date alone for its first second in UTC.
fn timestamp(raw: &Moment, faults: &mut Faults) -> Option<Timestamp> {
    let text = match raw.get_ref() {
        toml::Value::String(s) => s.clone(),
        toml::Value::Datetime(d) => d.to_string(),
        _ => String::new(),
    };
    let midnight = || text.parse::<Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp());
    // A date is tried only where there is no time: a local time must not lose its hours.
    let parsed = if text.len() == "YYYY-MM-DD".len() { midnight() } else { text.parse::<Timestamp>().ok() };
    if parsed.is_none() {
        let label = "expected RFC 3339 with an offset (`2026-02-24T16:00:00Z`), or a date (`2026-02-24`: 00:00 UTC)";
        faults.add(Fault::new(raw.span(), "this is not a time", label));
    }
    parsed
}

fn lines(raw: &[&RawLine], base: &Path, faults: &mut Faults) -> Vec<TrainLine> {
    let mut seen: BTreeMap<&str, std::ops::Range<usize>> = BTreeMap::new();
    let mut out = Vec::new();
    for line in raw {
        if let Some(first) = seen.insert(line.branch.get_ref(), line.branch.span()) {
            let message = format!("two lines are on branch `{}`", line.branch.get_ref());
            faults
                .add(Fault::new(line.branch.span(), message, "a branch has one line").see(first, "the first is here"));
        }
        let branch = faults.keep(line.branch.get_ref().parse().map_err(|e| grammar_fault(line.branch.span(), &e)));
        let kind = kind(line.kind.as_ref(), faults);
        let step = kind.and_then(|kind| step(kind, line.to.as_ref(), faults));
        let series = series(line, base, faults);
        if kind == Some(LineKind::Carry) && series == Some(SeriesSource::None) {
            let fault =
                Fault::new(line.branch.span(), "a line that carries the fix needs patches", "add `patches = …`");
            faults.add(fault);
        }
        if let (Some(branch), Some(kind), Some(series)) = (branch, kind, series) {
            out.push(TrainLine { branch, kind, to: step, series });
        }
    }
    out
}

fn kind(raw: Option<&Text>, faults: &mut Faults) -> Option<LineKind> {
    let Some(raw) = raw else { return Some(LineKind::Release) };
    match raw.get_ref().as_str() {
        "release" => Some(LineKind::Release),
        "first" => Some(LineKind::First),
        "candidate" => Some(LineKind::Candidate),
        "carry" => Some(LineKind::Carry),
        other => {
            let label = "valid here: `release`, `first`, `candidate` or `carry`";
            faults.add(Fault::new(raw.span(), format!("`{other}` is not a kind of line"), label));
            None
        }
    }
}

/// The step of a line's version: the usual one of its kind unless it names another.
fn step(kind: LineKind, raw: Option<&Text>, faults: &mut Faults) -> Option<VersionStep> {
    let Some(raw) = raw else { return VersionStep::usual(kind) };
    let step = faults.keep(raw.get_ref().parse::<VersionStep>().map_err(|e| grammar_fault(raw.span(), &e)))?;
    let (fits, label) = match (kind, &step) {
        (LineKind::Carry, _) => (false, "a line that carries the fix only has no version: remove `to`"),
        (LineKind::First, VersionStep::Release | VersionStep::Exact(_)) => (true, ""),
        (LineKind::First, _) => (false, "a `first` release drops the suffix: `release` or a version"),
        (LineKind::Candidate, VersionStep::Candidate | VersionStep::Exact(_)) => (true, ""),
        (LineKind::Candidate, _) => (false, "a `candidate` is the next `rc`, or a version with a suffix"),
        (LineKind::Release, VersionStep::Candidate | VersionStep::Release) => {
            (false, "a `release` takes `patch`, `minor` or a version; see the kinds `first` and `candidate`")
        }
        (LineKind::Release, _) => (true, ""),
    };
    if !fits {
        let message = format!("the step `{step}` does not fit this kind of line");
        faults.add(Fault::new(raw.span(), message, label));
        return None;
    }
    Some(step)
}

fn series(line: &RawLine, base: &Path, faults: &mut Faults) -> Option<SeriesSource> {
    let Some(patches) = &line.patches else { return Some(SeriesSource::None) };
    match patches.get_ref() {
        TextOr::Text(path) if path.is_empty() => {
            let fault = Fault::new(patches.span(), "an empty path", "a directory of mailbox files, or one mailbox");
            faults.add(fault);
            None
        }
        TextOr::Text(path) => Some(SeriesSource::Mailbox(base.join(path))),
        TextOr::Other(remote) => {
            let url = faults.keep(git_address(&remote.remote, base));
            let branch = &remote.branch;
            let branch = faults.keep(branch.get_ref().parse().map_err(|e| grammar_fault(branch.span(), &e)));
            Some(SeriesSource::Remote { url: url?, branch: branch? })
        }
    }
}
