//! Two forges in one train, each on its own clock: a Forgejo that is down holds up neither GitHub nor the release.

use crate::forgejo_double;
use crate::workflows::{Project, git};

/// The tables of the second forge in README.md, with the addresses of this test.
fn as_the_readme_says(api: &str, remote: &str) -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("\n[forge.forgejo]").expect("README.md shows a second forge");
    let (tables, _) = rest.split_once("[[remote]]\nname = \"github-git\"").expect("README.md shows GitHub's remote");
    let mut tables = format!("[forge.forgejo]{tables}");
    for (shown, ours) in
        [("https://forge.example.org/api/v1", api), ("git@forge.example.org:example/sample.git", remote)]
    {
        assert!(tables.contains(shown), "no `{shown}` in:\n{tables}");
        tables = tables.replace(shown, ours);
    }
    tables
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_forge_gets_the_release_when_it_can_take_it() {
    let project = Project::new(&[]).await;
    project.configure("", "");
    let forgejo = forgejo_double::Double::start().await;
    let bare = project.train.root().join("forgejo.git");
    git(
        &project.train,
        &["clone", "--quiet", "--bare", &project.bare.display().to_string(), &bare.display().to_string()],
    );
    forgejo.state().git = Some(bare.clone());
    project.train.configure(&as_the_readme_says(&forgejo.api(), &bare.display().to_string()));
    forgejo.state().down = true;
    let shipped = project.ship().await.ends_with(0);
    assert!(shipped.stdout.contains("train drill: released"), "{shipped:?}");
    assert!(shipped.stdout.contains("deferred  forge-release/forgejo/release-1.0.0"), "{shipped:?}");
    assert_eq!(project.double.world().state.published.len(), 2, "GitHub has both");
    assert_eq!(forgejo.state().releases, []);

    forgejo.state().down = false;
    let home = project.run(&["reconcile"]).await.ends_with(0);
    assert!(home.stdout.contains("train drill: reconciled, 6 deliveries read back and equal"), "{home:?}");
    {
        let state = forgejo.state();
        assert_eq!(state.violations, Vec::<String>::new());
        for release in &state.releases {
            assert!(!release.draft, "{release:?}");
            // The same bytes as on GitHub, by name and digest.
            let mut here: Vec<(String, String)> = (release.assets.iter())
                .map(|a| (a.name.clone(), lifeboat::model::Sha256::of(&a.bytes).hex()))
                .collect();
            here.sort();
            let world = project.double.world();
            let there = world.state.releases.iter().find(|r| r.tag == release.tag).unwrap();
            let mut there: Vec<_> = there.assets.iter().map(|a| (a.name.clone(), a.sha256.clone())).collect();
            there.sort();
            assert_eq!(here, there);
        }
        assert_eq!(state.releases.len(), 2);
    }
    let writes = forgejo.state().writes.len();
    project.run(&["reconcile"]).await.ends_with(0);
    assert_eq!(forgejo.state().writes.len(), writes, "the second run changes nothing");
    // Bytes that somebody changed there are found, although the server shows no digest.
    forgejo.state().releases[0].assets[0].bytes[0] ^= 1;
    project.run(&["reconcile"]).await.fails(4, &["`forgejo` has something else for release"]);
    let found =
        std::process::Command::new("grep").args(["-rlF", forgejo_double::TOKEN]).arg(project.train.root()).output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "", "files with the token");
}
