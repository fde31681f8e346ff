//! What `git mailsplit` and `git mailinfo` leave, put together as `git am` does; pure.

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
pub(super) fn diff(patch: &[u8]) -> Vec<u8> {
    let mut start = None;
    let mut at = 0;
    let lines: Vec<&[u8]> = patch.split_inclusive(|c| *c == b'\n').collect();
    for (n, line) in lines.iter().enumerate() {
        let old_style = line.starts_with(b"--- ") && lines.get(n + 1).is_some_and(|l| l.starts_with(b"+++ "));
        if line.starts_with(b"diff --git ") || line.starts_with(b"Index: ") || old_style {
            start = Some(at);
            break;
        }
        at += line.len();
    }
    let Some(start) = start else { return Vec::new() };
    let body = &patch[start..];
    // A mail transport that turned every line end into CRLF did so on its own; a patch to a file with CRLF has both.
    let all_crlf = body.split_inclusive(|c| *c == b'\n').all(|l| l.ends_with(b"\r\n"));
    let mut out = if all_crlf { without_cr(body) } else { body.to_vec() };
    if let Some(end) = signature(&out) {
        out.truncate(end);
    }
    out
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

/// Where the mail signature (`-- ` alone on a line) begins that `git format-patch` ends a patch with: the last one, and
/// only if nothing of a patch follows.
fn signature(diff: &[u8]) -> Option<usize> {
    let mut found = None;
    let mut at = 0;
    for line in diff.split_inclusive(|c| *c == b'\n') {
        if line.trim_ascii_end() == b"--" && (line.starts_with(b"-- \n") || line.starts_with(b"--\n")) {
            found = Some(at);
        } else if [&b"diff --git "[..], b"@@ ", b"+++ ", b"GIT binary patch", b"literal ", b"delta "]
            .iter()
            .any(|p| line.starts_with(p))
        {
            found = None;
        }
        at += line.len();
    }
    let end = found?;
    // Within a hunk a removed line `- ` looks the same; a signature has at most a version and empty lines after it.
    let rest = diff[end..].split(|c| *c == b'\n').skip(1).filter(|l| !l.trim_ascii().is_empty()).count();
    (rest <= 1 && !ends_in_hunk(&diff[..end])).then_some(end)
}

/// Whether the last hunk of `diff` still expects lines.
fn ends_in_hunk(diff: &[u8]) -> bool {
    let last = super::hunk::parse(diff).pop().and_then(|f| f.hunks.into_iter().next_back());
    last.is_some_and(|h| h.is_open())
}

/// Whether every line of a mail ends with CRLF, as it does when a mail program saved it in the form of the wire.
pub(super) fn is_wire_form(mail: &[u8]) -> bool {
    mail.contains(&b'\n') && mail.split_inclusive(|c| *c == b'\n').all(|l| l.ends_with(b"\r\n") || !l.ends_with(b"\n"))
}

/// Whether this is the letter `[PATCH 0/3]` that introduces a series.
pub(super) fn is_cover_letter(mail: &[u8]) -> bool {
    let head = mail.split(|c| *c == b'\n').take_while(|l| !l.trim_ascii().is_empty());
    let subject =
        head.map(|l| String::from_utf8_lossy(l).into_owned()).find(|l| l.to_ascii_lowercase().starts_with("subject:"));
    let Some(subject) = subject else { return false };
    let brackets = subject.split('[').skip(1).filter_map(|p| p.split_once(']').map(|(inside, _)| inside));
    brackets.into_iter().any(|inside| {
        inside.contains("PATCH")
            && inside.split_whitespace().any(|w| {
                w.split_once('/').is_some_and(|(n, of)| {
                    !n.is_empty() && n.bytes().all(|c| c == b'0') && of.bytes().all(|c| c.is_ascii_digit())
                })
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cleaned_as_git_does() {
        assert_eq!(message("fix", "\n\nwhy  \n\n\nmore\n\n"), "fix\n\nwhy\n\nmore\n");
        assert_eq!(message("fix", ""), "fix\n");
    }

    #[test]
    fn the_diff_stands_alone() {
        let patch = b"---\n a | 2 +-\n 1 file changed\n\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n-- \n2.47.3\n\n";
        assert_eq!(diff(patch), b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n");
        assert_eq!(diff(b"---\nnothing\n"), b"");
    }

    #[test]
    fn a_removed_line_that_looks_like_a_signature_stays() {
        let patch = b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1 @@\n-- \n x\n";
        assert_eq!(diff(patch), patch);
    }

    #[test]
    fn only_a_wholly_converted_patch_loses_its_cr() {
        let wire = b"diff --git a/a b/a\r\n@@ -1 +1 @@\r\n-x\r\n+y\r\n";
        assert_eq!(diff(wire), b"diff --git a/a b/a\n@@ -1 +1 @@\n-x\n+y\n");
        let content = b"diff --git a/a b/a\n@@ -1 +1 @@\n-x\r\n+y\r\n";
        assert_eq!(diff(content), content);
        assert!(is_wire_form(b"From: x\r\n\r\nbody\r\n"));
        assert!(!is_wire_form(b"From: x\n\nbody\r\n"));
    }

    #[test]
    fn cover_letters() {
        assert!(is_cover_letter(b"From: x\nSubject: [PATCH 0/2] all of it\n\n"));
        assert!(is_cover_letter(b"Subject: [PATCH v2 00/10] all of it\n\n"));
        assert!(!is_cover_letter(b"Subject: [PATCH 1/2] fix\n\nSubject: [PATCH 0/2]\n"));
        assert!(!is_cover_letter(b"Subject: [24.0.x] fix 0/2\n\n"));
    }
}
