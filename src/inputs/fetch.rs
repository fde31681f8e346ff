//! Fetches an input into the cache: from the project's own stores first, then from its address.

use std::sync::Arc;

use super::InputCache;
use crate::config::{InputAddress, InputConfig};
use crate::effects::{Area, Store, blocking, files};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::layout;
use crate::http::download;
use crate::model::Digests;

/// An input that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedInput {
    /// What was fetched.
    pub digests: Digests,
    /// Where it was: a store, or an address.
    pub from: String,
    /// What was wrong with the places that were asked before, for people.
    pub notes: Vec<String>,
}

/// Fetches an input, whatever is in its place in the cache. `tell` hears from where, how many bytes have come, and of how many
/// if that is known.
///
/// # Errors
/// No place has it, or none has the bytes that the configuration names; then the cache is as it was.
pub async fn fetch(
    cache: &InputCache,
    input: &InputConfig,
    stores: &[Arc<dyn Store>],
    tell: &(dyn Fn(&str, u64, Option<u64>) + Sync),
) -> Result<FetchedInput> {
    let mut notes = Vec::new();
    for store in stores {
        let from = format!("store `{}`", store.name());
        match from_store(cache, input, &**store, &|done, of| tell(&from, done, of)).await {
            Ok(Some(digests)) => return Ok(FetchedInput { digests, from, notes }),
            Ok(None) => {}
            Err(e) => notes.push(format!("{from}: {}", e.message())),
        }
    }
    let from = input.from.to_string();
    match from_address(cache, input, &|done, of| tell(&from, done, of)).await {
        Ok(digests) => Ok(FetchedInput { digests, from, notes }),
        Err(e) => Err(notes.into_iter().fold(e.context(format!("input `{}`", input.name)), Error::detail)),
    }
}

async fn from_store(
    cache: &InputCache,
    input: &InputConfig,
    store: &dyn Store,
    tell: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<Option<Digests>> {
    let path = layout::input(&input.sha256);
    let Some(mut source) = store.get(&Area::Public, &path).await? else { return Ok(None) };
    let size = store.stat(&Area::Public, &path).await?.map(|stat| stat.size);
    tell(0, size);
    blocking(|| {
        let mut incoming = cache.objects.incoming()?;
        files::copy(&mut *source, &mut incoming).context(format!("cannot read `{path}`"))?;
        incoming.keep(Some(&input.sha256)).map(Some)
    })
}

async fn from_address(
    cache: &InputCache,
    input: &InputConfig,
    tell: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<Digests> {
    let mut incoming = cache.objects.incoming()?;
    match &input.from {
        InputAddress::Web(url) => download(url, &mut incoming, tell).await?,
        InputAddress::File(path) => {
            let what = || format!("cannot read `{}`", path.display());
            let absent = || Error::input(format!("{}: there is no such file", what()));
            let mut source = cache.disk.open(path).context(what())?.ok_or_else(absent)?;
            tell(0, cache.disk.entry(path).context(what())?.map(|entry| entry.size));
            blocking(|| files::copy(&mut *source, &mut incoming)).context(what())?;
        }
    }
    blocking(|| incoming.keep(Some(&input.sha256))).map_err(|e| match e.kind() {
        ErrorKind::Verification => e
            .detail(format!("from: {}", input.from))
            .hint("nothing was kept: find out whether the file was replaced or `sha256` in its `[[input]]` is wrong"),
        _ => e,
    })
}
