//! The pages that a store serves, as a browser has them: what they say, and that the commands on them work as they stand.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::stranger::home::{Served, Stranger};
use crate::support::sample_train::{Ran, SampleTrain};

const ADVISORY: &str = r#"
[[advisory]]
id = "SAMPLE-2026-0001"
summary = "An argument above eight gives a wrong result"
description = "Callers have eight bits."
severity = "high"
cve = "CVE-2026-10001"
affected = [{ package = "sample", versions = "< 1.0.5", patched = "1.0.5" }, { package = "sample", versions = ">= 2.0.0, < 2.0.2", patched = "2.0.2" }]
"#;

/// A page as a browser made it of what the server sent.
fn browser(stranger: &Stranger, url: &str) -> String {
    let mut command = Command::new("chromium");
    stranger.surround(&mut command);
    let profile = format!("--user-data-dir={}", stranger.home().join("browser").display());
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        &profile,
        "--dump-dom",
        url,
    ]);
    let out = command.output().unwrap_or_else(|e| panic!("chromium: {e}; apt-get install chromium"));
    let page = String::from_utf8(out.stdout).unwrap();
    assert!(page.contains("</html>"), "{url}: {page}{}", String::from_utf8_lossy(&out.stderr));
    page
}

/// The text of the blocks that are there to be pasted, in the page's order.
fn pasted(page: &str) -> String {
    let mut out = String::new();
    for block in page.split("<pre class=\"run\"").skip(1) {
        let text = block.split_once('>').unwrap().1.split_once("</pre>").unwrap().0;
        assert!(!text.contains('<'), "{text}");
        // A browser writes these four, and nothing else, as references.
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
        out.push_str(&text);
    }
    out
}

/// Runs lines as somebody who pastes them into a terminal, in an empty home.
fn paste(stranger: &Stranger, lines: &str, dir: &str) -> Ran {
    let here = stranger.here().join(dir);
    fs::create_dir(&here).unwrap();
    let mut command = Command::new("bash");
    stranger.surround(command.args(["-euo", "pipefail", "-c", lines]));
    let program = Path::new(env!("CARGO_BIN_EXE_lifeboat")).parent().unwrap().display().to_string();
    command.current_dir(here).env("PATH", format!("{program}:{}", std::env::var("PATH").unwrap()));
    Ran::of(&mut command)
}

#[test]
fn the_pages_answer_and_their_commands_work() {
    let (train, stranger) = (SampleTrain::new(), Stranger::new());
    let served = Served::of(&train.store(), &[]);
    train.edit(&train.config(), "required = true\n", &format!("required = true\npublic_url = \"{}\"\n", served.url));
    let file = fs::read_to_string(train.train_file()).unwrap();
    fs::write(train.train_file(), file + ADVISORY).unwrap();
    train.to_the_gate();
    train.release();
    served.serves(&train.store());

    let page = browser(&stranger, &format!("{}/releases/1.0.5/index.html", served.url));
    for said in [
        "Am I affected?",
        "SAMPLE-2026-0001",
        "href=\"https://www.cve.org/CVERecord?id=CVE-2026-10001\"",
        "An argument above eight gives a wrong result",
        ">high</span>",
        "&lt; 1.0.5</code>, fixed in 1.0.5",
    ] {
        assert!(page.contains(said), "no `{said}` in\n{page}");
    }
    assert!(!page.contains("superseded"));
    let lines = pasted(&page);
    let ran = paste(&stranger, &lines, "release").ends_with(0);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(said.matches("Good signature from").count(), 3, "two people and the tag\n{lines}\n{said}");
    assert_eq!(said.matches(": OK").count(), 5, "{said}");
    assert!(said.contains("sample 1.0.5 verifies; approved by alice, bob"), "{said}");

    let root = browser(&stranger, &format!("{}/index.html", served.url));
    for said in ["Am I affected?", "sample 1.0.5", "sample 2.0.2", "Releases with the fix"] {
        assert!(root.contains(said), "no `{said}` in\n{root}");
    }
    let ran = paste(&stranger, &pasted(&root), "root").ends_with(0);
    assert!(ran.stdout.contains("sample 2.0.2 verifies"), "{}", ran.stdout);
    let notes = fs::read_to_string(served.path("releases/1.0.5/notes.md")).unwrap();
    assert!(notes.contains("affected: sample < 1.0.5, fixed in 1.0.5"), "{notes}");

    // A later train on one line: what it supersedes says so, and what older trains fixed is not forgotten.
    let text = format!(
        "name = \"second\"\ndate = {}\nadvisories = [\"SAMPLE-2026-0002\"]\n[[line]]\nbranch = \"release-1.0.0\"\nto = \"1.1.0\"\n",
        "2026-11-29"
    );
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    fs::write(train.train_file(), text.replace("2026-11-29", &date)).unwrap();
    let pull = [
        "fetch",
        "--quiet",
        &train.store().join("git/sample.git").display().to_string(),
        "release-1.0.0:release-1.0.0",
    ]
    .map(str::to_owned);
    let mut git = Command::new("git");
    train.surround(git.args(pull));
    Ran::of(&mut git).ends_with(0);
    train.to_the_gate();
    train.release();
    let before = fs::read(served.path("releases/2.0.2/index.html")).unwrap();
    served.serves(&train.store());
    let old = browser(&stranger, &format!("{}/releases/1.0.5/index.html", served.url));
    assert!(old.contains("This release is superseded") && old.contains("href=\"../1.1.0/index.html\""), "{old}");
    assert!(old.contains("CVE-2026-10001") && pasted(&old) == lines, "{old}");
    assert_eq!(
        fs::read(served.path("releases/2.0.2/index.html")).unwrap(),
        before,
        "it is still the newest of its line"
    );
    let index = browser(&stranger, &format!("{}/releases/index.html", served.url));
    for said in ["SAMPLE-2026-0001", "SAMPLE-2026-0002", "An argument above eight", "1 older"] {
        assert!(index.contains(said), "no `{said}` in\n{index}");
    }
    stranger.verify_by(&train, &["1.0.5", &served.url]).ends_with(0);
    // The project's own page at the root is left alone.
    assert!(fs::read_to_string(served.path("index.html")).unwrap().contains("content=\"lifeboat\""));
    if let Some(dir) = std::env::var_os("LIFEBOAT_PAGES") {
        crate::stranger::home::copy(&served.store(), Path::new(&dir));
    }
}
