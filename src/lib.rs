//! lifeboat ships a security release when GitHub cannot.
pub mod bump;
pub mod checkout;
pub mod cli;
pub mod config;
pub mod effects;
pub mod error;
pub mod formats;
pub mod git;
pub mod host;
pub mod model;
pub mod remotes;
pub mod signers;
pub mod site;
pub mod step;
pub mod stores;
pub mod templates;
pub mod trust;
