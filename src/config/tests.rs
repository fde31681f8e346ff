//! Whole files in, configurations or the texts of errors out.

use std::path::Path;

use super::expand::{self, JobKind, LineFacts};
use super::*;
use crate::model::SecretRef;

const WASMTIME: &str = include_str!("../../examples/wasmtime/lifeboat.toml");

const HEAD: &str = "[project]\nname = \"acme\"\ncommitter = \"Acme <release@acme.example>\"\n";

fn config(body: &str) -> Config {
    parse(&format!("{HEAD}{body}"), Path::new("/src/acme/lifeboat.toml")).unwrap_or_else(|e| panic!("{}", e.report()))
}

fn report(text: &str) -> String {
    parse(text, Path::new("lifeboat.toml")).unwrap_err().report()
}

fn faulty(body: &str) -> String {
    report(&format!("{HEAD}{body}"))
}

fn line(config: &Config, branch: &str, version: &str) -> LineFacts {
    let version = version.parse().unwrap();
    let tag = config.project.tag_name(&version).unwrap();
    LineFacts { branch: branch.parse().unwrap(), version, tag }
}

#[test]
fn wasmtime_matrix() {
    let config = parse(WASMTIME, Path::new("/w/lifeboat.toml")).unwrap_or_else(|e| panic!("{}", e.report()));
    let jobs = expand::jobs(&config, &line(&config, "release-36.0.0", "36.0.6")).unwrap();
    assert_eq!(jobs.len(), 32 + 2 + 1);
    let merge = jobs.last().unwrap();
    let JobKind::Assemble { from } = &merge.kind else { panic!("{merge:?}") };
    assert_eq!(from.len(), 34);
    assert!(from.iter().any(|(t, d)| t.as_str() == "x86_64-linux-min" && d == "bins-x86_64-linux-min"));
    assert!(from.iter().any(|(t, d)| t.as_str() == "wasmtime-platform-header" && d == "wasmtime-platform-header"));
    assert!(jobs.iter().filter(|j| j.published).eq([merge]));
    let mut names: Vec<_> = merge.build.artifacts.iter().map(|a| a.name.to_string()).collect();
    assert_eq!(names.len(), 16 * 2 + 6);
    names.sort();
    assert!(names.contains(&"wasmtime-v36.0.6-armv7-linux-c-api.tar.xz".to_owned()), "{names:?}");
    let min = jobs.iter().find(|j| j.name.as_str() == "aarch64-linux-min").unwrap();
    assert_eq!(min.build.run[0], "ci/build-release-artifacts.sh aarch64-linux-min aarch64-unknown-linux-gnu");
    assert_eq!(min.build.env["GITHUB_REF"], "refs/heads/release-36.0.0");
    assert_eq!(min.build.env["DOCKER_IMAGE"], "./ci/docker/aarch64-linux/Dockerfile");
    assert_eq!(min.build.env["RUSTUP_TOOLCHAIN"], "wasmtime-ci-pinned-nightly");
    assert_eq!(min.build.artifacts[0].path, "dist/wasmtime-v36.0.6-aarch64-linux.tar.gz");
    assert_eq!(min.build.timeout_s, 4 * 3600);
    assert!(WASMTIME.lines().count() <= 150);
}

#[test]
fn defaults_and_paths() {
    let c = config("[[store]]\nname = \"m\"\nurl = \"public\"\n");
    assert_eq!(c.project.repository, Path::new("/src/acme"));
    assert_eq!(c.project.keys, Path::new("/src/acme/keys"));
    assert_eq!(c.stores[0].url, "file:///src/acme/public");
    assert!(c.stores[0].required);
    assert_eq!(c.runners.len(), 1);
    assert_eq!(c.runners[0].labels.iter().map(|l| l.as_str()).collect::<Vec<_>>(), ["linux", "x86_64"]);
    assert_eq!(c.project.tag_name(&"1.2.3".parse().unwrap()).unwrap().as_str(), "v1.2.3");
}

#[test]
fn keys_and_secrets_are_references() {
    let c = config(
        "[signing]\nrelease = { file = \"k.asc\", passphrase = { env = \"P\" } }\noperator = { gpg = \"0123456789abcdef0123456789ABCDEF01234567\" }\n\
         [signing.people]\nalice = { file = \"/a.asc\" }\n[forge.github]\nrepository = \"a/b\"\ntoken = { command = [\"pass\", \"gh\"] }\n",
    );
    assert_eq!(
        c.signing.release,
        Some(KeySource::File { path: "/src/acme/k.asc".into(), passphrase: Some(SecretRef::Env("P".into())) })
    );
    assert_eq!(
        c.signing.operator,
        Some(KeySource::Gpg { fingerprint: "0123456789ABCDEF0123456789ABCDEF01234567".into() })
    );
    assert_eq!(c.signing.people.len(), 1);
    assert_eq!(c.forges[0].token, Some(SecretRef::Command(vec!["pass".into(), "gh".into()])));
}

#[test]
fn faults_shown() {
    for t in [
        "[[target]]\nname = \"a\"\ntriple = \"t\"\nrunn = [\"x\"]\n",
        "[[target]]\nname = \"a\"\ntriple = \"t\"\nrun = \"x\"\n",
        "[[target]]\nname = \"a\"\ntriple = \"t\"\nrun = [\"x {nmae}\", 3]\n",
        "[[target]]\nname = \"a\"\ntriple = \"t\"\nrun = [\"x {nmae}\"]\nartifacts=[\"dist/SHA256SUMS\"]\n",
        "[[target]]\nname = \"a\"\ntriple = \"t\"\nrun = [\"x\"]\nartifacts=[\"dist/SHA256SUMS\"]\n",
        "[forge.github]\nrepository = \"a/b\"\ntoken = \"s3cret-value\"\n",
        "[forge.github]\nrepository = \"a/b\"\ntoken = { value = \"s3cret-value\" }\n",
        "[[store]]\nurl = \"x\"\n",
        "[[stor]]\nurl = \"x\"\n",
        "[store]\nurl = \"x\"\n",
        "x = \n",
    ] {
        println!("{}\n=======", faulty(t));
    }
}
