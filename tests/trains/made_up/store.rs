//! A store in a box: a directory behind a key. All that a new kind of store needs is this file.

use std::path::PathBuf;
use std::sync::Arc;

use lifeboat::adapter::{Adapter, Around, Settings, Spec, StoreFacts, StoreTable};
use lifeboat::effects::Store;
use lifeboat::error::{Error, Result};
use lifeboat::model::{SecretRef, StoreName};
use lifeboat::stores;
use lifeboat::table::{Fault, Faults, RawSecret, Table, Text, keys, keys_of, secrets};
use serde::Deserialize;

pub const ADAPTER: Adapter<dyn Store> = Adapter {
    kind: "boxed",
    about: "a directory behind a key",
    example: "boxed:///srv/releases",
    keys: keys_of::<RawBoxed>(),
    programs: &[],
    facts: StoreFacts { takes_paths: false },
    parse,
};

keys! {
    /// A store in a box.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawBoxed {
        /// Where the key of the box is found.
        box_key: Option<RawSecret> = "none",
        /// The host that gets the key.
        host: Text,
    }
}

#[derive(Debug)]
struct Boxed {
    name: StoreName,
    root: PathBuf,
    key: Option<SecretRef>,
    host: String,
}

fn parse(common: &StoreTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Store>> {
    let base = table.base().to_owned();
    let raw: RawBoxed = table.read(faults)?;
    let key = raw.box_key.as_ref().and_then(|key| faults.keep(secrets::reference(key, &base)));
    let Some(root) = common.url.get_ref().strip_prefix("boxed://").filter(|path| path.starts_with('/')) else {
        faults.add(Fault::new(common.url.span(), "this is not the address of a box", "expected `boxed:///…`"));
        return None;
    };
    Some(Arc::new(Boxed { name: common.name.clone(), root: root.into(), key, host: raw.host.into_inner() }))
}

impl Settings<dyn Store> for Boxed {
    fn place(&self) -> String {
        format!("boxed://{}", self.root.display())
    }

    fn pins(&self) -> Vec<(&'static str, String)> {
        vec![("host", self.host.clone())]
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        self.key.iter().map(|key| ("box_key", key)).collect()
    }

    fn hosts(&self) -> Vec<String> {
        vec![self.host.clone()]
    }

    fn lacks_nothing(&self) -> Result<()> {
        let missing = || Error::input(format!("store `{}` has no `box_key`", self.name)).hint("add one");
        self.key.as_ref().map(drop).ok_or_else(missing)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.root.clone()]
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Store>> {
        if let Some(key) = &self.key {
            (around.secrets)(key)?;
        }
        Ok(stores::directory(self.name.clone(), &self.root, around.disk.clone()))
    }
}
