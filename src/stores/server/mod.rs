//! Stores that are a server: the small port that S3, WebDAV and SFTP implement, and the one [`crate::effects::Store`] on top of it.
//!
//! [`Server`] is what such a server can do with one object. [`ServerStore`] makes a store of it: which keys there are, staging,
//! claims, holds, and what is probed. An adapter is one file with a [`Server`] and its table.
//!
//! Keys below the server's root: public objects under their own path, staged ones under `.staging/<train>/<path>`. A name in
//! `.staging/` that begins with a dot belongs to no train: `.held`, `.claims` and `.probe`.

mod bounds;
mod claims;
mod holds;
mod io;
mod port;
mod probe;
mod store;

pub use bounds::{Pages, admit};
pub use io::{on_io, paced, read_all, reader};
pub use port::{Addresses, Entry, ObjectSource, OpenedObject, Owned, Promises, Server, other_bytes};
pub use store::ServerStore;
