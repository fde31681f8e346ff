//! Texts that people see, compared with the files of `tests/snapshots`: what changes from run to run is replaced by a name.
//! `SNAPSHOTS=overwrite cargo test …` writes the files anew; `git diff tests/snapshots` is then what changed for people.

use std::path::Path;

use regex::Regex;
use snapbox::{Assert, Data};

use super::sample_train::SampleTrain;

/// A file of this name under `tests/snapshots` must hold `text`.
#[track_caller]
pub fn same_as(name: &str, text: &str) {
    same_file(&Path::new("tests/snapshots").join(name), text);
}

/// A file of the repository must hold `text`; `SNAPSHOTS=overwrite` writes it.
#[track_caller]
pub fn same_file(path: &Path, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let expected = Data::read_from(&path, None).raw();
    Assert::new().action_env(snapbox::assert::DEFAULT_ACTION_ENV).eq(text, expected);
}

/// What a person types and sees, one command after the other.
pub struct Session<'a> {
    train: &'a SampleTrain,
    text: String,
}

impl<'a> Session<'a> {
    /// Nothing yet.
    pub fn new(train: &'a SampleTrain) -> Self {
        Self { train, text: String::new() }
    }

    /// Runs the program and keeps what it shows, with an explanation above it.
    pub fn shows(&mut self, why: &str, args: &[&str]) {
        let ran = self.train.run(args);
        ran.hints_exist();
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("# {why}\n$ lifeboat {}\n{}", args.join(" "), ran.stdout));
        if !ran.stderr.is_empty() {
            self.text.push_str(&format!("--- standard error\n{}", in_order(&ran.stderr)));
        }
        match ran.code {
            Some(0) => {}
            Some(code) => self.text.push_str(&format!("--- exit code {code}\n")),
            None => panic!("killed: lifeboat {args:?}"),
        }
    }

    /// The whole session must be that of the file.
    #[track_caller]
    pub fn is(self, name: &str) {
        same_as(name, &redacted(&self.text, self.train.root()));
    }
}

/// The text with its lines about steps in the order of their names: several steps run at once.
fn in_order(text: &str) -> String {
    let of_step =
        |line: &&str| line.starts_with("start ") || line.starts_with("done ") || line.starts_with("deferred ");
    let (mut steps, others): (Vec<&str>, Vec<&str>) = text.lines().partition(of_step);
    steps.sort_by_key(|line| line.split_whitespace().nth(1).map(str::to_owned));
    steps.into_iter().chain(others).map(|line| format!("{line}\n")).collect()
}

/// What of a text changes from run to run, and what stands in the snapshot; in this order.
const VOLATILE: &[(&str, &str)] = &[
    (r"\b[0-9a-f]{64}\b", "[SHA-256]"),
    (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
    (r"\b[0-9A-F]{40}\b", "[FINGERPRINT]"),
    (r"\b[0-9A-F]{16}\b", "[KEY]"),
    (r"\btrain [0-9a-f]{32}\b", "train [NONCE]"),
    (r"\bplan [0-9a-f]{12}\b", "plan [DIGEST]"),
    (r"\b\d{4}-\d{2}-\d{2}([T ])\d{2}:\d{2}:\d{2}(\.\d+)?", "[DATE]$1[TIME]"),
    (r"\b\d{4}-\d{2}-\d{2}\b", "[DATE]"),
    (r"\b\d+(\.\d+)? (ms|s|min)\b", "[DURATION]"),
    (r"\b\d+(\.\d+)? GiB free", "[SIZE] free"),
    (r"\b\d+ bytes", "[SIZE] bytes"),
    // Programs of this machine.
    (r"(program +(git|ssh|gpg) +).*", "$1[VERSION]"),
    // Whether Cargo runs with an empty home depends on who installed it.
    (r".*`Cargo\.lock` was not checked by Cargo.*\n", ""),
];

/// The text without what changes from run to run: paths, digests, times.
pub fn redacted(text: &str, root: &Path) -> String {
    let text = text.replace(&root.display().to_string(), "[ROOT]");
    VOLATILE
        .iter()
        .fold(text, |text, (pattern, name)| Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned())
}
