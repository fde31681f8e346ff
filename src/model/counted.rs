//! A number with its noun.

/// `1 step`, `2 steps`, `1 delivery`, `3 deliveries`; `more step` gives `2 more steps`.
#[must_use]
pub fn counted(n: usize, noun: &str) -> String {
    let (before, word) =
        noun.rsplit_once(' ').map_or((String::new(), noun), |(before, word)| (format!("{before} "), word));
    let word = match (n, word) {
        (1, _) => word.to_owned(),
        (_, "person") => "people".to_owned(),
        (_, "branch") => "branches".to_owned(),
        (_, word) => match word.strip_suffix('y') {
            Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
            _ => format!("{word}s"),
        },
    };
    format!("{n} {before}{word}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_and_several() {
        assert_eq!(
            [counted(1, "crate"), counted(0, "crate"), counted(2, "crate")],
            ["1 crate", "0 crates", "2 crates"]
        );
        assert_eq!([counted(1, "delivery"), counted(3, "delivery")], ["1 delivery", "3 deliveries"]);
        assert_eq!([counted(2, "day"), counted(2, "person")], ["2 days", "2 people"]);
        assert_eq!([counted(1, "more file"), counted(2, "more file")], ["1 more file", "2 more files"]);
    }
}
