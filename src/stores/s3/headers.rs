//! What a server says of an object to whoever fetches it: its type, and how long it may be kept.

use object_store::{Attribute, Attributes};

use crate::formats::layout;

/// The attributes of an object, by its key; a copy within the server keeps them.
pub(super) fn attributes(key: &str) -> Attributes {
    let mut out = Attributes::new();
    out.insert(Attribute::ContentType, content_type(key).into());
    // What is staged will be public under the rest of its key.
    let path = key.strip_prefix(".staging/").and_then(|rest| rest.split_once('/')).map_or(key, |(_, path)| path);
    let kept = if layout::is_replaced(path) { "public, max-age=60" } else { "public, max-age=31536000, immutable" };
    out.insert(Attribute::CacheControl, kept.into());
    out
}

/// <https://www.iana.org/assignments/media-types/>
fn content_type(key: &str) -> &'static str {
    let name = key.rsplit('/').next().unwrap_or(key);
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        // Signatures and certificates: a browser shows them.
        "asc" => "text/plain; charset=us-ascii",
        "gz" | "tgz" => "application/gzip",
        "xz" => "application/x-xz",
        "zst" => "application/zstd",
        "zip" => "application/zip",
        "wasm" => "application/wasm",
        _ if matches!(name, "SHA256SUMS" | "SHA512SUMS" | "latest" | "HEAD" | "refs" | "packed-refs" | "packs") => {
            "text/plain; charset=utf-8"
        }
        _ => "application/octet-stream",
    }
}
