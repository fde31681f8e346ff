//! lifeboat ships a security release when GitHub cannot.
pub mod bump;
pub mod config;
pub mod effects;
pub mod error;
pub mod formats;
pub mod git;
pub mod model;
pub mod remotes;
pub mod step;
