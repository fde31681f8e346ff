//! The order of a plan's steps.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Plan, PlanId};
use crate::error::{Error, Result};
use crate::step::{PlannedStep, StepId};

/// A plan with its steps found by name, and what each step leads to.
#[derive(Debug, Clone)]
pub struct Graph {
    plan: Arc<Plan>,
    id: PlanId,
    index: HashMap<StepId, usize>,
    needs: Vec<Vec<usize>>,
    order: Vec<usize>,
}

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
        Ok(Self { plan, id, index, needs, order })
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

    /// The positions of what a step needs.
    #[must_use]
    pub fn needs(&self, position: usize) -> &[usize] {
        &self.needs[position]
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
            out[i] = self.needs[i].iter().any(|&n| out[n] || is(self.at(n)));
        }
        out
    }

    /// The positions of all that must have succeeded before a step.
    #[must_use]
    pub fn ancestors(&self, position: usize) -> Vec<bool> {
        let mut seen = vec![false; self.len()];
        let mut open = self.needs[position].clone();
        while let Some(i) = open.pop() {
            if !std::mem::replace(&mut seen[i], true) {
                open.extend(&self.needs[i]);
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
