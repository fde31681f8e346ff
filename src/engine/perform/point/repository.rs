//! The repository that any web server can serve for cloning: packs first, refs last, and no other train's refs lost.
//!
//! Several files make up the refs, and no store replaces two files as one. So each is replaced only if it still is what
//! the new ones were computed from; whoever was too late reads everything again, and finds the other's refs there.

use std::collections::BTreeMap;

use semver::Version;

use super::super::pack_history;
use super::super::stage::{digests_at, same_or_conflict};
use super::super::{Acting, prepared, sealed};
use super::listed::signed_index;
use crate::effects::{Area, Served, StaticContent, StaticFile, Store, blocking, read_public};
use crate::engine::Train;
use crate::engine::converge::{replaced, until_ours};
use crate::error::{Error, Result};
use crate::formats::layout;
use crate::model::{BranchName, Oid, escape};
use crate::step::Point;

const HEAD: &str = "HEAD";
const PACKS: &str = "objects/info/packs";
const REFS: &str = "info/refs";

/// Adds the train's branches and tags to what is served.
pub(super) async fn serve(acting: &Acting<'_>, step: &Point, store: &dyn Store) -> Result<()> {
    let tips = blocking(|| tips(acting, step))?;
    let names: Vec<String> = tips.iter().map(|(name, _)| name.clone()).collect();
    until_ours(store, "the served refs", || async {
        let seen = Seen::read(step, store, &names).await?;
        let newest = match signed_index(acting, store).await? {
            Some(there) => there.index.latest.overall,
            None => None,
        };
        let head = seen.head(step, newest);
        let files = files(acting, step, &tips, (&head, seen.served(&names)?))?;
        Ok(seen.write(acting, store, files).await?.then_some(()))
    })
    .await
}

/// The files to write over what is `served`: what the lines stand on was packed before the gate.
fn files(
    acting: &Acting<'_>,
    step: &Point,
    tips: &[(String, Oid)],
    (head, mut served): (&str, Served),
) -> Result<Vec<StaticFile>> {
    blocking(|| {
        let (git, repo) = (&acting.effects.git, acting.train.repository());
        let mut files = Vec::new();
        let packed = step.history.as_ref().map(|id| pack_history::packed(acting, id, &served)).transpose()?.flatten();
        if let Some(history) = packed {
            served.packed = history.bases;
            files = history.files;
            let listed = history.name.filter(|name| !served.packs.contains(name));
            served.packs.extend(listed);
        }
        files.extend(git.static_repository(repo, head, tips, &served)?);
        Ok(files)
    })
}

/// Whether the served refs can be moved on to the train's: none of its tags is taken, and no branch would lose commits.
pub(super) async fn servable(acting: &Acting<'_>, step: &Point, store: &dyn Store) -> Result<()> {
    let heads = blocking(|| heads(acting, step))?;
    let tags = step.lines.values().map(|line| format!("refs/tags/{}", line.tag));
    let names: Vec<String> = heads.iter().map(|(branch, _)| head_ref(branch)).chain(tags).collect();
    let served = Seen::read(step, store, &names).await?.served(&names)?;
    let there = |name: &str| {
        let all = served.refs.iter().chain(&served.loose);
        all.filter(|(n, _)| n == name).map(|(_, oid)| oid.clone()).collect::<Vec<_>>()
    };
    for line in step.lines.values() {
        let name = format!("refs/tags/{}", line.tag);
        if !there(&name).is_empty() && acting.state.outcome(&line.seal).is_none() {
            return Err(Error::conflict(format!("store `{}` serves `{name}` already", step.store))
                .hint("tags never move: abandon the train and ship the next version"));
        }
    }
    for (branch, head) in &heads {
        for older in there(&head_ref(branch)) {
            if !blocking(|| acting.effects.git.descends(acting.train.repository(), head, &older))? {
                return Err(beyond(acting, store, branch, (head, &older)).await?);
            }
        }
    }
    // The files themselves, but for the tags, which are not signed yet: an object that is missing by now stops the train
    // here. What is signed already went through here before.
    let tips: Vec<_> = heads.iter().map(|(branch, head)| (head_ref(branch), head.clone())).collect();
    let Some((head, _)) = tips.first() else { return Ok(()) };
    files(acting, step, &tips, (head, served)).map(drop)
}

/// Whether a store serves the train's tags, and its branches at all; those may have moved on.
pub(super) async fn prove(train: &Train, step: &Point, store: &dyn Store) -> Result<()> {
    let state = train.state();
    let mut wanted: Vec<(String, Option<Oid>)> = step.carries.keys().map(|b| (head_ref(b), None)).collect();
    for (branch, line) in &step.lines {
        let seal = sealed(&state, &line.seal)?;
        wanted.push((head_ref(branch), None));
        wanted.push((format!("refs/tags/{}", seal.tag), Some(seal.tag_id.clone())));
    }
    let names: Vec<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
    let served = Seen::read(step, store, &names).await?.served(&names)?;
    for (name, oid) in wanted {
        let over_http = served.refs.iter().find(|(n, _)| *n == name).map(|(_, oid)| oid);
        let beside = served.loose.iter().filter(|(n, _)| *n == name).map(|(_, oid)| oid);
        let other = beside.chain(over_http).find(|found| oid.as_ref().is_some_and(|oid| oid != *found));
        if over_http.is_some() && other.is_none() {
            continue;
        }
        let found = other.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let ours = oid.map_or_else(|| "the train's commits or later ones".to_owned(), |oid| oid.to_string());
        return Err(Error::conflict(format!("store `{}` serves `{name}` at {found}", step.store))
            .detail(format!("ours: {ours}"))
            .hint("nothing was changed: find out who did it; a tag never moves"));
    }
    Ok(())
}

/// A served branch that has commits which the train's (`ours`) lacks, and who put them there as far as the index says.
async fn beyond(
    acting: &Acting<'_>,
    store: &dyn Store,
    branch: &BranchName,
    (ours, served): (&Oid, &Oid),
) -> Result<Error> {
    let name = head_ref(branch);
    let mut error = Error::conflict(format!("`{name}` in store `{}` would lose commits", store.name()))
        .detail(format!("served: {served}"))
        .detail(format!("ours:   {ours}"));
    let index = signed_index(acting, store).await?.map(|there| there.index);
    let releases = index.iter().flat_map(|i| &i.releases).filter(|(_, entry)| entry.line == *branch);
    if let Some((version, entry)) = releases.max_by_key(|(version, _)| *version) {
        let known = acting.train.past().released.iter().find(|r| r.nonce == entry.train);
        let by = known.map_or_else(|| entry.train.to_string(), |r| r.train.to_string());
        error = error.detail(format!("train `{by}` released {version} on this line"));
    }
    let train = &acting.train.plan().train;
    Ok(error.hint(format!(
        "nothing is public yet: fetch the served branch, abandon this train with `lifeboat abandon {train} --reason …`, and \
         plan it again under another name, on the new base"
    )))
}

fn head_ref(branch: &BranchName) -> String {
    format!("refs/heads/{branch}")
}

/// Where the train brings the branches of its lines, and of those that carry the fix; the private repository has them.
fn heads(acting: &Acting<'_>, step: &Point) -> Result<Vec<(BranchName, Oid)>> {
    let lines = step.lines.iter().map(|(branch, line)| (branch, &line.prepare));
    let mut heads = Vec::new();
    for (branch, prepare) in lines.chain(&step.carries) {
        acting.repository_with(prepare)?;
        heads.push((branch.clone(), prepared(&acting.state, prepare)?.head.clone()));
    }
    Ok(heads)
}

/// The refs that the train moves: the branch and the tag of every line, the branch of every line that carries the fix.
fn tips(acting: &Acting<'_>, step: &Point) -> Result<Vec<(String, Oid)>> {
    let mut tips: Vec<_> = heads(acting, step)?.into_iter().map(|(branch, head)| (head_ref(&branch), head)).collect();
    for line in step.lines.values() {
        let seal = sealed(&acting.state, &line.seal)?;
        acting.write_tag(seal)?;
        tips.push((format!("refs/tags/{}", seal.tag), seal.tag_id.clone()));
    }
    Ok(tips)
}

/// What the store served before, file by file: what the new files are computed from and compared with.
struct Seen {
    root: String,
    files: BTreeMap<String, Option<Vec<u8>>>,
}

impl Seen {
    /// `HEAD` is read before the refs, and written after them: whoever sees a `HEAD` also sees the tag that it is for.
    async fn read(step: &Point, store: &dyn Store, names: &[String]) -> Result<Self> {
        let mut seen = Self { root: layout::repository(&step.project), files: BTreeMap::new() };
        let fixed = [HEAD, "config", PACKS, "packed-refs", REFS];
        for name in fixed.into_iter().chain(names.iter().map(String::as_str)) {
            let found = read_public(store, &seen.path(name)).await?;
            seen.files.insert(name.to_owned(), found);
        }
        Ok(seen)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name)?.as_deref()
    }

    /// The refs that are served over HTTP, with those of these names that lie beside them: a writer on its way has put
    /// those first.
    fn served(&self, names: &[String]) -> Result<Served> {
        let text = |name: &str| self.bytes(name).unwrap_or_default();
        let mut served = Served::read(text(PACKS), text(REFS))?;
        for name in names {
            let Some(bytes) = self.bytes(name) else { continue };
            let text = String::from_utf8_lossy(bytes);
            let oid = text.trim().parse().map_err(|_| {
                Error::fatal(format!("`{}` holds `{}`, no object", self.path(name), escape(text.trim())))
                    .hint("it was not written by this program: serve the repository at another path")
            })?;
            served.loose.push((name.clone(), oid));
        }
        Ok(served)
    }

    /// The ref that `HEAD` names: it stays where the newest release is, which need not be one of this train's. `newest` is
    /// the newest that the index lists; a train on its way there has served its tags already.
    fn head(&self, step: &Point, newest: Option<Version>) -> String {
        let order = |v: &Version| (v.pre.is_empty(), v.clone());
        let ours = step.lines.iter().max_by_key(|(_, line)| order(&line.version));
        let served = String::from_utf8_lossy(self.bytes(HEAD).unwrap_or_default());
        let served = served.trim().trim_start_matches("ref: ").to_owned();
        let Some((branch, line)) = ours else {
            // Whatever it shows already, else the first branch that there is.
            let first = step.carries.keys().next().filter(|_| served.is_empty());
            return first.map_or(served, |branch| format!("refs/heads/{branch}"));
        };
        let newest = newest.into_iter().chain(self.tagged(step)).max_by_key(|v| order(v));
        if served.is_empty() || newest.is_none_or(|n| order(&line.version) >= order(&n)) {
            return format!("refs/heads/{branch}");
        }
        served
    }

    /// The versions whose tags are served, by the pattern of this train's own tags.
    fn tagged(&self, step: &Point) -> Vec<Version> {
        let Some(line) = step.lines.values().next() else { return Vec::new() };
        let (before, after) = line.tag.as_str().split_once(&line.version.to_string()).unwrap_or_default();
        let refs = String::from_utf8_lossy(self.bytes(REFS).unwrap_or_default());
        let names = refs.lines().filter_map(|l| l.split_once("\trefs/tags/")).map(|(_, name)| name);
        names.filter_map(|n| Version::parse(n.strip_prefix(before)?.strip_suffix(after)?).ok()).collect()
    }

    /// Writes what differs, each file only if it still is what was seen; says whether all of it is there afterwards.
    async fn write(&self, acting: &Acting<'_>, store: &dyn Store, files: Vec<StaticFile>) -> Result<bool> {
        let mut moved = Vec::new();
        for file in files {
            let path = self.path(&file.path);
            match file.content {
                StaticContent::Fixed(source) => {
                    let digests = acting.train.objects().put_file(&source)?;
                    let object = acting.train.objects().path(&digests.sha256);
                    store.put_new(&Area::Public, &path, &object, &digests).await?;
                    let found = digests_at(store, &Area::Public, &path).await?;
                    same_or_conflict((store, &Area::Public), &path, &digests, found)?;
                }
                StaticContent::Replaced(bytes) => moved.push((file.path, bytes)),
            }
        }
        // A repository without `HEAD` cannot be cloned, so the first one comes before the refs.
        if self.bytes(HEAD).is_some() {
            moved.sort_by_key(|(name, _)| name == HEAD);
        }
        for (name, bytes) in &moved {
            if !replaced(store, &self.path(name), self.bytes(name), bytes).await? {
                return Ok(false);
            }
        }
        // A writer who saw these files as they were before may have replaced one after it was written here.
        for (name, bytes) in &moved {
            if read_public(store, &self.path(name)).await?.as_deref() != Some(bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
