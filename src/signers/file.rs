//! Keys in files: `{ file = "path" }`, with a passphrase or without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::decrypt;
use super::openpgp::SecretKey;
use crate::adapter::{Adapter, Around, DecryptingKey, FoundKey, Settings, SignerSettings, SignerTable, Spec};
use crate::effects::{Disk, Signer};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::Certificate;
use crate::model::{Fingerprint, SecretRef};
use crate::table::{Faults, RawSecret, Table, Text, keys, keys_of, not_empty, secrets};

/// A secret key file.
pub(super) const ADAPTER: Adapter<dyn Signer> = Adapter {
    kind: "file",
    about: "an OpenPGP secret key file, used in this process",
    example: "{ file = \"path\" }",
    keys: keys_of::<RawFile>(),
    programs: &[],
    facts: (),
    parse,
};

keys! {
    /// A key in a file.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawFile {
        /// An OpenPGP secret key file (Ed25519), armored or binary, relative to this file.
        file: Text,
        /// Where the passphrase of the file is found.
        passphrase: Option<RawSecret> = "none: the key has no passphrase",
    }
}

fn parse(common: &SignerTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Signer>> {
    let base = table.base().to_owned();
    let raw: RawFile = table.read(faults)?;
    not_empty(&raw.file, faults)?;
    let passphrase = match &raw.passphrase {
        Some(passphrase) => Some(faults.keep(secrets::reference(passphrase, &base))?),
        None => None,
    };
    Some(Arc::new(KeyFile { common: common.clone(), path: base.join(raw.file.get_ref()), passphrase }))
}

/// The key in a file, which has no passphrase.
#[must_use]
pub fn key(common: SignerTable, path: PathBuf) -> Spec<dyn Signer> {
    Arc::new(KeyFile { common, path, passphrase: None })
}

/// A checked table.
#[derive(Debug)]
struct KeyFile {
    common: SignerTable,
    path: PathBuf,
    passphrase: Option<SecretRef>,
}

impl KeyFile {
    fn read(&self, disk: &dyn Disk) -> Result<Option<Vec<u8>>> {
        disk.read(&self.path).context(format!("cannot read `{}`", self.path.display()))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether the passphrase is where it should be; it is not read.
    fn passphrase_is_there(&self) -> Result<Option<Error>> {
        match &self.passphrase {
            Some(SecretRef::Env(name)) if std::env::var_os(name).is_none() => {
                let message = format!("the variable `{name}` with its passphrase is not set");
                Ok(Some(Error::fatal(message).hint(format!("set `{name}` before `lifeboat ship`"))))
            }
            Some(SecretRef::File(file)) if !can_be_read(file) => {
                let message = format!("cannot read its passphrase in `{}`", file.display());
                Err(Error::fatal(message).hint("check the path"))
            }
            _ => Ok(None),
        }
    }
}

fn can_be_read(file: &Path) -> bool {
    // To open a pipe would wait until somebody writes to it.
    std::fs::metadata(file).is_ok_and(|m| m.is_file()) && std::fs::File::open(file).is_ok()
}

impl Settings<dyn Signer> for KeyFile {
    fn place(&self) -> String {
        format!("key file `{}`", self.path.strip_prefix(&self.common.repository).unwrap_or(&self.path).display())
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        self.passphrase.iter().map(|from| ("passphrase", from)).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Signer>> {
        let passphrase = self.passphrase.as_ref().map(|from| (around.secrets)(from)).transpose()?;
        let bytes = self.read(&*around.disk)?.ok_or_else(|| {
            Error::input(format!("there is no key file `{}`", self.name()))
                .hint(format!("put the key there, or fix `{}` in `lifeboat.toml`", self.common.setting))
        })?;
        Ok(Arc::new(SecretKey::parse(&bytes, &self.name(), passphrase.as_ref(), around.clock.now())?))
    }
}

#[async_trait::async_trait]
impl SignerSettings for KeyFile {
    fn fingerprint(&self, disk: &dyn Disk) -> Result<Option<Fingerprint>> {
        // Of the file only the public part is looked at.
        let Some(bytes) = self.read(disk)? else { return Ok(None) };
        Ok(Some(Certificate::of_secret(&bytes, &self.name())?.fingerprint().clone()))
    }

    async fn find(&self) -> Result<FoundKey> {
        use std::os::unix::fs::PermissionsExt as _;
        let shown = self.name();
        let failed = |e| Error::fatal(format!("cannot read `{shown}`: {e}")).hint("check the path");
        // To open a pipe would wait until somebody writes to it.
        if !std::fs::metadata(&self.path).map_err(failed)?.is_file() {
            return Err(Error::fatal(format!("`{shown}` is not a regular file")).hint("name the key's file"));
        }
        let meta = std::fs::File::open(&self.path).and_then(|file| file.metadata()).map_err(failed)?;
        let doubt = if meta.permissions().mode() & 0o077 == 0 {
            self.passphrase_is_there()?
        } else {
            Some(Error::fatal(format!("others can read `{shown}`")).hint(format!("`chmod 600 {shown}`")))
        };
        Ok(FoundKey { shown, doubt })
    }

    fn decrypting(&self, disk: &dyn Disk, now: Timestamp) -> Result<Option<DecryptingKey>> {
        let bytes = self.read(disk)?.filter(|bytes| decrypt::decrypts(bytes, now));
        Ok(bytes.map(|bytes| DecryptingKey { bytes, name: self.name(), passphrase: self.passphrase.clone() }))
    }
}
