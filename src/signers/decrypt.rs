//! Reads messages that were encrypted to a person: with a key file, else by the person's own gpg.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::SystemTime;

use jiff::Timestamp;
use openpgp::cert::amalgamation::key::ValidErasedKeyAmalgamation;
use openpgp::crypto::{Password, SessionKey};
use openpgp::packet::key::SecretParts;
use openpgp::packet::{PKESK, SKESK};
use openpgp::parse::Parse as _;
use openpgp::parse::stream::{DecryptionHelper, DecryptorBuilder, MessageStructure, VerificationHelper};
use openpgp::policy::StandardPolicy;
use openpgp::types::{PublicKeyAlgorithm, SymmetricAlgorithm};
use openpgp::{Cert, KeyHandle};
use sequoia_openpgp as openpgp;

use super::gpg;
use crate::effects::files;
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::cause;
use crate::model::{Secret, escape};
use crate::subprocess::SubprocessError;

/// How much larger than the message what is in it may be: texts shrink about tenfold when they are compressed, and a message of a
/// few bytes may hold a disk full of zeros.
const GROWTH: u64 = 32;
/// What it may be in any case.
const SMALL: u64 = 64 << 20;

/// Takes what is decrypted, as far as the size of the message makes it likely.
pub struct Plain<'a> {
    out: &'a mut (dyn Write + Send),
    left: u64,
    limit: u64,
}

impl<'a> Plain<'a> {
    /// For a message of this size.
    pub fn of(message: u64, out: &'a mut (dyn Write + Send)) -> Self {
        Self::at_most(message.saturating_mul(GROWTH).saturating_add(SMALL), out)
    }

    /// For a message that holds no more than so many bytes.
    pub(crate) fn at_most(limit: u64, out: &'a mut (dyn Write + Send)) -> Self {
        Self { out, left: limit, limit }
    }
}

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            let why = format!("it holds more than {} MiB, far more than its size makes likely", self.limit >> 20);
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
        };
        self.left = left;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Whether a key file has a key that can read messages; a file that only signs leaves that to gpg.
#[must_use]
pub(crate) fn decrypts(key: &[u8], now: Timestamp) -> bool {
    let policy = StandardPolicy::at(SystemTime::from(now));
    Cert::from_bytes(key).is_ok_and(|cert| usable(&cert, &policy).next().is_some())
}

/// Whether a key file has one of these keys, and can read messages with it.
pub(super) fn is_among(key: &[u8], now: Timestamp, to: &[KeyHandle]) -> bool {
    let policy = StandardPolicy::at(SystemTime::from(now));
    let named = |key: ValidErasedKeyAmalgamation<'_, SecretParts>| {
        let own = KeyHandle::from(key.key().fingerprint());
        to.iter().any(|handle| handle.aliases(&own))
    };
    Cert::from_bytes(key).is_ok_and(|cert| usable(&cert, &policy).any(named))
}

/// The keys of a certificate that read messages. Software RSA leaks its key through timing (RUSTSEC-2023-0071), so it is
/// left to gpg; an expired key still reads what was sent to it.
fn usable<'a>(
    cert: &'a Cert,
    policy: &'a StandardPolicy<'a>,
) -> impl Iterator<Item = ValidErasedKeyAmalgamation<'a, SecretParts>> {
    let keys = cert.keys().secret().with_policy(policy, None).for_transport_encryption();
    keys.filter(|k| matches!(k.key().pk_algo(), PublicKeyAlgorithm::ECDH | PublicKeyAlgorithm::X25519))
}

/// Reads a message with the secret key in a file; `name` is that file.
///
/// # Errors
/// A message to other keys, a wrong passphrase, a damaged message.
pub fn with_file(
    key: &[u8],
    name: &str,
    passphrase: Option<&Secret>,
    now: Timestamp,
    message: &mut (dyn Read + Send),
    out: &mut dyn Write,
) -> Result<()> {
    let cert = Cert::from_bytes(key)
        .map_err(|e| Error::input(format!("`{name}` is not an OpenPGP secret key")).because(cause(&e)))?;
    let policy = StandardPolicy::at(SystemTime::from(now));
    let failed = |e: openpgp::anyhow::Error| {
        Error::input(format!("cannot decrypt it with the key in `{name}`"))
            .because(cause(&e))
            .hint("was it encrypted to you? if the key is in gpg, leave `--key` out")
    };
    let helper = Helper { cert: &cert, policy: &policy, passphrase };
    let builder = DecryptorBuilder::from_reader(Shared(parking_lot::Mutex::new(message))).map_err(failed)?;
    let mut plain = builder.with_policy(&policy, SystemTime::from(now), helper).map_err(failed)?;
    match files::copy(&mut plain, out) {
        Err(e) if e.kind() == std::io::ErrorKind::FileTooLarge => Err(too_large(e)),
        copied => copied.map(drop).context("cannot decrypt it: it is damaged"),
    }
}

/// A message that is a bomb, or that somebody compressed far too well.
fn too_large(e: std::io::Error) -> Error {
    Error::verification("cannot decrypt it").because(e).hint("ask for another one: `lifeboat export TRAIN --to FILE`")
}

struct Shared<'a>(parking_lot::Mutex<&'a mut (dyn Read + Send)>);

impl Read for Shared<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.get_mut().read(buffer)
    }
}

struct Helper<'a> {
    cert: &'a Cert,
    policy: &'a StandardPolicy<'a>,
    passphrase: Option<&'a Secret>,
}

impl VerificationHelper for Helper<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    /// Who encrypted it counts for nothing: what is in it is checked by itself.
    fn check(&mut self, _: MessageStructure<'_>) -> openpgp::Result<()> {
        Ok(())
    }
}

impl DecryptionHelper for Helper<'_> {
    fn decrypt(
        &mut self,
        to: &[PKESK],
        _: &[SKESK],
        algorithm: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> openpgp::Result<Option<Cert>> {
        for key in usable(self.cert, self.policy) {
            let mut key = key.key().clone();
            let handle = KeyHandle::from(key.fingerprint());
            let Some(ours) = to.iter().find(|p| p.recipient().is_none_or(|r| r.aliases(&handle))) else { continue };
            if key.secret().is_encrypted() {
                let missing = || openpgp::anyhow::anyhow!("the key needs a passphrase, and none is configured");
                let passphrase = self.passphrase.ok_or_else(missing)?;
                key = key.decrypt_secret(&Password::from(passphrase.expose()))?;
            }
            let mut pair = key.into_keypair()?;
            if ours.decrypt(&mut pair, algorithm).is_some_and(|(algorithm, session)| decrypt(algorithm, &session)) {
                return Ok(None);
            }
        }
        Err(openpgp::anyhow::anyhow!("it is not encrypted to any key in this file"))
    }
}

/// Reads a message by the user's gpg, whose agent asks for passphrase or PIN.
///
/// # Errors
/// No gpg, no key of its recipients, a damaged message.
pub(crate) fn with_gpg(message: &mut dyn Read, out: &mut (dyn Write + Send)) -> Result<()> {
    let mut command = gpg::program();
    command.args(["--quiet", "--decrypt", "--output", "-"]);
    // Not by `Subprocess`: what comes out may be larger than the memory.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| gpg::not_run(SubprocessError::NotStarted(e)))?;
    let (input, plain) = (child.stdin.take(), child.stdout.take());
    let copied = std::thread::scope(|scope| {
        // gpg writes while it reads: each end needs somebody.
        let reader = scope.spawn(|| plain.map_or(Ok(0), |mut plain| files::copy(&mut plain, out)));
        if let Some(mut input) = input {
            // If gpg went away before it had read everything, its own message says why.
            drop(files::copy(message, &mut input));
        }
        reader.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread ended in a panic")))
    });
    let output = child.wait_with_output().context("cannot wait for gpg")?;
    let copied = match copied {
        Err(e) if e.kind() == std::io::ErrorKind::FileTooLarge => return Err(too_large(e)),
        copied => copied,
    };
    if !output.status.success() {
        let mut error = Error::input("gpg cannot decrypt it");
        for line in String::from_utf8_lossy(&output.stderr).lines().take(10) {
            error = error.detail(escape(line));
        }
        return Err(error.hint("`gpg --list-secret-keys` shows which keys are here; was it encrypted to one of them?"));
    }
    copied.map(drop).context("cannot write what gpg decrypted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_message_holds_no_disk_full() {
        let mut got = Vec::new();
        let mut plain = Plain { out: &mut got, left: 10, limit: 10 };
        plain.write_all(b"12345").unwrap();
        let refused = plain.write_all(b"678901").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::FileTooLarge);
        assert_eq!(got, b"12345");
        let mut out = std::io::sink();
        let limit = |size| Plain::of(size, &mut std::io::sink()).limit;
        assert_eq!(limit(0), SMALL);
        assert_eq!(limit(1 << 30), SMALL + (GROWTH << 30));
        assert_eq!(limit(u64::MAX), u64::MAX);
        let e = files::copy(&mut std::io::repeat(0), &mut Plain { out: &mut out, left: 1 << 20, limit: 1 << 20 });
        assert!(too_large(e.unwrap_err()).report().contains("more than 1 MiB"));
    }
}
