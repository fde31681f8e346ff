//! The files of one line's release: what is staged, promoted, shown on forges and read back.

use semver::Version;

use super::perform::{encrypted, sealed, summed};
use crate::effects::Objects;
use crate::error::{Error, Result};
use crate::formats::layout;
use crate::journal::State;
use crate::model::Digests;
use crate::step::{Encrypted, ForgeRelease, OnStore, Sealed, SealedFile, StepId, Summed};

/// Where a file of a release comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A job or the bundle made it, and the manifest lists it.
    Listed,
    /// The manifest and the sums.
    Sums,
    /// Signatures and approvals, made after the gate opened.
    Sealed,
}

/// One file of a release. Its bytes are an object of the train, by their SHA-256.
#[derive(Debug, Clone)]
pub(super) struct ReleaseFile {
    /// Its path within the release.
    pub(super) name: String,
    /// Size and digests.
    pub(super) digests: Digests,
    /// Where it comes from.
    pub(super) origin: Origin,
}

impl ReleaseFile {
    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        self.digests.size
    }
}

/// What steps made of one line's release.
pub(super) struct LineRelease<'a> {
    version: &'a Version,
    /// Manifest, sums and what they list.
    pub(super) made: &'a Summed,
    seal: Option<&'a Sealed>,
    /// What is staged in place of the files.
    encrypted: Option<&'a Encrypted>,
}

/// A file of a release as it is in a staging area.
#[derive(Debug, Clone)]
pub(super) struct StagedFile {
    /// Its path there.
    pub(super) path: String,
    /// Size and digests of what is there: an object of the train.
    pub(super) digests: Digests,
}

impl<'a> LineRelease<'a> {
    /// As far as it is staged: before it is sealed.
    pub(super) fn staged(state: &'a State, on: &'a OnStore) -> Result<Self> {
        Self::of(state, &on.version, &on.checksum, None)?.staged_as(state, on)
    }

    /// What the manifest and the sums list, wherever it goes.
    pub(super) fn summed(state: &'a State, version: &'a Version, checksum: &StepId) -> Result<Self> {
        Self::of(state, version, checksum, None)
    }

    /// All of it, in a store.
    pub(super) fn in_store(state: &'a State, on: &'a OnStore) -> Result<Self> {
        Self::of(state, &on.version, &on.checksum, on.seal.as_ref())?.staged_as(state, on)
    }

    /// All of it, on a forge.
    pub(super) fn on_forge(state: &'a State, on: &'a ForgeRelease) -> Result<Self> {
        Self::of(state, &on.version, &on.checksum, Some(&on.seal))
    }

    fn of(state: &'a State, version: &'a Version, checksum: &StepId, seal: Option<&StepId>) -> Result<Self> {
        let seal = seal.map(|id| sealed(state, id)).transpose()?;
        Ok(Self { version, made: summed(state, checksum)?, seal, encrypted: None })
    }

    fn staged_as(self, state: &'a State, on: &OnStore) -> Result<Self> {
        let encrypted = on.encrypt.as_ref().map(|id| encrypted(state, id)).transpose()?;
        Ok(Self { encrypted, ..self })
    }

    /// Whether the files themselves are staged.
    pub(super) fn is_staged_plain(&self) -> bool {
        self.encrypted.is_none()
    }

    /// The directory of a train's staging area in which its files are; of other lines too if they are encrypted.
    pub(super) fn staged_below(&self) -> String {
        if self.is_staged_plain() { layout::release(self.version) } else { layout::STAGED_OBJECTS.to_owned() }
    }

    /// What is staged of a file that the manifest and the sums list.
    ///
    /// # Errors
    /// Nothing of it was encrypted, although that is what is staged.
    pub(super) fn staged_file(&self, file: &ReleaseFile) -> Result<StagedFile> {
        let Some(encrypted) = self.encrypted else {
            return Ok(StagedFile { path: self.path(file), digests: file.digests });
        };
        let made = encrypted.files.get(&file.name);
        let made = made.ok_or_else(|| Error::fatal(format!("`{}` was not encrypted", file.name)))?;
        Ok(StagedFile { path: layout::staged_object(&made.name), digests: made.digests })
    }

    /// The same of each of these files.
    ///
    /// # Errors
    /// See [`LineRelease::staged_file`].
    pub(super) fn staged_files(&self) -> Result<Vec<(StagedFile, ReleaseFile)>> {
        self.summed_files().map(|file| Ok((self.staged_file(&file)?, file))).collect()
    }

    /// The seal.
    ///
    /// # Errors
    /// The release is not sealed.
    pub(super) fn seal(&self) -> Result<&'a Sealed> {
        self.seal.ok_or_else(|| Error::fatal(format!("release {} has no seal", self.version)))
    }

    /// What the manifest and the sums list, and these themselves.
    pub(super) fn summed_files(&self) -> impl Iterator<Item = ReleaseFile> {
        let sums = [&self.made.manifest, &self.made.sha256sums, &self.made.sha512sums];
        let listed = self.made.artifacts.iter().map(|a| (a, Origin::Listed));
        listed.chain(sums.into_iter().map(|a| (a, Origin::Sums))).map(|(artifact, origin)| ReleaseFile {
            name: artifact.name.to_string(),
            digests: artifact.digests,
            origin,
        })
    }

    /// Every file of it. The objects are asked for what records of an earlier version do not say.
    ///
    /// # Errors
    /// An object that is lost.
    pub(super) fn files(&self, objects: &Objects) -> Result<Vec<ReleaseFile>> {
        let sealed = self.seal.iter().flat_map(|seal| &seal.files);
        let sealed = sealed.map(|file| {
            Ok(ReleaseFile { name: file.path.clone(), digests: digests(objects, file)?, origin: Origin::Sealed })
        });
        self.summed_files().map(Ok).chain(sealed).collect()
    }

    /// Where a file of it is in a store; in the staging area, see [`Self::staged_file`].
    pub(super) fn path(&self, file: &ReleaseFile) -> String {
        layout::release_file(self.version, &file.name)
    }
}

fn digests(objects: &Objects, file: &SealedFile) -> Result<Digests> {
    match file.sha512 {
        Some(sha512) => Ok(Digests { size: file.size, sha256: file.sha256, sha512 }),
        None => Ok(Digests::of(&objects.get(&file.sha256)?)),
    }
}
