//! What pages say of advisories, with links for the identifiers that have a known place.

use serde::Serialize;

use super::safe_link;
use crate::templates::AdvisoryText;

/// An advisory in a page.
#[derive(Serialize)]
pub(super) struct AdvisoryView<'a> {
    pub(super) id: &'a str,
    pub(super) link: Option<String>,
    pub(super) summary: Option<&'a str>,
    pub(super) severity: Option<&'a str>,
    pub(super) cve: Option<&'a str>,
    pub(super) cve_link: Option<String>,
    pub(super) affected: Vec<AffectedView<'a>>,
}

/// What is affected, in a page.
#[derive(Serialize)]
pub(super) struct AffectedView<'a> {
    package: &'a str,
    ecosystem: &'a str,
    versions: &'a str,
    patched: Option<&'a str>,
}

impl<'a> AdvisoryView<'a> {
    pub(super) fn of(text: &'a AdvisoryText) -> Self {
        let affected = text.affected.iter().map(|a| AffectedView {
            package: &a.package,
            ecosystem: &a.ecosystem,
            versions: &a.versions,
            patched: a.patched.as_deref(),
        });
        Self {
            id: &text.id,
            link: link(&text.id),
            summary: text.summary.as_deref(),
            severity: text.severity.as_deref(),
            cve: text.cve.as_deref(),
            cve_link: text.cve.as_deref().and_then(link),
            affected: affected.collect(),
        }
    }
}

/// Where an identifier is explained, for those of the public databases.
fn link(id: &str) -> Option<String> {
    if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return None;
    }
    let url = match id.split_once('-')?.0 {
        "CVE" => format!("https://www.cve.org/CVERecord?id={id}"),
        "GHSA" => format!("https://github.com/advisories/{id}"),
        "RUSTSEC" => format!("https://rustsec.org/advisories/{id}.html"),
        _ => return None,
    };
    safe_link(&url).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn known_identifiers_have_a_place() {
        for (id, to) in [
            ("CVE-2026-1234", Some("https://www.cve.org/CVERecord?id=CVE-2026-1234")),
            ("GHSA-852m-cvvp-9p4w", Some("https://github.com/advisories/GHSA-852m-cvvp-9p4w")),
            ("RUSTSEC-2026-0001", Some("https://rustsec.org/advisories/RUSTSEC-2026-0001.html")),
            ("SAMPLE-2026-0001", None),
            ("CVE-2026-1/../x", None),
        ] {
            assert_eq!(link(id).as_deref(), to);
        }
    }
}
