//! Configuration that means nothing is refused, with its file and line, by every verb that would go by it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::sample_train::{Ran, SampleTrain};

/// What stands in the configuration, what stands there instead, and what is said of it.
const CASES: &[(&str, &str, &str)] = &[
    ("committer =", "tag = \"{version}\"\ncommitter =", "`tag` in `[project]` means nothing"),
    ("branches = \"release-*\"", "branches = \"stable-*\"", "`stable-*` fits no branch of the repository"),
    ("committer =", "templates = \"no-such-directory\"\ncommitter =", "there is no such directory"),
    ("name = \"other\"\n", "name = \"other\"\nlabels = [\"windws\"]\n", "no runner has the label `windws`"),
    ("name = \"other\"\n", "name = \"other\"\nbranches = \"realese-*\"\n", "`realese-*` fits no branch"),
    (
        "artifacts = [\"dist/sample-v{version}-{name}.tar.gz\"]\n\n[[store]]",
        "\n[[store]]",
        "target `other` leaves no artifact",
    ),
    ("[[store]]", "[[runner]]\nname = \"far\"\nkind = \"cloud\"\n\n[[store]]", "`cloud` is not a kind of runner"),
    ("[[store]]", "[bundle]\nwithout_submodules = [\"spec\"]\n\n[[store]]", "no branch has a submodule at `spec`"),
    (
        "[[store]]",
        "[bundle]\ncargo_home = \"crates\"\n\n[[store]]",
        "`cargo_home` is read only where crates are vendored",
    ),
    ("required = false\n", "triggers = { \"no.yml\" = \"accept\" }\n", "no branch has the workflow `no.yml`"),
    ("[forge.github]", "[forge.gitlab]", "`gitlab` is not a kind of forge"),
    ("url = \"file://", "url = \"ftp://", "no adapter knows the url"),
    ("required = false\n", "default_branch = \"trunk\"\n", "the repository has no branch `trunk`"),
];

/// All that a command printed.
fn all(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn what_means_nothing_is_refused_where_it_stands() {
    let train = SampleTrain::new();
    let file = train.train_file().display().to_string();
    let config = train.config();
    let good = fs::read_to_string(&config).unwrap();
    for (from, to, said) in CASES {
        assert!(good.contains(from), "{from}");
        fs::write(&config, good.replacen(from, to, 1)).unwrap();
        train.run(&["plan", &file]).fails(2, &[said, "lifeboat.toml:"]);
        train.run(&["ship", &file, "--dry-run"]).fails(2, &[said, "lifeboat.toml:"]);
        let doctor = train.run(&["doctor"]);
        assert_eq!(doctor.code, Some(1), "{said}: {}", all(&doctor));
        assert!(all(&doctor).contains(said) || all(&doctor).contains("lifeboat.toml:"), "{said}: {}", all(&doctor));
    }
    fs::write(&config, good).unwrap();
    train.run(&["plan", &file]).ends_with(0);
}

#[test]
fn a_store_that_a_link_leads_into_the_checkout_is_refused() {
    let train = SampleTrain::new();
    fs::create_dir(train.project().join("public")).unwrap();
    let link = train.root().join("elsewhere");
    std::os::unix::fs::symlink(train.project().join("public"), &link).unwrap();
    train.edit(&train.config(), &train.store().display().to_string(), &link.join("store").display().to_string());
    let file = train.train_file().display().to_string();
    train.run(&["plan", &file]).fails(2, &["this store is inside the project's checkout", "lifeboat.toml:"]);
}

#[test]
fn assemblies_may_share_the_lines_among_them() {
    let train = SampleTrain::new();
    let joins = |n: u32| {
        format!(
            "[[assemble]]\nname = \"of-{n}\"\nfrom = [\"linux\", \"other\"]\nbranches = \"release-{n}.*\"\n\
             run = [\"mkdir -p dist\", \"cp */sample-* dist/ && cp dist/sample-v{{version}}-linux.tar.gz dist/all-{{version}}.tar.gz\"]\n\
             artifacts = [\"dist/all-{{version}}.tar.gz\"]\n\n"
        )
    };
    train.edit(&train.config(), "[[store]]", &format!("{}{}[[store]]", joins(1), joins(2)));
    let planned = train.run(&["plan", "--json", &train.train_file().display().to_string()]).ends_with(0);
    for part in ["assemble/release-1.0.0/of-1", "assemble/release-2.0.0/of-2"] {
        assert!(all(&planned).contains(part), "{part}: {}", all(&planned));
    }
}

#[test]
fn an_embargoed_train_file_in_the_checkout_is_said_loudly() {
    let train = SampleTrain::new();
    let inside = train.project().join("train.toml");
    let text = fs::read_to_string(train.train_file()).unwrap();
    fs::write(&inside, text.replace("patches = \"", "patches = \"../")).unwrap();
    let planned = train.run(&["plan", "train.toml", "--quiet"]).ends_with(0);
    assert!(all(&planned).contains("WARNING: `train.toml` describes an embargoed train"), "{}", all(&planned));
    let elsewhere = train.run(&["plan", &train.train_file().display().to_string()]);
    assert!(!all(&elsewhere).contains("WARNING"), "{}", all(&elsewhere));
    fs::write(train.project().join(".git/info/exclude"), "train.toml\n").unwrap();
    let ignored = train.run(&["plan", "train.toml"]);
    assert!(!all(&ignored).contains("WARNING"), "{}", all(&ignored));
}

#[test]
fn bump_finds_the_configuration_below_the_top_as_every_verb_does() {
    let train = SampleTrain::new();
    let below = train.project().join("rust/deep");
    fs::create_dir_all(&below).unwrap();
    fs::rename(train.config(), train.project().join("rust/lifeboat.toml")).unwrap();
    let mut command = train.command(&["bump", "--to", "patch", "--date", "2026-02-24", "--dry-run"]);
    command.current_dir(&below);
    let ran = Ran::of(&mut command);
    assert!(!all(&ran).contains("no `lifeboat.toml`"), "{}", all(&ran));
    ran.ends_with(0);
}

/// Runs a line of shell with the program in `$LIFEBOAT`.
fn shell(train: &SampleTrain, dir: &Path, line: &str) -> Ran {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", line]);
    train.surround(&mut command);
    command.current_dir(dir).env("LIFEBOAT", env!("CARGO_BIN_EXE_lifeboat"));
    Ran::of(&mut command)
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let train = SampleTrain::new();
    let file = train.train_file().display().to_string();
    for verb in [
        format!("plan {file}"),
        format!("plan {file} --json"),
        "doctor".to_owned(),
        "trust show".to_owned(),
        "status --json".to_owned(),
    ] {
        // `true` reads nothing: the pipe is closed before anything is written.
        let ran = shell(&train, &train.project(), &format!("(sleep 0.3; $LIFEBOAT {verb}; echo code $? >&2) | true"));
        assert!(all(&ran).contains("code 141"), "{verb}: {}", all(&ran));
        assert!(!all(&ran).contains("Broken pipe") && !all(&ran).contains("error"), "{verb}: {}", all(&ran));
    }
}

#[test]
fn colours_come_when_they_are_asked_for_and_never_into_json() {
    let train = SampleTrain::new();
    let file = train.train_file().display().to_string();
    let escape = '\u{1b}';
    assert!(!all(&train.run(&["plan", &file])).contains(escape), "this is not a terminal");
    assert!(all(&train.run(&["plan", &file, "--color", "always"])).contains(escape));
    assert!(all(&train.run(&["doctor", "--color", "always"])).contains("\u{1b}[32mok"));
    assert!(!all(&train.run(&["plan", &file, "--color", "always", "--json"])).contains(escape));
    let failed = train.run(&["plan", "no-such-file", "--color", "always"]);
    assert!(all(&failed).contains("\u{1b}[1;31merror:"), "{}", all(&failed));
    let mut silent = train.command(&["plan", &file]);
    silent.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!all(&Ran::of(&mut silent)).contains(escape), "NO_COLOR goes first");
}

#[test]
fn every_help_names_its_own_options_first_and_the_global_ones_under_a_heading() {
    let train = SampleTrain::new();
    for verb in crate::support::sample_train::verbs().into_iter().filter(|v| v != "help") {
        let help = train.run(&[&verb, "--help"]).ends_with(0).stdout;
        let (own, global) = help.split_once("\nGlobal Options:\n").unwrap_or_else(|| panic!("{verb}: {help}"));
        for option in ["--config <FILE>", "--state <DIR>", "--json", "--color", "--quiet", "--verbose", "--heartbeat"] {
            assert!(global.contains(option), "{verb}: {option} is not global: {help}");
            assert!(!own.contains(option), "{verb}: {option} is among its own options: {help}");
        }
    }
}

#[test]
fn a_rehearsal_needs_no_credentials_of_a_remote() {
    let train = SampleTrain::new();
    let remote = train.root().join("remote.git");
    let clone = format!("git clone -q --bare . '{}'", remote.display());
    shell(&train, &train.project(), &clone).ends_with(0);
    train.configure(&format!("[[remote]]\nname = \"team\"\nurl = \"file://{}\"\nrequired = true\n", remote.display()));
    shell(&train, &train.project(), "git config url.file:///nowhere/.pushInsteadOf file:///").ends_with(0);
    let file = train.train_file().display().to_string();
    assert_ne!(train.run(&["plan", &file]).code, Some(0), "a push would be refused");
    let rehearsed = train.run(&["ship", &file, "--dry-run"]).ends_with(0);
    assert!(rehearsed.stdout.contains("not checked  whether `team` takes a push"), "{rehearsed:?}");
    assert!(rehearsed.stdout.contains("push     team: refs/tags/v1.0.5"), "{rehearsed:?}");
}
