//! What the server says about its rate limits (docs.github.com, "Rate limits for the REST API"): pure.

use jiff::{SignedDuration, Timestamp};

/// What an answer says about patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    /// When to ask again.
    pub(crate) until: Timestamp,
}

/// The parts of an answer that matter here.
pub(crate) struct Signs<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<&'a str>,
    pub(crate) remaining: Option<&'a str>,
    pub(crate) reset: Option<&'a str>,
    pub(crate) message: &'a str,
}

/// A secondary limit that names no time asks for "at least one minute".
const NO_TIME_GIVEN: SignedDuration = SignedDuration::from_secs(60);

/// Whether an answer is a rate limit, and until when; a plain refusal is none.
pub(crate) fn limited(signs: &Signs<'_>, now: Timestamp) -> Option<Limited> {
    if !matches!(signs.status, 403 | 429) {
        return None;
    }
    let after = |wait: SignedDuration| now.checked_add(wait).ok().map(|until| Limited { until });
    if let Some(text) = signs.retry_after {
        if let Ok(seconds) = text.trim().parse::<u32>() {
            return after(SignedDuration::from_secs(i64::from(seconds)));
        }
        if let Ok(date) = jiff::fmt::rfc2822::parse(text.trim()) {
            return Some(Limited { until: date.timestamp() });
        }
        return after(NO_TIME_GIVEN);
    }
    if signs.remaining.map(str::trim) == Some("0") {
        let reset = signs.reset.and_then(|t| t.trim().parse::<i64>().ok());
        let until = reset.and_then(|s| Timestamp::from_second(s).ok());
        return until.map(|until| Limited { until }).or_else(|| after(NO_TIME_GIVEN));
    }
    let says = signs.message.to_ascii_lowercase();
    (signs.status == 429 || says.contains("rate limit") || says.contains("abuse")).then(|| after(NO_TIME_GIVEN))?
}

/// Until when nothing more is allowed after an answer that was no refusal.
pub(crate) fn exhausted(signs: &Signs<'_>, now: Timestamp) -> Option<Timestamp> {
    let reset = Timestamp::from_second(signs.reset?.trim().parse().ok()?).ok()?;
    (signs.status < 400 && signs.remaining.map(str::trim) == Some("0") && reset > now).then_some(reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_numbers_count() {
        let now = Timestamp::from_second(1_000).unwrap();
        let signs =
            |status, retry_after, remaining, reset, message| Signs { status, retry_after, remaining, reset, message };
        let wait = |s: Signs<'_>| limited(&s, now).map(|l| l.until.as_second() - 1_000);
        assert_eq!(wait(signs(403, Some("7"), None, None, "")), Some(7));
        assert_eq!(wait(signs(429, Some("Thu, 01 Jan 1970 00:20:00 GMT"), None, None, "")), Some(200));
        assert_eq!(wait(signs(403, None, Some("0"), Some("1090"), "API rate limit exceeded")), Some(90));
        assert_eq!(wait(signs(403, None, Some("12"), None, "You have exceeded a secondary rate limit")), Some(60));
        assert_eq!(wait(signs(429, None, None, None, "")), Some(60));
        assert_eq!(wait(signs(403, None, Some("4999"), Some("1090"), "Resource not accessible")), None);
        assert_eq!(wait(signs(404, Some("7"), None, None, "")), None);
    }
    #[test]
    fn the_last_answer_that_is_allowed_says_until_when() {
        let now = Timestamp::from_second(1_000).unwrap();
        let until = |status, remaining, reset| {
            let signs =
                Signs { status, retry_after: None, remaining: Some(remaining), reset: Some(reset), message: "" };
            exhausted(&signs, now).map(|t| t.as_second())
        };
        assert_eq!(until(200, "0", "1090"), Some(1_090));
        assert_eq!(until(200, "1", "1090"), None);
        assert_eq!(until(200, "0", "1000"), None, "that moment is now");
        assert_eq!(until(403, "0", "1090"), None, "a refusal is `limited`");
    }
}
