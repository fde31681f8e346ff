//! What holds of the rewriters on any text: reading, rewriting and reading again keeps everything but the versions. The
//! properties call these with texts that they make up, the programs in `fuzz/` with what a coverage-guided fuzzer finds.

use jiff::civil::Date;
use lifeboat::formats::cargo_lock::{self, CrateMoves, LockedPackage};
use lifeboat::formats::cargo_manifest::{self, PackageVersion, SpannedText};
use lifeboat::formats::changelog::Dated;
use lifeboat::formats::splice::{Splice, splice};
use lifeboat::formats::{c_header, changelog, changelog_dates, version_text};
use semver::Version;

/// Moves the packages of this name and version that have no source, by so many patches.
pub(crate) fn lock(text: &str, name: &str, old: &Version, by: u64) {
    let Ok(before) = cargo_lock::parse(text) else { return };
    let new = Version::new(old.major, old.minor, old.patch.saturating_add(by));
    let moved = CrateMoves::from([(name.to_owned(), vec![(old.clone(), new.clone())])]);
    let after = cargo_lock::parse(&cargo_lock::rewrite(text, &moved).unwrap()).unwrap();
    let key = |p: &LockedPackage, moves: bool| {
        let moves = moves && p.name == name && p.source.is_none() && p.version == old.to_string();
        (p.name.clone(), if moves { new.to_string() } else { p.version.clone() }, p.source.clone())
    };
    let mut expected: Vec<_> = before.packages.iter().map(|p| key(p, true)).collect();
    let mut got: Vec<_> = after.packages.iter().map(|p| key(p, false)).collect();
    expected.sort();
    got.sort();
    assert_eq!(expected, got);
    // Who depends on whom does not change.
    let edges = |lock: &cargo_lock::CargoLock| lock.packages.iter().map(|p| p.dependencies().count()).sum::<usize>();
    assert_eq!(edges(&before), edges(&after));
}

/// Sets every version and every requirement of a manifest, and takes them back.
pub(crate) fn manifest(text: &str) {
    let Ok(parsed) = cargo_manifest::parse(text) else { return };
    let places = versions(&parsed);
    let after = splice(text, places.iter().map(|t| t.set(text, "7.7.7")).collect());
    let again = cargo_manifest::parse(&after).unwrap();
    let set = versions(&again);
    assert_eq!(set.len(), places.len());
    assert!(set.iter().all(|t| t.value == "7.7.7"), "{after}");
    // The whole document, with the parts that a bump knows nothing of.
    let (Ok(a), Ok(b)) = (text.parse::<toml::Table>(), after.parse::<toml::Table>()) else { return };
    let mut differing = Vec::new();
    differences(&toml::Value::Table(a), &toml::Value::Table(b), &mut differing);
    assert!(differing.len() <= places.len(), "{differing:?} of {text:?}");
    let back = set.iter().zip(&places).map(|(t, was)| {
        // The literal itself, with its quotes: nothing else was touched.
        let literal = &text[was.span.clone()];
        Splice::new(t.span.clone(), literal)
    });
    assert_eq!(splice(&after, back.collect()), text);
}

fn versions(manifest: &cargo_manifest::CargoManifest) -> Vec<SpannedText> {
    let own = manifest.package.iter().filter_map(|p| match &p.version {
        PackageVersion::Literal(text) => Some(text.clone()),
        PackageVersion::Inherited | PackageVersion::Absent => None,
    });
    let shared = manifest.workspace.iter().filter_map(|w| w.version.clone());
    own.chain(shared).chain(manifest.dependencies.iter().filter_map(|d| d.requirement.clone())).collect()
}

fn differences(a: &toml::Value, b: &toml::Value, out: &mut Vec<String>) {
    match (a, b) {
        (toml::Value::Table(a), toml::Value::Table(b)) => {
            assert!(a.keys().eq(b.keys()), "{a:?} {b:?}");
            a.iter().zip(b).for_each(|((_, a), (_, b))| differences(a, b, out));
        }
        (toml::Value::Array(a), toml::Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| differences(a, b, out));
        }
        // Numbers that are none equal nothing.
        (toml::Value::Float(a), toml::Value::Float(b)) => assert_eq!(a.to_bits(), b.to_bits()),
        (a, b) if a == b => {}
        (a, b) => {
            assert_eq!(b.as_str(), Some("7.7.7"), "was {a:?}");
            out.push(a.to_string());
        }
    }
}

/// Dates the section of `new` in every way that is known: one line changes, and once more changes nothing.
pub(crate) fn changelog(text: &str, old: &Version, new: &Version) {
    let day = Date::constant(2029, 5, 21);
    let mut made = Vec::new();
    for (unreleased, released) in [("Unreleased", "Released {date}"), ("[Unreleased]", "[{version}] - {date}")] {
        if let Ok(Dated::Splices(cuts)) = changelog::date(text, new, day, unreleased, released, None) {
            let after = splice(text, cuts);
            let twice = changelog::date(&after, new, day, unreleased, released, None).unwrap();
            let twice = if let Dated::Splices(cuts) = twice { splice(&after, cuts) } else { after.clone() };
            assert_eq!(twice, after);
            made.push(after);
        }
    }
    made.extend(changelog_dates::date_as_before(text, old, new, day).map(|cut| splice(text, vec![cut])));
    for after in made {
        let (a, b): (Vec<&str>, Vec<&str>) = (text.split('\n').collect(), after.split('\n').collect());
        assert_eq!(a.len(), b.len());
        let differing: Vec<_> = a.iter().zip(&b).filter(|(a, b)| a != b).collect();
        assert_eq!(differing.len(), 1, "{differing:?}");
        assert_eq!(differing[0].0.ends_with('\r'), differing[0].1.ends_with('\r'));
        assert!(differing[0].1.contains("2029") || !changelog_dates::is_unreleased(differing[0].1));
    }
}

/// Moves `old` to a patch that occurs nowhere in version files of every kind, and puts the old one back.
pub(crate) fn version_files(text: &str, old: &Version) {
    if text.contains("777") {
        return;
    }
    let new = Version::new(old.major, old.minor, 777);
    let json = |text: &str| -> Vec<Splice> {
        let own = version_text::package_json(text).1.into_iter().filter(|(v, _)| *v == old.to_string());
        own.map(|(_, at)| Splice::new(at, new.to_string())).collect()
    };
    let project = |text: &str| -> Vec<Splice> {
        let own = version_text::pyproject(text).into_iter().filter(|(_, v, _)| *v == old.to_string());
        own.map(|(_, _, at)| Splice::new(at, new.to_string())).collect()
    };
    for cuts in [
        c_header::bump(text, old, &new, |_| true),
        version_text::snippets(text, "a", old, &new),
        version_text::links(text, "a", old, &new),
        version_text::site_links(text, "a", old, &new),
        version_text::constants(text, "a", old, &new),
        version_text::project_versions(text, old, &new),
        version_text::html_root_urls(text, "a", old, &new),
        version_text::marked(text, "rev: v{version}", old, &new),
        version_text::in_marked_lines(text, "x-release-version", old, &new),
        version_text::plain(text, old, &new).into_iter().collect(),
        json(text),
        project(text),
    ] {
        for cut in &cuts {
            let was = text.get(cut.span.clone());
            assert!(was.is_some_and(|w| w.contains(&old.patch.to_string())), "{cut:?} replaces {was:?}");
        }
        let after = splice(text, cuts);
        assert_eq!(after.replace("777", &old.patch.to_string()), text);
    }
}
