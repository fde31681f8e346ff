//! Git against the real `git`, `gpg` and `python3`: the private repository, series, archives, bundles, static
//! repositories and remotes.

mod facts;
mod private;
mod publish;
mod release;
mod remotes;
mod scratch;
mod series;
