//! Adapters for keys that sign, and the registry that finds one by role.

mod configured;
pub mod decrypt;
mod gpg;
pub mod openpgp;
mod secrets;

pub use configured::{ConfiguredKeys, OPERATOR_KEY};
pub use gpg::GpgSigner;
pub use secrets::resolve;
