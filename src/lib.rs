//! lifeboat ships a security release when GitHub cannot.
//!
//! * Pure: [`model`], [`formats`], [`table`], [`step`], [`snapshot`], [`plan`], [`bump`], `journal::{event, fold}`, `engine::next`.
//! * Decisions and their record: [`config`], [`gather`], [`trust`], [`journal`], [`engine`].
//! * The ports are [`effects`]; their adapters [`host`], [`git`], [`runners`], [`stores`], [`forges`], [`remotes`],
//!   [`signers`], which share [`http`]; [`wiring`] joins them, [`cli`] parses and renders, [`drill`] simulates, [`verify`] is the consumer's side.
//!
//! What always holds: an adopted plan never changes; nothing is public before the gate; same bytes skip, different bytes
//! stop; only plan, journal, objects and stores must survive a crash. `ARCHITECTURE.md` says more.

pub mod adapter;
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
pub mod http;
pub mod inputs;
pub mod journal;
pub mod mirror;
pub mod model;
pub mod plan;
pub mod remotes;
pub mod report;
pub mod runners;
pub mod sandbox;
pub mod signers;
pub mod site;
pub mod snapshot;
mod ssh;
pub mod step;
pub mod stores;
mod subprocess;
pub mod table;
pub mod templates;
pub mod trust;
pub mod verify;
pub mod wiring;
