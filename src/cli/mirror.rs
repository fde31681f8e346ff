//! `lifeboat mirror`: fills or repairs a store from another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::consumer::{configured, project_state};
use super::keys::digest;
use super::project::LocalProject;
use super::verify::{Trusted, VerifyArgs, trust_of};
use super::{Caller, Global, Output};
use crate::adapter::{Around, Registries};
use crate::config::{TemplateSet, load_stores};
use crate::effects::{Clock as _, Disk, NoProgress, Objects, ProgressEvent, Role, Scratch, Store, files};
use crate::engine::TrainDir;
use crate::engine::mirrors::{self, MirrorListWriter};
use crate::error::{Context as _, Error, Result};
use crate::formats::mirrors::ListedIndex;
use crate::host::{HostClock, HostDisk};
use crate::mirror::{Mirror, Mirrored, mirror};
use crate::model::{ProjectName, Sha256, StoreName, counted, escape, shell_path, whole_seconds};
use crate::stores;
use crate::trust::{SignedIndex, read_index};
use crate::verify::{Layout, Source, unremembered};

/// Fill or repair a store from another one, and verify everything on the way
///
/// It needs no signing key. Each release is verified before any of it is written, a file that is there already is compared and
/// never replaced, and the index comes last. Run it again to bring what is new.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The base of the store that is copied: `https://…`, `file:///…` or a directory
    #[arg(value_name = "FROM")]
    from: String,
    /// The store to fill: the name of a `[[store]]`, or a directory
    #[arg(value_name = "TO")]
    to: String,
    /// The file with the `[[store]]` that TO names: for whoever has a bucket or a server, and no configuration of the project
    #[arg(long, value_name = "FILE")]
    to_config: Option<PathBuf>,
    /// Take the trust root and the certificates from this directory, which you vouch for, or with a pinned root from another
    /// store's address
    #[arg(long, value_name = "DIR|ADDRESS")]
    keys: Option<String>,
    /// The SHA-256 of the trust root, in place of the one pinned on this machine
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pin: Option<Sha256>,
}

impl Args {
    /// This command with a pin, to be pasted.
    fn with_pin(&self) -> String {
        let word = |text: &String| shell_path(Path::new(text));
        let keys = self.keys.as_ref().map(|keys| format!(" --keys {}", word(keys))).unwrap_or_default();
        let file = self.to_config.as_ref().map(|file| format!(" --to-config {}", shell_path(file))).unwrap_or_default();
        let (from, to) = (word(&self.from), word(&self.to));
        format!("lifeboat mirror --pin DIGEST{keys}{file} {from} {to}")
    }
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let disk: Arc<dyn Disk> = Arc::new(HostDisk);
    let project = configured(global)?;
    let now = whole_seconds(HostClock.now());
    let runtime = super::runtime()?;
    let from = Source::new(&args.from, Arc::clone(&disk))?;
    let state = |name: &ProjectName| project_state(global, name);
    let mut nowhere = std::io::sink();
    let around = Caller { json: false, disk: &disk, state: &state, now, out: &mut nowhere };
    let asked = VerifyArgs {
        wanted: Some("latest".to_owned()),
        location: Some(args.from.clone()),
        layout: None,
        line: None,
        keys: args.keys.clone(),
        project_keys: project.as_ref().map(|project| project.config.project.keys.clone()),
        pin: args.pin,
        only: Vec::new(),
        output: None,
        clone: None,
        all_mirrors: false,
        mirrors: BTreeSet::new(),
        with_pin: Some(args.with_pin()),
    };
    let Trusted { root: trust, state_dir, .. } = runtime.block_on(trust_of(&asked, (&from, Layout::Store), &around))?;
    let ours = match (&args.to_config, &project) {
        (Some(file), _) => stores_of(file, &global.registries, &disk)?,
        (None, Some(project)) => project.destinations()?.stores,
        (None, None) => BTreeMap::new(),
    };
    let named = ours.iter().find(|(name, _)| name.as_str() == args.to);
    let is_configured = named.is_some() && args.to_config.is_none();
    let to: Arc<dyn Store> = match named {
        Some((_, store)) => Arc::clone(store),
        None if args.to_config.is_some() => {
            let names: Vec<String> = ours.keys().map(|name| format!("`{name}`")).collect();
            return Err(Error::input(format!("`{}` is not a store of that file", escape(&args.to)))
                .hint(format!("expected one of {}", names.join(", "))));
        }
        None => directory(&args.to, &disk, ours.keys().map(StoreName::as_str).collect())?,
    };
    let built_in = TemplateSet::default();
    let templates = project.as_ref().map_or(&built_in, |project| &project.config.templates);
    let own;
    let progress = out.progress();
    let parent = match &state_dir {
        Ok(dir) => dir.as_path(),
        // A name that nobody else could have made.
        Err(why) => {
            progress.event(ProgressEvent::Note(unremembered(why)));
            own = tempfile::tempdir().context("cannot make a directory for what is on its way")?;
            own.path()
        }
    };
    let all = parent.join("scratch");
    files::create_dir_all(&*disk, &all, 0o700)?;
    let scratch = Scratch::new(&*disk, &all)?;
    let mirroring = Mirror {
        from,
        to: Arc::clone(&to),
        trust: &trust,
        templates,
        disk: Arc::clone(&disk),
        scratch: scratch.path(),
        state_dir: state_dir.clone().ok(),
        progress: &*progress,
        now,
    };
    let done = runtime.block_on(mirror(&mirroring));
    if let (Some(project), Ok(_), true) = (&project, &done, is_configured) {
        let objects = Objects::new(Arc::clone(&disk), scratch.path().join("objects"));
        if let Err(e) = runtime.block_on(list_itself(project, &*to, &objects)) {
            let why = format!("the list of mirrors was not written: {}", e.message());
            progress.event(ProgressEvent::Note(why));
        }
    }
    progress.event(ProgressEvent::Ended);
    let done = done?;
    out.result(text(args, &done), &done)?;
    Ok(ExitCode::SUCCESS)
}

/// The stores of a file with nothing else in it. Whoever wrote the file vouches for the hosts that get its credentials.
fn stores_of(
    file: &Path,
    registries: &Registries,
    disk: &Arc<dyn Disk>,
) -> Result<BTreeMap<StoreName, Arc<dyn Store>>> {
    let mut out = BTreeMap::new();
    for store in load_stores(file, registries, &**disk)? {
        store.spec.lacks_nothing()?;
        let around = Around {
            disk: Arc::clone(disk),
            clock: Arc::new(HostClock),
            secrets: Arc::new(crate::signers::resolve),
            hosts: store.spec.hosts().into_iter().collect(),
            repository: PathBuf::new(),
            jobs: None,
        };
        out.insert(store.name.clone(), store.spec.open(&around)?);
    }
    Ok(out)
}

/// Names the store in its own list of mirrors, if this machine has the key that signs it.
async fn list_itself(project: &LocalProject, to: &dyn Store, objects: &Objects) -> Result<()> {
    let dir = TrainDir::new(project.root().join("mirror"));
    let effects = project.effects_in(&dir, Arc::new(NoProgress))?;
    if effects.keys.signer(&Role::Freshness).is_err() {
        return Ok(());
    }
    let trust = project.trust()?;
    let index = read_index(to, &trust, effects.clock.now()).await?;
    let listed = |signed: SignedIndex| ListedIndex { counter: signed.index.counter, sha256: Sha256::of(&signed.bytes) };
    let known: BTreeMap<_, _> = index.map(|signed| (to.name().clone(), listed(signed))).into_iter().collect();
    let mirrors = mirrors::mirrors(effects.stores.values().map(|s| &**s), &known, &project.config.mirrors);
    MirrorListWriter { effects: &effects, trust: &trust, objects, mirrors }.write(to).await
}

/// A directory of this machine as a store.
fn directory(to: &str, disk: &Arc<dyn Disk>, known: Vec<&str>) -> Result<Arc<dyn Store>> {
    let path = PathBuf::from(to.strip_prefix("file://").unwrap_or(to));
    let is_path = to.contains('/') || disk.entry(Path::new(to)).is_ok_and(|entry| entry.is_some());
    if !is_path || to.contains("://") && !to.starts_with("file:///") {
        let error = Error::input(format!("`{}` is neither a configured store nor a directory", escape(to)));
        return Err(match &known[..] {
            [] => error
                .hint("name a directory, such as `/srv/mirror`").hint(
                "for another kind of store write its `[[store]]` into a file, and name both: `--to-config FILE`, and the \
                 store's name instead of its address",
            ),
            known => error.hint(format!("expected one of `{}`, or a directory", known.join("`, `"))),
        });
    }
    let whole = std::path::absolute(&path).unwrap_or(path);
    Ok(stores::directory(StoreName::new("mirror")?, &whole, Arc::clone(disk)))
}

fn text(args: &Args, done: &Mirrored) -> String {
    let (from, to) = (escape(&args.from), escape(&args.to));
    let mut text = format!("`{to}` has what `{from}` has: index number {}", done.index);
    let versions = |all: &[semver::Version]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    for (what, all) in [("copied", &done.copied), ("unchanged", &done.unchanged)] {
        if !all.is_empty() {
            text.push_str(&format!("\n  {what:<9} {}", versions(all)));
        }
    }
    text.push_str(&format!("\n  {}, {} bytes", counted(done.files, "file"), done.bytes));
    text
}
