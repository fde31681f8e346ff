//! Paths of a tree that decide what runs, on whichever host.

/// Paths whose change deserves a second look: they decide how things are built and published.
pub const SENSITIVE: &[&str] = &[
    ".github/",
    ".cargo/",
    "ci/",
    ".ci/",
    "build.rs",
    "rust-toolchain",
    "Makefile",
    ".gitmodules",
    "lifeboat.toml",
    "keys/",
];
