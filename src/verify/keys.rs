//! The trust root and the certificates that a store serves beside its releases. Nothing of them is believed for lying there:
//! the pinned digest vouches for the root, and the root names the certificates by fingerprint.

use std::collections::BTreeMap;

use super::Source;
use super::release::{DOCUMENT, SIGNATURE};
use crate::error::{Error, Result};
use crate::formats::layout;
use crate::model::{Sha256, escape};
use crate::trust::{FILE, Root};

/// How many roots back the pinned one may be.
const ROOTS: usize = 64;
/// How many certificates a chain of roots may name.
const CERTIFICATES: usize = 512;
/// How many signatures of people a chain of roots may have.
const SIGNATURES: usize = 512;
/// The longest certificate that is read.
const CERTIFICATE: u64 = 1 << 20;
/// How much is read in all.
const TOTAL: usize = 64 << 20;

/// Reads `keys/` of a store, as far as a chain of roots from the newest to `pin` names it.
///
/// # Errors
/// No root there, something else than a root, more than anybody needs; a source that cannot be reached.
pub async fn fetch_keys(source: &Source, pin: Option<Sha256>) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut out = BTreeMap::new();
    let mut name = FILE.to_owned();
    let mut roots: Vec<(String, Root)> = Vec::new();
    let mut ends_at_pin = false;
    loop {
        let Some(bytes) = source.read(&layout::key(&name), DOCUMENT).await? else {
            if roots.is_empty() {
                return Err(no_store(source));
            }
            break;
        };
        let root = Root::from_bytes(&bytes, &layout::key(&name)).map_err(|e| no_root(source, &bytes, e))?;
        let (version, previous, digest) = (root.version, root.previous, Sha256::of(&bytes));
        if roots.last().is_some_and(|(_, after)| after.previous != Some(digest)) {
            // Whatever it is, no root that counts leads here: loading says so.
            out.insert(name, bytes);
            return Ok(out);
        }
        insert(&mut out, name.clone(), bytes)?;
        ends_at_pin |= Some(digest) == pin;
        roots.push((name.clone(), root));
        if Some(digest) == pin || previous.is_none() || version < 2 || roots.len() >= ROOTS {
            break;
        }
        name = format!("trust.{}.json", version - 1);
    }
    if pin.is_some() && !ends_at_pin {
        // Nothing vouches for these roots, so nothing that they name is asked for: loading says which root was expected.
        return Ok(out);
    }
    let people = roots.iter().map(|(_, root)| root.roles.root.people.len()).sum::<usize>();
    if people > SIGNATURES {
        return Err(Error::verification(format!("the trust roots name more than {SIGNATURES} people who sign roots")));
    }
    let mut certificates = 0;
    for (n, (name, root)) in roots.iter().enumerate() {
        // The people of the root before sign a root.
        let signers = roots.get(n + 1).map_or(root, |(_, before)| before).roles.root.people.iter();
        for signature in signers.map(|person| format!("{name}.{person}.asc")) {
            fetch(source, signature, SIGNATURE, &mut out).await?;
        }
        for fingerprint in root.certificates() {
            certificates += 1;
            if certificates > CERTIFICATES {
                return Err(Error::verification(format!("the trust roots name more than {CERTIFICATES} certificates")));
            }
            fetch(source, format!("{fingerprint}.asc"), CERTIFICATE, &mut out).await?;
        }
    }
    Ok(out)
}

async fn fetch(source: &Source, name: String, limit: u64, out: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    match source.read(&layout::key(&name), limit).await? {
        Some(bytes) => insert(out, name, bytes),
        None => Ok(()),
    }
}

/// Keeps a file, as long as all of them together are not more than anybody needs.
fn insert(out: &mut BTreeMap<String, Vec<u8>>, name: String, bytes: Vec<u8>) -> Result<()> {
    let total = bytes.len() + out.values().map(Vec::len).sum::<usize>();
    if total > TOTAL {
        return Err(Error::verification(format!(
            "`keys/` has more than {} MiB of roots and certificates",
            TOTAL >> 20
        )));
    }
    out.insert(name, bytes);
    Ok(())
}

/// There is no root: most likely the address is not that of a store.
fn no_store(source: &Source) -> Error {
    let place = source.place();
    let error = Error::input(format!("there is no `{}` below `{}`", layout::key(FILE), escape(&place)));
    match place.find("/releases").or_else(|| place.find("/keys")).or_else(|| place.find("/git/")) {
        Some(at) => error.hint(format!("give the base of the store: `{}`", escape(&place[..=at]))),
        None => error.hint("give the base of a store: the address below which `releases/` and `keys/` lie"),
    }
}

/// What is there is not a root; a web page says that the address is wrong.
fn no_root(source: &Source, bytes: &[u8], e: Error) -> Error {
    let page = bytes.trim_ascii_start().first() == Some(&b'<');
    if page {
        return Error::input(format!(
            "`{}` answers with a web page where a trust root should be",
            escape(&source.place())
        ))
        .hint("check the address: a login page or an error page was sent in its place");
    }
    e.context(format!("`{}`", escape(&source.place())))
}
