//! The port to storage that the project hosts itself.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Transfers, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::layout::MAX_DOCUMENT;
use crate::model::{Digests, Secret, Sha256, Stat, StoreName};
use crate::step::Exposure;

/// Which part of a store a path is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Area {
    /// Where only the team can read, below this train's own directory; a train of that name, and a plain word.
    Staging(String),
    /// What strangers see.
    Public,
}

/// What each train says of itself in its staging area, beside its files: the path there.
pub const STAGED_NOTE: &str = "train.json";

/// What a store was found to be able to do; probed, never assumed. `engine::can_release` says what it means for a train.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// `put_new` never replaces, even when two race.
    pub put_if_absent: Tried,
    /// `replace_if` compares and replaces as one act.
    pub conditional_replace: Tried,
    /// It keeps what was replaced or removed.
    pub versions: Tried,
    /// What a person should know and may accept, one lowercase fragment each.
    pub warnings: Vec<String>,
}

/// How a store sees to it that what is there is not replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guard {
    /// It never replaces.
    #[default]
    Itself,
    /// It would: each is made under a claim, a small object that says which bytes will be there.
    Claim,
}

/// How a store compares what it replaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Comparison {
    /// What is there is read under a lock.
    #[default]
    Lock,
    /// It could not be found out.
    Unknown,
    /// `If-Match` with the ETag in quotes, as RFC 9110 has it.
    QuotedETag,
    /// `If-Match` with the ETag without quotes.
    BareETag,
}

/// What was found when something was tried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tried {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// It could not be found out, for this reason.
    Unknown(String),
    /// Stores of this kind have no such thing.
    #[default]
    NoSuchThing,
}

impl From<bool> for Tried {
    fn from(it_is_so: bool) -> Self {
        if it_is_so { Self::Yes } else { Self::No }
    }
}

impl From<Result<bool>> for Tried {
    fn from(found: Result<bool>) -> Self {
        found.map_or_else(|e| Self::Unknown(e.message().to_owned()), Self::from)
    }
}

/// How a store does what every store does, and what else it has. Found by acting; no train needs to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Habits {
    /// How it compares what it replaces.
    pub comparison: Comparison,
    /// How large files are put where nothing should be.
    pub large_files: Guard,
    /// How staged files become public within the store.
    pub copies: Guard,
    /// Whether what was sent of an unfinished upload is found again.
    pub resumes: Tried,
    /// Whether there are addresses at which anybody can read one object for a while.
    pub presigns: Tried,
    /// Whether it keeps what was replaced or removed.
    pub versions: Tried,
}

/// What putting a new object found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutNew {
    /// It was absent and is there now.
    Created,
    /// Something was there already and was left as it is: read it and compare.
    Existed,
}

/// Storage behind any web server or bucket: plain names, whole objects.
///
/// A path is relative, its parts joined by `/`; see [`crate::stores::path`] for what a part may be. What an interrupted
/// call left is never visible to `get`, `list` or a stranger, and what a call reported survives a power loss of the store.
#[async_trait::async_trait]
pub trait Store: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &StoreName;

    /// Who can read the staging area.
    fn staging_exposure(&self) -> Exposure;

    /// Whether stores of this kind differ in what they can do, so that each is tried out before a train is planned.
    fn differs(&self) -> bool {
        false
    }

    /// What its transfers share.
    fn transfers(&self) -> Arc<Transfers> {
        Transfers::usual()
    }

    /// Where a stranger finds a public path.
    fn public_url(&self, path: &str) -> String;

    /// Whether it is there at all; changes nothing.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`] of [`crate::error::Part::Store`] with the reason.
    async fn probe(&self) -> Result<()>;

    /// Probes what the store can do, and that staging cannot be read by others.
    async fn check(&self) -> Result<Capabilities>;

    /// Tries out how it does what every store does: for people who ask. It takes longer than [`Store::check`].
    ///
    /// # Errors
    /// The store's.
    async fn habits(&self) -> Result<Habits> {
        Ok(Habits::default())
    }

    /// An address at which anybody can read an object for so long, without credentials; `None` where stores of this kind have
    /// none. It is as secret as the object.
    ///
    /// # Errors
    /// The store's; credentials that cannot be read.
    async fn presign(&self, _area: &Area, _path: &str, _lasts: Duration) -> Result<Option<Secret>> {
        Ok(None)
    }

    /// Looks, as a stranger, whether the staging area can be read or listed at the store's public address; says what was
    /// seen. Nothing is seen where there is no such address, or nobody answers there.
    async fn seen_by_strangers(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// What is known of an object without reading it, or `None` if it is absent. Any write after this call gives it another
    /// token.
    async fn stat(&self, area: &Area, path: &str) -> Result<Option<Stat>>;

    /// Opens an object, or `None` if it is absent.
    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>>;

    /// The signatures that lie under the digests of indexes and of lists of mirrors, by path; see
    /// [`crate::formats::layout::is_digest_signature`].
    async fn digest_signatures(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Removes one of them: of a file that was replaced. Nothing else that is public is ever removed.
    ///
    /// # Errors
    /// The store's; another path.
    async fn remove_digest_signature(&self, _path: &str) -> Result<()> {
        Ok(())
    }

    /// The paths below the directory `prefix` (all of them if it is empty), sorted; empty if there is no such directory.
    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>>;

    /// Puts the bytes of the local file `source`, which have these digests, at a path that must be absent.
    ///
    /// # Errors
    /// The store's; never when the object exists. [`crate::error::ErrorKind::Verification`] if `source` has other bytes.
    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew>;

    /// Makes a staged object, which has these digests, public under the same path, which must be absent there.
    ///
    /// # Errors
    /// The store's; an object that is not staged, unless it is public already.
    async fn promote(&self, train: &str, path: &str, digests: &Digests) -> Result<PutNew>;

    /// Replaces a public object if its bytes now have the digest `old` (`None`: if it is absent); says whether it did.
    async fn replace_if(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool>;

    /// The trains that have a staging area, by their names there, sorted.
    async fn staged(&self) -> Result<Vec<String>>;

    /// Removes a train's staging area; it is not an error if there is none.
    async fn clear_staging(&self, train: &str) -> Result<()>;

    /// Holds the name `what`, one part of a path, for `holder` until it is released: on every machine that uses the store,
    /// and seen by the team alone. Returns `None` if `holder` has it now or had it already, else who has it.
    async fn hold(&self, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Ends what [`Store::hold`] began; it is not an error if `holder` does not have the name.
    async fn release(&self, what: &str, holder: &[u8]) -> Result<()>;
}

/// The bytes of a small public object, or `None` if it is absent.
///
/// # Errors
/// The store's; [`crate::error::ErrorKind::Verification`] for one that is longer than [`MAX_DOCUMENT`].
pub async fn read_public(store: &dyn Store, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(mut source) = store.get(&Area::Public, path).await? else { return Ok(None) };
    let bytes = read_document(&mut *source, path);
    bytes.map(Some).map_err(|e| e.context(format!("store `{}`", store.name())))
}

/// The bytes of an object that is small; whoever can write in a store cannot make this machine read forever.
///
/// # Errors
/// The source's; [`crate::error::ErrorKind::Verification`] for one that is longer than [`MAX_DOCUMENT`].
pub fn read_document(source: &mut (dyn Read + Send), path: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = blocking(|| source.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes));
    read.context(format!("cannot read `{path}`"))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        let what = format!("`{path}` is longer than the {MAX_DOCUMENT} bytes that it may have");
        return Err(Error::verification(what).hint("somebody else wrote it: compare it with another store"));
    }
    Ok(bytes)
}
