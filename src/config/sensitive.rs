//! Paths of a tree that decide what runs, on whichever host.

use crate::formats::glob;

/// Paths whose change deserves a closer review: each decides how things are built and published. A directory ends
/// with `/` and counts wherever it lies, `*` stands for any beginning of a file's name; upper and lower case are one.
pub const SENSITIVE: &[&str] = &[
    ".github/",
    ".gitlab/",
    ".cargo/",
    "ci/",
    ".ci/",
    "keys/",
    "release-templates/",
    "supply-chain/",
    "build.rs",
    "rust-toolchain",
    "rust-toolchain.toml",
    "Cargo.toml",
    "Cargo.lock",
    "Makefile",
    "GNUmakefile",
    "CMakeLists.txt",
    "*.cmake",
    "configure",
    "*.sh",
    "Dockerfile",
    ".gitlab-ci.yml",
    ".gitattributes",
    ".gitmodules",
    "lifeboat.toml",
];

/// Whether a path, relative to the top of a tree, is one of [`SENSITIVE`].
#[must_use]
pub fn is_sensitive(path: &str) -> bool {
    let path = path.to_lowercase();
    let mut parts = path.split('/').rev();
    let file = parts.next().unwrap_or_default();
    let directories: Vec<&str> = parts.collect();
    SENSITIVE.iter().map(|s| s.to_lowercase()).any(|s| match s.strip_suffix('/') {
        // A submodule or a link may stand where a directory is expected.
        Some(directory) => directories.contains(&directory) || file == directory,
        None => glob::matches_name(&s, file) || directories.contains(&s.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::is_sensitive;

    #[test]
    fn any_part_of_a_path_counts() {
        for path in [
            "Makefile",
            "crates/x/.cargo/config.toml",
            ".GitHub/workflows/a.yml",
            "crates/x/BUILD.rs",
            ".gitattributes",
            "sub/.gitattributes",
            "Cargo.toml",
            "crates/c/Cargo.lock",
            "scripts/publish.sh",
            "c-api/CMakeLists.txt",
            "configure",
            "release-templates/tag.txt",
            "supply-chain/audits.toml",
            "rust-toolchain.toml",
            "lifeboat.toml",
            ".github",
            "keys/trust.json",
        ] {
            assert!(is_sensitive(path), "{path}");
        }
        for path in ["src/lib.rs", "docs/keys.md", "src/rebuild.rs", "tests/fancy/ci.rs", "src/configure.rs", "a.shx"] {
            assert!(!is_sensitive(path), "{path}");
        }
    }
}
