//! Each rule fails on a violation that was planted, and lets pass what only looks like one.

use crate::layers::source::Source;
use crate::layers::{kinds, programs, rules};

fn found(rule: fn(&[Source]) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&[Source::new(path, text)])
}

fn caught(rule: fn(&[Source]) -> Vec<String>, path: &str, text: &str) {
    assert_eq!(found(rule, path, text).len(), 1, "{path}: {text}\n{:?}", found(rule, path, text));
}

fn passes(rule: fn(&[Source]) -> Vec<String>, path: &str, text: &str) {
    assert_eq!(found(rule, path, text), Vec::<String>::new(), "{path}: {text}");
}

#[test]
fn wrong_imports() {
    caught(rules::imports, "src/plan/line.rs", "use crate::engine::run;");
    caught(rules::imports, "src/model/name.rs", "use crate::{error::Error, effects::{Disk, Store}};");
    caught(rules::imports, "src/stores/filesystem.rs", "fn f() { crate::plan::check(); }");
    caught(rules::imports, "src/runners/local/mod.rs", "use crate::cli;");
    caught(rules::imports, "src/plan/line.rs", "use super::super::engine::run;");
    caught(rules::imports, "src/plan/check/gate.rs", "use super::super::super::engine::run;");
    caught(rules::imports, "src/newcomer.rs", "fn f() {}");
    passes(rules::imports, "src/plan/check/gate.rs", "use super::super::line; use crate::step::Step;");
    passes(rules::imports, "src/plan/line.rs", "// use crate::engine::run;\nconst X: &str = \"crate::engine\";");
    passes(rules::imports, "src/plan/line.rs", "#[cfg(test)]\nmod tests { use crate::engine; }\nuse crate::step;");
    passes(rules::imports, "src/cli/ship.rs", "use crate::engine;");
}

#[test]
fn impure_modules() {
    caught(rules::purity, "src/plan/line.rs", "fn f() { std::fs::read(\"x\"); }");
    caught(rules::purity, "src/model/name.rs", "use std::{fmt, env};");
    caught(rules::purity, "src/engine/next.rs", "fn f() { jiff::Timestamp::now(); }");
    caught(rules::purity, "src/journal/fold.rs", "use tokio::time;");
    caught(rules::purity, "src/step.rs", "use git2::Repository;");
    caught(rules::purity, "src/trust/judge.rs", "fn f() -> u8 { getrandom::fill(); 0 }");
    passes(rules::purity, "src/engine/run.rs", "use tokio::task::JoinSet;");
    passes(rules::purity, "src/config/load.rs", "fn f() { std::env::current_dir(); }");
    passes(rules::purity, "src/formats/c_header.rs", "use std::{fmt, str}; fn operand() {} const T: &str = \"tokio\";");
}

#[test]
fn vendors_in_the_core() {
    caught(rules::vendors, "src/engine/run.rs", "const PATHS: &[&str] = &[\".github/\"];");
    caught(rules::vendors, "src/plan/publish.rs", "fn f(s3: u8) {}");
    caught(rules::vendors, "src/config/resolve/forge.rs", "fn f(github: bool) {}");
    caught(rules::vendors, "src/config/resolve.rs", "fn f(raw: Raw) { raw.gpg; }");
    caught(rules::vendors, "src/wiring/hidden.rs", "const KIND: &str = \"gpg\";");
    passes(rules::vendors, "src/signers/gpg.rs", "const KIND: &str = \"gpg\";");
    passes(rules::vendors, "src/forges/github.rs", "const NAME: &str = \"github\";");
    passes(rules::vendors, "src/plan/publish.rs", "// such as GitHub\nfn f(s30: u8) {}");
}

#[test]
fn programs_started_elsewhere() {
    caught(programs::programs, "src/signers/gpg.rs", "fn f(mut c: Command) { c.spawn(); }");
    caught(programs::programs, "src/cli/doctor/machine.rs", "fn f(mut c: Command) { c.output().await; }");
    passes(programs::programs, "src/runners/local/supervisor.rs", "fn f(mut c: Command) { c.spawn(); }");
    passes(programs::programs, "src/signers/gpg.rs", "// c.spawn()\nfn f() { spawn(); output(); }");
}

#[test]
fn kinds_of_steps_distinguished_elsewhere() {
    caught(kinds::kinds, "src/cli/status.rs", "fn f(s: &Step) -> bool { matches!(s, Step::Prepare(_)) }");
    caught(kinds::kinds, "src/engine/review.rs", "fn f(o: Outcome) { if let crate::step::Outcome::Built(_) = o {} }");
    caught(kinds::kinds, "src/engine/perform/gate.rs", "use crate::step::Step::{Gate, Seal};");
    caught(kinds::kinds, "src/engine/run.rs", "use crate::step::Outcome::*;");
    passes(kinds::kinds, "src/plan/amend.rs", "fn f(s: &Step) -> bool { matches!(s, Step::Gate(_)) }");
    passes(kinds::kinds, "src/engine/run.rs", "fn f() { Outcome::from(made); VersionStep::Patch; Step::name(s); }");
    passes(kinds::kinds, "src/engine/run.rs", "#[cfg(test)]\nmod tests { use crate::step::Step::Gate; }");
    let by_text = |code: &str| {
        let kind = Source::new("src/step.rs", "const NAME: &'static str = \"sign\";");
        kinds::kinds(&[kind, Source::new("src/cli/status.rs", code)]).len()
    };
    assert_eq!(by_text("fn f(s: &str) { match s { \"sign\" | \"x\" => 1, _ => 0 } }"), 1);
    assert_eq!(by_text("fn f(id: &StepId) -> bool { id.as_str().starts_with(\"sign/\") }"), 1);
    assert_eq!(by_text("fn f(s: &Step) -> bool { s.kind() == \"sign\" }"), 1);
    assert_eq!(by_text("fn f(s: &Step) -> bool { !s.kind().starts_with(\"sign\") }"), 1);
    assert_eq!(by_text("fn f() { document.list(\"sign\"); say(\"sign here\"); [\"sign\", \"seal\"] }"), 0);
    assert_eq!(by_text("// \"sign\" => 1\n#[cfg(test)]\nmod tests { fn f() -> bool { s == \"sign\" } }"), 0);
    let kind = Source::new("src/step/sign.rs", "impl Kind for Sign {}");
    assert_eq!(kinds::kinds(std::slice::from_ref(&kind)).len(), 1);
    let performed = Source::new("src/engine/perform/sign.rs", "impl Perform for Sign {}");
    assert_eq!(kinds::kinds(&[kind, performed]), Vec::<String>::new());
}

#[test]
fn events_that_nothing_records() {
    let journal = "pub enum Event {\n    Resumed,\n    TakenOver {\n        by: String,\n    },\n}\n";
    let of = |writer: &str| {
        let reads = "fn f(e: &Event) -> bool { matches!(e, Event::TakenOver { .. } | Event::Resumed) }";
        rules::events(&[
            Source::new("src/journal/event.rs", journal),
            Source::new("src/journal/fold.rs", reads),
            Source::new("src/engine/run.rs", writer),
        ])
    };
    assert_eq!(of("fn f() { append(Event::Resumed); }"), ["nothing records `Event::TakenOver`"]);
    assert_eq!(of("fn f() { append(Event::Resumed); append(Event::TakenOver { by }); }"), Vec::<String>::new());
    assert_eq!(of("fn f() { append(Event::ResumedAgain); append(Event::TakenOver { by }); }").len(), 1);
}

#[test]
fn adapters_without_a_registry() {
    let adapter = "#[async_trait::async_trait] impl Store for Ftp {}";
    let registry = "mod ftp;\n/// All.\npub static STORES: &[&dyn Kind] = &[&ftp::KIND];";
    let of = |registry: &str| {
        rules::registries(&[Source::new("src/stores/mod.rs", registry), Source::new("src/stores/ftp.rs", adapter)])
    };
    assert_eq!(of(registry), Vec::<String>::new());
    assert_eq!(of(&registry.replace("&ftp::KIND", "")).len(), 1);
    assert_eq!(of("mod ftp;").len(), 1);
    assert_eq!(rules::registries(&[Source::new("src/stores/ftp.rs", adapter)]).len(), 1);
    let signers = |registry: &str| {
        let adapter = "pub(super) const ADAPTER: Adapter<dyn Signer> = Adapter {};";
        rules::registries(&[Source::new("src/signers/mod.rs", registry), Source::new("src/signers/card.rs", adapter)])
    };
    assert_eq!(signers("const SIGNERS: &[Adapter<dyn Signer>] = &[card::ADAPTER];"), Vec::<String>::new());
    assert_eq!(signers("const SIGNERS: &[Adapter<dyn Signer>] = &[];").len(), 1);
}

#[test]
fn long_files_and_vague_names() {
    // Too long, and then too long for half of the files as well.
    assert_eq!(found(rules::sizes, "src/plan/line.rs", &"\n".repeat(501)).len(), 2);
    passes(rules::sizes, "src/plan/line.rs", &"\n".repeat(150));
    caught(rules::sizes, "src/plan/line.rs", &"\n".repeat(151));
    caught(rules::names, "src/plan/utils.rs", "");
    caught(rules::names, "tests/support/git_helpers.rs", "");
    caught(rules::names, "src/common/name.rs", "");
    passes(rules::names, "src/plan/line.rs", "");
}

#[test]
fn one_name_for_two_types() {
    let of = |first: &str, second: &str| {
        rules::types(&[Source::new("src/plan/line.rs", first), Source::new("src/verify/report.rs", second)])
    };
    let twice = of("pub struct Report;", "impl X {}\npub(crate) enum Report { A }");
    assert_eq!(twice, ["src/plan/line.rs:1, src/verify/report.rs:2: two types are called `Report`"]);
    caught(rules::types, "src/plan/line.rs", "pub trait Seen {}\nmod inner { pub type Seen<T> = Vec<T>; }");
    assert_eq!(of("pub struct Report;", "pub struct Reports;"), Vec::<String>::new());
    assert_eq!(of("pub struct Args;", "struct Args;"), Vec::<String>::new());
    assert_eq!(of("pub struct Args;", "pub(super) struct Args;"), Vec::<String>::new());
    assert_eq!(of("pub struct Report;", "// pub struct Report;"), Vec::<String>::new());
    assert_eq!(of("pub struct Report;", "#[cfg(test)]\nmod tests { pub struct Report; }"), Vec::<String>::new());
}

#[test]
fn abrupt_ends() {
    for bad in
        ["x.unwrap()", "x.expect(\"no\")", "todo!()", "panic!(\"no\")", "println!(\"x\")", "std::process::exit(1)"]
    {
        caught(rules::panics, "src/plan/line.rs", &format!("fn f() {{ {bad}; }}"));
    }
    caught(rules::panics, "src/plan/line.rs", "#[allow(dead_code)]\nfn f() {}");
    passes(rules::panics, "src/plan/line.rs", "#[allow(dead_code, reason = \"a fact\")]\nfn f() {}");
    passes(
        rules::panics,
        "src/plan/line.rs",
        "/// `x.unwrap()`\nfn f() { x.unwrap_or(1); let s = \"panic!\"; let c = '\"'; }",
    );
    passes(
        rules::panics,
        "src/plan/line.rs",
        "fn f<'a>(x: &'a str) {}\n#[cfg(test)]\nmod tests { fn g() { x.unwrap(); } }",
    );
    passes(rules::panics, "tests/plan.rs", "fn f() { x.unwrap(); }");
}

/// The reader itself: what is in quotes or comments is not code, and what follows them is.
#[test]
fn texts_and_comments_are_not_code() {
    let source = Source::new("src/a.rs", "let a = r#\"x \" crate::b\"#; /* c */ let d = '\\''; let e = \"\\\"f\"; g()");
    assert!(
        !source.code.contains("crate") && !source.code.contains('c') && source.code.ends_with("g()"),
        "{}",
        source.code
    );
    assert!(source.words.contains("crate::b") && !source.words.contains("/* c */"), "{}", source.words);
}
