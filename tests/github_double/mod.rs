//! A GitHub that misbehaves on request: releases, assets, tags and rate limits on loopback, with state, every failure that
//! the real one was seen to have, and a check of each request and answer against GitHub's own API description.
#![allow(dead_code, unreachable_pub, reason = "each program that includes this uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

pub mod actions;
mod advisories;
pub mod app;
mod contract;
pub mod faults;
mod filled;
mod http;
pub mod pulls;
mod routes;
pub mod state;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use lifeboat::effects::Clock;
use lifeboat::host::HostClock;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use faults::{Fault, Faults, Lag};
use state::State;

/// The token that the double takes; everything else is refused.
pub const TOKEN: &str = "ghp_canary_0123456789abcdefghijklmnopqrstuv";

/// The repository that it serves.
pub const REPOSITORY: &str = "example/sample";

/// Which of the two hosts a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Api,
    Uploads,
}

/// What the double knows and does; shared by both hosts.
pub struct World {
    pub state: State,
    pub faults: Faults,
    /// What requests and answers broke of the API's description.
    pub violations: Vec<String>,
    /// Every request in the order of arrival, by name: see [`routes::label`].
    pub calls: Vec<String>,
    /// Requests that changed something, by name.
    pub writes: Vec<String>,
    /// A bare repository whose tags the double shows, as they are at each request.
    pub git: Option<PathBuf>,
    /// The branches and tags of that repository at the last look; what is new since then was pushed.
    pushed: Option<std::collections::BTreeMap<String, String>>,
    /// What stood before the paths of requests: `/api/v3`, `/api/uploads`.
    pub bases: Vec<&'static str>,
    /// The app that may fetch tokens, if there is one.
    pub app: Option<app::App>,
    /// Every `authorization` header that came, with the host.
    pub authorizations: Vec<(Side, String)>,
    /// Another address that releases name for their uploads.
    pub uploads_elsewhere: Option<String>,
    /// Another host on which lists go on, or to which everything is redirected.
    pub next_elsewhere: Option<String>,
    pub redirect: Option<String>,
    /// Whether a release is made while a list is read: the last one of each page is the first of the next, too.
    pub slides: bool,
    /// Notified when a failure has the client killed.
    pub killed: Arc<Notify>,
    /// While above zero, reads show `before`.
    stale: u32,
    before: Option<Box<State>>,
    /// Copies that are behind, if there are any.
    pub lag: Option<Lag>,
    /// By which they are behind.
    pub clock: Arc<dyn Clock>,
    /// With [`Self::lag`]: what was there before each change, and when that came.
    past: Vec<(Timestamp, State)>,
    /// How many reads came.
    reads: u32,
    /// How many of them were answered with something older than what was there.
    pub behind: u32,
    api: SocketAddr,
    uploads: SocketAddr,
}

impl World {
    /// How many requests came that could change something, whatever was answered; fetching a token changes nothing.
    pub fn state_changing(&self) -> usize {
        self.calls.iter().filter(|c| !c.starts_with("GET ") && *c != "POST access token").count()
    }

    /// The address that releases name for their uploads.
    fn upload_base(&self) -> String {
        self.uploads_elsewhere.clone().unwrap_or_else(|| format!("http://{}", self.uploads))
    }

    /// Keeps what was there until now, for copies that are behind.
    fn changed(&mut self, before: &State) {
        if let Some(lag) = self.lag {
            let now = self.clock.now();
            // What every copy has left behind is forgotten.
            self.past.retain(|(at, _)| now.duration_since(*at) < lag.by);
            self.past.push((now, before.clone()));
        }
    }

    /// What the copy shows to which the next read comes; none if that is what is there.
    fn shown_by_a_copy(&mut self) -> Option<State> {
        let lag = self.lag?;
        self.reads += 1;
        let (comes, now) = (self.reads.is_multiple_of(lag.one_in.max(1)), self.clock.now());
        // The first change that it does not have yet tells what it has.
        let old =
            self.past.iter().find(|(at, _)| comes && now.duration_since(*at) < lag.by).map(|(_, state)| state.clone());
        self.behind += u32::from(old.is_some());
        old
    }

    /// Reads the tags of the repository again, if there is one and it can be reached.
    fn sync(&mut self) {
        let Some(repo) = self.git.as_deref().and_then(|git| git2::Repository::open_bare(git).ok()) else { return };
        let Ok(references) = repo.references() else { return };
        let known = self.lag.map(|_| self.state.clone());
        let mut there = std::collections::BTreeMap::new();
        for reference in references.flatten() {
            let (Ok(name), Some(oid)) = (reference.name(), reference.target()) else { continue };
            if let Some(tag) = name.strip_prefix("refs/tags/") {
                self.state.refs.insert(tag.to_owned(), oid.to_string());
            }
            if let Ok(commit) = reference.peel_to_commit() {
                there.insert(name.to_owned(), commit.id().to_string());
            }
        }
        // Whatever was there at the first look was pushed before the double was.
        if let Some(before) = &self.pushed {
            let new: Vec<_> = there.iter().filter(|(n, c)| before.get(*n) != Some(*c)).collect();
            for (name, commit) in new {
                if !before.contains_key(name) {
                    self.state.happens("create", name, commit);
                }
                self.state.happens("push", name, commit);
            }
        }
        if let Some(known) = known.filter(|_| self.pushed.as_ref() != Some(&there)) {
            self.changed(&known);
        }
        self.pushed = Some(there);
    }
}

/// A running double; both hosts end when it is dropped.
pub struct Double {
    world: Arc<Mutex<World>>,
    _hosts: JoinSet<()>,
}

impl Double {
    /// Starts both hosts on free ports of loopback.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0", "127.0.0.1:0").await.unwrap()
    }

    /// Starts both hosts at these addresses.
    pub async fn start_at(api: &str, uploads: &str) -> std::io::Result<Self> {
        let (api, uploads) = (TcpListener::bind(api).await?, TcpListener::bind(uploads).await?);
        let world = Arc::new(Mutex::new(World {
            state: State::default(),
            faults: Faults::default(),
            violations: Vec::new(),
            calls: Vec::new(),
            writes: Vec::new(),
            git: None,
            pushed: None,
            bases: Vec::new(),
            app: None,
            authorizations: Vec::new(),
            uploads_elsewhere: None,
            next_elsewhere: None,
            redirect: None,
            slides: false,
            killed: Arc::default(),
            stale: 0,
            before: None,
            lag: None,
            clock: Arc::new(HostClock),
            past: Vec::new(),
            reads: 0,
            behind: 0,
            api: api.local_addr()?,
            uploads: uploads.local_addr()?,
        }));
        let mut hosts = JoinSet::new();
        for (listener, side) in [(api, Side::Api), (uploads, Side::Uploads)] {
            hosts.spawn(http::serve(listener, side, world.clone()));
        }
        Ok(Self { world, _hosts: hosts })
    }

    /// What it knows now.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API's base address.
    pub fn api(&self) -> String {
        format!("http://{}", self.world().api)
    }

    /// The address of the upload host.
    pub fn uploads(&self) -> String {
        format!("http://{}", self.world().uploads)
    }

    /// Lets a tag point to an object, as a push does.
    pub fn push_tag(&self, tag: &str, object: &str) {
        self.world().state.refs.insert(tag.to_owned(), object.to_owned());
    }

    /// Shows the tags of a bare repository from now on; what is pushed there starts workflows.
    pub fn serve_git(&self, repo: PathBuf) {
        let mut world = self.world();
        world.git = Some(repo);
        world.sync();
    }

    /// People merge the pull request from a branch; as most repositories are set up, the branch is removed then.
    pub fn merge(&self, from: &str) {
        let mut world = self.world();
        for pull in world.state.pulls.iter_mut().filter(|p| p.from == from) {
            (pull.open, pull.merged) = (false, true);
        }
        let name = format!("refs/heads/{from}");
        if let Some(repo) = world.git.as_deref().and_then(|git| git2::Repository::open_bare(git).ok()) {
            let mut reference = repo.find_reference(&name).unwrap();
            let commit = reference.peel_to_commit().unwrap().id().to_string();
            reference.delete().unwrap();
            world.state.happens("delete", &name, &commit);
        }
    }

    /// Adds a failure.
    pub fn inject(&self, fault: Fault) {
        self.world().faults.add(fault);
    }

    /// Everything works from now on: no failures, nothing stale.
    pub fn repair(&self) {
        let mut world = self.world();
        world.lag = None;
        world.faults.clear();
        world.stale = 0;
        world.before = None;
    }
}
