//! Imports a patch series: from mailbox files, or from a branch of a private remote.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::is_address;
use super::apply::Order;
use super::commit::When;
use super::program::{Call, Configuration, GitProgram};
use super::timeouts::STILL;
use super::{apply, find_commit, from_oid, git_error, mail, names, private, to_oid};
use crate::effects::{PrivateRepo, full};
use crate::error::{Context as _, Error, Result};
use crate::formats::git_diff;
use crate::formats::series::{Patch, Series};
use crate::model::{BranchName, Ident, Oid, escape};

/// How long a private remote may take to send one branch.
const FETCH: Duration = Duration::from_secs(600);

/// Reads a series from a directory of `*.patch`, `*.mbox` and `*.eml` files, sorted by name, or from one mailbox file. A
/// directory holds nothing else but hidden files and a README: a mail that is passed over would be half a fix.
///
/// Mails are read as `git am` reads them: encodings, folded subjects, in-body `From:` and CRLF are understood,
/// `[PATCH 1/2]` is dropped from subjects and any other bracket kept (`git mailinfo -b`). `scratch` is a directory, private
/// to the user, for intermediate files; they are removed.
///
/// # Errors
/// No mail there; what is not a mail by its name, or no file; numbers in another order than the names; a mail without author,
/// date or change; what git cannot read.
pub fn from_mailbox(program: &GitProgram, path: &Path, scratch: &Path) -> Result<Series> {
    noting_mailbox(program, path, scratch).map(|(series, _)| series)
}

/// As [`from_mailbox`]; with the numbers that the mails' subjects say there are and that no mail has (`2/3, 3/3`).
pub(crate) fn noting_mailbox(program: &GitProgram, path: &Path, scratch: &Path) -> Result<(Series, Option<String>)> {
    let files = mail_files(path)?;
    make_dir(scratch)?;
    // Removed at the end: it holds embargoed patches.
    let work =
        tempfile::Builder::new().prefix("mail-").permissions(fs::Permissions::from_mode(0o700)).tempdir_in(scratch);
    let work = work.context(format!("cannot create a directory in `{}`", scratch.display()))?;
    let mut patches = Vec::new();
    let mut numbers = Vec::new();
    for (n, file) in files.iter().enumerate() {
        let name = file.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = fs::read(file).context(format!("cannot read `{}`", file.display()))?;
        if bytes.trim_ascii().is_empty() {
            return Err(Error::input(format!("patch `{}` is empty", escape(&file.display().to_string())))
                .hint("make it again with `git format-patch --binary`, or take it out of the directory"));
        }
        if let Some(encoding) = mail::wide_encoding(&bytes) {
            return Err(Error::input(format!("patch `{}` is {encoding} text, no mail", escape(&file.display().to_string())))
                .hint("let git write the file itself, `git format-patch --binary -o DIR BASE..HEAD`: `>` of PowerShell makes UTF-16"));
        }
        let bytes = mail::without_mark(&bytes).to_vec();
        let bytes = if mail::is_wire_form(&bytes) { mail::without_cr(&bytes) } else { bytes };
        let dir = work.path().join(n.to_string());
        make_dir(&dir)?;
        let mails = split(program, &dir, &name, bytes)?;
        let several = mails.len() > 1;
        for (m, mail) in mails.iter().enumerate() {
            let origin = if several { format!("{name}#{}", m + 1) } else { name.clone() };
            numbers.extend(mail::number(mail));
            if !mail::is_cover_letter(mail) {
                patches.push(patch(program, &dir, &origin, mail)?);
            }
        }
    }
    if patches.is_empty() {
        return Err(Error::input(format!("`{}` holds no patches", path.display()))
            .hint("make them with `git format-patch --binary -o <directory> <base>..<head>`"));
    }
    Ok((Series { format: 1, patches }, mail::lacks(&numbers)))
}

/// Files of a mailbox directory, sorted by name; or the one file.
fn mail_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        if path.is_file() {
            return Ok(vec![path.to_owned()]);
        }
        return Err(Error::input(format!("there is no patch file or directory `{}`", path.display()))
            .hint("check the train file's `patches`"));
    }
    let what = || format!("cannot list `{}`", path.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(path).context(what())? {
        let name = entry.context(what())?.file_name().to_string_lossy().into_owned();
        if names::is_beside(&name) {
            continue;
        }
        let is_file = path.join(&name).is_file();
        if !names::is_mail(&name) || !is_file {
            let kind = if is_file { "not a mail by its name" } else { "not a plain file" };
            let place = escape(&path.display().to_string());
            return Err(Error::input(format!("`{}` in the patch directory `{place}` is {kind}", escape(&name)))
                .detail("nothing there is passed over: it could be half of the fix")
                .hint("name each patch `*.patch`, `*.mbox` or `*.eml`, and move all else out of the directory"));
        }
        names.push(name);
    }
    names.sort();
    if let Some((first, second)) = names::out_of_order(&names) {
        let (first, second) = (escape(first), escape(second));
        return Err(Error::input(format!("`{first}` would be applied before `{second}`: patches go by their names"))
            .detail(format!("directory: {}", escape(&path.display().to_string())))
            .hint("give the numbers as many digits, as `git format-patch` does: `0009-…`, `0010-…`"));
    }
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}

/// Splits a mailbox into mails.
fn split(program: &GitProgram, dir: &Path, name: &str, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
    let what = format!("cannot split mailbox `{}`", escape(name));
    let input = dir.join("mailbox");
    write(&input, &bytes)?;
    // `-b`: a file that begins without a `From ` line is one mail, as mail programs save it.
    program
        .call(Configuration::Private)
        .directory(dir)
        .args(["mailsplit", "-d4", "-b", "--keep-cr", "-o.", "--", "mailbox"])
        .run()?
        .checked(&what)?;
    was_room(dir, bytes.len())?;
    let mut out = Vec::new();
    for n in 1.. {
        let file = dir.join(format!("{n:04}"));
        if !file.exists() {
            break;
        }
        out.push(fs::read(&file).context(&what)?);
    }
    Ok(out)
}

/// Makes sure that git had room for files of `len` bytes in `dir`: on a full disk `mailsplit` and `mailinfo` leave files
/// that are cut, and succeed.
fn was_room(dir: &Path, len: usize) -> Result<()> {
    /// Two files that each begin another block may take this much more.
    const BLOCKS: usize = 16 * 1024;
    let file = dir.join("room");
    let written = fs::File::create_new(&file).and_then(|mut f| {
        f.write_all(&vec![0; len + BLOCKS])?;
        f.sync_data()
    });
    let removed = fs::remove_file(&file);
    let written = written.map_err(|e| full(&file, len + BLOCKS, e));
    written.and(removed).context(format!("cannot write in `{}`", dir.display()))
}

fn patch(program: &GitProgram, dir: &Path, origin: &str, mail: &[u8]) -> Result<Patch> {
    let what = format!("cannot read patch `{}`", escape(origin));
    let out = program
        .call(Configuration::Private)
        .directory(dir)
        .args(["mailinfo", "-b", "--encoding=UTF-8", "--quoted-cr=nowarn", "--no-scissors", "message", "change"])
        .input(mail.to_vec())
        .run()?
        .checked(&what)?;
    was_room(dir, mail.len())?;
    let info = mail::info(&String::from_utf8_lossy(&out));
    let body = fs::read(dir.join("message")).context(&what)?;
    let diff = mail::diff(&fs::read(dir.join("change")).context(&what)?);
    let diff = diff.and_then(|diff| mail::no_submodule_in_words(&body).map(|()| diff)).map_err(|e| e.context(&what))?;
    for (value, field) in
        [(&info.author, "author"), (&info.email, "author's address"), (&info.date, "date"), (&info.subject, "subject")]
    {
        if value.trim().is_empty() {
            return Err(Error::input(format!("{what}: the mail has no {field}"))
                .hint("give patches as `git format-patch` writes them"));
        }
    }
    if diff.is_empty() {
        return Err(Error::input(format!("{what}: the mail holds no change"))
            .hint("take it out, or give the series as a branch of a private remote, where empty commits are kept"));
    }
    let (author, time, offset) = author(program, &info, &what)?;
    let message = mail::message(&info.subject, &String::from_utf8_lossy(&body));
    Ok(Patch { origin: origin.to_owned(), author, time, offset, message, diff })
}

/// The author line that git makes of these fields; git's own reader of dates knows every form that mails have.
fn author(program: &GitProgram, info: &mail::MailInfo, what: &str) -> Result<(Ident, i64, i32)> {
    let line = program
        .call(Configuration::Private)
        .variable("GIT_AUTHOR_NAME", &info.author)
        .variable("GIT_AUTHOR_EMAIL", &info.email)
        .variable("GIT_AUTHOR_DATE", &info.date)
        .args(["var", "GIT_AUTHOR_IDENT"])
        .run()?;
    if !line.succeeded() && line.code.is_some() {
        // Nothing but these three fields came from outside.
        let said = line.failure(what);
        return Err(Error::input(said.message())
            .detail(format!("author: {} <{}>", escape(&info.author), escape(&info.email)))
            .detail(format!("date: {}", escape(&info.date)))
            .hint("fix the mail's `From:` and `Date:`; a date is `Tue, 24 Feb 2026 10:00:00 -0600`"));
    }
    let line = line.checked(what)?;
    signature(&line).ok_or_else(|| {
        Error::input(format!("{what}: git makes the author `{}` of it", escape(&String::from_utf8_lossy(&line))))
    })
}

/// Reads `Name <address> seconds +hhmm`, the form of commits, without changing a byte of the name.
fn signature(line: &[u8]) -> Option<(Ident, i64, i32)> {
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\n');
    let (who, when) = line.rsplit_once("> ")?;
    let (name, email) = who.split_once('<')?;
    let name = name.strip_suffix(' ').unwrap_or(name);
    let (seconds, zone) = when.split_once(' ')?;
    let digits = zone.strip_prefix(['+', '-']).filter(|d| d.len() == 4)?;
    let minutes = digits[..2].parse::<i32>().ok()? * 60 + digits[2..].parse::<i32>().ok()?;
    let offset = if zone.starts_with('-') { -minutes } else { minutes };
    Some((Ident { name: name.to_owned(), email: email.to_owned() }, seconds.parse().ok()?, offset))
}

/// Fetches `branch` of the private remote `url` into the private repository, with the user's own git and credentials, and
/// takes the commits that `base` does not have, oldest first. The user's repository is not written to.
///
/// # Errors
/// [`crate::error::ErrorKind::Unreachable`] after ten minutes; a merge among the commits; no commit in common.
pub fn from_remote(
    program: &GitProgram,
    repo: &PrivateRepo,
    url: &str,
    branch: &BranchName,
    base: &Oid,
) -> Result<Series> {
    if !is_address(url) {
        return Err(Error::input(format!("`{}` is not a valid remote address", escape(url)))
            .hint("expected what `git fetch` takes; a password belongs into a credential helper"));
    }
    let what = format!("cannot fetch branch `{branch}` of the private remote");
    let target = format!("refs/series/{branch}");
    program
        .call(Configuration::User)
        .repository(&repo.dir)
        .deadline(FETCH)
        .still(STILL)
        .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"])
        .args(["--recurse-submodules=no", "--no-show-forced-updates", "--"])
        .args([url.to_owned(), format!("+refs/heads/{branch}:{target}")])
        .run()?
        .checked(&what)
        .map_err(|e| e.hint(format!("try `git ls-remote -- <url> refs/heads/{branch}`")))?;
    let opened = private::open(repo)?;
    let head = opened.refname_to_id(&target).map_err(|e| git_error(&what, e))?;
    let result = between(program, repo, base, &to_oid(head), &format!("branch `{branch}` of the private remote"));
    // The ref has done its work; the objects stay in the cache.
    private::remove_file(&repo.dir.join(&target))?;
    result
}

/// The commits that `head` has and `base` does not have, as a series.
///
/// # Errors
/// A merge among them, or no commit in common.
pub fn between(program: &GitProgram, repo: &PrivateRepo, base: &Oid, head: &Oid, what: &str) -> Result<Series> {
    let opened = private::open(repo)?;
    let call = || program.call(Configuration::Private).repository(&repo.dir);
    // Either is an object id, so neither can be taken for an option.
    let start = call().args(["merge-base", base.as_str(), head.as_str()]).run()?;
    if !start.succeeded() {
        return Err(Error::input(format!("{what} has no commit in common with `{base}`"))
            .hint("the private branch must start from a commit of the release branch"));
    }
    let listed = call()
        .args(["rev-list", "--reverse", "--topo-order", "--parents", head.as_str(), &format!("^{base}")])
        .run()?
        .checked(&format!("cannot list the commits of {what}"))?;
    let mut patches = Vec::new();
    for line in String::from_utf8_lossy(&listed).lines() {
        let mut ids = line.split(' ');
        let commit: Oid = ids.next().unwrap_or_default().parse()?;
        if ids.count() != 1 {
            return Err(Error::input(format!("{what} has the merge or root commit `{commit}`"))
                .hint(format!("make it a straight line of commits: `git rebase {base}`")));
        }
        patches.push(commit_patch(call(), &opened, &commit)?);
    }
    if patches.is_empty() {
        return Err(Error::input(format!("{what} has no commits that the release branch lacks"))
            .detail(format!("head: {head}"))
            .hint("push the fix there, or give `patches`"));
    }
    Ok(Series { format: 1, patches })
}

/// Makes a series stand alone: each change is applied to `base` and written down anew against what is really there, with
/// full object ids. What is pinned this way gives the same commits on every machine, also where the commits on which the
/// patches were made are not at hand. Origins, authors, dates and messages stay.
///
/// # Errors
/// A patch that does not apply: names the patch, file, line and hunk.
pub fn on_base(program: &GitProgram, repo: &PrivateRepo, base: &Oid, series: &Series) -> Result<Series> {
    let by = |patch: &Patch| (patch.author.clone(), When { seconds: patch.time, offset: patch.offset });
    let commits = apply::commit_each(program, repo, base, series, Order::MergeFirst, &by)?;
    let mut patches = series.patches.clone();
    for (patch, commit) in patches.iter_mut().zip(&commits) {
        let made = diff(program.call(Configuration::Private).repository(&repo.dir), commit)?;
        apply::touches_no_more(patch, &git_diff::paths(&made)?)?;
        patch.diff = made;
    }
    Ok(Series { format: series.format, patches })
}

fn diff(call: Call<'_>, commit: &Oid) -> Result<Vec<u8>> {
    call.args(["diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv"])
        .args(["--no-commit-id", "--no-color", "--diff-algorithm=histogram", "-U3", "--ignore-submodules=none"])
        .args(["--src-prefix=a/", "--dst-prefix=b/", commit.as_str()])
        .run()?
        .checked(&format!("cannot read the change of commit `{commit}`"))
}

fn commit_patch(call: Call<'_>, repo: &git2::Repository, id: &Oid) -> Result<Patch> {
    let what = format!("cannot read commit `{id}`");
    let commit = find_commit(repo, id)?;
    let encoding = commit.message_encoding().ok().flatten().unwrap_or("UTF-8").to_owned();
    let not_utf8 = || {
        Error::input(format!("{what}: its author or message is not UTF-8 (encoding `{}`)", escape(&encoding)))
            .hint("write it again with `git commit --amend`")
    };
    if !encoding.eq_ignore_ascii_case("utf-8") && !encoding.eq_ignore_ascii_case("utf8") {
        return Err(not_utf8());
    }
    // The raw bytes: libgit2's own reader of names drops dots and quotes at their ends.
    let odb = repo.odb().map_err(|e| git_error(&what, e))?;
    let object = odb.read(from_oid(id)?).map_err(|e| git_error(&what, e))?;
    let (header, message) = parts(object.data()).ok_or_else(|| Error::input(format!("{what}: it has no message")))?;
    let line = header
        .split(|c| *c == b'\n')
        .find_map(|l| l.strip_prefix(b"author "))
        .ok_or_else(|| Error::input(format!("{what}: it has no author")))?;
    let (author, time, offset) = signature(line).ok_or_else(not_utf8)?;
    let message = std::str::from_utf8(message).map_err(|_| not_utf8())?.to_owned();
    Ok(Patch { origin: id.to_string(), author, time, offset, message, diff: diff(call, id)? })
}

/// A commit's header and message.
fn parts(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = content.windows(2).position(|w| w == b"\n\n")?;
    Some((&content[..at], &content[at + 2..]))
}

fn make_dir(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| full(dir, 1, e)).context(format!("cannot create directory `{}`", dir.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let what = || format!("cannot write `{}`", path.display());
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.map_err(|e| full(path, bytes.len(), e)).context(what())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_taken_byte_for_byte() {
        let (who, time, offset) = signature(b"A. U. Thor, Jr. <a@example.org> 1700000000 -0930").unwrap();
        assert_eq!((who.name.as_str(), who.email.as_str()), ("A. U. Thor, Jr.", "a@example.org"));
        assert_eq!((time, offset), (1_700_000_000, -570));
        assert!(signature(b"x <y> now").is_none());
    }
}
