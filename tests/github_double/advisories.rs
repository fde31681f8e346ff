//! Security advisories: drafts, CVE requests, publication.

use serde_json::{Value, json};

use super::filled::filled;
use super::http::{Answer, Request};
use super::routes::{answer_of, failure, page};
use super::state::State;

const THEN: &str = "2026-02-24T12:00:00Z";

/// Takes over what a request says, as GitHub shows it afterwards.
fn say(advisory: &mut Value, body: &Value) {
    for name in ["summary", "description", "severity", "cve_id", "cwe_ids", "state"] {
        if let Some(value) = body.get(name) {
            advisory[name] = value.clone();
        }
    }
    if let Some(vector) = body["cvss_vector_string"].as_str() {
        let (shown, none) =
            (json!({"vector_string": vector, "score": 7.5}), json!({"vector_string": null, "score": null}));
        // The older field says nothing of a version that it does not know.
        let (v3, v4) = if vector.starts_with("CVSS:4") { (none, shown) } else { (shown, none) };
        advisory["cvss"] = v3.clone();
        advisory["cvss_severities"] = json!({"cvss_v3": v3, "cvss_v4": v4});
        advisory["severity"] = json!("high");
    }
    if let Some(list) = body["vulnerabilities"].as_array() {
        let whole = |v: &Value| {
            let text = |name: &str| v.get(name).cloned().unwrap_or(Value::Null);
            let (package, range) = (v["package"].clone(), text("vulnerable_version_range"));
            json!({"package": package, "vulnerable_version_range": range, "patched_versions": text("patched_versions"),
                   "vulnerable_functions": []})
        };
        advisory["vulnerabilities"] = list.iter().map(whole).collect();
    }
}

impl State {
    /// Puts an advisory there, as a person does.
    pub fn advisory(&mut self, id: &str, body: &Value) {
        let mut advisory = filled("repository-advisory", &json!({"ghsa_id": id, "state": "draft"}));
        say(&mut advisory, body);
        self.advisories.push(advisory);
    }
}

pub fn read(state: &State, request: &Request, parts: &[&str], api: &str) -> Answer {
    match parts {
        ["security-advisories"] => page(request, None, api, state.advisories.iter().rev().cloned().collect()),
        ["security-advisories", id] => match state.advisories.iter().find(|a| a["ghsa_id"] == *id) {
            Some(a) => answer_of(200, a),
            None => failure(404, "Not Found"),
        },
        _ => failure(404, "Not Found"),
    }
}

pub fn write(state: &mut State, request: &Request, parts: &[&str], body: &Value) -> Answer {
    match (request.method.as_str(), parts) {
        ("POST", ["security-advisories"]) => {
            let id = format!("GHSA-{:04}-aaaa-bbbb", state.number());
            state.advisory(&id, body);
            answer_of(201, state.advisories.last().unwrap())
        }
        ("POST", ["security-advisories", id, "cve"]) => {
            if state.cve_requests.iter().any(|asked| asked == id) {
                return failure(422, "A CVE has already been requested for this advisory.");
            }
            state.cve_requests.push((*id).to_owned());
            answer_of(202, &json!({}))
        }
        ("PATCH", ["security-advisories", id]) => {
            let Some(advisory) = state.advisories.iter_mut().find(|a| a["ghsa_id"] == *id) else {
                return failure(404, "Not Found");
            };
            let publishes = body["state"] == "published" && advisory["state"] != "published";
            say(advisory, body);
            if publishes {
                advisory["published_at"] = json!(THEN);
                state.published_advisories.push((*id).to_owned());
            }
            let advisory = state.advisories.iter().find(|a| a["ghsa_id"] == *id).unwrap();
            answer_of(200, advisory)
        }
        _ => failure(404, "Not Found"),
    }
}
