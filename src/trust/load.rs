//! Reads the trust root and its certificates from a directory of keys, and the pin from the state directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use super::root::{FILE, Root};
use super::rotation::check_successor;
use crate::effects::{Disk, EntryKind, files};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::Certificate;
use crate::model::{Fingerprint, PersonId, ProjectName, Sha256};

/// The file in the state directory that holds the digest of the trusted root; it is outside every checkout.
pub const PIN: &str = "trust-root.pin";

/// Which root counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootChoice {
    /// The one in the directory: the directory itself is the keyring that the user vouches for.
    Directory,
    /// The one with this digest, or a later one that its people signed.
    Pinned(Sha256),
}

/// A trust root that was chosen by digest or directory, with the certificates that it names.
#[derive(Debug, Clone)]
pub struct TrustedRoot {
    /// The root.
    pub root: Root,
    /// SHA-256 of its bytes.
    pub digest: Sha256,
    /// Its digest and those of the roots before it: an approval names the root of its own time.
    pub accepted: BTreeSet<Sha256>,
    /// By fingerprint; those that are missing on disk are missing here.
    pub certificates: BTreeMap<Fingerprint, Certificate>,
    /// The files of the directory that a store publishes beside the releases, by name.
    pub published: BTreeMap<String, Vec<u8>>,
}

impl TrustedRoot {
    /// A certificate that the root names.
    ///
    /// # Errors
    /// Its file was missing.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Result<&Certificate> {
        self.certificates.get(fingerprint).ok_or_else(|| {
            Error::verification(format!("the certificate `{fingerprint}.asc` is missing"))
                .hint("put it beside `trust.json`: gpg --armor --export FINGERPRINT")
        })
    }

    /// Checks that the root still counts.
    ///
    /// # Errors
    /// It has expired.
    pub fn check_expiry(&self, now: Timestamp) -> Result<()> {
        if now >= self.root.expires {
            return Err(Error::verification(format!("the trust root expired on {}", self.root.expires))
                .hint("the people of role root must sign a new `keys/trust.json`"));
        }
        Ok(())
    }
}

/// The digest that is pinned in a state directory for a project, if there is one.
///
/// # Errors
/// A file that is not one digest.
pub fn pinned(disk: &dyn Disk, state_dir: &Path) -> Result<Option<Sha256>> {
    let path = state_dir.join(PIN);
    let Some(bytes) = disk.read(&path).context(format!("cannot read `{}`", path.display()))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let digest = text.trim_end().parse().map_err(|e| {
        Error::verification(format!("`{}` does not hold one SHA-256 digest", path.display()))
            .because(e)
            .hint("pin the trust root again: lifeboat trust pin DIGEST")
    })?;
    Ok(Some(digest))
}

/// Pins a digest.
///
/// # Errors
/// The file system's.
pub fn pin(disk: &dyn Disk, state_dir: &Path, digest: &Sha256) -> Result<()> {
    files::create_dir_all(disk, state_dir, 0o700)?;
    files::replace(disk, &state_dir.join(PIN), 0o600, &mut format!("{digest}\n").as_bytes())
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    disk.read(path).context(format!("cannot read `{}`", path.display()))
}

fn certificates(disk: &dyn Disk, keys: &Path, root: &Root) -> Result<BTreeMap<Fingerprint, Certificate>> {
    let mut out = BTreeMap::new();
    for fingerprint in root.certificates() {
        let path = keys.join(format!("{fingerprint}.asc"));
        let Some(bytes) = read(disk, &path)? else { continue };
        let certificate = Certificate::parse(&bytes, &path.display().to_string())?;
        if certificate.fingerprint() != fingerprint {
            return Err(Error::verification(format!(
                "`{}` holds the certificate {}",
                path.display(),
                certificate.fingerprint()
            ))
            .hint("name each certificate's file by its own fingerprint"));
        }
        out.insert(fingerprint.clone(), certificate);
    }
    Ok(out)
}

/// The public files of the directory of keys: roots, their signatures, certificates; nothing else that lies there.
fn published(disk: &dyn Disk, keys: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut out = BTreeMap::new();
    for entry in disk.list(keys).context(format!("cannot list `{}`", keys.display()))? {
        let is_root =
            entry.name.starts_with("trust.") && (entry.name.ends_with(".json") || entry.name.ends_with(".asc"));
        let is_certificate = entry.name.strip_suffix(".asc").is_some_and(|n| n.parse::<Fingerprint>().is_ok());
        if entry.kind == EntryKind::File && (is_root || is_certificate) {
            let Some(bytes) = read(disk, &keys.join(&entry.name))? else { continue };
            if is_certificate && String::from_utf8_lossy(&bytes).contains("PRIVATE KEY") {
                return Err(Error::input(format!("`{}` holds a secret key", keys.join(&entry.name).display()))
                    .hint("the directory of keys is published: put secret keys elsewhere"));
            }
            out.insert(entry.name, bytes);
        }
    }
    Ok(out)
}

/// A root of the directory: `trust.json`, or an earlier one kept as `trust.<version>.json`.
struct Found {
    name: String,
    bytes: Vec<u8>,
    root: Root,
    digest: Sha256,
}

fn found(disk: &dyn Disk, keys: &Path, name: String) -> Result<Option<Found>> {
    let path = keys.join(&name);
    let Some(bytes) = read(disk, &path)? else { return Ok(None) };
    let root = Root::from_bytes(&bytes, &path.display().to_string())?;
    Ok(Some(Found { name, digest: Sha256::of(&bytes), bytes, root }))
}

fn trusted(disk: &dyn Disk, keys: &Path, found: &Found, accepted: &BTreeSet<Sha256>) -> Result<TrustedRoot> {
    let certificates = certificates(disk, keys, &found.root)?;
    let published = published(disk, keys)?;
    let (root, accepted) = (found.root.clone(), accepted.clone());
    Ok(TrustedRoot { root, digest: found.digest, accepted, certificates, published })
}

/// Reads `trust.json` and its certificates from the directory `keys`. With a pin, every root from the pinned one on must
/// be signed by the threshold of the one before; the earlier ones lie beside as `trust.<version>.json`, each root's
/// signatures as `<file>.<person>.asc`.
///
/// # Errors
/// A missing or broken file, another project, a root that does not follow from the pinned one, an expired root.
pub fn load(
    disk: &dyn Disk,
    keys: &Path,
    project: Option<&ProjectName>,
    choice: RootChoice,
    now: Timestamp,
) -> Result<TrustedRoot> {
    let newest = found(disk, keys, FILE.to_owned())?.ok_or_else(|| {
        Error::input(format!("there is no `{}`", keys.join(FILE).display()))
            .hint("make the first trust root with `lifeboat trust init`, or name the directory with `--keys`")
    })?;
    if let Some(project) = project.filter(|p| **p != newest.root.project) {
        return Err(Error::verification(format!(
            "the trust root is that of {}, not of {project}",
            newest.root.project
        )));
    }
    let mut accepted = BTreeSet::from([newest.digest]);
    let mut chain = vec![newest];
    while let Some((version, previous)) = chain.last().and_then(|f| Some((f.root.version - 1, f.root.previous?))) {
        accepted.insert(previous);
        let Some(earlier) = found(disk, keys, format!("trust.{version}.json"))? else { break };
        if earlier.digest != previous || earlier.root.version != version {
            return Err(Error::verification(format!(
                "`{}` is not the root before",
                keys.join(&earlier.name).display()
            ))
            .detail(format!("expected sha256:{previous}"))
            .detail(format!("found    sha256:{}", earlier.digest)));
        }
        chain.push(earlier);
    }
    if let RootChoice::Pinned(pin) = choice {
        let from = chain.iter().position(|f| f.digest == pin).ok_or_else(|| {
            Error::verification(format!("no root in `{}` is the pinned one, or follows from it", keys.display()))
                .detail(format!("pinned sha256:{pin}"))
                .detail(format!("found  sha256:{} (version {})", chain[0].digest, chain[0].root.version))
                .hint("compare the digest with another maintainer by voice; then `lifeboat trust pin DIGEST`")
        })?;
        for step in chain[..=from].windows(2) {
            follows(disk, keys, &trusted(disk, keys, &step[1], &accepted)?, &step[0], now)?;
        }
    }
    let out = trusted(disk, keys, &chain[0], &accepted)?;
    out.check_expiry(now)?;
    Ok(out)
}

/// Checks the signatures of the old root's people over the next one.
fn follows(disk: &dyn Disk, keys: &Path, old: &TrustedRoot, next: &Found, now: Timestamp) -> Result<()> {
    let mut signatures: Vec<(PersonId, Vec<u8>)> = Vec::new();
    for person in &old.root.roles.root.people {
        if let Some(bytes) = read(disk, &keys.join(format!("{}.{person}.asc", next.name)))? {
            signatures.push((person.clone(), bytes));
        }
    }
    check_successor(old, &next.root, &next.bytes, &signatures, now)?.require().map(drop)
}
