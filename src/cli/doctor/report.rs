//! How checks are shown.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Context as _, Error, Result};
use crate::formats::canonical;
use crate::model::{PersonId, counted, escape};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// It could not be checked from here, and no train needs it.
    Skipped,
    /// A train can ship, but look at it.
    Warn,
    /// A train cannot ship.
    Fail,
}

impl Health {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// What kind of thing was checked, such as `store`.
    pub area: &'static str,
    /// Which one.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// What was found, on one line.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Since when it is down, as far as the journals of the trains say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The deliveries that wait for it, `train: step`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
}

impl HealthCheck {
    /// Something that is as it should be.
    pub fn ok(area: &'static str, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            area,
            name: name.into(),
            health: Health::Ok,
            found: found.into(),
            hint: None,
            since: None,
            waiting: Vec::new(),
        }
    }

    /// Something that failed, which is as bad as `health` says.
    pub(crate) fn from_error(area: &'static str, name: impl Into<String>, health: Health, e: &Error) -> Self {
        let hint = (!e.hints().is_empty()).then(|| e.hints().join("; "));
        Self { area, name: name.into(), health, found: e.message().to_owned(), hint, since: None, waiting: Vec::new() }
    }
}

/// Writes a table: one line for each check, hints below, and the sum of it.
pub(super) fn table(checks: &[HealthCheck], person: Option<&PersonId>, out: &mut dyn Write) -> Result<()> {
    let width = |column: &dyn Fn(&HealthCheck) -> usize| checks.iter().map(column).max().unwrap_or(0);
    let (area, name) = (width(&|c| c.area.len()), width(&|c| c.name.chars().count()));
    let mut text = String::new();
    for check in checks {
        text.push_str(&format!(
            "{:<4}  {:<area$}  {:<name$}  {}\n",
            check.health.word(),
            check.area,
            escape(&check.name),
            escape(&check.found)
        ));
        if let Some(since) = check.since {
            text.push_str(&format!("{:6}down since {}\n", "", crate::model::utc(since)));
        }
        for waiting in &check.waiting {
            text.push_str(&format!("{:6}waits: {}\n", "", escape(waiting)));
        }
        if let Some(hint) = &check.hint {
            text.push_str(&format!("{:6}hint: {}\n", "", escape(hint)));
        }
    }
    let count = |health| checks.iter().filter(|c| c.health == health).count();
    let (warn, fail) = (count(Health::Warn), count(Health::Fail));
    if let Some(person) = person {
        let can = if fail == 0 { "can" } else { "cannot" };
        text.push_str(&format!("\n`{person}` {can} approve here: {fail} failed, {warn} warned\n"));
        return out.write_all(text.as_bytes()).context("cannot print the table");
    }
    text.push_str(&match (warn, fail) {
        (0, 0) => "\neverything that a train needs is here\n".to_owned(),
        (_, 0) => format!("\na train can ship; {}\n", counted(warn, "warning")),
        (0, _) => format!("\na train cannot ship: {} failed\n", counted(fail, "check")),
        _ => format!("\na train cannot ship: {} failed, {}\n", counted(fail, "check"), counted(warn, "warning")),
    });
    out.write_all(text.as_bytes()).context("cannot print the table")
}

/// Writes `{"checks": […], "health": "ok"}`.
pub(super) fn json(checks: &[HealthCheck], out: &mut dyn Write) -> Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        checks: &'a [HealthCheck],
        health: Health,
    }
    let judged = checks.iter().map(|c| c.health).filter(|h| *h != Health::Skipped);
    let health = judged.max().unwrap_or(Health::Ok);
    out.write_all(&canonical::to_pretty(&Report { checks, health })?).context("cannot print the report")
}
