use super::*;

const CHANGE: &str = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n";
const OTHER: &str = "diff --git a/b b/b\n--- a/b\n+++ b/b\n@@ -1 +1,2 @@\n-x\n+y\n+z\n";

fn taken(patch: &str) -> String {
    let taken = diff(patch.as_bytes()).unwrap_or_else(|e| panic!("{}\n{patch}", e.report()));
    String::from_utf8(taken).unwrap()
}

fn refused(patch: &str, said: &str) {
    match diff(patch.as_bytes()) {
        Ok(taken) => panic!("taken: {}\nof: {patch}", String::from_utf8_lossy(&taken)),
        Err(e) => assert!(e.message().contains(said) && !e.hints().is_empty(), "{}\nof: {patch}", e.report()),
    }
}

#[test]
fn messages_are_cleaned_as_git_does() {
    assert_eq!(message("fix", "\n\nwhy  \n\n\nmore\n\n"), "fix\n\nwhy\n\nmore\n");
    assert_eq!(message("fix", ""), "fix\n");
}

#[test]
fn the_diff_stands_alone() {
    let stat = "---\n a | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n\n";
    assert_eq!(taken(&format!("{stat}{CHANGE}-- \n2.47.3\n\n")), CHANGE);
    assert_eq!(taken(CHANGE), CHANGE);
    assert_eq!(
        taken(&format!("{CHANGE}{OTHER}-- \n2.47.3\n_____\nsecurity list\nhttps://lists.example.org\n")),
        format!("{CHANGE}{OTHER}")
    );
    assert_eq!(taken(&format!("---\n\nFor 1.0 only.\n\n{CHANGE}\nbase-commit: 1234567\n-- \n2.47.3\n")), CHANGE);
    assert_eq!(taken(&format!("{CHANGE}\n---\nbase-commit: 1234567\nchange-id: x\n\nBest regards,\n-- \nA\n")), CHANGE);
    assert_eq!(taken("---\nnothing\n"), "");
}

#[test]
fn text_that_is_no_part_of_the_change_is_refused() {
    refused(&format!("{CHANGE}and\n{OTHER}"), "text stands between the changes of two files: `and`");
    refused(&format!("{CHANGE}diff --gi"), "`diff --gi`");
    refused(&format!("{CHANGE}diff --git a/b"), "is cut");
    refused(&format!("{CHANGE}-- \n2.47.3\n\n{OTHER}"), "between the changes of two files");
    refused(&format!("{CHANGE}\n > diff --git a/b b/b\n"), "not part of it");
    refused(
        &format!("---\n\nSubmodule deps/z 1234567..7654321:\n  > Fix\n{CHANGE}"),
        "Submodule deps/z 1234567..7654321",
    );
    refused(&format!("{CHANGE}Submodule z 1234567...7654321 (rewind):\n  < Fix\n"), "Submodule z");
}

#[test]
fn a_diff_in_the_message_is_refused() {
    refused(
        &format!("{CHANGE}\nThat was it.\n---\n b | 3 ++-\n\n{OTHER}"),
        "between the changes of two files: `That was it.`",
    );
    refused(&format!("{CHANGE}---\n b | 3 ++-\n\n{OTHER}"), "between the changes of two files");
    refused(&format!("{CHANGE}\n{OTHER}"), "empty lines stand between the changes");
    refused(&format!("diff -u shows nothing\n---\n b | 3 ++-\n\n{OTHER}"), "`diff -u shows nothing`");
    refused(&format!("--- that was it\n---\n b | 3 ++-\n\n{OTHER}"), "`--- that was it`");
    refused(&format!("---\nmore of the message\n---\n b | 3 ++-\n\n{OTHER}"), "two lines `---`");
    assert_eq!(taken(&format!("---\n\n{CHANGE}\n{OTHER}")), format!("{CHANGE}\n{OTHER}"));
}

#[test]
fn the_diffstat_agrees() {
    let stat = |sum: &str| format!("---\n a | 2 +-\n b | 3 ++-\n{sum}\n");
    let sum = " 2 files changed, 3 insertions(+), 2 deletions(-)\n";
    assert_eq!(taken(&format!("{}{CHANGE}{OTHER}", stat(sum))), format!("{CHANGE}{OTHER}"));
    refused(&format!("{}{CHANGE}", stat(sum)), "counts 2 files, and its change is of 1");
    refused(&format!("{}{CHANGE}", stat("")), "counts 2 files, and its change is of 1");
    refused(
        &format!("{}{OTHER}{CHANGE}", stat(" 2 files changed, 4 insertions(+), 2 deletions(-)\n")),
        "4 insertions and 2",
    );
    let mode = "diff --git a/m b/m\nold mode 100644\nnew mode 100755\n";
    assert_eq!(taken(&format!("---\n m | 0\n 1 file changed, 0 insertions(+), 0 deletions(-)\n\n{mode}")), mode);
    assert_eq!(taken(&format!("---\n {{a => b}}/.../x | Bin 0 -> 2 bytes\n 1 file changed\n\n{mode}-- \n2\n")), mode);
    refused(mode, "whether the change of `m` ends");
    assert_eq!(taken(&format!("{mode}-- \n2.47.3\n")), mode);
}

#[test]
fn a_removed_line_that_looks_like_a_signature_stays() {
    let patch = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1 @@\n-- \n x\n";
    assert_eq!(taken(patch), patch);
}

#[test]
fn only_a_wholly_converted_patch_loses_its_cr() {
    assert_eq!(taken(&CHANGE.replace('\n', "\r\n")), CHANGE);
    let content = CHANGE.replace("x\n", "x\r\n");
    assert_eq!(taken(&content), content);
    assert!(is_wire_form(b"From: x\r\n\r\nbody\r\n"));
    assert!(!is_wire_form(b"From: x\n\nbody\r\n"));
}

#[test]
fn files_that_are_no_bytes_of_text() {
    let wide: Vec<u8> = "From 1234 Mon".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(wide_encoding(&wide), Some("UTF-16"));
    assert_eq!(wide_encoding(&[&b"\xff\xfe"[..], &wide].concat()), Some("UTF-16"));
    assert_eq!(wide_encoding(b"From 1234 Mon"), None);
    assert_eq!(without_mark(b"\xef\xbb\xbfFrom"), b"From");
}

#[test]
fn cover_letters() {
    assert!(is_cover_letter(b"From: x\nSubject: [PATCH 0/2] all of it\n\n"));
    assert!(is_cover_letter(b"Subject: [PATCH v2 00/10] all of it\n\n"));
    assert!(!is_cover_letter(b"Subject: [PATCH 1/2] fix\n\nSubject: [PATCH 0/2]\n"));
    assert!(!is_cover_letter(b"Subject: [24.0.x] fix 0/2\n\n"));
    assert_eq!(number(b"Subject: [PATCH v2 02/10] x\n"), Some((2, 10)));
    assert_eq!(lacks(&[(1, 4), (3, 4)]).as_deref(), Some("2/4, 4/4"));
    assert_eq!(lacks(&[(0, 2), (1, 2), (2, 2)]), None);
    assert_eq!(lacks(&[(1, 2), (2, 3)]), None);
    assert_eq!(lacks(&[]), None);
}
