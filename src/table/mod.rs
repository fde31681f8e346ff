//! How a table of a configuration file is read: its keys and what they mean, its values with their places, its faults.
//!
//! A table is a struct in `keys!`: the doc comment of each field is the reference of that key. The
//! same list makes the generated reference and the JSON Schema, and says which keys hold references to secrets.

mod document;
mod fault;
mod key;
pub mod secrets;
mod text;

pub use crate::keys;
pub use document::Table;
pub(crate) use document::TomlDocument;
pub use fault::{Fault, Faults, did_you_mean, one_of};
pub use key::{Key, NO_KEYS, TableKeys, Type, Written, keys_of};
#[doc(hidden)]
pub use key::{default_of, name_of, words_of};
pub use text::{
    Moment, OfKind, OneOrMany, RawSecret, Text, TextOr, Texts, grammar, grammar_fault, in_order, not_empty,
    server_address,
};
