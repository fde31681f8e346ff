//! The advisories of a plan, as a person reads them: what becomes public in the project's name.

use crate::model::{Advisory, Cve, Severity, escape};
use crate::plan::Plan;
use crate::step::{Audience, ForgeAdvisory};

/// Every advisory text that the plan publishes, with where and when it is seen; empty if there is none.
pub(super) fn texts(plan: &Plan) -> String {
    let mut out = String::new();
    let mut shown: Vec<&Advisory> = Vec::new();
    for advisory in &plan.advisory_texts {
        let forges = plan.published_advisories().filter(|s| s.advisory == *advisory).map(place);
        let pages = "the pages and notes of the releases after the gate".to_owned();
        shown.push(advisory);
        text(advisory, &std::iter::once(pages).chain(forges).collect::<Vec<_>>().join("; "), &mut out);
    }
    for step in plan.published_advisories() {
        if shown.contains(&&step.advisory) {
            continue;
        }
        shown.push(&step.advisory);
        let same = plan.published_advisories().filter(|s| s.advisory == step.advisory);
        text(&step.advisory, &same.map(place).collect::<Vec<_>>().join("; "), &mut out);
    }
    out
}

/// Where and when a forge shows an advisory.
fn place(step: &ForgeAdvisory) -> String {
    match step.audience {
        Audience::Anyone => format!("{} after the gate", step.forge),
        Audience::Writers => format!("{} after the gate, as a draft for its writers before it", step.forge),
    }
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
