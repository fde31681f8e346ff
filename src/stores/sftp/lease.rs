//! Leases: what two machines must not do at once is done under one.
//!
//! The leases of a name are files with numbers, in a directory of their own. Who takes the lease makes the next number, by a
//! hard link, which one of several that race can do; who gives it back renames the file to `<number>.free`. A lease that is not
//! given back, because its holder died, is over once somebody else has seen it for [`LASTS`]: then the next number may be made. So
//! leases only go forward, and no clock is compared with another one.

use std::time::{Duration, Instant};

use super::acts::{Once, SftpServer};
use crate::effects::PutNew;
use crate::error::{Error, Part, Result};
use crate::model::Sha256;

/// How long a lease lasts for others. Its holder acts within the first half, or not at all.
const LASTS: Duration = Duration::from_secs(20);
/// How long another one's lease is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// How many old leases stay, for those who looked before newer ones were made.
const KEPT: u64 = 8;

/// Where leases are.
const LEASES: &str = ".staging/.locks";

/// A lease that is held.
pub(super) struct Lease {
    key: String,
    since: Instant,
}

impl Lease {
    /// Refuses to act when others may soon take the lease for a dead one's.
    pub(super) fn still(&self) -> Result<()> {
        if self.since.elapsed() < LASTS / 2 {
            return Ok(());
        }
        Err(Error::transient(format!("the lease `{}` ended too early", self.key)).of(Part::Store))
    }
}

/// The number in a lease's name, and whether it was given back.
fn number(name: &str) -> Option<(u64, bool)> {
    let (digits, is_free) = match name.strip_suffix(".free") {
        Some(digits) => (digits, true),
        None => (name, false),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| plain)?, is_free))
}

/// The newest lease of those with these names: its number, and whether it is held.
fn newest<'a>(names: impl Iterator<Item = &'a str>) -> Option<(u64, bool)> {
    let newest = names.filter_map(number).max()?;
    // Given back, although somebody may have taken it for a dead one's and made the next: then that one is newer.
    Some((newest.0, !newest.1))
}

impl SftpServer {
    /// Takes the lease of a key, which others have no longer than they need.
    pub(super) async fn lease(&self, once: &Once, key: &str) -> Result<Lease> {
        let dir = format!("{LEASES}/{}", &Sha256::of(key.as_bytes()).hex()[..2]);
        self.make_way(once, &format!("{dir}/x")).await?;
        let begun = Instant::now();
        let mut watched: Option<(u64, Instant)> = None;
        loop {
            let names = self.names(once, &dir).await?;
            let names: Vec<&str> = names.iter().map(|entry| entry.name.as_str()).collect();
            let found = newest(names.iter().copied());
            let next = match found {
                None => Some(1),
                Some((n, false)) => Some(n + 1),
                Some((n, true)) => match watched {
                    Some((seen, since)) if seen == n => (since.elapsed() > LASTS).then_some(n + 1),
                    _ => {
                        watched = Some((n, Instant::now()));
                        None
                    }
                },
            };
            if let Some(next) = next {
                let (since, lease) = (Instant::now(), format!("{dir}/{next:012}"));
                if self.put_once(once, &lease, b"held\n").await? == PutNew::Created {
                    // Whoever looked long ago may have made a number that was there, and is removed by now.
                    let after = self.names(once, &dir).await?;
                    if newest(after.iter().map(|entry| entry.name.as_str())) == Some((next, true)) {
                        for (n, name) in names.iter().filter_map(|name| Some((number(name)?.0, name))) {
                            if n + KEPT < next {
                                self.remove(once, &format!("{dir}/{name}")).await?;
                            }
                        }
                        return Ok(Lease { key: lease, since });
                    }
                    self.remove(once, &lease).await?;
                }
                continue;
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::transient(format!("somebody else keeps the lease of `{key}`"))
                    .of(Part::Store)
                    .hint("run `lifeboat ship` again"));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Gives a lease back. One that cannot be given back now ends by itself.
    pub(super) async fn give_back(&self, once: &Once, lease: Lease) -> Result<()> {
        self.rename(once, &lease.key, &format!("{}.free", lease.key)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lease_counts() {
        let of = |names: &[&str]| newest(names.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["x", "1x", ".free", "+1"]), None);
        assert_eq!(of(&["000000000002", "000000000001.free"]), Some((2, true)));
        assert_eq!(of(&["000000000002.free", "000000000001"]), Some((2, false)));
        assert_eq!(of(&["000000000010", "000000000009"]), Some((10, true)));
    }
}
