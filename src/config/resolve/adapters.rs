//! The tables of adapters: what all kinds have is read here, and the rest is handed over to the adapter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::SignedDuration;

use super::super::raw::{RawForge, RawRemote, RawRunner, RawSigning, RawStore};
use super::super::settings::{ForgeConfig, RemoteConfig, RunnerConfig, SigningConfig, StoreConfig, StoreRole};
use super::{forge, git_address, no_effect, places, unique};
use crate::adapter::{Adapter, ForgeTable, Port, Registries, RemoteTable, RunnerTable, SignerTable, Spec, StoreTable};
use crate::effects::{Forge, Signer, Store};
use crate::model::{Label, RemoteName, RunnerName, Staging, TransferLimits};
use crate::table::{Fault, Faults, Table, Text, TomlDocument, did_you_mean, grammar, not_empty, one_of};

/// `[[runner]]`, and the labels that each offers.
pub(super) fn runners(
    document: &mut TomlDocument<'_>,
    base: &Path,
    registries: &Registries,
    faults: &mut Faults,
) -> (Vec<RunnerConfig>, Vec<BTreeSet<String>>) {
    let tables = document.tables("runner", base, faults);
    if tables.is_empty() {
        return (this_machine(base, registries, faults).into_iter().collect(), no_effect::offered(&[]));
    }
    let tables: Vec<_> = tables.into_iter().filter_map(|table| table.split::<RawRunner>(faults)).collect();
    let offered = no_effect::offered(&tables.iter().map(|(raw, _)| raw).collect::<Vec<_>>());
    let names = tables.iter().map(|(raw, _)| raw.name.clone()).collect();
    let runners = unique(faults, "runner", names, |faults| {
        tables.into_iter().filter_map(|(raw, rest)| runner(&raw, rest, registries, faults)).collect()
    });
    (runners, offered)
}

/// The runner of a configuration that names none: this machine, with its system and processor as labels.
fn this_machine(base: &Path, registries: &Registries, faults: &mut Faults) -> Option<RunnerConfig> {
    let adapter = registries.runners.first()?;
    let common = RunnerTable { name: RunnerName::new(adapter.kind).ok()?, labels: machine_labels(), slots: None };
    let spec = (adapter.parse)(&common, Table::parse("", base, faults), faults)?;
    let (name, labels) = (common.name, common.labels);
    Some(RunnerConfig { name, kind: adapter.kind.to_owned(), labels, lease: None, spec })
}

/// The system and the processor for which this program was built, such as `linux` and `x86_64`.
pub(super) fn machine_labels() -> Vec<Label> {
    [std::env::consts::OS, std::env::consts::ARCH].into_iter().filter_map(|l| Label::new(l).ok()).collect()
}

fn runner(raw: &RawRunner, rest: Table<'_>, registries: &Registries, faults: &mut Faults) -> Option<RunnerConfig> {
    let name = grammar(&raw.name, faults);
    let adapter = of_kind(&registries.runners, &raw.kind, "runner", faults);
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
    let lease = match &raw.lease {
        Some(text) => Some(lease(text, faults)?),
        None => None,
    };
    let common = RunnerTable { name: name?, labels, slots };
    let adapter = adapter?;
    let spec = (adapter.parse)(&common, rest, faults)?;
    let (name, labels) = (common.name, common.labels);
    Some(RunnerConfig { name, kind: adapter.kind.to_owned(), labels, lease, spec })
}

/// How long a job stays with a runner that does not answer.
fn lease(text: &Text, faults: &mut Faults) -> Option<SignedDuration> {
    let said = text.get_ref().parse::<SignedDuration>().ok();
    let lease = said.filter(|d| (SignedDuration::from_secs(10)..=SignedDuration::from_hours(24)).contains(d));
    if lease.is_none() {
        let message = format!("`{}` is not a lease", text.get_ref());
        faults.add(Fault::new(text.span(), message, "expected a time from 10 s to 24 h, such as `5m`"));
    }
    lease
}

/// The adapter that is named by its kind.
fn of_kind<'a, P: Port + ?Sized>(
    adapters: &'a [Adapter<P>],
    kind: &Text,
    what: &str,
    faults: &mut Faults,
) -> Option<&'a Adapter<P>> {
    let said = kind.get_ref().as_str();
    let found = adapters.iter().find(|a| a.kind == said);
    if found.is_none() {
        let kinds = adapters.iter().map(|a| a.kind);
        let message = format!("`{said}` is not a kind of {what}");
        let fault = Fault::new(kind.span(), message, format!("expected {}", one_of(kinds.clone())));
        faults.add(match did_you_mean(said, kinds) {
            Some(meant) => fault.help(format!("did you mean `{meant}`?")),
            None => fault,
        });
    }
    found
}

/// `[[store]]`; none may lie in the checkout or in the state directory. One that does not say `required` is required, or
/// `counts` for a quorum.
pub(super) fn stores(
    document: &mut TomlDocument<'_>,
    base: &Path,
    (checkout, state): (Option<&Path>, Option<&Path>),
    (registries, counts): (&Registries, bool),
    faults: &mut Faults,
) -> Vec<StoreConfig> {
    let tables = document.tables("store", base, faults);
    let tables: Vec<_> = tables.into_iter().filter_map(|table| table.split::<RawStore>(faults)).collect();
    let names = tables.iter().map(|(raw, _)| raw.name.clone()).collect();
    let stores: Vec<_> = unique(faults, "store", names, |faults| {
        let stores = tables.into_iter().filter_map(|(raw, rest)| {
            let url = raw.url.clone();
            Some((store(raw, rest, (registries, counts), faults)?, url))
        });
        stores.collect()
    });
    places::check(&stores, checkout, state, faults);
    stores.into_iter().map(|(store, _)| store).collect()
}

fn store(
    raw: RawStore,
    rest: Table<'_>,
    (registries, counts): (&Registries, bool),
    faults: &mut Faults,
) -> Option<StoreConfig> {
    let name = grammar(&raw.name, faults);
    not_empty(&raw.url, faults)?;
    let public_url = raw.public_url.as_ref().and_then(|u| places::public_url(u, faults));
    let url = raw.url.get_ref();
    let is_of = |a: &&Adapter<dyn Store>| match url.split_once("://") {
        Some((scheme, _)) => a.kind == scheme,
        None => a.facts.takes_paths,
    };
    let Some(adapter) = registries.stores.iter().find(is_of) else {
        let examples = one_of(registries.stores.iter().map(|a| a.example));
        // The address itself may hold a password: it is shown below, or hidden there.
        let message = format!("no adapter knows the url of store `{}`", raw.name.get_ref());
        faults.add(Fault::new(raw.url.span(), message, format!("expected {examples}")));
        return None;
    };
    let staging = staging(raw.staging.as_ref(), faults);
    let transfers = transfers(&raw, faults)?;
    let common = StoreTable { name: name?, url: raw.url, public_url, transfers };
    let spec = (adapter.parse)(&common, rest, faults)?;
    let role = match raw.required {
        Some(true) => StoreRole::Required,
        Some(false) => StoreRole::Deferrable,
        None if counts => StoreRole::Counted,
        None => StoreRole::Required,
    };
    let rate = common.transfers.rate;
    Some(StoreConfig { name: common.name, public_url: common.public_url, staging, role, rate, spec })
}

/// `staging = "encrypted"`.
fn staging(raw: Option<&Text>, faults: &mut Faults) -> Staging {
    match raw.map(|text| (text.get_ref().as_str(), text.span())) {
        None | Some(("private", _)) => Staging::Private,
        Some(("encrypted", _)) => Staging::Encrypted,
        Some((other, span)) => {
            let message = format!("`{other}` is not a mode of staging");
            faults.add(Fault::new(span, message, "valid here: `private` or `encrypted`"));
            Staging::Private
        }
    }
}

/// The limits of a store's transfers.
fn transfers(raw: &RawStore, faults: &mut Faults) -> Option<TransferLimits> {
    let mut limits = TransferLimits::default();
    if let Some(n) = &raw.transfers {
        let Some(n) = usize::try_from(*n.get_ref()).ok().filter(|n| (1..=64).contains(n)) else {
            faults.add(Fault::new(n.span(), "a store cannot have this many transfers at once", "expected 1 to 64"));
            return None;
        };
        limits.at_once = n;
    }
    if let Some(text) = &raw.rate_limit {
        limits.rate = Some(grammar(text, faults)?);
    }
    Some(limits)
}

/// `[forge.<name>]` and `[[remote]]`: no two of them have one name.
pub(super) fn forges_and_remotes(
    document: &mut TomlDocument<'_>,
    base: &Path,
    registries: &Registries,
    faults: &mut Faults,
) -> (Vec<ForgeConfig>, Vec<RemoteConfig>) {
    let forges = document.named_tables("forge", base, faults);
    let forges: Vec<_> = forges
        .into_iter()
        .filter_map(|(name, table)| {
            let (raw, rest) = table.split::<RawForge>(faults)?;
            Some((name, raw, rest))
        })
        .collect();
    let remotes = document.tables("remote", base, faults);
    let remotes: Vec<_> = remotes.into_iter().filter_map(|table| table.split::<RawRemote>(faults)).collect();
    let names = forges.iter().map(|(name, ..)| name).chain(remotes.iter().map(|(r, _)| &r.name)).cloned().collect();
    unique(faults, "forge or remote", names, |faults| {
        let raw_remotes: Vec<RawRemote> = remotes.iter().map(|(raw, _)| raw.clone()).collect();
        let forges = forges.into_iter().filter_map(|(name, raw, rest)| {
            let adapter = of_kind(&registries.forges, &name, "forge", faults)?;
            forge(&name, &raw, rest, adapter, &raw_remotes, faults)
        });
        let forges = forges.collect();
        let remotes = remotes.into_iter().filter_map(|(raw, rest)| remote(&raw, rest, base, registries, faults));
        (forges, remotes.collect())
    })
}

fn forge(
    name: &Text,
    raw: &RawForge,
    rest: Table<'_>,
    adapter: &Adapter<dyn Forge>,
    remotes: &[RawRemote],
    faults: &mut Faults,
) -> Option<ForgeConfig> {
    let name = grammar(name, faults);
    let remote = raw.remote.as_ref().and_then(|r| grammar::<RemoteName>(r, faults));
    if let (Some(text), Some(remote)) = (&raw.remote, &remote) {
        let of = remotes.iter().find(|r| r.name.get_ref() == remote.as_str());
        match of {
            None => {
                let names: Vec<String> = remotes.iter().map(|r| format!("`{}`", r.name.get_ref())).collect();
                let valid = if names.is_empty() { "there is no `[[remote]]`".to_owned() } else { names.join(", ") };
                faults.add(Fault::new(
                    text.span(),
                    format!("there is no remote `{remote}`"),
                    format!("valid here: {valid}"),
                ));
            }
            Some(r) if raw.required.unwrap_or(false) && !r.required.unwrap_or(false) => {
                let message = format!("the forge is required, and its remote `{remote}` is not");
                faults.add(Fault::new(text.span(), message, "set `required = true` for that `[[remote]]` as well"));
            }
            Some(r) => forge::pull_requests(adapter, text, r, faults),
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
    let facts = adapter.facts;
    let triggers = forge::triggers(raw.triggers.as_ref(), facts.automation, faults);
    let advisories = forge::advisories(raw.advisories.as_ref(), facts.advisories, faults);
    let draft_audience = forge::draft_audience(raw.draft_audience.as_ref(), faults);
    let default_branch = raw.default_branch.as_ref().and_then(|b| grammar(b, faults));
    let common = ForgeTable { name: name?, repository: repository.clone() };
    let spec = (adapter.parse)(&common, rest, faults)?;
    let required = raw.required.unwrap_or(false);
    let ForgeTable { name, repository } = common;
    Some(ForgeConfig {
        name,
        repository,
        remote,
        default_branch,
        triggers,
        advisories,
        draft_audience,
        required,
        facts,
        spec,
    })
}

fn remote(
    raw: &RawRemote,
    rest: Table<'_>,
    base: &Path,
    registries: &Registries,
    faults: &mut Faults,
) -> Option<RemoteConfig> {
    let name = grammar(&raw.name, faults);
    let url = faults.keep(git_address(&raw.url, base));
    let push = forge::push_modes(raw.push.as_ref(), faults);
    let common = RemoteTable { name: name?, url: url? };
    let Some(adapter) = registries.remotes.iter().find(|a| (a.facts.takes)(&common.url)) else {
        let message = format!("the url of remote `{}` is not a valid remote address", common.name);
        let examples: Vec<&str> = registries.remotes.iter().map(|a| a.example).collect();
        faults.add(Fault::new(raw.url.span(), message, format!("expected {}", examples.join(" or "))));
        return None;
    };
    let spec = (adapter.parse)(&common, rest, faults)?;
    Some(RemoteConfig { name: common.name, url: common.url, push, required: raw.required.unwrap_or(false), spec })
}

/// `[signing]`; what lies in the checkout is shown relative to it.
pub(super) fn signing(
    document: &mut TomlDocument<'_>,
    base: &Path,
    checkout: Option<&Path>,
    registries: &Registries,
    faults: &mut Faults,
) -> SigningConfig {
    let signers = &registries.signers;
    let examples: Vec<&'static str> = signers.iter().map(|a| a.example).collect();
    let Some(mut table) = document.table("signing", base, faults) else {
        return SigningConfig { examples, ..SigningConfig::default() };
    };
    let expected = one_of(examples.iter().copied());
    let key = |setting: String, table: Table<'_>, faults: &mut Faults| {
        let repository = checkout.unwrap_or(base).to_owned();
        signer(&SignerTable { setting, repository }, table, signers, faults)
    };
    let mut role = |name: &'static str, faults: &mut Faults| {
        let own = table.inner(name, &expected, faults)?;
        key(format!("signing.{name}"), own, faults)
    };
    let (release, freshness) = (role("release", faults), role("freshness", faults));
    let operator = role("operator", faults);
    let mut people = BTreeMap::new();
    for (name, own) in table.inner_named("people", &expected, faults) {
        let key = key(format!("signing.people.{}", name.get_ref()), own, faults);
        if let (Some(name), Some(key)) = (grammar(&name, faults), key) {
            people.insert(name, key);
        }
    }
    let sign_artifacts = match table.split::<RawSigning>(faults) {
        Some((raw, rest)) => {
            rest.has_no_more(faults);
            raw.sign_artifacts.unwrap_or(false)
        }
        None => false,
    };
    SigningConfig { release, freshness, operator, people, sign_artifacts, examples }
}

fn signer(
    common: &SignerTable,
    table: Table<'_>,
    signers: &[Adapter<dyn Signer>],
    faults: &mut Faults,
) -> Option<Spec<dyn Signer>> {
    let mut named = signers.iter().filter(|a| table.has(a.kind));
    if let (Some(adapter), None) = (named.next(), named.next()) {
        return (adapter.parse)(common, table, faults);
    }
    let keys: Vec<&str> = signers.iter().flat_map(|a| a.keys.keys).map(|key| key.name).collect();
    faults.add(table.unknown(&keys).unwrap_or_else(|| {
        let expected = format!("expected {}", one_of(signers.iter().map(|a| a.example)));
        Fault::new(table.span(), "a key is of exactly one kind", expected)
    }));
    None
}
