//! lifeboat ships a security release when GitHub cannot.
pub mod bump;
pub mod checkout;
pub mod cli;
pub mod error;
pub mod formats;
pub mod model;
