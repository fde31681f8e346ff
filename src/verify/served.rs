//! What a store serves beside its releases: the repository that people clone, and the plain `latest` that scripts read.

use super::index::current;
use super::release::{CheckedRelease, DOCUMENT};
use super::tag::parse_refs;
use super::{Report, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::content::{self, Content};
use crate::formats::layout;
use crate::model::escape;

/// Files that send git to another place for objects.
const ELSEWHERE: [&str; 2] = ["objects/info/http-alternates", "objects/info/alternates"];

pub(super) async fn check(request: &Request, release: &CheckedRelease, report: &mut Report) -> Result<()> {
    latest(request, report).await?;
    let git = layout::repository(request.project());
    let Some(bytes) = request.source.read(&format!("{git}/info/refs"), DOCUMENT).await? else { return Ok(()) };
    let mut elsewhere = None;
    for path in ELSEWHERE {
        if request.source.read(&format!("{git}/{path}"), DOCUMENT).await?.is_some_and(|b| !b.is_empty()) {
            elsewhere = Some(path);
        }
    }
    report.note(
        "repository",
        match elsewhere {
            Some(path) => Err(Error::verification(format!("`{git}/{path}` sends git to another place for objects"))),
            None => Ok("everything that a clone gets comes from this place".to_owned()),
        },
    );
    branches(request, release, &bytes, report).await
}

/// The served branches, beside the commits that people approved in this train.
async fn branches(request: &Request, release: &CheckedRelease, refs: &[u8], report: &mut Report) -> Result<()> {
    let refs = parse_refs(refs, "info/refs")?;
    let heads: Vec<_> = refs.iter().filter_map(|(n, id)| Some((n.strip_prefix("refs/heads/")?, id))).collect();
    let read = request.source.read(&request.path(content::FILE), DOCUMENT).await?;
    let content = read.and_then(|bytes| Content::from_bytes(&bytes).ok());
    let of_lines = content.iter().flat_map(|c| c.lines.iter().map(|l| (&l.branch, &l.commit)));
    let carried = content.iter().flat_map(|c| c.carries.iter().map(|c| (&c.branch, &c.commit)));
    let (mut equal, mut moved) = (Vec::new(), Vec::new());
    for (branch, commit) in of_lines.chain(carried) {
        match heads.iter().find(|(name, _)| *name == branch.as_str()) {
            Some((_, id)) if id.as_str() == commit.as_str() => equal.push(branch.to_string()),
            Some((_, id)) => moved.push(format!("`{branch}` is at {}", escape(id))),
            None if *branch == release.manifest.line => moved.push(format!("`{branch}` is not served")),
            None => {}
        }
    }
    if !equal.is_empty() {
        report.note("branches", Ok(format!("at the approved commit: {}", equal.join(", "))));
    }
    for line in moved {
        report.not_checked("branch", format!("{line}, not at this release's commit: later work is not covered here"));
    }
    let others = heads.len().saturating_sub(equal.len());
    let why = format!(
        "{others} other branches and the tags of other releases: no signature of this release covers them; packs: git checks \
         every object against its id when it clones, and `git tag -v` the way from the tag to them"
    );
    report.not_checked("repository, the rest", why);
    Ok(())
}

/// `releases/latest` says what the signed index says. Nobody signs it, and it is written after the index.
async fn latest(request: &Request, report: &mut Report) -> Result<()> {
    const PATH: &str = layout::LATEST;
    const LINE: u64 = 256;
    let index = match current(request.judge(), None).await {
        Ok(index) => index,
        Err(e) if e.kind() == ErrorKind::Verification => return Ok(()),
        Err(e) => return Err(e),
    };
    let signed = index.latest.overall.map(|v| v.to_string());
    let mut said = None;
    for again in 0..3 {
        if again > 0 {
            // A reader may come between the two writes.
            request.source.forget(PATH);
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        let Some(bytes) = request.source.read(PATH, LINE).await? else {
            report.not_checked("latest", format!("there is no `{PATH}`"));
            return Ok(());
        };
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if Some(&text) == signed.as_ref() {
            report.note("latest", Ok(format!("{text}, as the signed index says")));
            return Ok(());
        }
        said = Some(text);
    }
    let (said, signed) = (said.unwrap_or_default(), signed.unwrap_or_else(|| "none".to_owned()));
    let why = format!(
        "`{PATH}` says `{}`, the signed index {signed}: scripts that read it get another release",
        escape(&said)
    );
    report.note("latest", Err(Error::verification(why)));
    Ok(())
}
