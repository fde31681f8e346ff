//! Stores annotated tags that were made, and signed, elsewhere.

use git2::{ObjectType, Repository};

use super::{from_oid, git_error, to_oid};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::tag::header;
use crate::model::{Oid, escape};

/// Stores the object and returns its id.
pub(super) fn write(repo: &Repository, content: &[u8]) -> Result<Oid> {
    let header = header(content, ErrorKind::Input)?;
    let target = from_oid(&header.object)?;
    let what = || format!("cannot write tag `{}`", header.name);
    let odb = repo.odb().map_err(|e| git_error(&what(), e))?;
    let (_, found) = odb.read_header(target).map_err(|e| git_error(&what(), e))?;
    if found.str() != header.kind {
        return Err(Error::input(format!(
            "{}: it says that `{}` is a {}, but it is a {}",
            what(),
            header.object,
            escape(header.kind),
            found.str()
        )));
    }
    odb.write(ObjectType::Tag, content).map(to_oid).map_err(|e| git_error(&what(), e))
}
