//! What each step reads: the outcomes of others, each of the right kind and there before it.

use super::broken;
use crate::error::Result;
use crate::plan::Graph;

pub(super) fn check(graph: &Graph) -> Result<()> {
    for i in 0..graph.len() {
        let step = graph.at(i);
        let before = graph.ancestors(i);
        for read in step.step.reads() {
            let who = || format!("step `{}`, which reads `{}`,", step.id, read.step);
            let Some(j) = graph.position(read.step).filter(|&j| before[j]) else {
                return Err(broken("a step waits for everything that it reads", &who()));
            };
            let made = &graph.at(j).step;
            if !read.kinds.contains(&made.kind()) {
                return Err(broken(&format!("it reads what `{}` makes", read.kinds.join("` or `")), &who()));
            }
            if read.of.is_some_and(|line| made.lines().iter().all(|(b, _)| *b != line)) {
                return Err(broken("a step reads what was made for its own line", &who()));
            }
        }
    }
    Ok(())
}
