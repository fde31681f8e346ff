//! Storage that the project hosts itself: one file per adapter, and the registry of them.

mod filesystem;
pub mod path;

use std::sync::Arc;

pub use filesystem::FILESYSTEM;

use crate::config::StoreConfig;
use crate::effects::{Disk, Store};
use crate::error::{Error, Result};
use crate::model::escape;

/// A kind of store, chosen by the scheme of `url` in `[[store]]`.
pub trait StoreKind: Send + Sync {
    /// The scheme, without `:`.
    fn scheme(&self) -> &'static str;

    /// What a `url` of this kind looks like, for messages and the reference.
    fn example(&self) -> &'static str;

    /// Opens a store; touches neither it nor the network, see [`Store::check`].
    ///
    /// # Errors
    /// A `url` that is not of this kind: says what would be valid.
    fn open(&self, config: &StoreConfig, disk: Arc<dyn Disk>) -> Result<Arc<dyn Store>>;
}

/// Every kind of store.
pub static STORES: &[&dyn StoreKind] = &[&FILESYSTEM];

/// Opens the store of a `[[store]]` table with the adapter of its scheme.
///
/// # Errors
/// No adapter knows the scheme; the adapter's own.
pub fn open(config: &StoreConfig, disk: Arc<dyn Disk>) -> Result<Arc<dyn Store>> {
    let scheme = config.url.split_once(':').map_or("", |(s, _)| s);
    match STORES.iter().find(|kind| kind.scheme() == scheme) {
        Some(kind) => kind.open(config, disk),
        None => {
            let examples: Vec<_> = STORES.iter().map(|k| format!("`{}`", k.example())).collect();
            Err(Error::input(format!("store `{}`: no adapter knows the url `{}`", config.name, escape(&config.url)))
                .hint(format!("expected {}", examples.join(" or "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostDisk;
    use crate::model::StoreName;

    pub(super) fn config(url: &str) -> StoreConfig {
        let name = StoreName::new("mirror").unwrap();
        StoreConfig { name, url: url.to_owned(), public_url: None, required: true }
    }

    #[test]
    fn schemes_are_distinct_and_examples_open() {
        for (n, kind) in STORES.iter().enumerate() {
            assert!(STORES[..n].iter().all(|other| other.scheme() != kind.scheme()), "{}", kind.scheme());
            assert!(kind.example().starts_with(&format!("{}:", kind.scheme())));
            open(&config(kind.example()), Arc::new(HostDisk)).unwrap();
        }
    }

    #[test]
    fn an_unknown_scheme_says_what_is_valid() {
        let e = open(&config("gopher://x"), Arc::new(HostDisk)).err().unwrap();
        assert!(e.message().contains("store `mirror`") && e.hints()[0].contains("file:///"), "{}", e.report());
    }

    #[test]
    fn file_urls_are_absolute_and_plain() {
        for bad in ["file://", "file:///", "file:srv", "file://srv/x", "file:///a/../b", "file:///a%20b", "file:///a?b"]
        {
            assert!(open(&config(bad), Arc::new(HostDisk)).is_err(), "{bad}");
        }
    }
}
