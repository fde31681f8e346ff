//! `lifeboat verify`: checks a published release, as a stranger does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use semver::Version;

use crate::effects::Disk;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::model::{BranchName, Sha256, escape};
use crate::trust::{self, RootChoice};
use crate::verify::{Layout, Report, Request, Source, Verdict, verify};

/// Check a release as a stranger would, and more: threshold, completeness, freshness
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The version that you want to use
    pub version: Version,
    /// A directory, `file:///…` or `https://…`: the base of a store, or with `--layout release` one release
    pub location: String,
    /// What lies there
    #[arg(long, value_enum, default_value_t = LayoutArg::Store)]
    pub layout: LayoutArg,
    /// The branch that the release should be of
    #[arg(long)]
    pub line: Option<BranchName>,
    /// Take the trust root and the certificates from this directory, which you vouch for; without it the pinned root
    /// counts, with the certificates in the project's `keys/`
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Where the certificates are without `--keys`; none for `keys/` in the current directory.
    #[arg(skip)]
    pub project_keys: Option<PathBuf>,
    /// The SHA-256 of the trust root, in place of the one pinned on this machine
    #[arg(long, value_name = "DIGEST")]
    pub pin: Option<Sha256>,
    /// A local clone whose tag is checked too
    #[arg(long, value_name = "DIR")]
    pub clone: Option<PathBuf>,
}

/// How the location is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LayoutArg {
    /// `releases/<version>/`, `releases/index.json`, `git/`
    Store,
    /// The files of one release
    Release,
}

/// Runs `lifeboat verify`; the report goes to `out`.
///
/// # Errors
/// A source that cannot be reached, no trust root. A release that does not verify is the error of its report; with
/// `--json` it is exit code 6 alone.
pub fn run(
    args: &Args,
    json: bool,
    disk: Arc<dyn Disk>,
    state_dir: &Path,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<ExitCode> {
    let pinned = trust::pinned(&*disk, state_dir)?;
    let choice = match (args.pin, &args.keys, pinned) {
        (Some(pin), _, _) => RootChoice::Pinned(pin),
        (None, Some(_), _) => RootChoice::Directory,
        (None, None, Some(pin)) => RootChoice::Pinned(pin),
        (None, None, None) => {
            return Err(Error::input("no trust root is pinned on this machine")
                .hint("pin the digest that the project publishes: lifeboat trust pin DIGEST")
                .hint("or name a directory with `trust.json` and certificates that you vouch for: --keys DIR"));
        }
    };
    let keys = args.keys.as_ref().or(args.project_keys.as_ref()).cloned().unwrap_or_else(|| PathBuf::from("keys"));
    let trust = trust::load(&*disk, &keys, None, choice, now)?;
    if args.pin.is_none() && args.keys.is_none() && pinned != Some(trust.digest) {
        // The newer root is signed by the older one's people: from now on the older one is not enough.
        trust::pin(&*disk, state_dir, &trust.digest)?;
    }
    let request = Request {
        source: Source::new(&args.location, Arc::clone(&disk))?,
        layout: match args.layout {
            LayoutArg::Store => Layout::Store,
            LayoutArg::Release => Layout::Release,
        },
        version: args.version.clone(),
        line: args.line.clone(),
        clone: args.clone.clone(),
        trust,
        state_dir: Some(state_dir.to_owned()),
        disk,
        now,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start reading")?;
    let report = runtime.block_on(verify(request))?;
    if json {
        let text = serde_json::to_string_pretty(&report).context("cannot write the report")?;
        writeln!(out, "{text}").context("cannot write the report")?;
        let code = report.require().err().map(|_| ErrorKind::Verification.exit_code());
        return Ok(code.map_or(ExitCode::SUCCESS, ExitCode::from));
    }
    render(&report, out).context("cannot write the report")?;
    report.require().map(|()| ExitCode::SUCCESS)
}

fn render(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    for check in &report.checks {
        let verdict = match check.verdict {
            Verdict::Passed => "ok",
            Verdict::Failed => "FAILED",
            Verdict::NotChecked => "not checked",
        };
        writeln!(out, "{verdict:>11}  {}: {}", check.what, escape(&check.detail))?;
    }
    if report.failures().next().is_none() {
        let who: Vec<&str> = report.approved_by.iter().map(|p| p.as_str()).collect();
        writeln!(out, "{} {} verifies; approved by {}", report.project, report.version, who.join(", "))?;
    }
    Ok(())
}
