//! The command line: one file per verb.

pub mod bump;
pub mod init;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Result;

/// Ships a security release when GitHub cannot.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bump versions in a checkout as the project's maintainers would
    Bump(bump::Args),
    /// Learn how this project bumps its version, and write `lifeboat.toml`
    Init(init::Args),
}

/// Runs the verb.
///
/// # Errors
/// Whatever the verb says.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.verb {
        Verb::Bump(args) => bump::run(args),
        Verb::Init(args) => init::run(args),
    }
}
