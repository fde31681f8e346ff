//! RELEASE.md, walked as a release manager walks it by day: every `console` block in its order, in one shell.
//!
//! To add to it: write the command after `$ ` and what it says below it (see `transcript.rs` for what may be left out).
//! A command that asks on a terminal is answered with what stands behind its question. When a command says something else, this test prints both, so what it says now can be copied into the document.

use std::collections::BTreeMap;
use std::fs;

use super::shell::Shell;
use super::transcript::{fits, steps};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RELEASE.md");

/// What `approve` asks.
const QUESTION: &str = "type the train's name";

#[test]
fn the_runbook_is_walked_as_it_is_written() {
    let steps = steps(&fs::read_to_string(DOCUMENT).unwrap());
    assert!(steps.len() > 10, "where are the commands?");
    let mut shell = Shell::below("");
    let home = shell.home().display().to_string();
    let mut digests: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for step in &steps {
        let mut command = step.command.replace("/home/you", &home);
        for (written, seen) in &digests {
            command = command.replace(written, seen);
        }
        // What is typed stands behind the question in the document; where a terminal shows it depends on who is faster.
        let mut says = step.says.clone();
        let asked = says.iter_mut().find(|l| l.starts_with(QUESTION));
        let answer = asked.map(|line| {
            let (question, answer) = line.rsplit_once(": ").unwrap();
            let answer = answer.to_owned();
            *line = format!("{question}:…");
            answer
        });
        let ended = shell.run(&command, answer.as_deref());
        let said = ended.said.replace(&home, "/home/you");
        if ended.code != step.code || !fits(&says, &said, &mut digests) {
            let (at, command, code) = (step.at, &step.command, ended.code);
            wrong.push(format!("RELEASE.md:{at}: $ {command}\n{said}[exit code {code}]\n"));
            if ended.code != step.code {
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "what the commands say now:\n\n{}", wrong.join("\n"));
}
