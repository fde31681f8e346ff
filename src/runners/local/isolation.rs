//! Cuts jobs off the network and off what the user keeps secret with Linux namespaces: unshare(1), mount(8) and setpriv(1)
//! of util-linux.
//!
//! A network namespace does not cut sockets with a path, such as those of gpg-agent, and hides no file. So the job gets its
//! own mounts too: what leads to keys is covered, then the rights to uncover it are given up for good.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::place::{Place, create_private_dir, create_scratch_dir};
use crate::error::{Context as _, Error, Result};

/// How long the probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// Where unshare is looked for: a fixed list, so that a caller's `PATH` cannot put another program in its place.
pub(super) const PLACES: [&str; 4] =
    ["/usr/bin/unshare", "/bin/unshare", "/usr/local/bin/unshare", "/run/current-system/sw/bin/unshare"];
/// Prepares the namespaces and becomes the command: `<job> <state> <hidden>... -- <command>...`.
const SETUP: &str = include_str!("isolate.sh");
/// Whether the namespaces are as they should be: loopback is the only device (proc(5): the header takes two lines), the
/// job's directory is there, what lies beside it is not, and the cover cannot be taken off.
const CHECK: &str =
    "! grep -qv -e lo: -e '|' /proc/net/dev && cd \"$1/tmp\" && ! test -e \"$2/beside\" && ! umount \"$2\" 2>/dev/null";
/// In the user's home: keys, and the sockets of those who hold them.
const HIDDEN_AT_HOME: [&str; 10] = [
    ".gnupg",
    ".ssh",
    ".aws",
    ".config/gh",
    ".docker",
    ".kube",
    ".netrc",
    ".git-credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
];
/// Elsewhere: sockets of services that act for whoever asks, and that another network namespace may hold, as a container's
/// host does.
const HIDDEN: [&str; 4] = ["/run/user", "/run/dbus/system_bus_socket", "/run/docker.sock", "/run/podman/podman.sock"];

/// A way to run command lines with loopback only, and without what leads to the user's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoNetwork {
    unshare: Vec<String>,
}

impl NoNetwork {
    /// What stands before the command of the job in this directory.
    ///
    /// # Errors
    /// A job in a place that is hidden from jobs.
    pub(super) fn prefix(&self, job: &Path) -> Result<Vec<String>> {
        let absolute =
            |p: &Path| std::path::absolute(p).context(format!("cannot find the directory `{}`", p.display()));
        let job = absolute(job)?;
        self.prefix_in(&job, state_of(&job), &hidden())
    }

    fn prefix_in(&self, job: &Path, state: &Path, hidden: &[PathBuf]) -> Result<Vec<String>> {
        if let Some(place) = hidden.iter().find(|h| job.starts_with(h)) {
            return Err(Error::input(format!("jobs cannot run below `{}`: it is hidden from them", place.display()))
                .hint("keep the state elsewhere: `--state DIR`"));
        }
        let mut out = self.unshare.clone();
        out.extend(["--", "/bin/sh", "-c", SETUP, "sh"].map(str::to_owned));
        out.extend(
            [job, state].into_iter().chain(hidden.iter().map(PathBuf::as_path)).map(|p| p.display().to_string()),
        );
        out.push("--".to_owned());
        Ok(out)
    }
}

/// The directory around a job that it must not see: the project's whole state, or at least the other jobs.
fn state_of(job: &Path) -> &Path {
    let jobs = job.parent().unwrap_or(job);
    let named = |at: &&Path| at.file_name().is_some_and(|n| n == "trains");
    jobs.ancestors().nth(2).filter(named).and_then(Path::parent).unwrap_or(jobs)
}

/// What is there of all that jobs must not see.
pub(super) fn hidden() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = HIDDEN.map(PathBuf::from).into();
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    if let Some(home) = variable("HOME") {
        out.extend(HIDDEN_AT_HOME.map(|h| home.join(h)));
    }
    out.extend(variable("GNUPGHOME"));
    out.extend(variable("SSH_AUTH_SOCK"));
    out.extend(std::fs::read_to_string("/proc/net/unix").iter().flat_map(|text| sockets(text)));
    // Where the user cannot look, the job, which is the same user, cannot either.
    out.retain(|p| p.symlink_metadata().is_ok());
    out.sort();
    out.dedup();
    out
}

/// The places of the sockets in proc(5)'s list, `/proc/net/unix`: agents and services listen there.
fn sockets(list: &str) -> impl Iterator<Item = PathBuf> + '_ {
    // Seven columns, then the path; a name without a slash in front is none in the file system.
    list.lines()
        .filter_map(|line| line.splitn(8, ' ').nth(7))
        .map(str::trim_start)
        .filter(|p| p.starts_with('/'))
        .map(PathBuf::from)
}

/// Finds a way to isolate jobs that works on this machine, by trying it.
///
/// # Errors
/// No unshare, or a system that does not let this user make namespaces or mounts.
pub async fn probe() -> Result<NoNetwork> {
    let Some(unshare) = PLACES.iter().map(PathBuf::from).find(|p| p.is_file()) else {
        return Err(Error::fatal("jobs cannot be cut off the network: there is no `unshare`")
            .hint("install it: `apt-get install util-linux`"));
    };
    // Root needs no user namespace. In one, the job stays the same user; the kept capabilities reach only that namespace.
    let ways: [&[&str]; 3] = [
        &["--net", "--mount"],
        &["--user", "--map-current-user", "--keep-caps", "--net", "--mount"],
        &["--user", "--map-root-user", "--net", "--mount"],
    ];
    let scratch = Scratch::new()?;
    let mut reason = String::new();
    for way in ways {
        let words = std::iter::once(unshare.display().to_string()).chain(way.iter().map(|s| (*s).to_owned()));
        let no_network = NoNetwork { unshare: words.collect() };
        match works(&no_network, &scratch).await {
            Ok(()) => return Ok(no_network),
            Err(why) => reason = why,
        }
    }
    Err(Error::fatal(
        "jobs cannot be cut off the network and off keys: this machine refuses namespaces or mounts in them",
    )
    .detail(format!("unshare: {}", crate::model::escape(&reason)))
    .hint("allow them: `sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`")
    .hint(
        "in a container, it needs CAP_SYS_ADMIN or unprivileged user namespaces; or give the target `network = true`",
    ))
}

/// A directory like that of a job, with a file beside it; removed at the end.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Result<Self> {
        let parent =
            std::path::absolute(std::env::temp_dir()).context("cannot find the directory for temporary files")?;
        let scratch = Self(create_scratch_dir(&parent, "lifeboat-probe-")?);
        create_private_dir(&scratch.place().tmp())?;
        std::fs::write(scratch.0.path().join("beside"), b"")
            .context("cannot write to the directory for temporary files")?;
        Ok(scratch)
    }

    fn place(&self) -> Place {
        Place::at(&self.0.path().join("job"))
    }
}

async fn works(no_network: &NoNetwork, scratch: &Scratch) -> Result<(), String> {
    let job = scratch.place();
    let prefix = no_network.prefix_in(job.dir(), scratch.0.path(), &[]).map_err(|e| e.message().to_owned())?;
    let mut command = tokio::process::Command::new(&prefix[0]);
    command.args(&prefix[1..]).args(["/bin/sh", "-c", CHECK, "sh"]).arg(job.dir()).arg(scratch.0.path());
    command.env_clear().env("PATH", super::DEFAULT_PATH).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PROBE_LIMIT, command.output()).await {
        Ok(Ok(out)) if out.status.success() => Ok(()),
        Ok(Ok(out)) => Err(String::from_utf8_lossy(&out.stderr).lines().next().unwrap_or("it failed").to_owned()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("it did not answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_state_is_around_a_job() {
        assert_eq!(state_of(Path::new("/s/p/trains/t/jobs/j")), Path::new("/s/p"));
        assert_eq!(state_of(Path::new("/tmp/x/jobs/j")), Path::new("/tmp/x/jobs"));
    }

    #[test]
    fn sockets_of_every_kind_are_read() {
        let list = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            ffff8d0a: 00000002 00000000 00010000 0001 01 19021 /run/a b/S.agent\n\
            ffff8d0b: 00000003 00000000 00000000 0001 03    42\n\
            ffff8d0c: 00000003 00000000 00000000 0001 03   421 @/abstract\n\
            ffff8d0d: 00000003 00000000 00000000 0002 01   421 relative\n";
        assert_eq!(sockets(list).collect::<Vec<_>>(), [PathBuf::from("/run/a b/S.agent")]);
    }
}
