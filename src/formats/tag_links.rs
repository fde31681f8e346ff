//! Addresses on a forge that name a release by its tag: `https://github.com/acme/acme/blob/v1.2.3/CHANGELOG.md`,
//! `https://github.com/acme/acme/tree/acme-cli-v1.2.3/cli`.

use semver::Version;

use super::splice::{Splice, whole_words};

/// What stands between a repository and a tag in the addresses of GitHub, GitLab and Forgejo.
const BETWEEN: [&str; 11] =
    ["-", "blob", "tree", "raw", "src", "refs", "tags", "tag", "releases", "download", "archive"];

/// Every tag of `krate` at `old` that is a part of an address's path: one that names the crate (`krate-v1.2.3`,
/// `krate-1.2.3`, `krate@1.2.3`) anywhere, one that does not (`v1.2.3`, `1.2.3`) in the repository called after the crate.
#[must_use]
pub(crate) fn tag_links(text: &str, krate: &str, old: &Version, new: &Version) -> Vec<Splice> {
    let version = old.to_string();
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | '<' | '>' | '[' | ']' | '`');
    let ours = |at: usize| {
        let word = text[..at].rfind(ends).map_or(0, |i| i + 1);
        let rest = text[at + version.len()..].split(ends).next().unwrap_or_default();
        let path = text[word..at].split_once("://").map(|(_, path)| path)?;
        let (before, head) = path.rsplit_once('/')?;
        let whole = rest.is_empty() || rest.starts_with(['/', '#', '?', '.', ',']);
        // A line of a file stands where it stands in that release only.
        let pinned = rest.split_once("#L").is_some_and(|(_, line)| line.starts_with(|c: char| c.is_ascii_digit()));
        if !whole || pinned {
            return None;
        }
        let named = head.strip_prefix(krate).is_some_and(|sign| matches!(sign, "-v" | "-" | "@" | "@v"));
        let repository = before.rsplit('/').find(|part| !BETWEEN.contains(part));
        let between = before.rsplit('/').next().is_some_and(|part| BETWEEN.contains(&part));
        (between && (named || matches!(head, "" | "v") && repository == Some(krate))).then_some(())
    };
    let found = whole_words(text, &version).into_iter().filter(|at| ours(at.start).is_some());
    found.map(|at| Splice::new(at, new.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::splice::splice;

    #[test]
    fn tags_of_this_crate_in_addresses() {
        let after = |text: &str| splice(text, tag_links(text, "acme", &Version::new(1, 2, 3), &Version::new(1, 2, 4)));
        for ours in [
            "//! - [CHANGELOG](https://github.com/x/acme/blob/v1.2.3/CHANGELOG.md) (1.2)",
            "[a]: https://github.com/x/acme/tree/1.2.3",
            "<https://github.com/x/tools/blob/acme-v1.2.3/README.md#sponsors>",
            "https://codeberg.org/x/acme/src/tag/v1.2.3/README.md",
            "https://gitlab.com/x/acme/-/releases/v1.2.3.",
            "https://github.com/x/tools/releases/tag/acme@1.2.3",
        ] {
            assert_eq!(after(ours), ours.replace("1.2.3", "1.2.4"));
        }
        for other in [
            "https://github.com/x/tools/blob/v1.2.3/CHANGELOG.md",
            "https://github.com/x/tools/blob/acme-cli-v1.2.3/README.md",
            "https://github.com/x/acme/blob/v1.2.3-rc.1/README.md",
            "https://github.com/x/acme/compare/v1.2.2...v1.2.3",
            "https://github.com/x/acme/blob/v1.2.3/src/lib.rs#L414",
            "https://github.com/x/acme/issues/1.2.3",
            "blob/v1.2.3/README.md",
            "see acme 1.2.3",
        ] {
            assert_eq!(after(other), other);
        }
    }
}
