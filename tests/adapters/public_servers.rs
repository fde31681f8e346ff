//! What strangers see of a store behind the servers of `docs/stores.md`: its pages and files, no list, and nothing private.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::fs;
use std::path::Path;

use lifeboat::effects::Area;
use lifeboat::model::Digests;

use crate::support::radosgw::Bucket;
use crate::support::servers::{Caddy, Nginx};
use crate::webdav::asked;

const PUBLIC: [&str; 5] =
    ["index.html", "releases/index.json", "releases/1.0.0/a.tar.gz", "keys/trust.json", ".well-known/security.txt"];
const PRIVATE: [&str; 3] = [".staging/train-1/releases/1.0.0/a.tar.gz", ".staging/.held/main", "releases/.a.lifeboat"];

/// A store as a train leaves it on a disk.
fn fill(root: &Path) {
    for path in PUBLIC.iter().chain(&PRIVATE) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "bytes").unwrap();
    }
}

fn shows_what_is_public(ask: impl Fn(&str) -> Option<Vec<u8>>) {
    for path in PUBLIC.iter().map(|path| format!("/{path}")).chain(["/".to_owned()]) {
        assert_eq!(ask(&path).as_deref(), Some(&b"bytes"[..]), "{path}");
    }
    let private = PRIVATE.iter().map(|path| format!("/{path}"));
    let lists = ["/releases/1.0.0/", "/keys/", "/.staging/", "/.staging", "/.staging/train-1/", "/.well-known/"];
    let tricks = ["//.staging/.held/main", "/keys/../.staging/.held/main", "/%2estaging/.held/main"];
    for path in private.chain(lists.iter().chain(&tricks).map(|&path| path.to_owned())) {
        assert_eq!(ask(&path), None, "{path}");
    }
}

#[test]
fn nginx_shows_no_list_and_nothing_private() {
    let base = crate::support::scratch();
    let nginx = Nginx::start(base.path());
    fill(&nginx.root);
    shows_what_is_public(|path| asked(nginx.public, path));
}

#[test]
fn caddy_shows_no_list_and_nothing_private() {
    let base = crate::support::scratch();
    let root = base.path().join("releases");
    fill(&root);
    let caddy = Caddy::start(&root, base.path());
    shows_what_is_public(|path| asked(caddy.port, path));
    let head = cache_control(&format!("http://127.0.0.1:{}/releases/index.json", caddy.port));
    assert_eq!(head.as_deref(), Some("no-cache"));
}

/// The `Cache-Control` of an answer.
fn cache_control(url: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(reqwest::get(url)).unwrap();
    Some(answer.headers().get("cache-control")?.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_shows_no_list_and_nothing_private() {
    let (bucket, dir) = (Bucket::new(), tempfile::tempdir().unwrap());
    let (store, source) = (bucket.store(), dir.path().join("source"));
    fs::write(&source, "bytes").unwrap();
    for path in PUBLIC {
        store.put_new(&Area::Public, path, &source, &Digests::of(b"bytes")).await.unwrap();
    }
    let staging = Area::Staging("train-1".to_owned());
    store.put_new(&staging, "releases/1.0.0/a.tar.gz", &source, &Digests::of(b"bytes")).await.unwrap();
    assert_eq!(store.hold("main", b"holder").await.unwrap(), None);
    for path in PUBLIC {
        assert_eq!(bucket.as_a_stranger(path).unwrap().1, b"bytes", "{path}");
    }
    for key in bucket.keys(".staging/") {
        assert!(bucket.as_a_stranger(&key).is_none(), "{key}");
    }
    for list in ["", "?list-type=2", "?list-type=2&prefix=.staging/", "?uploads", "?versions", "?policy", "?acl"] {
        let answer = reqwest::get(format!("{}{list}", bucket.url())).await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "{list}");
    }
}
