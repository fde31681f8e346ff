//! bin
use std::path::Path;
use std::process::ExitCode;

use lifeboat::runners::local;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|verb| verb == local::VERB)
        && let Some(dir) = arguments.next()
    {
        return ExitCode::from(local::supervise(Path::new(&dir)));
    }
    ExitCode::SUCCESS
}
