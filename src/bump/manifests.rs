//! The manifests after the moves: versions, inherited versions, the addresses of a crate's documentation, and
//! requirements on crates that moved.

use std::collections::BTreeSet;

use super::rules::Requirements;
use super::workspace::{Crate, Loaded, Workspace, place};
use super::{Strictness, Work};
use crate::error::{Error, Result};
use crate::formats::cargo_manifest::{PackageVersion, SpannedText};
use crate::formats::requirement::{Lift, admits, lift, lift_older};
use crate::formats::splice::{Splice, splice};
use crate::formats::version_text;

/// Rewrites every manifest of the workspace that says something about a crate that moves.
pub(super) fn rewrite(
    work: &mut Work<'_>,
    workspace: &Workspace,
    policy: Requirements,
    strictness: Strictness,
) -> Result<()> {
    // Where it is to lift although no requirement names the version that a crate leaves, the older ones are what is meant, of those
    // who move themselves or are never published.
    let older = (policy, strictness) == (Requirements::Lift, Strictness::Listed);
    let followed = if older { followed(work, workspace) } else { BTreeSet::new() };
    for (path, loaded) in workspace.manifests() {
        let mut cuts = Vec::new();
        if let (Some(m), Some(package)) = (work.moves.get(path), &loaded.manifest.package) {
            if let PackageVersion::Literal(t) = &package.version {
                cuts.push(t.set(&loaded.text, &m.new.to_string()));
            }
            // Windows has versions of four numbers.
            for end in ["", ".0"] {
                let stamps = package.stamps.iter().filter(|t| t.value == format!("{}{end}", m.old));
                cuts.extend(stamps.map(|t| t.set(&loaded.text, &format!("{}{end}", m.new))));
            }
            let inside =
                |s: &Splice| package.addresses.iter().any(|a| a.span.start <= s.span.start && s.span.end <= a.span.end);
            cuts.extend(version_text::links(&loaded.text, &m.name, &m.old, &m.new).into_iter().filter(inside));
        }
        if let Some((_, new)) = work.roots.get(path)
            && let Some(t) = loaded.manifest.workspace.as_ref().and_then(|w| w.version.as_ref())
        {
            cuts.push(t.set(&loaded.text, &new.to_string()));
        }
        for dependency in &loaded.manifest.dependencies {
            let (Some(requirement), Some(krate)) = (&dependency.requirement, workspace.meant(path, dependency)) else {
                continue;
            };
            let wish = Wish {
                loaded,
                requirement,
                package: &dependency.package,
                path,
                // Cargo looks at it only for a member that inherits it.
                idle: dependency.shared && !workspace.inherited(path, &dependency.key),
            };
            let moves = work.moves.contains_key(path) || workspace.crate_at(path).is_some_and(|c| !c.publish);
            let lifts = older && moves && !followed.contains(&krate.manifest);
            let lifted = work.moves.get(&krate.manifest).filter(|_| lifts && wish.unheard().is_none());
            match lifted.and_then(|m| lift_older(&requirement.value, &m.old, &m.new)) {
                Some(text) => cuts.push(requirement.set(&loaded.text, &text)),
                None => cuts.extend(follow(work, &wish, krate, (policy, strictness))?),
            }
        }
        if work.moves.contains_key(path) && policy == Requirements::Lift {
            let moves = work.moves.values();
            cuts.extend(moves.flat_map(|m| version_text::silenced(&loaded.text, &m.name, &m.old, &m.new)));
        }
        if !cuts.is_empty() {
            let text = splice(&loaded.text, cuts);
            work.set(path, text);
        }
    }
    Ok(())
}

/// The manifests of the crates that move and on which a requirement changes with them without being older than they are.
fn followed(work: &Work<'_>, workspace: &Workspace) -> BTreeSet<String> {
    let wishes = workspace.manifests().flat_map(|(path, loaded)| {
        let own = loaded.manifest.dependencies.iter();
        own.filter_map(move |d| Some((&d.requirement.as_ref()?.value, workspace.meant(path, d)?)))
    });
    let follows = wishes.filter(|(requirement, krate)| {
        let step = work.moves.get(&krate.manifest).map(|m| lift(requirement, &m.old, &m.new));
        matches!(step, Some(Lift::To(_) | Lift::Raise(_)))
    });
    follows.map(|(_, krate)| krate.manifest.clone()).collect()
}

/// Ends the manifest of every crate that moves with a line end, in the kind that its first line has.
pub(super) fn end_with_newline(work: &mut Work<'_>) -> Result<()> {
    for path in work.moves.keys().cloned().collect::<Vec<_>>() {
        if let Some(mut text) = work.text(&path)?.filter(|t| !t.ends_with('\n')) {
            let first = text.find('\n').is_some_and(|n| text[..n].ends_with('\r'));
            text.push_str(if first { "\r\n" } else { "\n" });
            work.set(&path, text);
        }
    }
    Ok(())
}

/// One requirement on a crate of the workspace.
struct Wish<'a> {
    loaded: &'a Loaded,
    requirement: &'a SpannedText,
    package: &'a str,
    /// The manifest in which it stands.
    path: &'a str,
    /// An entry of `[workspace.dependencies]` that no member inherits.
    idle: bool,
}

impl Wish<'_> {
    fn says(&self) -> String {
        let at = place(self.path, &self.loaded.text, self.requirement.span.start);
        format!("{at}: requires `{}` \"{}\"", self.package, crate::model::escape(&self.requirement.value))
    }

    /// Why nothing resolves by it, if nothing does: then it is said, and left as it is.
    fn unheard(&self) -> Option<&'static str> {
        match (self.loaded.reached, self.idle) {
            (false, _) => Some("Cargo does not reach that manifest"),
            (true, true) => Some("no member inherits that entry"),
            (true, false) => None,
        }
    }
}

/// What becomes of one requirement on `krate`.
fn follow(
    work: &mut Work<'_>,
    wish: &Wish<'_>,
    krate: &Crate,
    (policy, strictness): (Requirements, Strictness),
) -> Result<Option<Splice>> {
    let (loaded, requirement) = (wish.loaded, wish.requirement);
    let Some(version) = &krate.version else { return Ok(None) };
    let says = || wish.says();
    let unfit = |work: &mut Work<'_>| match wish.unheard() {
        None => Err(inconsistent(says(), krate)),
        Some(why) => {
            work.note(format!("{}, which does not fit {version}; {why}: left as it is", says()));
            Ok(None)
        }
    };
    let Some(m) = work.moves.get(&krate.manifest) else {
        return if admits(&requirement.value, version) || !loaded.reached { Ok(None) } else { unfit(work) };
    };
    let new = m.new.clone();
    let set = |text: &str| Ok(Some(requirement.set(&loaded.text, text)));
    match lift(&requirement.value, version, &new) {
        Lift::To(_) if policy == Requirements::Keep && admits(&requirement.value, &new) => Ok(None),
        Lift::To(text) => {
            if policy == Requirements::Keep {
                work.note(format!("{} and had to follow to {new}, which it did not admit", says()));
            }
            set(&text)
        }
        Lift::Raise(text) if loaded.reached && (strictness == Strictness::Listed || policy == Requirements::Keep) => {
            work.note(format!("{} and had to follow to {new}, which it did not admit", says()));
            set(&text)
        }
        Lift::Stays => Ok(None),
        Lift::Admits if policy == Requirements::Keep => Ok(None),
        Lift::Raise(_) | Lift::Admits
            if strictness == Strictness::Lockstep
                && wish.unheard().is_none()
                && !requirement.value.contains([',', '>', '<']) =>
        {
            Err(Error::input(format!("{}, but the crate is at {version}", says()))
                .detail(format!("{}: `{}` is at {version}", krate.place, krate.name))
                .hint(format!(
                    "write \"{version}\" there, or set `requirements = \"keep\"` in `[version]` if older ones may stay"
                )))
        }
        Lift::Admits => {
            work.note(format!("{}, which admits {new}: left as it is", says()));
            Ok(None)
        }
        Lift::Raise(_) | Lift::Refuses if wish.unheard().is_none() => {
            Err(Error::input(format!("{}, which does not admit {new}", says())).hint(format!(
                "write a requirement that names {version} alone, which can follow, or one that admits {new}"
            )))
        }
        Lift::Raise(_) | Lift::Refuses | Lift::Inconsistent | Lift::Malformed => unfit(work),
    }
}

fn inconsistent(says: String, krate: &Crate) -> Error {
    let at = krate.version.as_ref().map_or_else(|| "no version".to_owned(), ToString::to_string);
    Error::input(format!("{says}, but the crate is at {at}"))
        .detail(format!("{}: `{}` is at {at}", krate.place, krate.name))
        .hint("make the requirement and the crate's version agree; Cargo cannot build this tree either")
}
