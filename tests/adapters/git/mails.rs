//! Mails as git writes them in all its settings, and as transports and people change them: a patch is its author's whole
//! change, or it is refused.

use std::os::unix::fs::PermissionsExt as _;

use lifeboat::effects::Git as _;
use lifeboat::error::{ErrorKind, Result};
use lifeboat::formats::series::Series;
use lifeboat::git::series::{from_mailbox, on_base};

use crate::git::scratch::{Scratch, committer, date};

/// The author's clone `dev`: each commit changes in another way.
fn author() -> Scratch {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "user", "dev"]);
    let commit = |message: &str| {
        s.git("dev", &["add", "-A"]);
        s.git("dev", &["commit", "-q", "-m", message]);
    };
    let deep = "dev/a/rather/long/path/to/a/file/that/a/diffstat/must/abbreviate/because/it/is/long.txt";
    s.write(deep, "one\ntwo\n");
    s.write("dev/ä ö.txt", "umlauts\n");
    s.write("dev/empty.txt", "");
    std::fs::write(s.path("dev/blob.bin"), (0..=255).collect::<Vec<u8>>()).unwrap();
    commit("Add files\n\nOf many kinds.");
    s.write(deep, "one\nTWO\nthree");
    s.write("dev/ä ö.txt", "umlauts\n-- \nnot a signature\n");
    std::fs::write(s.path("dev/blob.bin"), (0..=255).rev().collect::<Vec<u8>>()).unwrap();
    std::fs::set_permissions(s.path("dev/b.txt"), std::fs::Permissions::from_mode(0o755)).unwrap();
    commit("Change them\n\n    --- a/quoted\n    +++ b/quoted\n");
    s.git("dev", &["mv", "src/a.txt", "src/moved a.txt"]);
    std::fs::copy(s.path("dev/run.sh"), s.path("dev/copied.sh")).unwrap();
    std::fs::remove_file(s.path("dev/empty.txt")).unwrap();
    commit("Move, copy and remove");
    std::fs::remove_file(s.path("dev/b.txt")).unwrap();
    std::os::unix::fs::symlink("run.sh", s.path("dev/b.txt")).unwrap();
    s.write("dev/crlf.txt", "one\r\ntwo\r\n");
    commit("A link, and line ends");
    std::fs::set_permissions(s.path("dev/copied.sh"), std::fs::Permissions::from_mode(0o644)).unwrap();
    commit("A mode alone");
    s
}

fn read(s: &Scratch, from: &str) -> Result<Series> {
    from_mailbox(s.program(), &s.path(from), &s.path("home"))
}

/// Whether what was read makes the author's own trees on the user's branch.
fn makes_the_same(s: &Scratch, series: &Series, what: &str) {
    let (repo, base) = (s.private(), s.head("user", "release-1.0"));
    let pinned = on_base(s.program(), &repo, &base, series).unwrap_or_else(|e| panic!("{what}: {}", e.report()));
    let made = s.git.apply_series(&repo, &base, &pinned, &committer(), date());
    let made = made.unwrap_or_else(|e| panic!("{what}: {}", e.report()));
    let theirs = s.git("dev", &["rev-list", "--reverse", "v1.0.0..HEAD"]);
    assert_eq!(made.len(), theirs.lines().count(), "{what}");
    for (ours, theirs) in made.iter().zip(theirs.lines()) {
        let wanted = s.git("dev", &["rev-parse", &format!("{theirs}^{{tree}}")]);
        assert_eq!(s.git.tree_id(&repo, ours).unwrap().to_string(), wanted.trim(), "{what}");
    }
}

#[test]
fn every_setting_of_format_patch_gives_the_authors_trees() {
    let s = author();
    let settings: &[&[&str]] = &[
        &["--binary"],
        &["--binary", "--no-renames", "--full-index"],
        &["--binary", "--find-copies-harder", "-M20%", "-C20%"],
        &["--binary", "--stat=40", "--summary"],
        &["--binary", "--stat=200,180", "--cover-letter"],
        &["--binary", "--stat=80,60,1"],
        &["--binary", "--no-stat"],
        &["--binary", "-p"],
        &["--binary", "--numstat", "-p"],
        &["--binary", "--shortstat", "-p"],
        &["--binary", "--dirstat", "--stat", "-p"],
        &["--binary", "--no-signature"],
        &["--binary", "--signature=The security team"],
        &["--binary", "--base=v1.0.0"],
        &["--binary", "--attach"],
        &["--binary", "--inline"],
        &["--binary", "--thread", "--in-reply-to=<x@example.org>", "--from=M <m@example.org>"],
        &["--binary", "-U0", "--inter-hunk-context=3"],
        &["--binary", "-U10", "-W", "--patience"],
        &["--binary", "-B", "--text"],
        &["--binary", "--src-prefix=old/", "--dst-prefix=new/"],
        &["--binary", "--zero-commit", "--no-numbered", "--keep-subject"],
        &["--binary", "--encode-email-headers", "--notes"],
        &["--binary", "--creation-factor=90", "--interdiff=HEAD~1"],
    ];
    for setting in settings {
        let what = setting.join(" ");
        // git refuses an interdiff of several patches without a cover letter; zero context needs `--unidiff-zero`.
        if what.contains("interdiff") || what.contains("-U0") {
            continue;
        }
        drop(std::fs::remove_dir_all(s.path("out")));
        let mut args = vec!["-c", "core.quotePath=true", "format-patch", "-q", "-o", "../out"];
        args.extend(*setting);
        args.push("v1.0.0..HEAD");
        s.git("dev", &args);
        let series = read(&s, "out").unwrap_or_else(|e| panic!("{what}: {}", e.report()));
        makes_the_same(&s, &series, &what);
        // Where git writes no line `---`, what it counts stands in the message, as for `git am`.
        if !["keep-subject", "numstat", "shortstat"].iter().any(|s| what.contains(s)) {
            assert_eq!(series.patches[1].message, "Change them\n\n    --- a/quoted\n    +++ b/quoted\n", "{what}");
        }
    }
}

#[test]
fn transports_that_change_a_mail_do_not_change_the_patch() {
    let s = author();
    let mbox = s.git("dev", &["format-patch", "-q", "--binary", "--stdout", "v1.0.0..HEAD"]) + "\n";
    let wire = mbox.replace('\n', "\r\n");
    s.write("wire.mbox", &wire);
    s.write("marked.mbox", &format!("\u{feff}{mbox}"));
    for name in ["wire.mbox", "marked.mbox"] {
        // A transport with CRLF everywhere cannot keep the file whose line ends are its contents; the others it must.
        match (name, read(&s, name)) {
            ("wire.mbox", Ok(series)) => assert_eq!(series.patches.len(), 5),
            (_, Ok(series)) => makes_the_same(&s, &series, name),
            (_, Err(e)) => panic!("{name}: {}", e.report()),
        }
    }
    // Each mail by itself, with its body as base 64 and as quoted-printable.
    s.git("dev", &["format-patch", "-q", "--binary", "-o", "../out", "v1.0.0..HEAD"]);
    let encode = r#"
import sys, email, base64, pathlib
out = pathlib.Path(sys.argv[2])
out.mkdir()
soft = lambda line: b"".join(bytes([c]) if 32 < c < 127 and c != 61 or c == 32 else b"=%02X" % c for c in line)
for p in sorted(pathlib.Path(sys.argv[1]).glob("*.patch")):
    head, _, body = p.read_bytes().partition(b"\n\n")
    m = email.message_from_bytes(head + b"\n\n")
    for h in ("Content-Transfer-Encoding", "Content-Type", "MIME-Version"):
        del m[h]
    m["MIME-Version"] = "1.0"
    m["Content-Type"] = "text/plain; charset=UTF-8"
    m["Content-Transfer-Encoding"] = sys.argv[3]
    lines = [soft(line) for line in body.split(b"\n")]
    lines = [line[:-1] + b"=20" if line.endswith(b" ") else line for line in lines]
    coded = base64.encodebytes(body) if sys.argv[3] == "base64" else b"\n".join(lines)
    (out / (p.stem + ".eml")).write_bytes(m.as_bytes() + coded)
"#;
    for encoding in ["base64", "quoted-printable"] {
        let ran = std::process::Command::new("python3")
            .args(["-c", encode])
            .args([s.path("out"), s.path(encoding)])
            .arg(encoding)
            .status()
            .unwrap();
        assert!(ran.success(), "python3");
        let series = read(&s, encoding).unwrap_or_else(|e| panic!("{encoding}: {}", e.report()));
        makes_the_same(&s, &series, encoding);
    }
}

#[test]
fn mails_cut_at_any_line_are_refused() {
    let s = author();
    for setting in [&["--binary"][..], &["--binary", "--no-signature"]] {
        drop(std::fs::remove_dir_all(s.path("out")));
        let args = [&["format-patch", "-q", "-o", "../out"], setting, &["v1.0.0..HEAD"]].concat();
        s.git("dev", &args);
        for (n, file) in crate::git::scratch::entries(&s.path("out")).into_iter().enumerate() {
            let whole = std::fs::read(&file).unwrap();
            let text = String::from_utf8_lossy(&whole).into_owned();
            let from = text.find("\ndiff --git ").unwrap();
            let wanted = from_mailbox(s.program(), &file, &s.path("home")).unwrap().patches[0].diff.clone();
            let ends: Vec<usize> =
                whole.iter().enumerate().filter(|(i, c)| *i > from && **c == b'\n').map(|(i, _)| i).collect();
            // Every line end of small mails, a sample of the others, and within lines too.
            let step = (ends.len() / 5).max(1);
            for end in ends.iter().step_by(step).flat_map(|e| [*e, e + 1, e + 4]).filter(|e| *e < whole.len()) {
                let cut = s.path("cut.patch");
                std::fs::write(&cut, &whole[..end]).unwrap();
                match from_mailbox(s.program(), &cut, &s.path("home")) {
                    Ok(series) => {
                        assert_eq!(series.patches[0].diff, wanted, "mail {n} cut at {end} is taken for whole")
                    }
                    Err(e) => assert!(
                        e.kind() == ErrorKind::Input && e.message().contains("cut.patch"),
                        "mail {n} cut at {end}: {}",
                        e.report()
                    ),
                }
            }
        }
    }
}

#[test]
fn a_change_is_what_stands_below_the_message() {
    let s = Scratch::new();
    let change = |path: &str, from: &str, to: &str| {
        format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{from}\n+{to}\n")
    };
    let mail = |message: &str, rest: &str| {
        format!(
            "From: S <s@example.org>\nDate: Tue, 24 Feb 2026 10:00:00 -0600\nSubject: [PATCH] x\n\n{message}{rest}-- \n2.47.3\n\n"
        )
    };
    let b = change("b.txt", "b", "B");
    let stat = "---\n b.txt | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n\n";
    let quoted = change("run.sh", "#!/bin/sh", "#!/bin/bash");
    for (text, said) in [
        (
            mail(&format!("It was\n\n{quoted}\nbefore.\n"), &format!("{stat}{b}")),
            "stands between the changes of two files",
        ),
        (mail(&format!("It was\n\n{quoted}"), &format!("{stat}{b}")), "stands between the changes of two files"),
        (mail(&format!("It was\n\n{quoted}\n"), &b), "empty lines stand between"),
        (mail("diff -u says nothing.\n", &format!("{stat}{b}")), "the commit message ends at its line"),
        (mail("Why.\n---\nAnd why else.\n", &format!("{stat}{b}")), "two lines `---`"),
        (mail("Why.\n", &format!("{stat}{b}{quoted}")), "counts 1 files, and its change is of 2"),
        (mail("Why.\n", &format!("---\n\nSubmodule z 1234567..7654321:\n  > y\n{b}")), "Submodule z 1234567..7654321"),
        (mail("Why.\n\nSubmodule z 1234567..7654321:\n  > y\n", &b), "Submodule z 1234567..7654321"),
        (
            mail("Why.\n", &format!("---\n{}", b.replace("a/b.txt", "b.txt").replace("b/b.txt", "b.txt"))),
            "does not name the file",
        ),
    ] {
        s.write("in/a.eml", &text);
        let e = read(&s, "in").map(|taken| panic!("taken: {taken:?}\n{text}")).unwrap_err();
        assert!(e.kind() == ErrorKind::Input && e.message().contains(said), "{}\n{text}", e.report());
        assert!(e.message().contains("`a.eml`") && !e.hints().is_empty(), "{}", e.report());
    }
    for text in [
        mail(
            &format!("It was\n\n{}", quoted.replace('\n', "\n    ").replace("diff --git", "    diff --git")),
            &format!("\n{stat}{b}"),
        ),
        mail("Why.\n", &format!("---\nFor 1.0.\n\n{b}\n")),
        mail("# HG changeset patch\n# User S\n# Node ID 1234\nWhy.\n\n", &b),
        mail("Why.\n\n", &format!("Index: b.txt\n=====\n{}", b.replace("diff --git a/b.txt b/b.txt\n", ""))),
    ] {
        s.write("in/a.eml", &text);
        let series = read(&s, "in").unwrap_or_else(|e| panic!("{}\n{text}", e.report()));
        let (repo, base) = (s.private(), s.head("user", "release-1.0"));
        on_base(s.program(), &repo, &base, &series).unwrap_or_else(|e| panic!("{}\n{text}", e.report()));
    }
    let wide: Vec<u8> = mail("Why.\n", &format!("{stat}{b}")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for mark in [&b"\xff\xfe"[..], b""] {
        std::fs::write(s.path("in/a.eml"), [mark, &wide].concat()).unwrap();
        let e = read(&s, "in").map(drop).unwrap_err();
        assert!(e.kind() == ErrorKind::Input && e.message().contains("is UTF-16 text"), "{}", e.report());
    }
}

/// The clone's own notes on a submodule, where the diff ought to be.
#[test]
fn a_submodule_in_words_is_refused_and_by_its_id_is_taken() {
    let s = Scratch::new();
    s.git(".", &["init", "-q", "-b", "main", "sub"]);
    for n in 1..=2 {
        s.write("sub/x", &format!("{n}\n"));
        s.git("sub", &["add", "."]);
        s.git("sub", &["commit", "-q", "-m", &format!("sub {n}")]);
    }
    s.git("user", &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../sub", "sub"]);
    s.git("user/sub", &["checkout", "-q", "HEAD~1"]);
    s.git("user", &["add", "."]);
    s.git("user", &["commit", "-q", "-m", "with a submodule"]);
    s.git("user", &["tag", "with"]);
    s.git("user/sub", &["checkout", "-q", "main"]);
    s.write("user/b.txt", "B\n");
    s.git("user", &["commit", "-qam", "fix both"]);
    for (setting, stat, taken) in [
        ("log", true, false),
        ("log", false, false),
        ("diff", false, false),
        ("diff", true, false),
        ("short", true, true),
    ] {
        drop(std::fs::remove_dir_all(s.path("out")));
        let submodule = format!("--submodule={setting}");
        let mut args = vec!["format-patch", "-q", "--binary", &submodule, "-o", "../out"];
        args.extend((!stat).then_some("-p"));
        args.push("with..HEAD");
        s.git("user", &args);
        let read = read(&s, "out");
        assert_eq!(read.is_ok(), taken, "{setting} {stat}: {read:?}");
        if let Err(e) = read {
            assert!(e.report().contains("diff.submodule=short"), "{setting} {stat}: {}", e.report());
        }
    }
}

#[test]
fn a_patch_that_changes_other_paths_than_it_names_is_refused() {
    // What the fault of another process once made: the index was gone, and git wrote the empty tree.
    let s = Scratch::new();
    let (repo, base) = (s.private(), s.head("user", "release-1.0"));
    let bin = s.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let real =
        String::from_utf8(std::process::Command::new("sh").args(["-c", "command -v git"]).output().unwrap().stdout);
    let real = real.unwrap().trim().to_owned();
    let put = |text: &str| {
        s.write("bin/git", &format!("#!/bin/sh\n{text}\nexec {real} \"$@\"\n"));
        s.make_executable("bin/git");
    };
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mail = "From: S <s@example.org>\nDate: Tue, 24 Feb 2026 10:00:00 -0600\nSubject: x\n\n---\ndiff --git a/b.txt b/b.txt\n--- a/b.txt\n+++ b/b.txt\n@@ -1 +1 @@\n-b\n+B\n-- \n2\n";
    s.write("a.patch", mail);
    let series = read(&s, "a.patch").unwrap();
    // It is found once, so it is there before it is looked for.
    put(":");
    let git = lifeboat::git::GitProgram::from_env().with_search_path(&path);
    for (fault, said) in [
        // Before it writes the tree; and when it does: then what came out shows it.
        (
            "case \"$*\" in *apply*) $0.real \"$@\"; rc=$?; rm -f \"$GIT_INDEX_FILE\"; exit $rc;; esac",
            "is gone or empty",
        ),
        ("case \"$*\" in *write-tree*) rm -f \"$GIT_INDEX_FILE\";; esac", "which it does not name"),
    ] {
        std::os::unix::fs::symlink(&real, s.path("bin/git.real")).ok();
        put(fault);
        let e = on_base(&git, &repo, &base, &series).map(|taken| panic!("taken: {taken:?}")).unwrap_err();
        assert!(e.message().contains(said), "{}", e.report());
    }
}
