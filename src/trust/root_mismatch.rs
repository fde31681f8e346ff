//! What to say of a root that is not the pinned one and does not follow from it.

use super::load::RootChoice;
use super::root::Root;
use crate::error::Error;
use crate::model::Sha256;

/// How many digits of a digest may differ for a slip of the hand; nobody makes a root whose digest is so near another.
const SLIPS: usize = 2;

/// The root `found` in `place` neither has the digest that was chosen nor follows from the root that has. `before` is that
/// root, if it is known.
pub(super) fn another_root(
    place: &str,
    choice: RootChoice,
    before: Option<&Root>,
    found: &Root,
    digest: Sha256,
) -> Error {
    let (pin, word, one) = match choice {
        RootChoice::Pinned(pin) => (pin, "pinned", "is not the pinned one"),
        RootChoice::Given(pin) => (pin, "given", "does not have the digest that was given"),
        RootChoice::Directory => (digest, "found", "is another one"),
    };
    let differ = pin.hex().bytes().zip(digest.hex().bytes()).filter(|(a, b)| a != b).count();
    if differ <= SLIPS {
        return Error::input(format!("the digest differs from the one in `{place}` in {differ} of 64 digits: a slip?"))
            .detail(format!("yours: {pin}"))
            .detail(format!("there: {digest}"))
            .hint("read it again where you have it from; do not copy it from this message");
    }
    let mut error = Error::verification(format!("the trust root in `{place}` {one}, and does not follow from it"))
        .detail(format!("{word:<6} sha256:{pin}"))
        .detail(format!("found  sha256:{digest} (version {} of {})", found.version, found.project));
    match before {
        Some(before) => {
            for line in changes(before, found) {
                error = error.detail(format!("changed: {line}"));
            }
        }
        None => {
            for line in summary(found) {
                error = error.detail(format!("found: {line}"));
            }
        }
    }
    error
        .hint("nothing was accepted: whoever changes this file decides who may release")
        .hint("in a checkout, see who changed it: git log --stat -p -- keys/")
        .hint(
            "ask another maintainer by voice; a change that was agreed on is signed by the people of the old root and is \
             accepted by itself",
        )
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// A root in a few lines: who decides, how many of them, which keys, which hosts.
#[must_use]
pub fn summary(root: &Root) -> Vec<String> {
    let of =
        |name: &str, role: &super::root::PeopleRole| format!("{name}: {} of {}", role.threshold, list(&role.people));
    let mut out = vec![
        of("approve", &root.roles.approve),
        of("root", &root.roles.root),
        format!("release keys: {}", list(&root.roles.release.keys)),
        format!("freshness keys: {}", list(&root.roles.freshness.keys)),
        format!("hosts: {}", list(&root.hosts)),
    ];
    out.extend(warnings(root));
    out
}

/// What is legal in a root, and should be said loudly.
#[must_use]
pub fn warnings(root: &Root) -> Vec<String> {
    let roles = [("approve a release", &root.roles.approve), ("replace this root", &root.roles.root)];
    let alone = roles.iter().filter(|(_, r)| r.threshold == 1);
    alone.map(|(what, _)| format!("WARNING: threshold 1: one person alone can {what}")).collect()
}

/// What one root changes of another, a line each.
#[must_use]
pub fn changes(before: &Root, after: &Root) -> Vec<String> {
    let mut out = Vec::new();
    if before.project != after.project {
        out.push(format!("project: {} -> {}", before.project, after.project));
    }
    let people = before.people.keys().chain(after.people.keys()).collect::<std::collections::BTreeSet<_>>();
    for person in people {
        match (before.people.get(person), after.people.get(person)) {
            (Some(_), None) => out.push(format!("person {person}: removed")),
            (None, Some(new)) => out.push(format!("person {person}: added, with {}", list(&new.certificates))),
            (Some(old), Some(new)) if old != new => {
                out.push(format!("person {person}: {} -> {}", list(&old.certificates), list(&new.certificates)));
            }
            _ => {}
        }
    }
    let (old, new) = (&before.roles, &after.roles);
    for (name, old, new) in [("approve", &old.approve, &new.approve), ("root", &old.root, &new.root)] {
        if old != new {
            let text = |r: &super::root::PeopleRole| format!("{} of {}", r.threshold, list(&r.people));
            out.push(format!("{name}: {} -> {}", text(old), text(new)));
        }
    }
    for (name, old, new) in
        [("release keys", &old.release, &new.release), ("freshness keys", &old.freshness, &new.freshness)]
    {
        if old != new {
            out.push(format!("{name}: {} -> {}", list(&old.keys), list(&new.keys)));
        }
    }
    if before.hosts != after.hosts {
        out.push(format!("hosts: {} -> {}", list(&before.hosts), list(&after.hosts)));
    }
    if before.expires != after.expires {
        out.push(format!("expires: {} -> {}", before.expires, after.expires));
    }
    out.extend(warnings(after));
    out
}
