//! What a configuration names and the repository does not have: found by whoever can look, shown where it stands.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};
use crate::table::{Fault, Faults, secrets};

/// A name in a configuration that must mean something in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// What it names, for the message: `branch filter`.
    pub what: &'static str,
    /// The name, or the pattern.
    pub name: String,
    at: Range<usize>,
}

impl Unused {
    /// Every such name, in the order of the file; nothing of a file that cannot be parsed.
    #[must_use]
    pub(crate) fn candidates(text: &str) -> Vec<Self> {
        let (table, _) = DeTable::parse_recoverable(text);
        let table = table.into_inner();
        let mut out = Vec::new();
        for list in ["target", "assemble"] {
            for item in tables(table.get(list)) {
                texts(item.get("branches"), "filter over branches", &mut out);
            }
        }
        for remote in tables(table.get("remote")) {
            keys(remote.get("push"), "filter over branches", &mut out);
        }
        for project in tables(table.get("project")) {
            texts(project.get("branches"), "filter over branches", &mut out);
            texts(project.get("templates"), "directory of templates", &mut out);
        }
        for bundle in tables(table.get("bundle")) {
            texts(bundle.get("without_submodules"), "submodule", &mut out);
        }
        for (_, forge) in table.get("forge").and_then(|f| f.get_ref().as_table()).into_iter().flatten() {
            for forge in tables(Some(forge)) {
                texts(forge.get("default_branch"), "branch", &mut out);
                keys(forge.get("triggers"), "workflow", &mut out);
            }
        }
        for store in tables(table.get("store")) {
            texts(store.get("url"), "store", &mut out);
        }
        out.sort_by_key(|u| u.at.start);
        out
    }
}

/// One error that shows all of them; `why` says of each what is wrong and what is expected.
pub fn refuse(text: &str, path: &Path, found: Vec<(Unused, String, String)>) -> Result<(), Error> {
    let mut faults = Faults::default();
    for (unused, message, expected) in found {
        faults.add(Fault::new(unused.at, message, expected));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.into_error(path, text, &secrets::hide_by_line(text))) }
}

/// A table, or each of a list of tables.
fn tables<'a, 't>(value: Option<&'a Spanned<DeValue<'t>>>) -> Vec<&'a DeTable<'t>> {
    match value.map(Spanned::get_ref) {
        Some(DeValue::Table(table)) => vec![table],
        Some(DeValue::Array(items)) => items.iter().filter_map(|i| i.get_ref().as_table()).collect(),
        _ => Vec::new(),
    }
}

/// A text, or each of a list of texts.
fn texts(value: Option<&Spanned<DeValue<'_>>>, what: &'static str, out: &mut Vec<Unused>) {
    let Some(value) = value else { return };
    let mut add = |v: &Spanned<DeValue<'_>>| {
        if let Some(name) = v.get_ref().as_str() {
            out.push(Unused { what, name: name.to_owned(), at: v.span() });
        }
    };
    match value.get_ref() {
        DeValue::Array(items) => items.iter().for_each(add),
        _ => add(value),
    }
}

/// Each key of a table.
fn keys(value: Option<&Spanned<DeValue<'_>>>, what: &'static str, out: &mut Vec<Unused>) {
    for (key, _) in value.and_then(|v| v.get_ref().as_table()).into_iter().flatten() {
        out.push(Unused { what, name: key.get_ref().to_string(), at: key.span() });
    }
}
