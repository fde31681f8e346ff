//! A TOML file as a tree of tables, each turned into its struct on its own, so that one run shows the faults of all.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, ValueDeserializer};

use super::fault::{Fault, Faults, did_you_mean, one_of};
use super::key::{Written, keys_of};
use super::text::Text;

/// The top level of a file, from which its tables are taken one by one.
pub(crate) struct TomlDocument<'t> {
    table: DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> TomlDocument<'t> {
    /// Parses the text; what cannot be parsed becomes faults.
    pub(crate) fn parse(text: &'t str, faults: &mut Faults) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        for e in errors {
            faults.add(Fault::new(e.span().unwrap_or_default(), "this is not TOML", e.message()));
        }
        Self { table: table.into_inner(), known: Vec::new() }
    }

    /// The tree as it was parsed.
    pub(crate) fn tree(&self) -> &DeTable<'t> {
        &self.table
    }

    /// Takes a key out of a table that has it no more, so that its refusal can say where it went.
    pub(crate) fn retired(&mut self, table: &str, key: &str) -> Option<Spanned<DeValue<'t>>> {
        let (at, value) = self.table.remove_entry(table)?;
        let span = value.span();
        let mut value = value.into_inner();
        let found = match &mut value {
            DeValue::Table(keys) => keys.remove(key),
            _ => None,
        };
        self.table.insert(at, Spanned::new(span, value));
        found
    }

    /// Takes `[key]`, if it is there and has the right shape.
    pub(crate) fn section<T: DeserializeOwned>(&mut self, key: &'static str, faults: &mut Faults) -> Option<T> {
        let value = self.whole(key, faults)?;
        faults.keep(shape(value))
    }

    /// Takes `[key]`, unread; paths in it are relative to `base`.
    pub(crate) fn table(&mut self, key: &'static str, base: &Path, faults: &mut Faults) -> Option<Table<'t>> {
        let value = self.whole(key, faults)?;
        table(value, base, TABLE, faults)
    }

    fn whole(&mut self, key: &'static str, faults: &mut Faults) -> Option<Spanned<DeValue<'t>>> {
        let (_, value) = self.take(key)?;
        if value.get_ref().is_table() {
            return Some(value);
        }
        let message = format!("`{key}` is a table, not a {}", value.get_ref().type_str());
        faults.add(Fault::new(value.span(), message, format!("write `[{key}]`")));
        None
    }

    /// Takes every `[[key]]` that has the right shape, with its place.
    pub(crate) fn list<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
    ) -> Vec<(Range<usize>, T)> {
        let Some((at, value)) = self.take(key) else { return Vec::new() };
        let items: DeArray<'t> = match value.into_inner() {
            DeValue::Array(items) => items,
            other => {
                let found = other.type_str();
                let fault = Fault::new(at, format!("`{key}` is a list of tables, not a {found}"), "")
                    .help(format!("write `[[{key}]]`, once for each"));
                faults.add(fault);
                return Vec::new();
            }
        };
        items.into_iter().filter_map(|item| Some((item.span(), faults.keep(shape(item))?))).collect()
    }

    /// Takes every `[[key]]`, unread; paths in them are relative to `base`.
    pub(crate) fn tables(&mut self, key: &'static str, base: &Path, faults: &mut Faults) -> Vec<Table<'t>> {
        let Some((at, value)) = self.take(key) else { return Vec::new() };
        let DeValue::Array(items) = value.into_inner() else {
            let fault = Fault::new(at, format!("`{key}` is a list of tables"), "");
            faults.add(fault.help(format!("write `[[{key}]]`, once for each")));
            return Vec::new();
        };
        items.into_iter().filter_map(|item| table(item, base, TABLE, faults)).collect()
    }

    /// Takes every `[key.<name>]`, unread, in the order of the file.
    pub(crate) fn named_tables(
        &mut self,
        key: &'static str,
        base: &Path,
        faults: &mut Faults,
    ) -> Vec<(Spanned<String>, Table<'t>)> {
        let found = self.each_named(key, faults);
        found.into_iter().filter_map(|(name, value)| Some((name, table(value, base, TABLE, faults)?))).collect()
    }

    /// Takes every `[key.<name>]` that has the right shape, in the order of the file.
    pub(crate) fn named<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
    ) -> Vec<(Spanned<String>, T)> {
        let found = self.each_named(key, faults);
        found.into_iter().filter_map(|(name, value)| Some((name, faults.keep(shape(value))?))).collect()
    }

    /// Takes every table `[key.<name>]`, in the order of the file.
    fn each_named(&mut self, key: &'static str, faults: &mut Faults) -> Vec<(Spanned<String>, Spanned<DeValue<'t>>)> {
        let Some((at, value)) = self.take(key) else { return Vec::new() };
        let DeValue::Table(entries) = value.into_inner() else {
            faults.add(Fault::new(at, format!("`{key}` is a table of tables"), format!("write `[{key}.<name>]`")));
            return Vec::new();
        };
        let mut out = Vec::new();
        for (name, value) in entries {
            let name = Spanned::new(name.span(), name.get_ref().to_string());
            if value.get_ref().is_table() {
                out.push((name, value));
            } else {
                let message = format!("`{key}.{}` is a table", name.get_ref());
                faults.add(Fault::new(name.span(), message, format!("write `[{key}.<name>]` and its keys below")));
            }
        }
        out.sort_by_key(|(name, _)| name.span().start);
        out
    }

    /// Reads the keys that are left as one struct: those of a file's top level.
    pub(crate) fn rest<T: DeserializeOwned>(&mut self, faults: &mut Faults) -> Option<T> {
        let table = std::mem::take(&mut self.table);
        let valid_too = self.known.iter().copied();
        let read = T::deserialize(ValueDeserializer::from(Spanned::new(0..0, DeValue::Table(table))));
        faults.keep(read.map_err(|e| explain(e.span().unwrap_or_default(), e.message(), valid_too)))
    }

    /// Refuses every key that was not taken.
    pub(crate) fn finish(self, faults: &mut Faults) {
        for key in self.table.keys() {
            faults.add(unknown_key(key.span(), key.get_ref(), self.known.iter().copied()));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(Range<usize>, Spanned<DeValue<'t>>)> {
        self.known.push(key);
        self.table.remove_entry(key).map(|(k, v)| (k.span(), v))
    }
}

/// What a table is, where nothing more is known.
const TABLE: &str = "a table, `{ … }`";

fn table<'t>(value: Spanned<DeValue<'t>>, base: &Path, expected: &str, faults: &mut Faults) -> Option<Table<'t>> {
    let at = value.span();
    match value.into_inner() {
        DeValue::Table(keys) => Some(Table { at, keys, known: Vec::new(), base: base.to_owned() }),
        other => {
            let found = format!("wrong type: found a {}", other.type_str());
            faults.add(Fault::new(at, found, format!("expected {expected}")));
            None
        }
    }
}

/// One table of which some keys may have been read already; adapters read the rest.
pub struct Table<'t> {
    at: Range<usize>,
    keys: DeTable<'t>,
    known: Vec<&'static str>,
    base: PathBuf,
}

impl<'t> Table<'t> {
    /// Parses a text that holds the keys of one table alone; paths in it are relative to `base`.
    pub fn parse(text: &'t str, base: &Path, faults: &mut Faults) -> Self {
        let keys = TomlDocument::parse(text, faults).table;
        Self { at: 0..0, keys, known: Vec::new(), base: base.to_owned() }
    }

    /// Where the table begins.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The directory to which its paths are relative: that of the file.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Whether a key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Takes the table at a key, unread; `expected` is how one is written.
    pub(crate) fn inner(&mut self, key: &'static str, expected: &str, faults: &mut Faults) -> Option<Self> {
        let (_, value) = self.keys.remove_entry(key)?;
        table(value, &self.base, expected, faults)
    }

    /// Takes every table in the table at a key, unread, each with its name, in the order of the file.
    pub(crate) fn inner_named(&mut self, key: &'static str, expected: &str, faults: &mut Faults) -> Vec<(Text, Self)> {
        let Some(entries) = self.inner(key, TABLE, faults) else { return Vec::new() };
        let mut out = Vec::new();
        for (name, value) in entries.keys {
            let name = Spanned::new(name.span(), name.get_ref().to_string());
            out.extend(table(value, &self.base, expected, faults).map(|table| (name, table)));
        }
        out.sort_by_key(|(name, _)| name.span().start);
        out
    }

    /// Refuses the first key that is none of these, if there is one.
    pub(crate) fn unknown(&self, known: &[&str]) -> Option<Fault> {
        let unknown = self.keys.keys().filter(|key| !known.contains(&&**key.get_ref()));
        let key = unknown.min_by_key(|key| key.span().start)?;
        Some(unknown_key(key.span(), key.get_ref(), known.iter().copied()))
    }

    /// Reads the keys of `T`, and leaves the others.
    pub(crate) fn split<T: DeserializeOwned + Written>(mut self, faults: &mut Faults) -> Option<(T, Self)> {
        let mut ours = DeTable::new();
        for key in keys_of::<T>().keys {
            self.known.push(key.name);
            if let Some((name, value)) = self.keys.remove_entry(key.name) {
                ours.insert(name, value);
            }
        }
        match shape(Spanned::new(self.at.clone(), DeValue::Table(ours))) {
            Ok(read) => Some((read, self)),
            Err(fault) => {
                // A key that is missing may be there under a name that is not quite its own.
                let like = |key: &str| did_you_mean(key, self.known.iter().copied()).is_some();
                let meant = self.keys.keys().find(|key| like(key.get_ref()));
                faults.add(match meant {
                    Some(key) => unknown_key(key.span(), key.get_ref(), self.known.iter().copied()),
                    None => fault,
                });
                None
            }
        }
    }

    /// Reads all keys that are left; any that `T` does not have is refused.
    pub fn read<T: DeserializeOwned>(self, faults: &mut Faults) -> Option<T> {
        let read = T::deserialize(ValueDeserializer::from(Spanned::new(self.at.clone(), DeValue::Table(self.keys))));
        let whole = self.at;
        faults.keep(read.map_err(|e| {
            explain(e.span().filter(|s| !s.is_empty()).unwrap_or(whole), e.message(), self.known.iter().copied())
        }))
    }

    /// Refuses every key that is left: this kind has none of its own.
    pub(crate) fn has_no_more(self, faults: &mut Faults) {
        for key in self.keys.keys() {
            faults.add(unknown_key(key.span(), key.get_ref(), self.known.iter().copied()));
        }
    }
}

/// Turns a value into its struct; the first thing that does not fit is the fault.
fn shape<T: DeserializeOwned>(value: Spanned<DeValue<'_>>) -> Result<T, Fault> {
    let whole = value.span();
    T::deserialize(ValueDeserializer::from(value))
        .map_err(|e| explain(e.span().filter(|s| !s.is_empty()).unwrap_or(whole), e.message(), std::iter::empty()))
}

fn unknown_key<'a>(span: Range<usize>, key: &str, valid: impl Iterator<Item = &'a str> + Clone) -> Fault {
    let mut sorted: Vec<&str> = valid.collect();
    sorted.sort_unstable();
    let fault = Fault::new(span, format!("unknown key `{key}`"), format!("valid here: {}", one_of(sorted.clone())));
    match did_you_mean(key, sorted) {
        Some(meant) => fault.help(format!("did you mean `{meant}`?")),
        None => fault,
    }
}

/// Says serde's words in ours; `valid_too` are keys that serde does not know of, because they were taken before.
fn explain<'a>(span: Range<usize>, message: &'a str, valid_too: impl Iterator<Item = &'a str>) -> Fault {
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let key = quoted(rest);
        let valid: Vec<&str> = rest.split('`').skip(3).step_by(2).chain(valid_too).collect();
        return unknown_key(span, &key, valid.iter().copied());
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let key = quoted(rest);
        return Fault::new(span, format!("the key `{key}` is missing"), format!("this table needs `{key} = …`"));
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        // The found value stands in the line that is shown anyway, unless it is hidden there: name its type only.
        let found = found.split([' ', '`']).next().unwrap_or_default();
        let ours = |word: &str| match word {
            "" => "another type".to_owned(),
            "map" | "table" => "a table".to_owned(),
            "sequence" | "array" => "a list".to_owned(),
            "integer" => "an integer".to_owned(),
            other => format!("a {other}"),
        };
        let found = ours(found);
        // serde's word for it is the name of a type of ours.
        let expected = if expected.starts_with("struct ") { "a map" } else { expected };
        let expected = expected.replace("a sequence", "a list, `[…]`").replace("a map", "a table, `{ … }`");
        return Fault::new(span, format!("wrong type: found {found}"), format!("expected {expected}"));
    }
    Fault::new(span, message.to_owned(), "")
}
