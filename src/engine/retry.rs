//! When a failed step is tried again by itself: pure.

use jiff::{SignedDuration, Timestamp};

use crate::journal::FailureClass;

/// How often a step is started before an operator must look.
const ATTEMPTS: u32 = 4;

/// When to try again after the `attempt`-th start failed; `None` if only an operator can help.
///
/// Waits double from one second. They carry no jitter: the steps of one machine that fail together are few.
pub(super) fn retry_at(class: FailureClass, attempt: u32, now: Timestamp) -> Option<Timestamp> {
    match class {
        FailureClass::Transient | FailureClass::DestinationDown if attempt < ATTEMPTS => {
            now.checked_add(SignedDuration::from_secs(1 << (attempt - 1).min(6))).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let now = Timestamp::from_second(1_000).unwrap();
        assert_eq!(retry_at(FailureClass::Transient, 1, now), Some(Timestamp::from_second(1_001).unwrap()));
        assert_eq!(retry_at(FailureClass::Transient, 3, now), Some(Timestamp::from_second(1_004).unwrap()));
        assert_eq!(retry_at(FailureClass::Transient, 4, now), None);
        assert_eq!(retry_at(FailureClass::Conflict, 1, now), None);
        assert_eq!(retry_at(FailureClass::Fatal, 1, now), None);
    }
}
