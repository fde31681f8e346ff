//! The scripts that are sent, and which of them a call needs.

/// What each call begins with.
const COMMON: &str = include_str!("common.sh");
const LISTING: &str = include_str!("listing.sh");
const ENTER: &str = include_str!("enter.sh");

/// Runs the command lines in their environment.
pub(super) const RECIPE: &str = include_str!("recipe.sh");
/// Makes a job's view of the machine.
pub(super) const ISOLATE: &str = include_str!("isolate.sh");

/// Questions about jobs and logs: `observe`, `log`.
pub(super) fn ask() -> String {
    [COMMON, include_str!("ask.sh")].concat()
}

/// An object arrives: `put`.
pub(super) fn put() -> String {
    [COMMON, include_str!("put.sh")].concat()
}

/// A job is started: `start`.
pub(super) fn start() -> String {
    [COMMON, LISTING, include_str!("start.sh")].concat()
}

/// What a job left: `collect`, `get`.
pub(super) fn fetch() -> String {
    [COMMON, LISTING, include_str!("fetch.sh")].concat()
}

/// Jobs are ended and removed: `cancel`, `sweep`.
pub(super) fn end() -> String {
    [COMMON, include_str!("end.sh")].concat()
}

/// What the machine is: `probe`.
pub(super) fn probe() -> String {
    [COMMON, ENTER, include_str!("probe.sh")].concat()
}

/// What watches over a job there; it lies in the job's directory.
pub(super) fn supervise() -> String {
    [COMMON, ENTER, include_str!("supervise.sh")].concat()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_is_sent_is_clean() {
        let all = [
            ("ask", ask()),
            ("put", put()),
            ("start", start()),
            ("fetch", fetch()),
            ("end", end()),
            ("probe", probe()),
            ("supervise", supervise()),
            ("recipe", RECIPE.to_owned()),
            ("isolate", ISOLATE.to_owned()),
        ];
        for (name, text) in all {
            // Variables and functions that only other calls use, and subshells that are meant.
            let mut command = Command::new("shellcheck");
            command.args(["--shell=sh", "--severity=style", "--exclude=SC2034,SC2030,SC2031", "-"]);
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap_or_else(|e| panic!("cannot run shellcheck ({e}): apt-get install shellcheck"));
            child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            let ended = child.wait_with_output().unwrap();
            assert!(ended.status.success(), "{name}.sh: {}", String::from_utf8_lossy(&ended.stdout));
        }
    }
}
