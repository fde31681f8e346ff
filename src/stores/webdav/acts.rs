//! What a store needs, as requests of WebDAV.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use reqwest::{Response, header};
use sha2::{Digest as _, Sha256 as Hasher};

use super::client::{Body, COPYING, Client, Request};
use super::listing::{PROPFIND, Resource, entries, resources};
use super::locks::Held;
use super::streamed::Streamed;
use crate::effects::{PutNew, Transfers, random};
use crate::error::{Context as _, Error, ErrorKind, Part, Result};
use crate::http::Upload;
use crate::model::{Sha256, Stat};
use crate::stores::server::{
    Addresses, Entry, ObjectSource, OpenedObject, Owned, Promises, Server, on_io, other_bytes, reader,
};

/// Where uploads and copies are until they are whole.
const UPLOADS: &str = ".staging/.uploads";
/// What is locked while an object gets its name; many names share one.
const LOCKS: &str = ".staging/.locks";
/// What a killed process left in [`UPLOADS`] goes after so long.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(48);
/// Objects up to this size are read at once, and compared by their bytes.
const SMALL: u64 = 4 << 20;
/// Within this time after a change, another change may show the same time.
const TICK: SignedDuration = SignedDuration::from_secs(2);
/// How often a directory that vanished meanwhile is made again.
const ATTEMPTS: usize = 2;

/// A WebDAV server as [`Server`].
#[derive(Clone)]
pub(super) struct Dav {
    pub(super) client: Arc<Client>,
    /// Directories that were seen or made.
    dirs: Arc<Mutex<BTreeSet<String>>>,
    /// Our own tasks wait for each other here, without asking the server again and again.
    turns: Arc<[tokio::sync::Mutex<()>; 256]>,
    transfers: Arc<Transfers>,
}

impl Dav {
    pub(super) fn new(client: Client, transfers: Arc<Transfers>) -> Self {
        let turns = Arc::new(std::array::from_fn(|_| tokio::sync::Mutex::default()));
        Self { client: Arc::new(client), dirs: Arc::default(), turns, transfers }
    }

    /// Runs `work` on the threads that talk to servers.
    async fn run<T, W>(&self, work: impl FnOnce(Self) -> W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        on_io(work(self.clone())).await?
    }

    async fn head(&self, key: &str) -> Result<Option<Response>> {
        let response = self.client.read(|| Request::new("HEAD", key)).await?;
        match response.status().as_u16() {
            200 => Ok(Some(response)),
            404 | 410 => Ok(None),
            _ => Err(self.client.unexpected("look at", key, &response)),
        }
    }

    async fn stated(&self, key: &str) -> Result<Option<Stat>> {
        self.head(key).await?.map(|response| stat_of(key, &response)).transpose()
    }

    /// See [`Server::settled`]. nginx says times in seconds.
    async fn settled_at(&self, key: &str) -> Result<Option<Stat>> {
        let Some(response) = self.head(key).await? else { return Ok(None) };
        let Some(wait) = young(&response) else { return stat_of(key, &response).map(Some) };
        tokio::time::sleep(wait).await;
        match self.head(key).await? {
            Some(again) => stat_of(key, &again).map(Some),
            None => Ok(None),
        }
    }

    async fn opened(&self, key: &str) -> Result<Option<OpenedObject>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let response = self.client.read(|| Request::new("GET", key)).await?;
            match response.status().as_u16() {
                200 => {}
                404 | 410 => return Ok(None),
                _ => return Err(self.client.unexpected("read", key, &response)),
            }
            let stat = stat_of(key, &response)?;
            if stat.size > SMALL {
                let bytes = reader(Streamed::new(response, self.client.stall()))?;
                return Ok(Some(OpenedObject { stat, bytes }));
            }
            match self.client.body(response).await {
                // So few bytes say themselves which they are; a time would not, see above.
                Ok(bytes) if bytes.len() as u64 == stat.size => {
                    let stat = Stat { size: stat.size, token: by_bytes(&bytes) };
                    return Ok(Some(OpenedObject { stat, bytes: Box::new(std::io::Cursor::new(bytes)) }));
                }
                Ok(_) => return Err(Error::transient(format!("reading `{key}`: it is cut")).of(Part::Store)),
                Err(e) if e.kind() == ErrorKind::Transient && tries < ATTEMPTS => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// What is at a directory's address, with its final slash, and below it down to `depth`.
    async fn propfind(&self, key: &str, depth: &str) -> Result<Option<Vec<Resource>>> {
        let response = self
            .client
            .read(|| Ok(Request::new("PROPFIND", key)?.with("depth", depth).sending(Body::Xml(PROPFIND))))
            .await?;
        match response.status().as_u16() {
            207 => Ok(Some(resources(&self.client.body(response).await?)?)),
            404 | 410 => Ok(None),
            _ => Err(self.client.unexpected("list", key, &response)),
        }
    }

    async fn listed(&self, dir: &str) -> Result<Vec<(Entry, String)>> {
        let key = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let Some(found) = self.propfind(&key, "1").await? else { return Ok(Vec::new()) };
        let mut found = entries(found, &self.client.path(&key)?);
        // nginx lists nothing that begins with a dot. This one is public.
        let well_known = ".well-known";
        if dir.is_empty()
            && !found.iter().any(|(e, _)| e.name == well_known)
            && self.propfind(&format!("{well_known}/"), "0").await?.is_some()
        {
            found.push((Entry { name: well_known.to_owned(), is_dir: true }, String::new()));
        }
        Ok(found)
    }

    /// Makes the directories on the way to a key.
    async fn make_way(&self, key: &str) -> Result<()> {
        for (at, _) in key.match_indices('/') {
            let dir = &key[..at];
            if self.dirs.lock().contains(dir) {
                continue;
            }
            let response = self.client.send(Request::new("MKCOL", &format!("{dir}/"))?).await?;
            match response.status().as_u16() {
                // 405: it is there already.
                200 | 201 | 405 => drop(self.dirs.lock().insert(dir.to_owned())),
                _ => return Err(self.client.unexpected("make", dir, &response)),
            }
        }
        Ok(())
    }

    /// Does `act`, which needs directories; once more if it fails, since somebody may have removed them.
    async fn with_dirs<T, W>(&self, act: impl Fn(Self) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let done = act(self.clone()).await;
            let Err(e) = &done else { return done };
            self.dirs.lock().clear();
            if e.kind() != ErrorKind::Fatal || tries == ATTEMPTS {
                return done;
            }
        }
    }

    /// Puts bytes at a key that nobody else has.
    async fn upload(&self, key: &str, source: &Owned) -> Result<()> {
        self.make_way(key).await?;
        let hasher = Arc::new(Mutex::new(Hasher::new()));
        let response = match source {
            Owned::Bytes(bytes) => {
                self.client.send(Request::new("PUT", key)?.sending(Body::Bytes(bytes.clone()))).await?
            }
            Owned::File(path, digests) => {
                let what = || format!("cannot read `{}`", path.display());
                if tokio::fs::metadata(path).await.context(what())?.len() != digests.size {
                    return Err(other_bytes(path, digests));
                }
                let (path, hasher) = (path.clone(), Some(hasher.clone()));
                let flow = Some(Arc::new(self.transfers.flow()));
                let file = Upload { path, size: digests.size, form: None, hasher, flow };
                self.client.send(Request::new("PUT", key)?.sending(Body::File(&file))).await?
            }
        };
        if !matches!(response.status().as_u16(), 200 | 201 | 204) {
            return Err(self.client.unexpected("put", key, &response));
        }
        match source {
            Owned::File(path, digests) if Sha256(hasher.lock().clone().finalize().into()) != digests.sha256 => {
                self.removed(key).await?;
                Err(other_bytes(path, digests))
            }
            _ => Ok(()),
        }
    }

    /// Gives a whole object, at a name of its own, the name `key`, unless there is one of that name.
    async fn named(&self, whole: &str, key: &str) -> Result<PutNew> {
        self.make_way(key).await?;
        let slot = usize::from(Sha256::of(key.as_bytes()).0[0]);
        let lock = format!("{LOCKS}/{slot:02x}");
        self.make_way(&lock).await?;
        let _turn = self.turns[slot].lock().await;
        let held = self.lock(&lock).await?;
        let moved = self.moved(&held, whole, key).await;
        self.unlock(held).await;
        moved
    }

    async fn moved(&self, held: &Held<'_>, whole: &str, key: &str) -> Result<PutNew> {
        held.still()?;
        let request = Request::new("MOVE", whole)?.with("destination", self.client.path(key)?).with("overwrite", "F");
        let response = self.client.send(request).await?;
        match response.status().as_u16() {
            200 | 201 | 204 => Ok(PutNew::Created),
            412 => {
                self.removed(whole).await?;
                Ok(PutNew::Existed)
            }
            // Locked: there is one, which somebody is just replacing.
            423 if self.head(key).await?.is_some() => {
                self.removed(whole).await?;
                Ok(PutNew::Existed)
            }
            _ => Err(self.client.unexpected("name", key, &response)),
        }
    }

    async fn removed(&self, key: &str) -> Result<()> {
        let response = self.client.send(Request::new("DELETE", key)?).await?;
        match response.status().as_u16() {
            200 | 204 | 404 | 410 => Ok(()),
            _ => Err(self.client.unexpected("remove", key, &response)),
        }
    }

    /// Removes a directory and what is in it. A server that has none of that address with a slash is asked without: nginx takes
    /// only the one, rclone only the other.
    async fn removed_dir(&self, dir: &str) -> Result<()> {
        self.dirs.lock().clear();
        let slashed = format!("{dir}/");
        let response = self.client.send(Request::new("DELETE", &slashed)?.waiting(COPYING)).await?;
        match response.status().as_u16() {
            200 | 204 => Ok(()),
            404 | 410 => self.removed(dir).await,
            _ => Err(self.client.unexpected("remove", dir, &response)),
        }
    }

    /// Removes what killed processes left.
    async fn tidied(&self) -> Result<()> {
        for (entry, modified) in self.listed(UPLOADS).await? {
            let at = jiff::fmt::rfc2822::parse(modified.trim()).ok().map(|zoned| zoned.timestamp());
            let age = at.map(|at| at.duration_until(Timestamp::now()));
            if age.is_some_and(|age| age > FORGOTTEN) {
                self.removed(&format!("{UPLOADS}/{}", entry.name)).await?;
            }
        }
        Ok(())
    }

    /// Whether strangers are refused who write, or list what is staged.
    async fn closed(&self) -> Result<()> {
        let own = Self::own()?;
        self.make_way(&own).await?;
        let listed = Request::new("PROPFIND", ".staging/")?.with("depth", "1").sending(Body::Xml(PROPFIND));
        let written = Request::new("PUT", &own)?.sending(Body::Bytes(b"anybody can write this\n".to_vec()));
        for (request, done) in [(written, "write there"), (listed, "list what is staged")] {
            match self.client.send(request.anonymous()).await {
                Ok(response) if response.status().is_success() => {
                    self.removed(&own).await?;
                    return Err(Error::input(format!("anybody can {done}, without a password"))
                        .of(Part::Store)
                        .hint("nothing was put there; compare the server's configuration with `docs/stores.md`"));
                }
                Err(e) if e.kind() != ErrorKind::Input => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// A name that nobody else has.
    fn own() -> Result<String> {
        Ok(format!("{UPLOADS}/{:032x}", random()?))
    }

    async fn created(&self, key: &str, source: &Owned) -> Result<PutNew> {
        let whole = Self::own()?;
        self.upload(&whole, source).await?;
        self.named(&whole, key).await
    }

    async fn copied(&self, from: &str, to: &str) -> Result<PutNew> {
        let whole = Self::own()?;
        self.make_way(&whole).await?;
        let request = Request::new("COPY", from)?
            .with("destination", self.client.path(&whole)?)
            .with("overwrite", "F")
            .waiting(COPYING);
        let response = self.client.send(request).await?;
        match response.status().as_u16() {
            200 | 201 | 204 => self.named(&whole, to).await,
            404 | 410 => Err(Error::conflict(format!("cannot copy `{from}`: it is not there")).of(Part::Store)),
            _ => Err(self.client.unexpected("copy", from, &response)),
        }
    }

    async fn swapped(&self, key: &str, old: &Stat, bytes: Vec<u8>) -> Result<bool> {
        let slot = usize::from(Sha256::of(key.as_bytes()).0[0]);
        let _turn = self.turns[slot].lock().await;
        if self.head(key).await?.is_none() {
            return Ok(false);
        }
        let held = self.lock(key).await?;
        let swapped = self.swapped_under(&held, key, old, bytes).await;
        self.unlock(held).await;
        swapped
    }

    async fn swapped_under(&self, held: &Held<'_>, key: &str, old: &Stat, bytes: Vec<u8>) -> Result<bool> {
        if held.is_new {
            // It was removed since the look, and the lock made an empty object of that name.
            let response = self.client.send(Request::new("DELETE", key)?.with("if", held.condition())).await?;
            let gone = matches!(response.status().as_u16(), 200 | 204 | 404);
            return if gone { Ok(false) } else { Err(self.client.unexpected("remove", key, &response)) };
        }
        let now = self.opened(key).await?.map(|opened| opened.stat);
        if now.as_ref() != Some(old) {
            return Ok(false);
        }
        held.still()?;
        let request = Request::new("PUT", key)?.with("if", held.condition()).sending(Body::Bytes(bytes));
        let response = self.client.send(request).await?;
        match response.status().as_u16() {
            200 | 201 | 204 => Ok(true),
            412 | 423 => Err(Error::transient(format!("the lock of `{key}` ended too early")).of(Part::Store)),
            _ => Err(self.client.unexpected("replace", key, &response)),
        }
    }
}

#[async_trait::async_trait]
impl Server for Dav {
    fn promises(&self) -> Promises {
        Promises::ALL
    }

    fn addresses(&self) -> Addresses {
        let base = Some(self.client.base().to_string());
        Addresses { objects: base.clone(), lists: base }
    }

    async fn is_there(&self) -> Result<()> {
        self.run(|dav| async move {
            if dav.propfind("", "0").await?.is_some() {
                return Ok(());
            }
            let root = dav.client.base();
            Err(Error::new(ErrorKind::Unreachable, format!("there is no directory `{root}`"))
                .of(Part::Store)
                .hint("create it on the server; it is not created by itself, lest an empty mount point be filled"))
        })
        .await
    }

    async fn is_closed(&self) -> Result<()> {
        self.run(|dav| async move { dav.closed().await }).await
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        let key = key.to_owned();
        self.run(|dav| async move { dav.stated(&key).await }).await
    }

    async fn settled(&self, key: &str) -> Result<Option<Stat>> {
        let key = key.to_owned();
        self.run(|dav| async move { dav.settled_at(&key).await }).await
    }

    async fn open(&self, key: &str) -> Result<Option<OpenedObject>> {
        let key = key.to_owned();
        self.run(|dav| async move { dav.opened(&key).await }).await
    }

    async fn entries(&self, dir: &str) -> Result<Vec<Entry>> {
        let dir = dir.to_owned();
        let found = self.run(|dav| async move { dav.listed(&dir).await }).await?;
        Ok(found.into_iter().map(|(entry, _)| entry).collect())
    }

    async fn create(&self, key: &str, source: ObjectSource<'_>) -> Result<PutNew> {
        let (key, source) = (key.to_owned(), Arc::new(Owned::from(source)));
        self.run(|dav| async move {
            let act = |dav: Self| {
                let (key, source) = (key.clone(), source.clone());
                async move { dav.created(&key, &source).await }
            };
            dav.with_dirs(act).await
        })
        .await
    }

    async fn swap(&self, key: &str, old: &Stat, bytes: &[u8]) -> Result<bool> {
        let (key, old, bytes) = (key.to_owned(), old.clone(), bytes.to_vec());
        self.run(|dav| async move { dav.swapped(&key, &old, bytes).await }).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<PutNew> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.run(|dav| async move {
            let act = |dav: Self| {
                let (from, to) = (from.clone(), to.clone());
                async move { dav.copied(&from, &to).await }
            };
            dav.with_dirs(act).await
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.run(|dav| async move { dav.removed(&key).await }).await
    }

    async fn delete_dir(&self, dir: &str) -> Result<()> {
        let dir = dir.to_owned();
        self.run(|dav| async move {
            dav.removed_dir(&dir).await?;
            dav.tidied().await
        })
        .await
    }
}

/// The token of bytes.
fn by_bytes(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::of(bytes).hex())
}

fn text<'a>(response: &'a Response, name: &header::HeaderName) -> &'a str {
    response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// What an answer says of an object.
fn stat_of(key: &str, response: &Response) -> Result<Stat> {
    let size = text(response, &header::CONTENT_LENGTH).parse();
    let size =
        size.map_err(|_| Error::fatal(format!("the server does not say how long `{key}` is")).of(Part::Store))?;
    let (etag, modified) = (text(response, &header::ETAG), text(response, &header::LAST_MODIFIED));
    if etag.is_empty() && modified.is_empty() {
        return Err(Error::fatal(format!("the server does not say when `{key}` was changed")).of(Part::Store));
    }
    Ok(Stat { size, token: format!("{etag} {modified}") })
}

/// How long an object must be waited for until a later change shows, by the server's own clock.
fn young(response: &Response) -> Option<Duration> {
    let at = |name| jiff::fmt::rfc2822::parse(text(response, &name)).ok().map(|zoned| zoned.timestamp());
    let (now, changed) = (at(header::DATE)?, at(header::LAST_MODIFIED)?);
    let age = changed.duration_until(now);
    let wait = (age < TICK).then(|| TICK.saturating_sub(age).min(TICK))?;
    Duration::try_from(wait).ok()
}
