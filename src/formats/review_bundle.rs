//! A review bundle: everything that a person needs to look at a train on another machine, as one file.
//!
//! It is a plain tar archive of regular files in a fixed order: [`NOTICE`] for people, [`HEADER`], [`PLAN`], [`JOURNAL`],
//! [`CONTENT`], then the objects as `objects/<sha256>`. Nothing in it is believed: the journal is signed and chained, each
//! object is named by its digest, and the header must say what follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::signed::{self, SignedDocument};
use crate::error::{Context as _, Error, Result};
use crate::model::{ProjectName, Sha256, TrainName, TrainNonce, escape};

/// The first file, for whoever opens the bundle by hand.
pub const NOTICE: &str = "EMBARGOED.txt";
/// What the bundle is about; see [`Header`].
pub const HEADER: &str = "bundle.json";
/// The adopted plan.
pub const PLAN: &str = "plan.json";
/// The journal up to the export.
pub const JOURNAL: &str = "journal.jsonl";
/// The content manifest that people approve.
pub const CONTENT: &str = "content.json";
/// Where the objects are.
const OBJECTS: &str = "objects/";

/// The most that any file but an object may hold: far more than a plan or a journal of hundreds of lines needs.
const SMALL: u64 = 256 << 20;

/// The most that the notice and the header may hold: what follows is judged by them.
const FIRST: u64 = 16 << 20;

/// What a bundle is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// `lifeboat-review-bundle`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// The train's nonce.
    pub train: TrainNonce,
    /// Version of this format: 1.
    pub format: u32,
    /// Says that nobody else may read it; for people.
    pub embargo: String,
    /// The train's name.
    pub name: TrainName,
    /// SHA-256 of the canonical plan.
    pub plan: Sha256,
    /// SHA-256 of the content manifest.
    pub content: Sha256,
    /// SHA-256 of the trust root under which the train was planned.
    pub root: Sha256,
    /// When it was written.
    pub exported: Timestamp,
    /// Where the staged files are.
    pub staged: Vec<StagedAt>,
    /// Whether the staged files are among the objects.
    pub bytes: bool,
    /// Every object that it holds.
    pub objects: BTreeSet<Sha256>,
}

/// Where a store has the staged files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagedAt {
    /// The store, as the plan names it.
    pub store: String,
    /// Its address on the operator's machine.
    pub address: String,
    /// The train's own directory there, seen by the team alone.
    pub directory: String,
}

impl SignedDocument for Header {
    const TYPE: &'static str = "lifeboat-review-bundle";
}

/// The text of [`NOTICE`].
#[must_use]
pub fn notice(header: &Header) -> String {
    format!(
        "EMBARGOED: do not forward, publish or keep this file.\n\n\
         It holds the unreleased fixes of train `{}` of {}, for those who approve it.\n\
         Review and approve it on a machine with your own clone, keys and pinned trust root:\n\n  \
         lifeboat approve --bundle FILE --as NAME --out APPROVAL\n\n\
         Send APPROVAL back to the operator, and delete this file after the release.\n",
        header.name, header.project
    )
}

/// Writes bundles, file by file.
pub struct Writer<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
    date: u64,
}

impl<'a> Writer<'a> {
    /// Begins a bundle: its notice and its header.
    pub fn new(out: &'a mut dyn Write, header: &Header) -> Result<Self> {
        let date = u64::try_from(header.exported.as_second()).unwrap_or_default();
        let mut writer = Self { tar: tar::Builder::new(out), date };
        writer.file(NOTICE, notice(header).as_bytes())?;
        writer.file(HEADER, &signed::to_bytes(header)?)?;
        Ok(writer)
    }

    /// Adds one of the named files.
    pub fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.stream(name, bytes.len() as u64, &mut &*bytes)
    }

    /// Adds an object of this size.
    pub fn object(&mut self, id: &Sha256, size: u64, bytes: &mut dyn Read) -> Result<()> {
        self.stream(&format!("{OBJECTS}{id}"), size, bytes)
    }

    fn stream(&mut self, name: &str, size: u64, bytes: &mut dyn Read) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(self.date);
        self.tar.append_data(&mut header, name, bytes).context(format!("cannot write `{name}` of the bundle"))
    }

    /// Ends the bundle.
    pub fn finish(mut self) -> Result<()> {
        self.tar.finish().context("cannot write the end of the bundle")
    }
}

/// The small files of a bundle.
#[derive(Debug)]
pub struct Parts {
    /// What it is about.
    pub header: Header,
    /// The bytes of [`PLAN`].
    pub plan: Vec<u8>,
    /// The bytes of [`JOURNAL`].
    pub journal: Vec<u8>,
    /// The bytes of [`CONTENT`].
    pub content: Vec<u8>,
}

fn broken(what: impl Into<String>) -> Error {
    Error::verification(what)
        .hint("fetch the file again, or ask the operator for another one, there: `lifeboat export TRAIN --to FILE`")
}

/// How large the objects of a bundle may be, in bytes.
#[derive(Debug, Default)]
pub struct ObjectLimits {
    /// The objects that the journal names, with their sizes where it says them. Where it does not, up to [`UNSIZED`].
    pub named: BTreeMap<Sha256, Option<u64>>,
}

/// The most that an object may hold whose size is recorded nowhere; those that the journal does not even name, such as files
/// that commands of the project changed, have this much together.
pub(crate) const UNSIZED: u64 = SMALL;

impl ObjectLimits {
    /// Refuses an object of `size` bytes if it is too large; `others` is how much the objects that are not named have left.
    ///
    /// # Errors
    /// It is, or the journal says another size.
    pub(crate) fn admit(&self, id: &Sha256, size: u64, others: &mut u64) -> Result<()> {
        let most = match self.named.get(id) {
            Some(Some(recorded)) if *recorded != size => {
                return Err(broken(format!("object {id} in it has other bytes than its name says"))
                    .detail(format!("the journal says {recorded} bytes; there: {size}")));
            }
            Some(Some(_)) => return Ok(()),
            Some(None) => UNSIZED,
            None => *others,
        };
        if size > most {
            return Err(broken(format!("object {id} in it is too large"))
                .detail(format!("it has {size} bytes; at most {most} may follow, since its size is not recorded")));
        }
        if !self.named.contains_key(id) {
            *others -= size;
        }
        Ok(())
    }
}

/// The parts from the first five files, which are in their order.
fn parts(small: Vec<Vec<u8>>, header: Option<Header>) -> Result<Parts> {
    let [text, _, plan, journal, content]: [Vec<u8>; 5] =
        small.try_into().map_err(|_| broken("it is cut off: plan, journal or content are missing"))?;
    let header = header.ok_or_else(|| broken(format!("it has no `{HEADER}`")))?;
    if text != notice(&header).as_bytes() {
        return Err(broken(format!("`{NOTICE}` in it was changed")));
    }
    Ok(Parts { header, plan, journal, content })
}

/// Reads a bundle. `limits` sees its parts before the first object is read; each object is then given to `object` under the
/// digest that it must have.
///
/// # Errors
/// Anything that [`Writer`] does not write: another kind of file, other names or order, an object too many or too few or too
/// large, an archive that is cut off; those of `limits` and `object`.
pub fn read(
    source: &mut dyn Read,
    limits: impl FnOnce(&Parts) -> Result<ObjectLimits>,
    mut object: impl FnMut(&Sha256, &mut dyn Read) -> Result<()>,
) -> Result<Parts> {
    let mut archive = tar::Archive::new(source);
    let mut entries = archive.entries().map_err(|e| broken("it is not a review bundle").because(e))?;
    let mut small: Vec<Vec<u8>> = Vec::new();
    let mut header: Option<Header> = None;
    for expected in [NOTICE, HEADER, PLAN, JOURNAL, CONTENT] {
        let first = small.is_empty();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|e| not_one(first, e))?;
        let name = regular(&entry)?;
        if name != expected {
            let what = format!("it has `{}` where `{expected}` should be", escape(&name));
            return Err(broken(if first { "it is not a review bundle".to_owned() } else { what }));
        }
        let limit = if [NOTICE, HEADER].contains(&expected) { FIRST } else { SMALL };
        let mut bytes = Vec::new();
        entry.by_ref().take(limit + 1).read_to_end(&mut bytes).map_err(|e| not_one(first, e))?;
        if bytes.len() as u64 > limit {
            return Err(broken(format!("`{name}` in it is larger than {} MiB", limit >> 20)));
        }
        if name == HEADER {
            header = Some(signed::from_bytes(&bytes, HEADER)?);
        }
        small.push(bytes);
    }
    let parts = parts(small, header)?;
    let limits = limits(&parts)?;
    let mut seen = BTreeSet::new();
    let mut others = UNSIZED;
    for entry in entries {
        let mut entry = entry.map_err(|e| not_one(false, e))?;
        let name = regular(&entry)?;
        let id = name.strip_prefix(OBJECTS).and_then(|hex| hex.parse::<Sha256>().ok());
        match id.filter(|id| parts.header.objects.contains(id)) {
            Some(id) if seen.insert(id) => {
                limits.admit(&id, entry.size(), &mut others)?;
                object(&id, &mut entry)?;
            }
            Some(id) => return Err(broken(format!("it holds object {id} twice"))),
            None => return Err(broken(format!("it holds `{}`, which its header does not list", escape(&name)))),
        }
    }
    match parts.header.objects.difference(&seen).next() {
        Some(lost) => Err(broken(format!("it is cut off: object {lost} is missing"))),
        None => Ok(parts),
    }
}

/// A file of the archive that cannot be read.
fn not_one(first: bool, e: std::io::Error) -> Error {
    broken(if first { "it is not a review bundle" } else { "it is cut off or damaged" }).because(e)
}

/// The name of a regular file of the archive.
fn regular(entry: &tar::Entry<'_, impl Read>) -> Result<String> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if entry.header().entry_type() == tar::EntryType::Regular {
        return Ok(name);
    }
    Err(broken(format!("`{}` in it is not a regular file", escape(&name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(objects: &[&[u8]]) -> Header {
        Header {
            kind: Header::TYPE.to_owned(),
            project: ProjectName::new("sample").unwrap(),
            train: TrainNonce::from_bytes([5; 16]),
            format: 1,
            embargo: "EMBARGOED".to_owned(),
            name: TrainName::new("drill").unwrap(),
            plan: Sha256::of(b"plan"),
            content: Sha256::of(b"content"),
            root: Sha256::of(b"root"),
            exported: Timestamp::UNIX_EPOCH,
            staged: Vec::new(),
            bytes: false,
            objects: objects.iter().map(|o| Sha256::of(o)).collect(),
        }
    }

    fn written(header: &Header, objects: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, header).unwrap();
        for (name, bytes) in [(PLAN, b"plan"), (JOURNAL, b"jour"), (CONTENT, b"cont")] {
            writer.file(name, bytes).unwrap();
        }
        for object in objects {
            writer.object(&Sha256::of(object), object.len() as u64, &mut &**object).unwrap();
        }
        writer.finish().unwrap();
        out
    }

    fn read_all(bytes: &[u8]) -> Result<(Parts, Vec<Vec<u8>>)> {
        read_within(bytes, ObjectLimits::default())
    }

    fn read_within(bytes: &[u8], limits: ObjectLimits) -> Result<(Parts, Vec<Vec<u8>>)> {
        let mut objects = Vec::new();
        let parts = read(
            &mut &*bytes,
            |_| Ok(limits),
            |_, from| {
                let mut bytes = Vec::new();
                from.read_to_end(&mut bytes).context("cannot read")?;
                objects.push(bytes);
                Ok(())
            },
        )?;
        Ok((parts, objects))
    }

    #[test]
    fn what_is_written_is_read() {
        let objects: [&[u8]; 2] = [b"one", b"two"];
        let (parts, read) = read_all(&written(&header(&objects), &objects)).unwrap();
        assert_eq!(parts.header, header(&objects));
        assert_eq!(
            (&parts.plan[..], &parts.journal[..], &parts.content[..]),
            (&b"plan"[..], &b"jour"[..], &b"cont"[..])
        );
        assert_eq!(read, objects);
    }

    #[test]
    fn the_file_says_that_it_is_embargoed() {
        let bytes = written(&header(&[]), &[]);
        assert!(bytes.starts_with(b"EMBARGOED.txt\0"));
        assert!(String::from_utf8_lossy(&bytes).contains("do not forward"));
    }

    #[test]
    fn too_much_too_little_and_something_else() {
        let said = |bytes: &[u8]| read_all(bytes).unwrap_err().report();
        let whole = written(&header(&[b"one"]), &[b"one"]);
        assert!(said(&written(&header(&[b"one"]), &[])).contains("is missing"));
        assert!(said(&written(&header(&[b"one"]), &[b"one", b"one"])).contains("twice"));
        assert!(said(&written(&header(&[b"one"]), &[b"one", b"two"])).contains("does not list"));
        for cut in [0, 100, 700, 1500, whole.len() / 2] {
            assert!(read_all(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(said(b"-----BEGIN PGP MESSAGE-----").contains("not a review bundle"));
        assert!(said(&[0; 2048]).contains("cut off"));
    }

    #[test]
    fn objects_are_as_large_as_the_journal_says() {
        let objects: [&[u8]; 2] = [b"one", b"three"];
        let whole = written(&header(&objects), &objects);
        let within = |sizes: &[(&[u8], Option<u64>)]| {
            let named = sizes.iter().map(|(object, size)| (Sha256::of(object), *size)).collect();
            read_within(&whole, ObjectLimits { named }).map(|(_, objects)| objects.len()).map_err(|e| e.report())
        };
        assert_eq!(within(&[(b"one", Some(3)), (b"three", Some(5))]), Ok(2));
        assert_eq!(within(&[(b"one", None)]), Ok(2));
        let refused = within(&[(b"three", Some(4))]).unwrap_err();
        assert!(refused.contains(&Sha256::of(b"three").hex()) && refused.contains("4 bytes; there: 5"), "{refused}");

        let limits = ObjectLimits { named: BTreeMap::from([(Sha256::of(b"named"), None)]) };
        let (named, other) = (Sha256::of(b"named"), Sha256::of(b"other"));
        let mut others = UNSIZED;
        assert!(limits.admit(&named, UNSIZED, &mut others).is_ok());
        assert!(limits.admit(&named, UNSIZED + 1, &mut others).unwrap_err().report().contains(&named.hex()));
        // Those that nobody names share what there is.
        assert!(limits.admit(&other, UNSIZED - 1, &mut others).is_ok());
        assert!(limits.admit(&other, 1, &mut others).is_ok());
        assert!(limits.admit(&other, 1, &mut others).unwrap_err().report().contains("too large"));
    }
}
