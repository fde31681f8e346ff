//! A GitHub that drops everything: it takes connections and never answers, as a silently filtered network looks to a client.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::error::{Context as _, Error, Result};
use crate::model::escape;

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
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?)
    }

    /// Opens the hole again where it was.
    ///
    /// # Errors
    /// An address that is not a loopback one, or that somebody else listens on by now.
    pub fn again(address: &str) -> Result<Self> {
        let port = address.strip_prefix("http://127.0.0.1:").and_then(|port| port.parse::<u16>().ok());
        let port =
            port.ok_or_else(|| Error::input(format!("`{}` is not the address of a black hole", escape(address))))?;
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context(format!("cannot listen on `{address}`"))?)
    }

    fn listen(listener: TcpListener) -> Result<Self> {
        let address = format!("http://{}", listener.local_addr().context("cannot find out the port")?);
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
