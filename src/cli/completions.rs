//! `completions`: for the shell.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::error::Result;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run<C: clap::CommandFactory>(args: &Args) -> Result<ExitCode> {
    clap_complete::generate(args.shell, &mut C::command(), "lifeboat", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
