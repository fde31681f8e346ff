//! A person's approval: the statement and the signatures over the sums, made in one act and checked as one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::judge::{Counted, Judgement, Window, check_person_signature};
use super::trusted::TrustedRoot;
use crate::effects::Signer;
use crate::error::{Error, Result};
use crate::formats::approval::Statement;
use crate::formats::checksums::{SHA256SUMS, SHA512SUMS};
use crate::formats::content::Content;
use crate::formats::openpgp::{Detached, Hashed};
use crate::model::{BranchName, PersonId, Sha256};

/// The longest time for which an approval may count, from its signature on: nobody foresees longer what they approve.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 30);

/// One person's whole approval, with its signatures as text: it is carried by one journal record, or by one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who says that it is theirs; the statement and the signatures must agree.
    pub person: PersonId,
    /// The exact bytes of the statement (`approvals/<person>.json`).
    pub statement: String,
    /// The signature over them (`approvals/<person>.json.asc`).
    pub signature: String,
    /// The signatures over each line's sums.
    pub sums: BTreeMap<BranchName, SumSignatures>,
}

/// One person's detached signatures over one line's sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumSignatures {
    /// `SHA256SUMS.<person>.asc`.
    pub sha256sums: String,
    /// `SHA512SUMS.<person>.asc`.
    pub sha512sums: String,
}

/// The bytes of one line's sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineSums {
    /// Of `SHA256SUMS`.
    pub sha256sums: Vec<u8>,
    /// Of `SHA512SUMS`.
    pub sha512sums: Vec<u8>,
}

/// What a person is about to approve.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalRequest<'a> {
    /// The content manifest.
    pub content: &'a Content,
    /// The sums of every line that is released.
    pub sums: &'a BTreeMap<BranchName, LineSums>,
    /// The digest of the trust root.
    pub root: Sha256,
    /// Who approves.
    pub person: &'a PersonId,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// The path of a person's statement within a release; its signature has `.asc` appended.
#[must_use]
pub fn statement_name(person: &PersonId) -> String {
    format!("approvals/{person}.json")
}

/// The paths of a person's signatures over the sums within a release.
#[must_use]
pub fn sum_signature_names(person: &PersonId) -> [String; 2] {
    [format!("{SHA256SUMS}.{person}.asc"), format!("{SHA512SUMS}.{person}.asc")]
}

/// Checks that the sums are those of the content manifest, for every line and no other.
///
/// # Errors
/// Names the line.
pub fn check_sums(content: &Content, sums: &BTreeMap<BranchName, LineSums>) -> Result<()> {
    for line in &content.lines {
        let branch = &line.branch;
        let sums =
            sums.get(branch).ok_or_else(|| Error::verification(format!("the sums of line {branch} are missing")))?;
        for (name, bytes, digest) in
            [(SHA256SUMS, &sums.sha256sums, line.sha256sums), (SHA512SUMS, &sums.sha512sums, line.sha512sums)]
        {
            if Sha256::of(bytes) != digest {
                return Err(Error::verification(format!(
                    "`{name}` of line {branch} is not the one in the content manifest"
                ))
                .detail(format!("expected sha256:{digest}"))
                .detail(format!("found    sha256:{}", Sha256::of(bytes))));
            }
        }
    }
    if let Some(branch) = sums.keys().find(|b| content.line(b).is_none()) {
        return Err(Error::verification(format!(
            "there are sums of line {branch}, which is not in the content manifest"
        )));
    }
    Ok(())
}

/// Makes a person's whole approval: statement, its signature, and the signatures over every line's sums.
///
/// # Errors
/// Sums that are not those of the content manifest; the signer's.
pub fn approve(signer: &dyn Signer, act: &ApprovalRequest<'_>) -> Result<Approval> {
    check_sums(act.content, act.sums)?;
    let statement = Statement::new(act.content, act.root, act.person.clone(), act.expires)?.to_bytes()?;
    let sign = |bytes: &[u8]| signer.sign(&mut &*bytes);
    let mut sums = BTreeMap::new();
    for (branch, line) in act.sums {
        let signatures = SumSignatures { sha256sums: sign(&line.sha256sums)?, sha512sums: sign(&line.sha512sums)? };
        sums.insert(branch.clone(), signatures);
    }
    let signature = sign(&statement)?;
    let statement = String::from_utf8(statement).map_err(|e| Error::fatal("a statement is not text").because(e))?;
    Ok(Approval { person: act.person.clone(), statement, signature, sums })
}

/// An approval as it is judged.
#[derive(Debug, Clone, Copy)]
pub struct RecordedApproval<'a> {
    /// The approval.
    pub approval: &'a Approval,
    /// When the journal recorded it; none if it has only just been made.
    pub at: Option<Timestamp>,
}

/// What approvals are judged against.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalCase<'a> {
    /// The trust root with its certificates.
    pub trust: &'a TrustedRoot,
    /// What should have been approved.
    pub content: &'a Content,
    /// The sums of every line that is released, from this machine's own bytes.
    pub sums: &'a BTreeMap<BranchName, LineSums>,
    /// The window of the plan.
    pub window: Window,
}

/// Judges the approvals of a train before its gate: who counts, and for each other why not. An approval counts whole or
/// not at all; [`Judgement::chosen`] says which one counted.
///
/// # Errors
/// An expired trust root; sums that are not those of the content manifest.
pub fn judge_approvals(case: &ApprovalCase<'_>, approvals: &[RecordedApproval<'_>]) -> Result<Judgement> {
    case.trust.check_expiry(case.window.now)?;
    check_sums(case.content, case.sums)?;
    let role = &case.trust.root.roles.approve;
    let mut judgement = Judgement::new(format!("approvals of train {}", case.content.train), role);
    for (place, recorded) in approvals.iter().enumerate() {
        judgement.add_at(place, recorded.approval.person.as_str(), check_approval(case, recorded));
    }
    Ok(judgement)
}

fn check_approval(case: &ApprovalCase<'_>, recorded: &RecordedApproval<'_>) -> Result<Counted> {
    let approval = recorded.approval;
    let window = recorded.at.map_or(case.window, |at| case.window.recorded(at));
    let statement = approval.statement.as_bytes();
    let counted = check_statement(case.trust, case.content, &approval.person, statement, &approval.signature, &window)?;
    let expires = Statement::from_bytes(statement, &statement_name(&approval.person))?.expires;
    if expires <= window.now {
        return Err(Error::verification(format!("the approval expired on {expires}")));
    }
    for (branch, sums) in case.sums {
        let signatures = approval
            .sums
            .get(branch)
            .ok_or_else(|| Error::verification(format!("the sums of line {branch} are not signed")))?;
        let made = check_sum_signatures(case.trust, &approval.person, sums, signatures, &window)
            .map_err(|e| e.context(format!("line {branch}")))?;
        if made.certificate != counted.certificate {
            return Err(Error::verification("statement and sums are signed by two certificates"));
        }
    }
    Ok(counted)
}

/// Checks one person's statement about a content manifest, with its signature; not whether it has expired since.
pub fn check_statement(
    trust: &TrustedRoot,
    content: &Content,
    person: &PersonId,
    bytes: &[u8],
    signature: &str,
    window: &Window,
) -> Result<Counted> {
    let name = statement_name(person);
    let statement = Statement::from_bytes(bytes, &name)?;
    let expected = Statement::new(content, statement.root, person.clone(), statement.expires)?;
    let other = |what: &str| Err(Error::verification(format!("`{name}` is about another {what}")));
    match () {
        () if statement.person != expected.person => return other("person"),
        () if statement.project != expected.project => return other("project"),
        () if statement.train != expected.train => return other("train"),
        () if statement.plan != expected.plan => return other("plan"),
        () if statement.content != expected.content => return other("content manifest"),
        () if !trust.accepted.contains(&statement.root) => return other("trust root"),
        () => {}
    }
    let signature = Detached::parse(signature.as_bytes(), &format!("{name}.asc"))?;
    let role = ("approve", &trust.root.roles.approve);
    let counted = check_person_signature(trust, role, person, &signature, &Hashed::of(bytes)?, window)?;
    if counted.made >= statement.expires {
        return Err(Error::verification(format!(
            "`{name}` is dated {}, after it expired on {}",
            counted.made, statement.expires
        )));
    }
    if counted.made.checked_add(LONGEST).is_ok_and(|l| statement.expires > l) {
        return Err(Error::verification(format!(
            "`{name}` counts until {}, longer than 30 days after it was signed on {}",
            statement.expires, counted.made
        )));
    }
    Ok(counted)
}

/// Checks one person's signatures over one line's sums, both by one certificate.
pub fn check_sum_signatures(
    trust: &TrustedRoot,
    person: &PersonId,
    sums: &LineSums,
    signatures: &SumSignatures,
    window: &Window,
) -> Result<Counted> {
    let role = ("approve", &trust.root.roles.approve);
    let [name256, name512] = sum_signature_names(person);
    let check = |text: &str, name: &str, bytes: &[u8]| {
        let signature = Detached::parse(text.as_bytes(), name)?;
        check_person_signature(trust, role, person, &signature, &Hashed::of(bytes)?, window)
    };
    let first = check(&signatures.sha256sums, &name256, &sums.sha256sums)?;
    let second = check(&signatures.sha512sums, &name512, &sums.sha512sums)?;
    if first.certificate == second.certificate {
        Ok(first)
    } else {
        Err(Error::verification(format!("`{name256}` and `{name512}` are by two certificates")))
    }
}

impl Approval {
    /// The files that a release of this line publishes for the approval: path within the release, and bytes.
    ///
    /// # Errors
    /// A line that it does not cover.
    pub fn files(&self, branch: &BranchName) -> Result<Vec<(String, Vec<u8>)>> {
        let sums = self.sums.get(branch).ok_or_else(|| {
            Error::verification(format!("the approval of {} does not cover line {branch}", self.person))
        })?;
        let statement = statement_name(&self.person);
        let [name256, name512] = sum_signature_names(&self.person);
        Ok(vec![
            (name256, sums.sha256sums.clone().into_bytes()),
            (name512, sums.sha512sums.clone().into_bytes()),
            (statement.clone(), self.statement.clone().into_bytes()),
            (format!("{statement}.asc"), self.signature.clone().into_bytes()),
        ])
    }
}
