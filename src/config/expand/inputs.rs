//! The files from elsewhere that a job finds: by digest, each at a place of its own.

use super::super::settings::{Config, TargetConfig};
use crate::error::{Error, Result};
use crate::model::InputName;
use crate::step::ToolInput;

/// What a target's table names, in its order.
pub(super) fn of(config: &Config, recipe: &TargetConfig) -> Result<Vec<ToolInput>> {
    let one = |name: &InputName| {
        let found = config.inputs.iter().find(|input| input.name == *name);
        let found = found.ok_or_else(|| Error::input(format!("`{}`: there is no input `{name}`", recipe.name)))?;
        Ok(ToolInput { path: found.path.clone(), sha256: found.sha256 })
    };
    recipe.inputs.iter().map(one).collect()
}

/// Refuses an input in the place of another file of the job: one that it must leave, or that is put there too.
pub(super) fn check<'a>(
    recipe: &TargetConfig,
    inputs: &'a [ToolInput],
    files: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    // Case counts on some systems only.
    let folded = |path: &str| format!("{}/", path.to_ascii_lowercase());
    let mut taken: Vec<&str> = files.into_iter().collect();
    for ToolInput { path, .. } in inputs {
        let ours = folded(path);
        let clash = |file: &&&str| folded(file).starts_with(&ours) || ours.starts_with(&folded(file));
        if let Some(file) = taken.iter().find(clash) {
            return Err(Error::input(format!(
                "`{}`: the input at `{path}` and another file of this job: `{file}` cannot both be there",
                recipe.name
            ))
            .hint("give the input a place of its own, with `path` in its `[[input]]`"));
        }
        taken.push(path);
    }
    Ok(())
}
