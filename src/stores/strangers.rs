//! Looks at the staging area as strangers would: over the web, without credentials.

use crate::http::read_as_stranger;

/// The staging area, below a store's public address.
const STAGING: &str = ".staging";

/// The file of the probe.
pub(super) const FILE: &str = "seen-by-strangers.txt";

/// What the file says: nothing that is embargoed.
pub(super) const TEXT: &str = "lifeboat looks whether strangers can read this file. They should not.\n";

/// The directory of the probe in the staging area, where a train's own would be. Two processes that look at once each have
/// their own.
pub(super) fn probe_name() -> String {
    format!("stranger-{}", std::process::id())
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
