//! Keys that would be accepted and mean nothing: each is refused where it stands.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::super::raw::RawRunner;
use super::adapters::machine_labels;
use crate::formats::template::{Syntax, Values, placeholders, render};
use crate::model::TagName;
use crate::table::{Fault, Faults, Text, did_you_mean, grammar_fault, one_of};

/// The labels that a runner has by itself on some machine: its system and its processor.
const OF_MACHINES: [&str; 9] =
    ["linux", "macos", "windows", "freebsd", "x86_64", "aarch64", "riscv64", "s390x", "powerpc64"];

/// The labels of each runner. One that has its machine's counts with those of any machine: the file is read on others too.
pub(super) fn offered(runners: &[&RawRunner]) -> Vec<BTreeSet<String>> {
    let of_machine = || {
        let own = machine_labels().into_iter().map(|l| l.to_string());
        own.chain(OF_MACHINES.iter().map(|l| (*l).to_owned())).collect()
    };
    if runners.is_empty() {
        return vec![of_machine()];
    }
    let one = |runner: &&RawRunner| match &runner.labels {
        Some(labels) => labels.iter().map(|l| l.get_ref().clone()).collect(),
        None => of_machine(),
    };
    runners.iter().map(one).collect()
}

/// The labels that a target asks for: one runner must have all of them.
pub(super) fn labels(wanted: Option<&[Text]>, offered: &[BTreeSet<String>], faults: &mut Faults) {
    let wanted = wanted.unwrap_or_default();
    let has_all = |runner: &BTreeSet<String>| wanted.iter().all(|l| runner.contains(l.get_ref()));
    let Some(first) = wanted.first() else { return };
    if offered.iter().any(has_all) {
        return;
    }
    let known: BTreeSet<&str> = offered.iter().flatten().map(String::as_str).collect();
    let unknown = wanted.iter().find(|l| !known.contains(l.get_ref().as_str()));
    let fault = match unknown {
        Some(label) => Fault::new(
            label.span(),
            format!("no runner has the label `{}`", label.get_ref()),
            format!("expected {}", one_of(known.iter().copied())),
        ),
        None => Fault::new(first.span(), "no runner has all of these labels", "each of them is on another runner"),
    };
    let meant = unknown.and_then(|label| did_you_mean(label.get_ref(), known));
    faults.add(match meant {
        Some(meant) => fault.help(format!("did you mean `{meant}`?")),
        None => fault.help("add the label to a `[[runner]]`, or add one that has it"),
    });
}

/// `tag` in `[version]`.
pub(super) fn tag(tree: &DeTable<'_>, faults: &mut Faults) {
    let version = tree.get("version").and_then(|v| v.get_ref().as_table());
    let Some(raw) = version.and_then(|t| t.get("tag")) else { return };
    let Some(tag) = raw.get_ref().as_str() else { return };
    if placeholders(tag, Syntax::Words) != ["version"] {
        let message = "a tag's name needs the version";
        let fault = Fault::new(raw.span(), message, "`{version}`, once, and no other placeholder");
        faults.add(fault.help("expected, for example, `v{version}`"));
        return;
    }
    let sample = render(tag, &Values::from([("version", "1.2.3-rc.1")])).unwrap_or_default();
    faults.keep(TagName::new(sample).map_err(|e| grammar_fault(raw.span(), &e)));
}
