//! How a project bumps its version: the `[version]` table of `lifeboat.toml`.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::formats::template::{Values, render};
use crate::table::{Type, Written, keys};

keys! {
    /// The `[version]` table. It is read from the configuration and stored in the plan as it is.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct VersionRules {
        /// The tag of a release, with `{version}`.
        pub tag: String = r#""v{version}""#,
        /// The manifests at which the workspace is entered; `members` and path dependencies lead to the others.
        pub manifests: Vec<String> = r#"["Cargo.toml"]"#,
        /// Which crates move together. Without any, all published crates must be at one version.
        pub family: Vec<Family> = "all published crates must be at one version",
        /// Published crates, by name or glob, that stay at their version.
        pub fixed: Vec<String> = "[]",
        /// What becomes of requirements on crates that move.
        pub requirements: Requirements = r#""lift""#,
        /// What becomes of unpublished crates that name their own version; those that inherit it always move along.
        pub unpublished: Unpublished = r#""keep""#,
        /// The project's bump gives the manifest of every crate that moves a final line end, if it had none.
        pub final_newline: bool = "false",
        /// Directories, by glob, whose manifests and locks stay untouched (fixtures, templates).
        pub exclude: Vec<String> = "[]",
        /// Version files beyond Cargo's own.
        pub files: Vec<VersionFile> = "[]",
        /// What is dated when a release is made.
        pub changelog: Option<Changelog> = "none",
        /// Commands that run after the bump, in its tree.
        pub after: Vec<Hook> = "[]",
    }
}

impl VersionRules {
    /// The tag of a version, as these rules name it.
    ///
    /// # Errors
    /// A placeholder that is not known.
    pub(crate) fn tag_of(&self, version: &Version) -> Result<String> {
        let version = version.to_string();
        render(&self.tag, &Values::from([("version", version.as_str())])).map_err(|unknown| {
            Error::input(format!("unknown placeholder `{{{unknown}}}` in `tag` of `[version]`: `{}`", self.tag))
                .hint("expected `{version}` only, such as `tag = \"v{version}\"`")
        })
    }
}

impl Default for VersionRules {
    fn default() -> Self {
        Self {
            tag: "v{version}".to_owned(),
            manifests: vec!["Cargo.toml".to_owned()],
            family: Vec::new(),
            fixed: Vec::new(),
            requirements: Requirements::Lift,
            unpublished: Unpublished::Keep,
            final_newline: false,
            exclude: Vec::new(),
            files: Vec::new(),
            changelog: None,
            after: Vec::new(),
        }
    }
}

keys! {
    /// Crates that share one version. The first family's version is the project's.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Family {
        /// The crate whose version is the family's. A line of the project that has no such crate, or does not publish it,
        /// has no such family; the first family must be there.
        pub of: String,
        /// Its members, by name or glob; by default every published crate at that version.
        #[serde(default)]
        pub crates: Vec<String> = "every published crate at that version",
        /// The versions of the project for which it moves, such as `>=25`; for others its crates stay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub when: Option<semver::VersionReq> = "all versions",
        /// The step that it takes with each release of the project, where that is not the project's own: libraries that take a
        /// minor step with each patch of a tool. The first family takes the step that is asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub step: Option<FamilyStep> = "the project's own",
    }
}

/// A step of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FamilyStep {
    /// 1.2.3 to 1.2.4.
    Patch,
    /// 1.2.3 to 1.3.0.
    Minor,
    /// 1.2.3 to 2.0.0.
    Major,
}

impl FamilyStep {
    /// The step from `old` to `new`, if it is one of these.
    #[must_use]
    pub fn between(old: &Version, new: &Version) -> Option<Self> {
        [Self::Patch, Self::Minor, Self::Major].into_iter().find(|step| step.apply(old) == *new)
    }

    /// The version after `old`.
    #[must_use]
    pub fn apply(self, old: &Version) -> Version {
        match self {
            Self::Patch => Version::new(old.major, old.minor, old.patch + 1),
            Self::Minor => Version::new(old.major, old.minor + 1, 0),
            Self::Major => Version::new(old.major + 1, 0, 0),
        }
    }
}

/// What becomes of a requirement that a manifest puts on a crate that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirements {
    /// One that names the old version names the new one: `=` stays `=`, caret stays caret, `*` stays.
    #[default]
    Lift,
    /// It stays as long as it admits the new version.
    Keep,
}

/// What becomes of an unpublished crate that names its own version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unpublished {
    /// It stays.
    #[default]
    Keep,
    /// It moves if it is at a family's version.
    Move,
}

keys! {
    /// A file outside Cargo's that carries the version.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct VersionFile {
        /// Where it lies; with `*`, `?` or `**`, all files there whose style fits.
        pub path: String,
        /// How the version stands in it.
        pub style: VersionStyle,
        /// Whose version: a crate's name; by default the project's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub krate as "crate": Option<String> = "the project's",
        /// For the style `text`: what surrounds the version, such as `rev: v{version}`; also `{major}`, `{minor}`, `{patch}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pattern: Option<String>,
        /// The versions of the project that have it, such as `>=7`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub when: Option<semver::VersionReq> = "all versions",
    }
}

/// How a version stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionStyle {
    /// `#define X_VERSION "1.2.3"` and `#define X_VERSION_MAJOR 1`, `…_MINOR`, `…_PATCH`.
    CHeader,
    /// `[project] version` (or `[tool.poetry] version`) and `[tool.towncrier] version` of a `pyproject.toml`.
    Pyproject,
    /// `version` at the top of a `package.json`, or twice at the top of a `package-lock.json`.
    PackageJson,
    /// Cargo dependency snippets: `name = "1.2.3"`, `name = { version = "1.2.3" }`.
    Snippet,
    /// `html_root_url = "https://docs.rs/name/1.2.3"`.
    HtmlRootUrl,
    /// The whole file is the version.
    Plain,
    /// Wherever `pattern` matches with the old version; without a pattern, in lines that are marked
    /// `x-release-version`.
    Text,
}

keys! {
    /// What a release changes in a changelog.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Changelog {
        /// Where it lies; `{dir}` stands for the directory of each crate that moves and has one.
        pub path: String,
        /// What an unreleased section says: `Unreleased`.
        pub unreleased: String,
        /// What it says afterwards, with `{date}` (2026-01-31), `{date:%B %d, %Y}` or `{version}`: `Released {date}`; `{{` is a
        /// brace.
        pub released: String,
        /// What it means that a version has no section and none says `unreleased`.
        #[serde(default)]
        pub missing: OnFailure = r#""stop""#,
        /// What then stands before the section, such as an empty heading for the next changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub insert: Option<String> = "nothing",
        /// Where the release notes of a version end: `^text` for a line that starts so, or a text that a line contains; by
        /// default at the next heading of that level.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub notes_until: Option<String> = "the next heading of that level",
    }
}

keys! {
    /// A project's own command, run as an isolated job in the bumped tree.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Hook {
        /// A line for `sh -c`.
        pub run: String,
        /// Needs the network: strangers could learn of the release, so an embargoed train refuses it.
        #[serde(default)]
        pub network: bool = "false",
        /// What its failure means.
        #[serde(default)]
        pub on_failure: OnFailure = r#""stop""#,
    }
}

/// What a hook's failure, or a missing section, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The bump fails.
    #[default]
    Stop,
    /// It is said, and the bump goes on.
    Warn,
}

macro_rules! words {
    ($($type:ty: $($word:literal)+;)*) => {
        $(impl Written for $type {
            const TYPE: Type = Type::Text;
            const WORDS: &'static [&'static str] = &[$($word),+];
        })*

        #[cfg(test)]
        #[test]
        fn words_are_those_that_serde_takes() {
            $(
                let wrong = serde_json::from_str::<$type>("\"no such word\"").unwrap_err().to_string();
                let taken: Vec<&str> = wrong.split('`').skip(3).step_by(2).collect();
                assert_eq!(taken, <$type as Written>::WORDS, "{}", stringify!($type));
            )*
        }
    };
}

words! {
    FamilyStep: "patch" "minor" "major";
    Requirements: "lift" "keep";
    Unpublished: "keep" "move";
    VersionStyle: "c-header" "pyproject" "package-json" "snippet" "html-root-url" "plain" "text";
    OnFailure: "stop" "warn";
}
