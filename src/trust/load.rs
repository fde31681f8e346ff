//! Reads the trust root and its certificates from a directory of keys, and the pin from the state directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use super::root::{FILE, Root};
use super::root_mismatch::another_root;
use super::rotation::check_successor;
use super::trusted::TrustedRoot;
use crate::effects::{Disk, LockGuard, files, locks};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Certificate, Detached};
use crate::model::{Fingerprint, PersonId, ProjectName, Sha256};

/// The file in the state directory that holds the digest of the trusted root; it is outside every checkout.
pub const PIN: &str = "trust-root.pin";

/// The file in the state directory with a copy of the pinned root, to say what another one changes.
pub const PINNED_ROOT: &str = "trust-root.json";

/// The directory in the state directory with every certificate that was trusted, as `<fingerprint>.asc`: what it has seen
/// of a certificate, a revocation above all, an older copy in `keys/` cannot take back.
pub const REMEMBERED: &str = "certificates";

/// The lock file of what a state directory remembers.
const MEMORY: &str = "memory.lock";

/// Which root counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootChoice {
    /// The one in the directory: the directory itself is the keyring that the user vouches for.
    Directory,
    /// The one with this digest, or a later one that its people signed: this machine pinned it.
    Pinned(Sha256),
    /// The same, where a person gave the digest on the command line.
    Given(Sha256),
}

impl RootChoice {
    /// The digest from which the root must follow.
    fn digest(self) -> Option<Sha256> {
        match self {
            Self::Directory => None,
            Self::Pinned(digest) | Self::Given(digest) => Some(digest),
        }
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
        Error::verification(format!("`{}` does not hold one SHA-256 digest", path.display())).because(e).hint(
            "remove the file, ask another maintainer for the digest by voice, then pin it: `lifeboat trust pin DIGEST`",
        )
    })?;
    Ok(Some(digest))
}

/// Pins a digest.
pub fn pin(disk: &dyn Disk, state_dir: &Path, digest: &Sha256) -> Result<()> {
    let _turn = turn(disk, state_dir)?;
    write_pin(disk, state_dir, digest)
}

fn write_pin(disk: &dyn Disk, state_dir: &Path, digest: &Sha256) -> Result<()> {
    files::replace(disk, &state_dir.join(PIN), 0o600, &mut format!("{digest}\n").as_bytes())
}

/// Where the files of a directory of keys are read from.
#[derive(Clone, Copy)]
pub enum KeyFiles<'a> {
    /// A directory of this machine.
    Directory {
        /// This machine's files.
        disk: &'a dyn Disk,
        /// The directory.
        dir: &'a Path,
    },
    /// What was read from elsewhere before, by name.
    Fetched {
        /// The files.
        files: &'a BTreeMap<String, Vec<u8>>,
        /// The address of their directory, for messages.
        from: &'a str,
    },
}

impl KeyFiles<'_> {
    fn read(self, name: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Directory { disk, dir } => read(disk, &dir.join(name)),
            Self::Fetched { files, .. } => Ok(files.get(name).cloned()),
        }
    }

    fn path(self, name: &str) -> String {
        match self {
            Self::Directory { dir, .. } => dir.join(name).display().to_string(),
            Self::Fetched { from, .. } => format!("{from}/{name}"),
        }
    }

    fn place(self) -> String {
        match self {
            Self::Directory { dir, .. } => dir.display().to_string(),
            Self::Fetched { from, .. } => from.to_owned(),
        }
    }
}

/// A state directory that remembers certificates and the pinned root.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    /// This machine's files.
    pub disk: &'a dyn Disk,
    /// The directory.
    pub state_dir: &'a Path,
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    disk.read(path).context(format!("cannot read `{}`", path.display()))
}

/// Where certificates are read from.
#[derive(Clone, Copy)]
struct Keys<'a> {
    files: KeyFiles<'a>,
    /// What is remembered, if it counts too.
    memory: Option<Memory<'a>>,
}

/// The certificate in a directory, under its own fingerprint.
fn certificate(files: KeyFiles<'_>, fingerprint: &Fingerprint) -> Result<Option<Certificate>> {
    let name = format!("{fingerprint}.asc");
    let Some(bytes) = files.read(&name)? else { return Ok(None) };
    let path = files.path(&name);
    let certificate = match files {
        KeyFiles::Directory { .. } => Certificate::parse(&bytes, &path)?,
        KeyFiles::Fetched { .. } => Certificate::parse_fetched(&bytes, &path)?,
    };
    if certificate.fingerprint() != fingerprint {
        let found = certificate.fingerprint();
        return Err(Error::verification(format!("`{path}` holds the certificate {found}"))
            .hint("name each certificate's file by its own fingerprint"));
    }
    Ok(Some(certificate))
}

/// A certificate with everything that is known of it.
fn known_certificate(keys: Keys<'_>, fingerprint: &Fingerprint) -> Result<Option<Certificate>> {
    let Some(found) = certificate(keys.files, fingerprint)? else { return Ok(None) };
    let seen = match keys.memory {
        Some(m) => remembered(m.disk, &m.state_dir.join(REMEMBERED), fingerprint)?,
        None => None,
    };
    seen.map_or(Ok(found.clone()), |seen| found.merged(&seen)).map(Some)
}

fn remembered(disk: &dyn Disk, dir: &Path, fingerprint: &Fingerprint) -> Result<Option<Certificate>> {
    certificate(KeyFiles::Directory { disk, dir }, fingerprint)
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
    let news = |fingerprint: &Fingerprint, found: &Certificate| -> Result<Option<String>> {
        let Some(before) = remembered(disk, &dir, fingerprint)? else { return found.armored().map(Some) };
        let known = before.merged(found)?.armored()?;
        Ok((before.armored()? != known).then_some(known))
    };
    for (fingerprint, found) in &trust.certificates {
        if news(fingerprint, found)?.is_none() {
            continue;
        }
        // Looked at again: another process may have seen more of it since, which must not be lost.
        let _turn = turn(disk, state_dir)?;
        if let Some(known) = news(fingerprint, found)? {
            files::create_dir_all(disk, &dir, 0o700)?;
            files::replace(disk, &dir.join(format!("{fingerprint}.asc")), 0o600, &mut known.as_bytes())?;
        }
    }
    Ok(())
}

/// Held while something in the memory of a state directory is compared and replaced.
fn turn(disk: &dyn Disk, state_dir: &Path) -> Result<Box<dyn LockGuard>> {
    files::create_dir_all(disk, state_dir, 0o700)?;
    locks::wait(disk, &state_dir.join(MEMORY), "another lifeboat process remembers certificates")
}

/// Keeps a copy of the pinned root, so that a later one can be compared with it.
fn keep_root(memory: Memory<'_>, trust: &TrustedRoot) -> Result<()> {
    let path = memory.state_dir.join(PINNED_ROOT);
    match trust.published.get(FILE) {
        Some(bytes) if read(memory.disk, &path)?.as_ref() != Some(bytes) => {
            let _turn = turn(memory.disk, memory.state_dir)?;
            files::replace(memory.disk, &path, 0o600, &mut &bytes[..])
        }
        _ => Ok(()),
    }
}

/// The pinned root as this machine last saw it, if it kept a copy.
pub fn pinned_root(memory: Memory<'_>, pin: Sha256) -> Result<Option<Root>> {
    let bytes = read(memory.disk, &memory.state_dir.join(PINNED_ROOT))?;
    Ok(bytes.filter(|b| Sha256::of(b) == pin).and_then(|b| Root::from_bytes(&b, PINNED_ROOT).ok()))
}

/// Pins a root and keeps a copy of it.
pub fn pin_root(memory: Memory<'_>, trust: &TrustedRoot) -> Result<()> {
    pin(memory.disk, memory.state_dir, &trust.digest)?;
    keep_root(memory, trust)
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
    load_files(KeyFiles::Directory { disk, dir: keys }, project, choice, now, Some(Memory { disk, state_dir }))
}

/// As [`load_remembering`], from wherever the files of keys are.
pub fn load_files(
    files: KeyFiles<'_>,
    project: Option<&ProjectName>,
    choice: RootChoice,
    now: Timestamp,
    memory: Option<Memory<'_>>,
) -> Result<TrustedRoot> {
    let trust = load_from(Keys { files, memory }, project, choice, now)?;
    let Some(memory) = memory else { return Ok(trust) };
    remember(memory.disk, memory.state_dir, &trust)?;
    if let Some(from) = choice.digest()
        && pinned(memory.disk, memory.state_dir)? == Some(from)
    {
        if from != trust.digest {
            let _turn = turn(memory.disk, memory.state_dir)?;
            // Another process may have moved it on since, or a person may have pinned another root.
            if pinned(memory.disk, memory.state_dir)? == Some(from) {
                write_pin(memory.disk, memory.state_dir, &trust.digest)?;
            }
        }
        keep_root(memory, &trust)?;
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
            let Some(bytes) = keys.files.read(&name)? else { continue };
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
    let Some(bytes) = keys.files.read(&name)? else { return Ok(None) };
    let root = Root::from_bytes(&bytes, &keys.files.path(&name))?;
    Ok(Some(Found { name, digest: Sha256::of(&bytes), bytes, root }))
}

fn trusted(keys: Keys<'_>, found: &Found, accepted: &BTreeSet<Sha256>) -> Result<TrustedRoot> {
    let certificates = certificates(keys, &found.root)?;
    let (root, accepted) = (found.root.clone(), accepted.clone());
    let (published, earlier_freshness) = (BTreeMap::new(), BTreeSet::new());
    let fetched = matches!(keys.files, KeyFiles::Fetched { .. });
    let earlier = BTreeMap::new();
    Ok(TrustedRoot {
        root,
        digest: found.digest,
        accepted,
        earlier_freshness,
        certificates,
        earlier,
        fetched,
        published,
    })
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
    load_from(Keys { files: KeyFiles::Directory { disk, dir: keys }, memory: None }, project, choice, now)
}

fn load_from(keys: Keys<'_>, project: Option<&ProjectName>, choice: RootChoice, now: Timestamp) -> Result<TrustedRoot> {
    let newest = found(keys, FILE.to_owned())?.ok_or_else(|| {
        let error = Error::input(format!("there is no `{}`", keys.files.path(FILE)));
        match choice {
            RootChoice::Directory => {
                error.hint("make the first trust root with `lifeboat trust init`, or name the directory with `--keys`")
            }
            RootChoice::Given(_) => {
                error.hint("name the directory of keys, or the address of a store that serves them")
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
            return Err(Error::verification(format!("`{}` is not the root before", keys.files.path(&earlier.name)))
                .detail(format!("expected sha256:{previous}"))
                .detail(format!("found    sha256:{}", earlier.digest)));
        }
        chain.push(earlier);
    }
    if let Some(pin) = choice.digest() {
        let Some(from) = chain.iter().position(|f| f.digest == pin) else {
            let before = keys.memory.map(|m| pinned_root(m, pin)).transpose()?.flatten();
            return Err(another_root(&keys.files.place(), choice, before.as_ref(), &chain[0].root, chain[0].digest));
        };
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
    for earlier in &chain[1..] {
        let mut known = certificates(keys, &earlier.root)?;
        // Whoever left may have taken the file along.
        for fingerprint in earlier.root.certificates() {
            if let (false, Some(m)) = (known.contains_key(fingerprint), keys.memory)
                && let Some(seen) = remembered(m.disk, &m.state_dir.join(REMEMBERED), fingerprint)?
            {
                known.insert(fingerprint.clone(), seen);
            }
        }
        out.earlier.insert(earlier.digest, (earlier.root.clone(), known));
    }
    out.published = published(keys, &chain)?;
    Ok(out)
}

/// Checks the signatures of the old root's people over the next one.
fn follows(keys: Keys<'_>, old: &TrustedRoot, next: &Found, now: Timestamp) -> Result<()> {
    let mut signatures: Vec<(PersonId, Vec<u8>)> = Vec::new();
    for person in &old.root.roles.root.people {
        if let Some(bytes) = keys.files.read(&format!("{}.{person}.asc", next.name))? {
            signatures.push((person.clone(), bytes));
        }
    }
    check_successor(old, &next.root, &next.bytes, &signatures, now)?.require().map(drop)
}
