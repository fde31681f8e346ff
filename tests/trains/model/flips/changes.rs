//! A configuration and a train file that use every key, and a change of each.

pub(super) const CONFIG: &str = r#"
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

[[input]]
name = "sdk"
url = "https://sdk.example.org/sdk.zip"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
path = "from/sdk.zip"

[[input]]
name = "compiler"
url = "https://example.org/compiler.zip"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"

[recipe.shared]
labels = ["linux"]
env = { SHARED = "1" }
pass_env = ["PATH"]
secret_env = { TOKEN = { env = "T" } }
run = ["sh build.sh {triple}"]
test = ["sh test.sh"]
artifacts = ["dist/{version}-{name}.tar"]
inputs = ["sdk"]
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
inputs = ["compiler"]
network = false
timeout = "2h"

[[target]]
each = { many = "x86_64-unknown-linux-gnu" }
variants = ["", { suffix = "-min", env = { MIN = "1" }, inputs = ["compiler", "sdk"] }]
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
inputs = ["compiler"]
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
name = "far"
kind = "ssh"
labels = ["linux"]
host = "build@far.example.org"
ssh_config = "far.conf"
dir = "/srv/jobs"

[[runner]]
name = "here"
kind = "local"
labels = ["linux", "big"]
slots = 2
lease = "5m"
read = ["/srv/sdk"]
same_user = false

[[store]]
name = "mirror"
url = "file:///srv/mirror"
transfers = 4
rate_limit = "10 MB/s"
public_url = "https://example.org/mirror"
staging = "private"
required = true

[[store]]
name = "one"
url = "s3://acme-releases"
endpoint = "https://s3.example.org"
region = "eu-west-1"
access_key = { env = "ACCESS_KEY" }
secret_key = { env = "SECRET_KEY" }

[[store]]
name = "two"
url = "davs://dav.example.org/files"
user = "release"
password = { env = "DAV_PASSWORD" }

[[store]]
name = "three"
url = "sftp://www.example.org/srv/files"
ssh_config = "ssh.conf"

[release]
stores = "2 of 3"
mirrors = ["https://mirror.example.org/acme/"]

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

pub(super) const TRAIN: &str = r#"
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
pub(super) const FLIPS: &[(&str, &str, &str)] = &[
    ("project.name", "name = \"sample\"", "name = \"simple\""),
    ("project.branches", "branches = \"release-*\"\nrepo", "branches = \"rel*\"\nrepo"),
    ("project.repository", "repository = \".\"", "repository = \"..\""),
    ("project.committer", "A <a@", "B <a@"),
    ("project.tag", "committer =", "tag = \"v{version}\"\ncommitter ="),
    ("project.keys", "keys = \"keys\"", "keys = \"certificates\""),
    ("project.templates", "\"release-templates\"", "\"texts\""),
    ("version.tag", "tag = \"v{version}\"", "tag = \"{version}\""),
    ("version.manifests", "manifests = [\"C", "manifests = [\"x/C"),
    ("version.family.of", "of = \"sample\"", "of = \"simple\""),
    ("version.family.crates", "\"sample-*\"", "\"simple-*\""),
    ("version.family.when", "when = \">=1\" }]\nfixed", "when = \">=2\" }]\nfixed"),
    ("version.family.step", "when = \">=1\" }]\nfixed", "when = \">=1\", step = \"minor\" }]\nfixed"),
    ("version.fixed", "\"other\"", "\"another\""),
    ("version.requirements", "\"lift\"", "\"keep\""),
    ("version.unpublished", "\"keep\"", "\"move\""),
    ("version.final_newline", "final_newline = false", "final_newline = true"),
    ("version.exclude", "\"fixtures\"", "\"fixture\""),
    ("version.files.path", "\"VERSION\"", "\"version.txt\""),
    ("version.files.style", "style = \"text\"", "style = \"plain\""),
    ("version.files.crate", "crate = \"sample\"", "crate = \"other\""),
    ("version.files.pattern", "x {version}", "y {version}"),
    ("version.files.when", "when = \">=1\" }]\nchange", "when = \">=2\" }]\nchange"),
    ("version.changelog.path", "RELEASES.md", "CHANGES.md"),
    ("version.changelog.unreleased", "\"Unreleased\"", "\"unreleased\""),
    ("version.changelog.released", "\"{date}\"", "\"on {date}\""),
    ("version.changelog.missing", "missing = \"stop\"", "missing = \"warn\""),
    ("version.changelog.insert", "insert = \"x\"", "insert = \"y\""),
    ("version.changelog.notes_until", "\"^--\"", "\"^==\""),
    ("version.after.run", "sh after.sh", "sh afterwards.sh"),
    ("version.after.network", "sh\", network = false", "sh\", network = true"),
    ("version.after.on_failure", "on_failure = \"stop\"", "on_failure = \"warn\""),
    ("bundle.vendor", "vendor = true", "vendor = false"),
    ("bundle.cargo_home", "cargo_home = \"cargo\"", "cargo_home = \"crates\""),
    ("bundle.without_submodules", "[\"spec\"]", "[\"specs\"]"),
    ("input.name", "name = \"sdk\"", "name = \"kit\""),
    ("input.url", "https://sdk.", "https://kit."),
    ("input.sha256", "sha256 = \"0", "sha256 = \"a"),
    ("input.path", "from/sdk.zip", "from/kit.zip"),
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
    (
        "recipe.artifacts.path",
        "artifacts = [\"dist/{version}-{name}.tar\"]",
        "artifacts = [{ path = \"dist/{version}-{name}.zip\", for = [\"*\"] }]",
    ),
    (
        "recipe.artifacts.for",
        "artifacts = [\"dist/{version}-{name}.tar\"]",
        "artifacts = [{ path = \"dist/{version}-{name}.tar\", for = [\"many\"] }]",
    ),
    ("recipe.inputs", "inputs = [\"sdk\"]", "inputs = []"),
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
    (
        "target.artifacts.path",
        "artifacts = [\"dist/own-{version}.tar\"]",
        "artifacts = [{ path = \"dist/own-{version}.zip\", for = [\"plain\"] }]",
    ),
    (
        "target.artifacts.for",
        "artifacts = [\"dist/own-{version}.tar\"]",
        "artifacts = [{ path = \"dist/own-{version}.tar\", for = [\"other\"] }]",
    ),
    (
        "target.inputs",
        "inputs = [\"compiler\"]\nnetwork = false\ntimeout = \"2h\"",
        "network = false\ntimeout = \"2h\"",
    ),
    ("target.variants.inputs", "inputs = [\"compiler\", \"sdk\"]", "inputs = [\"compiler\"]"),
    ("target.network", "network = false\ntimeout = \"2h\"", "network = true\ntimeout = \"2h\""),
    ("target.timeout", "\"2h\"", "\"5h\""),
    ("target.each", "each = { many = \"x86_64-", "each = { many = \"i686-"),
    ("target.variants.suffix", "suffix = \"-min\"", "suffix = \"-max\""),
    ("target.variants.labels", "env = { MIN = \"1\" }", "env = { MIN = \"1\" }, labels = [\"big\"]"),
    ("target.variants.env", "MIN = \"1\"", "MIN = \"2\""),
    ("target.variants.pass_env", "env = { MIN = \"1\" }", "env = { MIN = \"1\" }, pass_env = [\"LC_ALL\"]"),
    (
        "target.variants.secret_env",
        "env = { MIN = \"1\" }",
        "env = { MIN = \"1\" }, secret_env = { MIN_TOKEN = { env = \"T\" } }",
    ),
    ("target.variants.run", "env = { MIN = \"1\" }", "env = { MIN = \"1\" }, run = [\"sh min.sh\"]"),
    ("target.variants.test", "env = { MIN = \"1\" }", "env = { MIN = \"1\" }, test = [\"sh min-test.sh\"]"),
    (
        "target.variants.artifacts.path",
        "env = { MIN = \"1\" }",
        "env = { MIN = \"1\" }, artifacts = [{ path = \"dist/{version}-{name}-min.tar\", for = [\"*-min\"] }]",
    ),
    (
        "target.variants.artifacts.for",
        "env = { MIN = \"1\" }",
        "env = { MIN = \"1\" }, artifacts = [{ path = \"dist/{version}-{name}.tar\", for = [\"none\"] }]",
    ),
    ("target.variants.network", "env = { MIN = \"1\" }", "env = { MIN = \"1\" }, network = true"),
    ("target.variants.timeout", "env = { MIN = \"1\" }", "env = { MIN = \"1\" }, timeout = \"7h\""),
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
    ("assemble.artifacts.path", "{version}-{from}.zip", "{version}_{from}.zip"),
    ("assemble.artifacts.for", "for = [\"many*\"]", "for = [\"many\"]"),
    (
        "assemble.inputs",
        "inputs = [\"compiler\"]\nnetwork = false\ntimeout = \"3h\"",
        "network = false\ntimeout = \"3h\"",
    ),
    ("assemble.network", "network = false\ntimeout = \"3h\"", "network = true\ntimeout = \"3h\""),
    ("assemble.timeout", "\"3h\"", "\"6h\""),
    ("runner.name", "name = \"here\"", "name = \"there\""),
    ("runner.kind", "kind = \"local\"", "kind = \"cloud\""),
    ("runner.labels", "[\"linux\", \"big\"]", "[\"linux\"]"),
    ("runner.slots", "slots = 2", "slots = 3"),
    ("runner.lease", "lease = \"5m\"", "lease = \"6m\""),
    ("runner.read", "read = [\"/srv/sdk\"]", "read = [\"/srv/other\"]"),
    ("runner.host", "build@far.example.org", "build@other.example.org"),
    ("runner.ssh_config", "far.conf", "other-far.conf"),
    ("runner.dir", "/srv/jobs", "/srv/other-jobs"),
    ("runner.same_user", "same_user = false", "same_user = true"),
    ("store.name", "name = \"mirror\"", "name = \"origin\""),
    ("store.url", "/srv/mirror", "/srv/origin"),
    ("store.public_url", "example.org/mirror", "example.org/origin"),
    ("store.staging", "staging = \"private\"", "staging = \"encrypted\""),
    ("store.required", "required = true", "required = false"),
    ("store.transfers", "transfers = 4", "transfers = 5"),
    ("store.rate_limit", "10 MB/s", "11 MB/s"),
    ("store.endpoint", "https://s3.example.org", "https://s3.example.net"),
    ("store.region", "eu-west-1", "eu-west-2"),
    ("store.access_key", "ACCESS_KEY", "OTHER_ACCESS_KEY"),
    ("store.secret_key", "env = \"SECRET_KEY\"", "env = \"OTHER_SECRET_KEY\""),
    ("store.user", "user = \"release\"", "user = \"releases\""),
    ("store.password", "DAV_PASSWORD", "OTHER_DAV_PASSWORD"),
    ("store.ssh_config", "ssh.conf", "other.conf"),
    ("release.stores", "\"2 of 3\"", "\"3 of 3\""),
    ("release.mirrors", "mirror.example.org/acme", "mirror.example.org/other"),
    ("remote.name", "name = \"git\"", "name = \"got\""),
    ("remote.url", "sample.git\"", "simple.git\""),
    ("remote.push", "\"main\" = \"pull-request\"", "\"*\" = \"pull-request\""),
    ("remote.required", "required = false\n\n[forge", "required = true\n\n[forge"),
    ("forge.repository", "example/sample\"", "example/simple\""),
    ("forge.api", "/api/v3", "/api/v4"),
    ("forge.uploads", "/api/uploads", "/api/upload"),
    ("forge.token", "GITHUB_TOKEN", "GH_TOKEN"),
    ("forge.app", AS_APP.0, AS_APP.1),
    ("forge.remote", "remote = \"git\"\n", ""),
    ("forge.default_branch", "default_branch = \"main\"", "default_branch = \"trunk\""),
    ("forge.triggers", "\"ci.yml\" = \"adopt\"", "\"ci.yml\" = \"accept\""),
    ("forge.draft_audience", "\"writers\"", "\"anyone\""),
    ("forge.advisories", "advisories = true", "advisories = false"),
    ("forge.required", "advisories = true\nrequired = false", "advisories = true\nrequired = true"),
    ("signing.release.file", "\"release.key\"", "\"releases.key\""),
    (
        "signing.release.gpg",
        "release = { file = \"release.key\", passphrase = { env = \"P\" } }",
        "release = { gpg = \"0123456789ABCDEF0123456789ABCDEF01234567\" }",
    ),
    ("signing.release.passphrase", "env = \"P\"", "env = \"Q\""),
    ("signing.freshness.file", "\"freshness.key\"", "\"fresh.key\""),
    (
        "signing.freshness.passphrase",
        "freshness = { file = \"freshness.key\" }",
        "freshness = { file = \"freshness.key\", passphrase = { env = \"Q\" } }",
    ),
    (
        "signing.freshness.gpg",
        "freshness = { file = \"freshness.key\" }",
        "freshness = { gpg = \"0123456789ABCDEF0123456789ABCDEF01234567\" }",
    ),
    ("signing.operator.file", "\"operator.key\"", "\"own.key\""),
    (
        "signing.operator.passphrase",
        "operator = { file = \"operator.key\" }",
        "operator = { file = \"operator.key\", passphrase = { env = \"Q\" } }",
    ),
    (
        "signing.operator.gpg",
        "operator = { file = \"operator.key\" }",
        "operator = { gpg = \"0123456789ABCDEF0123456789ABCDEF01234567\" }",
    ),
    ("signing.people.file", "\"alice.key\"", "\"alices.key\""),
    (
        "signing.people.passphrase",
        "alice = { file = \"alice.key\" }",
        "alice = { file = \"alice.key\", passphrase = { env = \"Q\" } }",
    ),
    (
        "signing.people.gpg",
        "alice = { file = \"alice.key\" }",
        "alice = { gpg = \"0123456789ABCDEF0123456789ABCDEF01234567\" }",
    ),
    ("signing.sign_artifacts", "sign_artifacts = true", "sign_artifacts = false"),
];

/// What makes of the forge of [`CONFIG`] one that is used by an app.
pub(super) const AS_APP: (&str, &str) =
    ("token = { env = \"GITHUB_TOKEN\" }", "app = { id = \"a\", installation = 1, private_key = { env = \"K\" } }");

/// Changes where the forge is used by an app.
pub(super) const APP_FLIPS: &[(&str, &str, &str)] = &[
    ("forge.app.id", "id = \"a\"", "id = \"b\""),
    ("forge.app.installation", "installation = 1", "installation = 2"),
    ("forge.app.private_key", "env = \"K\"", "env = \"L\""),
];

/// Keys that the configuration had once: refused, with the key that took their place.
pub(super) const RETIRED: &[&str] = &["project.tag"];

/// Keys of the configuration that leave the plan as it is.
pub(super) const NOT_PLANNED: &[(&str, &str)] = &[
    ("project.branches", "decides which branches may be released: `gather` refuses a line that does not fit"),
    ("project.repository", "where this machine's clone is: what is seen in it is in the plan"),
    ("project.keys", "where the certificates are: the digest of the trust root is in the plan"),
    ("project.templates", "where the templates are: their texts are in the plan"),
    ("input.url", "where it is fetched from: the digest of its bytes is in the plan"),
    ("runner.name", "which machine builds: the digests of what it leaves are approved"),
    ("runner.labels", "as the name, as long as some runner has what a target asks for"),
    ("runner.slots", "how many jobs run at once"),
    ("runner.lease", "how long a job waits for a runner that does not answer"),
    ("store.transfers", "how many files move at once"),
    ("store.rate_limit", "how fast they move"),
    ("forge.default_branch", "which branch `gather` looks at: the workflows that are seen there are in the plan"),
];

/// Changes of the train file.
pub(super) const TRAIN_FLIPS: &[(&str, &str, &str)] = &[
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
    ("advisory.affected.versions", "\"< 1.0.5\"", "\"< 1.0.4\""),
    ("advisory.affected.package", "package = \"sample\"", "package = \"simple\""),
    ("advisory.affected.ecosystem", "ecosystem = \"rust\"", "ecosystem = \"npm\""),
    ("advisory.affected.patched", "patched = \"1.0.5\"", "patched = \"1.0.6\""),
    ("line.branch", "branch = \"release-1.0.0\"", "branch = \"release-2.0.0\""),
    ("line.kind", "kind = \"release\"\nto = \"patch\"", "kind = \"carry\""),
    ("line.to", "to = \"patch\"", "to = \"minor\""),
    ("line.patches", "patches = \"patches\"", "patches = \"fixes\""),
];

/// Changes of a line whose patches are a branch of a private remote.
pub(super) const REMOTE_FLIPS: &[(&str, &str, &str)] = &[
    ("line.patches.remote", "private.git", "other.git"),
    ("line.patches.branch", "branch = \"fix\"", "branch = \"fixes\""),
];

/// Keys of the train file that decide what `gather` sees, which is in the plan.
pub(super) const SEEN: &[&str] =
    &["line.branch", "line.to", "line.patches", "line.patches.remote", "line.patches.branch"];
