use super::*;
use crate::config::TemplateSet;

fn release(page: &ReleasePage) -> String {
    String::from_utf8(release_page(&TemplateSet::default(), page).unwrap()).unwrap()
}

fn index(page: &IndexPage) -> String {
    String::from_utf8(index_page(&TemplateSet::default(), page).unwrap()).unwrap()
}

/// Whatever comes from outside is text: neither an element nor a link that runs something.
#[test]
fn hostile_values_stay_text() {
    let mut page = sample().unwrap().release;
    page.notes = Some("</pre><script>alert(1)</script>".to_owned());
    page.advisories[0].summary = Some("<img src=x onerror=alert(1)> \"'&".to_owned());
    page.advisories[0].cve = Some("javascript:alert(1)".to_owned());
    page.advisories[1].id = "CVE-\"><script>".to_owned();
    page.signers[0].person = "<b>eve</b>".to_owned();
    page.clone_url = Some("https://example.org/a.git; rm -rf ~".to_owned());
    let html = release(&page);
    for bad in ["<script", "<img", "href=\"javascript:", "<b>eve"] {
        assert!(!html.contains(bad), "{bad}");
    }
    assert!(html.contains("&lt;script&gt;") && html.contains("git clone &#x27;https:"), "{html}");
    let mut list = sample().unwrap().index;
    list.releases[0].advisories[0].id = "<script>".to_owned();
    assert!(!index(&list).contains("<script"));
}

#[test]
fn pages_run_nothing_and_load_nothing() {
    let sample = sample().unwrap();
    let root = String::from_utf8(root_page(&TemplateSet::default(), &sample.root).unwrap()).unwrap();
    for html in [release(&sample.release), index(&sample.index), root] {
        assert_eq!(crate::templates::active(&html), None);
        for bad in ["<script", "<link", "<iframe", "<img", " src=", "url(", "@import", " on"] {
            let hit = html.split('<').find(|tag| format!("<{}", tag.split('>').next().unwrap_or("")).contains(bad));
            assert!(hit.is_none(), "{bad}: {hit:?}");
        }
        assert!(html.contains("default-src 'none'") && html.starts_with("<!doctype html>"));
        assert!(html.contains("<html lang=\"en\">") && html.contains("name=\"viewport\""));
    }
}

#[test]
fn a_release_page_has_what_a_stranger_runs() {
    let page = sample().unwrap().release;
    // The library escapes more than HTML asks for.
    let html = release(&page).replace("&#x2f;", "/");
    for line in [
        "sha256sum --check --ignore-missing SHA256SUMS\n",
        "curl -fsSLO https://releases.example.org/releases/36.0.6/acme-v36.0.6-src.tar.gz\n",
        "curl -fsSLO https://releases.example.org/releases/36.0.6/SHA256SUMS.alice.asc\n",
        "curl -fsSLO https://releases.example.org/keys/release.asc\n",
        "gpg --quiet --import alice.asc bob.asc release.asc\n",
        "36.0.6 https://releases.example.org\n",
        "Affected: <code>acme</code> <code>&gt;= 25.0.0, &lt; 36.0.6</code>, fixed in 36.0.6",
        "href=\"https://www.cve.org/CVERecord?id=CVE-2026-27572\"",
        "gpg --verify SHA256SUMS.alice.asc SHA256SUMS\n",
        "sqv --keyring bob.asc SHA256SUMS.bob.asc SHA256SUMS\n",
        "git clone https://releases.example.org/git/acme.git acme\n",
        "git -C acme tag --verify v36.0.6\n",
        "3A0F 1D2E 4B5C 6978 8796 A5B4 C3D2 E1F0 0F1E 2D3C",
        "href=\"../../keys/alice.asc\"",
        "href=\"acme-v36.0.6-src.tar.gz.asc\"",
    ] {
        assert!(html.contains(line), "{line}");
    }
    for file in &page.files {
        assert!(html.contains(&format!("href=\"{}\"", file.name)) && html.contains(&file.sha256.hex()));
    }
}

#[test]
fn a_release_without_extras_says_nothing_of_them() {
    let mut page = sample().unwrap().release;
    (page.signers, page.advisories, page.others) = (Vec::new(), Vec::new(), Vec::new());
    (page.notes, page.clone_url, page.release_key) = (None, None, None);
    (page.base, page.release_certificate) = (None, None);
    let html = release(&page);
    for word in ["security release", "Signed by", "Release notes", "git clone", "gpg", "release key"] {
        assert!(!html.contains(word), "{word}");
    }
    // Certificates that are not published cannot be named in a command.
    page.signers = sample().unwrap().release.signers;
    page.signers.iter_mut().for_each(|s| s.certificate = None);
    let html = release(&page);
    assert!(html.contains("gpg --verify") && !html.contains("sqv") && !html.contains("--import"));
}

#[test]
fn a_superseded_release_says_so() {
    let page = sample().unwrap().release;
    assert!(!release(&page).contains("superseded"));
    let page = ReleasePage { superseded_by: Some(semver::Version::new(36, 0, 7)), ..page };
    let html = release(&page);
    assert!(html.contains("This release is superseded") && html.contains("href=\"../36.0.7/index.html\""), "{html}");
    // What a store keeps of a page makes the same page again.
    let kept: ReleasePage = serde_json::from_slice(&serde_json::to_vec(&page).unwrap()).unwrap();
    assert_eq!(kept, page);
}

#[test]
fn the_root_page_says_who_is_affected_by_what_is_fixed() {
    let html = String::from_utf8(root_page(&TemplateSet::default(), &sample().unwrap().root).unwrap()).unwrap();
    let html = html.replace("&#x2f;", "/");
    assert!(html.contains(MARK) && html.contains("href=\"releases/36.0.6/index.html\""), "{html}");
    for said in ["Releases with the fix", ">24.0.6</a>", "latest https://releases.example.org\n", "Am I affected?"] {
        assert!(html.contains(said), "{said}: {html}");
    }
}

#[test]
fn the_index_shows_the_latest_of_each_line_first() {
    let html = index(&sample().unwrap().index);
    let at = |needle: &str| html.find(needle).unwrap_or_else(|| panic!("{needle}"));
    assert!(at("acme 36.0.6</a>") < at(">36.0.5</a>") && at(">36.0.5</a>") < at("acme 24.0.6</a>"));
    assert!(at("acme 24.0.6</a>") < at("acme 37.0.0-rc.1</a>"), "a candidate comes last");
    assert!(html.contains("1 older") && html.contains("href=\"36.0.6/index.html\""));
    let none = IndexPage { releases: Vec::new(), ..sample().unwrap().index };
    assert!(index(&none).contains("There is no release yet."));
    let mut built = sample().unwrap().index;
    built.releases[0].version = semver::Version::parse("1.0.0+a.1").unwrap();
    assert!(index(&built).contains("href=\"1.0.0%2Ba.1/index.html\""));
}
