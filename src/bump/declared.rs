//! x
use super::{Work, rules::VersionFile};
use crate::error::Result;
use semver::Version;
pub(super) fn rewrite(_work: &mut Work<'_>, _file: &VersionFile, _main: &Version) -> Result<()> {
    Ok(())
}
