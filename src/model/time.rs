//! Times as people and documents write them.

use std::time::Duration;

use jiff::Timestamp;

/// The whole second in which a time lies: documents say RFC 3339 in UTC with seconds, not more.
#[must_use]
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_millisecond().div_euclid(1000)).unwrap_or(at)
}

/// As messages write a time, to the second and with its zone: `2026-02-24 16:00:00 UTC`.
#[must_use]
pub fn utc(at: Timestamp) -> String {
    at.strftime("%F %T UTC").to_string()
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 05 min`.
#[must_use]
pub fn spent(took: Duration) -> String {
    let s = took.as_secs();
    match s {
        0..10 => format!("{:.1} s", took.as_secs_f64()),
        10..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{utc, whole_seconds};

    #[test]
    fn a_message_says_the_zone() {
        assert_eq!(utc("2026-02-24T16:00:00.5Z".parse().unwrap()), "2026-02-24 16:00:00 UTC");
    }

    #[test]
    fn seconds_and_no_more() {
        for (at, want) in [
            ("2026-02-24T16:00:00.999999999Z", "2026-02-24T16:00:00Z"),
            ("2026-02-24T16:00:00Z", "2026-02-24T16:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(whole_seconds(at.parse().unwrap()).to_string(), want);
        }
    }
}
