//! `drill --manual`: the sample, and the commands by which a person ships it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::super::project::LocalProject;
use super::super::{Global, Output};
use super::{MARKER, begin, make, pin};
use crate::drill::{PEOPLE, SampleProject, THRESHOLD};
use crate::error::{Context as _, Error, Result};
use crate::model::{shell_path, shell_word};

/// In place of the marker of a drill that ships by itself: neither goes on with the other's sample.
const MANUAL: &str = ".lifeboat-drill-manual";

/// A GitHub that refuses at once. Nothing listens here for as long as the sample is used, which no other address promises.
const REFUSING: &str = "http://127.0.0.1:1";

#[derive(Serialize)]
struct Report {
    directory: PathBuf,
    /// What the commands need around them, once for each shell.
    prepare: Vec<String>,
    commands: Vec<String>,
}

pub(super) fn run(global: &Global, dir: &Path, out: &Output) -> Result<ExitCode> {
    let sample = prepare(global, dir)?;
    let report = Report { directory: dir.to_owned(), prepare: surroundings(&sample)?, commands: commands(&sample) };
    let mut text = format!(
        "the sample is in {}: two release lines, an embargoed fix for each, throwaway keys of {}; its trust root is \
         pinned, its GitHub refuses connections; nothing is planned or shipped\n\nonce in each shell:\n",
        dir.display(),
        PEOPLE.join(", ")
    );
    for line in &report.prepare {
        text.push_str(&format!("\n  {line}"));
    }
    text.push_str("\n\nthen one after the other, as RELEASE.md explains them:\n");
    for line in &report.commands {
        text.push_str(&format!("\n  {line}"));
    }
    out.result(text, &report)?;
    Ok(ExitCode::SUCCESS)
}

/// The sample, made afresh unless a whole one is there.
fn prepare(global: &Global, dir: &Path) -> Result<SampleProject> {
    let marker = dir.join(MANUAL);
    if marker.exists() {
        return Ok(SampleProject::at(dir));
    }
    if dir.join(MARKER).exists() {
        return Err(Error::input(format!("`{}` has a drill that ships by itself", dir.display()))
            .hint("name another directory: `lifeboat drill --manual DIR`"));
    }
    let begun = begin(dir)?;
    let sample = make(dir, REFUSING)?;
    let global =
        Global { config: Some(sample.project().join("lifeboat.toml")), state: Some(sample.state()), ..global.clone() };
    pin(&LocalProject::open(&global)?)?;
    std::fs::rename(&begun, &marker).context("cannot mark the sample as whole")?;
    Ok(sample)
}

/// The lines that let every command below them, and every command that the program prints, run as it stands.
fn surroundings(sample: &SampleProject) -> Result<Vec<String>> {
    let program = std::env::current_exe().context("cannot find out where this program is")?;
    let mut out = Vec::new();
    if !found_by_name(&program) {
        let dir = program.parent().map(shell_path).unwrap_or_default();
        out.push(format!("PATH={dir}:$PATH"));
    }
    out.push(format!("export LIFEBOAT_STATE={}", shell_path(&sample.state())));
    out.push(format!("cd {}", shell_path(&sample.project())));
    Ok(out)
}

/// Whether `lifeboat` in a shell starts this program.
fn found_by_name(program: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path).map(|d| d.join("lifeboat")).find(|p| p.is_file());
    first.and_then(|p| p.canonicalize().ok()) == program.canonicalize().ok()
}

fn commands(sample: &SampleProject) -> Vec<String> {
    let train = "../train.toml";
    let mut out =
        vec!["lifeboat doctor".to_owned(), format!("lifeboat plan {train}"), format!("lifeboat ship {train}")];
    out.extend(PEOPLE.iter().take(THRESHOLD as usize).map(|person| format!("lifeboat approve --as {person}")));
    out.push("lifeboat ship".to_owned());
    out.push("lifeboat status".to_owned());
    out.push(format!("lifeboat verify 1.0.5 {}", shell_word(&format!("file://{}", sample.store().display()))));
    out.push("lifeboat reconcile --list".to_owned());
    out
}
