//! The texts of `release-templates/`: those built in, the project's own over them, and what each may use; pure.
//!
//! The language is Jinja's. Templates named `.html` escape what they are given. A name that a template uses and that its
//! text does not have is an error, not an empty place.

mod advisory;
mod harmless;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

pub use advisory::AdvisoryText;
pub use harmless::{POLICY, active, has_policy, without_language};

use jiff::Timestamp;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use semver::Version;
use serde::Serialize;

use crate::config::TemplateSet;
use crate::error::{Error, Result};
use crate::model::{AdvisoryId, BranchName, ProjectName, TagName};

/// Every template by name, as built in.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("commit.txt", include_str!("../release-templates/commit.txt")),
    ("tag.txt", include_str!("../release-templates/tag.txt")),
    ("notes.md", include_str!("../release-templates/notes.md")),
    ("release.html", include_str!("../release-templates/release.html")),
    ("index.html", include_str!("../release-templates/index.html")),
    ("root.html", include_str!("../release-templates/root.html")),
];

/// What pages share; they include it.
const PARTS: &[(&str, &str)] = &[
    ("advisory.html", include_str!("../release-templates/advisory.html")),
    ("style.css", include_str!("../release-templates/style.css")),
];

/// Pages for the team alone, which a project cannot replace.
const INNER: &[(&str, &str)] = &[("report.html", include_str!("../release-templates/report.html"))];

/// How much a text of a project's own may cost: steps, and memory at about 64 bytes a unit.
pub(crate) const FUEL: u64 = 200_000;

/// How much it is in this process.
static GIVEN: AtomicU64 = AtomicU64::new(FUEL);

/// From now on a text of a project's own may cost this much in this process, if that is less.
pub(crate) fn less_fuel(fuel: u64) {
    GIVEN.fetch_min(fuel, Ordering::Relaxed);
}

/// The longest text, in bytes.
const LONGEST: usize = 8 << 20;

/// What the texts about one line's release may use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleaseContext {
    /// `{{ project }}`.
    pub project: ProjectName,
    /// `{{ version }}`: the new one.
    pub version: Version,
    /// `{{ old_version }}`.
    pub old_version: Version,
    /// `{{ tag }}`: the tag's name.
    pub tag: TagName,
    /// `{{ branch }}`.
    pub branch: BranchName,
    /// `{{ date }}`: the train's day in UTC, `2026-02-24`.
    #[serde(serialize_with = "day")]
    pub date: Timestamp,
    /// `{{ advisories }}`: what the train fixes. The tag is public only after the gate, and so are the notes.
    pub advisories: Vec<AdvisoryId>,
    /// `{{ security }}`: the same with `id`, and where the train file has a text `summary`, `severity`, `cve` and `affected`
    /// (each with `package`, `versions`, `patched`).
    pub security: Vec<AdvisoryText>,
    /// `{{ forges.<name> }}`: the repository on each forge where the release appears.
    pub forges: BTreeMap<String, String>,
}

fn day<S: serde::Serializer>(t: &Timestamp, s: S) -> std::result::Result<S::Ok, S::Error> {
    s.collect_str(&t.strftime("%Y-%m-%d"))
}

/// The message of the commit that bumps the version, from `commit.txt`.
///
/// # Errors
/// The template's, with its file and line; a message without a subject.
pub(crate) fn commit_message(set: &TemplateSet, text: &ReleaseContext) -> Result<String> {
    message("commit.txt", &render(set, "commit.txt", text)?)
}

/// The message of the tag, from `tag.txt`.
///
/// # Errors
/// The template's, with its file and line; a message without a subject, or with a line that would begin a signature.
pub(crate) fn tag_message(set: &TemplateSet, text: &ReleaseContext) -> Result<String> {
    message("tag.txt", &render(set, "tag.txt", text)?)
}

/// The release notes (Markdown), from `notes.md`; `changelog` is this version's part of the changelog.
///
/// # Errors
/// The template's, with its file and line.
pub fn notes(set: &TemplateSet, text: &ReleaseContext, changelog: Option<&str>) -> Result<String> {
    #[derive(Serialize)]
    struct Notes<'a> {
        #[serde(flatten)]
        text: &'a ReleaseContext,
        changelog: &'a str,
    }
    let out = render(set, "notes.md", &Notes { text, changelog: changelog.unwrap_or_default().trim() })?;
    Ok(format!("{}\n", out.trim()))
}

/// Renders the template `name`, the project's own if it has one.
///
/// # Errors
/// [`crate::error::ErrorKind::Input`] with the file, the line and its text: bad syntax, or a name that is not there.
pub fn render(set: &TemplateSet, name: &str, context: &impl Serialize) -> Result<String> {
    let fuel = set.texts.contains_key(name).then(|| GIVEN.load(Ordering::Relaxed));
    render_source(source(set, name)?, name, fuel, context)
}

/// Renders a page that no project replaces.
///
/// # Errors
/// None in practice: those of a template built in.
pub(crate) fn inner_page(name: &str, context: &impl Serialize) -> Result<String> {
    let found = INNER.iter().find(|(n, _)| *n == name).map(|(_, text)| *text);
    let text = found.ok_or_else(|| Error::fatal(format!("there is no page `{name}`")))?;
    render_source((text, "the built-in "), name, None, context)
}

/// Renders a text, at a cost of no more than `fuel`; those built in cost what the release is long.
fn render_source(
    (source, origin): (&str, &str),
    name: &str,
    fuel: Option<u64>,
    context: &impl Serialize,
) -> Result<String> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    env.set_syntax(syntax.map_err(|e| Error::fatal(e.to_string()))?);
    // Said here rather than left to the library's list of extensions, which has gaps.
    env.set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    env.set_fuel(fuel);
    let mut out = Bounded(Vec::new());
    let mut fill = || {
        for (part, text) in PARTS {
            env.add_template(part, text)?;
        }
        env.add_template(name, source)?;
        env.get_template(name)?.render_captured_to(Value::from(Serde(context)), &mut out).map(drop)
    };
    fill().map_err(|e| explained(&e, source, origin, name, &names(context)))?;
    String::from_utf8(out.0).map_err(|e| Error::fatal("a template gave something else than text").because(e))
}

/// Renders a page, and sees that it neither runs nor fetches anything. The project's own template was tried before the train,
/// but not with what this page says: where it fails now, the one built in says it.
///
/// # Errors
/// None in practice: those of a template built in.
pub fn page(set: &TemplateSet, name: &str, context: &impl Serialize) -> Result<String> {
    if set.texts.contains_key(name)
        && let Ok(own) = own_page(set, name, context)
    {
        return Ok(own);
    }
    render(&TemplateSet::default(), name, context)
}

/// Renders a page from the project's own template, if it has one.
///
/// # Errors
/// The template's; a page that would run or fetch something.
pub(crate) fn own_page(set: &TemplateSet, name: &str, context: &impl Serialize) -> Result<String> {
    let source = set.texts.get(name).map(|s| without_language(s)).unwrap_or_default();
    let page = render(set, name, context)?;
    for (text, what) in [(&source, "the template"), (&page, "what it gives")] {
        if let Some((line, why)) = active(text) {
            return Err(Error::input(format!("`release-templates/{name}`: line {line} of {what}: {why}"))
                .hint("a page that the project publishes is read by people who check releases: it may run nothing and fetch nothing from elsewhere; remove it"));
        }
    }
    if set.texts.contains_key(name) && !has_policy(&page) {
        return Err(Error::input(format!(
            "`release-templates/{name}`: the head of the page does not begin with its policy"
        ))
        .hint(format!("put this line first into `<head>`: {POLICY}")));
    }
    Ok(page)
}

/// Takes no more than [`LONGEST`] bytes.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of a template and where it comes from.
fn source<'a>(set: &'a TemplateSet, name: &str) -> Result<(&'a str, &'static str)> {
    let Some((_, built_in)) = BUILT_IN.iter().find(|(n, _)| *n == name) else {
        let valid: Vec<_> = BUILT_IN.iter().map(|(n, _)| format!("`{n}`")).collect();
        return Err(Error::input(format!("`release-templates/{name}` is not a template that is used"))
            .hint(format!("expected one of {}", valid.join(", "))));
    };
    Ok(set.texts.get(name).map_or((built_in, "the built-in "), |own| (own.as_str(), "")))
}

/// The names that a template may use.
fn names(context: &impl Serialize) -> String {
    match serde_json::to_value(context) {
        Ok(serde_json::Value::Object(map)) => map.keys().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "),
        _ => "none".to_owned(),
    }
}

fn explained(e: &minijinja::Error, source: &str, origin: &str, name: &str, names: &str) -> Error {
    let what = e.detail().map_or_else(|| e.kind().to_string(), |d| format!("{}: {d}", e.kind()));
    let line = e.line().unwrap_or(1);
    let text = source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    Error::input(format!("{origin}`release-templates/{name}`, line {line}: {what}"))
        .detail(format!("{line} | {}", crate::model::escape(text.trim_end())))
        .hint(format!("the names that it may use are {names}"))
}

/// Cleans a message up as `git commit` does (no trailing blanks, no run of empty lines, one final line end), so that git
/// shows what was written.
fn message(name: &str, text: &str) -> Result<String> {
    let mut out = String::new();
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && (out.is_empty() || out.ends_with("\n\n"))) {
            out.push_str(line);
            out.push('\n');
        }
    }
    let out = format!("{}\n", out.trim_end());
    let refuse = |why: &str| Err(Error::input(format!("`release-templates/{name}` gives a message {why}")));
    if out == "\n" {
        refuse("without a subject")
    } else if out.contains('\0') {
        refuse("with a NUL character")
    } else if out.lines().any(|l| l.starts_with("-----BEGIN ")) {
        // Git takes everything from such a line on for the signature.
        refuse("with a line that starts with `-----BEGIN `, which git takes for a signature")
    } else {
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::site::{check_templates as check, sample};

    fn text() -> ReleaseContext {
        sample().unwrap().text
    }

    fn own(name: &str, source: &str) -> TemplateSet {
        TemplateSet { texts: [(name.to_owned(), source.to_owned())].into() }
    }

    #[test]
    fn the_texts_built_in() {
        let set = TemplateSet::default();
        assert_eq!(commit_message(&set, &text()).unwrap(), "Release acme 36.0.6\n");
        assert_eq!(
            tag_message(&set, &text()).unwrap(),
            "acme 36.0.6\n\nThis release fixes:\n\n* GHSA-852m-cvvp-9p4w\n* GHSA-243v-98vx-264h\n"
        );
        let plain = ReleaseContext { advisories: Vec::new(), security: Vec::new(), ..text() };
        assert_eq!(tag_message(&set, &plain).unwrap(), "acme 36.0.6\n");
        let notes = notes(&set, &text(), Some("\n### Fixed\n\n* A <bug>.\n\n")).unwrap();
        let want = "* GHSA-243v-98vx-264h\n\n### Fixed\n\n* A <bug>.\n\n## Checking";
        assert!(notes.contains(want) && notes.contains("git tag --verify v36.0.6\n"), "{notes}");
        assert!(super::notes(&set, &plain, None).unwrap().starts_with("## Checking"));
        // What GitHub's own CI would have attested, where the release appears there at all.
        let attested = "`gh attestation verify FILE --repo acme/acme` finds none";
        assert!(notes.contains(attested), "{notes}");
        let alone = ReleaseContext { forges: BTreeMap::new(), ..text() };
        assert!(!super::notes(&set, &alone, None).unwrap().contains("attestation"));
    }

    #[test]
    fn the_project_s_own_come_first() {
        let set = own("commit.txt", "Release Wasmtime {{ version }}  \n\n\n\n[from {{ old_version }}, {{ date }}]\n\n");
        let want = "Release Wasmtime 36.0.6\n\n[from 36.0.5, 2026-02-24]\n";
        assert_eq!(commit_message(&set, &text()).unwrap(), want);
        check(&set).unwrap();
    }

    #[test]
    fn errors_name_file_and_line() {
        for (source, line, why) in [
            ("one\n{{ verson }}\n", "line 2", "undefined"),
            ("one\ntwo\n{% if %}\n", "line 3", "syntax error"),
            ("{% include 'x' %}", "line 1", "x"),
        ] {
            let e = check(&own("tag.txt", source)).unwrap_err();
            let report = e.report();
            let at = format!("`release-templates/tag.txt`, {line}");
            assert!(report.contains(&at) && report.contains(why), "{report}");
        }
        let e = check(&own("tag.txt", "a\n{{ verson }}\n")).unwrap_err();
        assert_eq!(e.details(), ["2 | {{ verson }}"]);
        assert!(e.hints()[0].ends_with("`project`, `security`, `tag`, `version`"), "{}", e.report());
        let e = check(&own("tags.txt", "")).unwrap_err();
        assert!(e.message().contains("tags.txt") && e.hints()[0].contains("`tag.txt`"), "{}", e.report());
    }

    #[test]
    fn messages_that_git_would_misread_are_refused() {
        for bad in ["", "\n \n", "a\n-----BEGIN PGP SIGNATURE-----\n", "a\0b"] {
            assert!(tag_message(&own("tag.txt", bad), &text()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bombs_end() {
        for bomb in [
            "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
            "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
            "{% for i in range(9000) %}{{ 'aaaaaaaaaa' * 9000 }}{% endfor %}",
        ] {
            let started = std::time::Instant::now();
            assert!(check(&own("notes.md", bomb)).is_err(), "{bomb}");
            assert!(started.elapsed().as_secs() < 20, "{bomb}");
        }
    }

    #[test]
    fn pages_that_run_or_fetch_are_refused() {
        for (page, line) in [
            ("<!doctype html>\n<script>x</script>", "line 2 of the template"),
            ("<scr{% if false %}{% endif %}ipt>", "line 1 of the template"),
            ("{% if version == '9.9.9' %}<p onclick=x>{% endif %}", "line 1 of the template"),
            ("\n{{ '<img src=//example.org/x>' | safe }}", "line 2 of what it gives"),
        ] {
            let e = check(&own("release.html", page)).unwrap_err();
            assert!(e.message().contains(line), "{}", e.report());
            assert_eq!(e.kind(), crate::error::ErrorKind::Input);
        }
        // What is overlooked, a browser does not do: so much is asked of every page.
        let e =
            check(&own("release.html", "<!doctype html>\n<html><head><title>x</title></head><p>y</p>")).unwrap_err();
        assert!(e.hints()[0].contains("first into `<head>`: <meta http-equiv="), "{}", e.report());
        let page = format!("<!doctype html>\n<html><head>{POLICY}<title>x</title></head><p>y</p>");
        check(&own("release.html", &page)).unwrap();
    }

    #[test]
    fn every_template_built_in_is_rendered_from_itself() {
        for (name, source) in BUILT_IN {
            check(&own(name, source)).unwrap();
        }
    }
}
