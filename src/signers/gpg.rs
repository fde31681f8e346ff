//! Keys of the user's gpg: smartcards, HSMs behind gpg-agent, RSA.

use std::io::{ErrorKind as IoKind, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::effects::{Signer, files};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::Detached;
use crate::model::{Fingerprint, escape};

/// What gpg and its pinentry need of the environment; nothing else travels.
const ENVIRONMENT: [&str; 11] = [
    "PATH",
    "HOME",
    "GNUPGHOME",
    "GPG_TTY",
    "TERM",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_CONNECTION",
];

/// A key of the user's gpg. The agent asks for passphrase or PIN; they never pass through this process.
pub struct GpgSigner {
    fingerprint: Fingerprint,
    home: Option<PathBuf>,
}

impl GpgSigner {
    /// The key with this fingerprint; gpg is asked when it is first used.
    #[must_use]
    pub fn new(fingerprint: Fingerprint) -> Self {
        Self { fingerprint, home: None }
    }

    /// The same key, in another home directory than gpg's own.
    #[must_use]
    pub fn in_home(self, home: PathBuf) -> Self {
        Self { home: Some(home), ..self }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        if let Some(home) = &self.home {
            command.arg("--homedir").arg(home);
        }
        command.args(["--armor", "--no-emit-version", "--no-comments"]).args(arguments).arg(self.fingerprint.as_str());
        command
    }

    fn failed(&self, stderr: &[u8]) -> Error {
        let mut error = Error::input(format!("gpg cannot sign with {}", self.fingerprint));
        for line in String::from_utf8_lossy(stderr).lines().take(10) {
            error = error.detail(escape(line));
        }
        error.hint(format!("try `gpg --local-user {} --detach-sign FILE` by hand; is the card in?", self.fingerprint))
    }
}

/// The user's gpg, with nothing but what it needs of the environment; its messages go into ours.
pub(super) fn program() -> Command {
    let mut command = Command::new("gpg");
    command.args(["--batch", "--no-tty"]);
    command.env_clear().envs(ENVIRONMENT.iter().filter_map(|k| Some((k, std::env::var_os(k)?))));
    command.env("LC_ALL", "C.UTF-8").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(super) fn not_started(e: std::io::Error) -> Error {
    Error::input("cannot start gpg").because(e).hint("install gnupg, or name a key file in `lifeboat.toml`")
}

impl Signer for GpgSigner {
    fn fingerprint(&self) -> String {
        self.fingerprint.to_string()
    }

    fn certificate(&self) -> Result<String> {
        let mut command = self.command(&["--export-options", "export-minimal", "--export"]);
        let output = command.stdin(Stdio::null()).output().map_err(not_started)?;
        if !output.status.success() || output.stdout.is_empty() {
            return Err(Error::input(format!("gpg has no certificate {}", self.fingerprint))
                .hint("list what it has with `gpg --list-secret-keys`"));
        }
        String::from_utf8(output.stdout).context("gpg exported a certificate that is not text")
    }

    fn sign(&self, data: &mut (dyn Read + Send)) -> Result<String> {
        let mut command = self.command(&["--digest-algo", "SHA512", "--detach-sign", "--output", "-", "--local-user"]);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(not_started)?;
        let mut written = Ok(());
        if let Some(mut input) = child.stdin.take() {
            written = files::copy(data, &mut input).map(drop);
        }
        let output = child.wait_with_output().context("cannot wait for gpg")?;
        match written {
            // gpg went away before it had read everything: its own message says why.
            Err(e) if e.kind() == IoKind::BrokenPipe => return Err(self.failed(&output.stderr)),
            other => other.context("cannot hand gpg what is to be signed")?,
        }
        if !output.status.success() {
            return Err(self.failed(&output.stderr));
        }
        // The user's gpg.conf could have asked for something that others cannot verify.
        Detached::parse(&output.stdout, "gpg's answer")
            .map_err(|e| e.context("gpg made a signature that cannot be used"))?;
        String::from_utf8(output.stdout).context("gpg made a signature that is not text")
    }
}
