//! `verify --all-mirrors`: what each mirror of a project is.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::{Trusted, VerifyArgs, trust_of};
use crate::cli::Caller;
use crate::effects::PathKind;
use crate::error::{Error, Result};
use crate::model::escape;
use crate::verify::{Layout, MirrorState, MirrorsReport, MirrorsRequest, PATIENCE, ReleaseQuery, Source, all_mirrors};

/// What was asked for: a release that is verified byte by byte on each mirror, and where lists are read first.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    whole: Option<ReleaseQuery>,
    start: Vec<String>,
}

impl Asked {
    /// Reads `[VERSION|latest] [ADDRESS]`; without an address, the configured ones.
    fn parse(
        wanted: Option<&str>,
        location: Option<&str>,
        configured: &BTreeSet<String>,
        is_dir: impl Fn(&Path) -> bool,
    ) -> Result<Self> {
        let is_address = |text: &str| text.contains('/') || is_dir(Path::new(text));
        let (wanted, location) = match (wanted, location) {
            (Some(address), None) if is_address(address) => (None, Some(address)),
            other => other,
        };
        let whole = match wanted.map(|text| ReleaseQuery::parse(text, |_| false)) {
            Some(ReleaseQuery::Tag(_) | ReleaseQuery::File(_)) => {
                let what = format!("`{}` is not a version", escape(wanted.unwrap_or_default()));
                return Err(Error::input(what).hint("expected a version such as `1.0.5`, or `latest`"));
            }
            whole => whole,
        };
        let start: Vec<String> = match location {
            Some(address) => vec![address.to_owned()],
            None => configured.iter().cloned().collect(),
        };
        if start.is_empty() {
            return Err(Error::input("where is a mirror?")
                .hint("name the address of any of them: `lifeboat verify --all-mirrors --pin DIGEST https://…`")
                .hint("in a project, the `public_url` of each `[[store]]` is used"));
        }
        Ok(Self { whole, start })
    }
}

/// Looks at all mirrors, and prints what each is; the worst is the exit code.
pub(super) async fn run(args: &VerifyArgs, mut around: Caller<'_>) -> Result<ExitCode> {
    let disk = around.disk;
    let is_dir = |path: &Path| matches!(disk.entry(path), Ok(Some(e)) if e.kind == PathKind::Dir);
    let asked = Asked::parse(args.wanted.as_deref(), args.location.as_deref(), &args.mirrors, is_dir)?;
    // An address that stood first is not the release.
    let wanted = asked.whole.as_ref().and(args.wanted.clone());
    let (mut found, mut why) = (None, None);
    for start in &asked.start {
        // Any of them may give a trust root: the pin vouches for it, and a later one that another mirror has replaces it.
        let of_start = VerifyArgs { wanted: wanted.clone(), location: Some(start.clone()), ..args.clone() };
        let trusted = match Source::new(start, Arc::clone(disk)) {
            Ok(source) => trust_of(&of_start, (&source, Layout::Store), &around).await,
            Err(e) => Err(e),
        };
        match trusted {
            Ok(trusted) => {
                found = Some(trusted);
                break;
            }
            Err(e) => why = why.or(Some(e)),
        }
    }
    let Some(Trusted { root, pin, state_dir }) = found else {
        return Err(why.unwrap_or_else(|| Error::input("where is a mirror?")));
    };
    let request = MirrorsRequest {
        start: asked.start,
        whole: asked.whole,
        trust: root,
        pin,
        patience: PATIENCE,
        state_dir,
        disk: Arc::clone(disk),
        now: around.now,
    };
    let report = all_mirrors(request).await?;
    around.say(|| text(&report), &report)?;
    Ok(ExitCode::from(report.state.exit_code()))
}

fn text(report: &MirrorsReport) -> String {
    let mut lines = Vec::new();
    for mirror in &report.mirrors {
        let index = mirror.index.map(|n| format!(", index number {n}")).unwrap_or_default();
        let word = match mirror.state {
            MirrorState::Current => mirror.state.word().to_owned(),
            state => state.word().to_uppercase(),
        };
        lines.push(format!("{word:>11}  {}{index}", escape(&mirror.address)));
        let said = mirror.reasons.iter().chain(&mirror.not_checked);
        lines.extend(said.map(|why| format!("{:>11}  - {}", "", escape(why))));
    }
    let current = report.mirrors.iter().filter(|m| m.state == MirrorState::Current).count();
    let what = match report.mirrors.len() {
        1 => "1 mirror".to_owned(),
        all => format!("{all} mirrors"),
    };
    lines.push(format!("{}: {current} of {what} current", report.project));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked() {
        let known = BTreeSet::from(["https://a.example.org/".to_owned()]);
        let parse = |wanted, location| Asked::parse(wanted, location, &known, |path| path == Path::new("here"));
        let version = || Some(ReleaseQuery::Version("1.0.5".parse().unwrap()));
        let asked = |whole, start: &str| Asked { whole, start: vec![start.to_owned()] };
        assert_eq!(parse(None, None).unwrap(), asked(None, "https://a.example.org/"));
        assert_eq!(parse(Some("https://b/"), None).unwrap(), asked(None, "https://b/"));
        assert_eq!(parse(Some("here"), None).unwrap(), asked(None, "here"));
        assert_eq!(parse(Some("1.0.5"), None).unwrap(), asked(version(), "https://a.example.org/"));
        assert_eq!(parse(Some("latest"), Some("here")).unwrap(), asked(Some(ReleaseQuery::Latest), "here"));
        assert!(parse(Some("x.zip"), None).unwrap_err().message().contains("is not a version"));
        assert!(Asked::parse(None, None, &BTreeSet::new(), |_| false).unwrap_err().message().contains("where is"));
    }
}
