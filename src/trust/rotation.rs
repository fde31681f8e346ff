//! A new trust root is signed by the old one's threshold.

use jiff::Timestamp;

use super::judge::{Judgement, Window, check_person_signature};
use super::root::Root;
use super::trusted::TrustedRoot;
use crate::error::{Error, Result};
use crate::formats::openpgp::{Detached, Hashed};
use crate::model::PersonId;

/// Checks that `next` (whose bytes are `bytes`) follows `old`: the next version of the same project, signed by the old
/// root's people. `signatures` are the contents of `trust.json.<person>.asc`.
///
/// The old root may have expired meanwhile: what counts is that the signatures were made before it did.
///
/// # Errors
/// Another project, a skipped version, too few signatures.
pub fn check_successor(
    old: &TrustedRoot,
    next: &Root,
    bytes: &[u8],
    signatures: &[(PersonId, Vec<u8>)],
    now: Timestamp,
) -> Result<Judgement> {
    if next.project != old.root.project || next.version != old.root.version + 1 {
        return Err(Error::verification(format!(
            "trust root version {} of {} does not follow version {} of {}",
            next.version, next.project, old.root.version, old.root.project
        )));
    }
    if next.previous != Some(old.digest) {
        return Err(Error::verification(format!("trust root version {} names another `previous` root", next.version))
            .detail(format!("expected sha256:{}", old.digest)));
    }
    let role = &old.root.roles.root;
    let content = Hashed::of(bytes)?;
    let window = Window { earliest: Timestamp::MIN, recorded: None, good_at: None, now };
    let mut judgement = Judgement::new(format!("signatures of trust root version {}", next.version), role);
    judgement.cure = "a new root counts when enough people of the old root's role `root` have signed the file: \
                      `gpg --armor --digest-algo SHA512 --output trust.json.PERSON.asc --detach-sign trust.json` in the directory of keys";
    for (person, signature) in signatures {
        let name = format!("trust.json.{person}.asc");
        let counted = Detached::parse(signature, &name).and_then(|signature| {
            let counted = check_person_signature(old, ("root", role), person, &signature, &content, &window)?;
            if counted.made > old.root.expires {
                let expired = old.root.expires;
                return Err(Error::verification(format!("`{name}` was made after the old root expired on {expired}")));
            }
            Ok(counted)
        });
        judgement.add(person.as_str(), counted);
    }
    Ok(judgement)
}
