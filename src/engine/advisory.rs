//! What a forge needs next to have a security advisory: pure, decided anew from each read of it.

use crate::effects::{AdvisoryState, SeenAdvisory};
use crate::model::{Advisory, Cve, Severity};

/// How far an advisory is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A draft that says what ours says.
    Draft,
    /// Public.
    Published,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdvisoryMove {
    /// Nothing: it is there and equal.
    Done(Box<SeenAdvisory>),
    /// Make the draft.
    Create,
    /// Let this draft say what ours says.
    Update(String),
    /// Ask for a CVE number.
    RequestCve(String),
    /// Publish this draft.
    Publish(String),
    /// Something else is there: the differences, one a line.
    Conflict(Vec<String>),
}

/// Decides from one read what an advisory needs next; `asked` is whether a CVE number was asked for already.
#[must_use]
pub fn next_move(wanted: &Advisory, there: &[SeenAdvisory], until: Until, asked: bool) -> AdvisoryMove {
    let seen = match there {
        [] if wanted.there_already().is_some() => {
            return AdvisoryMove::Conflict(vec![format!("there is no advisory `{}`", wanted.id)]);
        }
        [] => return AdvisoryMove::Create,
        [one] => one,
        [one, two, ..] => {
            return AdvisoryMove::Conflict(vec![format!("`{}` and `{}` have the same summary", one.id, two.id)]);
        }
    };
    let different = differences(wanted, seen);
    match seen.state {
        AdvisoryState::Published if different.is_empty() => AdvisoryMove::Done(Box::new(seen.clone())),
        AdvisoryState::Published => AdvisoryMove::Conflict(different),
        AdvisoryState::Triage => {
            AdvisoryMove::Conflict(vec![format!("`{}` is a report that nobody accepted yet", seen.id)])
        }
        AdvisoryState::Closed => AdvisoryMove::Conflict(vec![format!("`{}` is closed", seen.id)]),
        // A draft that the train names is ours to write; one that only has the same summary is somebody's.
        AdvisoryState::Draft if !different.is_empty() && wanted.there_already().is_none() => {
            AdvisoryMove::Conflict(different)
        }
        AdvisoryState::Draft if !different.is_empty() => AdvisoryMove::Update(seen.id.clone()),
        AdvisoryState::Draft if wanted.cve == Cve::Request && seen.cve.is_none() && !asked => {
            AdvisoryMove::RequestCve(seen.id.clone())
        }
        AdvisoryState::Draft => match until {
            Until::Draft => AdvisoryMove::Done(Box::new(seen.clone())),
            Until::Published => AdvisoryMove::Publish(seen.id.clone()),
        },
    }
}

/// What an advisory says otherwise than ours.
fn differences(wanted: &Advisory, seen: &SeenAdvisory) -> Vec<String> {
    let id = &seen.id;
    let mut out = Vec::new();
    if seen.summary != wanted.summary {
        out.push(format!("`{id}` has the summary `{}`", seen.summary));
    }
    if plain(&seen.description) != plain(&wanted.description) {
        out.push(format!("`{id}` has another description"));
    }
    let (what, ours, theirs) = match &wanted.severity {
        Severity::Word(word) => ("severity", word, seen.severity.as_ref()),
        // Another version's vector is the forge's own matter.
        Severity::Cvss(vector) => {
            let same = |v: &&String| cvss_version(v) == cvss_version(vector);
            ("CVSS vector", vector, seen.cvss.iter().find(same))
        }
    };
    if theirs != Some(ours) {
        out.push(format!("`{id}` has the {what} `{}`, ours is `{ours}`", theirs.map_or("none", String::as_str)));
    }
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    if sorted(&seen.cwes) != sorted(&wanted.cwes) {
        out.push(format!("`{id}` has the weaknesses `{}`", seen.cwes.join("`, `")));
    }
    let ranges = |list: &[crate::model::Affected]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let (ours, theirs) = (ranges(&wanted.affected), ranges(&seen.affected));
    for range in theirs.iter().filter(|r| !ours.contains(r)) {
        let patched = range.patched.as_deref().unwrap_or("nothing");
        out.push(format!("`{id}` has `{}` {} affected, patched in {patched}", range.package, range.versions));
    }
    for range in ours.iter().filter(|r| !theirs.contains(r)) {
        let patched = range.patched.as_deref().unwrap_or("nothing");
        out.push(format!("`{id}` lacks `{}` {} affected, patched in {patched}", range.package, range.versions));
    }
    if let Cve::Assigned(cve) = &wanted.cve
        && seen.cve.as_ref() != Some(cve)
    {
        out.push(format!("`{id}` has the CVE number `{}`, ours is `{cve}`", seen.cve.as_deref().unwrap_or("none")));
    }
    out
}

/// The number before the first dot of `CVSS:3.1/…`: forges keep one vector of 3.x and one of 4.x.
fn cvss_version(vector: &str) -> &str {
    vector.split_once('.').map_or(vector, |(version, _)| version)
}

/// A web form sends CRLF, and trailing white space says nothing.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").trim_end().to_owned()
}
