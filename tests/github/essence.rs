//! What GitHub holds, as text to be compared.

use crate::github_double::state::State;

/// A repository as two runs must leave it alike: without the numbers that GitHub gives.
pub fn essence(state: &State) -> String {
    let mut releases: Vec<String> = state
        .releases
        .iter()
        .map(|r| {
            let mut assets: Vec<String> =
                r.assets.iter().map(|a| format!("    {} {} {} {}", a.name, a.size, a.sha256, a.whole)).collect();
            assets.sort();
            let (draft, pre, fixed) = (r.draft, r.prerelease, r.immutable);
            format!("{} {:?} {:?} {draft} {pre} {fixed}\n{}", r.tag, r.title, r.notes, assets.join("\n"))
        })
        .collect();
    releases.sort();
    let mut published = state.published.clone();
    published.sort();
    let mut runs: Vec<String> = state.runs.iter().map(|r| format!("{} {} {}", r.file, r.event, r.on)).collect();
    runs.sort();
    let mut advisories: Vec<String> = state
        .advisories
        .iter()
        .map(|a| {
            let shown =
                ["summary", "description", "state", "severity", "cvss", "cvss_severities", "cve_id", "vulnerabilities"];
            shown.map(|name| a[name].to_string()).join(" ")
        })
        .collect();
    advisories.sort();
    let workflows: Vec<(&String, bool)> = state.workflows.iter().map(|w| (&w.file, w.on)).collect();
    format!(
        "{}\nruns {runs:?}\nworkflows {workflows:?}\nadvisories {advisories:#?}\nlatest {:?}\npublished {published:?}\nmade {:?}\nrefs {:?}",
        releases.join("\n"),
        state.latest().map(|r| &r.tag),
        state.made_tags,
        state.refs
    )
}
