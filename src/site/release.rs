//! The page of one release: `releases/<version>/index.html`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::commands::{Commands, percent};
use super::human_size;
use super::links::AdvisoryView;
use crate::config::TemplateSet;
use crate::error::Result;
use crate::model::{BranchName, Oid, ProjectName, Sha256, Sha512, TagName};
use crate::templates::{self, AdvisoryText};

/// What a release's page shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleasePage {
    /// The project.
    pub project: ProjectName,
    /// The version.
    pub version: Version,
    /// The line.
    pub branch: BranchName,
    /// The train's date.
    pub date: Timestamp,
    /// The tag's name.
    pub tag: TagName,
    /// The commit that the tag names.
    pub commit: Oid,
    /// The store's public address, for commands.
    pub base: Option<String>,
    /// The digest of the trust root by which the release was approved.
    pub root: Option<Sha256>,
    /// Where strangers clone from, if the store serves the repository.
    pub clone_url: Option<String>,
    /// What the sums list, in their order.
    pub files: Vec<PageFile>,
    /// Files beside those: sums, signatures, provenance, approvals; plain names or `approvals/<name>`.
    pub others: Vec<String>,
    /// Who signed the sums.
    pub signers: Vec<PageSigner>,
    /// The release key's fingerprint, uppercase hexadecimal, which signed the tag.
    pub release_key: Option<String>,
    /// Where the release key's certificate is, relative to the release's directory.
    pub release_certificate: Option<String>,
    /// What it fixes.
    pub advisories: Vec<AdvisoryText>,
    /// The release notes (Markdown, shown as text).
    pub notes: Option<String>,
    /// The repository on each forge where the release appears.
    pub forges: BTreeMap<String, String>,
    /// The newest release of its line, if it is another one.
    #[serde(default)]
    pub superseded_by: Option<Version>,
}

/// A file that the sums list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageFile {
    /// Its plain name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Its SHA-512.
    pub sha512: Sha512,
    /// The name of the release key's signature over it, if there is one.
    pub signature: Option<String>,
}

/// A person who signed the sums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageSigner {
    /// The person, as in the signature's file name.
    pub person: String,
    /// The certificate's fingerprint, uppercase hexadecimal.
    pub fingerprint: String,
    /// The name of the signature over `SHA256SUMS`.
    pub signature: String,
    /// Where the certificate is, relative to the release's directory; a stranger must compare the fingerprint.
    pub certificate: Option<String>,
}

/// The page's bytes, from `release.html`.
///
/// # Errors
/// The template's, with its file and line.
pub fn release_page(set: &TemplateSet, page: &ReleasePage) -> Result<Vec<u8>> {
    templates::page(set, "release.html", &View::of(page)).map(String::into_bytes)
}

/// Whether the project's own template makes the page.
///
/// # Errors
/// The template's; a page that would run or fetch something.
pub fn try_release_page(set: &TemplateSet, page: &ReleasePage) -> Result<()> {
    templates::own_page(set, "release.html", &View::of(page)).map(drop)
}

/// What `release.html` may use.
#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
    version: String,
    prerelease: bool,
    branch: &'a str,
    date: String,
    tag: &'a str,
    commit: &'a str,
    files: Vec<FileView<'a>>,
    others: Vec<&'a str>,
    signers: Vec<SignerView<'a>>,
    release_key: Option<String>,
    release_certificate: Option<&'a str>,
    superseded_by: Option<SupersededView>,
    advisories: Vec<AdvisoryView<'a>>,
    notes: Option<&'a str>,
    forges: &'a BTreeMap<String, String>,
    commands: Commands,
}

#[derive(Serialize)]
struct FileView<'a> {
    name: &'a str,
    size: String,
    bytes: u64,
    sha256: String,
    sha512: String,
    signature: Option<&'a str>,
}

#[derive(Serialize)]
struct SignerView<'a> {
    person: &'a str,
    fingerprint: String,
    signature: &'a str,
    certificate: Option<&'a str>,
}

#[derive(Serialize)]
struct SupersededView {
    version: String,
    path: String,
}

impl<'a> View<'a> {
    fn of(page: &'a ReleasePage) -> Self {
        Self {
            project: page.project.as_str(),
            version: page.version.to_string(),
            prerelease: !page.version.pre.is_empty(),
            branch: page.branch.as_str(),
            date: page.date.strftime("%Y-%m-%d").to_string(),
            tag: page.tag.as_str(),
            commit: page.commit.as_str(),
            files: page.files.iter().map(FileView::of).collect(),
            others: page.others.iter().map(String::as_str).collect(),
            signers: page.signers.iter().map(SignerView::of).collect(),
            release_key: page.release_key.as_deref().map(grouped),
            release_certificate: page.release_certificate.as_deref(),
            superseded_by: page.superseded_by.as_ref().map(|v| {
                let version = v.to_string();
                SupersededView { path: percent(&version), version }
            }),
            advisories: page.advisories.iter().map(AdvisoryView::of).collect(),
            notes: page.notes.as_deref().map(str::trim).filter(|n| !n.is_empty()),
            forges: &page.forges,
            commands: Commands::of(page),
        }
    }
}

impl<'a> FileView<'a> {
    fn of(file: &'a PageFile) -> Self {
        Self {
            name: &file.name,
            size: human_size(file.size),
            bytes: file.size,
            sha256: file.sha256.hex(),
            sha512: file.sha512.hex(),
            signature: file.signature.as_deref(),
        }
    }
}

impl<'a> SignerView<'a> {
    fn of(signer: &'a PageSigner) -> Self {
        Self {
            person: &signer.person,
            fingerprint: grouped(&signer.fingerprint),
            signature: &signer.signature,
            certificate: signer.certificate.as_deref(),
        }
    }
}

/// A fingerprint in groups of four, as people read it to each other.
fn grouped(fingerprint: &str) -> String {
    let mut out = String::new();
    for (n, c) in fingerprint.chars().filter(|c| !c.is_whitespace()).enumerate() {
        if n > 0 && n % 4 == 0 {
            out.push(' ');
        }
        out.push(c);
    }
    out
}
