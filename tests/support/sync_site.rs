//! Names the place in the program that asks for a sync, from the call stack: the product knows nothing of it.

use std::backtrace::Backtrace;

/// The innermost two places in the library's source that led to this call, and the call, such as
/// `files.rs:106 > files.rs:50: sync_dir`: two, because a function that syncs may be called for several reasons.
pub fn caller(call: &str) -> String {
    let trace = Backtrace::force_capture().to_string();
    let mut places: Vec<&str> = trace.lines().filter_map(place).take(2).collect();
    places.reverse();
    assert!(!places.is_empty(), "a sync outside the library, or a build without line tables:\n{trace}");
    format!("{}: {call}", places.join(" > "))
}

/// The file below `src/` and the line, from `             at ./src/effects/files.rs:50:10`.
fn place(line: &str) -> Option<&str> {
    let at = line.trim_start().strip_prefix("at ")?;
    // Relative if the tests run in the package's directory, as cargo lets them; absolute otherwise.
    let at = at.strip_prefix(env!("CARGO_MANIFEST_DIR")).or_else(|| at.strip_prefix('.')).unwrap_or(at);
    let (at, _column) = at.strip_prefix("/src/")?.rsplit_once(':')?;
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places_in_the_library() {
        assert_eq!(place("             at ./src/effects/files.rs:50:10"), Some("effects/files.rs:50"));
        let absolute = concat!("  at ", env!("CARGO_MANIFEST_DIR"), "/src/effects/files.rs:50:10");
        assert_eq!(place(absolute), Some("effects/files.rs:50"));
        assert_eq!(place("  at ./tests/support/power_loss.rs:1:1"), None);
        assert_eq!(place("  at /rustc/0123/library/core/src/ops/function.rs:250:5"), None);
        assert_eq!(place("   3: sync_parent"), None);
    }
}
