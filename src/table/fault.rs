//! What is wrong with a file, shown as rustc shows it: file, line, column, the line itself with a caret, what is valid.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::Error;
use crate::model::escape;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    span: Range<usize>,
    message: String,
    label: String,
    help: Option<String>,
    /// Boxed, because faults travel in results.
    other: Option<Box<(Range<usize>, String)>>,
}

impl Fault {
    /// A fault at these bytes of the file; `label` says below the caret what would be valid there.
    pub fn new(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { span, message: escape(&message.into()), label: escape(&label.into()), help: None, other: None }
    }

    /// Adds what to do instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(escape(&help.into()));
        self
    }

    /// Points at another place that has to do with it.
    pub fn see(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.other = Some(Box::new((span, escape(&label.into()))));
        self
    }
}

/// All faults of one file.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
}

impl Faults {
    /// Adds a fault, once: one line of a table that stands for many targets is one fault.
    pub fn add(&mut self, fault: Fault) {
        if !self.list.contains(&fault) {
            self.list.push(fault);
        }
    }

    /// Adds the fault if there is one, and passes the value on.
    pub fn keep<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One error that shows them all; `hidden` are the bytes of the text that must not be shown.
    pub(crate) fn into_error(mut self, path: &Path, text: &str, hidden: &[Range<usize>]) -> Error {
        self.list.sort_by_key(|f| f.span.start);
        let path = escape(&path.display().to_string());
        let shown = hide(text, hidden);
        let mut error = match self.list.as_slice() {
            [one] => Error::input(one.message.clone()),
            many => Error::input(format!("`{path}` has {} faults", many.len())),
        };
        let alone = self.list.len() == 1;
        for fault in &self.list {
            let group = if alone {
                Group::with_level(Level::ERROR)
            } else {
                Group::with_title(Level::ERROR.primary_title(fault.message.as_str()))
            };
            let mut snippet = Snippet::source(shown.as_str())
                .path(path.as_str())
                .annotation(AnnotationKind::Primary.span(first_line(&shown, &fault.span)).label(fault.label.as_str()));
            if let Some((span, label)) = fault.other.as_deref() {
                snippet =
                    snippet.annotation(AnnotationKind::Context.span(first_line(&shown, span)).label(label.as_str()));
            }
            let mut group = group.element(snippet);
            if let Some(help) = &fault.help {
                group = group.element(Level::HELP.message(help.as_str()));
            }
            error = error.detail(Renderer::plain().render(&[group]));
        }
        error
    }
}

/// The part of a span on its first line: the caret marks a place, not a whole table.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(text, span.start);
    let end = floor(text, span.end).max(start);
    let line_end = text[start..end].find('\n').map_or(end, |n| start + n);
    start..line_end.max(start)
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The text with every character of the hidden parts replaced; byte positions stay as they are.
fn hide(text: &str, hidden: &[Range<usize>]) -> String {
    let is_hidden = |at: usize| hidden.iter().any(|r| r.contains(&at));
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if is_hidden(at) && !matches!(c, '\n' | '\r') {
            out.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

/// The closest of the valid words, if it is close enough to be what was meant.
pub fn did_you_mean<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_ascii_lowercase().replace('-', "_");
    valid
        .into_iter()
        .map(|v| (strsim::damerau_levenshtein(&folded, &v.to_ascii_lowercase().replace('-', "_")), v))
        .filter(|(distance, v)| *distance <= (v.len().max(word.len()) / 3).max(1))
        .min()
        .map(|(_, v)| v)
}

/// "`a`, `b` or `c`".
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        assert_eq!(did_you_mean("artefacts", ["artifacts", "name"]), Some("artifacts"));
        assert_eq!(did_you_mean("pass-env", ["pass_env", "name"]), Some("pass_env"));
        assert_eq!(did_you_mean("zzz", ["artifacts", "name"]), None);
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }

    #[test]
    fn hidden_bytes_are_never_drawn_and_columns_stay() {
        let text = "token = \"sécret\"\nname = 1\n";
        let mut faults = Faults::default();
        faults.add(Fault::new(0..5, "bad", "here"));
        let report = faults.into_error(Path::new("f.toml"), text, std::slice::from_ref(&(9..16))).report();
        assert!(!report.contains("cret"), "{report}");
        assert!(report.contains("f.toml:1:1"), "{report}");
    }
}
