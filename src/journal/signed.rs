//! Who wrote a journal: its records' signatures against the certificates of those who held the train.
//!
//! Each record's hash covers the record before, so the signature of the last one vouches for all of them: one check shows
//! whether the holder of that key wrote this history. It cannot show whether records after it were cut off; another copy
//! of the journal can. Nor does it say that the holder was right: what records claim about bytes is recomputed where it
//! counts.

use super::event::{Event, Record};
use crate::error::{Error, Result};
use crate::formats::openpgp::{Certificate, Detached, Hashed};
use crate::model::Fingerprint;

/// Which records' signatures are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// The last one's, which covers all before it.
    Head,
    /// Every one's.
    All,
}

/// Checks that each record was written by who held the train then, and the signatures of `which`; the records must be a
/// whole chain already. Returns the certificates of the holders, the present one last. Whether those are to be trusted is
/// for the caller to say: the first one is named by the journal itself.
///
/// # Errors
/// A record by another key, or whose signature does not match; a certificate that cannot be read.
pub fn check_signatures(records: &[Record], which: Signatures) -> Result<Vec<Certificate>> {
    let mut holders: Vec<Certificate> = Vec::new();
    for (i, record) in records.iter().enumerate() {
        let line = i + 1;
        if let Event::PlanAdopted { certificate, .. } = &record.what {
            holders.push(Certificate::parse(certificate.as_bytes(), &format!("the certificate in line {line}"))?);
        }
        let forged = |what: String| {
            Error::verification(format!("line {line}: {what}"))
                .detail("somebody without the operator's key wrote or changed this journal")
                .hint("restore the journal from a backup or another maintainer's copy")
        };
        let Some(holder) = holders.last() else {
            return Err(forged("no certificate says who may write before it".to_owned()));
        };
        if !record.by.parse::<Fingerprint>().is_ok_and(|by| holder.has_key(&by)) {
            return Err(forged(format!("it is by {}, but {} holds the train", record.by, holder.fingerprint())));
        }
        if which == Signatures::All || line == records.len() {
            let signature = Detached::parse(record.signature.as_bytes(), &format!("the signature in line {line}"))?;
            let signed = Hashed::of(&Record::signed_bytes(&record.hash))?;
            holder
                .check(&signature, &signed, record.at)
                .map_err(|e| forged(format!("it is not signed by {}", holder.fingerprint())).because(e))?;
        }
    }
    Ok(holders)
}
