//! One release, served by a web server, and people with an empty home who look at it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use lifeboat::model::Sha256;

use crate::support::sample_train::{Ran, SampleTrain};

/// A train that was released once for all tests.
pub(crate) fn released() -> &'static SampleTrain {
    static RELEASED: OnceLock<SampleTrain> = OnceLock::new();
    RELEASED.get_or_init(|| {
        let train = SampleTrain::new();
        train.to_the_gate();
        train.release();
        train
    })
}

/// The digest of the released train's root.
pub(crate) fn digest() -> String {
    digest_of(released())
}

fn digest_of(train: &SampleTrain) -> String {
    Sha256::of(&fs::read(train.project().join("keys/trust.json")).unwrap()).hex()
}

/// A web server over a directory.
pub(crate) struct Web {
    server: Child,
    /// Without final slash.
    pub(crate) url: String,
}

impl Web {
    pub(crate) fn over(dir: &Path, options: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verbs/stranger/server.py");
        let mut server = Command::new("python3")
            .arg(script)
            .arg(dir)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{e}; apt-get install python3"));
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { server, url: format!("http://127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// A directory with a copy of the store, served over HTTP.
pub(crate) struct Served {
    pub(crate) dir: tempfile::TempDir,
    _web: Web,
    pub(crate) url: String,
}

impl Served {
    pub(crate) fn new() -> Self {
        Self::of(&released().store(), &[])
    }

    pub(crate) fn of(store: &Path, options: &[&str]) -> Self {
        let dir = crate::support::scratch();
        copy(store, &dir.path().join("store"));
        // Where it misbehaves stands in a file beside the store: see [`Served::odd`].
        let odd = dir.path().join("odd").display().to_string();
        let web = Web::over(dir.path(), &[options, &["--odd", &odd]].concat());
        let url = format!("{}/store", web.url);
        Self { dir, _web: web, url }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.store().join(path)
    }

    /// Answers oddly to requests for a path of the store from now on, as `server.py` says; or as it should again.
    pub(crate) fn odd(&self, how: Option<(&str, &str)>) {
        let text = how.map(|(path, kind)| format!("/store/{path} {kind}\n")).unwrap_or_default();
        fs::write(self.dir.path().join("odd"), text).unwrap();
    }

    /// Serves another tree at the same address from now on.
    pub(crate) fn serves(&self, store: &Path) {
        fs::remove_dir_all(self.store()).unwrap();
        copy(store, &self.store());
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Somebody with an empty home and an empty directory.
pub(crate) struct Stranger {
    root: tempfile::TempDir,
}

impl Stranger {
    pub(crate) fn new() -> Self {
        let root = crate::support::scratch();
        for dir in ["home", "here"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        Self { root }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub(crate) fn here(&self) -> PathBuf {
        self.root.path().join("here")
    }

    pub(crate) fn surround(&self, command: &mut Command) {
        command.current_dir(self.here()).env_clear().env("HOME", self.home()).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap());
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        self.surround(command.args(args));
        Ran::of(&mut command)
    }

    /// `verify --pin` with the root's digest.
    pub(crate) fn verify(&self, args: &[&str]) -> Ran {
        self.verify_by(released(), args)
    }

    /// `verify --pin` with the digest of a train's root.
    pub(crate) fn verify_by(&self, train: &SampleTrain, args: &[&str]) -> Ran {
        self.run(&[&["verify", "--pin", &digest_of(train)], args].concat())
    }

    /// Every file of the home, relative to it.
    pub(crate) fn files_of_home(&self) -> Vec<String> {
        let out = Command::new("find").args([".", "-type", "f"]).current_dir(self.home()).output().unwrap();
        let mut files: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
        files.sort();
        files
    }
}
