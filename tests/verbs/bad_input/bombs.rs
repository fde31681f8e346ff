//! Templates that grow without bound: refused by name before anything is planned, and nothing else suffers.

use super::*;

/// What doubles a list, sixty times.
const DOUBLED: &str =
    "{% set ns = namespace(x=[1, 2]) %}\n{% for i in range(60) %}\n{% set ns.x = ns.x + ns.x %}\n{% endfor %}\n";

#[test]
fn a_template_that_doubles_a_list_is_refused_with_its_line() {
    let train = SampleTrain::new();
    let own = train.project().join("release-templates");
    fs::create_dir(&own).unwrap();
    let file = train.train_file().display().to_string();
    let many: String = (1..40).map(|i| format!("{{% set x{i} = x{0} + x{0} %}}\n", i - 1)).collect();
    for (bomb, line) in [
        (DOUBLED.to_owned(), 3..=3),
        // Without a loop: somewhere on the way.
        (format!("{{% set x0 = [1, 2] %}}\n{many}{{{{ x39 ~ '' }}}}\n"), 20..=41),
        // A list of the same two lists, written out as one text.
        (DOUBLED.replace("ns.x + ns.x", "[ns.x, ns.x]") + "{{ (ns.x ~ '') | length }}\n", 5..=5),
    ] {
        fs::write(own.join("notes.md"), &bomb).unwrap();
        let start = Instant::now();
        let ran = train.run(&["plan", &file]).fails(2, &["`release-templates/notes.md`, line "]);
        let at = ran.stderr.split("`release-templates/notes.md`, line ").nth(1).unwrap();
        let at: usize = at.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
        assert!(line.contains(&at), "{bomb}: {}", ran.stderr);
        assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    }
    train.run(&["ship", &file]).ends_with(2);
    assert!(!train.train_dir("drill").exists());
    // One that is only long is taken.
    fs::write(own.join("notes.md"), "{% for i in range(500) %}\n{{ i + 1 }} {{ version }}\n{% endfor %}\n").unwrap();
    train.run(&["plan", &file]).ends_with(0);
}
