//! The page at a store's root: what is current, who is affected by what it fixes, how to verify.

use std::collections::BTreeMap;

use serde::Serialize;

use super::commands::percent;
use super::index::{IndexPage, LineView, lines};
use super::links::AdvisoryView;
use crate::config::TemplateSet;
use crate::error::Result;
use crate::formats::layout;
use crate::model::{Sha256, shell_word};
use crate::templates::{self, AdvisoryText};

/// By which a page of ours is known: one that a project put there itself is left alone.
pub const MARK: &str = "<meta name=\"generator\" content=\"lifeboat\">";

/// How many advisories the page shows.
const ADVISORIES: usize = 50;

/// What the page at the root shows.
#[derive(Debug, Clone, PartialEq)]
pub struct RootPage {
    /// Every release.
    pub index: IndexPage,
    /// The store's public address, for commands.
    pub base: Option<String>,
    /// The digest of the trust root.
    pub root: Sha256,
}

/// The page's bytes, from `root.html`.
///
/// # Errors
/// The template's, with its file and line.
pub fn root_page(set: &TemplateSet, page: &RootPage) -> Result<Vec<u8>> {
    templates::page(set, "root.html", &View::of(page)).map(String::into_bytes)
}

/// The same, by the project's own template alone.
///
/// # Errors
/// The template's; a page that would run or fetch something.
pub(super) fn own_root_page(set: &TemplateSet, page: &RootPage) -> Result<String> {
    templates::own_page(set, "root.html", &View::of(page))
}

/// What `root.html` may use.
#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
    lines: Vec<LineView<'a>>,
    advisories: Vec<FixedView<'a>>,
    root: String,
    commands: Commands,
}

/// An advisory, and the releases that fix it.
#[derive(Serialize)]
struct FixedView<'a> {
    #[serde(flatten)]
    advisory: AdvisoryView<'a>,
    fixed_in: Vec<Fixed>,
}

#[derive(Serialize)]
struct Fixed {
    version: String,
    path: String,
}

#[derive(Serialize)]
struct Commands {
    lifeboat: Vec<String>,
    git: Vec<String>,
}

impl<'a> View<'a> {
    fn of(page: &'a RootPage) -> Self {
        let project = &page.index.project;
        let mut sorted: Vec<_> = page.index.releases.iter().collect();
        sorted.sort_by(|a, b| (b.date, &b.version).cmp(&(a.date, &a.version)));
        let mut order: Vec<&str> = Vec::new();
        let mut fixed: BTreeMap<&str, (&AdvisoryText, Vec<Fixed>)> = BTreeMap::new();
        for release in sorted {
            for advisory in &release.advisories {
                let version = release.version.to_string();
                if !fixed.contains_key(advisory.id.as_str()) {
                    order.push(&advisory.id);
                }
                let entry = fixed.entry(&advisory.id).or_insert((advisory, Vec::new()));
                // Whoever says more of it is shown.
                if entry.0.summary.is_none() {
                    entry.0 = advisory;
                }
                let page = layout::release_file(&release.version, layout::RELEASE_PAGE);
                entry.1.push(Fixed { path: percent(&page), version });
            }
        }
        let advisories = order.into_iter().take(ADVISORIES).filter_map(|id| fixed.remove(id));
        let advisories =
            advisories.map(|(a, fixed_in)| FixedView { advisory: AdvisoryView::of(a), fixed_in }).collect();
        let base = page.base.as_deref().map(shell_word);
        Self {
            project: project.as_str(),
            lines: lines(&page.index),
            advisories,
            root: page.root.hex(),
            commands: Commands {
                lifeboat: base.iter().map(|b| format!("lifeboat verify --pin {} latest {b}", page.root)).collect(),
                git: page
                    .base
                    .iter()
                    .map(|b| {
                        format!("git clone {} {project}", shell_word(&format!("{b}/{}", layout::repository(project))))
                    })
                    .collect(),
            },
        }
    }
}
