//! `docs/schemas/output` describes what each verb prints with `--json`, `docs/schemas` the plan and the journal.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use lifeboat::model::Sha256;
use serde_json::Value;

use crate::schemas::Schema;
use crate::support::sample_train::{Ran, SampleTrain, verbs};

/// Verbs that print a page or a script, and no JSON.
const WITHOUT: &[&str] = &["completions", "help"];

/// Values by the schema that describes them.
#[derive(Default)]
struct Seen(Vec<(String, Value)>);

impl Seen {
    /// Runs a verb with `--json`; its result must be JSON, and one value.
    fn run(&mut self, train: &SampleTrain, code: i32, args: &[&str]) {
        let ran = train.run(&[args, &["--json"]].concat()).ends_with(code);
        if let Some(error) = ran.stderr.lines().rfind(|line| line.starts_with("{\"details\"")) {
            self.0.push(("output/error".to_owned(), serde_json::from_str(error).unwrap()));
            return;
        }
        let value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", ran.stdout));
        self.0.push((format!("output/{}", args[0]), value));
    }

    /// The plan and the journal of a train, as they are stored.
    fn stored(&mut self, dir: &Path) {
        for file in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            match name {
                "plan.json" | "child.json" => {
                    self.0.push(("plan".to_owned(), serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()));
                }
                "journal.jsonl" => {
                    let text = fs::read_to_string(&file).unwrap();
                    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
                    self.0.extend(records.map(|record| ("journal".to_owned(), record)));
                }
                _ => {}
            }
        }
    }
}

/// Every verb in at least one state of a train, and all states that look different.
fn session() -> Seen {
    let mut seen = Seen::default();
    let train = SampleTrain::new();
    let file = train.train_file().display().to_string();
    let at = |name: &str| train.root().join(name).display().to_string();
    fs::write(at("tool.sh"), "true\n").unwrap();
    train.configure(&format!(
        "[[input]]\nname = \"tool\"\nurl = \"{}\"\nsha256 = \"{}\"\n",
        at("tool.sh"),
        Sha256::of(b"true\n")
    ));
    train.edit(
        &train.config(),
        "\ntest = [\"sh test.sh {name}\"]",
        "\ninputs = [\"tool\"]\ntest = [\"sh test.sh {name}\"]",
    );
    seen.run(&train, 0, &["inputs", "fetch"]);
    seen.run(&train, 0, &["inputs", "mirror"]);
    seen.run(&train, 0, &["inputs", "verify"]);
    seen.run(&train, 0, &["doctor"]);
    seen.run(&train, 0, &["trust", "show"]);
    seen.run(&train, 0, &["status"]);
    seen.run(&train, 0, &["plan", &file]);
    seen.run(&train, 0, &["ship", &file, "--dry-run"]);
    seen.run(&train, 3, &["ship", &file]);
    seen.run(&train, 0, &["status"]);
    train.edit(&train.config(), "test = [\"sh test.sh {name}\"]", "test = [\"sh test.sh {name}\", \"true\"]");
    seen.run(&train, 0, &["amend", &file, "--yes", "--reason", "one more test"]);
    seen.run(&train, 3, &["ship"]);
    seen.run(&train, 0, &["export", "drill", "--to", &at("review.tar")]);
    seen.run(&train, 3, &["approve", "--as", "alice"]);
    seen.run(&train, 0, &["approve", "--as", "alice", "--yes"]);
    seen.run(&train, 0, &["approve", "--as", "bob", "--yes"]);
    seen.run(&train, 0, &["ship"]);
    seen.run(&train, 0, &["status"]);
    seen.run(&train, 0, &["status", "drill"]);
    seen.run(&train, 0, &["log"]);
    seen.run(&train, 0, &["log", "--verify"]);
    seen.run(&train, 0, &["report", "--to", &at("report.html")]);
    seen.run(&train, 5, &["reconcile"]);
    seen.run(&train, 0, &["reconcile", "--list"]);
    seen.run(&train, 0, &["refresh"]);
    let store = train.store().display().to_string();
    seen.run(&train, 0, &["verify", "1.0.5", &store]);
    fs::create_dir(at("mirror")).unwrap();
    seen.run(&train, 0, &["mirror", &store, &at("mirror")]);
    seen.run(&train, 0, &["doctor"]);
    seen.run(&train, 0, &["man", "--out", &at("man")]);
    seen.run(&train, 2, &["status", "other"]);
    seen.stored(&train.train_dir("drill"));
    seen.stored(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stored"));

    let other = SampleTrain::new();
    other.edit(&other.config(), "\nrequired = true\n", "\nrequired = true\nstaging = \"encrypted\"\n");
    seen.run(&other, 0, &["plan", &other.train_file().display().to_string()]);
    other.to_the_gate();
    seen.stored(&other.train_dir("drill"));
    seen.run(&other, 0, &["abandon", "--reason", "the fix is wrong"]);
    seen.run(&other, 0, &["status"]);
    seen.run(&other, 0, &["drill", "--manual", &other.root().join("drill").display().to_string()]);
    seen.run(&other, 0, &["bump", "--to", "patch", "--date", "2026-11-29"]);
    fs::remove_file(other.config()).unwrap();
    for args in ["add -A", "-c user.name=a -c user.email=a@example.org commit -qm Release", "tag v2.0.3"] {
        let mut git = Command::new("git");
        other.surround(git.args(args.split(' ')));
        Ran::of(&mut git).ends_with(0);
    }
    seen.run(&other, 0, &["init"]);
    seen
}

#[test]
fn json_of_every_verb_fits_its_schema() {
    let seen = session();
    let mut described = BTreeSet::new();
    for (name, value) in &seen.0 {
        Schema::strict(name).judge(value).unwrap_or_else(|e| panic!("{name}: {e}\n{value:#}"));
        described.insert(name.strip_prefix("output/").unwrap_or(name).to_owned());
    }
    let missing: Vec<String> =
        verbs().into_iter().filter(|v| !WITHOUT.contains(&v.as_str()) && !described.contains(v)).collect();
    assert!(missing.is_empty(), "no output of these verbs was compared with a schema: {missing:?}");
}
