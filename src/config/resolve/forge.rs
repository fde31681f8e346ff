//! What a forge and its git remote do besides releases: the project's own workflows, pull requests, drafts.

use std::collections::BTreeMap;

use super::super::raw::RawRemote;
use super::super::settings::{DraftAudience, PushMode};
use crate::adapter::Adapter;
use crate::effects::Forge;
use crate::model::Trigger;
use crate::table::{Fault, Faults, Text, TextOr, Texts, grammar, in_order};

/// `triggers = { "publish.yml" = "suppress" }`.
pub(super) fn triggers(raw: Option<&Texts>, possible: bool, faults: &mut Faults) -> BTreeMap<String, Trigger> {
    let mut out = BTreeMap::new();
    for (file, decision) in raw.into_iter().flat_map(in_order) {
        let name = file.get_ref();
        let plain = !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"));
        if !plain {
            let message = format!("`{name}` is not the name of a workflow file");
            faults.add(Fault::new(file.span(), message, "expected a file name without its directory, `publish.yml`"));
        }
        let at = decision.span();
        if let Some(decision) = grammar::<Trigger>(decision, faults) {
            if !possible && decision != Trigger::Accept {
                let message =
                    format!("workflows of this forge cannot be switched or waited for: `{decision}` is not possible");
                faults.add(Fault::new(at, message, "valid here: `accept`"));
            }
            out.insert(name.clone(), decision);
        }
    }
    out
}

/// `advisories = false`; only some forges hold any.
pub(super) fn advisories(raw: Option<&toml::Spanned<bool>>, possible: bool, faults: &mut Faults) -> bool {
    match raw {
        Some(wanted) if *wanted.get_ref() && !possible => {
            faults.add(Fault::new(wanted.span(), "this forge holds no security advisories", "valid here: `false`"));
            false
        }
        Some(wanted) => *wanted.get_ref(),
        None => possible,
    }
}

/// A branch that is reached by a pull request needs a forge whose pull requests can be opened.
pub(super) fn pull_requests(forge: &Adapter<dyn Forge>, at: &Text, remote: &RawRemote, faults: &mut Faults) {
    let asks = |mode: &str| mode == "pull-request";
    let asked = remote.push.as_ref().is_some_and(|push| match push.get_ref() {
        TextOr::Text(all) => asks(all),
        TextOr::Other(table) => in_order(table).into_iter().any(|(_, mode)| asks(mode.get_ref())),
    });
    if asked && !forge.facts.automation {
        let message =
            format!("pull requests of `[forge.{}]` cannot be opened, and its remote asks for some", forge.kind);
        faults.add(Fault::new(at.span(), message, "say `push = \"direct\"` for that `[[remote]]`"));
    }
}

/// `draft_audience = "writers"`.
pub(super) fn draft_audience(raw: Option<&Text>, faults: &mut Faults) -> DraftAudience {
    match raw.map(|t| t.get_ref().as_str()) {
        None | Some("anyone") => {}
        Some("writers") => return DraftAudience::Writers,
        Some(other) => {
            if let Some(text) = raw {
                let message = format!("`{other}` is not an audience of drafts");
                faults.add(Fault::new(text.span(), message, "valid here: `anyone` or `writers`"));
            }
        }
    }
    DraftAudience::Anyone
}

/// `push = "pull-request"`, or `push = { "main" = "pull-request", "*" = "direct" }`.
pub(super) fn push_modes(raw: Option<&toml::Spanned<TextOr<Texts>>>, faults: &mut Faults) -> Vec<(String, PushMode)> {
    let mut mode = |text: &str, span| match text {
        "direct" => Some(PushMode::Direct),
        "pull-request" => Some(PushMode::PullRequest),
        other => {
            let message = format!("`{other}` is not a way to push");
            faults.add(Fault::new(span, message, "valid here: `direct` or `pull-request`"));
            None
        }
    };
    let Some(raw) = raw else { return Vec::new() };
    match raw.get_ref() {
        TextOr::Text(all) => mode(all, raw.span()).map(|m| ("*".to_owned(), m)).into_iter().collect(),
        TextOr::Other(table) => in_order(table)
            .into_iter()
            .filter_map(|(pattern, text)| Some((pattern.get_ref().clone(), mode(text.get_ref(), text.span())?)))
            .collect(),
    }
}
