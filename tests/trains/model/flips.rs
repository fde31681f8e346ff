//! Every key of the configuration and of the train file means something: changed alone, it gives another plan or a refusal,
//! or it is on a short list with the reason.

use std::collections::BTreeSet;
use std::path::Path;

use lifeboat::config::{parse, parse_train};
use lifeboat::error::Result;
use lifeboat::model::{Oid, Sha256};
use lifeboat::plan::{PlanId, plan};
use lifeboat::snapshot::{LineFacts, PatchFacts, Snapshot, TrustFacts, WorkflowAt, WorkflowFacts, WorkflowFile};

const CONFIG: &str = r#"
[project]
name = "sample"
branches = "release-*"
repository = "."
committer = "A <a@example.org>"
keys = "keys"
templates = "release-templates"

[version]
tag = "v{version}"
manifests = ["Cargo.toml"]
family = [{ of = "sample", crates = ["sample-*"], when = ">=1" }]
fixed = ["other"]
requirements = "lift"
unpublished = "keep"
final_newline = false
exclude = ["fixtures"]
files = [{ path = "VERSION", style = "text", crate = "sample", pattern = "x {version}", when = ">=1" }]
changelog = { path = "RELEASES.md", unreleased = "Unreleased", released = "{date}", missing = "stop", insert = "x", notes_until = "^--" }
after = [{ run = "sh after.sh", network = false, on_failure = "stop" }]

[bundle]
vendor = true
cargo_home = "cargo"
without_submodules = ["spec"]

[recipe.shared]
labels = ["linux"]
env = { SHARED = "1" }
pass_env = ["PATH"]
secret_env = { TOKEN = { env = "T" } }
run = ["sh build.sh {triple}"]
test = ["sh test.sh"]
artifacts = ["dist/{version}-{name}.tar"]
network = false
timeout = "1h"

[[target]]
name = "plain"
triple = "x86_64-unknown-linux-gnu"
recipe = "shared"
branches = "release-1.0.0"
labels = ["big"]
env = { OWN = "1" }
pass_env = ["LANG"]
secret_env = { OWN_TOKEN = { env = "T" } }
run = ["sh own.sh {triple}"]
test = ["sh own-test.sh"]
artifacts = ["dist/own-{version}.tar"]
network = false
timeout = "2h"

[[target]]
each = { many = "x86_64-unknown-linux-gnu" }
variants = ["", { suffix = "-min", env = { MIN = "1" } }]
recipe = "shared"

[[assemble]]
name = "joined"
from = ["many", "many-min"]
layout = "in-{from}"
branches = "release-*"
labels = ["linux"]
env = { A = "1" }
pass_env = ["TZ"]
secret_env = { A_TOKEN = { env = "T" } }
run = ["sh join.sh"]
test = ["sh join-test.sh"]
artifacts = [{ path = "dist/{version}-{from}.zip", for = ["many*"] }]
network = false
timeout = "3h"

[[assemble]]
each = ["again"]
from = ["plain"]
recipe = "joining"
branches = "release-1.0.0"

[recipe.joining]
run = ["sh again.sh"]
artifacts = ["dist/{version}-again.zip"]

[[runner]]
name = "here"
kind = "local"
labels = ["linux", "big"]
slots = 2
read = ["/srv/sdk"]
same_user = false

[[store]]
name = "mirror"
url = "file:///srv/mirror"
public_url = "https://example.org/mirror"
required = true

[[remote]]
name = "git"
url = "https://example.org/sample.git"
push = { "main" = "pull-request" }
required = false

[forge.github]
repository = "example/sample"
api = "https://ghe.example.org/api/v3"
uploads = "https://ghe.example.org/api/uploads"
token = { env = "GITHUB_TOKEN" }
remote = "git"
default_branch = "main"
triggers = { "publish.yml" = "suppress", "ci.yml" = "adopt" }
draft_audience = "writers"
advisories = true
required = false

[signing]
release = { file = "release.key", passphrase = { env = "P" } }
freshness = { file = "freshness.key" }
operator = { file = "operator.key" }
sign_artifacts = true

[signing.people]
alice = { file = "alice.key" }
"#;

const TRAIN: &str = r#"
name = "spring"
date = 2026-02-24
not_before = 2026-02-24T16:00:00Z
advisories = ["GHSA-aaaa-bbbb-cccc"]

[[advisory]]
id = "GHSA-aaaa-bbbb-cccc"
summary = "A flaw"
description = "Much."
severity = "high"
cwes = ["CWE-79"]
cve = "CVE-2026-0001"
affected = [{ package = "sample", ecosystem = "rust", versions = "< 1.0.5", patched = "1.0.5" }]

[[line]]
branch = "release-1.0.0"
kind = "release"
to = "patch"
patches = "patches"
"#;

/// Changes of the configuration: the table and key, what stands there, and what stands there instead.
const FLIPS: &[(&str, &str, &str)] = &[
    ("project.name", "name = \"sample\"", "name = \"simple\""),
    ("project.branches", "branches = \"release-*\"\nrepo", "branches = \"rel*\"\nrepo"),
    ("project.repository", "repository = \".\"", "repository = \"..\""),
    ("project.committer", "A <a@", "B <a@"),
    ("project.tag", "committer =", "tag = \"v{version}\"\ncommitter ="),
    ("project.keys", "keys = \"keys\"", "keys = \"certificates\""),
    ("project.templates", "\"release-templates\"", "\"texts\""),
    ("version.tag", "tag = \"v{version}\"", "tag = \"{version}\""),
    ("version.manifests", "manifests = [\"C", "manifests = [\"x/C"),
    ("version.family", "of = \"sample\"", "of = \"simple\""),
    ("version.family.crates", "\"sample-*\"", "\"simple-*\""),
    ("version.family.when", "when = \">=1\" }]\nfixed", "when = \">=2\" }]\nfixed"),
    ("version.fixed", "\"other\"", "\"another\""),
    ("version.requirements", "\"lift\"", "\"keep\""),
    ("version.unpublished", "\"keep\"", "\"move\""),
    ("version.final_newline", "final_newline = false", "final_newline = true"),
    ("version.exclude", "\"fixtures\"", "\"fixture\""),
    ("version.files", "\"VERSION\"", "\"version.txt\""),
    ("version.files.style", "style = \"text\"", "style = \"plain\""),
    ("version.files.crate", "crate = \"sample\"", "crate = \"other\""),
    ("version.files.pattern", "x {version}", "y {version}"),
    ("version.files.when", "when = \">=1\" }]\nchange", "when = \">=2\" }]\nchange"),
    ("version.changelog", "RELEASES.md", "CHANGES.md"),
    ("version.changelog.unreleased", "\"Unreleased\"", "\"unreleased\""),
    ("version.changelog.released", "\"{date}\"", "\"on {date}\""),
    ("version.changelog.missing", "missing = \"stop\"", "missing = \"warn\""),
    ("version.changelog.insert", "insert = \"x\"", "insert = \"y\""),
    ("version.changelog.notes_until", "\"^--\"", "\"^==\""),
    ("version.after", "sh after.sh", "sh afterwards.sh"),
    ("version.after.network", "sh\", network = false", "sh\", network = true"),
    ("version.after.on_failure", "on_failure = \"stop\"", "on_failure = \"warn\""),
    ("bundle.vendor", "vendor = true", "vendor = false"),
    ("bundle.cargo_home", "cargo_home = \"cargo\"", "cargo_home = \"crates\""),
    ("bundle.without_submodules", "[\"spec\"]", "[\"specs\"]"),
    ("recipe.labels", "labels = [\"linux\"]\nenv = { SH", "labels = [\"big\"]\nenv = { SH"),
    ("recipe.env", "SHARED = \"1\"", "SHARED = \"2\""),
    ("recipe.pass_env", "\"PATH\"", "\"HOME\""),
    (
        "recipe.secret_env",
        "TOKEN = { env = \"T\" } }\nrun = [\"sh build",
        "TOKEN = { env = \"U\" } }\nrun = [\"sh build",
    ),
    ("recipe.run", "sh build.sh", "sh built.sh"),
    ("recipe.test", "sh test.sh", "sh tests.sh"),
    ("recipe.artifacts", "{version}-{name}.tar", "{version}_{name}.tar"),
    ("recipe.network", "network = false\ntimeout = \"1h\"", "network = true\ntimeout = \"1h\""),
    ("recipe.timeout", "\"1h\"", "\"4h\""),
    ("target.name", "name = \"plain\"", "name = \"simple\""),
    ("target.triple", "triple = \"x86_64-", "triple = \"i686-"),
    (
        "target.recipe",
        "= \"x86_64-unknown-linux-gnu\"\nrecipe = \"shared\"\nbranches",
        "= \"x86_64-unknown-linux-gnu\"\nbranches",
    ),
    ("target.branches", "branches = \"release-1.0.0\"\nlabels", "branches = \"release-2.0.0\"\nlabels"),
    ("target.labels", "labels = [\"big\"]", "labels = [\"linux\"]"),
    ("target.env", "OWN = \"1\"", "OWN = \"2\""),
    ("target.pass_env", "\"LANG\"", "\"LANGUAGE\""),
    ("target.secret_env", "OWN_TOKEN = { env = \"T\" }", "OWN_TOKEN = { env = \"U\" }"),
    ("target.run", "sh own.sh", "sh owned.sh"),
    ("target.test", "sh own-test.sh", "sh owned-test.sh"),
    ("target.artifacts", "own-{version}.tar", "owned-{version}.tar"),
    ("target.network", "network = false\ntimeout = \"2h\"", "network = true\ntimeout = \"2h\""),
    ("target.timeout", "\"2h\"", "\"5h\""),
    ("target.each", "each = { many = \"x86_64-", "each = { many = \"i686-"),
    ("target.variants", "suffix = \"-min\"", "suffix = \"-max\""),
    ("assemble.name", "name = \"joined\"", "name = \"united\""),
    ("assemble.each", "each = [\"again\"]", "each = [\"anew\"]"),
    ("assemble.from", "[\"many\", \"many-min\"]", "[\"many\"]"),
    ("assemble.layout", "in-{from}", "of-{from}"),
    ("assemble.recipe", "recipe = \"joining\"", "recipe = \"shared\""),
    ("assemble.branches", "branches = \"release-1.0.0\"\n\n[recipe", "branches = \"release-2.0.0\"\n\n[recipe"),
    ("assemble.labels", "labels = [\"linux\"]\nenv = { A", "labels = [\"big\"]\nenv = { A"),
    ("assemble.env", "A = \"1\"", "A = \"2\""),
    ("assemble.pass_env", "\"TZ\"", "\"LANG\""),
    ("assemble.secret_env", "A_TOKEN = { env = \"T\" }", "A_TOKEN = { env = \"U\" }"),
    ("assemble.run", "sh join.sh", "sh joins.sh"),
    ("assemble.test", "sh join-test.sh", "sh joins-test.sh"),
    ("assemble.artifacts", "{version}-{from}.zip", "{version}_{from}.zip"),
    ("assemble.network", "network = false\ntimeout = \"3h\"", "network = true\ntimeout = \"3h\""),
    ("assemble.timeout", "\"3h\"", "\"6h\""),
    ("runner.name", "name = \"here\"", "name = \"there\""),
    ("runner.kind", "kind = \"local\"", "kind = \"cloud\""),
    ("runner.labels", "[\"linux\", \"big\"]", "[\"linux\"]"),
    ("runner.slots", "slots = 2", "slots = 3"),
    ("runner.read", "read = [\"/srv/sdk\"]", "read = [\"/srv/other\"]"),
    ("runner.same_user", "same_user = false", "same_user = true"),
    ("store.name", "name = \"mirror\"", "name = \"origin\""),
    ("store.url", "/srv/mirror", "/srv/origin"),
    ("store.public_url", "example.org/mirror", "example.org/origin"),
    ("store.required", "required = true", "required = false"),
    ("remote.name", "name = \"git\"", "name = \"got\""),
    ("remote.url", "sample.git\"", "simple.git\""),
    ("remote.push", "\"main\" = \"pull-request\"", "\"*\" = \"pull-request\""),
    ("remote.required", "required = false\n\n[forge", "required = true\n\n[forge"),
    ("forge.repository", "example/sample\"", "example/simple\""),
    ("forge.api", "/api/v3", "/api/v4"),
    ("forge.uploads", "/api/uploads", "/api/upload"),
    ("forge.token", "GITHUB_TOKEN", "GH_TOKEN"),
    (
        "forge.app",
        "token = { env = \"GITHUB_TOKEN\" }",
        "app = { id = \"a\", installation = 1, private_key = { env = \"K\" } }",
    ),
    ("forge.remote", "remote = \"git\"\n", ""),
    ("forge.default_branch", "default_branch = \"main\"", "default_branch = \"trunk\""),
    ("forge.triggers", "\"ci.yml\" = \"adopt\"", "\"ci.yml\" = \"accept\""),
    ("forge.draft_audience", "\"writers\"", "\"anyone\""),
    ("forge.advisories", "advisories = true", "advisories = false"),
    ("forge.required", "advisories = true\nrequired = false", "advisories = true\nrequired = true"),
    ("signing.release", "\"release.key\"", "\"releases.key\""),
    ("signing.release.passphrase", "env = \"P\"", "env = \"Q\""),
    ("signing.freshness", "\"freshness.key\"", "\"fresh.key\""),
    ("signing.operator", "\"operator.key\"", "\"own.key\""),
    ("signing.people", "\"alice.key\"", "\"alices.key\""),
    ("signing.sign_artifacts", "sign_artifacts = true", "sign_artifacts = false"),
];

/// Keys of the configuration that leave the plan as it is.
const NOT_PLANNED: &[(&str, &str)] = &[
    ("project.branches", "decides which branches may be released: `gather` refuses a line that does not fit"),
    ("project.repository", "where this machine's clone is: what is seen in it is in the plan"),
    ("project.keys", "where the certificates are: the digest of the trust root is in the plan"),
    ("project.templates", "where the templates are: their texts are in the plan"),
    ("runner.name", "which machine builds: the digests of what it leaves are approved"),
    ("runner.labels", "as the name, as long as some runner has what a target asks for"),
    ("runner.slots", "how many jobs run at once"),
    ("forge.default_branch", "which branch `gather` looks at: the workflows that are seen there are in the plan"),
];

/// Changes of the train file.
const TRAIN_FLIPS: &[(&str, &str, &str)] = &[
    ("train.name", "\"spring\"", "\"summer\""),
    ("train.date", "date = 2026-02-24\n", "date = 2026-02-25\n"),
    ("train.not_before", "24T16:00", "24T17:00"),
    ("train.advisories", "advisories = [\"GHSA-aaaa-bbbb-cccc\"]", "advisories = [\"GHSA-aaaa-bbbb-cccd\"]"),
    ("advisory.id", "id = \"GHSA-aaaa-bbbb-cccc\"", "id = \"GHSA-aaaa-bbbb-ccce\""),
    ("advisory.summary", "A flaw", "Two flaws"),
    ("advisory.description", "Much.", "More."),
    ("advisory.severity", "severity = \"high\"", "severity = \"low\""),
    ("advisory.cvss", "severity = \"high\"", "cvss = \"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N\""),
    ("advisory.cwes", "CWE-79", "CWE-80"),
    ("advisory.cve", "CVE-2026-0001", "CVE-2026-0002"),
    ("advisory.affected", "\"< 1.0.5\"", "\"< 1.0.4\""),
    ("advisory.affected.package", "package = \"sample\"", "package = \"simple\""),
    ("advisory.affected.ecosystem", "ecosystem = \"rust\"", "ecosystem = \"npm\""),
    ("advisory.affected.patched", "patched = \"1.0.5\"", "patched = \"1.0.6\""),
    ("line.branch", "branch = \"release-1.0.0\"", "branch = \"release-2.0.0\""),
    ("line.kind", "kind = \"release\"\nto = \"patch\"", "kind = \"carry\""),
    ("line.to", "to = \"patch\"", "to = \"minor\""),
    ("line.patches", "patches = \"patches\"", "patches = \"fixes\""),
];

/// Keys of the train file that decide what `gather` sees, which is in the plan.
const SEEN: &[&str] = &["line.branch", "line.to", "line.patches"];

fn snapshot() -> Snapshot {
    let file = |name: &str| WorkflowFile {
        path: format!(".github/workflows/{name}"),
        text: "on: [push, release, pull_request]\n".to_owned(),
        at: WorkflowAt::Release,
    };
    let files = [("github".parse().unwrap(), vec![file("publish.yml"), file("ci.yml")])];
    let line = LineFacts {
        branch: "release-1.0.0".parse().unwrap(),
        base: Oid::from_sha1([1; 20]),
        versions: Some(("1.0.4".parse().unwrap(), "1.0.5".parse().unwrap())),
        series: Sha256::of(b"series"),
        patches: vec![PatchFacts {
            origin: "0001-fix.patch".to_owned(),
            subject: "Refuse arguments above eight".to_owned(),
            author: "B <b@example.org>".parse().unwrap(),
            touches: vec!["src/lib.rs".to_owned()],
        }],
        deletes: Default::default(),
        tag_taken: None,
        submodules: Vec::new(),
        missing_submodules: Vec::new(),
        missing_crates: Vec::new(),
        workflows: WorkflowFacts { files: files.into_iter().collect(), ..WorkflowFacts::default() },
        elsewhere: Default::default(),
    };
    Snapshot {
        repository: "/srv/sample/.git".into(),
        lines: vec![line],
        trust: TrustFacts { root: Sha256::of(b"root"), threshold: 2 },
        unknown: Vec::new(),
    }
}

fn planned(config: &str, train: &str) -> Result<PlanId> {
    let config = parse(config, Path::new("/srv/sample/lifeboat.toml"))?;
    let request = parse_train(train, Path::new("/srv/train.toml"))?;
    plan(&config, &snapshot(), &request)?.id()
}

fn flipped(text: &str, key: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{key}: the text has no `{from}`");
    text.replacen(from, to, 1)
}

#[test]
fn every_key_changes_the_plan_or_is_refused() {
    let before = planned(CONFIG, TRAIN).unwrap_or_else(|e| panic!("{}", e.report()));
    let mut silent = Vec::new();
    for (key, from, to) in FLIPS {
        let exempt = NOT_PLANNED.iter().any(|(k, _)| k == key);
        if planned(&flipped(CONFIG, key, from, to), TRAIN).is_ok_and(|after| after == before) && !exempt {
            silent.push(*key);
        }
    }
    for (key, from, to) in TRAIN_FLIPS {
        let exempt = SEEN.contains(key);
        if planned(CONFIG, &flipped(TRAIN, key, from, to)).is_ok_and(|after| after == before) && !exempt {
            silent.push(*key);
        }
    }
    assert_eq!(silent, Vec::<&str>::new(), "keys that change nothing and are not refused");
}

#[test]
fn the_changes_cover_every_key() {
    // What the parser says it knows, table by table: a key that is added later is missing here at once.
    let known = |report: &str| -> Vec<String> {
        let list = report.split_once("valid here: ").or(report.split_once("expected ")).map_or("", |(_, l)| l);
        let list = list.lines().next().unwrap_or_default();
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let tables = [
        ("project", "[project]\n"),
        ("version", "[version]\n"),
        ("bundle", "[bundle]\n"),
        ("recipe", "[recipe.shared]\n"),
        ("target", "[[target]]\n"),
        ("assemble", "[[assemble]]\n"),
        ("runner", "[[runner]]\n"),
        ("store", "[[store]]\n"),
        ("remote", "[[remote]]\n"),
        ("forge", "[forge.github]\n"),
        ("signing", "[signing]\n"),
    ];
    let tried: BTreeSet<&str> = FLIPS.iter().chain(TRAIN_FLIPS).map(|(key, _, _)| *key).collect();
    let mut missing = Vec::new();
    for (table, header) in tables {
        let text = CONFIG.replacen(header, &format!("{header}no_such_key = 1\n"), 1);
        let keys = known(&planned(&text, TRAIN).unwrap_err().report());
        assert!(keys.len() > 2, "[{table}] tells no keys");
        missing.extend(keys.iter().map(|k| format!("{table}.{k}")).filter(|k| !tried.contains(k.as_str())));
    }
    for (table, header) in [("advisory", "[[advisory]]\n"), ("line", "[[line]]\n")] {
        let text = TRAIN.replacen(header, &format!("{header}no_such_key = 1\n"), 1);
        let keys = known(&planned(CONFIG, &text).unwrap_err().report());
        assert!(keys.len() > 2, "[{table}] tells no keys");
        missing.extend(keys.iter().map(|k| format!("{table}.{k}")).filter(|k| !tried.contains(k.as_str())));
    }
    assert_eq!(missing, Vec::<String>::new(), "keys that no change tries");
}
