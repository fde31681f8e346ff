//! The ports of a [`World`]: the real ones, counted; and signatures that are the same in every run up to the crash.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lifeboat::effects::{Disk, Effects, Keys, NoProgress, Role, Runner, Signer};
use lifeboat::error::Result;
use lifeboat::model::Sha256;
use lifeboat::wiring;

use super::counting::{CountingDisk, CountingGit, CountingRunner};
use super::kill_points::KillPoints;
use super::train_world::{StandingClock, World};

/// Signatures by fingerprint and digest of what was signed.
///
/// They carry a random salt, and so the names of the objects that hold them, and with those the number of directories
/// that are made, differ from run to run. A run that is to be killed signs as the uninterrupted one did, so that the Nth
/// call is the same call; what resumes it signs afresh, as it would.
#[derive(Default)]
pub struct Signatures {
    known: Mutex<BTreeMap<String, String>>,
    file: Option<PathBuf>,
}

impl Signatures {
    /// None are known: everything is signed afresh, and kept.
    pub fn fresh() -> Arc<Self> {
        Arc::default()
    }

    /// Those in a file, to which [`Signatures::save`] writes.
    pub fn in_file(file: PathBuf) -> Arc<Self> {
        let known = fs::read(&file).map_or_else(|_| BTreeMap::new(), |b| serde_json::from_slice(&b).unwrap());
        Arc::new(Self { known: Mutex::new(known), file: Some(file) })
    }

    pub fn save(&self) {
        let known = serde_json::to_vec(&*self.known.lock().unwrap()).unwrap();
        fs::write(self.file.as_ref().unwrap(), known).unwrap();
    }
}

struct ReplayingKeys {
    inner: Arc<dyn Keys>,
    signatures: Arc<Signatures>,
}

struct ReplayingSigner {
    inner: Arc<dyn Signer>,
    signatures: Arc<Signatures>,
}

impl Keys for ReplayingKeys {
    fn signer(&self, role: &Role) -> Result<Arc<dyn Signer>> {
        let inner = self.inner.signer(role)?;
        Ok(Arc::new(ReplayingSigner { inner, signatures: self.signatures.clone() }))
    }

    fn decrypt(&self, message: &mut (dyn Read + Send), out: &mut (dyn Write + Send)) -> Result<()> {
        self.inner.decrypt(message, out)
    }
}

impl Signer for ReplayingSigner {
    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }

    fn certificate(&self) -> Result<String> {
        self.inner.certificate()
    }

    fn sign(&self, data: &mut (dyn Read + Send)) -> Result<String> {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        let key = format!("{} {}", self.fingerprint(), Sha256::of(&bytes));
        if let Some(known) = self.signatures.known.lock().unwrap().get(&key) {
            return Ok(known.clone());
        }
        let made = self.inner.sign(&mut &bytes[..])?;
        self.signatures.known.lock().unwrap().insert(key, made.clone());
        Ok(made)
    }
}

/// The real ports over `disk`, each state-changing call a kill point; `runner` instead of the local one, if given.
pub fn effects(
    world: &World,
    disk: Arc<dyn Disk>,
    points: &Arc<KillPoints>,
    signatures: &Arc<Signatures>,
    runner: Option<Arc<dyn Runner>>,
) -> Effects {
    let disk: Arc<dyn Disk> = CountingDisk::new(disk, points.clone());
    let clock = StandingClock::at(world.now());
    let wired = wiring::effects(
        &world.config(),
        &world.root(),
        &world.train(),
        disk,
        clock,
        Arc::new(NoProgress),
        // Where the servers of these tests are.
        wiring::Credentials { hosts: ["127.0.0.1".to_owned()].into(), ..wiring::Credentials::kept() },
    );
    let mut effects = wired.unwrap();
    effects.git = CountingGit::new(effects.git, points.clone());
    if let Some(runner) = runner {
        effects.runners = vec![runner];
    }
    let counted = |r: Arc<dyn Runner>| CountingRunner::new(r, points.clone()) as Arc<dyn Runner>;
    effects.runners = effects.runners.into_iter().map(counted).collect();
    effects.keys = Arc::new(ReplayingKeys { inner: effects.keys, signatures: signatures.clone() });
    effects
}
