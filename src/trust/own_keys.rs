//! Whether a key of ours counts: what this machine signs is judged by the same rules as strangers judge it by.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::approval::{statement_name, sum_signature_names};
use super::judge::{Window, check_key_signature};
use super::root::{KeyRole, Root};
use super::trusted::TrustedRoot;
use crate::effects::Signer;
use crate::error::{Error, Result};
use crate::formats::openpgp::{Certificate, Detached, Hashed, Standing};
use crate::formats::{content, manifest, tag};
use crate::model::Fingerprint;

/// What a trial signs: it is nothing that could count elsewhere.
const TRIAL: &[u8] = b"lifeboat: a trial signature; it vouches for nothing\n";

/// Whether a key, named by its certificate or by itself, may sign for a role of keys now.
///
/// # Errors
/// The root does not name its certificate for the role, or it is not good now.
pub fn check_own_key(
    trust: &TrustedRoot,
    (name, role): (&str, &KeyRole),
    key: &Fingerprint,
    now: Timestamp,
) -> Result<()> {
    let has = |c: &&Certificate| c.fingerprint() == key || c.has_key(key);
    let Some(certificate) = role.keys.iter().filter_map(|k| trust.certificates.get(k)).find(has) else {
        return Err(unknown(trust, (name, role), key));
    };
    let why = match certificate.standing_now(now) {
        Standing::Good => return Ok(()),
        Standing::Expired => "has expired; if it has not, this machine's clock may be ahead".to_owned(),
        Standing::NotYetMade => format!("was made after {now}; this machine's clock may be behind"),
        Standing::Revoked(why) => format!("is revoked ({why})"),
        Standing::Unusable(why) => format!("cannot sign: {why}"),
    };
    Err(Error::verification(format!("the certificate {} of `signing.{name}` {why}", certificate.fingerprint()))
        .hint("put a newer export of it beside `trust.json`, or have a trust root signed that names another key"))
}

/// Signs a trial with a key and judges it: whether it is at hand, unlocked and known to the root is better found out before
/// anything is public.
///
/// # Errors
/// As [`check_own_key`]; the key's own.
pub fn prove_key(trust: &TrustedRoot, role: (&str, &KeyRole), signer: &dyn Signer, now: Timestamp) -> Result<()> {
    let key: Fingerprint = signer.fingerprint().parse()?;
    check_own_key(trust, role, &key, now)?;
    let signature = signer.sign(&mut &TRIAL[..])?;
    judge_own(trust, role, signature.as_bytes(), &Hashed::of(TRIAL)?, &of_now(now))
}

/// Judges a signature that this machine just made, as strangers will.
pub fn judge_own(
    trust: &TrustedRoot,
    (name, role): (&str, &KeyRole),
    signature: &[u8],
    content: &Hashed,
    window: &Window,
) -> Result<()> {
    let parsed = Detached::parse(signature, "its own signature")?;
    check_key_signature(trust, (name, role), &parsed, content, window).map(drop).map_err(|e| {
        e.context(format!("the key of `signing.{name}` does not count"))
            .hint("nothing of it is public; name a key of that role in `[signing]`: `lifeboat trust show` lists them")
    })
}

/// Whether every person of a root can approve a release: each leaves files that bear their name beside the release's own.
///
/// # Errors
/// Names the person whose files would be another's.
pub fn check_names(root: &Root) -> Result<()> {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for own in [content::FILE, tag::FILE, manifest::FILE, "index.html"] {
        taken.insert(own.to_ascii_lowercase(), "the release itself".to_owned());
    }
    for person in root.people.keys() {
        let [sha256, sha512] = sum_signature_names(person);
        let statement = statement_name(person);
        for path in [format!("{statement}.asc"), statement, sha256, sha512] {
            if let Some(other) = taken.insert(path.to_ascii_lowercase(), format!("person {person}")) {
                let what = format!("person `{person}` cannot approve: `{path}` would be a file of {other} too");
                return Err(Error::input(what).hint("give them another name in a new trust root"));
            }
        }
    }
    Ok(())
}

fn of_now(now: Timestamp) -> Window {
    Window { earliest: Timestamp::MIN, recorded: None, good_at: None, now }
}

fn unknown(trust: &TrustedRoot, (name, role): (&str, &KeyRole), key: &Fingerprint) -> Error {
    let mut error = Error::verification(format!(
        "the trust root does not know the key of `signing.{name}`: {key} does not have role {name}"
    ));
    for known in &role.keys {
        let missing =
            if trust.certificates.contains_key(known) { "" } else { " (its certificate is missing in `keys/`)" };
        error = error.detail(format!("role {name}: {known}{missing}"));
    }
    error.hint(format!(
        "name one of these in `[signing]`, or have a trust root signed that names {key}: nothing that it signs would verify"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PersonId;
    use crate::trust::{PeopleRole, Person, Roles};

    #[test]
    fn names_whose_files_would_be_others_are_refused() {
        let root = |names: &[&str]| {
            let people = names.iter().map(|n| (PersonId::new(*n).unwrap(), Person { certificates: [].into() }));
            let role = PeopleRole { people: [].into(), threshold: 1 };
            let keys = KeyRole { keys: [].into() };
            Root {
                kind: "lifeboat-trust-root".into(),
                project: "sample".parse().unwrap(),
                version: 1,
                format: 1,
                previous: None,
                expires: Timestamp::MAX,
                people: people.collect(),
                roles: Roles { approve: role.clone(), root: role, release: keys.clone(), freshness: keys },
                hosts: [].into(),
            }
        };
        assert!(check_names(&root(&["alice", "bob"])).is_ok());
        let refused = check_names(&root(&["alice", "content"])).unwrap_err();
        assert!(refused.message().contains("approvals/content.json"), "{}", refused.report());
    }
}
