//! Where the trust root and the certificates are read from: a directory, or a store's own `keys/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::effects::Disk;
use crate::error::{Context as _, Error, Result};
use crate::formats::layout::KEYS;
use crate::model::{ProjectName, Sha256, shell_path};
use crate::trust::{FILE, KeyFiles, Root};
use crate::verify::{Source, fetch_keys};

/// Where they are, read if they come from a store.
pub(super) enum KeysFrom {
    Directory(PathBuf),
    Store { files: BTreeMap<String, Vec<u8>>, from: String },
}

impl KeysFrom {
    /// A directory, or the address of a store.
    pub(super) async fn named(text: &str, pin: Option<Sha256>, disk: &Arc<dyn Disk>) -> Result<Self> {
        if is_address(text) {
            Self::store(&Source::new(base(text), Arc::clone(disk))?, pin).await
        } else {
            Ok(Self::Directory(text.into()))
        }
    }

    /// A store's own.
    pub(super) async fn store(source: &Source, pin: Option<Sha256>) -> Result<Self> {
        let files = fetch_keys(source, pin).await?;
        Ok(Self::Store { files, from: format!("{}/{KEYS}", source.place().trim_end_matches('/')) })
    }

    pub(super) fn files<'a>(&'a self, disk: &'a dyn Disk) -> KeyFiles<'a> {
        match self {
            Self::Directory(dir) => KeyFiles::Directory { disk, dir },
            Self::Store { files, from } => KeyFiles::Fetched { files, from },
        }
    }

    /// How a command line names them, as a shell's word.
    pub(super) fn named_again(&self) -> String {
        match self {
            Self::Directory(dir) => shell_path(dir),
            Self::Store { from, .. } => shell_path(Path::new(from)),
        }
    }

    /// The project that the root names, if there is a root. It chooses a directory of state and nothing else, so it need not
    /// be verified.
    pub(super) fn project(&self, disk: &dyn Disk) -> Result<Option<ProjectName>> {
        let (name, bytes) = match self {
            Self::Directory(dir) => {
                let path = dir.join(FILE);
                let bytes = disk.read(&path).context(format!("cannot read `{}`", path.display()))?;
                (path.display().to_string(), bytes)
            }
            Self::Store { files, from } => (format!("{from}/{FILE}"), files.get(FILE).cloned()),
        };
        bytes.map(|bytes| Ok(Root::from_bytes(&bytes, &name)?.project)).transpose()
    }
}

/// Whether a text is an address rather than a directory.
pub(super) fn is_address(text: &str) -> bool {
    ["https://", "http://", "file://"].iter().any(|scheme| text.starts_with(scheme))
}

/// The base of a store, whether or not its `keys/` was named.
fn base(text: &str) -> &str {
    let text = text.trim_end_matches('/');
    text.strip_suffix("/keys").unwrap_or(text)
}

/// Whether a directory holds a trust root.
pub(super) fn has_root(disk: &dyn Disk, dir: &Path) -> bool {
    matches!(disk.entry(&dir.join(FILE)), Ok(Some(_)))
}

/// A digest as people pass it on: with or without `sha256:`, in either case.
pub(super) fn digest(text: &str) -> std::result::Result<Sha256, String> {
    let plain = text.trim();
    let plain = plain.strip_prefix("sha256:").unwrap_or(plain).to_ascii_lowercase();
    let odd = plain.chars().find(|c| !c.is_ascii_hexdigit());
    match (plain.chars().count(), odd) {
        (_, Some(c)) => {
            Err(format!("expected 64 hexadecimal digits, found `{}`", crate::model::escape(&c.to_string())))
        }
        (64, None) => plain.parse().map_err(|e: crate::model::GrammarError| e.to_string()),
        (n, None) => Err(format!("expected 64 hexadecimal digits, found {n}: is it cut off?")),
    }
}

/// No root is pinned, and nothing says which one counts: the command that was run, with a pin, and how `trust` names the keys.
pub(super) fn unpinned(command: &str, keys: &str) -> Error {
    Error::input("no trust root is pinned on this machine, and no `--pin` says which one counts")
        .hint(format!(
            "take the digest from where you trust the project, and not from its store, and put it in place of DIGEST: `{command}`"
        ))
        .hint(format!("to have it counted from now on: `lifeboat trust pin DIGEST {keys}`"))
        .hint("or name a directory with `trust.json` and certificates that you vouch for: --keys DIR")
}
