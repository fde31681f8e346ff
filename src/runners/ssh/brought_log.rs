//! The log of a job on another machine, brought here piece by piece, secrets masked.

use std::fs::{self, File};
use std::path::Path;

use super::host::{Host, JobState};
use crate::error::{Context as _, Result};
use crate::runners::LOG_LIMIT;
use crate::runners::mask::Mask;
use crate::runners::private_files::create_private_file;
use crate::step::JobName;

/// How much is brought in one call.
const PIECE: u64 = 8 << 20;

/// How far a log is here. It is brought anew by another process: what could still become a secret is in memory alone.
#[derive(Default)]
pub(super) struct BroughtLog {
    /// How many bytes of it are here, as they are there.
    bytes: u64,
    /// None before the first piece, and after the last one.
    mask: Option<Mask<File>>,
    secret_found: bool,
    /// How the job had ended when the last piece was brought.
    whole: Option<JobState>,
}

impl BroughtLog {
    /// Brings what is new into the file `path`, and says how the job stood before.
    pub(super) fn bring(&mut self, host: &Host, name: &JobName, path: &Path, secrets: &[String]) -> Result<JobState> {
        let what = || format!("cannot write `{}`", path.display());
        if !path.exists() {
            // Another process swept it away, or nothing is here yet.
            *self = Self::default();
        }
        if let Some(ended) = self.whole {
            return Ok(ended);
        }
        loop {
            let most = PIECE.min(LOG_LIMIT.saturating_sub(self.bytes));
            let (state, bytes) = host.log(name, self.bytes, most)?;
            let mask = match &mut self.mask {
                Some(mask) => mask,
                none => {
                    // Of an earlier process; whoever reads it there still has it.
                    match fs::remove_file(path) {
                        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context(what()),
                        _ => none.insert(Mask::new(create_private_file(path).context(what())?, secrets)),
                    }
                }
            };
            mask.take(&bytes).context(what())?;
            let more = bytes.len() as u64;
            self.bytes += more;
            self.secret_found |= mask.has_found();
            if more < most && state.has_ended() || self.is_cut() {
                if let Some(mask) = self.mask.take().filter(|_| state.has_ended()) {
                    self.secret_found |= mask.finish().context(what())?.1;
                    self.whole = Some(state);
                }
                return Ok(state);
            }
            if more < most || more == 0 {
                return Ok(state);
            }
        }
    }

    /// Whether a secret was in what is here.
    pub(super) fn secret_found(&self) -> bool {
        self.secret_found
    }

    /// Whether it is as long as logs may be.
    pub(super) fn is_cut(&self) -> bool {
        self.bytes >= LOG_LIMIT
    }
}
