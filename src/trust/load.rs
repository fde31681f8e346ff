//! Reads the trust root and its certificates from a directory of keys, and the pin from the state directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use super::root::{FILE, Root};
use super::rotation::check_successor;
use super::trusted::TrustedRoot;
use crate::effects::{Disk, files};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Certificate, Detached};
use crate::model::{Fingerprint, PersonId, ProjectName, Sha256};

/// The file in the state directory that holds the digest of the trusted root; it is outside every checkout.
pub const PIN: &str = "trust-root.pin";

/// The directory in the state directory with every certificate that was trusted, as `<fingerprint>.asc`: what it has seen
/// of a certificate, a revocation above all, an older copy in `keys/` cannot take back.
pub const REMEMBERED: &str = "certificates";

/// Which root counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootChoice {
    /// The one in the directory: the directory itself is the keyring that the user vouches for.
    Directory,
    /// The one with this digest, or a later one that its people signed.
    Pinned(Sha256),
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

/// Where certificates are read from.
#[derive(Clone, Copy)]
struct Keys<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    /// The state directory, if what it remembers counts too.
    state_dir: Option<&'a Path>,
}

/// The certificate in a directory, under its own fingerprint.
fn certificate(disk: &dyn Disk, dir: &Path, fingerprint: &Fingerprint) -> Result<Option<Certificate>> {
    let path = dir.join(format!("{fingerprint}.asc"));
    let Some(bytes) = read(disk, &path)? else { return Ok(None) };
    let certificate = Certificate::parse(&bytes, &path.display().to_string())?;
    if certificate.fingerprint() != fingerprint {
        let found = certificate.fingerprint();
        return Err(Error::verification(format!("`{}` holds the certificate {found}", path.display()))
            .hint("name each certificate's file by its own fingerprint"));
    }
    Ok(Some(certificate))
}

/// A certificate with everything that is known of it.
fn known_certificate(keys: Keys<'_>, fingerprint: &Fingerprint) -> Result<Option<Certificate>> {
    let Some(found) = certificate(keys.disk, keys.dir, fingerprint)? else { return Ok(None) };
    let seen = match keys.state_dir {
        Some(dir) => certificate(keys.disk, &dir.join(REMEMBERED), fingerprint)?,
        None => None,
    };
    seen.map_or(Ok(found.clone()), |seen| found.merged(&seen)).map(Some)
}

fn certificates(keys: Keys<'_>, root: &Root) -> Result<BTreeMap<Fingerprint, Certificate>> {
    let mut out = BTreeMap::new();
    for fingerprint in root.certificates() {
        if let Some(found) = known_certificate(keys, fingerprint)? {
            out.insert(fingerprint.clone(), found);
        }
    }
    Ok(out)
}

/// Remembers the certificates of a trusted root in the state directory, with what was known of them before.
///
/// # Errors
/// The file system's; a remembered file that is not the certificate of its name.
pub fn remember(disk: &dyn Disk, state_dir: &Path, trust: &TrustedRoot) -> Result<()> {
    let dir = state_dir.join(REMEMBERED);
    for (fingerprint, found) in &trust.certificates {
        let before = certificate(disk, &dir, fingerprint)?;
        let known = match &before {
            Some(seen) => seen.merged(found)?.armored()?,
            None => found.armored()?,
        };
        if before.map(|b| b.armored()).transpose()?.is_none_or(|b| b != known) {
            files::create_dir_all(disk, &dir, 0o700)?;
            files::replace(disk, &dir.join(format!("{fingerprint}.asc")), 0o600, &mut known.as_bytes())?;
        }
    }
    Ok(())
}

/// As [`load`], with the memory of a state directory: certificates count with everything that was ever seen of them, and if
/// the chosen root is the one that is pinned there, the pin moves on to the root that its people's signatures led to. It
/// never moves back, because a root before the pinned one is refused.
///
/// # Errors
/// As [`load`] and [`remember`].
pub fn load_remembering(
    disk: &dyn Disk,
    keys: &Path,
    project: Option<&ProjectName>,
    choice: RootChoice,
    now: Timestamp,
    state_dir: &Path,
) -> Result<TrustedRoot> {
    let trust = load_from(Keys { disk, dir: keys, state_dir: Some(state_dir) }, project, choice, now)?;
    remember(disk, state_dir, &trust)?;
    if let RootChoice::Pinned(from) = choice
        && from != trust.digest
        && pinned(disk, state_dir)? == Some(from)
    {
        pin(disk, state_dir, &trust.digest)?;
    }
    Ok(trust)
}

/// What a store publishes of a chain of roots, the newest first: the roots, the signatures of the people who may sign each,
/// and the certificates that they name, written anew. Whatever else lies in the directory stays there.
fn published(keys: Keys<'_>, chain: &[Found]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut out = BTreeMap::new();
    for (n, found) in chain.iter().enumerate() {
        out.insert(found.name.clone(), found.bytes.clone());
        // The people of the root before sign a root; the first can only be signed by its own.
        for person in &chain.get(n + 1).unwrap_or(found).root.roles.root.people {
            let name = format!("{}.{person}.asc", found.name);
            let Some(bytes) = read(keys.disk, &keys.dir.join(&name))? else { continue };
            if Detached::parse(&bytes, &name).is_ok() {
                out.insert(name, bytes);
            }
        }
        for (fingerprint, certificate) in certificates(keys, &found.root)? {
            out.insert(format!("{fingerprint}.asc"), certificate.armored()?.into_bytes());
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

fn found(keys: Keys<'_>, name: String) -> Result<Option<Found>> {
    let path = keys.dir.join(&name);
    let Some(bytes) = read(keys.disk, &path)? else { return Ok(None) };
    let root = Root::from_bytes(&bytes, &path.display().to_string())?;
    Ok(Some(Found { name, digest: Sha256::of(&bytes), bytes, root }))
}

fn trusted(keys: Keys<'_>, found: &Found, accepted: &BTreeSet<Sha256>) -> Result<TrustedRoot> {
    let certificates = certificates(keys, &found.root)?;
    let (root, accepted) = (found.root.clone(), accepted.clone());
    let (published, earlier_freshness) = (BTreeMap::new(), BTreeSet::new());
    Ok(TrustedRoot { root, digest: found.digest, accepted, earlier_freshness, certificates, published })
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
    load_from(Keys { disk, dir: keys, state_dir: None }, project, choice, now)
}

fn load_from(keys: Keys<'_>, project: Option<&ProjectName>, choice: RootChoice, now: Timestamp) -> Result<TrustedRoot> {
    let newest = found(keys, FILE.to_owned())?.ok_or_else(|| {
        let error = Error::input(format!("there is no `{}`", keys.dir.join(FILE).display()));
        match choice {
            RootChoice::Directory => {
                error.hint("make the first trust root with `lifeboat trust init`, or name the directory with `--keys`")
            }
            RootChoice::Pinned(pin) => error.detail(format!("pinned sha256:{pin}")).hint(
                "restore that directory, for example with `git checkout`, or name where it is as `keys` in `[project]`",
            ),
        }
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
        let Some(earlier) = found(keys, format!("trust.{version}.json"))? else { break };
        if earlier.digest != previous || earlier.root.version != version {
            return Err(Error::verification(format!(
                "`{}` is not the root before",
                keys.dir.join(&earlier.name).display()
            ))
            .detail(format!("expected sha256:{previous}"))
            .detail(format!("found    sha256:{}", earlier.digest)));
        }
        chain.push(earlier);
    }
    if let RootChoice::Pinned(pin) = choice {
        let from = chain.iter().position(|f| f.digest == pin).ok_or_else(|| {
            Error::verification(format!("no root in `{}` is the pinned one, or follows from it", keys.dir.display()))
                .detail(format!("pinned sha256:{pin}"))
                .detail(format!("found  sha256:{} (version {})", chain[0].digest, chain[0].root.version))
                .hint("compare the digest with another maintainer by voice; then `lifeboat trust pin DIGEST`")
        })?;
        for step in chain[..=from].windows(2) {
            follows(keys, &trusted(keys, &step[1], &accepted)?, &step[0], now)?;
        }
    }
    let mut out = trusted(keys, &chain[0], &accepted)?;
    out.check_expiry(now)?;
    // Each of these roots is named by digest in the one after it, up to the one that was chosen.
    for earlier in &chain[1..] {
        let current = &out.root.roles.freshness.keys;
        let replaced = earlier.root.roles.freshness.keys.iter().filter(|k| !current.contains(*k));
        out.earlier_freshness.extend(replaced.cloned());
    }
    for key in &out.earlier_freshness {
        if !out.certificates.contains_key(key)
            && let Some(found) = known_certificate(keys, key)?
        {
            out.certificates.insert(key.clone(), found);
        }
    }
    out.published = published(keys, &chain)?;
    Ok(out)
}

/// Checks the signatures of the old root's people over the next one.
fn follows(keys: Keys<'_>, old: &TrustedRoot, next: &Found, now: Timestamp) -> Result<()> {
    let mut signatures: Vec<(PersonId, Vec<u8>)> = Vec::new();
    for person in &old.root.roles.root.people {
        if let Some(bytes) = read(keys.disk, &keys.dir.join(format!("{}.{person}.asc", next.name)))? {
            signatures.push((person.clone(), bytes));
        }
    }
    check_successor(old, &next.root, &next.bytes, &signatures, now)?.require().map(drop)
}
