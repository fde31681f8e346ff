//! x
use super::{Work, rules::Changelog};
use crate::error::Result;
use semver::Version;
pub(super) fn rewrite(
    _work: &mut Work<'_>,
    _file: &Changelog,
    _main: &Version,
    _date: jiff::civil::Date,
) -> Result<Option<String>> {
    Ok(None)
}
