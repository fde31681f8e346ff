use super::*;

const TWO: &str = "diff --git a/a.txt b/a.txt\nindex 1111111..2222222 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,3 @@\n one\n-two\n+TWO\n+more\ndiff --git a/b b b/b b\nnew file mode 100644\nindex 0000000..3333333\n--- /dev/null\n+++ b/b b\t\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n";

fn names(diff: &str) -> Vec<(Option<String>, Option<String>)> {
    let text = |n: &Option<Vec<u8>>| n.as_ref().map(|n| String::from_utf8_lossy(n).into_owned());
    let change = read(diff.as_bytes()).unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(change.rest, b"");
    change.files.iter().map(|f| (text(&f.old), text(&f.new))).collect()
}

#[test]
fn files_and_lines_are_counted() {
    let change = read(TWO.as_bytes()).unwrap();
    let counted: Vec<(u64, u64)> = change.files.iter().map(|f| (f.added, f.removed)).collect();
    assert_eq!(counted, [(2, 1), (1, 0)]);
    assert_eq!(names(TWO)[1], (None, Some("b b".to_owned())));
    assert_eq!(change.end, TWO.len());
}

#[test]
fn a_cut_at_any_byte_is_seen_or_leaves_whole_files() {
    let first = TWO.find("diff --git a/b b").unwrap();
    let second = TWO.find("\\ No").unwrap();
    for end in 1..TWO.len() {
        let cut = &TWO[..end];
        let whole =
            read(cut.as_bytes()).is_ok_and(|c| c.rest.trim_ascii().is_empty() && !c.files.iter().any(|f| f.open));
        let fits = [first, second, TWO.len()].contains(&end);
        assert_eq!(whole, fits, "cut at {end}:\n{cut}");
    }
}

#[test]
fn forms_of_names() {
    let mode = |names: &str| format!("diff --git {names}\nold mode 100644\nnew mode 100755\n");
    for (line, path) in [
        ("a/x b/x", "x"),
        ("a/x y b/x y", "x y"),
        ("a/b b/b b/b b/b", "b b/b"),
        ("\"a/\\303\\244\\t\" \"b/\\303\\244\\t\"", "ä\t"),
        ("i/x w/x", "x"),
    ] {
        assert_eq!(names(&mode(line)), [(Some(path.to_owned()), Some(path.to_owned()))], "{line}");
    }
    for bad in ["src/x src/x", "x x", "a/x b/y", "a/x"] {
        assert!(read(mode(bad).as_bytes()).is_err(), "{bad}");
    }
    let moved = "diff --git a/x b/d/y\nsimilarity index 100%\nrename from x\nrename to d/y\n";
    assert_eq!(names(moved), [(Some("x".to_owned()), Some("d/y".to_owned()))]);
    // Made with `diff.noprefix`: git would strip a directory of the project.
    let bare = "diff --git src/x lib/x\nsimilarity index 100%\nrename from src/x\nrename to lib/x\n";
    assert!(read(bare.as_bytes()).unwrap_err().report().contains("diff.noprefix"));
}

#[test]
fn plain_diffs_have_prefixes_too() {
    let plain = |old: &str, new: &str| format!("--- {old}\n+++ {new}\n@@ -1 +1 @@\n-x\n+y\n");
    assert_eq!(names(&plain("a/s/x\t2026-01-01", "b/s/x\t2026-01-02")), [(Some("s/x".into()), Some("s/x".into()))]);
    assert_eq!(names(&plain("p-1.0/s/x", "p-1.1/s/x")).len(), 1);
    assert_eq!(names(&format!("Index: s/x\n==========\n{}", plain("a/s/x", "b/s/x"))).len(), 1);
    assert_eq!(names(&format!("diff -r 1234 s/x\n{}", plain("a/s/x", "b/s/x"))).len(), 1);
    for (old, new) in [("s/x", "s/x"), ("x", "x"), ("a/x", "b/y"), ("s/x", "/dev/null")] {
        assert!(read(plain(old, new).as_bytes()).is_err(), "{old} {new}");
    }
}

#[test]
fn changes_without_hunks_say_whether_they_are_whole() {
    let open = |text: &str| read(format!("diff --git a/x b/x\n{text}").as_bytes()).map(|c| c.files[0].open);
    assert!(open("old mode 100644\nnew mode 100755\n").unwrap());
    assert!(!open("new file mode 100644\nindex 0000000..e69de29\n").unwrap());
    assert!(open("new file mode 100644\n").unwrap(), "Mercurial's way of an empty file, or a cut");
    assert!(open("new file mode 100644\nindex 0000000..1234567\n").is_err());
    assert!(open("index 1234567..7654321 100644\n").is_err());
    assert!(open("index 1234567..7654321 100644\nBinary files a/x and b/x differ\n").is_ok());
    assert!(open("").is_err() && open("old mode 100644\n").is_err());
    assert!(open("index 1234567..7654321 100644\n--- a/x\n+++ b/x\n").is_err());
    assert!(open("index 1234567..7654321 100644\nGIT binary patch\nliteral 3\nKabc\n").is_err());
    assert!(!open("index 1234567..7654321 100644\nGIT binary patch\nliteral 3\nKabc\n\n").unwrap());
}

#[test]
fn text_between_two_files_ends_the_change() {
    let text = TWO.replace("diff --git a/b b", "Submodule sub 1234567..7654321:\n  > moved\ndiff --git a/b b");
    let change = read(text.as_bytes()).unwrap();
    assert_eq!(change.files.len(), 1);
    assert!(change.rest.starts_with(b"Submodule sub"));
    assert!(paths(text.as_bytes()).is_err());
    assert_eq!(paths(TWO.as_bytes()).unwrap().len(), 2);
    assert!(read(TWO.replace("diff --git a/b b", "\ndiff --git a/b b").as_bytes()).unwrap().spaced);
}

#[test]
fn a_title_of_blanks_costs_little() {
    let diff = |blanks: usize| format!("diff --git {}\nold mode 100644\nnew mode 100755\n", " ".repeat(blanks));
    // Refused by its length, before it is taken apart.
    let e = read(diff(1 << 20).as_bytes()).unwrap_err();
    assert!(e.message().contains("longer than 8192 bytes") && e.message().len() < 300, "{}", e.report());
    let started = std::time::Instant::now();
    assert!(
        read(diff(8 << 10).as_bytes().get(12..).map(|rest| [b"diff --git a", rest].concat()).unwrap().as_slice())
            .is_err()
    );
    assert!(started.elapsed().as_secs() < 5);
}
