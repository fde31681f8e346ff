//! What a store needs, as calls of SFTP.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use futures_core::Stream as _;
use openssh_sftp_client::file::TokioCompatFile;
use openssh_sftp_client::metadata::{MetaData, Permissions};
use sha2::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::read_ahead::ReadAhead;
use super::session::{Connection, Refused, Session};
use crate::effects::{PutNew, Transfers, random};
use crate::error::{Context as _, Error, ErrorKind, Part, Result};
use crate::model::{Sha256, Stat};
use crate::stores::server::{
    Entry, ObjectSource, OpenedObject, Owned, Promises, Server, admit, on_io, other_bytes, reader,
};

/// Where staged bytes are, closed to others.
const STAGING: &str = ".staging";
/// Where files are until they are whole.
const UPLOADS: &str = ".staging/.uploads";
/// What SFTP cannot do.
const UNSYNCED: &str = "SFTP cannot sync directories: if that machine loses power, the newest files may be missing afterwards; \
                        then `lifeboat reconcile` puts them there again";
/// What a killed process left there goes after so long.
const FORGOTTEN: Duration = Duration::from_secs(48 * 3600);
/// Objects up to this size are read at once, and compared by their bytes.
const SMALL: u64 = 4 << 20;
/// SFTP 3 says times in seconds: within this time after a change, another change may show the same time.
const TICK: Duration = Duration::from_secs(2);
/// What OpenSSH takes at most by one request.
const PIECE: usize = 255 << 10;

/// A session that one act uses from its beginning to its end.
pub(super) type Once = Arc<Session>;

/// A directory on a machine with sshd as [`Server`].
#[derive(Clone)]
pub(super) struct SftpServer {
    at: Arc<Connection>,
    /// How far the server's clock is ahead of ours, in seconds.
    ahead: Arc<OnceLock<i64>>,
    /// Our own tasks wait for each other here before they ask for a lease.
    turn: Arc<tokio::sync::Mutex<()>>,
    transfers: Arc<Transfers>,
}

/// How often a name that is refused, and that nothing has, is tried.
const LINKS: u32 = 3;

/// Modes of a file and of a directory at a key.
fn modes(key: &str) -> (u16, u16) {
    if key == STAGING || key.starts_with(".staging/") { (0o600, 0o700) } else { (0o644, 0o755) }
}

fn permissions(mode: u16) -> Permissions {
    let mut out = Permissions::new();
    out.set_read_by_owner(mode & 0o400 != 0)
        .set_write_by_owner(mode & 0o200 != 0)
        .set_execute_by_owner(mode & 0o100 != 0)
        .set_read_by_group(mode & 0o040 != 0)
        .set_execute_by_group(mode & 0o010 != 0)
        .set_read_by_other(mode & 0o004 != 0)
        .set_execute_by_other(mode & 0o001 != 0);
    out
}

fn own() -> Result<String> {
    Ok(format!("{UPLOADS}/{:032x}", random()?))
}

fn failed(doing: &str, key: &str, refused: Refused) -> Error {
    let why = match refused {
        Refused::Absent => "there is no such file",
        Refused::Failure => "the server does not say why; is its disk full, or a directory in the way?",
    };
    Error::fatal(format!("cannot {doing} `{key}`: {why}")).of(Part::Store)
}

impl SftpServer {
    pub(super) fn new(at: Connection, transfers: Arc<Transfers>) -> Self {
        Self { at: Arc::new(at), ahead: Arc::default(), turn: Arc::default(), transfers }
    }

    /// Runs `work` on the threads that talk to servers.
    async fn run<T, W>(&self, work: impl FnOnce(Self, Once) -> W + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send,
    {
        let server = self.clone();
        on_io(async move {
            let once = server.at.session().await?;
            work(server, once).await
        })
        .await?
    }

    /// What is at a key itself, a link not being followed.
    async fn look(&self, once: &Once, key: &str) -> Result<Option<MetaData>> {
        let path = self.at.path(key);
        let mut fs = once.sftp().fs();
        let looked = self.at.call(&format!("look at `{key}`"), once, fs.symlink_metadata(&path)).await?;
        match looked {
            Ok(found) => Ok(Some(found)),
            Err(Refused::Absent) => Ok(None),
            Err(refused) => Err(failed("look at", key, refused)),
        }
    }

    async fn stated(&self, once: &Once, key: &str) -> Result<Option<MetaData>> {
        let looked = self.look(once, key).await?;
        Ok(looked.filter(|found| found.file_type().is_some_and(|kind| kind.is_file())))
    }

    /// See [`Server::settled`].
    async fn settled_at(&self, once: &Once, key: &str) -> Result<Option<Stat>> {
        let Some(found) = self.stated(once, key).await? else { return Ok(None) };
        let ahead = self.clock_ahead(once).await?;
        let Some(wait) = young(&found, ahead) else { return stat_of(key, &found).map(Some) };
        tokio::time::sleep(wait).await;
        self.stated(once, key).await?.map(|again| stat_of(key, &again)).transpose()
    }

    /// How far the server's clock is ahead of ours: asked by a file that is made for that.
    async fn clock_ahead(&self, once: &Once) -> Result<i64> {
        if let Some(ahead) = self.ahead.get() {
            return Ok(*ahead);
        }
        let key = own()?;
        self.write(once, &key, &Owned::Bytes(Vec::new()), 0o600).await?;
        let found = self.look(once, &key).await?;
        self.remove(once, &key).await?;
        let ours = seconds(SystemTime::now());
        let theirs = found.and_then(|f| f.modified()).map_or(ours, |at| seconds(at.as_system_time()));
        Ok(*self.ahead.get_or_init(|| theirs - ours))
    }

    async fn opened(&self, once: Once, key: &str) -> Result<Option<OpenedObject>> {
        let path = self.at.path(key);
        let doing = format!("read `{key}`");
        let mut file = match self.at.call(&doing, &once, once.sftp().open(&path)).await? {
            Ok(file) => file,
            Err(Refused::Absent) => return Ok(None),
            Err(refused) => return Err(failed("read", key, refused)),
        };
        let found = self.at.call(&doing, &once, file.metadata()).await?.map_err(|r| failed("read", key, r))?;
        let stat = stat_of(key, &found)?;
        let mut bytes = ReadAhead::new(file, stat.size, once);
        if stat.size > SMALL {
            return Ok(Some(OpenedObject { stat, bytes: reader(bytes)? }));
        }
        let mut small = Vec::new();
        let broken = |e| Error::transient(format!("cannot {doing}")).of(Part::Store).because(e);
        (&mut bytes).take(SMALL + 1).read_to_end(&mut small).await.map_err(broken)?;
        let stat = Stat { size: small.len() as u64, token: format!("sha256:{}", Sha256::of(&small).hex()) };
        Ok(Some(OpenedObject { stat, bytes: Box::new(std::io::Cursor::new(small)) }))
    }

    /// What is directly in a directory; nothing if there is none.
    pub(super) async fn names(&self, once: &Once, dir: &str) -> Result<Vec<Entry>> {
        let path = self.at.path(dir);
        let doing = format!("list `{path}`");
        let mut fs = once.sftp().fs();
        let opened = match self.at.call(&doing, once, fs.open_dir(&path)).await? {
            Ok(opened) => opened,
            Err(Refused::Absent) => return Ok(Vec::new()),
            Err(refused) => return Err(failed("list", dir, refused)),
        };
        let mut entries = Box::pin(opened.read_dir());
        let (mut found, mut seen) = (Vec::new(), 0);
        loop {
            let next = async {
                match poll_fn(|cx| entries.as_mut().poll_next(cx)).await {
                    Some(entry) => entry.map(Some),
                    None => Ok(None),
                }
            };
            let next = self.at.call(&doing, once, next).await?.map_err(|r| failed("list", dir, r))?;
            let Some(entry) = next else { return Ok(found) };
            seen += 1;
            admit(dir, seen)?;
            let kind = entry.file_type();
            let (is_dir, is_file) = (kind.is_some_and(|k| k.is_dir()), kind.is_some_and(|k| k.is_file()));
            let name = entry.filename().to_str().unwrap_or_default();
            // Links and the like are not ours; a name with a slash would be in another directory.
            if (is_dir || is_file) && !matches!(name, "" | "." | "..") && !name.contains('/') {
                found.push(Entry { name: name.to_owned(), is_dir });
            }
        }
    }

    /// Makes the directories on the way to a key. A link in the place of one would lead bytes elsewhere, and is refused.
    pub(super) async fn make_way(&self, once: &Once, key: &str) -> Result<()> {
        let dirs: Vec<&str> = key.match_indices('/').map(|(at, _)| &key[..at]).collect();
        let mut missing = Vec::new();
        for dir in dirs.iter().rev() {
            match self.look(once, dir).await? {
                None => missing.push(*dir),
                Some(found) if found.file_type().is_some_and(|kind| kind.is_dir()) => break,
                Some(_) => {
                    let what = format!("`{}` is not a directory", self.at.path(dir));
                    return Err(Error::conflict(what)
                        .of(Part::Store)
                        .hint("move it away: below a store's root there are only plain files and directories"));
                }
            }
        }
        for dir in missing.into_iter().rev() {
            let (path, mode) = (self.at.path(dir), permissions(modes(dir).1));
            let doing = format!("make the directory `{dir}`");
            let mut fs = once.sftp().fs();
            let made = self.at.call(&doing, once, fs.create_dir(&path)).await?;
            // Another one may have made it meanwhile.
            if let Err(refused) = made
                && self.look(once, dir).await?.is_none()
            {
                return Err(failed("make the directory", dir, refused));
            }
            let set = self.at.call(&doing, once, fs.set_permissions(&path, mode)).await?;
            set.map_err(|refused| failed("make the directory", dir, refused))?;
        }
        Ok(())
    }

    /// Writes a file of a name that nobody else has, and syncs it.
    async fn write(&self, once: &Once, key: &str, source: &Owned, mode: u16) -> Result<()> {
        self.make_way(once, key).await?;
        let (path, doing) = (self.at.path(key), format!("write `{key}`"));
        let mut options = once.sftp().options();
        options.write(true).create_new(true);
        let opened = self.at.call(&doing, once, options.open(&path)).await?;
        let mut file = opened.map_err(|refused| failed("write", key, refused))?;
        // Before there is anything to be read.
        let set = self.at.call(&doing, once, file.set_permissions(permissions(mode))).await?;
        set.map_err(|refused| failed("write", key, refused))?;
        let mut file = Box::pin(TokioCompatFile::new(file));
        match source {
            Owned::Bytes(bytes) => self.send(once, &doing, &mut file, bytes).await?,
            Owned::File(from, digests) => {
                let what = || format!("cannot read `{}`", from.display());
                let mut local = tokio::fs::File::open(from).await.context(what())?;
                local.set_max_buf_size(PIECE);
                let mut size = 0;
                let (mut hasher, mut buffer, flow) = (sha2::Sha256::new(), vec![0; PIECE], self.transfers.flow());
                loop {
                    let n = local.read(&mut buffer).await.context(what())?;
                    if n == 0 {
                        break;
                    }
                    hasher.update(&buffer[..n]);
                    size += n as u64;
                    flow.admit(n as u64).await;
                    self.send(once, &doing, &mut file, &buffer[..n]).await?;
                    flow.moved(n as u64);
                }
                if size != digests.size || Sha256(hasher.finalize().into()) != digests.sha256 {
                    self.remove(once, key).await?;
                    return Err(other_bytes(from, digests));
                }
            }
        }
        let flushed = async { file.as_mut().flush().await.map_err(openssh_sftp_client::Error::from) };
        self.at.call(&doing, once, flushed).await?.map_err(|r| failed("write", key, r))?;
        let synced = self.at.call(&doing, once, file.as_mut().as_mut_file().sync_all()).await?;
        synced.map_err(|refused| failed("sync", key, refused))
    }

    async fn send(&self, once: &Once, doing: &str, file: &mut Pin<Box<TokioCompatFile>>, bytes: &[u8]) -> Result<()> {
        let sent = async { file.as_mut().write_all(bytes).await.map_err(openssh_sftp_client::Error::from) };
        self.at.call(doing, once, sent).await?.map_err(|refused| failed("write", doing, refused))
    }

    /// Gives a whole file the name `key`, unless there is one of that name.
    async fn link(&self, once: &Once, whole: &str, key: &str) -> Result<PutNew> {
        let (from, to) = (self.at.path(whole), self.at.path(key));
        let mut fs = once.sftp().fs();
        let mut tries = 0;
        loop {
            tries += 1;
            let linked = self.at.call(&format!("name `{key}`"), once, fs.hard_link(&from, &to)).await?;
            match linked {
                Ok(()) => return Ok(PutNew::Created),
                Err(_) if self.look(once, key).await?.is_some() => return Ok(PutNew::Existed),
                // The server does not say that the name was taken. A lease that had it may have been given back since.
                Err(_) if tries < LINKS => {}
                Err(refused) => return Err(failed("name", key, refused)),
            }
        }
    }

    /// Writes few bytes at a key, if there is nothing.
    pub(super) async fn put_once(&self, once: &Once, key: &str, bytes: &[u8]) -> Result<PutNew> {
        self.put(once, key, &Owned::Bytes(bytes.to_vec())).await
    }

    async fn put(&self, once: &Once, key: &str, source: &Owned) -> Result<PutNew> {
        let whole = own()?;
        self.write(once, &whole, source, modes(key).0).await?;
        self.make_way(once, key).await?;
        let put = self.link(once, &whole, key).await;
        self.remove(once, &whole).await?;
        put
    }

    pub(super) async fn rename(&self, once: &Once, from: &str, to: &str) -> Result<()> {
        let doing = format!("replace `{to}`");
        if !once.sftp().support_posix_rename() {
            return Err(Error::input(format!("cannot {doing}: the server lacks `posix-rename`")).of(Part::Store));
        }
        let (source, target) = (self.at.path(from), self.at.path(to));
        let mut fs = once.sftp().fs();
        let renamed = self.at.call(&doing, once, fs.rename(&source, &target)).await?;
        renamed.map_err(|refused| failed("replace", to, refused))
    }

    pub(super) async fn remove(&self, once: &Once, key: &str) -> Result<()> {
        let path = self.at.path(key);
        let mut fs = once.sftp().fs();
        match self.at.call(&format!("remove `{key}`"), once, fs.remove_file(&path)).await? {
            Ok(()) | Err(Refused::Absent) => Ok(()),
            Err(refused) => Err(failed("remove", key, refused)),
        }
    }

    async fn remove_dir(&self, once: &Once, dir: &str) -> Result<()> {
        let (mut todo, mut dirs) = (vec![dir.to_owned()], Vec::new());
        while let Some(dir) = todo.pop() {
            for entry in self.names(once, &dir).await? {
                let key = format!("{dir}/{}", entry.name);
                if entry.is_dir { todo.push(key) } else { self.remove(once, &key).await? }
            }
            dirs.push(dir);
        }
        for dir in dirs.iter().rev() {
            let path = self.at.path(dir);
            let mut fs = once.sftp().fs();
            match self.at.call(&format!("remove `{dir}`"), once, fs.remove_dir(&path)).await? {
                Ok(()) | Err(Refused::Absent) => {}
                // What is in it is not ours.
                Err(refused) => return Err(failed("remove", dir, refused)),
            }
        }
        Ok(())
    }

    /// Removes what killed processes left.
    async fn tidy(&self, once: &Once) -> Result<()> {
        let left = self.names(once, UPLOADS).await?;
        let now = seconds(SystemTime::now());
        for entry in left.iter().filter(|entry| !entry.is_dir) {
            let key = format!("{UPLOADS}/{}", entry.name);
            let at = self.look(once, &key).await?.and_then(|found| found.modified());
            if at.is_some_and(|at| now - seconds(at.as_system_time()) > FORGOTTEN.as_secs().cast_signed()) {
                self.remove(once, &key).await?;
            }
        }
        Ok(())
    }

    async fn swapped(&self, once: &Once, key: &str, old: &Stat, bytes: &[u8]) -> Result<bool> {
        let _turn = self.turn.lock().await;
        let whole = own()?;
        self.write(once, &whole, &Owned::Bytes(bytes.to_vec()), modes(key).0).await?;
        let lease = self.lease(once, key).await?;
        let swapped = async {
            let now = self.opened(once.clone(), key).await?.map(|opened| opened.stat);
            if now.as_ref() != Some(old) {
                return Ok(false);
            }
            lease.still()?;
            self.rename(once, &whole, key).await?;
            Ok(true)
        };
        let swapped = swapped.await;
        let given_back = self.give_back(once, lease).await;
        if !matches!(swapped, Ok(true)) {
            self.remove(once, &whole).await?;
        }
        given_back.and(swapped)
    }
}

#[async_trait::async_trait]
impl Server for SftpServer {
    fn promises(&self) -> Promises {
        Promises::ALL
    }

    fn warnings(&self) -> Vec<String> {
        vec![UNSYNCED.to_owned()]
    }

    async fn is_there(&self) -> Result<()> {
        self.run(|server, once| async move {
            let (root, mut fs) = (server.at.path(""), once.sftp().fs());
            // Its owner may have made the root a link.
            let found = server.at.call(&format!("look at `{root}`"), &once, fs.metadata(&root)).await?;
            if found.is_ok_and(|found| found.file_type().is_some_and(|kind| kind.is_dir())) {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Unreachable, format!("there is no directory `{root}` on that machine"))
                .of(Part::Store)
                .hint("create it there; it is not created by itself, lest an empty mount point be filled"))
        })
        .await
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        let key = key.to_owned();
        self.run(|server, once| async move {
            server.stated(&once, &key).await?.map(|found| stat_of(&key, &found)).transpose()
        })
        .await
    }

    async fn settled(&self, key: &str) -> Result<Option<Stat>> {
        let key = key.to_owned();
        self.run(|server, once| async move { server.settled_at(&once, &key).await }).await
    }

    async fn open(&self, key: &str) -> Result<Option<OpenedObject>> {
        let key = key.to_owned();
        self.run(|server, once| async move { server.opened(once, &key).await }).await
    }

    async fn entries(&self, dir: &str) -> Result<Vec<Entry>> {
        let dir = dir.to_owned();
        self.run(|server, once| async move { server.names(&once, &dir).await }).await
    }

    async fn create(&self, key: &str, source: ObjectSource<'_>) -> Result<PutNew> {
        let (key, source) = (key.to_owned(), Owned::from(source));
        self.run(|server, once| async move { server.put(&once, &key, &source).await }).await
    }

    async fn swap(&self, key: &str, old: &Stat, bytes: &[u8]) -> Result<bool> {
        let (key, old, bytes) = (key.to_owned(), old.clone(), bytes.to_vec());
        self.run(|server, once| async move { server.swapped(&once, &key, &old, &bytes).await }).await
    }

    /// One file with two names: its mode changes before it has the second one, within a directory that is closed.
    async fn copy(&self, from: &str, to: &str) -> Result<PutNew> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.run(|server, once| async move {
            let (path, mode) = (server.at.path(&from), permissions(modes(&to).0));
            let mut fs = once.sftp().fs();
            let set = server.at.call(&format!("copy `{from}`"), &once, fs.set_permissions(&path, mode)).await?;
            set.map_err(|refused| failed("copy", &from, refused))?;
            server.make_way(&once, &to).await?;
            server.link(&once, &from, &to).await
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.run(|server, once| async move { server.remove(&once, &key).await }).await
    }

    async fn delete_dir(&self, dir: &str) -> Result<()> {
        let dir = dir.to_owned();
        self.run(|server, once| async move {
            server.remove_dir(&once, &dir).await?;
            server.tidy(&once).await
        })
        .await
    }
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

fn stat_of(key: &str, found: &MetaData) -> Result<Stat> {
    let (Some(size), Some(at)) = (found.len(), found.modified()) else {
        return Err(Error::fatal(format!("the server does not say how long and how old `{key}` is")).of(Part::Store));
    };
    Ok(Stat { size, token: format!("{:x}.{size:x}", seconds(at.as_system_time())) })
}

/// How long a file must be waited for until a later change shows.
fn young(found: &MetaData, ahead: i64) -> Option<Duration> {
    let at = seconds(found.modified()?.as_system_time());
    let age = seconds(SystemTime::now()) + ahead - at;
    let tick = TICK.as_secs().cast_signed();
    // Measured in whole seconds on both sides: one more.
    let wait = u64::try_from((tick + 1 - age).clamp(0, tick + 1)).unwrap_or(0);
    (wait > 0).then(|| Duration::from_secs(wait))
}
