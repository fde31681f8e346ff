//! Workflows that must not run, while other trains and other processes of this machine act on the same forge.

use std::fs;

use lifeboat::effects::Disk as _;
use lifeboat::engine::Ended;
use lifeboat::engine::reconcile::Reconciled;
use lifeboat::host::HostDisk;
use lifeboat::journal::TrainState;

use crate::github_double::faults::Kind;
use crate::github_double::{Double, Side};
use crate::train::{COMMIT, Copied, Template, double_with, tag_id};

/// A second train on a line of its own.
fn other() -> Template {
    Template::of(tempfile::tempdir().unwrap(), &[("release-50.0.0", "50.0.0", "50.0.1")], &[])
}

async fn double() -> Double {
    let double = double_with(&[]).await;
    double.world().state.commits.insert("v50.0.1".to_owned(), COMMIT.to_owned());
    double.push_tag("v50.0.1", tag_id("50.0.1").as_str());
    double
}

async fn reconciled(run: &Copied, template: &Template, double: &Double) -> Reconciled {
    run.reconcile(template, double).await.unwrap().unwrap()
}

fn is_home(done: &Reconciled) -> bool {
    matches!(done.ended, None | Some(Ended::Done(TrainState::Reconciled))) && done.differ.is_empty()
}

/// Nothing but what is waited for ran.
fn assert_quiet(double: &Double, releases: usize) {
    let world = double.world();
    assert_eq!(world.state.published.len(), releases, "{:?}", world.state.published);
    assert!(world.state.runs.iter().all(|r| r.file == "after.yml"), "{:?}", world.state.runs);
}

/// The first train saw the workflow on, the second one found it off: who is done first must not enable it.
#[tokio::test]
async fn workflows_stay_off_while_another_train_delivers_and_until_that_has_settled() {
    let (template, other, double) = (Template::new(), other(), double().await);
    let first = template.copy();
    let second = other.copy_beside(&first);
    double.world().faults.down.insert(Side::Uploads, Kind::HostDown);
    first.ship(&template, &double).await.unwrap();
    second.ship(&other, &double).await.unwrap();
    double.repair();

    let stays = "workflow `publish.yml` of `github` stays off: train `sample` still delivers there";
    let done = reconciled(&first, &template, &double).await;
    assert!(matches!(done.ended, Some(Ended::Done(TrainState::Released))), "{done:?}");
    assert!(first.deferred(stays));
    assert!(!double.world().state.workflows[0].on, "the other train needs it off");

    // What the second one delivers comes to the forge's eyes within a minute.
    second.later(600);
    reconciled(&second, &other, &double).await;
    let delivered = first.journal_text().matches(stays).count();
    reconciled(&first, &template, &double).await;
    assert!(!double.world().state.workflows[0].on, "the other train has only just delivered");
    assert_eq!(first.journal_text().matches(stays).count(), delivered + 1);
    first.later(1200);
    let done = reconciled(&first, &template, &double).await;
    assert!(is_home(&done) && double.world().state.workflows[0].on, "{done:?}");
    assert_quiet(&double, 4);
}

/// Between the last look and the act nobody of this machine switches anything.
#[tokio::test]
async fn a_forge_is_acted_on_by_one_process_at_a_time() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    let lock = run.beside("forge-github.lock");
    let held = HostDisk.try_lock(&lock).unwrap().unwrap();
    let ended = run.ship(&template, &double).await.unwrap();
    assert!(matches!(ended, Ended::Done(TrainState::Released)), "{ended:?}");
    assert!(run.deferred("another lifeboat process acts on `github`"));
    assert_quiet(&double, 0);
    drop(held);
    let done = reconciled(&run, &template, &double).await;
    assert!(is_home(&done), "{done:?}");
    assert_quiet(&double, 3);
}

/// Switching on waits for its turn, too: another process may be right before its push.
#[tokio::test]
async fn nothing_is_switched_on_while_another_process_acts() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    // Everything but switching on: a train that cannot be read keeps it from that.
    let broken = run.beside("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("plan.json"), "{}").unwrap();
    run.ship(&template, &double).await.unwrap();
    assert_quiet(&double, 3);
    fs::remove_dir_all(&broken).unwrap();

    let held = HostDisk.try_lock(&run.beside("forge-github.lock")).unwrap().unwrap();
    reconciled(&run, &template, &double).await;
    assert!(!double.world().state.workflows[0].on);
    assert!(run.deferred("another lifeboat process acts on `github`"));
    drop(held);
    let done = reconciled(&run, &template, &double).await;
    assert!(is_home(&done) && double.world().state.workflows[0].on, "{done:?}");
}

/// A train that cannot be read may be about to deliver: workflows stay off, and it is said why.
#[tokio::test]
async fn workflows_stay_off_while_a_train_cannot_be_read() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    // Adoption that was interrupted leaves an empty directory, which is not a train.
    fs::create_dir(run.beside("begun")).unwrap();
    for (file, text) in [("plan.json", "{\"format\":99}"), ("journal.jsonl", "{}\n")] {
        let broken = run.beside("broken");
        fs::create_dir_all(&broken).unwrap();
        fs::write(broken.join(file), text).unwrap();
        let ended = match run.journal_text().contains("released") {
            false => run.ship(&template, &double).await.unwrap(),
            true => reconciled(&run, &template, &double).await.ended.unwrap(),
        };
        assert!(matches!(ended, Ended::Done(TrainState::Released)), "{file}: {ended:?}");
        assert!(
            run.deferred("what the train in `") && run.journal_text().contains("/broken` needs is not known: "),
            "{file}"
        );
        assert!(!double.world().state.workflows[0].on, "{file}");
        fs::remove_dir_all(&broken).unwrap();
    }
    let done = reconciled(&run, &template, &double).await;
    assert!(is_home(&done) && double.world().state.workflows[0].on, "{done:?}");
    assert_quiet(&double, 3);
}

/// What a token may not see any more is not known to be off.
#[tokio::test]
async fn a_workflow_that_is_not_shown_any_more_stops_a_late_delivery() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    double.world().faults.down.insert(Side::Uploads, Kind::HostDown);
    run.ship(&template, &double).await.unwrap();
    double.repair();
    let hidden = double.world().state.workflows.remove(0);
    let done = reconciled(&run, &template, &double).await;
    let Some(Ended::Stuck(errors)) = &done.ended else { panic!("{done:?}") };
    let says = |e: &lifeboat::error::Error| e.report().contains("`github` shows no workflow `publish.yml`");
    assert!(errors.len() == 3 && errors.iter().all(|(_, e)| says(e)), "{errors:?}");
    assert_quiet(&double, 0);
    double.world().state.workflows.insert(0, hidden);
    let done = reconciled(&run, &template, &double).await;
    assert!(is_home(&done), "{done:?}");
    assert_quiet(&double, 3);
}
