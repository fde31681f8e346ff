//! The names that a release keeps for itself.

use crate::formats::manifest::is_reserved;

/// Why an artifact may not have this name: a release has a file or directory of its own that is called so, on a file
/// system that ignores case too; `None` if it may.
#[must_use]
pub fn reserved(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "sha256sums" | "sha512sums" | "manifest.json" | "index.html" | "index.json" | "approvals" | "notes.md"
        | "latest" | "robots.txt" | "trust.json" => Some("a release has a file of its own with this name"),
        _ if has_ending(&lower, &[".asc", ".sig", ".gpg"]) => Some("signatures are made by lifeboat"),
        _ if lower.starts_with("sha256sums.") || lower.starts_with("sha512sums.") => Some("sums are made by lifeboat"),
        _ if lower.starts_with("provenance.") => Some("provenance is made by lifeboat"),
        _ if is_reserved(name) => Some("a release has a file of its own with this name"),
        _ if has_ending(&lower, &[".partial"]) => Some("half-written files are called so"),
        _ => None,
    }
}

fn has_ending(name: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::reserved;

    #[test]
    fn what_a_release_keeps() {
        for name in [
            "SHA256SUMS",
            "sha512sums",
            "Manifest.json",
            "a.tar.gz.asc",
            "provenance.intoto.jsonl",
            "APPROVALS",
            "tag.txt",
            "SHA256SUMS-of-inputs.txt",
        ] {
            assert!(reserved(name).is_some(), "{name}");
        }
        for name in ["a.tar.gz", "provenance"] {
            assert!(reserved(name).is_none(), "{name}");
        }
    }
}
