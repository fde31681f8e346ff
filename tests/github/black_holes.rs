//! One part of GitHub swallows everything, from the start or in the middle of the train: what *released* needs goes on beside
//! it. (`tests/trains/black_hole.rs` has the network in which all of it is gone.)

use std::net::TcpListener;
use std::time::Instant;

use crate::github_double::Side;
use crate::github_double::faults::{Fault, Kind};
use crate::workflows::{Project, git};

/// Which part is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// The API, after it has answered the probe and the first look at a tag.
    ApiInTheMiddle,
    /// The host that takes assets.
    Uploads,
    /// The git server: it takes connections.
    Git,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn required_steps_end_before_a_silent_api_is_given_up() {
    required_steps_end_first(Gone::ApiInTheMiddle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn required_steps_end_before_a_silent_host_of_uploads_is_given_up() {
    required_steps_end_first(Gone::Uploads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn required_steps_end_before_a_silent_git_server_is_given_up() {
    required_steps_end_first(Gone::Git).await;
}

async fn required_steps_end_first(gone: Gone) {
    let project = Project::new(&[]).await;
    project.configure("", "");
    project.run(&["ship", &project.train.train_file().display().to_string()]).await.ends_with(3);
    for person in ["alice", "bob"] {
        project.run(&["approve", "--as", person, "--yes"]).await.ends_with(0);
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("url.git://{}/x.insteadOf", silent.local_addr().unwrap());
    let (call, nth) = ("GET releases".to_owned(), 1);
    match gone {
        Gone::ApiInTheMiddle => project.double.inject(Fault { call, nth, kind: Kind::HostBlackHole }),
        Gone::Uploads => drop(project.double.world().faults.down.insert(Side::Uploads, Kind::HostBlackHole)),
        Gone::Git => {
            drop(git(&project.train, &["config", "--global", &name, &project.bare.display().to_string()]));
        }
    }
    let start = Instant::now();
    let shipped = project.run(&["ship"]).await.ends_with(0);
    println!("{gone:?}: `ship` took {:.1?}", start.elapsed());
    assert!(shipped.stdout.contains("train drill: released"), "{shipped:?}");

    let records = project.train.records("drill");
    let at = |wanted: &dyn Fn(&str, &str) -> bool| {
        let fits = |r: &serde_json::Value| {
            wanted(r["what"]["event"].as_str().unwrap(), r["what"]["step"].as_str().unwrap_or_default())
        };
        records.iter().position(fits)
    };
    let pointed = at(&|event, step| event == "succeeded" && step.starts_with("point/")).unwrap();
    let given_up = at(&|event, _| event == "deferred").unwrap();
    assert!(pointed < given_up, "{gone:?}: a required step waited: {records:#?}");
    let part = match gone {
        Gone::ApiInTheMiddle => "api",
        Gone::Uploads => "uploads",
        Gone::Git => "git",
    };
    assert_eq!(records[given_up]["what"]["part"], part, "{gone:?}");
    let status = project.run(&["status"]).await.ends_with(0).stdout;
    assert!(status.contains(&format!(" {part} since 20")), "{gone:?}: {status}");

    if gone == Gone::Uploads {
        let world = project.double.world();
        let sent = world.calls.iter().filter(|c| c.starts_with("POST assets")).count();
        assert!(sent <= 2 * 4, "a host that swallows everything is asked once by each release: {sent}");
    }
    project.double.repair();
    if gone == Gone::Git {
        git(&project.train, &["config", "--global", "--unset", &name]);
    }
    let home = project.run(&["reconcile"]).await.ends_with(0);
    assert!(home.stdout.contains("train drill: reconciled, 3 deliveries read back and equal"), "{home:?}");
}
