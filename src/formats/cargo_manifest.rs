//! What a version bump needs of a `Cargo.toml`: versions and requirements with the byte ranges at which they stand.
//!
//! Source: the Cargo reference, "The Manifest Format", "Workspaces", "Specifying Dependencies" and "Overriding Dependencies".

use std::ops::Range;

use toml_edit::{Document, Item, TableLike};

use super::splice::Splice;

/// A string of the manifest and where it stands, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpannedText {
    /// The string's value, unescaped.
    pub value: String,
    /// The byte range of the literal, with its quotes.
    pub span: Range<usize>,
}

impl SpannedText {
    /// The splice of `raw` (the manifest's text) that makes this string say `new`, in the same kind of quotes.
    #[must_use]
    pub fn set(&self, raw: &str, new: &str) -> Splice {
        let literal = raw.get(self.span.clone()).unwrap_or_default();
        match literal.find(&self.value) {
            Some(i) if !self.value.is_empty() => {
                let start = self.span.start + i;
                Splice::new(start..start + self.value.len(), new)
            }
            // Escapes in a version: nobody writes them, but the literal must still be replaced as a whole.
            _ => Splice::new(self.span.clone(), format!("\"{new}\"")),
        }
    }
}

/// Where a crate's version comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageVersion {
    /// `version = "1.2.3"`.
    Literal(SpannedText),
    /// `version.workspace = true`.
    Inherited,
    /// No version: 0.0.0, and never published.
    Absent,
}

/// Whether a crate is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// By default, `publish = true`, or to named registries.
    Yes,
    /// `publish = false`, or to no registry.
    No,
    /// `publish.workspace = true`.
    Inherited,
}

/// The `[package]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `name`, with its place.
    pub name: SpannedText,
    /// `version`.
    pub version: PackageVersion,
    /// `publish`.
    pub publish: Publish,
    /// `workspace = "../root"`: the directory of the workspace root, relative to this manifest.
    pub workspace: Option<String>,
    /// `documentation` and `homepage`, where they stand: addresses that may name the crate with its version.
    pub addresses: Vec<SpannedText>,
    /// `repository`, where the manifest says it itself.
    pub repository: Option<String>,
    /// Strings of `[package.metadata]` under `FileVersion`, `ProductVersion` or `version`, at any depth: what tools stamp into
    /// a program may repeat the crate's version.
    pub stamps: Vec<SpannedText>,
}

/// The `[workspace]` table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkspaceTable {
    /// `members`: directories, with globs.
    pub members: Vec<String>,
    /// `exclude`: directories, with globs.
    pub exclude: Vec<String>,
    /// `[workspace.package] version`.
    pub version: Option<SpannedText>,
    /// `[workspace.package] repository`.
    pub repository: Option<String>,
    /// `[workspace.package] publish`.
    pub publish: Option<bool>,
}

/// One entry of a dependency table (normal, dev, build, per target, `[workspace.dependencies]`) or of `[patch]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The key under which it stands, which members inherit by.
    pub key: String,
    /// The crate's real name: `package`, or else the key.
    pub package: String,
    /// `path`, relative to this manifest.
    pub path: Option<String>,
    /// `version`, or the whole entry where it is only a string.
    pub requirement: Option<SpannedText>,
    /// Comes from a git repository or from another registry than the default one.
    pub elsewhere: bool,
    /// Stands in a `[patch.…]` table: where the crate is found, not a wish for it.
    pub patch: bool,
    /// `workspace = true`: takes the entry of this key in `[workspace.dependencies]` of its root.
    pub inherits: bool,
    /// Stands in `[workspace.dependencies]`: a wish only for members that inherit it.
    pub shared: bool,
    /// The byte offset of the entry, for messages.
    pub offset: usize,
}

/// A parsed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CargoManifest {
    /// `[package]`; absent in a virtual manifest.
    pub package: Option<Package>,
    /// `[workspace]`; present in a workspace root.
    pub workspace: Option<WorkspaceTable>,
    /// Every entry of every dependency table.
    pub dependencies: Vec<Dependency>,
}

/// A manifest that cannot be read: where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// Byte offset of the fault.
    pub offset: usize,
    /// What is wrong there, a lowercase fragment.
    pub message: String,
}

/// Reads a manifest.
///
/// # Errors
/// It is not TOML, or a field that decides about versions has another type than Cargo wants.
pub fn parse(text: &str) -> Result<CargoManifest, ManifestError> {
    let document = Document::parse(text).map_err(|e| ManifestError {
        offset: e.span().map_or(0, |s| s.start),
        message: e.message().lines().next().unwrap_or("not TOML").to_owned(),
    })?;
    let root = document.as_table();
    let mut out = CargoManifest { package: package(root)?, workspace: workspace(root)?, dependencies: Vec::new() };
    tables(root, &mut out.dependencies)?;
    if let Some(table) = root.get("workspace").and_then(Item::as_table_like) {
        let first = out.dependencies.len();
        dependencies(table, "dependencies", false, &mut out.dependencies)?;
        out.dependencies.iter_mut().skip(first).for_each(|d| d.shared = true);
    }
    for (_, target) in entries(root.get("target")) {
        if let Some(table) = target.as_table_like() {
            tables(table, &mut out.dependencies)?;
        }
    }
    if let Some(table) = root.get("patch").and_then(Item::as_table_like) {
        for (registry, _) in table.iter() {
            dependencies(table, registry, true, &mut out.dependencies)?;
        }
    }
    Ok(out)
}

fn package(root: &dyn TableLike) -> Result<Option<Package>, ManifestError> {
    let Some(item) = root.get("package").or_else(|| root.get("project")) else { return Ok(None) };
    let Some(table) = item.as_table_like() else { return Err(fault(item, "`package` is not a table")) };
    let Some(name) = text(table, "name")? else { return Err(fault(item, "`[package]` has no `name`")) };
    let version = match table.get("version") {
        None => PackageVersion::Absent,
        Some(v) if inherits(v) => PackageVersion::Inherited,
        Some(v) => match string(v) {
            Some(t) => PackageVersion::Literal(t),
            None => return Err(fault(v, "`version` is neither a string nor `{ workspace = true }`")),
        },
    };
    let publish = match table.get("publish") {
        None => Publish::Yes,
        Some(v) if inherits(v) => Publish::Inherited,
        Some(v) => match published(v) {
            Some(true) => Publish::Yes,
            Some(false) => Publish::No,
            None => return Err(fault(v, "`publish` is neither a boolean nor a list of registries")),
        },
    };
    let workspace = text(table, "workspace")?.map(|t| t.value);
    let addresses = ["documentation", "homepage"].iter().filter_map(|key| string(table.get(key)?)).collect();
    let mut stamps = Vec::new();
    if let Some(metadata) = table.get("metadata").and_then(Item::as_table_like) {
        stamped(metadata, &mut stamps);
    }
    let repository = table.get("repository").and_then(|r| Some(string(r)?.value));
    Ok(Some(Package { name, version, publish, workspace, addresses, repository, stamps }))
}

/// The versions that `table` and the tables below it name.
fn stamped(table: &dyn TableLike, out: &mut Vec<SpannedText>) {
    for (key, item) in table.iter() {
        if let Some(inner) = item.as_table_like() {
            // Wishes are not stamps.
            if !key.ends_with("dependencies") {
                stamped(inner, out);
            }
        } else if matches!(
            key.to_ascii_lowercase().replace(['-', '_'], "").as_str(),
            "version" | "fileversion" | "productversion"
        ) {
            out.extend(string(item));
        }
    }
}

fn workspace(root: &dyn TableLike) -> Result<Option<WorkspaceTable>, ManifestError> {
    let Some(item) = root.get("workspace") else { return Ok(None) };
    let Some(table) = item.as_table_like() else { return Err(fault(item, "`workspace` is not a table")) };
    let list = |key: &str| -> Vec<String> {
        let array = table.get(key).and_then(Item::as_array);
        array.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let mut out = WorkspaceTable { members: list("members"), exclude: list("exclude"), ..WorkspaceTable::default() };
    if let Some(package) = table.get("package").and_then(Item::as_table_like) {
        out.version = text(package, "version")?;
        out.publish = package.get("publish").and_then(published);
        out.repository = package.get("repository").and_then(|r| Some(string(r)?.value));
    }
    Ok(Some(out))
}

fn tables(parent: &dyn TableLike, out: &mut Vec<Dependency>) -> Result<(), ManifestError> {
    // The forms with `_` are what Cargo still reads in the editions 2015 to 2021.
    for key in ["dependencies", "dev-dependencies", "dev_dependencies", "build-dependencies", "build_dependencies"] {
        dependencies(parent, key, false, out)?;
    }
    Ok(())
}

fn dependencies(
    parent: &dyn TableLike,
    key: &str,
    patch: bool,
    out: &mut Vec<Dependency>,
) -> Result<(), ManifestError> {
    let Some(table) = parent.get(key).and_then(Item::as_table_like) else { return Ok(()) };
    for (name, item) in table.iter() {
        let offset = item.span().map_or(0, |s| s.start);
        let mut found = Dependency {
            key: name.to_owned(),
            package: name.to_owned(),
            path: None,
            requirement: string(item),
            elsewhere: false,
            patch,
            inherits: inherits(item),
            shared: false,
            offset,
        };
        if found.requirement.is_some() {
            out.push(found);
        } else if let Some(table) = item.as_table_like() {
            if let Some(package) = text(table, "package")? {
                found.package = package.value;
            }
            found.path = text(table, "path")?.map(|t| t.value);
            found.requirement = text(table, "version")?;
            found.elsewhere = ["git", "registry", "registry-index"].iter().any(|k| table.contains_key(k));
            let place = item.span().or_else(|| table.get("version").and_then(Item::span));
            found.offset = place.map_or(offset, |s| s.start);
            out.push(found);
        } else {
            return Err(fault(item, "a dependency is neither a string nor a table"));
        }
    }
    Ok(())
}

fn entries(item: Option<&Item>) -> impl Iterator<Item = (&str, &Item)> {
    item.and_then(Item::as_table_like).map(TableLike::iter).into_iter().flatten()
}

fn inherits(item: &Item) -> bool {
    item.as_table_like().and_then(|t| t.get("workspace")).and_then(Item::as_bool) == Some(true)
}

fn published(item: &Item) -> Option<bool> {
    item.as_bool().or_else(|| item.as_array().map(|a| !a.is_empty()))
}

fn string(item: &Item) -> Option<SpannedText> {
    let value = item.as_str()?.to_owned();
    Some(SpannedText { value, span: item.span()? })
}

fn text(table: &dyn TableLike, key: &str) -> Result<Option<SpannedText>, ManifestError> {
    match table.get(key) {
        None => Ok(None),
        Some(item) => match string(item) {
            Some(t) => Ok(Some(t)),
            None => Err(fault(item, &format!("`{key}` is not a string"))),
        },
    }
}

fn fault(item: &Item, message: &str) -> ManifestError {
    ManifestError { offset: item.span().map_or(0, |s| s.start), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::splice::splice;

    const EVERY_FORM: &str = "[package]\r\nname = 'a' # x\r\nversion=\"1.2.3\"\r\npublish = []\r\n[workspace]\r\nmembers = ['b/*']\r\n\
        package.version = '1.2.3'\r\n[workspace.dependencies]\r\nb = { path = 'b', version = '=1.2.3' }\r\n[dependencies]\r\n\
        c = \"1.2.3\"\r\nd.path = \"d\"\r\nd.version = \"1.2.3\"\r\n[dependencies.e]\r\npackage='f'\r\nversion='''1.2.3'''\r\n\
        [target.'cfg(unix)'.build-dependencies]\r\ng={git='x',version='1.2.3'}\r\nh.workspace = true\r\n\
        [patch.crates-io]\r\nc = { path = 'c' }\r\n";

    #[test]
    fn finds_every_form() {
        let m = parse(EVERY_FORM).unwrap();
        let p = m.package.unwrap();
        assert_eq!((p.name.value.as_str(), p.publish), ("a", Publish::No));
        let w = m.workspace.unwrap();
        assert_eq!((w.members, w.version.clone().unwrap().value.as_str()), (vec!["b/*".to_owned()], "1.2.3"));
        let names: Vec<_> = m.dependencies.iter().map(|d| d.package.as_str()).collect();
        assert_eq!(names, ["c", "d", "f", "b", "g", "h", "c"]);
        let mut cuts: Vec<_> =
            m.dependencies.iter().filter_map(|d| d.requirement.as_ref()).map(|t| t.set(EVERY_FORM, "2")).collect();
        let PackageVersion::Literal(v) = p.version else { panic!() };
        cuts.push(v.set(EVERY_FORM, "2"));
        cuts.push(w.version.unwrap().set(EVERY_FORM, "2"));
        let expected = EVERY_FORM.replace("=1.2.3", "2").replace("1.2.3", "2");
        assert_eq!(splice(EVERY_FORM, cuts), expected);
    }

    #[test]
    fn a_byte_order_mark_does_not_shift_the_spans() {
        let text = "\u{feff}[package]\nname = \"a\"\nversion = \"1.2.3\"\n";
        let PackageVersion::Literal(v) = parse(text).unwrap().package.unwrap().version else { panic!() };
        assert_eq!(splice(text, vec![v.set(text, "1.2.4")]), text.replace("1.2.3", "1.2.4"));
    }

    #[test]
    fn faults_say_where() {
        let e = parse("[package]\nname = \"a\"\nversion = 1\n").unwrap_err();
        assert_eq!((e.offset, e.message.as_str()), (31, "`version` is neither a string nor `{ workspace = true }`"));
        assert!(parse("[package\n").is_err());
    }
}
