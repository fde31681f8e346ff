//! lifeboat ships a security release when GitHub cannot.
pub mod bump;
pub mod config;
pub mod effects;
pub mod checkout;
pub mod cli;
pub mod error;
pub mod formats;
pub mod host;
pub mod model;
pub mod signers;
pub mod step;
pub mod trust;
pub mod site;
pub mod stores;
pub mod templates;
