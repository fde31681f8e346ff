//! Approvals that were made on other machines: judged as any other, then recorded.

use jiff::Timestamp;

use super::content;
use super::train::Train;
use crate::error::{Error, Result};
use crate::formats::approval::Statement;
use crate::formats::review_bundle::NOTICE;
use crate::journal::Event;
use crate::model::{PersonId, escape};
use crate::trust::{ApprovalCase, Carried, RecordedApproval, Window, judge_approvals, statement_name};

/// What became of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is recorded now.
    Recorded,
    /// The same one was recorded before.
    Before,
    /// The gate is open: no more are needed.
    GateIsOpen,
}

/// Judges approvals, each with the name of its file, and records those that are new. One that does not count stops all of
/// them: then nothing is recorded.
///
/// # Errors
/// An approval that does not count, by its file, and why; a train that is not that far; the journal's.
pub fn import(train: &Train, files: &[(String, Carried)], now: Timestamp) -> Result<Vec<(PersonId, Imported)>> {
    let view = train.view();
    let state = view.state();
    let known: Vec<_> = state.approvals().iter().map(|(a, _)| a.clone()).collect();
    let mut new = Vec::new();
    let mut out = Vec::new();
    for (name, carried) in files {
        let approval = &carried.approval;
        is_for(train, name, carried)?;
        let became = if known.contains(approval) || new.contains(&approval) {
            Imported::Before
        } else {
            judge(train, name, carried, now)?;
            if content::opened(state).is_some() { Imported::GateIsOpen } else { Imported::Recorded }
        };
        if became == Imported::Recorded {
            new.push(approval);
        }
        out.push((approval.person.clone(), became));
    }
    for approval in new {
        train.journal().append(Event::Approved { approval: Box::new(approval.clone()) })?;
    }
    Ok(out)
}

fn refused(name: &str, why: String) -> Error {
    Error::verification(format!("`{name}`: {why}")).detail("nothing was recorded")
}

fn again(train: &Train, carried: &Carried) -> String {
    let (person, train) = (escape(carried.approval.person.as_str()), &train.plan().train);
    format!("have {person} review and approve a new bundle: `lifeboat export {train} --to FILE`")
}

/// Whether a file says that it is for this train.
fn is_for(train: &Train, name: &str, carried: &Carried) -> Result<()> {
    let (plan, nonce) = (train.plan(), train.state().nonce().cloned());
    if carried.project != plan.project {
        let other = &carried.project;
        return Err(refused(name, format!("this is an approval for project `{other}`, not for `{}`", plan.project)));
    }
    if Some(&carried.train) != nonce.as_ref() {
        let nonce = nonce.map_or_else(|| "none".to_owned(), |n| n.to_string());
        let other = format!("this is an approval of another train: `{}`, nonce {}", carried.name, carried.train);
        return Err(refused(name, other)
            .detail(format!("this train is `{}`, nonce {nonce}", plan.train))
            .hint(again(train, carried)));
    }
    Ok(())
}

/// The one judge, for one approval that has just come; what it is about is looked at first, for a better answer.
fn judge(train: &Train, name: &str, carried: &Carried, now: Timestamp) -> Result<()> {
    let (view, plan) = (train.view(), train.plan());
    let (content, sums) = content::to_approve(&view)?;
    let (approval, person) = (&carried.approval, escape(carried.approval.person.as_str()));
    let refused = |why: String| refused(name, why);
    let again = again(train, carried);
    let bytes = approval.statement.as_bytes();
    let statement = Statement::from_bytes(bytes, &statement_name(&approval.person))
        .map_err(|e| refused(format!("it was changed: {}", e.message())))?;
    if statement.plan != content.plan {
        return Err(refused(format!("{person} approved plan {}, this train has {}", statement.plan, content.plan))
            .detail("the train was planned or amended again after the review")
            .hint(again));
    }
    if statement.content != content.digest()? {
        return Err(refused(format!("{person} approved other content than this train has"))
            .detail(format!("approved: {}", statement.content))
            .detail(format!("here:     {}", content.digest()?))
            .hint(again));
    }
    if statement.expires <= now {
        return Err(refused(format!("the approval of {person} expired on {}", statement.expires)).hint(again));
    }
    let window = Window::of_plan(plan.date, now);
    let case = ApprovalCase { trust: train.trust(), content: &content, sums: &sums, window };
    let judgement = judge_approvals(&case, &[RecordedApproval { approval, at: None }])?;
    if judgement.counted.contains_key(&approval.person) {
        return Ok(());
    }
    let why = judgement.refused.first().map_or("no reason is known", |r| r.why.as_str());
    Err(refused(format!("the approval of {person} does not count: {why}"))
        .hint(format!("do not use it before {person} confirms by voice that it is theirs; then {again}")))
}

/// Reads the file of an approval; `name` is for messages.
///
/// # Errors
/// Another kind of file, a changed one.
pub fn read(bytes: &[u8], name: &str) -> Result<Carried> {
    Carried::from_bytes(bytes, name).map_err(|e| {
        if bytes.starts_with(NOTICE.as_bytes()) {
            e.hint("that is a review bundle: `lifeboat approve --bundle FILE --as NAME --out APPROVAL` makes an approval of it")
        } else {
            e
        }
    })
}
