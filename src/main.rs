//! The `lifeboat` program: see the library's code map.

use std::path::Path;
use std::process::ExitCode;

use lifeboat::checkout;
use lifeboat::runners::local;
use lifeboat::sandbox;

fn main() -> ExitCode {
    lifeboat::host::keep_descriptors();
    let mut arguments = std::env::args_os().skip(1);
    // This program is started again to watch over a job, to be the first process of a sandbox, to watch over files that
    // are being replaced, or to try a template; such a process does nothing else.
    if let (Some(verb), Some(dir)) = (arguments.next(), arguments.next()) {
        if verb == local::VERB || verb == checkout::GUARD {
            // Without it they do their work all the same.
            drop(lifeboat::host::outlive_size_limits());
        }
        if verb == local::VERB {
            return ExitCode::from(local::supervise(Path::new(&dir)));
        }
        if verb == sandbox::VERB {
            return ExitCode::from(sandbox::init(arguments));
        }
        if verb == checkout::GUARD {
            return ExitCode::from(checkout::guard(Path::new(&dir)));
        }
        if verb == lifeboat::cli::TRY_TEMPLATE {
            return ExitCode::from(lifeboat::cli::try_template());
        }
    }
    lifeboat::cli::main(std::env::args_os())
}
