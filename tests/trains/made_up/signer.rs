//! Keys in a drawer with a lock: a file behind a code. All that a new kind of signer needs is this file.

use std::path::PathBuf;
use std::sync::Arc;

use lifeboat::adapter::{Adapter, Around, FoundKey, Program, Settings, SignerSettings, SignerTable, Spec};
use lifeboat::effects::{Disk, Signer};
use lifeboat::error::{Error, Result};
use lifeboat::formats::openpgp::Certificate;
use lifeboat::model::{Fingerprint, SecretRef};
use lifeboat::signers::openpgp::SecretKey;
use lifeboat::table::{Faults, RawSecret, Table, Text, keys, keys_of, secrets};
use serde::Deserialize;

pub const ADAPTER: Adapter<dyn Signer> = Adapter {
    kind: "drawer",
    about: "a key in a drawer with a lock",
    example: "{ drawer = \"upper\" }",
    keys: keys_of::<RawDrawer>(),
    programs: &[HAND],
    facts: (),
    parse,
};

/// What opens it.
const HAND: Program = Program { name: "cat", version: &["--version"], package: "coreutils" };

keys! {
    /// A key in a drawer.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawDrawer {
        /// The drawer, a file relative to this file.
        drawer: Text,
        /// Where the code of the lock is found.
        code: Option<RawSecret> = "none",
    }
}

#[derive(Debug)]
struct Drawer {
    setting: String,
    path: PathBuf,
    code: Option<SecretRef>,
}

fn parse(common: &SignerTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Signer>> {
    let base = table.base().to_owned();
    let raw: RawDrawer = table.read(faults)?;
    let code = raw.code.as_ref().and_then(|code| faults.keep(secrets::reference(code, &base)));
    Some(Arc::new(Drawer { setting: common.setting.clone(), path: base.join(raw.drawer.get_ref()), code }))
}

impl Settings<dyn Signer> for Drawer {
    fn place(&self) -> String {
        format!("drawer {}", self.path.file_name().unwrap().display())
    }

    fn pins(&self) -> Vec<(&'static str, String)> {
        vec![("room", "the cellar".to_owned())]
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        self.code.iter().map(|code| ("code", code)).collect()
    }

    fn hosts(&self) -> Vec<String> {
        vec!["127.0.0.1".to_owned()]
    }

    fn lacks_nothing(&self) -> Result<()> {
        let missing = || Error::input(format!("`{}` has no `code`", self.setting)).hint("add one");
        self.code.as_ref().map(drop).ok_or_else(missing)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn programs(&self) -> Vec<Program> {
        vec![HAND]
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Signer>> {
        (around.secrets)(self.code.as_ref().unwrap())?;
        let bytes = around.disk.read(&self.path).unwrap().unwrap();
        Ok(Arc::new(SecretKey::parse(&bytes, "the drawer", None, around.clock.now())?))
    }
}

#[async_trait::async_trait]
impl SignerSettings for Drawer {
    fn fingerprint(&self, disk: &dyn Disk) -> Result<Option<Fingerprint>> {
        let Some(bytes) = disk.read(&self.path).unwrap() else { return Ok(None) };
        Ok(Some(Certificate::of_secret(&bytes, "the drawer")?.fingerprint().clone()))
    }

    async fn find(&self) -> Result<FoundKey> {
        if !self.path.is_file() {
            return Err(Error::fatal("the drawer is empty").hint("put the key back"));
        }
        Ok(FoundKey { shown: self.place(), doubt: None })
    }
}
