//! A GitHub that drops everything: it takes connections and never answers, as a silently filtered network looks to a client.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::error::{Context as _, Result};

/// Listens on loopback until the process ends.
pub struct BlackHole {
    address: String,
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl BlackHole {
    /// Opens the hole on a free port.
    ///
    /// # Errors
    /// No loopback address to listen on.
    pub fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
        let address = format!("http://{}", listener.local_addr().context("cannot tell the port")?);
        let held = Arc::new(Mutex::new(Vec::new()));
        let keep = held.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Ok(mut held) = keep.lock() {
                    held.push(stream);
                }
            }
        });
        Ok(Self { address, held })
    }

    /// The address that swallows requests.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many connections it has swallowed.
    #[must_use]
    pub fn swallowed(&self) -> usize {
        self.held.lock().map_or(0, |h| h.len())
    }
}
