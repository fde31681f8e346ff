//! The files as they are written: one struct per table, spans kept, unknown keys refused. Nothing is checked beyond
//! shape and type; [`super::resolve`] does that. The doc comments are the reference of the keys.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::table::{Moment, OfKind, OneOrMany, RawSecret, Text, TextOr, Texts, keys};

keys! {
    /// The project: its name, where its clone is, who commits.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawProject {
        /// The project's name: letters, digits, `-`, `_` and `.`. It names the directory of its trains.
        pub(super) name: Text,
        /// A pattern over the branches that may be released, such as `release-*`.
        pub(super) branches: Option<Text> = r#""*""#,
        /// The clone of the project, relative to this file.
        pub(super) repository: Option<Text> = "the directory of this file",
        /// Who makes the bump commits and tags: `Name <address>`.
        pub(super) committer: Text,
        /// The directory of `trust.json` and the certificates, relative to this file.
        pub(super) keys: Option<Text> = r#""keys""#,
        /// The directory of the project's own templates, relative to this file.
        pub(super) templates: Option<Text> = r#""release-templates""#,
    }

    /// A file from elsewhere that builds need, such as a toolchain or an SDK. `lifeboat inputs fetch` gets it ahead of the day,
    /// and each job that names it finds exactly these bytes.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawInput {
        /// Its name.
        pub(super) name: Text,
        /// Where it is fetched from, without credentials: `https://…`, or a file of this machine, relative to this file.
        pub(super) url: Text,
        /// SHA-256 of its bytes, in lowercase hexadecimal.
        pub(super) sha256: Text,
        /// Where a job finds it, relative to the source's root. It is a plain file: a program needs `chmod +x` first.
        pub(super) path: Option<Text> = "`inputs/` and the last part of `url`",
    }

    /// What the source bundle holds.
    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawBundle {
        /// Whether third-party crates are vendored.
        pub(super) vendor: Option<bool> = "false",
        /// The cargo home into which the crates were fetched ahead, relative to this file.
        pub(super) cargo_home: Option<Text> = "the user's own",
        /// Submodules that are left out, by path.
        pub(super) without_submodules: Option<Vec<Text>> = "[]",
    }
}

macro_rules! with_recipe_keys {
    ($(#[doc = $doc:literal])+ $name:ident {
        $($(#[doc = $about:literal])+ $key:ident: $type:ty $(= $default:literal)?,)*
    }) => {
        keys! {
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(super) struct $name {
                $($(#[doc = $about])+ pub(super) $key: $type $(= $default)?,)*
                /// What the runner must have; one `[[runner]]` must have all of them.
                labels: Option<Vec<Text>> = "[]",
                /// The environment of its commands; values are templates.
                env: Option<Texts> = "{}",
                /// Variables that are taken over from the environment of `lifeboat`, by name.
                pass_env: Option<Vec<Text>> = "[]",
                /// Variables whose values are secrets, each with where its value is found. They are masked in logs.
                secret_env: Option<BTreeMap<Text, RawSecret>> = "{}",
                /// Command lines for `sh`; templates over `{name}`, `{version}`, `{branch}`, `{project}` and `{tag}`, in a
                /// target also over `{base}`, `{variant}` and `{triple}`.
                run: Option<Vec<Text>>,
                /// Command lines that test what was built, without network.
                test: Option<Vec<Text>> = "[]",
                /// Paths of what it leaves, relative to the source's root; templates.
                artifacts: Option<Vec<Spanned<RawArtifact>>>,
                /// Files from elsewhere that it needs, each by the name of its `[[input]]`; its tests find them too.
                inputs: Option<Vec<Text>> = "[]",
                /// Whether its commands may use the network.
                network: Option<bool> = "false",
                /// How long it may take: `90s`, `45m`, `1h 30m`; at most `168h`.
                timeout: Option<Text> = r#""2h""#,
            }
        }

        impl $name {
            /// The part of the table that says what is run.
            pub(super) fn recipe_keys(&self) -> RawRecipe {
                RawRecipe {
                    labels: self.labels.clone(),
                    env: self.env.clone().unwrap_or_default(),
                    pass_env: self.pass_env.clone(),
                    secret_env: self.secret_env.clone().unwrap_or_default(),
                    run: self.run.clone(),
                    test: self.test.clone(),
                    artifacts: self.artifacts.clone(),
                    inputs: self.inputs.clone(),
                    network: self.network,
                    timeout: self.timeout.clone(),
                }
            }
        }
    };
}

with_recipe_keys! {
    /// Keys that several targets or assemblies share; a table that names the recipe may set them again.
    RawNamedRecipe {}
}
with_recipe_keys! {
    /// One build, or one for each of `each` times `variants`.
    RawTarget {
        /// Its name, `{name}` in templates.
        name: Option<Text> = "see `each`",
        /// The platform triple, `{triple}` in templates.
        triple: Option<Text> = "none: it is built once, for no platform",
        /// Names with their triples, instead of `name` and `triple`: one target for each.
        each: Option<Texts>,
        /// Suffixes of the name, `{variant}` in templates: one target for each.
        variants: Option<Vec<Spanned<RawVariant>>> = r#"[""]"#,
        /// The `[recipe.<name>]` over which this table's keys are laid.
        recipe: Option<Text> = "none",
        /// The lines that build it, as patterns over branches.
        branches: Option<Spanned<OneOrMany>> = "all lines",
    }
}
with_recipe_keys! {
    /// A job that makes artifacts of those of targets, which are then not published themselves.
    RawAssemble {
        /// Its name, `{name}` in templates.
        name: Option<Text> = "see `each`",
        /// Names, instead of `name`: one assembly for each.
        each: Option<Vec<Text>>,
        /// The targets that it takes, by name or pattern; a template over `{name}`.
        from: Vec<Text>,
        /// The directory into which a target's artifacts are put: a template over `{from}`, or a table of patterns over
        /// targets, the first that matches counts.
        layout: Option<Spanned<TextOr<Texts>>> = r#""{from}""#,
        /// The `[recipe.<name>]` over which this table's keys are laid.
        recipe: Option<Text> = "none",
        /// The lines that make it, as patterns over branches.
        branches: Option<Spanned<OneOrMany>> = "all lines",
    }
}
with_recipe_keys! {
    /// A variant that also changes the recipe.
    RawVariantTable {
        /// What it adds to the name; may be empty.
        suffix: Text,
    }
}

/// A variant: a suffix of the name, or a table that also changes the recipe.
pub(super) type RawVariant = TextOr<Box<RawVariantTable>>;

/// An artifact: a path, or a path that is made for some names only.
pub(super) type RawArtifact = TextOr<RawArtifactTable>;

keys! {
    /// An artifact that is made for some names only.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawArtifactTable {
        /// Its path; in an assembly a template over `{from}` too.
        pub(super) path: Text,
        /// Patterns over the names of this table, in an assembly over the targets that it takes.
        pub(super) r#for: Vec<Text>,
    }
}

/// What is run, where and what it leaves; of one table or of several laid over each other.
#[derive(Debug, Clone, Default)]
pub(super) struct RawRecipe {
    pub(super) labels: Option<Vec<Text>>,
    pub(super) env: Texts,
    pub(super) pass_env: Option<Vec<Text>>,
    pub(super) secret_env: BTreeMap<Text, RawSecret>,
    pub(super) run: Option<Vec<Text>>,
    pub(super) test: Option<Vec<Text>>,
    pub(super) artifacts: Option<Vec<Spanned<RawArtifact>>>,
    pub(super) inputs: Option<Vec<Text>>,
    pub(super) network: Option<bool>,
    pub(super) timeout: Option<Text>,
}

impl RawRecipe {
    /// Lays `over` on top: its keys win, except that environments are joined variable by variable.
    pub(super) fn overlay(mut self, over: Self) -> Self {
        for (name, value) in over.env {
            self.env.retain(|n, _| n.get_ref() != name.get_ref());
            self.env.insert(name, value);
        }
        for (name, value) in over.secret_env {
            self.secret_env.retain(|n, _| n.get_ref() != name.get_ref());
            self.secret_env.insert(name, value);
        }
        Self {
            labels: over.labels.or(self.labels),
            env: self.env,
            pass_env: over.pass_env.or(self.pass_env),
            secret_env: self.secret_env,
            run: over.run.or(self.run),
            test: over.test.or(self.test),
            artifacts: over.artifacts.or(self.artifacts),
            inputs: over.inputs.or(self.inputs),
            network: over.network.or(self.network),
            timeout: over.timeout.or(self.timeout),
        }
    }
}

keys! {
    /// Where jobs run.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawRunner {
        /// Its name.
        pub(super) name: Text,
        /// The kind of runner.
        pub(super) kind: Text,
        /// What it has; a target runs where all of its labels are.
        pub(super) labels: Option<Vec<Text>> = "the system and the processor of this machine, such as `linux` and `x86_64`",
        /// How many jobs run at a time: 1 to 1024.
        pub(super) slots: Option<Spanned<i64>> = "the machine's processors",
        /// How long a job stays with the runner while that does not answer; then it goes to another one, or is tried again there.
        pub(super) lease: Option<Text> = r#""5m""#,
    }

    /// Storage of the project's own, from which a release is fetched.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawStore {
        /// Its name.
        pub(super) name: Text,
        /// Where it is: the scheme chooses the kind; a path alone is a directory, relative to this file.
        pub(super) url: Text,
        /// Where strangers find it, for pages and messages: `https://…`, `http://…` or `file:///…`.
        pub(super) public_url: Option<Text> = "`url`",
        /// How what is staged there is kept from strangers: by the store's access control, or encrypted to the people of the trust
        /// root. Encrypted files are uploaded a second time, as they are, when they become public.
        pub(super) staging: Option<Text> ["private", "encrypted"] = r#""private""#,
        /// Whether the train is *released* only when this store has it.
        pub(super) required: Option<bool> = "true; with `stores` in `[release]`, the store counts for that number instead",
        /// How many files are moved at once, by all steps together: 1 to 64.
        pub(super) transfers: Option<Spanned<i64>> = "8",
        /// How much is moved in a second, in both directions together, such as `10 MB/s`.
        pub(super) rate_limit: Option<Text> = "as much as the connection takes",
    }

    /// When a train is *released*.
    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawRelease {
        /// How many of the stores that do not say `required` must have the train: `2 of 3`. The others get it later.
        pub(super) stores: Option<Text> = "every store that does not say `required = false`",
        /// The addresses of mirrors that others run: the signed list of mirrors in each store names them beside the stores.
        pub(super) mirrors: Option<Vec<Text>> = "[]",
    }

    /// A git repository to which branches and tags are pushed.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawRemote {
        /// Its name.
        pub(super) name: Text,
        /// What `git push` takes; a path is relative to this file.
        pub(super) url: Text,
        /// How branches get there: one word for all, or a table of patterns over branches, the first that matches counts.
        pub(super) push: Option<Spanned<TextOr<Texts>>> ["direct", "pull-request"] = r#""direct""#,
        /// Whether the train is *released* only when this remote has it.
        pub(super) required: Option<bool> = "false",
    }

    /// A forge that shows the releases.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawForge {
        /// The repository there: `owner/name`.
        pub(super) repository: Text,
        /// The `[[remote]]` that is this repository's git: releases wait until the tags are pushed there.
        pub(super) remote: Option<Text> = "none",
        /// Its default branch: some events start that branch's copy of a workflow.
        pub(super) default_branch: Option<Text> = "as the clone says",
        /// What becomes of the project's own workflows that a release would start, by file name.
        pub(super) triggers: Option<Texts> ["adopt", "suppress", "accept"] = "{}",
        /// Who may see drafts there. `writers`: advisory drafts may hold embargoed text before the gate.
        pub(super) draft_audience: Option<Text> ["anyone", "writers"] = r#""anyone""#,
        /// Whether it shows the train's security advisories.
        pub(super) advisories: Option<Spanned<bool>> = "true where the forge holds advisories",
        /// Whether the train is *released* only when this forge has it.
        pub(super) required: Option<bool> = "false",
    }

    /// The keys that sign.
    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "the adapters of signers read the tables; here they are listed")]
    pub(super) struct RawSigning {
        /// Signs tags and artifacts.
        pub(super) release: Option<OfKind>,
        /// Signs indexes.
        pub(super) freshness: Option<OfKind>,
        /// Signs journal records.
        pub(super) operator: Option<OfKind> = "a key that is made in the state directory",
        /// Keys with which people approve on this machine, by person.
        pub(super) people: Option<BTreeMap<Text, OfKind>> = "{}",
        /// Whether each artifact gets a signature of the release key.
        pub(super) sign_artifacts: Option<bool> = "false",
    }
}

keys! {
    /// What the train is about.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawTrain {
        /// The train's name.
        pub(super) name: Text,
        /// The time stamped into commits, tags and archives: RFC 3339 with an offset, or a date for 00:00 UTC.
        pub(super) date: Moment,
        /// The end of the embargo: nothing is public before.
        pub(super) not_before: Option<Moment> = "none: the gate opens when people approved",
        /// The identifiers of the advisories that the train fixes; those of `[[advisory]]` are added.
        pub(super) advisories: Option<Vec<Text>> = "[]",
    }

    /// The text of an advisory, for forges that show advisories, and for pages and notes.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawAdvisory {
        /// Its identifier, such as `GHSA-aaaa-bbbb-cccc`.
        pub(super) id: Text,
        /// One line, at most 1024 characters.
        pub(super) summary: Text,
        /// Markdown, at most 65535 characters.
        pub(super) description: Text,
        /// How severe it is; or give `cvss`.
        pub(super) severity: Option<Text> ["low", "medium", "high", "critical"],
        /// A CVSS vector, `CVSS:3.1/…` or `CVSS:4.0/…`; or give `severity`.
        pub(super) cvss: Option<Text>,
        /// Kinds of weakness, such as `CWE-79`.
        pub(super) cwes: Option<Vec<Text>> = "[]",
        /// Its CVE number, or `request` to ask the forge for one.
        pub(super) cve: Option<Text> = "none",
        /// Which versions of which packages are affected, one entry for each range.
        pub(super) affected: Vec<RawAffected>,
    }

    /// One range of versions that an advisory affects.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawAffected {
        /// The package.
        pub(super) package: Text,
        /// Where it is published, such as `rust` or `npm`.
        pub(super) ecosystem: Option<Text> = r#""rust""#,
        /// A range: `< 24.0.9` or `>= 25.0.0, < 36.0.14`.
        pub(super) versions: Text,
        /// The first version that is fixed.
        pub(super) patched: Option<Text> = "none",
    }

    /// One release branch of the train.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawLine {
        /// The branch.
        pub(super) branch: Text,
        /// What happens on it: a release, the first release after a candidate, a candidate, or the fix without a version.
        pub(super) kind: Option<Text> ["release", "first", "candidate", "carry"] = r#""release""#,
        /// The step of its version: `patch`, `minor`, `rc`, `release` or a version.
        pub(super) to: Option<Text> = "the usual step of its kind",
        /// A directory of mailbox files or one mailbox, relative to this file, or a branch of a private remote.
        pub(super) patches: Option<Spanned<TextOr<RawRemoteSeries>>> = "none: the version bump alone",
    }

    /// The commits of a private remote's branch that the line does not have.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawRemoteSeries {
        /// What `git fetch` takes; a path is relative to this file.
        pub(super) remote: Text,
        /// The branch there.
        pub(super) branch: Text,
    }
}
