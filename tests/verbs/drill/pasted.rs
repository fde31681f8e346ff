//! Everything that the program prints to be pasted runs as it stands, below a directory with a name that needs quotes.

use super::shell::Shell;

const ODD: &str = "it's a \"drill\" $HOME";

/// The indented lines of a text.
fn commands(said: &str) -> Vec<String> {
    let lines = said.lines().filter_map(|l| l.strip_prefix("  "));
    lines.filter(|l| !l.starts_with(' ')).map(str::to_owned).collect()
}

/// The commands in back quotes.
fn quoted(said: &str) -> Vec<String> {
    said.split('`').skip(1).step_by(2).filter(|c| c.starts_with("lifeboat ")).map(str::to_owned).collect()
}

/// The one command in back quotes of a text that begins so.
#[track_caller]
fn the(said: &str, begins: &str) -> String {
    let all: Vec<String> = quoted(said).into_iter().filter(|c| c.starts_with(begins)).collect();
    assert_eq!(all.len(), 1, "one `{begins} …` in:\n{said}");
    all[0].clone()
}

/// The git command in back quotes of a text.
#[track_caller]
fn the_git(said: &str) -> String {
    let found = said.split('`').skip(1).step_by(2).find(|c| c.starts_with("git fetch "));
    found.unwrap_or_else(|| panic!("no `git fetch …` in:\n{said}")).to_owned()
}

#[test]
fn what_a_stranger_would_run_runs() {
    let mut shell = Shell::below(ODD);
    let said = shell.runs("lifeboat drill");
    let (_, lines) = said.split_once("what a stranger would run").unwrap();
    let lines = commands(lines);
    assert!(lines.len() >= 9, "{said}");
    for line in lines {
        shell.runs(&line);
    }
}

#[test]
fn what_the_manual_drill_prints_ships_the_sample() {
    let mut shell = Shell::below(ODD);
    let said = shell.runs("lifeboat drill --manual 'a sample'");
    let lines = commands(&said);
    assert!(lines.len() >= 9, "{said}");
    let mut released = false;
    for line in &lines {
        // It stops for people.
        let code = if line.starts_with("lifeboat ship ../") { 3 } else { 0 };
        released |= shell.ends(line, code).contains("train drill: released");
    }
    assert!(released, "{said}");
    // Again, it prints the same and makes nothing anew.
    shell.runs("cd ../..");
    assert_eq!(commands(&shell.runs("lifeboat drill --manual 'a sample'")), lines);
    shell.runs("cd 'a sample/project'");
    assert!(shell.runs("lifeboat status").contains("train drill: released"));
}

#[test]
fn hints_name_the_project_and_the_state_that_were_given() {
    let mut shell = Shell::below(ODD);
    shell.runs("lifeboat drill --manual s");
    let given = "--config s/project/lifeboat.toml --state s/state";
    let plan = shell.runs(&format!("lifeboat {given} plan s/train.toml"));
    let said = shell.ends(&the(&plan, "lifeboat ship"), 3);
    assert!(said.contains("train drill: staged"), "{said}");
    let said = shell.runs(&format!("lifeboat {given} approve --as alice --yes"));
    assert!(said.contains("1 of 2"), "{said}");
    shell.runs(&format!("lifeboat {given} approve --as bob --yes"));
    let status = shell.runs(&format!("lifeboat {given} status"));
    let said = shell.runs(&the(&status, "lifeboat ship"));
    assert!(said.contains("train drill: released"), "{said}");
    let listed = shell.runs(&the(&said, "lifeboat reconcile --config s/project/lifeboat.toml --state s/state --list"));
    assert!(listed.contains("forge-release/github/release-1.0.0"), "{listed}");
    // The released commits come from where they are served.
    let fetch = the_git(&said);
    assert_eq!(fetch, the_git(&shell.runs(&format!("lifeboat {given} status"))));
    shell.runs(&fetch.replacen("git ", "git -C s/project ", 1));
    let fetched = shell.runs("git -C s/project log --format=%s FETCH_HEAD -1");
    assert!(fetched.contains("1.0.5") || fetched.contains("2.0.2"), "{fetched}");
    let error = shell.ends(&format!("lifeboat {given} abandon --reason wrong"), 2);
    shell.runs(&the(&error, "lifeboat ship"));
}

#[test]
fn a_plan_lists_each_step_in_its_phase_and_a_command_with_its_file() {
    let mut shell = Shell::below("");
    shell.runs("lifeboat drill --manual s");
    shell.runs("cd s/project && export LIFEBOAT_STATE=$PWD/../state && cp ../train.toml \"../it's one.toml\"");
    shell.runs("sed -i 's#patches/#../s/patches/#' \"../it's one.toml\"");
    let plan = shell.runs("lifeboat plan \"../it's one.toml\"");
    let phase = |from: &str| plan.split(from).nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    let before = phase("before the gate, seen by this machine and the team alone:\n");
    assert!(before.contains("2 verify-staged") && !before.contains("seal"), "{plan}");
    assert_eq!(phase("after the gate, before anything is public:\n").trim(), "2 seal");
    assert!(phase("after the gate, public:\n").contains("point/mirror"), "{plan}");
    shell.ends(&the(&plan, "lifeboat ship"), 3);
}
