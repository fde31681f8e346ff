//! What a release changed outside Cargo's files, as rules that may explain it.

use std::collections::BTreeSet;

use semver::Version;
use similar::{DiffTag, TextDiff};

use super::past::{ReleaseCommit, is_changelog};
use crate::bump::{Changelog, OnFailure, VersionFile, VersionStyle};
use crate::error::Result;
use crate::formats::changelog::{ChangelogSection, head, section, sections};
use crate::formats::changelog_dates::{day, is_unreleased};
use crate::formats::splice::{lines, whole_words};

/// How much of a line stands around the version in a pattern, in characters.
const BEFORE: usize = 24;
const AFTER: usize = 8;

/// Rules for a version file that may explain the change of `path`: the project's own, and of the crates `others`.
pub(super) fn version_files(past: &ReleaseCommit<'_>, path: &str, others: &[String]) -> Result<Vec<VersionFile>> {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let styles: &[VersionStyle] = match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "h" | "hh" | "hpp" | "in" => &[VersionStyle::CHeader],
        "rs" => &[VersionStyle::HtmlRootUrl, VersionStyle::Snippet],
        "md" | "rst" => &[VersionStyle::Snippet],
        "toml" if name == "cbindgen.toml" => &[VersionStyle::CHeader],
        "toml" if name == "pyproject.toml" => &[VersionStyle::Pyproject],
        "json" => &[VersionStyle::PackageJson],
        "txt" | "" | "version" => &[VersionStyle::Plain],
        _ => &[],
    };
    let file = |style: VersionStyle, krate: Option<&String>, pattern: Option<String>| VersionFile {
        path: path.to_owned(),
        style,
        krate: krate.cloned(),
        pattern,
        when: None,
    };
    // Of the other crates only those that moved from a version which stands there; parts of one may stand apart.
    let text = past.before.text(path)?.unwrap_or_default();
    let named = |krate: &&String| {
        let own = past.moves().filter(|m| m.name == **krate || m.name.is_empty()).map(|m| &m.old);
        own.into_iter()
            .any(|old| !whole_words(&text, &old.to_string()).is_empty() || styles.contains(&VersionStyle::CHeader))
    };
    let whose: Vec<Option<&String>> = std::iter::once(None).chain(others.iter().filter(named).map(Some)).collect();
    let mut out = Vec::new();
    for style in styles {
        out.extend(whose.iter().map(|krate| file(*style, *krate, None)));
    }
    for pattern in patterns(past, path)? {
        out.extend(whose.iter().map(|krate| file(VersionStyle::Text, *krate, Some(pattern.clone()))));
    }
    Ok(out)
}

/// What surrounds a version in lines where a release changed nothing but that version.
fn patterns(past: &ReleaseCommit<'_>, path: &str) -> Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    let (Some(before), Some(after)) = (past.before.text(path)?, past.after.text(path)?) else { return Ok(out) };
    let diff = TextDiff::from_lines(&before, &after);
    let (old_lines, new_lines): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    for op in
        diff.ops().iter().filter(|op| op.tag() == DiffTag::Replace && op.old_range().len() == op.new_range().len())
    {
        for (a, b) in old_lines[op.old_range()].iter().zip(&new_lines[op.new_range()]) {
            for m in past.moves() {
                let Some(at) = whole_words(a, &m.old.to_string()).into_iter().next() else { continue };
                if a.replace(&m.old.to_string(), &m.new.to_string()) == **b {
                    out.insert(pattern(a, at));
                }
            }
        }
    }
    Ok(out)
}

/// What stands around the version at `at`: the longest text that begins and ends where words do and that is found again.
fn pattern(line: &str, at: std::ops::Range<usize>) -> String {
    let line = line.trim_end();
    let (head, tail) = (&line[..at.start], &line[at.end..]);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    // A number beside it may be another version's; a digit within a name (`PYO3_VERSION`) is none.
    let number = |s: &str| s.char_indices().any(|(i, c)| c.is_ascii_digit() && !s[..i].ends_with(word));
    let indent = head.len() - head.trim_start().len();
    let starts = head.char_indices().filter(|(i, c)| *i == indent || word(*c)).map(|(i, _)| i).chain([at.start]);
    let starts = starts.filter(|i| *i >= indent && head[*i..].chars().count() <= BEFORE && !number(&head[*i..]));
    let ends: Vec<usize> = tail.char_indices().map(|(i, c)| i + c.len_utf8()).take(AFTER).collect();
    for start in starts {
        let ends = ends.iter().rev().copied().chain([0]);
        for end in ends.filter(|i| tail[..*i].trim_end().len() == *i && !number(&tail[..*i])) {
            if whole_words(line, &line[start..at.end + end]).iter().any(|found| found.start == start) {
                return format!("{}{{version}}{}", &head[start..], &tail[..end]);
            }
        }
    }
    "{version}".to_owned()
}

/// Rules for a changelog that may explain the change of `path`.
pub(super) fn changelogs(past: &ReleaseCommit<'_>, path: &str) -> Result<Vec<Changelog>> {
    let mut out = Vec::new();
    let (Some(before), Some(after)) = (past.before.text(path)?, past.after.text(path)?) else { return Ok(out) };
    for m in past.moves() {
        let Some((unreleased, released, insert)) = convention(&before, &after, &m.new) else { continue };
        let notes_until = notes_until(&after, &m.new);
        let rule = |path: String| Changelog {
            path,
            unreleased: unreleased.clone(),
            released: released.clone(),
            missing: OnFailure::Stop,
            insert: insert.clone(),
            notes_until: notes_until.clone(),
        };
        out.push(rule(path.to_owned()));
        if let Some((_, name)) = path.rsplit_once('/') {
            out.push(rule(format!("{{dir}}/{name}")));
        }
        break;
    }
    // Where sections are written with the bump itself, a missing one is not a reason to stop.
    let lenient: Vec<Changelog> = out.iter().map(|c| Changelog { missing: OnFailure::Warn, ..c.clone() }).collect();
    out.extend(lenient);
    Ok(out)
}

/// (`unreleased`, `released`, `insert`) by which a changelog went from `before` to `after` for `version`.
fn convention(before: &str, after: &str, version: &Version) -> Option<(String, String, Option<String>)> {
    let own = section(after, version)?;
    if let Some(there) = section(before, version) {
        let (was, is) = (&before[head(before, &there)], &after[head(after, &own)]);
        let pairs = lines(was).zip(lines(is)).find(|((_, a), (_, b))| a != b && is_unreleased(a))?;
        let (unreleased, released) = template(pairs.0.1, pairs.1.1, version)?;
        return Some((unreleased, released, None));
    }
    let all = sections(before);
    let open = all.iter().find(|s| is_unreleased(s.heading))?;
    let (unreleased, released) = template(open.heading, own.heading, version)?;
    let again = sections(after).into_iter().find(|s| s.start < own.start && is_unreleased(s.heading));
    let insert = again.map(|s| after[s.start..own.start].to_owned());
    Some((unreleased, released, insert))
}

/// Whether a release wrote the section of its version into a changelog as a whole: prose, which no rule makes.
pub(super) fn wrote_section(past: &ReleaseCommit<'_>, path: &str) -> Result<bool> {
    let (Some(before), Some(after)) = (past.before.text(path)?, past.after.text(path)?) else { return Ok(false) };
    let wrote = |new: &Version| section(&before, new).is_none() && section(&after, new).is_some();
    Ok(is_changelog(path) && past.moves().any(|m| wrote(&m.new) && convention(&before, &after, &m.new).is_none()))
}

/// (`unreleased`, `released`) as a changelog itself shows them: the section of a version that is not released, beside the
/// section of the one before with its day in the same place.
pub(super) fn stamp(text: &str) -> Option<(String, String)> {
    let all = sections(text);
    let mut versioned = all.iter().filter_map(|s| Some((s, heading_version(s.heading)?)));
    let is_open = |s: &ChangelogSection<'_>| lines(&text[head(text, s)]).any(|(_, l)| is_unreleased(l));
    let (open, version) = versioned.find(|(s, _)| is_open(s))?;
    let (closed, old) = versioned.find(|(s, _)| s.level == open.level)?;
    let pairs = lines(&text[head(text, open)]).zip(lines(&text[head(text, closed)]));
    let (was, is) = pairs.map(|((_, a), (_, b))| (a, b)).find(|(a, b)| is_unreleased(a) && day(b).is_some())?;
    template(was, &is.replace(&old.to_string(), &version.to_string()), &version)
}

/// The version that a heading names.
fn heading_version(heading: &str) -> Option<Version> {
    let mut words = heading.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '+'));
    words.find_map(|w| Version::parse(w.strip_prefix('v').unwrap_or(w)).ok())
}

/// What of the line `was` became what of the line `is`, the version and the day as placeholders.
fn template(was: &str, is: &str, version: &Version) -> Option<(String, String)> {
    let joined = |s: &str, i: usize| {
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        word(s[..i].chars().next_back()) && word(s[i..].chars().next())
    };
    let mut start =
        was.char_indices().zip(is.chars()).find(|((_, a), b)| a != b).map_or(was.len().min(is.len()), |((i, _), _)| i);
    // A bracket belongs to what it is around.
    while start > 0 && (joined(was, start) || joined(is, start) || was[..start].ends_with(['[', '('])) {
        start -= was[..start].chars().next_back().map_or(1, char::len_utf8);
    }
    let (a, b) = (&was[start..], &is[start..]);
    let mut end =
        a.chars().rev().zip(b.chars().rev()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum::<usize>();
    while end > 0
        && (joined(a, a.len() - end) || joined(b, b.len() - end) || a[a.len() - end..].starts_with([']', ')']))
    {
        end -= a[a.len() - end..].chars().next().map_or(1, char::len_utf8);
    }
    let (unreleased, released) = (&a[..a.len() - end], &b[..b.len() - end]);
    if !is_unreleased(unreleased) || released.contains(['{', '}']) {
        return None;
    }
    let mut released = released.to_owned();
    if let Some(found) = day(&released) {
        let placeholder = match found.format {
            Some("%Y-%m-%d") => "{date}".to_owned(),
            Some(format) => format!("{{date:{format}}}"),
            None => return None,
        };
        released.replace_range(found.at, &placeholder);
    }
    for at in whole_words(&released, &version.to_string()).into_iter().rev() {
        released.replace_range(at, "{version}");
    }
    Some((unreleased.to_owned(), released))
}

/// Sections that end with a rule have their notes end there.
fn notes_until(text: &str, version: &Version) -> Option<String> {
    let own = section(text, version)?;
    let last = text[own.body].lines().rfind(|l| !l.trim().is_empty())?;
    (last.len() >= 5 && last.chars().all(|c| c == '-')).then(|| "^-----".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changelog_shows_how_it_is_dated() {
        let learned = |text: &str| stamp(text).map(|(u, r)| format!("{u} > {r}"));
        let text = "# Log\n\n## 1.3.0\n\nUnreleased.\n\n* x\n\n## 1.2.9\n\nReleased 2026-05-21.\n";
        assert_eq!(learned(text).as_deref(), Some("Unreleased > Released {date}"));
        let text = "## v1.3.0 (unreleased)\n\n## v1.2.9 (May 21, 2026)\n";
        assert_eq!(learned(text).as_deref(), Some("(unreleased) > ({date:%B %-d, %Y})"));
        // What becomes of a section without a version is not to be seen, nor of one without an earlier day.
        assert_eq!(learned("## Unreleased\n\n## 1.2.9 (2026-05-21)\n"), None);
        assert_eq!(learned("## 1.3.0\n\nUnreleased.\n\n## 1.2.9\n\nFixes.\n"), None);
        assert_eq!(learned("## 1.3.0\n\nReleased 2026-05-21.\n\n## 1.2.9\n\nReleased 2026-05-01.\n"), None);
    }

    #[test]
    fn templates_of_changelog_lines() {
        let v = Version::new(1, 2, 3);
        for (was, is, unreleased, released) in [
            ("Unreleased.", "Released 2026-05-21.", "Unreleased", "Released {date}"),
            ("## [Unreleased]", "## [1.2.3] - 2026-05-21", "[Unreleased]", "[{version}] - {date}"),
            ("## Unreleased", "## 1.2.3 (May 21, 2026)", "Unreleased", "{version} ({date:%B %-d, %Y})"),
            ("## 1.2.3 (unreleased)", "## 1.2.3 (2026-05-21)", "(unreleased)", "({date})"),
        ] {
            assert_eq!(template(was, is, &v), Some((unreleased.to_owned(), released.to_owned())), "{was}");
        }
        assert_eq!(template("## Unreleased", "## 1.2.3 (May 21st, 2026)", &v), None, "no placeholder writes `21st`");
        assert_eq!(pattern("  rev: v1.2.3 # 4\n", 8..13), "rev: v{version} #");
        let line = "variable::set(\"A3_VERSION\", \"1.2.3\");";
        assert_eq!(pattern(line, 29..34), "set(\"A3_VERSION\", \"{version}\");");
        assert_eq!(
            pattern("For more see https://a3.rs/v1.2.3/class.html#x", 28..33),
            "more see https://a3.rs/v{version}"
        );
        assert_eq!(pattern("since 0.9.1 at 1.2.3", 15..20), "at {version}");
    }
}
