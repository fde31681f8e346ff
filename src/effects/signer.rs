//! The port to keys that sign.

use std::io::{Read, Write};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::PersonId;

/// What a signature is for; a key of one role is never used for another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// Tags and artifacts, after the threshold.
    Release,
    /// Indexes: it can withhold, never forge.
    Freshness,
    /// Journal records.
    Operator,
    /// A person's approval and sums.
    Person(PersonId),
}

/// One key.
pub trait Signer: Send + Sync {
    /// The certificate's fingerprint, uppercase hexadecimal.
    fn fingerprint(&self) -> String;

    /// The certificate, ASCII-armored.
    fn certificate(&self) -> Result<String>;

    /// A detached v4 signature over the data, ASCII-armored (RFC 9580 §10.4), that gpg 2.2 accepts.
    ///
    /// # Errors
    /// A wrong passphrase, a missing or expired key.
    fn sign(&self, data: &mut (dyn Read + Send)) -> Result<String>;
}

/// Finds keys by role, when they are first needed.
pub trait Keys: Send + Sync {
    /// The key of a role.
    ///
    /// # Errors
    /// A missing key or a wrong passphrase: names the role, where the key was looked for, and what to do.
    fn signer(&self, role: &Role) -> Result<Arc<dyn Signer>>;

    /// Reads a message that was encrypted to people, with a key that one of them has on this machine, and writes what is in it.
    /// Who encrypted it counts for nothing.
    ///
    /// # Errors
    /// No such key, a wrong passphrase, a damaged message; those of `message` and `out`.
    fn decrypt(&self, _message: &mut (dyn Read + Send), _out: &mut (dyn Write + Send)) -> Result<()> {
        Err(Error::input("no key that reads messages is configured on this machine"))
    }

    /// What is in a small message that anybody may have put where it was found, at most so many bytes: read only with a key that it
    /// names, and only if no person has to be asked for a passphrase or a PIN. `None` if it cannot be read so.
    fn read_unasked(&self, _message: &[u8], _most: usize) -> Option<Vec<u8>> {
        None
    }
}
