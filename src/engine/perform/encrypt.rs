//! `encrypt`: a line's files, encrypted once; and the way back.

use std::io::{Read, Write};

use super::{Acting, Perform};
use crate::effects::{CheckedReader, HashingReader, Keys, Objects, blocking, each, files, random};
use crate::engine::release_files::{LineRelease, ReleaseFile};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::openpgp::{Certificate, MessageForm, encrypt};
use crate::formats::padding::{Unpadded, zeros};
use crate::model::{Digests, Sha256};
use crate::step::{Encrypt, Encrypted, EncryptedFile};
use crate::trust::TrustedRoot;

impl Perform for Encrypt {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Encrypted> {
        let (objects, now) = (acting.train.objects(), acting.effects.clock.now());
        let to = certificates(acting.train.trust(), self)?;
        let release = LineRelease::summed(&acting.state, &self.version, &self.checksum)?;
        let plain: Vec<ReleaseFile> = release.summed_files().collect();
        let made = blocking(|| {
            each(&plain, |file| {
                let digests = objects.put_written(|out| {
                    encrypt(&to, now, MessageForm::Binary, out, |out| write_padded(objects, file, out))
                })?;
                Ok(EncryptedFile { name: format!("{:032x}", random()?), digests })
            })
        });
        let made = made.map_err(|e| match e.kind() {
            ErrorKind::Input => {
                e.hint("put a newer export of that certificate into `keys/`; then `lifeboat amend TRAIN.toml`")
            }
            _ => e,
        })?;
        Ok(Encrypted { files: plain.into_iter().map(|file| file.name).zip(made).collect() })
    }
}

/// A file's bytes, which must be those that were recorded, and zeros behind them.
fn write_padded(objects: &Objects, file: &ReleaseFile, out: &mut dyn Write) -> Result<()> {
    let what = || format!("cannot encrypt `{}`", file.name);
    let bytes = CheckedReader::new(objects.open(&file.digests.sha256)?, file.digests);
    files::copy(&mut bytes.chain(zeros(file.digests.size)), out).map(drop).context(what())
}

/// The certificates to which a step encrypts.
pub(super) fn certificates<'a>(trust: &'a TrustedRoot, step: &Encrypt) -> Result<Vec<&'a Certificate>> {
    step.to.values().flatten().map(|fingerprint| trust.certificate(fingerprint)).collect()
}

/// Decrypts what is staged of a file and passes the file's bytes on; returns the SHA-256 of what was staged, and how decrypting
/// it ended: no key of this machine reads it, or it holds something else than a padded file of that size.
///
/// # Errors
/// What is staged cannot be read.
pub(super) fn decrypt(
    keys: &dyn Keys,
    (file, size): (&str, u64),
    staged: Box<dyn Read + Send>,
    out: &mut (dyn Write + Send),
) -> Result<(Sha256, Result<()>)> {
    let what = || format!("what is staged of `{file}`");
    let mut staged = HashingReader::new(staged);
    let mut plain = Unpadded::new(size, out);
    let mut decrypted =
        keys.decrypt(&mut staged, &mut plain).map_err(|e| e.context(format!("cannot decrypt {}", what())));
    if decrypted.is_ok() && !plain.is_whole() {
        decrypted = Err(Error::verification(format!("{} holds less than {size} bytes", what())));
    }
    // A message may be over before the bytes are.
    files::copy(&mut staged, &mut std::io::sink()).context(format!("cannot read {}", what()))?;
    Ok((staged.so_far().1, decrypted))
}

/// Puts a file whose bytes are lost into the train's objects again: decrypted from what is staged.
///
/// # Errors
/// It cannot be read or decrypted; other bytes than were recorded.
pub(super) fn recover(
    keys: &dyn Keys,
    objects: &Objects,
    (name, digests): (&str, &Digests),
    staged: Box<dyn Read + Send>,
) -> Result<()> {
    let put = objects.put_written(|out| decrypt(keys, (name, digests.size), staged, out)?.1)?;
    if put == *digests {
        return Ok(());
    }
    Err(Error::verification(format!("what is staged of `{name}` has other bytes than were recorded")))
}
