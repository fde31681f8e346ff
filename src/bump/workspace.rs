//! The crates of a tree: what the manifests, `members` and path dependencies say.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use semver::Version;

use super::tree::{Sources, file_in, join, parent};
use crate::error::{Error, Result};
use crate::formats::cargo_manifest::{self, CargoManifest, Dependency, PackageVersion, Publish, SpannedText};
use crate::formats::glob::matches_path;
use crate::formats::requirement::admits;
use crate::formats::splice::line_of;

/// One manifest of the tree.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Its text.
    pub(super) text: Rc<str>,
    /// What it says.
    pub(super) manifest: CargoManifest,
    /// Cargo reaches it from the workspace; otherwise it only lies in the tree.
    pub(super) reached: bool,
}

/// A crate with its version resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crate {
    /// `[package] name`.
    pub(super) name: String,
    /// Path of its manifest.
    pub(super) manifest: String,
    /// Its version, its own or the inherited one; nothing if it has none.
    pub(super) version: Option<Version>,
    /// The manifest that it inherits its version from.
    pub(super) inherits: Option<String>,
    /// May be published.
    pub(super) publish: bool,
    /// Where the version stands, `manifest:line`.
    pub(super) place: String,
}

/// Every manifest that was read, and the crates among them.
pub(super) struct Workspace {
    manifests: BTreeMap<String, Loaded>,
    crates: BTreeMap<String, Crate>,
}

/// `path:line` of a byte offset.
pub(super) fn place(path: &str, text: &str, offset: usize) -> String {
    format!("{path}:{}", line_of(text, offset))
}

impl Workspace {
    /// Follows `seeds` to every manifest that Cargo would read with them.
    pub(super) fn load(sources: &Sources<'_>, seeds: &[String], exclude: &[String]) -> Result<Self> {
        let mut out = Self { manifests: BTreeMap::new(), crates: BTreeMap::new() };
        let all: Vec<&String> = sources.paths().iter().filter(|p| is_manifest(p)).collect();
        let mut queue: Vec<String> = seeds.to_vec();
        while let Some(path) = queue.pop() {
            let excluded = exclude.iter().any(|e| within(e, parent(&path)));
            if out.manifests.contains_key(&path) || excluded {
                continue;
            }
            let text = sources.required(&path, "a workspace manifest is needed here")?;
            let manifest = cargo_manifest::parse(&text).map_err(|e| {
                Error::input(format!("{}: {}", place(&path, &text, e.offset), e.message))
                    .hint("`cargo metadata` on this tree says the same; fix the manifest first")
            })?;
            let found = neighbours(sources, &all, &path, &manifest)?;
            let counts = |p: &String| !exclude.iter().any(|e| within(e, parent(p)));
            for next in found.into_iter().filter(counts) {
                readable(sources, &next, &path)?;
                queue.extend(sources.has(&next).then_some(next));
            }
            out.manifests.insert(path, Loaded { text, manifest, reached: true });
        }
        out.resolve()?;
        Ok(out)
    }

    /// Reads the other manifests of the tree that mention one of `names`, so that excluded workspaces, examples and
    /// fuzz targets follow too. One that cannot be read is none of Cargo's business here and is left alone.
    pub(super) fn load_mentions(
        &mut self,
        sources: &Sources<'_>,
        names: &BTreeSet<String>,
        exclude: &[String],
    ) -> Result<()> {
        for path in sources.paths().iter().filter(|p| is_manifest(p)) {
            if self.manifests.contains_key(path) || exclude.iter().any(|e| within(e, parent(path))) {
                continue;
            }
            let Some(text) = sources.text(path)? else { continue };
            let mentions = text.contains("path") && names.iter().any(|n| text.contains(n.as_str()));
            if mentions && let Ok(manifest) = cargo_manifest::parse(&text) {
                self.manifests.insert(path.clone(), Loaded { text, manifest, reached: false });
            }
        }
        Ok(())
    }

    /// Every manifest read, by path.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&str, &Loaded)> {
        self.manifests.iter().map(|(p, l)| (p.as_str(), l))
    }

    /// The manifest at `path`.
    pub(super) fn manifest(&self, path: &str) -> Option<&Loaded> {
        self.manifests.get(path)
    }

    /// Every crate that Cargo reaches, by manifest path.
    pub(super) fn crates(&self) -> impl Iterator<Item = &Crate> {
        self.crates.values()
    }

    /// The crate of the manifest at `path`.
    pub(super) fn crate_at(&self, path: &str) -> Option<&Crate> {
        self.crates.get(path)
    }

    /// What the repository is called, as the manifests say: the one at the top first.
    pub(super) fn repository(&self) -> Option<String> {
        let said = |m: &'_ CargoManifest| {
            let own = m.package.as_ref().and_then(|p| p.repository.clone());
            own.or_else(|| m.workspace.as_ref()?.repository.clone())
        };
        let address = self.manifests.values().find_map(|l| said(&l.manifest))?;
        // `https://HOST/OWNER/NAME/…`
        let name = address.split_once("://")?.1.split('/').nth(2)?;
        Some(name.strip_suffix(".git").unwrap_or(name).to_owned()).filter(|n| !n.is_empty())
    }

    /// The manifests that Cargo counts to the workspace at `root`: its members, and what they lead to by paths.
    pub(super) fn members(&self, root: &str) -> BTreeSet<&str> {
        let Some((root, loaded)) = self.manifests.get_key_value(root) else { return BTreeSet::new() };
        let dir = parent(root);
        let globs = loaded.manifest.workspace.iter().flat_map(|w| &w.members).filter_map(|m| join(dir, m));
        let globs: Vec<String> = globs.collect();
        let named = |path: &&String| globs.iter().any(|g| matches_path(g, parent(path)));
        let mut out = BTreeSet::new();
        let mut queue: Vec<&str> =
            self.manifests.keys().filter(named).map(String::as_str).chain([root.as_str()]).collect();
        while let Some(path) = queue.pop() {
            let Some(loaded) = self.manifests.get(path).filter(|_| out.insert(path)) else { continue };
            let paths = loaded.manifest.dependencies.iter().filter_map(|d| join(parent(path), d.path.as_ref()?));
            let next = paths.map(|p| file_in(&p, "Cargo.toml"));
            queue.extend(next.filter_map(|p| self.manifests.get_key_value(&p).map(|(p, _)| p.as_str())));
        }
        out
    }

    /// Where the version stands that the members of the workspace at `root` inherit.
    pub(super) fn inherited_version(&self, root: &str) -> Option<String> {
        let loaded = self.manifests.get(root)?;
        let version = loaded.manifest.workspace.as_ref()?.version.as_ref()?;
        Some(place(root, &loaded.text, version.span.start))
    }

    /// The crate called `name`; stops if two are.
    pub(super) fn named(&self, name: &str) -> Result<Option<&Crate>> {
        let mut found = self.crates.values().filter(|c| c.name == name);
        let first = found.next();
        match (first, found.next()) {
            (Some(a), Some(b)) => Err(twice(a, b)),
            _ => Ok(first),
        }
    }

    /// The crate that `dependency` of the manifest at `path` means by its path, or by a `[patch]` of its workspace: Cargo
    /// takes the crate of a patch only where the requirement admits its version, and else that of the registry.
    pub(super) fn meant(&self, path: &str, dependency: &Dependency) -> Option<&Crate> {
        if dependency.patch {
            return None;
        }
        if let Some(relative) = &dependency.path {
            return self.crates.get(&file_in(&join(parent(path), relative)?, "Cargo.toml"));
        }
        if dependency.elsewhere || dependency.requirement.is_none() {
            return None;
        }
        let root = self.root_of(path)?;
        let patches = self.manifests.get(&root)?.manifest.dependencies.iter();
        let patch = patches.filter(|d| d.patch).find(|d| d.package == dependency.package)?;
        let patched = self.crates.get(&file_in(&join(parent(&root), patch.path.as_ref()?)?, "Cargo.toml"))?;
        let requirement = &dependency.requirement.as_ref()?.value;
        patched.version.as_ref().is_some_and(|v| admits(requirement, v)).then_some(patched)
    }

    /// Whether a member inherits the entry `key` of `[workspace.dependencies]` in the manifest at `root`.
    pub(super) fn inherited(&self, root: &str, key: &str) -> bool {
        self.manifests.iter().any(|(path, loaded)| {
            loaded.manifest.dependencies.iter().any(|d| d.inherits && d.key == key)
                && self.root_of(path).as_deref() == Some(root)
        })
    }

    /// The names of the crates that the manifest at `path` depends on, whatever for; an inherited one by its real name.
    pub(super) fn dependencies(&self, path: &str) -> BTreeSet<&str> {
        let root = self.root_of(path).and_then(|root| self.manifests.get(&root));
        let shared = |key: &str| {
            let all = root.into_iter().flat_map(|r| &r.manifest.dependencies);
            all.filter(|d| d.shared).find(|d| d.key == key)
        };
        let own = self.manifests.get(path).into_iter().flat_map(|l| &l.manifest.dependencies);
        let wished = own.filter(|d| !d.patch && !d.shared);
        wished.map(|d| shared(&d.key).filter(|_| d.inherits).unwrap_or(d).package.as_str()).collect()
    }

    /// The workspace root of the manifest at `path`: itself, the one it names, or the nearest one above that does not
    /// exclude it.
    pub(super) fn root_of(&self, path: &str) -> Option<String> {
        let own = &self.manifests.get(path)?.manifest;
        if own.workspace.is_some() {
            return Some(path.to_owned());
        }
        if let Some(named) = own.package.as_ref().and_then(|p| p.workspace.as_ref()) {
            return Some(file_in(&join(parent(path), named)?, "Cargo.toml"));
        }
        let mut dir = parent(path);
        while !dir.is_empty() {
            dir = parent(dir);
            let above = file_in(dir, "Cargo.toml");
            if let Some(workspace) = self.manifests.get(&above).and_then(|l| l.manifest.workspace.as_ref()) {
                return (!excludes(workspace, dir, parent(path))).then_some(above);
            }
        }
        None
    }

    fn resolve(&mut self) -> Result<()> {
        let mut crates = BTreeMap::new();
        for (path, loaded) in &self.manifests {
            let Some(package) = &loaded.manifest.package else { continue };
            let root = self.root_of(path);
            let workspace =
                root.as_ref().and_then(|r| self.manifests.get(r)).and_then(|l| l.manifest.workspace.as_ref());
            let (version, inherits, offset) = match &package.version {
                PackageVersion::Literal(t) => (Some(version(path, &loaded.text, t)?), None, t.span.start),
                PackageVersion::Absent => (None, None, package.name.span.start),
                PackageVersion::Inherited => {
                    let at = place(path, &loaded.text, package.name.span.start);
                    let (Some(root), Some(t)) = (&root, workspace.and_then(|w| w.version.as_ref())) else {
                        return Err(Error::input(format!(
                            "{at}: `{}` inherits a version that nothing gives",
                            package.name.value
                        ))
                        .hint("set `version` in `[workspace.package]` of the workspace root, or here"));
                    };
                    let text = self.manifests.get(root).map_or("", |l| &l.text);
                    (Some(version(root, text, t)?), Some(root.clone()), package.name.span.start)
                }
            };
            let publish = match package.publish {
                Publish::Yes => true,
                Publish::No => false,
                Publish::Inherited => workspace.and_then(|w| w.publish).unwrap_or(true),
            };
            crates.insert(
                path.clone(),
                Crate {
                    name: package.name.value.clone(),
                    manifest: path.clone(),
                    // Without a version Cargo publishes nothing.
                    publish: publish && version.is_some(),
                    version,
                    inherits,
                    place: place(path, &loaded.text, offset),
                },
            );
        }
        self.crates = crates;
        Ok(())
    }
}

/// Two crates of one name.
pub(super) fn twice(a: &Crate, b: &Crate) -> Error {
    Error::input(format!("two crates are called `{}`", a.name))
        .detail(a.place.clone())
        .detail(b.place.clone())
        .hint("rename one, or name the directory that does not count in `exclude` of `[version]`")
}

fn version(path: &str, text: &str, literal: &SpannedText) -> Result<Version> {
    // Cargo takes blanks around it.
    Version::parse(literal.value.trim()).map_err(|e| {
        let at = place(path, text, literal.span.start);
        Error::input(format!("{at}: `{}` is not a version: {e}", crate::model::escape(&literal.value)))
            .hint("expected a semantic version such as `1.2.3` or `1.2.3-rc.1`")
    })
}

fn is_manifest(path: &str) -> bool {
    path == "Cargo.toml" || path.ends_with("/Cargo.toml")
}

/// Whether `dir` matches `pattern` or lies below what does.
fn within(pattern: &str, dir: &str) -> bool {
    matches_path(pattern, dir) || matches_path(&format!("{pattern}/**"), dir)
}

/// Whether the workspace at directory `root` leaves `dir` out: `members` wins over `exclude`, as in Cargo.
fn excludes(workspace: &cargo_manifest::WorkspaceTable, root: &str, dir: &str) -> bool {
    let member =
        workspace.members.iter().filter_map(|m| join(root, m)).any(|m| !m.contains('*') && matches_path(&m, dir));
    !member && excludes_glob(workspace, root, dir)
}

/// The manifests that the one at `path` leads to.
fn neighbours(sources: &Sources<'_>, all: &[&String], path: &str, manifest: &CargoManifest) -> Result<Vec<String>> {
    let dir = parent(path);
    let mut out = Vec::new();
    if let Some(workspace) = &manifest.workspace {
        for member in workspace.members.iter().filter_map(|m| join(dir, m)) {
            if member.contains(['*', '?', '[']) {
                let matching = all.iter().filter(|p| matches_path(&member, parent(p)));
                out.extend(matching.filter(|p| !excludes_glob(workspace, dir, parent(p))).map(|p| (*p).clone()));
                let links = sources.symlinks().filter(|p| is_manifest(p) && matches_path(&member, parent(p)));
                out.extend(links.filter(|p| !excludes_glob(workspace, dir, parent(p))).cloned());
            } else {
                out.push(file_in(&member, "Cargo.toml"));
            }
            let strays = sources.strays(&member)?.into_iter();
            out.extend(strays.filter(|p| !excludes(workspace, dir, parent(p))));
        }
    }
    let named = manifest.package.as_ref().and_then(|p| p.workspace.as_ref());
    let paths = manifest.dependencies.iter().filter_map(|d| d.path.as_ref());
    out.extend(paths.chain(named).filter_map(|p| Some(file_in(&join(dir, p)?, "Cargo.toml"))));
    // The root that a crate inherits from may lie above without anything naming it.
    let mut above = dir;
    while !above.is_empty() {
        above = parent(above);
        let root = file_in(above, "Cargo.toml");
        if sources.has(&root) {
            out.push(root);
            break;
        }
    }
    Ok(out)
}

/// Stops where Cargo reads a manifest that a bump cannot change: behind a link, or in no commit. `from` leads to it.
fn readable(sources: &Sources<'_>, path: &str, from: &str) -> Result<()> {
    let shown = crate::model::escape(path);
    let exclude = "or name its directory in `exclude` of `[version]` if it is not your crate";
    if let Some(link) = sources.symlink_on(path) {
        let link = crate::model::escape(link);
        return Err(Error::input(format!("`{link}` is a symbolic link: the crate behind it cannot be bumped there"))
            .detail(format!("{from}: Cargo reads `{shown}` with this manifest"))
            .hint(format!("replace it by what it points to, {exclude}")));
    }
    if !sources.has(path) && !sources.strays(parent(path))?.is_empty() {
        return Err(Error::input(format!("`{shown}` is not tracked by git, so no commit would have its new version"))
            .detail(format!("{from}: Cargo reads it with this manifest"))
            .hint(format!("`git add {shown}`, {exclude}")));
    }
    Ok(())
}

fn excludes_glob(workspace: &cargo_manifest::WorkspaceTable, root: &str, dir: &str) -> bool {
    workspace.exclude.iter().filter_map(|e| join(root, e)).any(|e| within(&e, dir))
}
