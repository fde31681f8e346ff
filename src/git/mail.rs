//! What `git mailsplit` and `git mailinfo` leave, put together as `git am` does, but whole or not at all; pure.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::formats::git_diff::{self, FileChange};

/// The fields that `git mailinfo` prints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MailInfo {
    pub(super) author: String,
    pub(super) email: String,
    pub(super) subject: String,
    pub(super) date: String,
}

/// Reads `Author: …`, `Email: …`, `Subject: …`, `Date: …`.
pub(super) fn info(text: &str) -> MailInfo {
    let mut out = MailInfo::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(": ") else { continue };
        match key {
            "Author" => value.clone_into(&mut out.author),
            "Email" => value.clone_into(&mut out.email),
            "Subject" => value.clone_into(&mut out.subject),
            "Date" => value.clone_into(&mut out.date),
            _ => {}
        }
    }
    out
}

/// Subject and body as one message, cleaned up as `git stripspace` does: no blanks at line ends, no empty lines at either
/// end, at most one between paragraphs, one line end last.
pub(super) fn message(subject: &str, body: &str) -> String {
    let mut out = String::new();
    let mut empty = 0;
    for line in format!("{subject}\n\n{body}").lines() {
        let line = line.trim_end_matches([' ', '\t', '\r', '\x0b', '\x0c']);
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if empty > 0 && !out.is_empty() {
            out.push('\n');
        }
        empty = 0;
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// The change within what `git mailinfo` took for the patch: without the diffstat above and the mail signature below.
///
/// # Errors
/// What is not the whole change and nothing else: a message that was cut at a line that looks like a patch, a change that was
/// cut, text between the changes of two files, a diffstat that counts otherwise.
pub(super) fn diff(patch: &[u8]) -> Result<Vec<u8>> {
    let lines: Vec<&[u8]> = patch.split_inclusive(|c| *c == b'\n').collect();
    let first = (0..lines.len()).find(|n| git_diff::begins(lines[*n], lines.get(n + 1).copied()));
    let (head, body) = lines.split_at(first.unwrap_or(lines.len()));
    let separated = above(head)?;
    if body.is_empty() {
        return Ok(Vec::new());
    }
    // A mail transport that turned every line end into CRLF did so on its own; a patch to a file with CRLF has both.
    let all_crlf = body.iter().all(|l| l.ends_with(b"\r\n"));
    let body = if all_crlf { without_cr(&body.concat()) } else { body.concat() };
    let change = git_diff::read(&body)?;
    let closed = below(change.rest)?;
    if change.spaced && !separated {
        return Err(Error::input(
            "empty lines stand between the changes of two files, and no line `---` is above them",
        )
        .detail("one of them may be a quotation in the commit message")
        .hint("indent what the commit message quotes, or make the patch again with `git format-patch --binary`"));
    }
    // The diffstat vouches for the end as a signature does.
    let counted = Stat::of(head).map_or(Ok(false), |stat| stat.agrees(&change.files))?;
    match change.files.last().filter(|f| f.open && !closed && !counted) {
        None => Ok(body[..change.end].to_vec()),
        Some(file) => Err(Error::input(format!(
            "nothing says whether the change of `{}` ends where the mail does",
            git_diff::shown(file.path())
        ))
        .hint("make it again with `git format-patch --binary`, which ends each mail with a signature")),
    }
}

/// A line that says a submodule's move in words, as `diff.submodule = log` lets git write it: it changes nothing.
pub(super) fn submodule_in_words(text: &[u8]) -> Option<&[u8]> {
    text.split(|c| *c == b'\n').find(|line| {
        let line = String::from_utf8_lossy(line);
        let range = line.strip_prefix("Submodule ").and_then(|l| l.split(' ').rev().find(|w| w.contains("..")));
        range.is_some_and(|range| {
            let (old, new) = range.trim_end_matches(':').split_once("..").unwrap_or_default();
            let new = new.trim_start_matches('.');
            [old, new].iter().all(|id| id.len() >= 7 && id.bytes().all(|c| c.is_ascii_hexdigit()))
        })
    })
}

/// Refuses a move of a submodule that is there in words alone.
pub(super) fn no_submodule_in_words(text: &[u8]) -> Result<()> {
    let Some(line) = submodule_in_words(text) else { return Ok(()) };
    Err(Error::input(format!("a submodule moves in words alone: `{}`", git_diff::shown(line)))
        .hint("make it again with `git -c diff.submodule=short format-patch --binary`"))
}

/// Looks at what stands above the change: nothing, or what follows the line `---`. Returns whether that line is there.
fn above(head: &[&[u8]]) -> Result<bool> {
    let bare = |line: &&&[u8]| line.trim_ascii_end() == b"---";
    no_submodule_in_words(&head.concat())?;
    match head.iter().find(|l| !l.trim_ascii().is_empty()) {
        None => return Ok(false),
        Some(line) if line.trim_ascii_end() != b"---" => {
            return Err(Error::input(format!(
                "the commit message ends at its line `{}`, which looks like the start of a patch",
                git_diff::shown(line)
            ))
            .hint("indent that line in the commit message, or give the series as a branch of a private remote"));
        }
        Some(_) => {}
    }
    if head.iter().filter(bare).count() > 1 {
        return Err(Error::input("two lines `---` stand above the change: which of them ends the commit message?")
            .hint("indent the one in the commit message, or give the series as a branch of a private remote"));
    }
    Ok(true)
}

/// Looks at what stands below the change: a mail signature, and what git and its helpers write there. Returns whether
/// anything does.
fn below(rest: &[u8]) -> Result<bool> {
    const KNOWN: [&str; 7] = [
        "base-commit: ",
        "prerequisite-patch-id: ",
        "prerequisite-message-id: ",
        "prerequisite-change-id: ",
        "change-id: ",
        "Best regards,",
        "---",
    ];
    no_submodule_in_words(rest)?;
    let lines: Vec<&[u8]> = rest.split(|c| *c == b'\n').collect();
    let signature = lines.iter().position(|l| matches!(l.trim_ascii_end(), b"--") && l.len() < 5);
    let (own, signed) = lines.split_at(signature.unwrap_or(lines.len()));
    let known =
        |l: &[u8]| KNOWN.iter().any(|k| l.starts_with(k.as_bytes()) && (*k != "---" || l.trim_ascii_end() == b"---"));
    let text = own.iter().find(|l| !l.trim_ascii().is_empty() && !known(l));
    let more = |n: &usize| git_diff::begins(lines[*n], lines.get(n + 1).copied()) || lines[*n].starts_with(b"@@ -");
    let again = (0..lines.len()).find(more);
    match (text, again) {
        (None, None) => Ok(!signed.is_empty() || own.iter().any(|l| known(l))),
        (Some(line), None) => {
            Err(Error::input(format!("a line below the change is not part of it: `{}`", git_diff::shown(line)))
                .detail("it may be what is left of the change of another file")
                .hint(git_diff::AGAIN))
        }
        (text, Some(again)) => {
            let line = text.copied().unwrap_or(lines[again]);
            Err(Error::input(format!("text stands between the changes of two files: `{}`", git_diff::shown(line)))
                .detail("what git does not understand it leaves out; and a diff in the commit message it applies")
                .hint("make it again with `git format-patch --binary`; indent what the commit message quotes"))
        }
    }
}

/// What a diffstat counts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stat {
    /// The files that it lists, unless it says that it lists some of them.
    listed: Option<u64>,
    /// Whether it has one of them as binary.
    binary: bool,
    /// Its last line: files, insertions, deletions.
    sum: Option<(u64, u64, u64)>,
}

impl Stat {
    /// The diffstat above a change, if there is one.
    fn of(head: &[&[u8]]) -> Option<Self> {
        let mut stat = Self::default();
        let mut some = false;
        for line in head {
            let line = String::from_utf8_lossy(line);
            let line = line.trim_end();
            if let Some(sum) = sum(line) {
                // The last one counts: a person may quote one of an earlier patch.
                stat.sum = Some(sum);
            } else if let Some(count) = line.strip_prefix(' ').and_then(|l| l.rsplit_once(" | ")).map(|(_, c)| c.trim())
            {
                let graph = count.trim_start_matches(|c: char| c.is_ascii_digit());
                let binary = count == "Bin" || count.starts_with("Bin ");
                if binary || (graph.len() < count.len() && graph.chars().all(|c| matches!(c, ' ' | '+' | '-'))) {
                    stat.listed = Some(stat.listed.unwrap_or(0) + 1);
                    stat.binary |= binary;
                }
            } else if line == " ..." {
                some = true;
            }
        }
        if some {
            stat.listed = None;
        }
        (stat.sum.is_some() || stat.listed.is_some()).then_some(stat)
    }

    /// Whether every file and line was counted, and fits.
    ///
    /// # Errors
    /// It counts otherwise.
    fn agrees(&self, files: &[FileChange]) -> Result<bool> {
        // A file that becomes a link, or the other way round, is removed and created: two changes, one line of the diffstat.
        let paths: BTreeSet<&[u8]> = files.iter().map(FileChange::path).collect();
        let (count, added, removed) = (
            paths.len() as u64,
            files.iter().map(|f| f.added).sum::<u64>(),
            files.iter().map(|f| f.removed).sum::<u64>(),
        );
        let hint = git_diff::AGAIN;
        let wanted = self.sum.map(|(files, _, _)| files).or(self.listed).unwrap_or(count);
        if wanted != count {
            return Err(
                Error::input(format!("its diffstat counts {wanted} files, and its change is of {count}")).hint(hint)
            );
        }
        let binary = files.iter().any(|f| f.binary);
        // Git counts the lines of a replaced type otherwise, and none of a binary file that it writes as text.
        if paths.len() < files.len() || self.binary && !binary {
            return Ok(false);
        }
        match self.sum {
            Some((_, plus, minus)) if (plus, minus) != (added, removed) => Err(Error::input(format!(
                "its diffstat counts {plus} insertions and {minus} deletions, and its change has {added} and {removed}"
            ))
            .hint(hint)),
            sum => Ok(sum.is_some()),
        }
    }
}

/// ` 2 files changed, 3 insertions(+), 1 deletion(-)`.
fn sum(line: &str) -> Option<(u64, u64, u64)> {
    let line = line.strip_prefix(' ').unwrap_or(line);
    let mut parts = line.split(", ");
    let count = |part: &str, ends: [&str; 2]| {
        let (n, what) = part.split_once(' ')?;
        ends.contains(&what).then(|| n.parse::<u64>().ok()).flatten()
    };
    let files = count(parts.next()?, ["file changed", "files changed"])?;
    let (mut plus, mut minus) = (0, 0);
    for part in parts {
        if let Some(n) = count(part, ["insertion(+)", "insertions(+)"]) {
            plus = n;
        } else {
            minus = count(part, ["deletion(-)", "deletions(-)"])?;
        }
    }
    Some((files, plus, minus))
}

/// Drops the CR of each CRLF.
pub(super) fn without_cr(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|c| *c == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// The encoding of a file whose text is not in bytes: what `>` of some shells writes.
pub(super) fn wide_encoding(file: &[u8]) -> Option<&'static str> {
    // Every header is ASCII, so every other byte would be zero.
    let zeros = |from: usize| file.len() > 3 && file.iter().skip(from).step_by(2).take(16).all(|c| *c == 0);
    match file {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ if zeros(0) || zeros(1) => Some("UTF-16"),
        _ => None,
    }
}

/// Without the byte order mark that some editors put before UTF-8.
pub(super) fn without_mark(file: &[u8]) -> &[u8] {
    file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file)
}

/// Whether every line of a mail ends with CRLF, as it does when a mail program saved it in the form of the wire.
pub(super) fn is_wire_form(mail: &[u8]) -> bool {
    mail.contains(&b'\n') && mail.split_inclusive(|c| *c == b'\n').all(|l| l.ends_with(b"\r\n") || !l.ends_with(b"\n"))
}

/// The number of a mail and of all mails of its series, as its subject says: `[PATCH 2/3]`.
pub(super) fn number(mail: &[u8]) -> Option<(u32, u32)> {
    let head = mail.split(|c| *c == b'\n').take_while(|l| !l.trim_ascii().is_empty());
    let subject = head
        .map(|l| String::from_utf8_lossy(l).into_owned())
        .find(|l| l.to_ascii_lowercase().starts_with("subject:"))?;
    let brackets = subject.split('[').skip(1).filter_map(|p| p.split_once(']').map(|(inside, _)| inside));
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    brackets.filter(|inside| inside.contains("PATCH")).find_map(|inside| {
        inside.split_whitespace().find_map(|w| w.split_once('/').and_then(|(n, of)| Some((digits(n)?, digits(of)?))))
    })
}

/// Whether this is the letter `[PATCH 0/3]` that introduces a series.
pub(super) fn is_cover_letter(mail: &[u8]) -> bool {
    number(mail).is_some_and(|(n, _)| n == 0)
}

/// The numbers that a series of mails lacks, in words; none if it has all, or if the mails are of several series.
pub(super) fn lacks(numbers: &[(u32, u32)]) -> Option<String> {
    /// A number that no series has: whoever writes it means something else.
    const MOST: u32 = 1000;
    let of = numbers.first()?.1;
    if of > MOST || numbers.iter().any(|(n, m)| *m != of || *n > of) {
        return None;
    }
    let missing: Vec<String> =
        (1..=of).filter(|n| numbers.iter().all(|(there, _)| there != n)).map(|n| format!("{n}/{of}")).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

#[cfg(test)]
#[path = "mail_tests.rs"]
mod tests;
