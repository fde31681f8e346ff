//! lifeboat ships a security release when GitHub cannot.
pub mod bump;
pub mod cli;
pub mod config;
pub mod effects;
pub mod error;
pub mod formats;
pub mod model;
pub mod signers;
pub mod step;
pub mod trust;
pub mod verify;
