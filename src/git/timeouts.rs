//! How a call to a server ends when the link goes silent: limits for git's https, and options for the user's own ssh.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

/// How long nothing may move while git talks to a server; one that has taken a push says every five seconds that it is at
/// work.
pub const STILL: Duration = Duration::from_secs(60);

/// How long ssh may take to connect, its handshake and the exchange of keys included, in seconds.
const CONNECT: u64 = 15;

/// How often ssh asks a server that says nothing before it gives it up.
const ASKS: u64 = 3;

/// The settings that say how git runs ssh, as a pattern for `git config --get-regexp`.
pub(super) const SETTINGS: &str = r"^(core\.sshcommand|ssh\.variant)$";

/// What the user chose for git's ssh. A variable of the environment goes before a setting, as git has it.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// `GIT_SSH_COMMAND`, or `core.sshCommand`.
    pub(super) command: Option<OsString>,
    /// `GIT_SSH`: a program by its path.
    pub(super) program: Option<OsString>,
    /// `GIT_SSH_VARIANT`, or `ssh.variant`: whose options the command takes.
    pub(super) variant: Option<OsString>,
}

impl Chosen {
    /// Fills what the environment leaves open from the output of `git config --null --get-regexp`: a name, a line feed and
    /// a value each; the last of a name counts.
    pub(super) fn or_settings(mut self, listed: &[u8]) -> Self {
        let value = |wanted: &str| {
            let of = |entry: &'_ [u8]| Some(entry.strip_prefix(wanted.as_bytes())?.strip_prefix(b"\n")?.to_vec());
            listed.split(|b| *b == 0).filter_map(of).next_back().map(OsString::from_vec)
        };
        self.command = self.command.or_else(|| value("core.sshcommand"));
        self.variant = self.variant.or_else(|| value("ssh.variant"));
        self
    }

    /// The variables with which git runs the chosen ssh, with options that end a connection on which nothing moved for `still`.
    ///
    /// The options stand behind the user's own command, where git's own stand as well: of two options OpenSSH takes the
    /// first, so one of the command wins; one of `~/.ssh/config` does not. A command that git does not take for OpenSSH
    /// by its name or its variant stays as it is, and so does `GIT_SSH`.
    pub(super) fn variables(&self, still: Duration) -> Vec<(&'static str, OsString)> {
        let mut out: Vec<_> = self.variant.iter().map(|v| ("GIT_SSH_VARIANT", v.clone())).collect();
        let mut command = match (&self.command, &self.program) {
            (Some(command), _) => command.clone(),
            (None, Some(_)) => return out,
            (None, None) => "ssh".into(),
        };
        if self.is_openssh(&command) {
            let every = (still.as_secs() / (ASKS + 1)).max(1);
            command.push(format!(
                " -o ConnectTimeout={CONNECT} -o ServerAliveInterval={every} -o ServerAliveCountMax={ASKS}"
            ));
        }
        out.push(("GIT_SSH_COMMAND", command));
        out
    }

    /// Git's own rule: the variant says so, or the name of the program, its first word.
    fn is_openssh(&self, command: &OsStr) -> bool {
        match self.variant.as_deref().map(OsStr::as_bytes) {
            None | Some(b"auto") => {
                let word = command.as_bytes().split(u8::is_ascii_whitespace).find(|w| !w.is_empty());
                let name = word.and_then(|w| w.rsplit(|b| *b == b'/').next());
                name.is_some_and(|n| n.eq_ignore_ascii_case(b"ssh"))
            }
            Some(variant) => variant == b"ssh",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDED: &str = " -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=3";

    fn command(command: Option<&str>, program: Option<&str>, variant: Option<&str>, listed: &str) -> Option<String> {
        let own = |v: Option<&str>| v.map(OsString::from);
        let chosen = Chosen { command: own(command), program: own(program), variant: own(variant) };
        let variables = chosen.or_settings(listed.as_bytes()).variables(Duration::from_secs(60));
        let found = variables.into_iter().find(|(name, _)| *name == "GIT_SSH_COMMAND");
        found.map(|(_, value)| value.into_string().unwrap())
    }

    #[test]
    fn only_openssh_gets_the_options() {
        let with_options = |with: &str| Some(format!("{with}{ADDED}"));
        assert_eq!(command(None, None, None, ""), with_options("ssh"));
        assert_eq!(command(Some("ssh -i key"), None, None, ""), with_options("ssh -i key"));
        assert_eq!(command(Some(" /usr/bin/ssh -i key"), Some("/x"), None, ""), with_options(" /usr/bin/ssh -i key"));
        let configured = "core.sshcommand\nssh -i old\0core.sshcommand\nssh -i key\0";
        assert_eq!(
            command(None, Some("/usr/bin/ssh"), None, configured),
            with_options("ssh -i key"),
            "the last one counts"
        );
        assert_eq!(
            command(Some("ssh -v"), None, None, configured),
            with_options("ssh -v"),
            "the environment goes first"
        );
        assert_eq!(command(Some("my-ssh"), None, Some("ssh"), ""), with_options("my-ssh"));
        assert_eq!(command(Some("my-ssh"), None, Some("auto"), "ssh.variant\nssh\0"), Some("my-ssh".into()));
        for other in ["plink -batch", "sh ssh", "env A=1 ssh", "/opt/ssh/run"] {
            assert_eq!(command(Some(other), None, None, "").as_deref(), Some(other));
        }
        assert_eq!(command(Some("ssh"), None, Some("simple"), "").as_deref(), Some("ssh"));
        assert_eq!(command(None, None, None, "ssh.variant\nplink\0").as_deref(), Some("ssh"));
        assert_eq!(command(None, Some("/usr/bin/ssh"), None, ""), None, "git runs that program itself");
    }
}
