//! Two machines: the operator's, and that of somebody who approves, with an own home, clone, state and gpg.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lifeboat::model::{Fingerprint, PersonId, Sha256};
use lifeboat::trust::Root;

use crate::support::sample_train::{REFUSING, Ran, SampleTrain};

/// The operator's machine, with a train file; its home has Alice's key and no other person's.
pub struct Operator(pub SampleTrain);

/// Bob's machine: nothing of the operator's but the clone's contents. His key is in gpg.
pub struct Approver {
    pub root: PathBuf,
    pub key: Fingerprint,
}

/// The two machines of a project whose trust root names Bob's own key.
pub fn two() -> (Operator, Approver) {
    let train = SampleTrain::unpinned(REFUSING);
    let approver = Approver::new(&train.root().join("elsewhere"));
    let bob: PersonId = "bob".parse().unwrap();
    let keys = train.project().join("keys");
    let file = keys.join("trust.json");
    let mut root = Root::from_bytes(&fs::read(&file).unwrap(), "trust.json").unwrap();
    root.people.get_mut(&bob).unwrap().certificates = [approver.key.clone()].into();
    fs::write(&file, root.to_bytes().unwrap()).unwrap();
    fs::write(keys.join(format!("{}.asc", approver.key)), approver.gpg(&["--armor", "--export"])).unwrap();
    fs::remove_file(train.key("bob")).unwrap();
    train.pin();
    let operator = Operator(train);
    approver.clone_of(&operator);
    (operator, approver)
}

impl Operator {
    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.0.run(args)
    }

    /// A file for the way between the machines.
    pub fn mail(&self, name: &str) -> String {
        self.0.root().join(name).display().to_string()
    }

    /// At its gate, approved by Alice, with a bundle.
    pub fn exported(&self, name: &str, options: &[&str]) -> String {
        let bundle = self.mail(name);
        self.run(&[&["export", "--to", &bundle], options].concat()).ends_with(0);
        bundle
    }
}

impl Approver {
    /// An empty home with a fresh key in gpg: it signs, and a subkey encrypts.
    fn new(root: &Path) -> Self {
        fs::create_dir_all(root.join("home/.gnupg")).unwrap();
        fs::set_permissions(root.join("home/.gnupg"), fs::Permissions::from_mode(0o700)).unwrap();
        let mut approver = Self { root: root.to_owned(), key: "0".repeat(40).parse().unwrap() };
        let user = "Bob (throwaway) <bob@example.org>";
        let make = |what: &[&str]| {
            let unprotected = ["--pinentry-mode", "loopback", "--passphrase", ""];
            approver.gpg(&[&unprotected, what].concat());
        };
        make(&["--quick-gen-key", user, "ed25519", "sign", "1y"]);
        let listed = String::from_utf8(approver.gpg(&["--with-colons", "--list-secret-keys"])).unwrap();
        let fingerprint = listed.lines().find_map(|l| l.strip_prefix("fpr:::::::::")).unwrap();
        let fingerprint = fingerprint.trim_end_matches(':');
        make(&["--quick-add-key", fingerprint, "cv25519", "encr", "1y"]);
        approver.key = fingerprint.parse().unwrap();
        approver
    }

    /// What gpg prints.
    pub fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet", "--no-tty"]).args(args).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.root.join("home"));
        let out = command.stdin(Stdio::null()).output().unwrap();
        assert!(out.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    /// An own clone with an own pinned root.
    fn clone_of(&self, operator: &Operator) {
        let (from, to) = (operator.0.project(), self.project());
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.args(args);
            operator.0.surround(&mut command);
            Ran::of(&mut command).ends_with(0);
        };
        git(&["clone", "--quiet", "--no-checkout", &from.display().to_string(), &to.display().to_string()]);
        for branch in ["release-1.0.0", "release-2.0.0"] {
            let (head, theirs) = (format!("refs/heads/{branch}"), format!("refs/remotes/origin/{branch}"));
            git(&["-C", &to.display().to_string(), "update-ref", &head, &theirs]);
        }
        let copied =
            Command::new("cp").arg("-a").arg(from.join("lifeboat.toml")).arg(from.join("keys")).arg(&to).status();
        assert!(copied.unwrap().success());
        let digest = Sha256::of(&fs::read(to.join("keys/trust.json")).unwrap()).hex();
        self.run(&["trust", "pin", &digest]).ends_with(0);
    }

    pub fn project(&self) -> PathBuf {
        self.root.join("project")
    }

    pub fn state(&self) -> PathBuf {
        self.root.join("home/.local/state/lifeboat/sample")
    }

    /// The program with these arguments: nothing of the operator's environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(args).current_dir(self.project()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.root.join("home"));
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Bob reviews a bundle and approves it, with his key in gpg.
    pub fn approve(&self, bundle: &str, to: &str) -> Ran {
        let key = self.key.to_string();
        self.run(&["approve", "--bundle", bundle, "--as", "bob", "--gpg", &key, "--yes", "--out", to])
    }

    /// Puts this machine's store elsewhere, where nothing is.
    pub fn without_the_store(&self) {
        let config = self.project().join("lifeboat.toml");
        let text = fs::read_to_string(&config).unwrap();
        let own = self.root.join("own-store");
        fs::create_dir_all(&own).unwrap();
        let at = text.find("url = \"file://").unwrap();
        let end = at + text[at..].find('\n').unwrap();
        let text = format!("{}url = \"file://{}\"{}", &text[..at], own.display(), &text[end..]);
        fs::write(&config, text).unwrap();
    }
}

impl Drop for Approver {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        command.args(["--kill", "gpg-agent"]).env("HOME", self.root.join("home")).env_remove("GNUPGHOME");
        drop(command.status());
    }
}
