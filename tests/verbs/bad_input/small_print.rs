//! How faults are reported: exit codes, words, JSON.

use std::io::Read as _;

use super::*;

#[test]
fn faults_of_a_command_line_are_json_where_that_is_asked_for() {
    let train = SampleTrain::new();
    for args in
        [&["--json", "shp"][..], &["ship", "--json", "--plan", "x"], &["status", "--json", "--all"], &["--json"]]
    {
        let ran = train.run(args).ends_with(2);
        let value: serde_json::Value =
            serde_json::from_str(&ran.stderr).unwrap_or_else(|e| panic!("{args:?}: {e}: {ran:?}"));
        assert_eq!((&value["exit_code"], &value["kind"]), (&2.into(), &"input".into()), "{value}");
        assert!(value["error"].as_str().is_some_and(|e| !e.is_empty() && !e.starts_with("error")), "{value}");
    }
    let ran = train.run(&["shp"]).ends_with(2);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("Usage"), "{}", ran.stderr);
    let ran = train.run(&["--help", "--json"]).ends_with(0);
    assert!(ran.stdout.contains("Exit codes:"), "{}", ran.stdout);
}

#[test]
fn a_train_file_that_is_a_directory() {
    let train = SampleTrain::new();
    let dir = train.root().display().to_string();
    train.run(&["ship", &dir]).fails(2, &[&format!("the train file `{dir}` is a directory")]);
    train.run(&["status", "--config", &dir]).fails(2, &[&format!("the configuration `{dir}` is a directory")]);
}

#[test]
fn a_person_who_approves_twice_is_named_once() {
    let train = SampleTrain::new();
    train.to_the_gate();
    for person in ["bob", "alice", "bob"] {
        train.run(&["approve", "--as", person, "--yes"]).ends_with(0);
    }
    let status = train.run(&["status"]).ends_with(0);
    assert!(status.stdout.contains("approved by bob, alice\n"), "{}", status.stdout);
}

#[test]
fn an_error_names_its_step_once() {
    let train = SampleTrain::new();
    let read = train.root().join("sdk").display().to_string();
    train.configure(&format!("[[runner]]\nname = \"local\"\nkind = \"local\"\nread = [{read:?}]\n"));
    let ran = train.adopt().fails(2, &["runner `local` cannot show `", "sdk` to jobs", "attempt"]);
    for report in ran.stderr.split("error: ").skip(1) {
        assert_eq!(report.matches("step: ").count(), 1, "{report}");
    }
    assert!(ran.stderr.contains("error: "), "{}", ran.stderr);
}

#[test]
fn completions_into_a_pipe_that_is_closed() {
    let train = SampleTrain::new();
    let mut child =
        train.command(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Closed before anything can be written: the program has only just begun.
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    let ran = train.run(&["completions", "bash"]).ends_with(0);
    assert!(ran.stdout.contains("_lifeboat()"), "{}", ran.stdout);
}

#[test]
fn a_store_in_the_state_directory() {
    let train = SampleTrain::new();
    let inside = format!("file://{}", train.state().join("store").display());
    train.edit(&train.config(), &format!("file://{}", train.store().display()), &inside);
    train.adopt().fails(2, &["store `mirror` and the state directory share a place", "lifeboat.toml:", "url = "]);
}
