//! `approve`: a person looks at everything again, on their own machine, then signs once.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

pub use super::review::{Review, ReviewedLine, Reviewing};
use super::train::Train;
use super::view::TrainView;
use crate::effects::{Effects, Role};
use crate::error::{Context as _, Error, Result};
use crate::journal::Event;
use crate::model::{PersonId, whole_seconds};
use crate::trust::{self, Approval, ApprovalRequest};

/// How long an approval counts.
const EXPIRES: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Looks at everything again where the train is; see [`super::review::review`].
///
/// # Errors
/// The first thing that is not as recorded.
pub async fn review(effects: &Effects, train: &Train, clone: &Path) -> Result<Review> {
    let scratch = train.dir().path().join("review.git");
    super::review::review(effects, &train.view(), Reviewing { clone, scratch: &scratch, bundled: false }).await
}

/// Makes a person's approval of what was reviewed, and records it.
///
/// # Errors
/// A key that the trust root does not give this person; the journal's.
pub fn approve(effects: &Effects, train: &Train, review: &Review, person: &PersonId) -> Result<Timestamp> {
    let (approval, expires) = sign(effects, &train.view(), review, person)?;
    train.journal().append(Event::Approved { approval: Box::new(approval) })?;
    Ok(expires)
}

/// Makes a person's approval of what was reviewed, and says until when it counts.
///
/// # Errors
/// A key that the trust root does not give this person.
pub fn sign(effects: &Effects, train: &TrainView, review: &Review, person: &PersonId) -> Result<(Approval, Timestamp)> {
    let now = effects.clock.now();
    let signer = effects.keys.signer(&Role::Person(person.clone()))?;
    let expires = whole_seconds(now.checked_add(EXPIRES).context("the clock is wrong")?);
    let act =
        ApprovalRequest { content: &review.exact, sums: &review.sums, root: train.trust().digest, person, expires };
    let approval = trust::approve(&*signer, &act)?;
    let window = trust::Window::of_plan(train.plan().date, now);
    let case = trust::ApprovalCase { trust: train.trust(), content: &review.exact, sums: &review.sums, window };
    let judgement = trust::judge_approvals(&case, &[trust::RecordedApproval { approval: &approval, at: None }])?;
    if !judgement.counted.contains_key(person) {
        let why = judgement.refused.first().map_or_else(String::new, |r| format!(": {}", r.why));
        return Err(Error::verification(format!("the approval of {person} would not count{why}"))
            .hint("the trust root in `keys/` says who may approve and with which certificate"));
    }
    Ok((approval, expires))
}

/// The staging areas of a train are of no use once it is abandoned.
pub async fn clear(effects: &Effects, train: &Train) -> Result<()> {
    for store in effects.stores.values() {
        for area in train.state().staging_areas() {
            store.clear_staging(&area).await?;
        }
    }
    Ok(())
}
