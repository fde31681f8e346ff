//! From the configuration to the jobs of one line: templates filled in for its version, branch and tag. Pure.

mod inputs;

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::reserved::reserved;
use super::settings::{ArtifactTemplate, AssembleConfig, AssembleFrom, Config, Presence, TargetConfig};
use crate::error::{Error, Result};
use crate::formats::glob;
use crate::formats::template::{Values, render};
use crate::model::{ArtifactName, BranchName, TagName, TargetName};
use crate::step::{ArtifactPath, Isolation, Job};

/// What the configuration says of a version that a line ships. It is made where it is needed and never kept with what was
/// seen: a plan of today's configuration has today's names, also where it is made again from facts of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineValues {
    /// The line.
    pub branch: BranchName,
    /// The version that it ships.
    pub version: Version,
    /// The tag of that version.
    pub tag: TagName,
    /// How the names of the source archive and the git bundle begin: with a `v` before the version where the project's tags
    /// have one.
    pub stem: String,
}

impl LineValues {
    /// Those of `version` on the line `branch`.
    ///
    /// # Errors
    /// A tag that git does not take.
    pub fn new(config: &Config, branch: &BranchName, version: &Version) -> Result<Self> {
        let tag = TagName::new(config.version.tag_of(version)?)?;
        let v = if config.version.tag.contains("v{version}") { "v" } else { "" };
        let stem = format!("{}-{v}{version}", config.project.name);
        Ok(Self { branch: branch.clone(), version: version.clone(), tag, stem })
    }
}

/// What a job is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobKind {
    /// It builds a target.
    Target,
    /// It joins the artifacts of targets.
    Assemble {
        /// Each target with the directory, relative to the root of the source, into which its artifacts are put.
        from: Vec<(TargetName, String)>,
    },
}

/// A job of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedJob {
    /// The target's or the assembly's name; unique within its kind, and among the jobs that have a test.
    pub name: TargetName,
    /// What it is for.
    pub kind: JobKind,
    /// What builds or joins.
    pub build: Job,
    /// What tests the result, without network, if anything does.
    pub test: Option<Job>,
    /// Whether its artifacts are part of the release; those of a target that an assembly takes are not.
    pub published: bool,
}

/// The jobs of a line: the targets that it builds, then its assemblies, in the order of the file.
///
/// # Errors
/// A template without a value, an artifact with an impossible or reserved name, two artifacts of one name (upper and
/// lower case count as one), an assembly that takes what the line does not build.
pub fn jobs(config: &Config, line: &LineValues) -> Result<Vec<PlannedJob>> {
    let built: Vec<&TargetConfig> = config.targets.iter().filter(|t| on_line(&t.branches, line)).collect();
    let is_built = |name: &TargetName| built.iter().any(|t| t.name == *name);
    let mut assembled: Vec<(&AssembleConfig, Vec<&AssembleFrom>)> = Vec::new();
    for assembly in config.assemblies.iter().filter(|a| on_line(&a.recipe.branches, line)) {
        let taken: Vec<&AssembleFrom> = assembly.from.iter().filter(|f| is_built(&f.target)).collect();
        if taken.is_empty() {
            continue;
        }
        if let Some(missing) = assembly.from.iter().find(|f| f.presence == Presence::Required && !is_built(&f.target)) {
            let hint = "give both the same `branches`, or take the target by a pattern";
            return Err(Error::input(format!(
                "assembly `{}` takes target `{}`, which branch `{}` does not build",
                assembly.name, missing.target, line.branch
            ))
            .hint(hint));
        }
        assembled.push((assembly, taken));
    }

    let consumed: BTreeSet<&TargetName> =
        assembled.iter().flat_map(|(_, taken)| taken.iter().map(|f| &f.target)).collect();
    let mut out = Vec::new();
    for target in &built {
        let build = build_job(config, line, target, &|_| true)?;
        let test = test_job(config, line, target, &build)?;
        let published = !consumed.contains(&target.name);
        out.push(PlannedJob { name: target.name.clone(), kind: JobKind::Target, build, test, published });
    }
    for (assembly, taken) in &assembled {
        let is_taken = |name: &TargetName| taken.iter().any(|f| f.target == *name);
        let build = build_job(config, line, &assembly.recipe, &is_taken)?;
        let from = layout(config, line, (assembly, &build), taken, &out)?;
        let test = test_job(config, line, &assembly.recipe, &build)?;
        let kind = JobKind::Assemble { from };
        out.push(PlannedJob { name: assembly.name.clone(), kind, build, test, published: true });
    }
    check_published(&out)?;
    check_tests(&out)?;
    Ok(out)
}

fn on_line(branches: &[String], line: &LineValues) -> bool {
    branches.is_empty() || branches.iter().any(|b| glob::matches_name(b, line.branch.as_str()))
}

/// Fills in the templates of one target or assembly.
struct Fill<'a> {
    recipe: &'a TargetConfig,
    project: &'a str,
    branch: &'a str,
    tag: &'a str,
    version: String,
}

impl<'a> Fill<'a> {
    fn new(config: &'a Config, line: &'a LineValues, recipe: &'a TargetConfig) -> Self {
        Self {
            recipe,
            project: config.project.name.as_str(),
            branch: line.branch.as_str(),
            tag: line.tag.as_str(),
            version: line.version.to_string(),
        }
    }

    fn values(&self) -> Values<'_> {
        Values::from([
            ("name", self.recipe.name.as_str()),
            ("base", self.recipe.base.as_str()),
            ("variant", self.recipe.variant.as_str()),
            ("triple", self.recipe.triple.as_str()),
            ("version", self.version.as_str()),
            ("branch", self.branch),
            ("project", self.project),
            ("tag", self.tag),
        ])
    }

    fn text(&self, template: &str, from: Option<&TargetName>) -> Result<String> {
        let mut values = self.values();
        if let Some(from) = from {
            values.insert("from", from.as_str());
        }
        render(template, &values).map_err(|unknown| {
            Error::input(format!("`{}`: unknown placeholder `{{{unknown}}}` in `{template}`", self.recipe.name))
        })
    }

    fn texts(&self, templates: &[String]) -> Result<Vec<String>> {
        templates.iter().map(|t| self.text(t, None)).collect()
    }

    fn env(&self) -> Result<BTreeMap<String, String>> {
        self.recipe.env.iter().map(|(name, value)| Ok((name.clone(), self.text(value, None)?))).collect()
    }

    fn artifact(&self, template: &ArtifactTemplate) -> Result<ArtifactPath> {
        let path = self.text(&template.path, template.from.as_ref())?;
        let of = &self.recipe.name;
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if path.contains(['\\', '\0']) || !path.split('/').all(plain) {
            return Err(Error::input(format!("`{of}`: `{path}` is not the path of an artifact"))
                .hint("write a path below the source's root, such as `dist/name.tar.gz`"));
        }
        let plain_name = path.rsplit('/').next().unwrap_or_default();
        let name = ArtifactName::new(plain_name).map_err(|e| Error::from(e).context(format!("`{of}`")))?;
        if let Some(why) = reserved(plain_name) {
            return Err(Error::input(format!("`{of}`: an artifact cannot be named `{name}`: {why}"))
                .hint("give the artifact another name"));
        }
        Ok(ArtifactPath { path, name })
    }
}

fn build_job(
    config: &Config,
    line: &LineValues,
    recipe: &TargetConfig,
    is_taken: &dyn Fn(&TargetName) -> bool,
) -> Result<Job> {
    let fill = Fill::new(config, line, recipe);
    let made = recipe.artifacts.iter().filter(|a| a.from.as_ref().is_none_or(is_taken));
    let artifacts = made.map(|a| fill.artifact(a)).collect::<Result<Vec<_>>>()?;
    let mut seen: BTreeMap<String, &ArtifactPath> = BTreeMap::new();
    for artifact in &artifacts {
        if let Some(first) = seen.insert(artifact.name.as_str().to_ascii_lowercase(), artifact) {
            return Err(Error::input(format!(
                "`{}`: two artifacts have the name `{}`: `{}` and `{}`",
                recipe.name, artifact.name, first.path, artifact.path
            ))
            .hint("names that differ in upper and lower case only are one name on some systems"));
        }
    }
    let inputs = inputs::of(config, recipe)?;
    inputs::check(recipe, &inputs, artifacts.iter().map(|artifact| artifact.path.as_str()))?;
    Ok(Job {
        run: fill.texts(&recipe.run)?,
        labels: recipe.labels.clone(),
        env: fill.env()?,
        pass_env: recipe.pass_env.clone(),
        secret_env: recipe.secret_env.clone(),
        isolation: if recipe.network { Isolation::Network } else { Isolation::NoNetwork },
        timeout_s: recipe.timeout_s,
        artifacts,
        inputs,
    })
}

/// A test sees no secret and no network: it runs what was built, which is put into `dist/`.
fn test_job(config: &Config, line: &LineValues, recipe: &TargetConfig, built: &Job) -> Result<Option<Job>> {
    if recipe.test.is_empty() {
        return Ok(None);
    }
    let fill = Fill::new(config, line, recipe);
    let made: Vec<String> = built.artifacts.iter().map(|artifact| format!("dist/{}", artifact.name)).collect();
    inputs::check(recipe, &built.inputs, made.iter().map(String::as_str))?;
    Ok(Some(Job {
        run: fill.texts(&recipe.test)?,
        labels: recipe.labels.clone(),
        env: fill.env()?,
        pass_env: recipe.pass_env.clone(),
        secret_env: BTreeMap::new(),
        isolation: Isolation::NoNetwork,
        timeout_s: recipe.timeout_s,
        artifacts: Vec::new(),
        inputs: built.inputs.clone(),
    }))
}

/// The directory of each target taken; refuses two files at one path.
fn layout(
    config: &Config,
    line: &LineValues,
    (assembly, job): (&AssembleConfig, &Job),
    taken: &[&AssembleFrom],
    targets: &[PlannedJob],
) -> Result<Vec<(TargetName, String)>> {
    let fill = Fill::new(config, line, &assembly.recipe);
    let mut out = Vec::new();
    let mut files: BTreeMap<String, &TargetName> = BTreeMap::new();
    for from in taken {
        let dir = fill.text(&from.dir, Some(&from.target))?;
        let artifacts = targets
            .iter()
            .filter(|j| j.kind == JobKind::Target && j.name == from.target)
            .flat_map(|j| j.build.artifacts.iter());
        for artifact in artifacts {
            let file = format!("{dir}/{}", artifact.name);
            if let Some(first) = files.insert(file.to_ascii_lowercase(), &from.target) {
                return Err(Error::input(format!(
                    "assembly `{}` would put `{file}` of both `{first}` and `{}` into one place",
                    assembly.name, from.target
                ))
                .hint("give each target a directory of its own: `layout = \"bins-{from}\"`"));
            }
        }
        out.push((from.target.clone(), dir));
    }
    inputs::check(&assembly.recipe, &job.inputs, files.keys().map(String::as_str))?;
    Ok(out)
}

fn check_published(jobs: &[PlannedJob]) -> Result<()> {
    let mut seen: BTreeMap<String, &PlannedJob> = BTreeMap::new();
    for job in jobs.iter().filter(|j| j.published) {
        for artifact in &job.build.artifacts {
            if let Some(first) = seen.insert(artifact.name.as_str().to_ascii_lowercase(), job) {
                return Err(Error::input(format!(
                    "`{}` and `{}` both leave an artifact named `{}`",
                    job.name, first.name, artifact.name
                ))
                .hint("put `{name}` into the artifact's name, or join the two in an `[[assemble]]`"));
            }
        }
    }
    Ok(())
}

fn check_tests(jobs: &[PlannedJob]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for job in jobs.iter().filter(|j| j.test.is_some()) {
        if !seen.insert(&job.name) {
            return Err(Error::input(format!("a target and an assembly, both with `test`, are named `{}`", job.name))
                .hint("give the assembly a name of its own, or test only one of them"));
        }
    }
    Ok(())
}
