//! Runs a project's own commands in a bumped tree: without network unless they ask for it, with an allow-listed environment.
//! The file system is not fenced off: a command can still read what its user can read.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bump::{Hook, OnFailure};
use crate::error::{Error, Result};

/// What Cargo says about the lock of a bumped tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockCheck {
    /// It fits the manifests.
    Fits,
    /// It does not; Cargo's words.
    Stale(String),
    /// Cargo is not there, or lacks what it would need without network; its words.
    Unknown(String),
}

/// Asks Cargo, isolated and without network, whether the lock fits the manifests of the tree at `top`.
///
/// # Errors
/// It cannot be isolated.
pub fn check_lock(top: &Path) -> Result<LockCheck> {
    let run = "cargo metadata --locked --offline --format-version 1 > /dev/null".to_owned();
    let outcome = run_hook(&Hook { run, network: false, on_failure: OnFailure::Stop }, top)?;
    Ok(if outcome.ok {
        LockCheck::Fits
    } else if ["--locked was passed", "because --locked"].iter().any(|w| outcome.output.contains(w)) {
        LockCheck::Stale(outcome.output)
    } else {
        LockCheck::Unknown(outcome.output)
    })
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookOutcome {
    /// It exited with 0.
    pub ok: bool,
    /// What it wrote, the last 4 KiB of both streams.
    pub output: String,
}

/// The variables that a hook sees, if they are set: none of them carries a credential.
const ENVIRONMENT: [&str; 9] =
    ["PATH", "LANG", "LC_ALL", "TERM", "TMPDIR", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "SOURCE_DATE_EPOCH"];

/// Runs `hook` in `top`. Without `network = true` it runs in an empty network namespace; `HOME` is a directory that does not exist.
///
/// # Errors
/// It cannot be isolated or started. A command that fails is an outcome, not an error.
pub fn run_hook(hook: &Hook, top: &Path) -> Result<HookOutcome> {
    let mut argv: Vec<&str> = Vec::new();
    if !hook.network {
        // A user namespace makes the network namespace possible without privileges.
        argv.extend(["unshare", "--user", "--map-root-user", "--net", "--"]);
    }
    argv.extend(["sh", "-c", &hook.run]);
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).current_dir(top).stdin(Stdio::null()).env_clear();
    for name in ENVIRONMENT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // Cargo and rustup find their own directories, and nothing else of the user's.
    if let Some(home) = std::env::var_os("HOME") {
        for (name, dir) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(name).is_none() {
                command.env(name, OsString::from(Path::new(&home).join(dir)));
            }
        }
    }
    command.env("HOME", "/nonexistent");
    if !hook.network {
        command.env("CARGO_NET_OFFLINE", "true");
    }
    let output = command.output().map_err(|e| {
        Error::fatal(format!("`{}` cannot be isolated from the network", crate::model::escape(&hook.run)))
            .because(e)
            .hint("install `unshare` (util-linux), or say `network = true` if strangers may learn of the release")
    });
    let output = output?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let tail = text.char_indices().rev().nth(4095).map_or(0, |(i, _)| i);
    Ok(HookOutcome { ok: output.status.success(), output: text[tail..].to_owned() })
}
