//! The frame of every signed JSON document: it says what it is, and one value has one sequence of bytes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Context as _, Error, Result};

/// A document that is signed as bytes. Its fields begin with `type`, `project` and, where they apply, `line`, `version`
/// and `train`, so that a signature over one document never passes for a signature over another.
pub trait SignedDocument: Serialize + DeserializeOwned {
    /// The value of `type`.
    const TYPE: &'static str;
    /// The value of `format` that this version writes.
    const FORMAT: u32 = 1;

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// What contradicts itself.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The document as it is signed: indented by two spaces, keys in the order of its fields, maps sorted, one final line end.
///
/// # Errors
/// A value that JSON cannot express, or that contradicts itself.
pub fn to_bytes<T: SignedDocument>(document: &T) -> Result<Vec<u8>> {
    document.check()?;
    let mut out = serde_json::to_vec_pretty(document).context(format!("cannot write {}", T::TYPE))?;
    out.push(b'\n');
    Ok(out)
}

/// Reads exactly what [`to_bytes`] writes; `name` is the file, for messages.
///
/// # Errors
/// Another type, a newer format, unknown, doubled or missing fields, other spacing or order, contradictions.
pub fn from_bytes<T: SignedDocument>(bytes: &[u8], name: &str) -> Result<T> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "type")]
        kind: String,
        format: u32,
    }
    let broken = |e: serde_json::Error| {
        Error::verification(format!("`{name}` is not a {}", T::TYPE)).because(e).hint("fetch the file again")
    };
    let head: Head = serde_json::from_slice(bytes).map_err(broken)?;
    if head.kind != T::TYPE {
        let kind = crate::model::escape(&head.kind);
        return Err(Error::verification(format!("`{name}` is a `{kind}`, not a `{}`", T::TYPE)));
    }
    if head.format != T::FORMAT {
        let (theirs, ours) = (head.format, T::FORMAT);
        return Err(Error::verification(format!("`{name}` has format {theirs}, this version reads format {ours}"))
            .hint("use a newer version of lifeboat"));
    }
    let document: T = serde_json::from_slice(bytes).map_err(broken)?;
    document.check().map_err(|e| e.context(format!("`{name}`")))?;
    if to_bytes(&document)? != bytes {
        // Doubled keys and odd spacing let two readers see two documents under one signature.
        return Err(Error::verification(format!("`{name}` is not written in its canonical form"))
            .hint("write it with lifeboat: two spaces of indent, keys in their order, each once, one final line end"));
    }
    Ok(document)
}
