//! `ship --dry-run`.

use std::path::Path;
use std::process::ExitCode;

use super::Output;
use super::place::Place;
use crate::error::{Error, Result};

pub(super) fn run(_place: &Place, _file: Option<&Path>, _out: &Output) -> Result<ExitCode> {
    Err(Error::fatal("unfinished"))
}
