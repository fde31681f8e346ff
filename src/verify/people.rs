//! The threshold: enough people approved this content and signed these sums.

use std::collections::BTreeMap;

use super::release::{CheckedRelease, SIGNATURE, document};
use super::{Layout, Report, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::content::{self, Content};
use crate::model::PersonId;
use crate::trust::{
    Counted, Judgement, LineSums, SumSignatures, Window, check_statement, check_sum_signatures, check_sums, explain,
    statement_name, sum_signature_names,
};

/// What one person left in a release, or why it cannot be read.
struct Left {
    sums: SumSignatures,
    statement: Vec<u8>,
    signature: String,
}

/// Notes whether the threshold holds, and returns it.
pub(super) async fn check(
    request: &Request,
    release: &CheckedRelease,
    window: &Window,
    report: &mut Report,
) -> Result<bool> {
    let content = document(request, content::FILE).await?.and_then(|bytes| {
        let content = Content::from_bytes(&bytes)?;
        agrees(&content, release)?;
        Ok(content)
    });
    let content = match content {
        Ok(content) => content,
        Err(e) => {
            report.note("content manifest", Err(e));
            return Ok(false);
        }
    };
    let detail = format!(
        "train {}, {}",
        content.train,
        crate::model::counted(content.lines.len() + content.carries.len(), "line")
    );
    report.note("content manifest", Ok(detail));

    let role = &request.trust.root.roles.approve;
    let mut judgement = Judgement::new("approvals", role);
    // Those who might count if their files or certificates were here, or there.
    let (mut lacking, mut missing, mut wrong) = (0, 0, false);
    for person in &role.people {
        let left = read(request, person).await?;
        lacking += usize::from(left.is_none() && request.incomplete());
        missing += usize::from(left.is_none());
        if let Some(left) = left {
            let counted = left.and_then(|left| count(request, release, &content, window, person, &left));
            lacking += usize::from(counted.as_ref().is_err_and(|e| e.kind() == ErrorKind::Input));
            missing += usize::from(counted.as_ref().is_err_and(Error::is_absent));
            wrong |= counted.as_ref().is_err_and(|e| !e.is_absent());
            judgement.add(person.as_str(), counted);
        }
    }
    for person in strangers(request)? {
        judgement.add(&person, Err(Error::verification("not an approver by this trust root")));
    }
    let enough = |more: usize| judgement.counted.len() + more >= judgement.threshold as usize;
    let (own, absent) = (enough(lacking), !wrong && enough(missing));
    let short = |e: Error| match (own, absent) {
        (true, _) => Error::input(explain(&e)),
        (false, true) => e.absent(),
        (false, false) => e,
    };
    let result = judgement.require().map_err(short).map(|people| {
        report.approved_by = people;
        let names: Vec<String> = report.approved_by.iter().map(ToString::to_string).collect();
        format!("{} of {} needed: {}", names.len(), judgement.threshold, names.join(", "))
    });
    let held = report.note("threshold", result);
    for refused in judgement.refused.iter().filter(|_| held) {
        // The threshold holds without them, but the reader should know.
        report.not_checked(format!("approval of {}", refused.who), format!("does not count: {}", refused.why));
    }
    Ok(held)
}

/// The content manifest is about this release.
fn agrees(content: &Content, release: &CheckedRelease) -> Result<()> {
    let manifest = &release.manifest;
    let other = |what: &str| Err(Error::verification(format!("its {what} is not the manifest's")));
    let Some(line) = content.line(&manifest.line) else {
        return Err(Error::verification(format!("it does not hold line {}", manifest.line)));
    };
    match () {
        () if content.project != manifest.project => other("project"),
        () if content.train != manifest.train => other("train"),
        () if line.version != manifest.version => other("version"),
        () if line.commit != manifest.commit => other("commit"),
        () if line.tag != manifest.tag.name => other("tag"),
        () if line.tag_text != manifest.tag.text => other("tag text"),
        () if line.manifest != release.manifest_digest => other("manifest digest"),
        () => {
            let only = Content { lines: vec![line.clone()], ..content.clone() };
            let sums = LineSums { ..release.sums.clone() };
            check_sums(&only, &BTreeMap::from([(line.branch.clone(), sums)]))
        }
    }
}

/// The four files of a person; `None` if there is none of them.
async fn read(request: &Request, person: &PersonId) -> Result<Option<Result<Left>>> {
    let statement = statement_name(person);
    let [sum256, sum512] = sum_signature_names(person);
    let names = [statement.clone(), format!("{statement}.asc"), sum256, sum512];
    let mut found = Vec::new();
    for name in &names {
        match request.read(name, SIGNATURE).await {
            Ok(bytes) => found.push(bytes),
            Err(e) if e.kind() == crate::error::ErrorKind::Verification => return Ok(Some(Err(e))),
            Err(e) => return Err(e),
        }
    }
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut files = found.into_iter().zip(&names).map(|(bytes, name)| bytes.ok_or_else(|| request.missing(name)));
    let mut next = || files.next().unwrap_or_else(|| Err(Error::fatal("a file was not read")));
    let mut left = || {
        let statement = next()?;
        let mut text = || -> Result<String> { Ok(String::from_utf8_lossy(&next()?).into_owned()) };
        let signature = text()?;
        Ok(Left { statement, signature, sums: SumSignatures { sha256sums: text()?, sha512sums: text()? } })
    };
    Ok(Some(left()))
}

fn count(
    request: &Request,
    release: &CheckedRelease,
    content: &Content,
    window: &Window,
    person: &PersonId,
    left: &Left,
) -> Result<Counted> {
    let trust = &request.trust;
    let counted = check_statement(trust, content, person, &left.statement, &left.signature, window)?;
    let sums = check_sum_signatures(trust, person, &release.sums, &left.sums, window)?;
    if sums.certificate == counted.certificate {
        Ok(counted)
    } else {
        Err(Error::verification("statement and sums are signed by two certificates"))
    }
}

/// Who left a statement without having the role, where the source can list them.
fn strangers(request: &Request) -> Result<Vec<String>> {
    let directory = request.path("approvals");
    let mut names = request.source.list(&directory)?.unwrap_or_default();
    if request.layout == Layout::Release {
        let flat = request.source.list(&request.directory())?.unwrap_or_default();
        names.extend(flat.iter().filter_map(|n| n.strip_prefix(super::release::FLAT).map(str::to_owned)));
    }
    let known = &request.trust.root.roles.approve.people;
    let person = |n: &String| n.strip_suffix(".json").filter(|p| *p != "content").map(str::to_owned);
    let stranger = |p: &String| PersonId::new(p.clone()).is_ok_and(|p| !known.contains(&p));
    Ok(names.iter().filter_map(person).filter(stranger).collect())
}
