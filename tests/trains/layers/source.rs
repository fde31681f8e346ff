//! The source files, with comments, texts and test code kept apart.

use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct Source {
    /// Relative to the top, such as `src/plan/check/mod.rs`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Without comments and test modules; what stands in quotes is blank.
    pub(crate) code: String,
    /// The same with what stands in quotes.
    pub(crate) words: String,
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, words) = blanked(text);
        let tests = test_modules(&code);
        let test_file = !path.starts_with("src/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs");
        let without = |text: &str| {
            let mut bytes = if test_file { Vec::new() } else { text.as_bytes().to_vec() };
            for range in tests.clone().into_iter().filter(|_| !test_file) {
                bytes[range].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
            }
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (code, words) = (without(&code), without(&words));
        Self { path: path.to_owned(), text: text.to_owned(), code, words }
    }

    /// All Rust files of the package.
    pub(crate) fn tree() -> Vec<Self> {
        let mut out = Vec::new();
        for top in ["src", "tests", "benches"] {
            visit(&root().join(top), &mut out);
        }
        out
    }

    pub(crate) fn is_product(&self) -> bool {
        self.path.starts_with("src/") && !self.code.is_empty()
    }

    /// The modules that lead to it: `["plan", "check", "gate"]`.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        let mut parts: Vec<&str> = path.split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }

    /// The line in which a byte of `code` or `words` stands.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count()
    }
}

fn visit(dir: &Path, out: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            visit(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            out.push(Source::new(&name, &std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The text with comments and quoted texts blanked, and with comments alone blanked; every byte stays where it is.
fn blanked(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut words) = (bytes.to_vec(), bytes.to_vec());
    let blank = |out: &mut Vec<u8>, from: usize, to: usize| {
        out[from..to].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
    };
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        if rest.starts_with(b"//") {
            let end = i + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
            blank(&mut code, i, end);
            blank(&mut words, i, end);
            i = end;
        } else if rest.starts_with(b"/*") {
            let end = text[i..].find("*/").map_or(bytes.len(), |n| i + n + 2);
            blank(&mut code, i, end);
            blank(&mut words, i, end);
            i = end;
        } else if let Some(hashes) = raw_string(bytes, i) {
            let open = i + 2 + hashes;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = text[open..].find(&close).map_or(bytes.len(), |n| open + n);
            blank(&mut code, open, end);
            i = end + close.len();
        } else if rest[0] == b'"' {
            let mut end = i + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            blank(&mut code, i + 1, end.min(bytes.len()));
            i = end + 1;
        } else if rest[0] == b'\'' {
            // A character, not a lifetime, if a quote follows it.
            let escaped = rest.get(1) == Some(&b'\\');
            let close =
                if escaped { rest.iter().skip(3).position(|&b| b == b'\'').map(|n| n + 3) } else { char_end(rest) };
            if let Some(close) = close {
                blank(&mut code, i + 1, i + close);
                i += close;
            }
            i += 1;
        } else {
            i += 1;
        }
    }
    (String::from_utf8_lossy(&code).into_owned(), String::from_utf8_lossy(&words).into_owned())
}

fn char_end(rest: &[u8]) -> Option<usize> {
    let first = *rest.get(1)?;
    let width = match first {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(1 + width)
}

/// How many `#` open a raw text that begins here.
fn raw_string(bytes: &[u8], i: usize) -> Option<usize> {
    let before = i.checked_sub(1).map(|p| bytes[p]);
    if bytes[i] != b'r' || before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    let hashes = bytes[i + 1..].iter().take_while(|b| **b == b'#').count();
    (bytes.get(i + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// Where the code of `#[cfg(test)]` modules stands.
fn test_modules(code: &str) -> Vec<std::ops::Range<usize>> {
    let mut out = Vec::new();
    for (at, mark) in code.match_indices("#[cfg(test)]") {
        let rest = &code[at + mark.len()..];
        let brace = rest.find('{');
        let end = rest.find(';');
        let Some(open) = brace.filter(|b| end.is_none_or(|e| *b < e)) else { continue };
        let mut depth = 0usize;
        for (n, c) in rest[open..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                out.push(at..at + mark.len() + open + n + 1);
                break;
            }
        }
    }
    out
}
