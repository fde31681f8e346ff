//! A release that never was, with everything that a template may use: to check a project's own templates before a train.

use super::index::own_index_page;
use super::release::try_release_page;
use super::root::own_root_page;
use super::{IndexPage, IndexRelease, PageFile, PageSigner, ReleasePage, RootPage};
use crate::config::TemplateSet;
use crate::error::{Error, Result};
use crate::formats::checksums::SHA256SUMS;
use crate::formats::layout;
use crate::model::{AdvisoryId, Affected, ArtifactName, BranchName, Digests, ProjectName, Sha256, TagName};
use crate::templates::{self, AdvisoryText, ReleaseContext};
use jiff::Timestamp;
use semver::Version;

/// The address of the store that never was.
const BASE: &str = "https://releases.example.org";

/// See [`sample`].
#[derive(Debug, Clone)]
pub struct SamplePages {
    /// For `commit.txt`, `tag.txt` and `notes.md`.
    pub text: ReleaseContext,
    /// For `release.html`.
    pub release: ReleasePage,
    /// For `index.html`.
    pub index: IndexPage,
    /// For `root.html`.
    pub root: RootPage,
}

/// Refuses a project's template that has no use, is broken, or uses a name that its text does not have: better before a
/// train than after its gate.
///
/// # Errors
/// [`crate::error::ErrorKind::Input`] with the file and line.
pub fn check_templates(set: &TemplateSet) -> Result<()> {
    let sample = sample()?;
    for name in set.texts.keys() {
        match name.as_str() {
            "commit.txt" => drop(templates::commit_message(set, &sample.text)?),
            "tag.txt" => drop(templates::tag_message(set, &sample.text)?),
            "notes.md" => drop(templates::notes(set, &sample.text, Some("### Fixed\n"))?),
            "release.html" => try_release_page(set, &sample.release)?,
            "index.html" => drop(own_index_page(set, &sample.index)?),
            "root.html" => drop(own_root_page(set, &sample.root)?),
            other => drop(templates::render(set, other, &sample.text)?),
        }
    }
    Ok(())
}

/// The sample release of a project `acme`.
///
/// # Errors
/// None in practice: that its names fit their grammars is tested.
pub fn sample() -> Result<SamplePages> {
    let text = ReleaseContext {
        project: ProjectName::new("acme")?,
        version: version("36.0.6")?,
        old_version: version("36.0.5")?,
        tag: TagName::new("v36.0.6")?,
        branch: BranchName::new("release-36.0.0")?,
        date: Timestamp::from_second(1_771_891_200).map_err(|e| Error::fatal(e.to_string()))?,
        advisories: vec![AdvisoryId::new("GHSA-852m-cvvp-9p4w")?, AdvisoryId::new("GHSA-243v-98vx-264h")?],
        security: advisories(),
        forges: [("github".to_owned(), "acme/acme".to_owned())].into(),
    };
    let release = ReleasePage {
        project: text.project.clone(),
        version: text.version.clone(),
        branch: text.branch.clone(),
        date: text.date,
        tag: text.tag.clone(),
        commit: "0123456789abcdef0123456789abcdef01234567".parse()?,
        base: Some(BASE.to_owned()),
        root: Some(Sha256::of(b"trust.json")),
        clone_url: Some(format!("{BASE}/{}", layout::repository(&text.project))),
        files: files()?,
        others: ["SHA256SUMS", "SHA256SUMS.alice.asc", "SHA256SUMS.bob.asc", "SHA512SUMS", "manifest.json"]
            .map(str::to_owned)
            .into(),
        signers: vec![
            signer("alice", "3A0F1D2E4B5C69788796A5B4C3D2E1F00F1E2D3C"),
            signer("bob", "9B8C7D6E5F4A3B2C1D0E9F8A7B6C5D4E3F2A1B0C"),
        ],
        release_key: Some("C1D2E3F4A5B6978869504132ABCDEF0123456789".to_owned()),
        release_certificate: Some(layout::key_from_release("release.asc")),
        superseded_by: None,
        advisories: advisories(),
        notes: Some(
            "### Fixed\n\n* The host's memory is limited on behalf of guests.\n* Too many headers in `fields` no longer \
             panic.\n"
                .to_owned(),
        ),
        forges: text.forges.clone(),
    };
    let index = IndexPage {
        project: text.project.clone(),
        releases: vec![
            listed("24.0.6", "release-24.0.0", &text)?,
            listed("36.0.5", "release-36.0.0", &text)?,
            listed("36.0.6", "release-36.0.0", &text)?,
            listed("37.0.0-rc.1", "release-37.0.0", &text)?,
        ],
    };
    let root = RootPage { index: index.clone(), base: release.base.clone(), root: Sha256::of(b"trust.json") };
    Ok(SamplePages { text, release, index, root })
}

fn advisories() -> Vec<AdvisoryText> {
    let affected = |versions: &str, patched: &str| Affected {
        ecosystem: "rust".to_owned(),
        package: "acme".to_owned(),
        versions: versions.to_owned(),
        patched: Some(patched.to_owned()),
    };
    vec![
        AdvisoryText {
            id: "GHSA-852m-cvvp-9p4w".to_owned(),
            summary: Some("Guests can exhaust the host's memory".to_owned()),
            severity: Some("high".to_owned()),
            cve: Some("CVE-2026-27572".to_owned()),
            affected: vec![affected("< 24.0.6", "24.0.6"), affected(">= 25.0.0, < 36.0.6", "36.0.6")],
        },
        AdvisoryText {
            id: "GHSA-243v-98vx-264h".to_owned(),
            summary: None,
            severity: None,
            cve: None,
            affected: Vec::new(),
        },
    ]
}

fn version(text: &str) -> Result<Version> {
    Version::parse(text).map_err(|e| Error::fatal(e.to_string()))
}

fn files() -> Result<Vec<PageFile>> {
    let names = [
        ("acme-v36.0.6-src.tar.gz", 12_345_678),
        ("acme-v36.0.6-x86_64-linux.tar.xz", 8_765_432),
        ("acme-v36.0.6-aarch64-macos-c-api.tar.xz", 98_765),
        ("acme-v36.0.6-x86_64-windows.zip", 2_345_678_901),
    ];
    let file = |(name, size): (&str, u64)| {
        let name = ArtifactName::new(name)?.to_string();
        let digests = Digests::of(name.as_bytes());
        let signature = Some(format!("{name}.asc"));
        Ok(PageFile { name, size, sha256: digests.sha256, sha512: digests.sha512, signature })
    };
    names.into_iter().map(file).collect()
}

fn signer(person: &str, fingerprint: &str) -> PageSigner {
    PageSigner {
        person: person.to_owned(),
        fingerprint: fingerprint.to_owned(),
        signature: format!("{SHA256SUMS}.{person}.asc"),
        certificate: Some(layout::key_from_release(&format!("{person}.asc"))),
    }
}

fn listed(version_text: &str, branch: &str, text: &ReleaseContext) -> Result<IndexRelease> {
    Ok(IndexRelease {
        version: version(version_text)?,
        branch: BranchName::new(branch)?,
        date: text.date,
        advisories: text.security.clone(),
    })
}
