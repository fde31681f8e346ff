//! `[[advisory]]` of a train file, checked: the text that forges show.

use super::raw::RawAdvisory;
use crate::model::{Advisory, Affected, Cve, Severity};
use crate::table::{Fault, Faults, Text, grammar_fault};

/// What a forge takes at most, in characters.
const SUMMARY: usize = 1024;
/// See [`SUMMARY`].
const DESCRIPTION: usize = 65535;

/// Checks one advisory.
pub(super) fn advisory(raw: &RawAdvisory, faults: &mut Faults) -> Option<Advisory> {
    let id = faults.keep(raw.id.get_ref().parse().map_err(|e| grammar_fault(raw.id.span(), &e)));
    bounded(&raw.summary, SUMMARY, faults);
    if raw.summary.get_ref().contains('\n') {
        faults.add(Fault::new(raw.summary.span(), "a summary is one line", "move the rest to `description`"));
    }
    bounded(&raw.description, DESCRIPTION, faults);
    let severity = severity(raw, faults);
    let mut cwes = Vec::new();
    for cwe in raw.cwes.iter().flatten() {
        if !cwe.get_ref().strip_prefix("CWE-").is_some_and(digits) {
            faults.add(Fault::new(cwe.span(), "this is not a kind of weakness", "expected, for example, `CWE-248`"));
        }
        cwes.push(cwe.get_ref().clone());
    }
    cwes.sort();
    let cve = match &raw.cve {
        None => Cve::None,
        Some(text) if text.get_ref() == "request" => Cve::Request,
        Some(text) => {
            let parts = text.get_ref().strip_prefix("CVE-").and_then(|rest| rest.split_once('-'));
            if !parts
                .is_some_and(|(year, number)| year.len() == 4 && digits(year) && number.len() >= 4 && digits(number))
            {
                let label = "expected `request`, or a number such as `CVE-2026-0001`";
                faults.add(Fault::new(text.span(), "this is not a CVE number", label));
            }
            Cve::Assigned(text.get_ref().clone())
        }
    };
    if raw.affected.is_empty() {
        let label = "add `affected = [{ package = \"…\", versions = \"< 1.0.5\", patched = \"1.0.5\" }]`";
        faults.add(Fault::new(raw.id.span(), "an advisory affects something", label));
    }
    let affected = raw.affected.iter().map(|a| Affected {
        ecosystem: a.ecosystem.as_ref().map_or_else(|| "rust".to_owned(), |e| e.get_ref().clone()),
        package: a.package.get_ref().clone(),
        versions: range(&a.versions, faults),
        patched: a.patched.as_ref().map(|p| p.get_ref().clone()),
    });
    let affected = affected.collect();
    let (summary, description) = (raw.summary.get_ref().clone(), raw.description.get_ref().clone());
    Some(Advisory { id: id?, summary, description, severity: severity?, cwes, cve, affected })
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn bounded(text: &Text, most: usize, faults: &mut Faults) {
    let length = text.get_ref().chars().count();
    if length == 0 || length > most {
        let message = format!("{length} characters, where a forge takes 1 to {most}");
        faults.add(Fault::new(text.span(), message, "make it fit"));
    }
}

fn severity(raw: &RawAdvisory, faults: &mut Faults) -> Option<Severity> {
    match (&raw.severity, &raw.cvss) {
        (Some(word), None) => {
            if !["low", "medium", "high", "critical"].contains(&word.get_ref().as_str()) {
                let label = "valid here: `low`, `medium`, `high` or `critical`";
                faults.add(Fault::new(word.span(), format!("`{}` is not a severity", word.get_ref()), label));
            }
            Some(Severity::Word(word.get_ref().clone()))
        }
        (None, Some(vector)) => {
            if !vector.get_ref().starts_with("CVSS:") {
                let label = "valid begins with `CVSS:3.1/` or `CVSS:4.0/`";
                faults.add(Fault::new(vector.span(), "this is not a CVSS vector", label));
            }
            Some(Severity::Cvss(vector.get_ref().clone()))
        }
        (Some(_), Some(vector)) => {
            let label = "remove `severity`: it follows from the vector";
            faults.add(Fault::new(vector.span(), "a forge takes a severity or a vector, not both", label));
            None
        }
        (None, None) => {
            let fault = Fault::new(
                raw.id.span(),
                "the advisory has no severity",
                "add `severity = \"high\"` or `cvss = \"CVSS:3.1/…\"`",
            );
            faults.add(fault);
            None
        }
    }
}

/// One range as forges write it: an operator, a blank, a version; two of them joined by a comma.
fn range(text: &Text, faults: &mut Faults) -> String {
    let one = |part: &str| {
        let (operator, version) = part.trim().split_once(' ').unwrap_or_default();
        matches!(operator, "<" | "<=" | ">" | ">=" | "=") && !version.is_empty() && !version.contains(' ')
    };
    let parts: Vec<&str> = text.get_ref().split(',').collect();
    if parts.len() > 2 || !parts.iter().all(|p| one(p)) {
        let label = "expected one range, `< 24.0.9` or `>= 25.0.0, < 36.0.14`; write one entry for each";
        faults.add(Fault::new(text.span(), "this is not a range of versions", label));
    }
    text.get_ref().clone()
}
