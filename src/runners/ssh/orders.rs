//! What a machine is told of a job: a small archive of files that its shell reads, in which everything is quoted.

use std::path::Path;

use super::scripts;
use crate::effects::JobRequest;
use crate::error::{Context as _, Error, Result};
use crate::model::{Sha256, escape, shell_word};
use crate::runners::LOG_LIMIT;
use crate::runners::archive::inside;
use crate::runners::artifacts::{directories, is_below};
use crate::runners::environment;
use crate::step::{Isolation, JobInput};

/// The orders for a job. They hold its secrets: they go over standard input into a file that is gone when the recipe runs.
///
/// # Errors
/// Something that no shell can be told; an input whose path leads outside; a secret without value.
pub(super) fn of<'a>(
    request: &JobRequest,
    wanted: impl Iterator<Item = &'a Sha256>,
    isolated: bool,
    read: &[String],
) -> Result<Vec<u8>> {
    let job = &request.job;
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    let orders = format!(
        "limit={}\nmost={LOG_LIMIT}\nnetwork={}\nisolated={}\npassed={}\nshown={}\n",
        job.timeout_s,
        yes(job.isolation == Isolation::Network),
        yes(isolated),
        word(&names(job.pass_env.iter().map(String::as_str))?.join(" "))?,
        word(&read.join("\n"))?,
    );
    let env = environment::of_job(request)?;
    names(env.keys())?;
    let env =
        env.iter().map(|(name, value)| Ok(format!("export {name}={}\n", word(value)?))).collect::<Result<String>>()?;
    let lines = job.run.iter().map(|line| Ok(format!(" {}", word(line)?))).collect::<Result<String>>()?;
    let asked = job.artifacts.iter().filter(|artifact| is_below(&artifact.path));
    let artifacts =
        asked.map(|artifact| Ok(format!("artifact {}\n", word(&artifact.path)?))).collect::<Result<String>>()?;
    let below = directories(&job.artifacts).into_iter().filter(|dir| dir.is_empty() || is_below(dir));
    let beside = below.map(|dir| Ok(format!("beside {}\n", word(dir)?))).collect::<Result<String>>()?;
    let wanted: String = wanted.map(|digest| format!("{}\n", digest.hex())).collect();
    tarball(&[
        ("wanted", &wanted),
        ("supervisor", &scripts::supervise()),
        ("recipe", scripts::RECIPE),
        ("isolate", scripts::ISOLATE),
        ("inputs", &inputs(request)?),
        ("orders", &orders),
        ("env", &env),
        ("lines", &format!("set --{lines}\n")),
        ("artifacts", &(artifacts + &beside)),
        // Last: with it the orders are whole.
        ("whole", ""),
    ])
}

fn inputs(request: &JobRequest) -> Result<String> {
    let mut out = String::new();
    for (input, _) in &request.inputs {
        if let JobInput::SourceArchive(digest) = input {
            out += &format!("source_archive {}\n", digest.hex());
        }
    }
    out += if out.is_empty() { "settle made\n" } else { "settle found\n" };
    for (input, _) in &request.inputs {
        match input {
            JobInput::SourceArchive(_) => {}
            JobInput::Archive(digest) => out += &format!("archive {}\n", digest.hex()),
            JobInput::File { object, path } => {
                let place = inside(Path::new(path)).filter(|p| p.file_name().is_some());
                let place = place.and_then(|p| p.into_os_string().into_string().ok());
                let place = place
                    .ok_or_else(|| Error::fatal(format!("cannot put input `{}`: it leads outside", escape(path))))?;
                out += &format!("file {} {}\n", object.hex(), word(&place)?);
            }
        }
    }
    Ok(out)
}

/// A word of a shell, quoted.
fn word(text: &str) -> Result<String> {
    if text.contains('\0') {
        return Err(Error::input(format!("a recipe has a NUL in `{}`, which no shell can be told", escape(text))));
    }
    Ok(shell_word(text))
}

/// Names of variables, which a shell must be able to set.
fn names<S: AsRef<str>>(all: impl IntoIterator<Item = S>) -> Result<Vec<S>> {
    let is_name = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let check = |name: S| match is_name(name.as_ref()) {
        true => Ok(name),
        false => Err(Error::input(format!(
            "the variable `{}` cannot be set by a shell, as it is on a runner over ssh",
            escape(name.as_ref())
        ))
        .hint("a name has letters, digits and `_`, and begins with no digit")),
    };
    all.into_iter().map(check).collect()
}

/// An archive of these files, each for its user alone.
pub(super) fn tarball(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let what = "cannot write a job's orders";
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o600);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes()).context(what)?;
    }
    tar.into_inner().context(what)
}
