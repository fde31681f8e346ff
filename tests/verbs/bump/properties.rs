//! Parse, rewrite, parse: everything but the versions is as before, on any input.

use lifeboat::formats::cargo_lock::{self, CrateMoves};
use lifeboat::formats::splice::splice;
use lifeboat::formats::{c_header, cargo_manifest, changelog, changelog_dates, version_text};
use proptest::prelude::*;
use semver::Version;

use super::rewriters;

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

/// Texts in which versions stand in every way that the rewriters know, and in others.
fn versioned() -> impl Strategy<Value = String> {
    let line = (0..23usize, version(), "[ab]", any::<bool>()).prop_map(|(form, v, name, wide)| {
        let gap = if wide { "  " } else { " " };
        match form {
            0 => format!("#define {}_VERSION{gap}\"{v}\"", name.to_uppercase()),
            1 => format!("#{gap}define VERSION_MAJOR {}", v.major),
            2 => format!("#define VERSION_MINOR{gap}{} /* é */", v.minor),
            3 => format!("#define VERSION_PATCH\t{}", v.patch),
            4 => format!("{name}{gap}={gap}\"{v}\""),
            5 => format!("{name} = {{{gap}version = '={v}', path = 'x' }} # {v}"),
            6 => format!("//! {name}.version = \"^{v}\""),
            7 => format!("[dependencies.{name}]"),
            8 => format!("version = \"{v}\""),
            9 => format!("#![doc(html_root_url{gap}= \"https://docs.rs/{name}/{v}\")]"),
            10 => format!("see <https://docs.rs/{name}/{v}/x>, https://docs.rs/{name}/{v}.1 and /{name}/{v}"),
            11 => "[project]".to_owned(),
            12 => format!("name = \"{name}\""),
            13 => format!("{{\"name\": \"{name}\",{gap}\"version\": \"{v}\", \"x\": {{\"version\": \"{v}\"}}}}"),
            14 => format!("v{v}"),
            15 => format!("rev: v{v}{gap}# x-release-version"),
            16 => format!("{v} é {v}-rc.1 {v}.0 1{v}"),
            17 => format!("## {v}"),
            18 => format!("## [Unreleased]{gap}"),
            19 => format!("## [{v}] - 2026-01-3{}", v.minor % 2),
            20 => "Unreleased.".to_owned(),
            21 => format!("set(\"{}_VERSION\",{gap}\"{v}\")", name.to_uppercase()),
            _ => format!("Released 2026-02-1{} ({v})", v.major),
        }
    });
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n")];
    proptest::collection::vec((line, end), 0..12)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(300), ..ProptestConfig::default() })]

    #[test]
    fn locks_keep_all_but_the_versions(text in lock(), old in version(), by in 1..5u64) {
        prop_assert!(cargo_lock::parse(&text).is_ok());
        rewriters::lock(&text, "a", &old, by);
    }

    #[test]
    fn locks_go_there_and_back(text in lock(), old in version(), by in 1..5u64) {
        let new = Version::new(old.major, old.minor, old.patch + by + 20);
        let step = |a: &Version, b: &Version| CrateMoves::from([("a".to_owned(), vec![(a.clone(), b.clone())])]);
        let there = cargo_lock::rewrite(&text, &step(&old, &new)).unwrap();
        prop_assert_eq!(cargo_lock::rewrite(&there, &step(&new, &old)).unwrap(), text);
    }

    #[test]
    fn nothing_panics(text in "[\\[\\]a-c=\"'{}#.,:/ \n\r\u{e9}0-9-]{0,200}", old in version(), new in version()) {
        let _ = cargo_manifest::parse(&text);
        let _ = cargo_lock::rewrite(&text, &CrateMoves::from([("a".to_owned(), vec![(old.clone(), new.clone())])]));
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
        prop_assert!(cargo_manifest::parse(&text).is_ok());
        rewriters::manifest(&text);
    }

    #[test]
    fn version_files_keep_all_but_the_versions(text in versioned(), old in version()) {
        rewriters::version_files(&text, &old);
    }

    #[test]
    fn changelogs_keep_all_but_one_line(text in versioned(), old in version(), new in version()) {
        rewriters::changelog(&text, &old, &new);
    }
}
