//! Reads small messages that anybody may have written: with a key that they name, and without asking a person for anything.

use std::time::Duration;

use jiff::Timestamp;
use openpgp::parse::{PacketParser, PacketParserResult, Parse as _};
use openpgp::{KeyHandle, KeyID, Packet};
use parking_lot::Mutex;
use sequoia_openpgp as openpgp;

use super::{decrypt, gpg};
use crate::adapter::DecryptingKey;
use crate::subprocess::Subprocess;

/// How many keys a message may name.
const MOST_KEYS: usize = 256;

/// How long one call of gpg may take: a person waits, and what it reads is a stranger's.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys to which a message says that it is encrypted; `None` for anything but a message to named keys alone. One to a hidden
/// key would be tried with every key, and one with a passphrase would be asked for.
pub(super) fn recipients(message: &[u8]) -> Option<Vec<KeyHandle>> {
    let mut named = Vec::new();
    let mut parsed = PacketParser::from_bytes(message).ok()?;
    while let PacketParserResult::Some(packet) = parsed {
        match &packet.packet {
            Packet::PKESK(key) if named.len() < MOST_KEYS => named.push(key.recipient()?),
            Packet::SEIP(_) => return Some(named),
            _ => return None,
        }
        parsed = packet.next().ok()?.1;
    }
    None
}

/// Reads a message with a key file that has no passphrase and is among those that it names.
pub(super) fn with_file(
    key: &DecryptingKey,
    to: &[KeyHandle],
    now: Timestamp,
    (message, most): (&[u8], usize),
) -> Option<Vec<u8>> {
    if key.passphrase.is_some() || !decrypt::is_among(&key.bytes, now, to) {
        return None;
    }
    let mut plain = Vec::new();
    let mut out = decrypt::Plain::at_most(most as u64, &mut plain);
    decrypt::with_file(&key.bytes, &key.name, None, now, &mut &*message, &mut out).ok()?;
    Some(plain)
}

/// Which keys of the user's gpg could read messages, once it was asked.
#[derive(Default)]
pub(super) struct GpgKeys(Mutex<Option<Vec<KeyID>>>);

impl GpgKeys {
    /// Whether gpg has the secret key of one of these.
    fn has(&self, to: &[KeyHandle]) -> bool {
        let mut known = self.0.lock();
        let known = known.get_or_insert_with(|| listed().unwrap_or_default());
        to.iter().any(|handle| known.contains(&KeyID::from(handle)))
    }

    /// Reads a message with one of these keys, if gpg has it and its agent needs nobody for it. Nothing is fetched either.
    pub(super) fn read(&self, to: &[KeyHandle], (message, most): (&[u8], usize)) -> Option<Vec<u8>> {
        if !self.has(to) {
            return None;
        }
        let mut command = gpg::program();
        command.args(["--quiet", "--pinentry-mode", "error", "--disable-dirmngr", "--no-auto-key-retrieve"]);
        command.args(["--max-output", &most.to_string(), "--decrypt", "--output", "-"]);
        let read = Subprocess::new(command).input(message.to_vec()).at_most(most).limit(Some(PATIENCE)).run().ok()?;
        read.status.success().then_some(read.stdout)
    }
}

/// The secret keys of the user's gpg that encrypt.
fn listed() -> Option<Vec<KeyID>> {
    let mut command = gpg::program();
    command.args(["--with-colons", "--list-secret-keys"]);
    let listed = Subprocess::new(command).limit(Some(PATIENCE)).run().ok()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    Some(text.lines().filter_map(encrypting).collect())
}

/// The key of a line of gpg's list (its `doc/DETAILS`), if its secret part is here and it encrypts.
fn encrypting(line: &str) -> Option<KeyID> {
    let fields: Vec<&str> = line.split(':').collect();
    let of = |n: usize| fields.get(n).copied().unwrap_or_default();
    let is_here = ["sec", "ssb"].contains(&of(0)) && of(14) != "#";
    (is_here && of(11).contains('e')).then(|| of(4).parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use openpgp::serialize::stream::{Encryptor, LiteralWriter, Message, Recipient};
    use openpgp::types::Features;

    use super::*;
    use crate::error::Context as _;
    use crate::formats::openpgp::{Certificate, MessageForm, encrypt};
    use crate::signers::openpgp::generate_for_person;

    fn made(build: impl FnOnce(Message<'_>) -> Message<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut message = LiteralWriter::new(build(Message::new(&mut out))).build().unwrap();
        message.write_all(b"text").unwrap();
        message.finalize().unwrap();
        out
    }

    #[test]
    fn only_a_message_to_named_keys_is_looked_at() {
        let now = Timestamp::now();
        let person = generate_for_person("a", now).unwrap();
        let cert = Certificate::parse(person.certificate_armored.as_bytes(), "a").unwrap();
        let mut note = Vec::new();
        let text = |out: &mut dyn std::io::Write| out.write_all(b"text").context("text");
        encrypt(&[&cert], now, MessageForm::Binary, &mut note, text).unwrap();
        let to = recipients(&note).unwrap();
        assert_eq!(to.len(), 1);
        let secret = person.secret_armored.expose().as_bytes();
        assert!(decrypt::is_among(secret, now, &to));
        let other = generate_for_person("b", now).unwrap();
        assert!(!decrypt::is_among(other.secret_armored.expose().as_bytes(), now, &to));
        let key = openpgp::Cert::from_bytes(secret).unwrap();
        // As long as any message.
        let key = &*Box::leak(Box::new(key.keys().subkeys().next().unwrap().key().clone()));
        let hidden =
            made(|m| Encryptor::for_recipients(m, [Recipient::new(Features::sequoia(), None, key)]).build().unwrap());
        assert_eq!(recipients(&hidden), None, "to whom it may concern");
        let asks = made(|m| Encryptor::with_passwords(m, ["a password"]).build().unwrap());
        assert_eq!(recipients(&asks), None, "a passphrase");
        let both = made(|m| {
            let to = [Recipient::new(Features::sequoia(), Some(key.fingerprint().into()), key)];
            Encryptor::for_recipients(m, to).add_passwords(["a password"]).build().unwrap()
        });
        assert_eq!(recipients(&both), None, "a passphrase beside a key");
        for junk in [&b""[..], b"junk", b"{}", &note[1..], &made(|m| m)] {
            assert_eq!(recipients(junk), None);
        }
    }

    #[test]
    fn keys_of_a_list_of_gpg() {
        let of = |kind: &str, able: &str, here: &str| {
            encrypting(
                &format!("{kind}:u:255:18:0123456789ABCDEF:1780000000:::::: {able} :::{here}:::cv25519:::0:")
                    .replace(' ', ""),
            )
        };
        let id = Some("0123456789ABCDEF".parse::<KeyID>().unwrap());
        assert_eq!([of("ssb", "e", "+"), of("sec", "escESC", "+")], [id.clone(), id]);
        assert_eq!(
            [of("ssb", "s", "+"), of("ssb", "e", "#"), of("sub", "e", "+"), encrypting("")],
            [None, None, None, None]
        );
    }
}
