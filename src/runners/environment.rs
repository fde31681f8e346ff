//! The environment of a job, wherever it runs.

use std::collections::BTreeMap;

use crate::effects::JobRequest;
use crate::error::{Error, Result};

/// Variables and their values.
pub(super) type Environment = BTreeMap<String, String>;

/// `PATH` of jobs unless the recipe passes or sets another.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a job has wherever it runs, its secrets among it: all but `HOME` and `TMPDIR`, which its machine says, unless the
/// recipe sets them, and what the recipe takes over from there.
pub(super) fn of_job(request: &JobRequest) -> Result<Environment> {
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), DEFAULT_PATH.to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("TZ".to_owned(), "UTC".to_owned()),
        ("SOURCE_DATE_EPOCH".to_owned(), request.source_date_epoch.to_string()),
    ]);
    for name in request.job.secret_env.keys() {
        let value = request
            .secrets
            .get(name)
            .ok_or_else(|| Error::input(format!("`{}`: the secret variable `{name}` has no value", request.step)))?;
        env.insert(name.clone(), value.expose().to_owned());
    }
    env.extend(request.job.env.clone());
    Ok(env)
}
