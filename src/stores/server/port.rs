//! The port: what a server can do with one object.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bounds::{LONGEST_KEY, admit};
use crate::effects::{Habits, PutNew, Tried, blocking};
use crate::error::{Context as _, Error, Result};
use crate::model::{Digests, Secret, Sha256, Stat};

/// A server that keeps whole objects under keys: paths without a leading slash, whose parts fit [`crate::stores::path`] but for
/// the names of `.staging`.
///
/// Every call may be repeated. No reader ever sees a part of an object, and what an interrupted call left is seen by none of
/// these calls. A server that cannot be reached is [`crate::error::ErrorKind::Unreachable`] of [`crate::error::Part::Store`];
/// one that may answer later is [`crate::error::ErrorKind::Transient`].
#[async_trait::async_trait]
pub trait Server: Send + Sync + 'static {
    /// What it promises where servers differ.
    fn promises(&self) -> Promises;

    /// Where anybody could ask for the objects, and where for a list of what is below a key that ends with `/`: to see that
    /// they are refused. None for a server that answers nobody without credentials.
    fn addresses(&self) -> Addresses {
        Addresses::default()
    }

    /// Looks whether it answers and lets us in; changes nothing.
    async fn is_there(&self) -> Result<()>;

    /// What a person should know of every server of this kind and may accept, one lowercase fragment each.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Tries whether strangers can do there what only the team may, by acting: for the probe.
    ///
    /// # Errors
    /// They can; the server's.
    async fn is_closed(&self) -> Result<()> {
        Ok(())
    }

    /// Tries out, below this directory, what servers of this kind differ in; what follows from [`Promises`] is not asked for.
    ///
    /// # Errors
    /// The server's.
    async fn habits(&self, _dir: &str) -> Result<Habits> {
        Ok(Habits { resumes: Tried::No, ..Habits::default() })
    }

    /// Whether it keeps what was replaced or removed, as it says itself.
    async fn versions(&self) -> Tried {
        Tried::NoSuchThing
    }

    /// An address at which anybody can read an object for so long; `None` where servers of this kind have none.
    ///
    /// # Errors
    /// Credentials that cannot be read.
    async fn presign(&self, _key: &str, _lasts: Duration) -> Result<Option<Secret>> {
        Ok(None)
    }

    /// What is known of an object without reading it.
    async fn stat(&self, key: &str) -> Result<Option<Stat>>;

    /// The same, when every write from now on gives the object another token. A server that tells times in seconds is asked again
    /// when the second of the last change is over.
    ///
    /// # Errors
    /// The server's.
    async fn settled(&self, key: &str) -> Result<Option<Stat>> {
        self.stat(key).await
    }

    /// Opens an object; the bytes are of the one that `stat` is of. They can be read from any thread and on any runtime: see
    /// [`super::reader`].
    async fn open(&self, key: &str) -> Result<Option<OpenedObject>>;

    /// What is directly in a directory (a key without final slash; the root if it is empty), in any order; nothing if there is
    /// no such directory.
    async fn entries(&self, dir: &str) -> Result<Vec<Entry>>;

    /// The keys of all objects below a directory, in any order. One step into each directory, unless the server knows better.
    async fn list(&self, dir: &str) -> Result<Vec<String>> {
        let (mut found, mut todo, mut seen) = (Vec::new(), vec![dir.to_owned()], 0);
        while let Some(at) = todo.pop() {
            let entries = self.entries(&at).await?;
            seen += entries.len() + 1;
            admit(dir, seen)?;
            for Entry { name, is_dir } in entries {
                let key = if at.is_empty() { name } else { format!("{at}/{name}") };
                match is_dir {
                    // Directories in directories without end.
                    true if key.len() > LONGEST_KEY => {}
                    true => todo.push(key),
                    false => found.push(key),
                }
            }
        }
        Ok(found)
    }

    /// Puts an object where there is none, or leaves the one that is there. Directories on the way are made.
    ///
    /// # Errors
    /// The server's; never that something is there. [`crate::error::ErrorKind::Verification`] if the source has other bytes than
    /// its digests say, and then nothing was put.
    async fn create(&self, key: &str, source: ObjectSource<'_>) -> Result<PutNew>;

    /// Replaces an object as one act if it still is the one that `old` is of; says whether it did.
    async fn swap(&self, key: &str, old: &Stat, bytes: &[u8]) -> Result<bool>;

    /// Copies an object within the server to a key where there is none, if [`Promises::copies_once`]; else over what is there.
    /// Directories on the way are made.
    ///
    /// # Errors
    /// The server's; a source that is absent.
    async fn copy(&self, from: &str, to: &str) -> Result<PutNew>;

    /// Removes an object; it is not an error if there is none.
    async fn delete(&self, key: &str) -> Result<()>;

    /// Removes all that is below a directory, and the directory where there are such things.
    async fn delete_dir(&self, dir: &str) -> Result<()> {
        for key in self.list(dir).await? {
            self.delete(&key).await?;
        }
        Ok(())
    }
}

/// What a server promises where servers differ. A wrong promise is found by the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises {
    /// [`Server::create`] is one act for objects of up to so many bytes; larger ones are created under a claim.
    pub creates_once_up_to: u64,
    /// [`Server::copy`] never replaces. Else public objects are created under a claim.
    pub copies_once: bool,
}

impl Promises {
    /// Of a server that never replaces by accident.
    pub const ALL: Self = Self { creates_once_up_to: u64::MAX, copies_once: true };
}

/// Where a stranger could ask, see [`Server::addresses`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// What comes before a key in the address of an object.
    pub objects: Option<String>,
    /// What comes before a key in the address of a list.
    pub lists: Option<String>,
}

/// An object that is read.
pub struct OpenedObject {
    /// Of which object the bytes are.
    pub stat: Stat,
    /// Its bytes.
    pub bytes: Box<dyn Read + Send>,
}

/// What is in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name there.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// What is put.
#[derive(Debug, Clone, Copy)]
pub enum ObjectSource<'a> {
    /// A local file, which should have these digests.
    File(&'a Path, &'a Digests),
    /// Few bytes.
    Bytes(&'a [u8]),
}

/// An [`ObjectSource`] that outlives the call that it was given to.
#[derive(Debug, Clone)]
pub enum Owned {
    /// See [`ObjectSource::File`].
    File(PathBuf, Digests),
    /// See [`ObjectSource::Bytes`].
    Bytes(Vec<u8>),
}

impl From<ObjectSource<'_>> for Owned {
    fn from(source: ObjectSource<'_>) -> Self {
        match source {
            ObjectSource::File(path, digests) => Self::File(path.to_path_buf(), *digests),
            ObjectSource::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl ObjectSource<'_> {
    /// All bytes in memory, checked: for objects that are small.
    ///
    /// # Errors
    /// The file cannot be read, or has other bytes than its digests say.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.to_vec()),
            Self::File(path, want) => blocking(|| {
                let bytes = std::fs::read(path).context(format!("cannot read `{}`", path.display()))?;
                let same = bytes.len() as u64 == want.size && Sha256::of(&bytes) == want.sha256;
                if same { Ok(bytes) } else { Err(other_bytes(path, want)) }
            }),
        }
    }
}

/// The error of a local file that has other bytes than its digests say.
#[must_use]
pub fn other_bytes(path: &Path, want: &Digests) -> Error {
    Error::verification(format!("cannot put `{}`: its bytes are not the recorded ones", path.display()))
        .detail(format!("expected sha256:{}", want.sha256))
        .hint("nothing was put; the local copy is damaged: move it away and run `lifeboat ship` again")
}
