//! Every look at a forge and the move that it must lead to.

use super::*;
use crate::model::Digests;

fn asset(name: &str) -> AssetFile {
    AssetFile { name: name.to_owned(), path: "/nowhere".into(), digests: Digests::of(name.as_bytes()) }
}

fn seen(asset: &AssetFile) -> SeenAsset {
    let (name, size) = (asset.name.clone(), asset.digests.size);
    SeenAsset { id: size, name, size, digest: Some(asset.digests.sha256), whole: true }
}

fn wanted(version: &str) -> WantedRelease {
    WantedRelease {
        text: ReleaseText {
            tag: format!("v{version}").parse().unwrap(),
            title: format!("v{version}"),
            notes: "fixes\n".to_owned(),
            prerelease: version.contains('-'),
        },
        version: version.parse().unwrap(),
        tag_id: "a".repeat(40).parse().unwrap(),
        assets: vec![asset("a"), asset("bb")],
        train_latest: Some("48.0.1".parse().unwrap()),
    }
}

fn draft(wanted: &WantedRelease) -> SeenRelease {
    SeenRelease {
        id: 7,
        tag: wanted.text.tag.to_string(),
        title: wanted.text.title.clone(),
        notes: "fixes\r\n".to_owned(),
        draft: true,
        prerelease: wanted.text.prerelease,
        location: "there".to_owned(),
        assets: wanted.assets.iter().map(seen).collect(),
    }
}

fn other(tag: &str) -> SeenRelease {
    SeenRelease { id: 1, tag: tag.to_owned(), draft: false, assets: vec![], ..draft(&wanted("48.0.1")) }
}

fn view(wanted: &WantedRelease, releases: Vec<SeenRelease>) -> ForgeView {
    ForgeView { tag: Some(wanted.tag_id.clone()), releases, latest: SeenLatest::default() }
}

fn says(next: ReleaseMove, what: &str) {
    match next {
        ReleaseMove::Conflict(lines) => assert!(lines.join("\n").contains(what), "{lines:?}"),
        other => panic!("{other:?} is not a conflict"),
    }
}

#[test]
fn nothing_happens_before_the_signed_tag_is_there() {
    let w = wanted("48.0.1");
    assert_eq!(next_move(&w, &ForgeView::default()), ReleaseMove::AwaitTag);
    let moved = ForgeView { tag: Some("b".repeat(40).parse().unwrap()), ..view(&w, vec![draft(&w)]) };
    says(next_move(&w, &moved), "points to bbbb");
    assert_eq!(next_move(&w, &view(&w, vec![])), ReleaseMove::Create);
}

#[test]
fn a_draft_is_filled_confirmed_and_published() {
    let w = wanted("48.0.1");
    let mut d = draft(&w);
    d.assets.pop();
    assert_eq!(next_move(&w, &view(&w, vec![d.clone()])), ReleaseMove::Upload(7, vec![asset("bb")]));
    d.assets.push(SeenAsset { whole: false, size: 1, digest: None, ..seen(&asset("bb")) });
    assert_eq!(next_move(&w, &view(&w, vec![d.clone()])), ReleaseMove::Discard(vec![Discard::Asset(2)]));
    d.assets[1] = SeenAsset { digest: None, ..seen(&asset("bb")) };
    assert_eq!(next_move(&w, &view(&w, vec![d.clone()])), ReleaseMove::AwaitDigests(vec!["bb".to_owned()]));
    d.assets[1] = SeenAsset { digest: Some(crate::model::Sha256::of(b"x")), ..seen(&asset("bb")) };
    says(next_move(&w, &view(&w, vec![d.clone()])), "asset `bb` has 2 bytes");
    d.assets[1] = SeenAsset { size: 3, ..seen(&asset("bb")) };
    says(next_move(&w, &view(&w, vec![d])), "asset `bb` has 3 bytes");
    assert_eq!(next_move(&w, &view(&w, vec![draft(&w)])), ReleaseMove::Publish(7, MarkLatest::Yes));
}

#[test]
fn what_people_made_is_adopted_only_when_equal() {
    let w = wanted("48.0.1");
    says(next_move(&w, &view(&w, vec![SeenRelease { title: "mine".to_owned(), ..draft(&w) }])), "title `mine`");
    says(next_move(&w, &view(&w, vec![SeenRelease { notes: "mine".to_owned(), ..draft(&w) }])), "other notes");
    says(next_move(&w, &view(&w, vec![SeenRelease { prerelease: true, ..draft(&w) }])), "marked as a pre-release");
    let mut d = draft(&w);
    d.assets.push(seen(&asset("ccc")));
    says(next_move(&w, &view(&w, vec![d.clone()])), "`ccc` of tag `v48.0.1` is not ours");
    let mut p = SeenRelease { draft: false, ..draft(&w) };
    p.assets.pop();
    says(next_move(&w, &view(&w, vec![p])), "published without asset `bb`");
    // A draft of another hand beside ours is not removed.
    let mine = SeenRelease { id: 9, notes: "mine".to_owned(), ..draft(&w) };
    says(next_move(&w, &view(&w, vec![draft(&w), mine])), "other notes");
    says(next_move(&w, &view(&w, vec![draft(&w), SeenRelease { id: 9, ..d }])), "not ours");
}

#[test]
fn a_second_draft_of_our_own_goes_and_the_oldest_stays() {
    let w = wanted("48.0.1");
    let second = SeenRelease { id: 9, assets: vec![], ..draft(&w) };
    let both = view(&w, vec![second.clone(), draft(&w)]);
    assert_eq!(next_move(&w, &both), ReleaseMove::Discard(vec![Discard::Draft(9)]));
    let published = view(&w, vec![second, SeenRelease { draft: false, ..draft(&w) }]);
    assert_eq!(next_move(&w, &published), ReleaseMove::Discard(vec![Discard::Draft(9)]));
}

#[test]
fn latest_follows_versions_and_only_moves_forward() {
    let latest = |version: &str, others: &[&str]| {
        let w = wanted(version);
        let mut releases = vec![draft(&w)];
        releases.extend(others.iter().map(|t| other(t)));
        match next_move(&w, &view(&w, releases)) {
            ReleaseMove::Publish(_, latest) => latest,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(latest("48.0.1", &["v47.0.0", "nightly"]), MarkLatest::Yes);
    assert_eq!(latest("36.0.14", &[]), MarkLatest::No, "a higher line of the train follows");
    assert_eq!(latest("48.0.1", &["v49.0.0"]), MarkLatest::No);
    assert_eq!(latest("48.0.1", &["v49.0.0-rc.1"]), MarkLatest::Yes);
    assert_eq!(latest("48.0.1-rc.2", &[]), MarkLatest::No);
}

#[test]
fn a_published_release_is_done_when_latest_is_right() {
    let w = wanted("48.0.1");
    let published = SeenRelease { draft: false, ..draft(&w) };
    let shows = |tag: &str| SeenLatest::Made(Some(tag.to_owned()));
    let stolen = ForgeView { latest: shows("v36.0.14"), ..view(&w, vec![published.clone(), other("v36.0.14")]) };
    assert_eq!(next_move(&w, &stolen), ReleaseMove::SetLatest(7));
    let right = ForgeView { latest: shows("v48.0.1"), ..view(&w, vec![published.clone()]) };
    assert_eq!(next_move(&w, &right), ReleaseMove::Done("there".to_owned()));
    let newer = ForgeView { latest: shows("v49.0.0"), ..view(&w, vec![published.clone(), other("v49.0.0")]) };
    assert_eq!(next_move(&w, &newer), ReleaseMove::Done("there".to_owned()));
    let by_date = ForgeView { latest: SeenLatest::Newest, ..view(&w, vec![published.clone()]) };
    assert_eq!(next_move(&w, &by_date), ReleaseMove::Done("there".to_owned()));
    // Published by hand, it took `latest` from a higher version, of this train or of an earlier one.
    let took = SeenRelease { id: 3, ..other("v49.0.0") };
    let took = ForgeView { latest: shows("v48.0.1"), ..view(&w, vec![other("v48.1.0"), published.clone(), took]) };
    assert_eq!(next_move(&w, &took), ReleaseMove::SetLatest(3));
    let lower = wanted("36.0.14");
    let out = SeenRelease { draft: false, ..draft(&lower) };
    for (others, next) in [
        (vec![], ReleaseMove::Done("there".to_owned())),
        (vec![other("v40.0.0")], ReleaseMove::Done("there".to_owned())),
        (vec![other("v48.0.1")], ReleaseMove::SetLatest(1)),
    ] {
        let releases = [vec![out.clone()], others].concat();
        let there = ForgeView { latest: shows("v36.0.14"), ..view(&lower, releases) };
        assert_eq!(next_move(&lower, &there), next, "the train's highest version takes it by itself");
    }
    let twice = view(&w, vec![published.clone(), SeenRelease { id: 8, ..published }]);
    says(next_move(&w, &twice), "two published releases");
}
