//! Parse, rewrite, parse: everything but the versions is as before, on any input.

use lifeboat::formats::cargo_lock::{self, Moved};
use lifeboat::formats::splice::splice;
use lifeboat::formats::{c_header, cargo_manifest, changelog, changelog_dates, version_text};
use proptest::prelude::*;
use semver::Version;

fn version() -> impl Strategy<Value = Version> {
    (0..3u64, 0..4u64, 0..12u64).prop_map(|(a, b, c)| Version::new(a, b, c))
}

/// Lock files with few names and versions, so that names meet.
fn lock() -> impl Strategy<Value = String> {
    let package = ("[abc]", version(), any::<bool>());
    proptest::collection::btree_set(package, 1..8).prop_flat_map(|packages| {
        // In cargo's order: by name, by version, and what has no source first.
        let mut packages: Vec<_> = packages.into_iter().collect();
        packages.sort_by_key(|(name, version, ours)| (name.clone(), version.clone(), !ours));
        let count = packages.len();
        let edges = proptest::collection::vec((0..count, 0..count), 0..12);
        (Just(packages), edges).prop_map(|(packages, edges)| {
            let mut out = String::from("version = 4\n");
            for (i, (name, version, ours)) in packages.iter().enumerate() {
                out += &format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
                if !ours {
                    out += "source = \"registry+https://x\"\n";
                }
                let mut list: Vec<String> = edges
                    .iter()
                    .filter(|(from, _)| *from == i)
                    .map(|(_, to)| {
                        let (name, version, ours) = &packages[*to];
                        let same = packages.iter().filter(|p| p.0 == *name && p.1 == *version).count() > 1;
                        let several = packages.iter().any(|p| p.0 == *name && p.1 != *version);
                        match (same, several) {
                            (true, _) if !ours => format!("{name} {version} (registry+https://x)"),
                            (true, _) | (_, true) => format!("{name} {version}"),
                            _ => name.clone(),
                        }
                    })
                    .collect();
                list.sort();
                list.dedup();
                if !list.is_empty() {
                    out += &format!("dependencies = [\n \"{}\",\n]\n", list.join("\",\n \""));
                }
            }
            out
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn locks_keep_all_but_the_versions(text in lock(), old in version(), by in 1..5u64) {
        let new = Version::new(old.major, old.minor, old.patch + by);
        let moved = Moved::from([("a".to_owned(), vec![(old.clone(), new.clone())])]);
        let before = cargo_lock::parse(&text).unwrap();
        let after = cargo_lock::parse(&cargo_lock::rewrite(&text, &moved).unwrap()).unwrap();
        let key = |p: &cargo_lock::LockedPackage, moves: bool| {
            let moves = moves && p.name == "a" && p.source.is_none() && p.version == old.to_string();
            (p.name.clone(), if moves { new.to_string() } else { p.version.clone() }, p.source.clone())
        };
        let mut expected: Vec<_> = before.packages.iter().map(|p| key(p, true)).collect();
        let mut got: Vec<_> = after.packages.iter().map(|p| key(p, false)).collect();
        expected.sort();
        got.sort();
        prop_assert_eq!(expected, got);
    }

    #[test]
    fn locks_go_there_and_back(text in lock(), old in version(), by in 1..5u64) {
        let new = Version::new(old.major, old.minor, old.patch + by + 20);
        let step = |a: &Version, b: &Version| Moved::from([("a".to_owned(), vec![(a.clone(), b.clone())])]);
        let there = cargo_lock::rewrite(&text, &step(&old, &new)).unwrap();
        prop_assert_eq!(cargo_lock::rewrite(&there, &step(&new, &old)).unwrap(), text);
    }

    #[test]
    fn nothing_panics(text in "[\\[\\]a-c=\"'{}#.,:/ \n\r\u{e9}0-9-]{0,200}", old in version(), new in version()) {
        let _ = cargo_manifest::parse(&text);
        let _ = cargo_lock::rewrite(&text, &Moved::from([("a".to_owned(), vec![(old.clone(), new.clone())])]));
        let _ = splice(&text, c_header::bump(&text, &old, &new, |_| true));
        let _ = splice(&text, version_text::snippets(&text, "a", &old, &new));
        let _ = splice(&text, version_text::links(&text, "a", &old, &new));
        let _ = (version_text::pyproject(&text), version_text::package_json(&text), version_text::plain(&text, &old, &new));
        let day = jiff::civil::date(2026, 5, 21);
        let _ = changelog::date(&text, &old, day, "a", "{date}", None);
        let _ = (changelog::notes(&text, &old, Some("^a")), changelog_dates::date_as_before(&text, &old, &new, day));
    }

    #[test]
    fn manifests_keep_all_but_the_versions(
        lines in proptest::collection::vec(("[a-d]{1,3}", version(), 0..5usize, "[ \t]{0,2}", any::<bool>()), 0..8),
        crlf in any::<bool>(),
    ) {
        let mut text = String::from("[package]\nname = 'x' # é\nversion = '9.9.9'\n[dependencies]\n");
        let mut seen = std::collections::BTreeSet::new();
        for (name, version, form, blank, comment) in lines {
            if !seen.insert(name.clone()) { continue; }
            text += &match form {
                0 => format!("{name}{blank}={blank}\"{version}\""),
                1 => format!("{name} = {{{blank}path = 'p', version = '={version}'{blank}}}"),
                2 => format!("{name}.version = \"^{version}\""),
                3 => format!("\"{name}\" = {{ version = '''{version}''' }}"),
                _ => format!("{name} = {{ workspace = true }}"),
            };
            text += if comment { " # 1.2.3\n" } else { "\n" };
        }
        let text = if crlf { text.replace('\n', "\r\n") } else { text };
        let parsed = cargo_manifest::parse(&text).unwrap();
        let places: Vec<_> = parsed.dependencies.iter().filter_map(|d| d.requirement.clone()).collect();
        let after = splice(&text, places.iter().map(|t| t.set(&text, "7.7.7")).collect());
        let again = cargo_manifest::parse(&after).unwrap();
        prop_assert!(again.dependencies.iter().filter_map(|d| d.requirement.as_ref()).all(|t| t.value == "7.7.7"));
        // Taking the values back gives the same bytes: nothing else was touched.
        let values: Vec<String> = places.iter().map(|t| t.value.clone()).collect();
        let back = again.dependencies.iter().filter_map(|d| d.requirement.clone()).zip(values);
        prop_assert_eq!(splice(&after, back.map(|(t, v)| t.set(&after, &v)).collect()), text);
    }
}
