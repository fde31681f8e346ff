//! Every question that the program asks, on a real terminal.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::approve::homes::two;
use crate::support::sample_train::SampleTrain;

/// A command on a terminal of its own, which `script` makes.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Terminal {
    fn start(train: &SampleTrain, args: &[&str]) -> Self {
        let words: Vec<String> = args.iter().map(|a| format!("'{a}'")).collect();
        let line = format!("exec '{}' {}", env!("CARGO_BIN_EXE_lifeboat"), words.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        train.surround(&mut command);
        command.env("TERM", "xterm-256color").env("NO_COLOR", "1").env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{e}: `script` is in Debian's bsdutils"));
        let (shown, mut from) = (Arc::new(Mutex::new(String::new())), child.stdout.take().unwrap());
        let keep = shown.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                keep.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Self { child, shown, reader: Some(reader) }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until the last thing on the terminal is this; then nothing may be drawn over it.
    #[track_caller]
    fn ends_in(&self, text: &str) {
        let since = Instant::now();
        while !self.shown().ends_with(text) {
            assert!(since.elapsed() < Duration::from_secs(90), "no `{text}` at the end of:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
        // Longer than a bar takes to come back.
        std::thread::sleep(Duration::from_millis(700));
        assert!(self.shown().ends_with(text), "the question was drawn over:\n{:?}", self.shown());
    }

    fn types(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn exits(&mut self, code: i32) -> String {
        let status = self.child.wait().unwrap();
        // All that was printed has been read.
        drop(self.reader.take().map(std::thread::JoinHandle::join));
        assert_eq!(status.code(), Some(code), "{}", self.shown());
        self.shown()
    }
}

const QUESTION: &str = "type the train's name, `drill`, to approve all of this: ";

#[test]
fn approve_shows_its_question_and_asks_again() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let mut terminal = Terminal::start(&train, &["approve", "--as", "alice"]);
    terminal.ends_in(QUESTION);
    assert!(terminal.shown().contains("content "), "the review comes first:\n{}", terminal.shown());
    assert!(!terminal.shown().contains("[00:"), "a bar before there is work:\n{}", terminal.shown());
    terminal.types("yes\n");
    terminal.ends_in("that was `yes`; expected the train's name, `drill` (Ctrl-C stops: not approved): ");
    terminal.types("drill\n");
    assert!(terminal.exits(0).contains("approved by alice"));

    let mut terminal = Terminal::start(&train, &["approve", "--as", "bob"]);
    terminal.ends_in(QUESTION);
    terminal.types("y\nno\nDRILL\n");
    let shown = terminal.exits(2);
    assert!(shown.contains("not approved: expected the train's name, `drill`, not `DRILL`"), "{shown}");
    // The end of what is typed.
    let mut terminal = Terminal::start(&train, &["approve", "--as", "bob"]);
    terminal.ends_in(QUESTION);
    terminal.types("\u{4}");
    let shown = terminal.exits(2);
    assert!(shown.contains("not approved: there was no answer, expected the train's name, `drill`"), "{shown}");
    let status = train.run(&["status"]).ends_with(0);
    assert!(status.stdout.contains("approved by alice\n"), "{}", status.stdout);
}

#[test]
fn approve_asks_the_same_for_a_bundle() {
    let (operator, _bob) = two();
    operator.0.to_the_gate();
    let bundle = operator.exported("bundle.tar", &[]);
    let approval = operator.mail("alice.json");
    let args = ["approve", "--bundle", &bundle, "--as", "alice", "--out", &approval];
    let mut terminal = Terminal::start(&operator.0, &args);
    terminal.ends_in(QUESTION);
    assert!(!Path::new(&approval).exists());
    terminal.types("drill\n");
    assert!(terminal.exits(0).contains("approved by alice"));
    assert!(Path::new(&approval).exists());
}

#[test]
fn amend_shows_its_question_and_what_it_costs_first() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    train.edit(
        &train.config(),
        "run = [\"sh build.sh {name}\"]\nartifacts",
        "run = [\"sh build.sh {name}; true\"]\nartifacts",
    );
    let file = train.train_file().display().to_string();
    let question = "type the train's name, `drill`, to amend it: ";
    let mut terminal = Terminal::start(&train, &["amend", &file]);
    terminal.ends_in(question);
    for said in ["what differs from the adopted plan", "finished steps made", "approvals lapse: alice"] {
        assert!(terminal.shown().contains(said), "no `{said}` before the question:\n{}", terminal.shown());
    }
    terminal.types("no\n");
    terminal.ends_in("that was `no`; expected the train's name, `drill` (Ctrl-C stops: not amended): ");
    terminal.types("\u{4}");
    let shown = terminal.exits(2);
    assert!(shown.contains("not amended: there was no answer"), "{shown}");
    assert!(train.run(&["status"]).ends_with(0).stdout.contains("approved by alice\n"), "something was changed");
    let mut terminal = Terminal::start(&train, &["amend", &file]);
    terminal.ends_in(question);
    terminal.types("drill\n");
    let shown = terminal.exits(0);
    assert!(shown.contains("train drill: amended"), "{shown}");
}

/// A question elsewhere would need its own test on a terminal.
#[test]
fn there_is_one_place_that_asks() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut dirs = vec![src.clone()];
    let mut asking = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else if fs::read_to_string(&entry).is_ok_and(|t| t.contains(".read_line(")) {
                asking.push(entry.strip_prefix(&src).unwrap().display().to_string());
            }
        }
    }
    assert_eq!(asking, ["cli/prompt.rs"]);
}
