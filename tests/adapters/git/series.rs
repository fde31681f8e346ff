//! Imports of patch series from mails and from a private remote.

use lifeboat::error::ErrorKind;
use lifeboat::git::series::{from_mailbox, from_remote, on_base};
use lifeboat::model::BranchName;

use crate::git::scratch::{Scratch, committer, date};
use lifeboat::effects::Git as _;

const FORMAT: &str = "--format=%an <%ae> %at %ad %s%n%b";

/// A private remote with three commits on `release-1.0`, one of them binary, and the same as mails in `patches/`.
fn with_fixes() -> Scratch {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "--bare", "user", "fixes.git"]);
    s.git(".", &["clone", "-q", "fixes.git", "dev"]);
    let commit = |author: &str, date: &str, message: &str| {
        s.git("dev", &["add", "."]);
        s.git(
            "dev",
            &["-c", "commit.cleanup=verbatim", "commit", "-q", "--author", author, "--date", date, "-m", message],
        );
    };
    s.write(
        "dev/src/a.txt",
        &(1..=20).map(|n| if n == 7 { "seven\n".into() } else { format!("line {n}\n") }).collect::<String>(),
    );
    commit(
        "Ünï Cödé <u@example.org>",
        "1690000000 -0600",
        "[1.0] Fix a hole whose description is rather long, so that mail folds it (#123)\n\nIt was deep:\n\n    indented\n\n- list\n",
    );
    std::fs::write(s.path("dev/blob.bin"), [0u8, 255, 10, 0, 13]).unwrap();
    commit("A U Thor <a@example.org>", "1690000100 +0530", "Add a binary\n");
    s.write("dev/crlf.txt", "one\r\ntwo\r\n");
    commit("A U Thor <a@example.org>", "1690000200 +0000", "Add a file with CRLF\n");
    s.write("dev/crlf.txt", "one\r\nTWO\r\n");
    commit("A U Thor <a@example.org>", "1690000300 +0000", "Change it\n");
    s.git("dev", &["push", "-q", "origin", "release-1.0"]);
    s.git("dev", &["format-patch", "-q", "--binary", "--cover-letter", "-o", "../patches", "v1.0.0..HEAD"]);
    s
}

fn log(s: &Scratch, dir: &str, range: &str) -> String {
    s.git(dir, &["log", "--reverse", "--date=raw", FORMAT, range])
}

#[test]
fn mails_and_commits_give_the_same_history() {
    let s = with_fixes();
    let repo = s.private();
    let base = s.head("user", "release-1.0");
    let before = s.snapshot("user");
    let branch = BranchName::new("release-1.0").unwrap();
    let url = s.path("fixes.git").display().to_string();
    let fetched = from_remote(s.program(), &repo, &url, &branch, &base).unwrap_or_else(|e| panic!("{}", e.report()));
    let mailed =
        from_mailbox(s.program(), &s.path("patches"), &s.path("home")).unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(s.snapshot("user"), before);
    let expected = log(&s, "dev", "v1.0.0..HEAD");
    for (kind, series) in [("remote", &fetched), ("mails", &mailed)] {
        assert_eq!(series.patches.len(), 4, "{kind}");
        let made = s
            .git
            .apply_series(&repo, &base, series, &committer(), date())
            .unwrap_or_else(|e| panic!("{kind}: {}", e.report()));
        let head = made.last().unwrap();
        assert_eq!(log(&s, "private.git", &format!("{base}..{head}")), expected, "{kind}");
        assert_eq!(s.git.tree_id(&repo, head).unwrap(), s.head("dev", "HEAD^{tree}"), "{kind}");
    }
    // Every commit message byte for byte.
    for (patch, commit) in fetched.patches.iter().zip(s.git("dev", &["rev-list", "--reverse", "v1.0.0..HEAD"]).lines())
    {
        assert_eq!(patch.origin, commit);
        let raw = s.git("dev", &["cat-file", "commit", commit]);
        assert_eq!(raw.split_once("\n\n").unwrap().1, patch.message.trim_end());
    }
    assert_eq!(fetched, from_remote(s.program(), &repo, &url, &branch, &base).unwrap(), "same commits, same series");
    assert!(s.git("private.git", &["for-each-ref"]).is_empty());
    assert_eq!(crate::git::scratch::entries(&s.path("home")).len(), 1, "no patch is left in the scratch directory");
}

#[test]
fn a_pinned_series_needs_no_foreign_objects() {
    let s = Scratch::new();
    // The fix was made beside a line that the release branch has otherwise: only a merge can place it.
    s.git(".", &["clone", "-q", "user", "dev"]);
    let text = std::fs::read_to_string(s.path("dev/src/a.txt")).unwrap();
    let text = text.replace("line 10\n", "LINE 10\n");
    s.write("dev/src/a.txt", &text);
    s.git("dev", &["commit", "-qam", "dev only"]);
    s.write("dev/src/a.txt", &text.replace("line 12\n", "FIXED 12\n"));
    s.git("dev", &["commit", "-qam", "the fix"]);
    let repo = s.private();
    let base = s.head("user", "release-1.0");
    let url = s.path("dev").display().to_string();
    let branch = BranchName::new("release-1.0").unwrap();
    let mut fetched = from_remote(s.program(), &repo, &url, &branch, &base).unwrap();
    fetched.patches.remove(0);
    let pinned = on_base(s.program(), &repo, &base, &fetched).unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(pinned.patches[0].origin, fetched.patches[0].origin);
    let apply = |series| s.git.apply_series(&repo, &base, series, &committer(), date());
    let here = apply(&fetched).unwrap();
    assert_eq!(apply(&pinned).unwrap(), here);
    // On another machine only the release branch is there.
    std::fs::remove_dir_all(&repo.dir).unwrap();
    s.git.ensure(&repo).unwrap();
    assert!(apply(&fetched).is_err(), "this test needs a patch that only a merge can place");
    assert_eq!(apply(&pinned).unwrap(), here);
    let text = s.git("private.git", &["show", &format!("{}:src/a.txt", here[0])]);
    assert!(text.contains("FIXED 12") && text.contains("line 10"), "{text}");
    // What the branch has already is said, not skipped.
    let e = s.git.apply_series(&repo, &here[0], &pinned, &committer(), date()).unwrap_err();
    assert!(e.message().contains("changes nothing: the branch has it already"), "{}", e.report());
}

#[test]
fn one_mailbox_and_mails_of_the_wire() {
    let s = with_fixes();
    let stdout = s.git("dev", &["format-patch", "-q", "--binary", "--stdout", "v1.0.0..HEAD"]);
    s.write("all.mbox", &format!("{stdout}\n"));
    let whole = from_mailbox(s.program(), &s.path("all.mbox"), &s.path("home")).unwrap();
    let single = from_mailbox(s.program(), &s.path("patches"), &s.path("home")).unwrap();
    assert_eq!(whole.patches[1].origin, "all.mbox#2");
    let mut same = whole.clone();
    for (a, b) in same.patches.iter_mut().zip(&single.patches) {
        a.origin.clone_from(&b.origin);
    }
    assert_eq!(same, single);

    // A mail program saved the first one with CRLF everywhere, as it came over the wire.
    let first = std::fs::read_to_string(crate::git::scratch::entries(&s.path("patches"))[1].clone()).unwrap();
    s.write("wire/a.eml", &first.replace('\n', "\r\n"));
    let wire = from_mailbox(s.program(), &s.path("wire"), &s.path("home")).unwrap();
    assert_eq!(wire.patches[0].diff, single.patches[0].diff);
    assert_eq!(wire.patches[0].message, single.patches[0].message);
}

#[test]
fn mails_as_people_send_them() {
    let s = Scratch::new();
    let body = "diff --git a/b.txt b/b.txt\n--- a/b.txt\n+++ b/b.txt\n@@ -1 +1 @@\n-b\n+B\n";
    s.write(
        "in/a.eml",
        &format!(
            "From: Sender <s@example.org>\nDate: Tue, 24 Feb 2026 10:00:00 -0600\nSubject: [PATCH v2 1/1] =?UTF-8?q?[1.0]_F=C3=BCx?=\nContent-Type: text/plain; charset=UTF-8\n\nFrom: Real Author <real@example.org>\n\nWhy.\n---\n b.txt | 2 +-\n\n{body}"
        ),
    );
    let series = from_mailbox(s.program(), &s.path("in"), &s.path("home")).unwrap_or_else(|e| panic!("{}", e.report()));
    let patch = &series.patches[0];
    assert_eq!(patch.author.to_string(), "Real Author <real@example.org>");
    assert_eq!(patch.message, "[1.0] Füx\n\nWhy.\n");
    assert_eq!((patch.time, patch.offset), (1_771_948_800, -360));
    for (name, text) in [
        ("no date", format!("From: S <s@example.org>\nSubject: x\n\n---\n{body}")),
        ("no author", format!("Date: Tue, 24 Feb 2026 10:00:00 -0600\nSubject: x\n\n---\n{body}")),
        ("no change", "From: S <s@example.org>\nDate: Tue, 24 Feb 2026 10:00:00 -0600\nSubject: x\n\nthanks\n".into()),
    ] {
        s.write("bad/a.eml", &text);
        let e = from_mailbox(s.program(), &s.path("bad"), &s.path("home")).unwrap_err();
        assert!(e.message().contains("`a.eml`"), "{name}: {}", e.report());
    }
    assert!(
        from_mailbox(s.program(), &s.path("home"), &s.path("home")).unwrap_err().message().contains("holds no patches")
    );
    assert!(from_mailbox(s.program(), &s.path("nowhere"), &s.path("home")).is_err());
}

#[test]
fn private_branches_that_cannot_be_a_series() {
    let s = with_fixes();
    let repo = s.private();
    let base = s.head("user", "release-1.0");
    let url = s.path("fixes.git").display().to_string();
    let fetch = |branch: &str| from_remote(s.program(), &repo, &url, &BranchName::new(branch).unwrap(), &base);
    s.git("dev", &["checkout", "-q", "-b", "merged", "v1.0.0"]);
    s.git("dev", &["commit", "-q", "--allow-empty", "-m", "side"]);
    s.git("dev", &["merge", "-q", "--no-ff", "-m", "merge", "origin/release-1.0"]);
    s.git("dev", &["checkout", "-q", "--orphan", "apart"]);
    s.git("dev", &["commit", "-q", "-m", "root"]);
    s.git("dev", &["checkout", "-q", "-b", "old", "v1.0.0~1"]);
    s.git("dev", &["commit", "-q", "--allow-empty", "-m", "from an older base"]);
    s.git("dev", &["push", "-q", "origin", "merged", "apart", "old", "v1.0.0^{commit}:refs/heads/same"]);
    assert!(fetch("merged").unwrap_err().report().contains("git rebase"));
    assert!(fetch("apart").unwrap_err().message().contains("no commit in common"));
    assert!(fetch("same").unwrap_err().message().contains("no commits that"));
    assert_eq!(fetch("old").unwrap().patches.len(), 1, "an older base: the commits since they parted");
    assert!(fetch("nothing").is_err());
    let evil = format!("ext::touch {}", s.path("evil").display());
    assert!(from_remote(s.program(), &repo, &evil, &BranchName::new("x").unwrap(), &base).is_err());
    assert!(from_remote(s.program(), &repo, "--upload-pack=x", &BranchName::new("x").unwrap(), &base).is_err());
    assert!(!s.path("evil").exists());
}

#[test]
fn nothing_in_a_directory_of_patches_is_passed_over() {
    let s = with_fixes();
    let read = || from_mailbox(s.program(), &s.path("patches"), &s.path("home"));
    let refused = |name: &str| {
        let e = read().map(|s| s.patches.len()).unwrap_err();
        let said = e.report();
        assert!(e.kind() == ErrorKind::Input && said.contains(name) && said.contains("hint: "), "{name}: {said}");
    };
    for name in ["0009-x.diff", "0009-x.PATCH", "0009-x.txt", "0009-x.patch.gz", "series", "README.patch~"] {
        s.write(&format!("patches/{name}"), "x");
        // A backup of the text that may lie there is none of a patch.
        if name.starts_with("README") {
            assert_eq!(read().unwrap().patches.len(), 4);
        } else {
            refused(name);
        }
        std::fs::remove_file(s.path("patches").join(name)).unwrap();
    }
    std::fs::create_dir(s.path("patches/0009-more.patch")).unwrap();
    refused("0009-more.patch` in the patch directory");
    std::fs::remove_dir(s.path("patches/0009-more.patch")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(s.path("patches/0009-x.patch")).status().unwrap();
    assert!(made.success(), "no `mkfifo`: apt-get install coreutils");
    refused("is not a plain file");
    std::fs::remove_file(s.path("patches/0009-x.patch")).unwrap();
    for name in [".0001-fix.patch.swp", "README.md"] {
        s.write(&format!("patches/{name}"), "x");
    }
    assert_eq!(read().unwrap().patches.len(), 4);
    let last = crate::git::scratch::entries(&s.path("patches")).pop().unwrap();
    std::fs::rename(last, s.path("patches/10-last.patch")).unwrap();
    let third = s.path("patches/0003-Add-a-file-with-CRLF.patch");
    std::fs::rename(third, s.path("patches/9-third.patch")).unwrap();
    refused("`10-last.patch` would be applied before `9-third.patch`");
}

#[test]
fn patches_that_are_broken_are_a_fault_of_the_input() {
    let s = Scratch::new();
    let mail = |date: &str, path: &str| {
        format!(
            "From: S <s@example.org>\nDate: {date}\nSubject: x\n\nWhy.\n---\ndiff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-b\n+B\n"
        )
    };
    let read = || from_mailbox(s.program(), &s.path("in"), &s.path("home"));
    for (text, said) in [(String::new(), "is empty"), (mail("soon, perhaps", "b.txt"), "soon, perhaps")] {
        s.write("in/a.eml", &text);
        let e = read().map(drop).unwrap_err();
        assert!(e.kind() == ErrorKind::Input && e.report().contains(said), "{}", e.report());
        assert!(e.message().contains("a.eml"), "{}", e.report());
    }
    s.write("in/a.eml", &mail("Tue, 24 Feb 2026 10:00:00 -0600", "../../b.txt"));
    let (repo, base) = (s.private(), s.head("user", "release-1.0"));
    let e = on_base(s.program(), &repo, &base, &read().unwrap()).unwrap_err();
    assert!(e.kind() == ErrorKind::Input && e.message().contains("`a.eml`"), "{}", e.report());
    assert!(e.message().contains("`../../b.txt`"), "{}", e.report());
}
