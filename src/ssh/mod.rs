//! The user's own `ssh`, which makes every connection to a machine with sshd, as it does for `git push`: keys, agent, host keys,
//! jump hosts and all else are what the user's configuration of ssh says.

mod call;
mod session;

use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, ErrorKind, Part};
use crate::model::escape;

pub(crate) use call::{ScriptAnswer, ScriptCall, ScriptInput, SharedConnection};
pub(crate) use session::{SaidLines, SshSession};

/// Given before the user's configuration is read, which thus counts for the rest. Nobody is there to be asked; a connection that
/// died is noticed within 15 s; and nothing is forwarded that the user forwards elsewhere.
const OPTIONS: [&str; 8] = [
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
];
/// How many of ssh's own lines an error shows.
const SHOWN: usize = 4;
/// How much of such a line.
const SHOWN_LENGTH: usize = 200;

/// A machine with sshd, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshHost {
    /// As whom; as the user's configuration says if none.
    pub(crate) user: Option<String>,
    /// Its name or address, or what the user's configuration calls it.
    pub(crate) host: String,
    /// On which port; as the user's configuration says if none.
    pub(crate) port: Option<u16>,
    /// The configuration of ssh to be used in the place of the user's.
    pub(crate) config: Option<PathBuf>,
    /// What it is to us, for errors.
    pub(crate) part: Option<Part>,
}

/// Whether a word can be taken for nothing else by ssh or a shell: neither for an option nor for several words.
pub(crate) fn is_plain(word: &str) -> bool {
    !matches!(word, "" | "." | "..")
        && !word.starts_with('-')
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'~'))
}

impl SshHost {
    /// Reads `user@host:port`; user and port may be left out, and an IPv6 address stands in brackets.
    pub(crate) fn parse(place: &str) -> Option<Self> {
        let (user, place) = match place.split_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, place),
        };
        let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (place, None),
        };
        let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_host = match v6 {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_plain(host),
        };
        let host = v6.unwrap_or(host).to_owned();
        let user = user.map(str::to_owned);
        let valid = is_host && user.as_deref().is_none_or(is_plain);
        valid.then_some(Self { user, host, port, config: None, part: None })
    }

    /// `ssh` with all options; what follows the host is added by the caller, who adds the host with [`Self::to`].
    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-T");
        if let Some(file) = &self.config {
            command.arg("-F").arg(file);
        }
        for option in OPTIONS {
            command.arg(format!("-o{option}"));
        }
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &self.user {
            command.args(["-l", user]);
        }
        command
    }

    /// The error of a connection that does not stand: what ssh said, or what is known otherwise.
    pub(crate) fn unreachable(&self, said: &[String], otherwise: &str) -> Error {
        let why = said.last().map_or(otherwise, String::as_str);
        let mut e = Error::new(ErrorKind::Unreachable, format!("`{}` cannot be reached by ssh: {why}", self.host));
        for line in said.iter().rev().skip(1).rev() {
            e = e.detail(line.clone());
        }
        if let Some(part) = self.part {
            e = e.of(part);
        }
        e
    }

    /// The options and the place of a command that tries the same by hand; `port` is the option for the port.
    pub(crate) fn shown(&self, program: &str, port: &str) -> String {
        let config = self.config.as_ref().map(|file| format!(" -F {}", file.display())).unwrap_or_default();
        let port = self.port.map(|number| format!(" {port} {number}")).unwrap_or_default();
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("{program}{config}{port} {user}{}", self.host)
    }

    /// The error of `ssh` itself, which could not be started.
    fn not_started(e: std::io::Error) -> Error {
        Error::input("cannot run `ssh`").because(e).hint("install OpenSSH's client: `apt-get install openssh-client`")
    }
}

/// A line that another machine or ssh has printed, to be shown.
fn shown_line(line: &str) -> String {
    escape(line.trim()).chars().take(SHOWN_LENGTH).collect()
}

/// The last lines of a text, to be shown.
fn shown_lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<String> = text.lines().map(shown_line).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_plain() {
        let of = |user: Option<&str>, host: &str, port| {
            let (user, host) = (user.map(str::to_owned), host.to_owned());
            Some(SshHost { user, host, port, config: None, part: None })
        };
        assert_eq!(SshHost::parse("host"), of(None, "host", None));
        assert_eq!(SshHost::parse("me@h.example:22"), of(Some("me"), "h.example", Some(22)));
        assert_eq!(SshHost::parse("[::1]:2222"), of(None, "::1", Some(2222)));
        assert_eq!(SshHost::parse("[::1]"), of(None, "::1", None));
        for bad in
            ["", "@host", "-oProxyCommand=x", "-x@host", "me:secret@host", "host:x", "host:99999", "a b", "$(x)", "[x]"]
        {
            assert_eq!(SshHost::parse(bad), None, "{bad}");
        }
        let host = SshHost::parse("me@h.example:22").unwrap();
        assert_eq!(host.shown("sftp", "-P"), "sftp -P 22 me@h.example");
    }
}
