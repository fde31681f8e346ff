//! The list of all releases: `releases/index.html`.

use jiff::Timestamp;
use semver::Version;
use serde::Serialize;

use crate::config::TemplateSet;
use crate::error::Result;
use crate::model::{BranchName, ProjectName};
use crate::templates;

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
    /// The identifiers of what it fixes.
    pub advisories: Vec<String>,
}

/// The page's bytes, from `index.html`; the newest line first, and within a line the newest version first.
///
/// # Errors
/// The template's, with its file and line.
pub fn index_page(set: &TemplateSet, page: &IndexPage) -> Result<Vec<u8>> {
    let mut sorted: Vec<&IndexRelease> = page.releases.iter().collect();
    sorted.sort_by(|a, b| b.version.cmp(&a.version));
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
    let project = page.project.as_str();
    templates::render(set, "index.html", &View { project, lines }).map(String::into_bytes)
}

/// What `index.html` may use.
#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
    lines: Vec<LineView<'a>>,
}

#[derive(Serialize)]
struct LineView<'a> {
    branch: &'a str,
    latest: ReleaseView<'a>,
    older: Vec<ReleaseView<'a>>,
}

#[derive(Serialize)]
struct ReleaseView<'a> {
    version: String,
    /// The version as part of an address: `+` of build metadata is percent-encoded for servers that take it for a blank.
    path: String,
    prerelease: bool,
    date: String,
    advisories: &'a [String],
}

impl<'a> ReleaseView<'a> {
    fn of(release: &'a IndexRelease) -> Self {
        let version = release.version.to_string();
        Self {
            path: version.replace('+', "%2B"),
            version,
            prerelease: !release.version.pre.is_empty(),
            date: release.date.strftime("%Y-%m-%d").to_string(),
            advisories: &release.advisories,
        }
    }
}
