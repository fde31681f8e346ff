//! See `tests/verbs/bump/rewriters.rs`.
#![no_main]

#[allow(dead_code, clippy::unwrap_used, reason = "each target calls one of them, and a broken promise is a crash")]
#[path = "../../tests/verbs/bump/rewriters.rs"]
mod rewriters;

libfuzzer_sys::fuzz_target!(|text: &str| {
    // The first package that is ours moves.
    let ours = lifeboat::formats::cargo_lock::parse(text)
        .ok()
        .and_then(|l| l.packages.into_iter().find(|p| p.source.is_none()));
    if let Some((name, Ok(version))) = ours.map(|p| (p.name, p.version.parse())) {
        rewriters::lock(text, &name, &version, 1000);
    }
});
