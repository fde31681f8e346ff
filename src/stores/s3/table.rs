//! The keys of a `[[store]]` whose `url` is `s3://…`.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;

use super::Bucket;
use crate::adapter::{Adapter, Around, Settings, Spec, StoreFacts, StoreTable};
use crate::effects::{SecretResolver, Store, Transfers};
use crate::error::{Error, Result};
use crate::http::host;
use crate::model::{Secret, SecretRef, StoreName, TransferLimits};
use crate::stores::path;
use crate::stores::server::ServerStore;
use crate::table::{Fault, Faults, RawSecret, Table, Text, keys, keys_of, secrets, server_address};

/// The kind of store that is a bucket.
pub(in crate::stores) const ADAPTER: Adapter<dyn Store> = Adapter {
    kind: "s3",
    about: "a bucket of S3, or of a server that speaks like it",
    example: "s3://bucket/prefix",
    keys: keys_of::<RawBucket>(),
    programs: &[],
    facts: StoreFacts { takes_paths: false },
    parse,
};

keys! {
    /// A bucket of S3, or of a server that speaks like it.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawBucket {
        /// The server's address, without the bucket, such as `https://s3.eu-central-1.amazonaws.com`.
        endpoint: Text,
        /// The region, which signatures name; servers of one's own mostly take any.
        region: Option<Text> = r#""us-east-1""#,
        /// Where the id of its access key is found.
        access_key: Option<RawSecret> = "none: `plan` refuses it",
        /// Where the secret that belongs to `access_key` is found.
        secret_key: Option<RawSecret> = "none: `plan` refuses it",
    }
}

/// Where a bucket is, and how it is let in.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) name: StoreName,
    /// Without final slash.
    pub(super) endpoint: String,
    pub(super) region: String,
    pub(super) bucket: String,
    /// What every key begins with: empty, or with a final slash.
    pub(super) prefix: String,
    access_key: Option<SecretRef>,
    secret_key: Option<SecretRef>,
}

impl Spot {
    /// As messages and the plan name it.
    pub(super) fn place(&self) -> String {
        format!("s3://{}/{} at {}", self.bucket, self.prefix, self.endpoint)
    }

    /// The access key and its secret.
    ///
    /// # Errors
    /// The trust root does not let the server have them, or they cannot be read.
    pub(super) fn credentials(&self, secrets: &SecretResolver, hosts: &BTreeSet<String>) -> Result<(Secret, Secret)> {
        let (Some(access), Some(secret)) = (&self.access_key, &self.secret_key) else { return Err(self.lacks_keys()) };
        if !host(&self.endpoint).is_some_and(|host| hosts.contains(&host)) {
            return Err(Error::input(format!("the trust root does not let `{}` have credentials", self.endpoint))
                .hint("if it is the right host, put it under `hosts` in a new `keys/trust.json`: `lifeboat trust show` says which are there"));
        }
        Ok((secrets(access)?, secrets(secret)?))
    }

    fn lacks_keys(&self) -> Error {
        Error::input(format!("store `{}` has no access key", self.name)).hint(
            "add both keys to its table, such as `access_key = { env = \"RELEASES_ACCESS_KEY\" }` and `secret_key = { env = \
             \"RELEASES_SECRET_KEY\" }`",
        )
    }
}

/// A checked table.
#[derive(Debug)]
struct Configured {
    spot: Spot,
    public_url: Option<String>,
    transfers: TransferLimits,
}

fn parse(common: &StoreTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Store>> {
    let base = table.base().to_owned();
    let raw: RawBucket = table.read(faults)?;
    let endpoint = server_address(&raw.endpoint, "a bucket is asked over TLS only", faults);
    let mut reference = |raw: Option<RawSecret>| raw.and_then(|r| faults.keep(secrets::reference(&r, &base)));
    let (access_key, secret_key) = (reference(raw.access_key), reference(raw.secret_key));
    let Some((bucket, prefix)) = bucket_of(common.url.get_ref()) else {
        let message = "this is not the address of a bucket";
        let label = "expected `s3://`, the bucket's name, and a path in it if it is shared, as in `s3://acme-releases` or \
                     `s3://acme/releases`";
        faults.add(Fault::new(common.url.span(), message, label));
        return None;
    };
    let region = raw.region.map_or_else(|| "us-east-1".to_owned(), Text::into_inner);
    let spot = Spot { name: common.name.clone(), endpoint, region, bucket, prefix, access_key, secret_key };
    Some(Arc::new(Configured { spot, public_url: common.public_url.clone(), transfers: common.transfers }))
}

/// The bucket and the prefix of an address.
fn bucket_of(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>; other servers take capitals, too.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let named = (3..=63).contains(&bucket.len()) && bucket.chars().all(plain) && !bucket.starts_with(['.', '-', '_']);
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let fits = prefix.is_empty() || path::check(prefix.trim_end_matches('/')).is_ok();
    (named && fits && !bucket.contains("..")).then(|| (bucket.to_owned(), prefix))
}

impl Settings<dyn Store> for Configured {
    fn place(&self) -> String {
        self.spot.place()
    }

    fn public_address(&self) -> String {
        let Spot { endpoint, bucket, prefix, .. } = &self.spot;
        format!("{endpoint}/{bucket}/{prefix}")
    }

    fn pins(&self) -> Vec<(&'static str, String)> {
        vec![("region", self.spot.region.clone())]
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let keys = [("access_key", &self.spot.access_key), ("secret_key", &self.spot.secret_key)];
        keys.into_iter().filter_map(|(key, found)| Some((key, found.as_ref()?))).collect()
    }

    fn hosts(&self) -> Vec<String> {
        host(&self.spot.endpoint).into_iter().collect()
    }

    fn lacks_nothing(&self) -> Result<()> {
        match (&self.spot.access_key, &self.spot.secret_key) {
            (Some(_), Some(_)) => Ok(()),
            _ => Err(self.spot.lacks_keys()),
        }
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Store>> {
        let own = self.public_address();
        let base = self.public_url.as_ref().unwrap_or(&own);
        let transfers = Transfers::new(self.transfers, &around.clock);
        let bucket = Bucket {
            spot: self.spot.clone(),
            secrets: around.secrets.clone(),
            hosts: around.hosts.clone(),
            transfers: transfers.clone(),
            client: OnceLock::new(),
        };
        Ok(Arc::new(ServerStore::new(self.spot.name.clone(), base, Arc::new(bucket), transfers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_buckets() {
        let of = |url: &str| bucket_of(url).map(|(bucket, prefix)| format!("{bucket}|{prefix}"));
        assert_eq!(of("s3://acme-releases").as_deref(), Some("acme-releases|"));
        assert_eq!(of("s3://acme.releases/").as_deref(), Some("acme.releases|"));
        assert_eq!(of("s3://acme/a/b/").as_deref(), Some("acme|a/b/"));
        for bad in [
            "s3://",
            "s3://a",
            "s3:///x",
            "s3://acme/../x",
            "s3://acme//x",
            "s3://acme?x",
            "s3://u:p@acme",
            "s3://ac..me",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
