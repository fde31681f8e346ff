//! The repository as plain files, for `git clone` over a web server that knows nothing of git (dumb HTTP,
//! gitrepository-layout(5), gitprotocol-http(5)).

use std::collections::BTreeMap;

use git2::{ObjectType, Repository};

use super::program::GitProgram;
use super::{from_oid, git_error, history, private, to_oid};
use crate::effects::{PackFiles, PrivateRepo, Served, StaticContent, StaticFile};
use crate::error::{Error, Result};
use crate::formats::refs::{self, RefTarget};
use crate::model::{Oid, check_ref_name};

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

/// Makes the files; packs first, refs last.
pub(super) fn static_repository(
    program: &GitProgram,
    private: &PrivateRepo,
    head: &str,
    tips: &[(String, Oid)],
    served: &Served,
) -> Result<Vec<StaticFile>> {
    let repo = private::open(private)?;
    check_ref_name(head)?;
    refuse_shallow(private)?;
    let refs = merged_refs(&repo, tips, served)?;
    if !refs.contains_key(head) {
        return Err(Error::input(format!(
            "`{head}` cannot be the default branch: it is not among the refs that are served"
        )));
    }
    let mut files = Vec::new();
    let mut packs = served.packs.clone();
    if let Some(pack) = pack(program, private, &repo, tips, served)? {
        let name = pack.file_name("pack");
        for (end, path) in [("pack", &pack.pack), ("idx", &pack.idx)] {
            let path_in = format!("objects/pack/{}", pack.file_name(end));
            files.push(StaticFile { path: path_in, content: StaticContent::Fixed(path.clone()) });
        }
        if !packs.contains(&name) {
            // Newest first, as git lists them: a client looks there first for what is new.
            packs.insert(0, name);
        }
    }
    let mut replaced = |path: &str, text: String| {
        files.push(StaticFile { path: path.to_owned(), content: StaticContent::Replaced(text.into_bytes()) });
    };
    replaced("config", CONFIG.to_owned());
    replaced("HEAD", format!("ref: {head}\n"));
    replaced("objects/info/packs", packs.iter().map(|p| format!("P {p}\n")).collect::<String>() + "\n");
    // Over HTTP `info/refs` counts; whoever clones the directory itself needs `refs/` to be there, and a loose ref beats a
    // packed one, so every ref that moves is written loose as well.
    for (name, oid) in tips {
        replaced(name, format!("{oid}\n"));
    }
    replaced("packed-refs", refs::packed(&refs));
    replaced("info/refs", refs::info(&refs));
    Ok(files)
}

/// Nobody could clone from the files of a repository whose history is cut.
pub(super) fn refuse_shallow(private: &PrivateRepo) -> Result<()> {
    if !private.dir.join("shallow").exists() {
        return Ok(());
    }
    Err(Error::input(format!(
        "repository `{}` is shallow: nobody could clone from its files",
        private.borrow.display()
    ))
    .hint("fetch the whole history (`git fetch --unshallow`), then run the same command again"))
}

/// The served refs with the tips over them; tags do not move.
fn merged_refs(repo: &Repository, tips: &[(String, Oid)], served: &Served) -> Result<BTreeMap<String, RefTarget>> {
    let mut refs = BTreeMap::new();
    for (name, object) in served.refs.iter().filter(|(n, _)| refs::peeled(n).is_none()) {
        check_ref_name(name)?;
        let peeled = served.refs.iter().find(|(n, _)| refs::peeled(n) == Some(name)).map(|(_, o)| o.clone());
        refs.insert(name.clone(), RefTarget { object: object.clone(), peeled });
    }
    for (name, object) in tips {
        check_ref_name(name)?;
        let found = repo
            .find_object(from_oid(object)?, None)
            .map_err(|e| git_error(&format!("cannot read `{object}` for `{name}`"), e))?;
        let peeled = (found.kind() == Some(ObjectType::Tag))
            .then(|| found.peel(ObjectType::Commit).map(|c| to_oid(c.id())))
            .transpose()
            .map_err(|e| git_error(&format!("cannot read what tag `{name}` points to"), e))?;
        let old = refs.insert(name.clone(), RefTarget { object: object.clone(), peeled });
        let loose = served.loose.iter().filter(|(n, _)| n == name).map(|(_, o)| o);
        for old in old.iter().map(|t| &t.object).chain(loose) {
            forward(repo, name, old, object)?;
        }
    }
    Ok(refs)
}

/// Whether a served ref may move from `old` to `new`.
fn forward(repo: &Repository, name: &str, old: &Oid, new: &Oid) -> Result<()> {
    let (from, to) = (format!("served: {old}"), format!("ours:   {new}"));
    match () {
        () if old == new => Ok(()),
        () if name.starts_with("refs/tags/") => {
            Err(Error::conflict(format!("the served repository has tag `{name}` at another object"))
                .detail(from)
                .detail(to)
                .hint("tags never move; nothing was overwritten"))
        }
        // A branch only moves forward: a release must hold what the one before it held.
        () if name.starts_with("refs/heads/") && !descends(repo, new, old) => {
            Err(Error::conflict(format!("the served `{name}` would lose commits"))
                .detail(from)
                .detail(to)
                .hint("fetch the served branch, put the fix on top of it, and plan again; nothing was overwritten"))
        }
        () => Ok(()),
    }
}

/// Whether `commit` holds all of `older`; a commit that is not here is in nothing.
pub(super) fn descends(repo: &Repository, commit: &Oid, older: &Oid) -> bool {
    let ids = from_oid(commit).and_then(|c| Ok((c, from_oid(older)?)));
    ids.is_ok_and(|(c, o)| repo.find_commit(o).is_ok() && repo.graph_descendant_of(c, o).unwrap_or(false))
}

/// Packs what the tips need and what is served does not reach; `None` if that is nothing.
fn pack(
    program: &GitProgram,
    private: &PrivateRepo,
    repo: &Repository,
    tips: &[(String, Oid)],
    served: &Served,
) -> Result<Option<PackFiles>> {
    let odb = repo.odb().map_err(|e| git_error("cannot open the private repository", e))?;
    let mut without = Vec::new();
    // Another maintainer's clone may lack what was served earlier; then the pack is larger, never wrong.
    let by_refs = served.refs.iter().filter(|(n, _)| refs::peeled(n).is_none()).map(|(_, oid)| oid);
    for oid in by_refs.chain(&served.packed) {
        if odb.exists(from_oid(oid)?) {
            without.push(oid.clone());
        }
    }
    let tips: Vec<Oid> = tips.iter().map(|(_, oid)| oid.clone()).collect();
    history::pack(program, private, &tips, &without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_branches_and_tags() {
        assert!(check_ref_name("refs/pull/1/head").is_err());
        assert!(check_ref_name("refs/tags/../x").is_err());
    }
}
