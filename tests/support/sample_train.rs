//! The drill's sample project, driven through the real program as a person would: a scratch directory, an empty `HOME`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jiff::Timestamp;
use lifeboat::drill::SampleProject;
use lifeboat::model::Sha256;

/// A loopback port that nothing listens on: a GitHub that refuses at once.
pub const REFUSING: &str = "http://127.0.0.1:1";

/// How the sample's configuration names its throwaway token of GitHub.
pub const TOKEN: &str = "token = { file = \"../secret/github.token\" }";

/// A sample project with its train file, and the program's own directories.
pub struct SampleTrain {
    root: tempfile::TempDir,
    sample: SampleProject,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl SampleTrain {
    /// A sample whose GitHub refuses connections, its trust root pinned.
    pub fn new() -> Self {
        let train = Self::unpinned(REFUSING);
        train.pin();
        train
    }

    /// A sample with GitHub at this address, and no trust root pinned yet.
    pub fn unpinned(github: &str) -> Self {
        let root = super::scratch();
        let now = Timestamp::now();
        let sample = SampleProject::create(&root.path().join("sample"), github, now, now).unwrap();
        for dir in ["home", "tmp"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        let train = Self { root, sample };
        // Tests ship versions that the sample's changelog has no section for.
        train.edit(&train.config(), "notes_until = \"^-----\" }", "notes_until = \"^-----\", missing = \"warn\" }");
        train
    }

    /// The scratch directory: `sample/`, `home/` and `tmp/` are in it.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The user's repository.
    pub fn project(&self) -> PathBuf {
        self.sample.project()
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.project().join("lifeboat.toml")
    }

    /// The train file.
    pub fn train_file(&self) -> PathBuf {
        self.sample.train_file()
    }

    /// The store's directory.
    pub fn store(&self) -> PathBuf {
        self.sample.store()
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.sample.state()
    }

    /// The directory of the train `name`.
    pub fn train_dir(&self, name: &str) -> PathBuf {
        self.state().join("sample/trains").join(name)
    }

    /// The throwaway key file of a person or a role.
    pub fn key(&self, name: &str) -> PathBuf {
        self.root().join("sample/secret").join(format!("{name}.key"))
    }

    /// Puts `to` in place of `from`, which must be there, in a text file.
    pub fn edit(&self, file: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(from), "`{}` has no `{from}`:\n{text}", file.display());
        fs::write(file, text.replace(from, to)).unwrap();
    }

    /// Puts `text` at the end of the configuration.
    pub fn configure(&self, text: &str) {
        let old = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), format!("{old}\n{text}")).unwrap();
    }

    /// The program with these arguments, in the project's directory, with nothing of our environment but `PATH`.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(args);
        self.surround(&mut command);
        command
    }

    /// Gives any command the directory and the environment of the program.
    pub fn surround(&self, command: &mut Command) {
        command.current_dir(self.project()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()));
        command.env("HOME", self.root().join("home")).env("TMPDIR", self.root().join("tmp"));
        command.env("LIFEBOAT_STATE", self.state());
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Pins the sample's own trust root, whatever was pinned before.
    pub fn pin(&self) {
        let root = fs::read(self.project().join("keys/trust.json")).unwrap();
        self.run(&["trust", "pin", "--replace", &Sha256::of(&root).hex()]).ends_with(0);
    }

    /// Adopts the train; it must stop at its gate.
    pub fn to_the_gate(&self) {
        self.adopt().ends_with(3);
    }

    /// `ship` with the train file.
    pub fn adopt(&self) -> Ran {
        self.run(&["ship", &self.train_file().display().to_string()])
    }

    /// `ship` without: go on.
    pub fn ship(&self) -> Ran {
        self.run(&["ship"])
    }

    /// Two people approve.
    pub fn approve(&self) {
        for person in ["alice", "bob"] {
            self.run(&["approve", "--as", person, "--yes"]).ends_with(0);
        }
    }

    /// From the gate to the release.
    pub fn release(&self) {
        self.approve();
        let ran = self.ship().ends_with(0);
        assert!(ran.stdout.contains("released"), "{ran:?}");
    }

    /// The records of the train `name`, oldest first.
    pub fn records(&self, name: &str) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.train_dir(name).join("journal.jsonl")).unwrap();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

impl Ran {
    /// Runs a command to its end; a program that is not there fails the test with its Debian package.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|e| panic!("{e}: {command:?}; {}", package(command)));
        Self::from(&output)
    }

    /// The exit code must be this.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self.hints_exist();
        self
    }

    /// It must fail with this exit code and say all of `fragments` on standard error.
    #[track_caller]
    pub fn fails(self, code: i32, fragments: &[&str]) -> Self {
        let ran = self.ends_with(code);
        for fragment in fragments {
            assert!(ran.stderr.contains(fragment), "no `{fragment}` in:\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        if std::env::var_os("SHOW_MESSAGES").is_some() {
            eprintln!("=== exit {code}\n{}{}", ran.stderr, ran.stdout);
        }
        ran
    }

    /// It must also say this on standard error.
    #[track_caller]
    pub fn says(self, fragment: &str) -> Self {
        assert!(self.stderr.contains(fragment), "no `{fragment}` in:\n{}", self.stderr);
        self
    }

    /// Every `lifeboat VERB` that it names must be one of the program's verbs.
    #[track_caller]
    pub fn hints_exist(&self) {
        let verbs = verbs();
        for text in [&self.stdout, &self.stderr] {
            for (at, _) in text.match_indices("`lifeboat ") {
                let verb: String =
                    text[at + "`lifeboat ".len()..].chars().take_while(|c| c.is_alphanumeric()).collect();
                assert!(verbs.contains(&verb), "there is no `lifeboat {verb}`:\n{text}");
            }
        }
    }
}

impl From<&Output> for Ran {
    fn from(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// The verbs that the program's help lists.
pub fn verbs() -> BTreeSet<String> {
    static VERBS: std::sync::OnceLock<BTreeSet<String>> = std::sync::OnceLock::new();
    let list = || {
        let help = Command::new(env!("CARGO_BIN_EXE_lifeboat")).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let (_, commands) = help.split_once("Commands:\n").unwrap();
        let entries = commands.lines().take_while(|l| !l.trim().is_empty());
        let verbs = entries.filter_map(|l| Some(l.strip_prefix("  ")?.split(' ').next()?.to_owned()));
        // A description that goes on in another line has no name before it.
        let verbs: BTreeSet<String> = verbs.filter(|v| !v.is_empty()).collect();
        assert!(verbs.contains("ship") && verbs.contains("status"), "{verbs:?}");
        verbs
    };
    VERBS.get_or_init(list).clone()
}

/// What to install for a program that these tests start.
fn package(command: &Command) -> &'static str {
    match command.get_program().to_str().unwrap_or_default() {
        "unshare" | "nsenter" | "mount" => "install it: apt-get install util-linux",
        "ip" => "install it: apt-get install iproute2",
        "strace" => "install it: apt-get install strace",
        "git" => "install it: apt-get install git",
        _ => "is it installed?",
    }
}
