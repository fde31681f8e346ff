//! A GitHub that drops everything: it takes connections and never answers, as a silently filtered network looks to a client.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::error::{Context as _, Result};

/// Listens on loopback until the process ends.
pub struct BlackHole {
    address: String,
}

impl BlackHole {
    /// Opens the hole on a free port.
    ///
    /// # Errors
    /// No loopback address to listen on.
    pub fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
        let address = format!("http://{}", listener.local_addr().context("cannot tell the port")?);
        // Connections are kept open, since a closed one would be an answer.
        std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<TcpStream>>());
        Ok(Self { address })
    }

    /// The address that swallows requests.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}
