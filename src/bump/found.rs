//! x
use super::{Work, workspace::Workspace};
use crate::error::Result;
use semver::Version;
pub(super) fn rewrite(_work: &mut Work<'_>, _w: &Workspace, _main: &Version, _date: jiff::civil::Date) -> Result<()> {
    Ok(())
}
