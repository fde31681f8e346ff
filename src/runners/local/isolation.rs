//! Cuts jobs off the network with Linux network namespaces: unshare(1) of util-linux.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::error::{Error, Result};

/// How long the probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// Where unshare is looked for: a fixed list, so that a caller's `PATH` cannot put another program in its place.
const PLACES: [&str; 4] =
    ["/usr/bin/unshare", "/bin/unshare", "/usr/local/bin/unshare", "/run/current-system/sw/bin/unshare"];
/// Brings loopback up in the new namespace, if `ip` is there, and becomes the command.
const LOOPBACK: &str = "ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null || :; exec \"$@\"";

/// The beginning of a command line that runs the rest of it with loopback only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoNetwork {
    prefix: Vec<String>,
}

impl NoNetwork {
    /// What stands before the command.
    #[must_use]
    pub fn prefix(&self) -> &[String] {
        &self.prefix
    }
}

/// Finds a way to run commands without network that works on this machine, by trying it.
///
/// # Errors
/// No unshare, or a system that does not let this user make network namespaces.
pub async fn probe() -> Result<NoNetwork> {
    let Some(unshare) = PLACES.iter().map(PathBuf::from).find(|p| p.is_file()) else {
        return Err(Error::fatal("jobs cannot be cut off the network: there is no `unshare`")
            .hint("install it: `apt-get install util-linux`"));
    };
    // Root needs no user namespace. In one, the job stays the same user; the kept capabilities reach only that namespace.
    let ways: [&[&str]; 3] = [
        &["--net"],
        &["--user", "--map-current-user", "--keep-caps", "--net"],
        &["--user", "--map-root-user", "--net"],
    ];
    let mut reason = String::new();
    for way in ways {
        let no_network = NoNetwork { prefix: prefix(&unshare, way) };
        match works(&no_network).await {
            Ok(()) => return Ok(no_network),
            Err(why) => reason = why,
        }
    }
    Err(Error::fatal("jobs cannot be cut off the network: this machine refuses network namespaces")
        .detail(format!("unshare: {}", crate::model::escape(&reason)))
        .hint("allow them: `sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`")
        .hint("in a container, it needs CAP_SYS_ADMIN or unprivileged user namespaces; or give the target `network = true`"))
}

fn prefix(unshare: &Path, way: &[&str]) -> Vec<String> {
    let mut out = vec![unshare.display().to_string()];
    out.extend(way.iter().map(|s| (*s).to_owned()));
    out.extend(["--", "/bin/sh", "-c", LOOPBACK, "sh"].map(str::to_owned));
    out
}

async fn works(no_network: &NoNetwork) -> Result<(), String> {
    let mut command = tokio::process::Command::new(&no_network.prefix[0]);
    // proc(5): the header takes two lines; loopback is the only device of a new namespace.
    command.args(&no_network.prefix[1..]).args(["/bin/sh", "-c", "! grep -qv -e lo: -e '|' /proc/net/dev"]);
    command.env_clear().env("PATH", super::DEFAULT_PATH).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PROBE_LIMIT, command.output()).await {
        Ok(Ok(out)) if out.status.success() => Ok(()),
        Ok(Ok(out)) => Err(String::from_utf8_lossy(&out.stderr).lines().next().unwrap_or("it failed").to_owned()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("it did not answer".to_owned()),
    }
}
