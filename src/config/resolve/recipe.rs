//! What a target or an assembly runs, checked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::super::raw::RawRecipe;
use crate::formats::template::{Syntax, placeholders};
use crate::model::{Label, SecretRef};
use crate::table::{Fault, Faults, Text, did_you_mean, grammar, in_order, one_of, secrets};

/// Two hours.
const DEFAULT_TIMEOUT_S: u64 = 2 * 60 * 60;
/// A week.
const MAX_TIMEOUT_S: i64 = 7 * 24 * 60 * 60;

/// A recipe without its artifacts.
pub(super) struct Recipe {
    pub(super) labels: Vec<Label>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) pass_env: Vec<String>,
    pub(super) secret_env: BTreeMap<String, SecretRef>,
    pub(super) run: Vec<String>,
    pub(super) test: Vec<String>,
    pub(super) network: bool,
    pub(super) timeout_s: u64,
}

/// Checks a recipe whose templates may hold the placeholders `valid`; `whole` is its table's place.
pub(super) fn recipe(
    raw: &RawRecipe,
    valid: &[&str],
    whole: &Range<usize>,
    base: &Path,
    faults: &mut Faults,
) -> Recipe {
    let mut variables: BTreeMap<String, Range<usize>> = BTreeMap::new();
    let mut variable = |name: &Text, faults: &mut Faults| {
        if !secrets::is_variable(name.get_ref()) {
            let message = format!("`{}` is not a variable's name", name.get_ref());
            faults.add(Fault::new(name.span(), message, "letters, digits and `_`, not starting with a digit"));
        }
        if let Some(first) = variables.insert(name.get_ref().clone(), name.span()) {
            let message = format!("`{}` is set twice", name.get_ref());
            let fault = Fault::new(name.span(), message, "one of `env`, `pass_env` and `secret_env`");
            faults.add(fault.see(first, "the first is here"));
        }
    };
    let mut env = BTreeMap::new();
    for (name, value) in in_order(&raw.env) {
        variable(name, faults);
        template(value, valid, faults);
        env.insert(name.get_ref().clone(), value.get_ref().clone());
    }
    let mut pass_env = Vec::new();
    for name in raw.pass_env.iter().flatten() {
        variable(name, faults);
        if secrets::may_not_pass(name.get_ref()) {
            let message = format!("`{}` holds a secret, or leads to one, by its name", name.get_ref());
            let fault = Fault::new(name.span(), message, "values of `pass_env` are not masked in logs");
            faults.add(fault.help(format!("write `secret_env = {{ {0} = {{ env = \"{0}\" }} }}`", name.get_ref())));
        }
        pass_env.push(name.get_ref().clone());
    }
    let mut secret_env = BTreeMap::new();
    for (name, value) in in_order(&raw.secret_env) {
        variable(name, faults);
        if let Some(reference) = faults.keep(secrets::reference(value, base)) {
            secret_env.insert(name.get_ref().clone(), reference);
        }
    }
    let run = commands(raw.run.as_deref().unwrap_or_default(), valid, faults);
    if run.is_empty() {
        faults.add(Fault::new(
            whole.clone(),
            "nothing is run here",
            "this table, or its recipe, needs `run = [\"…\"]`",
        ));
    }
    Recipe {
        labels: raw.labels.iter().flatten().filter_map(|l| grammar(l, faults)).collect(),
        env,
        pass_env,
        secret_env,
        run,
        test: commands(raw.test.as_deref().unwrap_or_default(), valid, faults),
        network: raw.network.unwrap_or(false),
        timeout_s: raw.timeout.as_ref().and_then(|t| timeout(t, faults)).unwrap_or(DEFAULT_TIMEOUT_S),
    }
}

fn commands(lines: &[Text], valid: &[&str], faults: &mut Faults) -> Vec<String> {
    for line in lines {
        template(line, valid, faults);
        if line.get_ref().trim().is_empty() || line.get_ref().contains('\0') {
            faults.add(Fault::new(line.span(), "an empty command", "write a command line, or remove it"));
        }
    }
    lines.iter().map(|l| l.get_ref().clone()).collect()
}

/// Checks that a template holds known placeholders only.
pub(super) fn template(text: &Text, valid: &[&str], faults: &mut Faults) {
    check_template(text.get_ref(), text.span(), valid, faults);
}

/// The same, for a text without a place of its own.
pub(super) fn check_template(text: &str, span: Range<usize>, valid: &[&str], faults: &mut Faults) {
    for name in placeholders(text, Syntax::Words) {
        if !valid.contains(&name) {
            let braced: Vec<String> = valid.iter().map(|v| format!("{{{v}}}")).collect();
            let label = format!("valid here: {}", one_of(braced.iter().map(String::as_str)));
            let fault = Fault::new(span.clone(), format!("unknown placeholder `{{{name}}}`"), label);
            faults.add(match did_you_mean(name, valid.iter().copied()) {
                Some(meant) => fault.help(format!("did you mean `{{{meant}}}`?")),
                None => fault.help(format!("for the text itself write `{{{{{name}}}}}`")),
            });
        }
    }
}

fn timeout(text: &Text, faults: &mut Faults) -> Option<u64> {
    let seconds = text.get_ref().parse::<jiff::SignedDuration>().map(|d| d.as_secs());
    match seconds {
        Ok(s) if (1..=MAX_TIMEOUT_S).contains(&s) => u64::try_from(s).ok(),
        _ => {
            let message = format!("`{}` is not a time limit", text.get_ref());
            faults.add(Fault::new(
                text.span(),
                message,
                "expected, for example, `90s`, `45m`, `1h 30m`; at most `168h`",
            ));
            None
        }
    }
}
