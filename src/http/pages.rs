//! The pages of a list: every list of a server has an end here, whatever the server says.

use crate::error::{Error, Result};
use crate::model::{RemoteName, escape};

/// How many pages of a list are read: GitHub shows the first ten thousand entries of any, a hundred a page.
const PAGES: usize = 200;

/// Reads all pages of a `list` of this server. `read` is given where a page is, from `first` on, and gives the page and where
/// the next one is, if there is one.
///
/// # Errors
/// Those of a read; more pages than any list has.
pub(crate) async fn pages<At, Page, F: Future<Output = Result<(Page, Option<At>)>>>(
    (server, list): (&RemoteName, &str),
    first: At,
    mut read: impl FnMut(At) -> F,
) -> Result<Vec<Page>> {
    let mut out = Vec::new();
    let mut next = Some(first);
    while let Some(at) = next {
        if out.len() == PAGES {
            let what = format!("`{server}` has more than {PAGES} pages of `{}`", escape(list));
            return Err(Error::verification(what).hint("is that address the forge's own?"));
        }
        let (page, after) = read(at).await?;
        out.push(page);
        next = after;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_ends() {
        let server = RemoteName::new("forge").unwrap();
        let list = (&server, "/releases");
        let read = pages(list, 1, |n| async move { Ok((n, (n < PAGES).then_some(n + 1))) }).await.unwrap();
        assert_eq!(read, (1..=PAGES).collect::<Vec<_>>());
        let endless = pages(list, 1, |n| async move { Ok((n, Some(n + 1))) }).await.unwrap_err();
        assert!(endless.message().contains("more than 200 pages of `/releases`"), "{}", endless.message());
    }
}
