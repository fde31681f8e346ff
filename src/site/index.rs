//! The list of all releases: `releases/index.html`.

use jiff::Timestamp;
use semver::Version;
use serde::Serialize;

use super::commands::percent;
use super::links::AdvisoryView;
use crate::config::TemplateSet;
use crate::error::Result;
use crate::model::{BranchName, ProjectName};
use crate::templates::{self, AdvisoryText};

/// What the list shows.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexPage {
    /// The project.
    pub project: ProjectName,
    /// All releases, in any order.
    pub releases: Vec<IndexRelease>,
}

/// One release of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexRelease {
    /// Its version, which names its directory.
    pub version: Version,
    /// Its line.
    pub branch: BranchName,
    /// The train's date.
    pub date: Timestamp,
    /// What it fixes.
    pub advisories: Vec<AdvisoryText>,
}

/// The page's bytes, from `index.html`; the newest line first, and within a line the newest version first.
///
/// # Errors
/// The template's, with its file and line.
pub fn index_page(set: &TemplateSet, page: &IndexPage) -> Result<Vec<u8>> {
    templates::page(set, "index.html", &View::of(page)).map(String::into_bytes)
}

/// The same, by the project's own template alone.
///
/// # Errors
/// The template's; a page that would run or fetch something.
pub(super) fn own_index_page(set: &TemplateSet, page: &IndexPage) -> Result<String> {
    templates::own_page(set, "index.html", &View::of(page))
}

/// The lines, the newest first, and within a line the newest version first.
pub(super) fn lines(page: &IndexPage) -> Vec<LineView<'_>> {
    let mut sorted: Vec<&IndexRelease> = page.releases.iter().collect();
    // A release comes before every pre-release.
    sorted.sort_by(|a, b| (b.version.pre.is_empty(), &b.version).cmp(&(a.version.pre.is_empty(), &a.version)));
    let mut lines: Vec<LineView<'_>> = Vec::new();
    for release in sorted {
        let view = ReleaseView::of(release);
        match lines.iter_mut().find(|l| l.branch == release.branch.as_str()) {
            // Descending order: the first of a line is its latest.
            Some(line) => line.older.push(view),
            None => {
                lines.push(LineView { branch: release.branch.as_str(), latest: view, older: Vec::new() });
            }
        }
    }
    lines
}

/// What `index.html` may use.
#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
    lines: Vec<LineView<'a>>,
}

#[derive(Serialize)]
pub(super) struct LineView<'a> {
    branch: &'a str,
    latest: ReleaseView<'a>,
    older: Vec<ReleaseView<'a>>,
}

#[derive(Serialize)]
pub(super) struct ReleaseView<'a> {
    version: String,
    /// The version as part of an address: `+` of build metadata is percent-encoded for servers that take it for a blank.
    path: String,
    prerelease: bool,
    date: String,
    /// The identifiers alone.
    advisories: Vec<&'a str>,
    security: Vec<AdvisoryView<'a>>,
}

impl<'a> View<'a> {
    fn of(page: &'a IndexPage) -> Self {
        Self { project: page.project.as_str(), lines: lines(page) }
    }
}

impl<'a> ReleaseView<'a> {
    fn of(release: &'a IndexRelease) -> Self {
        let version = release.version.to_string();
        Self {
            path: percent(&version),
            version,
            prerelease: !release.version.pre.is_empty(),
            date: release.date.strftime("%Y-%m-%d").to_string(),
            advisories: release.advisories.iter().map(|a| a.id.as_str()).collect(),
            security: release.advisories.iter().map(AdvisoryView::of).collect(),
        }
    }
}
