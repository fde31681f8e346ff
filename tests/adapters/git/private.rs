//! The private repository: what it borrows, what it survives, what it makes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lifeboat::effects::{Git as _, PrivateRepo};
use lifeboat::git::LocalGit;
use lifeboat::model::Oid;

use crate::git::scratch::{Scratch, committer, date, entries, patch, patched, series};

#[test]
fn nothing_enters_the_users_repository() {
    let s = Scratch::new();
    let before = s.snapshot("user");
    let repo = s.private();
    let (_, head) = patched(&s, &repo);
    assert_eq!(s.snapshot("user"), before);
    assert!(!s.try_git("user", &["cat-file", "-e", head.as_str()]).status.success());
    let log =
        s.git("private.git", &["log", "-1", "--format=%an <%ae> %at %ad|%cn %ct|%B", "--date=raw", head.as_str()]);
    assert_eq!(
        log,
        "A. U. Thor, Jr. <author@example.org> 1690000000 1690000000 -0530|Release Robot 1771891200|[1.0] Fix a hole\n\nIt was deep."
    );
    s.git("private.git", &["fsck", "--strict", head.as_str()]);
    assert_eq!(fs::metadata(&repo.dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!entries(&repo.dir).iter().any(|p| p.to_string_lossy().contains("index-")), "the index is removed");
    assert_eq!(s.git("private.git", &["remote"]), "");
}

#[test]
fn patches_apply_with_offsets_and_by_three_way_merge() {
    let s = Scratch::new();
    // The fix was made where line 4 read differently: only a three-way merge can place it.
    s.git("user", &["checkout", "-q", "-b", "dev"]);
    let text = fs::read_to_string(s.path("user/src/a.txt")).unwrap();
    s.write("user/src/a.txt", &text.replace("line 9\n", "LINE 9\n"));
    s.git("user", &["commit", "-qam", "dev only"]);
    let text = fs::read_to_string(s.path("user/src/a.txt")).unwrap();
    s.write("user/src/a.txt", &text.replace("line 11\n", "FIXED 11\n"));
    s.git("user", &["commit", "-qam", "the fix"]);
    let diff = s.git("user", &["diff-tree", "-p", "--full-index", "HEAD"]);
    let mut fix = patch(5, "x");
    fix.diff = format!("{}\n", diff.split_once('\n').unwrap().1).into_bytes();
    let repo = s.private();
    let base = s.head("user", "release-1.0");
    let made = s.git.apply_series(&repo, &base, &series(vec![fix]), &committer(), date());
    let head = made.unwrap_or_else(|e| panic!("{}", e.report())).remove(0);
    let text = s.git("private.git", &["show", &format!("{head}:src/a.txt")]);
    assert!(text.contains("FIXED 11") && text.contains("line 9"), "{text}");
}

#[test]
fn a_patch_that_does_not_apply_is_shown() {
    let s = Scratch::new();
    let repo = s.private();
    let base = s.head("user", "release-1.0");
    let mut wrong = patch(5, "LINE 5");
    wrong.diff = String::from_utf8(wrong.diff).unwrap().replace("-line 5", "-line five").into_bytes();
    let e = s.git.apply_series(&repo, &base, &series(vec![wrong]), &committer(), date()).unwrap_err();
    let report = e.report();
    for part in [
        "patch `0001-fix.patch` (\"[1.0] Fix a hole\") does not apply: `src/a.txt`, line 5, hunk 1 of 1",
        "| -line five",
        "| line 5",
        "hint: ",
    ] {
        assert!(report.contains(part), "{part:?} in {report}");
    }
    let twice = series(vec![patch(5, "LINE 5"), patch(5, "LINE 5")]);
    let e = s.git.apply_series(&repo, &base, &twice, &committer(), date()).unwrap_err();
    assert!(e.message().contains("patch"), "{}", e.report());
    assert!(entries(&repo.dir).iter().all(|p| !p.to_string_lossy().contains("index-")));
}

#[test]
fn a_patch_cannot_leave_the_tree() {
    let s = Scratch::new();
    let repo = s.private();
    let base = s.head("user", "release-1.0");
    for path in ["../../evil", ".git/hooks/x", "/tmp/evil"] {
        let mut bad = patch(5, "x");
        bad.diff = format!(
            "diff --git a/{path} b/{path}\nnew file mode 100755\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
        )
        .into_bytes();
        let made = s.git.apply_series(&repo, &base, &series(vec![bad]), &committer(), date());
        assert!(made.is_err(), "{path}: {made:?}");
    }
}

#[test]
fn empty_patches_become_empty_commits() {
    let s = Scratch::new();
    let repo = s.private();
    let base = s.head("user", "release-1.0");
    let mut empty = patch(5, "x");
    empty.diff.clear();
    let made = s.git.apply_series(&repo, &base, &series(vec![empty]), &committer(), date()).unwrap();
    assert_eq!(s.git.tree_id(&repo, &made[0]).unwrap(), s.git.tree_id(&repo, &base).unwrap());
}

#[test]
fn edits_replace_whole_files_and_keep_modes() {
    let s = Scratch::new();
    let repo = s.private();
    let base = s.head("user", "release-1.0");
    let edits = [("run.sh".to_owned(), b"#!/bin/bash\n".to_vec()), ("new/deep/f".to_owned(), b"f".to_vec())];
    let head = s.git.commit_edits(&repo, &base, &edits, "bump\n", &committer(), date()).unwrap();
    let tree = s.git("private.git", &["ls-tree", "-r", head.as_str()]);
    assert!(tree.contains("100755") && tree.contains("new/deep/f"), "{tree}");
    assert_eq!(s.git("private.git", &["show", &format!("{head}:run.sh")]), "#!/bin/bash");
    let again = s.git.commit_edits(&repo, &base, &edits, "bump\n", &committer(), date()).unwrap();
    assert_eq!(again, head, "same input, same commit");
    for bad in ["../x", "src", "a//b", ".git/config", "/etc/x", ""] {
        let edits = [(bad.to_owned(), Vec::new())];
        assert!(s.git.commit_edits(&repo, &base, &edits, "x", &committer(), date()).is_err(), "{bad}");
    }
    let files = s.git.tree(&repo, &head).unwrap().entries().unwrap();
    let mut files = files;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(
        files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
        ["b.txt", "new/deep/f", "run.sh", "src/a.txt"]
    );
    let tree = s.git.tree(&repo, &head).unwrap();
    assert_eq!(tree.read("b.txt").unwrap().as_deref(), Some(&b"b\n"[..]));
    assert_eq!(tree.read("src").unwrap(), None);
    assert_eq!(tree.read("nothing").unwrap(), None);
}

/// A new process: nothing is known to be checked.
fn restarted(s: &Scratch) -> LocalGit {
    LocalGit::new(s.program().clone())
}

#[test]
fn damage_is_found_and_everything_comes_back_from_the_pack() {
    let s = Scratch::new();
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let mut pack = Vec::new();
    s.git.export_pack(&repo, &base, &head, &mut pack).unwrap();
    let loose = |oid: &Oid| repo.dir.join("objects").join(&oid.as_str()[..2]).join(&oid.as_str()[2..]);
    let tree = s.git.tree_id(&repo, &head).unwrap();
    let writable = |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    type Damage<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let cut: Vec<Damage<'_>> = vec![
        (
            "an empty tree",
            Box::new(|| {
                writable(&loose(&tree));
                fs::write(loose(&tree), b"").unwrap();
            }),
        ),
        (
            "an altered commit",
            Box::new(|| {
                writable(&loose(&head));
                let mut bytes = fs::read(loose(&head)).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x55;
                fs::write(loose(&head), bytes).unwrap();
            }),
        ),
        ("a cut pack", Box::new(|| fs::write(repo.dir.join("objects/pack/pack-0000.pack"), b"PACK").unwrap())),
        ("no repository", Box::new(|| fs::remove_dir_all(&repo.dir).unwrap())),
    ];
    for (what, damage) in cut {
        damage();
        let git = restarted(&s);
        git.ensure(&repo).unwrap();
        assert!(!git.has_commit(&repo, &head).unwrap(), "{what}: the cache was dropped");
        git.import_pack(&repo, &pack).unwrap();
        assert!(git.has_commit(&repo, &head).unwrap(), "{what}");
        // Loose again, for the next damage.
        fs::remove_dir_all(&repo.dir).unwrap();
        s.git.ensure(&repo).unwrap();
        assert_eq!(patched(&s, &repo).1, head);
    }
    // An object that never reached the disk leaves no damaged file: only what needs it can notice.
    let parts = ["", "src", "src/a.txt"].map(|path| s.head("private.git", &format!("{head}:{path}")));
    for part in &parts {
        let kept = fs::read(loose(part)).unwrap();
        fs::remove_file(loose(part)).unwrap();
        let git = restarted(&s);
        git.ensure(&repo).unwrap();
        assert!(!git.has_commit(&repo, &head).unwrap(), "{part}");
        fs::write(loose(part), kept).unwrap();
        assert!(git.has_commit(&repo, &head).unwrap(), "{part}");
    }
    // Frame files are repaired in place.
    fs::write(repo.dir.join("config"), b"[core]\n\thooksPath = /evil\n").unwrap();
    fs::remove_file(repo.dir.join("HEAD")).unwrap();
    s.git.ensure(&repo).unwrap();
    assert_eq!(s.git("private.git", &["config", "core.hooksPath"]), "/dev/null");
}

#[test]
fn broken_packs_are_refused() {
    let s = Scratch::new();
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let mut pack = Vec::new();
    s.git.export_pack(&repo, &base, &head, &mut pack).unwrap();
    let mut altered = pack.clone();
    altered[40] ^= 1;
    assert!(s.git.import_pack(&repo, &altered).is_err());
    assert!(s.git.import_pack(&repo, &pack[..pack.len() - 1]).is_err());
    assert!(s.git.import_pack(&repo, b"").is_err());
    let mut empty = Vec::new();
    s.git.export_pack(&repo, &base, &base, &mut empty).unwrap();
    s.git.import_pack(&repo, &empty).unwrap();
}

/// Makes a train's commit over the git directory `borrow` and returns it.
fn works_over(s: &Scratch, name: &str, borrow: &str) -> Oid {
    let repo = PrivateRepo { dir: s.path(name), borrow: s.path(borrow) };
    s.git.ensure(&repo).unwrap_or_else(|e| panic!("{borrow}: {}", e.report()));
    let (base, head) = patched(s, &repo);
    assert!(s.git.has_commit(&repo, &head).unwrap(), "{borrow}");
    assert!(s.git.has_commit(&repo, &base).unwrap(), "{borrow}");
    let mut pack = Vec::new();
    s.git.export_pack(&repo, &base, &head, &mut pack).unwrap_or_else(|e| panic!("{borrow}: {}", e.report()));
    head
}

#[test]
fn every_form_of_repository_can_be_borrowed_from() {
    let s = Scratch::new();
    let url = format!("file://{}", s.path("user").display());
    s.git(".", &["clone", "-q", "--bare", &url, "bare.git"]);
    s.git("user", &["worktree", "add", "-q", "--detach", "../linked"]);
    s.git(".", &["clone", "-q", "--depth=1", &url, "shallow"]);
    s.git(".", &["clone", "-q", "--shared", "user", "shared"]);
    s.git(".", &["clone", "-q", "--shared", "shared", "shared-again"]);
    s.git(
        ".",
        &[
            "clone",
            "-q",
            "--filter=blob:limit=10",
            "--no-checkout",
            "-c",
            "uploadpack.allowFilter=true",
            &url,
            "partial",
        ],
    );
    let heads: Vec<Oid> =
        ["user/.git", "bare.git", "linked", "shallow/.git", "shared/.git", "shared-again/.git", "partial/.git"]
            .iter()
            .enumerate()
            .map(|(n, borrow)| works_over(&s, &format!("p{n}.git"), borrow))
            .collect();
    assert!(heads.windows(2).all(|w| w[0] == w[1]), "{heads:?}");
}

#[test]
fn blobs_that_are_not_needed_may_be_missing() {
    let s = Scratch::new();
    let blob = s.head("user", "HEAD:b.txt");
    let file = s.path("user/.git/objects").join(&blob.as_str()[..2]).join(&blob.as_str()[2..]);
    fs::remove_file(file).unwrap();
    let head = works_over(&s, "private.git", "user/.git");
    let repo = s.private();
    let edits = [("src/a.txt".to_owned(), b"x".to_vec())];
    s.git.commit_edits(&repo, &head, &edits, "bump\n", &committer(), date()).unwrap();
}

#[test]
fn sha256_repositories_are_refused_clearly() {
    let s = Scratch::empty();
    s.git(".", &["init", "-q", "--object-format=sha256", "user"]);
    let repo = PrivateRepo { dir: s.path("private.git"), borrow: s.path("user/.git") };
    assert!(s.git.ensure(&repo).unwrap_err().report().contains("SHA-256"));
}

#[test]
fn the_users_configuration_does_not_matter() {
    let s = Scratch::new();
    let expected = patched(&s, &s.private()).1;
    s.write(
        "home/.gitconfig",
        "[core]\n\tautocrlf = true\n\thooksPath = /evil\n[apply]\n\twhitespace = error\n[commit]\n\tgpgSign = true\n[extensions]\n\tx = y\n",
    );
    s.write("home/.config/git/attributes", "* text eol=crlf\n");
    fs::remove_dir_all(s.path("private.git")).unwrap();
    assert_eq!(patched(&s, &s.private()).1, expected);
}
