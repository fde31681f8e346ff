//! Canonical JSON: one value, one sequence of bytes.

use serde::Serialize;

use crate::error::{Context as _, Result};
use crate::model::Sha256;

/// JSON with sorted keys and no white space. Our values hold only strings, integers, booleans, lists and maps with ASCII
/// keys, for which this equals RFC 8785.
///
/// # Errors
/// A value that JSON cannot express.
pub fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>> {
    // `serde_json::Value` keeps maps sorted, whatever the order of a struct's fields.
    let value = serde_json::to_value(value).context("cannot write canonical JSON")?;
    serde_json::to_vec(&value).context("cannot write canonical JSON")
}

/// The same value indented for people, with sorted keys and a final line end.
///
/// # Errors
/// A value that JSON cannot express.
pub(crate) fn to_pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let value = serde_json::to_value(value).context("cannot write JSON")?;
    let mut out = serde_json::to_vec_pretty(&value).context("cannot write JSON")?;
    out.push(b'\n');
    Ok(out)
}

/// The SHA-256 of the canonical bytes.
///
/// # Errors
/// A value that JSON cannot express.
pub fn digest(value: &impl Serialize) -> Result<Sha256> {
    Ok(Sha256::of(&to_bytes(value)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_are_sorted() {
        #[derive(serde::Serialize)]
        struct S {
            b: u8,
            a: &'static str,
        }
        assert_eq!(super::to_bytes(&S { b: 1, a: "x" }).unwrap(), br#"{"a":"x","b":1}"#);
    }
}
