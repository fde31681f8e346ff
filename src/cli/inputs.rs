//! `lifeboat inputs`: fetches what builds need from elsewhere ahead of the day, checks it, and keeps copies in the stores.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use super::project::LocalProject;
use super::{Global, Output};
use crate::config::InputConfig;
use crate::effects::{Progress, ProgressEvent, PutNew, Store, blocking};
use crate::error::{Error, Result};
use crate::inputs::{InputCache, fetch, mirror};
use crate::model::{InputName, Sha256, StoreName, escape};
use crate::site::human_size;

/// How often it is said how far a file is.
const OFTEN: Duration = Duration::from_secs(5);

/// Fetch what builds need from elsewhere, each `[[input]]`, so that nothing is downloaded on the day
///
/// `plan` refuses a train whose inputs were not fetched. Once a train is adopted it has its own copies.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What `lifeboat inputs` does.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Action {
    /// Read what was fetched before and download what is missing or damaged: from the project's stores, else from `url`
    Fetch,
    /// Read every input that was fetched, and compare it with the configuration
    Verify,
    /// Put every input into each store of the project, where anybody can read it: `inputs/<sha256>`
    ///
    /// `fetch` looks there first, so an address may go. Whoever may not redistribute a file should not do this.
    Mirror,
}

/// An input and how it is now.
#[derive(Serialize)]
struct InputReport {
    name: InputName,
    sha256: Sha256,
    /// What was found or done.
    state: InputState,
    /// How long it is; none where it is not in the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// From where it was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The stores that have it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stores: BTreeMap<StoreName, InStore>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum InputState {
    /// It is in the cache, with the bytes that the configuration names.
    Here,
    /// It was fetched now.
    Fetched,
    /// It is not in the cache.
    Missing,
    /// The cache has other bytes, or could not be read.
    Wrong,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum InStore {
    /// It was put there now.
    Put,
    /// It was there.
    There,
}

impl InputReport {
    fn new(input: &InputConfig, state: InputState, bytes: Option<u64>) -> Self {
        let (name, sha256) = (input.name.clone(), input.sha256);
        Self { name, sha256, state, bytes, from: None, stores: BTreeMap::new() }
    }

    fn text(&self) -> String {
        let size = self.bytes.map(|bytes| format!(", {}", human_size(bytes))).unwrap_or_default();
        let from = self.from.as_ref().map(|from| format!(" from {}", escape(from))).unwrap_or_default();
        let state = match self.state {
            InputState::Here => "here",
            InputState::Fetched => "fetched",
            InputState::Missing => "missing",
            InputState::Wrong => "wrong",
        };
        let mut text = format!("{state:<8}  {}{from}{size}", self.name);
        for (store, how) in &self.stores {
            let how = match how {
                InStore::Put => "put into",
                InStore::There => "already in",
            };
            text.push_str(&format!("\n          {how} store {store}"));
        }
        text
    }
}

/// What is done to each input.
struct Work<'a> {
    cache: InputCache,
    stores: Vec<Arc<dyn Store>>,
    progress: &'a dyn Progress,
    errors: Vec<Error>,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    let stores = match args.action {
        Action::Verify => Vec::new(),
        Action::Fetch | Action::Mirror => place.destinations()?.stores.into_values().collect(),
    };
    if let (Action::Mirror, [], false) = (args.action, &stores[..], place.config.inputs.is_empty()) {
        return Err(Error::input("the configuration has no store").hint("add a `[[store]]`"));
    }
    let cache = place.input_cache();
    // The lock is in the cache's directory, and who only reads makes none.
    let _alone = if let Action::Fetch = args.action { Some(cache.lock()?) } else { None };
    let progress = out.progress();
    let mut work = Work { cache, stores, progress: &*progress, errors: Vec::new() };
    let runtime = super::runtime()?;
    let mut reports = Vec::new();
    for input in &place.config.inputs {
        reports.push(runtime.block_on(async {
            match args.action {
                Action::Fetch => work.fetch(input).await,
                Action::Verify => work.verify(input),
                Action::Mirror => work.mirror(input).await,
            }
        }));
    }
    progress.event(ProgressEvent::Ended);
    let text: Vec<String> = reports.iter().map(InputReport::text).collect();
    let none = "the configuration has no `[[input]]`".to_owned();
    out.fail_all(&work.errors.iter().collect::<Vec<_>>());
    out.result(if text.is_empty() { none } else { text.join("\n") }, &reports)?;
    Ok(work.errors.first().map_or(ExitCode::SUCCESS, |e| ExitCode::from(e.kind().exit_code())))
}

impl Work<'_> {
    fn note(&self, text: String) {
        self.progress.event(ProgressEvent::Note(text));
    }

    async fn fetch(&mut self, input: &InputConfig) -> InputReport {
        match blocking(|| self.cache.check(&input.sha256)) {
            Ok(Some(found)) => return InputReport::new(input, InputState::Here, Some(found.size)),
            Ok(None) => {}
            Err(e) => self.note(format!("note      input `{}`: {}; it is fetched again", input.name, e.message())),
        }
        let said = Mutex::new(None::<Instant>);
        let tell = |from: &str, done: u64, of: Option<u64>| {
            let mut said = said.lock();
            if done > 0 && said.is_some_and(|at| at.elapsed() < OFTEN) {
                return;
            }
            *said = Some(Instant::now());
            let of = of.map(|of| format!(" of {}", human_size(of))).unwrap_or_default();
            self.note(format!("fetch     {} from {}: {}{of}", input.name, escape(from), human_size(done)));
        };
        match fetch(&self.cache, input, &self.stores, &tell).await {
            Ok(fetched) => {
                fetched.notes.iter().for_each(|note| self.note(format!("note      {}: {note}", input.name)));
                let report = InputReport::new(input, InputState::Fetched, Some(fetched.digests.size));
                InputReport { from: Some(fetched.from), ..report }
            }
            Err(e) => {
                self.errors.push(e);
                let state = match self.cache.check(&input.sha256) {
                    Ok(_) => InputState::Missing,
                    Err(_) => InputState::Wrong,
                };
                InputReport::new(input, state, None)
            }
        }
    }

    fn verify(&mut self, input: &InputConfig) -> InputReport {
        match self.cache.check(&input.sha256) {
            Ok(Some(found)) => InputReport::new(input, InputState::Here, Some(found.size)),
            Ok(None) => {
                let error = Error::input(format!("input `{}` was not fetched", input.name));
                self.errors.push(error.hint("run `lifeboat inputs fetch`"));
                InputReport::new(input, InputState::Missing, None)
            }
            Err(e) => {
                self.errors.push(e.context(format!("input `{}`", input.name)));
                InputReport::new(input, InputState::Wrong, None)
            }
        }
    }

    async fn mirror(&mut self, input: &InputConfig) -> InputReport {
        let mut report = self.verify(input);
        if report.state != InputState::Here {
            return report;
        }
        for store in &self.stores {
            match mirror(&self.cache, input, &**store).await {
                Ok(put) => {
                    let how = if put == PutNew::Created { InStore::Put } else { InStore::There };
                    report.stores.insert(store.name().clone(), how);
                }
                Err(e) => self.errors.push(e.context(format!("store `{}`", store.name()))),
            }
        }
        report
    }
}
