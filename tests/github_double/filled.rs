//! Values of the description's own shapes: what is required, filled with something of the right type.

use serde_json::{Map, Value, json};

use super::contract::description;

/// A value of the schema `name`, with these members instead of made-up ones.
pub fn filled(name: &str, with: &Value) -> Value {
    let schema = &description()["components"]["schemas"][name];
    let mut value = of(schema);
    for (key, member) in with.as_object().unwrap() {
        value[key] = member.clone();
    }
    value
}

fn of(schema: &Value) -> Value {
    if let Some(to) = schema["$ref"].as_str() {
        return of(description().pointer(to.trim_start_matches('#')).unwrap());
    }
    if let Some(all) = schema["allOf"].as_array() {
        let mut out = Map::new();
        for part in all {
            out.extend(of(part).as_object().cloned().unwrap_or_default());
        }
        return Value::Object(out);
    }
    if let Some(any) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let null = any.iter().find(|s| s["type"] == "null");
        return of(null.unwrap_or(&any[0]));
    }
    if let Some(first) = schema["enum"].as_array() {
        return first[0].clone();
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    if types.iter().any(|t| t == "null") {
        return Value::Null;
    }
    match types[0].as_str() {
        Some("string") => json!(match schema["format"].as_str() {
            Some("date-time") => "2026-02-24T12:00:00Z",
            Some("uri") => "http://127.0.0.1/made-up",
            Some("email") => "made-up@example.org",
            _ => "made up",
        }),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        _ => {
            let mut out = Map::new();
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().unwrap();
                out.insert(name.to_owned(), of(&schema["properties"][name]));
            }
            Value::Object(out)
        }
    }
}
