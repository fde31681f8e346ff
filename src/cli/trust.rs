//! `lifeboat trust`: shows, pins and makes the trust root.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use crate::effects::{Disk, files};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Certificate, Standing};
use crate::formats::signed::Document as _;
use crate::model::{Fingerprint, PersonId, ProjectName, Sha256};
use crate::trust::{self, FILE, KeyRole, PeopleRole, Person, Roles, Root, RootChoice, TrustedRoot};

/// Show, pin or make the trust root: who may approve and which keys sign
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
    /// The directory with `trust.json` and the certificates
    #[arg(long, global = true, value_name = "DIR", default_value = "keys")]
    pub keys: PathBuf,
}

/// What `lifeboat trust` does.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Show people, roles, thresholds and whether the root is pinned here
    Show,
    /// Trust the root with this SHA-256 on this machine, from now on
    Pin {
        /// As another maintainer reads it to you, or as the project publishes it
        digest: Sha256,
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
    /// When the root expires, such as `2027-12-31T00:00:00Z`
    #[arg(long)]
    pub expires: Timestamp,
    /// A host to which credentials may be sent
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
}

fn person_file(text: &str) -> std::result::Result<(PersonId, PathBuf), String> {
    let (person, file) = text.split_once('=').ok_or("valid is `NAME=FILE`")?;
    Ok((PersonId::new(person).map_err(|e| e.to_string())?, file.into()))
}

/// Runs `lifeboat trust`; what it shows goes to `out`.
///
/// # Errors
/// A missing or broken root or certificate; a digest that no root in the directory has.
pub fn run(
    args: &Args,
    json: bool,
    disk: &dyn Disk,
    state_dir: &Path,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<ExitCode> {
    match &args.action {
        Action::Show => show(args, json, disk, state_dir, now, out)?,
        Action::Pin { digest } => {
            let trust = trust::load(disk, &args.keys, None, RootChoice::Pinned(*digest), now)?;
            trust::pin(disk, state_dir, &trust.digest)?;
            let (project, version) = (&trust.root.project, trust.root.version);
            line(out, &format!("pinned: version {version} of {project}, sha256:{}", trust.digest))?;
        }
        Action::Init(init) => {
            let root = first_root(init, &args.keys, disk, now)?;
            line(out, &format!("wrote `{}`", args.keys.join(FILE).display()))?;
            line(out, &format!("digest: {}", root.digest()?))?;
            line(out, "read the digest to the other maintainers, who each run `lifeboat trust pin DIGEST`")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{text}").context("cannot write")
}

/// What `trust show --json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    digest: Sha256,
    pinned: Option<Sha256>,
    root: &'a Root,
    certificates: BTreeMap<&'a Fingerprint, ShownCertificate>,
}

#[derive(Serialize)]
struct ShownCertificate {
    user_id: Option<String>,
    standing: String,
}

fn show(args: &Args, json: bool, disk: &dyn Disk, state_dir: &Path, now: Timestamp, out: &mut dyn Write) -> Result<()> {
    let pinned = trust::pinned(disk, state_dir)?;
    let choice = pinned.map_or(RootChoice::Directory, RootChoice::Pinned);
    let trust = trust::load(disk, &args.keys, None, choice, now)?;
    let root = &trust.root;
    let certificates = root.certificates().into_iter().map(|f| (f, standing(&trust, f, now))).collect();
    let shown = Shown { digest: trust.digest, pinned, root, certificates };
    if json {
        let text = serde_json::to_string_pretty(&shown).context("cannot write the trust root")?;
        return line(out, &text);
    }
    line(out, &format!("trust root version {} of {}, good until {}", root.version, root.project, root.expires))?;
    line(out, &format!("digest: {}", shown.digest))?;
    line(
        out,
        match pinned {
            Some(pin) if pin == shown.digest => "pinned on this machine",
            Some(_) => "follows from the root that is pinned on this machine",
            None => "NOT pinned on this machine: compare the digest by voice, then `lifeboat trust pin DIGEST`",
        },
    )?;
    for (name, role) in [("approve", &root.roles.approve), ("root", &root.roles.root)] {
        let people: Vec<&str> = role.people.iter().map(|p| p.as_str()).collect();
        line(out, &format!("{name}: {} of {}", role.threshold, people.join(", ")))?;
    }
    let mut row = |owner: &str, fingerprint: &Fingerprint| {
        let found = &shown.certificates[fingerprint];
        let user_id = found.user_id.as_deref().unwrap_or("-");
        line(out, &format!("  {owner}: {fingerprint}  {user_id}  {}", found.standing))
    };
    for (person, keys) in &root.people {
        keys.certificates.iter().try_for_each(|f| row(person.as_str(), f))?;
    }
    root.roles.release.keys.iter().try_for_each(|f| row("release key", f))?;
    root.roles.freshness.keys.iter().try_for_each(|f| row("freshness key", f))?;
    Ok(())
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

fn first_root(init: &Init, keys: &Path, disk: &dyn Disk, now: Timestamp) -> Result<Root> {
    if init.expires <= now {
        return Err(Error::input(format!("`--expires {}` is past", init.expires)).hint("a year from now is usual"));
    }
    let mut found: BTreeMap<Fingerprint, Certificate> = BTreeMap::new();
    let mut read = |path: &Path| -> Result<Fingerprint> {
        let name = path.display().to_string();
        let bytes = disk.read(path).context(format!("cannot read `{name}`"))?;
        let bytes = bytes.ok_or_else(|| Error::input(format!("there is no certificate file `{name}`")))?;
        let certificate = Certificate::parse(&bytes, &name)?;
        if certificate.standing_now(now) != Standing::Good {
            return Err(Error::input(format!("the certificate in `{name}` cannot sign now"))
                .hint("give one that is neither expired nor revoked, with a key for signing"));
        }
        let fingerprint = certificate.fingerprint().clone();
        found.insert(fingerprint.clone(), certificate);
        Ok(fingerprint)
    };
    let mut people: BTreeMap<PersonId, Person> = BTreeMap::new();
    for (person, path) in &init.people {
        let certificates =
            &mut people.entry(person.clone()).or_insert(Person { certificates: BTreeSet::new() }).certificates;
        certificates.insert(read(path)?);
    }
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
