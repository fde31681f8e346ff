//! The order of a plan's steps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Plan, PlanId};
use crate::error::{Error, Result};
use crate::model::StoreName;
use crate::step::{PlannedStep, Quorum, StepId};

/// A plan with its steps found by name, and what each step leads to.
#[derive(Debug, Clone)]
pub struct Graph {
    plan: Arc<Plan>,
    id: PlanId,
    index: HashMap<StepId, usize>,
    needs: Vec<Vec<usize>>,
    /// Those of the needs that must all have succeeded; of the others of a quorum, enough.
    all_of: Vec<Vec<usize>>,
    quorums: BTreeMap<usize, Members>,
    order: Vec<usize>,
}

/// The stores that count for a quorum, each with the positions of its steps.
type Members = Vec<(StoreName, Vec<usize>)>;

impl Graph {
    /// Indexes a plan.
    ///
    /// # Errors
    /// Two steps of one name, a step that needs an unknown one, a cycle.
    pub fn new(plan: Arc<Plan>) -> Result<Self> {
        let id = plan.id()?;
        let mut index = HashMap::with_capacity(plan.steps.len());
        for (i, step) in plan.steps.iter().enumerate() {
            if index.insert(step.id.clone(), i).is_some() {
                return Err(Error::fatal(format!("the plan has two steps named `{}`", step.id)));
            }
        }
        let mut needs = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let found: Option<Vec<usize>> = step.needs.iter().map(|n| index.get(n).copied()).collect();
            needs.push(
                found.ok_or_else(|| {
                    Error::fatal(format!("step `{}` needs a step that the plan does not have", step.id))
                })?,
            );
        }
        let order = order(&needs).ok_or_else(|| Error::fatal("the plan's steps need each other in a circle"))?;
        let (mut all_of, mut quorums) = (needs.clone(), BTreeMap::new());
        for (i, step) in plan.steps.iter().enumerate() {
            let Some(quorum) = step.step.as_a::<Quorum>() else { continue };
            let at = |id: &StepId| index.get(id).copied().filter(|at| needs[i].contains(at));
            let member = |(store, ids): (&StoreName, &Vec<StepId>)| {
                Some((store.clone(), ids.iter().map(at).collect::<Option<Vec<usize>>>()?))
            };
            let members: Members = quorum
                .of
                .iter()
                .map(member)
                .collect::<Option<_>>()
                .ok_or_else(|| Error::fatal(format!("step `{}` counts a step that it does not need", step.id)))?;
            all_of[i].retain(|n| members.iter().all(|(_, steps)| !steps.contains(n)));
            quorums.insert(i, members);
        }
        Ok(Self { plan, id, index, needs, all_of, quorums, order })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The plan's identity.
    #[must_use]
    pub fn id(&self) -> PlanId {
        self.id
    }

    /// How many steps there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plan.steps.len()
    }

    /// Whether there is no step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plan.steps.is_empty()
    }

    /// A step's position in the plan.
    #[must_use]
    pub fn position(&self, id: &StepId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The step at a position.
    #[must_use]
    pub fn at(&self, position: usize) -> &PlannedStep {
        &self.plan.steps[position]
    }

    /// The positions of what a step needs; a quorum needs only some of them, see [`Graph::missing`].
    #[must_use]
    pub fn needs(&self, position: usize) -> &[usize] {
        &self.needs[position]
    }

    /// The positions of what must always have succeeded before a step.
    #[must_use]
    pub(crate) fn all_of(&self, position: usize) -> &[usize] {
        &self.all_of[position]
    }

    /// The stores of which all counted steps succeeded, where the step is a quorum.
    #[must_use]
    pub fn have(&self, position: usize, succeeded: impl Fn(usize) -> bool) -> Vec<&StoreName> {
        let members = self.quorums.get(&position).into_iter().flatten();
        members.filter(|(_, steps)| steps.iter().all(|&s| succeeded(s))).map(|(store, _)| store).collect()
    }

    /// What a step still waits for; `None` if it can start.
    #[must_use]
    pub fn missing(&self, position: usize, succeeded: impl Fn(usize) -> bool) -> Option<usize> {
        if let Some(&step) = self.all_of[position].iter().find(|&&n| !succeeded(n)) {
            return Some(step);
        }
        let at_least = self.at(position).step.as_a::<Quorum>()?.at_least;
        if self.have(position, &succeeded).len() as u64 >= u64::from(at_least) {
            return None;
        }
        self.needs[position].iter().copied().find(|&n| !succeeded(n))
    }

    /// All positions, each after what it needs.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// For each position, whether a step for which `is` holds must have succeeded before it.
    #[must_use]
    pub fn dominated_by(&self, is: impl Fn(&PlannedStep) -> bool) -> Vec<bool> {
        let mut out = vec![false; self.len()];
        for &i in &self.order {
            out[i] = self.all_of[i].iter().any(|&n| out[n] || is(self.at(n)));
        }
        out
    }

    /// The positions of all that must have succeeded before a step.
    #[must_use]
    pub(crate) fn ancestors(&self, position: usize) -> Vec<bool> {
        let mut seen = vec![false; self.len()];
        let mut open = self.all_of[position].clone();
        while let Some(i) = open.pop() {
            if !std::mem::replace(&mut seen[i], true) {
                open.extend(&self.all_of[i]);
            }
        }
        seen
    }
}

/// Kahn's algorithm; `None` if there is a cycle.
fn order(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut left: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut leads: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (i, ns) in needs.iter().enumerate() {
        for &n in ns {
            leads[n].push(i);
        }
    }
    let mut order: Vec<usize> = (0..needs.len()).filter(|&i| left[i] == 0).collect();
    let mut at = 0;
    while let Some(&i) = order.get(at) {
        at += 1;
        for &to in &leads[i] {
            left[to] -= 1;
            if left[to] == 0 {
                order.push(to);
            }
        }
    }
    (order.len() == needs.len()).then_some(order)
}
