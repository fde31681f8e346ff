//! `uv.lock`: the packages of the project itself, with the places of their versions.
//!
//! Source: uv's documentation, "Projects: The lockfile"; a package of the project has `source = { editable = "." }`,
//! `{ virtual = "." }` or `{ directory = "…" }`.

use std::ops::Range;

use toml_edit::{Document, Item};

/// A package that lies in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPackage {
    /// Its version.
    pub version: String,
    /// Where the version stands, inside its quotes.
    pub span: Range<usize>,
    /// Its directory, relative to the lock.
    pub directory: String,
}

/// The packages that lie in the tree.
#[must_use]
pub(crate) fn own_packages(text: &str) -> Vec<OwnPackage> {
    let Ok(document) = Document::parse(text) else { return Vec::new() };
    let all = document.as_table().get("package").and_then(Item::as_array_of_tables);
    let own = all.into_iter().flatten().filter_map(|package| {
        let source = package.get("source")?;
        let place = ["editable", "virtual", "directory"].into_iter().find_map(|k| source.get(k)?.as_str());
        let version = package.get("version")?;
        let span = version.span()?;
        Some(OwnPackage {
            version: version.as_str()?.to_owned(),
            span: span.start + 1..span.end - 1,
            directory: place?.to_owned(),
        })
    });
    own.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_the_project_itself() {
        let text = "version = 1\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\nsource = { editable = \".\" }\n\n\
            [[package]]\nname = \"b\"\nversion = \"1.2.3\"\nsource = { registry = \"https://pypi.org/simple\" }\n";
        let found = own_packages(text);
        assert_eq!(found.len(), 1);
        assert_eq!((&text[found[0].span.clone()], found[0].directory.as_str()), ("1.2.3", "."));
    }
}
