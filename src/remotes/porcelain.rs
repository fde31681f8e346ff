//! Reads what git prints about remotes: `ls-remote`, `push --porcelain` and the messages on stderr; pure.

use crate::error::{Error, ErrorKind, Part, Result};
use crate::git::GitOutput;
use crate::model::{Oid, RemoteName, escape};

/// A line of `git push --porcelain`: `<flag> TAB <from>:<to> TAB <summary> (<reason>)`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RefResult {
    flag: char,
    /// The remote's ref.
    pub(super) name: String,
    /// `[rejected] (non-fast-forward)`, for people.
    summary: String,
}

impl RefResult {
    /// Whether the remote has our object now.
    pub(super) fn accepted(&self) -> bool {
        matches!(self.flag, ' ' | '*' | '=')
    }
}

/// The result for each ref.
pub(super) fn results(stdout: &[u8]) -> Vec<RefResult> {
    let text = String::from_utf8_lossy(stdout);
    let line = |line: &str| {
        let mut fields = line.splitn(3, '\t');
        let (flag, spec, summary) = (fields.next()?, fields.next()?, fields.next()?);
        let mut flags = flag.chars();
        let (Some(flag), None) = (flags.next(), flags.next()) else { return None };
        Some(RefResult { flag, name: spec.split_once(':')?.1.to_owned(), summary: summary.to_owned() })
    };
    text.lines().filter_map(line).collect()
}

/// The objects of exactly these refs; `git ls-remote` lists every ref whose end fits as well.
pub(super) fn refs(stdout: &[u8], wanted: &[String]) -> Result<Vec<Option<Oid>>> {
    let text = String::from_utf8_lossy(stdout);
    let listed: Vec<(&str, &str)> = text.lines().filter_map(|l| l.split_once('\t')).collect();
    wanted
        .iter()
        .map(|name| {
            let found = listed.iter().find(|(_, n)| n == name);
            found.map(|(oid, _)| oid.parse::<Oid>().map_err(Error::from)).transpose()
        })
        .collect()
}

/// What kind of failure a message of git, ssh, curl or a server reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Unreachable,
    Denied,
    Moved,
    NotAtomic,
    NotThere,
    Unknown,
}

/// Parts of messages as git 2.30 to 2.47, OpenSSH 8 to 9 and curl write them in the C locale, in the order in which they
/// decide: "denied" comes before "the remote end hung up", which follows any refusal.
const MESSAGES: &[(Said, &[&str])] = &[
    // GitHub's own words in an outage, which come as a rejection of every ref.
    (Said::Unreachable, &["(Internal Server Error)", "fatal error in commit_refs"]),
    (Said::NotAtomic, &["does not support --atomic", "not support atomic", "dumb http transport does not support"]),
    (
        Said::Moved,
        &[
            "non-fast-forward",
            "fetch first",
            "already exists",
            "stale info",
            "needs force",
            "incorrect old value",
            "reference already exists",
            "cannot lock ref",
            "would clobber existing tag",
        ],
    ),
    (
        Said::Denied,
        &[
            "Permission denied (",
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "returned error: 401",
            "returned error: 403",
            "Host key verification failed",
            "[remote rejected]",
            "terminal prompts disabled",
            "insufficient permission",
            "access denied",
            "Access denied",
            "not allowed",
        ],
    ),
    (
        Said::Unreachable,
        &[
            "Could not resolve host",
            "Temporary failure in name resolution",
            "Name or service not known",
            "Connection refused",
            "Connection timed out",
            "Operation timed out",
            "Operation too slow",
            "timed out",
            "not responding",
            "No route to host",
            "Network is unreachable",
            "Failed to connect",
            "Couldn't connect",
            "Connection reset",
            "Connection closed",
            "kex_exchange_identification",
            "returned error: 5",
            "returned error: 429",
            "Empty reply from server",
            "early EOF",
            "unable to connect",
            "SSL_ERROR_SYSCALL",
            "Recv failure",
            "Send failure",
            "unexpected disconnect",
        ],
    ),
    (
        Said::NotThere,
        &[
            "does not appear to be a git repository",
            "Repository not found",
            "not found",
            "returned error: 404",
            "does not exist",
            "No such file or directory",
        ],
    ),
    (Said::Unreachable, &["the remote end hung up", "Could not read from remote repository"]),
];

fn classify(text: &str) -> Said {
    let says = |parts: &[&str]| parts.iter().any(|p| text.contains(p));
    MESSAGES.iter().find(|(_, parts)| says(parts)).map_or(Said::Unknown, |(said, _)| *said)
}

/// The error of a call that failed.
pub(super) fn failure(remote: &RemoteName, out: &GitOutput, results: &[RefResult]) -> Error {
    // With --atomic the innocent refs are rejected along with the guilty one; only that one says the reason.
    let guilty: Vec<&RefResult> =
        results.iter().filter(|r| !r.accepted() && !r.summary.contains("atomic push fail")).collect();
    let said = match guilty.first() {
        Some(r) => match classify(&r.summary) {
            Said::Unknown => Said::Denied,
            said => said,
        },
        None => classify(&out.stderr),
    };
    let (kind, message, hint) = match said {
        Said::Unreachable => (
            ErrorKind::Unreachable,
            "cannot be reached",
            "deferrable steps wait for it: run the same command again when it is back",
        ),
        Said::Denied => (
            ErrorKind::Fatal,
            "refused us",
            "check the credentials or the ssh agent, and the remote's rules for branches and tags",
        ),
        Said::Moved => (
            ErrorKind::Conflict,
            "has moved on and refused the push",
            "nothing was pushed; look at what was pushed there, then plan the line again on the branch as it is now",
        ),
        Said::NotAtomic => (
            ErrorKind::Fatal,
            "cannot take all refs or none (`push --atomic`)",
            "use a remote that can: git's own server over ssh or https, or a path",
        ),
        Said::NotThere => (ErrorKind::Fatal, "has no such repository", "check the remote's `url` with `git ls-remote`"),
        Said::Unknown => (ErrorKind::Fatal, "failed", "try the same address with `git ls-remote`"),
    };
    // A deferred step keeps this message alone.
    let why = out.stderr.lines().find(|l| kind == ErrorKind::Unreachable && classify(l) == said);
    let why = why.map_or_else(String::new, |l| format!(": {}", escape(&without_password(l.trim()))));
    let mut e = Error::new(kind, format!("remote `{remote}` {message}{why}")).of(Part::Git);
    for r in guilty {
        e = e.detail(format!("{}: {}", escape(&r.name), escape(&r.summary)));
    }
    for line in out.stderr.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("hint:")).take(12) {
        e = e.detail(format!("git: {}", escape(&without_password(line))));
    }
    e.hint(hint)
}

/// An address may carry a password (`https://user:secret@host/`); what is printed must not.
fn without_password(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c == '/' || c == '\'' || c.is_whitespace()).unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(at) => {
                out.push('…');
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stderr: &str) -> GitOutput {
        GitOutput::failed("push", 1, stderr)
    }

    fn kind(stderr: &str) -> ErrorKind {
        failure(&RemoteName::new("origin").unwrap(), &output(stderr), &[]).kind()
    }

    #[test]
    fn messages_of_the_field() {
        for (stderr, want) in [
            (
                "ssh: Could not resolve hostname github.com: Temporary failure in name resolution\nfatal: Could not read from remote repository.",
                ErrorKind::Unreachable,
            ),
            (
                "fatal: unable to access 'https://github.com/a/b/': Failed to connect to github.com port 443 after 3 ms: Couldn't connect to server",
                ErrorKind::Unreachable,
            ),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 503", ErrorKind::Unreachable),
            ("kex_exchange_identification: Connection closed by remote host", ErrorKind::Unreachable),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", ErrorKind::Fatal),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", ErrorKind::Fatal),
            ("fatal: the receiving end does not support --atomic push", ErrorKind::Fatal),
            (
                "fatal: '/x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
                ErrorKind::Fatal,
            ),
        ] {
            assert_eq!(kind(stderr), want, "{stderr}");
        }
    }

    #[test]
    fn the_guilty_ref_decides() {
        let out = b"To /x\n!\ta:refs/heads/a\t[rejected] (atomic push failed)\n!\tb:refs/heads/b\t[rejected] (non-fast-forward)\nDone\n";
        let results = results(out);
        assert_eq!(results.len(), 2);
        let e = failure(&RemoteName::new("origin").unwrap(), &output("error: failed to push some refs"), &results);
        assert_eq!(e.kind(), ErrorKind::Conflict);
        assert_eq!(e.details()[0], "refs/heads/b: [rejected] (non-fast-forward)");
        let denied = [RefResult {
            flag: '!',
            name: "r".into(),
            summary: "[remote rejected] (pre-receive hook declined)".into(),
        }];
        assert_eq!(failure(&RemoteName::new("o").unwrap(), &output(""), &denied).kind(), ErrorKind::Fatal);
    }

    /// What a server says of every ref while it is down is not a refusal.
    #[test]
    fn a_server_that_breaks_at_a_push_is_down() {
        for says in ["[remote rejected] (Internal Server Error)", "[remote rejected] (fatal error in commit_refs)"] {
            let out = format!("To /x\n!\ta:refs/heads/a\t{says}\n!\tb:refs/tags/b\t{says}\nDone\n");
            let results = results(out.as_bytes());
            let e =
                failure(&RemoteName::new("o").unwrap(), &output("error: failed to push some refs to '/x'"), &results);
            assert_eq!((e.kind(), e.part()), (ErrorKind::Unreachable, Some(Part::Git)), "{says}");
        }
    }

    #[test]
    fn only_the_exact_ref_counts() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!("{a}\trefs/heads/x/refs/heads/main\n{b}\trefs/tags/v1\n{a}\trefs/tags/v1^{{}}\n");
        let found = refs(text.as_bytes(), &["refs/heads/main".into(), "refs/tags/v1".into()]).unwrap();
        assert_eq!(found, [None, Some(b.parse().unwrap())]);
    }

    #[test]
    fn passwords_are_not_shown() {
        let line = "fatal: Authentication failed for 'https://user:hun@ter2@example.org/x.git/'";
        assert_eq!(without_password(line), "fatal: Authentication failed for 'https://…@example.org/x.git/'");
        assert_eq!(without_password("see https://example.org/a@b"), "see https://example.org/a@b");
    }
}
