//! Pull requests: opened by the client, merged or closed by the test.

use serde_json::{Value, json};

use super::filled::filled;
use super::http::{Answer, Request};
use super::routes::{answer_of, page};
use super::state::State;

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    pub number: u64,
    pub from: String,
    pub into: String,
    pub title: String,
    pub open: bool,
    pub merged: bool,
}

fn shown(pull: &Pull, schema: &str, api: &str) -> Value {
    let side = |name: &str| {
        json!({"label": format!("example:{name}"), "ref": name, "sha": "c".repeat(40), "user": filled("simple-user", &json!({})),
               "repo": filled("repository", &json!({}))})
    };
    let merged = if pull.merged { json!("2026-02-24T12:00:00Z") } else { Value::Null };
    filled(
        schema,
        &json!({
            "number": pull.number, "title": pull.title, "state": if pull.open { "open" } else { "closed" },
            "merged_at": merged, "html_url": format!("{api}/example/sample/pull/{}", pull.number),
            "head": side(&pull.from), "base": side(&pull.into)
        }),
    )
}

pub fn read(state: &State, request: &Request, api: &str) -> Answer {
    let fits = |p: &&Pull| {
        request.query("head").is_none_or(|h| h == format!("example:{}", p.from))
            && request.query("base").is_none_or(|b| b == p.into)
            && match request.query("state") {
                Some("all") => true,
                Some("closed") => !p.open,
                _ => p.open,
            }
    };
    page(
        request,
        None,
        api,
        state.pulls.iter().rev().filter(fits).map(|p| shown(p, "pull-request-simple", api)).collect(),
    )
}

/// Opens one; a second of the same two branches is refused, as GitHub does.
pub fn open(state: &mut State, body: &Value, api: &str) -> Answer {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (from, into, title) = (text("head"), text("base"), text("title"));
    if state.pulls.iter().any(|p| p.open && p.from == from && p.into == into) {
        let says = format!("A pull request already exists for example:{from}.");
        let errors = json!([{"resource": "PullRequest", "code": "custom", "message": says}]);
        return answer_of(
            422,
            &json!({"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest", "errors": errors}),
        );
    }
    let pull = Pull { number: state.number(), from, into, title, open: true, merged: false };
    state.pulls.push(pull.clone());
    answer_of(201, &shown(&pull, "pull-request", api))
}
