//! What a server's XML says (RFC 4918 §14); pure.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};

use crate::error::{Context as _, Error, Result};
use crate::stores::server::Entry;

/// Asks for what a listing needs, and for no more.
pub(super) const PROPFIND: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
     <D:propfind xmlns:D=\"DAV:\"><D:prop><D:resourcetype/><D:getlastmodified/></D:prop></D:propfind>\n";

/// One resource of an answer to `PROPFIND`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resource {
    /// The path in its address, decoded.
    pub(super) path: String,
    pub(super) is_dir: bool,
    /// When it was changed, as the server writes it.
    pub(super) modified: String,
}

/// Calls `see` with the names of the elements of `DAV:` on the way to each element's start, and to each text.
fn walk(xml: &[u8], mut see: impl FnMut(&[Vec<u8>], Option<&str>)) -> Result<()> {
    let what = "the server's answer is not valid XML";
    let mut reader = NsReader::from_reader(xml);
    // What is open: a document that is cut must not look whole.
    let (mut path, mut began): (Vec<Vec<u8>>, bool) = (Vec::new(), false);
    loop {
        let (space, event) = reader.read_resolved_event().context(what)?;
        let is_dav = space == ResolveResult::Bound(Namespace(b"DAV:"));
        let name = |local: &[u8]| if is_dav { local.to_vec() } else { Vec::new() };
        match event {
            Event::Start(start) => {
                began = true;
                path.push(name(start.local_name().as_ref()));
                see(&path, None);
            }
            Event::Empty(start) => {
                path.push(name(start.local_name().as_ref()));
                see(&path, None);
                path.pop();
            }
            Event::End(_) => drop(path.pop()),
            Event::Text(text) => see(&path, Some(&text.decode().context(what)?)),
            // Written for a character that no name of ours has: the name must not become another one without it.
            Event::GeneralRef(_) | Event::CData(_) => see(&path, Some("&")),
            Event::Eof if began && path.is_empty() => return Ok(()),
            Event::Eof => return Err(Error::transient("the server's answer is cut")),
            _ => {}
        }
    }
}

/// Everything that an answer to `PROPFIND` lists.
///
/// # Errors
/// It is not XML, or ends early.
pub(super) fn resources(xml: &[u8]) -> Result<Vec<Resource>> {
    let mut found: Vec<Resource> = Vec::new();
    walk(xml, |path, text| {
        let path: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
        let Some(last) = found.last_mut().filter(|_| path.len() > 2) else {
            if matches!(*path, [b"multistatus", b"response"]) && text.is_none() {
                found.push(Resource::default());
            }
            return;
        };
        match (&path[2..], text) {
            // A lock's token has an element of that name too, deeper.
            ([b"href"], Some(text)) => last.path.push_str(text),
            ([b"propstat", b"prop", b"getlastmodified"], Some(text)) => last.modified.push_str(text),
            ([b"propstat", b"prop", b"resourcetype", b"collection"], None) => last.is_dir = true,
            _ => {}
        }
    })?;
    for resource in &mut found {
        let text = resource.path.trim();
        let address = text.split_once("://").map_or(text, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        resource.path = percent_decode_str(address).decode_utf8_lossy().into_owned();
    }
    Ok(found)
}

/// What is directly in the directory `dir`, a path that ends with a slash. What else a server lists is not in it.
pub(super) fn entries(resources: Vec<Resource>, dir: &str) -> Vec<(Entry, String)> {
    let inside = resources.into_iter().filter_map(|r| {
        let name = r.path.strip_prefix(dir)?.trim_end_matches('/');
        let plain = !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\\', '\0']);
        plain.then(|| (Entry { name: name.to_owned(), is_dir: r.is_dir }, r.modified))
    });
    inside.collect()
}

/// How long a lock lasts, by the answer to `LOCK`; the server decides that, whatever it was asked for.
///
/// # Errors
/// It is not XML.
pub(super) fn granted(xml: &[u8]) -> Result<Option<Duration>> {
    let mut found = None;
    walk(xml, |path, text| {
        if path.last().is_some_and(|name| name == b"timeout")
            && let Some(text) = text
        {
            let seconds = text.trim().strip_prefix("Second-").and_then(|n| n.parse().ok());
            found = found.or(seconds.map(Duration::from_secs));
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(responses: &str) -> Vec<(String, bool)> {
        let xml = format!("<?xml version=\"1.0\"?>\n<x:multistatus xmlns:x=\"DAV:\">{responses}</x:multistatus>");
        let found = entries(resources(xml.as_bytes()).unwrap(), "/dav/a/");
        found.into_iter().map(|(e, _)| (e.name, e.is_dir)).collect()
    }

    #[test]
    fn names_are_read_as_servers_write_them() {
        let one = |href: &str, kind: &str| {
            format!(
                "<x:response><x:href>{href}</x:href><x:propstat><x:prop><x:resourcetype>{kind}</x:resourcetype>\
                 <x:lockdiscovery><x:activelock><x:locktoken><x:href>/dav/a/token</x:href></x:locktoken></x:activelock>\
                 </x:lockdiscovery></x:prop><x:status>HTTP/1.1 200 OK</x:status></x:propstat></x:response>"
            )
        };
        let all = [
            one("/dav/a/", "<x:collection/>"),
            one("/dav/a/b", ""),
            one("http://host:1/dav/a/c%2Bd~1", ""),
            one("/dav/a/dir/", "<x:collection></x:collection>"),
            one("\n/dav/a/spaced\n", "<y:collection xmlns:y=\"else\"/>"),
        ];
        let want = [("b", false), ("c+d~1", false), ("dir", true), ("spaced", false)];
        assert_eq!(listed(&all.concat()), want.map(|(name, dir)| (name.to_owned(), dir)));
    }

    #[test]
    fn what_is_not_in_the_directory_is_not_listed() {
        for href in [
            "/dav/b",
            "/dav/a/../b",
            "/dav/a/..",
            "/dav/a/x/y",
            "/dav/a/%2e%2e/",
            "/dav/a/x%2fy",
            "/dav/ab",
            "",
            "http://host",
        ] {
            let found = listed(&format!("<x:response><x:href>{href}</x:href></x:response>"));
            assert_eq!(found, [], "{href}");
        }
        let found = listed("<x:response><x:href>/dav/a/b&amp;c</x:href></x:response>");
        assert_eq!(found, [("b&c".to_owned(), false)], "it is another name than `bc`, and none of ours");
    }

    #[test]
    fn an_answer_that_is_cut_is_not_a_shorter_one() {
        let whole = "<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/a</D:href></D:response></D:multistatus>";
        assert_eq!(resources(whole.as_bytes()).unwrap().len(), 1);
        for at in 1..whole.len() {
            assert!(resources(&whole.as_bytes()[..at]).is_err(), "{}", &whole[..at]);
        }
        assert!(resources(b"").is_err() && resources(b"<html><br></html>").is_err());
    }

    #[test]
    fn a_lock_lasts_as_long_as_the_server_says() {
        let of = |timeout: &str| {
            let xml = format!(
                "<D:prop xmlns:D=\"DAV:\"><D:lockdiscovery><D:activelock><D:timeout>{timeout}</D:timeout>\
                 </D:activelock></D:lockdiscovery></D:prop>"
            );
            granted(xml.as_bytes()).unwrap()
        };
        assert_eq!(of("Second-60"), Some(Duration::from_secs(60)));
        assert_eq!((of("Infinite"), of("Second-x")), (None, None));
    }
}
