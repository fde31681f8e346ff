//! Versions that stand in prose and in small files: dependency snippets, documentation links, `pyproject.toml`,
//! `package.json`, plain and marked text.

use std::collections::BTreeMap;
use std::ops::Range;

use semver::Version;
use toml_edit::{Document, Item};

use super::requirement::{Lift, lift};
use super::splice::{Splice, lines, whole_words};
use super::template::fill_pattern;

/// Cargo dependency snippets on `krate`: `krate = "1.2.3"`, `krate = { version = "1.2.3", … }`, `krate.version = "…"`,
/// `other = { package = "krate", version = "1.2.3" }`, and `[dependencies.krate]` followed by `version`, in any text. A
/// requirement that names another version stays. Within a sentence they stand between backticks.
#[must_use]
pub fn snippets(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let mut cuts: Vec<Splice> = Vec::new();
    let mut in_table = false;
    let same = |name: &str| same(name, krate);
    for (_, line) in lines(text) {
        // Snippets stand in code blocks, and behind the comment marks of a program's documentation.
        let bare = line.trim_start().trim_start_matches(['/', '!', '*', '#', '>', ' ', '\t']);
        if bare.starts_with('[') || bare.starts_with("```") {
            let table = bare.trim_end().trim_end_matches(']').trim_start_matches('[');
            let (kind, name) = table.rsplit_once('.').unwrap_or(("", table));
            in_table = kind.ends_with("dependencies") && same(name.trim_matches(['"', '\'']));
            continue;
        }
        let of_table = || bare.split_once('=').filter(|(key, _)| in_table && key.trim() == "version");
        let whole = wished(bare, krate).or_else(|| of_table().and_then(|(_, value)| string(value.trim())));
        // Every other part between backticks is code.
        let inside = bare.split('`').skip(1).step_by(2).filter_map(|code| wished(code, krate));
        for requirement in whole.into_iter().chain(inside) {
            if let Lift::To(after) = lift(requirement, old, new) {
                let begin = requirement.as_ptr() as usize - text.as_ptr() as usize;
                cuts.push(Splice::new(begin..begin + requirement.len(), after));
            }
        }
    }
    cuts
}

/// The requirement on `krate` that an entry of a dependency table makes, on one line.
fn wished<'a>(entry: &'a str, krate: &str) -> Option<&'a str> {
    let (key, value) = entry.split_once('=')?;
    let (key, value) = (key.trim().trim_matches('"'), value.trim());
    if value.starts_with('{') {
        // Renamed, it is of the crate that `package` says.
        let of = field(value, "package").unwrap_or(key);
        return field(value, "version").filter(|_| same(of, krate));
    }
    let own = same(key, krate) || key.strip_suffix(".version").is_some_and(|key| same(key, krate));
    string(value).filter(|_| own)
}

/// Cargo takes `-` and `_` for one another in the names of dependencies, and no two crates differ in them alone.
fn same(name: &str, krate: &str) -> bool {
    name.len() == krate.len() && name.bytes().zip(krate.bytes()).all(|(a, b)| dash(a) == dash(b))
}

/// Dependencies on `krate` by a path that stand in a manifest behind `#`: put back one day, they must fit.
#[must_use]
pub(crate) fn silenced(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let commented = lines(text).filter(|(_, line)| line.starts_with('#'));
    let entries = commented.filter_map(|(_, line)| {
        let entry = line.trim_start_matches(['#', ' ']);
        let value = entry.split_once('=')?.1.trim_start();
        field(value.strip_prefix('{')?, "path")?;
        wished(entry, krate)
    });
    let moved = entries.filter_map(|requirement| {
        let Lift::To(after) = lift(requirement, old, new) else { return None };
        let begin = requirement.as_ptr() as usize - text.as_ptr() as usize;
        Some(Splice::new(begin..begin + requirement.len(), after))
    });
    moved.collect()
}

/// The string of `key` in an inline table on one line.
fn field<'a>(table: &'a str, key: &str) -> Option<&'a str> {
    let rest = table[whole_words(table, key).first()?.end..].trim_start().strip_prefix('=')?;
    string(rest.trim_start())
}

fn dash(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

/// [`snippets`] in the comments of a program: what else looks so there is code.
#[must_use]
pub(crate) fn commented_snippets(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let comment = |s: &Splice| {
        let start = text[..s.span.start].rfind('\n').map_or(0, |i| i + 1);
        text[start..].trim_start().starts_with("//")
    };
    snippets(text, krate, old, new).into_iter().filter(comment).collect()
}

/// Constants of scripts and build files that are named after `krate` and hold its version: `KRATE_VERSION = "1.2.3"`,
/// `set(KRATE_VERSION 1.2.3)`, `variable::set("KRATE_VERSION", "1.2.3")`.
#[must_use]
pub fn constants(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let name = format!("{}_VERSION", krate.to_ascii_uppercase().replace('-', "_"));
    let old = old.to_string();
    let found = whole_words(text, &name).into_iter().filter_map(|at| {
        let rest = &text[at.end..];
        let value = rest.trim_start_matches(['"', '\'', ' ', '\t', '=', ':', ',', '?']);
        let start = text.len() - value.len();
        let between = value.len() < rest.len();
        let whole = whole_words(value, &old).first().is_some_and(|r| r.start == 0);
        (between && whole).then(|| Splice::new(start..start + old.len(), new.to_string()))
    });
    found.collect()
}

/// The version that a build file gives its project: `project(x VERSION 1.2.3)` of CMake (its manual, "project"), and the
/// variable `VERSION` of a makefile, as a whole: `VERSION := 1.2.3`.
#[must_use]
pub fn project_versions(text: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let old = old.to_string();
    let blank = [' ', '\t', '\r', '\n'];
    let at_start = |offset: usize| text[..offset].rsplit('\n').next().is_some_and(|l| l.trim().is_empty());
    let calls = ["project(", "project (", "PROJECT(", "PROJECT ("].into_iter().flat_map(|c| text.match_indices(c));
    let of_cmake = calls.filter(|(at, _)| at_start(*at)).filter_map(|(at, name)| {
        let inside = &text[at + name.len()..];
        let inside = &inside[..inside.find(')')?];
        let word = whole_words(inside, "VERSION").first()?.end;
        let value = inside[word..].trim_start_matches(blank);
        let value = value.strip_prefix('"').unwrap_or(value);
        (value.len() < inside[word..].len()).then_some(value)
    });
    let of_make = lines(text).filter_map(|(_, line)| {
        let value = line.strip_prefix("VERSION")?.trim_start().trim_start_matches([':', '?']).strip_prefix('=')?;
        Some(value.trim())
    });
    let whole = |value: &&str| {
        let rest = value.strip_prefix(old.as_str()).map(|rest| rest.strip_prefix('"').unwrap_or(rest));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(blank))
    };
    let found = of_cmake.chain(of_make).filter(whole).map(|value| {
        let start = value.as_ptr() as usize - text.as_ptr() as usize;
        Splice::new(start..start + old.len(), new.to_string())
    });
    found.collect()
}

/// A `CITATION.cff` (Citation File Format 1.2) whose own version is `old`: that version, and the day of the release.
#[must_use]
pub(crate) fn citation(text: &str, old: &Version, new: &Version, day: jiff::civil::Date) -> Vec<Splice> {
    let field = |key: &str| {
        let line = lines(text).find_map(|(at, line)| Some((at + key.len(), line.strip_prefix(key)?)));
        let (at, value) = line?;
        let value = value.split(" #").next().unwrap_or_default();
        let bare = value.trim().trim_matches(['"', '\'']);
        let start = at + value.find(bare).filter(|_| !bare.is_empty())?;
        Some((start..start + bare.len(), bare))
    };
    let Some((version, _)) = field("version:").filter(|(_, v)| *v == old.to_string()) else { return Vec::new() };
    let mut cuts = vec![Splice::new(version, new.to_string())];
    let released = field("date-released:").filter(|(_, d)| d.parse::<jiff::civil::Date>().is_ok());
    cuts.extend(released.map(|(at, _)| Splice::new(at, day.to_string())));
    cuts
}

/// The inside of the string that `value` starts with.
fn string(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = &value[1..];
    Some(&inside[..inside.find(quote)?])
}

/// `html_root_url = "https://docs.rs/krate/1.2.3"` attributes, with any host and any end of the path.
#[must_use]
pub fn html_root_urls(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let attributes = root_urls(text);
    let inside = |s: &Splice| attributes.iter().any(|r| r.start <= s.span.start && s.span.end <= r.end);
    links(text, krate, old, new).into_iter().filter(inside).collect()
}

/// The `html_root_url` attributes of a crate's own `lib.rs`: by definition they are of that crate, whatever they call it.
#[must_use]
pub(crate) fn own_root_urls(text: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let old = old.to_string();
    let found = root_urls(text).into_iter().filter_map(|at| {
        let value = &text[at.clone()];
        let mut starts = value.match_indices('/').map(|(slash, _)| slash + 1);
        let start = at.start + starts.find(|s| begins_with(&value[*s..], &old))?;
        Some(Splice::new(start..start + old.len(), new.to_string()))
    });
    found.collect()
}

/// Where the values of the `html_root_url` attributes stand.
fn root_urls(text: &str) -> Vec<Range<usize>> {
    let attributes = text.match_indices("html_root_url").filter_map(|(at, word)| {
        let rest = text[at + word.len()..].trim_start().strip_prefix('=')?;
        let value = string(rest.trim_start())?;
        let begin = value.as_ptr() as usize - text.as_ptr() as usize;
        Some(begin..begin + value.len())
    });
    attributes.collect()
}

/// Addresses in which the crate's name and its version follow each other as parts of the path, or the version is a field
/// of the query: `https://docs.rs/krate/1.2.3/…`, `https://crates.io/crates/krate/1.2.3`,
/// `https://docs.rs/krate/badge.svg?version=1.2.3`.
#[must_use]
pub fn links(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let (old, new) = (old.to_string(), new.to_string());
    let part = format!("/{krate}/");
    let mut cuts: Vec<Splice> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | '<' | '>' | ']')) {
        let Some(scheme) = word.find("://") else { continue };
        let begin = word.as_ptr() as usize - text.as_ptr() as usize;
        let mut places: Vec<usize> =
            word.match_indices(&part).map(|(at, _)| at + part.len()).filter(|at| *at > scheme + 3).collect();
        if let Some(first) = places.first().copied() {
            let fields = ["?version=", "&version="].into_iter();
            places.extend(fields.filter_map(|f| Some(first + word[first..].find(f)? + f.len())));
        }
        for at in places.into_iter().filter(|at| begins_with(&word[*at..], &old)) {
            cuts.push(Splice::new(begin + at..begin + at + old.len(), new.clone()));
        }
    }
    cuts
}

/// Whether `text` begins with `version` and that goes on in no longer one.
pub(super) fn begins_with(text: &str, version: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '_');
    text.strip_prefix(version)
        .is_some_and(|rest| !rest.starts_with(word) && !rest.strip_prefix('.').is_some_and(|r| r.starts_with(word)))
}

/// The names and the version literals of a `pyproject.toml`: of `[project]`, or Poetry's `[tool.poetry]`, and of
/// `[tool.towncrier]`, the version that towncrier writes news of (its configuration reference, "version"). A
/// `towncrier.toml` has the last one too.
#[must_use]
pub fn pyproject(text: &str) -> Vec<(String, String, Range<usize>)> {
    let Ok(document) = Document::parse(text) else { return Vec::new() };
    let root = document.as_table();
    let tool = |name: &str| root.get("tool").and_then(|t| t.get(name));
    let found = |table: &Item| {
        let item = table.get("version")?;
        let name = table.get("name").and_then(Item::as_str).unwrap_or_default();
        let (version, span) = (item.as_str()?, item.span()?);
        Some((name.to_owned(), version.to_owned(), span.start + 1..span.end - 1))
    };
    let own = root.get("project").and_then(found).or_else(|| found(tool("poetry")?));
    own.into_iter().chain(tool("towncrier").and_then(found)).collect()
}

/// Addresses of the crate's own site, by its host's name, with the version as a part of the path:
/// `https://krate.rs/v1.2.3/…`, `https://docs.krate.org/1.2.3/…`.
#[must_use]
pub fn site_links(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let ours = |at: usize| {
        let word =
            text[..at].rfind(|c: char| c.is_whitespace() || matches!(c, '"' | '(' | '<' | '`')).map_or(0, |i| i + 1);
        let (_, address) = text[word..at].split_once("://")?;
        let (host, path) = address.split_once('/')?;
        let end = path.rsplit('/').next()?;
        (host.split('.').any(|label| label == krate) && matches!(end, "" | "v")).then_some(())
    };
    let old = old.to_string();
    // `v` belongs to the word that the version is.
    let found = text.match_indices(&old).filter(|(at, _)| {
        let rest = &text[at + old.len()..];
        let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'));
        ends && ours(*at).is_some()
    });
    found.map(|(at, _)| Splice::new(at..at + old.len(), new.to_string())).collect()
}

/// The string values of a JSON object's own members, and of the member `packages` → `""` (as a `package-lock.json` has
/// them), with their places: (path, value, range inside the quotes).
#[must_use]
pub(crate) fn json_strings(text: &str) -> Vec<(String, String, Range<usize>)> {
    let mut out = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut key: Option<String> = None;
    let mut expects_value = false;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let start = at + 1;
                at = start;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                let Some(value) = text.get(start..at) else { return out };
                if expects_value {
                    let mut full = path.clone();
                    full.push(key.take().unwrap_or_default());
                    out.push((full.join("/"), value.to_owned(), start..at));
                    expects_value = false;
                } else {
                    key = Some(value.to_owned());
                }
            }
            b':' => expects_value = true,
            b'{' | b'[' => {
                path.push(key.take().unwrap_or_default());
                expects_value = bytes[at] == b'[';
            }
            b'}' | b']' => {
                path.pop();
                key = None;
                expects_value = false;
            }
            b',' => expects_value = false,
            _ => {}
        }
        at += 1;
    }
    out
}

/// The version literals of a `package.json` or `package-lock.json`: the name, and each place with what stands there.
#[must_use]
pub fn package_json(text: &str) -> (Option<String>, Vec<(String, Range<usize>)>) {
    let all = json_strings(text);
    let name = all.iter().find(|(path, ..)| path == "/name").map(|(_, v, _)| v.clone());
    let own = all.into_iter().filter(|(path, ..)| path == "/version" || path == "/packages//version");
    (name, own.map(|(_, v, r)| (v, r)).collect())
}

/// Every place where `pattern`, with the parts of `old` put in, stands in `text`, rewritten with those of `new`. The
/// placeholders are `{version}`, `{major}`, `{minor}` and `{patch}`.
#[must_use]
pub fn marked(text: &str, pattern: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let put = |v: &Version| {
        let values =
            [("major", v.major), ("minor", v.minor), ("patch", v.patch)].map(|(n, part)| (n, part.to_string()));
        let mut values: BTreeMap<&str, String> = values.into();
        values.insert("version", v.to_string());
        fill_pattern(pattern, &values.iter().map(|(name, v)| (*name, v.as_str())).collect())
    };
    let (before, after) = (put(old), put(new));
    let whole: Vec<Range<usize>> = whole_words(text, &before);
    whole.into_iter().map(|r| Splice::new(r, after.clone())).collect()
}

/// Versions in lines that contain `mark`, or in the line after one that consists of a comment with it.
#[must_use]
pub fn in_marked_lines(text: &str, mark: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let (old, new) = (old.to_string(), new.to_string());
    let on = lines(text).filter(|(_, line)| line.contains(mark));
    on.flat_map(|(start, line)| {
        let new = new.clone();
        whole_words(line, &old).into_iter().map(move |r| Splice::new(start + r.start..start + r.end, new.clone()))
    })
    .collect()
}

/// The version in a file that holds nothing else, with an optional `v` and a line end.
#[must_use]
pub fn plain(text: &str, old: &Version, new: &Version) -> Option<Splice> {
    let bare = text.trim();
    let bare = bare.strip_prefix('v').unwrap_or(bare);
    let start = bare.as_ptr() as usize - text.as_ptr() as usize;
    (bare == old.to_string()).then(|| Splice::new(start..start + bare.len(), new.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::splice::splice;

    fn v(s: &str) -> Version {
        Version::parse(s).unwrap()
    }

    #[test]
    fn snippets_of_this_crate_at_this_version() {
        let text = "tokio = { version = \"1.43.3\", features = [\"full\"] }\r\n//! tokio = '1.43.3'\ntokio-util = \"1.43.3\"\n\
            tokio = \"1\"\ntokio = { version = \"1.43.2\" }\n[dependencies.tokio]\nversion = \"=1.43.3\"\n[x]\nversion = \"1.43.3\"\n";
        let after = splice(text, snippets(text, "tokio", &v("1.43.3"), &v("1.43.4")));
        let expected = text.replacen("1.43.3", "1.43.4", 2).replace("=1.43.3", "=1.43.4");
        assert_eq!(after, expected);
    }

    #[test]
    fn snippets_within_sentences_and_behind_comment_marks() {
        let text = "//! 2. Enable it: `acme = { version = \"1.2.3\",\n//! features = [] }`, not acme = \"1.2.3\" or `other = \"1.2.3\"`.\n";
        assert_eq!(splice(text, snippets(text, "acme", &v("1.2.3"), &v("1.2.4"))), text.replacen("1.2.3", "1.2.4", 1));
        let text =
            "# acme = { path=\"../acme\", version = \"1.2.3\" }\n# acme = { version = \"1.2.3\" }\n# acme 1.2.3\n";
        assert_eq!(splice(text, silenced(text, "acme", &v("1.2.3"), &v("1.2.4"))), text.replacen("1.2.3", "1.2.4", 1));
    }

    #[test]
    fn constants_of_this_crate_at_this_version() {
        let text = "variable::set(\"A_B_VERSION\", \"1.2.3\");\nset(A_B_VERSION 1.2.3)\nA_B_VERSION := 1.2.3\nA_B_VERSION='1.2.3'\n\
            A_B_VERSION=1.2.3.4\nMY_A_B_VERSION=1.2.3\nA_B_VERSION_MIN=1.2.3\nA_B_VERSION=1.2.2 # 1.2.3\nA_VERSION=1.2.3\n";
        let after = splice(text, constants(text, "a-b", &v("1.2.3"), &v("1.2.4")));
        assert_eq!(after, text.replacen("1.2.3", "1.2.4", 4));
        let text = "x = { package = \"a-b\", version = \"1.2.3\" }\na-b = { version = \"1.2.3\", package = \"x\" }\n\
            y = { version = \"1.2.3\" }\n";
        assert_eq!(splice(text, snippets(text, "a-b", &v("1.2.3"), &v("1.2.4"))), text.replacen("1.2.3", "1.2.4", 1));
        let text = "a_b = \"1.2.3\"\na-b = { version = \"1.2.3\" }\na.b = \"1.2.3\"\n";
        assert_eq!(splice(text, snippets(text, "a-b", &v("1.2.3"), &v("1.2.4"))), text.replacen("1.2.3", "1.2.4", 2));
    }

    #[test]
    fn a_citation_has_a_version_and_a_day() {
        let text = "cff-version: 1.2.3\ndate-released: 2026-01-01 # day\nversion: \"1.2.3\"\r\nreferences:\n  - version: 1.2.3\n";
        let day = jiff::civil::date(2026, 5, 21);
        let after = splice(text, citation(text, &v("1.2.3"), &v("1.2.4"), day));
        assert_eq!(after, text.replace("2026-01-01", "2026-05-21").replace("\"1.2.3\"", "\"1.2.4\""));
        assert_eq!(citation(text, &v("1.2.2"), &v("1.2.4"), day), []);
    }

    #[test]
    fn links_of_this_crate_only() {
        let text = "#![doc(html_root_url = \"https://docs.rs/serde/1.0.1\")]\n#![doc(html_root_url=\"https://docs.rs/other/1.0.1/x\")]\n";
        let after = splice(text, html_root_urls(text, "serde", &v("1.0.1"), &v("1.0.2")));
        assert_eq!(after, text.replace("serde/1.0.1", "serde/1.0.2"));
        let after = splice(text, own_root_urls(text, &v("1.0.1"), &v("1.0.2")));
        assert_eq!(after, text.replace("1.0.1", "1.0.2"), "in its own crate any name is its name");
        assert_eq!(own_root_urls("//! https://docs.rs/a/1.0.1 html_root_url", &v("1.0.1"), &v("1.0.2")), []);
        let text =
            "[a]: https://docs.rs/serde/1.0.1/serde/ <https://crates.io/crates/serde/1.0.1>, serde/1.0.1, /serde/1.0.1";
        let after = splice(text, links(text, "serde", &v("1.0.1"), &v("1.0.2")));
        assert_eq!(after, text.replacen("1.0.1", "1.0.2", 2));
    }

    #[test]
    fn a_version_in_the_query_of_a_badge() {
        let text = "[![Documentation](https://docs.rs/serde/badge.svg?version=1.0.1)](https://docs.rs/serde/1.0.1)\n\
            ![](https://deps.rs/crate/serde/1.0.1/status.svg) https://x/other/badge.svg?version=1.0.1 serde/?version=1.0.1\n\
            https://x/serde/b.svg?a=b&version=1.0.1-rc.1 https://x/serde/b.svg?version=1.0.10\n";
        let after = splice(text, links(text, "serde", &v("1.0.1"), &v("1.0.2")));
        assert_eq!(after, text.replacen("1.0.1", "1.0.2", 3));
    }

    #[test]
    fn snippets_in_comments_only() {
        let text = "//! a = \"1.2.3\"\n    /// [dependencies]\n    /// a = { version = \"1.2.3\" }\nlet x = r#\"\na = \"1.2.3\"\n\"#;\n";
        let after = splice(text, commented_snippets(text, "a", &v("1.2.3"), &v("1.2.4")));
        assert_eq!(after, text.replacen("1.2.3", "1.2.4", 2));
    }

    #[test]
    fn own_version_of_foreign_manifests() {
        let (name, version, range) = pyproject("[project]\nname = \"a\"\nversion = '1.2.3'\n").remove(0);
        assert_eq!((name.as_str(), version.as_str(), range), ("a", "1.2.3", 32..37));
        let text = "{\n \"name\": \"a\", \"x\": {\"version\": \"1\"}, \"l\": [\"version\", \"y\"],\n \"version\": \"1.2.3\", \"packages\": {\"\": {\"version\": \"1.2.3\"}, \"b\": {\"version\": \"1.2.3\"}}}";
        let (name, places) = package_json(text);
        assert_eq!((name.as_deref(), places.len()), (Some("a"), 2), "{:?}", json_strings(text));
    }

    #[test]
    fn plain_and_marked() {
        let text = "v1.2.3\n";
        assert_eq!(splice(text, plain(text, &v("1.2.3"), &v("1.2.4")).into_iter().collect()), "v1.2.4\n");
        assert_eq!(plain("1.2.3 or so", &v("1.2.3"), &v("1.2.4")), None);
        let text = "rev: v1.2.3\nother: v1.2.3\n";
        assert_eq!(
            splice(text, marked(text, "rev: v{version}", &v("1.2.3"), &v("1.2.4"))),
            "rev: v1.2.4\nother: v1.2.3\n"
        );
        let text = "a 1.2.3 # x-release-version\nb 1.2.3\n";
        let after = splice(text, in_marked_lines(text, "x-release-version", &v("1.2.3"), &v("1.2.4")));
        assert_eq!(after, "a 1.2.4 # x-release-version\nb 1.2.3\n");
    }
}
