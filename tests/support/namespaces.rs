//! Namespaces of Linux that outlive one command: a file system that fills up, a network that drops everything.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that holds namespaces open until it is dropped; other commands enter them.
pub struct Namespaces {
    holder: Child,
    enter: Vec<String>,
}

impl Namespaces {
    /// Mounts of their own.
    pub fn mounts() -> Self {
        Self::with(&["--mount"], "")
    }

    /// Mounts of their own, and a network where all but loopback is dropped in silence: packets leave through an interface
    /// behind which nobody is, to a neighbour whose address is known, so that not even its look-up fails.
    pub fn black_hole(scratch: &Path) -> Self {
        let resolver = scratch.join("resolv.conf");
        std::fs::write(&resolver, "nameserver 192.0.2.53\n").unwrap();
        let setup = format!(
            "ip link set lo up
             ip link add hole0 type dummy 2>/dev/null || ip link add hole0 type veth peer name hole1
             ip addr add 192.0.2.1/24 dev hole0
             ip link set hole0 up
             ip link set hole1 up 2>/dev/null || :
             ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:01 nud permanent dev hole0
             ip neigh replace 192.0.2.53 lladdr 02:00:00:00:00:02 nud permanent dev hole0
             ip route add default via 192.0.2.254
             mount --bind '{}' \"$(readlink -f /etc/resolv.conf)\"",
            resolver.display()
        );
        Self::with(&["--mount", "--net"], &setup)
    }

    fn with(kinds: &[&str], setup: &str) -> Self {
        // Root needs no user namespace; in one, it is root too.
        let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
        let mut command = Command::new("unshare");
        command.args(user).args(kinds).args(["--propagation", "private", "--", "sh", "-euc"]);
        command.arg(format!("{setup}\necho ready\nexec cat"));
        // It ends with its standard input, so with this process, whatever ends that.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("no `unshare`: apt-get install util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(
            line.trim(),
            "ready",
            "the namespaces could not be made; needed: apt-get install util-linux iproute2, and root or user namespaces"
        );
        let mut enter: Vec<String> = vec!["--target".into(), holder.id().to_string()];
        if !user.is_empty() {
            enter.extend(["--user".into(), "--preserve-credentials".into()]);
        }
        enter.extend(kinds.iter().map(|k| (*k).to_owned()));
        Self { holder, enter }
    }

    /// The same command, inside: its program, arguments, directory and environment.
    pub fn inside(&self, command: &Command) -> Command {
        let mut out = Command::new("nsenter");
        out.args(&self.enter);
        if let Some(dir) = command.get_current_dir() {
            // Entering mounts moves the process to their root.
            out.arg(format!("--wdns={}", dir.display()));
        }
        out.arg("--").arg(command.get_program()).args(command.get_args());
        out.env_clear().stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                out.env(name, value);
            }
        }
        out
    }

    /// Runs a shell script inside; it must succeed.
    pub fn shell(&self, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let out = self.inside(&command).output().unwrap();
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
