//! `approve --bundle`: the same review on another machine, of a train that this machine does not have.
//!
//! Nothing of it is kept: what the bundle holds lies in a directory of its own in the state directory, closed to others,
//! until the review is over. No train is locked or made, and no operator's key is used.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::project::LocalProject;
use super::super::{Output, prompt};
use super::{Args, diffs, may_approve, own_key, text};
use crate::adapter::Spec;
use crate::effects::{Effects, Scratch, Signer, files};
use crate::engine::approve::{Reviewing, sign};
use crate::engine::export::{self, Opened};
use crate::engine::review::review;
use crate::engine::{TrainDir, TrainView};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::MESSAGE_BEGIN;
use crate::model::{PersonId, SecretRef, escape, shell_path};
use crate::signers::decrypt;
use crate::trust::Carried;

pub(super) fn run(place: &LocalProject, args: &Args, bundle: &Path, to: &Path, out: &Output) -> Result<ExitCode> {
    let shown = bundle.display().to_string();
    if place.disk.entry(to).context(format!("cannot look at `{}`", to.display()))?.is_some() {
        return Err(there_already(to));
    }
    let desk = Desk::open(place)?;
    let source = own_key(place, args)?;
    let mut effects = place.effects_in(&TrainDir::new(desk.dir().to_owned()), out.progress())?;
    effects.secrets = place.secrets_by_bundle(&args.person, None);
    let plain = desk.plain(&effects, bundle, args, source.as_ref())?;
    let opened = desk.read(&plain).map_err(|e| e.context(format!("bundle `{shown}`")))?;
    let view = &opened.view;
    let plan = view.plan();
    if plan.project != place.config.project.name {
        let ours = &place.config.project.name;
        return Err(Error::verification(format!("bundle `{shown}` is of project `{}`, not of `{ours}`", plan.project))
            .hint("run it in a checkout of that project, or name its configuration with `--config`"));
    }
    may_approve(view.trust(), &args.person)?;
    // What is staged may be encrypted, and is read before anything is agreed to.
    let own = source.clone().or_else(|| place.config.signing.people.get(&args.person).cloned());
    if let Some(own) = &own {
        effects.keys = place.keys_with(&effects, &args.person, own.clone());
    }
    let scratch = desk.dir().join("review.git");
    let how = Reviewing { clone: &place.config.project.repository, scratch: &scratch, bundled: true };
    let reviewed = super::super::runtime()?.block_on(review(&effects, view, how))?;
    let mut shown_text = head(&opened, &shown) + &super::super::plan::shared(plan)?;
    for note in notes(place, view, &args.person) {
        shown_text.push_str(&format!("\n! {note}\n"));
    }
    shown_text.push('\n');
    shown_text.push_str(&text(&reviewed));
    let advisories: Vec<_> = plan.published_advisories().collect();
    let name = &plan.train;
    if out.json() && !args.yes {
        let value = serde_json::json!({ "approved": false, "train": name, "bundle": opened.header, "review": reviewed, "advisories": advisories });
        out.result("", &value)?;
        return Ok(ExitCode::from(super::WAITS));
    }
    out.text(shown_text.trim_end())?;
    if args.diff {
        out.text(diffs(&reviewed))?;
    }
    if !args.yes {
        prompt::for_word("the train's name", name.as_str(), "to approve all of this", ("--yes", "not approved"))?;
    }
    effects.secrets = place.secrets_by_bundle(&args.person, Some(plan));
    if let Some(own) = own {
        effects.keys = place.keys_with(&effects, &args.person, own);
    }
    let (approval, expires) = sign(&effects, view, &reviewed, &args.person)?;
    let header = &opened.header;
    let carried = Carried::new(header.project.clone(), header.train.clone(), name.clone(), approval);
    if !files::write_new(&*place.disk, to, 0o600, &mut &carried.to_bytes()?[..])? {
        return Err(there_already(to));
    }
    out.result(
        format!(
            "\napproved by {}, until {}\nnext: send `{}` to the operator, who records it there with\n  lifeboat ship --approval {}\n\
             it names the train's branches, so it is embargoed too",
            args.person,
            crate::model::utc(expires),
            to.display(),
            shell_path(&to.file_name().map_or_else(|| to.to_owned(), PathBuf::from)),
        ),
        &serde_json::json!({
            "approved": true, "train": name, "person": args.person, "expires": expires, "out": to, "bundle": header,
            "review": reviewed, "advisories": advisories,
        }),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn there_already(to: &Path) -> Error {
    Error::input(format!("`{}` is there already", to.display()))
        .hint("nothing was overwritten: move it away, or name another file with `--out`")
}

/// What the bundle is, above everything else.
fn head(opened: &Opened, shown: &str) -> String {
    let header = &opened.header;
    format!(
        "{}\nreview bundle `{shown}` of train `{}` of {}, exported {}\n\n",
        export::EMBARGO,
        header.name,
        header.project,
        header.exported
    )
}

/// What this machine knows about it that the bundle does not say.
fn notes(place: &LocalProject, view: &TrainView, person: &PersonId) -> Vec<String> {
    let mut out = Vec::new();
    for (what, from) in place.config.signing.people.get(person).into_iter().flat_map(|key| key.secrets()) {
        if let SecretRef::Command(command) = from {
            out.push(format!("if you approve, this runs for your {what}: `{}`", escape(&command.join(" "))));
        }
    }
    let plan = view.plan();
    if let Ok(own) = place.see(&plan.train)
        && own.under_way()
        && own.state.nonce() != view.state().nonce()
    {
        out.push(format!(
            "this machine has a train `{}` of its own under way: only one of the two can be released",
            plan.train
        ));
    }
    for (pin, address) in crate::plan::destinations(&place.config) {
        if let Some(planned) = plan.destinations.get(&pin).filter(|p| **p != address) {
            out.push(format!("{pin}: the plan says {}, here it is {}", escape(planned), escape(&address)));
        }
    }
    out
}

/// Where one review works; gone when it is over.
struct Desk<'a> {
    place: &'a LocalProject,
    scratch: Scratch<'a>,
}

impl<'a> Desk<'a> {
    fn open(place: &'a LocalProject) -> Result<Self> {
        Ok(Self { place, scratch: Scratch::new(&*place.disk, &place.root().join("scratch"))? })
    }

    fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// Where the bundle lies as it was before it was encrypted.
    fn plain(&self, effects: &Effects, bundle: &Path, args: &Args, own: Option<&Spec<dyn Signer>>) -> Result<PathBuf> {
        let place = self.place;
        let shown = bundle.display();
        let mut start = Vec::new();
        let mut source = self.source(bundle)?;
        source
            .by_ref()
            .take(MESSAGE_BEGIN.len() as u64)
            .read_to_end(&mut start)
            .context(format!("cannot read `{shown}`"))?;
        if start != MESSAGE_BEGIN {
            return Ok(bundle.to_owned());
        }
        let mut message: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(start).chain(source));
        let plain = self.dir().join("bundle.tar");
        let key = own.or_else(|| place.config.signing.people.get(&args.person));
        let key = key.map(|key| key.decrypting(&*place.disk, place.clock.now())).transpose()?.flatten();
        let size = place.disk.entry(bundle).context(format!("cannot look at `{shown}`"))?.map_or(0, |e| e.size);
        files::make_new(&*place.disk, &plain, 0o600, |out| {
            let mut out = decrypt::Plain::of(size, out);
            match key {
                Some(key) => {
                    let passphrase = key.passphrase.map(|p| (effects.secrets)(&p)).transpose()?;
                    let passphrase = passphrase.as_ref();
                    decrypt::with_file(&key.bytes, &key.name, passphrase, place.clock.now(), &mut *message, &mut out)
                }
                None => decrypt::with_gpg(&mut *message, &mut out),
            }
        })
        .map_err(|e| e.context(format!("bundle `{shown}` is encrypted")))?;
        Ok(plain)
    }

    fn source(&self, path: &Path) -> Result<Box<dyn Read + Send>> {
        let found = self.place.disk.open(path).context(format!("cannot read `{}`", path.display()))?;
        found.ok_or_else(|| {
            Error::input(format!("there is no file `{}`", path.display()))
                .hint("the operator of the train makes it, there: `lifeboat export TRAIN --to FILE`")
        })
    }

    fn read(&self, plain: &Path) -> Result<Opened> {
        let mut source = self.source(plain)?;
        export::open(&self.place.disk, self.place.trust()?, &self.dir().join("train"), &mut *source)
    }
}
