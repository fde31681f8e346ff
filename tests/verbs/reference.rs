//! `docs/config.md` and the JSON Schemas of the two files that people write, generated from the keys that the program reads.

use std::fmt::Write as _;
use std::path::Path;

use lifeboat::adapter::AdapterKind;
use lifeboat::config::{ConfigSection, File, sections};
use lifeboat::table::{Key, TableKeys, Type};
use serde_json::{Map, Value, json};

use crate::schemas::Schema;
use crate::support::sample_train::{REFUSING, SampleTrain};
use crate::support::snapshots::same_file;

const FILES: [(File, &str, &str); 2] =
    [(File::Config, "lifeboat.toml", "config"), (File::Train, "the train file", "train")];

/// A cell of a table in Markdown.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|")
}

fn kind(key: &Key) -> String {
    match key.words {
        [] => cell(&key.written.to_string()),
        words => {
            let words = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
            match key.written {
                Type::List(_) => format!("list of {words}"),
                Type::Map(_) => format!("table of {words}"),
                _ => words,
            }
        }
    }
}

/// What holds without the key; a value stands as it would in the file, words as they are.
fn default(key: &Key) -> String {
    match key.default {
        _ if key.required => "required".to_owned(),
        Some(default) if format!("x = {default}").parse::<toml::Table>().is_ok() => format!("`{}`", cell(default)),
        Some(words) => cell(words),
        None => String::new(),
    }
}

fn rows(keys: &TableKeys) -> String {
    let mut out = format!("{}\n", keys.about.trim());
    if !keys.keys.is_empty() {
        out.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
    }
    for (path, key) in keys_below(keys) {
        writeln!(out, "| `{path}` | {} | {} | {} |", kind(key), default(key), cell(key.about)).unwrap();
    }
    out
}

/// Every key with its path; those of a table in it below.
fn keys_below(keys: &TableKeys) -> Vec<(String, &Key)> {
    let mut out = Vec::new();
    for key in keys.keys {
        out.push((key.name.to_owned(), key));
        for inner in key.written.tables() {
            out.extend(inner.flat().into_iter().map(|(path, k)| (format!("{}.{path}", key.name), k)));
        }
    }
    out
}

/// A table of the file, and what the kinds of adapter add to it.
fn table(section: &ConfigSection) -> String {
    let mut out = rows(section.keys);
    for kind in &section.kinds {
        write!(out, "\n#### Kind `{}`\n\n{}", kind.name, kind.about.trim()).unwrap();
        let example = if kind.example.contains('`') { kind.example.to_owned() } else { format!("`{}`", kind.example) };
        write!(out, "\n\nNamed by {example}.\n\n").unwrap();
        out.push_str(&rows(kind.keys));
    }
    out
}

fn reference() -> String {
    let mut out = "# Configuration reference\n\n\
        This page is generated from the program; [CONTRIBUTING](../CONTRIBUTING.md) says how. A key with dots stands in a table of\n\
        its own: `app.id` is the key `id` of the table `app`. Paths are relative to the file. Unknown keys are refused.\n\n\
        A *reference to a secret* says where the secret is, and is never the secret itself: `{ env = \"NAME\" }`,\n\
        `{ file = \"PATH\" }` or `{ command = [\"program\", \"argument\"] }`.\n\n\
        Editors that know JSON Schema can use [config](schemas/config.schema.json) and [train](schemas/train.schema.json).\n"
        .to_owned();
    for (file, name, _) in FILES {
        let name = if name.contains(' ') { name.to_owned() } else { format!("`{name}`") };
        write!(out, "\n## {}{}\n", name[..1].to_uppercase(), &name[1..]).unwrap();
        for section in sections(&lifeboat::wiring::registries()).iter().filter(|s| s.file == file) {
            let header =
                if section.header.is_empty() { "Top of the file".to_owned() } else { format!("`{}`", section.header) };
            write!(out, "\n### {header}\n\n{}", table(section)).unwrap();
        }
    }
    out
}

/// What may stand there; `words` are the texts, if there are only some.
fn of_type(written: &Type, words: &[&str], kinds: &[AdapterKind]) -> Value {
    match written {
        Type::Text if words.is_empty() => json!({ "type": "string" }),
        Type::Text => json!({ "type": "string", "enum": words }),
        // A date of TOML, which validators see as text.
        Type::Time => json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}" }),
        Type::Whole => json!({ "type": "integer" }),
        Type::Flag => json!({ "type": "boolean" }),
        Type::List(of) => json!({ "type": "array", "items": of_type(of, words, kinds) }),
        Type::Map(of) => json!({ "type": "object", "additionalProperties": of_type(of, words, kinds) }),
        Type::Table(keys) => of_keys(keys, kinds),
        Type::OfKind => json!({ "anyOf": kinds.iter().map(|kind| of_keys(kind.keys, &[])).collect::<Vec<_>>() }),
        Type::Either(one, other) => json!({ "anyOf": [of_type(one, words, kinds), of_type(other, words, kinds)] }),
        Type::Secret => json!({
            "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
            "properties": {
                "env": { "type": "string" },
                "file": { "type": "string" },
                "command": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            },
        }),
    }
}

fn of_keys(keys: &TableKeys, kinds: &[AdapterKind]) -> Value {
    let property = |key: &Key| {
        let mut schema = of_type(&key.written, key.words, kinds);
        schema["description"] = json!(key.about.trim());
        (key.name.to_owned(), schema)
    };
    let mut out = json!({
        "type": "object",
        "description": keys.about.trim(),
        "properties": keys.keys.iter().map(property).collect::<Map<_, _>>(),
        "additionalProperties": false,
    });
    let required: Vec<&str> = keys.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    out
}

fn schema(file: File, name: &str) -> Value {
    let mut out = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "type": "object",
        "properties": {},
        "additionalProperties": false,
    });
    for section in sections(&lifeboat::wiring::registries()).iter().filter(|s| s.file == file) {
        let mut keys = of_keys(section.keys, &section.kinds);
        let at_keys = section.keys.keys.iter().any(|key| key.written.is_of_kind());
        for kind in section.kinds.iter().filter(|_| !at_keys) {
            let own = of_keys(kind.keys, &[]);
            for (name, property) in own["properties"].as_object().unwrap() {
                if keys["properties"].get(name).is_none() {
                    keys["properties"][name] = property.clone();
                }
            }
            if let Some(required) = own.get("required").filter(|_| keys["properties"].get("kind").is_some()) {
                let of_kind = json!({ "properties": { "kind": { "const": kind.name } }, "required": ["kind"] });
                let rule = json!({ "if": of_kind, "then": { "required": required } });
                match keys.get_mut("allOf").and_then(Value::as_array_mut) {
                    Some(rules) => rules.push(rule),
                    None => keys["allOf"] = json!([rule]),
                }
            }
        }
        if let Some(kind) = keys["properties"].get_mut("kind").filter(|_| !section.kinds.is_empty()) {
            kind["enum"] = section.kinds.iter().map(|kind| kind.name).collect();
        }
        if section.header.is_empty() {
            out["description"] = keys["description"].clone();
            out["required"] = keys["required"].clone();
            for (name, property) in keys["properties"].as_object().unwrap() {
                out["properties"][name] = property.clone();
            }
        } else if section.header.starts_with("[[") {
            out["properties"][section.name()] = json!({ "type": "array", "items": keys });
        } else if section.header.contains('<') {
            out["properties"][section.name()] = json!({ "type": "object", "additionalProperties": keys });
        } else {
            out["properties"][section.name()] = keys;
        }
    }
    out
}

#[test]
fn the_reference_is_that_of_the_keys() {
    same_file(Path::new("docs/config.md"), &reference());
    for (file, name, short) in FILES {
        let text = serde_json::to_string_pretty(&schema(file, name)).unwrap() + "\n";
        same_file(&Path::new("docs/schemas").join(format!("{short}.schema.json")), &text);
    }
}

/// A file as validators of JSON Schema see it.
fn as_json(path: &Path) -> Value {
    fn plain(value: toml::Value) -> Value {
        match value {
            toml::Value::Datetime(at) => json!(at.to_string()),
            toml::Value::Array(list) => list.into_iter().map(plain).collect(),
            toml::Value::Table(table) => Value::Object(table.into_iter().map(|(k, v)| (k, plain(v))).collect()),
            other => serde_json::to_value(other).unwrap(),
        }
    }
    let text = std::fs::read_to_string(path).unwrap();
    plain(toml::Value::Table(text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
}

#[test]
fn files_that_work_fit_the_schemas() {
    let train = SampleTrain::unpinned(REFUSING);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/wasmtime");
    for (name, paths) in [
        ("config", [train.config(), examples.join("lifeboat.toml")]),
        ("train", [train.train_file(), examples.join("train-2026-02-24.toml")]),
    ] {
        let schema = Schema::load(name);
        for path in paths {
            let value = as_json(&path);
            schema.judge(&value).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            // Nothing unknown, nothing of another kind, nothing left out that is required.
            let mut unknown = value.clone();
            unknown["surprise"] = json!(1);
            schema.judge(&unknown).unwrap_err();
            let (place, key) = if name == "config" { ("/project", "name") } else { ("", "name") };
            let mut other = value.clone();
            other.pointer_mut(place).unwrap()[key] = json!(7);
            schema.judge(&other).unwrap_err();
            let mut less = value;
            less.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(key);
            schema.judge(&less).unwrap_err();
        }
    }
}
