//! `doctor --store`: what was tried out on one store, what was seen, and what it means for a train.

use std::io::Write;

use serde::Serialize;

use super::Health;
use crate::effects::{Capabilities, Comparison, Guard, Habits, Store, Tried};
use crate::engine::can_release;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::canonical;
use crate::model::{Staging, StoreName, escape};

/// One thing that was tried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Probed {
    /// What.
    what: &'static str,
    /// How it is for a train.
    health: Health,
    /// What was seen.
    seen: String,
    /// What it means.
    means: String,
}

/// All of it.
#[derive(Debug, Serialize)]
struct StoreReport {
    store: StoreName,
    /// The worst of it.
    health: Health,
    /// Whether it is known that a train can go there, or that none can.
    known: bool,
    probed: Vec<Probed>,
}

/// Tries a store out, and prints what it means; gives the exit code: 0, or 1 if no train can go there, or that is not known.
pub(super) async fn run(json: bool, store: &dyn Store, staging: Staging, out: &mut dyn Write) -> Result<u8> {
    store.probe().await?;
    let (can, habits) = (store.check().await, store.habits().await?);
    let can = match can {
        Err(e) if failed_in_passing(&e) => {
            let unknown = || Tried::Unknown(e.message().to_owned());
            let versions = habits.versions.clone();
            Capabilities { put_if_absent: unknown(), conditional_replace: unknown(), versions, warnings: Vec::new() }
        }
        can => can?,
    };
    let asked = store.public_url("").starts_with("http");
    let seen = match store.seen_by_strangers().await {
        Err(e) if failed_in_passing(&e) => Seen::Unknown(e.message().to_owned()),
        seen => seen?.map_or(if asked { Seen::Nothing } else { Seen::NotAsked }, Seen::This),
    };
    let report = report(store.name(), &can, &habits, (&seen, staging));
    if json {
        out.write_all(&canonical::to_pretty(&report)?).context("cannot print the report")?;
    } else {
        out.write_all(text(&report).as_bytes()).context("cannot print the report")?;
    }
    Ok(u8::from(report.health == Health::Fail))
}

/// Whether a failure says nothing of what the store can do.
fn failed_in_passing(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::Transient | ErrorKind::Unreachable)
}

/// The store of this name.
///
/// # Errors
/// There is none, or no configuration.
pub(super) fn named<'a>(subjects: &super::Subjects<'a>, name: &StoreName) -> Result<&'a std::sync::Arc<dyn Store>> {
    if let Err(e) = subjects.config {
        return Err(Error::new(e.kind(), e.message().to_owned()).hint("`lifeboat doctor` says more"));
    }
    let known: Vec<&str> = subjects.stores.iter().map(|store| store.name().as_str()).collect();
    subjects.stores.iter().find(|store| store.name() == name).ok_or_else(|| {
        let error = Error::input(format!("the configuration has no store `{name}`"));
        if known.is_empty() { error } else { error.hint(format!("expected `{}`", known.join("`, `"))) }
    })
}

/// What strangers see of staging.
enum Seen {
    /// This.
    This(String),
    /// Nothing.
    Nothing,
    /// There is no address to ask at.
    NotAsked,
    /// It could not be found out, for this reason.
    Unknown(String),
}

/// The report: its end is the judgement by which trains are planned.
fn report(name: &StoreName, can: &Capabilities, habits: &Habits, strangers: (&Seen, Staging)) -> StoreReport {
    let probed = explain(can, habits, strangers);
    let worst = probed.iter().map(|p| p.health).filter(|h| *h != Health::Skipped).max().unwrap_or(Health::Ok);
    let (health, known) = match can_release(name, can) {
        Ok(_) => (worst, !matches!(strangers.0, Seen::Unknown(_))),
        Err(e) => {
            let open = matches!(strangers, (Seen::This(_), Staging::Private));
            (Health::Fail, open || !failed_in_passing(&e))
        }
    };
    StoreReport { store: name.clone(), health, known, probed }
}

/// What is said of what could not be found out.
fn not_known(why: &str) -> String {
    format!("it could not be found out: {why}")
}

/// What everything means. Pure.
fn explain(can: &Capabilities, habits: &Habits, (seen, staging): (&Seen, Staging)) -> Vec<Probed> {
    use Health::{Fail, Ok, Skipped, Warn};
    let row = |what, (health, seen, means): (Health, &str, &str)| {
        let (seen, means) = (seen.to_owned(), means.to_owned());
        Probed { what, health, seen, means }
    };
    let unknown = |what, health, why: &str, means: &str| row(what, (health, &not_known(why), means));
    const AGAIN: &str = "no train goes there before it is known: run the same command again";
    let what = "put if absent";
    let put = match &can.put_if_absent {
        Tried::Yes => {
            row(what, (Ok, "of several that put one name at once, one won", "no released name ever gets other bytes"))
        }
        Tried::Unknown(why) => unknown(what, Fail, why, AGAIN),
        Tried::No | Tried::NoSuchThing => row(
            what,
            (
                Fail,
                "of several that put one name at once, not exactly one won",
                "no train can go there: a second machine could put other bytes under a released name",
            ),
        ),
    };
    let by = match habits.comparison {
        Comparison::Lock => "one of several won, under a lock",
        Comparison::QuotedETag => "one of several won, by `If-Match` with the ETag in quotes",
        Comparison::BareETag => "one of several won, by `If-Match` with the ETag without quotes",
        Comparison::Unknown => "one of several won; by what it compares could not be found out",
    };
    let what = "conditional replace";
    let replace = match &can.conditional_replace {
        Tried::Yes => row(what, (Ok, by, "two machines cannot undo each other's index")),
        Tried::Unknown(why) => unknown(what, Fail, why, AGAIN),
        Tried::No | Tried::NoSuchThing => row(
            what,
            (
                Fail,
                "a file is replaced although it changed, or never",
                "no train can go there: two machines could take a release out of each other's index",
            ),
        ),
    };
    let large = match habits.large_files {
        Guard::Itself => (Ok, "never replace what is there", "nothing else is needed"),
        Guard::Claim => (
            Ok,
            "the end of an upload in parts could replace what is there",
            "each is put under a claim, a small object in `.staging/.claims/`: safe, and two requests more for a file",
        ),
    };
    let copies = match habits.copies {
        Guard::Itself => (Ok, "has the same bytes, and never replaces what is there", "a release becomes public fast"),
        Guard::Claim => (
            Ok,
            "has the same bytes, and could replace what is there",
            "each copy is made under a claim: a release becomes public fast, with two requests more for a file",
        ),
    };
    let what = "unfinished uploads";
    let resumes = match &habits.resumes {
        Tried::Yes => row(
            what,
            (Ok, "the parts of an unfinished upload were found again", "a killed upload goes on where it stopped"),
        ),
        Tried::No => row(
            what,
            (Ok, "an unfinished upload cannot go on", "a killed upload begins again with the file that it was at"),
        ),
        Tried::Unknown(why) => unknown(what, Skipped, why, "a killed upload may begin again"),
        Tried::NoSuchThing => {
            row(what, (Ok, "files are copied, not sent", "a killed copy begins again with the file that it was at"))
        }
    };
    let (what, means) = ("presigned addresses", "no train needs it");
    let presigns = match &habits.presigns {
        Tried::Yes => row(what, (Ok, "an address gave one object without credentials", means)),
        Tried::No => row(what, (Skipped, "an address that was signed gave nothing", means)),
        Tried::Unknown(why) => unknown(what, Skipped, why, means),
        Tried::NoSuchThing => row(what, (Skipped, "this kind of store has none", means)),
    };
    let what = "versions";
    let versions = match &can.versions {
        Tried::Yes => row(
            what,
            (
                Fail,
                "the bucket keeps what is replaced or removed",
                "what was staged stays there after a train: switch versions off, or use another bucket",
            ),
        ),
        Tried::No => row(what, (Ok, "what is replaced or removed is gone", "nothing that was staged stays there")),
        Tried::Unknown(why) => {
            unknown(what, Warn, why, "make sure that it keeps no versions: what was staged would stay there")
        }
        Tried::NoSuchThing => row(what, (Ok, "this kind of store has none", "nothing that was staged stays there")),
    };
    let what = "strangers";
    let encrypted = staging == Staging::Encrypted;
    let strangers = match seen {
        Seen::This(seen) if encrypted => row(
            what,
            (Warn, &format!("strangers can read {seen}"), "they see encrypted files, and that a release is coming"),
        ),
        Seen::This(seen) => row(
            what,
            (
                Fail,
                &format!("strangers can read {seen}"),
                "no train can go there: let the server refuse what is below `.staging/`",
            ),
        ),
        Seen::Unknown(why) if encrypted => unknown(what, Warn, why, "what is staged there is encrypted"),
        Seen::Unknown(why) => unknown(what, Fail, why, AGAIN),
        Seen::Nothing => {
            row(what, (Ok, "strangers saw no file and no list of `.staging/`", "what is embargoed can be staged there"))
        }
        Seen::NotAsked => row(
            what,
            (Skipped, "there is no address on the web to ask at", "see to it that no web server shows `.staging/`"),
        ),
    };
    let (large, copies) = (row("large files", large), row("copy within the store", copies));
    let mut out = vec![put, replace, large, copies, resumes, presigns, versions, strangers];
    out.extend(can.warnings.iter().map(|why| row("warning", (Warn, why, "a train can go there; look at it"))));
    out
}

fn text(report: &StoreReport) -> String {
    let width = report.probed.iter().map(|p| p.what.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Probed { what, health, seen, means } in &report.probed {
        text.push_str(&format!("{:<4}  {what:<width$}  {}\n", health.word(), escape(seen)));
        text.push_str(&format!("{:<4}  {:<width$}  -> {}\n", "", "", escape(means)));
    }
    let store = &report.store;
    text.push_str(&match (report.health, report.known) {
        (Health::Fail, true) => format!("\nno train can go to store `{store}`\n"),
        (Health::Fail, false) => format!("\nwhether a train can go to store `{store}` could not be found out\n"),
        _ => format!("\na train can go to store `{store}`\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Capabilities {
        let (put_if_absent, conditional_replace, versions) = (Tried::Yes, Tried::Yes, Tried::NoSuchThing);
        Capabilities { put_if_absent, conditional_replace, versions, warnings: Vec::new() }
    }

    const HIDDEN: (&Seen, Staging) = (&Seen::Nothing, Staging::Private);

    fn of(can: &Capabilities, strangers: (&Seen, Staging)) -> StoreReport {
        report(&"bucket".parse().unwrap(), can, &Habits::default(), strangers)
    }

    #[test]
    fn what_a_train_cannot_do_without_fails() {
        let fails = |can: &Capabilities, strangers: (&Seen, Staging), what: &str| {
            let report = of(can, strangers);
            let failed: Vec<_> = report.probed.iter().filter(|p| p.health == Health::Fail).map(|p| p.what).collect();
            assert_eq!(failed, [what]);
            assert!(text(&report).ends_with("\nno train can go to store `bucket`\n"), "{}", text(&report));
        };
        assert!(of(&good(), HIDDEN).health < Health::Warn);
        fails(&Capabilities { put_if_absent: Tried::No, ..good() }, HIDDEN, "put if absent");
        fails(&Capabilities { conditional_replace: Tried::No, ..good() }, HIDDEN, "conditional replace");
        fails(&Capabilities { versions: Tried::Yes, ..good() }, HIDDEN, "versions");
        let seen = Seen::This("a file of the staging area at `x`".to_owned());
        fails(&good(), (&seen, Staging::Private), "strangers");
        assert_eq!(of(&good(), (&seen, Staging::Encrypted)).health, Health::Warn);
        let warned = Capabilities { warnings: vec!["anyone can replace".to_owned()], ..good() };
        assert_eq!(of(&warned, HIDDEN).health, Health::Warn);
    }

    /// What failed in passing is neither good nor bad, and says why.
    #[test]
    fn what_could_not_be_found_out_says_so() {
        let unknown = || Tried::Unknown("it was silent".to_owned());
        let silent = Seen::Unknown("it was silent".to_owned());
        for (can, seen, what) in [
            (Capabilities { put_if_absent: unknown(), ..good() }, &Seen::Nothing, "put if absent"),
            (Capabilities { conditional_replace: unknown(), ..good() }, &Seen::Nothing, "conditional replace"),
            (good(), &silent, "strangers"),
        ] {
            let report = of(&can, (seen, Staging::Private));
            let row = report.probed.iter().find(|p| p.what == what).unwrap();
            assert_eq!((row.health, &*row.seen), (Health::Fail, "it could not be found out: it was silent"));
            assert!(text(&report).ends_with("\nwhether a train can go to store `bucket` could not be found out\n"));
        }
        let report = of(&Capabilities { versions: unknown(), ..good() }, HIDDEN);
        assert_eq!(report.health, Health::Warn);
        let habits =
            Habits { comparison: Comparison::Unknown, resumes: unknown(), presigns: unknown(), ..Habits::default() };
        for probed in explain(&good(), &habits, HIDDEN) {
            let is_unknown = ["unfinished uploads", "presigned addresses"].contains(&probed.what);
            assert!(!is_unknown || (probed.health == Health::Skipped && probed.seen.ends_with("out: it was silent")));
            assert!(probed.what != "conditional replace" || probed.seen.contains("could not be found out"));
        }
    }

    /// `plan`, `ship` and `doctor` refuse just what this report calls a failure.
    #[test]
    fn it_says_what_trains_are_judged_by() {
        let all = || [Tried::Yes, Tried::No, Tried::Unknown("x".to_owned()), Tried::NoSuchThing];
        for put_if_absent in all() {
            for conditional_replace in all() {
                for versions in all() {
                    let put_if_absent = put_if_absent.clone();
                    let conditional_replace = conditional_replace.clone();
                    let can = Capabilities { put_if_absent, conditional_replace, versions, warnings: Vec::new() };
                    let rows = explain(&can, &Habits::default(), HIDDEN);
                    let fails = rows.iter().any(|p| p.health == Health::Fail);
                    assert_eq!(fails, can_release(&"bucket".parse().unwrap(), &can).is_err(), "{can:?}");
                }
            }
        }
    }
}
