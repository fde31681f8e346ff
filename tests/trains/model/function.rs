//! `plan` is a function, and what it makes survives being written down.

use std::process::Command;

use lifeboat::plan::{FORMAT, Plan};
use proptest::prelude::*;

use crate::model::configs::{Shape, shapes};

const ASKED: &str = "LIFEBOAT_TEST_PRINT_PLAN";

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn same_input_same_bytes(shape in shapes()) {
        let bytes = shape.plan().to_bytes().unwrap();
        prop_assert_eq!(&bytes, &shape.plan().to_bytes().unwrap());
        // And they survive the way through a file.
        let read = Plan::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read, &shape.plan());
        prop_assert_eq!(read.to_bytes().unwrap(), bytes);
    }
}

/// Started by [`no_process_home_directory_or_time_matters`] as another process.
#[test]
fn print_the_plan_if_asked() {
    if std::env::var_os(ASKED).is_some() {
        println!("plan={}", Shape::of_everything().plan().id().unwrap());
    }
}

#[test]
fn no_process_home_directory_or_time_matters() {
    let ours = format!("plan={}", Shape::of_everything().plan().id().unwrap());
    for (home, dir, zone, language) in
        [("/nonexistent", "/", "Pacific/Kiritimati", "C"), ("/tmp", "/tmp", "America/Los_Angeles", "tr_TR.UTF-8")]
    {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "model::function::print_the_plan_if_asked", "--nocapture"])
            .env_clear()
            .envs([("HOME", home), ("TZ", zone), ("LANG", language), ("LC_ALL", language), (ASKED, "1")])
            .envs([("SOURCE_DATE_EPOCH", "1"), ("USER", "nobody"), ("CARGO_HOME", home), ("XDG_STATE_HOME", home)])
            .current_dir(dir)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.lines().any(|l| l.ends_with(&ours)), "{ours} is not in:\n{text}");
    }
}

fn json() -> serde_json::Value {
    serde_json::from_slice(&Shape::of_everything().plan().to_bytes().unwrap()).unwrap()
}

fn read(json: &serde_json::Value) -> Result<Plan, lifeboat::error::Error> {
    Plan::from_bytes(&serde_json::to_vec(json).unwrap())
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let mut json = json();
    json["format"] = serde_json::json!(FORMAT + 1);
    // Also where the rest has changed beyond recognition.
    json["steps"] = serde_json::json!("elsewhere");
    let e = read(&json).unwrap_err();
    assert!(e.message().contains(&format!("format {}, this version knows {FORMAT}", FORMAT + 1)), "{e}");
    assert!(e.hints().iter().any(|h| h.contains("newer")), "{:?}", e.hints());
}

/// Every object of a plan refuses a field that it does not know.
#[test]
fn unknown_fields_are_refused_everywhere() {
    fn objects(value: &serde_json::Value, at: &str, out: &mut Vec<String>) {
        let children: Vec<(String, &serde_json::Value)> = match value {
            serde_json::Value::Object(map) => {
                out.push(at.to_owned());
                map.iter().map(|(k, v)| (k.replace('~', "~0").replace('/', "~1"), v)).collect()
            }
            serde_json::Value::Array(list) => list.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
            _ => return,
        };
        for (key, child) in children {
            objects(child, &format!("{at}/{key}"), out);
        }
    }
    let json = json();
    let mut paths = Vec::new();
    objects(&json, "", &mut paths);
    assert!(paths.len() > 100, "{}", paths.len());
    for path in paths {
        let mut changed = json.clone();
        changed.pointer_mut(&path).unwrap()["surprise"] = serde_json::json!(1);
        assert!(read(&changed).is_err(), "a field in `{path}` was ignored");
    }
}
