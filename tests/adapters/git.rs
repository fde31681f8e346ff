//! Git against the real `git`, `gpg` and `python3`: the private repository, series, archives, bundles, static
//! repositories and remotes.

#![allow(clippy::unwrap_used, reason = "a failed step of a test ends it, in its helpers too")]

mod facts;
mod http;
mod mails;
mod private;
mod publish;
mod release;
mod remotes;
mod scratch;
mod series;
mod ssh;
