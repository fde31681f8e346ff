//! What ends soon: the trust root, certificates, a forge's token. Nobody looks at these dates until it is too late.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::report::{Health, HealthCheck};
use super::{Subjects, Work};
use crate::config::Config;
use crate::effects::Forge;
use crate::error::{Error, ErrorKind, Result};
use crate::gather;
use crate::host::HostDisk;
use crate::model::counted;
use crate::trust::TrustedRoot;

/// The area of these checks.
pub(crate) const AREA: &str = "expiry";
/// What ends within this time is said.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Looks at every date.
pub(super) fn dates(config: &Config, subjects: &Subjects<'_>, work: &mut Work) {
    // A root that does not count is the trust check's to say.
    if let Ok(trust) = gather::trusted(config, subjects.state, &HostDisk, subjects.now) {
        of_trust(&trust, subjects.now).into_iter().for_each(|check| work.now(check));
    }
    for forge in subjects.forges {
        let (forge, now) = (Arc::clone(forge), subjects.now);
        let name = format!("{} token", forge.name());
        work.later_all(AREA, name.clone(), Health::Ok, async move {
            match token(&*forge).await {
                Ok(Some(ends)) => vec![judge(&name, "make a new token, and put it where the old one is", ends, now)],
                Ok(None) => Vec::new(),
                Err(e) if e.kind() == ErrorKind::Verification => {
                    vec![HealthCheck::from_error(AREA, name, Health::Warn, &e)]
                }
                Err(e) => {
                    vec![HealthCheck::from_error(AREA, name, Health::Skipped, &Error::fatal(e.message().to_owned()))]
                }
            }
        });
    }
}

/// When the token ends; a forge that does not answer is asked nothing more.
async fn token(forge: &dyn Forge) -> Result<Option<Timestamp>> {
    forge.probe().await?;
    forge.credential_expires().await
}

/// The root, and every certificate that it needs: only those that end soon, unless none does.
fn of_trust(trust: &TrustedRoot, now: Timestamp) -> Vec<HealthCheck> {
    let sign = "have a new trust root signed: `lifeboat trust init`";
    let mut dates = vec![judge("trust root", sign, trust.root.expires, now)];
    let roles = &trust.root.roles;
    let of = |what: &str, keys: &std::collections::BTreeSet<crate::model::Fingerprint>| -> Vec<HealthCheck> {
        let one = |key| {
            let ends = trust.certificate(key).ok()?.expires(now)?;
            let extend = "extend it (`gpg --quick-set-expire`), and put the new export beside `trust.json`";
            Some(judge(&format!("{what} {key}"), extend, ends, now))
        };
        keys.iter().filter_map(one).filter(|c| c.health != Health::Ok).collect()
    };
    dates.extend(of("release key", &roles.release.keys));
    dates.extend(of("freshness key", &roles.freshness.keys));
    for (person, known) in &trust.root.people {
        dates.extend(of(&format!("certificate of {person},"), &known.certificates));
    }
    dates
}

fn judge(name: &str, hint: &str, ends: Timestamp, now: Timestamp) -> HealthCheck {
    let left = ends.duration_since(now);
    let day = ends.strftime("%F");
    if left > SOON {
        return HealthCheck::ok(AREA, name, format!("until {day}"));
    }
    let days = left.as_hours() / 24;
    let text = match days {
        _ if left.is_negative() => format!("has ended on {day}"),
        0 => format!("ends within a day, on {day}"),
        days => format!("ends in {}, on {day}", counted(usize::try_from(days).unwrap_or(0), "day")),
    };
    HealthCheck::from_error(AREA, name, Health::Warn, &Error::fatal(text).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_within_a_month_is_said() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let check = |ends: &str| judge("x", "y", ends.parse().unwrap(), now);
        assert_eq!(check("2026-12-23T12:00:00Z"), HealthCheck::ok(AREA, "x", "until 2026-12-23"));
        assert_eq!(check("2026-12-20T12:00:00Z").found, "ends in 28 days, on 2026-12-20");
        assert_eq!(check("2026-11-23T13:00:00Z").found, "ends in 1 day, on 2026-11-23");
        assert_eq!(check("2026-11-22T13:00:00Z").found, "ends within a day, on 2026-11-22");
        assert_eq!(check("2026-11-21T13:00:00Z").found, "has ended on 2026-11-21");
        assert_eq!(check("2026-11-21T13:00:00Z").health, Health::Warn);
    }
}
