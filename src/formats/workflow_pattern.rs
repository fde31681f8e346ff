//! The patterns with which a workflow file narrows branches, tags and paths ("Filter pattern cheat sheet" of the
//! documentation of workflow syntax): pure.

/// How often the thing before may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    /// `?`
    AtMostOnce,
    /// `+`
    AtLeastOnce,
}

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This character.
    One(char, Times),
    /// One of these ranges.
    OneOf(Vec<(char, char)>, Times),
    /// `*`: any characters but `/`.
    NoSlash,
    /// `**`: any characters.
    Anything,
    /// `**/` at the start of a path's part: any directories, or none.
    AnyDirectories,
}

/// Whether `pattern`, without a leading `!`, matches the whole of `text`; none if the pattern cannot be read.
#[must_use]
pub(crate) fn pattern_matches(pattern: &str, text: &str) -> Option<bool> {
    let parts = parts(pattern)?;
    let text: Vec<char> = text.chars().collect();
    Some(fits(&parts, &text))
}

/// Whether a list of patterns takes `text`: the last one that matches decides, and one with `!` excludes; none if that
/// cannot be known.
#[must_use]
pub(crate) fn list_takes(patterns: &[String], text: &str) -> Option<bool> {
    let mut taken = Some(false);
    for pattern in patterns {
        let (matched, take) = match pattern.strip_prefix('!') {
            Some(rest) => (pattern_matches(rest, text), false),
            None => (pattern_matches(pattern, text), true),
        };
        match matched {
            Some(true) => taken = Some(take),
            Some(false) => {}
            None => taken = if taken == Some(take) { taken } else { None },
        }
    }
    taken
}

fn parts(pattern: &str) -> Option<Vec<Part>> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out: Vec<Part> = Vec::new();
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        i += 1;
        match c {
            '*' if chars.get(i) == Some(&'*') => {
                let starts_a_part = i == 1 || chars.get(i.checked_sub(2)?) == Some(&'/');
                i += 1;
                if starts_a_part && chars.get(i) == Some(&'/') {
                    i += 1;
                    out.push(Part::AnyDirectories);
                } else {
                    out.push(Part::Anything);
                }
            }
            '*' => out.push(Part::NoSlash),
            '[' => {
                let end = i + chars[i..].iter().position(|c| *c == ']')?;
                out.push(Part::OneOf(ranges(&chars[i..end])?, Times::Once));
                i = end + 1;
            }
            '\\' => {
                out.push(Part::One(*chars.get(i)?, Times::Once));
                i += 1;
            }
            '?' | '+' => {
                let wanted = if c == '?' { Times::AtMostOnce } else { Times::AtLeastOnce };
                match out.last_mut() {
                    Some(Part::One(_, times) | Part::OneOf(_, times)) if *times == Times::Once => *times = wanted,
                    _ => return None,
                }
            }
            other => out.push(Part::One(other, Times::Once)),
        }
    }
    Some(out)
}

fn ranges(inside: &[char]) -> Option<Vec<(char, char)>> {
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(&from) = inside.get(i) {
        if let (Some('-'), Some(&to)) = (inside.get(i + 1), inside.get(i + 2)) {
            out.push((from, to));
            i += 3;
        } else {
            out.push((from, from));
            i += 1;
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Which positions of the text can be reached, part by part: linear in both, whatever the pattern.
fn fits(parts: &[Part], text: &[char]) -> bool {
    let mut at = vec![false; text.len() + 1];
    at[0] = true;
    for part in parts {
        at = match part {
            Part::One(c, times) => step(&at, text, *times, |t| t == *c),
            Part::OneOf(ranges, times) => {
                step(&at, text, *times, |t| ranges.iter().any(|(from, to)| (*from..=*to).contains(&t)))
            }
            Part::NoSlash => run(&at, text, |t| t != '/'),
            Part::Anything => run(&at, text, |_| true),
            Part::AnyDirectories => {
                let anywhere = run(&at, text, |_| true);
                let after_slash = |i: usize| i > 0 && text[i - 1] == '/' && anywhere[i];
                (0..at.len()).map(|i| at[i] || after_slash(i)).collect()
            }
        };
    }
    at[text.len()]
}

fn step(at: &[bool], text: &[char], times: Times, is: impl Fn(char) -> bool) -> Vec<bool> {
    let mut next = vec![false; at.len()];
    for i in 0..at.len() {
        if at[i] && times == Times::AtMostOnce {
            next[i] = true;
        }
        let from = at[i] || (times == Times::AtLeastOnce && next[i]);
        if from && i < text.len() && is(text[i]) {
            next[i + 1] = true;
        }
    }
    next
}

fn run(at: &[bool], text: &[char], is: impl Fn(char) -> bool) -> Vec<bool> {
    let mut next = at.to_vec();
    for i in 0..text.len() {
        if next[i] && is(text[i]) {
            next[i + 1] = true;
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the documentation's own table.
    #[test]
    fn the_cheat_sheet() {
        let yes: &[(&str, &[&str])] = &[
            ("feature/*", &["feature/my-branch", "feature/your-branch"]),
            ("feature/**", &["feature/beta-a/my-branch", "feature/your-branch", "feature/mona/the/octocat"]),
            ("releases/mona-the-octocat", &["releases/mona-the-octocat"]),
            ("*", &["main", "releases"]),
            ("**", &["all/the/branches", "every/tag"]),
            ("*feature", &["mona-feature", "feature", "ver-10-feature"]),
            ("v2*", &["v2", "v2.0", "v2.9"]),
            ("v[12].[0-9]+.[0-9]+", &["v1.10.1", "v2.0.0"]),
            ("*.jsx?", &["page.js", "page.jsx"]),
            ("**.js", &["index.js", "js/index.js", "src/js/app.js"]),
            ("docs/*", &["docs/README.md", "docs/file.txt"]),
            ("docs/**/*.md", &["docs/README.md", "docs/mona/hello-world.md", "docs/a/markdown/file.md"]),
            ("**/docs/**", &["docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"]),
            ("**/README.md", &["README.md", "js/README.md"]),
            ("**/*src/**", &["a/src/app.js", "my-src/code/js/app.js"]),
            ("**/*-post.md", &["my-post.md", "path/their-post.md"]),
            ("**/migrate-*.sql", &["migrate-10909.sql", "db/migrate-v1.0.sql", "db/sept/migrate-v1.sql"]),
            ("a\\+b", &["a+b"]),
        ];
        for (pattern, texts) in yes {
            for text in *texts {
                assert_eq!(pattern_matches(pattern, text), Some(true), "{pattern} {text}");
            }
        }
        for (pattern, text) in [
            ("feature/*", "feature/a/b"),
            ("*", "a/b"),
            ("v[12].[0-9]+.[0-9]+", "v3.0.0"),
            ("v[12].[0-9]+.[0-9]+", "v1..0"),
            ("*.jsx?", "page.jsxx"),
            ("docs/*", "docs/a/b.md"),
            ("**/README.md", "xREADME.md"),
            ("release-*", "main"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(pattern_matches(pattern, text), Some(false), "{pattern} {text}");
        }
        for broken in ["[", "+a", "a\\", "*?", "[]"] {
            assert_eq!(pattern_matches(broken, "a"), None, "{broken}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let list = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(list_takes(&list(&["releases/**", "!releases/**-alpha"]), "releases/10"), Some(true));
        assert_eq!(list_takes(&list(&["releases/**", "!releases/**-alpha"]), "releases/beta-alpha"), Some(false));
        assert_eq!(list_takes(&list(&["*.md", "!README.md", "README*"]), "README.md"), Some(true));
        assert_eq!(list_takes(&list(&["!main"]), "other"), Some(false), "nothing includes it");
        assert_eq!(list_takes(&list(&["[", "a"]), "a"), Some(true));
        assert_eq!(list_takes(&list(&["a", "!["]), "a"), None);
        assert_eq!(list_takes(&list(&["a", "["]), "a"), Some(true));
    }
}
