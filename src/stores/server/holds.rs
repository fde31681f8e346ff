//! Names that one train holds at a time, on every machine that uses the server.
//!
//! A hold is an object that is replaced by comparison and never removed, because servers remove without comparing. One that is
//! free says so.

use super::store::{STAGING, ServerStore};
use super::{ObjectSource, read_all};
use crate::effects::PutNew;
use crate::error::{Error, Result};
use crate::model::Stat;
use crate::stores::path;

/// Where the names are that are held.
const HELD: &str = ".held";
/// What a free hold says; a held one says who has it, after `TAKEN`.
const FREE: &[u8] = b"free\n";
const TAKEN: &[u8] = b"held by\n";
/// How often a hold may be lost to somebody else between reading it and replacing it.
const ATTEMPTS: usize = 32;

fn key_of(what: &str) -> Result<String> {
    path::check_train(what)?;
    Ok(format!("{STAGING}/{HELD}/{what}"))
}

impl ServerStore {
    pub(super) async fn take(&self, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = key_of(what)?;
        let taken = [TAKEN, holder].concat();
        for _ in 0..ATTEMPTS {
            match self.holder(&key).await? {
                None => {
                    if self.server.create(&key, ObjectSource::Bytes(&taken)).await? == PutNew::Created {
                        return Ok(None);
                    }
                }
                Some((_, Some(there))) => return Ok(Some(there).filter(|there| there != holder)),
                Some((stat, None)) => {
                    if self.server.swap(&key, &stat, &taken).await? {
                        return Ok(None);
                    }
                }
            }
        }
        Err(contended(&key))
    }

    pub(super) async fn give_back(&self, what: &str, holder: &[u8]) -> Result<()> {
        let key = key_of(what)?;
        for _ in 0..ATTEMPTS {
            match self.holder(&key).await? {
                Some((stat, Some(there))) if there == holder => {
                    if self.server.swap(&key, &stat, FREE).await? {
                        return Ok(());
                    }
                }
                _ => return Ok(()),
            }
        }
        Err(contended(&key))
    }

    /// The hold, if there is one, and who has it, if somebody has.
    async fn holder(&self, key: &str) -> Result<Option<(Stat, Option<Vec<u8>>)>> {
        let Some(opened) = self.server.open(key).await? else { return Ok(None) };
        let stat = opened.stat.clone();
        let bytes = read_all(opened, key)?;
        if bytes == FREE {
            return Ok(Some((stat, None)));
        }
        match bytes.strip_prefix(TAKEN) {
            Some(holder) => Ok(Some((stat, Some(holder.to_vec())))),
            None => Err(Error::conflict(format!("the object `{key}` is not a hold of lifeboat's"))
                .hint("nothing was changed: find out who wrote it, and remove it")),
        }
    }
}

fn contended(key: &str) -> Error {
    Error::transient(format!("others keep changing `{key}`")).hint("run `lifeboat ship` again")
}
