//! A file that anybody may fetch, of any size, written while it comes; its digest says whether it is the right one.

use std::io::Write;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use crate::effects::blocking;
use crate::error::{Context as _, Error, ErrorKind, Result};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How many redirects are followed: places of downloads send to their servers of files, and these to others.
const REDIRECTS: usize = 10;

/// The longest file, in bytes: a server that never ends must not fill the disk.
const LONGEST: u64 = 64 << 30;

/// Reads the file at an address, without credentials, and hands its bytes to `out`. `tell` hears how many have come, and of
/// how many, if the server says so.
///
/// # Errors
/// [`ErrorKind::Unreachable`] of a server that does not answer or stops in the middle; one that does not have the file, that
/// leads from TLS to a connection without, or whose file does not end; the writer's.
pub(crate) async fn download(
    url: &str,
    out: &mut (dyn Write + Send),
    tell: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<()> {
    let what = || format!("cannot read `{url}`");
    let client = Client::builder()
        .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::custom(|attempt| {
            let bare = |url: &Url| url.scheme() != "https";
            if bare(attempt.url()) && attempt.previous().iter().any(|url| !bare(url)) {
                return attempt.error("the server redirects to an address without TLS");
            }
            if attempt.previous().len() > REDIRECTS {
                return attempt.error("the server redirects too often");
            }
            attempt.follow()
        }))
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .build()
        .context("cannot set up HTTP")?;
    let mut answer = client.get(url).send().await.map_err(|e| failed(what(), e))?;
    match answer.status() {
        StatusCode::OK => {}
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Error::new(ErrorKind::Unreachable, format!("{}: the server says {status}", what()))
                .hint("try again later"));
        }
        status => return Err(Error::fatal(format!("{}: the server says {status}", what()))),
    }
    let (length, mut done) = (answer.content_length(), 0);
    tell(done, length);
    while let Some(piece) = answer.chunk().await.map_err(|e| failed(what(), e))? {
        done += piece.len() as u64;
        if done > LONGEST {
            return Err(Error::fatal(format!("{}: it is longer than {LONGEST} bytes", what())));
        }
        blocking(|| out.write_all(&piece)).context("cannot keep what was read")?;
        tell(done, length);
    }
    Ok(())
}

fn failed(what: String, e: reqwest::Error) -> Error {
    let kind = if e.is_redirect() { ErrorKind::Verification } else { ErrorKind::Unreachable };
    // The outer error only repeats the address; the innermost says what happened.
    let mut cause: &dyn std::error::Error = &e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::new(kind, what).because(cause.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use parking_lot::Mutex;

    use super::*;

    /// Asks a server that gives these answers, one to a connection.
    async fn asked(answers: &[&str]) -> (Result<()>, String, Vec<(u64, Option<u64>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let answers: Vec<String> = answers.iter().map(|a| a.replace("URL", &url)).collect();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let (mut out, told) = (Vec::new(), Mutex::new(Vec::new()));
        let done = download(&url, &mut out, &|done, of| told.lock().push((done, of))).await;
        (done, String::from_utf8(out).unwrap(), told.into_inner())
    }

    #[tokio::test]
    async fn what_servers_say() {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfile";
        let (done, out, told) = asked(&[whole]).await;
        assert_eq!((done.map_err(|e| e.report()), out.as_str()), (Ok(()), "file"));
        assert_eq!((told.first(), told.last()), (Some(&(0, Some(4))), Some(&(4, Some(4)))));
        let away = "HTTP/1.1 302 Found\r\nLocation: URL\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert_eq!(asked(&[away, whole]).await.1, "file");
        for (answers, kind, why) in [
            (vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], ErrorKind::Fatal, "404"),
            (vec!["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], ErrorKind::Unreachable, "503"),
            // It ends in the middle.
            (vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfile"], ErrorKind::Unreachable, "cannot read"),
            (vec![away; REDIRECTS + 2], ErrorKind::Verification, "redirects too often"),
        ] {
            let e = asked(&answers).await.0.unwrap_err();
            assert!(e.kind() == kind && e.report().contains(why), "{}", e.report());
        }
    }
}
