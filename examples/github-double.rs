//! Runs the GitHub double of the tests by hand: releases, assets, tags and every failure, on loopback.
//!
//! ```text
//! cargo run --example github-double -- --tag v1.0.5=<object> --fault "PATCH release v1.0.5#1=error-after"
//! ```
//!
//! Point `[forge.github]` at the address that it prints (`repository = "example/sample"`, `api = "http://127.0.0.1:…"`) and
//! give it the token that it prints. What breaks GitHub's own API description is reported as it happens.
#![allow(unreachable_pub, missing_docs, reason = "an example exports nothing")]
#![allow(clippy::print_stdout, reason = "what a program for the terminal is for")]

#[path = "../tests/github_double/mod.rs"]
mod github_double;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Parser;
use github_double::faults::{Fault, KINDS};
use github_double::{Double, REPOSITORY, Side, TOKEN};

/// A GitHub that misbehaves on request
#[derive(Debug, Parser)]
struct Args {
    /// Where the API listens
    #[arg(long, default_value = "127.0.0.1:0")]
    api: String,
    /// Where uploads are taken
    #[arg(long, default_value = "127.0.0.1:0")]
    uploads: String,
    /// A tag that is there, with the object to which it points
    #[arg(long, value_name = "TAG=OBJECT")]
    tag: Vec<String>,
    /// A bare git repository whose tags are there
    #[arg(long, value_name = "DIR")]
    git: Option<std::path::PathBuf>,
    /// A failure: the call's name as the double prints it, which one of that name, and the kind
    #[arg(long, value_name = "CALL#N=KIND")]
    fault: Vec<String>,
    /// A host that is down from the start: `api` or `uploads`
    #[arg(long, value_name = "HOST")]
    down: Vec<String>,
    /// Answer reads with what was there this many seconds ago, as a copy does that is behind
    #[arg(long, value_name = "SECONDS")]
    lag: Option<f64>,
    /// With `--lag`: only one read in so many comes to that copy
    #[arg(long, value_name = "N", default_value_t = 1)]
    lag_one_in: u32,
    /// Let published releases be changed
    #[arg(long)]
    mutable: bool,
}

fn kind_name(kind: github_double::faults::Kind) -> String {
    let mut out = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn fault(text: &str) -> Result<Fault, String> {
    let names = || KINDS.map(kind_name).join(", ");
    let wrong = || format!("`{text}` is not a failure: expected `CALL#N=KIND`, with KIND one of {}", names());
    let (at, kind) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (call, nth) = at.rsplit_once('#').ok_or_else(wrong)?;
    let kind = KINDS.into_iter().find(|k| kind_name(*k) == kind).ok_or_else(wrong)?;
    Ok(Fault { call: call.to_owned(), nth: nth.parse().map_err(|_| wrong())?, kind })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let double = Double::start_at(&args.api, &args.uploads).await?;
    double.world().state.immutable_releases = !args.mutable;
    for tag in &args.tag {
        let (name, object) = tag.split_once('=').ok_or("a tag is given as TAG=OBJECT")?;
        double.push_tag(name, object);
    }
    double.world().git.clone_from(&args.git);
    if let Some(seconds) = args.lag {
        let (by, one_in) = (jiff::SignedDuration::try_from_secs_f64(seconds)?, args.lag_one_in);
        double.world().lag = Some(github_double::faults::Lag { by, one_in });
    }
    for text in &args.fault {
        double.inject(fault(text)?);
    }
    for host in &args.down {
        let side = match host.as_str() {
            "api" => Side::Api,
            "uploads" => Side::Uploads,
            _ => return Err("a host is `api` or `uploads`".into()),
        };
        double.world().faults.down.insert(side, github_double::faults::Kind::HostDown);
    }
    println!("api      {}\nuploads  {}\ntoken    {TOKEN}\nproject  {REPOSITORY}", double.api(), double.uploads());
    let (mut shown, mut broken) = (0, 0);
    let mut seen = BTreeSet::new();
    loop {
        {
            let world = double.world();
            for call in &world.calls[shown..] {
                println!("{call}");
            }
            for violation in &world.violations[broken..] {
                println!("violation: {violation}");
            }
            (shown, broken) = (world.calls.len(), world.violations.len());
            for release in &world.state.releases {
                let how = if release.draft { "draft" } else { "published" };
                let line = format!("{how} {} with {} assets", release.tag, release.assets.len());
                if seen.insert(line.clone()) {
                    println!("  now: {line}");
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
