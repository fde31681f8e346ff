//! Messages that only the holders of some certificates can read.

use std::io::{self, Write};
use std::time::SystemTime;

use jiff::Timestamp;
use openpgp::cert::ValidCert;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::stream::{Armorer, Encryptor, LiteralWriter, Message, Recipient};
use parking_lot::Mutex;
use sequoia_openpgp as openpgp;

use super::{Certificate, cause};
use crate::error::{Context as _, Error, Result};

/// The first line of what [`encrypt`] writes with [`MessageForm::Armored`].
pub const BEGIN: &[u8] = b"-----BEGIN PGP MESSAGE-----";

/// A writer behind a lock: the library below wants one that threads could share.
struct Shared<'a>(Mutex<&'a mut (dyn Write + Send)>);

impl Write for Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

impl Certificate {
    /// Why nothing can be encrypted to it at `now`, or `None` if something can.
    #[must_use]
    pub(crate) fn not_for_encryption(&self, now: Timestamp) -> Option<String> {
        let policy = StandardPolicy::at(SystemTime::from(now));
        match self.cert().with_policy(&policy, SystemTime::from(now)) {
            Err(e) => Some(cause(&e)),
            Ok(valid) if valid.alive().is_err() => Some("it has expired".to_owned()),
            Ok(valid) if recipients(&valid).is_empty() => {
                Some("it has no key for encryption that is good now".to_owned())
            }
            Ok(_) => None,
        }
    }
}

fn recipients<'a>(valid: &ValidCert<'a>) -> Vec<Recipient<'a>> {
    let keys = valid.keys().supported().alive().revoked(false).for_transport_encryption();
    keys.map(Into::into).collect()
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageForm<'a> {
    /// As text, for people to carry; the comment stands in it for all to read.
    Armored(&'a str),
    /// As bytes.
    Binary,
}

/// Writes what `write` writes as a message to every key of these certificates that encrypts. Neither a file's name nor a time is
/// in it.
///
/// # Errors
/// A certificate to which nothing can be encrypted; those of `write` and `out`.
pub fn encrypt(
    to: &[&Certificate],
    now: Timestamp,
    form: MessageForm<'_>,
    out: &mut (dyn Write + Send),
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let policy = StandardPolicy::at(SystemTime::from(now));
    let mut keys = Vec::new();
    for certificate in to {
        if let Some(why) = certificate.not_for_encryption(now) {
            return Err(Error::input(format!("cannot encrypt to {}: {why}", certificate.fingerprint())));
        }
        let valid = certificate.cert().with_policy(&policy, SystemTime::from(now));
        let valid = valid.map_err(|e| Error::input("cannot encrypt").because(cause(&e)))?;
        keys.extend(recipients(&valid));
    }
    let failed = |e: openpgp::anyhow::Error| Error::fatal("cannot encrypt").because(cause(&e));
    let message = Message::new(Shared(Mutex::new(out)));
    let message = match form {
        MessageForm::Armored(comment) => {
            Armorer::new(message).add_header("Comment", comment).build().map_err(failed)?
        }
        MessageForm::Binary => message,
    };
    let message = Encryptor::for_recipients(message, keys).build().map_err(failed)?;
    let mut message = LiteralWriter::new(message).build().map_err(failed)?;
    write(&mut message)?;
    message.flush().context("cannot encrypt")?;
    message.finalize().map_err(failed)
}
