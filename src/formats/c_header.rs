//! Version macros of C headers: `#define X_VERSION "1.2.3"` and `#define X_VERSION_MAJOR 1` with its siblings.

use std::collections::BTreeSet;

use semver::Version;

use super::splice::{Splice, lines};

/// One `#define NAME VALUE` whose name speaks of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macro<'a> {
    /// The macro's name.
    pub name: &'a str,
    /// Its value without quotes and without a comment.
    pub value: &'a str,
    /// Where the value starts.
    at: usize,
}

impl Macro<'_> {
    /// The name up to `VERSION`, `MAJOR`, `MINOR`, `PATCH` or `PRE`: what the macro is the version of.
    #[must_use]
    pub fn subject(&self) -> &str {
        let cut = ["_VERSION", "VERSION", "_VER_", "_MAJOR", "_MINOR", "_PATCH", "_MICRO"];
        let end = cut.iter().filter_map(|c| self.name.find(c)).min().unwrap_or(self.name.len());
        &self.name[..end]
    }

    /// The name with its last word, if that is a part of a version: (stem, part).
    fn part(&self) -> Option<(&str, Part)> {
        let parts = [
            ("MAJOR", Part::Major),
            ("MINOR", Part::Minor),
            ("PATCH", Part::Patch),
            ("MICRO", Part::Patch),
            ("PRE", Part::Pre),
            ("PRERELEASE", Part::Pre),
        ];
        parts.into_iter().find_map(|(word, part)| Some((self.name.strip_suffix(word)?, part)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Major,
    Minor,
    Patch,
    Pre,
}

impl Part {
    fn of(self, v: &Version) -> String {
        match self {
            Self::Major => v.major.to_string(),
            Self::Minor => v.minor.to_string(),
            Self::Patch => v.patch.to_string(),
            Self::Pre => v.pre.to_string(),
        }
    }
}

/// Every macro of `text` whose name speaks of a version, in file order.
pub(crate) fn macros(text: &str) -> Vec<Macro<'_>> {
    let read = |(start, line): (usize, &'_ str)| {
        let line: &str = line;
        let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("define")?;
        let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
        let (name, value) = rest.split_once([' ', '\t'])?;
        let speaks =
            name.contains("VERSION") || name.contains("MAJOR") || name.contains("MINOR") || name.contains("PATCH");
        let value = value.trim_start();
        let at = start + line.len() - value.len();
        let (value, at) = match value.strip_prefix('"') {
            Some(quoted) => (&quoted[..quoted.find('"')?], at + 1),
            None => (&value[..value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len())], at),
        };
        // The borrow is of `text`, which `line` is a part of.
        speaks.then_some((name.len(), start + line.len() - rest.len(), value.len(), at))
    };
    let found: Vec<_> = lines(text).filter_map(read).collect();
    found
        .into_iter()
        .filter_map(|(name, name_at, value, at)| {
            Some(Macro { name: text.get(name_at..name_at + name)?, value: text.get(at..at + value)?, at })
        })
        .collect()
}

/// The splices that take the macros which `ours` admits from `old` to `new`. A whole version must equal `old`; parts
/// count only when the major, minor and patch parts of one stem together say `old`.
pub fn bump(text: &str, old: &Version, new: &Version, ours: impl Fn(&Macro<'_>) -> bool) -> Vec<Splice> {
    let all = macros(text);
    let whole = old.to_string();
    let fitting = all.iter().filter_map(|m| m.part().filter(|(_, part)| m.value == part.of(old)));
    let fitting: BTreeSet<(&str, Part)> = fitting.collect();
    let says = |stem, wanted| fitting.contains(&(stem, wanted));
    let mut cuts = Vec::new();
    for m in all.iter().filter(|m| ours(m)) {
        let with = match m.part() {
            _ if m.value == whole => new.to_string(),
            Some((stem, part)) if [Part::Major, Part::Minor, Part::Patch].into_iter().all(|p| says(stem, p)) => {
                if m.value != part.of(old) {
                    continue;
                }
                part.of(new)
            }
            _ => continue,
        };
        if with != m.value {
            cuts.push(Splice::new(m.at..m.at + m.value.len(), with));
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::splice::splice;

    const HEADER: &str = "/* 1.2.3 */\n#define ACME_VERSION \"1.2.3\" // \"1.2.3\"\r\n#define ACME_VERSION_MAJOR 1\n\
        #  define ACME_VERSION_MINOR 2\n#define ACME_VERSION_PATCH 3\n#define ACME_VERSION_PRE \"\"\n\
        #define ZLIB_VERSION \"1.2.3\"\n#define ZLIB_VER_MAJOR 1\n#define FLAG_PATCH 3\n#define ACME_ABI_VERSION 3\n";

    #[test]
    fn whole_and_split_macros_of_ours_move() {
        let v = |s: &str| Version::parse(s).unwrap();
        let ours = |m: &Macro<'_>| m.subject() == "ACME";
        let after = splice(HEADER, bump(HEADER, &v("1.2.3"), &v("1.3.0-rc.1"), ours));
        let expected = HEADER
            .replace("ACME_VERSION \"1.2.3\"", "ACME_VERSION \"1.3.0-rc.1\"")
            .replace("MINOR 2", "MINOR 3")
            .replace("VERSION_PATCH 3", "VERSION_PATCH 0")
            .replace("PRE \"\"", "PRE \"rc.1\"");
        assert_eq!(after, expected);
        assert_eq!(bump(HEADER, &v("1.2.4"), &v("1.2.5"), |_| true), []);
    }
}
