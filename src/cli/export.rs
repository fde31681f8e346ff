//! `export`: a train as one file, for people who approve it elsewhere.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::project::LocalProject;
use super::{Global, Output};
use crate::effects::files;
use crate::engine::TrainView;
use crate::engine::export::{EMBARGO, write};
use crate::error::{Context as _, Error, Result};
use crate::formats::digests;
use crate::formats::openpgp::{MessageForm, encrypt};
use crate::formats::review_bundle::Header;
use crate::model::{PersonId, Sha256, TrainName, shell_path};
use crate::trust::recipients;

/// What stands above an encrypted bundle, for all to read: it names nothing.
const COMMENT: &str =
    "EMBARGOED. For those to whom it is encrypted: lifeboat approve --bundle FILE --as NAME --out APPROVAL";

/// Write a train's review bundle: what a person needs to approve it on another machine
///
/// The bundle is embargoed: plan, patches, journal, sums and, with `--bytes`, the staged files. The train is only read:
/// another process may be at work on it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train [default: the one under way]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
    /// The file to write; an existing file is never overwritten
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Include the staged files, for a person who cannot reach the store
    #[arg(long)]
    bytes: bool,
    /// Encrypt it to this person of the trust root; may be given several times
    #[arg(long, value_name = "PERSON")]
    encrypt_to: Vec<PersonId>,
}

#[derive(Serialize)]
struct Report {
    embargo: &'static str,
    file: PathBuf,
    size: u64,
    sha256: Sha256,
    encrypted_to: BTreeSet<PersonId>,
    #[serde(flatten)]
    bundle: Header,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    let name = place.choose(args.train.as_ref())?;
    let (trust, now) = (place.trust()?, place.clock.now());
    let to = recipients(&trust, &args.encrypt_to, "the bundle", now).map_err(|e| {
        e.hint("or export without `--encrypt-to`, and send it by a channel that only approvers can read")
    })?;
    let certificates: Vec<_> = to.into_values().flatten().collect();
    let (view, recorded) = TrainView::open(&place.disk, trust.clone(), &place.dir(&name))?;
    let shown = args.to.display();
    // Before the bundle: whoever has it may approve, and nothing here would know of that.
    let mark = place.dir(&name).exported();
    files::replace(&*place.disk, &mark, 0o600, &mut format!("{now}\n").as_bytes())?;
    let mut header = None;
    let made = files::make_new(&*place.disk, &args.to, 0o600, |file| {
        let mut write = |out: &mut dyn std::io::Write| {
            header = Some(write(&view, &recorded, args.bytes, now, out)?);
            Ok(())
        };
        if certificates.is_empty() {
            write(file)
        } else {
            encrypt(&certificates, now, MessageForm::Armored(COMMENT), file, write)
        }
    })?;
    let bundle = header.filter(|_| made).ok_or_else(|| {
        Error::input(format!("`{shown}` is there already"))
            .hint("nothing was overwritten: move it away, or name another file with `--to`")
    })?;
    let what = || format!("cannot read `{shown}`");
    let file = place.disk.open(&args.to).context(what())?;
    let mut file = file.ok_or_else(|| Error::fatal(format!("{}: it is gone", what())))?;
    let digests = digests::read(&mut *file).context(what())?;
    let report = Report {
        embargo: EMBARGO,
        file: args.to.clone(),
        size: digests.size,
        sha256: digests.sha256,
        encrypted_to: args.encrypt_to.iter().cloned().collect(),
        bundle,
    };
    out.result(text(&report), &report)?;
    Ok(ExitCode::SUCCESS)
}

fn text(r: &Report) -> String {
    let b = &r.bundle;
    let mut out = format!(
        "{}\nwrote `{}`: train `{}` of {}, {} bytes\n  sha256   {}\n  plan     {}\n  content  {}",
        r.embargo,
        r.file.display(),
        b.name,
        b.project,
        r.size,
        r.sha256,
        b.plan,
        b.content
    );
    if b.bytes {
        out.push_str("\n  the staged files are in it");
    } else {
        for at in &b.staged {
            out.push_str(&format!("\n  the staged files are in store `{}`: {} {}", at.store, at.address, at.directory));
        }
    }
    if r.encrypted_to.is_empty() {
        out.push_str(
            "\n  it is not encrypted: send it by a channel that only approvers can read (or see `--encrypt-to`)",
        );
    } else {
        let people: Vec<&str> = r.encrypted_to.iter().map(PersonId::as_str).collect();
        out.push_str(&format!("\n  encrypted to {}", people.join(", ")));
    }
    let file = shell_path(&r.file.file_name().map_or_else(|| r.file.clone(), PathBuf::from));
    out.push_str(&format!(
        "\nnext: each approver runs, on a machine with an own clone, key and pinned trust root:\n  \
         lifeboat approve --bundle {file} --as NAME --out approval-NAME.json\n\
         and here `lifeboat ship --approval approval-NAME.json` records what they send back"
    ));
    out
}
