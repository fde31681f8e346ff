//! The keys of `[signing]`, found by role when they are first needed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::gpg::GpgSigner;
use super::openpgp::{SecretKey, generate};
use crate::config::{KeySource, SigningConfig};
use crate::effects::{Clock, Disk, Keys, Role, SecretResolver, Signer, files, locks};
use crate::error::{Context as _, Error, Result};
use crate::model::Secret;

/// The file in the state directory that holds the operator's own key.
pub const OPERATOR_KEY: &str = "operator-key.asc";

/// The keys of `[signing]`; each is read and unlocked once.
pub struct ConfiguredKeys {
    signing: SigningConfig,
    state_dir: PathBuf,
    secrets: SecretResolver,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    unlocked: Mutex<HashMap<Role, Arc<dyn Signer>>>,
}

impl ConfiguredKeys {
    /// Looks at nothing yet. An operator key that is not configured is made in `state_dir` when it is first needed.
    #[must_use]
    pub fn new(
        signing: &SigningConfig,
        state_dir: PathBuf,
        secrets: SecretResolver,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { signing: signing.clone(), state_dir, secrets, disk, clock, unlocked: Mutex::default() }
    }

    fn source(&self, role: &Role) -> Option<&KeySource> {
        match role {
            Role::Release => self.signing.release.as_ref(),
            Role::Freshness => self.signing.freshness.as_ref(),
            Role::Operator => self.signing.operator.as_ref(),
            Role::Person(person) => self.signing.people.get(person),
        }
    }

    fn find(&self, role: &Role) -> Result<Arc<dyn Signer>> {
        match self.source(role) {
            Some(KeySource::Gpg { fingerprint }) => Ok(Arc::new(GpgSigner::new(fingerprint.parse()?))),
            Some(KeySource::File { path, passphrase }) => {
                let passphrase = passphrase.as_ref().map(|p| (self.secrets)(p)).transpose()?;
                let bytes = self.disk.read(path).context(format!("cannot read `{}`", path.display()))?;
                let bytes = bytes.ok_or_else(|| {
                    Error::input(format!("there is no key file `{}`", path.display()))
                        .hint(format!("put the key there, or fix `{}` in `lifeboat.toml`", setting(role)))
                })?;
                self.unlock(&bytes, path, passphrase.as_ref())
            }
            None if *role == Role::Operator => self.own_operator_key(),
            None => Err(Error::input(format!("no key is configured: `{}` is missing", setting(role)))
                .hint(format!("add `{} = {{ file = \"…\" }}` or `{{ gpg = \"FINGERPRINT\" }}`", setting(role)))),
        }
    }

    fn unlock(&self, bytes: &[u8], path: &Path, passphrase: Option<&Secret>) -> Result<Arc<dyn Signer>> {
        let name = path.display().to_string();
        Ok(Arc::new(SecretKey::parse(bytes, &name, passphrase, self.clock.now())?))
    }

    fn own_operator_key(&self) -> Result<Arc<dyn Signer>> {
        let path = self.state_dir.join(OPERATOR_KEY);
        let what = || format!("cannot read `{}`", path.display());
        if let Some(bytes) = self.disk.read(&path).context(what())? {
            return self.unlock(&bytes, &path, None);
        }
        files::create_dir_all(&*self.disk, &self.state_dir, 0o700)?;
        {
            let busy = "another lifeboat process makes the operator's key";
            let _turn = locks::wait(&*self.disk, &self.state_dir.join(format!("{OPERATOR_KEY}.lock")), busy)?;
            let key = generate("lifeboat operator", self.clock.now())?;
            files::write_new(&*self.disk, &path, 0o600, &mut key.secret_armored.expose().as_bytes())?;
        }
        // Another process may have been first: what lies there now is the key.
        let bytes = self.disk.read(&path).context(what())?;
        let bytes = bytes.ok_or_else(|| Error::fatal(format!("{}: it is gone", what())))?;
        self.unlock(&bytes, &path, None)
    }
}

impl Keys for ConfiguredKeys {
    fn signer(&self, role: &Role) -> Result<Arc<dyn Signer>> {
        // Held while a passphrase is asked for, so that it is asked for once.
        let mut unlocked = self.unlocked.lock();
        if let Some(signer) = unlocked.get(role) {
            return Ok(Arc::clone(signer));
        }
        let signer = self.find(role).map_err(|e| e.context(format!("cannot use the {} key", describe(role))))?;
        unlocked.insert(role.clone(), Arc::clone(&signer));
        Ok(signer)
    }
}

fn setting(role: &Role) -> String {
    match role {
        Role::Release => "signing.release".into(),
        Role::Freshness => "signing.freshness".into(),
        Role::Operator => "signing.operator".into(),
        Role::Person(person) => format!("signing.people.{person}"),
    }
}

fn describe(role: &Role) -> String {
    match role {
        Role::Release => "release".into(),
        Role::Freshness => "freshness".into(),
        Role::Operator => "operator".into(),
        Role::Person(person) => format!("approval ({person})"),
    }
}
