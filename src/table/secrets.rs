//! Secrets that stand in a file where only references may: found, refused, and kept out of the error that says so.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults};
use super::text::RawSecret;
use crate::model::SecretRef;

/// How a reference is written.
const VALID: &str =
    "expected `{ env = \"NAME\" }`, `{ file = \"path\" }` or `{ command = [\"program\", \"argument\"] }`";

/// Beginnings by which the tokens of well-known services are known.
const TOKEN_STARTS: [&str; 10] =
    ["ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA"];

/// Whether a variable or key of this name holds a secret, by the endings that people give to such names.
pub(crate) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSPHRASE",
        "PASSWD",
        "API_KEY",
        "PRIVATE_KEY",
        "SECRET_KEY",
        "ACCESS_KEY",
        "CREDENTIALS",
    ]
    .iter()
    .any(|ending| name == *ending || name.ends_with(&format!("_{ending}")))
}

/// Whether a variable of this name may not be passed to jobs as it is: its value is a credential, or leads to one. Stricter
/// than [`names_a_secret`], because nobody sees here what the value is.
pub(crate) fn may_not_pass(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    names_a_secret(&name)
        || matches!(name.as_str(), "SSH_AUTH_SOCK" | "SSH_AGENT_PID" | "GNUPGHOME" | "GPG_AGENT_INFO" | "PAT")
        || ["TOKEN", "SECRET", "PASSWORD"].iter().any(|word| name.contains(word))
        || ["_PAT", "_KEY"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a text is, or holds, a secret by its look.
fn looks_like_a_secret(text: &str) -> bool {
    let apart = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | ':' | ',' | ';');
    let mut words = text.split(apart);
    let token = |w: &str| w.len() >= 20 && TOKEN_STARTS.iter().any(|start| w.starts_with(start));
    text.contains("-----BEGIN") || words.any(token) || password_in_url(text)
}

/// Whether an address holds `user:password@`.
fn password_in_url(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Walks a file: adds a fault for every text that is a secret by its look or its key, and returns the bytes to hide in
/// whatever is shown of the file.
///
/// `secret` are the names of the keys at which a reference to a secret belongs.
pub fn find(tree: &DeTable<'_>, secret: &BTreeSet<&str>, faults: &mut Faults) -> Vec<Range<usize>> {
    let mut search = Search { secret, faults, hidden: Vec::new() };
    for (key, value) in tree {
        search.walk(key.get_ref(), value, Inside::Open);
    }
    search.hidden
}

struct Search<'a> {
    secret: &'a BTreeSet<&'a str>,
    faults: &'a mut Faults,
    hidden: Vec<Range<usize>>,
}

/// What a value's keys say about it.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    /// Nothing.
    Open,
    /// The environment of a recipe.
    Environment,
    /// A reference belongs here: [`reference`] finds the faults, here is only hidden.
    Secret,
}

impl Search<'_> {
    fn walk(&mut self, key: &str, value: &Spanned<DeValue<'_>>, inside: Inside) {
        let inside = match (inside, key) {
            (Inside::Secret, "env" | "file" | "command") => Inside::Open,
            (Inside::Secret, _) => Inside::Secret,
            (_, key) if self.secret.contains(key) => Inside::Secret,
            (Inside::Environment, _) => Inside::Environment,
            (_, "env") => Inside::Environment,
            _ => Inside::Open,
        };
        match value.get_ref() {
            DeValue::Table(table) => {
                // The keys of `secret_env` are variables, one of which may be called `env` or `file`.
                for (k, v) in table {
                    let k = if key == "secret_env" { "" } else { k.get_ref() };
                    self.walk(k, v, inside);
                }
            }
            DeValue::Array(items) => {
                for item in items {
                    self.walk(key, item, inside);
                }
            }
            _ if inside == Inside::Secret => self.hidden.push(value.span()),
            DeValue::String(text) => {
                let by_name = inside == Inside::Environment && key != "env" && names_a_secret(key);
                if by_name || looks_like_a_secret(text) {
                    self.hidden.push(value.span());
                    self.faults.add(written(value.span()).help(if inside == Inside::Environment {
                        "put the variable under `secret_env`, with a reference to where its value is found"
                    } else {
                        "keep it in a file or an environment variable, and remove it from this file's history"
                    }));
                }
            }
            _ => {}
        }
    }
}

fn written(span: Range<usize>) -> Fault {
    Fault::new(span, "a secret is written here as a plain value", "only a reference to it may stand in this file")
}

/// The reference that a value makes.
///
/// # Errors
/// Anything but a reference; the fault does not quote the value.
pub fn reference(raw: &RawSecret, base: &Path) -> Result<SecretRef, Fault> {
    let wrong = || Fault::new(raw.span(), "this is not a reference to a secret", VALID);
    let table = match raw.get_ref() {
        toml::Value::Table(table) if table.len() == 1 => table,
        toml::Value::Table(_) => return Err(wrong()),
        _ => return Err(written(raw.span()).help(VALID)),
    };
    match table.iter().next() {
        Some((key, toml::Value::String(name))) if key == "env" && is_variable(name) => Ok(SecretRef::Env(name.clone())),
        Some((key, toml::Value::String(path))) if key == "file" && !path.is_empty() => {
            Ok(SecretRef::File(base.join(path)))
        }
        Some((key, toml::Value::Array(words))) if key == "command" && !words.is_empty() => {
            let words = words.iter().map(|w| w.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
            words.map(SecretRef::Command).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// Whether a text can name an environment variable (POSIX.1-2017 §8.1).
pub(crate) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The bytes to hide where a file could not be parsed: what follows a key that names a secret on its line.
pub(crate) fn hide_by_line(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let lower = line.to_ascii_lowercase();
        let named = ["token", "secret", "pass", "key"].iter().filter_map(|word| lower.find(word)).min();
        if let Some(word) = named
            && let Some(equals) = line[word..].find('=')
        {
            out.push(start + word + equals + 1..start + line.len());
        }
        start += line.len();
    }
    out
}
