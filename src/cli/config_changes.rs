//! What today's configuration and train file say of a train that was adopted before.

use jiff::Timestamp;

use super::Output;
use super::project::{LocalProject, advice};
use crate::config;
use crate::engine::{PlanInputs, Train};
use crate::formats::layout;
use crate::journal::State;
use crate::model::{PersonId, StoreName, TrainName, shell_path, shell_word};
use crate::plan::{Plan, amend::changes, plan};
use crate::step::Point;

impl LocalProject {
    /// A train's file as a shell reads it, or a placeholder where it is not known any more.
    pub(super) fn train_file(&self, train: &TrainName) -> String {
        let facts = PlanInputs::read(&*self.disk, &self.dir(train));
        facts.map_or_else(|| "TRAIN.toml".to_owned(), |facts| shell_path(&facts.file))
    }

    /// What a person should do next about a train.
    pub(super) fn advice(&self, state: &State, approved: &[PersonId], now: Timestamp) -> String {
        let text = advice(state, approved, now);
        if text.contains("TRAIN.toml") {
            return text.replace("TRAIN.toml", &self.train_file(&state.graph().plan().train));
        }
        text
    }

    /// The command by which a clone gets the released commits of a train, from the first store that serves them.
    pub(super) fn fetch(&self, state: &State) -> Option<String> {
        let plan = state.graph().plan();
        let serves = |name: &StoreName| {
            plan.all::<Point>().any(|(step, point)| point.store == *name && state.outcome(&step.id).is_some())
        };
        let store = self.config.stores.iter().find(|s| serves(&s.name))?;
        let own = store.spec.public_address();
        let base = store.public_url.as_ref().unwrap_or(&own).trim_end_matches('/');
        let branches: Vec<&str> = plan.lines.iter().map(|l| l.branch.as_str()).collect();
        Some(format!(
            "git fetch {} {}",
            shell_word(&format!("{base}/{}", layout::repository(&plan.project))),
            branches.join(" ")
        ))
    }

    /// In what a plan of today would differ from the adopted one, as far as the facts that it was made from say.
    fn drift(&self, adopted: &Plan) -> Vec<String> {
        let Some(facts) = PlanInputs::read(&*self.disk, &self.dir(&adopted.train)) else { return Vec::new() };
        // Whoever removes the train file after the adoption wants nothing else.
        let Ok(request) = config::load_train(&facts.file, &*self.disk) else { return Vec::new() };
        if !request.lines.iter().map(|l| &l.branch).eq(facts.snapshot.lines.iter().map(|l| &l.branch)) {
            return vec!["the train file has other lines".to_owned()];
        }
        match plan(&self.config, &facts.snapshot, &request) {
            Err(e) => vec![format!("no plan can be made of them: {}", e.message())],
            Ok(now) => changes(adopted, &now),
        }
    }

    /// Says so if the configuration or the train file is not what the train was adopted from: it ships what was adopted.
    pub(super) fn note_drift(&self, train: &Train, out: &Output) {
        if train.state().anything_public() {
            return;
        }
        let drift = self.drift(train.plan());
        let Some(first) = drift.first() else { return };
        let more = match drift.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        let file = self.train_file(&train.plan().train);
        out.note(&format!(
            "note      the configuration or the train file differs from the adopted plan ({first}{more}), and the adopted plan \
             is what ships: `lifeboat amend {file}` shows every difference and takes them over"
        ));
    }
}
