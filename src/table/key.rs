//! What keys a table has: name, type, default and one sentence, as data.

use std::collections::BTreeMap;

use toml::Spanned;

/// The keys of one table.
#[derive(Debug, PartialEq, Eq)]
pub struct TableKeys {
    /// What the table is, as its doc comment says.
    pub about: &'static str,
    /// Its keys, in the order of the struct.
    pub keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// As it is written in the file.
    pub name: &'static str,
    /// What it means, as the field's doc comment says.
    pub about: &'static str,
    /// What stands there.
    pub written: Type,
    /// Whether the table needs it.
    pub required: bool,
    /// What holds without it: a TOML value, or words where it depends on something.
    pub default: Option<&'static str>,
    /// The texts that may stand there, if there are only some.
    pub words: &'static [&'static str],
}

/// What may stand at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A string.
    Text,
    /// An integer.
    Whole,
    /// `true` or `false`.
    Flag,
    /// A date, or a time with an offset.
    Time,
    /// A reference to a secret: `{ env = … }`, `{ file = … }` or `{ command = […] }`.
    Secret,
    /// A list.
    List(&'static Type),
    /// A table whose keys are names.
    Map(&'static Type),
    /// A table with these keys.
    Table(&'static TableKeys),
    /// A table of one kind of adapter, which has the keys.
    OfKind,
    /// The one or the other.
    Either(&'static Type, &'static Type),
}

impl TableKeys {
    /// Every key of this table and of the tables in it, each with its path: `app.private_key`. A list or a table of names
    /// adds nothing to the path.
    #[must_use]
    pub fn flat(&'static self) -> Vec<(String, &'static Key)> {
        let mut out = Vec::new();
        for key in self.keys {
            out.push((key.name.to_owned(), key));
            for inner in key.written.tables() {
                out.extend(inner.flat().into_iter().map(|(path, k)| (format!("{}.{path}", key.name), k)));
            }
        }
        out
    }
}

impl Type {
    /// The tables that may stand there.
    #[must_use]
    pub fn tables(&self) -> Vec<&'static TableKeys> {
        match self {
            Self::Table(keys) => vec![keys],
            Self::List(of) | Self::Map(of) => of.tables(),
            Self::Either(one, other) => one.tables().into_iter().chain(other.tables()).collect(),
            Self::Text | Self::Whole | Self::Flag | Self::Time | Self::Secret | Self::OfKind => Vec::new(),
        }
    }

    /// Whether tables of a kind of adapter stand there.
    #[must_use]
    pub fn is_of_kind(&self) -> bool {
        match self {
            Self::OfKind => true,
            Self::List(of) | Self::Map(of) => of.is_of_kind(),
            _ => false,
        }
    }

    /// Whether references to secrets stand there.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        match self {
            Self::Secret => true,
            Self::List(of) | Self::Map(of) => of.is_secret(),
            _ => false,
        }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Whole => f.write_str("integer"),
            Self::Flag => f.write_str("true or false"),
            Self::Time => f.write_str("date or time"),
            Self::Secret => f.write_str("reference to a secret"),
            Self::List(of) => write!(f, "list of {of}"),
            Self::Map(of) => write!(f, "table of {of}"),
            Self::Table(_) => f.write_str("table"),
            Self::OfKind => f.write_str("one of the kinds below"),
            Self::Either(one, other) => write!(f, "{one}, or {other}"),
        }
    }
}

/// A type that can stand at a key.
pub trait Written {
    /// What stands there.
    const TYPE: Type;
    /// Whether the table needs the key.
    const REQUIRED: bool = true;
    /// The texts that may stand there, if there are only some.
    const WORDS: &'static [&'static str] = &[];
}

macro_rules! written {
    ($($type:ty => $written:expr;)*) => { $(impl Written for $type { const TYPE: Type = $written; })* };
}

written! {
    String => Type::Text;
    bool => Type::Flag;
    i64 => Type::Whole;
    u64 => Type::Whole;
    semver::VersionReq => Type::Text;
    super::OneOrMany => Type::Either(&Type::Text, &Type::List(&Type::Text));
    super::RawSecret => Type::Secret;
    super::Moment => Type::Time;
    super::OfKind => Type::OfKind;
}

impl<T: Written> Written for Option<T> {
    const TYPE: Type = T::TYPE;
    const WORDS: &'static [&'static str] = T::WORDS;
    const REQUIRED: bool = false;
}

impl<T: Written> Written for Spanned<T> {
    const TYPE: Type = T::TYPE;
    const REQUIRED: bool = T::REQUIRED;
}

impl<T: Written> Written for Box<T> {
    const TYPE: Type = T::TYPE;
}

impl<T: Written> Written for Vec<T> {
    const TYPE: Type = Type::List(&T::TYPE);
}

impl<T: Written> Written for super::TextOr<T> {
    const TYPE: Type = Type::Either(&Type::Text, &T::TYPE);
}

impl<K, T: Written> Written for BTreeMap<K, T> {
    const TYPE: Type = Type::Map(&T::TYPE);
}

/// The default that a key was given.
#[doc(hidden)]
#[must_use]
pub const fn default_of(given: &'static [&'static str]) -> Option<&'static str> {
    match given {
        [default, ..] => Some(default),
        [] => None,
    }
}

/// The words of a key, or those of its type.
#[doc(hidden)]
#[must_use]
pub const fn words_of(given: &'static [&'static str], of_type: &'static [&'static str]) -> &'static [&'static str] {
    if given.is_empty() { of_type } else { given }
}

/// The keys of a kind that has none of its own.
pub const NO_KEYS: &TableKeys = &TableKeys { about: "", keys: &[] };

/// The keys of a struct that is a table.
#[must_use]
pub const fn keys_of<T: Written>() -> &'static TableKeys {
    match T::TYPE {
        Type::Table(keys) => keys,
        _ => NO_KEYS,
    }
}

/// A field's name as the file has it.
#[doc(hidden)]
#[must_use]
pub const fn name_of(field: &'static str, given: &'static [&'static str]) -> &'static str {
    match (given, field.as_bytes()) {
        ([name, ..], _) => name,
        // A raw identifier.
        ([], [b'r', b'#', ..]) => field.split_at(2).1,
        _ => field,
    }
}

/// A struct that is a table of a configuration file, with the list of its keys as [`Written::TYPE`]. A field may say its
/// name in the file (`krate as "crate": …`), the words that it takes (`kind: Text ["a", "b"]`) and its default
/// (`required: Option<bool> = "true"`).
#[macro_export]
macro_rules! keys {
    ($(
        $(#[doc = $doc:literal])+
        $(#[derive($($derive:tt)*)])*
        $(#[serde($($of:tt)*)])*
        $(#[expect($($expect:tt)*)])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $about:literal])+
                $(#[serde($($serde:tt)*)])*
                $see:vis $key:ident $(as $written:literal)?: $type:ty $([$($word:literal),+])? $(= $default:literal)?,
            )*
        }
    )+) => { $(
        $(#[doc = $doc])+
        $(#[derive($($derive)*)])*
        $(#[serde($($of)*)])*
        $(#[expect($($expect)*)])*
        $vis struct $name {
            $(
                $(#[doc = $about])+
                $(#[serde($($serde)*)])*
                $(#[serde(rename = $written)])?
                $see $key: $type,
            )*
        }

        impl $crate::table::Written for $name {
            const TYPE: $crate::table::Type = $crate::table::Type::Table(&$crate::table::TableKeys {
                about: concat!($($doc),+),
                keys: &[$($crate::table::Key {
                    name: $crate::table::name_of(stringify!($key), &[$($written)?]),
                    about: concat!($($about),+),
                    written: <$type as $crate::table::Written>::TYPE,
                    required: <$type as $crate::table::Written>::REQUIRED
                        && $crate::table::default_of(&[$($default)?]).is_none(),
                    default: $crate::table::default_of(&[$($default)?]),
                    words: $crate::table::words_of(&[$($($word),+)?], <$type as $crate::table::Written>::WORDS),
                },)*],
            });
        }
    )+ };
}
