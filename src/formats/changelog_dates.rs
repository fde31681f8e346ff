//! Days in changelogs, written as the project wrote them for the release before.

use std::ops::Range;

use jiff::civil::Date;
use semver::Version;

use super::changelog::{ChangelogSection, head, section, sections};
use super::splice::{Splice, lines, whole_words};

/// Dates the section of `new` the way the section of `old`, the release before, is dated: an unreleased heading takes
/// the form of the old heading, or an `Unreleased` line that of the old section's line. Where the release comes after a
/// pre-release without a section of its own, the dated one of the last release shows how. Nothing where the text does
/// not: no old section or one that is not released, an empty or missing unreleased one, or another version in the old
/// heading.
#[must_use]
pub fn date_as_before(text: &str, old: &Version, new: &Version, day: Date) -> Option<Splice> {
    let all = sections(text);
    let named = || {
        let before = section(text, old)?;
        let at = all.iter().position(|s| s.start == before.start)?;
        Some((all[..at].iter().rfind(|s| s.level == before.level)?, before, old.clone()))
    };
    let last = || {
        let at = all.iter().position(|s| is_unreleased(s.heading))?;
        let older = all[at + 1..].iter().filter(|s| s.level == all[at].level);
        let (before, version) = older.filter_map(|s| Some((s, version_in(s.heading)?))).next()?;
        day_in(before.heading)?;
        (version < *new).then(|| (&all[at], before.clone(), version))
    };
    let after_pre_release = !old.pre.is_empty() && new.pre.is_empty();
    let (own, before, old) = named().or_else(|| last().filter(|_| after_pre_release))?;
    let (old, new) = (old.to_string(), new.to_string());
    if is_unreleased(before.heading) {
        return None;
    }
    let names_new = !whole_words(own.heading, &new).is_empty();
    if is_unreleased(own.heading) {
        let body = &text[own.body.clone()];
        let mark = |l: &str| l.starts_with('#') || l.chars().all(|c| matches!(c, '=' | '-' | '~' | ' '));
        let empty = body.lines().all(mark);
        let other = own.heading.bytes().any(|b| b.is_ascii_digit()) && !names_new;
        let mut heading = before.heading.to_owned();
        if let Some((range, form)) = day_in(&heading) {
            heading.replace_range(range, &form.write(day));
        }
        for range in whole_words(&heading, &old).into_iter().rev() {
            heading.replace_range(range, &new);
        }
        // A link that compares two versions names the one before the old one too: that cannot be known from here.
        let compares = heading.contains("...") || heading.contains("://") && heading.matches(&new).count() > 1;
        let span = own.start..own.start + own.heading.len();
        return (!empty && !other && !compares).then(|| Splice::new(span, heading));
    }
    if !names_new {
        return None;
    }
    let ((start, now), (_, then)) = (first_line(text, own)?, first_line(text, &before)?);
    let (range, form) = day_in(&then)?;
    let mut dated = then.clone();
    dated.replace_range(range, &form.write(day));
    (is_unreleased(&now) && now.split_whitespace().count() <= 2).then(|| Splice::new(start..start + now.len(), dated))
}

/// The first version that a heading names.
fn version_in(heading: &str) -> Option<Version> {
    let words = heading.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '+'));
    words.filter_map(|w| Version::parse(w.strip_prefix('v').unwrap_or(w)).ok()).next()
}

/// The first line of a section that says something, with its place.
fn first_line(text: &str, section: &ChangelogSection<'_>) -> Option<(usize, String)> {
    let end = head(text, section).end;
    let from = section.body.start.min(end);
    let found = lines(&text[from..end]).find(|(_, l)| l.chars().any(char::is_alphanumeric));
    found.map(|(at, line)| (from + at, line.to_owned()))
}

/// Whether a line says that its section is not released yet.
#[must_use]
pub fn is_unreleased(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let words = ["unreleased", "not yet released", "xxxx-xx-xx", "yyyy-mm-dd", "tbd"];
    words.iter().any(|w| !whole_words(&lower, w).is_empty())
}

/// A day in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Where it stands.
    pub at: Range<usize>,
    /// Which it is.
    pub date: Date,
    /// The strftime format that writes it so; nothing where none does, as with `21st`.
    pub format: Option<&'static str>,
}

/// The first day that `text` names.
#[must_use]
pub fn day(text: &str) -> Option<Day> {
    let (at, form) = day_in(text)?;
    let bare: String = match form.0.contains("ORD") {
        false => text[at.clone()].to_owned(),
        true => ["st", "nd", "rd", "th"].iter().find_map(|o| {
            let i = text[at.clone()].find(&format!("{o},"))?;
            Some(text[at.start..at.start + i].to_owned() + &text[at.start + i + 2..at.end])
        })?,
    };
    let date = Date::strptime(form.0.replace("ORD", ""), bare).ok()?;
    Some(Day { at, date, format: (!form.0.contains("ORD")).then_some(form.0) })
}

/// How a day is written: a strftime format, in which `ORD` stands for `st`, `nd`, `rd` or `th`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form(&'static str);

impl Form {
    fn write(self, day: Date) -> String {
        let ordinal = match (day.day() % 10, day.day() / 10) {
            (_, 1) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        day.strftime(&self.0.replace("ORD", ordinal)).to_string()
    }
}

/// The first day that `line` names and its form: `2026-01-31`, also with `/` or `.`, `January 31, 2026`, `January 31st,
/// 2026`, `31 January 2026`, months also in three letters.
fn day_in(line: &str) -> Option<(Range<usize>, Form)> {
    let bytes = line.as_bytes();
    for (separator, format) in [(b'-', "%Y-%m-%d"), (b'/', "%Y/%m/%d"), (b'.', "%Y.%m.%d")] {
        let fits = |at: &usize| {
            let part = |i: usize, b: u8| if i == 4 || i == 7 { b == separator } else { b.is_ascii_digit() };
            bytes[*at..*at + 10].iter().enumerate().all(|(i, b)| part(i, *b))
        };
        if let Some(at) = (0..(line.len() + 1).saturating_sub(10)).find(fits) {
            return Some((at..at + 10, Form(format)));
        }
    }
    const WORDS: [&str; 8] = [
        "%B %-d, %Y",
        "%B %-dORD, %Y",
        "%b %-d, %Y",
        "%b %-dORD, %Y",
        "%-d %B %Y",
        "%-d %b %Y",
        "%B %d, %Y",
        "%B %-d %Y",
    ];
    let letter = |c: char| c.is_ascii_alphanumeric();
    let starts = line.char_indices().filter(|(i, c)| letter(*c) && !line[..*i].ends_with(letter));
    for (start, _) in starts {
        let ends = (start + 9..=line.len().min(start + 24)).rev().filter(|e| line.is_char_boundary(*e));
        for end in
            ends.filter(|e| line[..*e].ends_with(|c: char| c.is_ascii_digit()) && !line[*e..].starts_with(letter))
        {
            let text = &line[start..end];
            let read = |format: &str| {
                let bare = ["st,", "nd,", "rd,", "th,"].iter().find_map(|o| Some((text.find(o)?, *o)));
                let bare = match bare {
                    Some((i, _)) if format.contains("ORD") => format!("{}{}", &text[..i], &text[i + 2..]),
                    _ => text.to_owned(),
                };
                Date::strptime(format.replace("ORD", ""), &bare).ok()
            };
            let fits = |f: &'static str| read(f).is_some_and(|day| Form(f).write(day) == text);
            // A form that does not write the same text again would not write another day as the project does.
            if let Some(format) = WORDS.into_iter().find(|f| fits(f)) {
                return Some((start..end, Form(format)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::splice::splice;

    const DAY: Date = jiff::civil::date(2026, 5, 21);

    #[test]
    fn dated_as_the_release_before() {
        let check = |own: &str, before: &str| {
            let text = format!("# Log\n\n{own}\n- x\n\n{before}\n- y\n");
            let cut = date_as_before(&text, &Version::new(1, 2, 2), &Version::new(1, 2, 3), DAY)?;
            let after = splice(&text, vec![cut]);
            Some(after.lines().skip(2).take_while(|l| *l != "- x").collect::<Vec<_>>().join("|"))
        };
        let yes = |own: &str, before: &str| check(own, before).unwrap();
        assert_eq!(yes("## Unreleased", "## `1.2.2` - 2026-01-01"), "## `1.2.3` - 2026-05-21");
        assert_eq!(yes("## 1.2.3 - unreleased", "## 1.2.2"), "## 1.2.3");
        assert_eq!(yes("## [Unreleased]", "## 1.2.2 (January 1st, 2026)"), "## 1.2.3 (May 21st, 2026)");
        assert_eq!(yes("## [Unreleased]", "## 1.2.2 / 1 Jan 2026"), "## 1.2.3 / 21 May 2026");
        assert_eq!(
            yes("## 1.2.3\n\nUnreleased.\n", "## 1.2.2\n\nReleased 2026-01-01.\n"),
            "## 1.2.3||Released 2026-05-21.|"
        );
        for (own, before) in [
            ("## 1.2.4 - unreleased", "## 1.2.2"),
            ("## Unreleased", "## 1.2.1"),
            ("## 1.2.3", "## 1.2.2"),
            ("## Unreleased", "## [1.2.2](https://x/compare/1.2.1...1.2.2) (2026-01-01)"),
        ] {
            assert_eq!(check(own, before), None, "{own}");
        }
    }

    #[test]
    fn a_release_after_a_pre_release_without_a_section_is_dated_as_the_one_before() {
        let check = |own: &str, before: &str, old: &str| {
            let text = format!("# Log\n\n{own}\n- x\n\n{before}\n- y\n");
            let new = Version::parse(if old.ends_with("rc.0") { "1.3.0-rc.1" } else { "1.3.0" }).unwrap();
            let cut = date_as_before(&text, &Version::parse(old).unwrap(), &new, DAY)?;
            Some(splice(&text, vec![cut]).lines().nth(2)?.to_owned())
        };
        let yes = |own: &str, before: &str| check(own, before, "1.3.0-rc.1").unwrap();
        assert_eq!(yes("## 1.3.0 (UNRELEASED)", "## 1.2.2 (2025-01-01)"), "## 1.3.0 (2026-05-21)");
        assert_eq!(yes("## [Unreleased]", "## [v1.2.2] - 2025-01-01"), "## [v1.3.0] - 2026-05-21");
        assert_eq!(yes("## 1.3.0 (unreleased)\n- y\n## Removed", "## 1.2.2 (2025-01-01)"), "## 1.3.0 (2026-05-21)");
        assert_eq!(check("## [Unreleased]", "## [1.2.2] - 2025-01-01", "1.2.3"), None, "1.2.3 was left out");
        assert_eq!(check("## [Unreleased]", "## 1.4.0 - 2025-01-01", "1.3.0-rc.1"), None, "a later one");
        assert_eq!(check("## 1.3.0 (unreleased)", "## 1.2.2 (Client)", "1.3.0-rc.1"), None, "no day");
        assert_eq!(check("## [Unreleased]", "## [1.2.2] - 2025-01-01", "1.3.0-rc.0"), None, "pre-releases have none");
        assert_eq!(check("## 1.4.0 (unreleased)", "## 1.2.2 (2025-01-01)", "1.3.0-rc.1"), None, "of another version");
    }
}
