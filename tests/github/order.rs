//! Two trains on the same lines while GitHub is away: they come home by themselves, each line in version order.

use std::fs;
use std::process::Command;

use crate::github_double::faults::Kind;
use crate::github_double::{Double, Side, TOKEN};
use crate::support::sample_train::{Ran, SampleTrain};
use crate::whole::{git, run};

const LINES: [(&str, &str); 2] = [("release-1.0.0", "1.0.6"), ("release-2.0.0", "2.0.3")];

/// Writes a second train on top of what the first one released: one patch a line, which begins the next changelog section.
fn second(train: &SampleTrain) -> String {
    let (work, patches) = (train.root().join("work"), train.root().join("patches2"));
    let store = train.store().join("git/sample.git").display().to_string();
    git(train, &["clone", "--quiet", &store, &work.display().to_string()]);
    let mut text = "name = \"second\"\ndate = 2026-03-03\n".to_owned();
    for (branch, version) in LINES {
        let here = |args: &[&str]| {
            let mut command = Command::new("git");
            command.args(["-c", "user.name=U", "-c", "user.email=u@example.org"]).args(args);
            train.surround(&mut command);
            Ran::of(command.current_dir(&work)).ends_with(0)
        };
        here(&["checkout", "--quiet", branch]);
        let notes = fs::read_to_string(work.join("RELEASES.md")).unwrap();
        let rule = "-".repeat(80);
        let next = format!("## {version}\n\nUnreleased.\n\n### Fixed\n\n* More.\n\n{rule}\n\n{notes}");
        fs::write(work.join("RELEASES.md"), next).unwrap();
        here(&["commit", "--quiet", "--all", "--message", "Fix more"]);
        let to = patches.join(branch).display().to_string();
        here(&["format-patch", "--quiet", "-1", "--output-directory", &to]);
        let from = format!("+refs/remotes/origin/{branch}:refs/heads/{branch}");
        git(train, &["fetch", "--quiet", "--update-head-ok", &work.display().to_string(), &from]);
        text.push_str(&format!("[[line]]\nbranch = \"{branch}\"\npatches = \"{to}\"\n"));
    }
    git(train, &["reset", "--quiet", "--hard"]);
    let file = train.root().join("second.toml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_trains_come_home_in_version_order_by_themselves() {
    let double = Double::start().await;
    double.world().state.immutable_releases = true;
    let train = SampleTrain::unpinned(&double.api());
    train.pin();
    let here = train.root().join("github.git");
    git(&train, &["clone", "--quiet", "--bare", &train.project().display().to_string(), &here.display().to_string()]);
    double.world().git = Some(here.clone());
    let api = format!("api = \"{}\"", double.api());
    let with = format!("{api}\nremote = \"github-git\"\ntoken = {{ env = \"GITHUB_TOKEN\" }}");
    train.edit(&train.config(), &format!("{api}\n{}", crate::support::sample_train::TOKEN), &with);
    train.configure(&format!("[[remote]]\nname = \"github-git\"\nurl = \"{}\"\n", here.display()));
    let kept = fs::read(train.config()).unwrap();

    // GitHub is away for both trains.
    let away = train.root().join("away.git");
    fs::rename(&here, &away).unwrap();
    double.world().faults.down.insert(Side::Api, Kind::HostDown);
    for (name, file) in [("drill", train.train_file().display().to_string()), ("second", String::new())] {
        let file = if file.is_empty() { second(&train) } else { file };
        fs::write(train.config(), &kept).unwrap();
        run(&train, &["ship", &file]).await.ends_with(3);
        for person in ["alice", "bob"] {
            run(&train, &["approve", name, "--as", person, "--yes"]).await.ends_with(0);
        }
        let shipped = run(&train, &["ship"]).await.ends_with(0);
        assert!(shipped.stdout.contains(&format!("train {name}: released")), "{shipped:?}");
    }
    // What is down, since when, and what waits for it: asked of the journals, and of the destinations.
    let status = run(&train, &["status", "drill"]).await.ends_with(0).stdout;
    assert!(
        status.contains("down       github-git git since 20") && status.contains(": 3 deliveries wait"),
        "{status}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&run(&train, &["status", "--json", "drill"]).await.ends_with(0).stdout).unwrap();
    let down = &json[0]["down"][0];
    assert_eq!((&down["destination"], &down["part"]), (&"github-git".into(), &"git".into()), "{json}");
    assert_eq!(down["waiting"].as_array().unwrap().len(), 3, "{json}");
    let doctor = run(&train, &["doctor", "--json"]).await;
    let doctor: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
    let check = |name: &str| doctor["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap().clone();
    let git_check = check("github-git git");
    assert_eq!(git_check["health"], "warn", "{doctor}");
    assert_eq!(git_check["since"], down["since"], "{doctor}");
    let waits: Vec<&str> = git_check["waiting"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!(waits.iter().filter(|w| w.starts_with("second: ")).count(), 3, "{waits:?}");
    assert!(check("github api")["since"].is_null(), "nothing was recorded of it: the tags came first: {doctor}");

    // One line in cron: it waits for GitHub, and ends when everything is home.
    let mut watch = train.command(&["reconcile", "--watch", "--every", "1"]);
    watch.env("GITHUB_TOKEN", TOKEN);
    let watching = tokio::task::spawn_blocking(move || Ran::of(&mut watch));
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert!(!watching.is_finished(), "{watching:?}");
    fs::rename(&away, &here).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    double.repair();
    let home = watching.await.unwrap().ends_with(0);
    for name in ["drill", "second"] {
        let expected = format!("train {name}: reconciled, 3 deliveries read back and equal");
        assert!(home.stdout.contains(&expected), "{home:?}");
    }
    let writes = {
        let world = double.world();
        assert_eq!(world.violations, Vec::<String>::new());
        let published: Vec<&str> = world.state.published.iter().map(|p| p.split(' ').next().unwrap()).collect();
        for (lower, higher) in [("v1.0.5", "v1.0.6"), ("v2.0.2", "v2.0.3")] {
            let at = |tag: &str| published.iter().position(|p| *p == tag).unwrap();
            assert!(at(lower) < at(higher), "{published:?}");
        }
        assert_eq!(world.state.made_latest, ["v2.0.2", "v2.0.3"], "`latest` only moves forward");
        world.state_changing()
    };
    let refs = git(&train, &["--git-dir", &here.display().to_string(), "for-each-ref"]);

    // The branch goes on at GitHub, as branches do; a second run sends nothing that could change anything.
    let other = train.root().join("other");
    git(&train, &["clone", "--quiet", &here.display().to_string(), &other.display().to_string()]);
    let at_other = |args: &[&str]| git(&train, &[&["-C", &other.display().to_string()], args].concat());
    at_other(&["-c", "user.name=U", "-c", "user.email=u@e", "commit", "--quiet", "--allow-empty", "--message", "next"]);
    at_other(&["push", "--quiet", "origin", "HEAD"]);
    run(&train, &["reconcile"]).await.ends_with(0);
    assert_eq!(double.world().state_changing(), writes, "no request that could change anything");

    // A branch that was moved back has lost the release: reported, and not repaired.
    let (main, old) = (refs.lines().next().unwrap(), "release-1.0.0");
    assert!(main.contains(old), "{refs}");
    git(
        &train,
        &["--git-dir", &here.display().to_string(), "update-ref", "refs/heads/release-1.0.0", "v1.0.5^{commit}~1"],
    );
    let lost = run(&train, &["reconcile"]).await.fails(4, &["`refs/heads/release-1.0.0` on remote `github-git`"]);
    assert!(lost.stderr.contains("does not hold the release"), "{lost:?}");
    assert_eq!(double.world().state_changing(), writes);
}
