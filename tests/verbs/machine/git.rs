//! The git that a machine has, and what its user configured.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::sample_train::{Ran, SampleTrain};

#[test]
fn a_git_that_is_too_old_is_refused_by_name() {
    let train = SampleTrain::new();
    let bin = train.root().join("old");
    fs::create_dir(&bin).unwrap();
    // It can do everything, and says that it is old: whoever goes on notices nothing.
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\nfor word; do case \"$word\" in version | --version) echo 'git version 2.20.1'; exit 0;; esac; done\nPATH='{path}' exec git \"$@\"\n"
    );
    fs::write(bin.join("git"), script).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let file = train.train_file().display().to_string();
    let old = |args: &[&str]| {
        let mut command = train.command(args);
        command.env("PATH", format!("{}:{path}", bin.display()));
        Ran::of(&mut command)
    };
    let said = ["`git version 2.20.1` is too old: git 2.32 or newer is needed", "hint: "];
    let verbs: [&[&str]; 6] = [
        &["plan", &file],
        &["ship", &file],
        &["ship", &file, "--dry-run"],
        &["bump", "--to", "patch", "--date", "2026-02-24"],
        &["init"],
        &["doctor"],
    ];
    for verb in verbs {
        let ran = old(verb);
        if verb[0] == "doctor" {
            assert!(ran.code == Some(1) && ran.stdout.contains(said[0]), "{ran:?}");
        } else {
            ran.fails(2, &said);
        }
    }
    assert!(!train.train_dir("drill").exists());
    // The page that says what is needed names it.
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let (major, minor) = lifeboat::git::OLDEST_VERSION;
    assert!(fs::read_to_string(page).unwrap().contains(&format!("git {major}.{minor}")));
}

/// Settings that change what git's commands make or print.
const SETTINGS: &str = "\
[core]
	autocrlf = true
	eol = crlf
	safecrlf = true
	quotePath = true
	whitespace = cr-at-eol,tab-in-indent
	commentChar = %
	abbrev = 5
	attributesFile = ~/attributes
	excludesFile = ~/excludes
	hooksPath = ~/hooks
	pager = false
	editor = false
[i18n]
	commitEncoding = ISO-8859-1
	logOutputEncoding = ISO-8859-1
[commit]
	gpgSign = true
	cleanup = verbatim
	template = ~/none
[tag]
	gpgSign = true
	sort = -version:refname
[gpg]
	program = false
[user]
	name = Somebody Else
	email = else@example.org
	signingKey = 0000000000000000000000000000000000000000
[diff]
	noprefix = true
	mnemonicPrefix = true
	renames = copies
	context = 9
	algorithm = histogram
	external = false
	suppressBlankEmpty = true
[apply]
	whitespace = fix
[format]
	pretty = oneline
	signOff = true
	attach = true
	useAutoBase = true
	numbered = true
[log]
	showSignature = true
	decorate = full
	date = relative
	follow = true
[color]
	ui = always
[column]
	ui = always
[status]
	short = true
	branch = true
	showUntrackedFiles = no
	relativePaths = true
[grep]
	lineNumber = true
	patternType = perl
	fullName = true
[push]
	followTags = true
	gpgSign = true
	default = nothing
[fetch]
	prune = true
[merge]
	renormalize = true
[index]
	version = 4
[pack]
	compression = 0
[init]
	defaultBranch = elsewhere
[alias]
	apply = !false
	commit-tree = !false
";

/// A file whose name git quotes is part of the project and of its fix.
fn with_odd_names(train: &SampleTrain, git: &dyn Fn(&[&str])) {
    fs::write(train.project().join("grüße tab.txt"), "one\ntwo\nthree\n").unwrap();
    git(&["add", "--", "."]);
    git(&["commit", "--quiet", "-m", "A file with an odd name"]);
    fs::write(train.project().join("grüße tab.txt"), "one\n2\nthree\n").unwrap();
    git(&["commit", "--quiet", "--all", "-m", "Ein Fix für alle", "--author", "Jörg <joerg@example.org>"]);
    let patches = train.root().join("odd patches");
    git(&["format-patch", "--quiet", "-1", "-o", &patches.display().to_string()]);
    git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let made: Vec<_> = fs::read_dir(&patches).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(made.len(), 1);
    fs::copy(&made[0], train.root().join("sample/patches/release-1.0.0/0003-odd.patch")).unwrap();
}

/// The clone's own, the user's and the environment's settings count nowhere in what is made: plan, commits and bump are the same.
#[test]
fn the_user_s_configuration_changes_nothing_that_is_made() {
    let train = SampleTrain::new();
    let plain = |args: &[&str]| {
        let mut git = Command::new("git");
        train.surround(&mut git);
        git.args(["-c", "user.name=M", "-c", "user.email=m@example.org"]).args(args);
        Ran::of(&mut git).ends_with(0);
    };
    plain(&["checkout", "--quiet", "release-1.0.0"]);
    with_odd_names(&train, &plain);
    let file = train.train_file().display().to_string();
    let bump = |train: &SampleTrain| {
        train.run(&["bump", "--to", "patch", "--date", "2026-02-24"]).ends_with(0);
        let mut out = Vec::new();
        for name in ["Cargo.toml", "include/sample.h", "RELEASES.md"] {
            out.push((name, fs::read(train.project().join(name)).unwrap_or_default()));
        }
        plain(&["checkout", "--quiet", "--force", "release-1.0.0"]);
        out
    };
    let plan = train.run(&["plan", &file, "--json"]).ends_with(0).stdout;
    let bumped = bump(&train);
    let shown = train.run(&["plan", &file]).ends_with(0).stdout;
    assert!(shown.contains("touches grüße tab.txt") && shown.contains("Ein Fix für alle (Jörg "), "{shown}");

    fs::write(train.root().join("home/.gitconfig"), SETTINGS).unwrap();
    fs::write(
        train.root().join("home/attributes"),
        "* text eol=crlf ident\n*.txt filter=x working-tree-encoding=UTF-16\n",
    )
    .unwrap();
    fs::write(train.root().join("home/excludes"), "*.rs\n*.toml\n").unwrap();
    let own = train.project().join(".git/config");
    fs::write(&own, fs::read_to_string(&own).unwrap() + SETTINGS).unwrap();
    assert_eq!(train.run(&["plan", &file, "--json"]).ends_with(0).stdout, plan, "the plan is another");
    let again = bump(&train);
    for ((name, before), (_, after)) in bumped.iter().zip(&again) {
        assert_eq!(String::from_utf8_lossy(before), String::from_utf8_lossy(after), "{name}");
    }
    // To the end: what is made before the gate is made again by the approvers, and equal.
    train.to_the_gate();
    train.release();
    let served = train.store().join("git/sample.git");
    let show = |what: &str| {
        let mut git = Command::new("git");
        git.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).args(["-c", "safe.directory=*", "--git-dir"]);
        Ran::of(git.arg(&served).args(["log", "-2", "--format=%an %s%n%B", what])).ends_with(0).stdout
    };
    let log = show("release-1.0.0");
    assert!(log.contains("Jörg Ein Fix für alle") && !log.contains("Somebody Else"), "{log}");
}
