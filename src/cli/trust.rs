//! `lifeboat trust`: shows, pins and makes the trust root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::Caller;
use super::keys::{KeysFrom, digest, is_address};
use crate::effects::{Disk, files};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Certificate, Standing};
use crate::formats::signed::SignedDocument as _;
use crate::gather::encrypting;
use crate::model::{Fingerprint, PersonId, ProjectName, Sha256, StoreName};
use crate::trust::{self, FILE, KeyRole, Memory, PeopleRole, Person, Roles, Root, RootChoice, TrustedRoot};

/// Show, pin or make the trust root: who may approve and which keys sign
#[derive(Debug, Clone, clap::Args)]
pub struct TrustArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
    /// The directory with `trust.json` and the certificates, or the address of a store that serves them [default: `keys` of
    /// the configured project, or `keys`]
    #[arg(long, global = true, value_name = "DIR|ADDRESS")]
    pub keys: Option<String>,
    /// Where they are without `--keys`, if a configuration says so.
    #[arg(skip)]
    pub project_keys: Option<PathBuf>,
    /// A store of the configured project that stages encrypted files: everybody of a root must be able to decrypt them.
    #[arg(skip)]
    pub encrypts: Option<StoreName>,
}

impl TrustArgs {
    /// The directory of keys, for what is written there.
    fn directory(&self) -> Result<PathBuf> {
        match &self.keys {
            Some(named) if is_address(named) => {
                Err(Error::input("keys are written to a directory").hint("name one with `--keys DIR`"))
            }
            Some(named) => Ok(PathBuf::from(named)),
            None => Ok(self.project_keys.clone().unwrap_or_else(|| PathBuf::from("keys"))),
        }
    }

    /// Where the root is read from.
    fn read_from(&self, address: Option<&str>, pin: Option<Sha256>, disk: &Arc<dyn Disk>) -> Result<KeysFrom> {
        match address.or(self.keys.as_deref()) {
            Some(named) => super::runtime()?.block_on(KeysFrom::named(named, pin, disk)),
            None => self.directory().map(KeysFrom::Directory),
        }
    }
}

/// What `lifeboat trust` does.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Show people, roles, thresholds and whether the root is pinned here
    Show,
    /// Trust the root with this SHA-256 on this machine, from now on
    Pin {
        /// As another maintainer reads it to you, or as the project publishes it
        #[arg(value_parser = digest)]
        digest: Sha256,
        /// A directory of keys, or the address of a store that serves them
        #[arg(value_name = "DIR|ADDRESS")]
        from: Option<String>,
        /// Trust it in place of another root that is pinned and that it does not follow from
        #[arg(long)]
        replace: bool,
    },
    /// Take newer copies of certificates into the directory: what the old ones say is kept
    Merge {
        /// Files with certificates that the root names
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Write a first root from certificates; each is copied into the directory
    Init(Init),
}

/// Arguments of `lifeboat trust init`.
#[derive(Debug, Clone, clap::Args)]
pub struct Init {
    /// The project's name
    #[arg(long)]
    pub project: ProjectName,
    /// A person and a file with the person's certificate; may be given twice for one person
    #[arg(long = "person", value_name = "NAME=FILE", required = true, value_parser = person_file)]
    pub people: Vec<(PersonId, PathBuf)>,
    /// How many people must approve a release
    #[arg(long, default_value_t = 2)]
    pub threshold: u32,
    /// How many people must sign a new root; as for a release unless said otherwise
    #[arg(long)]
    pub root_threshold: Option<u32>,
    /// A file with the certificate that signs tags and artifacts
    #[arg(long, value_name = "FILE", required = true)]
    pub release: Vec<PathBuf>,
    /// A file with the certificate that signs indexes
    #[arg(long, value_name = "FILE")]
    pub freshness: Vec<PathBuf>,
    /// When the root expires: `2027-12-31` (00:00 UTC), or with a time as in `2027-12-31T18:00:00Z`
    #[arg(long, value_parser = moment)]
    pub expires: Timestamp,
    /// A host to which credentials may be sent
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
}

fn person_file(text: &str) -> std::result::Result<(PersonId, PathBuf), String> {
    let (person, file) = text.split_once('=').ok_or("expected `NAME=FILE`")?;
    Ok((PersonId::new(person).map_err(|e| e.to_string())?, file.into()))
}

/// A date for its first second in UTC, or a time with its offset.
fn moment(text: &str) -> std::result::Result<Timestamp, String> {
    let date = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp());
    // A date is tried only where there is no time: a local time must not lose its hours.
    let found = if text.len() == "YYYY-MM-DD".len() { date() } else { text.parse().ok() };
    found.ok_or_else(|| "expected a date (`2027-12-31`), or a time with an offset (`2027-12-31T18:00:00Z`)".to_owned())
}

/// Runs `lifeboat trust`.
///
/// # Errors
/// A missing or broken root or certificate; a digest that no root in the directory has.
pub fn run(args: &TrustArgs, mut around: Caller<'_>) -> Result<ExitCode> {
    let (disk, now) = (around.disk, around.now);
    match &args.action {
        Action::Show => {
            let keys = args.read_from(None, None, disk)?;
            let state_dir = keys.project(&**disk)?.and_then(|p| (around.state)(&p));
            show(&keys, state_dir.as_deref(), &mut around)?;
        }
        Action::Pin { digest, from, replace } => {
            let keys = args.read_from(from.as_deref(), Some(*digest), disk)?;
            let trust = trust::load_files(keys.files(&**disk), None, RootChoice::Given(*digest), now, None)?;
            let state_dir = (around.state)(&trust.root.project).ok_or_else(|| {
                Error::input("neither `XDG_STATE_HOME` nor `HOME` says where to keep state").hint("give `--state DIR`")
            })?;
            let pinned = pin(&keys, &trust, *replace, Memory { disk: &**disk, state_dir: &state_dir }, now)?;
            around.say(|| pinned.text(), &pinned)?;
        }
        Action::Merge { files } => {
            let merged = merge(&args.directory()?, files, &**disk)?;
            let text =
                || merged.iter().map(|m| format!("{}: {}", m.fingerprint, m.what)).collect::<Vec<_>>().join("\n");
            around.say(text, &merged)?;
        }
        Action::Init(init) => {
            let keys = args.directory()?;
            let root = first_root(init, (&keys, args.encrypts.as_ref()), &**disk, now)?;
            let made = Made { file: keys.join(FILE), digest: root.digest()?, warnings: trust::warnings(&root) };
            around.say(|| made.text(), &made)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `trust init --json` prints.
#[derive(Serialize)]
struct Made {
    file: PathBuf,
    digest: Sha256,
    warnings: Vec<String>,
}

impl Made {
    fn text(&self) -> String {
        let mut text = format!("wrote `{}`\ndigest: {}\n", self.file.display(), self.digest);
        for warning in &self.warnings {
            text.push_str(&format!("{warning}\n"));
        }
        text + "read the digest to the other maintainers, who each run `lifeboat trust pin DIGEST`"
    }
}

/// What `trust pin --json` prints.
#[derive(Serialize)]
struct Pinned {
    project: ProjectName,
    version: u64,
    digest: Sha256,
    /// What it says, for a root that is new on this machine.
    root: Vec<String>,
    /// What it changes of the root that was pinned before.
    changed: Vec<String>,
}

impl Pinned {
    fn text(&self) -> String {
        let mut text = format!("pinned: version {} of {}, sha256:{}", self.version, self.project, self.digest);
        for line in &self.changed {
            text.push_str(&format!("\n  changed: {line}"));
        }
        for line in &self.root {
            text.push_str(&format!("\n  {line}"));
        }
        text
    }
}

/// Pins a root. Another one that is pinned already is replaced without being asked only by what follows from it.
fn pin(keys: &KeysFrom, trust: &TrustedRoot, replace: bool, memory: Memory<'_>, now: Timestamp) -> Result<Pinned> {
    let before = trust::pinned(memory.disk, memory.state_dir)?.filter(|before| *before != trust.digest);
    let mut changed = Vec::new();
    if let Some(before) = before {
        let old = trust::pinned_root(memory, before)?;
        changed = match &old {
            Some(old) => trust::changes(old, &trust.root),
            None => trust::summary(&trust.root),
        };
        let follows =
            trust::load_files(keys.files(memory.disk), None, RootChoice::Pinned(before), now, None).map(|t| t.digest);
        if !replace && follows.ok() != Some(trust.digest) {
            let mut error =
                Error::conflict("another trust root is pinned on this machine, and this one does not follow from it")
                    .detail(format!("pinned sha256:{before}"))
                    .detail(format!("this   sha256:{}", trust.digest));
            for line in &changed {
                error = error.detail(format!("{} {line}", if old.is_some() { "changed:" } else { "this one:" }));
            }
            return Err(error
                .hint("nothing was changed; ask another maintainer by voice why there is a new root that the old one's people did not sign")
                .hint("if that was agreed on, run the same command with `--replace`"));
        }
    }
    // What was seen of certificates before still counts.
    let trust = trust::load_files(keys.files(memory.disk), None, RootChoice::Pinned(trust.digest), now, Some(memory))?;
    trust::pin_root(memory, &trust)?;
    let root = if changed.is_empty() { trust::summary(&trust.root) } else { Vec::new() };
    let (project, version) = (trust.root.project.clone(), trust.root.version);
    Ok(Pinned { project, version, digest: trust.digest, root, changed })
}

/// What `trust merge` did with one certificate.
#[derive(Serialize)]
struct Merged {
    fingerprint: Fingerprint,
    what: &'static str,
}

/// Takes newer copies of certificates into a directory of keys. What the copy that is there says is kept: a revocation, and
/// the signatures by which a key counted before its expiry was extended.
fn merge(keys: &Path, files: &[PathBuf], disk: &dyn Disk) -> Result<Vec<Merged>> {
    let path = keys.join(FILE);
    let bytes = disk.read(&path).context(format!("cannot read `{}`", path.display()))?;
    let bytes = bytes.ok_or_else(|| {
        Error::input(format!("there is no `{}`", path.display())).hint("name the directory of keys with `--keys DIR`")
    })?;
    let root = Root::from_bytes(&bytes, &path.display().to_string())?;
    let mut out = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let bytes = disk.read(file).context(format!("cannot read `{name}`"))?;
        let bytes = bytes.ok_or_else(|| Error::input(format!("there is no certificate file `{name}`")))?;
        let new = Certificate::parse(&bytes, &name)?;
        let fingerprint = new.fingerprint().clone();
        if !root.certificates().contains(&fingerprint) {
            return Err(Error::input(format!(
                "`{name}` holds {fingerprint}, which `{}` does not name",
                path.display()
            ))
            .hint("a certificate of somebody new comes with a new root, which the old one's people sign"));
        }
        let to = keys.join(format!("{fingerprint}.asc"));
        let old = disk.read(&to).context(format!("cannot read `{}`", to.display()))?;
        let (known, before) = match &old {
            Some(old) => {
                let old = Certificate::parse(old, &to.display().to_string())?;
                (old.merged(&new)?.armored()?, Some(old.armored()?))
            }
            None => (new.armored()?, None),
        };
        let what = match before {
            None => "added",
            Some(before) if before == known => "nothing new",
            Some(_) => "merged",
        };
        if what != "nothing new" {
            files::replace(disk, &to, 0o644, &mut known.as_bytes())?;
        }
        out.push(Merged { fingerprint, what });
    }
    Ok(out)
}

/// What `trust show --json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    digest: Sha256,
    pinned: Option<Sha256>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    root: &'a Root,
    certificates: BTreeMap<&'a Fingerprint, ShownCertificate>,
}

#[derive(Serialize)]
struct ShownCertificate {
    user_id: Option<String>,
    standing: String,
}

fn show(keys: &KeysFrom, state_dir: Option<&Path>, around: &mut Caller<'_>) -> Result<()> {
    let (disk, now) = (&**around.disk, around.now);
    let pinned = state_dir.map(|dir| trust::pinned(disk, dir)).transpose()?.flatten();
    let choice = pinned.map_or(RootChoice::Directory, RootChoice::Pinned);
    // Only a pinned root may move what is remembered.
    let memory = state_dir.filter(|_| pinned.is_some()).map(|state_dir| Memory { disk, state_dir });
    let trust = trust::load_files(keys.files(disk), None, choice, now, memory)?;
    let root = &trust.root;
    let certificates = root.certificates().into_iter().map(|f| (f, standing(&trust, f, now))).collect();
    let shown = Shown { digest: trust.digest, pinned, warnings: trust::warnings(root), root, certificates };
    around.say(|| shown.text(), &shown)
}

impl Shown<'_> {
    fn text(&self) -> String {
        let root = self.root;
        let until = crate::model::utc(root.expires);
        let mut lines = vec![format!("trust root version {} of {}, good until {until}", root.version, root.project)];
        lines.push(format!("digest: {}", self.digest));
        lines.push(
            match self.pinned {
                Some(pin) if pin == self.digest => "pinned on this machine",
                Some(_) => "follows from the root that is pinned on this machine",
                None => "NOT pinned on this machine: compare the digest by voice, then `lifeboat trust pin DIGEST`",
            }
            .to_owned(),
        );
        lines.extend(self.warnings.iter().cloned());
        for (name, role) in [("approve", &root.roles.approve), ("root", &root.roles.root)] {
            let people: Vec<&str> = role.people.iter().map(|p| p.as_str()).collect();
            lines.push(format!("{name}: {} of {}", role.threshold, people.join(", ")));
        }
        let mut row = |owner: &str, fingerprint: &Fingerprint| {
            let found = &self.certificates[fingerprint];
            let user_id = found.user_id.as_deref().unwrap_or("-");
            lines.push(format!("  {owner}: {fingerprint}  {user_id}  {}", found.standing));
        };
        for (person, keys) in &root.people {
            keys.certificates.iter().for_each(|f| row(person.as_str(), f));
        }
        root.roles.release.keys.iter().for_each(|f| row("release key", f));
        root.roles.freshness.keys.iter().for_each(|f| row("freshness key", f));
        lines.join("\n")
    }
}

fn standing(trust: &TrustedRoot, fingerprint: &Fingerprint, now: Timestamp) -> ShownCertificate {
    let Ok(certificate) = trust.certificate(fingerprint) else {
        return ShownCertificate { user_id: None, standing: "MISSING".into() };
    };
    let standing = match certificate.standing_now(now) {
        Standing::Good => "good".into(),
        Standing::Expired => "EXPIRED".into(),
        Standing::NotYetMade => "NOT YET MADE".into(),
        Standing::Revoked(why) => format!("REVOKED ({why})"),
        Standing::Unusable(why) => format!("UNUSABLE ({why})"),
    };
    ShownCertificate { user_id: certificate.user_id(), standing }
}

/// Why no key of a certificate can sign now.
fn no_signer(certificate: &Certificate, now: Timestamp) -> Option<String> {
    match certificate.standing_now(now) {
        Standing::Good => None,
        Standing::Expired => Some("it has expired".into()),
        Standing::NotYetMade => Some(format!("it was made after {now}: is this machine's clock behind?")),
        Standing::Revoked(why) => Some(format!("it is revoked ({why})")),
        Standing::Unusable(why) => Some(why),
    }
}

/// Reads a certificate that can sign, and keeps it.
fn certificate_of(
    path: &Path,
    disk: &dyn Disk,
    now: Timestamp,
    found: &mut BTreeMap<Fingerprint, Certificate>,
) -> Result<Fingerprint> {
    let name = path.display().to_string();
    let bytes = disk.read(path).context(format!("cannot read `{name}`"))?;
    let bytes = bytes.ok_or_else(|| Error::input(format!("there is no certificate file `{name}`")))?;
    let certificate = Certificate::parse(&bytes, &name)?;
    if let Some(why) = no_signer(&certificate, now) {
        return Err(Error::input(format!("the certificate in `{name}` cannot sign now: {why}")).hint(
            "give one that is neither expired nor revoked, with a key for signing that today's standard accepts",
        ));
    }
    let fingerprint = certificate.fingerprint().clone();
    found.insert(fingerprint.clone(), certificate);
    Ok(fingerprint)
}

fn first_root(
    init: &Init,
    (keys, encrypts): (&Path, Option<&StoreName>),
    disk: &dyn Disk,
    now: Timestamp,
) -> Result<Root> {
    if init.expires <= now {
        return Err(Error::input(format!("`--expires {}` is past", init.expires)).hint("a year from now is usual"));
    }
    let mut found: BTreeMap<Fingerprint, Certificate> = BTreeMap::new();
    let mut people: BTreeMap<PersonId, Person> = BTreeMap::new();
    for (person, path) in &init.people {
        let certificates =
            &mut people.entry(person.clone()).or_insert(Person { certificates: BTreeSet::new() }).certificates;
        certificates.insert(certificate_of(path, disk, now, &mut found)?);
    }
    if let Some(store) = encrypts {
        for (person, Person { certificates }) in &people {
            let known = certificates.iter().filter_map(|f| Some((f, Ok(found.get(f)?))));
            trust::usable(person, known, "staged files", now).map_err(|e| e.detail(encrypting(store)))?;
        }
    }
    let mut read = |path: &Path| certificate_of(path, disk, now, &mut found);
    let mut role = |paths: &[PathBuf]| -> Result<KeyRole> {
        Ok(KeyRole { keys: paths.iter().map(|p| read(p)).collect::<Result<_>>()? })
    };
    let (release, freshness) = (role(&init.release)?, role(&init.freshness)?);
    let who: BTreeSet<PersonId> = people.keys().cloned().collect();
    let root_threshold = init.root_threshold.unwrap_or(init.threshold);
    let root = Root {
        kind: Root::TYPE.to_owned(),
        project: init.project.clone(),
        version: 1,
        format: Root::FORMAT,
        previous: None,
        expires: init.expires,
        people,
        roles: Roles {
            approve: PeopleRole { people: who.clone(), threshold: init.threshold },
            root: PeopleRole { people: who, threshold: root_threshold },
            release,
            freshness,
        },
        hosts: init.hosts.iter().cloned().collect(),
    };
    trust::check_names(&root)?;
    let bytes = root.to_bytes()?;
    let exists = || {
        Error::conflict(format!("`{}` exists already", keys.join(FILE).display()))
            .hint("a new root must be signed by the old one's people; nothing was changed")
    };
    if disk.entry(&keys.join(FILE)).context("cannot look for a trust root")?.is_some() {
        return Err(exists());
    }
    files::create_dir_all(disk, keys, 0o755)?;
    for (fingerprint, certificate) in &found {
        let armored = certificate.armored()?;
        files::replace(disk, &keys.join(format!("{fingerprint}.asc")), 0o644, &mut armored.as_bytes())?;
    }
    if !files::write_new(disk, &keys.join(FILE), 0o644, &mut &*bytes)? {
        return Err(exists());
    }
    Ok(root)
}
