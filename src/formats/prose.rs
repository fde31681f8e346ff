//! Versions of a crate in documents for people: labels of links, commands, images of containers, hooks, and the sentence in
//! which a crate says its own version.

use std::ops::Range;

use semver::Version;

use super::splice::{Splice, lines, whole_words};

/// The labels of links whose address moves by `moved`, where they name the old version too: `[acme 1.2.3](…/acme/1.2.3)`,
/// `[acme 1.2.3]: …/acme/1.2.3` with every use of that label, `<a href="…/acme/1.2.3">acme 1.2.3</a>`.
#[must_use]
pub fn labels(text: &str, moved: &[Splice], old: &Version, new: &Version) -> Vec<Splice> {
    let version = old.to_string();
    let mut cuts: Vec<Splice> = Vec::new();
    for link in moved.iter().filter(|s| text.get(s.span.clone()) == Some(version.as_str())) {
        for label in label_of(text, link.span.start) {
            for at in whole_words(&text[label.clone()], &version) {
                let at = label.start + at.start..label.start + at.end;
                if cuts.iter().chain(moved).all(|c| c.span.end <= at.start || at.end <= c.span.start) {
                    cuts.push(Splice::new(at, new.to_string()));
                }
            }
        }
    }
    cuts
}

/// Where the labels of the link stand whose address has a part at `at`.
fn label_of(text: &str, at: usize) -> Vec<Range<usize>> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '(' | '<' | '"' | '\'');
    let start = text[..at].rfind(ends).map_or(0, |i| i + 1);
    let before = text[..start].trim_end_matches('<');
    if let Some(label) = before.strip_suffix("](") {
        return opening(label).map(|open| open..label.len()).into_iter().collect();
    }
    let definition = before.trim_end_matches([' ', '\t']);
    if let Some(label) = definition.strip_suffix("]:") {
        let line = label.rfind('\n').map_or(0, |i| i + 1);
        let open = line + (label.len() - line - label[line..].trim_start().len());
        if !label[open..].starts_with('[') {
            return Vec::new();
        }
        let whole = format!("{}]", &label[open..]);
        return text.match_indices(&whole).map(|(i, _)| i + 1..i + whole.len() - 1).collect();
    }
    if before.ends_with("href=\"") || before.ends_with("href='") {
        let close = text[at..].find('>').map(|i| at + i + 1);
        let inside = close.and_then(|open| Some(open..open + text[open..].find("</a>")?));
        return inside.into_iter().collect();
    }
    Vec::new()
}

/// Where the label begins that `text` ends with, its bracket left out; brackets within it are balanced.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text.char_indices().rev() {
        match c {
            ']' => depth += 1,
            '[' if depth == 0 => return Some(i + 1),
            '[' => depth -= 1,
            // A label does not go over an empty line.
            '\n' if text[..i].ends_with('\n') => return None,
            _ => {}
        }
    }
    None
}

/// The crate's name and its version as tools write them together: `acme@1.2.3`, `acme:1.2.3` (an image of a container),
/// `acme==1.2.3`, `acme>=1.2.3` (a requirement of Python), `acme v1.2.3 (` (Cargo's own output). A requirement that would not
/// admit the new version stays.
#[must_use]
pub fn pinned(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let version = old.to_string();
    let mut cuts = Vec::new();
    for name in spellings(krate) {
        for (at, _) in text.match_indices(&name) {
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let rest = &text[at + name.len()..];
            let signs = ["@", ":", "==", " == ", ">=", " >= ", "~=", " ~= ", " v", "@v", ":v"];
            let Some(sign) = signs.into_iter().filter(|s| rest.starts_with(s)).max_by_key(|s| s.len()) else {
                continue;
            };
            let Some(after) = rest[sign.len()..].strip_prefix(version.as_str()) else { continue };
            let begins = !text[..at].ends_with(word);
            let fits = match sign {
                " v" => after.starts_with(" ("),
                // An image's variant follows its version.
                ":" | ":v" => {
                    !after.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_')) && !longer(after)
                }
                _ => !after.starts_with(word) && !longer(after) && admitted(after, new),
            };
            if begins && fits {
                let start = at + name.len() + sign.len();
                cuts.push(Splice::new(start..start + version.len(), new.to_string()));
            }
        }
    }
    cuts
}

/// Whether a version goes on after a dot.
fn longer(after: &str) -> bool {
    after.strip_prefix('.').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Whether `,<2` after a requirement's first part admits `new`.
fn admitted(after: &str, new: &Version) -> bool {
    let Some(bound) = after.strip_prefix(',') else { return true };
    let end =
        bound.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '<' | '=' | '.' | ' '))).unwrap_or(bound.len());
    let bound = bound[..end].trim();
    !bound.starts_with('<') || semver::VersionReq::parse(bound).is_ok_and(|r| r.matches(new))
}

/// The crate's name as it is, and with `_` for `-`.
fn spellings(krate: &str) -> Vec<String> {
    let mut out = vec![krate.to_owned(), krate.replace('-', "_")];
    out.dedup();
    out
}

/// Versions in YAML whose lines above say whose they are: `rev: v1.2.3` below `repo: …/acme-pre-commit` (the configuration of
/// pre-commit), `version: 1.2.3` below `uses: …/setup-acme@…` (a workflow of GitHub Actions).
#[must_use]
pub fn hooks(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let version = old.to_string();
    let mut cuts = Vec::new();
    // What `repo` and `uses` last named.
    let (mut repo, mut uses) = (false, false);
    for (start, line) in lines(text) {
        let bare = line.trim_start().trim_start_matches("- ");
        let value = |key: &str| bare.strip_prefix(key).map(str::trim);
        // A line that is less indented ends what `uses` began; another hook says its own `repo`.
        if let Some(address) = value("repo:") {
            repo = named_after(address, krate);
        } else if let Some(action) = value("uses:") {
            uses = named_after(action.split('@').next().unwrap_or(action), krate);
        } else if line.trim_start().starts_with("- ") && bare.contains(':') && !bare.starts_with("id:") {
            uses = false;
        }
        let pinned = value("rev:").filter(|_| repo).or_else(|| value("version:").filter(|_| uses));
        if let Some(value) = pinned
            && let Some(at) = whole_words(value, &version).first()
        {
            let from = start + (value.as_ptr() as usize - line.as_ptr() as usize) + at.start;
            cuts.push(Splice::new(from..from + version.len(), new.to_string()));
        }
        if line.starts_with("```") {
            (repo, uses) = (false, false);
        }
    }
    cuts
}

/// Whether the last part of an address has the crate's name as a word: `acme`, `acme-pre-commit`, `setup-acme`.
fn named_after(address: &str, krate: &str) -> bool {
    let last = address.trim_matches(['"', '\'']).trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let last = last.trim_end_matches(".git");
    let joined = |c: char| matches!(c, '-' | '_' | '.');
    last.match_indices(krate).any(|(i, _)| {
        let (before, after) = (&last[..i], &last[i + krate.len()..]);
        (before.is_empty() || before.ends_with(joined)) && (after.is_empty() || after.starts_with(joined))
    })
}

/// What the README beside a crate says of itself: `This is version 1.2.3`, `This version (1.2.3)`, `Current version: 1.2.3`,
/// `Version: 1.2.3` at a line's start. A version since or in which something is so stays.
#[must_use]
pub(crate) fn own_version(text: &str, old: &Version, new: &Version) -> Vec<Splice> {
    const SAYS: [&str; 6] = [
        "this is version",
        "this version",
        "current version",
        "current version is",
        "latest version",
        "latest version is",
    ];
    let ours = |at: &Range<usize>| {
        let line = text[..at.start].rfind('\n').map_or(0, |i| i + 1);
        let before: String = text[line..at.start].chars().filter(|c| !matches!(c, '*' | '`' | '_')).collect();
        let before = before.strip_suffix('v').unwrap_or(&before);
        let said = before.trim_end_matches([' ', '(', ':', '\t']).to_ascii_lowercase();
        let whole = said.trim_start_matches(['#', '-', '>', ' ']) == "version";
        whole || SAYS.iter().any(|s| said.strip_suffix(s).is_some_and(|b| !b.ends_with(char::is_alphanumeric)))
    };
    let found = whole_words(text, &old.to_string()).into_iter().filter(ours);
    found.map(|at| Splice::new(at, new.to_string())).collect()
}

/// Tags that commands name: `git checkout v1.2.3`, `git clone --branch v1.2.3`, `cargo install --git … --tag v1.2.3`; with
/// the crate's name before it, or without one.
#[must_use]
pub(crate) fn checked_out(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let version = old.to_string();
    let ours = |at: &Range<usize>| {
        let line = text[..at.start].rfind('\n').map_or(0, |i| i + 1);
        let before = &text[line..at.start];
        let word = before.rfind(char::is_whitespace).map_or(0, |i| i + 1);
        let command = before[..word].trim_end();
        let head = &before[word..];
        let tag =
            matches!(head, "" | "v") || head.strip_prefix(krate).is_some_and(|sign| matches!(sign, "-" | "-v" | "@"));
        let switch = |s: &str| command.ends_with(s);
        let git = command.contains("git ");
        tag && (switch("git checkout")
            || switch("git switch --detach")
            || git && (switch(" --branch") || switch(" -b"))
            || switch(" --tag"))
    };
    let found = whole_words(text, &version).into_iter().filter(ours);
    found.map(|at| Splice::new(at, new.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::splice::splice;
    use crate::formats::version_text::links;

    const OLD: Version = Version::new(1, 2, 3);
    const NEW: Version = Version::new(1, 2, 4);

    #[test]
    fn labels_move_with_their_address() {
        let after = |text: &str| {
            let mut cuts = links(text, "acme", &OLD, &NEW);
            cuts.extend(labels(text, &cuts, &OLD, &NEW));
            splice(text, cuts)
        };
        for ours in [
            "a component of [acme 1.2.3](https://crates.io/crates/acme/1.2.3). The",
            "[![acme 1.2.3](https://x/acme/badge.svg)](https://docs.rs/acme/1.2.3)",
            "[`acme` v1.2.3](<https://docs.rs/acme/1.2.3>)",
            "see [acme 1.2.3] and [acme 1.2.3].\n\n[acme 1.2.3]: https://docs.rs/acme/1.2.3\n",
            "<a href=\"https://docs.rs/acme/1.2.3\">acme 1.2.3</a>",
        ] {
            assert_eq!(after(ours), ours.replace("1.2.3", "1.2.4"));
        }
        for other in [
            "[acme 1.2.3](https://docs.rs/acme) since 1.2.3",
            "[acme 1.2.2](https://docs.rs/acme/1.2.2)",
            "[other 1.2.3](https://docs.rs/other/1.2.3)",
        ] {
            assert_eq!(after(other), other);
        }
        let text = "[acme 1.2.30](https://docs.rs/acme/1.2.3) (1.2.3)";
        assert_eq!(after(text), text.replace("acme/1.2.3", "acme/1.2.4"), "a longer version, and what stands beside");
    }

    #[test]
    fn names_and_versions_that_tools_write_together() {
        let after = |text: &str| splice(text, pinned(text, "acme-build", &OLD, &NEW));
        for ours in [
            "uvx acme-build@1.2.3 check",
            "FROM ghcr.io/x/acme-build:1.2.3-alpine AS acme-build",
            "requires = [\"acme_build>=1.2.3,<1.3\"]",
            "pip install acme_build==1.2.3.",
            "rt64 = [\"acme-build == 1.2.3\"]",
            "   Compiling acme-build v1.2.3 (/src/acme)",
        ] {
            assert_eq!(after(ours), ours.replace("1.2.3", "1.2.4"));
        }
        for other in [
            "since acme-build 1.2.3",
            "since acme-build v1.2.3",
            "my-acme-build@1.2.3",
            "acme-build@1.2.3-rc.1",
            "acme-build:1.2.3.4",
            "acme-build>=1.2.3,<1.2.4",
        ] {
            assert_eq!(after(other), other);
        }
    }

    #[test]
    fn hooks_say_whose_version_follows() {
        let text = "- repo: https://x/y/acme-pre-commit\n  rev: v1.2.3\n- repo: https://x/other\n  rev: v1.2.3\n\
            - uses: x/setup-acme@v1\n  with:\n    version: \"1.2.3\"\n- uses: x/other@v1\n  with:\n    version: 1.2.3\n";
        let after = splice(text, hooks(text, "acme", &OLD, &NEW));
        assert_eq!(after, text.replacen("rev: v1.2.3", "rev: v1.2.4", 1).replace("\"1.2.3\"", "\"1.2.4\""));
    }

    #[test]
    fn what_a_readme_says_of_itself() {
        let after = |text: &str| splice(text, own_version(text, &OLD, &NEW));
        for ours in
            ["This is version 1.2.3. The", "This version (1.2.3) is", "**Version**: `v1.2.3`", "Current version: 1.2.3"]
        {
            assert_eq!(after(ours), ours.replace("1.2.3", "1.2.4"));
        }
        for other in ["since version 1.2.3", "In version 1.2.3 this", "minimum Rust version 1.2.3", "acme 1.2.3"] {
            assert_eq!(after(other), other);
        }
    }

    #[test]
    fn tags_in_commands() {
        let after = |text: &str| splice(text, checked_out(text, "acme", &OLD, &NEW));
        for ours in ["git checkout v1.2.3", "$ git clone -b acme-v1.2.3 x", "cargo install --git x --tag 1.2.3"] {
            assert_eq!(after(ours), ours.replace("1.2.3", "1.2.4"));
        }
        for other in ["git checkout other-v1.2.3", "we tag 1.2.3", "x -b 1.2.3"] {
            assert_eq!(after(other), other);
        }
    }
}
