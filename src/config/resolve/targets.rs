//! `[[target]]` and `[[assemble]]`: one table becomes one build for each name and variant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::super::expand::{self, LineValues};
use super::super::raw::{RawArtifact, RawAssemble, RawInput, RawNamedRecipe, RawRecipe, RawTarget, RawVariant};
use super::super::settings::{ArtifactTemplate, AssembleConfig, AssembleFrom, Config, Presence, TargetConfig};
use super::inputs::Inputs;
use super::recipe::{self, Recipe, check_template};
use super::{branch_patterns, no_effect};
use crate::formats::glob;
use crate::formats::template::{Values, render};
use crate::model::{BranchName, TargetName};
use crate::table::{Fault, Faults, Text, TextOr, Texts, did_you_mean, grammar_fault, in_order, one_of};

const IN_TARGET: [&str; 8] = ["name", "base", "variant", "triple", "version", "branch", "project", "tag"];
const IN_ASSEMBLY: [&str; 5] = ["name", "version", "branch", "project", "tag"];
const WITH_FROM: [&str; 6] = ["name", "from", "version", "branch", "project", "tag"];

/// What target and assembly tables are read against.
pub(super) struct Tables<'a> {
    recipes: BTreeMap<&'a str, (&'a Text, RawRecipe)>,
    used: BTreeSet<String>,
    inputs: Inputs<'a>,
    offered: Vec<BTreeSet<String>>,
    base: &'a Path,
}

impl<'a> Tables<'a> {
    pub(super) fn new(
        named: &'a [(Text, RawNamedRecipe)],
        inputs: &'a [(Range<usize>, RawInput)],
        offered: Vec<BTreeSet<String>>,
        base: &'a Path,
    ) -> Self {
        let recipes = named.iter().map(|(name, raw)| (name.get_ref().as_str(), (name, raw.recipe_keys()))).collect();
        Self { recipes, used: BTreeSet::new(), inputs: Inputs::new(inputs), offered, base }
    }

    /// Refuses named recipes that nothing uses, whose faults would stay hidden, and inputs that nothing needs.
    pub(super) fn unused(&self, faults: &mut Faults) {
        for (name, (text, _)) in &self.recipes {
            if !self.used.contains(*name) {
                let message = format!("no target and no assembly uses the recipe `{name}`");
                faults.add(Fault::new(
                    text.span(),
                    message,
                    format!("write `recipe = \"{name}\"` in one, or remove it"),
                ));
            }
        }
        self.inputs.unused(faults);
    }

    /// The named recipe of a table, which the table's own keys are laid over.
    fn under(&mut self, name: Option<&Text>, faults: &mut Faults) -> RawRecipe {
        let Some(name) = name else { return RawRecipe::default() };
        self.used.insert(name.get_ref().clone());
        if let Some((_, raw)) = self.recipes.get(name.get_ref().as_str()) {
            return raw.clone();
        }
        let known = self.recipes.keys().copied();
        let fault = Fault::new(
            name.span(),
            format!("there is no recipe `{}`", name.get_ref()),
            format!("valid here: {}", one_of(known.clone())),
        );
        faults.add(match did_you_mean(name.get_ref(), known) {
            Some(meant) => fault.help(format!("did you mean `{meant}`?")),
            None => fault.help(format!("add the table `[recipe.{}]`", name.get_ref())),
        });
        RawRecipe::default()
    }

    /// All targets, in the order of the file.
    pub(super) fn targets(&mut self, tables: &[(Range<usize>, RawTarget)], faults: &mut Faults) -> Vec<TargetConfig> {
        let mut out = Vec::new();
        let mut seen = BTreeMap::new();
        for (span, table) in tables {
            let under = self.under(table.recipe.as_ref(), faults).overlay(table.recipe_keys());
            let branches = table.branches.as_ref().map(|b| branch_patterns(b, faults)).unwrap_or_default();
            let mut used_patterns = BTreeSet::new();
            let before = out.len();
            for (base, triple) in names(span, table, faults) {
                for (suffix, variant) in variants(table.variants.as_deref()) {
                    let raw = match variant {
                        Some(TextOr::Other(over)) => under.clone().overlay(over.recipe_keys()),
                        _ => under.clone(),
                    };
                    let full = format!("{}{suffix}", base.get_ref());
                    let Some(name) = self.name(&full, &base, &mut seen, faults) else { continue };
                    let Recipe { labels, env, pass_env, secret_env, run, test, network, timeout_s } =
                        recipe::recipe(&raw, &IN_TARGET, span, self.base, faults);
                    let artifacts = target_artifacts(&raw, &full, &mut used_patterns, faults);
                    let inputs = self.inputs.taken(raw.inputs.as_deref(), faults);
                    no_effect::labels(raw.labels.as_deref(), &self.offered, faults);
                    if artifacts.is_empty() {
                        let fault =
                            Fault::new(base.span(), format!("target `{full}` leaves no artifact"), "this target");
                        faults.add(fault.help("name what it leaves, as in `artifacts = [\"dist/x.tar.gz\"]`"));
                    }
                    out.push(TargetConfig {
                        name,
                        base: base.get_ref().clone(),
                        variant: suffix,
                        triple: triple.clone(),
                        labels,
                        env,
                        pass_env,
                        secret_env,
                        run,
                        test,
                        artifacts,
                        inputs,
                        network,
                        timeout_s,
                        branches: branches.clone(),
                    });
                }
            }
            // A shared recipe may have patterns for another table's names.
            for item in table.recipe_keys().artifacts.iter().flatten() {
                if out.len() > before {
                    unused_pattern(item, &used_patterns, "name of this table", faults);
                }
            }
        }
        out
    }

    fn name(
        &self,
        full: &str,
        at: &Text,
        seen: &mut BTreeMap<String, Range<usize>>,
        faults: &mut Faults,
    ) -> Option<TargetName> {
        let name = faults.keep(TargetName::new(full).map_err(|e| grammar_fault(at.span(), &e)))?;
        if let Some(first) = seen.insert(full.to_ascii_lowercase(), at.span()) {
            let fault = Fault::new(at.span(), format!("two of a kind are named `{full}`"), "give it a name of its own");
            faults.add(fault.see(first, "the first is here"));
            return None;
        }
        Some(name)
    }

    /// All assemblies, in the order of the file.
    pub(super) fn assemblies(
        &mut self,
        tables: &[(Range<usize>, RawAssemble)],
        targets: &[TargetConfig],
        faults: &mut Faults,
    ) -> Vec<AssembleConfig> {
        let mut out = Vec::new();
        let mut seen = BTreeMap::new();
        for (span, table) in tables {
            let raw = self.under(table.recipe.as_ref(), faults).overlay(table.recipe_keys());
            let branches = table.branches.as_ref().map(|b| branch_patterns(b, faults)).unwrap_or_default();
            let each: Vec<Text> = match (&table.each, &table.name) {
                (Some(each), None) => each.clone(),
                (None, Some(name)) => vec![name.clone()],
                _ => {
                    let label = "expected `name = \"…\"`, or `each = [\"…\"]` for one assembly per name";
                    faults.add(Fault::new(span.clone(), "an assembly has a name or a list of names", label));
                    continue;
                }
            };
            for at in &each {
                let Some(name) = self.name(at.get_ref(), at, &mut seen, faults) else { continue };
                let from = takes(table, &name, targets, faults);
                let Recipe { labels, env, pass_env, secret_env, run, test, network, timeout_s } =
                    recipe::recipe(&raw, &IN_ASSEMBLY, span, self.base, faults);
                let artifacts = assembled_artifacts(&raw, &from, faults);
                let inputs = self.inputs.taken(raw.inputs.as_deref(), faults);
                no_effect::labels(raw.labels.as_deref(), &self.offered, faults);
                let recipe = TargetConfig {
                    name: name.clone(),
                    base: name.to_string(),
                    variant: String::new(),
                    triple: String::new(),
                    labels,
                    env,
                    pass_env,
                    secret_env,
                    run,
                    test,
                    artifacts,
                    inputs,
                    network,
                    timeout_s,
                    branches: branches.clone(),
                };
                out.push(AssembleConfig { name, from, recipe });
            }
        }
        out
    }
}

/// The names of a target table with their triples.
fn names(span: &Range<usize>, table: &RawTarget, faults: &mut Faults) -> Vec<(Text, String)> {
    let pairs: Vec<(Text, Text)> = match (&table.name, &table.triple, &table.each) {
        (Some(name), Some(triple), None) => vec![(name.clone(), triple.clone())],
        // A target without a platform, such as generated headers.
        (Some(name), None, None) => return vec![(name.clone(), String::new())],
        (None, None, Some(each)) if !each.is_empty() => {
            in_order(each).into_iter().map(|(name, triple)| (name.clone(), triple.clone())).collect()
        }
        _ => {
            let label = "expected `name` and `triple`, or `each = { name = \"triple\", … }` for one target per name";
            faults.add(Fault::new(span.clone(), "a target has a name and a triple, or a table of them", label));
            return Vec::new();
        }
    };
    for (_, triple) in &pairs {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
        if triple.get_ref().is_empty() || triple.get_ref().starts_with('-') || !triple.get_ref().chars().all(plain) {
            let message = format!("`{}` is not a platform triple", triple.get_ref());
            faults.add(Fault::new(triple.span(), message, "expected, for example, `x86_64-unknown-linux-gnu`"));
        }
    }
    pairs.into_iter().map(|(name, triple)| (name, triple.into_inner())).collect()
}

fn variants(raw: Option<&[Spanned<RawVariant>]>) -> Vec<(String, Option<&RawVariant>)> {
    match raw {
        None => vec![(String::new(), None)],
        Some(list) => list
            .iter()
            .map(|v| match v.get_ref() {
                TextOr::Text(suffix) => (suffix.clone(), Some(v.get_ref())),
                TextOr::Other(table) => (table.suffix.get_ref().clone(), Some(v.get_ref())),
            })
            .collect(),
    }
}

/// The artifacts of one target: those without `for`, and those whose `for` matches its name.
fn target_artifacts(
    raw: &RawRecipe,
    name: &str,
    used: &mut BTreeSet<String>,
    faults: &mut Faults,
) -> Vec<ArtifactTemplate> {
    let mut out = Vec::new();
    for item in raw.artifacts.iter().flatten() {
        let (path, patterns) = parts(item);
        check_template(path, item.span(), &IN_TARGET, faults);
        check_path(path, item.span(), faults);
        let matching: Vec<&Text> = patterns.iter().filter(|p| glob::matches_name(p.get_ref(), name)).collect();
        used.extend(matching.iter().map(|p| p.get_ref().clone()));
        if patterns.is_empty() || !matching.is_empty() {
            out.push(ArtifactTemplate { path: path.to_owned(), from: None });
        }
    }
    out
}

/// The artifacts of an assembly: those without `for` once, the others once for each target taken that matches.
fn assembled_artifacts(raw: &RawRecipe, from: &[AssembleFrom], faults: &mut Faults) -> Vec<ArtifactTemplate> {
    let mut out = Vec::new();
    for item in raw.artifacts.iter().flatten() {
        let (path, patterns) = parts(item);
        check_path(path, item.span(), faults);
        if patterns.is_empty() {
            check_template(path, item.span(), &IN_ASSEMBLY, faults);
            out.push(ArtifactTemplate { path: path.to_owned(), from: None });
            continue;
        }
        check_template(path, item.span(), &WITH_FROM, faults);
        let mut used = BTreeSet::new();
        for taken in from {
            let mut matching =
                patterns.iter().filter(|p| glob::matches_name(p.get_ref(), taken.target.as_str())).peekable();
            if matching.peek().is_some() {
                out.push(ArtifactTemplate { path: path.to_owned(), from: Some(taken.target.clone()) });
            }
            used.extend(matching.map(|p| p.get_ref().clone()));
        }
        unused_pattern(item, &used, "target that this assembly takes", faults);
    }
    if out.is_empty() {
        // An assembly consumes its targets' artifacts: one that leaves nothing would lose them.
        if let Some(first) = raw.run.as_deref().and_then(<[Text]>::first) {
            let fault = Fault::new(first.span(), "an assembly that leaves nothing", "add `artifacts = [\"…\"]`");
            faults.add(fault);
        }
    }
    out
}

fn parts(item: &Spanned<RawArtifact>) -> (&str, &[Text]) {
    match item.get_ref() {
        TextOr::Text(path) => (path, &[]),
        TextOr::Other(table) => (table.path.get_ref(), &table.r#for),
    }
}

fn unused_pattern(item: &Spanned<RawArtifact>, used: &BTreeSet<String>, of: &str, faults: &mut Faults) {
    for pattern in parts(item).1 {
        if !used.contains(pattern.get_ref()) {
            let message = format!("`{}` matches no {of}", pattern.get_ref());
            faults.add(Fault::new(pattern.span(), message, "fix the pattern or remove it"));
        }
    }
}

/// Refuses what could leave the directory of the job.
fn check_path(path: &str, span: Range<usize>, faults: &mut Faults) {
    if !stays_below(path) {
        let label = "expected a path below the source's root, such as `dist/name.tar.gz`";
        faults.add(Fault::new(span, format!("`{path}` is not the path of an artifact"), label));
    }
}

/// Whether a path stays below the directory that it is relative to.
pub(super) fn stays_below(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    !path.contains(['\\', '\0', '\n']) && path.split('/').all(plain)
}

/// The targets that an assembly takes, with the directory of each.
fn takes(
    table: &RawAssemble,
    assembly: &TargetName,
    targets: &[TargetConfig],
    faults: &mut Faults,
) -> Vec<AssembleFrom> {
    let mut out: Vec<AssembleFrom> = Vec::new();
    for item in &table.from {
        check_template(item.get_ref(), item.span(), &["name"], faults);
        let values = Values::from([("name", assembly.as_str())]);
        let Ok(wanted) = render(item.get_ref(), &values) else { continue };
        let presence = if glob::is_pattern(&wanted) { Presence::IfBuilt } else { Presence::Required };
        let found: Vec<&TargetConfig> =
            targets.iter().filter(|t| glob::matches_name(&wanted, t.name.as_str())).collect();
        if found.is_empty() {
            let known = targets.iter().map(|t| t.name.as_str());
            let fault = Fault::new(
                item.span(),
                format!("there is no target `{wanted}`"),
                format!("valid here: {}", one_of(known.clone())),
            );
            faults.add(match did_you_mean(&wanted, known) {
                Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                None => fault,
            });
        }
        for target in found {
            if out.iter().all(|f| f.target != target.name) {
                let dir = directory(table.layout.as_ref(), target.name.as_str());
                check_template(&dir, table.layout.as_ref().map_or(item.span(), Spanned::span), &WITH_FROM, faults);
                check_path(&dir, table.layout.as_ref().map_or(item.span(), Spanned::span), faults);
                out.push(AssembleFrom { target: target.name.clone(), dir, presence });
            }
        }
    }
    out
}

/// The template of the directory into which a target's artifacts are put: `{from}` unless `layout` says otherwise.
fn directory(layout: Option<&Spanned<TextOr<Texts>>>, target: &str) -> String {
    let default = || "{from}".to_owned();
    match layout.map(Spanned::get_ref) {
        None => default(),
        Some(TextOr::Text(template)) => template.clone(),
        // The first pattern that matches, in the order of the file.
        Some(TextOr::Other(table)) => in_order(table)
            .into_iter()
            .find(|(pattern, _)| glob::matches_name(pattern.get_ref(), target))
            .map_or_else(default, |(_, template)| template.get_ref().clone()),
    }
}

/// Expands everything for a sample version: artifacts that collide or have reserved names show now, not in a train.
pub(super) fn check_collisions(
    config: &Config,
    targets: &[(Range<usize>, RawTarget)],
    assemblies: &[(Range<usize>, RawAssemble)],
    faults: &mut Faults,
) {
    // Branches that nobody has, one of each filter's own shape, so that every table is met at least once.
    let mut samples: BTreeSet<String> = config.targets.iter().flat_map(|t| t.branches.iter().cloned()).collect();
    samples.extend(config.assemblies.iter().flat_map(|a| a.recipe.branches.iter().cloned()));
    let filtered = !samples.is_empty();
    samples.insert(config.project.branches.clone());
    let mut found = Vec::new();
    let mut good = false;
    for sample in samples {
        let (Ok(branch), Ok(version)) = (BranchName::new(sample.replace(['*', '?'], "1")), "1.2.3".parse()) else {
            continue;
        };
        let Ok(line) = LineValues::new(config, &branch, &version) else { continue };
        match expand::jobs(config, &line) {
            Ok(_) => good = true,
            Err(e) => found.push(e),
        }
    }
    // Tables that share the real branches among them need not fit an imaginary one; the plan expands each real one.
    if filtered && good {
        return;
    }
    for e in found {
        let at = place(e.message(), targets, assemblies);
        let fault = Fault::new(at, e.message(), "in this table");
        faults.add(match e.hints().first() {
            Some(hint) => fault.help(hint.clone()),
            None => fault,
        });
    }
}

/// The table that an expansion error is about: the one that defines the first target or assembly that it names.
fn place(
    message: &str,
    targets: &[(Range<usize>, RawTarget)],
    assemblies: &[(Range<usize>, RawAssemble)],
) -> Range<usize> {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let mut ignored = Faults::default();
    for name in &quoted {
        for (span, table) in targets {
            for (base, _) in names(span, table, &mut ignored) {
                if variants(table.variants.as_deref()).iter().any(|(s, _)| format!("{}{s}", base.get_ref()) == *name) {
                    return base.span();
                }
            }
        }
        for (_, table) in assemblies {
            if let Some(at) = table.each.iter().flatten().chain(&table.name).find(|n| n.get_ref() == name) {
                return at.span();
            }
        }
    }
    0..0
}
