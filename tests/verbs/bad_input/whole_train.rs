//! Faults between trains, people and stores, rather than in one input.

use super::*;

#[test]
fn store_that_is_gone_when_files_become_public() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let away = train.root().join("away");
    fs::rename(train.store(), &away).unwrap();
    train.ship().fails(5, &["store `mirror`: there is no directory", "step: gate", "hint: mount it"]);
    assert!(!train.store().exists(), "a store's directory is never made by itself: the disk may not be mounted");
    fs::rename(&away, train.store()).unwrap();
    train.ship().ends_with(0);
}

#[test]
fn store_with_other_bytes_at_the_place_of_the_release() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let squatter = train.store().join("releases/1.0.5/SHA256SUMS");
    fs::create_dir_all(squatter.parent().unwrap()).unwrap();
    fs::write(&squatter, "other bytes\n").unwrap();
    let said = ["store `mirror` has other bytes at `releases/1.0.5/SHA256SUMS`", "ours: sha256 ", "there: sha256 "];
    let ran = train.ship().fails(4, &said);
    assert!(ran.stderr.contains("nothing was overwritten"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("staging area"), "{}", ran.stderr);
    assert!(ran.stderr.contains("it is in the way of `promote/mirror/release-1.0.0`"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&squatter).unwrap(), "other bytes\n");
    assert!(!train.store().join("releases/2.0.2").exists(), "the other line is public alone");
    fs::remove_file(&squatter).unwrap();
    train.ship().ends_with(0);
}

#[test]
fn approvals_of_somebody_unknown() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["approve", "--as", "mallory", "--yes"]).fails(2, &["mallory", "alice, bob, carol", "hint: "]);
    train.run(&["approve", "--as", "alice"]).fails(2, &["no terminal", "--yes"]);
    // The key of one person under another's name.
    fs::copy(train.key("alice"), train.key("bob")).unwrap();
    train.run(&["approve", "--as", "bob", "--yes"]).fails(6, &["bob", "hint: "]);
    let status = train.run(&["status"]).ends_with(0);
    assert!(!status.stdout.contains("approved by"), "{}", status.stdout);
}

#[test]
fn approval_before_the_gate() {
    let train = with_bad_recipe("exit 1");
    train.adopt().fails(1, &["the recipe ended with exit code 1"]);
    train.run(&["approve", "--as", "alice", "--yes"]).fails(2, &["has not succeeded yet", "hint: run `lifeboat ship`"]);
    fix(&train);
    train.ship().ends_with(3);
}

#[test]
fn abandoned_train() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["abandon", "--reason", "wrong fix"]).ends_with(0);
    train.ship().fails(2, &["train `drill` was abandoned", "wrong fix", "hint: "]);
    train.run(&["approve", "--as", "alice", "--yes"]).fails(2, &["train `drill` was abandoned"]);
    train.run(&["abandon", "--reason", "again"]).ends_with(0);
    train.adopt().fails(2, &["train `drill` was abandoned"]);
    assert!(!train.store().join("releases").exists());
    let staged = fs::read_dir(train.store().join(".staging")).unwrap();
    let left: Vec<_> = staged.map(|e| e.unwrap().file_name()).filter(|n| n != ".locks").collect();
    assert!(left.is_empty(), "staged files stay behind: {left:?}");
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"drill-2\"");
    train.to_the_gate();
    train.release();
    let ran = train.run(&["abandon", "drill-2", "--reason", "too late"]);
    ran.fails(2, &["public", "`lifeboat ship`"]);
}

#[test]
fn a_train_file_that_was_changed_after_adoption() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let whole = fs::read_to_string(train.train_file()).unwrap();
    // The same in meaning.
    fs::write(train.train_file(), format!("# a remark\n{whole}")).unwrap();
    train.adopt().ends_with(3).says("was adopted before");
    let first = "branch = \"release-1.0.0\"";
    let changes = [
        (
            whole.replace(first, &format!("{first}\nto = \"minor\"")),
            "line release-1.0.0: to = patch in the plan, minor",
        ),
        (whole.replace("SAMPLE-2026-0001", "SAMPLE-2026-0002"), "advisories: the file names others"),
        (whole.replacen("date = ", "not_before = 2027-01-01\ndate = ", 1), "not_before: none in the plan, 2027-01-01"),
        (
            whole.split("\n[[line]]").take(2).collect::<Vec<_>>().join("\n[[line]]"),
            "line release-2.0.0: it is no longer in the file",
        ),
    ];
    for (text, said) in changes {
        fs::write(train.train_file(), text).unwrap();
        train.adopt().fails(4, &["is not what train `drill` was adopted from", said, "`lifeboat ship --train drill`"]);
    }
    fs::write(train.train_file(), &whole).unwrap();
    // Other patches under the same names.
    let dir = train.train_file().parent().unwrap().join("patches/release-1.0.0");
    let patch = fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&patch).unwrap();
    fs::write(&patch, text.replacen("Subject: ", "Subject: Really ", 1)).unwrap();
    train.adopt().fails(4, &["line release-1.0.0: its patches are not those that the plan pinned"]);
    train.run(&["ship", "--train", "drill"]).ends_with(3);
    fs::remove_dir_all(&dir).unwrap();
    train.adopt().ends_with(3).says("was adopted before");
}

#[test]
fn two_trains_with_one_version() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"second\"");
    let said = ["version 1.0.5 is claimed by train `drill`", "`lifeboat abandon drill --reason"];
    train.adopt().fails(4, &said);
    assert!(!train.train_dir("second").join("plan.json").exists());
    train.run(&["abandon", "drill", "--reason", "the second is better"]).ends_with(0);
    train.to_the_gate();
}

#[test]
fn train_file_with_faults() {
    let train = SampleTrain::new();
    let good = fs::read_to_string(train.train_file()).unwrap();
    for (from, to, fragments) in [
        ("advisories", "advisoriess", ["train.toml:4:1", "advisoriess", "did you mean `advisories`"]),
        (
            "branch = \"release-2.0.0\"",
            "branch = \"release-9.9.9\"",
            ["release-9.9.9", "line `release-9.9.9`", "hint: "],
        ),
        ("patches/release-2.0.0", "patches/nowhere", ["patches/nowhere", "line `release-2.0.0`", "hint: "]),
        ("[[line]]", "[[lines]]", ["train.toml", "lines", "did you mean `line`?"]),
    ] {
        fs::write(train.train_file(), good.replace(from, to)).unwrap();
        train.adopt().fails(2, &fragments);
        train.run(&["plan", &train.train_file().display().to_string()]).fails(2, &fragments);
    }
    fs::remove_file(train.train_file()).unwrap();
    train.adopt().fails(2, &["train.toml", "hint: "]);
    fs::write(train.train_file(), good).unwrap();
    train.to_the_gate();
}

#[test]
fn template_that_is_first_used_after_the_gate() {
    let train = SampleTrain::new();
    let own = train.project().join("release-templates");
    fs::create_dir_all(&own).unwrap();
    for name in ["release.html", "index.html", "notes.md"] {
        fs::write(own.join(name), "one\n{{ verson }}\n").unwrap();
        let at = format!("`release-templates/{name}`, line 2");
        train
            .run(&["plan", &train.train_file().display().to_string()])
            .fails(2, &[&at, "2 | {{ verson }}", "may use are"]);
        fs::remove_file(own.join(name)).unwrap();
    }
    train.to_the_gate();
}

#[test]
fn no_configuration_and_no_train() {
    let train = SampleTrain::new();
    train.ship().fails(2, &["there is no train", "`lifeboat plan"]);
    train.run(&["status", "--train", "nowhere"]).ends_with(2);
    let mut elsewhere = train.command(&["ship"]);
    Ran::of(elsewhere.current_dir(train.root().join("home"))).fails(2, &["no `lifeboat.toml`", "`lifeboat drill`"]);
    train.run(&["ship", "--config", "nowhere.toml"]).fails(2, &["nowhere.toml", "hint: "]);
}

#[test]
fn failures_as_json() {
    let train = SampleTrain::new();
    git(&train, &["tag", "v1.0.5", "v1.0.4"]).ends_with(0);
    let file = train.train_file().display().to_string();
    let json = |ran: &Ran| {
        let value: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        value
    };
    let ran = train.run(&["--json", "ship", &file]).ends_with(4);
    assert_eq!(json(&ran)["kind"], "conflict");
    assert_eq!(json(&ran)["exit_code"], 4);
    assert!(json(&ran)["error"].as_str().unwrap().contains("v1.0.5"), "{ran:?}");
    assert!(!json(&ran)["hints"].as_array().unwrap().is_empty(), "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    git(&train, &["tag", "-d", "v1.0.5"]).ends_with(0);

    // A step that fails: the failure on standard error, how the train stands on standard output.
    train.to_the_gate();
    train.approve();
    let away = train.root().join("away");
    fs::rename(train.key("release"), &away).unwrap();
    let ran = train.run(&["ship", "--json"]).ends_with(2);
    assert_eq!(json(&ran)["kind"], "input");
    assert_eq!(json(&ran)["details"], serde_json::json!(["step: gate, attempt 1"]));
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["failed"], serde_json::json!(["gate"]), "{report}");
    fs::rename(&away, train.key("release")).unwrap();
    train.run(&["ship", "--json"]).ends_with(0);
}

#[test]
fn several_failures_are_one_json_value() {
    let train = super::with_bad_recipe("exit 7");
    let file = train.train_file().display().to_string();
    let ran = train.run(&["--json", "ship", &file]).ends_with(1);
    let value: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let more = value["more"].as_array().unwrap();
    assert!(!more.is_empty() && more.iter().all(|m| m["kind"] == "fatal"), "{value}");
}

/// Whatever the program says to run must be one of its verbs, also where no test here makes it say so.
#[test]
fn every_command_that_a_message_names_exists() {
    let verbs = crate::support::sample_train::verbs();
    let mut seen = 0;
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("`lifeboat ") {
                let verb: String = text[at + "`lifeboat ".len()..]
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                    .collect();
                // What the program starts itself with is not a command for people.
                if [lifeboat::runners::local::VERB, lifeboat::sandbox::VERB].contains(&verb.as_str()) {
                    continue;
                }
                seen += 1;
                assert!(verb.is_empty() || verbs.contains(&verb), "{}: `lifeboat {verb}`", path.display());
            }
        }
    }
    assert!(seen > 20, "only {seen} commands are named in all of `src`");
}

/// A claim of a train that never was adopted, and an abandoned train's second `abandon`, block nobody.
#[test]
fn claims_follow_their_trains() {
    let train = SampleTrain::new();
    let file = fs::read_to_string(train.train_file()).unwrap();
    let (head, lines) = file.split_once("\n[[line]]").unwrap();
    let (one, two) = lines.split_once("\n[[line]]").unwrap();
    // The first train makes one version, the second wants both, the other one first.
    fs::write(train.train_file(), format!("{head}\n[[line]]{one}")).unwrap();
    train.to_the_gate();
    fs::write(train.train_file(), format!("{head}\n[[line]]{two}\n[[line]]{one}")).unwrap();
    train.edit(&train.train_file(), "\"drill\"", "\"second\"");
    train.adopt().fails(4, &["version 1.0.5 is claimed by train `drill`"]);
    fs::write(train.train_file(), format!("{head}\n[[line]]{two}")).unwrap();
    train.edit(&train.train_file(), "\"drill\"", "\"third\"");
    train.to_the_gate();
    train.run(&["abandon", "third", "--reason", "not needed"]).ends_with(0);
    train.edit(&train.train_file(), "\"third\"", "\"fourth\"");
    train.to_the_gate();
    train.run(&["abandon", "third", "--reason", "once more"]).ends_with(0);
    train.edit(&train.train_file(), "\"fourth\"", "\"fifth\"");
    train.adopt().fails(4, &["version 2.0.2 is claimed by train `fourth`"]);
}

/// What was staged for one line is gone at the gate: it is staged again, or no other line becomes public.
#[test]
fn store_that_lost_what_was_staged() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let mut nonces = fs::read_dir(train.store().join(".staging")).unwrap().map(|e| e.unwrap().path());
    let staged = nonces.find(|p| !p.ends_with(".locks")).unwrap().join("releases/1.0.5");
    fs::rename(&staged, train.root().join("away")).unwrap();
    // What the train itself has lost too cannot be staged again.
    let objects = train.train_dir("drill").join("objects");
    let away = train.root().join("objects");
    fs::rename(&objects, &away).unwrap();
    train.ship().fails(6, &["is missing", "hint: restore the train's `objects/` directory"]);
    assert!(!train.store().join("releases").exists());
    fs::remove_dir_all(&objects).ok();
    fs::rename(&away, &objects).unwrap();
    train.ship().ends_with(0).says("had lost the staged `releases/1.0.5/");
}

#[test]
fn a_claim_that_was_left_behind_is_taken_over() {
    let train = SampleTrain::new();
    let claims = train.state().join("sample/claims");
    fs::create_dir_all(&claims).unwrap();
    // A process that died between its claim and its plan; its train was then named otherwise.
    fs::write(claims.join("1.0.5"), "never-adopted\n").unwrap();
    train.to_the_gate();
    assert_eq!(fs::read_to_string(claims.join("1.0.5")).unwrap(), "drill\n");
    // That of an adopted train stands.
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"second\"");
    train.adopt().fails(4, &["version 1.0.5 is claimed by train `drill`"]);
}

#[test]
fn what_is_to_be_approved_is_shown_with_json_too() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let ran = train.run(&["approve", "--as", "alice", "--json"]);
    // It waits for a person, and has shown what that person would approve.
    let shown: serde_json::Value = serde_json::from_str(&ran.ends_with(3).stdout).unwrap();
    assert_eq!(shown["approved"], false);
    assert_eq!(shown["review"]["lines"][0]["branch"], "release-1.0.0");
    assert_eq!(shown["review"]["lines"][0]["version"], "1.0.5");
    assert!(train.run(&["status"]).stdout.contains("0 of 2"), "nothing was approved");
}

#[test]
fn a_journal_says_who_wrote_it() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let ran = train.run(&["log", "--verify"]).ends_with(0);
    assert!(
        ran.stdout.contains("each signed by who held the train") && ran.stdout.contains("this machine's operator"),
        "{ran:?}"
    );
    // A signature in the middle is another record's: the chain and the last signature cannot show it.
    let path = train.train_dir("drill").join("journal.jsonl");
    let mut records = train.records("drill");
    records[1]["signature"] = records[2]["signature"].clone();
    let lines: Vec<String> = records.iter().map(|r| format!("{r}\n")).collect();
    fs::write(&path, lines.concat()).unwrap();
    train.run(&["log"]).ends_with(0);
    train.run(&["log", "--verify"]).fails(6, &["journal of `drill`", "line 2", "it is not signed by"]);
}

#[test]
fn ship_with_nothing_under_way_says_how_trains_stand() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["abandon", "drill", "--reason", "another day"]).ends_with(0);
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"second\"");
    train.to_the_gate();
    train.release();
    let ran = train.ship().ends_with(0);
    let hint = "`lifeboat reconcile` retries and checks every destination, `lifeboat reconcile --list` lists them";
    assert!(ran.stdout.contains("no train is under way") && ran.stdout.contains(hint), "{ran:?}");
}

#[test]
fn verify_finds_the_projects_keys_and_says_what_is_not_there() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    let store = train.store().display().to_string();
    let config = train.config().display().to_string();
    let mut elsewhere = train.command(&["--config", &config, "verify", "1.0.5", &store]);
    Ran::of(elsewhere.current_dir(train.root())).ends_with(0);
    train.run(&["verify", "1.0.5", "/no/such/place"]).fails(2, &["no such directory: `/no/such/place`"]);
}

#[test]
fn doctor_judges_the_trust_root_and_the_repository() {
    let train = SampleTrain::unpinned(crate::support::sample_train::REFUSING);
    let ran = train.run(&["doctor"]).ends_with(1);
    assert!(ran.stdout.contains("no trust root is pinned") && ran.stdout.contains("`lifeboat trust pin "), "{ran:?}");
    train.pin();
    let ran = train.run(&["doctor"]).ends_with(0);
    assert!(ran.stdout.contains("2 of "), "{ran:?}");
    let head = git(&train, &["rev-parse", "HEAD"]).ends_with(0).stdout;
    fs::write(train.project().join(".git/shallow"), head).unwrap();
    let ran = train.run(&["doctor"]).ends_with(1);
    assert!(ran.stdout.contains("is shallow") && ran.stdout.contains("--unshallow"), "{ran:?}");
}

/// Two trains on one commit of a line: the second is stopped while nothing of it is public, and can be abandoned.
#[test]
fn a_branch_that_another_train_moved_on_in_the_store() {
    let train = SampleTrain::new();
    let file = fs::read_to_string(train.train_file()).unwrap();
    let head = file.split("\n[[line]]").take(2).collect::<Vec<_>>().join("\n[[line]]");
    for (name, version) in [("a", "1.0.6"), ("b", "1.0.7")] {
        let branch = "branch = \"release-1.0.0\"";
        let text = head.replace("\"drill\"", &format!("\"{name}\""));
        fs::write(train.train_file(), text.replace(branch, &format!("{branch}\nto = \"{version}\""))).unwrap();
        train.to_the_gate();
        for person in ["alice", "bob"] {
            train.run(&["approve", name, "--as", person, "--yes"]).ends_with(0);
        }
    }
    train.run(&["ship", "--train", "a"]).ends_with(0);
    let served = train.store().join("git/sample.git/info/refs");
    let before = fs::read(&served).unwrap();
    let lost = "`refs/heads/release-1.0.0` in store `mirror` would lose commits";
    let said = ["train `a` released 1.0.6 on this line", "nothing is public yet", "`lifeboat abandon b", "step: gate"];
    train.run(&["ship", "--train", "b"]).fails(4, &said).says(lost);
    assert!(!train.store().join("releases/1.0.7").exists(), "the second train is public");
    // Another machine's train that was killed before its refs were listed has left them beside the list.
    let away = train.root().join("away");
    fs::rename(&served, &away).unwrap();
    train.run(&["ship", "--train", "b"]).fails(4, &[lost]);
    fs::rename(&away, &served).unwrap();
    assert_eq!(fs::read(&served).unwrap(), before);
    train.run(&["abandon", "b", "--reason", "its base is another train's"]).ends_with(0);
}

/// What planning finds about a line is said by every verb that a person decides with.
#[test]
fn empty_release_notes_and_a_branch_behind_its_remote_are_said_by_each_verb() {
    let train = SampleTrain::new();
    train.edit(&train.config(), "changelog = { path = \"RELEASES.md\"", "changelog = { path = \"VERSION\"");
    // The remote's branch, as last fetched, went on.
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        train.surround(&mut command);
        let who = ["-c", "user.name=x", "-c", "user.email=x@x.example"];
        Ran::of(command.arg("-C").arg(train.project()).args(who).args(args)).ends_with(0).stdout.trim().to_owned()
    };
    let ahead = git(&["commit-tree", "-p", "release-1.0.0", "-m", "later", "release-1.0.0^{tree}"]);
    git(&["update-ref", "refs/remotes/origin/release-1.0.0", &ahead]);
    let empty = "the release notes of 1.0.5 are empty: VERSION has no section for 1.0.5";
    let behind = "refs/remotes/origin/release-1.0.0";
    let says = |ran: Ran, verb: &str| {
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(empty) && said.contains(behind), "{verb}: {said}");
    };
    let file = train.train_file().display().to_string();
    says(train.run(&["plan", &file]).ends_with(0), "plan");
    says(train.adopt().ends_with(3), "ship");
    says(train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0), "approve");
}
