//! A shell as a person has it open: what one command sets counts for the next.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What ends the output of a command, with its exit code.
const END: &str = "--- the command ended with ";

pub(super) struct Shell {
    home: tempfile::TempDir,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: i32,
    /// Standard output and standard error, as a terminal shows them.
    pub(super) said: String,
}

impl Shell {
    /// A shell in the new directory `name` below an empty home, with the program first in `PATH`.
    pub(super) fn below(name: &str) -> Self {
        let home = crate::support::scratch();
        let here = home.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(&here).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_lifeboat")).parent().unwrap();
        let path = std::env::join_paths(
            [program.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(&here)
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", path.unwrap())
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut shell = Self { home, child, input, output };
        shell.runs("exec 2>&1");
        shell
    }

    /// The home directory.
    pub(super) fn home(&self) -> PathBuf {
        self.home.path().canonicalize().unwrap()
    }

    /// Runs a command as it stands. One that asks on a terminal gets one, and `answer` is typed there.
    pub(super) fn run(&mut self, command: &str, answer: Option<&str>) -> Ended {
        let line = match answer {
            None => command.to_owned(),
            Some(answer) => {
                let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
                format!("printf '%s\\n' {} | script -qefc {} /dev/null", quoted(answer), quoted(command))
            }
        };
        // Read from here, the command must not eat what comes after it.
        let stdin = if answer.is_none() { " </dev/null" } else { "" };
        writeln!(self.input, "{{ {line}\n}}{stdin}\ncode=$?; echo; echo \"{END}$code\"").unwrap();
        let mut said = String::new();
        loop {
            let mut text = Vec::new();
            let read = self.output.read_until(b'\n', &mut text).unwrap();
            assert!(read > 0, "the shell ended in `{command}`:\n{said}");
            let text = String::from_utf8_lossy(&text).into_owned();
            if let Some(code) = text.strip_prefix(END) {
                // `echo` ended the last line of the output, or added an empty one.
                let said = plain(said.strip_suffix('\n').unwrap_or(&said));
                return Ended { code: code.trim().parse().unwrap(), said };
            }
            said.push_str(&text);
        }
    }

    /// Runs a command that must end with 0, and gives what it said.
    #[track_caller]
    pub(super) fn runs(&mut self, command: &str) -> String {
        self.ends(command, 0)
    }

    /// Runs a command that must end with this code, and gives what it said.
    #[track_caller]
    pub(super) fn ends(&mut self, command: &str, code: i32) -> String {
        // The one command of these that asks.
        let asks = command.starts_with("lifeboat approve") && !command.contains("--yes");
        let ended = self.run(command, asks.then_some("drill"));
        assert_eq!(ended.code, code, "`{command}` says:\n{}", ended.said);
        ended.said
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Text without what steers a terminal.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {}
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    chars.by_ref().find(|c| c.is_ascii_alphabetic());
                }
            }
            c => out.push(c),
        }
    }
    out
}
