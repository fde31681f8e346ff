//! The changelog, or one per crate, that the rules name.

use jiff::civil::Date;
use semver::Version;

use super::Work;
use super::rules::Changelog;
use super::tree::{file_in, parent};
use crate::error::{Error, Result};
use crate::formats::changelog::{self, Dated};
use crate::formats::splice::splice;

/// Dates the sections of the versions that are released; returns the project's section as release notes.
pub(super) fn rewrite(work: &mut Work<'_>, rules: &Changelog, day: Date) -> Result<Option<String>> {
    let main = work.main.1.clone();
    let mut paths: Vec<(String, Version)> = Vec::new();
    match rules.path.strip_prefix("{dir}/") {
        None => paths.push((rules.path.clone(), main.clone())),
        Some(name) => {
            let own = work.moves.values().map(|m| (file_in(parent(&m.manifest), name), m.new.clone()));
            paths.extend(own.filter(|(path, _)| work.sources.has(path)));
        }
    }
    let mut notes = None;
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
            Dated::Already => text,
            Dated::Missing => {
                work.note(format!("{path}: no section for {version}: left as it is"));
                continue;
            }
        };
        if version == main && notes.is_none() {
            notes = changelog::notes(&text, &version, rules.notes_until.as_deref());
        }
        work.set(&path, text);
    }
    Ok(notes)
}
