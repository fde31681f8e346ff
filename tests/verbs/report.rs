//! The report of a train, as a browser shows it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::sample_train::SampleTrain;

/// A page of this machine as a browser made it.
fn browser(page: &Path, home: &Path) -> String {
    let out = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
        .arg(format!("--user-data-dir={}", home.join("browser").display()))
        .arg(format!("file://{}", page.display()))
        .env("HOME", home)
        .output()
        .unwrap_or_else(|e| panic!("chromium: {e}; apt-get install chromium"));
    String::from_utf8(out.stdout).unwrap()
}

/// The titles of the bars of this class.
fn bars<'a>(page: &'a str, class: &str) -> Vec<&'a str> {
    let bar = format!("<g class=\"bar {class}\">");
    page.split(&bar).skip(1).map(|g| g.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0).collect()
}

#[test]
fn a_train_that_failed_once_is_shown_as_it_was() {
    let train = SampleTrain::new();
    let file = train.train_file().display().to_string();
    train.edit(&train.config(), "test = [\"sh test.sh {name}\"]", "test = [\"echo '<b>&'; exit 3\"]");
    train.run(&["ship", &file]).ends_with(1);
    train.edit(&train.config(), "test = [\"echo '<b>&'; exit 3\"]", "test = [\"sh test.sh {name}\"]");
    train.run(&["amend", &file, "--yes", "--reason", "the recipe was wrong"]).ends_with(0);
    train.run(&["ship"]).ends_with(3);
    let to = train.root().join("report.html");
    let wrote = train.run(&["report", "--to", &to.display().to_string()]).ends_with(0);
    assert!(wrote.stdout.contains("attempts of train `drill`"), "{}", wrote.stdout);
    let text = fs::read_to_string(&to).unwrap();
    assert!(!text.contains("<script") && !text.contains("<b>&"), "what a recipe printed is text");

    let page = browser(&to, train.root());
    let failed = bars(&page, "failed");
    assert!(!failed.is_empty() && failed.iter().all(|title| title.starts_with("test/release-")), "{failed:?}");
    assert!(failed[0].contains("the recipe ended with exit code 3"), "{failed:?}");
    let done = bars(&page, "done");
    assert!(done.iter().any(|title| title.starts_with("build/release-1.0.0/")), "{done:?}");
    assert!(done.iter().any(|title| title.starts_with("test/release-1.0.0/")), "{done:?}");
    for what in ["runner local", "this machine", "store ", "| &lt;b&gt;&amp;", "amended", "plan adopted"] {
        assert!(page.contains(what), "`{what}` is not in\n{page}");
    }
    // Written again it is replaced.
    train.run(&["report", "drill", "--to", &to.display().to_string()]).ends_with(0);
    train.run(&["report", "other", "--to", &to.display().to_string()]).ends_with(2);
}
