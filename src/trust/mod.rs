//! Who may decide what: the trust root, its roles and thresholds, and what a signature may count for.
//!
//! The judgements are pure functions over bytes, certificates and times that the caller gives. Only [`load`] and its like read files.

mod approval;
mod approval_file;
mod index;
mod judge;
mod load;
mod mirrors;
mod own_keys;
mod recipients;
mod root;
mod root_mismatch;
mod rotation;
mod trusted;

pub use approval::{
    Approval, ApprovalCase, ApprovalRequest, LineSums, RecordedApproval, SumSignatures, approve, check_statement,
    check_sum_signatures, check_sums, judge_approvals, statement_name, sum_signature_names,
};
pub use approval_file::Carried;
pub use index::{IndexSigners, SignedIndex, check_index, read_index};
pub(crate) use judge::explain;
pub use judge::{
    Counted, EARLIEST, Judgement, ON_THE_WAY, Refused, SKEW, Window, check_key_signature, check_person_signature,
};
pub use load::{
    KeyFiles, Memory, PIN, PINNED_ROOT, REMEMBERED, RootChoice, load, load_files, load_remembering, pin, pin_root,
    pinned, pinned_root, remember,
};
pub use mirrors::{SignedMirrors, check_mirrors, read_mirrors};
pub use own_keys::{check_names, check_own_key, judge_own, prove_key};
pub use recipients::{recipients, usable};
pub use root::{FILE, KeyRole, PeopleRole, Person, Roles, Root};
pub use root_mismatch::{changes, summary, warnings};
pub use rotation::check_successor;
pub use trusted::TrustedRoot;
