//! Who may create an object, where creating it is not one act of the server.
//!
//! A claim is a small object that is created as one act and says which bytes will be at a key. Whoever has the same bytes may go
//! on with it, since putting equal bytes twice does no harm: so nothing waits for a machine that died. Whoever has other bytes
//! waits until the object is there, and leaves it as it is. A claim goes when its object is there, which stays.

use std::future::Future;
use std::time::{Duration, Instant};

use super::store::{STAGING, ServerStore};
use super::{ObjectSource, read_all};
use crate::effects::PutNew;
use crate::error::{Error, Result};
use crate::model::Sha256;

/// Where claims are.
const CLAIMS: &str = ".claims";
/// How long somebody else's claim is waited for; what takes longer takes another attempt of the step.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

impl ServerStore {
    /// Creates the object at `key`, which is to have the digest `sha256`, by `make`, unless there is one.
    pub(super) async fn claimed(
        &self,
        key: &str,
        sha256: &Sha256,
        make: impl Future<Output = Result<PutNew>>,
    ) -> Result<PutNew> {
        let claim = format!("{STAGING}/{CLAIMS}/{}", Sha256::of(key.as_bytes()).hex());
        let ours = format!("{key}\nsha256:{sha256}\n").into_bytes();
        let since = Instant::now();
        loop {
            if self.server.stat(key).await?.is_some() {
                return Ok(PutNew::Existed);
            }
            if self.server.create(&claim, ObjectSource::Bytes(&ours)).await? == PutNew::Created {
                break;
            }
            // One that is gone by now has been fulfilled.
            let Some(theirs) = self.server.open(&claim).await? else { continue };
            if read_all(theirs, &claim)? == ours {
                break;
            }
            if since.elapsed() > PATIENCE {
                return Err(Error::transient(format!("somebody else is putting other bytes at `{key}`")).hint(format!(
                    "run `lifeboat ship` again; if nobody is at work there any more, remove the object `{claim}` first"
                )));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        // It may have come between the read and the claim.
        let done = match self.server.stat(key).await? {
            Some(_) => PutNew::Existed,
            None => make.await?,
        };
        self.server.delete(&claim).await?;
        Ok(done)
    }

    /// Removes what machines that died left: the claims whose objects are there, and those of a train's staging area, which
    /// is about to be removed.
    pub(super) async fn remove_dead_claims(&self, train: &str) -> Result<()> {
        let staged = format!("{STAGING}/{train}/");
        for claim in self.server.list(&format!("{STAGING}/{CLAIMS}")).await? {
            let Some(opened) = self.server.open(&claim).await? else { continue };
            let text = read_all(opened, &claim)?;
            let key = text.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
            if let Some(key) = key
                && (key.starts_with(&staged) || self.server.stat(key).await?.is_some())
            {
                self.server.delete(&claim).await?;
            }
        }
        Ok(())
    }
}
