//! Whole deliveries without failures, and what a person may have done by hand.

use lifeboat::effects::PullState;
use lifeboat::engine::Ended;
use lifeboat::error::ErrorKind;
use lifeboat::journal::TrainState;

use crate::github_double::pulls::Pull;
use crate::github_double::state::{Asset, Release};
use crate::train::{ASSETS, LINES, Template, double_with, tag_id};

#[tokio::test]
async fn three_lines_are_published_whole_and_latest_is_the_highest() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    let ended = run.ship(&template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{ended:?}");
    let world = double.world();
    assert_eq!(world.violations, Vec::<String>::new());
    assert_eq!(world.state.releases.len(), LINES.len());
    for release in &world.state.releases {
        assert_eq!(release.assets.len(), ASSETS, "{release:?}");
        assert!(!release.draft && release.immutable && release.assets.iter().all(|a| a.whole));
        assert_eq!(release.notes, format!("## {}\n\nFixes a flaw.\n", &release.tag[1..]));
    }
    let mut published = world.state.published.clone();
    published.sort();
    assert_eq!(published, LINES.map(|(_, _, new)| format!("v{new} with {ASSETS} whole assets")));
    // Whatever the order in which the lines were published, no lower one was latest in between.
    assert_eq!(world.state.made_latest, ["v48.0.1"]);
    assert_eq!(world.state.latest().unwrap().tag, "v48.0.1");
    assert_eq!(world.state.made_tags, Vec::<String>::new());
}

fn release(tag: &str, draft: bool) -> Release {
    Release {
        id: 5,
        tag: tag.into(),
        title: tag.into(),
        notes: "by hand".into(),
        draft,
        prerelease: false,
        immutable: false,
        assets: vec![],
    }
}

/// Ships, expects that only v36.0.14 fails with a conflict that says `what`, and that nothing of that release was changed.
async fn conflicts(by_hand: Release, what: &str) {
    let (template, double) = (Template::new(), double_with(&[]).await);
    double.world().state.releases.push(by_hand.clone());
    let ended = template.copy().ship(&template, &double).await.unwrap();
    let Ended::Stuck(errors) = ended else { panic!("{ended:?}") };
    let [(step, error)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(step.as_str(), "forge-release/github/release-36.0.0");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.report().contains(what), "{}", error.report());
    let world = double.world();
    assert_eq!(world.state.release(5), Some(&by_hand));
    assert_eq!(world.state.published.len(), 2, "the other lines go on: {:?}", world.state.published);
}

#[tokio::test]
async fn a_release_by_hand_that_differs_is_left_and_told() {
    conflicts(release("v36.0.14", false), "release of tag `v36.0.14` has other notes").await;
    conflicts(release("v36.0.14", true), "draft of tag `v36.0.14` has other notes").await;
    let notes = "## 36.0.14\n\nFixes a flaw.\n".to_owned();
    let asset = Asset { id: 6, name: "SHA256SUMS".into(), size: 1, sha256: "0".repeat(64), whole: true };
    let other = Release { notes: notes.clone(), assets: vec![asset], ..release("v36.0.14", true) };
    conflicts(other, "asset `SHA256SUMS` has 1 bytes").await;
    conflicts(Release { notes, ..release("v36.0.14", false) }, "published without asset").await;
}

#[tokio::test]
async fn an_equal_draft_by_hand_is_adopted_and_old_releases_are_left() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let by_hand = Release { notes: "## 36.0.14\r\n\r\nFixes a flaw.".into(), ..release("v36.0.14", true) };
    {
        let mut world = double.world();
        world.state.releases.push(by_hand);
        // More than a page, and one that is newer than the whole train.
        for patch in 0..130 {
            world.state.releases.push(Release { id: 100 + patch, ..release(&format!("v20.0.{patch}"), false) });
        }
        world.state.releases.push(Release { id: 300, ..release("v49.0.0", false) });
        world.state.latest = Some(300);
    }
    let ended = template.copy().ship(&template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{ended:?}");
    let world = double.world();
    assert_eq!(world.violations, Vec::<String>::new());
    assert_eq!(world.state.release(5).unwrap().assets.len(), ASSETS);
    assert_eq!(world.state.releases.iter().filter(|r| r.tag == "v36.0.14").count(), 1);
    assert_eq!(world.state.latest().unwrap().tag, "v49.0.0", "`latest` only moves forward");
}

/// A release is made while the list is read, so ours is the last of one page and the first of the next.
#[tokio::test]
async fn a_draft_that_slides_to_the_next_page_is_one_draft() {
    let template = Template::of(tempfile::tempdir().unwrap(), &LINES[1..2], &[]);
    let double = double_with(&[]).await;
    let by_hand = Release { notes: "## 36.0.14\n\nFixes a flaw.".into(), ..release("v36.0.14", true) };
    {
        let mut world = double.world();
        world.state.releases.push(by_hand);
        for patch in 0..99 {
            world.state.releases.push(Release { id: 100 + patch, ..release(&format!("v20.0.{patch}"), false) });
        }
        // More than one page has.
        world.state.releases.insert(0, Release { id: 99, ..release("v19.0.0", false) });
        world.slides = true;
    }
    let ended = template.copy().ship(&template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{ended:?}");
    let world = double.world();
    assert!(!world.writes.iter().any(|w| w.starts_with("DELETE")), "{:?}", world.writes);
    assert_eq!(world.state.release(5).unwrap().assets.len(), ASSETS);
}

#[tokio::test]
async fn a_release_with_more_assets_than_a_page_shows_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..230).map(|i| dir.path().join(format!("{i}.bin"))).collect();
    for (i, file) in files.iter().enumerate() {
        std::fs::write(file, i.to_string()).unwrap();
    }
    let template = Template::of(tempfile::tempdir().unwrap(), &LINES[2..], &files);
    let double = double_with(&[]).await;
    let run = template.copy();
    let ended = run.ship(&template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{ended:?}");
    {
        let world = double.world();
        assert_eq!(world.violations, Vec::<String>::new());
        // The three files of sums, three that are sealed, and two signatures of each of two people.
        assert_eq!(world.state.published, ["v48.0.1 with 240 whole assets"]);
        let uploads = world.writes.iter().filter(|w| w.starts_with("POST assets")).count();
        assert_eq!(uploads, 240, "none was sent twice");
    }
    // One that only the last page shows.
    double.world().state.releases[0].assets[230].sha256 = "0".repeat(64);
    let done = run.reconcile(&template, &double).await.unwrap().unwrap();
    assert_eq!(done.differ.len(), 1, "{done:?}");
}

#[tokio::test]
async fn a_github_of_ones_own_is_used_below_its_own_bases() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    // It stands behind a proxy, and names an address for uploads that nobody reaches.
    double.world().uploads_elsewhere = Some("http://localhost:1".into());
    let spec = lifeboat::forges::ForgeSpec {
        name: "github".parse().unwrap(),
        repository: crate::github_double::REPOSITORY.into(),
        api: Some(format!("{}/api/v3", double.api())),
        uploads: Some(format!("{}/api/uploads", double.uploads())),
        token: Some(lifeboat::model::SecretRef::Env("TOKEN".into())),
        app: None,
    };
    let around = lifeboat::forges::Surroundings {
        clock: std::sync::Arc::new(lifeboat::host::HostClock),
        secrets: std::sync::Arc::new(|_| Ok(lifeboat::model::Secret::new(crate::github_double::TOKEN))),
        hosts: ["127.0.0.1".to_owned()].into(),
    };
    let forge: std::sync::Arc<dyn lifeboat::effects::Forge> =
        std::sync::Arc::new(lifeboat::forges::github::GitHub::new(&spec, &around));
    let parts = forge.parts().await;
    assert!(parts.len() == 2 && parts.iter().all(|(_, answer)| answer.is_ok()), "{parts:?}");
    let run = template.copy();
    let (effects, train) = run.open_with(&template, forge);
    let ended = lifeboat::engine::run(&effects, train).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Reconciled)), "{ended:?}");
    let world = double.world();
    assert_eq!(world.state.published.len(), LINES.len());
    assert_eq!(world.bases.len(), world.calls.len(), "every request goes below a base");
    let uploads = world.bases.iter().filter(|b| **b == "/api/uploads").count();
    assert_eq!(uploads, LINES.len() * ASSETS + 1, "the assets, and one probe");
}

#[tokio::test]
async fn a_candidate_is_marked_and_never_latest() {
    let candidate = [("release-49.0.0", "49.0.0-rc.1", "49.0.0-rc.2"), LINES[2]];
    let template = Template::of(tempfile::tempdir().unwrap(), &candidate, &[]);
    let double = double_with(&[]).await;
    double.push_tag("v49.0.0-rc.2", tag_id("49.0.0-rc.2").as_str());
    let ended = template.copy().ship(&template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
    let world = double.world();
    let marked: Vec<_> = world.state.releases.iter().filter(|r| r.prerelease).map(|r| r.tag.as_str()).collect();
    assert_eq!(marked, ["v49.0.0-rc.2"]);
    assert_eq!(world.state.made_latest, ["v48.0.1"]);
}

#[tokio::test]
async fn without_its_tag_or_with_another_nothing_is_made() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    double.world().state.refs.remove("v24.0.9");
    double.push_tag("v36.0.14", tag_id("other").as_str());
    let run = template.copy();
    let ended = run.ship(&template, &double).await.unwrap();
    let Ended::Stuck(errors) = ended else { panic!("{ended:?}") };
    assert!(errors[0].1.report().contains("tag `v36.0.14` points to"), "{}", errors[0].1.report());
    let tags: Vec<String> = double.world().state.releases.iter().map(|r| r.tag.clone()).collect();
    assert_eq!(tags, ["v48.0.1"]);
    // Once the tags are right, reconcile goes on.
    for (_, _, new) in LINES {
        double.push_tag(&format!("v{new}"), tag_id(new).as_str());
    }
    let done = run.reconcile(&template, &double).await.unwrap().unwrap();
    assert!(matches!(done.ended, Some(Ended::Done(TrainState::Reconciled))), "{done:?}");
    assert_eq!(double.world().state.published.len(), 3);
    assert_eq!(double.world().state.latest().unwrap().tag, "v48.0.1");
}

#[tokio::test]
async fn a_wrong_token_is_told_and_never_shown() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    let spec = lifeboat::forges::ForgeSpec {
        name: "github".parse().unwrap(),
        repository: crate::github_double::REPOSITORY.into(),
        api: Some(double.api()),
        uploads: None,
        token: Some(lifeboat::model::SecretRef::Env("TOKEN".into())),
        app: None,
    };
    let wrong = "ghp_wrong_canary_987654321";
    let around = lifeboat::forges::Surroundings {
        clock: std::sync::Arc::new(lifeboat::host::HostClock),
        secrets: std::sync::Arc::new(move |_| Ok(lifeboat::model::Secret::new(wrong))),
        hosts: ["127.0.0.1".to_owned()].into(),
    };
    let forge: std::sync::Arc<dyn lifeboat::effects::Forge> =
        std::sync::Arc::new(lifeboat::forges::github::GitHub::new(&spec, &around));
    let error = forge.observe(&"v48.0.1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let report = format!("{}\n{error:?}", error.report());
    assert!(report.contains("HTTP status 401") && report.contains("request DBLE:"), "{report}");
    assert!(!report.contains("canary"), "{report}");
    // With the right one: nothing in the journal either.
    run.ship(&template, &double).await.unwrap();
    assert!(!String::from_utf8(run.journal()).unwrap().contains("canary"));
}

/// A name of an immutable release that somebody removed is gone for good, and that is said.
#[tokio::test]
async fn a_tag_name_of_an_immutable_release_is_reported_as_such() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    run.ship(&template, &double).await.unwrap();
    {
        let mut world = double.world();
        let id = world.state.releases.iter().find(|r| r.tag == "v36.0.14").unwrap().id;
        world.state.remove_release(id).unwrap();
    }
    // Another machine has the train as it was before.
    let late = template.copy();
    let ended = late.ship(&template, &double).await.unwrap();
    let Ended::Stuck(errors) = &ended else { panic!("{ended:?}") };
    let [(step, error)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((step.as_str(), error.kind()), ("forge-release/github/release-36.0.0", ErrorKind::Conflict));
    assert!(error.report().contains("takes no release of tag `v36.0.14` any more"), "{}", error.report());
    assert_eq!(double.world().violations, Vec::<String>::new());
}

/// What did not change is not sent again, page by page, and what did is seen.
#[tokio::test]
async fn a_second_look_is_conditional() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    {
        let mut world = double.world();
        for i in 0..150 {
            let id = world.state.number();
            let tag = format!("v1.0.{i}");
            let old = Release {
                id,
                tag,
                title: "old".into(),
                notes: "old".into(),
                draft: false,
                prerelease: false,
                immutable: true,
                assets: vec![],
            };
            world.state.releases.push(old);
        }
    }
    let forge = template.copy().forge(&double);
    let tag = "v1.0.3".parse().unwrap();
    let first = forge.observe(&tag).await.unwrap();
    assert_eq!((first.releases.len(), double.world().state.not_modified), (150, 0));
    let reads = double.world().calls.len();
    assert_eq!(forge.observe(&tag).await.unwrap(), first);
    // The tag itself is not there: nothing to be compared.
    assert_eq!(double.world().state.not_modified as usize, reads - 1);
    double.world().state.releases[3].notes = "new".into();
    assert!(forge.observe(&tag).await.unwrap().releases.iter().any(|r| r.notes == "new"));
}

/// The one that counts is the oldest of many that were opened from this branch: it is not on the first page.
#[tokio::test]
async fn pull_requests_beyond_the_first_page_are_seen() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    {
        let mut world = double.world();
        for i in 0..130 {
            let number = world.state.number();
            let (from, into) = ("lifeboat/drill/main".to_owned(), "main".to_owned());
            let title = "Bring it home".to_owned();
            // Those of other branches are not asked for, on no page.
            let other = if i % 5 == 4 { "other" } else { "main" };
            let from = from.replace("main", other);
            world.state.pulls.push(Pull { number, from, into, title, open: false, merged: i == 0 });
        }
    }
    let forge = template.copy().forge(&double);
    let pulls = forge.pull_requests().unwrap();
    let seen = pulls.pulls(&"lifeboat/drill/main".parse().unwrap(), &"main".parse().unwrap()).await.unwrap();
    assert_eq!(seen.len(), 104);
    assert_eq!(seen.iter().filter(|p| p.state == PullState::Merged).count(), 1);
    assert_eq!(double.world().violations, Vec::<String>::new());
}

/// The last request that the server allows for now is the last one that is sent before it says that there are more.
#[tokio::test]
async fn an_empty_bucket_is_waited_for_and_never_asked() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let full = jiff::Timestamp::now().as_second() + 4;
    double.world().state.remaining = Some((2, full));
    let forge = template.copy().forge_with_real_time(&double);
    forge.observe(&"v48.0.1".parse().unwrap()).await.unwrap();
    assert!(jiff::Timestamp::now().as_second() >= full);
    assert_eq!(double.world().state.beyond, 0);
}
