//! The advisories of a plan, as a person reads them: what becomes public in the project's name.

use crate::model::{Advisory, Cve, Severity, escape};
use crate::plan::Plan;
use crate::step::Audience;

/// Every advisory text that the plan publishes, with where and when it is seen; empty if there is none.
pub(super) fn texts(plan: &Plan) -> String {
    let mut out = String::new();
    let mut told: Vec<&Advisory> = Vec::new();
    for step in plan.published_advisories() {
        if told.contains(&&step.advisory) {
            continue;
        }
        told.push(&step.advisory);
        let same = plan.published_advisories().filter(|s| s.advisory == step.advisory);
        let places = same.map(|s| match s.audience {
            Audience::Anyone => format!("{} after the gate", s.forge),
            Audience::Writers => format!("{} after the gate, as a draft for its writers before it", s.forge),
        });
        text(&step.advisory, &places.collect::<Vec<_>>().join("; "), &mut out);
    }
    out
}

fn text(advisory: &Advisory, places: &str, out: &mut String) {
    let severity = match &advisory.severity {
        Severity::Word(word) => word,
        Severity::Cvss(vector) => vector,
    };
    let cve = match &advisory.cve {
        Cve::None => "no CVE number".to_owned(),
        Cve::Request => "a CVE number is asked for".to_owned(),
        Cve::Assigned(number) => number.clone(),
    };
    out.push_str(&format!("\nadvisory {}: {}\n", advisory.id, escape(&advisory.summary)));
    out.push_str(&format!("  on {places}\n  {}; {}", escape(severity), escape(&cve)));
    if !advisory.cwes.is_empty() {
        out.push_str(&format!("; {}", escape(&advisory.cwes.join(", "))));
    }
    out.push('\n');
    for affected in &advisory.affected {
        let patched = affected.patched.as_deref().unwrap_or("no release");
        let (package, versions) = (escape(&affected.package), escape(&affected.versions));
        out.push_str(&format!(
            "  {package} ({}) {versions}: fixed in {}\n",
            escape(&affected.ecosystem),
            escape(patched)
        ));
    }
    for line in advisory.description.lines() {
        out.push_str(&format!("  | {}\n", escape(line)));
    }
}
