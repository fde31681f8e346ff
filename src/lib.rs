//! lifeboat ships a security release when GitHub cannot.

pub mod bump;
pub mod checkout;
pub mod cli;
pub mod config;
pub mod drill;
pub mod effects;
pub mod engine;
pub mod error;
pub mod forges;
pub mod formats;
pub mod gather;
pub mod git;
pub mod host;
pub mod journal;
pub mod model;
pub mod plan;
pub mod remotes;
pub mod signers;
pub mod site;
pub mod snapshot;
pub mod runners;
pub mod step;
pub mod stores;
pub mod templates;
pub mod trust;
pub mod wiring;
