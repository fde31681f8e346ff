//! The files of one line's release: what is staged, promoted, shown on forges and read back.

use semver::Version;

use super::perform::{sealed, summed};
use crate::effects::Objects;
use crate::error::{Error, Result};
use crate::formats::layout;
use crate::journal::State;
use crate::model::Digests;
use crate::step::{ForgeRelease, OnStore, Sealed, SealedFile, StepId, Summed};

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

/// What steps made of one line's release.
pub(super) struct LineRelease<'a> {
    version: &'a Version,
    /// Manifest, sums and what they list.
    pub(super) made: &'a Summed,
    seal: Option<&'a Sealed>,
}

impl<'a> LineRelease<'a> {
    /// As far as it is staged: before it is sealed.
    pub(super) fn staged(state: &'a State, on: &'a OnStore) -> Result<Self> {
        Self::of(state, &on.version, &on.checksum, None)
    }

    /// All of it, in a store.
    pub(super) fn in_store(state: &'a State, on: &'a OnStore) -> Result<Self> {
        Self::of(state, &on.version, &on.checksum, on.seal.as_ref())
    }

    /// All of it, on a forge.
    pub(super) fn on_forge(state: &'a State, on: &'a ForgeRelease) -> Result<Self> {
        Self::of(state, &on.version, &on.checksum, Some(&on.seal))
    }

    fn of(state: &'a State, version: &'a Version, checksum: &StepId, seal: Option<&StepId>) -> Result<Self> {
        let seal = seal.map(|id| sealed(state, id)).transpose()?;
        Ok(Self { version, made: summed(state, checksum)?, seal })
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

    /// Where a file of it is in a store, in both areas.
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
