//! Where every list of a server ends, whatever the server says.

use crate::error::{Error, Part, Result};
use crate::model::escape;

/// The most names that a list may have; a store of two hundred releases with eighty artifacts each has a sixth of it.
const MOST: usize = 100_000;

/// How many pages of a list in a row may have no name. Servers that filter what they list send some; none has so many.
const EMPTY_PAGES: usize = 100;

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
    Err(Error::verification(format!("the server lists more than {MOST} names in {}", place(dir)))
        .of(Part::Store)
        .hint("no store has so many: is it the right address, and does the list ever end?"))
}

fn place(dir: &str) -> String {
    if dir.is_empty() { "its root".to_owned() } else { format!("`{}`", escape(dir)) }
}

/// How far a list is that comes in pages.
#[derive(Debug, Default)]
pub struct Pages {
    names: usize,
    empty: usize,
}

impl Pages {
    /// Admits one more page, with so many names.
    ///
    /// # Errors
    /// As [`admit`]; too many pages in a row without a name.
    pub fn admit(&mut self, dir: &str, names: usize) -> Result<()> {
        self.names += names + 1;
        admit(dir, self.names)?;
        self.empty = if names == 0 { self.empty + 1 } else { 0 };
        if self.empty < EMPTY_PAGES {
            return Ok(());
        }
        let what = format!("the server's list of {} has {EMPTY_PAGES} pages in a row without a name", place(dir));
        Err(Error::verification(what)
            .of(Part::Store)
            .hint("does the list ever end? Ask whoever runs the server; until then use another store"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_without_a_name_end_and_a_name_begins_their_count_anew() {
        let mut pages = Pages::default();
        for _ in 0..3 {
            (1..EMPTY_PAGES).for_each(|_| pages.admit("releases", 0).unwrap());
            pages.admit("releases", 1).unwrap();
        }
        (1..EMPTY_PAGES).for_each(|_| pages.admit("releases", 0).unwrap());
        assert!(pages.admit("releases", 0).unwrap_err().message().contains("100 pages in a row without a name"));
        assert!(Pages::default().admit("", MOST).unwrap_err().message().contains("more than 100000 names in its root"));
    }
}
