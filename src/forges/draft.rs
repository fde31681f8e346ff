//! How a draft is asked for: GitHub's API, and Forgejo's and Gitea's, which took it over from there.

use serde::Serialize;

use crate::effects::ReleaseText;
use crate::error::{Context as _, Result};

/// `POST /repos/{owner}/{repo}/releases`.
#[derive(Debug, Serialize)]
struct NewDraft<'a> {
    tag_name: &'a str,
    name: &'a str,
    body: &'a str,
    draft: bool,
    prerelease: bool,
}

/// The body of the request that makes a draft without assets.
///
/// # Errors
/// A text that JSON cannot express.
pub(super) fn new_draft(text: &ReleaseText) -> Result<Vec<u8>> {
    let draft = NewDraft {
        tag_name: text.tag.as_str(),
        name: &text.title,
        body: &text.notes,
        draft: true,
        prerelease: text.prerelease,
    };
    serde_json::to_vec(&draft).context("cannot write a draft as JSON")
}
