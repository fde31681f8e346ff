//! One train at a time brings a branch to the public.
//!
//! Two trains of one base make commits that cannot follow each other. Each looks whether its way is clear before anything
//! of it is public; but two that look in the same moment both find it so, and the slower one would be stuck half-way. So
//! a train holds its branches in every store that it must be in, from before it looks until they are served there.

use serde::{Deserialize, Serialize};

use super::needed_stores::NeededStores;
use super::train::Train;
use crate::effects::{Effects, Store};
use crate::error::{Context as _, Error, Result};
use crate::model::{BranchName, Sha256, TrainName, TrainNonce, escape};
use crate::step::Point;

/// Who holds a branch; for people too, so it is text.
#[derive(Serialize, Deserialize)]
struct Holder {
    /// Not said in a store whose staging holds only what is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchName>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    train: Option<TrainName>,
    nonce: TrainNonce,
}

/// The name by which a branch is held: one part of a path, as a branch's own name need not be.
fn name(branch: &BranchName) -> String {
    format!("branch-{}", &Sha256::of(branch.as_str().as_bytes()).hex()[..16])
}

/// A train's branches, in a store in which it ends.
struct Held<'a> {
    point: &'a Point,
    store: &'a dyn Store,
    train: &'a Train,
}

impl Held<'_> {
    /// Whether a hold says which train and branch it is: not where only what is encrypted is staged.
    fn is_named(&self) -> bool {
        !self.train.plan().stages_encrypted(self.store.name())
    }

    /// What is held, and by whom. Always in the same order: of two trains one has the first.
    fn branches(&self, named: bool) -> Result<Vec<(String, Vec<u8>)>> {
        let Some(nonce) = self.train.state().nonce().cloned() else { return Ok(Vec::new()) };
        let plan = self.train.plan();
        let holder = |branch: &BranchName| {
            let train = named.then(|| plan.train.clone());
            let holder = Holder { branch: named.then(|| branch.clone()), train, nonce: nonce.clone() };
            Ok((name(branch), serde_json::to_vec(&holder).context("who holds a branch")?))
        };
        self.point.lines.keys().chain(self.point.carries.keys()).map(holder).collect()
    }

    fn is_ours(&self, holder: &[u8]) -> bool {
        self.train.state().nonce().is_some_and(|nonce| is_of(holder, &self.train.plan().train, nonce))
    }

    async fn take(&self) -> Result<()> {
        for (what, holder) in self.branches(self.is_named())? {
            let Some(other) = self.store.hold(&what, &holder).await? else { continue };
            // Ours, from before the train was amended.
            if self.is_ours(&other) {
                self.store.release(&what, &other).await?;
                if self.store.hold(&what, &holder).await?.is_none() {
                    continue;
                }
            }
            return Err(taken(self.store, &what, &other));
        }
        Ok(())
    }

    /// Gives back both forms of a hold, if the train was amended: the one that it has may be from before.
    async fn give_back(&self) -> Result<()> {
        let mut held = self.branches(self.is_named())?;
        if self.train.state().generation() > 0 {
            held.extend(self.branches(!self.is_named())?);
        }
        for (what, holder) in held {
            self.store.release(&what, &holder).await?;
        }
        Ok(())
    }
}

/// Whether a holder is this train, whose name it may not say.
fn is_of(holder: &[u8], train: &TrainName, nonce: &TrainNonce) -> bool {
    let Ok(holder) = serde_json::from_slice::<Holder>(holder) else { return false };
    holder.nonce == *nonce && holder.train.is_none_or(|name| name == *train)
}

fn taken(store: &dyn Store, what: &str, other: &[u8]) -> Error {
    let store = store.name();
    let Ok(holder) = serde_json::from_slice::<Holder>(other) else {
        return Error::conflict(format!("`{what}` in store `{store}` is held by something else"))
            .detail(format!("holder: {}", escape(&String::from_utf8_lossy(other))))
            .hint("nothing is public yet; find out who put it into the store's staging area, and remove it");
    };
    let (Some(train), Some(branch)) = (&holder.train, &holder.branch) else {
        return Error::conflict(format!("another train is bringing a branch of this one to the public in store `{store}`"))
            .detail(format!("held as `{what}`, by the train with the nonce {}", holder.nonce))
            .hint(
                "nothing of this train is public: `lifeboat ship` where that train is lets it end, and `lifeboat abandon` gives \
                 it up; after it, this one may have to be planned again",
            );
    };
    Error::conflict(format!("train `{train}` is bringing `{branch}` to the public"))
        .detail(format!("held as `{what}` in store `{store}`, by the train with the nonce {}", holder.nonce))
        .hint(format!(
            "nothing of this train is public: let `{train}` end with `lifeboat ship --train {train}` where it is, or end it \
             with `lifeboat abandon {train} --reason …`; after it, this one may have to be planned again. If the machine \
             that has `{train}` is lost for good, remove the held file from the store's staging area"
        ))
}

fn in_stores<'a>(effects: &'a Effects, train: &'a Train) -> Vec<Held<'a>> {
    let ends = train.plan().all::<Point>().filter_map(|(_, point)| Some((point, effects.stores.get(&point.store)?)));
    ends.map(|(point, store)| Held { point, store: &**store, train }).collect()
}

/// Takes all branches in all stores that the train needs, or says who has one; whoever fails gives back the others, which
/// another train may be waiting for. Of stores that count for a quorum enough must be up: two trains that each hold their
/// branches in more than half of them meet in one.
pub(super) async fn hold(effects: &Effects, train: &Train) -> Result<()> {
    let mut needed = NeededStores::of(train.plan());
    for held in in_stores(effects, train) {
        if needed.has(&held.point.store) {
            needed.came(&held.point.store, held.take().await)?;
        }
    }
    needed.enough()
}

/// Gives back whatever the train holds in any store. One that is down keeps no other one's branches held.
///
/// # Errors
/// The first store's that failed, after all were asked.
pub async fn release(effects: &Effects, train: &Train) -> Result<()> {
    let mut failed = Ok(());
    for held in in_stores(effects, train) {
        failed = failed.and(held.give_back().await);
    }
    failed
}

/// Gives back what the train holds in one store.
pub(crate) async fn release_in(effects: &Effects, train: &Train, store: &dyn Store) -> Result<()> {
    for held in in_stores(effects, train).iter().filter(|h| h.point.store == *store.name()) {
        held.give_back().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_knows_its_own_hold_in_either_form() {
        let (train, nonce): (TrainName, TrainNonce) = ("a".parse().unwrap(), "1".repeat(32).parse().unwrap());
        let is_ours = |holder: String| is_of(holder.as_bytes(), &train, &nonce);
        let named =
            |name: &str, digit: &str| format!(r#"{{"branch":"main","train":"{name}","nonce":"{}"}}"#, digit.repeat(32));
        let opaque = |digit: &str| format!(r#"{{"nonce":"{}"}}"#, digit.repeat(32));
        assert!(is_ours(named("a", "1")) && is_ours(opaque("1")));
        assert!(!is_ours(named("a", "2")) && !is_ours(opaque("2")), "another nonce");
        assert!(!is_ours(named("b", "1")), "another train's name, whatever its nonce");
        assert!(!is_ours("free".to_owned()) && !is_ours(String::new()));
    }
}
