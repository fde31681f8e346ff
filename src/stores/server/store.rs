//! The one [`Store`] over a [`Server`].

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{ObjectSource, OpenedObject, Server, paced, read_all};
use crate::effects::{Area, Capabilities, Habits, PutNew, Store, Transfers};
use crate::error::{Error, ErrorKind, Part, Result};
use crate::formats::layout;
use crate::model::{Digests, Secret, Sha256, Stat, StoreName};
use crate::step::Exposure;
use crate::stores::{path, strangers};

/// Where only the team can read.
pub(super) const STAGING: &str = ".staging";

/// A store that is a server, see the folder's documentation.
pub struct ServerStore {
    pub(super) name: StoreName,
    /// Where strangers find the root, without final slash.
    base: String,
    pub(super) server: Arc<dyn Server>,
    transfers: Arc<Transfers>,
}

impl ServerStore {
    /// The store `name`, whose root strangers find at `base`. `server` lets what it puts pass by `transfers`; what is read here
    /// does so by itself.
    pub fn new(name: StoreName, base: &str, server: Arc<dyn Server>, transfers: Arc<Transfers>) -> Self {
        Self { name, base: base.trim_end_matches('/').to_owned(), server, transfers }
    }

    /// The key of a path.
    fn key(area: &Area, path: &str) -> Result<String> {
        path::check(path)?;
        match area {
            Area::Public => Ok(path.to_owned()),
            Area::Staging(train) => {
                path::check_train(train)?;
                Ok(format!("{STAGING}/{train}/{path}"))
            }
        }
    }

    /// Says which store it was.
    fn explained(&self, e: Error) -> Error {
        if matches!(e.kind(), ErrorKind::Input) { e } else { e.context(format!("store `{}`", self.name)) }
    }

    async fn put(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        let key = Self::key(area, path)?;
        if self.server.stat(&key).await?.is_some() {
            return Ok(PutNew::Existed);
        }
        let promises = self.server.promises();
        let create = self.server.create(&key, ObjectSource::File(source, digests));
        // A copy that replaces would replace what another process put there since the copy's own look.
        if digests.size > promises.creates_once_up_to || (*area == Area::Public && !promises.copies_once) {
            return self.claimed(&key, &digests.sha256, create).await;
        }
        create.await
    }

    async fn make_public(&self, train: &str, path: &str, digests: &Digests) -> Result<PutNew> {
        let (staged, public) = (Self::key(&Area::Staging(train.to_owned()), path)?, Self::key(&Area::Public, path)?);
        if self.server.stat(&public).await?.is_some() {
            return Ok(PutNew::Existed);
        }
        let Some(found) = self.server.stat(&staged).await? else {
            // Another process may have promoted it and cleared the staging area since.
            if self.server.stat(&public).await?.is_some() {
                return Ok(PutNew::Existed);
            }
            return Err(Error::fatal(format!("cannot promote `{path}`: it is not staged"))
                .hint("see `lifeboat status`; what the journal says was staged has been removed from the store"));
        };
        if found.size != digests.size {
            return Err(Error::conflict(format!("cannot promote `{path}`: other bytes are staged"))
                .detail(format!("expected {} bytes, found {}", digests.size, found.size))
                .hint("nothing was made public; find out who changed what was staged"));
        }
        let copy = self.server.copy(&staged, &public);
        if self.server.promises().copies_once {
            return copy.await;
        }
        self.claimed(&public, &digests.sha256, copy).await
    }

    async fn replace(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        let key = Self::key(&Area::Public, path)?;
        let there = self.server.open(&key).await?;
        match (there, old) {
            (None, Some(_)) | (Some(_), None) => Ok(false),
            (None, None) => Ok(self.server.create(&key, ObjectSource::Bytes(bytes)).await? == PutNew::Created),
            (Some(opened), Some(old)) => {
                let stat = opened.stat.clone();
                let now = read_all(opened, path)?;
                Ok(Sha256::of(&now) == *old && self.server.swap(&key, &stat, bytes).await?)
            }
        }
    }

    async fn paths(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        // The root of an area is not a path of its grammar.
        let root = match area {
            Area::Public => String::new(),
            Area::Staging(train) => {
                path::check_train(train)?;
                format!("{STAGING}/{train}/")
            }
        };
        let dir = if prefix.is_empty() { root.trim_end_matches('/').to_owned() } else { Self::key(area, prefix)? };
        let keys = if dir.is_empty() { self.public_keys().await? } else { self.server.list(&dir).await? };
        let below = keys.iter().filter_map(|key| key.strip_prefix(&root));
        // Anything else is not ours: a person put it there.
        let mut found: Vec<String> = below.filter(|path| path::check(path).is_ok()).map(str::to_owned).collect();
        found.sort();
        Ok(found)
    }

    /// All public keys, without listing staging, where there may be many more.
    async fn public_keys(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in self.server.entries("").await? {
            match entry.is_dir {
                true if entry.name == STAGING => {}
                true => found.extend(self.server.list(&entry.name).await?),
                false => found.push(entry.name),
            }
        }
        Ok(found)
    }
}

#[async_trait::async_trait]
impl Store for ServerStore {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn staging_exposure(&self) -> Exposure {
        Exposure::Private
    }

    fn differs(&self) -> bool {
        true
    }

    fn transfers(&self) -> Arc<Transfers> {
        self.transfers.clone()
    }

    fn public_url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    async fn probe(&self) -> Result<()> {
        self.server.is_there().await.map_err(|e| self.explained(e).of(Part::Store))
    }

    async fn check(&self) -> Result<Capabilities> {
        self.try_out().await.map_err(|e| self.explained(e))
    }

    async fn habits(&self) -> Result<Habits> {
        self.find_habits().await.map_err(|e| self.explained(e))
    }

    async fn presign(&self, area: &Area, path: &str, lasts: Duration) -> Result<Option<Secret>> {
        let key = Self::key(area, path)?;
        self.server.presign(&key, lasts).await.map_err(|e| self.explained(e))
    }

    async fn seen_by_strangers(&self) -> Result<Option<String>> {
        self.look_as_a_stranger().await.map_err(|e| self.explained(e))
    }

    async fn stat(&self, area: &Area, path: &str) -> Result<Option<Stat>> {
        let key = Self::key(area, path)?;
        self.server.settled(&key).await.map_err(|e| self.explained(e))
    }

    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let key = Self::key(area, path)?;
        let opened = self.server.open(&key).await.map_err(|e| self.explained(e))?;
        Ok(opened.map(|OpenedObject { bytes, .. }| paced(bytes, &self.transfers)))
    }

    async fn digest_signatures(&self) -> Result<Vec<String>> {
        let entries = self.server.entries(layout::RELEASES).await.map_err(|e| self.explained(e))?;
        let paths = entries.into_iter().filter(|e| !e.is_dir).map(|e| format!("{}/{}", layout::RELEASES, e.name));
        Ok(paths.filter(|path| layout::is_digest_signature(path)).collect())
    }

    async fn remove_digest_signature(&self, path: &str) -> Result<()> {
        path::check_digest_signature(path)?;
        self.server.delete(path).await.map_err(|e| self.explained(e))
    }

    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        self.paths(area, prefix).await.map_err(|e| self.explained(e))
    }

    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        self.put(area, path, source, digests).await.map_err(|e| self.explained(e))
    }

    async fn promote(&self, train: &str, path: &str, digests: &Digests) -> Result<PutNew> {
        self.make_public(train, path, digests).await.map_err(|e| self.explained(e))
    }

    async fn replace_if(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        self.replace(path, old, bytes).await.map_err(|e| self.explained(e))
    }

    async fn staged(&self) -> Result<Vec<String>> {
        let entries = self.server.entries(STAGING).await.map_err(|e| self.explained(e))?;
        let trains = entries.into_iter().filter(|e| e.is_dir && path::check_train(&e.name).is_ok());
        let mut names: Vec<String> = trains.map(|e| e.name).collect();
        names.sort();
        Ok(names)
    }

    async fn clear_staging(&self, train: &str) -> Result<()> {
        path::check_train(train)?;
        let cleared = async {
            self.remove_dead_claims(train).await?;
            self.server.delete_dir(&format!("{STAGING}/{train}")).await
        };
        cleared.await.map_err(|e| self.explained(e))
    }

    async fn hold(&self, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>> {
        self.take(what, holder).await.map_err(|e| self.explained(e))
    }

    async fn release(&self, what: &str, holder: &[u8]) -> Result<()> {
        self.give_back(what, holder).await.map_err(|e| self.explained(e))
    }
}

impl ServerStore {
    async fn look_as_a_stranger(&self) -> Result<Option<String>> {
        for left in self.server.entries(STAGING).await?.iter().filter(|entry| strangers::is_forgotten(&entry.name)) {
            self.server.delete_dir(&format!("{STAGING}/{}", left.name)).await?;
        }
        let probe = strangers::probe_name()?;
        let dir = format!("{STAGING}/{probe}");
        let file = format!("{dir}/{}", strangers::FILE);
        self.server.create(&file, ObjectSource::Bytes(strangers::TEXT.as_bytes())).await?;
        let mut at = self.server.addresses();
        let mut seen = strangers::look(&self.base, &probe).await;
        if seen.is_none()
            && let Some(objects) = at.objects.take()
        {
            seen = strangers::look_at_file(&format!("{objects}{file}")).await;
        }
        if seen.is_none()
            && let Some(lists) = at.lists.take()
        {
            seen = strangers::look_at_list(&format!("{lists}{STAGING}/"), &probe).await;
        }
        self.server.delete_dir(&dir).await?;
        Ok(seen)
    }
}
