//! Whether this machine's clock can be believed: an embargo ends by it, and signatures carry its time.

use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Result};

/// How far two clocks may differ.
const BOUND: SignedDuration = SignedDuration::from_mins(5);

/// Other sources of the time beside this machine's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Witness {
    /// What it is, for people.
    pub(super) what: String,
    /// The time that it gives.
    pub(super) at: Timestamp,
}

impl Witness {
    pub(super) fn new(what: impl Into<String>, at: Timestamp) -> Self {
        Self { what: what.into(), at }
    }
}

/// Judges a clock that shows `now`. What `happened` cannot lie ahead of it; of the clocks of `others`, asked just now, one
/// must agree with it.
pub(super) fn judge(now: Timestamp, happened: &[Witness], others: &[Witness]) -> Result<()> {
    if let Some(late) = happened.iter().filter(|w| differs(w.at, now) && w.at > now).max_by_key(|w| w.at) {
        return Err(wrong("behind", now).detail(format!("{}: {}", late.what, late.at)));
    }
    if others.is_empty() || others.iter().any(|w| !differs(w.at, now)) {
        return Ok(());
    }
    let ahead = others.iter().all(|w| now > w.at);
    let error = wrong(if ahead { "ahead" } else { "behind" }, now);
    Err(others.iter().fold(error, |e, w| e.detail(format!("{} shows {}", w.what, w.at))))
}

/// Judges a clock that shows `now` by those of others, asked just now: whose, and the time.
///
/// # Errors
/// None agrees with it.
pub fn others_agree(now: Timestamp, others: &[(String, Timestamp)]) -> Result<()> {
    let others: Vec<Witness> = others.iter().map(|(what, at)| Witness::new(what.clone(), *at)).collect();
    judge(now, &[], &others)
}

fn differs(a: Timestamp, b: Timestamp) -> bool {
    a.duration_since(b).abs() > BOUND
}

fn wrong(how: &str, now: Timestamp) -> Error {
    Error::fatal(format!("this machine's clock may be {how}: it shows {now}"))
        .hint("nothing is public yet: set the clock (`timedatectl` shows it), then run `lifeboat ship`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witnesses(all: &[&str]) -> Vec<Witness> {
        all.iter().map(|at| Witness::new("it", at.parse().unwrap())).collect()
    }

    #[test]
    fn a_clock_is_held_against_what_happened_and_against_others() {
        let now = "2026-02-24T16:00:00Z".parse().unwrap();
        let judged = |happened: &[&str], others: &[&str]| {
            judge(now, &witnesses(happened), &witnesses(others)).map_err(|e| e.message().to_owned())
        };
        let behind = Err("this machine's clock may be behind: it shows 2026-02-24T16:00:00Z".to_owned());
        let ahead = Err("this machine's clock may be ahead: it shows 2026-02-24T16:00:00Z".to_owned());
        assert_eq!(judged(&[], &[]), Ok(()));
        assert_eq!(judged(&["2026-02-20T16:00:00Z", "2026-02-24T16:05:00Z"], &[]), Ok(()));
        assert_eq!(judged(&["2026-02-20T16:00:00Z", "2026-02-24T16:05:01Z"], &[]), behind);
        assert_eq!(judged(&[], &["2026-02-24T16:05:00Z"]), Ok(()));
        assert_eq!(judged(&[], &["2026-02-23T16:00:00Z"]), ahead);
        assert_eq!(judged(&[], &["2026-02-25T16:00:00Z"]), behind);
        assert_eq!(
            judged(&[], &["2020-01-01T00:00:00Z", "2026-02-24T16:00:01Z"]),
            Ok(()),
            "one server's own clock is off"
        );
        assert_eq!(judged(&[], &["2020-01-01T00:00:00Z", "2026-02-23T16:00:00Z"]), ahead);
    }
}
