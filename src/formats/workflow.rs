//! Workflow files of a forge: what starts them, as far as a release can. Pure.
//!
//! The shape is that of `on` in the documentation of workflow syntax. What cannot be decided counts as starting.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::workflow_pattern::list_takes;
use crate::error::{Error, Result};

/// What a workflow file says about when it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Its name, by which other workflows wait for it; none if the file gives none.
    pub name: Option<String>,
    /// The events that start it, with what narrows each.
    on: BTreeMap<String, Map<String, Value>>,
    /// Every text in it, in lower case: conditions, commands, values.
    texts: Vec<String>,
}

/// Something that a release does on a forge and that may start workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerEvent<'a> {
    /// A branch is pushed; `changed` are the paths that differ from what was there, none if that is not known.
    Branch {
        /// Its name, without `refs/heads/`.
        name: &'a str,
        /// See above.
        changed: Option<&'a [String]>,
    },
    /// A tag is pushed, by its name without `refs/tags/`.
    Tag(&'a str),
    /// A release is published.
    Release {
        /// Whether it is marked as a pre-release.
        prerelease: bool,
    },
    /// A branch is removed: forges do so once its pull request is merged.
    Removed,
    /// A pull request is opened.
    Pull {
        /// The branch into which it would be merged.
        into: &'a str,
        /// As for a branch.
        changed: Option<&'a [String]>,
    },
}

/// Events that nothing which a release does can bring about; any event that stands neither here nor in [`Workflow::events`]
/// may be started by anything.
const UNRELATED: &[&str] = &[
    "branch_protection_rule",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "image_version",
    "issue_comment",
    "issues",
    "label",
    "milestone",
    "project",
    "project_card",
    "project_column",
    "public",
    "pull_request_comment",
    "pull_request_review",
    "pull_request_review_comment",
    "repository_dispatch",
    "schedule",
    "watch",
    "workflow_call",
    "workflow_dispatch",
];

/// Events for which a forge takes the default branch's copy of a workflow, whatever they are about, and which a release may
/// bring about (docs.github.com, "Events that trigger workflows"); `workflow_run` is another: see [`Workflow::follows`].
const OF_DEFAULT_BRANCH: &[&str] =
    &["check_run", "check_suite", "delete", "page_build", "pull_request_target", "registry_package", "status"];

/// Lists of changed paths above this length are cut by the forge, so path filters cannot be foreseen.
const PATHS_COMPARED: usize = 300;

/// The activities of a release that publishing a draft, or making it `latest`, does not bring about.
const NOT_PUBLISHING: &[&str] = &["deleted", "unpublished"];

impl Workflow {
    /// Reads a workflow file.
    ///
    /// # Errors
    /// No YAML, or `on` of a shape that the syntax does not have.
    pub fn parse(text: &str) -> Result<Self> {
        let document: Value =
            serde_saphyr::from_str(text).map_err(|e| Error::input(format!("not YAML: {}", first_line(&e))))?;
        let Some(on) = document.get("on") else { return Err(Error::input("it has no `on`")) };
        let mut events = BTreeMap::new();
        match on {
            Value::String(event) => drop(events.insert(event.clone(), Map::new())),
            Value::Array(list) => {
                for event in list {
                    let event =
                        event.as_str().ok_or_else(|| Error::input("`on` lists something that is not an event"))?;
                    events.insert(event.to_owned(), Map::new());
                }
            }
            Value::Object(table) => {
                for (event, filters) in table {
                    let filters = match filters {
                        Value::Null => Map::new(),
                        Value::Object(filters) => filters.clone(),
                        // `schedule` is a list; it narrows nothing that matters here.
                        Value::Array(_) if UNRELATED.contains(&event.as_str()) => Map::new(),
                        _ => return Err(Error::input(format!("`on.{event}` is not a table"))),
                    };
                    events.insert(event.clone(), filters);
                }
            }
            _ => return Err(Error::input("`on` is not an event, a list or a table")),
        }
        let name = document.get("name").and_then(Value::as_str).map(str::to_owned);
        let mut texts = Vec::new();
        collect_texts(&document, &mut texts);
        Ok(Self { name, on: events, texts })
    }

    /// Whether one of its texts has these words, in lower case, in it.
    #[must_use]
    pub(crate) fn has_text(&self, words: &str) -> bool {
        self.texts.iter().any(|text| text.contains(words))
    }

    /// The events of this workflow that an act brings about, sorted; those that cannot be decided are among them.
    #[must_use]
    pub fn events(&self, act: TriggerEvent<'_>) -> Vec<&str> {
        self.on.iter().filter(|(event, filters)| brings_about(act, event, filters)).map(|(e, _)| e.as_str()).collect()
    }

    /// The same for the default branch's copy of the file, which few events start.
    #[must_use]
    pub(crate) fn events_of_default_branch(&self, act: TriggerEvent<'_>) -> Vec<&str> {
        self.events(act).into_iter().filter(|event| OF_DEFAULT_BRANCH.contains(event)).collect()
    }

    /// Whether the end or the start of one of these workflows starts it, for one of these branches or tags.
    #[must_use]
    pub fn follows(&self, names: &[&str], refs: &[&str]) -> bool {
        let Some(filters) = self.on.get("workflow_run") else { return false };
        let Some(after) = list(filters, "workflows") else { return true };
        // A name is a pattern too where it holds the characters of one; a workflow without a name goes by its path.
        let by_path = |a: &str, n: &str| a.rsplit_once('/').is_some_and(|(_, file)| file == n);
        let is = |a: &String, n: &str| a == n || by_path(a, n) || list_takes(std::slice::from_ref(a), n) != Some(false);
        let named = after.iter().any(|a| names.iter().any(|n| is(a, n)));
        named && refs.iter().any(|r| narrowed(filters, ("branches", "branches-ignore"), r) != Some(false))
    }
}

/// Whether an act brings an event about, as far as can be known.
fn brings_about(act: TriggerEvent<'_>, event: &str, filters: &Map<String, Value>) -> bool {
    match (event, act) {
        // Not an act's own doing: [`Workflow::follows`] decides.
        ("workflow_run", _) => false,
        ("push", TriggerEvent::Branch { name, changed }) => {
            let about_tags = filters.contains_key("tags") || filters.contains_key("tags-ignore");
            let about_branches = filters.contains_key("branches") || filters.contains_key("branches-ignore");
            (about_branches || !about_tags)
                && narrowed(filters, ("branches", "branches-ignore"), name) != Some(false)
                && paths_take(filters, changed)
        }
        // Path filters are not evaluated for tags.
        ("push", TriggerEvent::Tag(name)) => {
            let about_tags = filters.contains_key("tags") || filters.contains_key("tags-ignore");
            let about_branches = filters.contains_key("branches") || filters.contains_key("branches-ignore");
            (about_tags || !about_branches) && narrowed(filters, ("tags", "tags-ignore"), name) != Some(false)
        }
        // A branch that the forge never had is created by its push; it has no filters.
        ("create", TriggerEvent::Branch { .. } | TriggerEvent::Tag(_)) => true,
        ("release", TriggerEvent::Release { prerelease }) => {
            let not_this = if prerelease { "released" } else { "prereleased" };
            list(filters, "types")
                .is_none_or(|types| types.iter().any(|t| !NOT_PUBLISHING.contains(&t.as_str()) && t != not_this))
        }
        ("pull_request" | "pull_request_target", TriggerEvent::Pull { into, changed }) => {
            narrowed(filters, ("branches", "branches-ignore"), into) != Some(false) && paths_take(filters, changed)
        }
        ("merge_group", TriggerEvent::Pull { into, .. }) => {
            narrowed(filters, ("branches", "branches-ignore"), into) != Some(false)
        }
        ("delete", TriggerEvent::Removed) => true,
        ("push" | "create" | "delete" | "release" | "pull_request" | "pull_request_target" | "merge_group", _) => false,
        (other, _) => !UNRELATED.contains(&other),
    }
}

/// Whether filters on names take one; none if that cannot be known.
fn narrowed(filters: &Map<String, Value>, (take, leave): (&str, &str), name: &str) -> Option<bool> {
    if filters.contains_key(take) {
        return list_takes(&list(filters, take)?, name);
    }
    if filters.contains_key(leave) {
        return list_takes(&list(filters, leave)?, name).map(|left| !left);
    }
    Some(true)
}

/// Whether filters on paths let a push through, as far as can be known.
fn paths_take(filters: &Map<String, Value>, changed: Option<&[String]>) -> bool {
    let Some(changed) = changed.filter(|c| c.len() <= PATHS_COMPARED) else { return true };
    changed.iter().any(|path| narrowed(filters, ("paths", "paths-ignore"), path) != Some(false))
        || !(filters.contains_key("paths") || filters.contains_key("paths-ignore"))
}

/// A filter's patterns: one text or a list; none if it is absent or of another shape.
fn list(filters: &Map<String, Value>, key: &str) -> Option<Vec<String>> {
    let text = |v: &Value| match v {
        Value::String(s) => Some(s.clone()),
        // A version such as `1.0` is a number to YAML, a name to the forge.
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    };
    match filters.get(key)? {
        Value::Array(items) => items.iter().map(text).collect(),
        one => text(one).map(|t| vec![t]),
    }
}

fn collect_texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.to_lowercase()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, out)),
        Value::Object(table) => table.values().for_each(|item| collect_texts(item, out)),
        _ => {}
    }
}

fn first_line(e: &impl std::fmt::Display) -> String {
    e.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(text: &str, act: TriggerEvent<'_>) -> bool {
        !Workflow::parse(text).unwrap().events(act).is_empty()
    }

    const TAG: TriggerEvent<'_> = TriggerEvent::Tag("v36.0.6");
    const BRANCH: TriggerEvent<'_> = TriggerEvent::Branch { name: "release-36.0.0", changed: None };

    #[test]
    fn pushes() {
        for (on, tag, branch) in [
            ("push", true, true),
            ("[push, pull_request]", true, true),
            ("\n  push:", true, true),
            ("\n  push:\n    tags: ['v*']", true, false),
            ("\n  push:\n    tags: v*", true, false),
            ("\n  push:\n    branches: [main]", false, false),
            ("\n  push:\n    branches: ['release-*']", false, true),
            ("\n  push:\n    branches: ['release-*', '!release-36*']", false, false),
            // As the project of the example has it: every tag but one.
            ("\n  push:\n    branches: [main]\n    tags-ignore: [dev]", true, false),
            ("\n  push:\n    branches-ignore: ['release-*']", false, false),
            ("\n  push:\n    branches-ignore: [main]", false, true),
            ("\n  push:\n    branches: ['[']", false, true),
            ("\n  push:\n    tags: [36.0]", false, false),
            ("\n  push:\n    branches: {a: b}", false, true),
            ("create", true, true),
            ("\n  schedule:\n    - cron: '0 0 * * *'", false, false),
            ("\n  workflow_dispatch:\n    inputs:\n      a: {required: false}", false, false),
            ("something_new", true, true),
            ("status", true, true),
        ] {
            let text = format!("name: x\non: {on}\njobs: {{}}\n");
            assert_eq!((starts(&text, TAG), starts(&text, BRANCH)), (tag, branch), "{on}");
        }
    }

    #[test]
    fn paths_count_for_branches_only_and_only_if_known() {
        let docs = "on:\n  push:\n    paths: ['docs/**']\n";
        let not_docs = "on:\n  push:\n    paths-ignore: ['docs/**', '*.md']\n";
        let changed = |paths: &[&str]| paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        let branch =
            |text: &str, paths: Option<&[String]>| starts(text, TriggerEvent::Branch { name: "main", changed: paths });
        let (source, doc) = (changed(&["src/lib.rs"]), changed(&["docs/a.md", "README.md"]));
        assert!(!branch(docs, Some(&source)) && branch(docs, Some(&doc)) && branch(docs, None));
        assert!(branch(not_docs, Some(&source)) && !branch(not_docs, Some(&doc)) && branch(not_docs, None));
        assert!(starts(docs, TAG) && starts(not_docs, TAG));
        assert!(branch(docs, Some(&vec!["a".to_owned(); 301])), "the forge compares only the first of many");
    }

    #[test]
    fn releases_and_pull_requests() {
        let release = TriggerEvent::Release { prerelease: false };
        assert!(starts("on: release", release));
        assert!(starts("on:\n  release:\n    types: [published]\n", release));
        assert!(starts("on:\n  release:\n    types: released\n", release));
        assert!(!starts("on:\n  release:\n    types: [prereleased, deleted]\n", release));
        assert!(starts("on:\n  release:\n    types: [prereleased]\n", TriggerEvent::Release { prerelease: true }));
        assert!(!starts("on: release", TAG));
        let pull = TriggerEvent::Pull { into: "release-36.0.0", changed: None };
        assert!(starts("on:\n  pull_request:\n    branches: ['release-*']\n", pull));
        assert!(!starts("on:\n  pull_request:\n    branches: [main]\n", pull));
        assert!(starts("on: merge_group", pull) && !starts("on: pull_request", BRANCH));
    }

    #[test]
    fn chains() {
        let after =
            |more: &str| Workflow::parse(&format!("on:\n  workflow_run:\n    workflows: [CI]\n{more}")).unwrap();
        assert!(after("").follows(&["CI"], &["main"]) && !after("").follows(&["Other"], &["main"]));
        assert!(!after("    branches: [dev]\n").follows(&["CI"], &["main", "v1"]));
        assert!(after("    branches-ignore: [dev]\n").follows(&["CI"], &["main"]));
        assert!(after("").events(TAG).is_empty());
    }

    #[test]
    fn few_events_start_the_default_branchs_copy() {
        let of = |on: &str, act| {
            let workflow = Workflow::parse(&format!("on: {on}\n")).unwrap();
            !workflow.events_of_default_branch(act).is_empty()
        };
        let pull = TriggerEvent::Pull { into: "release-36.0.0", changed: None };
        assert!(of("delete", TriggerEvent::Removed) && !of("delete", BRANCH) && !of("push", TriggerEvent::Removed));
        assert!(of("pull_request_target", pull) && !of("pull_request", pull));
        assert!(of("status", TAG) && of("check_suite", BRANCH));
        assert!(!of("push", TAG) && !of("create", TAG) && !of("release", TriggerEvent::Release { prerelease: false }));
    }

    #[test]
    fn what_is_no_workflow() {
        for bad in ["", "a: [", "jobs: {}", "on: 5", "on:\n  push: 5\n", "on: [[push]]"] {
            assert!(Workflow::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Workflow::parse("name: CI\non: push").unwrap().name.as_deref(), Some("CI"));
    }
}
