//! A runner whose jobs end before they begin. All that a new kind of runner needs is this file.

use std::sync::Arc;

use lifeboat::adapter::{Adapter, Around, RunnerTable, Settings, Spec};
use lifeboat::effects::Runner;
use lifeboat::error::Result;
use lifeboat::table::{Faults, Table, Text, keys, keys_of};
use serde::Deserialize;

use crate::support::instant_runner::InstantRunner;

pub const ADAPTER: Adapter<dyn Runner> = Adapter {
    kind: "instant",
    about: "jobs that end before they begin",
    example: "kind = \"instant\"",
    keys: keys_of::<RawInstant>(),
    programs: &[],
    facts: (),
    parse,
};

keys! {
    /// A runner without patience.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawInstant {
        /// Where it is.
        address: Text,
    }
}

#[derive(Debug)]
struct Instant(String);

fn parse(_: &RunnerTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Runner>> {
    Some(Arc::new(Instant(table.read::<RawInstant>(faults)?.address.into_inner())))
}

impl Settings<dyn Runner> for Instant {
    fn place(&self) -> String {
        self.0.clone()
    }

    /// Its jobs are none, and no sandbox is asked for.
    fn may_not_isolate(&self) -> bool {
        true
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Runner>> {
        // Verbs that run no train open no runner.
        Ok(InstantRunner::port(around.jobs()?.dir.clone()))
    }
}
