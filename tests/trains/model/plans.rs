//! Every plan keeps the promises, judged here by walking its steps, apart from what `check` does.

use std::collections::{BTreeMap, BTreeSet};

use lifeboat::model::LineKind;
use lifeboat::plan::{Plan, check};
use lifeboat::step::{Exposure, Outcome, PlannedStep, Pointed, Step, StepId};
use proptest::prelude::*;

use crate::model::configs::{Shape, shapes};
use crate::model::made::id;

/// Everything that must have succeeded before each step, by a plain search: of what a quorum counts, only some must.
fn before(plan: &Plan) -> BTreeMap<&StepId, BTreeSet<&StepId>> {
    reached(plan, |step, need| match &step.step {
        Step::Quorum(quorum) => !quorum.of.values().flatten().any(|counted| counted == need),
        _ => true,
    })
}

/// Everything that a step leads back to, by those of its needs that `counts`.
fn reached(plan: &Plan, counts: impl Fn(&PlannedStep, &StepId) -> bool) -> BTreeMap<&StepId, BTreeSet<&StepId>> {
    let own = |s: &'_ PlannedStep| s.needs.iter().filter(|need| counts(s, need)).cloned().collect::<Vec<_>>();
    let known: BTreeMap<&StepId, &PlannedStep> = plan.steps.iter().map(|s| (&s.id, s)).collect();
    let mut out = BTreeMap::new();
    for step in &plan.steps {
        let mut seen = BTreeSet::new();
        let mut open: Vec<StepId> = own(step);
        while let Some(id) = open.pop() {
            let found = known[&id];
            if seen.insert(&found.id) {
                open.extend(own(found));
            }
        }
        out.insert(&step.id, seen);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_plan_breaks_a_promise(shape in shapes()) {
        let plan = shape.plan();
        check(&plan).unwrap();
        let before = before(&plan);
        let gate = id("gate");
        let optional_stores: Vec<String> =
            shape.stores.iter().enumerate().filter(|(_, r)| !**r).map(|(i, _)| format!("/s{i}/")).collect();
        for step in &plan.steps {
            let seen = &before[&step.id];
            // Nothing public before the gate, and all lines or none.
            if step.exposure == Exposure::Public {
                prop_assert!(seen.contains(&gate), "{} without the gate", step.id);
                for other in &plan.steps {
                    if matches!(other.step, Step::Seal(_)) {
                        prop_assert!(seen.contains(&other.id), "{} before {}", step.id, other.id);
                    }
                    let verification = matches!(
                        other.step,
                        Step::Test(_) | Step::Checksum(_) | Step::Encrypt(_) | Step::VerifyStaged(_)
                    );
                    if verification && !other.deferrable {
                        prop_assert!(seen.contains(&other.id), "{} before {}", step.id, other.id);
                    }
                }
            }
            // GitHub, and whatever else is optional, is not on the way to *released*.
            if !step.deferrable {
                for id in seen {
                    prop_assert!(!plan.step(id).unwrap().deferrable, "{} waits for {id}", step.id);
                    prop_assert!(!id.as_str().starts_with("forge-release/") || shape.forge == Some(true));
                    prop_assert!(!optional_stores.iter().any(|s| id.as_str().contains(s)));
                }
            }
            prop_assert!(step.step.kind() != "seal" || seen.contains(&gate));
        }
        // Every line that is released is staged in every store, promoted there and pointed at.
        for (i, kind) in shape.lines.iter().enumerate() {
            let line = crate::model::configs::branch(i);
            let counted = (0..shape.counted).map(|c| format!("c{c}"));
            for store in (0..shape.stores.len()).map(|s| format!("s{s}")).chain(counted) {
                for kind_of_step in ["stage", "verify-staged", "promote"] {
                    let id = id(&format!("{kind_of_step}/{store}/{line}"));
                    prop_assert_eq!(plan.step(&id).is_some(), *kind != LineKind::Carry, "{}", id);
                }
                let point = plan.step(&id(&format!("point/{store}"))).unwrap();
                let Step::Point(to) = &point.step else { panic!("{}", point.id) };
                prop_assert_eq!(to.lines.contains_key(&line), *kind != LineKind::Carry);
            }
        }
    }

    #[test]
    fn a_line_s_patches_change_that_line_s_keys_alone(shape in shapes(), which in any::<prop::sample::Index>()) {
        let old = shape.plan();
        let mut snapshot = shape.snapshot();
        let line = which.index(snapshot.lines.len());
        snapshot.lines[line].series = lifeboat::model::Sha256::of(b"another series");
        let new = lifeboat::plan::plan(&shape.config(), &snapshot, &shape.request()).unwrap();
        let before = reached(&old, |_, _| true);
        let changed = id(&format!("prepare/{}", crate::model::configs::branch(line)));
        prop_assert_ne!(old.id().unwrap(), new.id().unwrap());
        prop_assert_eq!(old.steps.len(), new.steps.len());
        for (a, b) in old.steps.iter().zip(&new.steps) {
            prop_assert_eq!(&a.id, &b.id);
            let touched = a.id == changed || before[&a.id].contains(&changed);
            prop_assert_eq!(a.key != b.key, touched, "{}", a.id);
        }
        // So the other lines keep their outcomes up to the gate.
        let others = old.steps.iter().filter(|s| {
            !before[&s.id].contains(&id("gate")) && !before[&s.id].contains(&changed) && s.step.kind() != "gate" && !s.step.lines().iter().any(|(b, _)| **b == crate::model::configs::branch(line))
        });
        for step in others {
            prop_assert_eq!(step.key, new.step(&step.id).unwrap().key, "{}", step.id);
        }
    }
}

#[test]
fn keys_tell_steps_apart() {
    let plan = Shape::of_everything().plan();
    let keys: BTreeSet<_> = plan.steps.iter().map(|s| s.key).collect();
    assert_eq!(keys.len(), plan.steps.len());
}

#[test]
fn a_train_of_carried_fixes_pushes_and_is_served() {
    let mut shape = Shape { lines: vec![LineKind::Carry], ..Shape::of_everything() };
    let plan = shape.plan();
    let kinds: Vec<&str> = plan.steps.iter().map(|s| s.step.kind()).collect();
    let stores = shape.config().stores.len();
    let (packed, pointed) = (vec!["pack-history"; stores], vec!["point"; stores]);
    assert_eq!(kinds, [vec!["gate"], packed, pointed, vec!["prepare", "push-git", "push-git"]].concat());
    shape.remotes.clear();
    let plan = shape.plan();
    assert_eq!(plan.steps.iter().filter(|s| s.step.kind() == "point").count(), stores);
}

#[test]
fn two_lines_cannot_make_one_version() {
    let shape = Shape::of_everything();
    let mut snapshot = shape.snapshot();
    snapshot.lines[2].versions = snapshot.lines[0].versions.clone();
    let refused = lifeboat::plan::plan(&shape.config(), &snapshot, &shape.request()).unwrap_err();
    assert!(refused.message().contains("no two lines have one branch, version or tag"), "{refused}");
}

/// What this version added is left out where it is absent: plans and journals of before keep their bytes and digests.
#[test]
fn what_was_added_is_absent_in_older_plans() {
    let plan = Shape::of_everything().plan();
    let point = plan.steps.iter().find_map(|s| match &s.step {
        Step::Point(point) => Some(point.clone()),
        _ => None,
    });
    let point = Step::Point(lifeboat::step::Point { history: None, ..point.unwrap() });
    let text = serde_json::to_string(&point).unwrap();
    assert!(!text.contains("history"), "{text}");
    assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), point);
    let index = lifeboat::model::Sha256::of(b"index");
    let pointed = Outcome::from(Pointed { index, counter: None });
    let text = serde_json::to_string(&pointed).unwrap();
    assert!(!text.contains("counter"), "{text}");
    assert_eq!(serde_json::from_str::<lifeboat::step::Outcome>(&text).unwrap(), pointed);
}
