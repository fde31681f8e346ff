//! lifeboat ships a security release when GitHub cannot.
pub mod bump;
pub mod cli;
pub mod config;
pub mod effects;
pub mod error;
pub mod forges;
pub mod formats;
pub mod model;
pub mod runners;
pub mod step;
