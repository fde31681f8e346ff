//! Keys of the user's gpg: `{ gpg = "FINGERPRINT" }`; smartcards, HSMs behind gpg-agent, RSA.

use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::adapter::{Adapter, Around, FoundKey, Program, Settings, SignerSettings, SignerTable, Spec};
use crate::effects::{Disk, Signer, aside, files};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::Detached;
use crate::model::{Fingerprint, escape};
use crate::subprocess::{Subprocess, SubprocessError};
use crate::table::{Fault, Faults, Table, Text, keys, keys_of};

/// A key of the user's gpg.
pub(super) const ADAPTER: Adapter<dyn Signer> = Adapter {
    kind: "gpg",
    about: "a key of the user's gpg, on a smartcard or in an HSM too; gpg-agent asks for the passphrase",
    example: "{ gpg = \"FINGERPRINT\" }",
    keys: keys_of::<RawGpg>(),
    programs: &[GPG],
    facts: (),
    parse,
};

/// The user's gpg.
pub(crate) const GPG: Program = Program { name: "gpg", version: &["--version"], package: "gpg" };

keys! {
    /// A key that gpg has.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawGpg {
        /// The whole fingerprint of a key of the user's gpg; smartcards and HSMs too.
        gpg: Text,
    }
}

fn parse(_: &SignerTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Signer>> {
    if table.has("passphrase") {
        let label = "remove `passphrase`";
        faults.add(Fault::new(table.span(), "a key of gpg has its passphrase in gpg-agent", label));
        return None;
    }
    let raw: RawGpg = table.read(faults)?;
    let hex: String = raw.gpg.get_ref().trim_start_matches("0x").chars().filter(|c| *c != ' ').collect();
    let Ok(fingerprint) = hex.to_ascii_uppercase().parse() else {
        let label = "expected the 40 hexadecimal digits that `gpg --list-secret-keys` shows";
        faults.add(Fault::new(raw.gpg.span(), "this is not a whole fingerprint", label));
        return None;
    };
    Some(key(fingerprint))
}

/// The key with this fingerprint.
#[must_use]
pub fn key(fingerprint: Fingerprint) -> Spec<dyn Signer> {
    Arc::new(KeyOfGpg(fingerprint))
}

/// A checked table.
#[derive(Debug)]
struct KeyOfGpg(Fingerprint);

impl Settings<dyn Signer> for KeyOfGpg {
    fn place(&self) -> String {
        format!("gpg key {}", self.0)
    }

    fn programs(&self) -> Vec<Program> {
        vec![GPG]
    }

    fn open(&self, _: &Around) -> Result<Arc<dyn Signer>> {
        Ok(Arc::new(GpgSigner::new(self.0.clone())))
    }
}

#[async_trait::async_trait]
impl SignerSettings for KeyOfGpg {
    fn fingerprint(&self, _: &dyn Disk) -> Result<Option<Fingerprint>> {
        Ok(Some(self.0.clone()))
    }

    async fn find(&self) -> Result<FoundKey> {
        let mut command = Command::new(GPG.name);
        command.args(["--batch", "--with-colons", "--list-secret-keys", "--", self.0.as_str()]);
        let asked = aside(|| Subprocess::new(command).limit(Some(LOOKING)).run()).await;
        match asked {
            Some(Ok(listed)) if listed.status.success() => {
                Ok(FoundKey { shown: format!("gpg has {}", self.0), doubt: None })
            }
            Some(Err(e)) => Err(GPG.not_run(e)),
            _ => Err(Error::fatal(format!("gpg has no secret key {}", self.0))
                .hint("insert the card, or import the key: `gpg --list-secret-keys` shows what there is")),
        }
    }
}

/// How long gpg may look for a key; it starts its agent for that.
const LOOKING: Duration = Duration::from_secs(60);

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

/// The user's gpg, with nothing but what it needs of the environment.
pub(super) fn program() -> Command {
    let mut command = Command::new(GPG.name);
    command.args(["--batch", "--no-tty"]);
    command.env_clear().envs(ENVIRONMENT.iter().filter_map(|k| Some((k, std::env::var_os(k)?))));
    command.env("LC_ALL", "C.UTF-8");
    command
}

pub(super) fn not_run(e: SubprocessError) -> Error {
    let missing = e.is_missing();
    let error = GPG.not_run(e);
    if missing { error.hint("or name a key file in `lifeboat.toml`") } else { error }
}

impl Signer for GpgSigner {
    fn fingerprint(&self) -> String {
        self.fingerprint.to_string()
    }

    fn certificate(&self) -> Result<String> {
        let command = self.command(&["--export-options", "export-minimal", "--export"]);
        let output = Subprocess::new(command).run().map_err(not_run)?;
        if !output.status.success() || output.stdout.is_empty() {
            return Err(Error::input(format!("gpg has no certificate {}", self.fingerprint))
                .hint("list what it has with `gpg --list-secret-keys`"));
        }
        String::from_utf8(output.stdout).context("gpg exported a certificate that is not text")
    }

    fn sign(&self, data: &mut (dyn Read + Send)) -> Result<String> {
        let command = self.command(&["--digest-algo", "SHA512", "--detach-sign", "--output", "-", "--local-user"]);
        let mut whole = false;
        let signing = Subprocess::new(command).written(|input| {
            files::copy(data, input)?;
            whole = true;
            Ok(())
        });
        let output = signing.run().map_err(not_run)?;
        // Where it went away before it had read everything, its own message says why.
        if !whole || !output.status.success() {
            return Err(self.failed(&output.stderr));
        }
        // The user's gpg.conf could have asked for something that others cannot verify.
        Detached::parse(&output.stdout, "gpg's answer")
            .map_err(|e| e.context("gpg made a signature that cannot be used"))?;
        String::from_utf8(output.stdout).context("gpg made a signature that is not text")
    }
}
