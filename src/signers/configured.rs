//! The keys of `[signing]`, found by role when they are first needed.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::decrypt;
use super::openpgp::{SecretKey, generate};
use super::unasked::{self, GpgKeys};
use crate::adapter::{Around, DecryptingKey, Spec};
use crate::config::SigningConfig;
use crate::effects::{Keys, Role, Signer, files, locks};
use crate::error::{Context as _, Error, Result};
use crate::model::{PersonId, Secret};

/// The file in the state directory that holds the operator's own key.
pub const OPERATOR_KEY: &str = "operator-key.asc";

/// The keys of `[signing]`; each is read and unlocked once.
pub struct ConfiguredKeys {
    signing: SigningConfig,
    state_dir: PathBuf,
    around: Around,
    unlocked: Mutex<HashMap<Role, Arc<dyn Signer>>>,
    /// Whose key reads messages, if that was asked for.
    reader: Option<PersonId>,
    /// What was found for it: a key with its passphrase, or none of this machine's files, which leaves it to gpg.
    reads: Mutex<Option<Option<Arc<ReadingKey>>>>,
    /// What gpg has that reads messages.
    gpg: GpgKeys,
}

/// A key file that reads messages, and its passphrase.
struct ReadingKey(DecryptingKey, Option<Secret>);

impl ConfiguredKeys {
    /// Looks at nothing yet. An operator key that is not configured is made in `state_dir` when it is first needed.
    #[must_use]
    pub fn new(signing: &SigningConfig, state_dir: PathBuf, around: Around) -> Self {
        Self {
            signing: signing.clone(),
            state_dir,
            around,
            unlocked: Mutex::default(),
            reader: None,
            reads: Mutex::default(),
            gpg: GpgKeys::default(),
        }
    }

    /// The same, where a person's own key is to read messages, rather than anybody's of this machine.
    #[must_use]
    pub fn read_by(self, person: &PersonId) -> Self {
        Self { reader: Some(person.clone()), ..self }
    }

    /// The first key file of a person of this machine that reads messages.
    fn reading_key(&self) -> Result<Option<Arc<ReadingKey>>> {
        let mut reads = self.reads.lock();
        if let Some(found) = &*reads {
            return Ok(found.clone());
        }
        let (disk, now) = (&*self.around.disk, self.around.clock.now());
        let mut found = None;
        for (person, key) in &self.signing.people {
            if self.reader.as_ref().is_none_or(|own| own == person)
                && let Some(key) = key.decrypting(disk, now)?
            {
                let passphrase = key.passphrase.as_ref().map(|from| (self.around.secrets)(from)).transpose()?;
                found = Some(Arc::new(ReadingKey(key, passphrase)));
                break;
            }
        }
        *reads = Some(found.clone());
        Ok(found)
    }

    fn spec(&self, role: &Role) -> Option<&Spec<dyn Signer>> {
        match role {
            Role::Release => self.signing.release.as_ref(),
            Role::Freshness => self.signing.freshness.as_ref(),
            Role::Operator => self.signing.operator.as_ref(),
            Role::Person(person) => self.signing.people.get(person),
        }
    }

    fn find(&self, role: &Role) -> Result<Arc<dyn Signer>> {
        match self.spec(role) {
            Some(key) => key.open(&self.around),
            None if *role == Role::Operator => self.own_operator_key(),
            None => Err(Error::input(format!("no key is configured: `{}` is missing", setting(role)))
                .hint(format!("add {} to `lifeboat.toml`", self.signing.example(&setting(role))))),
        }
    }

    fn own_operator_key(&self) -> Result<Arc<dyn Signer>> {
        let (disk, clock) = (&*self.around.disk, &self.around.clock);
        let path = self.state_dir.join(OPERATOR_KEY);
        let unlock = |bytes: &[u8]| -> Result<Arc<dyn Signer>> {
            Ok(Arc::new(SecretKey::parse(bytes, &path.display().to_string(), None, clock.now())?))
        };
        let what = || format!("cannot read `{}`", path.display());
        if let Some(bytes) = disk.read(&path).context(what())? {
            return unlock(&bytes);
        }
        files::create_dir_all(disk, &self.state_dir, 0o700)?;
        {
            let busy = "another lifeboat process makes the operator's key";
            let _turn = locks::wait(disk, &self.state_dir.join(format!("{OPERATOR_KEY}.lock")), busy)?;
            let key = generate("lifeboat operator", clock.now())?;
            files::write_new(disk, &path, 0o600, &mut key.secret_armored.expose().as_bytes())?;
        }
        // Another process may have been first: what lies there now is the key.
        let bytes = disk.read(&path).context(what())?;
        let bytes = bytes.ok_or_else(|| Error::fatal(format!("{}: it is gone", what())))?;
        unlock(&bytes)
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

    fn decrypt(&self, message: &mut (dyn Read + Send), out: &mut (dyn Write + Send)) -> Result<()> {
        match self.reading_key()? {
            Some(key) => {
                let ReadingKey(key, passphrase) = &*key;
                decrypt::with_file(&key.bytes, &key.name, passphrase.as_ref(), self.around.clock.now(), message, out)
            }
            None => decrypt::with_gpg(message, out),
        }
    }

    fn read_unasked(&self, message: &[u8], most: usize) -> Option<Vec<u8>> {
        let to = unasked::recipients(message)?;
        let (disk, now) = (&*self.around.disk, self.around.clock.now());
        let files = self.signing.people.values().filter_map(|key| key.decrypting(disk, now).ok().flatten());
        let mut read = files.filter_map(|key| unasked::with_file(&key, &to, now, (message, most)));
        read.next().or_else(|| self.gpg.read(&to, (message, most)))
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
