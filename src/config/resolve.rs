//! From tables as they are written to a configuration that holds together: names checked, defaults filled in, paths made
//! relative to the file, secrets as references only. Pure: looks at no file.

mod adapters;
mod forge;
mod inputs;
mod no_effect;
mod places;
mod quorum;
mod recipe;
mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::raw::{self, RawBundle, RawProject, RawRelease};
use super::sections;
use super::settings::{BundleConfig, Config, Project, StoreConfig, TemplateSet};
use crate::adapter::Registries;
use crate::bump::VersionRules;
use crate::error::Result;
use crate::formats::mirrors::base_address;
use crate::table::{Fault, Faults, OneOrMany, Text, TomlDocument, grammar, grammar_fault, secrets};

/// Reads the text of a `lifeboat.toml` that lies at `path`; the project's own templates stay empty.
///
/// # Errors
/// Every fault at once, each with file, line, column, the line itself and what would be valid.
pub fn parse(text: &str, path: &Path, registries: &Registries) -> Result<Config> {
    parse_beside(text, path, None, registries)
}

/// Reads the `[[store]]` tables of the text of a file at `path` that has nothing else.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_stores(text: &str, path: &Path, registries: &Registries) -> Result<Vec<StoreConfig>> {
    let mut faults = Faults::default();
    let mut document = TomlDocument::parse(text, &mut faults);
    if !faults.is_empty() {
        return Err(faults.into_error(path, text, &secrets::hide_by_line(text)));
    }
    let hidden = secrets::find(document.tree(), &sections::secret_keys(registries), &mut faults);
    let base = path.parent().unwrap_or(Path::new(""));
    let stores = adapters::stores(&mut document, base, (None, None), (registries, false), &mut faults);
    document.finish(&mut faults);
    if faults.is_empty() { Ok(stores) } else { Err(faults.into_error(path, text, &hidden)) }
}

/// As [`parse`], where trains are kept in the directory `state`, which no store may share.
pub(super) fn parse_beside(text: &str, path: &Path, state: Option<&Path>, registries: &Registries) -> Result<Config> {
    let mut faults = Faults::default();
    let mut document = TomlDocument::parse(text, &mut faults);
    if !faults.is_empty() {
        return Err(faults.into_error(path, text, &secrets::hide_by_line(text)));
    }
    let hidden = secrets::find(document.tree(), &sections::secret_keys(registries), &mut faults);
    let around = (path.parent().unwrap_or(Path::new("")), state, registries);
    let config = resolve(&mut document, around, &mut faults);
    document.finish(&mut faults);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults.into_error(path, text, &hidden)),
    }
}

fn resolve(
    document: &mut TomlDocument<'_>,
    (base, state, registries): (&Path, Option<&Path>, &Registries),
    faults: &mut Faults,
) -> Option<Config> {
    if !document.tree().contains_key("project") {
        faults.add(Fault::new(0..0, "the table `[project]` is missing", "it needs `name` and `committer`"));
    }
    if let Some(tag) = document.retired("project", "tag") {
        let fault = Fault::new(tag.span(), "`tag` in `[project]` means nothing", "remove it");
        let name = tag.get_ref().as_str().unwrap_or("v{version}");
        faults.add(fault.help(format!("the name of a tag stands in `[version]`: `tag = \"{name}\"`")));
    }
    let project = document.section::<RawProject>("project", faults).and_then(|raw| project(&raw, base, faults));
    no_effect::tag(document.tree(), faults);
    let version = document.section::<VersionRules>("version", faults).unwrap_or_default();
    let bundle = bundle(document.section::<RawBundle>("bundle", faults).unwrap_or_default(), base, faults);
    let (runners, offered) = adapters::runners(document, base, registries, faults);
    let raw_inputs = document.list::<raw::RawInput>("input", faults);
    let inputs = inputs::resolve(&raw_inputs, base, faults);
    let recipes = document.named::<raw::RawNamedRecipe>("recipe", faults);
    let raw_targets = document.list::<raw::RawTarget>("target", faults);
    let raw_assemblies = document.list::<raw::RawAssemble>("assemble", faults);
    let mut tables = targets::Tables::new(&recipes, &raw_inputs, offered, base);
    let targets = tables.targets(&raw_targets, faults);
    let assemblies = tables.assemblies(&raw_assemblies, &targets, faults);
    tables.unused(faults);

    let checkout = project.as_ref().map(|p| p.repository.as_path());
    let release = document.section::<RawRelease>("release", faults).unwrap_or_default();
    let counts = release.stores.is_some();
    let mirrors = mirrors(release.mirrors.as_deref().unwrap_or_default(), faults);
    let stores = adapters::stores(document, base, (checkout, state), (registries, counts), faults);
    let quorum = quorum::resolve(release, &stores, faults);
    let (forges, remotes) = adapters::forges_and_remotes(document, base, registries, faults);
    let signing = adapters::signing(document, base, checkout, registries, faults);
    let config = Config {
        project: project?,
        version,
        bundle,
        inputs,
        targets,
        assemblies,
        runners,
        stores,
        quorum,
        mirrors,
        forges,
        remotes,
        signing,
        templates: TemplateSet::default(),
    };
    if faults.is_empty() {
        targets::check_collisions(&config, &raw_targets, &raw_assemblies, faults);
    }
    Some(config)
}

/// Runs `build` after checking that no two of the names are equal but for case.
fn unique<T>(faults: &mut Faults, what: &str, names: Vec<Text>, build: impl FnOnce(&mut Faults) -> T) -> T {
    let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for name in &names {
        match seen.get(&name.get_ref().to_ascii_lowercase()) {
            Some(first) => faults.add(
                Fault::new(
                    name.span(),
                    format!("two {what} tables are named `{}`", name.get_ref()),
                    "give it a name of its own",
                )
                .see(first.clone(), "the first is here"),
            ),
            None => {
                seen.insert(name.get_ref().to_ascii_lowercase(), name.span());
            }
        }
    }
    build(faults)
}

fn project(raw: &RawProject, base: &Path, faults: &mut Faults) -> Option<Project> {
    let name = grammar(&raw.name, faults);
    let committer = grammar(&raw.committer, faults);
    let path = |text: &Option<Text>, default: &str| base.join(text.as_ref().map_or(default, |t| t.get_ref()));
    Some(Project {
        name: name?,
        branches: raw.branches.as_ref().map_or_else(|| "*".to_owned(), |b| b.get_ref().clone()),
        repository: path(&raw.repository, ""),
        committer: committer?,
        keys: path(&raw.keys, "keys"),
        templates: path(&raw.templates, "release-templates"),
    })
}

/// The base addresses of mirrors that others run.
fn mirrors(listed: &[Text], faults: &mut Faults) -> BTreeSet<String> {
    let one = |text: &Text| {
        let address = base_address(text.get_ref());
        if address.is_none() {
            let label = "expected the base of a store on the web, such as `https://mirror.example.org/acme/`";
            faults.add(Fault::new(text.span(), "this is not the address of a mirror", label));
        }
        address
    };
    listed.iter().filter_map(one).collect()
}

fn bundle(raw: RawBundle, base: &Path, faults: &mut Faults) -> BundleConfig {
    let vendor = raw.vendor.unwrap_or(false);
    if let Some(home) = raw.cargo_home.as_ref().filter(|_| !vendor) {
        let fault = Fault::new(home.span(), "`cargo_home` is read only where crates are vendored", "remove it");
        faults.add(fault.help("or say `vendor = true`"));
    }
    BundleConfig {
        vendor,
        cargo_home: raw.cargo_home.map(|p| base.join(p.get_ref())),
        without_submodules: raw.without_submodules.into_iter().flatten().map(|s| s.into_inner()).collect(),
    }
}

/// What `git fetch` and `git push` take: an address as it is, a path relative to the file made whole.
///
/// # Errors
/// An address that git would take for an option or for a command to run (`ext::`).
pub(super) fn git_address(url: &Text, base: &Path) -> Result<String, Fault> {
    let text = url.get_ref();
    if text.is_empty() || text.starts_with('-') || text.contains("::") || text.contains(['\0', '\n', '\r']) {
        let label = "expected a path, `https://host/path`, `ssh://host/path` or `host:path`";
        return Err(Fault::new(url.span(), "this is not the address of a git repository", label));
    }
    // As git-fetch(1), "GIT URLS": a colon before the first slash is the scp-like form.
    let scp_like = text.split('/').next().is_some_and(|first| first.contains(':'));
    Ok(if text.contains("://") || scp_like { text.clone() } else { base.join(text).display().to_string() })
}

/// Checks patterns over branches.
fn branch_patterns(raw: &toml::Spanned<OneOrMany>, faults: &mut Faults) -> Vec<String> {
    for pattern in &raw.get_ref().0 {
        let name = pattern.replace(['*', '?'], "x");
        if let Err(e) = crate::model::BranchName::new(name) {
            faults.add(grammar_fault(raw.span(), &e).help("`*` stands for any characters, `?` for one"));
        }
    }
    raw.get_ref().0.clone()
}
