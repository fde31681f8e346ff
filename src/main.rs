//! The `lifeboat` program.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = lifeboat::cli::Cli::parse();
    match lifeboat::cli::run(&cli) {
        Ok(code) => code,
        Err(e) => {
            use std::io::Write as _;
            // Nothing is left to do when standard error is gone.
            drop(writeln!(std::io::stderr(), "{}", e.report()));
            ExitCode::from(e.kind().exit_code())
        }
    }
}
