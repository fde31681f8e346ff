//! Storage that the project hosts itself: one file per adapter, and the registry of them.

mod filesystem;
pub mod path;
mod s3;
pub mod server;
mod sftp;
mod strangers;
mod webdav;

pub use filesystem::directory;

use crate::adapter::Adapter;
use crate::effects::Store;

/// Every kind of store, chosen by the scheme of `url` in `[[store]]`.
pub const STORES: &[Adapter<dyn Store>] =
    &[filesystem::ADAPTER, s3::ADAPTER, sftp::ADAPTER, webdav::ADAPTER, webdav::ON_LOOPBACK];
