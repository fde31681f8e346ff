//! Ceph's radosgw, one for a test binary, and buckets in it as `docs/stores.md` sets them up.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lifeboat::effects::Store;
use object_store::ObjectStoreExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer as _};
use reqwest::Method;

use super::servers::quiet_port;

/// The access key of every bucket.
pub const ACCESS_KEY: &str = "relkey";
/// Its secret.
pub const SECRET_KEY: &str = "relsecretrelsecret";

/// The server; it ends with this process, since its script waits for the end of its standard input.
struct Server {
    _script: Child,
    port: u16,
}

/// The server of this process.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        for program in ["radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "curl"] {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|dir| dir.join(program).exists());
            assert!(found, "`{program}` is needed: apt-get install radosgw ceph-mon ceph-osd ceph-common curl");
        }
        // Another process may take a port between the look and the server.
        (0..5)
            .find_map(|_| start().ok())
            .unwrap_or_else(|| start().unwrap_or_else(|log| panic!("radosgw does not start: {log}")))
    })
}

fn start() -> Result<Server, String> {
    let dir = tempfile::tempdir().unwrap().keep();
    let ports = [quiet_port(), quiet_port(), quiet_port()];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/radosgw.sh");
    let mut script = Command::new("bash")
        .arg(script)
        .arg(&dir)
        .args(ports.iter().map(u16::to_string))
        .arg((12_u64 << 30).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(script.stdout.take().unwrap()).read_line(&mut said).unwrap();
    match said.as_str() {
        "ready\n" => Ok(Server { _script: script, port: ports[2] }),
        said => Err(format!("it says `{said}`")),
    }
}

/// Runs what is asynchronous from a test that is not, or from within another runtime.
pub fn wait<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|s| {
        let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
        s.spawn(run).join().unwrap()
    })
}

/// A bucket with the policy of `docs/stores.md`.
#[derive(Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Where the server is.
    pub endpoint: String,
    admin: AmazonS3,
}

impl Bucket {
    /// A new one, with the policy.
    pub fn new() -> Self {
        let bucket = Self::without_policy();
        bucket.set_documented_policy();
        bucket
    }

    /// A new one that shows nothing to anybody.
    pub fn without_policy() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("releases-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let endpoint = format!("http://127.0.0.1:{}", server().port);
        let admin = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_bucket_name(&name)
            .with_region("us-east-1")
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(SECRET_KEY)
            .with_allow_http(true)
            .build()
            .unwrap();
        let bucket = Self { name, endpoint, admin };
        bucket.signed(Method::PUT, &[], "");
        bucket
    }

    /// Where strangers find it.
    pub fn url(&self) -> String {
        format!("{}/{}", self.endpoint, self.name)
    }

    /// Sends what the library has no call for.
    pub fn signed(&self, method: Method, query: &[(&str, &str)], body: &str) -> String {
        wait(async {
            let options = SignedUrlOptions::new().with_query(query.iter().copied());
            let minute = Duration::from_secs(60);
            let url = self.admin.signed_url_opts(method.clone(), &Key::default(), minute, &options).await.unwrap();
            let answer = reqwest::Client::new().request(method, url).body(body.to_owned()).send().await.unwrap();
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            assert!(status.is_success(), "{status}: {text}");
            text
        })
    }

    /// Says who sees what.
    pub fn set_policy(&self, policy: &str) {
        self.signed(Method::PUT, &[("policy", "")], policy);
    }

    /// The policy of `docs/stores.md`.
    pub fn set_documented_policy(&self) {
        self.set_policy(&policy(&self.name));
    }

    /// From now on it keeps what was there before.
    pub fn keep_versions(&self) {
        let on = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status>\
                  </VersioningConfiguration>";
        self.signed(Method::PUT, &[("versioning", "")], on);
    }

    /// All keys that begin so.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        wait(async {
            let (mut found, mut token) = (Vec::new(), None);
            loop {
                let options = PaginatedListOptions { page_token: token, ..PaginatedListOptions::default() };
                let page = self.admin.list_paginated(Some(prefix), options).await.unwrap();
                found.extend(page.result.objects.iter().map(|o| o.location.to_string()));
                token = page.page_token;
                if token.is_none() {
                    return found;
                }
            }
        })
    }

    /// Writes all objects into an empty directory.
    pub fn save_to(&self, dir: &Path) {
        drop(std::fs::remove_dir_all(dir));
        std::fs::create_dir_all(dir).unwrap();
        let keys = self.keys("");
        wait(async {
            for key in keys {
                let bytes = self.admin.get(&Key::parse(&key).unwrap()).await.unwrap().bytes().await.unwrap();
                let path = dir.join(&key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
        });
    }

    /// Puts these files of a directory in the place of all objects.
    pub fn fill_from(&self, dir: &Path, files: Vec<(String, u32)>) {
        let old = self.keys("");
        wait(async {
            for key in old {
                self.admin.delete(&Key::parse(&key).unwrap()).await.unwrap();
            }
            for (path, _) in files {
                let bytes = std::fs::read(dir.join(&path)).unwrap();
                self.admin.put(&Key::parse(&path).unwrap(), bytes.into()).await.unwrap();
            }
        });
    }

    /// What anybody reads of each key, with the headers of the answer.
    pub fn as_a_stranger(&self, key: &str) -> Option<(reqwest::header::HeaderMap, Vec<u8>)> {
        wait(async {
            let answer = reqwest::get(format!("{}/{}", self.url(), key.replace('+', "%2B"))).await.unwrap();
            if !answer.status().is_success() {
                return None;
            }
            Some((answer.headers().clone(), answer.bytes().await.unwrap().to_vec()))
        })
    }

    /// Everything that anybody can read.
    pub fn strangers_see(&self) -> Vec<(String, Vec<u8>)> {
        let keys = self.keys("");
        let mut seen: Vec<_> =
            keys.into_iter().filter_map(|key| Some((key.clone(), self.as_a_stranger(&key)?.1))).collect();
        seen.sort();
        seen
    }

    /// The table of a store in the configuration, whose server is at `endpoint`.
    pub fn table(&self, endpoint: &str) -> String {
        format!("endpoint = \"{endpoint}\"\naccess_key = {{ env = \"KEY\" }}\nsecret_key = {{ env = \"SECRET\" }}\n")
    }

    /// The store, as a configuration opens it.
    pub fn store(&self) -> std::sync::Arc<dyn Store> {
        self.store_through(&self.endpoint)
    }

    /// The store, whose server is reached at `endpoint`.
    pub fn store_through(&self, endpoint: &str) -> std::sync::Arc<dyn Store> {
        super::stores::open(&format!("s3://{}", self.name), &self.table(endpoint), |name| match name {
            "KEY" => ACCESS_KEY.to_owned(),
            "SECRET" => SECRET_KEY.to_owned(),
            other => panic!("no secret `{other}` is needed"),
        })
    }
}

/// The policy of `docs/stores.md`, for another bucket.
fn policy(bucket: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stores.md")).unwrap();
    let (_, rest) = page.split_once("```json\n").expect("docs/stores.md has a policy");
    rest.split_once("```").unwrap().0.replace("acme-releases", bucket)
}
