//! What the double holds, and GitHub's rules for changing it.

use std::collections::BTreeMap;

use super::actions::{Run, Workflow};
use super::pulls::Pull;

/// An asset: its bytes are hashed and forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub id: u64,
    pub name: String,
    pub size: u64,
    pub sha256: String,
    /// Listed but unusable if not.
    pub whole: bool,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub id: u64,
    pub tag: String,
    pub title: String,
    pub notes: String,
    pub draft: bool,
    pub prerelease: bool,
    /// Once published, nothing can be added or replaced.
    pub immutable: bool,
    pub assets: Vec<Asset>,
}

/// The repository as GitHub holds it.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Tags and the objects to which they point.
    pub refs: BTreeMap<String, String>,
    pub releases: Vec<Release>,
    /// The release that was made latest.
    pub latest: Option<u64>,
    /// The tags that were made latest, in their order.
    pub made_latest: Vec<String>,
    /// `published` events, with what was there to be downloaded: each starts what other people built on it.
    pub published: Vec<String>,
    /// Tags that GitHub made by itself, because a release was published before its tag was there.
    pub made_tags: Vec<String>,
    /// The repository's workflows.
    pub workflows: Vec<Workflow>,
    /// What they did.
    pub runs: Vec<Run>,
    pub pulls: Vec<Pull>,
    /// Security advisories, as they are shown.
    pub advisories: Vec<serde_json::Value>,
    /// The advisories for which a CVE number was asked for.
    pub cve_requests: Vec<String>,
    /// The advisories that were published, in their order.
    pub published_advisories: Vec<String>,
    /// The commits of tags that no repository holds.
    pub commits: BTreeMap<String, String>,
    /// Whether the repository has immutable releases.
    pub immutable_releases: bool,
    /// Tags of immutable releases that were removed: no release gets one again.
    pub used_tags: std::collections::BTreeSet<String>,
    /// Requests left in the rate bucket, and when it is full again, in seconds since 1970.
    pub remaining: Option<(u32, i64)>,
    /// Requests that came although the bucket was empty.
    pub beyond: u32,
    /// Reads that were answered with "not modified".
    pub not_modified: u32,
    next_id: u64,
}

/// A refusal: the status and the code of a validation error.
pub type Refused = (u16, &'static str);

impl State {
    pub fn number(&mut self) -> u64 {
        self.next_id += 1;
        1_000 + self.next_id
    }

    /// A release by number.
    pub fn release(&self, id: u64) -> Option<&Release> {
        self.releases.iter().find(|r| r.id == id)
    }

    /// The release that `latest` shows: the one made so, else the newest that is neither draft nor pre-release.
    pub fn latest(&self) -> Option<&Release> {
        let eligible = |r: &&Release| !r.draft && !r.prerelease;
        let made = self.latest.and_then(|id| self.release(id)).filter(eligible);
        made.or_else(|| self.releases.iter().rev().find(eligible))
    }

    /// Makes a release.
    pub fn create(&mut self, mut release: Release, latest: Option<bool>) -> Result<u64, Refused> {
        if !release.draft && self.releases.iter().any(|r| !r.draft && r.tag == release.tag) {
            return Err((422, "already_exists"));
        }
        if self.used_tags.contains(&release.tag) {
            return Err((422, "tag-used"));
        }
        release.id = self.number();
        let (id, publish) = (release.id, !release.draft);
        release.draft = true;
        self.releases.push(release);
        if publish { self.publish(id, latest).map(|()| id) } else { Ok(id) }
    }

    /// Publishes a draft; `latest` is true unless the call says otherwise, as GitHub has it.
    pub fn publish(&mut self, id: u64, latest: Option<bool>) -> Result<(), Refused> {
        let release = self.release(id).ok_or((404, "missing"))?.clone();
        if release.draft {
            if self.releases.iter().any(|r| !r.draft && r.tag == release.tag) {
                return Err((422, "already_exists"));
            }
            if !self.refs.contains_key(&release.tag) {
                self.made_tags.push(release.tag.clone());
                self.refs.insert(release.tag.clone(), "0".repeat(40));
            }
            let whole = release.assets.iter().filter(|a| a.whole).count();
            self.published.push(format!("{} with {whole} whole assets", release.tag));
            let commit = self.commits.get(&release.tag).cloned().unwrap_or_default();
            self.happens("release", &format!("refs/tags/{}", release.tag), &commit);
            let immutable = self.immutable_releases;
            if let Some(r) = self.releases.iter_mut().find(|r| r.id == id) {
                (r.draft, r.immutable) = (false, immutable);
            }
        }
        if latest.unwrap_or(true) && !release.prerelease {
            self.latest = Some(id);
            self.made_latest.push(release.tag);
        }
        Ok(())
    }

    /// Adds an asset.
    pub fn upload(&mut self, id: u64, name: &str, size: u64, sha256: String, whole: bool) -> Result<u64, Refused> {
        let asset = self.number();
        let release = self.releases.iter_mut().find(|r| r.id == id).ok_or((404, "missing"))?;
        if release.immutable {
            return Err((422, "immutable_release"));
        }
        if release.assets.iter().any(|a| a.name == name) {
            return Err((422, "already_exists"));
        }
        release.assets.push(Asset { id: asset, name: name.to_owned(), size, sha256, whole });
        Ok(asset)
    }

    /// Removes an asset.
    pub fn remove_asset(&mut self, id: u64) -> Result<(), Refused> {
        let of = self.releases.iter_mut().find(|r| r.assets.iter().any(|a| a.id == id)).ok_or((404, "missing"))?;
        if of.immutable {
            return Err((422, "immutable_release"));
        }
        of.assets.retain(|a| a.id != id);
        Ok(())
    }

    /// Removes a release; the tag of an immutable one cannot be used again.
    pub fn remove_release(&mut self, id: u64) -> Result<(), Refused> {
        let release = self.release(id).ok_or((404, "missing"))?;
        if release.immutable {
            let tag = release.tag.clone();
            self.used_tags.insert(tag);
        }
        self.releases.retain(|r| r.id != id);
        Ok(())
    }
}
