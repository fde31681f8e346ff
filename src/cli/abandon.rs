//! `abandon`: give a train up before anything of it is public.

use std::process::ExitCode;

use super::place::Place;
use super::{Global, Output};
use crate::engine::Train;
use crate::error::{Error, Result};
use crate::journal::Event;
use crate::model::TrainName;

/// Give a train up, before anything of it is public
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train [default: the one under way]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = Place::open(global)?;
    let name = place.choose(args.train.as_ref())?;
    let effects = place.effects(&name, out.progress())?;
    let train = Train::open_to_abandon(&effects, place.trust()?, &place.dir(&name))?;
    let state = train.state();
    if state.anything_public() {
        return Err(Error::input(format!("train `{name}` cannot be given up: something of it is public")).hint(
            "from here a train only goes forward, with `lifeboat ship`; what is wrong in it is superseded by another",
        ));
    }
    // The same command again finishes what an interrupted one left.
    if state.abandoned().is_none() {
        train.journal().append(Event::Abandoned { reason: args.reason.clone() })?;
    }
    super::runtime()?.block_on(crate::engine::approve::clear(&effects, &train))?;
    let burnt = place.release_claims(&train)?;
    let mut text = format!("train `{name}` is abandoned; its staged files are removed");
    if burnt.is_empty() {
        text.push_str("; nobody had approved, so its versions are free again");
    } else {
        let burnt: Vec<String> = burnt.iter().map(ToString::to_string).collect();
        text.push_str(&format!("; signatures over {} exist, so these versions are burnt", burnt.join(", ")));
    }
    out.result(text, &serde_json::json!({ "train": name, "burnt": burnt }))?;
    Ok(ExitCode::SUCCESS)
}
