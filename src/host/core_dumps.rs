//! Keeps what this process has in memory out of core dumps.

use crate::error::{Context as _, Result};

/// Turns core dumps off, for this process and those that it starts, and keeps other processes of the user from reading its
/// memory: it holds embargoed patches, unlocked keys and tokens.
pub fn forbid_core_dumps() -> Result<()> {
    let what = "cannot turn core dumps off";
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none).context(what)?;
    // A handler that takes dumps from a pipe (core(5)) gets them whatever the limit, but only of dumpable processes.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).context(what)?;
    Ok(())
}
