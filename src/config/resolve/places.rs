//! Where stores may be: each in a directory of its own, away from what is not to be published.

use std::path::{Path, PathBuf};

use super::super::settings::StoreConfig;
use crate::model::plain_path;
use crate::table::{Fault, Faults, Text};

/// Checks the places of stores against each other, the project's checkout and the state directory, as they are written:
/// links are not followed.
pub(super) fn check(
    stores: &[(StoreConfig, Text)],
    checkout: Option<&Path>,
    state: Option<&Path>,
    faults: &mut Faults,
) {
    let roots: Vec<Option<PathBuf>> =
        stores.iter().map(|(store, _)| store.spec.files().first().map(|dir| plain_path(dir))).collect();
    for (n, (store, url)) in stores.iter().enumerate() {
        for (before, (other, other_url)) in stores[..n].iter().enumerate() {
            let clash = match (&roots[n], &roots[before]) {
                (Some(root), Some(first)) if root == first => Some("is in the same place as"),
                (Some(root), Some(first)) if root.starts_with(first) => Some("is inside"),
                (Some(root), Some(first)) if first.starts_with(root) => Some("contains"),
                (None, None)
                    if store.spec.place().trim_end_matches('/') == other.spec.place().trim_end_matches('/') =>
                {
                    Some("is in the same place as")
                }
                _ => None,
            };
            if let Some(how) = clash {
                let message = format!("store `{}` {how} store `{}`", store.name, other.name);
                let fault = Fault::new(url.span(), message, "give it a directory of its own");
                faults.add(fault.see(other_url.span(), "the other is here"));
            }
        }
        let Some(root) = &roots[n] else { continue };
        if checkout.is_some_and(|checkout| checkout.is_absolute() && root.starts_with(plain_path(checkout))) {
            let message = format!("store `{}` is inside the project's checkout", store.name);
            let fault = Fault::new(url.span(), message, "give it a directory elsewhere, such as `../releases`");
            faults.add(fault.help("a commit or an archive of the checkout could take staged files along"));
        }
        if let Some(state) = state.map(plain_path).filter(|s| root.starts_with(s) || s.starts_with(root)) {
            let message = format!("store `{}` and the state directory share a place", store.name);
            let fault = Fault::new(url.span(), message, "give it a directory elsewhere");
            faults.add(fault.help(format!("embargoed files are kept in `{}`, and a store is public", state.display())));
        }
    }
}

/// Where a store is seen from outside: it stands in links and in commands that people paste.
pub(super) fn public_url(raw: &Text, faults: &mut Faults) -> Option<String> {
    let text = raw.get_ref();
    let rest = ["https://", "http://", "file:///"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let label = match rest {
        None => "expected `https://…`, `http://…` or `file:///…`",
        Some("") => "expected a host after the scheme",
        // Nobody can distinguish some letters of other scripts from ASCII; a host or path with them has an ASCII form.
        Some(_) if !text.bytes().all(|b| b.is_ascii_graphic()) => {
            "expected letters, digits and signs of ASCII: no blank, control or invisible character; write others as `%…` or `xn--…`"
        }
        Some(rest) if rest.split('/').next().is_some_and(|host| host.contains('@')) => {
            "remove the user: people paste it"
        }
        Some(_) if text.contains(['?', '#', '"', '\'', '<', '>', '\\', '`', '{', '}', '|', '^']) => {
            "expected a base address: no `?`, `#`, quotes, brackets or backslashes"
        }
        Some(_) => return Some(text.trim_end_matches('/').to_owned()),
    };
    faults.add(Fault::new(raw.span(), "this is not a valid address of a store", label));
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn store(url: &str) -> crate::error::Result<Option<String>> {
        let head = "[project]\nname = \"acme\"\ncommitter = \"Acme <release@acme.example>\"\n";
        let url = toml::Value::String(url.to_owned());
        let text = format!("{head}[[store]]\nname = \"m\"\nurl = \"file:///srv/x\"\npublic_url = {url}\n");
        Ok(crate::config::parse(&text, Path::new("/src/acme/lifeboat.toml"), &crate::wiring::registries())?
            .stores
            .remove(0)
            .public_url)
    }

    #[test]
    fn a_public_url_is_an_address_that_people_can_paste() {
        for (good, kept) in [
            ("https://releases.example.org", "https://releases.example.org"),
            ("http://127.0.0.1:8080/store/", "http://127.0.0.1:8080/store"),
            ("file:///srv/releases", "file:///srv/releases"),
        ] {
            assert_eq!(store(good).unwrap().as_deref(), Some(kept));
        }
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "releases.example.org",
            "https://",
            "https://user:secret@example.org",
            "https://example.org/?x",
            "https://example.org/a b",
            "https://example.org/\u{202e}gro",
            "https://ex\u{e4}mple.org",
            "https://example.org/'; rm -rf ~ #",
            "https://example.org/\u{7}",
        ] {
            let e = store(bad).unwrap_err().report();
            assert!(
                e.contains("this is not a valid address of a store") && e.contains("lifeboat.toml:7"),
                "{bad}: {e}"
            );
        }
    }
}
