//! What a signature may count for: pure rules over checked signatures, certificates and times.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::root::{KeyRole, PeopleRole};
use super::trusted::TrustedRoot;
use crate::error::{Error, Result};
use crate::formats::openpgp::{Certificate, Detached, Hashed, SignatureFact, Standing};
use crate::model::{Fingerprint, PersonId};

/// How far two clocks may differ.
pub const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How long before the plan's date a signature may be dated: the date in a plan is the day of the release, which may lie
/// some weeks after the approvals.
pub const EARLIEST: SignedDuration = SignedDuration::from_hours(24 * 30);

/// How long a signature may be on its way before it is recorded, from a machine without network.
pub const ON_THE_WAY: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The times between which a signature's own date must lie. gpg accepts a signature dated before its key expired, so an
/// expired key can be made to speak again by turning the clock back; these bounds stop that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Not dated before.
    pub earliest: Timestamp,
    /// When the journal recorded it, if it did: dated shortly before that, by a key that was still good then.
    pub recorded: Option<Timestamp>,
    /// A time at which the key must not have expired yet, whatever date the signature gives itself: where nothing else
    /// vouches for that date, an expired key could give it any.
    pub good_at: Option<Timestamp>,
    /// The time of judging: not dated after, give or take [`SKEW`].
    pub now: Timestamp,
}

impl Window {
    /// The window of a train whose plan has this date.
    #[must_use]
    pub fn of_plan(date: Timestamp, now: Timestamp) -> Self {
        Self { earliest: date.saturating_sub(EARLIEST).unwrap_or(Timestamp::MIN), recorded: None, good_at: None, now }
    }

    /// The same, for a signature that the journal recorded.
    #[must_use]
    pub fn recorded(self, when: Timestamp) -> Self {
        Self { recorded: Some(when), ..self }
    }

    /// The same, by keys that had not expired at this time.
    #[must_use]
    pub(crate) fn good_at(self, when: Timestamp) -> Self {
        Self { good_at: Some(when), ..self }
    }
}

/// A person whose signatures count, and by which certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The person.
    pub person: PersonId,
    /// The certificate.
    pub certificate: Fingerprint,
    /// The key that signed, the certificate's primary or a subkey.
    pub key: Fingerprint,
    /// The date that the signature gives.
    pub made: Timestamp,
}

/// Something that does not count, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whose, or which file.
    pub who: String,
    /// Why not.
    pub why: String,
}

/// Who counts towards a threshold, and why the others do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What is counted: `approvals of train 0707…`.
    pub of: String,
    /// One per person.
    pub counted: BTreeMap<PersonId, Counted>,
    /// Which one counted for each person, by its place among those that were judged; see [`Judgement::chosen`].
    chosen: BTreeMap<PersonId, usize>,
    /// Everything else.
    pub refused: Vec<Refused>,
    /// How many must count.
    pub threshold: u32,
    /// What helps where too few count.
    pub cure: &'static str,
}

impl Judgement {
    /// Nobody yet.
    #[must_use]
    pub fn new(of: impl Into<String>, role: &PeopleRole) -> Self {
        Self {
            of: of.into(),
            counted: BTreeMap::new(),
            chosen: BTreeMap::new(),
            refused: Vec::new(),
            threshold: role.threshold,
            cure: "have more people run `lifeboat approve`; `lifeboat trust show` lists who may",
        }
    }

    /// As [`Judgement::add`], for the approval at this place among those that are judged.
    pub(super) fn add_at(&mut self, place: usize, who: &str, result: Result<Counted>) {
        let person = result.as_ref().ok().map(|c| c.person.clone());
        let before = self.counted.len();
        self.add(who, result);
        if let Some(person) = person.filter(|_| self.counted.len() > before) {
            self.chosen.insert(person, place);
        }
    }

    /// Where, in the slice that was given to [`super::judge_approvals`], the approval stands that counted for this person.
    /// A person may have left several: only this one was checked whole, and only it may be published.
    #[must_use]
    pub fn chosen(&self, person: &PersonId) -> Option<usize> {
        self.chosen.get(person).copied()
    }

    /// Counts a person once, and a key once, or says why it does not count.
    pub fn add(&mut self, who: &str, result: Result<Counted>) {
        let why = match result {
            // Two certificates may bind one subkey: whoever holds it has one voice all the same.
            Ok(new) => match self.counted.values().find(|c| c.person == new.person || c.key == new.key) {
                None => {
                    self.counted.insert(new.person.clone(), new);
                    return;
                }
                Some(first) if first.person == new.person && first.certificate == new.certificate => return,
                Some(first) if first.person == new.person => {
                    format!("{} is counted already, by certificate {}", new.person, first.certificate)
                }
                Some(first) => format!("key {} is counted already, for {}", new.key, first.person),
            },
            Err(e) => explain(&e),
        };
        self.refused.push(Refused { who: who.to_owned(), why });
    }

    /// Whether enough people count.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.counted.len() >= self.threshold as usize
    }

    /// Who counts, sorted, if they are enough.
    ///
    /// # Errors
    /// Below the threshold: who counts, and why each other does not.
    pub fn require(&self) -> Result<Vec<PersonId>> {
        let people: Vec<PersonId> = self.counted.keys().cloned().collect();
        if self.holds() {
            return Ok(people);
        }
        let (have, need) = (people.len(), self.threshold);
        let mut error = Error::verification(format!("{}: {have} of {need} people count", self.of));
        for person in &people {
            error = error.detail(format!("{person}: counts"));
        }
        for refused in &self.refused {
            error = error.detail(format!("{}: does not count: {}", refused.who, refused.why));
        }
        Err(error.hint(self.cure))
    }
}

/// An error as a reason on one line.
pub(crate) fn explain(e: &Error) -> String {
    let mut out = e.message().to_owned();
    for detail in e.details() {
        out.push_str("; ");
        out.push_str(detail);
    }
    if let Some(cause) = std::error::Error::source(e) {
        out.push_str(": ");
        out.push_str(&cause.to_string());
    }
    out
}

/// Checks that `person`, who must have the role, signed the content within the window.
///
/// # Errors
/// Why the signature does not count.
pub fn check_person_signature(
    trust: &TrustedRoot,
    role: (&str, &PeopleRole),
    person: &PersonId,
    signature: &Detached,
    content: &Hashed,
    window: &Window,
) -> Result<Counted> {
    let (role_name, role) = role;
    if !role.people.contains(person) {
        return Err(Error::verification(format!("{person} does not have role {role_name}")));
    }
    let known = trust.root.people.get(person).map(|p| &p.certificates);
    let fact =
        check_any(trust, known.into_iter().flatten(), &format!("certificate of {person}"), signature, content, window)?;
    Ok(Counted { person: person.clone(), certificate: fact.certificate, key: fact.key, made: fact.made })
}

/// Checks that a key of a role signed the content within the window.
///
/// # Errors
/// Why the signature does not count.
pub fn check_key_signature(
    trust: &TrustedRoot,
    role: (&str, &KeyRole),
    signature: &Detached,
    content: &Hashed,
    window: &Window,
) -> Result<SignatureFact> {
    let (role_name, role) = role;
    check_any(trust, &role.keys, &format!("key of role {role_name}"), signature, content, window)
}

fn check_any<'a>(
    trust: &TrustedRoot,
    known: impl IntoIterator<Item = &'a Fingerprint>,
    what: &str,
    signature: &Detached,
    content: &Hashed,
    window: &Window,
) -> Result<SignatureFact> {
    let known: BTreeSet<&Fingerprint> = known.into_iter().collect();
    let (mut reason, mut missing) = (None, None);
    for fingerprint in known {
        // One that is missing cannot speak; another of the same owner may.
        let certificate = match trust.certificate(fingerprint) {
            Ok(found) => found,
            Err(e) => {
                missing = Some(e);
                continue;
            }
        };
        match certificate.check(signature, content, window.now) {
            Ok(fact) => {
                judge(certificate, &fact, signature.name(), window)?;
                return Ok(fact);
            }
            // A mismatch of bytes says more than a mismatch of keys.
            Err(e) if reason.is_none() || std::error::Error::source(&e).is_some() => reason = Some(e),
            Err(_) => {}
        }
    }
    let other =
        || Error::verification(format!("`{}` was made by {}, no {what}", signature.name(), signature.issuers()));
    match reason {
        Some(e) if std::error::Error::source(&e).is_some() => Err(e),
        _ => Err(missing.unwrap_or_else(other)),
    }
}

/// Whether a checked signature may count, by its date and its key's standing.
fn judge(certificate: &Certificate, fact: &SignatureFact, name: &str, window: &Window) -> Result<()> {
    let made = fact.made;
    let bad = |why: String| Err(Error::verification(format!("`{name}` {why}")));
    let after = |limit: Timestamp| limit.saturating_add(SKEW).is_ok_and(|l| made > l);
    if after(window.now) {
        return bad(format!("is dated {made}, in the future"));
    }
    if made < window.earliest {
        return bad(format!(
            "is dated {made}, before {}: it was backdated, or made for another train",
            window.earliest
        ));
    }
    if let Some(expires) = fact.expires.filter(|e| *e <= window.now) {
        return bad(format!("expired on {expires}"));
    }
    let mut times = vec![made];
    if let Some(recorded) = window.recorded {
        if after(recorded) {
            return bad(format!("is dated {made}, after it was recorded on {recorded}"));
        }
        if recorded.saturating_sub(ON_THE_WAY).is_ok_and(|l| made < l) {
            return bad(format!("is dated {made}, long before it was recorded on {recorded}"));
        }
        times.push(recorded);
    }
    for at in times {
        let key = &fact.key;
        match certificate.standing(key, at, window.now) {
            Standing::Good => {}
            Standing::Expired => return bad(format!("does not count: key {key} had expired on {at}")),
            Standing::NotYetMade => return bad(format!("does not count: key {key} did not exist on {at}")),
            Standing::Revoked(why) => return bad(format!("does not count: key {key} is revoked ({why})")),
            Standing::Unusable(why) => return bad(format!("does not count: key {key}: {why}")),
        }
    }
    if let Some(at) = window.good_at
        && certificate.standing(&fact.key, at, window.now) == Standing::Expired
    {
        return bad(format!(
            "does not count: key {} had expired on {at}, and nothing but the signature itself says that it is older",
            fact.key
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(person: &str, certificate: char, key: char) -> Result<Counted> {
        let fingerprint = |c: char| c.to_string().repeat(40).parse().unwrap();
        let (certificate, key) = (fingerprint(certificate), fingerprint(key));
        Ok(Counted { person: PersonId::new(person).unwrap(), certificate, key, made: Timestamp::UNIX_EPOCH })
    }

    #[test]
    fn a_person_counts_once_and_so_does_a_key() {
        let role = PeopleRole { people: BTreeSet::new(), threshold: 2 };
        let mut judgement = Judgement::new("approvals", &role);
        judgement.add("alice", counted("alice", 'A', '1'));
        judgement.add("alice", counted("alice", 'A', '1'));
        assert!(judgement.refused.is_empty(), "the same approval again says nothing new");
        judgement.add("alice", counted("alice", 'B', '2'));
        judgement.add("bob", counted("bob", 'C', '1'));
        judgement.add("carol", Err(Error::verification("no")));
        assert!(!judgement.holds());
        assert_eq!(judgement.refused.len(), 3);
        let report = judgement.require().unwrap_err().report();
        assert!(report.contains("approvals: 1 of 2 people count") && report.contains("counted already, for alice"));
        judgement.add("bob", counted("bob", 'C', '3'));
        assert_eq!(judgement.require().unwrap().len(), 2);

        let mut judgement = Judgement::new("approvals", &role);
        judgement.add_at(0, "alice", Err(Error::verification("expired")));
        judgement.add_at(1, "alice", counted("alice", 'A', '1'));
        judgement.add_at(2, "alice", counted("alice", 'A', '1'));
        judgement.add_at(3, "bob", counted("bob", 'C', '1'));
        let place = |who: &str| judgement.chosen(&PersonId::new(who).unwrap());
        assert_eq!((place("alice"), place("bob")), (Some(1), None));
    }
}
