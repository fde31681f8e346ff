//! Opens a store as a configuration does.

use std::path::Path;
use std::sync::Arc;

use lifeboat::adapter::{Around, StoreTable};
use lifeboat::effects::Store;
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::{Secret, SecretRef, StoreName};
use lifeboat::stores::STORES;
use lifeboat::table::{Faults, Table};
use toml::Spanned;

/// The store of `url`, whose table has the keys of `text` besides; `secret` gives the values of its variables.
pub fn open(url: &str, text: &str, secret: impl Fn(&str) -> String + Send + Sync + 'static) -> Arc<dyn Store> {
    let scheme = url.split_once("://").unwrap().0;
    let adapter = STORES.iter().find(|a| a.kind == scheme).unwrap();
    let common = StoreTable {
        name: StoreName::new("mirror").unwrap(),
        url: Spanned::new(0..0, url.to_owned()),
        public_url: None,
        transfers: Default::default(),
    };
    let mut faults = Faults::default();
    let table = Table::parse(text, Path::new("/"), &mut faults);
    let spec = (adapter.parse)(&common, table, &mut faults).unwrap();
    assert!(faults.is_empty());
    let around = Around {
        disk: Arc::new(HostDisk),
        clock: Arc::new(HostClock),
        secrets: Arc::new(move |reference| match reference {
            SecretRef::Env(name) => Ok(Secret::new(secret(name))),
            other => panic!("no secret is at {other:?}"),
        }),
        hosts: spec.hosts().into_iter().collect(),
        repository: "/".into(),
        jobs: None,
    };
    spec.open(&around).unwrap()
}
