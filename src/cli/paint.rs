//! Colours by meaning, for terminals and whoever asks for them; and a standard output whose reader may have seen enough.

use std::io::{self, IsTerminal, Write};

use crate::error::Error;

/// When text has colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` or `CLICOLOR=0` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether text for this place has colours: no-color.org, and bixense.com/clicolors.
    pub(super) fn on(self, place: &impl IsTerminal) -> bool {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        self.decide(place.is_terminal(), |name| variable(name).map(|v| v.to_string_lossy().into_owned()))
    }

    fn decide(self, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
        let is = |name: &str, value: &str| variable(name).is_some_and(|v| v == value);
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if variable("NO_COLOR").is_some() => false,
            Self::Auto if variable("CLICOLOR_FORCE").is_some_and(|v| v != "0") => true,
            Self::Auto => terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb"),
        }
    }
}

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How a line begins, and the colour of these words. The first that fits counts.
const WORDS: &[(&str, &str)] = &[
    ("error:", RED),
    ("error[", RED),
    ("WARNING:", RED),
    ("fail", RED),
    ("rotten", RED),
    ("rehearsal: rotten", RED),
    ("rehearsal: not judged", RED),
    ("a train cannot ship", RED),
    ("warning", YELLOW),
    ("warn", YELLOW),
    ("deferred", YELLOW),
    ("would wait:", YELLOW),
    ("down", YELLOW),
    ("off ", YELLOW),
    ("not checked", YELLOW),
    ("skipped", YELLOW),
    ("pending", YELLOW),
    ("ok ", GREEN),
    ("done", GREEN),
    ("succeeded", GREEN),
    ("released", GREEN),
    ("approved", GREEN),
    ("rehearsal: fit", GREEN),
    ("a train can ship", GREEN),
    ("running", CYAN),
    ("start ", CYAN),
    ("started", CYAN),
    ("waiting", CYAN),
    ("hint:", CYAN),
    ("help:", CYAN),
    ("note:", CYAN),
    ("next:", BOLD),
    ("train ", BOLD),
    ("line ", BOLD),
    ("plan ", BOLD),
];

/// A text with the words that begin its lines in colour.
pub(super) fn painted(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let words = line.trim_start();
    let indent = &line[..line.len() - words.len()];
    let whole_word = |w: &str| {
        words.strip_prefix(w).is_some_and(|rest| {
            w.ends_with([' ', ':', '[']) || !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) || w == "fail"
        })
    };
    match WORDS.iter().find(|(word, _)| whole_word(word)) {
        Some((word, colour)) => {
            // `failed` begins with `fail`: the word is taken whole.
            let end =
                words[word.len()..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(words.len(), |n| word.len() + n);
            format!("{indent}{colour}{}{PLAIN}{}", &words[..end], &words[end..])
        }
        // A heading of a part.
        None if indent.is_empty() && words.trim_end().ends_with(':') => {
            let heading = words.trim_end();
            format!("{BOLD}{heading}{PLAIN}{}", &words[heading.len()..])
        }
        None => line.to_owned(),
    }
}

/// Standard output: whole lines at once, in colour where that is wanted.
pub(super) struct Stdout {
    colour: bool,
    line: Vec<u8>,
}

impl Stdout {
    /// As the option says.
    pub(super) fn new(colour: Color) -> Self {
        Self { colour: colour.on(&io::stdout()), line: Vec::new() }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.line);
        let bytes = match String::from_utf8(bytes) {
            Ok(text) if self.colour => painted(&text).into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(e) => e.into_bytes(),
        };
        let mut out = io::stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::BrokenPipe, Closed),
            _ => e,
        })
    }
}

impl Drop for Stdout {
    fn drop(&mut self) {
        // Whoever must know that it failed has flushed.
        drop(self.flush());
    }
}

/// Nobody reads standard output any more.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nobody reads standard output any more")
    }
}

impl std::error::Error for Closed {}

/// Whether a command ended because whoever read its output had seen enough, as `head` does.
pub(super) fn is_closed(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        if e.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Closed>()) {
            return true;
        }
        cause = e.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_where_they_are_wanted() {
        let none = |_: &str| None;
        let set = |name: &'static str, value: &'static str| move |n: &str| (n == name).then(|| value.to_owned());
        assert!(Color::Auto.decide(true, none));
        assert!(!Color::Auto.decide(false, none));
        assert!(!Color::Auto.decide(true, set("NO_COLOR", "1")));
        assert!(!Color::Auto.decide(true, set("CLICOLOR", "0")));
        assert!(!Color::Auto.decide(true, set("TERM", "dumb")));
        assert!(Color::Auto.decide(false, set("CLICOLOR_FORCE", "1")));
        assert!(Color::Always.decide(false, set("NO_COLOR", "1")));
        assert!(!Color::Never.decide(true, none));
    }

    #[test]
    fn the_words_that_begin_a_line_are_in_colour_and_no_byte_is_lost() {
        let text = "error: no\n  ok  store  mirror\nfailed    build/x: y\nokay then\nto:\n  a: b\n";
        let shown = painted(text);
        assert!(shown.contains("\x1b[1;31merror:\x1b[0m no\n"), "{shown:?}");
        assert!(shown.contains("  \x1b[32mok \x1b[0m store"), "{shown:?}");
        assert!(shown.contains("\x1b[1;31mfailed\x1b[0m    build/x: y"), "{shown:?}");
        assert!(shown.contains("\nokay then\n") && shown.contains("\n  a: b\n"), "{shown:?}");
        assert!(shown.contains("\x1b[1mto:\x1b[0m\n"), "{shown:?}");
        let mut bare = shown;
        for code in [RED, GREEN, YELLOW, CYAN, BOLD, PLAIN] {
            bare = bare.replace(code, "");
        }
        assert_eq!(bare, text);
    }
}
