//! The repository that people clone: packs first, refs last. Git checks every object against its id when it clones.

use super::{Mirror, Mirrored, copy};
use crate::effects::{Served, read_public};
use crate::engine::replaced;
use crate::error::{Context as _, Error, Result};
use crate::formats::git_pack::is_whole;
use crate::formats::layout;
use crate::formats::refs::peeled;
use crate::model::escape;
use crate::verify::{DOCUMENT, MAX_SIZE, Source};

const PACKS: &str = "objects/info/packs";
const REFS: &str = "info/refs";

/// Copies what the mirror lacks; says whether its refs are those of the other store now.
pub(super) async fn copy(mirror: &Mirror<'_>, from: &Source, done: &mut Mirrored) -> Result<bool> {
    let project = &mirror.trust.root.project;
    let path = |name: &str| layout::repository_file(project, name);
    let Some(refs) = from.read(&path(REFS), DOCUMENT).await? else { return Ok(true) };
    let packs = from.read(&path(PACKS), DOCUMENT).await?.unwrap_or_default();
    let served = Served::read(&packs, &refs)?;
    // Any other name would be a file that only git's own programs write, such as one that sends readers elsewhere.
    if let Some((name, _)) = served.refs.iter().find(|(name, _)| !is_branch_or_tag(name)) {
        let what = format!("`{}` there lists `{}`, which is no branch and no tag", path(REFS), escape(name));
        return Err(Error::verification(what).hint("nothing of it was copied; mirror from another store"));
    }
    for pack in &served.packs {
        // A pack without its index is no use to a reader, so the index comes first.
        let idx = format!("{}.idx", pack.trim_end_matches(".pack"));
        for name in [&idx, pack] {
            fetch(mirror, from, &path(&format!("objects/pack/{name}")), done).await?;
        }
    }
    let loose: Vec<&str> = served.refs.iter().map(|(name, _)| name.as_str()).filter(|n| peeled(n).is_none()).collect();
    let first = read_public(&*mirror.to, &path("HEAD")).await?.is_none();
    let mut names = vec!["config", PACKS];
    names.extend(&loose);
    names.extend(["packed-refs", REFS]);
    // A repository without `HEAD` cannot be cloned, so the first one comes before the refs.
    names.insert(if first { 0 } else { names.len() }, "HEAD");
    for name in names {
        let path = path(name);
        let Some(bytes) = from.read(&path, DOCUMENT).await? else { continue };
        let there = read_public(&*mirror.to, &path).await?;
        if name.starts_with("refs/tags/") && there.as_ref().is_some_and(|there| *there != bytes) {
            return Err(Error::conflict(format!("store `{}` serves another `{}`", mirror.to.name(), escape(name)))
                .hint("a tag never moves: find out which store has the right one with `lifeboat verify`"));
        }
        if there.as_deref() != Some(&bytes[..]) {
            if !replaced(&*mirror.to, &path, there.as_deref(), &bytes).await? {
                return Ok(false);
            }
            done.files += 1;
            done.bytes += bytes.len() as u64;
        }
    }
    Ok(true)
}

fn is_branch_or_tag(name: &str) -> bool {
    (name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) && !name.split('/').any(|part| part == "..")
}

/// Copies a file of a pack, by way of this machine.
async fn fetch(mirror: &Mirror<'_>, from: &Source, path: &str, done: &mut Mirrored) -> Result<()> {
    if mirror.to.stat(&crate::effects::Area::Public, path).await?.is_some() {
        return Ok(());
    }
    let local = mirror.scratch.join("pack");
    mirror.disk.remove_file(&local).context("cannot remove what was on its way")?;
    let what = format!("cannot write `{}`", local.display());
    let mut file = mirror.disk.create_new(&local, 0o600).context(&what)?;
    let found = from.hash(path, MAX_SIZE, &mut file).await?;
    drop(file);
    if found.is_none() {
        return Err(Error::verification(format!("`{path}` is missing there")));
    }
    if path.ends_with(".pack") {
        let mut file = mirror.disk.open(&local).context(&what)?.ok_or_else(|| Error::fatal(what.clone()))?;
        if !is_whole(&mut *file).context(&what)? {
            return Err(Error::verification(format!("`{path}` there is damaged")));
        }
    }
    let digests = copy::digests_of(mirror, &local)?;
    done.add(copy::put_file(mirror.to.clone(), path.to_owned(), (local, digests)).await?);
    Ok(())
}
