//! The command line: one file per verb; each parses, calls and renders.

mod abandon;
mod advisory;
mod amend;
mod approve;
pub mod bump;
mod caller;
mod completions;
mod config_changes;
mod config_check;
mod consumer;
pub mod doctor;
mod drill;
mod export;
mod import_approvals;
pub mod init;
mod inputs;
mod keys;
mod log;
mod man;
mod mirror;
mod paint;
mod plan;
mod progress;
mod project;
mod prompt;
mod reconcile;
mod refresh;
mod rehearse;
mod remote_trains;
mod render;
mod report;
mod restore;
mod runners_seen;
mod ship;
mod status;
mod template_check;
pub mod trust;
pub mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::adapter::Registries;
use crate::error::{Error, Result};
use crate::model::shell_path;

pub use caller::Caller;
pub use paint::Color;
pub use render::Output;
pub use template_check::{VERB as TRY_TEMPLATE, child as try_template};

/// Exit codes, as the help and the documentation list them.
const EXIT_CODES: &str = "\
Exit codes:
  0  done: nothing is left to do but deliveries that wait for their destinations
  1  a step failed; the message says which, and what to fix
  2  the command line, the configuration or the train file is wrong; or no terminal to ask on
  3  the train waits for a person or for a time
  4  a conflict: something exists with other bytes than ours
  5  something is down or busy; try again
  6  a signature, digest or threshold does not hold
  7  with `verify --all-mirrors`: a mirror is stale
  8  with `verify --all-mirrors`: files of a mirror are missing";

/// Ships a security release on several release branches at once, when GitHub cannot.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global Options")]
pub struct Global {
    /// The configuration [default: `lifeboat.toml` in this directory or the nearest one above]
    #[arg(long, global = true, value_name = "FILE", env = "LIFEBOAT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where trains are kept [default: `$XDG_STATE_HOME/lifeboat` or `~/.local/state/lifeboat`]
    #[arg(long, global = true, value_name = "DIR", env = "LIFEBOAT_STATE")]
    pub state: Option<PathBuf>,
    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Print no progress and no notes: the result and failures only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more: where each job's log is
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Away from a terminal, say every so many seconds what runs; 0 for never
    #[arg(long, global = true, value_name = "SECONDS", env = "LIFEBOAT_HEARTBEAT", default_value_t = 30)]
    pub heartbeat: u64,
    /// Every adapter that the configuration can name.
    #[arg(skip = crate::wiring::registries())]
    pub registries: Registries,
}

impl Global {
    /// The options that the next command needs as well, as a shell reads them. What an environment variable says is there
    /// for the next command too.
    fn repeated(&self) -> String {
        let given = |name: &str, variable: &str, value: &Option<PathBuf>| match value {
            Some(path) if std::env::var_os(variable).is_none_or(|v| v != path.as_os_str()) => {
                format!(" {name} {}", shell_path(path))
            }
            _ => String::new(),
        };
        given("--config", "LIFEBOAT_CONFIG", &self.config) + &given("--state", "LIFEBOAT_STATE", &self.state)
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Plan(plan::Args),
    Ship(ship::Args),
    Status(status::Args),
    Export(export::Args),
    Approve(approve::Args),
    Amend(amend::Args),
    Abandon(abandon::Args),
    Reconcile(reconcile::Args),
    Refresh(refresh::Args),
    Verify(verify::VerifyArgs),
    Mirror(mirror::Args),
    Log(log::Args),
    Report(report::Args),
    Inputs(inputs::Args),
    Doctor(doctor::DoctorArgs),
    Trust(trust::TrustArgs),
    Bump(bump::BumpArgs),
    /// Learn how this project bumps its version, and write `lifeboat.toml`
    Init(init::InitArgs),
    Drill(drill::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Parses `argv`, runs the verb and reports; the process should end with the code.
pub fn main(argv: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    main_with(argv, crate::wiring::registries())
}

/// The same with adapters of one's choice.
pub fn main_with(argv: impl IntoIterator<Item = std::ffi::OsString>, registries: Registries) -> ExitCode {
    let argv: Vec<std::ffi::OsString> = argv.into_iter().collect();
    let parsed = Cli::command().try_get_matches_from(&argv).and_then(|matches| {
        crate::host::does(matches.subcommand_name().unwrap_or_default());
        Cli::from_arg_matches(&matches)
    });
    let cli = match parsed {
        Ok(cli) => Cli { global: Global { registries, ..cli.global }, ..cli },
        Err(e) if e.use_stderr() && argv.iter().take_while(|a| *a != "--").any(|a| a == "--json") => {
            return Output::new(&Global { json: true, ..Global::default() }).fail(&command_line(&e));
        }
        Err(e) => {
            // Help and version are printed to standard output and are not failures.
            drop(e.print());
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let out = Output::new(&cli.global);
    let prepared = crate::host::forbid_core_dumps().and_then(|()| crate::host::outlive_size_limits());
    match prepared.and_then(|()| run(&cli, &out)) {
        Ok(code) => code,
        // As a shell says of a program that SIGPIPE ended: the reader has seen enough, and nothing is wrong.
        Err(e) if paint::is_closed(&e) => ExitCode::from(141),
        Err(e) => out.fail(&e),
    }
}

/// What is wrong with a command line, as our own error.
fn command_line(e: &clap::Error) -> Error {
    let text = e.render().to_string();
    let mut lines = text.lines().filter(|l| !l.trim().is_empty());
    let message = match e.kind() {
        clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
        _ => lines.next().map_or("", |l| l.strip_prefix("error: ").unwrap_or(l)),
    };
    lines.fold(Error::input(message), |error, line| error.detail(line.trim()))
}

fn run(cli: &Cli, out: &Output) -> Result<ExitCode> {
    let global = &cli.global;
    if let Verb::Plan(_) | Verb::Ship(_) | Verb::Amend(_) | Verb::Doctor(_) = &cli.verb {
        bump::settle(Path::new("."), out)?;
    }
    match &cli.verb {
        Verb::Plan(args) => plan::run(global, args, out),
        Verb::Ship(args) => ship::run(global, args, out),
        Verb::Status(args) => status::run(global, args, out),
        Verb::Export(args) => export::run(global, args, out),
        Verb::Approve(args) => approve::run(global, args, out),
        Verb::Amend(args) => amend::run(global, args, out),
        Verb::Abandon(args) => abandon::run(global, args, out),
        Verb::Reconcile(args) => reconcile::run(global, args, out),
        Verb::Refresh(args) => refresh::run(global, args, out),
        Verb::Log(args) => log::run(global, args, out),
        Verb::Report(args) => report::run(global, args, out),
        Verb::Verify(args) => consumer::verify(global, args),
        Verb::Mirror(args) => mirror::run(global, args, out),
        Verb::Inputs(args) => inputs::run(global, args, out),
        Verb::Doctor(args) => consumer::doctor(global, args),
        Verb::Trust(args) => consumer::trust(global, args),
        Verb::Bump(args) => bump::run(global, args, out),
        Verb::Init(args) => init::run(args, out),
        Verb::Drill(args) => drill::run(global, args, out),
        Verb::Completions(args) => completions::run::<Cli>(args),
        Verb::Man(args) => man::run::<Cli>(args, out),
    }
}

/// The runtime of the verbs that act: as many threads as processors, or one (`LIFEBOAT_RUNTIME=current-thread`), which
/// makes the order of system calls repeatable.
fn runtime() -> Result<tokio::runtime::Runtime> {
    let current = std::env::var_os("LIFEBOAT_RUNTIME").is_some_and(|v| v == "current-thread");
    let mut builder = if current {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.enable_all().build().map_err(|e| Error::fatal("cannot start the runtime").because(e))
}
