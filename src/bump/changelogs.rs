//! The changelog, or one per crate, that the rules name.

use jiff::civil::Date;
use semver::Version;

use super::Work;
use super::rules::{Changelog, OnFailure};
use super::tree::{file_in, parent};
use crate::error::{Error, Result};
use crate::formats::changelog::{self, Dated};
use crate::formats::splice::{line_of, splice};

/// What a release says of itself.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The project's section.
    pub(super) notes: Option<String>,
    /// Why the release notes say nothing, if they do.
    pub(super) unsaid: Option<String>,
}

/// Dates the sections of the versions that are released; returns the project's section as release notes.
pub(super) fn rewrite(work: &mut Work<'_>, rules: &Changelog, day: Date) -> Result<Said> {
    let main = work.main.1.clone();
    let mut paths: Vec<(String, Version)> = Vec::new();
    match rules.path.strip_prefix("{dir}/") {
        None => paths.push((rules.path.clone(), main.clone())),
        Some(name) => {
            let own = work.moves.values().map(|m| (file_in(parent(&m.manifest), name), m.new.clone()));
            paths.extend(own.filter(|(path, _)| work.sources.has(path)));
        }
    }
    let mut said = Said::default();
    for (path, version) in paths {
        let Some(text) = work.text(&path)? else {
            return Err(Error::input(format!("`{path}`, the changelog of the rules, is not in this tree"))
                .hint("correct `path` in `changelog` of `[version]`"));
        };
        let (unreleased, released) = (&rules.unreleased, &rules.released);
        let dated = changelog::date(&text, &version, day, unreleased, released, rules.insert.as_deref());
        let dated = dated.map_err(|e| Error::input(format!("`released` in `changelog` of `[version]`: {e}")))?;
        let text = match dated {
            Dated::Splices(cuts) => splice(&text, cuts),
            Dated::Redated(cuts, other) => {
                let at = cuts.first().map_or(1, |cut| line_of(&text, cut.span.start));
                work.note(format!("{path}:{at}: said {other} for {version}: it says {day} now"));
                splice(&text, cuts)
            }
            Dated::Already => text,
            Dated::Missing if rules.missing == OnFailure::Warn => {
                work.note(format!("{path}: no section for {version}: left as it is"));
                if version == main && said.notes.is_none() {
                    said.unsaid = Some(format!("{path} has no section for {version}"));
                }
                continue;
            }
            Dated::Missing => return Err(missing(rules, &path, &text, &version)),
        };
        if version == main && said.notes.is_none() {
            said.notes = changelog::notes(&text, &version, rules.notes_until.as_deref());
            let empty = said.notes.as_deref().is_none_or(changelog::says_nothing);
            said.unsaid = empty.then(|| format!("the section for {version} in {path} is empty"));
        }
        work.set(&path, text);
    }
    Ok(said)
}

/// The newest section is where the missing one belongs.
fn missing(rules: &Changelog, path: &str, text: &str, version: &Version) -> Error {
    let all = changelog::sections(text);
    let newest = all.iter().find(|s| s.heading.bytes().any(|b| b.is_ascii_digit())).or(all.first());
    let at = newest.map_or(1, |s| line_of(text, s.start));
    let says = newest.map_or("nothing", |s| s.heading).trim_end();
    Error::input(format!("{path}:{at}: no section for {version}"))
        .detail(format!("the newest section is `{}`", crate::model::escape(says)))
        .hint(format!("write one that says `{}`, or set `missing = \"warn\"` in `changelog`", rules.unreleased))
}
