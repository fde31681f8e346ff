//! lifeboat ships a security release when GitHub cannot.
pub mod bump;
pub mod config;
pub mod effects;
pub mod error;
pub mod formats;
pub mod model;
pub mod runners;
pub mod step;
