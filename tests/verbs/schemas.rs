//! `docs/schemas` describes the published documents as the program writes and reads them.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use lifeboat::error::Result;
use lifeboat::formats::approval::Statement;
use lifeboat::formats::content::Content;
use lifeboat::formats::index::Index;
use lifeboat::formats::manifest::Manifest;
use lifeboat::formats::mirrors::{ListedIndex, ListedMirror, MirrorList};
use lifeboat::formats::signed::{SignedDocument, from_bytes};
use lifeboat::model::{ProjectName, Sha256};
use lifeboat::trust::Root;
use serde_json::{Map, Value, json};

use crate::release_world::World;

/// How the program reads a document, and writes what it read.
type Reader = fn(&Value) -> Result<()>;

/// Each schema, where its documents lie in a store, and how the program reads them.
const DOCUMENTS: &[(&str, &str, Reader)] = &[
    ("index", "releases/index.json", read::<Index>),
    ("manifest", "releases/*/manifest.json", read::<Manifest>),
    ("content", "releases/*/approvals/content.json", read::<Content>),
    ("approval", "releases/*/approvals/alice.json", read::<Statement>),
    ("trust-root", "keys/trust.json", read::<Root>),
];

/// Reads a value as the program does. Its fields are put into the order in which the program writes them, because the schema
/// says nothing of order, so what the value lacks or has too much stays so.
fn read<T: SignedDocument>(value: &Value) -> Result<()> {
    let bytes = match serde_json::from_value::<T>(value.clone()) {
        Ok(document) => {
            let same = serde_json::to_value(&document).unwrap() == *value;
            if same { serde_json::to_vec_pretty(&document).unwrap() } else { serde_json::to_vec(value).unwrap() }
        }
        Err(_) => serde_json::to_vec_pretty(value).unwrap(),
    };
    from_bytes::<T>(&[&bytes[..], b"\n"].concat(), "document").map(drop)
}

/// A schema of `docs/schemas`, ready to judge.
pub struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

/// A schema that lets unknown fields pass, for programs that read a later version, as one that refuses them.
fn closed(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(closed);
        }
        Value::Array(list) => list.iter_mut().for_each(closed),
        _ => {}
    }
}

impl Schema {
    pub fn load(name: &str) -> Self {
        Self::of(Self::text(name))
    }

    /// The same, but a field that it does not describe is refused.
    pub fn strict(name: &str) -> Self {
        let mut text = Self::text(name);
        closed(&mut text);
        Self::of(text)
    }

    fn text(name: &str) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.schema.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap()
    }

    fn of(text: Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("mem:///schema.json", text).unwrap();
        let index = compiler.compile("mem:///schema.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    /// A value that fits, from its text.
    pub fn parsed(&self, text: &str) -> Value {
        let value = serde_json::from_str(text).unwrap();
        self.judge(&value).unwrap_or_else(|e| panic!("{e}\n{value:#}"));
        value
    }

    pub fn judge(&self, value: &Value) -> std::result::Result<(), String> {
        self.schemas.validate(value, self.index).map_err(|e| format!("{e:#}"))
    }
}

/// The documents of a store that a pattern names; at least one.
fn found(store: &Path, pattern: &str) -> Vec<(PathBuf, Value)> {
    let paths = match pattern.split_once("/*/") {
        Some((dir, rest)) => {
            let releases = fs::read_dir(store.join(dir)).unwrap().map(|e| e.unwrap().path().join(rest));
            releases.filter(|p| p.is_file()).collect()
        }
        None => vec![store.join(pattern)],
    };
    assert!(!paths.is_empty(), "`{}` has no {pattern}", store.display());
    paths.into_iter().map(|p| (p.clone(), serde_json::from_slice(&fs::read(&p).unwrap()).unwrap())).collect()
}

/// Every published document of a store fits its schema.
pub fn describe(store: &Path) {
    for (name, pattern, _) in DOCUMENTS {
        let schema = Schema::load(name);
        for (path, value) in found(store, pattern) {
            schema.judge(&value).unwrap_or_else(|e| panic!("{}: {e}\n{value:#}", path.display()));
        }
    }
}

/// The objects in a value, by their place.
fn objects(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            out.push(at.to_owned());
            for (key, inner) in map {
                objects(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| objects(v, &format!("{at}/{i}"), out)),
        _ => {}
    }
}

/// Maps from names to values, in which no key is required.
const MAPS: &[&str] = &["/releases", "/latest/lines", "/people", "/withdrawn", "/advisories", "/mirrors"];

/// Fields that are absent while they have nothing to say.
const OPTIONAL: &[&str] = &["withdrawn", "advisories", "waivers", "index"];

/// Fields that hold any text.
const FREE: &[&str] = &["reason", "step"];

/// The document with every field that may be absent.
fn full(name: &str, value: &Value) -> Value {
    let mut out = value.clone();
    let digest = "0".repeat(64);
    if name == "index" {
        let version = value["releases"].as_object().unwrap().keys().next().unwrap().clone();
        let withdrawn = json!({ "reason": "it fails", "superseded_by": null, "date": value["generated"] });
        out["withdrawn"] = json!({ version: withdrawn });
        out["advisories"] = json!(digest);
    } else if name == "content" {
        out["advisories"] = json!({ "SAMPLE-2026-0001": digest });
        out["waivers"] = json!([{ "step": "test/r-1/a", "person": "alice", "reason": "the test is broken" }]);
    }
    out
}

/// The value with a field gone, one too many, or one of another kind, each way in each object, with what was done.
fn changed(value: &Value) -> Vec<(String, Value)> {
    let (mut places, mut out) = (Vec::new(), Vec::new());
    objects(value, "", &mut places);
    let mut change = |place: &str, what: String, act: &dyn Fn(&mut Map<String, Value>)| {
        let mut other = value.clone();
        act(other.pointer_mut(place).unwrap().as_object_mut().unwrap());
        out.push((format!("{place}: {what}"), other));
    };
    for place in &places {
        change(place, "an unknown field".to_owned(), &|o| drop(o.insert("surprise".to_owned(), json!(1))));
        let map = value.pointer(place).unwrap().as_object().unwrap();
        for (key, inner) in map {
            if !MAPS.contains(&place.as_str()) && !OPTIONAL.contains(&key.as_str()) {
                change(place, format!("without `{key}`"), &|o| drop(o.remove(key)));
            }
            let other = if inner.is_string() || inner.is_null() { json!(7) } else { json!("?!") };
            change(place, format!("`{key}` of another kind"), &|o| drop(o.insert(key.clone(), other.clone())));
            if inner.is_string() && !FREE.contains(&key.as_str()) {
                change(place, format!("`{key}` that is not valid"), &|o| drop(o.insert(key.clone(), json!("?!"))));
            }
        }
    }
    out
}

fn no_change_passes(name: &str, schema: &Schema, value: &Value, reader: Reader) {
    let changes = changed(value);
    assert!(changes.len() > 20, "{name}: {}", changes.len());
    for (what, other) in changes {
        assert!(schema.judge(&other).is_err(), "the schema {name} takes a document with {what}\n{other:#}");
        assert!(reader(&other).is_err(), "the program takes a {name} with {what}\n{other:#}");
    }
}

/// A list of mirrors, which only stores with a public address have.
#[test]
fn lists_of_mirrors_are_described() {
    let index = ListedIndex { counter: 3, sha256: Sha256::of(b"index") };
    let mirrors = [("https://a.example.org/", Some(index)), ("http://b.example.org/acme/", None)];
    let mirrors = mirrors.map(|(address, index)| (address.to_owned(), ListedMirror { index })).into_iter().collect();
    let (project, now) = (ProjectName::new("sample").unwrap(), "2026-11-29T00:00:00Z".parse().unwrap());
    let list = MirrorList::after(None, project, mirrors, now).unwrap();
    let (schema, value) = (Schema::load("mirrors"), serde_json::to_value(&list).unwrap());
    schema.judge(&value).unwrap_or_else(|e| panic!("{e}\n{value:#}"));
    read::<MirrorList>(&value).unwrap();
    no_change_passes("mirrors", &schema, &value, read::<MirrorList>);
}

#[test]
fn schema_and_program_refuse_the_same() {
    let world = World::new();
    for (name, pattern, reader) in DOCUMENTS {
        let schema = Schema::load(name);
        // This store serves no keys.
        let place = if *name == "trust-root" { world.keys().parent().unwrap().to_owned() } else { world.store() };
        for (path, value) in found(&place, pattern) {
            for value in [full(name, &value), value] {
                schema.judge(&value).unwrap_or_else(|e| panic!("{}: {e}\n{value:#}", path.display()));
                reader(&value).unwrap_or_else(|e| panic!("{}: {}", path.display(), e.report()));
                no_change_passes(name, &schema, &value, *reader);
            }
        }
    }
}
