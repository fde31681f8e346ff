//! Servers of a store whose answers never end: each list and each small object has an end here.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lifeboat::effects::{Area, Comparison, Store, Tried, read_public};
use lifeboat::error::{Error, ErrorKind};

/// The start of an answer, and what comes again and again after it; nothing more if that is empty.
type Answer = (String, Vec<u8>);

/// A server that answers each request (its first line) so; gives its address and how many requests came.
fn server(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (answer, count) = (answer.clone(), counted.clone());
            std::thread::spawn(move || drop(serve(&client.unwrap(), &*answer, &count)));
        }
    });
    (url, count)
}

fn serve(client: &TcpStream, answer: &dyn Fn(&str, usize) -> Answer, count: &AtomicUsize) -> std::io::Result<()> {
    let (mut request, mut first, mut length) = (BufReader::new(client), String::new(), 0);
    request.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.trim().to_ascii_lowercase().strip_prefix("content-length:") {
            Some(n) => length = n.trim().parse().unwrap(),
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    request.read_exact(&mut vec![0; length])?;
    let (start, again) = answer(&first, count.fetch_add(1, Ordering::Relaxed));
    let mut client = client;
    client.write_all(start.as_bytes())?;
    while !again.is_empty() {
        client.write_all(&again)?;
    }
    Ok(())
}

/// An answer of this status and text, whole.
fn whole(status: &str, text: &str) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nConnection: close\r\n");
    (format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()), Vec::new())
}

/// An answer that never ends, after this start of its text.
fn endless(status: &str, start: &str, again: &str) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\nLast-Modified: Tue, 24 Feb 2026 00:00:00 GMT\r\nETag: \"x\"\r\n");
    (format!("{head}Connection: close\r\n\r\n{start}"), again.repeat(1 + 65536 / again.len()).into_bytes())
}

fn bucket(endpoint: &str) -> Arc<dyn Store> {
    crate::webdav::configured(&format!(
        "url = \"s3://releases\"\nendpoint = \"{endpoint}\"\naccess_key = {{ env = \"KEY\" }}\nsecret_key = {{ env = \"SECRET\" }}\n"
    ))
}

fn web(url: &str) -> Arc<dyn Store> {
    let url = url.replace("http://", "dav://");
    crate::webdav::configured(&format!(
        "url = \"{url}/\"\nuser = \"release\"\npassword = {{ env = \"DAV_PASSWORD\" }}\n"
    ))
}

#[track_caller]
fn refuses<T>(result: Result<T, Error>, says: &str) {
    let Err(e) = result else { panic!("it must be refused") };
    assert_eq!(e.kind(), ErrorKind::Verification, "{}", e.report());
    assert!(e.report().contains(says), "{}", e.report());
}

const LIST: &str = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                    <IsTruncated>true</IsTruncated><NextContinuationToken>on</NextContinuationToken>";

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_of_a_bucket_end() {
    // Pages of a list that lead to each other, each with as many keys as a page has.
    let page = |n: usize| {
        let key = |i: usize| {
            format!(
                "<Contents><Key>releases/{n}-{i}</Key><Size>1</Size><LastModified>2026-02-24T00:00:00.000Z</LastModified>\
                 <ETag>&quot;x&quot;</ETag></Contents>"
            )
        };
        format!("{LIST}{}</ListBucketResult>", (0..1000).map(key).collect::<String>())
    };
    let (url, count) = server(move |_, n| whole("200 OK", &page(n)));
    refuses(
        bucket(&url).list(&Area::Public, "releases").await,
        "the server lists more than 100000 names in `releases`",
    );
    assert!(count.load(Ordering::Relaxed) <= 250, "{count:?}");
    refuses(bucket(&url).digest_signatures().await, "the server lists more than 100000 names");
    // Pages without a name that lead to each other.
    let (url, count) = server(move |_, _| whole("200 OK", &format!("{LIST}</ListBucketResult>")));
    refuses(
        bucket(&url).list(&Area::Public, "releases").await,
        "the server's list of `releases` has 100 pages in a row without a name",
    );
    assert!(count.load(Ordering::Relaxed) <= 110, "{count:?}");
    // A page without end.
    let entry = "<Contents><Key>releases/x</Key></Contents>";
    let (url, _) = server(move |_, _| endless("200 OK", LIST, entry));
    refuses(bucket(&url).list(&Area::Public, "releases").await, "the server answers with more than 33554432 bytes");
    refuses(bucket(&url).probe().await, "the server answers with more than");
    // And so is what it says of a failure.
    let (url, _) = server(|_, _| endless("403 Forbidden", "<Error>", "<x/>"));
    refuses(bucket(&url).probe().await, "the server answers with more than");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_of_a_web_server_end() {
    const RESPONSE: &str = "<D:response><D:href>/x</D:href></D:response>";
    let start = "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">";
    let (url, _) = server(move |_, _| endless("207 Multi-Status", start, RESPONSE));
    refuses(web(&url).list(&Area::Public, "releases").await, "the server answers with more than 33554432 bytes");
    // A directory in each directory: none of ours is so deep.
    let (url, count) = server(move |first, _| {
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let inner = |name: &str| {
            let kind = "<D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop></D:propstat>";
            format!("<D:response><D:href>{path}{name}/</D:href>{kind}</D:response>")
        };
        whole("207 Multi-Status", &format!("{start}{}</D:multistatus>", inner("deeper-and-deeper-into-the-server")))
    });
    assert_eq!(web(&url).list(&Area::Public, "releases").await.unwrap(), [""; 0]);
    assert!(count.load(Ordering::Relaxed) < 50, "{count:?}");
}

/// What is read whole, such as an index, has an end; what is streamed is compared with its digests.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_object_ends() {
    let (url, _) = server(|_, _| {
        let (head, again) = endless("200 OK", "", "{\"type\": \"lifeboat-index\"}\n");
        (head.replace("Connection", "Content-Length: 1000000000\r\nConnection"), again)
    });
    for store in [bucket(&url), web(&url)] {
        let says = "`releases/index.json` is longer than the 4194304 bytes that it may have";
        refuses(read_public(&*store, "releases/index.json").await, says);
        let old = lifeboat::model::Sha256::of(b"old");
        refuses(store.replace_if("releases/index.json", Some(&old), b"new").await, "is longer than the 4194304 bytes");
    }
}

/// What a server does not answer now is not known: neither good nor bad.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_passing_is_not_known() {
    let empty = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>";
    let (url, _) = server(move |first, _| {
        let lists = first.starts_with("GET") && first.contains("list-type=");
        if lists {
            whole("200 OK", empty)
        } else {
            whole("503 Service Unavailable", "<Error><Code>SlowDown</Code></Error>")
        }
    });
    let habits = bucket(&url).habits().await.unwrap();
    assert_eq!(habits.comparison, Comparison::Unknown);
    for tried in [habits.resumes, habits.presigns, habits.versions] {
        assert!(matches!(&tried, Tried::Unknown(why) if why.contains("503 SlowDown")), "{tried:?}");
    }
    assert_eq!(bucket(&url).check().await.unwrap_err().kind(), ErrorKind::Transient);
}
