//! Versions that stand as the value of a name that speaks of a version, in scripts, data and build files of any kind.

use std::ops::Range;

use semver::Version;

use super::splice::{Splice, lines, whole_words};

/// What may stand before such a name on its line: declarations, comment marks, calls that set a variable.
const DECLARES: [&str; 20] = [
    "pub",
    "pub(crate)",
    "const",
    "static",
    "let",
    "var",
    "export",
    "public",
    "final",
    "readonly",
    "#",
    "//",
    "///",
    "*",
    ";",
    "--",
    "set(",
    "variable::set(",
    "{",
    "local",
];
/// What a name may say beside `version` without speaking of something else: a minimal version, a protocol's.
const OWN: [&str; 22] = [
    "pkg",
    "package",
    "project",
    "crate",
    "app",
    "application",
    "release",
    "current",
    "product",
    "bundle",
    "lib",
    "library",
    "module",
    "program",
    "tool",
    "plugin",
    "extension",
    "cpack_package",
    "full",
    "short",
    "docs",
    "doc",
];

/// Every place where `old` is the whole value of such a name: `version = "1.2.3"`, `PKG_VERSION: &str = "1.2.3"`,
/// `version: 1.2.3`; and where a string begins with it: `"Version 1.2.3"`. The name is `version` alone or with a general word,
/// or has one of `names` (lowercase, with `_`) in it. An argument of a call does not count.
#[must_use]
pub fn fields(text: &str, names: &[String], old: &Version, new: &Version) -> Vec<Splice> {
    let found = whole_words(text, &old.to_string()).into_iter().filter(|at| is_value(text, at, names));
    found.map(|at| Splice::new(at, new.to_string())).collect()
}

fn is_value(text: &str, at: &Range<usize>, names: &[String]) -> bool {
    let start = text[..at.start].rfind('\n').map_or(0, |i| i + 1);
    let (left, right) = (&text[start..at.start], &text[at.end..]);
    let left = left.strip_suffix('v').unwrap_or(left);
    let begins = left.strip_suffix("Version ").unwrap_or(left);
    if begins.len() < left.len() && begins.ends_with(['"', '\'']) {
        return true;
    }
    let left = match left.chars().next_back() {
        Some(quote @ ('"' | '\'')) if right.starts_with(quote) => {
            let argument = right[1..].starts_with(',') && !left.contains("set(");
            if argument {
                return false;
            }
            &left[..left.len() - 1]
        }
        Some('"' | '\'') => return false,
        _ if right.lines().next().is_none_or(|l| matches!(l.trim(), "" | ")" | ";")) => left,
        _ => return false,
    };
    let left = left.trim_end();
    let Some(left) = left.strip_suffix(":=").or_else(|| left.strip_suffix(['=', ':', ','])) else { return false };
    let left = left.trim_end();
    let left = left.strip_suffix("str").map_or(left, |l| l.trim_end().trim_end_matches("'static").trim_end());
    let left = left.trim_end_matches(['&', ':', ' ', '\t', '"', '\'']);
    let key =
        left.len() - left.chars().rev().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).count();
    let (before, key) = left.split_at(key);
    let mut words = before.trim_end_matches(['"', '\'']).split_whitespace();
    speaks(key, names) && words.all(|w| DECLARES.contains(&w))
}

/// Whether a name is that of a version of our own.
fn speaks(key: &str, names: &[String]) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let Some(of) = key.strip_suffix("version") else { return false };
    let of = of.trim_matches('_');
    of.is_empty() || OWN.contains(&of) || names.iter().any(|n| n.len() > 2 && of.contains(n.as_str()))
}

/// Whether the line at `at` stands in no table of a TOML text, or in one that says what the file itself is of.
#[must_use]
pub(crate) fn in_own_table(text: &str, at: usize) -> bool {
    let table = lines(&text[..at]).map(|(_, l)| l.trim()).filter(|l| l.starts_with('[') && l.ends_with(']')).last();
    table.is_none_or(|t| ["[package]", "[project]", "[workspace.package]", "[plugin]", "[extension]"].contains(&t))
}

/// What CMake says of a version beside its `project(…)`: `VERSION 1.2.3` as a property, the variables `X_MAJOR`, `X_MINOR` and
/// `X_PATCH` that together say it, and `GIT_TAG v1.2.3` below a `GIT_REPOSITORY` that is called after one of `names`.
#[must_use]
pub fn cmake(text: &str, names: &[String], old: &Version, new: &Version) -> Vec<Splice> {
    let mut cuts = Vec::new();
    let mut ours = false;
    for (start, line) in lines(text) {
        let bare = line.trim();
        let at = |part: &str| start + (part.as_ptr() as usize - line.as_ptr() as usize);
        let mut words = bare.split_whitespace();
        match (words.next(), words.next()) {
            (Some("GIT_REPOSITORY"), Some(address)) => {
                let last = address.trim_end_matches('/').trim_end_matches(".git").rsplit('/').next();
                ours = last.is_some_and(|l| names.contains(&l.to_ascii_lowercase().replace('-', "_")));
            }
            (Some("GIT_TAG"), Some(tag)) if ours => {
                let version = tag.strip_prefix('v').unwrap_or(tag);
                if version == old.to_string() {
                    cuts.push(Splice::new(at(version)..at(version) + version.len(), new.to_string()));
                }
            }
            (Some("VERSION"), Some(version)) if version == old.to_string() => {
                cuts.push(Splice::new(at(version)..at(version) + version.len(), new.to_string()));
            }
            _ => {}
        }
    }
    cuts.extend(parts(text, old, new));
    cuts
}

/// `set(X_MAJOR 1)`, `set(X_MINOR 2)` and `set(X_PATCH 3)` of one `X` that ends with `VERSION`.
fn parts(text: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let set = lines(text).filter_map(|(start, line)| {
        let inside = line.trim().strip_prefix("set(")?.strip_suffix(')')?;
        let (name, value) = inside.split_once(char::is_whitespace)?;
        let (stem, part) = name.rsplit_once('_').filter(|(stem, _)| stem.ends_with("VERSION"))?;
        let value = value.trim();
        let at = start + (value.as_ptr() as usize - line.as_ptr() as usize);
        Some((stem, part, value, at))
    });
    let all: Vec<(&str, &str, &str, usize)> = set.collect();
    let steps = [("MAJOR", old.major, new.major), ("MINOR", old.minor, new.minor), ("PATCH", old.patch, new.patch)];
    let find = |stem: &str, part: &str, from: u64| {
        all.iter().find(|(s, p, v, _)| *s == stem && *p == part && *v == from.to_string())
    };
    let mut cuts = Vec::new();
    for (stem, ..) in all.iter().filter(|(_, part, ..)| *part == "PATCH") {
        let found: Option<Vec<_>> = steps.iter().map(|(part, from, to)| Some((find(stem, part, *from)?, to))).collect();
        let found = found.into_iter().flatten();
        cuts.extend(found.map(|((_, _, v, at), to)| Splice::new(*at..at + v.len(), to.to_string())));
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::splice::splice;

    const OLD: Version = Version::new(1, 14, 2);
    const NEW: Version = Version::new(1, 14, 3);

    #[test]
    fn a_version_that_is_the_value_of_its_name() {
        let names = ["acme".to_owned()];
        let after = |text: &str| splice(text, fields(text, &names, &OLD, &NEW));
        for ours in [
            "version = \"1.14.2\"",
            "# version = \"1.14.2\"",
            "version: 1.14.2",
            "  \"version\": \"1.14.2\"",
            "  text: \"Version 1.14.2\\n\";",
            "pub static PYACME_VERSION: &str = \"1.14.2\";",
            "const VERSION: &'static str = \"1.14.2\";",
            "PKG_VERSION = '1.14.2'",
            "export ACME_VERSION := v1.14.2",
            "set(\"ACME_VERSION\", \"1.14.2\");",
        ] {
            assert_eq!(after(ours), ours.replace("1.14.2", "1.14.3"));
        }
        for other in [
            "rust-version = \"1.14.2\"",
            "MIN_VERSION = \"1.14.2\"",
            "added in version: 1.14.2",
            "version = \"1.14.2-rc.1\"",
            "version: 1.14.2 and later",
            "version >= \"1.14.2\"",
            "dep = { version = \"1.14.2\" }",
            "subversion = \"1.14.2\"",
            "    version=\"1.14.2\",",
            "\"since Version 1.14.2\"",
        ] {
            assert_eq!(after(other), other);
        }
    }

    #[test]
    fn tables_of_the_file_itself() {
        let text = "version = 1\n[package]\nversion = 2\n[dependencies.a]\nversion = 3\n";
        let own: Vec<bool> = text.match_indices("version").map(|(at, _)| in_own_table(text, at)).collect();
        assert_eq!(own, [true, true, false]);
    }

    #[test]
    fn what_cmake_says() {
        let names = ["acme".to_owned()];
        let text = "set_target_properties(x PROPERTIES\n  VERSION 1.14.2\n)\nset(CPACK_PACKAGE_VERSION_MAJOR 1)\n\
            set(CPACK_PACKAGE_VERSION_MINOR 14)\nset(CPACK_PACKAGE_VERSION_PATCH 2)\nset(X_VERSION_PATCH 2)\n\
            GIT_REPOSITORY https://x/y/acme.git\nGIT_TAG v1.14.2\nGIT_REPOSITORY https://x/y/other\nGIT_TAG v1.14.2\n";
        let expected = text.replacen("1.14.2", "1.14.3", 2).replace("AGE_VERSION_PATCH 2", "AGE_VERSION_PATCH 3");
        assert_eq!(splice(text, cmake(text, &names, &OLD, &NEW)), expected);
    }
}
