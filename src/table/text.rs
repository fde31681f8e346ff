//! Values with their places in the file.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::{Deref, Range};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value};
use toml::Spanned;

use super::fault::{Fault, Faults};
use crate::model::GrammarError;

/// A text with its place in the file.
pub type Text = Spanned<String>;
/// Keys and values with their places; iterate by [`in_order`].
pub type Texts = BTreeMap<Text, Text>;

/// Whatever stands where a reference to a secret belongs; inspected value by value, so that no error can quote it.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct RawSecret(Spanned<toml::Value>);

/// Whatever stands where a date or a time belongs.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Moment(Spanned<toml::Value>);

/// A table of one kind of adapter, which reads it: [`super::Table::inner`] takes it out before.
#[derive(Debug, Clone, Deserialize)]
pub struct OfKind {}

impl Deref for RawSecret {
    type Target = Spanned<toml::Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Deref for Moment {
    type Target = Spanned<toml::Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The base address of a server that gets credentials, without final slash: over TLS, or of this machine.
pub fn server_address(address: &Text, why: &str, faults: &mut Faults) -> String {
    let text = address.get_ref();
    let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let here = |l: &str| text.strip_prefix(l).is_some_and(|r| r.is_empty() || r.starts_with([':', '/']));
    if (!text.starts_with("https://") && !loopback.into_iter().any(here)) || text.contains('@') {
        faults.add(Fault::new(address.span(), why, "expected an `https://` address"));
    }
    text.trim_end_matches('/').to_owned()
}

/// A string, or a table (or list) of another shape; unlike an untagged enum it keeps the spans inside.
#[derive(Debug, Clone)]
pub enum TextOr<T> {
    /// A string.
    Text(String),
    /// Anything else that `T` takes.
    Other(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrVisitor<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a table")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(value::MapAccessDeserializer::new(map)).map(TextOr::Other)
            }
        }

        deserializer.deserialize_any(TextOrVisitor(PhantomData))
    }
}

/// One string or a list of them.
#[derive(Debug, Clone)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;

        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut out = Vec::new();
                while let Some(text) = seq.next_element()? {
                    out.push(text);
                }
                Ok(OneOrMany(out))
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

/// The entries of a table in the order of the file.
pub fn in_order<V>(table: &BTreeMap<Text, V>) -> Vec<(&Text, &V)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Checks a text against a grammar of the model; the fault stands at the text.
pub fn grammar<T>(text: &Text, faults: &mut Faults) -> Option<T>
where
    T: std::str::FromStr<Err = GrammarError>,
{
    let parsed = text.get_ref().parse::<T>();
    faults.keep(parsed.map_err(|e| grammar_fault(text.span(), &e)))
}

/// Shows a grammar error at a place: what is wrong above, what is valid below the caret.
#[must_use]
pub fn grammar_fault(span: Range<usize>, e: &GrammarError) -> Fault {
    let text = e.to_string();
    match text.rsplit_once(": ") {
        Some((what, valid)) => Fault::new(span, what, valid),
        None => Fault::new(span, text, ""),
    }
}

/// Refuses a text that is empty or has more than one line.
pub fn not_empty(text: &Text, faults: &mut Faults) -> Option<()> {
    if text.get_ref().is_empty() || text.get_ref().contains(['\0', '\n']) {
        faults.add(Fault::new(text.span(), "an empty or broken text", "write something on one line"));
        return None;
    }
    Some(())
}
