//! Questions on a terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::progress;
use crate::error::{Context as _, Error, Result};
use crate::model::escape;

/// How often a wrong answer is asked again.
const TRIES: usize = 3;

/// Asks until one word was typed, which `what` describes; `otherwise` is the option that spares the question, `not` what a refusal says.
///
/// # Errors
/// No terminal; no answer, or only other ones.
pub(super) fn for_word(what: &str, word: &str, purpose: &str, (otherwise, not): (&str, &str)) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::input("there is no terminal to ask on")
            .hint(format!("look at the review above, then add `{otherwise}`")));
    }
    progress::suspended(|| {
        say(&format!("\ntype {what}, `{word}`, {purpose}: "))?;
        for left in (0..TRIES).rev() {
            let mut answer = String::new();
            let read = std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
            match answer.trim() {
                given if given == word => return Ok(()),
                _ if read == 0 => {
                    say("\n")?;
                    return Err(Error::input(format!("{not}: there was no answer, expected {what}, `{word}`")));
                }
                given if left > 0 => {
                    say(&format!("that was `{}`; expected {what}, `{word}` (Ctrl-C stops: {not}): ", escape(given)))?
                }
                given => {
                    let given = escape(given);
                    return Err(Error::input(format!("{not}: expected {what}, `{word}`, not `{given}`"))
                        .hint("nothing was done; run the same command again"));
                }
            }
        }
        Ok(())
    })
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stderr().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to the terminal")
}
