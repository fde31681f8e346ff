//! Failures, each at one named call.

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 503 without any effect.
    ErrorBefore,
    /// 500 although the effect happened.
    ErrorAfter,
    /// Never answers; no effect.
    HangBefore,
    /// Never answers although the effect happened.
    HangAfter,
    /// The connection is reset when half of the request's body has arrived; an asset stays half-made.
    ResetMidway,
    /// The connection is reset after the effect.
    ResetAfter,
    /// 502, and the asset is listed but unusable: the next try gets 422 `already_exists`.
    HalfMade,
    /// The client is killed before the effect.
    KillBefore,
    /// The client is killed after the effect, before the answer.
    KillAfter,
    /// 404, as for a token that lacks a permission.
    NotFound,
    /// 403 with `Retry-After`.
    ForbiddenRetryAfter,
    /// 429 with `Retry-After`.
    TooManyRetryAfter,
    /// A secondary rate limit without any number.
    SecondaryLimit,
    /// The primary rate limit, with the time of its reset.
    PrimaryLimit,
    /// The call works, and the next [`STALE_READS`] reads show the state before it.
    Stale,
    /// This host resets every connection from this call on.
    HostDown,
    /// This host swallows everything from this call on.
    HostBlackHole,
}

/// Every kind, in their order.
pub const KINDS: [Kind; 17] = [
    Kind::ErrorBefore,
    Kind::ErrorAfter,
    Kind::HangBefore,
    Kind::HangAfter,
    Kind::ResetMidway,
    Kind::ResetAfter,
    Kind::HalfMade,
    Kind::KillBefore,
    Kind::KillAfter,
    Kind::NotFound,
    Kind::ForbiddenRetryAfter,
    Kind::TooManyRetryAfter,
    Kind::SecondaryLimit,
    Kind::PrimaryLimit,
    Kind::Stale,
    Kind::HostDown,
    Kind::HostBlackHole,
];

/// How many reads show the old state after [`Kind::Stale`].
pub const STALE_READS: u32 = 6;

/// Reads that are answered by a copy which is behind, by the clock: as those of a service are that has several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// How far behind it is.
    pub by: jiff::SignedDuration,
    /// One read in so many comes to it; 1 is all of them.
    pub one_in: u32,
}

impl Kind {
    /// Whether this kind says anything else at a call than the other kinds do: reads have no effect to come before or
    /// after, and only uploads leave something half-made.
    pub fn fits(self, call: &str) -> bool {
        let (read, upload) = (call.starts_with("GET "), call.starts_with("POST assets "));
        match self {
            Self::ErrorAfter | Self::HangAfter | Self::KillAfter | Self::ResetAfter | Self::Stale => !read,
            Self::HalfMade => upload,
            _ => true,
        }
    }
}

/// A failure: this kind, at the `nth` call of this name (counting from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub call: String,
    pub nth: u32,
    pub kind: Kind,
}

/// The failures to come, and the calls counted so far.
#[derive(Debug, Default)]
pub struct Faults {
    waiting: Vec<Fault>,
    counts: std::collections::BTreeMap<String, u32>,
    /// Hosts that are down from now on, and how.
    pub down: std::collections::BTreeMap<super::Side, Kind>,
    /// How many failures happened.
    pub happened: u32,
}

impl Faults {
    /// Adds one.
    pub fn add(&mut self, fault: Fault) {
        self.waiting.push(fault);
    }

    /// Takes back what is still to come, and brings hosts up that are down.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.down.clear();
    }

    /// Counts a call, and says how it fails.
    pub fn of(&mut self, side: super::Side, call: &str) -> Option<Kind> {
        let count = self.counts.entry(call.to_owned()).or_default();
        *count += 1;
        let found = self.waiting.iter().position(|f| f.call == call && f.nth == *count);
        let kind = found.map(|i| self.waiting.remove(i).kind);
        if let Some(kind) = kind {
            self.happened += 1;
            if matches!(kind, Kind::HostDown | Kind::HostBlackHole) {
                self.down.insert(side, kind);
            }
        }
        self.down.get(&side).copied().or(kind)
    }
}
