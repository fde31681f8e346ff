//! Times as people and documents write them.

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
