//! Keys that sign: one file per kind, the list of them, and the keys of `[signing]` by role.

mod configured;
pub mod decrypt;
pub mod file;
pub mod gpg;
pub mod openpgp;
mod secrets;
mod unasked;

pub use configured::{ConfiguredKeys, OPERATOR_KEY};
pub use gpg::GpgSigner;
pub use secrets::resolve;

use crate::adapter::Adapter;
use crate::effects::Signer;

/// Every kind of signer, chosen by the key that says where a key is.
pub const SIGNERS: &[Adapter<dyn Signer>] = &[file::ADAPTER, gpg::ADAPTER];
