//! See `tests/verbs/bump/rewriters.rs`.
#![no_main]

#[allow(dead_code, clippy::unwrap_used, reason = "each target calls one of them, and a broken promise is a crash")]
#[path = "../../tests/verbs/bump/rewriters.rs"]
mod rewriters;

libfuzzer_sys::fuzz_target!(|text: &str| {
    rewriters::changelog(text, &semver::Version::new(1, 2, 3), &semver::Version::new(1, 2, 4));
});
