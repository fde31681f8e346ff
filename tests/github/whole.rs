//! The real program, a real bare repository and the double: shipped with GitHub gone, brought home afterwards.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::github_double::faults::Kind;
use crate::github_double::{Double, Side, TOKEN};
use crate::support::sample_train::{Ran, SampleTrain};

/// Runs the program beside the double, which answers on this runtime.
pub async fn run(train: &SampleTrain, args: &[&str]) -> Ran {
    let mut command = train.command(args);
    command.env("GITHUB_TOKEN", TOKEN);
    tokio::task::spawn_blocking(move || Ran::of(&mut command)).await.unwrap()
}

pub fn git(train: &SampleTrain, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(args);
    train.surround(&mut command);
    Ran::of(&mut command).ends_with(0).stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_train_ships_without_github_and_comes_home_when_it_is_back() {
    let double = Double::start().await;
    double.world().state.immutable_releases = true;
    let train = SampleTrain::unpinned(&double.api());
    train.pin();
    let (here, away) = (train.root().join("github.git"), train.root().join("github-away.git"));
    git(&train, &["clone", "--quiet", "--bare", &train.project().display().to_string(), &here.display().to_string()]);
    double.world().git = Some(here.clone());
    let api = format!("api = \"{}\"", double.api());
    let with = format!("{api}\nremote = \"github-git\"\ntoken = {{ env = \"GITHUB_TOKEN\" }}");
    train.edit(&train.config(), &format!("{api}\n{}", crate::support::sample_train::TOKEN), &with);
    train.configure(&format!("[[remote]]\nname = \"github-git\"\nurl = \"{}\"\n", here.display()));

    // The API swallows everything, and the repository is gone.
    double.world().faults.down.insert(Side::Api, Kind::HostBlackHole);
    fs::rename(&here, &away).unwrap();
    let file = train.train_file().display().to_string();
    let mut said = vec![run(&train, &["ship", &file]).await.ends_with(3)];
    assert_eq!(double.world().state_changing(), 0, "nothing embargoed goes to GitHub before the gate, drafts included");
    for person in ["alice", "bob"] {
        said.push(run(&train, &["approve", "--as", person, "--yes"]).await.ends_with(0));
    }
    let start = Instant::now();
    let shipped = run(&train, &["ship"]).await.ends_with(0);
    let took = start.elapsed();
    assert!(shipped.stdout.contains("train drill: released"), "{shipped:?}");
    assert!(shipped.stdout.contains("deferred  push-git/github-git"), "{shipped:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!(double.world().state.releases, [], "nothing came to GitHub");
    let listed = run(&train, &["reconcile", "--list"]).await.ends_with(0);
    for step in ["push-git/github-git", "forge-release/github/release-1.0.0", "forge-release/github/release-2.0.0"] {
        assert!(listed.stdout.contains(step), "{listed:?}");
    }
    // Still gone: an outage, not a failure.
    said.push(run(&train, &["reconcile"]).await.ends_with(5));

    // Git comes back alone: the tags are there, the releases still wait.
    fs::rename(&away, &here).unwrap();
    said.push(run(&train, &["reconcile"]).await.ends_with(5));
    let tags = git(&train, &["--git-dir", &here.display().to_string(), "tag"]);
    assert!(tags.contains("v1.0.5") && tags.contains("v2.0.2"), "{tags}");
    assert_eq!(double.world().state.releases, []);

    double.repair();
    let home = run(&train, &["reconcile"]).await.ends_with(0);
    assert!(home.stdout.contains("train drill: reconciled, 3 deliveries read back and equal"), "{home:?}");
    {
        let world = double.world();
        assert_eq!(world.violations, Vec::<String>::new());
        assert_eq!(world.state.made_tags, Vec::<String>::new());
        assert_eq!(world.state.latest().unwrap().tag, "v2.0.2");
        for release in &world.state.releases {
            // Everything that the public store has, but for the page and what it is made of.
            let dir = train.store().join("releases").join(&release.tag[1..]);
            let mut files = Vec::new();
            for (prefix, dir) in [("", dir.clone()), ("approvals.", dir.join("approvals"))] {
                for entry in fs::read_dir(dir).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
                    let bytes = fs::read(entry.path()).unwrap();
                    let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
                    files.push((name, lifeboat::model::Sha256::of(&bytes).hex()));
                }
            }
            files.retain(|(name, _)| name != "index.html" && name != "lifeboat-page.json");
            files.sort();
            let mut assets: Vec<_> = release.assets.iter().map(|a| (a.name.clone(), a.sha256.clone())).collect();
            assets.sort();
            assert_eq!(assets, files);
        }
    }
    let (writes, records) = (double.world().writes.len(), train.records("drill").len());
    let again = run(&train, &["reconcile"]).await.ends_with(0);
    assert_eq!((double.world().writes.len(), train.records("drill").len()), (writes, records), "{again:?}");

    // The token is nowhere: not in what was said, and not in a file of the state or the store.
    said.extend([shipped, listed, home, again]);
    for ran in &said {
        assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "{ran:?}");
    }
    let found = Command::new("grep").args(["-rlF", TOKEN]).arg(train.root()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "files with the token");
}
