//! The `lifeboat` program: see the library's code map.

use std::path::Path;
use std::process::ExitCode;

use lifeboat::runners::local;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // The local runner starts this program again to watch over a job; that process does nothing else.
    if arguments.next().is_some_and(|verb| verb == local::VERB)
        && let Some(dir) = arguments.next()
    {
        return ExitCode::from(local::supervise(Path::new(&dir)));
    }
    lifeboat::cli::main(std::env::args_os())
}
