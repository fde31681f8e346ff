//! Where kinds of steps are distinguished.

use crate::layers::rules::{within, words};
use crate::layers::source::Source;

/// Where kinds of steps are distinguished. Everybody else asks the step, or for the type of one kind.
const KINDS: &[&str] = &["step", "plan", "journal"];

/// Nobody else names the variants of the enums over all kinds, and what performs a kind is the file of its name.
pub(crate) fn kinds(files: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    for file in files.iter().filter(|f| f.is_product() && !KINDS.contains(&f.modules()[0])) {
        for of in ["Step", "Outcome"] {
            for at in words(&file.code, of) {
                let variant = file.code[at + of.len()..].strip_prefix("::");
                if variant.is_some_and(|v| v.starts_with(|c: char| c.is_ascii_uppercase() || c == '*' || c == '{')) {
                    let place = format!("{}:{}", file.path, file.line(at));
                    out.push(format!(
                        "{place}: it names a variant of `{of}`: ask the step, or for the kind's own type"
                    ));
                }
            }
        }
    }
    out.extend(kinds_by_text(files));
    for file in files.iter().filter(|f| f.is_product() && within(f, "step") && f.code.contains("impl Kind for ")) {
        let performs = file.path.replace("src/step/", "src/engine/perform/");
        if !files.iter().any(|f| f.path == performs && f.code.contains("impl Perform for ")) {
            out.push(format!("{}: no `{performs}` performs it", file.path));
        }
    }
    out
}

/// Nobody else compares texts with the names of kinds either. Some names are ordinary words (`build`, `test`): those stand in
/// patterns and comparisons nowhere, and no text begins with a name and a slash, as ids do.
fn kinds_by_text(files: &[Source]) -> Vec<String> {
    let steps = files.iter().filter(|f| f.is_product() && within(f, "step"));
    let names: Vec<&str> = steps
        .flat_map(|f| {
            f.words.match_indices("const NAME: &'static str = \"").map(|(at, begin)| &f.words[at + begin.len()..])
        })
        .filter_map(|rest| rest.split_once('"').map(|(name, _)| name))
        .collect();
    let mut out = Vec::new();
    for file in files.iter().filter(|f| f.is_product() && !KINDS.contains(&f.modules()[0])) {
        for name in &names {
            for (at, begin) in file.words.match_indices(&format!("\"{name}")) {
                let (before, after) = (file.words[..at].trim_end(), &file.words[at + begin.len()..]);
                let distinguishes = match after.strip_prefix('"') {
                    Some(after) => {
                        let after = after.trim_start();
                        let compared =
                            ["==", "!=", "starts_with(", "strip_prefix("].iter().any(|op| before.ends_with(op));
                        compared || ["|", "=>", "==", "!="].iter().any(|op| after.starts_with(op))
                    }
                    None => after.starts_with('/'),
                };
                if distinguishes {
                    let place = format!("{}:{}", file.path, file.line(at));
                    out.push(format!("{place}: it distinguishes steps by the text `{name}`: ask the step"));
                }
            }
        }
    }
    out
}
