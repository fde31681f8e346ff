//! `completions`: for the shell.

use std::io::Write as _;
use std::process::ExitCode;

use clap_complete::Shell;

use crate::error::{Context as _, Result};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run<C: clap::CommandFactory>(args: &Args) -> Result<ExitCode> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "lifeboat", &mut script);
    let mut out = std::io::stdout().lock();
    match out.write_all(&script).and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => written.context("cannot write to standard output").map(|()| ExitCode::SUCCESS),
    }
}
