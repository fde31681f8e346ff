//! The trust root and the certificates that a store serves.

use super::converge::{replaced, until_ours};
use crate::effects::{Store, read_public};
use crate::error::Result;
use crate::formats::layout;
use crate::formats::openpgp::Certificate;
use crate::model::Fingerprint;
use crate::trust::{self, Root, TrustedRoot};

/// The trust root and the certificates: for a stranger's keyring, never as evidence. What a machine with a newer root put
/// there stays.
pub(crate) async fn publish(store: &dyn Store, trust: &TrustedRoot) -> Result<()> {
    let path = layout::key(trust::FILE);
    if let Some(bytes) = read_public(store, &path).await?
        && Root::from_bytes(&bytes, &path).is_ok_and(|r| r.version > trust.root.version)
    {
        return Ok(());
    }
    for (name, bytes) in &trust.published {
        let path = layout::key(name);
        match name.strip_suffix(".asc").filter(|n| n.parse::<Fingerprint>().is_ok()) {
            Some(_) => merge(store, &path, bytes).await?,
            None => replace(store, &path, bytes).await?,
        }
    }
    Ok(())
}

/// Brings a served certificate to everything that is known of it, here and there: another machine may have seen a revocation,
/// or the signature by which a key counted before its expiry was extended. What is there and no such certificate goes.
async fn merge(store: &dyn Store, path: &str, bytes: &[u8]) -> Result<()> {
    let ours = Certificate::parse(bytes, path)?;
    until_ours(store, &format!("`{path}`"), || async {
        let there = read_public(store, path).await?;
        let known = there.as_ref().and_then(|b| Certificate::parse(b, path).ok()).and_then(|c| c.merged(&ours).ok());
        let merged = known.as_ref().unwrap_or(&ours).armored()?.into_bytes();
        Ok(replaced(store, path, there.as_deref(), &merged).await?.then_some(()))
    })
    .await
}

/// Brings a public object to these bytes; for what is the same whoever writes it.
async fn replace(store: &dyn Store, path: &str, bytes: &[u8]) -> Result<()> {
    until_ours(store, &format!("`{path}`"), || async {
        let there = read_public(store, path).await?;
        Ok(replaced(store, path, there.as_deref(), bytes).await?.then_some(()))
    })
    .await
}
