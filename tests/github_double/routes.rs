//! The operations of the API that the double serves.

use reqwest::Url;
use serde_json::{Value, json};

use super::contract::contract;
use super::faults::{Kind, STALE_READS};
use super::http::{Answer, Request};
use super::state::{Asset, Refused, Release, State};
use super::{REPOSITORY, Side, TOKEN, World, actions, advisories, pulls};

/// A call's name, the same in every run: numbers are replaced by tags, and the host is not part of it.
pub fn label(state: &State, request: &Request) -> String {
    let rest = request.path.strip_prefix(&format!("/repos/{REPOSITORY}")).unwrap_or(&request.path);
    let parts: Vec<&str> = rest.trim_matches('/').split('/').collect();
    let tag = |id: &str| {
        let release = id.parse().ok().and_then(|id| state.release(id));
        release.map_or_else(|| "gone".to_owned(), |r| r.tag.clone())
    };
    let method = &request.method;
    match parts[..] {
        ["releases", "latest"] => format!("{method} latest"),
        ["releases", "assets", _] => format!("{method} asset"),
        ["releases", id, "assets"] => {
            let name = request.query("name").unwrap_or_default();
            format!("{method} assets {} {name}", tag(id)).trim_end().to_owned()
        }
        ["releases"] => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            format!("{method} releases {}", body["tag_name"].as_str().unwrap_or_default()).trim_end().to_owned()
        }
        ["releases", id] => format!("{method} release {}", tag(id)),
        ["app", "installations", _, "access_tokens"] => format!("{method} access token"),
        ["git", "ref", "tags", ..] => format!("{method} tag {}", parts[3..].join("/")),
        _ => format!("{method} {}", parts.join("/")),
    }
}

pub(super) fn answer_of(status: u16, body: &Value) -> Answer {
    let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
    let body = if matches!(status, 204 | 304) { Vec::new() } else { serde_json::to_vec(body).unwrap() };
    Answer { status, headers, body }
}

pub(super) fn failure(status: u16, message: &str) -> Answer {
    answer_of(status, &json!({"message": message, "documentation_url": "https://docs.github.com/rest"}))
}

fn refused((status, code): Refused) -> Answer {
    let errors = json!([{"resource": "ReleaseAsset", "code": code, "field": "name"}]);
    let url = "https://docs.github.com/rest";
    let tag_used = json!([{"resource": "Release", "code": "custom", "field": "tag_name",
                        "message": "tag_name was used by an immutable release"}]);
    let errors = if code == "tag-used" { tag_used } else { errors };
    match status {
        422 => answer_of(422, &json!({"message": "Validation Failed", "documentation_url": url, "errors": errors})),
        _ => failure(status, "Not Found"),
    }
}

/// An upload that broke off leaves an asset that is listed and unusable.
pub fn leave_half(world: &mut World, request: &Request) {
    if let (Side::Uploads, Some(id), Some(name)) = (request.side, release_id(request), request.query("name")) {
        // An asset of that name may be there already.
        let _left = world.state.upload(id, name, request.size, request.sha256.clone(), false);
    }
}

fn release_id(request: &Request) -> Option<u64> {
    let rest = request.path.strip_prefix(&format!("/repos/{REPOSITORY}/releases/"))?;
    rest.split('/').next()?.parse().ok()
}

/// Answers one request, with the failure that was planned for it.
pub fn answer(world: &mut World, request: &Request, call: &str, fault: Option<Kind>) -> Answer {
    world.sync();
    let broken = contract().request(request);
    world.violations.extend(broken);
    let mut answer = match fault {
        Some(Kind::ErrorBefore) => failure(503, "Service Unavailable"),
        Some(Kind::NotFound) => failure(404, "Not Found"),
        Some(Kind::ForbiddenRetryAfter | Kind::TooManyRetryAfter) => {
            let status = if fault == Some(Kind::TooManyRetryAfter) { 429 } else { 403 };
            let mut answer = failure(status, "You have exceeded a secondary rate limit.");
            answer.headers.push(("retry-after".to_owned(), "3".to_owned()));
            answer
        }
        Some(Kind::SecondaryLimit) => failure(403, "You have exceeded a secondary rate limit."),
        Some(Kind::PrimaryLimit) => {
            let mut answer = failure(403, "API rate limit exceeded for user ID 1.");
            let reset = jiff::Timestamp::now().as_second() + 5;
            answer.headers.push(("x-ratelimit-remaining".to_owned(), "0".to_owned()));
            answer.headers.push(("x-ratelimit-reset".to_owned(), reset.to_string()));
            answer
        }
        Some(Kind::HalfMade) => {
            leave_half(world, request);
            failure(502, "Server Error")
        }
        _ => served(world, request, call),
    };
    if fault == Some(Kind::ErrorAfter) {
        answer = failure(500, "Internal Server Error");
    }
    if fault == Some(Kind::Stale) {
        world.stale = STALE_READS;
    }
    let number = world.calls.len();
    answer.headers.push(("x-github-request-id".to_owned(), format!("DBLE:{number:04X}")));
    let broken = contract().answer(request, &answer);
    world.violations.extend(broken);
    answer
}

/// The operation itself.
fn served(world: &mut World, request: &Request, call: &str) -> Answer {
    let authorization = request.header("authorization").unwrap_or_default();
    world.authorizations.push((request.side, authorization.to_owned()));
    let now = jiff::Timestamp::now();
    // Anybody may ask, and it costs nothing of the limit.
    if request.path == "/rate_limit" {
        let limit = json!({ "limit": 60, "used": 0, "remaining": 60, "reset": now.as_second() + 3600 });
        return answer_of(200, &json!({ "resources": { "core": limit, "search": limit }, "rate": limit }));
    }
    if let Some(installation) = request.path.strip_prefix("/app/installations/") {
        return access_token(world, request, installation, authorization, now);
    }
    let apps = world.app.as_ref().is_some_and(|app| app.takes(authorization, now));
    if !apps && authorization != format!("Bearer {TOKEN}") {
        return failure(401, "Bad credentials");
    }
    world.state.remaining = world.state.remaining.filter(|(_, full)| now.as_second() < *full);
    let Some((left, full)) = world.state.remaining else { return permitted(world, request, call) };
    let mut answer = if left == 0 {
        world.state.beyond += 1;
        failure(403, "API rate limit exceeded for user ID 1.")
    } else {
        world.state.remaining = Some((left - 1, full));
        permitted(world, request, call)
    };
    let still = world.state.remaining.map_or(0, |(left, _)| left);
    answer.headers.push(("x-ratelimit-remaining".to_owned(), still.to_string()));
    answer.headers.push(("x-ratelimit-reset".to_owned(), full.to_string()));
    answer
}

/// The operation, for a client that may have it.
fn permitted(world: &mut World, request: &Request, call: &str) -> Answer {
    if let Some(to) = &world.redirect {
        let mut moved = failure(307, "Temporary Redirect");
        moved.headers.push(("location".to_owned(), format!("{to}{}", request.path)));
        return moved;
    }
    let Some(rest) = request.path.strip_prefix(&format!("/repos/{REPOSITORY}")) else {
        return failure(404, "Not Found");
    };
    let parts: Vec<&str> = rest.trim_matches('/').split('/').collect();
    if request.method == "GET" {
        return read(world, request, &parts);
    }
    let before = world.state.clone();
    let answer = write(world, request, &parts);
    if answer.status < 300 {
        world.writes.push(call.to_owned());
        world.changed(&before);
        if world.stale == 0 {
            world.before = Some(Box::new(before));
        }
    }
    answer
}

/// `POST /app/installations/{installation_id}/access_tokens`.
fn access_token(world: &mut World, request: &Request, rest: &str, authorization: &str, now: jiff::Timestamp) -> Answer {
    let Some(app) = &mut world.app else { return failure(404, "Not Found") };
    if let Err(why) = app.judge(authorization.strip_prefix("Bearer ").unwrap_or_default(), now) {
        return failure(401, &format!("A JSON web token could not be decoded: {why}"));
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let repository = REPOSITORY.rsplit('/').next().unwrap();
    if request.method != "POST" || rest != format!("{}/access_tokens", app.installation) {
        return failure(404, "Not Found");
    }
    if body["repositories"] != json!([repository]) {
        return failure(422, "There is at least one repository that does not exist or is not accessible");
    }
    let (token, until) = app.grant(now);
    let permissions = json!({"contents": "write", "metadata": "read"});
    let granted = json!({"token": token, "expires_at": until.to_string(), "permissions": permissions, "repository_selection": "selected"});
    answer_of(201, &granted)
}

fn read(world: &mut World, request: &Request, parts: &[&str]) -> Answer {
    let (api, uploads) = (format!("http://{}", world.api), world.upload_base());
    let shown = Shown { api: &api, uploads: &uploads };
    let stale = world.stale > 0;
    world.stale = world.stale.saturating_sub(1);
    let copy = world.shown_by_a_copy();
    let state = match (&world.before, stale, &copy) {
        (Some(before), true, _) => before,
        (_, _, Some(old)) => old,
        _ => &world.state,
    };
    let found =
        |r: Option<&Release>| r.map_or_else(|| failure(404, "Not Found"), |r| answer_of(200, &shown.release(r)));
    let next = world.next_elsewhere.as_deref();
    let answer = match parts {
        ["actions", ..] => actions::read(state, request, parts, &api),
        ["pulls"] => pulls::read(state, request, &api),
        ["security-advisories", ..] => advisories::read(state, request, parts, &api),
        ["git", "ref", "tags", name @ ..] => match state.refs.get(&name.join("/")) {
            Some(sha) => answer_of(200, &shown.tag(&name.join("/"), sha)),
            None => failure(404, "Not Found"),
        },
        ["releases"] => {
            // Newest first, as GitHub lists them.
            let mut all: Vec<Value> = state.releases.iter().rev().map(|r| shown.release(r)).collect();
            let number = |name: &str| request.query(name).and_then(|v| v.parse::<usize>().ok()).unwrap_or(1);
            let first = number("per_page") * (number("page") - 1);
            if world.slides && (1..all.len()).contains(&first) {
                all.insert(first, all[first - 1].clone());
            }
            page(request, next, &api, all)
        }
        ["releases", "latest"] => found(state.latest()),
        ["releases", "tags", tag] => found(state.releases.iter().find(|r| !r.draft && r.tag == *tag)),
        ["releases", "assets", id] => {
            let all = state.releases.iter().flat_map(|r| r.assets.iter().map(move |a| (r, a)));
            let found = all.into_iter().find(|(_, a)| a.id.to_string() == *id);
            found.map_or_else(|| failure(404, "Not Found"), |(r, a)| answer_of(200, &shown.asset(r, a)))
        }
        ["releases", id, "assets"] => match id.parse().ok().and_then(|id| state.release(id)) {
            Some(r) => page(request, next, &api, r.assets.iter().map(|a| shown.asset(r, a)).collect()),
            None => failure(404, "Not Found"),
        },
        ["releases", id] => found(id.parse().ok().and_then(|id| state.release(id))),
        _ => failure(404, "Not Found"),
    };
    let answer = conditional(request, answer);
    world.state.not_modified += u32::from(answer.status == 304);
    answer
}

/// "Not modified" if the client has these bytes already.
fn conditional(request: &Request, mut answer: Answer) -> Answer {
    if answer.status == 200 {
        let etag = format!("\"{}\"", lifeboat::model::Sha256::of(&answer.body).hex());
        if request.header("if-none-match") == Some(&etag) {
            answer.status = 304;
            answer.body.clear();
        }
        answer.headers.push(("etag".to_owned(), etag));
    }
    answer
}

pub(super) fn page(request: &Request, elsewhere: Option<&str>, api: &str, all: Vec<Value>) -> Answer {
    let number = |name: &str, default: usize| request.query(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    let (per_page, page) = (number("per_page", 30).clamp(1, 100), number("page", 1).max(1));
    let more = all.len() > per_page * page;
    let part: Vec<Value> = all.into_iter().skip(per_page * (page - 1)).take(per_page).collect();
    let mut answer = answer_of(200, &Value::Array(part));
    if more || elsewhere.is_some() {
        let api = elsewhere.unwrap_or(api);
        // The next page's address asks the same question.
        let asked = request.query.iter().filter(|(name, _)| name != "page");
        let mut next = Url::parse(&format!("{api}{}", request.path)).unwrap();
        next.query_pairs_mut().extend_pairs(asked).append_pair("page", &(page + 1).to_string());
        answer.headers.push(("link".to_owned(), format!("<{next}>; rel=\"next\"")));
    }
    answer
}

fn write(world: &mut World, request: &Request, parts: &[&str]) -> Answer {
    let (api, uploads) = (format!("http://{}", world.api), world.upload_base());
    let shown = Shown { api: &api, uploads: &uploads };
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let latest = body["make_latest"].as_str().map(|l| l == "true");
    let state = &mut world.state;
    let shown_release = |state: &State, id, status| {
        state.release(id).map_or_else(|| failure(404, "Not Found"), |r| answer_of(status, &shown.release(r)))
    };
    match (request.method.as_str(), parts) {
        ("PUT", ["actions", "workflows", file, to]) => actions::switch(state, file, to),
        ("POST" | "PATCH", ["security-advisories", ..]) => advisories::write(state, request, parts, &body),
        ("POST", ["pulls"]) => pulls::open(state, &body, &api),
        ("POST", ["releases"]) => {
            let release = Release {
                id: 0,
                tag: text("tag_name"),
                title: text("name"),
                notes: text("body"),
                draft: body["draft"].as_bool().unwrap_or(false),
                prerelease: body["prerelease"].as_bool().unwrap_or(false),
                immutable: false,
                assets: Vec::new(),
            };
            match state.create(release, latest) {
                Ok(id) => shown_release(state, id, 201),
                Err(e) => refused(e),
            }
        }
        ("POST", ["releases", id, "assets"]) if request.side == Side::Uploads => {
            let (id, name) = (id.parse().unwrap_or(0), request.query("name").unwrap_or_default());
            match state.upload(id, name, request.size, request.sha256.clone(), true) {
                Ok(asset) => {
                    let release = state.release(id).unwrap();
                    let asset = release.assets.iter().find(|a| a.id == asset).unwrap();
                    answer_of(201, &shown.asset(release, asset))
                }
                Err(e) => refused(e),
            }
        }
        ("PATCH", ["releases", id]) => {
            let id: u64 = id.parse().unwrap_or(0);
            let publishes = body["draft"] == false || (latest.is_some() && state.release(id).is_some_and(|r| !r.draft));
            match if publishes { state.publish(id, latest) } else { Ok(()) } {
                Ok(()) => shown_release(state, id, 200),
                Err(e) => refused(e),
            }
        }
        ("DELETE", ["releases", "assets", id]) => gone(state.remove_asset(id.parse().unwrap_or(0))),
        ("DELETE", ["releases", id]) => gone(state.remove_release(id.parse().unwrap_or(0))),
        _ => failure(404, "Not Found"),
    }
}

fn gone(done: Result<(), Refused>) -> Answer {
    match done {
        Ok(()) => answer_of(204, &Value::Null),
        Err(e) => refused(e),
    }
}

/// How things are written, with the hosts' addresses.
struct Shown<'a> {
    api: &'a str,
    uploads: &'a str,
}

const THEN: &str = "2026-02-24T12:00:00Z";

impl Shown<'_> {
    fn base(&self) -> String {
        format!("{}/repos/{REPOSITORY}", self.api)
    }

    fn user(&self) -> Value {
        let at = format!("{}/users/robot", self.api);
        json!({
            "login": "robot", "id": 1, "node_id": "U_1", "avatar_url": at, "gravatar_id": "", "url": at,
            "html_url": at, "followers_url": at, "following_url": at, "gists_url": at, "starred_url": at,
            "subscriptions_url": at, "organizations_url": at, "repos_url": at, "events_url": at,
            "received_events_url": at, "type": "User", "site_admin": false
        })
    }

    fn tag(&self, name: &str, sha: &str) -> Value {
        let base = self.base();
        json!({
            "ref": format!("refs/tags/{name}"), "node_id": "R_1", "url": format!("{base}/git/refs/tags/{name}"),
            "object": {"type": "tag", "sha": sha, "url": format!("{base}/git/tags/{sha}")}
        })
    }

    fn release(&self, r: &Release) -> Value {
        let (base, id) = (self.base(), r.id);
        let page = if r.draft { format!("untagged-{id}") } else { r.tag.clone() };
        json!({
            "url": format!("{base}/releases/{id}"),
            "html_url": format!("{}/{REPOSITORY}/releases/tag/{page}", self.api),
            "assets_url": format!("{base}/releases/{id}/assets"),
            "upload_url": format!("{}/repos/{REPOSITORY}/releases/{id}/assets{{?name,label}}", self.uploads),
            "tarball_url": Value::Null, "zipball_url": Value::Null,
            "id": id, "node_id": format!("RE_{id}"), "tag_name": r.tag, "target_commitish": "main",
            "name": r.title, "body": r.notes, "draft": r.draft, "prerelease": r.prerelease, "immutable": r.immutable,
            "created_at": THEN, "published_at": if r.draft { Value::Null } else { json!(THEN) }, "author": self.user(),
            "assets": r.assets.iter().map(|a| self.asset(r, a)).collect::<Vec<_>>()
        })
    }

    fn asset(&self, r: &Release, a: &Asset) -> Value {
        let id = a.id;
        let digest = if a.whole { json!(format!("sha256:{}", a.sha256)) } else { Value::Null };
        json!({
            "url": format!("{}/releases/assets/{id}", self.base()),
            "browser_download_url": format!("{}/{REPOSITORY}/releases/download/{}/{}", self.api, r.tag, a.name),
            "id": id, "node_id": format!("RA_{id}"), "name": a.name, "label": "",
            "state": if a.whole { "uploaded" } else { "open" }, "content_type": "application/octet-stream",
            "size": a.size, "digest": digest, "download_count": 0,
            "created_at": THEN, "updated_at": THEN, "uploader": self.user()
        })
    }
}
