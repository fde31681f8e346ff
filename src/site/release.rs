//! The page of one release: `releases/<version>/index.html`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use semver::Version;
use serde::Serialize;

use super::{human_size, safe_link, shell_word};
use crate::config::TemplateSet;
use crate::error::Result;
use crate::model::{BranchName, Oid, ProjectName, Sha256, Sha512, TagName};
use crate::templates;

/// What a release's page shows.
#[derive(Debug, Clone, PartialEq)]
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
    /// What it fixes.
    pub advisories: Vec<PageAdvisory>,
    /// The release notes (Markdown, shown as text).
    pub notes: Option<String>,
    /// The repository on each forge where the release appears.
    pub forges: BTreeMap<String, String>,
}

/// A file that the sums list.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
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

/// An advisory that the release fixes.
#[derive(Debug, Clone, PartialEq)]
pub struct PageAdvisory {
    /// Its identifier.
    pub id: String,
    /// What it is about.
    pub summary: Option<String>,
    /// Where to read more; only `https` and `http` become links.
    pub url: Option<String>,
}

/// The page's bytes, from `release.html`.
///
/// # Errors
/// The template's, with its file and line.
pub fn release_page(set: &TemplateSet, page: &ReleasePage) -> Result<Vec<u8>> {
    templates::render(set, "release.html", &View::of(page)).map(String::into_bytes)
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
struct AdvisoryView<'a> {
    id: &'a str,
    summary: Option<&'a str>,
    link: Option<&'a str>,
}

/// Lines that a stranger can run as they are, in a directory that holds the downloaded files.
#[derive(Serialize)]
struct Commands {
    import: Vec<String>,
    gpg: Vec<String>,
    sqv: Vec<String>,
    sums: Vec<String>,
    git: Vec<String>,
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

impl<'a> AdvisoryView<'a> {
    fn of(advisory: &'a PageAdvisory) -> Self {
        let link = advisory.url.as_deref().and_then(safe_link);
        Self { id: &advisory.id, summary: advisory.summary.as_deref(), link }
    }
}

impl Commands {
    fn of(page: &ReleasePage) -> Self {
        // The directory of the page is not where a stranger has downloaded to.
        let certificate = |s: &PageSigner| s.certificate.as_deref().and_then(|p| p.rsplit('/').next().map(shell_word));
        let each = |line: &dyn Fn(&PageSigner) -> Option<String>| page.signers.iter().filter_map(line).collect();
        let directory = page.project.as_str();
        Self {
            import: each(&|s| Some(format!("gpg --import {}", certificate(s)?))),
            gpg: each(&|s| Some(format!("gpg --verify {} SHA256SUMS", shell_word(&s.signature)))),
            sqv: each(&|s| Some(format!("sqv --keyring {} {} SHA256SUMS", certificate(s)?, shell_word(&s.signature)))),
            sums: vec!["sha256sum --check --ignore-missing SHA256SUMS".to_owned()],
            git: page.clone_url.as_deref().map_or_else(Vec::new, |url| {
                vec![
                    format!("git clone {} {directory}", shell_word(url)),
                    format!("git -C {directory} tag --verify {}", page.tag),
                ]
            }),
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
