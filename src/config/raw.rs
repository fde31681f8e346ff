//! The files as they are written: one struct per table, spans kept, unknown keys refused. Nothing is checked beyond
//! shape and type; [`super::resolve`] does that.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value};
use toml::Spanned;

/// A text with its place in the file.
pub(super) type Text = Spanned<String>;
/// Keys and values with their places; iterate by [`in_order`].
pub(super) type Texts = BTreeMap<Text, Text>;

/// `[project]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProject {
    pub(super) name: Text,
    pub(super) branches: Option<Text>,
    pub(super) repository: Option<Text>,
    pub(super) committer: Text,
    pub(super) tag: Option<Text>,
    pub(super) keys: Option<Text>,
    pub(super) templates: Option<Text>,
}

/// `[bundle]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBundle {
    pub(super) vendor: Option<bool>,
    pub(super) cargo_home: Option<Text>,
    pub(super) without_submodules: Option<Vec<Text>>,
}

macro_rules! with_recipe_keys {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $(pub(super) $key: $type,)*
            labels: Option<Vec<Text>>,
            env: Option<Texts>,
            pass_env: Option<Vec<Text>>,
            secret_env: Option<BTreeMap<Text, RawSecret>>,
            run: Option<Vec<Text>>,
            test: Option<Vec<Text>>,
            artifacts: Option<Vec<Spanned<RawArtifact>>>,
            network: Option<bool>,
            timeout: Option<Text>,
        }

        impl $name {
            /// The part of the table that says what is run.
            pub(super) fn recipe_keys(&self) -> RawRecipe {
                RawRecipe {
                    labels: self.labels.clone(),
                    env: self.env.clone().unwrap_or_default(),
                    pass_env: self.pass_env.clone(),
                    secret_env: self.secret_env.clone().unwrap_or_default(),
                    run: self.run.clone(),
                    test: self.test.clone(),
                    artifacts: self.artifacts.clone(),
                    network: self.network,
                    timeout: self.timeout.clone(),
                }
            }
        }
    };
}

with_recipe_keys! {
    /// `[recipe.<name>]`: keys that several targets share.
    RawNamedRecipe {}
}
with_recipe_keys! {
    /// `[[target]]`: one target, or one for each of `each` times `variants`.
    RawTarget {
        name: Option<Text>,
        triple: Option<Text>,
        each: Option<Texts>,
        variants: Option<Vec<Spanned<RawVariant>>>,
        recipe: Option<Text>,
        branches: Option<Spanned<OneOrMany>>,
    }
}
with_recipe_keys! {
    /// `[[assemble]]`: one assembly, or one for each of `each`.
    RawAssemble {
        name: Option<Text>,
        each: Option<Vec<Text>>,
        from: Vec<Text>,
        layout: Option<Spanned<TextOr<Texts>>>,
        recipe: Option<Text>,
        branches: Option<Spanned<OneOrMany>>,
    }
}
with_recipe_keys! {
    /// A variant of targets, written as a table.
    RawVariantTable { suffix: Text, }
}

/// A variant: a suffix of the name, or a table that also changes the recipe.
pub(super) type RawVariant = TextOr<Box<RawVariantTable>>;

/// An artifact: a path, or a path that is made for some names only.
pub(super) type RawArtifact = TextOr<RawArtifactTable>;

/// An artifact written as a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArtifactTable {
    pub(super) path: Text,
    pub(super) r#for: Vec<Text>,
}

/// What is run, where and what it leaves; of one table or of several laid over each other.
#[derive(Debug, Clone, Default)]
pub(super) struct RawRecipe {
    pub(super) labels: Option<Vec<Text>>,
    pub(super) env: Texts,
    pub(super) pass_env: Option<Vec<Text>>,
    pub(super) secret_env: BTreeMap<Text, RawSecret>,
    pub(super) run: Option<Vec<Text>>,
    pub(super) test: Option<Vec<Text>>,
    pub(super) artifacts: Option<Vec<Spanned<RawArtifact>>>,
    pub(super) network: Option<bool>,
    pub(super) timeout: Option<Text>,
}

impl RawRecipe {
    /// Lays `over` on top: its keys win, except that environments are joined variable by variable.
    pub(super) fn overlay(mut self, over: Self) -> Self {
        for (name, value) in over.env {
            self.env.retain(|n, _| n.get_ref() != name.get_ref());
            self.env.insert(name, value);
        }
        for (name, value) in over.secret_env {
            self.secret_env.retain(|n, _| n.get_ref() != name.get_ref());
            self.secret_env.insert(name, value);
        }
        Self {
            labels: over.labels.or(self.labels),
            env: self.env,
            pass_env: over.pass_env.or(self.pass_env),
            secret_env: self.secret_env,
            run: over.run.or(self.run),
            test: over.test.or(self.test),
            artifacts: over.artifacts.or(self.artifacts),
            network: over.network.or(self.network),
            timeout: over.timeout.or(self.timeout),
        }
    }
}

/// `[[runner]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRunner {
    pub(super) name: Text,
    pub(super) kind: Text,
    pub(super) labels: Option<Vec<Text>>,
    pub(super) slots: Option<Spanned<i64>>,
    pub(super) read: Option<Vec<Text>>,
    pub(super) same_user: Option<bool>,
}

/// `[[store]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    pub(super) name: Text,
    pub(super) url: Text,
    pub(super) public_url: Option<Text>,
    pub(super) required: Option<bool>,
}

/// `[[remote]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRemote {
    pub(super) name: Text,
    pub(super) url: Text,
    pub(super) push: Option<Spanned<TextOr<Texts>>>,
    pub(super) required: Option<bool>,
}

/// `[forge.<name>]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawForge {
    pub(super) repository: Text,
    pub(super) api: Option<Text>,
    pub(super) uploads: Option<Text>,
    pub(super) token: Option<RawSecret>,
    pub(super) app: Option<Spanned<RawApp>>,
    pub(super) remote: Option<Text>,
    pub(super) default_branch: Option<Text>,
    pub(super) triggers: Option<Texts>,
    pub(super) draft_audience: Option<Text>,
    pub(super) advisories: Option<Spanned<bool>>,
    pub(super) required: Option<bool>,
}

/// `app = { id = …, installation = …, private_key = … }` of a forge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApp {
    pub(super) id: Text,
    pub(super) installation: Spanned<u64>,
    pub(super) private_key: RawSecret,
}

/// `[signing]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSigning {
    pub(super) release: Option<Spanned<RawKey>>,
    pub(super) freshness: Option<Spanned<RawKey>>,
    pub(super) operator: Option<Spanned<RawKey>>,
    pub(super) people: Option<BTreeMap<Text, Spanned<RawKey>>>,
    pub(super) sign_artifacts: Option<bool>,
}

/// A key: `{ file = …, passphrase = … }` or `{ gpg = … }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`{ file = \"path\" }` or `{ gpg = \"FINGERPRINT\" }`")]
pub(super) struct RawKey {
    pub(super) file: Option<Text>,
    pub(super) passphrase: Option<RawSecret>,
    pub(super) gpg: Option<Text>,
}

/// Whatever stands where a reference to a secret belongs; looked at by hand, so that no error can quote it.
pub(super) type RawSecret = Spanned<toml::Value>;

/// The train file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrain {
    pub(super) name: Text,
    pub(super) date: Spanned<toml::Value>,
    pub(super) not_before: Option<Spanned<toml::Value>>,
    pub(super) advisories: Option<Vec<Text>>,
}

/// `[[advisory]]` of the train file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdvisory {
    pub(super) id: Text,
    pub(super) summary: Text,
    pub(super) description: Text,
    pub(super) severity: Option<Text>,
    pub(super) cvss: Option<Text>,
    pub(super) cwes: Option<Vec<Text>>,
    pub(super) cve: Option<Text>,
    pub(super) affected: Vec<RawAffected>,
}

/// One range of an advisory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAffected {
    pub(super) package: Text,
    pub(super) ecosystem: Option<Text>,
    pub(super) versions: Text,
    pub(super) patched: Option<Text>,
}

/// `[[line]]` of the train file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLine {
    pub(super) branch: Text,
    pub(super) kind: Option<Text>,
    pub(super) to: Option<Text>,
    pub(super) patches: Option<Spanned<TextOr<RawRemoteSeries>>>,
}

/// `patches = { remote = …, branch = … }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRemoteSeries {
    pub(super) remote: Text,
    pub(super) branch: Text,
}

/// A string, or a table (or list) of another shape; unlike an untagged enum it keeps the spans inside.
#[derive(Debug, Clone)]
pub(super) enum TextOr<T> {
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
pub(super) struct OneOrMany(pub(super) Vec<String>);

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
pub(super) fn in_order<V>(table: &BTreeMap<Text, V>) -> Vec<(&Text, &V)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}
