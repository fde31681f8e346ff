//! Transcripts in Markdown: fenced blocks named `console`, in which `$ ` begins a command, `> ` goes on with it, and what
//! it says follows.
//!
//! * `…` stands for any text within a line; alone on a line, for any number of lines.
//! * `[exit code N]` as the last line says with what the command ends; without it, with 0.
//! * Digests and times are distinguished by what they are, not by their value: any digest fits any other. A digest that a
//!   later command names is the one that stood in its place in the output.
//! * `/home/you` is the home of the shell.

use std::collections::BTreeMap;

/// A command of a transcript, and what it says.
#[derive(Debug)]
pub(super) struct Step {
    /// The line of the document at which it stands, from 1.
    pub(super) at: usize,
    pub(super) command: String,
    pub(super) says: Vec<String>,
    pub(super) code: i32,
}

/// The commands of a document, in order.
pub(super) fn steps(document: &str) -> Vec<Step> {
    let mut out: Vec<Step> = Vec::new();
    let mut inside = false;
    for (i, line) in document.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = line.trim_start() == "```console";
        } else if inside {
            if let Some(command) = line.strip_prefix("$ ") {
                out.push(Step { at: i + 1, command: command.to_owned(), says: Vec::new(), code: 0 });
                continue;
            }
            let step = out.last_mut().unwrap_or_else(|| panic!("line {}: no command before `{line}`", i + 1));
            let code = line.strip_prefix("[exit code ").and_then(|l| l.strip_suffix(']'));
            if let Some(more) = line.strip_prefix("> ").filter(|_| step.says.is_empty()) {
                step.command.push_str(&format!("\n{more}"));
            } else if let Some(code) = code {
                step.code = code.parse().unwrap();
            } else {
                step.says.push(line.to_owned());
            }
        }
    }
    out
}

/// Whether what was said fits what is written; the digests that stand in places of written ones join `digests`.
pub(super) fn fits(written: &[String], said: &str, digests: &mut BTreeMap<String, String>) -> bool {
    let said: Vec<&str> = trimmed(said);
    let written: Vec<&str> = trimmed_lines(written);
    let Some(pairs) = aligned(&written, &said) else { return false };
    for (ours, theirs) in pairs {
        for (a, b) in hex(ours).into_iter().zip(hex(theirs)) {
            if a.len() == b.len() {
                digests.insert(a, b);
            }
        }
    }
    true
}

fn trimmed(said: &str) -> Vec<&str> {
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    let first = lines.iter().position(|l| !l.is_empty()).unwrap_or(lines.len());
    let last = lines.iter().rposition(|l| !l.is_empty()).map_or(first, |i| i + 1);
    lines[first..last].to_vec()
}

fn trimmed_lines(lines: &[String]) -> Vec<&str> {
    let last = lines.iter().rposition(|l| !l.trim().is_empty()).map_or(0, |i| i + 1);
    lines[..last].iter().map(|l| l.trim_end()).collect()
}

/// The pairs of lines that fit each other, if all fit.
fn aligned<'a>(written: &[&'a str], said: &[&'a str]) -> Option<Vec<(&'a str, &'a str)>> {
    let Some((first, rest)) = written.split_first() else { return said.is_empty().then(Vec::new) };
    if first.trim() == "…" {
        return (0..=said.len()).find_map(|skip| aligned(rest, &said[skip..]));
    }
    let (theirs, more) = said.split_first()?;
    if !glob(&normal(first), &normal(theirs)) {
        return None;
    }
    let mut pairs = aligned(rest, more)?;
    pairs.push((first, theirs));
    Some(pairs)
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('…') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|&i| rest.is_char_boundary(i)).any(|i| glob(after, &rest[i..]))
        }),
    }
}

/// A line in which every digest and every time is the same.
fn normal(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let word: usize = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).map(char::len_utf8).sum();
        let time = time(rest);
        if time > 0 {
            out.push_str("<time>");
            rest = &rest[time..];
        } else if word > 0 {
            let (word, after) = rest.split_at(word);
            out.push_str(if is_digest(word) { "<digest>" } else { word });
            rest = after;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// The length of a date or time of RFC 3339 that begins here; 0 if there is none.
fn time(text: &str) -> usize {
    let digits =
        |from: usize, n: usize| text.get(from..from + n).is_some_and(|t| t.bytes().all(|b| b.is_ascii_digit()));
    let at = |i: usize, c: &str| text.get(i..i + 1) == Some(c);
    if !(digits(0, 4) && at(4, "-") && digits(5, 2) && at(7, "-") && digits(8, 2)) {
        return 0;
    }
    let clock = (at(10, "T") || at(10, " ")) && digits(11, 2) && at(13, ":") && digits(14, 2);
    if !clock {
        return 10;
    }
    16 + text[16..].bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'Z')).count()
}

fn is_digest(word: &str) -> bool {
    word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

fn hex(line: &str) -> Vec<String> {
    line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| is_digest(w)).map(str::to_owned).collect()
}

#[test]
fn a_transcript_is_read_and_compared() {
    let steps =
        steps("x\n```console\n$ a <<E\n> b\n> E\none …\n…\nend\n[exit code 3]\n```\n```text\n$ not this\n```\n");
    assert_eq!(steps.len(), 1);
    let step = &steps[0];
    assert_eq!((step.at, step.command.as_str(), step.code), (3, "a <<E\nb\nE", 3));
    let mut seen = BTreeMap::new();
    assert!(fits(&step.says, "one more\nskipped\nend\n", &mut seen));
    for other in ["two more\nend\n", "one more\nend\nmore\n", "one more\n"] {
        assert!(!fits(&step.says, other, &mut seen), "{other}");
    }
    let written = ["plan aaaaaaaaaaaa0001 at 2026-01-02T03:04:05.6Z".to_owned()];
    assert!(fits(&written, "plan bbbbbbbbbbbb0002 at 2027-11-12T13:14:15Z\n", &mut seen));
    assert_eq!(seen.get("aaaaaaaaaaaa0001").map(String::as_str), Some("bbbbbbbbbbbb0002"));
    assert!(!fits(&written, "plan none at 2027-11-12T13:14:15Z\n", &mut seen));
}
