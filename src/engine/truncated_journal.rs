//! A journal that lost its end: what may be public is looked up, not guessed.

use crate::effects::{Effects, read_public};
use crate::engine::release_files::LineRelease;
use crate::error::{Error, Result};
use crate::formats::layout;
use crate::journal::State;
use crate::model::Sha256;
use crate::step::Promote;

/// Refuses to sign anew, or to abandon the train, where a store serves the very release of this train and the journal knows
/// nothing of that: the signatures there are good, and new ones would only contradict them.
///
/// # Errors
/// The release that is public, and what helps. A store that cannot be asked shows nothing.
pub(crate) async fn nothing_is_public_yet(effects: &Effects, state: &State) -> Result<()> {
    for planned in &state.graph().plan().steps {
        let Some(Promote(step)) = planned.step.as_a() else { continue };
        let begun = state.step(&planned.id).is_some_and(|s| s.attempts > 0);
        let (Ok(release), Some(store), false) =
            (LineRelease::staged(state, step), effects.stores.get(&step.store), begun)
        else {
            continue;
        };
        let manifest = &release.made.manifest;
        let path = layout::release_file(&step.version, manifest.name.as_str());
        let there = read_public(&**store, &path).await.ok().flatten();
        if there.is_some_and(|bytes| Sha256::of(&bytes) == manifest.digests.sha256) {
            let (version, train) = (&step.version, &state.graph().plan().train);
            return Err(Error::verification(format!(
                "release {version} of this train is public in store `{}`, and its journal knows nothing of that",
                step.store
            ))
            .detail(format!("there: {}", store.public_url(&path)))
            .detail("the journal has lost its end; nothing was signed or changed")
            .hint(format!(
                "restore the train's `journal.jsonl` from a backup, then `lifeboat ship --train {train}`; `lifeboat log {train}` \
                 shows how far this one goes"
            ))
            .hint(format!(
                "do not abandon the train, and remove nothing from the store: what is public was approved and signed, as \
                 `lifeboat verify {version} ADDRESS` shows"
            )));
        }
    }
    Ok(())
}
