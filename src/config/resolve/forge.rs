//! What a forge and its git remote do besides releases: the project's own workflows, pull requests, drafts.

use std::collections::BTreeMap;

use super::super::fault::{Fault, Faults};
use super::super::raw::{Text, TextOr, Texts, in_order};
use super::super::settings::{DraftAudience, PushMode};
use super::grammar;
use crate::model::Trigger;

/// `triggers = { "publish.yml" = "suppress" }`.
pub(super) fn triggers(raw: Option<&Texts>, faults: &mut Faults) -> BTreeMap<String, Trigger> {
    let mut out = BTreeMap::new();
    for (file, decision) in raw.into_iter().flat_map(in_order) {
        let name = file.get_ref();
        let plain = !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"));
        if !plain {
            let message = format!("`{name}` is not the name of a workflow file");
            faults.add(Fault::new(file.span(), message, "valid is a file name without its directory, `publish.yml`"));
        }
        if let Some(decision) = grammar::<Trigger>(decision, faults) {
            out.insert(name.clone(), decision);
        }
    }
    out
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
