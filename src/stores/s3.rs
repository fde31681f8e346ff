//! A bucket of S3, or of a server that speaks like it, as a store: `s3://bucket/prefix`.
//!
//! Requests, signatures and answers are `object_store`'s; what servers do differently is decided here. Seen with Ceph's radosgw 16:
//! `If-Match` counts only without the quotes that an ETag has; a copy and the end of an upload in parts replace what is there,
//! whatever condition is sent; the ETag of such an upload may be empty. So only single puts are conditional, the rest stands under
//! claims, and objects are never removed by comparison.

mod failure;
mod habits;
mod headers;
mod parts;
mod table;
mod uploads;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, Error as S3Error, GetOptions, ListResult, ObjectStore as _,
    ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig, UpdateVersion,
};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::io::StreamReader;

use self::failure::{Connector, failed, is_absent, is_unsure};
use self::parts::PART;
pub(super) use self::table::ADAPTER;
use self::table::Spot;
use super::server::{Addresses, Entry, ObjectSource, OpenedObject, Pages, Promises, Server, on_io, reader};
use crate::effects::{Habits, PutNew, SecretResolver, Transfers, Tried, blocking, random};
use crate::error::{Context as _, Error, Result};
use crate::model::{Secret, Stat};

/// How often a write is tried that is refused although nothing speaks against it, and the first pause between.
const LOOKS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);
/// How much of all uploads of a store is in memory, and thus sent again when they are killed: four parts of the usual size, and
/// some small files beside them.
const MEMORY_KIB: u32 = 24 << 10;
/// How many objects are removed at once.
const AT_ONCE: usize = 8;

/// A bucket, or a part of one.
struct Bucket {
    spot: Spot,
    secrets: SecretResolver,
    /// The hosts that the trust root lets receive credentials.
    hosts: BTreeSet<String>,
    transfers: Arc<Transfers>,
    client: OnceLock<Arc<Client>>,
}

impl Bucket {
    /// Made when it is first needed: it reads the secrets.
    fn client(&self) -> Result<Arc<Client>> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let made = blocking(|| Client::new(&self.spot, (&self.secrets, &self.hosts), &self.transfers))?;
        Ok(self.client.get_or_init(|| Arc::new(made)).clone())
    }
}

/// What talks to the server, on the threads for that.
struct Client {
    s3: AmazonS3,
    http: reqwest::Client,
    spot: Spot,
    /// The server takes an ETag in a condition only without its quotes.
    bare_etags: AtomicBool,
    transfers: Arc<Transfers>,
    /// In KiB.
    memory: Arc<Semaphore>,
}

impl Client {
    fn new(
        spot: &Spot,
        (secrets, hosts): (&SecretResolver, &BTreeSet<String>),
        transfers: &Arc<Transfers>,
    ) -> Result<Self> {
        let (access_key, secret_key) = spot.credentials(secrets, hosts)?;
        let connector = Connector::new()?;
        let http = connector.http.clone();
        let s3 = AmazonS3Builder::new()
            .with_endpoint(&spot.endpoint)
            .with_bucket_name(&spot.bucket)
            .with_region(&spot.region)
            .with_access_key_id(access_key.expose())
            .with_secret_access_key(secret_key.expose())
            .with_virtual_hosted_style_request(false)
            .with_allow_http(spot.endpoint.starts_with("http://"))
            // TLS protects what is sent already.
            .with_unsigned_payload(spot.endpoint.starts_with("https://"))
            // Tries and pauses are the engine's, which shows them.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            // One by one, as every server can.
            .with_disable_bulk_delete(true)
            .with_http_connector(connector)
            .build()
            .context(format!("cannot set up {}", spot.place()))?;
        let (transfers, memory) = (transfers.clone(), Arc::new(Semaphore::new(MEMORY_KIB as usize)));
        Ok(Self { s3, http, spot: spot.clone(), bare_etags: AtomicBool::new(false), transfers, memory })
    }

    /// Memory for so many bytes that are sent, waited for; given back when it is dropped.
    async fn memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(MEMORY_KIB).clamp(1, MEMORY_KIB);
        self.memory.clone().acquire_many_owned(kib).await.context("an upload ended early")
    }

    fn key(&self, key: &str) -> Result<Key> {
        Key::parse(format!("{}{key}", self.spot.prefix)).context(format!("`{key}` cannot be a key"))
    }

    /// An error of the library, with what was being done and where.
    fn failed(&self, what: &str, e: S3Error) -> Error {
        failed(what, &self.spot, e)
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        match self.s3.head(&self.key(key)?).await {
            Ok(meta) => Ok(Some(stat(&meta))),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(self.failed(&format!("cannot look at `{key}`"), e)),
        }
    }

    async fn open(&self, key: &str) -> Result<Option<OpenedObject>> {
        match self.s3.get_opts(&self.key(key)?, GetOptions::default()).await {
            Ok(found) => {
                let stat = stat(&found.meta);
                Ok(Some(OpenedObject { stat, bytes: reader(Download(StreamReader::new(found.into_stream())))? }))
            }
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(self.failed(&format!("cannot read `{key}`"), e)),
        }
    }

    async fn entries(&self, dir: &str) -> Result<Vec<Entry>> {
        let listed = self.pages(dir, Some("/")).await?;
        let entry = |key: &Key, is_dir| key.filename().map(|name| Entry { name: name.to_owned(), is_dir });
        let dirs = listed.iter().flat_map(|page| &page.common_prefixes).filter_map(|key| entry(key, true));
        let files = listed.iter().flat_map(|page| &page.objects).filter_map(|o| entry(&o.location, false));
        Ok(dirs.chain(files).collect())
    }

    async fn list(&self, dir: &str) -> Result<Vec<String>> {
        let listed = self.pages(dir, None).await?;
        let keys = listed.iter().flat_map(|page| &page.objects).map(|o| o.location.as_ref());
        Ok(keys.filter_map(|key| key.strip_prefix(&self.spot.prefix)).map(str::to_owned).collect())
    }

    /// The pages of the list of a directory, or of everything below it.
    async fn pages(&self, dir: &str, delimiter: Option<&'static str>) -> Result<Vec<ListResult>> {
        let slash = if dir.is_empty() { "" } else { "/" };
        let prefix = format!("{}{dir}{slash}", self.spot.prefix);
        let (mut found, mut pages, mut token) = (Vec::new(), Pages::default(), None);
        loop {
            let delimiter = delimiter.map(Cow::Borrowed);
            let options = PaginatedListOptions { page_token: token, delimiter, ..PaginatedListOptions::default() };
            let page = self.s3.list_paginated(Some(&prefix), options).await;
            let page = page.map_err(|e| self.failed(&format!("cannot list `{dir}`"), e))?;
            pages.admit(dir, page.result.objects.len() + page.result.common_prefixes.len())?;
            found.push(page.result);
            match page.page_token {
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn put_small(&self, key: &str, bytes: Vec<u8>) -> Result<PutNew> {
        let (at, payload) = (self.key(key)?, PutPayload::from(bytes));
        let (mark, attributes) = marked(key)?;
        for look in 0..LOOKS {
            let options = PutOptions { attributes: attributes.clone(), mode: PutMode::Create, ..PutOptions::default() };
            match self.s3.put_opts(&at, payload.clone(), options).await {
                Ok(_) => return Ok(PutNew::Created),
                // A conflict with another writer says so too, and that one may fail: only reading it tells.
                Err(e) if is_unsure(&e) => match self.mark(key).await? {
                    Some(there) if there == mark => return Ok(PutNew::Created),
                    Some(_) => return Ok(PutNew::Existed),
                    None => tokio::time::sleep(PAUSE * (look + 1)).await,
                },
                Err(e) => return Err(self.failed(&format!("cannot put `{key}`"), e)),
            }
        }
        Err(Error::transient(format!(
            "cannot put `{key}`: the server refuses it as if something were there, and shows nothing"
        )))
    }

    async fn swap(&self, key: &str, old: &Stat, bytes: Vec<u8>) -> Result<bool> {
        let (at, payload) = (self.key(key)?, PutPayload::from(bytes));
        let (mark, attributes) = marked(key)?;
        let etag = etag(old);
        for look in 0..LOOKS {
            let bare = self.bare_etags.load(Ordering::Relaxed);
            let e_tag = if bare { etag.trim_matches('"') } else { etag };
            let mode = PutMode::Update(UpdateVersion { e_tag: Some(e_tag.to_owned()), version: None });
            let options = PutOptions { attributes: attributes.clone(), mode, ..PutOptions::default() };
            let e = match self.s3.put_opts(&at, payload.clone(), options).await {
                Ok(_) => return Ok(true),
                Err(e) if is_unsure(&e) => e,
                Err(e) => return Err(self.failed(&format!("cannot replace `{key}`"), e)),
            };
            if self.mark(key).await?.as_ref() == Some(&mark) {
                return Ok(true);
            }
            if self.stat(key).await?.as_ref() != Some(old) {
                return Ok(false);
            }
            // Refused, although nothing changed: it takes the other spelling, or somebody else failed at this moment.
            if matches!(e, S3Error::Precondition { .. }) && !bare {
                self.bare_etags.store(true, Ordering::Relaxed);
            } else {
                tokio::time::sleep(PAUSE * (look + 1)).await;
            }
        }
        Err(Error::transient(format!("cannot replace `{key}`: the server refuses it, although nothing changed")))
    }

    /// The mark of the write that made an object; see [`marked`].
    async fn mark(&self, key: &str) -> Result<Option<String>> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.s3.get_opts(&self.key(key)?, options).await {
            Ok(found) => Ok(Some(found.attributes.get(&MARK).map(|mark| mark.to_string()).unwrap_or_default())),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(self.failed(&format!("cannot look at `{key}`"), e)),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.s3.delete(&self.key(key)?).await {
            Err(e) if !is_absent(&e) => Err(self.failed(&format!("cannot remove `{key}`"), e)),
            _ => Ok(()),
        }
    }

    async fn delete_dir(self: Arc<Self>, dir: &str) -> Result<()> {
        self.abort_uploads(&format!("{dir}/")).await?;
        let mut removed = JoinSet::new();
        for key in self.list(dir).await? {
            if removed.len() >= AT_ONCE
                && let Some(done) = removed.join_next().await
            {
                done.context("a removal ended early")??;
            }
            let client = self.clone();
            removed.spawn(async move { client.delete(&key).await });
        }
        while let Some(done) = removed.join_next().await {
            done.context("a removal ended early")??;
        }
        Ok(())
    }
}

/// Where an object says which write made it: whoever got no clear answer looks whether it was theirs.
const MARK: Attribute = Attribute::Metadata(Cow::Borrowed("lifeboat-write"));

/// A mark that no other write has, and the attributes of an object with it.
fn marked(key: &str) -> Result<(String, Attributes)> {
    let mark = format!("{:032x}", random()?);
    let mut attributes = headers::attributes(key);
    attributes.insert(MARK, mark.clone().into());
    Ok((mark, attributes))
}

/// The ETag and the time of the last write, which differs where equal bytes were written again.
fn stat(meta: &object_store::ObjectMeta) -> Stat {
    let etag = meta.e_tag.as_deref().unwrap_or_default();
    Stat { size: meta.size, token: format!("{etag} {}", meta.last_modified.timestamp()) }
}

/// The ETag of a token.
fn etag(stat: &Stat) -> &str {
    stat.token.rsplit_once(' ').map_or("", |(etag, _)| etag)
}

/// The bytes of an answer; a connection that breaks off may work when it is made again.
struct Download<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for Download<R> {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Task<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let broken = |e| std::io::Error::new(std::io::ErrorKind::ConnectionAborted, e);
        Pin::new(&mut self.0).poll_read(task, buf).map_err(broken)
    }
}

#[async_trait::async_trait]
impl Server for Bucket {
    fn promises(&self) -> Promises {
        Promises { creates_once_up_to: PART, copies_once: false }
    }

    fn addresses(&self) -> Addresses {
        let Spot { endpoint, bucket, prefix, .. } = &self.spot;
        Addresses {
            objects: Some(format!("{endpoint}/{bucket}/{prefix}")),
            lists: Some(format!("{endpoint}/{bucket}?list-type=2&prefix={prefix}")),
        }
    }

    async fn is_there(&self) -> Result<()> {
        let client = self.client()?;
        on_io(async move {
            let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
            let listed = client.s3.list_paginated(Some(&format!("{}.staging/", client.spot.prefix)), options).await;
            listed.map(drop).map_err(|e| client.failed("cannot list it", e))
        })
        .await?
    }

    async fn habits(&self, dir: &str) -> Result<Habits> {
        let (client, dir) = (self.client()?, dir.to_owned());
        on_io(async move { client.habits(&dir).await }).await?
    }

    async fn versions(&self) -> Tried {
        let asked = async {
            let client = self.client()?;
            on_io(async move { client.versions().await }).await
        };
        asked.await.unwrap_or_else(|e| Err(e).into())
    }

    async fn presign(&self, key: &str, lasts: Duration) -> Result<Option<Secret>> {
        let (client, key) = (self.client()?, key.to_owned());
        on_io(async move { client.signed(&key, lasts).await.map(Some) }).await?
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        let (client, key) = (self.client()?, key.to_owned());
        on_io(async move { client.stat(&key).await }).await?
    }

    async fn open(&self, key: &str) -> Result<Option<OpenedObject>> {
        let (client, key) = (self.client()?, key.to_owned());
        on_io(async move { client.open(&key).await }).await?
    }

    async fn entries(&self, dir: &str) -> Result<Vec<Entry>> {
        let (client, dir) = (self.client()?, dir.to_owned());
        on_io(async move { client.entries(&dir).await }).await?
    }

    async fn list(&self, dir: &str) -> Result<Vec<String>> {
        let (client, dir) = (self.client()?, dir.to_owned());
        on_io(async move { client.list(&dir).await }).await?
    }

    async fn create(&self, key: &str, source: ObjectSource<'_>) -> Result<PutNew> {
        let (client, key) = (self.client()?, key.to_owned());
        match source {
            ObjectSource::File(path, digests) if digests.size > PART => {
                let (path, digests) = (path.to_owned(), *digests);
                on_io(async move { client.put_in_parts(&key, &path, &digests).await }).await?
            }
            ObjectSource::File(_, digests) => {
                let _memory = client.memory(digests.size).await?;
                let (bytes, flow) = (source.read()?, self.transfers.flow());
                flow.admit(bytes.len() as u64).await;
                on_io(async move { client.put_small(&key, bytes).await }).await?
            }
            ObjectSource::Bytes(bytes) => {
                let bytes = bytes.to_vec();
                on_io(async move { client.put_small(&key, bytes).await }).await?
            }
        }
    }

    async fn swap(&self, key: &str, old: &Stat, bytes: &[u8]) -> Result<bool> {
        let (client, key, old, bytes) = (self.client()?, key.to_owned(), old.clone(), bytes.to_vec());
        on_io(async move { client.swap(&key, &old, bytes).await }).await?
    }

    async fn copy(&self, from: &str, to: &str) -> Result<PutNew> {
        let (client, from, to) = (self.client()?, from.to_owned(), to.to_owned());
        on_io(async move {
            let options = CopyOptions { mode: CopyMode::Overwrite, ..CopyOptions::default() };
            let copied = client.s3.copy_opts(&client.key(&from)?, &client.key(&to)?, options).await;
            copied.map_err(|e| client.failed(&format!("cannot copy `{from}` to `{to}`"), e))?;
            // A server may answer with success, and with an error in the text.
            match client.stat(&to).await? {
                Some(_) => Ok(PutNew::Created),
                None => {
                    Err(Error::transient(format!("cannot copy `{from}` to `{to}`: the server does not show the copy")))
                }
            }
        })
        .await?
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let (client, key) = (self.client()?, key.to_owned());
        on_io(async move { client.delete(&key).await }).await?
    }

    async fn delete_dir(&self, dir: &str) -> Result<()> {
        let (client, dir) = (self.client()?, dir.to_owned());
        on_io(async move { client.delete_dir(&dir).await }).await?
    }
}
