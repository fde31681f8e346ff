//! Where every list of a server ends, whatever the server says.

use crate::error::{Error, Part, Result};
use crate::model::escape;

/// The most names that a list may have; a store of two hundred releases with eighty artifacts each has a sixth of it.
const MOST: usize = 100_000;

/// The longest key that a list goes into, in bytes: longer ones are never ours.
pub(super) const LONGEST_KEY: usize = 1200;

/// Admits a list that has so many names so far; each answer counts as one, so that empty ones end too.
///
/// # Errors
/// There are more than any store has.
pub fn admit(dir: &str, names: usize) -> Result<()> {
    if names <= MOST {
        return Ok(());
    }
    let place = if dir.is_empty() { "its root".to_owned() } else { format!("`{}`", escape(dir)) };
    Err(Error::verification(format!("the server lists more than {MOST} names in {place}"))
        .of(Part::Store)
        .hint("no store has so many: is it the right address, and does the list ever end?"))
}
