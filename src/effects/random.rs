//! Numbers that nobody guesses.

use crate::error::{Context as _, Result};

/// A number from the operating system's random source, which nobody guesses and nobody else gets.
///
/// # Errors
/// The operating system has no such source.
pub fn random() -> Result<u128> {
    let mut number = [0; 16];
    getrandom::fill(&mut number).context("the operating system gives no random numbers")?;
    Ok(u128::from_be_bytes(number))
}
