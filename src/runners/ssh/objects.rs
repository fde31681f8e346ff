//! The inputs of a job as objects, which a machine gets once.

use std::collections::BTreeMap;
use std::path::Path;

use crate::effects::JobRequest;
use crate::error::Result;
use crate::model::Sha256;
use crate::runners::archive;
use crate::step::JobInput;

/// One object.
pub(super) struct Object<'a> {
    /// Where its bytes are on this machine.
    pub(super) file: &'a Path,
    is_archive: bool,
}

impl Object<'_> {
    /// Checks the digest, and that nothing in an archive leads outside, before it is sent.
    pub(super) fn check(&self, digest: &Sha256) -> Result<()> {
        if self.is_archive {
            return archive::each_member(self.file, digest, |entry, path| archive::checked(entry, path).map(drop));
        }
        archive::check(archive::open(self.file, digest)?, digest, self.file)
    }
}

/// The objects that a job needs, each once.
pub(super) fn of(request: &JobRequest) -> BTreeMap<Sha256, Object<'_>> {
    let mut out: BTreeMap<Sha256, Object<'_>> = BTreeMap::new();
    for (input, file) in &request.inputs {
        let (digest, is_archive) = match input {
            JobInput::SourceArchive(digest) | JobInput::Archive(digest) => (digest, true),
            JobInput::File { object, .. } => (object, false),
        };
        let object = out.entry(*digest).or_insert(Object { file, is_archive });
        object.is_archive |= is_archive;
    }
    out
}
