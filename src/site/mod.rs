//! The static pages that a store serves: from data to bytes; pure.
//!
//! A page needs no script and nothing from elsewhere: its links are relative, its style is its own. It shows what a
//! stranger would run to check the release, with tools that they have already.

mod commands;
mod index;
mod links;
mod release;
mod root;
mod sample;

pub use index::{IndexPage, IndexRelease, index_page};
pub use release::{PageFile, PageSigner, ReleasePage, release_page, try_release_page};
pub use root::{MARK, RootPage, root_page};
pub use sample::{SamplePages, check_templates, sample};

/// A size for people: three digits at most, binary units.
pub(crate) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} {}", UNITS[0]);
    }
    let mut unit = 0;
    // In tenths, so that nothing is lost to floating point.
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths = (tenths + 512) / 1024;
        unit += 1;
    }
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", (tenths + 5) / 10, UNITS[unit])
    }
}

/// A link only where following it cannot run anything.
fn safe_link(url: &str) -> Option<&str> {
    ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, want) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (12_345_678, "12 MiB"),
            (2 << 30, "2.0 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(human_size(bytes), want);
        }
    }

    #[test]
    fn links() {
        assert_eq!(safe_link("javascript:alert(1)"), None);
        assert!(safe_link("https://example.org/a").is_some());
    }
}

#[cfg(test)]
mod page_tests;
