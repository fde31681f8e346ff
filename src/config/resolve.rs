//! From tables as they are written to a configuration that holds together: names checked, defaults filled in, paths made
//! relative to the file, secrets as references only. Pure: looks at no file.

mod forge;
mod meaning;
mod places;
mod recipe;
mod targets;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use semver::Version;

pub use self::meaning::RUNNER_KINDS;
use super::raw::{self, RawApp, RawBundle, RawForge, RawKey, RawProject, RawRemote, RawRunner, RawSigning, RawStore};
use super::sections;
use super::settings::{
    AppConfig, BundleConfig, Config, ForgeConfig, KeySource, Project, RemoteConfig, RunnerConfig, SigningConfig,
    StoreConfig, TemplateSet,
};
use super::template::{Values, render};
use crate::bump::VersionRules;
use crate::error::Result;
use crate::model::{Label, RemoteName, RunnerName, TagName};
use crate::table::{Document, Fault, Faults, OneOrMany, Text, grammar, grammar_fault, not_empty, secrets};

/// Reads the text of a `lifeboat.toml` that lies at `path`; the project's own templates stay empty.
///
/// # Errors
/// Every fault at once, each with file, line, column, the line itself and what would be valid.
pub fn parse(text: &str, path: &Path) -> Result<Config> {
    parse_beside(text, path, None)
}

/// As [`parse`], where trains are kept in the directory `state`, which no store may share.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_beside(text: &str, path: &Path, state: Option<&Path>) -> Result<Config> {
    let mut faults = Faults::default();
    let mut document = Document::parse(text, &mut faults);
    if !faults.is_empty() {
        return Err(faults.into_error(path, text, &secrets::hide_by_line(text)));
    }
    let hidden = secrets::find(document.tree(), &sections::secret_keys(), &mut faults);
    let config = resolve(&mut document, path.parent().unwrap_or(Path::new("")), state, &mut faults);
    document.finish(&mut faults);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults.into_error(path, text, &hidden)),
    }
}

fn resolve(document: &mut Document<'_>, base: &Path, state: Option<&Path>, faults: &mut Faults) -> Option<Config> {
    if !document.tree().contains_key("project") {
        faults.add(Fault::new(0..0, "the table `[project]` is missing", "it needs `name` and `committer`"));
    }
    if let Some(tag) = document.retired("project", "tag") {
        let fault = Fault::new(tag.span(), "`tag` in `[project]` means nothing", "remove it");
        let name = tag.get_ref().as_str().unwrap_or("v{version}");
        faults.add(fault.help(format!("the name of a tag stands in `[version]`: `tag = \"{name}\"`")));
    }
    let project = document.section::<RawProject>("project", faults).and_then(|raw| project(&raw, base, faults));
    meaning::tag(document.tree(), faults);
    let version = document.section::<VersionRules>("version", faults).unwrap_or_default();
    let bundle = bundle(document.section::<RawBundle>("bundle", faults).unwrap_or_default(), base, faults);
    let runners = document.list::<RawRunner>("runner", faults);
    let offered = meaning::offered(&runners.iter().map(|(_, r)| r).collect::<Vec<_>>());
    let runners: Vec<_> = unique(faults, "runner", runners.iter().map(|(_, r)| &r.name).collect(), |faults| {
        runners.iter().filter_map(|(_, raw)| runner(raw, faults)).collect()
    });
    let recipes = document.named::<raw::RawNamedRecipe>("recipe", faults);
    let raw_targets = document.list::<raw::RawTarget>("target", faults);
    let raw_assemblies = document.list::<raw::RawAssemble>("assemble", faults);
    let mut tables = targets::Tables::new(&recipes, offered, base);
    let targets = tables.targets(&raw_targets, faults);
    let assemblies = tables.assemblies(&raw_assemblies, &targets, faults);
    tables.unused_recipes(faults);

    let raw_stores = document.list::<RawStore>("store", faults);
    let stores: Vec<_> = unique(faults, "store", raw_stores.iter().map(|(_, r)| &r.name).collect(), |faults| {
        let stores = raw_stores.iter().filter_map(|(_, raw)| Some((store(raw, base, faults)?, &raw.url)));
        stores.collect()
    });
    let checkout = project.as_ref().map(|p| p.repository.as_path());
    places::check(&stores, checkout, state, faults);
    let stores = stores.into_iter().map(|(store, _)| store).collect();
    let forges = document.named::<RawForge>("forge", faults);
    let remotes = document.list::<RawRemote>("remote", faults);
    let names = forges.iter().map(|(name, _)| name).chain(remotes.iter().map(|(_, r)| &r.name)).collect();
    let (forges, remotes) = unique(faults, "forge or remote", names, |faults| {
        (
            forges.iter().filter_map(|(name, raw)| forge(name, raw, &remotes, base, faults)).collect(),
            remotes.iter().filter_map(|(_, raw)| remote(raw, base, faults)).collect(),
        )
    });
    let signing = document.section::<RawSigning>("signing", faults).unwrap_or_default();
    let signing = self::signing(signing, base, faults);
    let config = Config {
        project: project?,
        version,
        bundle,
        targets,
        assemblies,
        runners: if runners.is_empty() { this_machine().into_iter().collect() } else { runners },
        stores,
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
fn unique<T>(faults: &mut Faults, what: &str, names: Vec<&Text>, build: impl FnOnce(&mut Faults) -> T) -> T {
    let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for name in names {
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

impl Config {
    /// The name of a version's tag.
    ///
    /// # Errors
    /// A name that git does not take.
    pub fn tag_name(&self, version: &Version) -> Result<TagName> {
        let version = version.to_string();
        let name = render(&self.version.tag, &Values::from([("version", version.as_str())])).unwrap_or_default();
        Ok(TagName::new(name)?)
    }
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

/// The runner of a configuration that names none: this machine, with its system and processor as labels.
fn this_machine() -> Option<RunnerConfig> {
    Some(RunnerConfig {
        name: RunnerName::new("local").ok()?,
        kind: "local".to_owned(),
        labels: machine_labels(),
        slots: None,
        read: Vec::new(),
        same_user: false,
    })
}

/// The system and the processor for which this program was built, such as `linux` and `x86_64`.
fn machine_labels() -> Vec<Label> {
    [std::env::consts::OS, std::env::consts::ARCH].into_iter().filter_map(|l| Label::new(l).ok()).collect()
}

fn runner(raw: &RawRunner, faults: &mut Faults) -> Option<RunnerConfig> {
    let name = grammar(&raw.name, faults);
    meaning::kind(&raw.kind, faults);
    let labels = match &raw.labels {
        Some(labels) => labels.iter().filter_map(|l| grammar(l, faults)).collect(),
        None => machine_labels(),
    };
    let slots = match &raw.slots {
        Some(n) => match usize::try_from(*n.get_ref()) {
            Ok(n) if (1..=1024).contains(&n) => Some(n),
            _ => {
                faults.add(Fault::new(n.span(), "a runner cannot have this many slots", "expected 1 to 1024"));
                return None;
            }
        },
        None => None,
    };
    let mut read = Vec::new();
    for path in raw.read.iter().flatten() {
        let at = std::path::PathBuf::from(path.get_ref());
        if !at.is_absolute() || at.parent().is_none() {
            faults.add(Fault::new(
                path.span(),
                "jobs cannot be shown this path",
                "expected an absolute path, such as `/srv/sdk`",
            ));
        }
        read.push(at);
    }
    let same_user = raw.same_user.unwrap_or(false);
    Some(RunnerConfig { name: name?, kind: raw.kind.get_ref().clone(), labels, slots, read, same_user })
}

fn store(raw: &RawStore, base: &Path, faults: &mut Faults) -> Option<StoreConfig> {
    let name = grammar(&raw.name, faults);
    not_empty(&raw.url, faults)?;
    let url = raw.url.get_ref();
    let url = match url.split_once("://") {
        None => format!("file://{}", base.join(url).display()),
        Some(("file", path)) if !path.starts_with('/') => {
            faults.add(
                Fault::new(
                    raw.url.span(),
                    "a `file://` address needs an absolute path",
                    "write `file:///srv/releases`",
                )
                .help("a path alone, such as `../releases`, is relative to this file"),
            );
            return None;
        }
        Some(_) => url.clone(),
    };
    Some(StoreConfig {
        name: name?,
        url,
        public_url: raw.public_url.as_ref().and_then(|u| places::public_url(u, faults)),
        required: raw.required.unwrap_or(true),
    })
}

fn forge(
    name: &Text,
    raw: &RawForge,
    remotes: &[(Range<usize>, RawRemote)],
    base: &Path,
    faults: &mut Faults,
) -> Option<ForgeConfig> {
    let name = grammar(name, faults);
    let remote = raw.remote.as_ref().and_then(|r| grammar::<RemoteName>(r, faults));
    if let (Some(text), Some(remote)) = (&raw.remote, &remote) {
        let of = remotes.iter().find(|(_, r)| r.name.get_ref() == remote.as_str());
        match of {
            None => {
                let names: Vec<String> = remotes.iter().map(|(_, r)| format!("`{}`", r.name.get_ref())).collect();
                let valid = if names.is_empty() { "there is no `[[remote]]`".to_owned() } else { names.join(", ") };
                faults.add(Fault::new(
                    text.span(),
                    format!("there is no remote `{remote}`"),
                    format!("valid here: {valid}"),
                ));
            }
            Some((_, r)) if raw.required.unwrap_or(false) && !r.required.unwrap_or(false) => {
                let message = format!("the forge is required, and its remote `{remote}` is not");
                faults.add(Fault::new(text.span(), message, "set `required = true` for that `[[remote]]` as well"));
            }
            Some((_, r)) => forge::pull_requests(&name, text, r, faults),
        }
    }
    let repository = raw.repository.get_ref();
    let word = |w: &str| {
        !w.is_empty() && !w.starts_with(['-', '.']) && w.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if !repository.split_once('/').is_some_and(|(owner, name)| word(owner) && word(name)) {
        let message = format!("`{repository}` is not a repository of a forge");
        faults.add(Fault::new(raw.repository.span(), message, "expected `owner/name`"));
    }
    let is_github = name.as_ref().is_some_and(|n: &RemoteName| n.as_str() == forge::GITHUB);
    let api = raw.api.as_ref().map(|a| forge_address(a, "a forge's API is asked over TLS only", faults));
    let uploads = raw.uploads.as_ref().map(|u| forge_address(u, "a forge takes assets over TLS only", faults));
    let token = raw.token.as_ref().map(|t| faults.keep(secrets::reference(t, base)));
    let app = raw.app.as_ref().map(|app| forge_app(app, base, faults));
    if let (Some(_), Some(app)) = (&raw.token, &raw.app) {
        faults.add(Fault::new(app.span(), "a forge is used with a token or as an app", "remove `app` or `token`"));
    }
    Some(ForgeConfig {
        name: name?,
        repository: repository.clone(),
        api,
        uploads,
        token: token.flatten(),
        app: app.flatten(),
        remote,
        default_branch: raw.default_branch.as_ref().and_then(|b| grammar(b, faults)),
        triggers: forge::triggers(raw.triggers.as_ref(), is_github, faults),
        advisories: forge::advisories(raw.advisories.as_ref(), is_github, faults),
        draft_audience: forge::draft_audience(raw.draft_audience.as_ref(), faults),
        required: raw.required.unwrap_or(false),
    })
}

/// The base address of one of a forge's hosts, which gets a token.
fn forge_address(address: &Text, why: &str, faults: &mut Faults) -> String {
    let text = address.get_ref();
    let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let here = |l: &str| text.strip_prefix(l).is_some_and(|r| r.is_empty() || r.starts_with([':', '/']));
    if !text.starts_with("https://") && !loopback.into_iter().any(here) {
        faults.add(Fault::new(address.span(), why, "expected an `https://` address"));
    }
    text.trim_end_matches('/').to_owned()
}

fn forge_app(raw: &toml::Spanned<RawApp>, base: &Path, faults: &mut Faults) -> Option<AppConfig> {
    let app = raw.get_ref();
    let id = app.id.get_ref();
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        let label =
            "expected the client id that the app's settings show, such as `Iv23liXXXXXXXXXXXXXX`, or its number";
        faults.add(Fault::new(app.id.span(), "this is not the id of an app", label));
    }
    let private_key = faults.keep(secrets::reference(&app.private_key, base))?;
    Some(AppConfig { id: id.clone(), installation: *app.installation.get_ref(), private_key })
}

fn remote(raw: &RawRemote, base: &Path, faults: &mut Faults) -> Option<RemoteConfig> {
    let name = grammar(&raw.name, faults);
    let url = faults.keep(git_address(&raw.url, base));
    let push = forge::push_modes(raw.push.as_ref(), faults);
    Some(RemoteConfig { name: name?, url: url?, push, required: raw.required.unwrap_or(false) })
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

fn signing(raw: RawSigning, base: &Path, faults: &mut Faults) -> SigningConfig {
    let mut source = |raw: &Option<toml::Spanned<RawKey>>| raw.as_ref().and_then(|key| key_source(key, base, faults));
    let (release, freshness, operator) = (source(&raw.release), source(&raw.freshness), source(&raw.operator));
    let mut people = BTreeMap::new();
    for (name, key) in raw.people.iter().flatten() {
        if let (Some(name), Some(key)) = (grammar(name, faults), key_source(key, base, faults)) {
            people.insert(name, key);
        }
    }
    SigningConfig { release, freshness, operator, people, sign_artifacts: raw.sign_artifacts.unwrap_or(false) }
}

fn key_source(raw: &toml::Spanned<RawKey>, base: &Path, faults: &mut Faults) -> Option<KeySource> {
    let key = raw.get_ref();
    match (&key.file, &key.gpg) {
        (Some(file), None) => {
            not_empty(file, faults)?;
            let passphrase = match &key.passphrase {
                Some(p) => Some(faults.keep(secrets::reference(p, base))?),
                None => None,
            };
            Some(KeySource::File { path: base.join(file.get_ref()), passphrase })
        }
        (None, Some(gpg)) if key.passphrase.is_none() => {
            let hex: String = gpg.get_ref().trim_start_matches("0x").chars().filter(|c| *c != ' ').collect();
            if !matches!(hex.len(), 40 | 64) || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
                let label = "expected the 40 hexadecimal digits that `gpg --list-secret-keys` shows";
                faults.add(Fault::new(gpg.span(), "this is not a whole fingerprint", label));
                return None;
            }
            Some(KeySource::Gpg { fingerprint: hex.to_ascii_uppercase() })
        }
        (None, Some(gpg)) => {
            let fault = Fault::new(gpg.span(), "a key of gpg has its passphrase in gpg-agent", "remove `passphrase`");
            faults.add(fault);
            None
        }
        _ => {
            let label = "expected `{ file = \"path\" }` or `{ gpg = \"FINGERPRINT\" }`";
            faults.add(Fault::new(raw.span(), "a key is in a file or in gpg", label));
            None
        }
    }
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
