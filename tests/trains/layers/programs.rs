//! Programs are started in one place, but for those that `subprocess` lists with a reason.

use crate::layers::rules::within;
use crate::layers::source::Source;

/// Who starts a program in a way of its own.
const STARTERS: &[&str] = &[
    "subprocess",
    // It outlives whoever started it.
    "runners/local",
    // It ends after its program.
    "checkout/apply",
    // The first process of a sandbox waits for all that are in it.
    "sandbox/init",
    // Connections that are kept.
    "ssh",
    // What comes out may be larger than the memory.
    "signers/decrypt",
];

pub(crate) fn programs(files: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    let own_way = |f: &&Source| STARTERS.iter().any(|place| within(f, place));
    for file in files.iter().filter(|f| f.is_product() && !own_way(f)) {
        for call in [".spawn()", ".output()"] {
            for (at, _) in file.code.match_indices(call) {
                out.push(format!("{}:{}: `{call}` starts a program: use `Subprocess`", file.path, file.line(at)));
            }
        }
    }
    out
}
