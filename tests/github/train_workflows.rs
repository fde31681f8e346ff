//! The workflows of the sample project.

use lifeboat::snapshot::{WorkflowAt, WorkflowFacts, WorkflowFile};

/// A workflow that must not run, and one whose end is waited for.
pub(super) fn workflows() -> WorkflowFacts {
    let file = |name: &str, text: &str| WorkflowFile {
        path: format!(".github/workflows/{name}"),
        text: text.to_owned(),
        at: WorkflowAt::Release,
    };
    let files = vec![
        file("publish.yml", "on:\n  push: {tags: ['v*']}\n  release: {types: [published]}\n"),
        file("after.yml", "on: {release: {types: [published]}}\n"),
    ];
    WorkflowFacts { files: [("github".parse().unwrap(), files)].into(), ..WorkflowFacts::default() }
}
