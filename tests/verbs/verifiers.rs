//! Strangers check releases with tools that they already have: those tools accept what is signed here, and refuse
//! tampered bytes. Needs `apt-get install gnupg gpgv sqv sqop git`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::release_world::{World, at, hashed};
use lifeboat::effects::Signer as _;
use lifeboat::formats::openpgp::{Certificate, Detached};
use lifeboat::model::Secret;
use lifeboat::signers::GpgSigner;
use lifeboat::signers::openpgp::{KeySpec, SecretKey, generate_with};

fn program(name: &str, package: &str) -> Command {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|d| d.join(name).exists());
    assert!(found, "`{name}` is missing: apt-get install {package}");
    let mut command = Command::new(name);
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// A gpg home with the certificates of a world; its agent is stopped in the end.
struct Home(PathBuf, #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir);

impl Home {
    fn new(world: Option<&World>) -> Self {
        let dir = crate::support::scratch();
        let home = Self(dir.path().to_owned(), dir);
        let keys = world.map(|w| fs::read_dir(w.keys()).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>());
        for key in keys.unwrap_or_default().iter().filter(|k| k.extension().is_some_and(|e| e == "asc")) {
            passes(home.gpg().arg("--import").arg(key));
        }
        home
    }

    fn gpg(&self) -> Command {
        let mut command = program("gpg", "gnupg");
        command.arg("--homedir").arg(&self.0).args(["--batch", "--no-tty", "--no-auto-check-trustdb"]);
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.0).args(["--kill", "all"]).output();
    }
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn passes(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", text(&output));
    text(&output)
}

#[track_caller]
fn fails(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} accepted it\n{}", text(&output));
}

/// Every verifier's command over one detached signature by one certificate.
fn verifiers(home: &Home, certificate: &Path, signature: &Path, data: &Path) -> Vec<Command> {
    let keyring = home.0.join("one.pgp");
    let mut gpg = home.gpg();
    gpg.arg("--verify").arg(signature).arg(data);
    if !keyring.exists() {
        passes(home.gpg().arg("--dearmor").arg("--output").arg(&keyring).arg(certificate));
    }
    let mut gpgv = program("gpgv", "gpgv");
    gpgv.arg("--keyring").arg(&keyring).arg(signature).arg(data);
    let mut sqv = program("sqv", "sqv");
    sqv.arg("--keyring").arg(certificate).arg(signature).arg(data);
    let mut sqop = program("sqop", "sqop");
    sqop.arg("verify").arg(signature).arg(certificate).stdin(fs::File::open(data).unwrap());
    vec![gpg, gpgv, sqv, sqop]
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn detached_signatures() {
    let world = World::new();
    for (signer, data, signature) in [
        (&world.team.release, "sample.tar.gz", "sample.tar.gz.asc"),
        (&world.team.alice, "SHA256SUMS", "SHA256SUMS.alice.asc"),
        (&world.team.bob, "SHA512SUMS", "SHA512SUMS.bob.asc"),
        (&world.team.bob, "approvals/bob.json", "approvals/bob.json.asc"),
    ] {
        let home = Home::new(Some(&world));
        let certificate = world.keys().join(format!("{}.asc", signer.fingerprint));
        let (data, signature) = (world.release().join(data), world.release().join(signature));
        let all = || verifiers(&home, &certificate, &signature, &data);
        all().iter_mut().for_each(|c| drop(passes(c)));
        flip(&data, 3);
        all().iter_mut().for_each(fails);
        flip(&data, 3);
        // Well inside the base 64, in the hashed part of the signature.
        flip(&signature, 60);
        all().iter_mut().for_each(fails);
        flip(&signature, 60);
        all().iter_mut().for_each(|c| drop(passes(c)));
        // Another key's signature.
        let other = world.team.carol.sign(&mut &*fs::read(&data).unwrap()).unwrap();
        fs::write(&signature, other).unwrap();
        all()[1..].iter_mut().for_each(fails);
    }
}

#[test]
fn sums_with_coreutils() {
    let world = World::new();
    let check = |tool: &str, list: &str| {
        let mut command = program(tool, "coreutils");
        command.current_dir(world.release()).args(["--check", "--strict", list]);
        command
    };
    for (tool, list) in [("sha256sum", "SHA256SUMS"), ("sha512sum", "SHA512SUMS")] {
        assert!(passes(&mut check(tool, list)).contains("manifest.json: OK"));
        flip(&world.release().join("sample.zip"), 100_000);
        fails(&mut check(tool, list));
        flip(&world.release().join("sample.zip"), 100_000);
    }
}

fn git(dir: &Path, home: &Home) -> Command {
    let mut command = program("git", "git");
    command.current_dir(dir).env("GNUPGHOME", &home.0).env("HOME", &home.0).env("GIT_CONFIG_NOSYSTEM", "1");
    command.args(["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "gpg.program=gpg"]);
    command
}

fn git_store(dir: &Path, home: &Home, object: &[u8]) -> String {
    let mut command = git(dir, home);
    command.args(["hash-object", "-t", "tag", "-w", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(object).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn tags_with_git() {
    let scratch = crate::support::scratch();
    let dir = scratch.path();
    let bare = Home::new(None);
    passes(git(dir, &bare).args(["init", "-q"]));
    passes(git(dir, &bare).args(["commit", "-q", "--allow-empty", "-m", "release"]));
    let commit = passes(git(dir, &bare).args(["rev-parse", "HEAD"])).trim().parse().unwrap();
    let world = World::on(&commit);
    let home = Home::new(Some(&world));
    let object = fs::read(world.release().join("tag.txt")).unwrap();
    let id = git_store(dir, &home, &object);
    passes(git(dir, &home).args(["update-ref", "refs/tags/v1.2.4", &id]));
    assert!(passes(git(dir, &home).args(["tag", "-v", "v1.2.4"])).contains("Good signature from \"release"));
    let clone = || {
        let mut request = world.request();
        request.clone = Some(dir.to_owned());
        crate::release_world::run(request)
    };
    clone().require().unwrap();

    // git itself accepts the tag under another name; the library does not.
    passes(git(dir, &home).args(["update-ref", "refs/tags/v9", &id]));
    passes(git(dir, &home).args(["tag", "-v", "v9"]));
    crate::release_world::refused(&clone(), "at `refs/tags/v9` too");

    let text = String::from_utf8(object).unwrap();
    let tampered = git_store(dir, &home, text.replace("sample 1.2.4", "sample 1.2.5").as_bytes());
    passes(git(dir, &home).args(["update-ref", "refs/tags/v1.2.4", &tampered]));
    fails(git(dir, &home).args(["tag", "-v", "v1.2.4"]));
}

#[test]
fn keys_of_gpg_sign() {
    let home = Home::new(None);
    for algorithm in ["rsa2048", "ed25519"] {
        let user = format!("{algorithm}@example.org");
        let mut make = home.gpg();
        make.args(["--pinentry-mode", "loopback", "--passphrase", "", "--quick-generate-key"]);
        passes(make.args([user.as_str(), algorithm, "sign", "1y"]));
        let listed = passes(home.gpg().args(["--with-colons", "--list-keys", &user]));
        let fingerprint = listed.lines().find_map(|l| l.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':');
        let signer = GpgSigner::new(fingerprint.parse().unwrap()).in_home(home.0.clone());
        let data = vec![7u8; 300_000];
        let signature = signer.sign(&mut &*data).unwrap_or_else(|e| panic!("{}", e.report()));
        let certificate = Certificate::parse(signer.certificate().unwrap().as_bytes(), "exported").unwrap();
        let detached = Detached::parse(signature.as_bytes(), "test").unwrap();
        let now = jiff::Timestamp::now();
        let fact = certificate.check(&detached, &hashed(&data), now).unwrap();
        assert_eq!(fact.certificate.as_str(), fingerprint);
        assert!(certificate.check(&detached, &hashed(&data[1..]), now).is_err());

        // The same key in this process: Ed25519 signs, RSA is sent back to gpg.
        let mut export = home.gpg();
        export.args([
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            "--armor",
            "--export-secret-keys",
            fingerprint,
        ]);
        let secret = export.output().unwrap().stdout;
        match (algorithm, SecretKey::parse(&secret, "k.asc", None, now)) {
            ("ed25519", key) => drop(key.unwrap().sign(&mut &*data).unwrap()),
            (_, key) => {
                let report = key.err().unwrap().report();
                assert!(report.contains("only Ed25519") && report.contains(fingerprint), "{report}");
            }
        }
    }
    let unknown = GpgSigner::new("A".repeat(40).parse().unwrap()).in_home(home.0.clone());
    let report = unknown.sign(&mut &vec![0u8; 1 << 20][..]).unwrap_err().report();
    assert!(report.contains("gpg cannot sign with AAAA"), "{report}");
    assert!(unknown.certificate().is_err());
}

#[test]
fn gpg_reads_the_secret_keys_that_are_made_here() {
    let home = Home::new(None);
    let passphrase = Secret::new("correct horse");
    let spec = KeySpec {
        user_id: "Op <op@example.org>",
        created: at(crate::release_world::CREATED),
        valid_for: None,
        passphrase: Some(&passphrase),
        reads: true,
    };
    let key = generate_with(&spec).unwrap();
    let file = home.0.join("secret.asc");
    fs::write(&file, key.secret_armored.expose()).unwrap();
    passes(home.gpg().arg("--import").arg(&file));
    let mut sign = home.gpg();
    sign.args(["--pinentry-mode", "loopback", "--passphrase", "correct horse", "--armor", "--detach-sign"]);
    passes(sign.args(["--digest-algo", "SHA512", "--output"]).arg(home.0.join("sig")).arg(&file));
    let now = jiff::Timestamp::now();
    let parse = |p: Option<&Secret>| SecretKey::parse(key.secret_armored.expose().as_bytes(), "op.asc", p, now);
    assert!(parse(None).err().unwrap().report().contains("needs a passphrase"));
    let wrong = parse(Some(&Secret::new("wrong battery"))).err().unwrap().report();
    assert!(wrong.contains("wrong passphrase") && !wrong.contains("battery"), "{wrong}");
    parse(Some(&passphrase)).unwrap();
    let public = SecretKey::parse(key.certificate_armored.as_bytes(), "op.asc", None, now);
    assert!(public.err().unwrap().report().contains("no secret key"));
}
