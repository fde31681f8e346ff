//! The `lifeboat` program: see the library's code map.

use std::process::ExitCode;

fn main() -> ExitCode {
    lifeboat::cli::main(std::env::args_os())
}
