//! Version files that the rules name.

use super::Work;
use super::families::admits_line;
use super::rules::{VersionFile, VersionStyle};
use crate::error::{Error, Result};
use crate::formats::glob::matches_path;
use crate::formats::splice::{Splice, line_of, splice, whole_words};
use crate::formats::{c_header, version_text};

/// The word that marks a line for the style `text` without a pattern.
const MARK: &str = "x-release-version";

/// Rewrites one declared file. It must name the old version, or the new one already.
pub(super) fn rewrite(work: &mut Work<'_>, file: &VersionFile) -> Result<()> {
    let (old, new) = match &file.krate {
        None => work.main.clone(),
        Some(name) => match work.moves.values().find(|m| m.name == *name) {
            Some(m) => (m.old.clone(), m.new.clone()),
            None => {
                return Err(Error::input(format!(
                    "`{}` carries the version of `{name}`, which does not move",
                    file.path
                ))
                .hint("correct `crate` in `files` of `[version]`, or add its family"));
            }
        },
    };
    if !admits_line(file.when.as_ref(), &work.main.0) {
        return Ok(());
    }
    if !file.path.contains(['*', '?', '[']) {
        return one(work, file, &file.path, (&old, &new))
            .and_then(|fits| if fits { Ok(()) } else { Err(none_fits(work, file, &old)) });
    }
    let paths: Vec<String> = work.sources.paths().iter().filter(|p| matches_path(&file.path, p)).cloned().collect();
    let mut any = false;
    for path in paths {
        any |= one(work, file, &path, (&old, &new))?;
    }
    if any { Ok(()) } else { Err(none_fits(work, file, &old)) }
}

/// No place of the file, or of the files that a glob names, has the version in the form that the rule says.
fn none_fits(work: &Work<'_>, file: &VersionFile, old: &semver::Version) -> Error {
    let mut error = Error::input(format!("{}: no place of its style names {old}", file.path));
    let text = work.text(&file.path).ok().flatten().unwrap_or_default();
    if let Some(at) = whole_words(&text, &old.to_string()).first() {
        error = error.detail(format!("{}:{}: {old} stands here in another form", file.path, line_of(&text, at.start)));
    }
    error.hint("correct the file, or its `style` or `pattern` in `files` of `[version]`")
}

/// Rewrites the file at `path` as the rule says; returns whether it names the old version, or the new one already.
fn one(
    work: &mut Work<'_>,
    file: &VersionFile,
    path: &str,
    (old, new): (&semver::Version, &semver::Version),
) -> Result<bool> {
    let name = file.krate.as_deref();
    let Some(text) = work.text(path)? else {
        return Err(Error::input(format!("`{}`, a version file of the rules, is not in this tree", file.path))
            .hint("correct `files` of `[version]`, or say with `when` which versions have it"));
    };
    let places = |from: &semver::Version, to: &semver::Version| -> Vec<Splice> {
        let crates = work.moves.values().filter(|m| name.map_or(m.old == *old, |n| n == m.name));
        match file.style {
            VersionStyle::CHeader => c_header::bump(&text, from, to, |_| true),
            VersionStyle::Pyproject => {
                let own = version_text::pyproject(&text).into_iter().filter(|(_, v, _)| *v == from.to_string());
                own.map(|(_, _, at)| Splice::new(at, to.to_string())).collect()
            }
            VersionStyle::PackageJson => {
                let own = version_text::package_json(&text).1.into_iter().filter(|(v, _)| *v == from.to_string());
                own.map(|(_, at)| Splice::new(at, to.to_string())).collect()
            }
            VersionStyle::Snippet => crates.flat_map(|m| version_text::snippets(&text, &m.name, from, to)).collect(),
            VersionStyle::HtmlRootUrl => {
                crates.flat_map(|m| version_text::html_root_urls(&text, &m.name, from, to)).collect()
            }
            VersionStyle::Plain => version_text::plain(&text, from, to).into_iter().collect(),
            VersionStyle::Text => match &file.pattern {
                Some(pattern) => version_text::marked(&text, pattern, from, to),
                None => version_text::in_marked_lines(&text, MARK, from, to),
            },
        }
    };
    let cuts = places(old, new);
    let fits = !cuts.is_empty() || !places(new, old).is_empty();
    let after = splice(&text, cuts);
    work.set(path, after);
    Ok(fits)
}
