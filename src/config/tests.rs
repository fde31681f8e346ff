//! Whole files in, configurations or the texts of errors out.

use std::collections::BTreeSet;
use std::path::Path;

use super::expand::{self, JobKind, LineValues};
use super::*;
use crate::model::{Cve, SecretRef, Severity};

const WASMTIME: &str = include_str!("../../examples/wasmtime/lifeboat.toml");

const HEAD: &str = "[project]\nname = \"acme\"\ncommitter = \"Acme <release@acme.example>\"\n";

fn parse(text: &str, path: &Path) -> Result<Config, crate::error::Error> {
    super::parse(text, path, &crate::wiring::registries())
}

fn config(body: &str) -> Config {
    parse(&format!("{HEAD}{body}"), Path::new("/src/acme/lifeboat.toml")).unwrap_or_else(|e| panic!("{}", e.report()))
}

fn report(text: &str) -> String {
    parse(text, Path::new("lifeboat.toml")).unwrap_err().report()
}

fn faulty(body: &str) -> String {
    report(&format!("{HEAD}{body}"))
}

fn line(config: &Config, branch: &str, version: &str) -> LineValues {
    LineValues::new(config, &branch.parse().unwrap(), &version.parse().unwrap()).unwrap()
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
    let said = WASMTIME.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    assert!(said.count() <= 130);
}

#[test]
fn wasmtime_rehearsal() {
    let full = parse(WASMTIME, Path::new("/w/lifeboat.toml")).unwrap_or_else(|e| panic!("{}", e.report()));
    let text = include_str!("../../examples/wasmtime/rehearsal.toml");
    let mut stub = parse(text, Path::new("/w/lifeboat.toml")).unwrap_or_else(|e| panic!("{}", e.report()));
    // Versions move as in the real thing; the hook needs cargo-vet, which a rehearsal does not.
    stub.version.after.clone_from(&full.version.after);
    assert_eq!(stub.version, full.version);
    // What is rehearsed carries the names that the real release has.
    let names = |config: &Config| -> BTreeSet<String> {
        let jobs = expand::jobs(config, &line(config, "release-36.0.0", "36.0.6")).unwrap();
        let published = jobs.iter().filter(|j| j.published).flat_map(|j| &j.build.artifacts);
        published.map(|a| a.name.to_string()).collect()
    };
    let (stub, full) = (names(&stub), names(&full));
    assert_eq!(stub.len(), 10);
    assert!(stub.is_subset(&full), "{:?}", stub.difference(&full));
    let train = include_str!("../../examples/wasmtime/train-2026-02-24.toml");
    let train = parse_train(train, Path::new("/w/train.toml")).unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(train.lines.len(), 4);
    // Pushed to GitHub, a commit with this marker would make wasmtime's CI tag and release by itself.
    let marker = "[automatically-tag-and-release-this-commit]";
    for text in [
        include_str!("../../examples/wasmtime/release-templates/commit.txt"),
        include_str!("../../examples/wasmtime/release-templates/tag.txt"),
    ] {
        assert!(!text.contains(marker), "{text}");
    }
}

#[test]
fn defaults_and_paths() {
    let c = config("[[store]]\nname = \"m\"\nurl = \"../public\"\n");
    assert_eq!(c.project.repository, Path::new("/src/acme"));
    assert_eq!(c.project.keys, Path::new("/src/acme/keys"));
    assert_eq!(c.stores[0].spec.place(), "file:///src/public");
    assert_eq!(c.stores[0].role, StoreRole::Required);
    assert_eq!(c.runners.len(), 1);
    assert_eq!(c.runners[0].labels.iter().map(|l| l.as_str()).collect::<Vec<_>>(), ["linux", "x86_64"]);
    assert_eq!(line(&c, "main", "1.2.3").tag.as_str(), "v1.2.3");
}

#[test]
fn keys_and_secrets_are_references() {
    let c = config(
        "[signing]\nrelease = { file = \"k.asc\", passphrase = { env = \"P\" } }\noperator = { gpg = \"0123456789abcdef0123456789ABCDEF01234567\" }\n\
         [signing.people]\nalice = { file = \"/a.asc\" }\n[forge.github]\nrepository = \"a/b\"\ntoken = { command = [\"pass\", \"gh\"] }\n",
    );
    let keys: Vec<(String, String)> = c.signing.keys().map(|(name, key)| (name, key.place())).collect();
    let expected = [
        ("release", "key file `k.asc`"),
        ("operator", "gpg key 0123456789ABCDEF0123456789ABCDEF01234567"),
        ("people.alice", "key file `/a.asc`"),
    ];
    assert_eq!(keys, expected.map(|(name, place)| (name.to_owned(), place.to_owned())));
    let release = c.signing.release.as_ref().unwrap();
    assert_eq!(release.secrets(), [("passphrase", &SecretRef::Env("P".into()))]);
    assert_eq!(release.files(), [Path::new("/src/acme/k.asc")]);
    assert_eq!(c.signing.people.len(), 1);
    assert_eq!(c.forges[0].spec.secrets(), [("token", &SecretRef::Command(vec!["pass".into(), "gh".into()]))]);
}

#[test]
fn a_forge_is_used_with_a_token_or_as_an_app() {
    let app = "app = { id = \"Iv23liA\", installation = 7, private_key = { file = \"app.pem\" } }\n";
    let c = config(&format!(
        "[forge.github]\nrepository = \"a/b\"\napi = \"https://ghe.example.org/api/v3/\"\nuploads = \"https://up.example.org\"\n{app}"
    ));
    let forge = &c.forges[0];
    let pins = [
        ("api", "https://ghe.example.org/api/v3".to_owned()),
        ("uploads", "https://up.example.org".to_owned()),
        ("app", "Iv23liA, installation 7".to_owned()),
    ];
    assert_eq!(forge.spec.pins(), pins);
    assert_eq!(forge.spec.secrets(), [("app.private_key", &SecretRef::File("/src/acme/app.pem".into()))]);
    assert_eq!(forge.spec.hosts(), ["ghe.example.org", "up.example.org"]);
}

#[test]
fn a_fault_shows_its_line_and_what_is_valid() {
    assert_eq!(
        faulty("[[target]]\nname = \"a\"\ntriple = \"t\"\nrun = [\"make {nmae}\"]\nartifacts = [\"dist/a\"]\n"),
        "error: unknown placeholder `{nmae}`\
       \n   --> lifeboat.toml:7:8\
       \n    |\
       \n  7 | run = [\"make {nmae}\"]\
       \n    |        ^^^^^^^^^^^^^ valid here: `{name}`, `{base}`, `{variant}`, `{triple}`, `{version}`, `{branch}`, `{project}` or `{tag}`\
       \n    |\
       \n    = help: did you mean `{name}`?"
    );
    assert_eq!(
        faulty("[[store]]\nname = \"m\"\nulr = \"x\"\n"),
        "error: unknown key `ulr`\
       \n   --> lifeboat.toml:6:1\
       \n    |\
       \n  6 | ulr = \"x\"\
       \n    | ^^^ valid here: `name`, `public_url`, `rate_limit`, `required`, `staging`, `transfers` or `url`\
       \n    |\
       \n    = help: did you mean `url`?"
    );
    assert_eq!(
        faulty("[[store]]\nname = \"m\"\nurl = \"x\"\n[[store]]\nname = \"M\"\nurl = \"y\"\n"),
        "error: two store tables are named `M`\
       \n   --> lifeboat.toml:8:8\
       \n    |\
       \n  5 | name = \"m\"\
       \n    |        --- the first is here\
       \n  ...\
       \n  8 | name = \"M\"\
       \n    |        ^^^ give it a name of its own"
    );
}

#[test]
fn all_faults_of_a_file_are_shown_at_once() {
    let report = report("[project]\nname = \"a b\"\ncommiter = \"x\"\n[[store]]\nurl = 3\n[stre]\n");
    for expected in
        ["has 3 faults", ":3:1", "did you mean `committer`?", ":5:7", "wrong type: found an integer", ":6:2"]
    {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
    assert!(report.find(":3:1") < report.find(":5:7"), "{report}");
}

/// What each faulty body must show.
#[test]
fn faults() {
    let target = "[[target]]\nname = \"a\"\ntriple = \"t\"\nrun = [\"x\"]\n";
    let two = |a: &str, b: &str| {
        format!(
            "[[target]]\nname = \"a\"\nrun = [\"x\"]\nartifacts = [\"{a}\"]\n[[target]]\nname = \"b\"\nrun = [\"x\"]\nartifacts = [\"{b}\"]\n"
        )
    };
    let cases: Vec<(String, &[&str])> = vec![
        (format!("{target}artifacts = [\"dist/SHA256SUMS\"]\n"), &["cannot be named `SHA256SUMS`", ":5:8"]),
        (
            format!("{target}artifacts = [\"dist/a.ASC\"]\n"),
            &["cannot be named `a.ASC`: signatures are made by lifeboat"],
        ),
        (format!("{target}artifacts = [\"index.html\"]\n"), &["cannot be named `index.html`"]),
        (format!("{target}artifacts = [\"../a\"]\n"), &["`../a` is not the path of an artifact", ":8:14"]),
        (format!("{target}artifacts = [\"/a\"]\n"), &["`/a` is not the path of an artifact"]),
        (format!("{target}artifacts = [\"d/a\", \"e/A\"]\n"), &["two artifacts have the name `A`"]),
        (
            format!("{target}artifacts = [{{ path = \"d/a\", for = [\"b*\"] }}]\n"),
            &["`b*` matches no name of this table", ":8:37"],
        ),
        (two("d/a-{version}", "e/A-{version}"), &["both leave an artifact named `A-1.2.3`", ":9:8"]),
        (format!("{target}{target}"), &["two of a kind are named `a`", ":9:8", "the first is here"]),
        (format!("{target}timeout = \"2 fortnights\"\n"), &["`2 fortnights` is not a time limit", "`1h 30m`"]),
        (format!("{target}timeout = \"0s\"\n"), &["`0s` is not a time limit"]),
        (format!("{target}labels = [\"a b\"]\n"), &["`a b` is not a label"]),
        (format!("{target}env = {{ 1X = \"y\" }}\n"), &["`1X` is not a variable's name"]),
        (format!("{target}env = {{ X = \"y\" }}\npass_env = [\"X\"]\n"), &["`X` is set twice"]),
        (
            format!("{target}pass_env = [\"NPM_TOKEN\"]\n"),
            &["`NPM_TOKEN` holds a secret, or leads to one, by its name", "secret_env = { NPM_TOKEN"],
        ),
        (
            format!(
                "{target}pass_env = [\"SSH_AUTH_SOCK\", \"GH_PAT\", \"gnupghome\", \"TOKEN_FILE\", \"DEPLOY_KEY\"]\n"
            ),
            &[
                "`SSH_AUTH_SOCK` holds",
                "`GH_PAT` holds",
                "`gnupghome` holds",
                "`TOKEN_FILE` holds",
                "`DEPLOY_KEY` holds",
            ],
        ),
        (format!("{target}recipe = \"r\"\n"), &["there is no recipe `r`", "add the table `[recipe.r]`"]),
        ("[recipe.r]\nrun = [\"x\"]\n".into(), &["no target and no assembly uses the recipe `r`"]),
        ("[[target]]\nname = \"a\"\n".into(), &["nothing is run here"]),
        ("[[target]]\nrun = [\"x\"]\n".into(), &["a target has a name and a triple"]),
        ("[[target]]\nname = \"a\"\ntriple = \"t;rm\"\nrun = [\"x\"]\n".into(), &["`t;rm` is not a platform triple"]),
        (
            format!("{target}[[assemble]]\nname = \"m\"\nfrom = [\"b\"]\nrun = [\"x\"]\nartifacts = [\"d/x\"]\n"),
            &["there is no target `b`", ":10:9"],
        ),
        (
            format!("{target}[[assemble]]\nname = \"m\"\nfrom = [\"a\"]\nrun = [\"x\"]\n"),
            &["an assembly that leaves nothing"],
        ),
        (
            format!("{target}[[assemble]]\nname = \"m\"\nfrom = [\"{{nam}}\"]\nrun = [\"x\"]\nartifacts = [\"d/x\"]\n"),
            &["unknown placeholder `{nam}`", "did you mean `{name}`?"],
        ),
        (
            format!(
                "{target}artifacts = [\"d/z\"]\n[[target]]\nname = \"b\"\nrun = [\"x\"]\nartifacts = [\"d/z\"]\n[[assemble]]\nname = \"m\"\nfrom = [\"*\"]\nlayout = \"bins\"\nrun = [\"x\"]\nartifacts = [\"d/x\"]\n"
            ),
            &["would put `bins/z` of both `a` and `b` into one place"],
        ),
        ("[[store]]\nname = \"m\"\nurl = \"file://x\"\n".into(), &["needs an absolute path"]),
        ("[[store]]\nname = \"m\"\nurl = \"\"\n".into(), &["an empty or broken text"]),
        (
            "[[store]]\nname = \"m\"\nurl = \"../s\"\nstaging = \"open\"\n".into(),
            &["`open` is not a mode of staging", "`private` or `encrypted`"],
        ),
        ("[[remote]]\nname = \"m\"\nurl = \"ext::sh -c x\"\n".into(), &["this is not the address of a git repository"]),
        (
            "[[remote]]\nname = \"m\"\nurl = \"--upload-pack=x\"\n".into(),
            &["this is not the address of a git repository"],
        ),
        ("[[runner]]\nname = \"m\"\nkind = \"local\"\nslots = 0\n".into(), &["expected 1 to 1024"]),
        ("[[store]]\nname = \"m\"\nurl = \"file:///srv/m\"\ntransfers = 65\n".into(), &["expected 1 to 64"]),
        ("[[store]]\nname = \"m\"\nurl = \"file:///srv/m\"\nrate_limit = \"fast\"\n".into(), &["`fast` is not a rate", "`10 MB/s`"]),
        ("[forge.github]\nrepository = \"a\"\n".into(), &["expected `owner/name`"]),
        (
            "[forge.github]\nrepository = \"a/b\"\nuploads = \"http://x\"\n".into(),
            &["takes assets over TLS only"],
        ),
        (
            "[forge.github]\nrepository = \"a/b\"\ntoken = { env = \"T\" }\napp = { id = \"1\", installation = 1, private_key = { env = \"K\" } }\n".into(),
            &["with a token or as an app"],
        ),
        (
            "[forge.github]\nrepository = \"a/b\"\napp = { id = \"a b\", installation = 1, private_key = { env = \"K\" } }\n".into(),
            &["not the id of an app"],
        ),
        ("[forge.github]\nrepository = \"a/b\"\napi = \"http://x\"\n".into(), &["asked over TLS only"]),
        ("[forge.github]\nrepository = \"a/b\"\napi = \"http://localhost.evil\"\n".into(), &["asked over TLS only"]),
        (
            "[forge.forgejo]\nrepository = \"a/b\"\nadvisories = true\n".into(),
            &["this forge holds no security advisories"],
        ),
        (
            "[forge.forgejo]\nrepository = \"a/b\"\nremote = \"m\"\n[[remote]]\nname = \"m\"\nurl = \"x\"\npush = { \"main\" = \"pull-request\" }\n".into(),
            &["pull requests of `[forge.forgejo]` cannot be opened"],
        ),
        (
            "[forge.m]\nrepository = \"a/b\"\n[[remote]]\nname = \"m\"\nurl = \"x\"\n".into(),
            &["two forge or remote tables are named `m`"],
        ),
        ("[signing]\nrelease = { gpg = \"ABCD\" }\n".into(), &["this is not a whole fingerprint"]),
        ("[signing]\nrelease = {}\n".into(), &["a key is of exactly one kind", "`{ gpg = \"FINGERPRINT\" }`"]),
        ("[signing]\nrelease = { file = \"a\", gpg = \"b\" }\n".into(), &["a key is of exactly one kind"]),
        ("[signing]\nrelease = { fiel = \"a\" }\n".into(), &["unknown key `fiel`", "did you mean `file`?"]),
        ("[signing]\nreleas = { file = \"a\" }\n".into(), &["unknown key `releas`", "did you mean `release`?"]),
        (
            "[signing.people]\nalice = { gpg = \"ABCD\", passphrase = { env = \"P\" } }\n".into(),
            &["a key of gpg has its passphrase in gpg-agent", "remove `passphrase`"],
        ),
        ("[store]\nname = \"m\"\n".into(), &["write `[[store]]`, once for each"]),
        ("[bundle]\nvendor = \"yes\"\n".into(), &["wrong type: found a string", "a boolean"]),
    ];
    for (body, expected) in cases {
        let report = faulty(&body);
        for text in expected {
            assert!(report.contains(text), "{text}\n{body}\n{report}");
        }
        assert!(report.contains("lifeboat.toml:"), "{report}");
    }
    assert!(parse("", Path::new("lifeboat.toml")).unwrap_err().report().contains("`[project]` is missing"));
    assert!(
        report("[project]\nname = \"a\"\ncommitter = \"A <a@b>\"\ntag = \"v\"\n")
            .contains("`tag` in `[project]` means nothing")
    );
}

#[test]
fn secrets_are_refused_and_never_shown() {
    for body in [
        "[forge.github]\nrepository = \"a/b\"\ntoken = \"s3cret-value\"\n",
        "[forge.github]\nrepository = \"a/b\"\ntoken = { value = \"s3cret-value\" }\n",
        "[forge.github]\nrepository = \"a/b\"\napp = { id = \"a\", installation = 1, private_key = \"s3cret-value\" }\n",
        "[forge]\ngithub = { repositry = \"a/b\", token = \"s3cret-value\" }\n",
        "[forge.github]\nrepository = \"a/b\"\ntoken = [\"s3cret-value\"]\n",
        "[signing]\nrelease = { file = \"x\", passphrase = \"s3cret-value\" }\n",
        "[[target]]\nname = \"a\"\nrun = [\"x\"]\nsecret_env = { env = \"s3cret-value\" }\n",
        "[[target]]\nname = \"a\"\nrun = [\"x\"]\nenv = { CARGO_REGISTRY_TOKEN = \"s3cret-value\" }\n",
        "[[remote]]\nname = \"m\"\nurl = \"https://me:s3cret-value@host/x\"\n",
        "[[target]]\nname = \"a\"\nrun = [\"push --token=ghp_s3cret-value0123456789 x\", \"ghp_s3cret-value0123456789\"]\nenv = 3\n",
        "[forge.github]\nrepository = \"a/b\"\ntoken = \"s3cret-value\nx = 3\n",
    ] {
        let report = faulty(body);
        assert!(!report.contains("s3cret"), "{report}");
    }
}

#[test]
fn lines_choose_their_targets() {
    let c = config(
        "[[target]]\nname = \"a\"\nrun = [\"x\"]\nartifacts = [\"d/a\"]\n[[target]]\nname = \"b\"\nrun = [\"x\"]\nartifacts = [\"d/b\"]\nbranches = \"release-2*\"\n\
         [[assemble]]\neach = [\"a\"]\nfrom = [\"{name}\", \"b*\"]\nrun = [\"x\"]\nartifacts = [\"d/all\", { path = \"d/of-{from}\", for = [\"*\"] }]\ntest = [\"t\"]\n",
    );
    let names = |branch: &str| -> Vec<String> {
        let jobs = expand::jobs(&c, &line(&c, branch, "1.0.0")).unwrap();
        jobs.iter().flat_map(|j| j.build.artifacts.iter().map(|a| format!("{} {}", j.name, a.path))).collect()
    };
    assert_eq!(names("release-1"), ["a d/a", "a d/all", "a d/of-a"]);
    assert_eq!(names("release-2"), ["a d/a", "b d/b", "a d/all", "a d/of-a", "a d/of-b"]);
    let c = config(
        "[[target]]\nname = \"a\"\nrun = [\"x\"]\nartifacts = [\"d/a\"]\n[[target]]\nname = \"b\"\nrun = [\"x\"]\nartifacts = [\"d/b\"]\nbranches = \"release-2*\"\n",
    );
    assert_eq!(expand::jobs(&c, &line(&c, "release-1", "1.0.0")).unwrap().len(), 1);
}

fn train(body: &str) -> crate::error::Result<TrainRequest> {
    parse_train(body, Path::new("/t/train.toml"))
}

#[test]
fn train_files() {
    let t = train(
        "name = \"t\"\ndate = 2026-02-24\nnot_before = \"2026-02-24T16:00:00+01:00\"\nadvisories = [\"GHSA-aaaa-bbbb-cccc\"]\n\
         [[line]]\nbranch = \"release-1\"\npatches = \"p/1\"\n\
         [[line]]\nbranch = \"release-2\"\nkind = \"first\"\npatches = { remote = \"../private\", branch = \"fix\" }\n\
         [[line]]\nbranch = \"release-3\"\nkind = \"candidate\"\nto = \"3.0.0-rc.7\"\n\
         [[line]]\nbranch = \"main\"\nkind = \"carry\"\npatches = { remote = \"git@host:x.git\", branch = \"m\" }\n",
    )
    .unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(t.date.to_string(), "2026-02-24T00:00:00Z");
    assert_eq!(t.not_before.unwrap().to_string(), "2026-02-24T15:00:00Z");
    let steps: Vec<_> = t.lines.iter().map(|l| l.to.as_ref().map(ToString::to_string)).collect();
    assert_eq!(steps, [Some("patch".into()), Some("release".into()), Some("3.0.0-rc.7".into()), None]);
    assert_eq!(t.lines[0].series, SeriesSource::Mailbox("/t/p/1".into()));
    let remote = |url: &str, branch: &str| SeriesSource::Remote { url: url.into(), branch: branch.parse().unwrap() };
    assert_eq!(t.lines[1].series, remote("/t/../private", "fix"));
    assert_eq!(t.lines[3].series, remote("git@host:x.git", "m"));
    assert_eq!(t.lines[2].series, SeriesSource::None);
}

#[test]
fn advisories_of_train_files() {
    let text = |keys: &str, range: &str| {
        format!(
            "name = \"t\"\ndate = 2026-02-24\n[[line]]\nbranch = \"a\"\n[[advisory]]\nid = \"GHSA-aaaa-bbbb-cccc\"\nsummary = \"s\"\n\
             description = \"d\"\n{keys}\naffected = [{{ package = \"p\", versions = \"{range}\", patched = \"1.0.5\" }}]\n"
        )
    };
    let read =
        train(&text("severity = \"high\"\ncwes = [\"CWE-2\", \"CWE-1\"]\ncve = \"request\"", ">= 1.0.0, < 1.0.5"))
            .unwrap();
    assert_eq!(read.advisories, ["GHSA-aaaa-bbbb-cccc".parse().unwrap()], "named once, listed too");
    let [advisory] = &read.advisory_texts[..] else { panic!("{read:?}") };
    assert_eq!((&advisory.severity, &advisory.cve), (&Severity::Word("high".into()), &Cve::Request));
    assert_eq!(advisory.cwes, ["CWE-1", "CWE-2"]);
    assert_eq!(
        (advisory.affected[0].ecosystem.as_str(), advisory.affected[0].patched.as_deref()),
        ("rust", Some("1.0.5"))
    );
    for (keys, range, expected) in [
        ("", "< 1.0.5", "the advisory has no severity"),
        ("severity = \"high\"\ncvss = \"CVSS:3.1/AV:N\"", "< 1.0.5", "a severity or a vector, not both"),
        ("severity = \"bad\"", "< 1.0.5", "`bad` is not a severity"),
        ("severity = \"high\"", "<=1.29.0", "this is not a range of versions"),
        ("severity = \"high\"", "< 1.0.5, >= 2.0.0, < 2.0.1", "this is not a range of versions"),
        ("severity = \"high\"\ncve = \"2026-0001\"", "< 1.0.5", "this is not a CVE number"),
        ("severity = \"high\"\ncwes = [\"248\"]", "< 1.0.5", "this is not a kind of weakness"),
    ] {
        let report = train(&text(keys, range)).unwrap_err().report();
        assert!(report.contains(expected), "{expected}\n{report}");
    }
}

#[test]
fn faults_of_train_files() {
    let head = "name = \"t\"\ndate = 2026-02-24\n";
    for (body, expected) in [
        (format!("{head}[[line]]\nbranch = \"a b\"\n"), "`a b` is not a branch name"),
        (format!("{head}[[line]]\nbranch = \"a\"\nkind = \"relase\"\n"), "`relase` is not a kind of line"),
        (format!("{head}[[line]]\nbranch = \"a\"\nkind = \"carry\"\n"), "a line that carries the fix needs patches"),
        (format!("{head}[[line]]\nbranch = \"a\"\nto = \"rc\"\n"), "the step `rc` does not fit this kind of line"),
        (format!("{head}[[line]]\nbranch = \"a\"\nto = \"pach\"\n"), "`pach` is not a version step"),
        (format!("{head}[[line]]\nbranch = \"a\"\n[[line]]\nbranch = \"a\"\n"), "two lines are on branch `a`"),
        (format!("{head}[[line]]\nbranch = \"a\"\npatch = \"x\"\n"), "did you mean `patches`?"),
        (format!("{head}[[line]]\nbranch = \"a\"\npatches = {{ remote = \"x\" }}\n"), "the key `branch` is missing"),
        (head.to_owned(), "this train has no line"),
        ("name = \"t\"\ndate = 2026-02-24T10:00:00\n[[line]]\nbranch = \"a\"\n".to_owned(), "this is not a time"),
        ("name = \"t\"\ndate = \"tomorrow\"\n[[line]]\nbranch = \"a\"\n".to_owned(), "this is not a time"),
        ("name = \"../t\"\ndate = 2026-02-24\n[[line]]\nbranch = \"a\"\n".to_owned(), "`../t` is not a train name"),
        (format!("{head}advisores = []\n[[line]]\nbranch = \"a\"\n"), "did you mean `advisories`?"),
    ] {
        let report = train(&body).unwrap_err().report();
        assert!(report.contains(expected), "{expected}\n{report}");
        assert!(report.contains("train.toml:"), "{report}");
    }
}

proptest::proptest! {
    /// No input makes the parser panic, and every refusal names the file.
    #[test]
    fn broken_files_are_refused_with_a_place(at in 0usize..WASMTIME.len(), cut in 0usize..12, put in "[\\[\\]{}\"=,a-z0-9\n\u{e9}]{0,4}") {
        if WASMTIME.is_char_boundary(at) {
            let end = (at + cut).min(WASMTIME.len());
            let end = (end..=WASMTIME.len()).find(|e| WASMTIME.is_char_boundary(*e)).unwrap_or(WASMTIME.len());
            let text = format!("{}{put}{}", &WASMTIME[..at], &WASMTIME[end..]);
            if let Err(e) = parse(&text, Path::new("lifeboat.toml")) {
                proptest::prop_assert!(e.report().contains("lifeboat.toml:"), "{}", e.report());
            }
        }
    }
}

#[test]
fn stores_are_apart_from_each_other_from_the_checkout_and_from_the_state() {
    let stores = |one: &str, two: &str| {
        let text =
            format!("{HEAD}[[store]]\nname = \"one\"\nurl = \"{one}\"\n[[store]]\nname = \"two\"\nurl = \"{two}\"\n");
        super::resolve::parse_beside(
            &text,
            Path::new("/src/acme/lifeboat.toml"),
            Some(Path::new("/home/me/state")),
            &crate::wiring::registries(),
        )
    };
    stores("file:///srv/a", "file:///srv/ab").unwrap_or_else(|e| panic!("{}", e.report()));
    stores("../a", "../acme-releases").unwrap_or_else(|e| panic!("{}", e.report()));
    for (one, two, said) in [
        ("file:///srv/a", "file:///srv/a/", "store `two` is in the same place as store `one`"),
        ("file:///src/a", "../a", "store `two` is in the same place as store `one`"),
        ("file:///srv/a", "file:///srv/a/b", "store `two` is inside store `one`"),
        ("file:///srv/a/b", "file:///srv/a", "store `two` contains store `one`"),
        ("file:///srv/a", "releases", "store `two` is inside the project's checkout"),
        ("file:///srv/a", "../acme", "store `two` is inside the project's checkout"),
        ("file:///srv/a", "file:///home/me/state", "store `two` and the state directory share a place"),
        ("file:///srv/a", "file:///home/me/state/acme/x", "store `two` and the state directory share a place"),
        ("file:///srv/a", "file:///home", "store `two` and the state directory share a place"),
    ] {
        let e = stores(one, two).map(drop).unwrap_err();
        let report = e.report();
        assert!(e.kind() == crate::error::ErrorKind::Input && report.contains(said), "{said}:\n{report}");
        assert!(report.contains("/src/acme/lifeboat.toml:9:7"), "{report}");
    }
}

#[test]
fn faults_are_in_words_of_the_file() {
    let report = faulty("[signing]\nrelease = \"a.key\"\n");
    assert!(report.contains("expected `{ file = \"path\" }` or `{ gpg = "), "{report}");
    let report = faulty("[signing]\npeople = { ann = 3 }\n");
    assert!(!report.contains("struct") && !report.contains("Raw"), "{report}");
    let report = faulty("[[target]]\nname = \"a\"\nrun = [\"x\"]\nartifacts = []\n");
    assert!(report.contains("target `a` leaves no artifact") && report.contains("lifeboat.toml:5:8"), "{report}");
    let error = crate::model::AdvisoryId::new("a b").unwrap_err().to_string();
    assert!(error.contains("is not an advisory id"), "{error}");
}
