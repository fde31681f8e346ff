//! HTTP to a server with a REST API, whoever made it: deadlines, a breaker for each host, the server's own limits,
//! conditional reads, pages, uploads from disk, and errors that say how sure they are.

mod answer;
mod client;
mod credentials;
mod dialect;
mod limits;
mod reason;
mod upload;

pub(in crate::forges) use client::{Body, Client, Host};
pub use dialect::Deadlines;
pub(in crate::forges) use dialect::Dialect;
pub(in crate::forges) use upload::{Form, Upload};
