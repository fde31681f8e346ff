//! Looks at the staging area as strangers would: over the web, without credentials.

use jiff::Timestamp;

use crate::effects::random;
use crate::error::Result;
use crate::http::read_as_stranger;

/// The staging area, below a store's public address.
const STAGING: &str = ".staging";

/// The file of the probe.
pub(super) const FILE: &str = "seen-by-strangers.txt";

/// What the file says: nothing that is embargoed.
pub(super) const TEXT: &str = "lifeboat looks whether strangers can read this file. They should not.\n";

/// How the directories of probes begin.
const PROBE: &str = "stranger-";

/// What a probe that was killed left is removed after so many seconds; one that looks meanwhile is younger.
const FORGOTTEN: i64 = 3600;

/// The directory of a probe in the staging area, where a train's own would be. Two processes that look at once, on whatever
/// machine, each have their own.
///
/// # Errors
/// There are no random numbers.
pub(super) fn probe_name() -> Result<String> {
    Ok(format!("{PROBE}{}-{:032x}", Timestamp::now().as_second(), random()?))
}

/// Whether a name in the staging area is that of a probe that was killed.
pub(super) fn is_forgotten(name: &str) -> bool {
    let begun = name.strip_prefix(PROBE).and_then(|rest| rest.split('-').next()?.parse::<i64>().ok());
    begun.is_some_and(|begun| begun + FORGOTTEN < Timestamp::now().as_second())
}

/// What anybody sees of the probe below the store's public address.
pub(super) async fn look(base: &str, probe: &str) -> Option<String> {
    if !base.starts_with("http") {
        return None;
    }
    match look_at_file(&format!("{base}/{STAGING}/{probe}/{FILE}")).await {
        None => look_at_list(&format!("{base}/{STAGING}/"), probe).await,
        seen => seen,
    }
}

/// Whether anybody can read the probe at this address.
pub(super) async fn look_at_file(file: &str) -> Option<String> {
    let seen = matches!(read_as_stranger(file).await, Ok(Some(bytes)) if bytes == TEXT.as_bytes());
    seen.then(|| format!("a file of the staging area at `{file}`"))
}

/// Whether anybody can read the name of the probe in the list at this address.
pub(super) async fn look_at_list(list: &str, probe: &str) -> Option<String> {
    let answer = read_as_stranger(list).await;
    let seen = matches!(answer, Ok(Some(bytes)) if String::from_utf8_lossy(&bytes).contains(probe));
    seen.then(|| format!("the names in the staging area at `{list}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_forgotten_after_an_hour() {
        let now = Timestamp::now().as_second();
        assert!(!is_forgotten(&probe_name().unwrap()) && !is_forgotten(&format!("stranger-{}-0a", now - 3000)));
        assert!(is_forgotten(&format!("stranger-{}-0a", now - 4000)));
        // As an earlier version named it: with the number of its process.
        assert!(is_forgotten("stranger-4711"));
        assert!(!is_forgotten("2026-02-24") && !is_forgotten("stranger-things"));
    }
}
