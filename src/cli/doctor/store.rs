//! `doctor --store`: what was tried out on one store, what was seen, and what it means for a train.

use std::io::Write;

use serde::Serialize;

use super::Health;
use crate::effects::{Capabilities, Comparison, Guard, Habits, Store, Tried};
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
    probed: Vec<Probed>,
}

/// Tries a store out, and prints what it means; gives the exit code: 0, or 1 if no train can go there.
pub(super) async fn run(json: bool, store: &dyn Store, staging: Staging, out: &mut dyn Write) -> Result<u8> {
    store.probe().await?;
    let (can, habits) = (store.check().await, store.habits().await?);
    let can = match can {
        // That it refuses every replacement is what follows from it.
        Err(e) if habits.versions == Tried::Yes && e.kind() == ErrorKind::Transient => {
            Capabilities { put_if_absent: true, conditional_replace: false, warnings: vec![e.message().to_owned()] }
        }
        can => can?,
    };
    let asked = store.public_url("").starts_with("http");
    let strangers = Strangers { asked, seen: store.seen_by_strangers().await?, staging };
    let probed = explain(&can, &habits, &strangers);
    let health = probed.iter().map(|p| p.health).filter(|h| *h != Health::Skipped).max().unwrap_or(Health::Ok);
    let report = StoreReport { store: store.name().clone(), health, probed };
    if json {
        out.write_all(&canonical::to_pretty(&report)?).context("cannot print the report")?;
    } else {
        out.write_all(text(&report).as_bytes()).context("cannot print the report")?;
    }
    Ok(u8::from(health == Health::Fail))
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
struct Strangers {
    asked: bool,
    seen: Option<String>,
    staging: Staging,
}

/// What everything means. Pure.
fn explain(can: &Capabilities, habits: &Habits, strangers: &Strangers) -> Vec<Probed> {
    use Health::{Fail, Ok, Skipped, Warn};
    let row = |what, (health, seen, means): (Health, &str, &str)| {
        let (seen, means) = (seen.to_owned(), means.to_owned());
        Probed { what, health, seen, means }
    };
    let put = match can.put_if_absent {
        true => (Ok, "of several that put one name at once, one won", "no released name ever gets other bytes"),
        false => (
            Fail,
            "of several that put one name at once, not exactly one won",
            "no train can go there: a second machine could put other bytes under a released name",
        ),
    };
    let by = match habits.comparison {
        Comparison::Lock => "one of several won, under a lock",
        Comparison::QuotedETag => "one of several won, by `If-Match` with the ETag in quotes",
        Comparison::BareETag => "one of several won, by `If-Match` with the ETag without quotes",
    };
    let replace = match can.conditional_replace {
        true => (Ok, by, "two machines cannot undo each other's index"),
        false => (
            Fail,
            "a file is replaced although it changed, or never",
            "no train can go there: two machines could take a release out of each other's index",
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
    let resumes = match habits.resumes {
        Tried::Yes => {
            (Ok, "the parts of an unfinished upload were found again", "a killed upload goes on where it stopped")
        }
        Tried::No => {
            (Ok, "an unfinished upload cannot go on", "a killed upload begins again with the file that it was at")
        }
        Tried::Unknown => (Skipped, "it could not be found out", "a killed upload may begin again"),
        Tried::NoSuchThing => {
            (Ok, "files are copied, not sent", "a killed copy begins again with the file that it was at")
        }
    };
    let presigns = match habits.presigns {
        Tried::Yes => (Ok, "an address gave one object without credentials", "no train needs it"),
        Tried::No => (Skipped, "an address that was signed gave nothing", "no train needs it"),
        Tried::Unknown => (Skipped, "it could not be found out", "no train needs it"),
        Tried::NoSuchThing => (Skipped, "this kind of store has none", "no train needs it"),
    };
    let versions = match habits.versions {
        Tried::Yes => (
            Fail,
            "the bucket keeps what is replaced or removed",
            "what was staged stays there after a train: switch versions off, or use another bucket",
        ),
        Tried::No => (Ok, "what is replaced or removed is gone", "nothing that was staged stays there"),
        Tried::Unknown => (
            Warn,
            "the access key may not ask",
            "make sure that the bucket keeps no versions: what was staged would stay there",
        ),
        Tried::NoSuchThing => (Ok, "this kind of store has none", "nothing that was staged stays there"),
    };
    let mut out = vec![
        row("put if absent", put),
        row("conditional replace", replace),
        row("large files", large),
        row("copy within the store", copies),
        row("unfinished uploads", resumes),
        row("presigned addresses", presigns),
        row("versions", versions),
    ];
    out.push(match &strangers.seen {
        Some(seen) if strangers.staging == Staging::Encrypted => row(
            "strangers",
            (Warn, &format!("strangers can read {seen}"), "they see encrypted files, and that a release is coming"),
        ),
        Some(seen) => row(
            "strangers",
            (
                Fail,
                &format!("strangers can read {seen}"),
                "no train can go there: let the server refuse what is below `.staging/`",
            ),
        ),
        None if strangers.asked => row(
            "strangers",
            (Ok, "strangers saw no file and no list of `.staging/`", "what is embargoed can be staged there"),
        ),
        None => row(
            "strangers",
            (Skipped, "there is no address on the web to ask at", "see to it that no web server shows `.staging/`"),
        ),
    });
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
    let can = if report.health == Health::Fail { "no train can go to" } else { "a train can go to" };
    text.push_str(&format!("\n{can} store `{}`\n", report.store));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_train_cannot_do_without_fails() {
        let good = Capabilities { put_if_absent: true, conditional_replace: true, warnings: Vec::new() };
        let hidden = Strangers { asked: true, seen: None, staging: Staging::default() };
        let habits = Habits::default();
        let worst = |probed: Vec<Probed>| probed.iter().map(|p| p.health).max().unwrap();
        let fails = |can: &Capabilities, habits: &Habits, strangers: &Strangers, what: &str| {
            let probed = explain(can, habits, strangers);
            let failed: Vec<_> = probed.iter().filter(|p| p.health == Health::Fail).map(|p| p.what).collect();
            assert_eq!(failed, [what]);
        };
        assert!(worst(explain(&good, &habits, &hidden)) < Health::Warn);
        fails(&Capabilities { put_if_absent: false, ..good.clone() }, &habits, &hidden, "put if absent");
        fails(&Capabilities { conditional_replace: false, ..good.clone() }, &habits, &hidden, "conditional replace");
        fails(&good, &Habits { versions: Tried::Yes, ..habits }, &hidden, "versions");
        let seen = Some("a file of the staging area at `x`".to_owned());
        let seen = |staging| Strangers { asked: true, seen: seen.clone(), staging };
        fails(&good, &habits, &seen(Staging::default()), "strangers");
        assert_eq!(worst(explain(&good, &habits, &seen(Staging::Encrypted))), Health::Warn);
        let warned = Capabilities { warnings: vec!["anyone can replace".to_owned()], ..good };
        assert_eq!(worst(explain(&warned, &habits, &hidden)), Health::Warn);
    }
}
