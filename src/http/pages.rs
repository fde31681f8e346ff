//! The pages of a list: every list of a server has an end here, whatever the server says.

use crate::error::{Error, Result};
use crate::model::{RemoteName, escape};

/// How many pages of a list are read: GitHub shows the first ten thousand entries of any, a hundred a page.
const PAGES: usize = 200;

/// Counts the pages of one list.
pub(crate) struct Pages {
    what: String,
    page: usize,
}

impl Pages {
    /// The first page of a list of this server.
    pub(crate) fn of(server: &RemoteName, list: &str) -> Self {
        Self { what: format!("`{server}` has more than {PAGES} pages of `{}`", escape(list)), page: 1 }
    }

    /// The page to read now, from 1.
    pub(crate) fn page(&self) -> usize {
        self.page
    }

    /// Turns to the next page.
    ///
    /// # Errors
    /// There are more than any list has.
    pub(crate) fn next(&mut self) -> Result<()> {
        if self.page == PAGES {
            return Err(Error::verification(self.what.clone()).hint("is that address the forge's own?"));
        }
        self.page += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends() {
        let mut pages = Pages::of(&RemoteName::new("forge").unwrap(), "/releases");
        let read = (1..).take_while(|_| pages.next().is_ok()).count();
        assert_eq!((read, pages.page()), (PAGES - 1, PAGES));
        assert!(pages.next().unwrap_err().message().contains("more than 200 pages of `/releases`"));
    }
}
