//! Finds secrets by reference, when they are needed.

use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::model::{Secret, SecretRef, escape};
use crate::subprocess::Subprocess;

/// No secret is longer, in bytes.
const LONGEST: usize = 1 << 20;

/// Reads the secret that a reference names. A command sees this process's environment (password managers need it), has
/// no input, and writes the secret on its standard output.
///
/// # Errors
/// Names the reference, never what was read.
pub fn resolve(reference: &SecretRef) -> Result<Secret> {
    let value = match reference {
        SecretRef::Env(name) => std::env::var(name).map_err(|_| {
            Error::input(format!("the environment variable `{}` is not set, or is not text", escape(name)))
                .hint("set it in the shell that runs lifeboat, or name another source in `lifeboat.toml`")
        })?,
        SecretRef::File(path) => std::fs::read_to_string(path).map_err(|e| {
            Error::input(format!("cannot read the secret file `{}`", path.display()))
                .because(e)
                .hint("check the path in `lifeboat.toml`, and that only you can read the file")
        })?,
        SecretRef::Command(argv) => from_command(argv)?,
    };
    let value = value.strip_suffix('\n').map_or(value.as_str(), |v| v.strip_suffix('\r').unwrap_or(v));
    if value.is_empty() {
        return Err(Error::input(format!("the secret in {} is empty", describe(reference))));
    }
    Ok(Secret::new(value))
}

fn from_command(argv: &[String]) -> Result<String> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(
            Error::input("the command that prints a secret is empty").hint("expected `[\"pass\", \"show\", \"key\"]`")
        );
    };
    let what = || format!("the command `{}` that prints a secret", escape(program));
    let mut command = Command::new(program);
    command.args(arguments);
    let printing = Subprocess::new(command).stderr(Stdio::inherit()).at_most(LONGEST);
    let output = printing.run().map_err(|e| e.explained(&what()))?;
    if !output.status.success() {
        return Err(Error::input(format!("{} failed: {}", what(), output.status)).hint("run the command by hand"));
    }
    // The error must not carry the bytes.
    String::from_utf8(output.stdout).map_err(|_| Error::input(format!("{} did not print text", what())))
}

/// What a reference names, for messages.
fn describe(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(name) => format!("environment variable `{}`", escape(name)),
        SecretRef::File(path) => format!("file `{}`", path.display()),
        SecretRef::Command(argv) => format!("the output of `{}`", escape(argv.first().map_or("", |a| a))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Secret> {
        resolve(&SecretRef::Command(vec!["sh".into(), "-c".into(), script.into()]))
    }

    #[test]
    fn one_final_line_end_is_taken_off() {
        assert_eq!(shell("printf 'a b\\n'").unwrap().expose(), "a b");
        assert_eq!(shell("printf ' a\\n\\n'").unwrap().expose(), " a\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\r\n").unwrap();
        assert_eq!(resolve(&SecretRef::File(file.path().into())).unwrap().expose(), "hunter2");
    }

    #[test]
    fn failures_do_not_show_the_secret() {
        let e = shell("echo hunter2; exit 3").unwrap_err();
        assert!(!e.report().contains("hunter2"), "{}", e.report());
        assert!(shell("printf 'hunter2\\377'").unwrap_err().report().find("hunter2").is_none());
        assert!(shell("true").unwrap_err().message().contains("empty"));
        assert!(resolve(&SecretRef::Env("LIFEBOAT_NO_SUCH_VARIABLE".into())).is_err());
        assert!(resolve(&SecretRef::File("/nonexistent/secret".into())).is_err());
        assert!(resolve(&SecretRef::Command(vec![])).is_err());
        assert!(shell("yes").unwrap_err().message().contains("printed more than 1024 KiB"));
    }
}
