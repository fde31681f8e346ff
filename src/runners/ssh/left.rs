//! What a job left on another machine, as that machine lists it. A machine may say anything: only what was asked for counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::model::escape;
use crate::runners::artifacts::{LeftFile, LeftFiles, LeftKind, directories};
use crate::step::ArtifactPath;

/// A listing that was read.
#[derive(Debug)]
pub(super) struct Listing {
    before: BTreeSet<Vec<u8>>,
    now: BTreeMap<Vec<u8>, (LeftKind, LeftFile)>,
}

/// One record of `listing.sh`.
struct Record<'a> {
    kind: LeftKind,
    size: u64,
    changed: u64,
    names: u64,
    names_inside: u64,
    path: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = bytes.splitn(6, |b| *b == b'\t');
        let kind = match fields.next()? {
            b"dir" => LeftKind::Directory,
            b"file" => LeftKind::File,
            b"link" => LeftKind::Link,
            b"other" => LeftKind::Other,
            _ => return None,
        };
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u64>().ok();
        let (size, changed, names, names_inside) = (number()?, number()?, number()?, number()?);
        Some(Self { kind, size, changed, names, names_inside, path: fields.next()? })
    }

    /// Whether it is about something that was asked for.
    fn was_asked_for(&self, declared: &[ArtifactPath]) -> bool {
        let on_the_way = |artifact: &ArtifactPath| {
            let path = artifact.path.as_bytes();
            path == self.path || path.strip_prefix(self.path).is_some_and(|rest| rest.starts_with(b"/"))
        };
        let beside = |directory: &str| {
            let below = match directory {
                "" => Some(self.path),
                directory => self.path.strip_prefix(directory.as_bytes()).and_then(|rest| rest.strip_prefix(b"/")),
            };
            below.is_some_and(|name| !name.contains(&b'/') && !matches!(name, b"" | b"." | b".."))
        };
        declared.iter().any(on_the_way) || directories(declared).into_iter().any(beside)
    }
}

impl Listing {
    /// Reads an answer of `collect`; none if the job's root is not there.
    ///
    /// # Errors
    /// It is not such an answer, or lists what nobody asked for.
    pub(super) fn read(answer: &[u8], declared: &[ArtifactPath]) -> Result<Option<Self>> {
        let nonsense = || Error::verification("the machine lists what a job left in another way than it was asked to");
        let mut lines = answer.splitn(3, |b| *b == b'\n');
        let (_state, started, records) = (lines.next(), lines.next().unwrap_or_default(), lines.next());
        if started == b"gone" {
            return Ok(None);
        }
        let started: u64 = std::str::from_utf8(started).ok().and_then(|s| s.parse().ok()).ok_or_else(nonsense)?;
        let records = records.and_then(|r| r.strip_suffix(b"\0")).ok_or_else(nonsense)?;
        let mut listing = Self { before: BTreeSet::new(), now: BTreeMap::new() };
        let mut is_before = true;
        for bytes in records.split(|b| *b == 0) {
            // What was there before the job ends with an empty record, which may be the last one.
            if bytes.is_empty() && is_before {
                is_before = false;
                continue;
            }
            let record = Record::read(bytes).ok_or_else(nonsense)?;
            if !record.was_asked_for(declared) {
                let path = escape(&String::from_utf8_lossy(record.path));
                return Err(Error::verification(format!("the machine lists `{path}`, for which nobody asked")));
            }
            if is_before {
                // A directory that was there may hold what was not.
                if record.kind != LeftKind::Directory {
                    listing.before.insert(record.path.to_vec());
                }
                continue;
            }
            let file = LeftFile {
                size: record.size,
                is_older: record.changed < started,
                is_linked_outside: record.names_inside < record.names,
            };
            // The record of a declared path comes first, and is measured.
            listing.now.entry(record.path.to_vec()).or_insert((record.kind, file));
        }
        if is_before { Err(nonsense()) } else { Ok(Some(listing)) }
    }
}

impl LeftFiles for Listing {
    fn kind(&self, path: &str) -> Result<Option<LeftKind>> {
        Ok(self.now.get(path.as_bytes()).map(|(kind, _)| *kind))
    }

    fn file(&self, path: &str) -> Result<LeftFile> {
        let found = self.now.get(path.as_bytes()).map(|(_, file)| *file);
        found.ok_or_else(|| Error::fatal(format!("the machine lists no `{}`", escape(path))))
    }

    fn was_there(&self, path: &[u8]) -> bool {
        self.before.contains(path)
    }

    fn in_directory(&self, directory: &str) -> Result<Vec<(Vec<u8>, LeftKind)>> {
        let within = |path: &[u8]| match directory {
            "" => !path.contains(&b'/'),
            directory => path
                .strip_prefix(directory.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"/"))
                .is_some_and(|name| !name.contains(&b'/')),
        };
        Ok(self.now.iter().filter(|(path, _)| within(path)).map(|(path, (kind, _))| (path.clone(), *kind)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ArtifactName;
    use crate::runners::artifacts::Judge;
    use crate::step::StepId;

    fn read(records: &[&str]) -> Result<Option<Listing>> {
        let mut answer = b"exited 0\n100\n".to_vec();
        for record in records {
            answer.extend_from_slice(record.replace(' ', "\t").as_bytes());
            answer.push(0);
        }
        let artifact =
            |path: &str, name: &str| ArtifactPath { path: path.into(), name: ArtifactName::new(name).unwrap() };
        let declared = [artifact("out/a", "a"), artifact("out/deep/b", "b")];
        let listing = Listing::read(&answer, &declared)?;
        let step: StepId = serde_json::from_str("\"build/1.2.3/x\"").unwrap();
        if let Some(listing) = &listing {
            Judge { step: &step, details: Vec::new() }.judge(listing, &declared)?;
        }
        Ok(listing)
    }

    const GOOD: [&str; 5] =
        ["", "dir 0 0 0 0 out", "file 5 100 1 1 out/a", "dir 0 0 0 0 out/deep", "file 5 100 1 1 out/deep/b"];

    #[test]
    fn a_listing_that_was_asked_for_is_judged() {
        read(&GOOD).unwrap().unwrap();
        for (change, refusal) in [
            ((2, "file 0 100 1 1 out/a"), "is empty"),
            ((2, "file 5 99 1 1 out/a"), "is older"),
            ((2, "file 5 100 2 1 out/a"), "is a hard link"),
            ((2, "link 0 0 0 0 out/a"), "is a symbolic link"),
            ((1, "link 0 0 0 0 out"), "reached through `out`"),
            ((3, "dir 0 0 0 0 out/else"), "is missing"),
            ((3, "file 0 0 0 0 out/else"), "is missing"),
        ] {
            let mut records = GOOD;
            records[change.0] = change.1;
            let refused = read(&records).unwrap_err().report();
            assert!(refused.contains(refusal), "{refusal}: {refused}");
        }
        let more = [&GOOD[..], &["file 0 0 0 0 out/more"]].concat();
        assert!(read(&more).unwrap_err().report().contains("`out/more` is not declared"));
        let before = [&["file 0 0 0 0 out/more"], &GOOD[..], &["file 0 0 0 0 out/more"]].concat();
        assert!(read(&before).is_ok(), "the source has it");
        let stale = [&["file 0 0 0 0 out/a"], &GOOD[..]].concat();
        assert!(read(&stale).unwrap_err().report().contains("was there before the job"));
    }

    #[test]
    fn a_hostile_machine_names_nothing_else() {
        for path in ["../a", "out/../../a", "/etc/passwd", "out/.", "out/..", "elsewhere", "out/", "", "out/deep/x/y"] {
            let more = format!("file 5 100 1 1 {path}");
            let records = [&GOOD[..], &[&*more]].concat();
            let refused = read(&records).unwrap_err().report();
            assert!(refused.contains("for which nobody asked"), "{path}: {refused}");
        }
        for records in [&["file x 1 1 1 out/a"][..], &["what 5 1 1 1 out/a"], &["file 5"], &[]] {
            assert!(read(records).is_err(), "{records:?}");
        }
        assert!(Listing::read(b"exited 0\ngone\n", &[]).unwrap().is_none());
        assert!(Listing::read(b"exited 0\nsoon\n", &[]).is_err());
    }
}
