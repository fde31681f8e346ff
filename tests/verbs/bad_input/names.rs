//! Names that lifeboat makes itself: from the project's way of naming tags, and beside the project's artifacts.

use super::*;

#[test]
fn the_source_archive_is_called_as_the_tags_are() {
    for (tag, stem, tagged) in [("{version}", "sample-1.0.5", "1.0.5"), ("r{version}", "sample-1.0.5", "r1.0.5")] {
        let train = SampleTrain::new();
        train.edit(&train.config(), "[version]", &format!("[version]\ntag = \"{tag}\""));
        train.to_the_gate();
        train.release();
        let release = train.store().join("releases/1.0.5");
        for end in ["-source.tar.gz", ".bundle"] {
            assert!(release.join(format!("{stem}{end}")).exists(), "{tag}: no {stem}{end}");
            assert!(!release.join(format!("sample-v1.0.5{end}")).exists(), "{tag}: a `v` that nobody wrote");
        }
        // What is in the archive lies below a directory of the same name.
        let mut tar = Command::new("tar");
        let archive = release.join(format!("{stem}-source.tar.gz"));
        let list = Ran::of(tar.arg("tzf").arg(archive)).ends_with(0).stdout;
        assert!(list.lines().all(|l| l.starts_with(&format!("{stem}/"))), "{tag}: {list}");
        let refs = fs::read_to_string(train.store().join("git/sample.git/info/refs")).unwrap();
        assert!(refs.contains(&format!("\trefs/tags/{tagged}\n")), "{refs}");
        train.run(&["verify", tagged, &train.store().display().to_string()]).ends_with(0);
    }
}

#[test]
fn an_artifact_that_is_called_like_the_source_archive_is_refused_by_plan() {
    for name in ["sample-v1.0.5-source.tar.gz", "sample-v1.0.5.bundle", "SAMPLE-v1.0.5-Vendor.tar.gz"] {
        let train = SampleTrain::new();
        let text = fs::read_to_string(train.config()).unwrap();
        let line = text.lines().find(|l| l.starts_with("artifacts = ")).unwrap().to_owned();
        let other = format!("artifacts = [\"dist/{}\"]", name.replace("1.0.5", "{version}"));
        fs::write(train.config(), text.replacen(&line, &other, 1)).unwrap();
        let file = train.train_file().display().to_string();
        let said = [&format!("`{name}`")[..], "has a name that lifeboat gives", "`artifacts`"];
        train.run(&["plan", &file]).fails(2, &said);
        train.run(&["ship", &file]).fails(2, &said);
        assert!(!train.train_dir("drill").join("journal.jsonl").exists());
    }
}
