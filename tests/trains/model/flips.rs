//! Every key of the configuration and of the train file means something: changed alone, it gives another plan or a refusal,
//! or it is on a short list with the reason.

mod changes;

use std::collections::BTreeSet;
use std::path::Path;

use lifeboat::config::{File, TrainRequest, parse, parse_train, sections};
use lifeboat::error::Result;
use lifeboat::model::{Oid, Sha256};
use lifeboat::plan::{PlanId, plan};
use lifeboat::snapshot::{LineFacts, PatchFacts, Snapshot, TrustFacts, WorkflowAt, WorkflowFacts, WorkflowFile};

use changes::{APP_FLIPS, AS_APP, CONFIG, FLIPS, NOT_PLANNED, REMOTE_FLIPS, RETIRED, SEEN, TRAIN, TRAIN_FLIPS};

fn snapshot() -> Snapshot {
    let file = |name: &str| WorkflowFile {
        path: format!(".github/workflows/{name}"),
        text: "on: [push, release, pull_request]\n".to_owned(),
        at: WorkflowAt::Release,
    };
    let files = [("github".parse().unwrap(), vec![file("publish.yml"), file("ci.yml")])];
    let line = LineFacts {
        released_bytes: None,
        branch: "release-1.0.0".parse().unwrap(),
        base: Oid::from_sha1([1; 20]),
        versions: Some(("1.0.4".parse().unwrap(), "1.0.5".parse().unwrap())),
        series: Sha256::of(b"series"),
        patches: vec![PatchFacts {
            origin: "0001-fix.patch".to_owned(),
            subject: "Refuse arguments above eight".to_owned(),
            author: "B <b@example.org>".parse().unwrap(),
            touches: vec!["src/lib.rs".to_owned()],
        }],
        deletes: Default::default(),
        tag_taken: None,
        submodules: Vec::new(),
        missing_submodules: Vec::new(),
        missing_crates: Vec::new(),
        workflows: WorkflowFacts { files: files.into_iter().collect(), ..WorkflowFacts::default() },
        elsewhere: Default::default(),
    };
    let recipients = [("alice".parse().unwrap(), ["A".repeat(40).parse().unwrap()].into())].into();
    Snapshot {
        repository: "/srv/sample/.git".into(),
        lines: vec![line],
        trust: TrustFacts { root: Sha256::of(b"root"), threshold: 2, hosts: None, recipients: Some(recipients) },
        unknown: Vec::new(),
        missing_inputs: Default::default(),
    }
}

fn request(train: &str) -> TrainRequest {
    parse_train(train, Path::new("/srv/train.toml")).unwrap_or_else(|e| panic!("{}", e.report()))
}

fn planned(config: &str, train: &str) -> Result<PlanId> {
    let config = parse(config, Path::new("/srv/sample/lifeboat.toml"), &lifeboat::wiring::registries())?;
    let request = parse_train(train, Path::new("/srv/train.toml"))?;
    plan(&config, &snapshot(), &request)?.id()
}

fn flipped(text: &str, key: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{key}: the text has no `{from}`");
    text.replacen(from, to, 1)
}

#[test]
fn every_key_changes_the_plan_or_is_refused() {
    let before = planned(CONFIG, TRAIN).unwrap_or_else(|e| panic!("{}", e.report()));
    let mut silent = Vec::new();
    for (key, from, to) in FLIPS {
        let exempt = NOT_PLANNED.iter().any(|(k, _)| k == key);
        if planned(&flipped(CONFIG, key, from, to), TRAIN).is_ok_and(|after| after == before) && !exempt {
            silent.push(*key);
        }
    }
    for (key, from, to) in TRAIN_FLIPS {
        let exempt = SEEN.contains(key);
        if planned(CONFIG, &flipped(TRAIN, key, from, to)).is_ok_and(|after| after == before) && !exempt {
            silent.push(*key);
        }
    }
    let private = "patches = { remote = \"https://example.org/private.git\", branch = \"fix\" }";
    let of_remote = flipped(TRAIN, "line.patches", "patches = \"patches\"", private);
    for (key, from, to) in REMOTE_FLIPS {
        let (before, after) = (request(&of_remote), request(&flipped(&of_remote, key, from, to)));
        assert_ne!(before, after, "{key} means nothing");
    }
    let (from, to) = AS_APP;
    let with_app = flipped(CONFIG, "forge.app", from, to);
    let before_app = planned(&with_app, TRAIN).unwrap_or_else(|e| panic!("{}", e.report()));
    for (key, from, to) in APP_FLIPS {
        if planned(&flipped(&with_app, key, from, to), TRAIN).is_ok_and(|after| after == before_app) {
            silent.push(*key);
        }
    }
    assert_eq!(silent, Vec::<&str>::new(), "keys that change nothing and are not refused");
}

/// Every key of both files, by its table and the tables in that.
fn every_key() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for section in sections(&lifeboat::wiring::registries()) {
        let table = if section.header.is_empty() { "train" } else { section.name() };
        out.extend(section.flat().into_iter().map(|(path, _)| format!("{table}.{path}")));
    }
    out
}

#[test]
fn the_changes_cover_every_key() {
    let tried: BTreeSet<&str> =
        FLIPS.iter().chain(APP_FLIPS).chain(TRAIN_FLIPS).chain(REMOTE_FLIPS).map(|(key, _, _)| *key).collect();
    let known = every_key();
    assert!(known.len() > 150, "{}", known.len());
    // A key that holds tables is tried by a key in them.
    let is_tried = |key: &String| {
        tried.iter().any(|t| t.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    let missing: Vec<&String> = known.iter().filter(|key| !is_tried(key)).collect();
    assert_eq!(missing, Vec::<&String>::new(), "keys that no change tries");
    let stale: Vec<&&str> = tried.iter().filter(|t| !known.contains(**t) && !RETIRED.contains(t)).collect();
    assert_eq!(stale, Vec::<&&str>::new(), "changes of keys that there are not");
    let exempt = NOT_PLANNED.iter().map(|(key, _)| *key).chain(SEEN.iter().copied());
    let stale: Vec<&str> = exempt.filter(|key| !known.contains(*key)).collect();
    assert_eq!(stale, Vec::<&str>::new(), "reasons for keys that there are not");
}

#[test]
fn the_keys_are_those_that_the_parser_takes() {
    // What the parser says it knows, table by table.
    let known = |report: &str| -> BTreeSet<String> {
        let list = report.split_once("valid here: ").or(report.split_once("expected ")).map_or("", |(_, l)| l);
        let list = list.lines().next().unwrap_or_default();
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    for section in sections(&lifeboat::wiring::registries()) {
        let (file, header) = match section.header {
            "" => (TRAIN, "\nname = \"spring\"\n".to_owned()),
            header if section.file == File::Train => (TRAIN, format!("{header}\n")),
            "[recipe.<name>]" => (CONFIG, "[recipe.shared]\n".to_owned()),
            "[forge.<name>]" => (CONFIG, "[forge.github]\n".to_owned()),
            header => (CONFIG, format!("{header}\n")),
        };
        let text = file.replacen(&header, &format!("{header}no_such_key = 1\n"), 1);
        let (config, train) =
            if section.file == File::Config { (text.as_str(), TRAIN) } else { (CONFIG, text.as_str()) };
        let listed = known(&planned(config, train).unwrap_err().report());
        // Of the kind that stands in the configuration.
        let kind = section.kinds.iter().rfind(|kind| CONFIG.contains(kind.example) || section.kinds.len() == 1);
        let own = kind.into_iter().flat_map(|kind| kind.keys.keys);
        let mut ours: BTreeSet<String> = section.keys.keys.iter().chain(own).map(|k| k.name.to_owned()).collect();
        if section.header.is_empty() {
            ours.extend(["advisory".to_owned(), "line".to_owned()]);
        }
        assert_eq!(listed, ours, "{}", section.header);
        for (path, key) in section.flat() {
            assert!(key.about.ends_with('.'), "{}: {path} has no sentence: {}", section.header, key.about);
        }
    }
}
