//! Workflows that pushes and releases start, and what they came to.

use serde_json::{Value, json};

use super::filled::filled;
use super::http::{Answer, Request};
use super::routes::{answer_of, failure};
use super::state::State;

/// A workflow of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    pub file: String,
    /// The event that starts it.
    pub event: String,
    /// What the full name of the ref starts with.
    pub refs: String,
    pub on: bool,
    /// How its runs stand from the start: status and conclusion.
    pub ends: (String, Option<String>),
}

impl Workflow {
    /// One that is on and succeeds at once.
    pub fn new(file: &str, event: &str, refs: &str) -> Self {
        let ends = ("completed".to_owned(), Some("success".to_owned()));
        Self { file: file.into(), event: event.into(), refs: refs.into(), on: true, ends }
    }
}

/// A run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub id: u64,
    pub file: String,
    pub event: String,
    /// The full name of the ref.
    pub on: String,
    pub commit: String,
    pub ends: (String, Option<String>),
}

impl State {
    /// Starts what an event starts.
    pub fn happens(&mut self, event: &str, name: &str, commit: &str) {
        let starts = |w: &&Workflow| w.on && w.event == event && name.starts_with(&w.refs);
        let started: Vec<Workflow> = self.workflows.iter().filter(starts).cloned().collect();
        for w in started {
            let id = self.number();
            let (event, on, commit) = (event.to_owned(), name.to_owned(), commit.to_owned());
            self.runs.push(Run { id, file: w.file, event, on, commit, ends: w.ends });
        }
    }
}

pub fn read(state: &State, request: &Request, parts: &[&str], api: &str) -> Answer {
    match parts {
        ["actions", "workflows", file] => match state.workflows.iter().find(|w| w.file == *file) {
            Some(w) => {
                let stands = if w.on { "active" } else { "disabled_manually" };
                let with = json!({"path": format!(".github/workflows/{}", w.file), "state": stands, "name": w.file});
                answer_of(200, &filled("workflow", &with))
            }
            None => failure(404, "Not Found"),
        },
        ["actions", "runs"] => {
            let number = |name: &str, default| request.query(name).and_then(|v| v.parse().ok()).unwrap_or(default);
            let (per_page, page): (usize, usize) = (number("per_page", 30), number("page", 1));
            let commit = request.query("head_sha");
            let all: Vec<Value> = state
                .runs
                .iter()
                .rev()
                .filter(|r| commit.is_none_or(|c| c == r.commit))
                .map(|r| {
                    let on = r.on.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/");
                    filled(
                        "workflow-run",
                        &json!({
                            "id": r.id, "path": format!(".github/workflows/{}", r.file), "event": r.event,
                            "head_branch": on, "head_sha": r.commit, "status": r.ends.0, "conclusion": r.ends.1,
                            "html_url": format!("{api}/example/sample/actions/runs/{}", r.id)
                        }),
                    )
                })
                .collect();
            let shown: Vec<&Value> = all.iter().skip(per_page * (page - 1)).take(per_page).collect();
            answer_of(200, &json!({"total_count": all.len(), "workflow_runs": shown}))
        }
        _ => failure(404, "Not Found"),
    }
}

/// Switches a workflow on or off.
pub fn switch(state: &mut State, file: &str, to: &str) -> Answer {
    match state.workflows.iter_mut().find(|w| w.file == file) {
        Some(w) => {
            w.on = to == "enable";
            answer_of(204, &Value::Null)
        }
        None => failure(404, "Not Found"),
    }
}
