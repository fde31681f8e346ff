//! The grammar of paths in a store; pure.

use crate::error::{Error, Result};
use crate::formats::layout::is_digest_signature;
use crate::model::escape;

/// Longest path, in bytes: S3's limit for keys.
const MAX_PATH: usize = 1024;
/// Longest part, in bytes: what file systems take, less the room that a temporary name needs.
const MAX_PART: usize = 240;

/// Checks a path: parts of letters, digits and `.` `_` `-` `+` `~`, joined by `/`, none starting with `.` or `-` (but for
/// a first part `.well-known`, RFC 8615). So it is relative, and neither hidden nor leading upwards.
///
/// # Errors
/// Says which path, and what would be valid.
pub fn check(path: &str) -> Result<()> {
    let rest = path.strip_prefix(".well-known/").unwrap_or(path);
    if path.len() <= MAX_PATH && rest.split('/').all(part) { Ok(()) } else { Err(refused("path in a store", path)) }
}

/// Checks the name of a train's staging directory, or of what is held: one part of a path.
///
/// # Errors
/// Says which name, and what would be valid.
pub fn check_train(train: &str) -> Result<()> {
    if part(train) { Ok(()) } else { Err(refused("train name", train)) }
}

/// Refuses the path of anything else: nothing else that is public is ever removed.
///
/// # Errors
/// Says which path.
pub fn check_digest_signature(path: &str) -> Result<()> {
    if is_digest_signature(path) {
        return Ok(());
    }
    Err(Error::fatal(format!("`{}` is not the signature of an index or of a list of mirrors, and stays", escape(path))))
}

fn part(s: &str) -> bool {
    !s.is_empty()
        && s.len() <= MAX_PART
        && !s.starts_with(['.', '-'])
        && !s.ends_with('.')
        && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~'))
}

fn refused(what: &str, value: &str) -> Error {
    Error::input(format!("`{}` is not a {what}", escape(value)))
        .hint("expected relative paths of letters, digits and `.` `_` `-` `+` `~`, no part starting with `.` or `-`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        let long = "x".repeat(241);
        let deep = "x/".repeat(600) + "x";
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            ".staging/t/x",
            "a/.hidden",
            "-rf",
            "a/-rf",
            "a b",
            "a\nb",
            "a\\b",
            "a:b",
            "a%2fb",
            "ä",
            "x.",
            ".well-known",
            ".well-known/../x",
            &long,
            &deep,
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check_train("a/b").is_err() && check_train("..").is_err() && check_train("").is_err());
    }

    #[test]
    fn nothing_else_is_taken_for_the_signature_of_an_index() {
        for file in ["index", "mirrors"] {
            assert!(is_digest_signature(&format!("releases/{file}.{}.asc", "0a".repeat(32))));
        }
        for other in
            ["releases/index.json.asc", "releases/index.json", "releases/1.0.5/SHA256SUMS.alice.asc", "keys/a.asc"]
        {
            assert!(!is_digest_signature(other), "{other}");
        }
    }

    #[test]
    fn what_a_release_needs() {
        for good in [
            "releases/36.0.6/wasmtime-v36.0.6-x86_64-linux.tar.xz",
            "releases/index.json",
            "releases/1.0.0-rc.1+build.5/SHA256SUMS.alice.asc",
            "git/p.git/objects/pack/pack-0a1b.idx",
            ".well-known/security.txt",
            "crates/wa/sm/wasmtime",
            "x/a~1",
        ] {
            check(good).unwrap();
        }
        check_train("2026-02-24").unwrap();
    }
}
