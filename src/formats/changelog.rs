//! Changelogs: the section of a version, its date, and its text as release notes.

use std::ops::Range;

use jiff::civil::Date;
use semver::Version;

use super::splice::{Splice, lines, whole_words};
use super::template::{Syntax, placeholders, render_strictly};

/// One section: a heading and what follows until the next heading of the same level or a higher one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogSection<'a> {
    /// The heading's line, marks included.
    pub heading: &'a str,
    /// Where the heading's line starts.
    pub start: usize,
    /// The range after the heading's line.
    pub body: Range<usize>,
    /// 1 to 6.
    pub level: usize,
}

/// Every section, in file order: Markdown headings (`## x`, or underlined by `===` and `---`), and reStructuredText's.
#[must_use]
pub fn sections(text: &str) -> Vec<ChangelogSection<'_>> {
    let all: Vec<(usize, &str)> = lines(text).collect();
    let mut out: Vec<ChangelogSection<'_>> = Vec::new();
    // Those that no later heading has ended yet, the outermost first.
    let mut open: Vec<usize> = Vec::new();
    let mut quoted = Quoted::default();
    for (i, (start, line)) in all.iter().enumerate() {
        let above = if i == 0 { "" } else { all[i - 1].1 };
        if quoted.takes(line, above) {
            continue;
        }
        let hashes = line.bytes().take_while(|b| *b == b'#').count();
        let under = all.get(i + 1).map_or("", |(_, l)| l.trim_end());
        let underlined = |c: char| under.len() >= 3 && under.chars().all(|u| u == c) && !line.trim().is_empty();
        let level = match hashes {
            1..=6 if line[hashes..].starts_with([' ', '\t']) => hashes,
            _ if line.starts_with(['-', '*', '#', ' ']) => continue,
            _ if underlined('=') => 1,
            _ if underlined('-') || underlined('~') => 2,
            _ => continue,
        };
        let end = start + line.len();
        let end = text[end..].find('\n').map_or(text.len(), |n| end + n + 1);
        while let Some(inner) = open.pop_if(|i| out[*i].level >= level) {
            out[inner].body.end = *start;
        }
        open.push(out.len());
        out.push(ChangelogSection { heading: line, start: *start, body: end..text.len(), level });
    }
    out
}

/// What is not text of a document's own: code between fences, and comments.
#[derive(Debug, Default)]
struct Quoted {
    /// The fence that is open: its mark, how often.
    fence: Option<(char, usize)>,
    comment: bool,
}

impl Quoted {
    /// Whether `line` belongs to code or to a comment; `above` is the line before. A line of `~` below a title underlines it.
    fn takes(&mut self, line: &str, above: &str) -> bool {
        let bare = line.trim_start();
        let count = |mark: char| bare.chars().take_while(|c| *c == mark).count();
        if let Some((mark, length)) = self.fence {
            if count(mark) >= length && bare.trim_start_matches(mark).trim().is_empty() {
                self.fence = None;
            }
            return true;
        }
        if self.comment || bare.starts_with("<!--") {
            self.comment = !line.contains("-->");
            return true;
        }
        let title = above.trim().chars().count();
        let underline = title > 0 && count('~') >= title && bare.trim_end().chars().all(|c| c == '~');
        self.fence = ['`', '~'].into_iter().map(|mark| (mark, count(mark))).find(|(_, n)| *n >= 3);
        self.fence = self.fence.filter(|(mark, _)| *mark == '`' || !underline);
        self.fence.is_some()
    }
}

/// The section of `version`: the first whose heading names it as a whole.
#[must_use]
pub fn section<'a>(text: &'a str, version: &Version) -> Option<ChangelogSection<'a>> {
    let version = version.to_string();
    sections(text).into_iter().find(|s| !whole_words(s.heading, &version).is_empty())
}

/// `template` with `{version}`, `{date}` (2026-01-31) and `{date:FORMAT}` (strftime) put in.
///
/// # Errors
/// Says which placeholder is none.
fn fill(template: &str, version: &Version, date: Date) -> Result<String, String> {
    render_strictly(template, |name| match name.split_once(':') {
        None if name == "version" => Ok(version.to_string()),
        None if name == "date" => Ok(date.to_string()),
        Some(("date", format)) => jiff::fmt::strtime::format(format, date).map_err(|e| format!("`{{{name}}}`: {e}")),
        _ => Err(format!("`{{{name}}}` is none of {{version}}, {{date}}, {{date:FORMAT}}")),
    })
}

/// What dating a changelog found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dated {
    /// These splices date the section.
    Splices(Vec<Splice>),
    /// The section bears another day; these splices give it this one.
    Redated(Vec<Splice>, Date),
    /// The section bears that date already.
    Already,
    /// There is no section for this version, and none that is unreleased.
    Missing,
}

/// Dates the section of `version`: what it says as `unreleased`, in its heading or its first lines, becomes `released`;
/// a section that names another day takes this one. Where `released` itself names `{version}`, the heading that says
/// `unreleased` becomes the version's. `insert` then goes before the section.
///
/// # Errors
/// A placeholder that is none.
pub fn date(
    text: &str,
    version: &Version,
    date: Date,
    unreleased: &str,
    released: &str,
    insert: Option<&str>,
) -> Result<Dated, String> {
    let stamp = fill(released, version, date)?;
    let all = sections(text);
    let own = section(text, version);
    let place = match &own {
        Some(s) => Some((s.start, head(text, s))),
        None if placeholders(released, Syntax::Strict).contains(&"version") => all
            .iter()
            .map(|s| (s.start, s.start..s.start + s.heading.len()))
            .find(|(_, r)| text[r.clone()].contains(unreleased)),
        None => None,
    };
    let Some((start, range)) = place else { return Ok(Dated::Missing) };
    let within = &text[range.clone()];
    // The place of the day in a line that says what `released` does.
    let stamped = |line: &str| -> Option<Range<usize>> {
        let (before, after) = released.split_once("{date}")?;
        let (before, after) = (fill(before, version, date).ok()?, fill(after, version, date).ok()?);
        let at = line.find(&before)? + before.len();
        let day = at..at + 10;
        let is_date = line.get(day.clone())?.parse::<Date>().is_ok();
        (is_date && line[day.end..].starts_with(&after)).then_some(day)
    };
    // Once it is dated, `unreleased` means another thing: a link's name, or a word of its first paragraph.
    let dated = lines(within).any(|(_, line)| line.contains(&stamp) || stamped(line).is_some());
    if let Some(i) = within.find(unreleased).filter(|_| !dated) {
        let at = range.start + i;
        let mut cuts = vec![Splice::new(at..at + unreleased.len(), stamp)];
        // The line ends that the changelog has.
        let crlf = text.find('\n').is_some_and(|n| text[..n].ends_with('\r'));
        let ends = |text: &str| if crlf { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text.to_owned() };
        cuts.extend(insert.map(|text| Splice::new(start..start, ends(text))));
        return Ok(Dated::Splices(cuts));
    }
    // A day that was foreseen and passed: `released` with another date in the same place.
    let found = lines(within).find_map(|(at, line)| Some((at, stamped(line)?)));
    match found {
        Some((at, day)) => {
            let start = range.start + at;
            let cut = Splice::new(start + day.start..start + day.end, date.to_string());
            Ok(match within[at + day.start..at + day.end].parse::<Date>() {
                Ok(other) if other != date => Dated::Redated(vec![cut], other),
                _ => Dated::Already,
            })
        }
        None => Ok(Dated::Already),
    }
}

/// Whether `notes` say nothing: they have headings, rules, comments and a line with a day at most.
#[must_use]
pub(crate) fn says_nothing(notes: &str) -> bool {
    let mut quoted = Quoted::default();
    let mut above = "";
    notes.lines().all(|line| {
        let hidden = quoted.takes(line, above) && quoted.fence.is_none();
        above = line;
        let dated = super::changelog_dates::day(line).is_some() && line.split_whitespace().count() <= 5;
        hidden || line.starts_with('#') || dated || !line.chars().any(char::is_alphanumeric)
    })
}

/// The heading and the lines up to the first one that is neither empty nor a paragraph's first.
#[must_use]
pub fn head(text: &str, section: &ChangelogSection<'_>) -> Range<usize> {
    let mut end = section.body.start;
    let mut seen = 0;
    for (start, line) in lines(&text[section.body.clone()]) {
        let underline = !line.is_empty() && line.chars().all(|c| matches!(c, '=' | '-' | '~'));
        if line.starts_with('#') || seen == 2 {
            break;
        }
        seen += usize::from(!line.trim().is_empty() && !underline);
        end = section.body.start + start + line.len();
    }
    section.start..end
}

/// The text of `version`'s section for a forge, without its heading and outer blank lines. `until` ends it early: a line
/// that starts with the text after `^`, or that contains the text.
#[must_use]
pub fn notes(text: &str, version: &Version, until: Option<&str>) -> Option<String> {
    let section = section(text, version)?;
    let body = &text[section.body.clone()];
    let ends = |line: &str| {
        until.is_some_and(|u| u.strip_prefix('^').map_or_else(|| line.contains(u), |start| line.starts_with(start)))
    };
    let end = lines(body).find(|(_, line)| ends(line)).map_or(body.len(), |(at, _)| at);
    let kept: Vec<&str> = lines(&body[..end]).map(|(_, l)| l).collect();
    let underline = |l: &&str| l.len() >= 3 && l.chars().all(|c| matches!(c, '=' | '~' | '-'));
    let kept = if kept.first().is_some_and(underline) { &kept[1..] } else { &kept[..] };
    Some(kept.join("\n").trim_matches('\n').to_owned() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::splice::splice;

    const DAY: Date = jiff::civil::date(2026, 5, 21);

    fn dated(text: &str, unreleased: &str, released: &str, insert: Option<&str>) -> Option<String> {
        match date(text, &Version::new(1, 2, 3), DAY, unreleased, released, insert).unwrap() {
            Dated::Splices(cuts) | Dated::Redated(cuts, _) => Some(splice(text, cuts)),
            Dated::Already => Some(text.to_owned()),
            Dated::Missing => None,
        }
    }

    #[test]
    fn the_section_of_the_version_is_dated_and_no_other() {
        let text = "## 1.2.3\r\n\r\nUnreleased.\r\n\r\n### Fixed\r\n\r\n* x\r\n\r\n--------\r\n\r\n## 1.2.2\r\n\r\nUnreleased.\r\n";
        let after = text.replacen("Unreleased", "Released 2026-05-21", 1);
        assert_eq!(dated(text, "Unreleased", "Released {date}", None).unwrap(), after);
        // Once more changes nothing; a passed day is corrected.
        assert_eq!(dated(&after, "Unreleased", "Released {date}", None).unwrap(), after);
        let passed = after.replace("05-21", "05-20");
        assert_eq!(dated(&passed, "Unreleased", "Released {date}", None).unwrap(), after);
        assert_eq!(dated("## 1.2.4\n\nUnreleased.\n", "Unreleased", "Released {date}", None), None);
        assert_eq!(dated("## 1.2.30\n\nUnreleased.\n", "Unreleased", "Released {date}", None), None);
        // A list item that mentions the word is not a date line.
        let prose = "## 1.2.3\n\nReleased 2026-05-21.\n\n### Fixed\n\n* Unreleased memory\n";
        assert_eq!(dated(prose, "Unreleased", "Released {date}", None).unwrap(), prose);
        // Nor is a link of that name in a section that has its version by now.
        let link = "## [Unreleased]\n\n[Unreleased]: https://example.org\n";
        let after = link.replacen("[Unreleased]", "[1.2.3] - 2026-05-21", 1);
        assert_eq!(dated(link, "[Unreleased]", "[{version}] - {date}", None).unwrap(), after);
        assert_eq!(dated(&after, "[Unreleased]", "[{version}] - {date}", None).unwrap(), after);
        let notes = notes(text, &Version::new(1, 2, 3), Some("^-----")).unwrap();
        assert_eq!(notes, "Unreleased.\n\n### Fixed\n\n* x\n");
    }

    #[test]
    fn examples_and_comments_are_no_sections() {
        for hidden in ["~~~\n## Unreleased\n~~~", "<!--\n## Unreleased\n-->", "````md\n```\n## Unreleased\n```\n````"] {
            let text = format!("# Log\n\nWrite:\n\n{hidden}\n\n## Unreleased\n\n- x\n\n## 1.2.2\n");
            let after = dated(&text, "Unreleased", "{version} - {date}", None).unwrap();
            let tail = "\n\n## 1.2.3 - 2026-05-21\n\n- x\n\n## 1.2.2\n";
            assert_eq!(after, format!("# Log\n\nWrite:\n\n{hidden}{tail}"));
        }
        // A title may be underlined by the mark of a fence.
        let text = "1.2.3 (unreleased)\n~~~~~~~~~~~~~~~~~~\n\n- x\n";
        assert_eq!(dated(text, "unreleased", "{date}", None).unwrap(), text.replace("unreleased", "2026-05-21"));
    }

    #[test]
    fn what_is_inserted_has_the_line_ends_of_the_changelog() {
        let text = "# Log\r\n\r\n## [Unreleased]\r\n\r\n- x\r\n";
        let after = dated(text, "[Unreleased]", "[{version}]", Some("## [Unreleased]\n\n")).unwrap();
        assert_eq!(after, "# Log\r\n\r\n## [Unreleased]\r\n\r\n## [1.2.3]\r\n\r\n- x\r\n");
    }

    #[test]
    fn notes_may_say_nothing() {
        for nothing in ["", "\n", "Released 2026-05-21.\n\n### Fixed\n", "<!-- write\nhere -->\n-----\n"] {
            assert!(says_nothing(nothing), "{nothing}");
        }
        for something in ["- x\n", "### Fixed\n\n* A bug that was there since 2026-05-21 is gone.\n", "```\nx\n```\n"] {
            assert!(!says_nothing(something), "{something}");
        }
    }

    #[test]
    fn a_heading_becomes_the_versions() {
        let text = "# Changes\n\n## [Unreleased]\n\n- x\n\n## [1.2.2] - 2026-01-01\n";
        let after = dated(text, "[Unreleased]", "[{version}] - {date}", Some("## [Unreleased]\n\n")).unwrap();
        assert_eq!(
            after,
            "# Changes\n\n## [Unreleased]\n\n## [1.2.3] - 2026-05-21\n\n- x\n\n## [1.2.2] - 2026-01-01\n"
        );
        let text = "1.2.3 (unreleased)\n------------------\n\n- x\n";
        let after = dated(text, "unreleased", "{date:%B %d, %Y}", None).unwrap();
        assert_eq!(after, "1.2.3 (May 21, 2026)\n------------------\n\n- x\n");
    }
}
