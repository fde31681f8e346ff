//! The lines that a stranger pastes: in the order of the page, in one shell, they download, check and clone.

use serde::Serialize;

use super::release::{PageFile, PageSigner, ReleasePage};
use crate::formats::checksums::SHA256SUMS;
use crate::formats::layout;
use crate::model::shell_word;

/// Lines that a stranger can run as they are, from top to bottom.
#[derive(Serialize)]
pub(super) struct Commands {
    /// Makes a directory and goes there.
    pub(super) begin: Vec<String>,
    /// Downloads each file.
    pub(super) files: Vec<String>,
    /// Downloads the sums and their signatures.
    pub(super) sums_files: Vec<String>,
    /// Downloads and imports the certificates.
    pub(super) import: Vec<String>,
    pub(super) gpg: Vec<String>,
    pub(super) sqv: Vec<String>,
    pub(super) sums: Vec<String>,
    pub(super) git: Vec<String>,
    pub(super) lifeboat: Vec<String>,
}

impl Commands {
    pub(super) fn of(page: &ReleasePage) -> Self {
        let project = page.project.as_str();
        let version = &page.version;
        let base = page.base.as_deref();
        let release = base.map(|b| format!("{b}/{}", percent(&layout::release(version))));
        let get = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            let Some(release) = &release else { return Vec::new() };
            names.map(|name| download(&format!("{release}/{}", percent(name)), name)).collect()
        };
        let sums = [SHA256SUMS].into_iter().chain(page.signers.iter().map(|s| s.signature.as_str()));
        let certificates = certificates(page);
        let mut import = vec![r#"export GNUPGHOME="$(mktemp -d)""#.to_owned()];
        if let Some(base) = base {
            import.extend(certificates.iter().map(|name| download(&format!("{base}/{}", layout::key(name)), name)));
        }
        if !certificates.is_empty() {
            import.push(format!("gpg --quiet --import {}", certificates.join(" ")));
        }
        let certificate = |s: &PageSigner| s.certificate.as_deref().and_then(|p| p.rsplit('/').next().map(shell_word));
        let each = |line: &dyn Fn(&PageSigner) -> Option<String>| page.signers.iter().filter_map(line).collect();
        let gpg: Vec<String> = each(&|s| Some(format!("gpg --verify {} {SHA256SUMS}", shell_word(&s.signature))));
        Self {
            begin: vec![format!("mkdir {project}-{version} && cd {project}-{version}")],
            files: get(&mut page.files.iter().map(|f: &PageFile| f.name.as_str())),
            sums_files: get(&mut sums.into_iter()),
            import: if certificates.is_empty() { Vec::new() } else { import },
            gpg,
            sqv: each(&|s| {
                Some(format!("sqv --keyring {} {} {SHA256SUMS}", certificate(s)?, shell_word(&s.signature)))
            }),
            sums: vec![format!("sha256sum --check --ignore-missing {SHA256SUMS}")],
            git: page.clone_url.as_deref().map_or_else(Vec::new, |url| {
                vec![
                    format!("git clone {} {project}", shell_word(url)),
                    format!("git -C {project} tag --verify {}", page.tag),
                ]
            }),
            lifeboat: match (base, &page.root) {
                (Some(base), Some(root)) => {
                    vec![format!("lifeboat verify --pin {root} {version} {}", shell_word(base))]
                }
                _ => Vec::new(),
            },
        }
    }
}

/// The files of the certificates that are served: the people's, then the release key's.
fn certificates(page: &ReleasePage) -> Vec<String> {
    let people = page.signers.iter().filter_map(|s| s.certificate.as_deref());
    let all = people.chain(page.release_certificate.as_deref()).filter_map(|p| p.rsplit('/').next());
    let mut out: Vec<String> = Vec::new();
    for name in all.map(shell_word) {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// Downloads one file under its own name.
fn download(url: &str, name: &str) -> String {
    if url.ends_with(&format!("/{name}")) {
        format!("curl -fsSLO {}", shell_word(url))
    } else {
        format!("curl -fsSL -o {} {}", shell_word(name), shell_word(url))
    }
}

/// Part of an address: `+` is percent-encoded for servers that take it for a blank.
pub(super) fn percent(text: &str) -> String {
    text.replace('+', "%2B")
}
