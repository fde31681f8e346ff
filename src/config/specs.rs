//! What every checked table says, whatever its port. The plan's pins, the trust root's hosts, the files that jobs may not see
//! and `doctor` walk this: a new port is one more line here.

use std::path::PathBuf;

use super::settings::{Config, StoreRole};
use crate::adapter::{Program, Settings};
use crate::error::Error;
use crate::model::{Destination, Label, Receiver, SecretRef};

/// What one checked table of an adapter says.
#[derive(Debug)]
pub struct TableFacts<'a> {
    /// The table: `store`.
    pub table: &'static str,
    /// Its name there: `mirror`; of a key in `[signing]` its place: `people.alice`.
    pub name: String,
    /// What gets the bytes of a train by it; none for a key.
    pub receiver: Option<Receiver>,
    /// Whether a train needs it to be released.
    pub required: bool,
    /// Where it is, as the plan pins it.
    pub place: String,
    /// What else the plan pins, each by what it is.
    pub pins: Vec<(&'static str, String)>,
    /// Where it finds secrets, by key.
    pub secrets: Vec<(&'static str, &'a SecretRef)>,
    /// The hosts that it sends credentials to.
    pub hosts: Vec<String>,
    /// What it keeps on this machine, which no job may see.
    pub files: Vec<PathBuf>,
    /// The programs that it starts.
    pub programs: Vec<Program>,
    /// Whether jobs may get all rights of the user who ships.
    pub may_not_isolate: bool,
    /// An address below which anybody may read, to read the server's clock.
    pub clock: Option<String>,
    /// Why it could never work.
    pub lacks: Option<Error>,
}

/// The table of the keys that sign.
pub(crate) const SIGNING: &str = "signing";

impl<'a> TableFacts<'a> {
    fn new<P: ?Sized>(receiver: Receiver, required: bool, spec: &'a (impl Settings<P> + ?Sized)) -> Self {
        let (table, name) = match &receiver {
            Receiver::Destination(destination) => (destination.kind(), destination.name().to_owned()),
            Receiver::Runner(name) => ("runner", name.to_string()),
        };
        Self { receiver: Some(receiver), ..Self::of(table, name, required, spec) }
    }

    fn of<P: ?Sized>(table: &'static str, name: String, required: bool, spec: &'a (impl Settings<P> + ?Sized)) -> Self {
        Self {
            table,
            name,
            receiver: None,
            required,
            place: spec.place(),
            pins: spec.pins(),
            secrets: spec.secrets(),
            hosts: spec.hosts(),
            files: spec.files(),
            programs: spec.programs(),
            may_not_isolate: spec.may_not_isolate(),
            clock: spec.clock(),
            lacks: spec.lacks_nothing().err(),
        }
    }

    /// As messages name it.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.is_key() { format!("`{SIGNING}.{}`", self.name) } else { format!("{} `{}`", self.table, self.name) }
    }

    /// Whether it is a key, which gets no bytes of a train.
    #[must_use]
    pub(crate) fn is_key(&self) -> bool {
        self.receiver.is_none()
    }
}

impl Config {
    /// What every checked table says, in the order of the reference.
    pub fn specs(&self) -> impl Iterator<Item = TableFacts<'_>> {
        let at = Receiver::Destination;
        let runners = self.runners.iter().map(|r| {
            let labels: Vec<&str> = r.labels.iter().map(Label::as_str).collect();
            let mut facts = TableFacts::new(Receiver::Runner(r.name.clone()), true, &*r.spec);
            let place = std::mem::take(&mut facts.place);
            facts.place = format!("{}, labels: {}", r.kind, labels.join(" "));
            if !place.is_empty() {
                facts.place.push_str(&format!("; {place}"));
            }
            facts
        });
        let stores = self.stores.iter().map(move |s| {
            let mut facts =
                TableFacts::new(at(Destination::Store(s.name.clone())), s.role == StoreRole::Required, &*s.spec);
            facts.pins.push(("public address", s.public_url.clone().unwrap_or_else(|| "none".to_owned())));
            facts.clock = s.public_url.clone().or(facts.clock);
            facts
        });
        let remotes = self
            .remotes
            .iter()
            .map(move |r| TableFacts::new(at(Destination::Remote(r.name.clone())), r.required, &*r.spec));
        let forges = self
            .forges
            .iter()
            .map(move |f| TableFacts::new(at(Destination::Forge(f.name.clone())), f.required, &*f.spec));
        let keys = self.signing.keys().map(|(name, key)| TableFacts::of(SIGNING, name, true, &**key));
        runners.chain(stores).chain(remotes).chain(forges).chain(keys)
    }
}
