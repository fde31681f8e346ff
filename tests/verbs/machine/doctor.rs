//! `doctor --as PERSON`: what an approver needs, and nothing that only the operator does.

use std::fs;

use crate::approve::homes::two;
use crate::support::sample_train::SampleTrain;

/// The checks as JSON: area and name, health, hint.
fn checks(json: &str) -> Vec<(String, String, String)> {
    let all: serde_json::Value = serde_json::from_str(json).unwrap();
    let all = all["checks"].as_array().or_else(|| all.as_array()).unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let one = |c: &serde_json::Value| {
        (format!("{} {}", text(&c["area"]), text(&c["name"])), text(&c["health"]), text(&c["hint"]))
    };
    all.iter().map(one).collect()
}

#[test]
fn an_approver_s_machine_is_judged_by_what_an_approver_needs() {
    let (operator, bob) = two();
    // The configuration names a file that only the operator has.
    let ran = bob.run(&["doctor", "--as", "bob"]).ends_with(1);
    assert!(ran.stdout.contains("or `lifeboat approve --as bob` takes one with `--gpg FINGERPRINT`"), "{}", ran.stdout);
    // Bob has his own key and no other: nothing is red.
    let config = bob.project().join("lifeboat.toml");
    let own = format!("bob = {{ gpg = \"{}\" }}", bob.key);
    operator.0.edit(&config, "bob = { file = \"../secret/bob.key\" }", &own);
    let ran = bob.run(&["doctor", "--as", "bob"]).ends_with(0);
    for said in ["bob", "may approve, with certificate", bob.key.as_str()] {
        assert!(ran.stdout.contains(said), "no `{said}`: {}", ran.stdout);
    }
    let ran = bob.run(&["doctor", "--as", "bob", "--json"]).ends_with(0);
    let found = checks(&ran.stdout);
    assert!(found.iter().all(|(_, health, _)| health != "fail"), "{found:?}");
    let operators = ["freshness", "release", "operator", "alice", "carol", "github", "runner "];
    assert!(found.iter().all(|(what, ..)| operators.iter().all(|o| !what.contains(o))), "{found:?}");
    // Whoever may not approve is named.
    let ran = bob.run(&["doctor", "--as", "mallory"]).ends_with(1);
    assert!(ran.stdout.contains("`mallory` is not one of those who approve: alice, bob, carol"), "{}", ran.stdout);
    // A root that is not pinned here, or another one, is red.
    let state = operator.0.state();
    drop(operator.0.run(&["doctor", "--as", "alice"]).ends_with(0));
    let pin =
        walk(&state).into_iter().find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().contains("pin"))).unwrap();
    fs::remove_file(pin).unwrap();
    let ran = operator.0.run(&["doctor", "--as", "alice"]).ends_with(1);
    assert!(ran.stdout.contains("`lifeboat trust pin "), "{}", ran.stdout);
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().map(|e| e.unwrap().path()) {
        if entry.is_dir() { out.extend(walk(&entry)) } else { out.push(entry) }
    }
    out
}

#[test]
fn a_key_that_is_missing_is_red_and_says_how_to_name_one() {
    let train = SampleTrain::new();
    train.run(&["doctor", "--as", "alice"]).ends_with(0);
    fs::rename(train.key("alice"), train.root().join("away.key")).unwrap();
    let ran = train.run(&["doctor", "--as", "alice", "--json"]).ends_with(1);
    let found = checks(&ran.stdout);
    assert!(found.iter().any(|(what, health, _)| what == "key alice" && health == "fail"), "{found:?}");
    // Nobody else needs that key.
    train.run(&["doctor", "--as", "carol"]).ends_with(0);
    // None configured: there may be one all the same.
    let text = fs::read_to_string(train.config()).unwrap();
    let without: String = text.lines().filter(|l| !l.starts_with("alice = ")).map(|l| format!("{l}\n")).collect();
    assert_ne!(text, without);
    fs::write(train.config(), without).unwrap();
    let ran = train.run(&["doctor", "--as", "alice"]).ends_with(0);
    assert!(
        ran.stdout.contains("`lifeboat approve --as alice` takes one with `--gpg FINGERPRINT` or `--key FILE`"),
        "{}",
        ran.stdout
    );
}

/// Whoever says where configuration and state are means them for the next command too.
#[test]
fn what_doctor_verify_and_trust_print_to_be_pasted_repeats_the_options() {
    let train = SampleTrain::new();
    let (config, state) =
        (train.config().display().to_string(), train.root().join("other state").display().to_string());
    let run = |args: &[&str]| {
        let mut command = train.command(args);
        command.args(["--config", &config, "--state", &state]).current_dir(train.root());
        crate::support::sample_train::Ran::of(&mut command)
    };
    let options = format!(" --config {config} --state '{state}'");
    let ran = run(&["doctor"]);
    assert!(ran.stdout.contains(&format!("`lifeboat trust{options} pin ")), "{}", ran.stdout);
    let ran = run(&["trust", "show"]);
    assert!(ran.stdout.contains(&format!("`lifeboat trust{options} pin ")), "{}", ran.stdout);
    let ran = run(&["verify", "latest"]).ends_with(2);
    assert!(ran.stderr.contains(&format!("`lifeboat verify{options} latest https://")), "{}", ran.stderr);
    // JSON is one value, whatever is printed in it.
    let ran = run(&["doctor", "--json"]);
    serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
}

/// What one store does, in words: what was tried out, what was seen, what it means for a train.
#[test]
fn a_store_is_explained() {
    let train = SampleTrain::new();
    let ran = train.run(&["doctor", "--store", "mirror"]).ends_with(0);
    for said in
        ["put if absent", "one won", "no released name ever gets other bytes", "a train can go to store `mirror`"]
    {
        assert!(ran.stdout.contains(said), "no `{said}`: {}", ran.stdout);
    }
    let ran = train.run(&["doctor", "--store", "mirror", "--json"]).ends_with(0);
    let report = crate::schemas::Schema::strict("output/doctor").parsed(&ran.stdout);
    assert_eq!(report["store"], "mirror");
    train.run(&["doctor", "--store", "miror"]).fails(2, &["has no store `miror`", "expected `mirror`"]);
    // Staging that a web server shows is no place for what is embargoed.
    let web = crate::stranger::home::Web::over(&train.store(), &["--show-hidden"]);
    let place = format!("url = \"../store\"\npublic_url = \"{}\"\n", web.url);
    let config = fs::read_to_string(train.config()).unwrap();
    let url = config.lines().skip_while(|l| !l.contains("[[store]]")).find(|l| l.starts_with("url")).unwrap();
    train.edit(&train.config(), &format!("{url}\n"), &place.replace("url = \"../store\"", url));
    let ran = train.run(&["doctor", "--store", "mirror"]).ends_with(1);
    assert!(ran.stdout.contains("strangers can read a file of the staging area"), "{}", ran.stdout);
    assert!(ran.stdout.contains("no train can go to store `mirror`"), "{}", ran.stdout);
}
