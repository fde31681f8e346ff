//! The names in a directory of patches; pure.

/// Whether it may lie beside the patches: a hidden file, or a README.
pub(super) fn is_beside(name: &str) -> bool {
    name.starts_with('.') || name.starts_with("README") && !is_mail(name)
}

/// Whether it is a mail by its name.
pub(super) fn is_mail(name: &str) -> bool {
    [".patch", ".mbox", ".eml"].iter().any(|end| name.len() > end.len() && name.ends_with(end))
}

/// Two of these sorted names whose numbers stand in the other order, if there are any.
pub(super) fn out_of_order(sorted: &[String]) -> Option<(&str, &str)> {
    let numbered: Vec<(Place, &str)> = sorted.iter().filter_map(|n| Some((place(n)?, n.as_str()))).collect();
    numbered.windows(2).find(|pair| pair[0].0 > pair[1].0).map(|pair| (pair[0].1, pair[1].1))
}

/// The version of a series and the number of a patch in it.
type Place = (u64, u64);

/// Reads `0001-title.patch` and `v2-0001-title.patch`, as `git format-patch` names them; not a name that begins with the
/// hexadecimal digits of a commit.
fn place(name: &str) -> Option<Place> {
    let version = name.strip_prefix('v').and_then(number).filter(|(_, rest)| rest.starts_with('-'));
    let (version, rest) = version.map_or((0, name), |(version, rest)| (version, &rest[1..]));
    let (number, rest) = number(rest)?;
    (!rest.starts_with(|c: char| c.is_alphanumeric())).then_some((version, number))
}

fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        let order = |names: &[&str]| {
            let sorted: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            assert!(sorted.is_sorted(), "{sorted:?}");
            out_of_order(&sorted).map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(order(&["10-x.patch", "9-x.patch"]), pair("10-x.patch", "9-x.patch"));
        assert_eq!(order(&["1-a.patch", "10-x.patch", "2-b.patch"]), pair("10-x.patch", "2-b.patch"));
        assert_eq!(order(&["1.eml", "10.eml", "a.eml", "b.eml"]), None);
        assert_eq!(order(&["v10-0001-x.patch", "v9-0001-x.patch"]), pair("v10-0001-x.patch", "v9-0001-x.patch"));
        assert_eq!(order(&["0001-a.patch", "0001-b.patch", "0002-c.patch", "v2-0001-a.patch"]), None);
        assert_eq!(order(&["10fe2a1.patch", "9fceb02.patch"]), None, "names of commits");
    }
}
