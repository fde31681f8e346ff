//! Where stores may be: each in a directory of its own, away from what is not to be published.

use std::path::{Component, Path, PathBuf};

use super::super::fault::{Fault, Faults};
use super::super::raw::Text;
use super::super::settings::StoreConfig;

/// Checks the places of stores against each other, the project's checkout and the state directory, as they are written:
/// links are not followed.
pub(super) fn check(
    stores: &[(StoreConfig, &Text)],
    checkout: Option<&Path>,
    state: Option<&Path>,
    faults: &mut Faults,
) {
    let roots: Vec<Option<PathBuf>> = stores.iter().map(|(store, _)| directory(&store.url)).collect();
    for (n, (store, url)) in stores.iter().enumerate() {
        for (before, (other, other_url)) in stores[..n].iter().enumerate() {
            let clash = match (&roots[n], &roots[before]) {
                (Some(root), Some(first)) if root == first => Some("is in the same place as"),
                (Some(root), Some(first)) if root.starts_with(first) => Some("is inside"),
                (Some(root), Some(first)) if first.starts_with(root) => Some("contains"),
                (None, None) if store.url.trim_end_matches('/') == other.url.trim_end_matches('/') => {
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
        if checkout.is_some_and(|checkout| checkout.is_absolute() && root.starts_with(plain(checkout))) {
            let message = format!("store `{}` is inside the project's checkout", store.name);
            let fault = Fault::new(url.span(), message, "give it a directory elsewhere, such as `../releases`");
            faults.add(fault.help("a commit or an archive of the checkout could take staged files along"));
        }
        if let Some(state) = state.map(plain).filter(|s| root.starts_with(s) || s.starts_with(root)) {
            let message = format!("store `{}` and the state directory share a place", store.name);
            let fault = Fault::new(url.span(), message, "give it a directory elsewhere");
            faults.add(fault.help(format!("embargoed files are kept in `{}`, and a store is public", state.display())));
        }
    }
}

/// The directory of a `file:` url.
fn directory(url: &str) -> Option<PathBuf> {
    url.strip_prefix("file://").map(|path| plain(Path::new(path)))
}

/// A path without `.` and `..`, by its names alone.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}
