//! `man`: the manual pages, from the same definition as the help.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Output;
use crate::error::{Context as _, Result};

/// Write the manual pages, one for each command
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory, such as `~/.local/share/man/man1`; it is made if it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run<C: clap::CommandFactory>(args: &Args, out: &Output) -> Result<ExitCode> {
    let dir = &args.out;
    std::fs::create_dir_all(dir).context(format!("cannot make `{}`", dir.display()))?;
    clap_mangen::generate_to(C::command(), dir).context(format!("cannot write into `{}`", dir.display()))?;
    out.result(format!("the manual pages are in {}", dir.display()), &serde_json::json!({ "directory": dir }))?;
    Ok(ExitCode::SUCCESS)
}
