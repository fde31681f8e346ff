//! The consumer's side: checks a published release and takes no trust from where it lies.
//!
//! Everything is checked against a trust root that the user has: authenticity, the threshold of people, completeness, and,
//! in a whole store, freshness. Every check that can still be made is made, so that one report says everything.

mod artifacts;
mod bounds;
mod find;
mod index;
mod keep;
mod keys;
mod mirrors;
mod people;
mod release;
mod report;
mod served;
mod source;
mod tag;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use semver::Version;

use crate::effects::Disk;
use crate::error::{Error, Result};
use crate::formats::layout;
use crate::model::{ArtifactName, BranchName, ProjectName};
use crate::trust::{TrustedRoot, Window};

pub use find::{FoundRelease, ReleaseQuery, Search, find};
pub use index::SEEN_SUFFIX;
pub(crate) use index::counting_index;
pub use keep::Download;
pub use keys::fetch_keys;
pub use mirrors::{JudgedMirror, MirrorState, MirrorsReport, MirrorsRequest, PATIENCE, all_mirrors};
pub(crate) use mirrors::{counting_list, unremembered};
pub(crate) use release::DOCUMENT;
pub use report::{Check, Report, Verdict};
pub use source::Source;

pub use bounds::{MAX_COUNT, MAX_SIZE};

/// The newest list of mirrors that was seen lies beside the highest index, with this suffix.
const MIRRORS_SEEN_SUFFIX: &str = ".mirrors-seen.json";

/// What lies at the location that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A store: `releases/<version>/`, `releases/index.json`, `git/<project>.git/`.
    Store,
    /// The directory of one release alone, as somebody downloaded it.
    Release,
}

/// What is to be checked, and against what.
pub struct Request {
    /// Where the bytes are.
    pub source: Source,
    /// How they are laid out.
    pub layout: Layout,
    /// The version that the user wants; what is found must say that it is this one.
    pub version: Version,
    /// The line that it should be of, if the user cares.
    pub line: Option<BranchName>,
    /// A local clone whose tag is checked too.
    pub clone: Option<PathBuf>,
    /// The artifacts that are read, none for all, each with where it lies on this machine if not at the source.
    pub only: BTreeMap<ArtifactName, Option<PathBuf>>,
    /// Where the bytes of artifacts are kept as they are read; what is there counts only if the report holds.
    pub keep: Option<Download>,
    /// The trust root, which came from elsewhere.
    pub trust: TrustedRoot,
    /// Where the highest index that was seen is remembered; none to remember nothing.
    pub state_dir: Option<PathBuf>,
    /// This machine's files.
    pub disk: Arc<dyn Disk>,
    /// The time of checking.
    pub now: Timestamp,
}

impl Request {
    fn project(&self) -> &ProjectName {
        &self.trust.root.project
    }

    /// The path of a file of the release, relative to the source.
    fn path(&self, name: &str) -> String {
        match self.layout {
            Layout::Store => layout::release_file(&self.version, name),
            Layout::Release => name.to_owned(),
        }
    }

    /// A small file of the release. Where files have no directories, as among the assets of a forge, `approvals/a` lies as
    /// `approvals.a`.
    async fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let found = self.source.read(&self.path(name), limit).await?;
        match name.split_once('/') {
            Some((directory, file)) if found.is_none() && self.layout == Layout::Release => {
                self.source.read(&format!("{directory}.{file}"), limit).await
            }
            _ => Ok(found),
        }
    }

    /// What is wrong where something that belongs to a release is missing: a download that is not complete is its user's own
    /// fault, a store that is not complete is not.
    fn missing(&self, name: &str) -> Error {
        if self.incomplete() {
            return Error::input(format!("`{name}` is not in `{}`", self.source.place()));
        }
        Error::verification(format!("`{name}` is missing")).absent()
    }

    /// Whether what is checked is somebody's own copy of one release.
    fn incomplete(&self) -> bool {
        self.layout == Layout::Release && self.source.is_local()
    }

    /// Where an artifact lies on this machine, if not at the source.
    fn local(&self, name: &ArtifactName) -> Option<&Path> {
        self.only.get(name)?.as_deref()
    }

    /// The directory of the release, relative to the source.
    fn directory(&self) -> String {
        match self.layout {
            Layout::Store => layout::release(&self.version),
            Layout::Release => String::new(),
        }
    }
}

/// Checks a release; the report holds every check that failed.
///
/// # Errors
/// A source that cannot be reached, an expired trust root. What is wrong with the release itself stands in the report:
/// see [`Report::require`].
pub async fn verify(request: Request) -> Result<Report> {
    let request = Arc::new(request);
    if request.layout == Layout::Store {
        index::clock_is_not_behind(&request).await?;
    }
    request.trust.check_expiry(request.now)?;
    let mut report = Report::new(request.project().clone(), request.version.clone());
    let Some(release) = release::check(&request, &mut report).await? else { return Ok(report) };
    let window = Window::of_plan(release.manifest.date, request.now);
    // Nothing vouches for the date of a signature: whoever finds an old key can give it any, and an index is signed by a key
    // that must not stand in for people. So people's keys must be good now; the date in what they signed is then a time that
    // the release key's expiry is judged by.
    let of_people = window.good_at(request.now);
    let window = window.good_at(release.manifest.date.min(request.now));
    if people::check(&request, &release, &of_people, &mut report).await? {
        artifacts::check(&request, &release, &window, &mut report).await?;
    } else {
        // Nobody vouches for the manifest: what it says of names and sizes is the word of whoever serves it.
        report.not_checked("artifacts", "not read, because the threshold does not hold");
    }
    tag::check(&request, &release, &window, &mut report).await?;
    release::check_nothing_extra(&request, &release, &mut report).await?;
    index::check(&request, &release, &mut report).await?;
    if request.layout == Layout::Store {
        served::check(&request, &release, &mut report).await?;
    }
    Ok(report)
}
