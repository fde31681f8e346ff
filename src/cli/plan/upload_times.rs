//! How long files take to stores that have a rate, for people: nothing is built yet, so it is as much as the releases before.

use std::time::Duration;

use crate::cli::progress::spent;
use crate::config::Config;
use crate::model::{ByteRate, Staging, StoreName};
use crate::site::human_size;
use crate::snapshot::Snapshot;

/// What to say of each store with a rate; nothing where there is none.
pub(super) fn text(config: &Config, snapshot: &Snapshot) -> String {
    let released = snapshot.lines.iter().filter(|line| line.versions.is_some());
    let bytes = released.map(|line| line.released_bytes).try_fold(0_u64, |sum, bytes| sum.checked_add(bytes?));
    let limited = config.stores.iter().filter_map(|store| Some((&store.name, store.staging, store.rate?)));
    let lines: String = limited.map(|(store, staging, rate)| line(store, staging, rate, bytes)).collect();
    if lines.is_empty() { lines } else { format!("\nexpected times, by `rate_limit`:\n{lines}") }
}

fn line(store: &StoreName, staging: Staging, rate: ByteRate, bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else {
        return format!("  store {store}: at {rate}; how many bytes go there is known once they are built\n");
    };
    let once = spent(Duration::from_millis(milliseconds(bytes, rate)));
    let size = human_size(bytes);
    let public = match staging {
        Staging::Private => format!("{once} until what is public was read back"),
        Staging::Encrypted => format!("{once} until all is uploaded again, and {once} until it was read back"),
    };
    format!(
        "  store {store}: about {size}, as in the releases before, at {rate}\n    before the gate {once} until all is staged, and \
         {once} until it was read back; after it {public}\n"
    )
}

/// How long so many bytes take.
fn milliseconds(bytes: u64, rate: ByteRate) -> u64 {
    let exact = (u128::from(bytes) * 1000).div_ceil(u128::from(rate.per_second()));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_the_bytes_by_the_rate() {
        let of = |bytes, rate: &str| milliseconds(bytes, rate.parse().unwrap());
        assert_eq!([of(10_000_000, "10 MB/s"), of(1, "1 kB/s"), of(0, "1 kB/s")], [1000, 1, 0]);
        assert_eq!(of(u64::MAX, "1 kB/s"), u64::MAX);
        let store: StoreName = "mirror".parse().unwrap();
        let said = |staging, bytes| line(&store, staging, "10 MB/s".parse().unwrap(), bytes);
        let private = said(Staging::Private, Some(1_850_000_000));
        assert!(private.contains("about 1.7 GiB") && private.contains("3 min 05 s until all is staged"), "{private}");
        assert!(!private.contains("again"), "{private}");
        let encrypted = said(Staging::Encrypted, Some(1_850_000_000));
        assert!(encrypted.contains("after it 3 min 05 s until all is uploaded again"), "{encrypted}");
        assert!(said(Staging::Encrypted, None).contains("at 10 MB/s; how many bytes"), "{private}");
    }
}
